"""ICOS ATC text files, Level 2 and near-real-time: hourly means of one gas at one height.

Layout: a ``#`` header whose length stands in ``# HEADER LINES: n`` (33 to 45 lines seen), the last header
line naming the columns; then ``;``-separated rows.

Traps:

- missing is −999.990 (Stdev −9.990) or an empty field, and the flag does not always say so: a row flagged U
  with −999.990 occurs, and rows flagged bad may hold a number.  Flag and fill value are both heeded.
- flags: O and U good (U: automatic checks only, so in near-real-time files), N and K bad.
- the label is the **beginning** of the hour, in UTC, whatever the line ``TIME ZONE: UTC +1`` says; the line
  that says so is required.
- the scale is given per instrument ("461: WMOX2007; 463: WMOX2007") and only the instruments that measured
  count: a placeholder instrument has scale "Unknown".
- units carry a Unicode superscript; a longitude may read ``-2.5399 E``.
- a file shorter than its ``TOTAL LINES`` is noted (samples in circulation are cut on purpose), not refused.
- the licence and the contributor must travel with the data: they are kept as attributes.

The uncertainty is the long-term repeatability (LTR) where the file gives it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import Flag, ObservationColumns, Reason
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.plugins import ReadContext, Reader

_EXPECTED = "an ICOS ATC file ('# HEADER LINES: n', then ';'-separated rows)"
_FILL, _STDEV_FILL = -999.99, -9.99
_FLAGS = {"O": Flag.GOOD, "U": Flag.GOOD, "N": Flag.BAD, "K": Flag.BAD}
_REQUIRED = (
    "SamplingHeight",
    "Year",
    "Month",
    "Day",
    "Hour",
    "Minute",
    "Stdev",
    "NbPoints",
    "Flag",
    "InstrumentId",
)
_HOUR = np.timedelta64(3600, "s")
_CARRIED = {
    "title": "TITLE",
    "licence": "DATA POLICY",
    "contributor": "CONTRIBUTOR",
    "contact": "CONTACT POINT",
    "station_name": "STATION NAME",
    "project_data_version": "PROJECT DATA VERSION",
    "measurement_method": "MEASUREMENT METHOD",
}


@dataclass(frozen=True)
class _Table:
    """The rows as texts by column name, and the line of each row (from 1)."""

    columns: dict[str, list[str]]
    lines: list[int]
    path: Path

    def numbers(self, name: str, fill: float) -> np.ndarray:
        """A column as numbers, NaN where it is `fill`, empty, or absent from the file."""
        if name not in self.columns:
            return np.full(len(self.lines), np.nan)
        values = common.float_column(self.columns[name], name, self.path, self.lines)
        return np.where(np.abs(values - fill) < 0.005, np.nan, values)

    def chosen(self, keep: np.ndarray) -> _Table:
        """The rows where `keep` is true."""
        columns = {k: [v for v, yes in zip(c, keep, strict=True) if yes] for k, c in self.columns.items()}
        return _Table(columns, [n for n, yes in zip(self.lines, keep, strict=True) if yes], self.path)


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One ICOS ATC file as hourly observations; ``product_level`` is "L2" or "NRT".

    Raises
    ------
    SourceFormatError
        For another format, a missing column, a broken row (with its line number), an unknown flag, a label
        that is not the beginning, or a file of another gas, place or height than configured.
    UnitError
        When the unit in the header is unknown.
    """
    lines = common.read_text_lines(path, _EXPECTED)
    header, n_header = _header(lines, path)
    species = _species(header, context, path)
    factor = units.mole_fraction_factor(_entry(header, "MEASUREMENT UNIT", path), where=str(path))
    notes: list[str] = []
    table = _table(lines, n_header, species, path)
    height = _height(table, context, path)
    table = table.chosen(table.numbers("SamplingHeight", _FILL) == height)
    _note_length(header, len(lines), notes)
    site = common.resolve_site(_file_site(header, height, path), context, path)
    columns = _columns(table, species, factor)
    attributes = site.attributes() | {
        "species": species,
        "calibration_scale": _scale(header, table, columns, species, notes),
        "source_digest": common.file_digest(path),
        "product_level": _product_level(header, path),
        **{ours: header[theirs] for ours, theirs in _CARRIED.items() if header.get(theirs)},
    }
    return common.finish_observations(columns, attributes, notes)


def _header(lines: list[str], path: Path) -> tuple[dict[str, str], int]:
    """The header's entries ("KEY: value") and its number of lines."""
    found = [m for line in lines[:20] if (m := re.fullmatch(r"#\s*HEADER LINES:\s*(\d+)\s*", line))]
    n_header = int(found[0][1]) if found else 0
    if not 1 < n_header < len(lines) or not all(line.startswith("#") for line in lines[:n_header]):
        raise SourceFormatError(
            "the header is not that of an ICOS ATC file",
            expected=_EXPECTED,
            found=f"{n_header} header lines announced in {len(lines)} lines"
            if found
            else repr(lines[0][:80]),
            where=str(path),
            remedy="check `reader` and `pattern` of the source, or fetch the file again",
        )
    entries = (re.fullmatch(r"#\s*([A-Z][A-Z/ ]+):\s*(.*?)\s*", line) for line in lines[:n_header])
    header = {entry[1]: entry[2] for entry in entries if entry}
    comment = " ".join(lines[:n_header]).lower()
    for needed in ("beginning of the averaging interval", "times are utc"):
        if needed not in comment:
            raise SourceFormatError(
                "the header does not say how times are meant",
                expected=f"a comment with '{needed}'",
                where=str(path),
                remedy="the layout changed: check the time label with the source before reading on",
            )
    return header, n_header


def _entry(header: dict[str, str], key: str, path: Path) -> str:
    if not header.get(key):
        raise SourceFormatError(f"the header has no '{key}'", found=", ".join(header), where=str(path))
    return header[key]


def _species(header: dict[str, str], context: ReadContext, path: Path) -> str:
    species = _entry(header, "PARAMETER", path).lower()
    if context.species and context.species.lower() != species:
        raise SourceFormatError(
            "the file is of another gas than configured",
            expected=context.species,
            found=species,
            where=str(path),
        )
    interval = _entry(header, "TIME INTERVAL", path)
    if interval.lower() != "hourly":
        raise SourceFormatError(
            "the rows are not hourly means", expected="hourly", found=interval, where=str(path)
        )
    return species


def _table(lines: list[str], n_header: int, species: str, path: Path) -> _Table:
    names = lines[n_header - 1].removeprefix("#").strip().split(";")
    if missing := [name for name in (*_REQUIRED, species) if name not in names]:
        raise SourceFormatError(
            f"columns are missing: {', '.join(missing)}",
            expected="; ".join((*_REQUIRED, species)),
            found="; ".join(names),
            where=f"{path}, line {n_header}",
            remedy="the layout changed; check the file with its source",
        )
    numbers = [i for i, line in enumerate(lines[n_header:], start=n_header + 1) if line.strip()]
    rows = [lines[i - 1].split(";") for i in numbers]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            raise common.broken_row(path, number, lines[number - 1], f"{len(names)} fields separated by ';'")
    if not rows:
        raise SourceFormatError("the file holds no row", expected=_EXPECTED, where=str(path))
    return _Table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), numbers, path)


def _height(table: _Table, context: ReadContext, path: Path) -> float:
    """The one sampling height, or the configured one of several."""
    heights = np.unique(table.numbers("SamplingHeight", _FILL))
    if context.inlet_m is not None and (heights == context.inlet_m).any():
        return context.inlet_m
    if heights.size != 1 or not np.isfinite(heights[0]):
        raise SourceFormatError(
            "the file does not hold the configured sampling height",
            expected="one height, or `inlet_m` among those of the file",
            found=", ".join(f"{h:g} m" for h in heights),
            where=str(path),
            remedy="set `inlet_m` of the source to one of them",
        )
    return float(heights[0])


def _columns(table: _Table, species: str, factor: float) -> ObservationColumns:
    value = table.numbers(species, _FILL) * factor
    flag = np.empty(len(table.lines), dtype="i1")
    for i, (letter, number) in enumerate(zip(table.columns["Flag"], table.lines, strict=True)):
        if letter not in _FLAGS:
            raise common.broken_row(table.path, number, letter, "a flag O, U, N or K")
        flag[i] = _FLAGS[letter]
    start = _times(table)
    return ObservationColumns(
        start=start,
        end=start + _HOUR,
        mole_fraction=value,
        flag=np.where(np.isnan(value), Flag.MISSING, flag),
        flag_reason=np.where(flag == Flag.BAD, Reason.SOURCE, Reason.NONE),
        uncertainty=table.numbers("LTR", _FILL) * factor,
        stdev=table.numbers("Stdev", _STDEV_FILL) * factor,
        count=np.nan_to_num(table.numbers("NbPoints", _FILL)),
    )


def _times(table: _Table) -> np.ndarray:
    parts = [table.columns[name] for name in ("Year", "Month", "Day", "Hour", "Minute")]
    texts = [f"{y:0>4}-{m:0>2}-{d:0>2}T{h:0>2}:{mi:0>2}:00" for y, m, d, h, mi in zip(*parts, strict=True)]
    return common.time_column(texts, table.path, table.lines)


def _file_site(header: dict[str, str], height: float, path: Path) -> common.FileSite:
    station = _entry(header, "STATION CODE", path).upper()
    lat = _coordinate(_entry(header, "LATITUDE", path), "NS", path)
    return common.FileSite(station, _coordinate(_entry(header, "LONGITUDE", path), "EW", path), lat, height)


def _coordinate(text: str, sides: str, path: Path) -> float:
    """Degrees from "56.0976 N" or "-2.5399 E"; the second side is negative."""
    match = re.fullmatch(rf"(-?\d+(?:\.\d+)?)\s*([{sides}])?", text)
    if match is None:
        raise SourceFormatError(
            "a coordinate cannot be read", expected="56.0976 N", found=text, where=str(path)
        )
    return float(match[1]) * (-1.0 if match[2] == sides[1] else 1.0)


def _product_level(header: dict[str, str], path: Path) -> str:
    stated = (
        f"{header.get('DATA PRODUCT TYPE', '')} {header.get('DATA VERSION', '')} {header.get('TITLE', '')}"
    )
    for level in ("NRT", "L2"):
        if re.search(rf"\b{level}\b", stated):
            return level
    raise SourceFormatError(
        "the product level is not stated", expected="L2 or NRT", found=stated, where=str(path)
    )


def _scale(
    header: dict[str, str], table: _Table, columns: ObservationColumns, species: str, notes: list[str]
) -> str:
    """The scale of the instruments that gave usable rows (of all in the file when none did)."""
    text = header.get("MEASUREMENT SCALE", "")
    by_id = {
        key.strip(): value for key, _, value in (part.partition(":") for part in text.split(";")) if value
    }
    used = {
        i for i, good in zip(table.columns["InstrumentId"], columns.flag == Flag.GOOD, strict=True) if good
    }
    used = used or set(table.columns["InstrumentId"])
    stated = {by_id.get(i, "") for i in used} if by_id else {text}
    scales = sorted({common.canonical_scale(scale, species) for scale in stated})
    if len(scales) > 1:
        notes.append(f"several calibration scales in one file: {text}")
    return " + ".join(scales)


def _note_length(header: dict[str, str], n_lines: int, notes: list[str]) -> None:
    announced = header.get("TOTAL LINES", "")
    if announced.isdigit() and int(announced) != n_lines:
        notes.append(f"{n_lines} lines where the header announces {announced}")


READER = Reader("icos-atc", "observations", read, "ICOS ATC Level 2 and near-real-time text files")
