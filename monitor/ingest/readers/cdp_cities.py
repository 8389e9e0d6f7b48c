"""CDP's open tables of city-wide emissions, 2016 to 2021: one line a city, several totals on it.

Traps:

- the columns change their names most years, and hold invisible characters; each name is listed below.
- from 2019 on direct emissions may stand in **two columns**, power supplied to the grid and all the rest,
  and the column of the whole scope is then empty (Paris): either alone is only a part.  Both are rows here,
  neither is marked as all sectors, and nothing is summed.
- the columns of BASIC and BASIC+ totals, and in 2020 and 2021 that of scope 3, name no unit; the
  questionnaire asks for metric tonnes of CO₂e throughout.  A file in which no column names one is refused.
- "CO2e" where the only gas listed is CO₂ is CO₂.  Whose warming potentials were used is not said.
- the totals of 2016 add scope 1 and 2, those of 2017 also waste treated outside where "Scopes Included"
  says BASIC; none of them is territorial.
- years are those of the accounts ("2013-07-01 - 2014-06-30"; in 2016 the last day of them), not of the
  questionnaire; "-" stands for none.  Population and area are of other years.
- the totals need not add up, and the figures of a city may change tenfold between years (Indianapolis).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from monitor.errors import UnitError
from monitor.ingest.readers import _table as table
from monitor.inventory import InventoryRow, Refused
from monitor.plugins import ReadContext, Reader

_EXPECTED = "a CDP table of city-wide emissions, 2016 to 2021"
_UNIT = "metric tonnes co2e"

#: Role → names of the column, in small letters.
_DESCRIPTIONS = {
    "code": ("account number",),
    "place": ("city", "city short name", "organization", "city name"),
    "organization": ("organization", "city name"),
    "country": ("country",),
    "reported": ("year reported to cdp", "reporting year"),
    "year": ("accounting year", "measurement year"),
    "boundary": ("boundary", "inventory boundary", "administrative city boundary"),
    "compared": ("inventory boundary (compared to administrative city boundary)",),
    "protocol": ("primary methodology", "protocol", "primary protocol"),
    "comment": ("methodology details", "protocol column", "primary protocol comment"),
    "gases": ("gases included",),
    "scopes": ("scopes included",),
    "population": ("current population", "population"),
    "area": ("land area (in square km)",),
}


@dataclass(frozen=True)
class _Total:
    """One of the totals of a line: its scope, the vocabulary code if it is one sector, and its parts."""

    role: str
    scope: str
    label: str
    names: tuple[str, ...]
    gpc: str = ""
    all_sectors: bool = True
    parts: tuple[str, ...] = ()


def _grid(words: str) -> tuple[str, ...]:
    grid = ("grid-supplied energy", "grid supplied energy")
    return tuple(f"{words} ({_UNIT}) for total generation of {g}" for g in grid)


def _rest(words: str) -> tuple[str, ...]:
    return (f"{words} ({_UNIT}) for total emissions (excluding generation of grid-supplied energy)",)


_DIRECT = ("direct emissions", "direct emissions/ scope 1")
_INDIRECT = "indirect emissions from use of grid supplied energy"
_OUTSIDE = "emissions occurring outside city boundary"
_PARTS = (
    _Total("direct grid", "1", "direct, power supplied to the grid",
           tuple(n for d in _DIRECT for n in _grid(d)), "I.4.4", all_sectors=False),
    _Total("direct rest", "1", "direct, without power supplied to the grid",
           tuple(n for d in _DIRECT for n in _rest(d)), all_sectors=False),
    _Total("indirect grid", "2", "grid energy, for making grid energy",
           _grid(_INDIRECT) + _grid(f"{_INDIRECT}/scope 2"), "I.4.2", all_sectors=False),
    _Total("indirect rest", "2", "grid energy, without making it",
           _rest(_INDIRECT) + _rest(f"{_INDIRECT}/scope 2"), all_sectors=False),
    _Total("outside grid", "3", "outside the city, for making grid energy",
           _grid(_OUTSIDE) + _grid(f"{_OUTSIDE}/ scope 3"), all_sectors=False),
    _Total("outside rest", "3", "outside the city, without making grid energy",
           _rest(_OUTSIDE) + _rest(f"{_OUTSIDE}/ scope 3"), all_sectors=False),
)  # fmt: skip
_SCOPES = (
    _Total("scope 1", "1", "total, scope 1", (f"total scope 1 emissions ({_UNIT})",),
           parts=("direct grid", "direct rest")),
    _Total("scope 2", "2", "total, scope 2", (f"total scope 2 emissions ({_UNIT})",),
           parts=("indirect grid", "indirect rest")),
    _Total("scope 3", "3", "total, scope 3",
           (f"total scope 3 emissions ({_UNIT})", "total scope 3 emissions"),
           parts=("outside grid", "outside rest")),
)  # fmt: skip
_ALL = tuple(one.role for one in (*_PARTS, *_SCOPES))
TOTALS = (
    *_PARTS,
    *_SCOPES,
    _Total("city", "1+2", "total as stated",
           (f"total city-wide emissions ({_UNIT})", f"total emissions ({_UNIT})"), parts=_ALL),
    _Total("basic", "basic", "total, BASIC", ("total basic emissions (gpc)",), parts=_ALL),
    _Total("basic+", "basic+", "total, BASIC+", ("total basic+ emissions (gpc)",), parts=(*_ALL, "basic")),
)  # fmt: skip
NO_INVENTORY = "the city reports no inventory"
CONFIDENTIAL = "not applicable"


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One year's table, one row for each total that a line states.

    Raises
    ------
    SourceFormatError
        For another table.
    UnitError
        When no column of emissions names its unit.
    """
    header, records, refused = table.read_records(path, _EXPECTED)
    columns = {role: table.find_column(header, *names) for role, names in _DESCRIPTIONS.items()}
    for role in ("code", "place", "year", "boundary", "gases"):
        columns[role] = table.require_column(header, path, _EXPECTED, *_DESCRIPTIONS[role])
    totals = {one: name for one in TOTALS if (name := table.find_column(header, *one.names)) is not None}
    _ensure_unit(header, totals, path)
    made = [*refused, *(one for record in records for one in _rows(record, columns, totals))]
    return table.finish(path, "CDP city-wide emissions", made)


def _ensure_unit(header: list[str], totals: dict[_Total, str], path: Path) -> None:
    if any(_UNIT in name.lower() for name in totals.values()):
        return
    raise UnitError(
        "the table states no unit",
        expected="columns of emissions in (metric tonnes CO2e)",
        found=", ".join(name for name in header if "emissions" in name.lower())[:400],
        where=str(path),
        remedy="take the table as CDP publishes it; if its columns changed, add their names to the reader",
    )


def _rows(
    record: table.Record, columns: dict[str, str | None], totals: dict[_Total, str]
) -> list[InventoryRow | Refused]:
    found, refused = _amounts(record, totals)
    if not found:
        stated = [record.text(columns[role]) for role in ("year", "protocol", "gases")]
        empty = not any(text not in ("", "-") for text in stated)
        return [*refused, Refused(record.line, NO_INVENTORY if empty else table.NO_AMOUNT)]
    dates = period(record.text(columns["year"]))
    if dates is None:
        return [Refused(record.line, table.NO_YEAR, record.text(columns["year"]))]
    basic = "BASIC" in record.text(columns["scopes"])
    common = _common(record, columns) | {"line": record.line, "start": dates[0], "end": dates[1]}
    if not common["place"]:
        return [Refused(record.line, table.NO_PLACE)]
    rows = [
        InventoryRow(
            **common,  # type: ignore[arg-type]
            year=_year(*dates),
            scope="basic" if basic and one.role == "city" else one.scope,
            sector=one.role,
            label=one.label,
            gpc=one.gpc,
            all_sectors=one.all_sectors,
            is_total=any(part in {other.role for other in found} for part in one.parts),
            value=value,
            column=totals[one],
        )
        for one, value in found.items()
    ]
    return [*rows, *refused]


def _amounts(record: table.Record, totals: dict[_Total, str]) -> tuple[dict[_Total, float], list[Refused]]:
    found, refused = {}, []
    for one, column in totals.items():
        text = record.text(column)
        if not text:
            continue
        try:
            found[one] = table.number(text)
        except ValueError:
            reason = CONFIDENTIAL if text.lower() == CONFIDENTIAL else table.NO_NUMBER
            refused.append(Refused(record.line, reason, text[:80], column))
    return found, refused


def _common(record: table.Record, columns: dict[str, str | None]) -> dict[str, object]:
    """What all rows of a line share."""
    gases = record.text(columns["gases"])
    boundary = [record.text(columns[role]) for role in ("boundary", "compared")]
    protocol = record.text(columns["protocol"])
    return {
        "place": record.text(columns["place"]) or record.text(columns["organization"]),
        "place_code": record.text(columns["code"]),
        "country": record.text(columns["country"]),
        "boundary": "; ".join(text for text in boundary if text not in ("", "0")),
        "protocol": protocol,
        "remark": record.text(columns["comment"]),
        "gases": gases,
        "gas": "co2" if gases.upper() == "CO2" else "co2e",
        "population": record.number(columns["population"]),
        "area_km2": record.number(columns["area"]),
    }


def period(text: str) -> tuple[str, str] | None:
    """Beginning and (exclusive) end of the accounts as ISO dates; `None` where there are none.

    "2013-07-01 - 2014-06-30", or the last day of a year alone ("12/31/2014 12:00:00 AM").
    """
    if match := re.fullmatch(r"(\d{4}-\d\d-\d\d) ?- ?(\d{4}-\d\d-\d\d)", text):
        first, last = match[1], match[2]
    elif match := re.match(r"(\d\d)/(\d\d)/(\d{4})\b", text):
        first, last = "", f"{match[3]}-{match[1]}-{match[2]}"
    else:
        return None
    try:
        end = np.datetime64(last, "D") + 1
        start = np.datetime64(first, "D") if first else _year_before(end)
    except ValueError:
        return None
    return (str(start), str(end)) if start < end else None


def _year_before(day: np.datetime64) -> np.datetime64:
    """The same day a year earlier; the first of March for the end of February."""
    year, rest = str(day)[:4], str(day)[4:]
    return np.datetime64(f"{int(year) - 1}{'-03-01' if rest == '-02-29' else rest}")


def _year(start: str, end: str) -> int:
    """The year in which the middle of the period lies."""
    first, last = np.datetime64(start, "D"), np.datetime64(end, "D")
    return int(str(first + (last - first) // 2)[:4])


READER = Reader("cdp-cities", "table", read, "CDP city-wide emissions 2016-2021, tonnes CO2e")
