"""City tables in the ledgers: the rows of a place, each compared with the air or refused with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from monitor.compare import reconcile as ledger
from monitor.compare.adjustments import adjustments_of
from monitor.compare.tables import Question, RowOutcome, hold_table
from monitor.compare.verdict import NOT_COMPARABLE
from monitor.config import TableSection
from monitor.domain import Interval
from monitor.errors import ConfigError, MissingInputError
from monitor.plugins import ReadContext, get_reader
from monitor.service.analysis import Solved
from monitor.service.claims import flat
from monitor.service.ledger_rows import Cell, compared, estimand_of, flat_total, quantity_of, terms_of


@dataclass(frozen=True, eq=False)
class Table:
    """A table of the city file with the rows of its place."""

    section: TableSection
    rows: xr.Dataset


def read_table(section: TableSection, data_root: Path) -> Table:
    """The rows of the section's place.

    Raises
    ------
    MissingInputError
        When the file is not there, or has no row of the place.
    ConfigError
        When the reader does not read tables.
    """
    reader, path = get_reader(section.reader), data_root / section.path
    if reader.kind != "table":
        raise ConfigError(
            f"reader '{reader.name}' reads {reader.kind}", expected="a reader of tables", found=section.reader
        )
    if not path.is_file():
        raise MissingInputError(f"table '{section.id}' is not there", found="no such file", where=str(path))
    whole = reader.read(path, ReadContext())
    own = [_is_of(section.place, whole, k) for k in range(whole.sizes["row"])]
    if not any(own):
        names = sorted({str(p) for p in whole["place"].values})
        raise MissingInputError(
            f"table '{section.id}' has no row of '{section.place}'",
            expected=", ".join(names[:12]) + (f", and {len(names) - 12} more" if len(names) > 12 else ""),
            where=str(path),
        )
    return Table(section, whole.isel(row=np.flatnonzero(own)))


def _is_of(place: str, table: xr.Dataset, row: int) -> bool:
    names = (str(table["place"].values[row]), str(table["place_code"].values[row]))
    return place.casefold() in (n.casefold() for n in names)


def reconcile_table(solved: Solved, table: Table) -> list[ledger.Row]:
    """The rows of the table beside the air of each period: those of its years, else of the nearest year."""
    block = next((b.name for b in solved.main.problem.blocks if b.fields is None), None)
    region = table.section.region
    if block is None or region not in solved.regions["region"].values:
        return []
    out: list[ledger.Row] = []
    gases = [solved.case.species, "co2e"]
    for period, epoch in solved.case.epochs.items():
        # a sum of gases stays, to say that it is one; other gases are other rows' matter
        own = _of_years(table.rows.isel(row=np.isin(table.rows["gas"].values, gases)), epoch)
        question = Question(
            estimand_of(solved, region, epoch, block),
            place=table.section.place,
            declared=adjustments_of((*solved.case.city.ledger.adjustments, *table.section.adjustments)),
        )
        cell = _cell(solved, table.section, block, period, epoch)
        out += [row for found in hold_table(own, question) for row in _row(cell, table.section, own, found)]
    return out


def _of_years(rows: xr.Dataset, epoch: Interval) -> xr.Dataset:
    years = rows["year"].values.astype("i8")
    if not years.size:
        return rows
    ours = np.arange(epoch.start.year, epoch.end.year + 1)
    wanted = np.isin(years, ours)
    if not wanted.any():
        wanted = years == years[np.argmin(np.abs(years - epoch.start.year))]
    return rows.isel(row=np.flatnonzero(wanted))


def _cell(solved: Solved, section: TableSection, block: str, period: str, epoch: Interval) -> Cell:
    field = flat(solved.case.reference[block])
    quantity = quantity_of(solved, block, section.region, epoch, {})
    return Cell(solved, quantity, section.id, period, ("*",), field[None], section.in_prior, ())


#: Columns of a row that are carried on.
_CARRIED = ("value", "label", "unit", "line", "all_sectors")


def _row(cell: Cell, section: TableSection, rows: xr.Dataset, found: RowOutcome) -> Iterator[ledger.Row]:
    at: Mapping[str, object] = {name: rows[name].values[found.row] for name in _CARRIED}
    value = float(str(at["value"]))
    relative = section.relative_sd or cell.solved.case.city.ledger.default_relative_sd
    bottom_up = ledger.Amount(value, relative * abs(value)) if np.isfinite(value) else None
    sector = ledger.ALL_SECTORS if at["all_sectors"] else str(at["label"])
    if found.outcome == NOT_COMPARABLE or bottom_up is None:
        why = tuple(f"{item.item}: {item.detail}" for item in found.why_not)
        refused = replace(cell, not_comparable=why).row(sector, bottom_up=bottom_up, assigned=True)
        yield replace(refused, unit=str(at["unit"]), line=int(str(at["line"])))
        return
    yield replace(_compared(cell, bottom_up), line=int(str(at["line"])))


def _compared(cell: Cell, bottom_up: ledger.Amount) -> ledger.Row:
    """The table's total against the block's: it has no pattern, so those of all maps are pooled."""
    split = ledger.split_by_sector(cell.quantity, cell.solved.main, cell.fields)
    estimate, response = flat_total(cell, cell.quantity.patterns)
    informative, carried = split.whole(), (split.whole_share, response)
    return compared(cell, ledger.ALL_SECTORS, bottom_up, informative, estimate, carried, terms_of(cell))
