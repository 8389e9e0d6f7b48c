"""What all readers share: the file as evidence, required context, and the last steps of a series."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import xarray as xr

from monitor.contracts import Flag, ObservationColumns, Reason, observations_dataset
from monitor.domain import Station
from monitor.errors import ConfigError, MissingInputError, SourceFormatError, UsageError
from monitor.plugins import ReadContext

#: Text files larger than this are refused unread [bytes].
MAX_TEXT_BYTES = 512 * 2**20
#: Stations further than this from where the configuration puts them are another station [degrees].
POSITION_TOLERANCE_DEG = 0.05

_PAGE_START = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


@dataclass(frozen=True)
class Site:
    """Where a series or a footprint belongs; `height_m` is above ground."""

    station: str
    lon_deg: float
    lat_deg: float
    height_m: float

    def attributes(self) -> dict[str, object]:
        """The attributes the contracts ask for."""
        return {
            "station": self.station,
            "inlet_height_m": self.height_m,
            "station_longitude_deg": self.lon_deg,
            "station_latitude_deg": self.lat_deg,
        }


@dataclass(frozen=True)
class FileSite:
    """What a file itself says about its site; ``None`` where it is silent."""

    station: str | None = None
    lon_deg: float | None = None
    lat_deg: float | None = None
    height_m: float | None = None


def ensure_file(path: Path) -> Path:
    """`path` itself if it is a local, existing, non-empty file.

    Raises
    ------
    UsageError
        For anything but a `Path`: a text could be an address, and some libraries would fetch it.
    MissingInputError, SourceFormatError
        When there is no such file, or it is empty.
    """
    if not isinstance(path, Path):
        raise UsageError("a reader takes a local pathlib.Path", found=repr(path), remedy="wrap it in Path()")
    if not path.is_file():
        raise MissingInputError("there is no such file", expected="a readable file", where=str(path))
    if path.stat().st_size == 0:
        raise SourceFormatError("the file is empty", where=str(path), remedy="fetch it again")
    return path


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_page(path: Path, expected: str) -> None:
    """Raise `SourceFormatError` when the file starts like an HTML or XML page (a server's error page)."""
    with path.open("rb") as stream:
        start = stream.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.lower().startswith(_PAGE_START):
        raise SourceFormatError(
            "the file is a web page, not data",
            expected=expected,
            found=start[:60].decode("latin-1"),
            where=str(path),
            remedy="the server probably answered with an error page; fetch the file again",
        )


def read_text_lines(path: Path, expected: str) -> list[str]:
    """The lines of a UTF-8 text file, without line ends; errors of `read_text`."""
    return read_text(path, expected).splitlines()


def read_text(path: Path, expected: str) -> str:
    """A UTF-8 text file as it stands.

    Raises
    ------
    SourceFormatError
        For a web page, a binary file, a wrong encoding, or more than `MAX_TEXT_BYTES`.
    """
    ensure_file(path)
    refuse_page(path, expected)
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise SourceFormatError(
            "the file is too large",
            expected=f"at most {MAX_TEXT_BYTES} bytes",
            found=str(size),
            where=str(path),
        )
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceFormatError(
            "the file is not UTF-8 text",
            expected=expected,
            found=f"byte {raw[error.start]:#04x} at offset {error.start}",
            where=str(path),
            remedy="check that the file is what the source promises; fetch it again",
        ) from error
    if "\0" in text:
        raise SourceFormatError("the file is binary", expected=expected, found="a NUL byte", where=str(path))
    return text


def broken_row(path: Path, line: int, row: str, expected: str) -> SourceFormatError:
    """The error for a row that cannot be read; `line` counts from 1."""
    return SourceFormatError(
        "a row cannot be read",
        expected=expected,
        found=repr(row[:160]),
        where=f"{path}, line {line}",
        remedy="the file is damaged or cut off; fetch it again or take the row out of it",
    )


def float_column(texts: list[str], name: str, path: Path, lines: list[int]) -> np.ndarray:
    """Numbers of one column; an empty field is NaN; `SourceFormatError` names the line of a broken one."""
    try:
        return np.array([text or "nan" for text in texts], dtype="f8")
    except ValueError:
        for text, line in zip(texts, lines, strict=True):
            try:
                float(text or "nan")
            except ValueError:
                raise broken_row(path, line, text, f"a number in column '{name}'") from None
        raise


def time_column(texts: list[str], path: Path, lines: list[int]) -> np.ndarray:
    """Moments from ISO-8601 texts; `SourceFormatError` names the line of an impossible one."""
    try:
        return np.array(texts, dtype="datetime64[s]").astype("datetime64[ns]")
    except ValueError:
        for text, line in zip(texts, lines, strict=True):
            try:
                np.datetime64(text, "s")
            except ValueError:
                raise broken_row(path, line, text, "a date and time that exist") from None
        raise


def require_species(context: ReadContext, path: Path) -> str:
    """The species of the context; `ConfigError` when the configuration names none."""
    if context.species is None:
        raise _missing("the gas", "`species`", path)
    return context.species.lower()


def require_station(context: ReadContext, path: Path) -> Station:
    """The station of the context; `ConfigError` when the configuration names none."""
    if context.station is None:
        raise _missing("its station", "`station`", path)
    return context.station


def require_height(context: ReadContext, path: Path) -> float:
    """The inlet height of the context [m]; `ConfigError` when the configuration names none."""
    if context.inlet_m is None:
        raise _missing("its inlet", "`inlet_m`", path)
    return context.inlet_m


def require_scale(context: ReadContext, path: Path) -> str:
    """The calibration scale of the context; `ConfigError` when the configuration names none."""
    if context.scale is None:
        raise _missing("its calibration scale", '`scale` ("unknown" if so)', path)
    return context.scale


def _missing(thing: str, key: str, path: Path) -> ConfigError:
    return ConfigError(
        f"the file does not say {thing}, and the configuration does not either",
        expected=f"{key} in the [[source]] of this file",
        found="nothing",
        where=str(path),
        remedy=f"add {key} to the source in the city file",
    )


def resolve_site(found: FileSite, context: ReadContext, path: Path) -> Site:
    """The site, from the file and the configuration; they must not contradict each other.

    Raises
    ------
    SourceFormatError
        When the file is of another place or inlet than configured, or when neither says.
    """
    lon, lat = _position(found, context, path)
    height = found.height_m if context.inlet_m is None else context.inlet_m
    station = found.station if context.station is None else context.station.id
    if height is None or station is None:
        thing = "station" if station is None else "inlet height"
        raise SourceFormatError(
            f"neither the file nor the configuration says the {thing}",
            where=str(path),
            remedy="name `station` and `inlet_m` in the source",
        )
    if found.height_m is not None and not np.isclose(height, found.height_m, atol=0.5, equal_nan=True):
        raise SourceFormatError(
            "the file is of another inlet than configured",
            expected=f"{height:g} m",
            found=f"{found.height_m:g} m",
            where=str(path),
            remedy="correct `inlet_m` or `pattern` of the source",
        )
    return Site(station, lon, lat, float(height))


def _position(found: FileSite, context: ReadContext, path: Path) -> tuple[float, float]:
    if context.station is None:
        if found.lon_deg is None or found.lat_deg is None:
            raise SourceFormatError(
                "neither the file nor the configuration says where the station is",
                where=str(path),
                remedy="name `station` in the source",
            )
        return found.lon_deg, found.lat_deg
    lon, lat = context.station.lon_deg, context.station.lat_deg
    if found.lon_deg is not None and found.lat_deg is not None:
        apart = max(abs(found.lon_deg - lon), abs(found.lat_deg - lat))
        if apart > POSITION_TOLERANCE_DEG:
            raise SourceFormatError(
                "the file is of another place than the configured station",
                expected=f"{context.station.id} at {lon:.4f} E, {lat:.4f} N",
                found=f"{found.lon_deg:.4f} E, {found.lat_deg:.4f} N",
                where=str(path),
                remedy="correct `station` or `pattern` of the source",
            )
    return lon, lat


def canonical_scale(text: str, species: str) -> str:
    """One spelling per calibration scale: ``WMO-CH4-X2004A`` for "WMOX2004A", "wmo-x2004a" and the like.

    Other scales ("TU1987") are upper-cased; nothing or "Unknown" is ``unknown``.
    """
    spelled = text.strip()
    wmo = re.fullmatch(r"(?:wmo|noaa)?[-_ ]*(?:co2|ch4|co)?[-_ ]*(x\d{4}[a-z]?)", spelled, re.IGNORECASE)
    if wmo:
        return f"WMO-{species.upper()}-{wmo[1].upper()}"
    if spelled.lower() in {"", "unknown", "none", "not_set", "nan"}:
        return "unknown"
    return spelled.upper()


def height_from(text: str | None) -> float | None:
    """Height above ground from "100magl", "185m" or "10" [m]; ``None`` when it says none."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:m|magl|m agl)?\s*", text or "", re.IGNORECASE)
    return float(match[1]) if match else None


def finish_observations(
    columns: ObservationColumns, attributes: Mapping[str, object], notes: list[str]
) -> xr.Dataset:
    """The observations dataset, whatever the order of the rows in the file.

    Rows repeated exactly are dropped and counted in the notes.  Rows about the same interval with
    different values are all kept and flagged suspect: choosing one silently would hide a revision.
    """
    table = np.stack([np.asarray(c, dtype="f8") for c in _all_columns(columns)[2:]], axis=1)
    start, end = columns.start.astype("datetime64[ns]"), columns.end.astype("datetime64[ns]")
    order = np.lexsort((*table.T[::-1], end.astype("i8"), start.astype("i8")))
    start, end, table = start[order], end[order], table[order]
    if start.size > 1:
        same_time = (start[1:] == start[:-1]) & (end[1:] == end[:-1])
        same_row = same_time & ((table[1:] == table[:-1]) | np.isnan(table[1:]) & np.isnan(table[:-1])).all(
            axis=1
        )
        keep = np.append(True, ~same_row)
        start, end, table = start[keep], end[keep], table[keep]
        if same_row.any():
            notes.append(f"{int(same_row.sum())} repeated rows dropped")
    value, flag, reason, uncertainty, stdev, count = table.T.copy()
    count = np.clip(np.nan_to_num(count), 0, 2**31 - 1)
    same = (start[1:] == start[:-1]) & (end[1:] == end[:-1])
    conflict = np.append(False, same) | np.append(same, False) if start.size else np.zeros(0, bool)
    if conflict.any():
        notes.append(
            f"{int(conflict.sum())} rows contradict another about the same interval; flagged suspect"
        )
        reason[conflict] = reason[conflict].astype("i4") | Reason.SOURCE
        flag[conflict] = np.where(
            np.isin(flag[conflict], (Flag.BAD, Flag.MISSING)), flag[conflict], Flag.SUSPECT
        )
    attributes = dict(attributes) | ({"reader_notes": "; ".join(notes)} if notes else {})
    made = ObservationColumns(start, end, value, flag, reason, uncertainty, stdev, count)
    return observations_dataset(made, attributes)


def _all_columns(columns: ObservationColumns) -> list[np.ndarray]:
    n = columns.mole_fraction.size
    blank = {"uncertainty": np.nan, "stdev": np.nan, "count": 0.0, "flag_reason": 0.0}
    found = {f.name: getattr(columns, f.name) for f in fields(columns)}
    return [np.full(n, blank[name]) if values is None else values for name, values in found.items()]
