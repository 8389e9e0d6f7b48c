"""GCWERKS ``.dat``: in-situ analysers (Picarro CRDS) on tall towers, one file per inlet.

Layout: a "Created:" line, two header rows (gas above, field below), then white-space separated
``date(yymmdd) time(HHMMSS) type port`` followed by ``C stdev N`` for each gas.

Traps:

- the file states no unit, scale, inlet or station.  Units are a convention of the format (CO₂ in ppm,
  CH₄ and CO in ppb); the rest must come from the configuration.
- leading zeros of date and time may be lost: "73015" is 07:30:15.
- the label is the **middle** of a one-inlet segment.  "Hourly" files of a tower that rotates its inlets
  hold segments of 17–18 minutes, one an hour or one in 80 minutes, so an hour can have none or two.
  We write bounds of label ± 9 min for those (label ± half the row spacing in files with rows closer
  than 18 min, such as the 1-minute ones): the midpoint of the bounds is the label, and it decides
  to which hour a row belongs.
- ``nan`` is missing; types other than ``air`` (std, tank, cal) are kept and flagged bad.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import Flag, ObservationColumns, Reason
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.plugins import ReadContext, Reader

#: Units of the format by convention.
CONVENTIONAL_UNITS = {"co2": "ppm", "ch4": "ppb", "co": "ppb"}
#: Length of a one-inlet segment in "hourly" files [s].
SEGMENT_S = 18 * 60

_EXPECTED = "a GCWERKS .dat file ('Created:' line, two header rows, white-space columns)"
_LEADING = ["date", "time", "type", "port"]


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One gas of a GCWERKS file as observations.

    Raises
    ------
    ConfigError
        When the configuration does not name species, station, inlet height and scale.
    SourceFormatError
        For another format, a missing column, or a broken row (with its line number).
    """
    species = common.require_species(context, path)
    station, height = common.require_station(context, path), common.require_height(context, path)
    scale = common.require_scale(context, path)
    lines = common.read_text_lines(path, _EXPECTED)
    where, n_fields = _layout(lines, species, path)
    rows, numbers = _rows(lines, n_fields, path)

    def column(field: str) -> np.ndarray:
        at = where[field]
        return common.float_column([row[at] for row in rows], f"{species} {field}", path, numbers)

    factor = units.mole_fraction_factor(CONVENTIONAL_UNITS[species])
    value = column("C") * factor
    air = np.array([row[2] == "air" for row in rows])
    flag = np.where(np.isnan(value), Flag.MISSING, np.where(air, Flag.NOT_EVALUATED, Flag.BAD))
    half = _segment(label := _labels(rows, numbers, path)) // 2
    columns = ObservationColumns(
        start=label - half,
        end=label + half,
        mole_fraction=value,
        flag=flag,
        flag_reason=np.where(air, Reason.NONE, Reason.SOURCE),
        stdev=column("stdev") * factor,
        count=np.nan_to_num(column("N")),
    )
    site = common.Site(station.id, station.lon_deg, station.lat_deg, height)
    attributes = site.attributes() | {
        "species": species,
        "calibration_scale": common.canonical_scale(scale, species),
        "source_digest": common.file_digest(path),
        "source_created": lines[0].removeprefix("Created:").strip(),
        "time_label_in_source": "middle of a one-inlet segment",
    }
    return common.finish_observations(columns, attributes, [])


def _layout(lines: list[str], species: str, path: Path) -> tuple[dict[str, int], int]:
    """Positions of the columns C, stdev and N of `species`, and the number of columns."""
    if len(lines) < 4 or not lines[0].startswith("Created:"):
        raise SourceFormatError(
            "the file does not start like a GCWERKS file",
            expected=_EXPECTED,
            found=repr(lines[0][:80]) if lines else "nothing",
            where=f"{path}, line 1",
            remedy="check `reader` and `pattern` of the source",
        )
    gases, fields = lines[1].split(), lines[2].split()
    if fields[:4] != _LEADING or len(gases) != len(fields):
        raise SourceFormatError(
            "the header rows are not as expected",
            expected=" ".join(_LEADING) + " and one gas above each further field",
            found=" ".join(fields),
            where=f"{path}, lines 2 and 3",
        )
    if species not in CONVENTIONAL_UNITS:
        raise SourceFormatError(
            f"the unit of '{species}' in GCWERKS files is not known",
            expected=", ".join(CONVENTIONAL_UNITS),
            found=species,
            where=str(path),
        )
    where = {field: i for i, (gas, field) in enumerate(zip(gases, fields, strict=True)) if gas == species}
    if missing := {"C", "stdev", "N"} - set(where):
        raise SourceFormatError(
            f"columns of {species} are missing: {', '.join(sorted(missing))}",
            expected=f"C, stdev and N under {species}",
            found=", ".join(f"{g} {f}" for g, f in zip(gases[4:], fields[4:], strict=True)),
            where=f"{path}, lines 2 and 3",
            remedy="check `species` of the source, or that the file's layout did not change",
        )
    return where, len(fields)


def _rows(lines: list[str], n_fields: int, path: Path) -> tuple[list[list[str]], list[int]]:
    """The fields of each row, and the line each stands in (from 1)."""
    numbers = [i for i, line in enumerate(lines[3:], start=4) if line.strip()]
    rows = [lines[i - 1].split() for i in numbers]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != n_fields:
            raise common.broken_row(path, number, lines[number - 1], f"{n_fields} fields")
    if not rows:
        raise SourceFormatError("the file holds no row", expected=_EXPECTED, where=str(path))
    return rows, numbers


def _labels(rows: list[list[str]], numbers: list[int], path: Path) -> np.ndarray:
    """The labels (n,) datetime64[ns]; years 70–99 are 19xx."""
    texts = []
    for row, number in zip(rows, numbers, strict=True):
        day, clock = row[0].zfill(6), row[1].zfill(6)
        if not re.fullmatch(r"[0-9]{12}", day + clock):
            raise common.broken_row(path, number, " ".join(row), "date yymmdd and time HHMMSS")
        century = "19" if day >= "70" else "20"
        texts.append(f"{century}{day[:2]}-{day[2:4]}-{day[4:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}")
    return common.time_column(texts, path, numbers)


def _segment(label: np.ndarray) -> np.timedelta64:
    """Length of the interval a row stands for: the median row spacing, at most `SEGMENT_S`."""
    spacing = np.diff(np.unique(label))
    seconds = int(np.median(spacing.astype("i8")) / 1e9) if spacing.size else SEGMENT_S
    return np.timedelta64(min(seconds, SEGMENT_S) * 10**9, "ns")


READER = Reader("gcwerks", "observations", read, "GCWERKS .dat of in-situ analysers")
