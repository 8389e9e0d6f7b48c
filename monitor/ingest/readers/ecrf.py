"""CIRIS and eCRF workbooks: the common reporting form of a city, sheet ``eCRF_3``, one line an activity.

Layout: ``eCRF_1`` names the city, year, boundary, area, people and warming potentials, a label beside each
value; ``eCRF_3`` has one or two header rows, then a line for each GPC number and fuel.

Traps:

- one line holds several gases, and their sum: each gas is a row, the sum is marked as a total.
- amounts stand in tonnes of **CO₂e** for each gas, weighted by the potentials that ``eCRF_1`` names.
- ``CO2(b)`` is biogenic carbon dioxide, reported beside the sum and not in it.
- a notation key (IE, NE, NO, C) stands in a column of its own, in place of the amounts.
- some forms have no GPC number: it follows from sector, sub-sector and scope, or the line is refused.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from monitor import sectors, units
from monitor.errors import InputError, SourceFormatError, UnitError
from monitor.ingest.readers import _table as table
from monitor.ingest.readers.c40_workbook import gpc_sector
from monitor.inventory import InventoryRow, Refused
from monitor.plugins import ReadContext, Reader

_EXPECTED = "a CIRIS or eCRF workbook with the sheets eCRF_1 and eCRF_3"
_GAS = re.compile(r"GHGs?(?: emissions)?(?: \((?P<unit>[^)]*)\))? - (?P<gas>.+)", re.IGNORECASE)
#: Name of a gas column → (gas, biogenic, sum of the others).
_GASES = {
    "co2": ("co2", False, False),
    "ch4": ("ch4", False, False),
    "n2o": ("n2o", False, False),
    **dict.fromkeys(("hfc", "hfcs", "pfc", "pfcs", "sf6", "nf3"), ("co2e", False, False)),
    "total co2e": ("co2e", False, True),
    "co2(b)": ("co2", True, False),
}
#: Words of a sub-sector → the number of GPC without its scope.
_SUBSECTORS = {
    "residential": "I.1", "commercial": "I.2", "institutional": "I.2", "manufacturing": "I.3",
    "industrial building": "I.3", "energy industries": "I.4", "energy generation": "I.4.4",
    "agriculture, forestry": "I.5", "non-specified": "I.6", "coal": "I.7", "oil and natural gas": "I.8",
    "on-road": "II.1", "rail": "II.2", "waterborne": "II.3", "aviation": "II.4", "off-road": "II.5",
    "solid waste": "III.1", "biological": "III.2", "incinerat": "III.3", "wastewater": "III.4",
    "industrial process": "IV.1", "product use": "IV.2", "livestock": "V.1", "land use": "V.2",
    "aggregate": "V.3",
}  # fmt: skip
_SCOPES = {"1": 1, "direct": 1, "2": 2, "indirect": 2, "3": 3, "other": 3, "outside": 3}
OTHER_SCOPE = "a scope that contradicts the GPC number"
_GWP = {"AR4": r"AR ?4|4AR|fourth", "AR5": r"AR ?5|5AR|fifth", "AR6": r"AR ?6|6AR|sixth"}


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """The form as a table, one row for each gas of a line.

    Raises
    ------
    SourceFormatError
        For another workbook, or one that names no city.
    UnitError
        When the columns of gases state no unit, or one that we do not know.
    """
    sheet = table.read_sheet(path, "eCRF_3", _EXPECTED)
    header_row, header = _header(sheet, path)
    columns = {
        "ref": table.find_column(header, "gpc ref. no.", "gpc ref no", "gpc ref", "gpc reference number"),
        "sector": table.require_column(header, path, _EXPECTED, "crf - sector", "sector"),
        "subsector": table.require_column(header, path, _EXPECTED, "crf - sub-sector", "sub-sector"),
        "scope": table.require_column(header, path, _EXPECTED, "scope"),
        "fuel": table.find_column(header, "fuel type or activity", "activity"),
        "key": table.require_column(header, path, _EXPECTED, "notation key"),
        "year": table.find_column(header, "inventory year"),
        "note": table.find_column(header, "explanation", "comments"),
    }
    gases = _gas_columns(header, path)
    about = _about(path)
    records, refused = table.sheet_records(sheet, header_row, header)
    made = [*refused, *(one for record in records for one in _rows(record, columns, gases, about))]
    return table.finish(path, f"eCRF of {about['place']}", made)


def _header(sheet: list[tuple[object, ...]], path: Path) -> tuple[int, list[str]]:
    """The last header row (from 1), and the columns; a second row names the gases below their group."""
    for at, row in enumerate(sheet[:20], start=1):
        names = [table.clean(str(cell)) if cell is not None else "" for cell in row]
        if not any(name.lower().startswith(("gpc ref", "crf - sector")) for name in names):
            continue
        below = sheet[at] if at < len(sheet) else ()
        under = [table.clean(str(cell)) if cell is not None else "" for cell in below]
        if not {name.lower() for name in under} & set(_GASES):
            return at, names
        joined, group = [], ""
        for name, sub in zip(names, [*under, *[""] * len(names)], strict=False):
            group = name or group
            joined.append(f"{group} - {sub}" if sub else name)
        return at + 1, joined
    raise SourceFormatError(
        "the sheet has no header row",
        expected=_EXPECTED,
        found="no cell 'GPC ref. no.'",
        where=f"{path}, eCRF_3",
    )


def _gas_columns(header: list[str], path: Path) -> dict[str, tuple[str, bool, bool, float, str]]:
    """Column → gas, biogenic, sum of others, factor to tonnes, and our unit."""
    found = {}
    for column in header:
        match = _GAS.fullmatch(column)
        if match is None or match["gas"].lower() not in _GASES:
            continue
        gas, biogenic, is_sum = _GASES[match["gas"].lower()]
        factor, of = units.table_unit(match["unit"] or "", where=f"{path}, column '{column}'")
        if of not in (None, "co2e", gas):
            raise UnitError("the unit is of another gas", expected=gas, found=column, where=str(path))
        weighted = of == "co2e" and gas != "co2"
        found[column] = (gas, biogenic, is_sum, factor, units.level_unit("co2e" if weighted else gas))
    if not found:
        table.require_column(header, path, _EXPECTED, "ghgs (metric tonnes co2e) - total co2e")
    return found


def _about(path: Path) -> dict[str, object]:
    """What eCRF_1 says of the city; the label stands to the left of its value."""
    sheet = table.read_sheet(path, "eCRF_1", _EXPECTED)
    said: dict[str, str] = {}
    for row in sheet:
        cells = [table.clean(str(cell)) for cell in row if cell is not None]
        for label, value in pairwise(cells):
            said.setdefault(label.lower().rstrip(":"), value)
    record = table.Record(1, said)
    place = record.text("name of city")
    if not place:
        raise SourceFormatError(
            "the form names no city", expected="'Name of city' and a value", where=f"{path}, eCRF_1"
        )
    potentials = record.text("gwp")
    return {
        "place": place,
        "country": record.text("country"),
        "boundary": record.text("geographic boundary"),
        "area_km2": record.number("land area (km2)"),
        "population": record.number("resident population"),
        "gwp": next(
            (g for g, words in _GWP.items() if re.search(words, potentials, re.IGNORECASE)), "unknown"
        ),
        "protocol": "GPC",
        "year": record.text("inventory year"),
    }


def _rows(
    record: table.Record,
    columns: dict[str, str | None],
    gases: dict[str, tuple[str, bool, bool, float, str]],
    about: dict[str, object],
) -> list[InventoryRow | Refused]:
    year = record.text(columns["year"]) or str(about["year"])
    if not table.is_year(year):
        return [Refused(record.line, table.NO_YEAR, year)]
    sector = _sector(record, columns)
    if sector is None:
        named = f"{record.text(columns['sector'])}, {record.text(columns['subsector'])}"
        return [Refused(record.line, table.NO_SECTOR, named)]
    stated = _scope(record, columns)
    if stated and str(stated) != sector["scope"]:
        return [Refused(record.line, OTHER_SCOPE, f"{sector['sector']} is scope {sector['scope']}")]
    fuel, note = record.text(columns["fuel"]), record.text(columns["note"])
    label = f"{sector['label']}, {fuel}" if fuel else sector["label"]
    common = {**about, **sector, "label": label, "year": int(year), "line": record.line, "remark": note}
    rows: list[InventoryRow] = []
    refused: list[Refused] = []
    for column, (gas, biogenic, is_sum, factor, unit) in gases.items():
        try:
            found = table.amount(record.cells.get(column))
        except ValueError as error:
            refused.append(Refused(record.line, table.NO_NUMBER, str(error), column))
            continue
        if found is not None:
            of_gas = {"gas": gas, "unit": unit, "biogenic": biogenic or common["biogenic"], "column": column}
            amount = {"value": factor * found[0], "notation": found[1], "is_total": is_sum and bool(rows)}
            rows.append(InventoryRow(**{**common, **of_gas, **amount}))  # type: ignore[arg-type]
    if not rows and not refused:
        return [_keyed(record, columns["key"], common)]
    return table.or_nothing([*rows, *refused], record)


def _keyed(record: table.Record, column: str | None, common: dict[str, object]) -> InventoryRow | Refused:
    """The row of a notation key that stands in place of all amounts."""
    try:
        found = table.amount(record.text(column))
    except ValueError:
        found = None
    if found is None or not found[1]:
        return Refused(record.line, table.NO_AMOUNT, record.text(column))
    keyed = {"gas": "co2e", "value": np.nan, "notation": found[1], "column": column}
    return InventoryRow(**{**common, **keyed})  # type: ignore[arg-type]


def _scope(record: table.Record, columns: dict[str, str | None]) -> int:
    """The scope as stated, in a number or in words; 0 where it is not."""
    stated = record.text(columns["scope"]).lower().removeprefix("scope ")
    return next((number for word, number in _SCOPES.items() if stated.startswith(word)), 0)


def _sector(record: table.Record, columns: dict[str, str | None]) -> dict[str, object] | None:
    """Sector fields from the GPC number, else from the words for sector, sub-sector and scope."""
    code = record.text(columns["ref"])
    if not code:
        words = record.text(columns["subsector"]).lower()
        stem = next((stem for word, stem in _SUBSECTORS.items() if word in words), "")
        scope = _scope(record, columns)
        within = (c for c in sectors.codes("gpc") if stem and (c == stem or c.startswith(f"{stem}.")))
        # the first of a scope is the waste or energy of the city itself: III.1.1 before III.1.3
        code = next((c for c in sorted(within) if sectors.gpc_scope(c) == scope), "")
    try:
        return gpc_sector(code)
    except InputError:
        return None


READER = Reader("ecrf", "table", read, "CIRIS and eCRF workbooks, tonnes CO2e")
