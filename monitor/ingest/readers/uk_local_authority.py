"""Carbon dioxide of the United Kingdom's local authorities (``local_authority_emissions.csv``): wide, kt CO₂.

Traps:

- the unit stands behind the name of each column, ``Domestic Gas:kt CO2``; people are in thousands.
- emissions are counted at the user of the power: the columns of electricity are scope 2, not of the place.
- there is no column for motorways, railways and land: the table is the part "within the scope of influence
  of local authorities", so that no sum of it is a territorial total; "Total Emissions" adds scope 1 and 2.
- 21 counties and 12 combined authorities contain districts that have lines of their own: 361 of the 394
  places are disjoint and make the United Kingdom, the others are marked as totals.
- what is per person or per km² is left out.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from monitor import units
from monitor.errors import UnitError
from monitor.ingest.readers import _table as table
from monitor.inventory import InventoryRow, Refused
from monitor.plugins import ReadContext, Reader

_EXPECTED = "the table of local authority CO2 emissions (Year, local-authority-code, official-name, …:kt CO2)"

#: Column without its unit → (scope, GPC codes); totals have no code.
SECTORS: dict[str, tuple[str, str]] = {
    "Industry Electricity": ("2", "I.3.2"),
    "Industry Gas": ("1", "I.3.1"),
    "Large Industrial Installations": ("1", "I.3.1 IV.1"),
    "Industrial Other Fuels": ("1", "I.3.1"),
    "Industry Total": ("1+2", ""),
    "Commercial Electricity": ("2", "I.2.2"),
    "Commercial Gas": ("1", "I.2.1"),
    "Commercial Other Fuels": ("1", "I.2.1"),
    "Commercial Total": ("1+2", ""),
    "Public Sector Electricity": ("2", "I.2.2"),
    "Public Sector Gas": ("1", "I.2.1"),
    "Public Sector Other Fuels": ("1", "I.2.1"),
    "Public Sector Total": ("1+2", ""),
    "Domestic Electricity": ("2", "I.1.2"),
    "Domestic Gas": ("1", "I.1.1"),
    "Domestic Other Fuels": ("1", "I.1.1"),
    "Domestic Total": ("1+2", ""),
    "Road Transport (A roads)": ("1", "II.1.1"),
    "Road Transport (Minor roads)": ("1", "II.1.1"),
    "Transport Other": ("1", "II.3.1 II.5.1"),
    "Transport Total": ("1", ""),
    "Agriculture Electricity": ("2", "I.5.2"),
    "Agriculture": ("1", "I.5.1"),
    "Agriculture 'Other'": ("1", "I.5.1 V.3"),
    "Agriculture Total": ("1+2", ""),
    "Waste Management Other": ("1", "III.3.1"),
    "Waste Management Total": ("1", ""),
    "Total Emissions": ("1+2", ""),
}
#: Counties and combined authorities, which contain other places of the table.
CONTAINERS = frozenset(
    (
        *("CAM", "DBY", "DEV", "ESS", "ESX", "GLS", "HAM", "HRT", "KEN", "LAN", "LEC", "LIN", "NFK", "NTT"),
        *("OXF", "SFK", "SRY", "STS", "WAR", "WOR", "WSX"),
        *("CPCA", "GLA", "GMCA", "LCR", "NECA", "NTCA", "SCR", "TVCA", "WECA", "WMCA", "WYCA", "YNYC"),
    )
)


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """The table, one row for each cell of emissions.

    Raises
    ------
    SourceFormatError
        For another table, or when a column is missing.
    UnitError
        When a column of emissions states no unit, or one that we do not know.
    """
    header, records, refused = table.read_records(path, _EXPECTED)
    code, name = "local-authority-code", "official-name"
    table.require_columns(header, path, _EXPECTED, "year", code, name)
    factors = _factors(header, path)
    people, area = (table.find_column(header, c) for c in ("population:000s", "area:km2"))
    made: list[InventoryRow | Refused] = [*refused]
    for record in records:
        if not table.is_year(record.text("Year")):
            made.append(Refused(record.line, table.NO_YEAR, record.text("Year")))
            continue
        contains = record.text(code) in CONTAINERS
        common: dict[str, object] = {
            "place": record.text(name),
            "place_code": record.text(code),
            "country": "United Kingdom",
            "boundary": "county or combined authority, contains districts" if contains else "local authority",
            "protocol": "UK local authority emissions, within the scope of influence, by user",
            "gases": "CO2",
            "population": 1e3 * record.number(people),
            "area_km2": record.number(area),
            "year": int(record.text("Year")),
            "line": record.line,
        }
        made += _rows(record, common, factors, contains)
    return table.finish(path, "UK local authority emissions", made, ["per person and per km² left out"])


def _factors(header: list[str], path: Path) -> dict[str, tuple[str, float, str]]:
    """Sector → its column, the factor to tonnes, and the gas."""
    found: dict[str, tuple[str, float, str]] = {}
    for column in header:
        name, _, unit = column.partition(":")
        if name in SECTORS:
            factor, gas = units.table_unit(unit, where=f"{path}, column '{column}'")
            if gas is None:
                raise UnitError("the unit names no gas", expected="kt CO2", found=unit, where=str(path))
            found[name] = (column, factor, gas)
    missing = [name for name in SECTORS if name not in found]
    if missing:
        table.require_column(header, path, _EXPECTED, missing[0])
    return found


def _rows(
    record: table.Record,
    common: dict[str, object],
    factors: dict[str, tuple[str, float, str]],
    contains: bool,
) -> list[InventoryRow | Refused]:
    made: list[InventoryRow | Refused] = []
    for name, (column, factor, gas) in factors.items():
        scope, codes = SECTORS[name]
        try:
            found = table.amount(record.cells[column])
        except ValueError as error:
            made.append(Refused(record.line, table.NO_NUMBER, str(error), column))
            continue
        if found is None:
            continue
        made.append(
            InventoryRow(
                **common,  # type: ignore[arg-type]
                scope=scope,
                sector=name,
                label=name,
                gpc=codes,
                is_total=contains or not codes,
                gas=gas,
                value=factor * found[0],
                notation=found[1],
                column=column,
            )
        )
    return table.or_nothing(made, record)


READER = Reader("uk-local-authority", "table", read, "UK local authority CO2 emissions, kt CO2")
