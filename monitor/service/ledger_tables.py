"""City tables in the ledgers: the rows of a place, each compared with the air or refused with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from monitor.compare import reconcile as ledger
from monitor.compare.adjustments import adjustments_of
from monitor.compare.tables import Question, RowOutcome, hold_table
from monitor.compare.terms import EXPECTED, holds
from monitor.config import FluxBlockSection, TableSection
from monitor.domain import Interval
from monitor.service.claims import flat, sectors_of
from monitor.service.ledger_rows import (
    Cell,
    compared,
    declared_of,
    estimand_of,
    flat_total,
    quantity_of,
    terms_of,
)
from monitor.service.ledger_sectors import Group, amount_of, group_entries, group_rows, of_lines

if TYPE_CHECKING:
    from monitor.service.analysis import Solved

#: What makes rows parts of one whole.
_TOGETHER = ("place_code", "place", "year", "gas", "boundary")


def reconcile_tables(solved: Solved, tables: Mapping[str, xr.Dataset]) -> list[ledger.Row]:
    """The rows of every table of the city file, `tables` being table id → rows of its place."""
    sections = [t for t in solved.case.city.table if t.id in tables]
    return [row for section in sections for row in reconcile_table(solved, section, tables[section.id])]


def reconcile_table(solved: Solved, section: TableSection, rows: xr.Dataset) -> list[ledger.Row]:
    """The rows of a table beside the air of each period: those of its years, else of the nearest year.

    Rows that are the whole of their scope come first, then those of sectors, then those that are compared
    with nothing.
    """
    if section.region not in solved.regions["region"].values:
        return []
    # a sum of gases stays, to say that it is one; other gases are other rows' matter
    ours = rows.isel(row=np.isin(rows["gas"].values, [solved.case.species, "co2e"]))
    return [
        row
        for period, epoch in solved.case.epochs.items()
        for row in _of_period(solved, section, period, epoch, _of_years(ours, epoch))
    ]


def _of_period(
    solved: Solved, section: TableSection, period: str, epoch: Interval, rows: xr.Dataset
) -> list[ledger.Row]:
    blocks = _human_blocks(solved)
    question = Question(
        estimand_of(solved, section.region, epoch, blocks[0].name),
        place=section.place,
        declared=adjustments_of((*solved.case.city.ledger.adjustments, *section.adjustments)),
    )
    outcomes = hold_table(rows, question)
    wholes = {o.row: _faults(o) for o in outcomes if rows["all_sectors"].values[o.row]}
    parts = {o.row: _faults_of_part(o, rows) for o in outcomes if o.row not in wholes}
    if len(blocks) > 1:
        lie = f"sector: all sectors, and the air's are in several blocks: {', '.join(b.name for b in blocks)}"
        wholes = {row: [*faults, lie] for row, faults in wholes.items()}
    declared = {o.row: declared_of(o.items, adjustments_of(question.declared)) for o in outcomes}
    groups: list[Group] = []
    why: dict[int, str] = {}
    for rest in _together(rows, [row for row, faults in parts.items() if not faults]):
        found, reasons = group_rows(solved, {k: str(rows["gpc"].values[k]).split() for k in rest})
        groups, why = groups + found, why | reasons
    cell = _cell(solved, section, blocks[0].name, period, epoch)
    faults = wholes | parts | {row: [f"sector: {text}"] for row, text in why.items()}
    return [
        *(
            _compared(cell.declaring(declared[row]), section, rows, row)
            for row, found in wholes.items()
            if not found
        ),
        *group_entries(solved, section, (period, epoch), rows, groups, declared),
        *(_refused(cell, section, rows, row, found) for row, found in sorted(faults.items()) if found),
    ]


def _of_years(rows: xr.Dataset, epoch: Interval) -> xr.Dataset:
    years = rows["year"].values.astype("i8")
    if not years.size:
        return rows
    ours = np.arange(epoch.start.year, epoch.end.year + 1)
    wanted = np.isin(years, ours)
    if not wanted.any():
        wanted = years == years[np.argmin(np.abs(years - epoch.start.year))]
    return rows.isel(row=np.flatnonzero(wanted))


def _human_blocks(solved: Solved) -> list[FluxBlockSection]:
    """The blocks of what a territorial inventory counts: not those of the biosphere and the like alone."""
    case = solved.case
    natural = [name for name, _ in EXPECTED[case.species]]
    own = [b for b in case.city.block if b.species == case.species]
    return [b for b in own if not all(holds([s], *natural) for s in sectors_of(b, case))] or own


def _faults(outcome: RowOutcome) -> list[str]:
    return [f"{item.item}: {item.detail}" for item in outcome.why_not]


def _faults_of_part(outcome: RowOutcome, rows: xr.Dataset) -> list[str]:
    """Why a part of a scope is not compared, its sector aside, which is asked of all rows together."""
    nothing = rows["notation"].values[outcome.row] == "NO"
    asked = [i for i in outcome.why_not if i.item != "sector" and not (nothing and i.item == "amount")]
    return [f"{item.item}: {item.detail}" for item in asked]


def _together(rows: xr.Dataset, chosen: Iterable[int]) -> list[list[int]]:
    """Rows that are parts of one whole: of the same place, boundary, year and gas."""
    found: dict[tuple[object, ...], list[int]] = {}
    for row in chosen:
        found.setdefault(tuple(rows[name].values[row] for name in _TOGETHER), []).append(row)
    return list(found.values())


def _cell(solved: Solved, section: TableSection, block: str, period: str, epoch: Interval) -> Cell:
    field = flat(solved.case.reference[block])
    quantity = quantity_of(solved, block, section.region, epoch, {})
    return Cell(solved, quantity, section.id, period, ("*",), field[None], section.in_prior, ())


def _compared(cell: Cell, section: TableSection, rows: xr.Dataset, row: int) -> ledger.Row:
    """The table's total against the block's: it has no pattern, so those of all maps are pooled."""
    split = ledger.split_by_sector(cell.quantity, cell.solved.main, cell.fields)
    estimate, response = None, None
    if cell.solved.main.problem.block(cell.quantity.block).fields is None:
        estimate, response = flat_total(cell, cell.quantity.patterns)
    bottom_up = amount_of(cell.solved, section, rows, [row])
    informative, carried = split.whole(), (split.whole_share, response)
    found = compared(cell, ledger.ALL_SECTORS, bottom_up, informative, estimate, carried, terms_of(cell))
    return replace(found, **of_lines(rows, [row]))


def _refused(
    cell: Cell, section: TableSection, rows: xr.Dataset, row: int, faults: Sequence[str]
) -> ledger.Row:
    """A row that is compared with nothing, in its own unit, and why."""
    label = ledger.ALL_SECTORS if rows["all_sectors"].values[row] else str(rows["label"].values[row])
    known = np.isfinite(rows["value"].values[row])
    bottom_up = amount_of(cell.solved, section, rows, [row]) if known else None
    refused = replace(cell, not_comparable=tuple(faults)).row(label, bottom_up=bottom_up, assigned=True)
    return replace(refused, unit=str(rows["unit"].values[row]), **of_lines(rows, [row]))
