"""Careful reading of netCDF: sizes before data, our errors instead of the library's, times with units.

Times are decoded here and not by a general decoder: a trailing "Z" in the unit breaks some, and a
calendar other than the civil one must be refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from monitor.domain import Grid
from monitor.errors import InputError, SourceFormatError, UnitError
from monitor.ingest.readers._classic import needed_bytes
from monitor.ingest.readers._common import ensure_file, refuse_page

#: No variable may claim more than this [bytes].
MAX_BYTES = 16 * 2**30
#: What may be claimed without comparing it with the size of the file [bytes].
SMALL_BYTES = 64 * 2**20
#: Deflate cannot expand further than this; a larger claim is data that were never written.
MAX_EXPANSION = 1100

#: Headers of netCDF classic files are looked for in this much of them [bytes].
_HEADER_BYTES = 8 * 2**20
_MAGIC = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
#: What the library raises on damaged files, whether they are data, names or attributes.
_LIBRARY_ERRORS = (OSError, RuntimeError, AttributeError, UnicodeDecodeError)
_SECONDS = {
    "second": 1,
    "sec": 1,
    "s": 1,
    "minute": 60,
    "min": 60,
    "hour": 3600,
    "hr": 3600,
    "h": 3600,
    "day": 86400,
}
_SINCE = re.compile(
    r"\s*([a-z]+?)s?\s+since\s+(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.0*)?)?)?\s*(?:Z|UTC|GMT|[+-]00:?00)?\s*",
    re.IGNORECASE,
)
_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}


@contextmanager
def opened(path: Path, expected: str) -> Iterator[netCDF4.Dataset]:
    """The open file, closed at the end.

    Raises
    ------
    SourceFormatError
        For a web page, another format, or a file that is cut off.
    """
    ensure_file(path)
    refuse_page(path, expected)
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start.startswith(_MAGIC):
        raise SourceFormatError(
            "the file is not netCDF",
            expected=expected,
            found=f"first bytes {start!r}",
            where=str(path),
            remedy="check `reader` and `pattern` of the source, or fetch the file again",
        )
    if start.startswith(b"CDF"):
        _ensure_complete_classic(path)
    try:
        dataset = netCDF4.Dataset(path, "r")
    except _LIBRARY_ERRORS as error:
        raise cut_off(path, error) from error
    try:
        yield dataset
    finally:
        dataset.close()


def _ensure_complete_classic(path: Path) -> None:
    """Refuse a classic file shorter than its header says; the library would read zeros beyond its end."""
    with path.open("rb") as stream:
        raw = stream.read(_HEADER_BYTES)
    try:
        needed = needed_bytes(raw)
    except (struct.error, KeyError, IndexError) as error:
        raise cut_off(path, error) from error
    if path.stat().st_size < needed:
        raise SourceFormatError(
            "the file is cut off",
            expected=f"{needed} bytes, as its header says",
            found=f"{path.stat().st_size} bytes",
            where=str(path),
            remedy="fetch the file again",
        )


def cut_off(path: Path, error: Exception) -> SourceFormatError:
    """The error for a file that starts well and cannot be read to its end."""
    return SourceFormatError(
        "the file is cut off or damaged",
        expected="a complete netCDF file",
        found=f"{path.stat().st_size} bytes that end in: {error}",
        where=str(path),
        remedy="fetch the file again",
    )


def require_variable(dataset: netCDF4.Dataset, *names: str) -> str:
    """The first of `names` that the file has; `SourceFormatError` listing its variables otherwise."""
    for name in names:
        if name in dataset.variables:
            return name
    raise SourceFormatError(
        f"variable '{names[0]}' is missing",
        expected=" or ".join(names),
        found=", ".join(dataset.variables),
        where=dataset.filepath(),
        remedy="check `reader` and `species` of the source, or that the file's layout did not change",
    )


def ensure_size(dataset: netCDF4.Dataset, name: str) -> None:
    """Refuse a variable whose header claims more than the file can hold, before anything is read."""
    variable = dataset.variables[name]
    path = Path(dataset.filepath())
    claimed = int(np.prod([int(n) for n in variable.shape], dtype=object)) * np.dtype(variable.dtype).itemsize
    limit = MAX_BYTES if claimed <= SMALL_BYTES else min(MAX_BYTES, MAX_EXPANSION * path.stat().st_size)
    if claimed > limit:
        raise SourceFormatError(
            f"variable '{name}' claims more data than the file can hold",
            expected=f"at most {limit} bytes from a file of {path.stat().st_size} bytes",
            found=f"{claimed} bytes, shape {tuple(map(int, variable.shape))}",
            where=str(path),
            remedy="the file is damaged or hostile; do not use it",
        )


def read_array(dataset: netCDF4.Dataset, name: str, index: tuple[slice, ...] | None = None) -> np.ndarray:
    """A variable as floating-point numbers, NaN where missing; float32 stays float32.

    Raises
    ------
    SourceFormatError
        When the variable is not numeric, claims an impossible size, or the file ends before its data.
    """
    variable = dataset.variables[name]
    if variable.dtype is str or np.dtype(variable.dtype).kind not in "iuf":
        raise SourceFormatError(
            f"variable '{name}' is not numeric", found=str(variable.dtype), where=dataset.filepath()
        )
    ensure_size(dataset, name)
    try:
        raw = variable[index if index is not None else ...]
    except _LIBRARY_ERRORS as error:
        raise cut_off(Path(dataset.filepath()), error) from error
    kind = "f4" if np.dtype(variable.dtype) == np.dtype("f4") else "f8"
    return np.ma.filled(np.ma.asarray(raw).astype(kind), np.nan)


def read_times(dataset: netCDF4.Dataset, name: str = "time") -> np.ndarray:
    """A time variable as datetime64[ns], UTC, to the millisecond.

    Raises
    ------
    SourceFormatError
        For an unknown unit, an offset from UTC, another calendar, or missing times.
    """
    variable = dataset.variables[require_variable(dataset, name)]
    unit, calendar = attribute(variable, "units") or "", attribute(variable, "calendar") or "standard"
    match = _SINCE.fullmatch(unit)
    if match is None or match[1].lower() not in _SECONDS or calendar.lower() not in _CALENDARS:
        raise SourceFormatError(
            f"the time unit of '{name}' cannot be used",
            expected="seconds, minutes, hours or days since a UTC date, in the civil calendar",
            found=f"'{unit}', calendar '{calendar}'",
            where=dataset.filepath(),
        )
    values = np.atleast_1d(read_array(dataset, name)).astype("f8")
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        raise SourceFormatError(f"'{name}' is missing at index {at}", where=dataset.filepath())
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[1:])
    text = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    try:
        epoch = np.datetime64(text, "ms")
    except ValueError as error:
        raise SourceFormatError(
            "the time unit names no date", found=unit, where=dataset.filepath()
        ) from error
    milliseconds = np.round(values * (_SECONDS[match[1].lower()] * 1000.0))
    if np.abs(milliseconds).max(initial=0.0) > 9e15 / 1e3:
        raise SourceFormatError(f"'{name}' is out of range", found=str(values), where=dataset.filepath())
    return (epoch + milliseconds.astype("timedelta64[ms]")).astype("datetime64[ns]")


def read_grid(dataset: netCDF4.Dataset) -> tuple[Grid, tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """The grid, the names of its (lat, lon) dimensions, and the order that sorts each axis.

    Longitudes of 180° and more are taken west of Greenwich.

    Raises
    ------
    SourceFormatError
        When the file has no such axes or they are not regular.
    """
    lat_name = require_variable(dataset, "lat", "latitude")
    lon_name = require_variable(dataset, "lon", "longitude")
    lat, lon = (read_array(dataset, name).astype("f8") for name in (lat_name, lon_name))
    if lat.ndim != 1 or lon.ndim != 1:
        raise SourceFormatError(
            "the grid is not one of longitudes and latitudes",
            expected="one-dimensional lat and lon",
            found=f"lat {lat.shape}, lon {lon.shape}",
            where=dataset.filepath(),
            remedy="regrid the file to regular longitudes and latitudes first",
        )
    lon = np.where(lon >= 180.0, lon - 360.0, lon)
    lat_order, lon_order = np.argsort(lat), np.argsort(lon)
    try:
        grid = Grid(lon_deg=lon[lon_order], lat_deg=lat[lat_order])
    except InputError as error:
        raise SourceFormatError(
            error.what,
            expected="regular steps, closing around the globe where longitudes run from 0 to 360",
            found=error.found,
            where=dataset.filepath(),
            remedy="take the full map: a thinned sample cannot conserve its mass",
        ) from error
    return grid, (lat_name, lon_name), (lat_order, lon_order)


def require_dims(dataset: netCDF4.Dataset, name: str, wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Where each of `wanted` stands among the dimensions of `name`; any order, no other dimension.

    Raises
    ------
    SourceFormatError
        When a dimension is missing or one too many.
    """
    dims = dataset.variables[name].dimensions
    if set(dims) != set(wanted):
        raise SourceFormatError(
            f"variable '{name}' has other dimensions",
            expected=f"{', '.join(wanted)} in any order",
            found=", ".join(dims),
            where=dataset.filepath(),
        )
    return tuple(dims.index(dim) for dim in wanted)


def attribute(owner: netCDF4.Dataset | netCDF4.Variable[Any], *names: str) -> str | None:
    """The first of the attributes `names` (whatever their case) as text; ``None`` when there is none."""
    try:
        found = {key.lower(): key for key in owner.ncattrs()}
        name = next((n.lower() for n in names if n.lower() in found), None)
        return None if name is None else str(owner.getncattr(found[name])).strip()
    except _LIBRARY_ERRORS as error:
        home = owner if isinstance(owner, netCDF4.Dataset) else owner.group()
        raise cut_off(Path(home.filepath()), error) from error


def number_attribute(owner: netCDF4.Dataset | netCDF4.Variable[Any], *names: str) -> float | None:
    """Like `attribute`, as a number; ``None`` when it is absent or not a number."""
    text = attribute(owner, *names)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def require_unit(dataset: netCDF4.Dataset, name: str) -> str:
    """The unit of a variable; `UnitError` when it states none."""
    unit = attribute(dataset.variables[name], "units")
    if not unit:
        raise UnitError(
            f"variable '{name}' states no unit",
            where=dataset.filepath(),
            remedy="a number without a unit cannot be used; ask the source for a file with units",
        )
    return unit
