"""C40's workbook of city inventories (``C40_GPC_Database.xlsx``): one line a city and year, wide.

Traps:

- the sheet names no unit; by C40's convention all amounts are **tonnes of CO₂e** (the same numbers stand in
  kg in the tidy table made from it).  Whose warming potentials were used is not said.
- behind the 54 columns of GPC stand a hundred that sum them: of these the four whole totals are read and
  marked as such, the others are left out; so are the credits, which are no emissions.
- cells hold notation keys, also "NO; IE" and "IE (I.1.1)"; they are kept, not read as zero.
- lines at the end hold formulas and nothing else.
- the year may be one of accounts ("July 2018 - June 2019"): the period is then as written.
- only the territorial total leaves out what is emitted elsewhere; BASIC counts grid power at its user. All
  but BASIC hold land use (V.2) where it is estimated, and are marked biogenic then.
"""

from __future__ import annotations

import re
from pathlib import Path

import xarray as xr

from monitor import sectors
from monitor.ingest.readers import _table as table
from monitor.inventory import InventoryRow, Refused
from monitor.plugins import ReadContext, Reader

SHEET = "GHG Dashboard Data - Inventory"
_EXPECTED = f"C40's workbook of inventories, sheet '{SHEET}'"
#: Column → scope of the totals that are read.
TOTALS = {"BASIC": "basic", "BASIC+": "basic+", "BASIC+S3": "basic+s3", "Territorial": "1"}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """The workbook as a table; one row for each filled cell.

    Raises
    ------
    SourceFormatError
        For another workbook, or one whose columns changed.
    """
    sheet = table.read_sheet(path, SHEET, _EXPECTED)
    header = [table.clean(str(name)) if name is not None else "" for name in sheet[0]]
    # the second "City_year" and the derived columns repeat others
    header = ["" if name in header[:i] else name for i, name in enumerate(header)]
    for name in ("City", "Year_calendar", "Boundary", "Population", "Area", *sectors.codes("gpc"), *TOTALS):
        table.require_column(header, path, _EXPECTED, name.lower())
    records, refused = table.sheet_records(sheet, 1, header)
    made = [*refused, *(one for record in records for one in _rows(record))]
    return table.finish(path, "C40 city inventories", made, ["derived columns and credits left out"])


def _rows(record: table.Record) -> list[InventoryRow | Refused]:
    if not record.text("City"):
        return [Refused(record.line, table.EMPTY if not record.text("Year_calendar") else table.NO_PLACE)]
    if not table.is_year(record.text("Year_calendar")):
        return [Refused(record.line, table.NO_YEAR, record.text("Year_calendar"))]
    start, end = period(record.text("Year"))
    common = {
        "place": record.text("City"),
        "country": record.text("Country"),
        "boundary": record.text("Boundary"),
        "protocol": f"GPC {record.text('Level')}".strip(),
        "area_km2": record.number("Area"),
        "population": record.number("Population"),
        "year": int(record.text("Year_calendar")),
        "start": start,
        "end": end,
        "line": record.line,
        "gas": "co2e",
    }
    made: list[InventoryRow | Refused] = []
    land = isinstance(record.cells.get("V.2"), int | float)
    for column in (*sectors.codes("gpc"), *TOTALS):
        try:
            found = table.amount(record.cells.get(column))
        except ValueError as error:
            made.append(Refused(record.line, table.NO_NUMBER, str(error), column))
            continue
        if found is not None:
            sector = _sector(column)
            sector |= {"biogenic": land and column != "BASIC"} if column in TOTALS else {}
            made.append(InventoryRow(**common, **sector, **_amount(found), column=column))  # type: ignore[arg-type]
    return table.or_nothing(made, record)


def _amount(found: tuple[float, str, str]) -> dict[str, object]:
    return {"value": found[0], "notation": found[1], "remark": found[2]}


def _sector(column: str) -> dict[str, object]:
    if column in TOTALS:
        labels = {"sector": column, "label": f"total, {column}", "scope": TOTALS[column]}
        return {**labels, "all_sectors": True, "is_total": True}
    return gpc_sector(column)


def gpc_sector(code: str) -> dict[str, object]:
    """Sector fields of a row about one GPC reference number."""
    return {
        "sector": code,
        "label": sectors.gpc_label(code),
        "gpc": code,
        "scope": str(sectors.gpc_scope(code)),
        "biogenic": code == "V.2",
    }


def period(text: str) -> tuple[str, str]:
    """Beginning and end of "July 2018 - June 2019" or "2019-2020" as ISO dates; empty for a calendar year.

    A period named by years alone is one of accounts from July to June (Sydney's); one from April to
    April is twelve months from the first.
    """
    years = re.findall(r"(?:19|20)\d\d", text)
    months = [_MONTHS.index(m.lower()) + 1 for m in re.findall(rf"(?i)\b({'|'.join(_MONTHS)})[a-z]*", text)]
    if len(years) != 2 or not (years[0] != years[1] or months):
        return "", ""
    first = months[0] if months else 7
    return f"{years[0]}-{first:02d}-01", f"{int(years[0]) + 1}-{first:02d}-01"


READER = Reader("c40-workbook", "table", read, "C40's workbook of GPC inventories, tonnes CO2e")
