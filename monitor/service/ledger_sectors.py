"""The sectors of a city's table against the air, where they are the same as sectors of its maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from monitor.compare import reconcile as ledger
from monitor.compare.sector_match import holdings, match_sectors
from monitor.config import TableSection
from monitor.domain import Interval
from monitor.sectors import Scheme
from monitor.service.ledger_rows import (
    Cell,
    compared,
    free_answers,
    mean_fields,
    pooled_free,
    quantity_of,
    response_of,
    terms_of,
)

if TYPE_CHECKING:
    from monitor.service.analysis import Solved


@dataclass(frozen=True)
class Group:
    """Rows of the table and the sectors, map by map, that hold the same; all in one block."""

    rows: tuple[int, ...]
    sectors: Mapping[str, tuple[str, ...]]
    block: str

    @property
    def name(self) -> str:
        return " + ".join(next(iter(self.sectors.values())))


def group_rows(solved: Solved, codes: Mapping[int, Sequence[str]]) -> tuple[list[Group], dict[int, str]]:
    """The groups that every candidate map has, and of every other row why it is in none.

    `codes` is row → its GPC codes, of rows that may be compared but for their sector.
    """
    many = Counter(code for row in codes.values() for code in row)
    reasons = {
        row: f"one of {max(many[c] for c in own)} rows of its sector" if own else "a sector without a code"
        for row, own in codes.items()
        if not own or max(many[c] for c in own) > 1
    }
    asked = {row: own for row, own in codes.items() if row not in reasons}
    found: dict[tuple[int, ...], dict[str, tuple[str, ...]]] = {}
    blocks, why = _blocks_of_sectors(solved), dict[int, dict[str, str]]()
    for name, own_blocks in blocks.items():
        matches, open_rows = match_sectors(asked, holdings(own_blocks, _stated(solved)))
        for match in matches:
            found.setdefault(tuple(sorted(match.rows)), {})[name] = match.sectors
        for row, text in open_rows.items():
            why.setdefault(row, {})[name] = text
    groups = []
    for rows, own in found.items():
        lie = {blocks[m][s] for m, names in own.items() for s in names}
        if len(lie) > 1:
            reasons |= dict.fromkeys(rows, f"its sectors lie in several blocks: {', '.join(sorted(lie))}")
        elif len(own) == len(blocks):
            groups.append(Group(rows, own, lie.pop()))
    return groups, {row: _said(texts, len(blocks)) for row, texts in why.items()} | reasons


def _said(texts: Mapping[str, str], maps: int) -> str:
    """The reason, with the first map that has it where not all have the same."""
    name, text = next(iter(texts.items()))
    return text if len(texts) == maps and len(set(texts.values())) == 1 else f"{text} (map '{name}')"


def _stated(solved: Solved) -> dict[str, tuple[Scheme, tuple[str, ...]]]:
    return {s.sector: (s.scheme, s.codes) for s in solved.case.city.ledger.sector if s.codes}


def _blocks_of_sectors(solved: Solved) -> dict[str, dict[str, str]]:
    """Candidate map → its sectors, each with its block."""
    out: dict[str, dict[str, str]] = {}
    for block, maps in solved.case.maps.items():
        for name, dataset in maps.items():
            out.setdefault(name, {}).update({str(s): block for s in dataset["sector"].values})
    return out


def group_entries(
    solved: Solved,
    section: TableSection,
    when: tuple[str, Interval],
    rows: xr.Dataset,
    groups: list[Group],
    declared: Mapping[int, float],
) -> list[ledger.Row]:
    """The ledger's rows of the groups, block by block; `declared` is row → 1σ of what is declared of it."""
    return [
        row
        for block in dict.fromkeys(g.block for g in groups)
        for row in _of_block(solved, section, when, rows, [g for g in groups if g.block == block], declared)
    ]


def _of_block(
    solved: Solved,
    section: TableSection,
    when: tuple[str, Interval],
    rows: xr.Dataset,
    groups: list[Group],
    declared: Mapping[int, float],
) -> list[ledger.Row]:
    (period, epoch), block, case = when, groups[0].block, solved.case
    fields = {name: _fields(dataset, epoch, groups, name) for name, dataset in case.maps[block].items()}
    used = [name for name in fields if name in case.inversion.reference] or list(fields)
    names = (*(g.name for g in groups), "what is left")
    quantity = quantity_of(solved, block, section.region, epoch, {})
    mean = np.mean([fields[name] for name in used], axis=0)
    cell = Cell(solved, quantity, section.id, period, names, mean, section.in_prior, ())
    split = ledger.split_by_sector(quantity, solved.main, mean)
    free = [free_answers(replace(cell, inventory=name, fields=own)) for name, own in fields.items()]
    terms = tuple(replace(term, value=None, sigma=None) for term in terms_of(cell))
    out = []
    for k, group in enumerate(groups):
        per_map = [own[k] for own in free]
        together = [a for same in zip(*per_map, strict=True) for a in same] if all(per_map) else []
        carried = (float(split.share[k]), response_of(split, k))
        bottom_up = amount_of(solved, section, rows, group.rows)
        own = cell.declaring(max(declared[row] for row in group.rows))
        estimate = pooled_free(together, own.quantity.declared_sd)
        row = compared(own, group.name, bottom_up, split.row(k), estimate, carried, terms)
        out.append(replace(row, **of_lines(rows, group.rows)))
    return out


def _fields(dataset: xr.Dataset, epoch: Interval, groups: list[Group], name: str) -> np.ndarray:
    """The mean flux of each group in a map, and of what is in none of them (k + 1, n_cells)."""
    fields, sectors = mean_fields(dataset, epoch), [str(s) for s in dataset["sector"].values]
    parts = [np.isin(sectors, group.sectors[name]) for group in groups]
    left = ~np.any(parts, axis=0)
    return np.stack([fields[chosen].sum(axis=0) for chosen in (*parts, left)])


def amount_of(
    solved: Solved, section: TableSection, rows: xr.Dataset, chosen: Sequence[int]
) -> ledger.Amount:
    """The sum of rows with its assigned 1σ; what does not occur counts as none."""
    city = solved.case.city.ledger
    values = np.nan_to_num(rows["value"].values[list(chosen)])
    relative = np.full(values.size, section.relative_sd or city.default_relative_sd)
    spread = ledger.assigned_covariance(values, relative, city.between_sectors)
    return ledger.Amount(float(values.sum()), float(np.sqrt(spread.sum())))


def of_lines(rows: xr.Dataset, chosen: Sequence[int]) -> dict[str, Any]:
    """What a row of the ledger says of the table's rows that it is of."""
    labels, lines = rows["label"].values[list(chosen)], rows["line"].values[list(chosen)]
    return {"counted": tuple(map(str, labels)), "lines": tuple(dict.fromkeys(int(n) for n in lines))}
