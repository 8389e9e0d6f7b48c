"""What must not get slower, as asv-style classes: `python -m benchmarks [CASE] [--json]`, or `make bench`.

A class has `params` (its sizes, the smallest first), `setup(size)`, and `time_…(size)` methods.  `order` is
the size of the Cholesky factorisation that stands beside the case as a yardstick: the ratio to it tells a
slower program from a busier machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

MODULES = ("inversion", "transport", "ingest", "archive")


class Case(NamedTuple):
    """One method of one class at one size."""

    name: str
    kind: type
    method: str
    size: int

    def ready(self) -> Any:
        """An instance, set up."""
        instance = self.kind()
        instance.setup(self.size)
        return instance


def cases() -> Iterator[Case]:
    """All cases, in the order they are run."""
    for module in MODULES:
        found = vars(import_module(f"benchmarks.{module}"))
        for kind in found.values():
            if not (isinstance(kind, type) and hasattr(kind, "params") and kind.__module__.endswith(module)):
                continue
            for method in [name for name in vars(kind) if name.startswith("time_")]:
                for size in kind.params:
                    name = f"{module}.{method.removeprefix('time_')}[{size}]"
                    yield Case(name, kind, method, size)
