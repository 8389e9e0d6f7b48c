"""The service: the run ledger, the pipeline from files to a published answer, and the scheduler.

Public names, loaded on first use: `run_interval` with `RunOptions` and `RunOutcome` for one city and one
interval; `open_service`, `serve` and `tick` for the scheduler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.service.pipeline import run_interval as run_interval
    from monitor.service.run import RunOptions as RunOptions
    from monitor.service.run import RunOutcome as RunOutcome
    from monitor.service.scheduler import open_service as open_service
    from monitor.service.scheduler import serve as serve
    from monitor.service.scheduler import tick as tick

_HOMES = {
    "RunOptions": "run",
    "RunOutcome": "run",
    "open_service": "scheduler",
    "run_interval": "pipeline",
    "serve": "scheduler",
    "tick": "scheduler",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
