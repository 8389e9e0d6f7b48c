"""Which reader a file without a name for it needs: tables are read, of the rest the reader is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path

import xarray as xr

from monitor.domain import SPECIES, Station
from monitor.errors import MonitorError, SourceFormatError, UnitError
from monitor.plugins import ReadContext, Reader, get_reader, reader_names

#: How much of a file is searched for the words by which readers describe their format [bytes].
_HEAD = 4096
#: Words that say nothing of a format.
_COMMON = frozenset({"file", "files", "table", "with", "from", "then", "that", "named", "netcdf", "rows"})
#: A place that no file contradicts.
_SOMEWHERE = Station("somewhere", nan, nan)


def read_table(path: Path, context: ReadContext) -> tuple[Reader, xr.Dataset]:
    """The reader of inventory tables that understands the file, and what it makes of it.

    Raises
    ------
    UnitError
        When a reader understands the file, and the file states no unit that is known.
    SourceFormatError
        When none does, with the reader that it is for, or else the nearest and what that one misses.
    """
    readers = [get_reader(name) for name in reader_names()]
    refused: dict[str, MonitorError] = {}
    for reader in readers:
        if reader.kind == "table":
            try:
                return reader, reader.read(path, context)
            except UnitError:
                raise
            except MonitorError as error:
                refused[reader.name] = error
    others = [reader for reader in readers if reader.kind != "table"]
    for reader in others:
        missing = _missing(reader, path, context, refused)
        if missing is not None:
            raise _not_named(reader, path, missing)
    raise _nearest(path, readers, refused)


def _missing(
    reader: Reader, path: Path, context: ReadContext, refused: dict[str, MonitorError]
) -> str | None:
    """What the reader must be told to read the file, "" for nothing; None (and why) when it is another's."""
    first: MonitorError | None = None
    for told in (context, *_stand_ins(context)):
        try:
            reader.read(path, told)
        except MonitorError as error:
            refused[reader.name] = error
            first = first or error
        else:
            return first.what if first else ""
    return None


def _stand_ins(context: ReadContext) -> Iterator[ReadContext]:
    """What somebody might say of a file that does not say it: any gas, and something of all else."""
    known = replace(
        context,
        station=context.station or _SOMEWHERE,
        inlet_m=context.inlet_m or 10.0,
        scale=context.scale or "unknown",
        year=context.year or 2000,
    )
    for gas in (context.species,) if context.species else SPECIES:
        # what a file says of itself is not to be contradicted, what it does not say must be said
        yield replace(context, species=gas, year=known.year)
        yield replace(known, species=gas, inlet_m=context.inlet_m)
        yield replace(known, species=gas)


def _not_named(reader: Reader, path: Path, missing: str) -> SourceFormatError:
    told = f", once it is told what is missing: {missing}" if missing else ""
    return SourceFormatError(
        "the file is no inventory table, and only these are read without --reader",
        found=f"a file that reader '{reader.name}' ({reader.kind}) understands{told}",
        where=str(path),
        remedy=f"add --reader {reader.name}" + (" and what it misses, see --help" if missing else ""),
    )


def _nearest(path: Path, readers: list[Reader], refused: dict[str, MonitorError]) -> SourceFormatError:
    """The reader whose description has most of its words in the file, and the one reason that it gives.

    A reason that several readers give ("the file is not netCDF") is of the kind of file, and none is near.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD).decode("latin-1").lower()

    def likeness(reader: Reader) -> float:
        said = f"{reader.description} {refused[reader.name].expected}".lower()
        words = {word for word in re.findall(r"[a-z0-9_]{4,}", said) if word not in _COMMON}
        return sum(word in head for word in words) / len(words)

    reasons = Counter(error.what for error in refused.values())
    near = [reader for reader in readers if reasons[refused[reader.name].what] == 1]
    best = max(near or readers, key=likeness)
    why = refused[best.name]
    return SourceFormatError(
        "no reader understands the file",
        expected=why.expected,
        found=f"nearest is '{best.name}': {why.what}; {len(readers) - 1} other readers do not take it either",
        where=str(path),
        remedy="mend the file if it is of that format; else write a reader for its own (CONTRIBUTING.md)",
    )
