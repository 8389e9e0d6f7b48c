"""Carbon Monitor Cities, yearly sums as a table: one line a city, sector and year, kg CO₂.

Traps:

- the GPC numbers in the file are narrower than the sectors: "Residential" holds offices and shops too,
  "Industry" is fuel as well as processes, "Power" is what is supplied to the grid (I.4.4) and not the
  plants' own use that the number I.4.1 stands for (Huo et al. 2022, Sci. Data 9, 533).  The numbers are
  kept as given, and our codes say what the sectors hold.
- a name can be two cities (Linares in Chile and in Spain): the UN/LOCODE tells them apart.
- neither area nor people are given; the boundaries are functional urban areas.
- fossil CO₂ and cement only; the values are modelled from activity, not reported by the cities.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from monitor import units
from monitor.errors import UnitError
from monitor.ingest.readers import _table as table
from monitor.inventory import InventoryRow, Refused
from monitor.plugins import ReadContext, Reader

_EXPECTED = "Carbon Monitor Cities as a table (city_name, locode, year, sector, gas_name, emissions_value, …)"
#: The columns that tell lines apart.
_KEY = ("locode", "city_name", "year", "sector", "gas_name")
#: What each sector holds, in GPC's terms.
SECTORS = {
    "Residential": "I.1.1 I.2.1",
    "Power": "I.4.4",
    "Ground Transport": "II.1.1 II.2.1",
    "Aviation": "II.4.1",
    "Industry": "I.3.1 IV.1",
}
TWICE = "the same city, year and sector twice"


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """The table, one row a line.

    Raises
    ------
    SourceFormatError
        For another table.
    UnitError
        When no line states a unit that we know, or there is no column of units.
    """
    header, records, refused = table.read_records(path, _EXPECTED)
    table.require_columns(header, path, _EXPECTED, *_KEY, "emissions_value")
    table.ensure_units(records, "emissions_units", path)
    made: list[InventoryRow | Refused] = [*refused]
    seen: dict[tuple[str, ...], int] = {}
    for record in records:
        first = seen.setdefault(tuple(map(record.text, _KEY)), record.line)
        made.append(_row(record) if first == record.line else Refused(record.line, TWICE, f"line {first}"))
    return table.finish(path, "Carbon Monitor Cities", made)


def _row(record: table.Record) -> InventoryRow | Refused:
    sector = record.text("sector")
    if sector not in SECTORS:
        return Refused(record.line, table.NO_SECTOR, sector)
    if not table.is_year(record.text("year")):
        return Refused(record.line, table.NO_YEAR, record.text("year"))
    try:
        factor, gas = units.table_unit(record.text("emissions_units"))
        found = table.amount(record.cells["emissions_value"])
    except UnitError:
        return Refused(record.line, table.NO_UNIT, record.text("emissions_units"))
    except ValueError as error:
        return Refused(record.line, table.NO_NUMBER, str(error))
    if record.text("gas_name") != "CO2" or gas not in (None, "co2"):
        return Refused(record.line, "another gas than CO2", record.text("gas_name"))
    if found is None or not record.text("city_name"):
        return Refused(record.line, table.NO_AMOUNT if found is None else table.NO_PLACE)
    return InventoryRow(
        place=record.text("city_name"),
        place_code=record.text("locode"),
        boundary="functional urban area",
        protocol="Carbon Monitor Cities",
        gases="CO2",
        year=int(record.text("year")),
        scope="1",
        sector=record.text("GPC_refno") or sector,
        label=sector,
        gpc=SECTORS[sector],
        gas="co2",
        value=factor * found[0],
        notation=found[1],
        line=record.line,
        column="emissions_value",
    )


READER = Reader("carbon-monitor-cities", "table", read, "Carbon Monitor Cities, yearly, kg CO2")
