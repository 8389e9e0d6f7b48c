"""The rows of the two ledgers: one inventory in one block, region and period."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from monitor import units
from monitor.compare import claims as judging
from monitor.compare import reconcile as ledger
from monitor.compare.adjustments import WORDS, Adjustment, adjustments_of, declares
from monitor.compare.comparable import MISMATCH, compare_definitions, declared_sd
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.ensemble import least_favourable, pool_choices
from monitor.compare.regions import region_area_km2
from monitor.compare.statistics import Estimate, scaled
from monitor.compare.terms import ADDS, BREATH, EITHER, NATURAL, Term, holds, missing_terms, weigh_gap
from monitor.compare.verdict import Comparison
from monitor.config import CityConfig
from monitor.domain import Interval, Region
from monitor.errors import NumericalError
from monitor.service.claims import biogenic_in, layouts, months_sampled, respiration_in, transport_of

if TYPE_CHECKING:
    from monitor.service.analysis import Solved

#: Correlation of an inventory's error with the prior's: one that is a candidate map is no second witness.
_OF_THE_PRIOR, _APART = 1.0, 0.0


@dataclass(frozen=True, eq=False)
class Cell:
    """One inventory in one block, region and period: what a group of rows is about."""

    solved: Solved
    quantity: judging.Quantity
    inventory: str
    period: str
    sectors: tuple[str, ...]
    fields: np.ndarray
    in_prior: bool
    not_comparable: tuple[str, ...]

    @property
    def totals(self) -> np.ndarray:
        """The inventory's own totals (k,) [t of the gas per year]."""
        return np.asarray(self.fields @ self.quantity.weight)

    @property
    def correlation(self) -> float:
        return _OF_THE_PRIOR if self.in_prior else _APART

    def declaring(self, relative_sd: float) -> Cell:
        """The same with the 1σ of what is declared to differ."""
        return replace(self, quantity=replace(self.quantity, declared_sd=relative_sd))

    def row(self, sector: str, **numbers: Any) -> ledger.Row:
        q = self.quantity
        return ledger.Row(
            species=q.species,
            region=q.region,
            block=q.block,
            sector=sector,
            period=self.period,
            interval=q.epochs[0].as_json(),
            inventory=self.inventory,
            unit=units.level_unit(q.species),
            not_comparable=self.not_comparable,
            **numbers,
        )


def reconcile(solved: Solved) -> list[ledger.Row]:
    """The rows of one gas: per block, region, period and inventory, all sectors and then each."""
    return [row for cell in _cells(solved) for row in _rows(cell)]


def _cells(solved: Solved) -> Iterator[Cell]:
    case = solved.case
    for block in solved.main.problem.blocks:
        candidates, others = case.maps[block.name], case.compared[block.name]
        for region in map(str, solved.regions["region"].values):
            for period, epoch in case.epochs.items():
                estimand = estimand_of(solved, region, epoch, block.name)
                for name, dataset in {**candidates, **others}.items():
                    fields = mean_fields(dataset, epoch)
                    used = not case.inversion.reference or name in case.inversion.reference
                    items = asked_of(solved, region, name, dataset, epoch, estimand)
                    declared = declared_of(items, adjustments_of(case.city.ledger.adjustments))
                    quantity = quantity_of(solved, block.name, region, epoch, {name: fields.sum(axis=0)})
                    yield Cell(
                        solved,
                        replace(quantity, declared_sd=declared),
                        name,
                        period,
                        tuple(str(s) for s in dataset["sector"].values),
                        fields,
                        name in candidates and used,
                        mismatches(items),
                    )


def quantity_of(
    solved: Solved, block: str, region: str, epoch: Interval, first: Mapping[str, np.ndarray]
) -> judging.Quantity:
    """A region's total of a block in one epoch: the patterns `first`, then those of the candidate maps."""
    case = solved.case
    maps = {name: mean_fields(m, epoch).sum(axis=0) for name, m in case.maps[block].items()}
    return judging.Quantity(
        species=case.species,
        region=region,
        block=block,
        fraction=solved.regions["fraction"].sel(region=region).values.ravel(),
        area_m2=case.grid.cell_area_m2().ravel(),
        epochs=(epoch,),
        patterns={**first, **{name: m for name, m in maps.items() if name not in first}},
        alternatives={},
        transport=transport_of(case),
    )


def mean_fields(flux: xr.Dataset, epoch: Interval) -> np.ndarray:
    """Mean flux of each sector over the epoch (k, n_cells); over all its times where it has none of then."""
    weight = _weight_of_times(flux, epoch)
    values = flux["flux"].transpose("sector", "time", "lat", "lon").values
    return np.asarray(np.tensordot(values, weight / weight.sum(), axes=(1, 0)).reshape(values.shape[0], -1))


def months_of(flux: xr.Dataset, epoch: Interval) -> tuple[int, ...]:
    """Calendar months (1 … 12) that the mean flux over the epoch is about; an annual map is about all."""
    start, end = flux["time_bnds"].values[_weight_of_times(flux, epoch) > 0].T
    first = start.astype("datetime64[M]").astype(int)
    last = (end - np.timedelta64(1, "ns")).astype("datetime64[M]").astype(int)
    return tuple(sorted({m % 12 + 1 for a, b in zip(first, last, strict=True) for m in range(a, b + 1)}))


def _weight_of_times(flux: xr.Dataset, epoch: Interval) -> np.ndarray:
    """Hours (time,) of each field of a map in the epoch; one each where it has none of then."""
    start, end = flux["time_bnds"].values.astype("datetime64[ns]").T
    common = np.minimum(end, epoch.end64) - np.maximum(start, epoch.start64)
    hours = np.maximum(common / np.timedelta64(1, "h"), 0.0)
    return hours if hours.any() else np.ones(hours.size)


def estimand_of(solved: Solved, region: str, epoch: Interval, block: str) -> Estimand:
    """What the air's total of a region, block and epoch is, for the gate; its terms stand in the same row."""
    city, species = solved.case.city, solved.case.species
    own = next(b for b in city.block if b.name == block and b.species == species)
    section = next(r for r in [*(r.as_domain() for r in city.region), Region(region, ())] if r.id == region)
    return Estimand(
        species=species,
        region_area_km2=region_area_km2(section, solved.case.grid),
        years=tuple(range(epoch.start.year, (epoch.end - timedelta(microseconds=1)).year + 1)),
        biogenic_in_block=biogenic_in(block, solved.case),
        respiration_in_block=respiration_in(block, solved.case),
        terms_listed=True,
        hours=solved.variants[0].name,
        is_level=True,
        months=months_sampled(solved.main.problem.table, (epoch,)),
        day_factors=bool(own.hour_factors),
        day_factors_sd=own.hour_factors_sd,
    )


def asked_of(
    solved: Solved, region: str, name: str, dataset: xr.Dataset, epoch: Interval, estimand: Estimand
) -> tuple[Comparison, ...]:
    """The items of the gate, asked of an inventory's total of a region in an epoch."""
    city, species = solved.case.city, solved.case.species
    years = years_of(city, name, dataset)
    shared = next((y for y in years if y in estimand.years), None)
    sectors = {str(s) for s in dataset["sector"].values}
    statement = Statement(
        species=species,
        unit=units.level_unit(species),
        scope="territorial",
        region=region,
        area_km2=None,
        includes_biogenic=holds(sectors, *NATURAL),
        includes_respiration=holds(sectors, *BREATH),
        basis="gas",
        inventory_year=years[0] if shared is None else shared,
        adjustments=adjustments_of(city.ledger.adjustments),
        months=months_of(dataset, epoch),
        denominator="total",
    )
    return compare_definitions(statement, estimand)


def mismatches(items: Iterable[Comparison]) -> tuple[str, ...]:
    """Why an inventory is not held against what is estimated; empty where it may be."""
    return tuple(f"{i.item}: {i.detail}" for i in items if i.status == MISMATCH)


def declared_of(items: Iterable[Comparison], stated: Iterable[Adjustment]) -> float:
    """Relative 1σ of what is declared of a row: of the differences that it has, and of no item of the gate.

    A ledger's declarations stand for all its rows: one about a difference that this row does not have says
    nothing of it.
    """
    general = [a.relative_sd for a in stated if not any(declares(a, item) for item in WORDS)]
    return hypot(declared_sd(i for i in items if i.item != "other"), *general)


def years_of(city: CityConfig, name: str, dataset: xr.Dataset) -> list[int]:
    """Years an inventory is about: as declared, or those of its own times."""
    declared = sorted({i.year for i in city.inventory if i.map_id == name and i.year is not None})
    if declared:
        return declared
    first = dataset["time_bnds"].values[:, 0].astype("datetime64[Y]").astype(int) + 1970
    last = (dataset["time_bnds"].values[:, 1] - np.timedelta64(1, "ns")).astype("datetime64[Y]").astype(
        int
    ) + 1970
    return sorted({y for a, b in zip(first, last, strict=True) for y in range(int(a), int(b) + 1)})


def _rows(cell: Cell) -> list[ledger.Row]:
    section = cell.solved.case.city.ledger
    stated = {s.sector: s.relative_sd for s in section.sector if s.relative_sd is not None}
    relative = np.array([stated.get(s, section.default_relative_sd) for s in cell.sectors])
    spread = ledger.assigned_covariance(cell.totals, relative, section.between_sectors)
    whole = ledger.Amount(float(cell.totals.sum()), float(np.sqrt(spread.sum())))
    parts = [
        ledger.Amount(float(v), float(np.sqrt(s)))
        for v, s in zip(cell.totals, np.diagonal(spread), strict=True)
    ]
    if cell.not_comparable:
        return [cell.row(ledger.ALL_SECTORS, bottom_up=whole, assigned=True)] + [
            cell.row(s, bottom_up=p, assigned=True)
            for s, p in zip(cell.sectors, parts, strict=True)
            if len(parts) > 1
        ]
    split = ledger.split_by_sector(cell.quantity, cell.solved.main, cell.fields)
    rows = [_block_row(cell, whole, split)]
    if len(parts) > 1:
        rows += _sector_rows(cell, parts, split)
    return rows


def _block_row(cell: Cell, bottom_up: ledger.Amount, split: ledger.Split) -> ledger.Row:
    estimate, response = None, None
    if cell.solved.main.problem.block(cell.quantity.block).fields is None:
        estimate, response = flat_total(cell, (cell.inventory,))
    return compared(
        cell,
        ledger.ALL_SECTORS,
        bottom_up,
        split.whole(),
        estimate,
        (split.whole_share, response),
        terms_of(cell),
    )


def flat_total(cell: Cell, patterns: Iterable[str]) -> tuple[Estimate, tuple[float, float]]:
    """The air's own total, pooled over the ensemble; least and most response to the layouts of a verdict."""
    own = dict(zip(cell.sectors, cell.fields, strict=True)) if len(cell.sectors) > 1 else {}
    others = layouts(cell.solved.case, cell.quantity.block)
    fields = {name: cell.quantity.patterns[name] for name in patterns}
    quantity = replace(
        cell.quantity, patterns=fields, alternatives={**cell.quantity.patterns, **others, **own}
    )
    answers = judging.answers(quantity, models_of(cell.solved))
    pooled = least_favourable(quantity.made, answers, quantity.transport, quantity.declared_sd)
    shown = [r for a in answers for r in a.responses.values()]
    return pooled.estimate, (min(shown), max(shown))


def _sector_rows(cell: Cell, parts: list[ledger.Amount], split: ledger.Split) -> list[ledger.Row]:
    # which sector takes up a term that nobody counted is not known, so its size is not theirs to subtract
    terms = tuple(replace(term, value=None, sigma=None) for term in terms_of(cell))
    free = _free(cell)
    return [
        compared(
            cell,
            sector,
            parts[k],
            split.row(k),
            free[k],
            (float(split.share[k]), response_of(split, k)),
            terms,
        )
        for k, sector in enumerate(cell.sectors)
    ]


def response_of(split: ledger.Split, k: int) -> tuple[float, float] | None:
    """How much of a change of a sector shows in its own layout; none of a sector that emits nothing."""
    shown = float(split.response[k])
    return (shown, shown) if np.isfinite(shown) else None


def _free(cell: Cell) -> list[Estimate | None]:
    """The flat estimate of each sector; none where the data do not tell the sectors apart."""
    return [pooled_free(answers, cell.quantity.declared_sd) for answers in free_answers(cell)]


def free_answers(cell: Cell) -> list[list[judging.Answer]]:
    """What each member answers for each sector, all of them free at once; nothing where it cannot be told."""
    seen = np.flatnonzero(cell.totals > 0)
    out: list[list[judging.Answer]] = [[] for _ in cell.sectors]
    if cell.solved.main.problem.block(cell.quantity.block).fields is not None or seen.size == 0:
        return out
    models = models_of(cell.solved)
    try:
        found = [ledger.free_sectors(cell.quantity, v.posterior, cell.fields[seen]) for v in models]
    except NumericalError:
        return out
    for at, k in enumerate(seen):
        out[int(k)] = [
            judging.Answer(v.name, t[[at]], c[[at]][:, [at]], {}, False, cell.inventory, v.choice)
            for v, (t, c) in zip(models, found, strict=True)
        ]
    return out


def pooled_free(answers: list[judging.Answer], declared_sd: float) -> Estimate | None:
    """One estimate of all members, variant by variant and maps within; none of none."""
    if not answers:
        return None
    estimates = [scaled(float(a.totals[0]), float(np.sqrt(a.covariance[0, 0])), declared_sd) for a in answers]
    return pool_choices(answers, estimates).estimate


def compared(
    cell: Cell,
    sector: str,
    bottom_up: ledger.Amount,
    informative: tuple[ledger.Amount, ledger.Amount],
    estimate: Estimate | None,
    carried: tuple[float, tuple[float, float] | None],
    terms: tuple[Term, ...],
) -> ledger.Row:
    """A row; `carried` is its share from data and its least and most response."""
    (prior, posterior), (share, response) = informative, carried
    driven = ledger.is_prior_driven(share, response)
    # a total has a flat estimate: what its responses say against it is that the layout decides
    layout = sector == ledger.ALL_SECTORS and not ledger.is_prior_driven(share, None)
    marks = ["pattern-dependent" if layout else "prior-driven"] if driven else []
    marks += ["not-told-apart"] if estimate is None else []
    declared = cell.quantity.declared_sd
    moved = ledger.difference_with_prior(bottom_up, prior, posterior, cell.correlation)
    gap = None
    if estimate is not None:
        sigma = float(np.hypot(estimate.sigma_towards(bottom_up.value), bottom_up.sigma))
        gap = weigh_gap(estimate.value - bottom_up.value, sigma, terms, prior_driven=driven)
    return cell.row(
        sector,
        bottom_up=bottom_up,
        assigned=True,
        prior=prior,
        posterior=posterior,
        estimate=estimate,
        posterior_difference=replace(moved, sigma=hypot(moved.sigma, declared * posterior.value)),
        declared_sd=declared,
        share_from_data=share,
        response=response,
        gap=gap,
        terms=terms,
        marks=tuple(marks),
    )


def models_of(solved: Solved) -> list[judging.Variant]:
    """The ensemble without the members that leave a station out."""
    return [v for v in solved.variants if not v.station_out]


def terms_of(cell: Cell) -> tuple[Term, ...]:
    """What the air sees in this region and neither the inventory nor another block holds."""
    case, q = cell.solved.case, cell.quantity
    held = {s for maps in case.maps.values() for m in maps.values() for s in map(str, m["sector"].values)}
    region = next((r for r in case.city.region if r.id == q.region), None)
    stated = [
        Term(t.name, ADDS if t.adds_only else EITHER, t.value_t_a, t.sd_t_a, t.written_in)
        for t in case.city.ledger.term
        if t.species == q.species and t.region == q.region
    ]
    return missing_terms(
        q.species, {*held, *cell.sectors}, None if region is None else region.population, stated
    )
