"""The tidy table made from C40's workbook (``clean_c40.csv``): one line an emission and *variable*.

Traps:

- each emission stands on three lines, once with the population, once with the area, once with the GDP beside
  it: a plain sum is three times too large.  The first is read, the others are refused as repeats.
- amounts are in the unit of the line (kg); the workbook has tonnes.
- zeros, negative amounts and notation keys of the workbook are gone, so that "not estimated" and "not
  occurring" cannot be told apart any more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from monitor import units
from monitor.errors import InputError, UnitError
from monitor.ingest.readers import _table as table
from monitor.ingest.readers.c40_workbook import gpc_sector
from monitor.inventory import InventoryRow, Refused
from monitor.plugins import ReadContext, Reader

_EXPECTED = "the tidy C40 table (City, Boundary, Year_calendar, gpc_refno, emissions, units, gas, …)"
_KEY = ("City", "Country", "Boundary", "Year_calendar", "gpc_refno", "gas")
REPEAT = "repeats an emission beside another variable"
CONTRADICTION = "contradicts the line it repeats"


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """The table, one row an emission.

    Raises
    ------
    SourceFormatError
        For another table.
    UnitError
        When no line states a unit that we know, or there is no column of units.
    """
    header, records, refused = table.read_records(path, _EXPECTED)
    needed = (*_KEY, "emissions", "Variable_name", "Variable_value")
    table.require_columns(header, path, _EXPECTED, *map(str.lower, needed))
    table.ensure_units(records, "units", path)
    first: dict[tuple[str, ...], table.Record] = {}
    beside: dict[tuple[str, ...], dict[str, float]] = {}
    for record in records:
        key = tuple(record.text(name) for name in _KEY)
        beside.setdefault(key, {}).setdefault(record.text("Variable_name"), record.number("Variable_value"))
        known = first.setdefault(key, record)
        if known is not record:
            same = (known.text("emissions"), known.text("units")) == (
                record.text("emissions"),
                record.text("units"),
            )
            refused.append(Refused(record.line, REPEAT if same else CONTRADICTION, f"line {known.line}"))
    made = [_row(record, beside[key]) for key, record in first.items()]
    return table.finish(path, "C40 city inventories, tidy", [*refused, *made])


def _row(record: table.Record, beside: dict[str, float]) -> InventoryRow | Refused:
    code = record.text("gpc_refno")
    try:
        factor, gas = units.table_unit(record.text("units"))
        sector = gpc_sector(code)
        found = table.amount(record.cells["emissions"])
    except UnitError:
        return Refused(record.line, table.NO_UNIT, record.text("units"))
    except InputError:
        return Refused(record.line, table.NO_SECTOR, code)
    except ValueError as error:
        return Refused(record.line, table.NO_NUMBER, str(error))
    stated = record.text("gas").lower()
    if not table.is_year(record.text("Year_calendar")):
        return Refused(record.line, table.NO_YEAR, record.text("Year_calendar"))
    if found is None or not record.text("City"):
        return Refused(record.line, table.NO_AMOUNT if found is None else table.NO_PLACE)
    if stated not in ("co2", "ch4", "n2o", "co2e") or gas not in (None, stated):
        return Refused(record.line, "an unknown gas", record.text("gas"))
    return InventoryRow(
        place=record.text("City"),
        country=record.text("Country"),
        boundary=record.text("Boundary"),
        year=int(record.text("Year_calendar")),
        gas=stated,
        value=found[0] * factor,
        notation=found[1],
        remark=found[2],
        area_km2=beside.get("Area", np.nan),
        population=beside.get("Population", np.nan),
        line=record.line,
        column="emissions",
        protocol="GPC",
        **sector,  # type: ignore[arg-type]
    )


READER = Reader("c40-tidy", "table", read, "Tidy table of C40's GPC inventories, kg CO2e")
