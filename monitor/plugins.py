"""Where plug-ins meet: a reader is a name, the kind of data it yields, and one function.

Readers are found by the entry-point group ``monitor.readers``; a package elsewhere adds a format
by registering a :class:`Reader` there, without a line changed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import xarray as xr

from monitor.domain import Station
from monitor.errors import ConfigError

#: The kinds of dataset a reader may return; each has its contract in monitor.contracts, tables in
#: monitor.inventory.
KINDS = ("observations", "footprints", "flux", "table")


@dataclass(frozen=True)
class ReadContext:
    """What the configuration knows and the file may not say.

    ``None`` means "the file must say it"; a reader raises `SourceFormatError` or `UnitError`
    naming the missing thing when neither does.
    """

    species: str | None = None
    station: Station | None = None
    inlet_m: float | None = None
    scale: str | None = None
    year: int | None = None
    sector: str | None = None


@dataclass(frozen=True)
class Reader:
    """A format: `read(path, context)` parses one local file into one dataset of its `kind`.

    `read` accepts a local `Path` only, converts units and labels to ours, keeps every row (bad
    ones flagged), and raises `SourceFormatError` for a file that is not what it should be.
    """

    name: str
    kind: str
    read: Callable[[Path, ReadContext], xr.Dataset]
    description: str = ""


@cache
def _entry_points() -> dict[str, object]:
    return {point.name: point for point in entry_points(group="monitor.readers")}


def reader_names() -> list[str]:
    """Names of all installed readers, sorted."""
    return sorted(_entry_points())


def get_reader(name: str) -> Reader:
    """The reader called `name`; `ConfigError` listing the known ones when there is none."""
    point = _entry_points().get(name)
    if point is None:
        raise ConfigError(
            f"no reader is called '{name}'",
            expected=", ".join(reader_names()),
            found=name,
            remedy="correct `reader` in the city file, or install the package that brings it",
        )
    reader = point.load()  # type: ignore[attr-defined]
    if not isinstance(reader, Reader) or reader.kind not in KINDS:
        raise ConfigError(f"entry point '{name}' is not a monitor.plugins.Reader", found=repr(reader))
    return reader
