"""`monitor compare`: the inventory and the air side by side, from the path and the solve of `monitor run`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from monitor import units
from monitor.compare import claims as judging
from monitor.compare import reconcile as ledger
from monitor.compare.comparable import MISMATCH, Estimand, Statement, compare_definitions
from monitor.compare.ensemble import least_favourable, pool_choices
from monitor.compare.regions import region_area_km2
from monitor.compare.statistics import Estimate, gaussian
from monitor.compare.terms import ADDS, EITHER, Term, missing_terms, weigh_gap
from monitor.config import CityConfig
from monitor.domain import Interval, Region
from monitor.errors import NumericalError
from monitor.inversion.assumptions import TransportScale
from monitor.service.analysis import Solved, solve_case
from monitor.service.case import build_case
from monitor.service.inputs import load_data
from monitor.service.ledger import Ledger, process_owner
from monitor.service.pipeline import ingest_inputs
from monitor.service.run import Run, RunOptions, load_configuration, open_archive

#: Correlation of an inventory's error with the prior's: one that is a candidate map is no second witness.
_OF_THE_PRIOR, _APART = 1.0, 0.0


def compare_ledgers(
    config_path: Path, interval: Interval, data_root: Path, workdir: Path, options: RunOptions | None = None
) -> dict[str, Any]:
    """Both ledgers of a city over `interval`, as one JSON-ready object.

    Raises
    ------
    MonitorError
        As `monitor.service.pipeline.run_interval`.
    """
    started = time.monotonic()
    options = options or RunOptions()
    city, claims = load_configuration(config_path)
    with open_archive(workdir, options.clock) as archive:
        owner = Ledger(archive, process_owner(), options.clock)
        run = Run(archive, owner, city, claims, interval, data_root, workdir, options)
        _, inputs, warnings = ingest_inputs(run)
        data, objects = load_data(archive, city, run.window)
    rows: list[ledger.Row] = []
    for species in city.city.species:
        run.say(f"{species}: solving")
        solved = solve_case(build_case(city, species, run.window, data))
        run.say(f"{species}: comparing")
        rows += reconcile(solved)
        warnings += solved.case.warnings
    return {
        "city": city.city.id,
        "interval": interval.as_json(),
        "rows": [row.as_json() for row in rows],
        "rules": rules(city),
        "warnings": list(dict.fromkeys(warnings)),
        "made_from": {"inputs": objects, "input_digest": inputs.digest, "config_digest": inputs.config},
        "figures": {"seconds": round(time.monotonic() - started, 2)},
    }


def rules(city: CityConfig) -> dict[str, str]:
    """How the numbers of the rows are to be read."""
    section = city.ledger
    between = f"the errors of two sectors correlated {section.between_sectors:g}"
    return {
        "bottom_up": f"where assigned: {section.default_relative_sd:.0%} (1σ) of a sector's total, or the "
        f"sector's own number in the city file; {between}",
        "estimate": "flat prior along the inventory's pattern, inside and outside the region; of sectors, "
        "the size of each free at once; pooled over the ensemble by the law of total variance",
        "difference": "estimate minus inventory, taken as independent: the flat estimate holds no error of "
        "the inventory's total",
        "posterior_difference": "posterior minus inventory, with their covariance: a candidate map is part "
        "of the prior (correlation 1), any other inventory is not (0)",
    }


@dataclass(frozen=True, eq=False)
class _Cell:
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


def _cells(solved: Solved) -> Iterator[_Cell]:
    case = solved.case
    area = case.grid.cell_area_m2().ravel()
    for block in solved.main.problem.blocks:
        candidates, others = case.maps[block.name], case.compared[block.name]
        for region in solved.regions["region"].values:
            fraction = solved.regions["fraction"].sel(region=region).values.ravel()
            for period, epoch in case.epochs.items():
                for name, dataset in {**candidates, **others}.items():
                    fields = _mean_fields(dataset, epoch)
                    patterns = {name: fields.sum(axis=0)} | {
                        other: _mean_fields(m, epoch).sum(axis=0) for other, m in candidates.items()
                    }
                    quantity = judging.Quantity(
                        species=case.species,
                        region=str(region),
                        block=block.name,
                        fraction=fraction,
                        area_m2=area,
                        epochs=(epoch,),
                        patterns=patterns,
                        alternatives={},
                        transport=TransportScale(
                            case.inversion.transport_scale_sd, case.inversion.transport_epoch_sd
                        ),
                    )
                    yield _Cell(
                        solved,
                        quantity,
                        name,
                        period,
                        tuple(str(s) for s in dataset["sector"].values),
                        fields,
                        name in candidates
                        and (not case.inversion.reference or name in case.inversion.reference),
                        _mismatches(solved, str(region), name, dataset, epoch, block.name),
                    )


def _mean_fields(flux: xr.Dataset, epoch: Interval) -> np.ndarray:
    """Mean flux of each sector over the epoch (k, n_cells); over all its times where it has none of then."""
    start, end = flux["time_bnds"].values.astype("datetime64[ns]").T
    common = np.minimum(end, epoch.end64) - np.maximum(start, epoch.start64)
    hours = np.maximum(common / np.timedelta64(1, "h"), 0.0)
    weight = hours if hours.any() else np.ones(hours.size)
    values = flux["flux"].transpose("sector", "time", "lat", "lon").values
    return np.asarray(np.tensordot(values, weight / weight.sum(), axes=(1, 0)).reshape(values.shape[0], -1))


def _mismatches(
    solved: Solved, region: str, name: str, dataset: xr.Dataset, epoch: Interval, block: str
) -> tuple[str, ...]:
    """Why this inventory is not held against the air of this period; empty where it may be."""
    city, species = solved.case.city, solved.case.species
    section = next(r for r in [*(r.as_domain() for r in city.region), Region(region, ())] if r.id == region)
    years = _years(city, name, dataset)
    ours = tuple(range(epoch.start.year, epoch.end.year + 1))
    shared = next((y for y in years if y in ours), None)
    statement = Statement(
        species=species,
        unit=units.level_unit(species),
        scope="territorial",
        region=region,
        area_km2=None,
        includes_biogenic=False,
        basis="gas",
        inventory_year=years[0] if shared is None else shared,
        adjustments=city.ledger.adjustments,
    )
    estimand = Estimand(
        species=species,
        region_area_km2=region_area_km2(section, solved.case.grid),
        years=ours,
        biogenic_in_block=False,
        hours=solved.variants[0].name,
        is_level=True,
        day_factors=any(b.hour_factors for b in city.block if b.name == block and b.species == species),
    )
    items = compare_definitions(statement, estimand)
    return tuple(f"{i.item}: {i.detail}" for i in items if i.status == MISMATCH)


def _years(city: CityConfig, name: str, dataset: xr.Dataset) -> list[int]:
    """Years an inventory is about: as declared, or those of its own times."""
    declared = sorted({i.year for i in city.inventory if i.map_id == name and i.year is not None})
    if declared:
        return declared
    first = dataset["time_bnds"].values[:, 0].astype("datetime64[Y]").astype(int) + 1970
    last = (dataset["time_bnds"].values[:, 1] - np.timedelta64(1, "ns")).astype("datetime64[Y]").astype(
        int
    ) + 1970
    return sorted({y for a, b in zip(first, last, strict=True) for y in range(int(a), int(b) + 1)})


def _rows(cell: _Cell) -> list[ledger.Row]:
    section = cell.solved.case.city.ledger
    stated = {s.sector: s.relative_sd for s in section.sector}
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


def _block_row(cell: _Cell, bottom_up: ledger.Amount, split: ledger.Split) -> ledger.Row:
    estimate, response = None, float("nan")
    if cell.solved.main.problem.block(cell.quantity.block).fields is None:
        alternatives = dict(zip(cell.sectors, cell.fields, strict=True)) if len(cell.sectors) > 1 else {}
        quantity = replace(cell.quantity, alternatives=alternatives)
        answers = [judging.answer(quantity, v, cell.inventory) for v in _models(cell.solved)]
        estimate = least_favourable(quantity.made, answers, quantity.transport).estimate
        response = min(r for a in answers for r in a.responses.values())
    return _compared(
        cell,
        ledger.ALL_SECTORS,
        bottom_up,
        split.whole(),
        estimate,
        (split.whole_share, response),
        _terms(cell),
    )


def _sector_rows(cell: _Cell, parts: list[ledger.Amount], split: ledger.Split) -> list[ledger.Row]:
    # which sector takes up a term that nobody counted is not known, so its size is not theirs to subtract
    terms = tuple(replace(term, value=None, sigma=None) for term in _terms(cell))
    free = _free(cell)
    return [
        _compared(
            cell,
            sector,
            parts[k],
            split.row(k),
            free[k],
            (float(split.share[k]), float(split.response[k])),
            terms,
        )
        for k, sector in enumerate(cell.sectors)
    ]


def _free(cell: _Cell) -> list[Estimate | None]:
    """The flat estimate of each sector; none where the data do not tell the sectors apart."""
    seen = np.flatnonzero(cell.totals > 0)
    out: list[Estimate | None] = [None] * len(cell.sectors)
    if cell.solved.main.problem.block(cell.quantity.block).fields is not None or seen.size == 0:
        return out
    models = _models(cell.solved)
    try:
        found = [ledger.free_sectors(cell.quantity, v.posterior, cell.fields[seen]) for v in models]
    except NumericalError:
        return out
    for at, k in enumerate(seen):
        answers = [
            judging.Answer(v.name, t[[at]], c[[at]][:, [at]], {}, False, cell.inventory, v.choice)
            for v, (t, c) in zip(models, found, strict=True)
        ]
        estimates = [gaussian(float(a.totals[0]), float(np.sqrt(a.covariance[0, 0]))) for a in answers]
        out[int(k)] = pool_choices(answers, estimates).estimate
    return out


def _compared(
    cell: _Cell,
    sector: str,
    bottom_up: ledger.Amount,
    informative: tuple[ledger.Amount, ledger.Amount],
    estimate: Estimate | None,
    carried: tuple[float, float],
    terms: tuple[Term, ...],
) -> ledger.Row:
    """A row; `carried` is its share from data and its response."""
    (prior, posterior), (share, response) = informative, carried
    driven = ledger.is_prior_driven(share, response)
    marks = [
        mark for mark, holds in (("prior-driven", driven), ("not-told-apart", estimate is None)) if holds
    ]
    gap = None
    if estimate is not None:
        sigma = float(np.hypot(estimate.sigma, bottom_up.sigma))
        gap = weigh_gap(estimate.value - bottom_up.value, sigma, terms, prior_driven=driven)
    return cell.row(
        sector,
        bottom_up=bottom_up,
        assigned=True,
        prior=prior,
        posterior=posterior,
        estimate=estimate,
        posterior_difference=ledger.difference_with_prior(bottom_up, prior, posterior, cell.correlation),
        share_from_data=share,
        response=response,
        gap=gap,
        terms=terms,
        marks=tuple(marks),
    )


def _models(solved: Solved) -> list[judging.Variant]:
    return [v for v in solved.variants if not v.station_out]


def _terms(cell: _Cell) -> tuple[Term, ...]:
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


def by_status(rows: list[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows have each status."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[str(row["status"])] = counts.get(str(row["status"]), 0) + 1
    return counts
