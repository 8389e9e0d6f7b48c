"""From a claim of the configuration to its verdict: what it is about, if it compares, and when it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from monitor import units
from monitor.compare import claims as judging
from monitor.compare.adjustments import adjustments_of
from monitor.compare.comparable import compare_definitions, declared_sd
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.forms import Trend
from monitor.compare.information import information_at
from monitor.compare.regions import region_area_km2, shared_area
from monitor.compare.terms import breath_terms, holds, natural_terms
from monitor.compare.trends import decimal_years
from monitor.compare.verdict import NOT_COMPARABLE, NOT_DUE, REASONS, UNDECIDED
from monitor.config import CityConfig, ClaimSection, FluxBlockSection
from monitor.domain import Interval, Region
from monitor.errors import InputError
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.table import ObservationTable
from monitor.service.case import Case
from monitor.service.declared import stated_value
from monitor.service.evaluation import (
    PREVIEW,
    Evaluation,
    elapsed_at_looks,
    evaluation_of,
    looks_early,
    with_information,
)
from monitor.service.source_claims import judge_source

if TYPE_CHECKING:
    from monitor.service.analysis import Solved

#: Coverage fractions that differ by less are the same.
_ROUNDING = 1e-9


def judge_claim(
    claim: ClaimSection, city: CityConfig, one: Solved, data: Interval, as_of: date | None = None
) -> dict[str, Any] | None:
    """The verdict on a claim as JSON; None when the data do not hold its period.

    Parameters
    ----------
    city
        As the operator wrote it, with whole epochs.
    as_of
        The day of the evaluation (`monitor.service.evaluation`).

    Raises
    ------
    InputError
        When the claim names what is not there.
    """
    epochs = epochs_of(claim, city, one.case, data)
    if epochs is None:
        return None
    evaluation = evaluation_of(claim, city, data, as_of)
    if claim.kind == "source":
        found = judge_source(claim, one.main, one.case.inversion, one.seed, evaluation.level, one.variants)
    else:
        quantity = _quantity(claim, one, epochs)
        if elapsed := elapsed_at_looks(evaluation, claim, city):
            gathered = information_at(quantity, one.variants[0], elapsed)
            evaluation = with_information(evaluation, claim, city, gathered)
        found = _judge(claim, one, quantity, evaluation.level)
    about = {
        "scope": claim.scope,
        "sectors": list(claim.sectors),
        "of_region": claim.of_region,
        "of_sectors": list(claim.of_sectors),
        "periods": [epoch.as_json() for epoch in epochs],
        "evaluation": evaluation.as_json(),
    }
    return _as_due(found, evaluation) | about


def _as_due(found: dict[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    """The verdict; on a day between the declared ones the numbers without an answer."""
    if evaluation.status != PREVIEW or found["verdict"] == NOT_COMPARABLE:
        return found
    return found | {"verdict": UNDECIDED, "reasons": [NOT_DUE], "reason_texts": [REASONS[NOT_DUE]]}


def _judge(claim: ClaimSection, one: Solved, quantity: judging.Quantity, level: float) -> dict[str, Any]:
    text, definition = _claim_text(claim, one), _estimand(claim, one, quantity.epochs)
    declared = declared_sd(compare_definitions(text.definition, definition))
    quantity = replace(quantity, declared_sd=declared)
    return judging.judge(text, definition, quantity, one.variants, level=level).as_json()


# --- when: the epochs that are compared ---------------------------------------------------------------


def epochs_of(
    claim: ClaimSection, city: CityConfig, case: Case, data: Interval
) -> tuple[Interval, ...] | None:
    """The intervals that the claim is about; None when the data do not hold them.

    A look before the end of the claim's period is about the part that has been seen.

    Raises
    ------
    InputError
        When the claim names an epoch that the city file does not have.
    """
    early = looks_early(claim, city)
    if claim.epochs:
        declared = {epoch.id: epoch.interval() for epoch in city.epoch}
        lost = [name for name in claim.epochs if name not in declared]
        if lost:
            raise InputError(
                f"claim '{claim.id}' names epochs that the city file does not have",
                expected=", ".join(sorted(declared)) or "[[epoch]] tables",
                found=", ".join(lost),
            )
        seen = [case.epochs.get(name) for name in claim.epochs]
        held = [e for e, name in zip(seen, claim.epochs, strict=True) if e and (early or e == declared[name])]
        return tuple(held) if len(held) == len(seen) else None
    if claim.period is None:
        return (data,)
    period = Interval.parse(*claim.period)
    if early and period.start < data.end < period.end:
        period = Interval(period.start, data.end)
    return (period,) if any(epoch.contains(period) for epoch in case.epochs.values()) else None


# --- what: the quantity -------------------------------------------------------------------------------


def _quantity(claim: ClaimSection, one: Solved, epochs: tuple[Interval, ...]) -> judging.Quantity:
    block = _block_of(claim, claim.sectors, one.case)
    part = _part(str(claim.region), block, _fraction(claim, claim.region, one), one, epochs)
    if claim.kind == "trend":
        years = tuple(decimal_years(epochs).tolist())
        return replace(part, form=Trend(years, claim.slope, relative=_unit(claim) == "1 a-1"))
    return replace(part, rest=_rest(claim, part, one)) if claim.kind == "share" else part


def _part(
    region: str, block: str, fraction: np.ndarray, one: Solved, epochs: tuple[Interval, ...]
) -> judging.Quantity:
    maps = one.case.maps[block]
    return judging.Quantity(
        species=one.case.species,
        region=region,
        block=block,
        fraction=fraction,
        area_m2=one.case.grid.cell_area_m2().ravel(),
        epochs=epochs,
        patterns={name: flat(dataset) for name, dataset in maps.items()},
        alternatives=layouts(one.case, block),
        transport=transport_of(one.case),
        correlations=one.case.inversion.transport_correlations,
        epoch_factors=one.case.city.ensemble.epoch_factors,
    )


def layouts(case: Case, block: str) -> dict[str, np.ndarray]:
    """Other layouts of a block's total: even, its brighter half, and each sector of each map (n_cells,)."""
    reference = flat(case.reference[block])
    found = {
        # even over the cells that emit at all: nobody claims a cut at sea
        "uniform": np.where(reference > 0.05 * reference.mean(), reference.mean(), 0.0),
        "core": np.where(reference > np.median(reference[reference > 0]), reference, 0.0),
    }
    for name, dataset in case.maps[block].items():
        if dataset.sizes["sector"] > 1:
            for sector in dataset["sector"].values:
                found[f"{name} {sector}"] = flat(dataset.sel(sector=[sector]))
    return found


def _rest(claim: ClaimSection, part: judging.Quantity, one: Solved) -> tuple[judging.Quantity, ...]:
    """What the whole of a share holds beside the claimed part: the rest of the region, and other blocks."""
    whole = _fraction(claim, claim.of_region or claim.region, one)
    wanted = claim.of_sectors or claim.sectors
    blocks = [b for b in _cell_blocks(one.case) if wanted == ("*",) or sectors_of(b, one.case) <= set(wanted)]
    rest = []
    for name in dict.fromkeys([part.block, *(b.name for b in blocks)]):
        left = whole - part.fraction if name == part.block else whole
        if left.min() < -_ROUNDING:
            raise InputError(
                f"claim '{claim.id}' is a share of a region that does not hold its own",
                expected=f"'{claim.region}' within '{claim.of_region}'",
                found=f"a cell that lies more in '{claim.region}'",
            )
        if left.max() > _ROUNDING:
            rest.append(_part(f"rest of {claim.of_region or claim.region}", name, left, one, part.epochs))
    if not rest:
        raise InputError(
            f"claim '{claim.id}' is a share of nothing but itself",
            expected="a larger region, or sectors of another block of the city file",
            found=f"of_region = {claim.of_region!r}, of_sectors = {list(claim.of_sectors)}",
        )
    return tuple(rest)


def _fraction(claim: ClaimSection, region: str | None, one: Solved) -> np.ndarray:
    """Coverage (n_cells,) of each cell by a region of the city file."""
    known = [str(name) for name in one.regions["region"].values]
    if region not in known:
        raise InputError(
            f"claim '{claim.id}' names a region that the city file does not have",
            expected=", ".join(known),
            found=str(region),
        )
    return np.asarray(one.regions["fraction"].sel(region=region).values.ravel())


def flat(flux: xr.Dataset) -> np.ndarray:
    """Mean over time of the sum of sectors (n_cells,)."""
    return np.asarray(flux["flux"].sum("sector").mean("time").values.ravel())


def transport_of(case: Case) -> TransportScale:
    """The multiplicative transport error that the city file states for the gas."""
    return TransportScale(case.inversion.transport_scale_sd, case.inversion.transport_epoch_sd)


def _cell_blocks(case: Case) -> list[FluxBlockSection]:
    return [b for b in case.city.block if b.species == case.species and b.resolution == "cells"]


def _block_of(claim: ClaimSection, sectors: tuple[str, ...], case: Case) -> str:
    """The block of cells that the claim is about."""
    cells = _cell_blocks(case)
    fitting = [b for b in cells if sectors == ("*",) or set(sectors) == sectors_of(b, case)]
    if len(fitting) != 1:
        raise InputError(
            f"claim '{claim.id}' must be about the sectors of exactly one block of cells",
            expected=" or ".join(f"{b.name}: {', '.join(sorted(sectors_of(b, case)))}" for b in cells),
            found=", ".join(sectors),
            remedy="name the sectors of one block, or merge blocks",
        )
    return fitting[0].name


def sectors_of(block: FluxBlockSection, case: Case) -> set[str]:
    """The sectors a block sums; of "*" all that its maps hold."""
    if block.sectors != ("*",):
        return set(block.sectors)
    return {str(s) for flux in case.maps[block.name].values() for s in flux["sector"].values}


# --- what is said, and what is estimated: the two sides of the gate -------------------------------------


def _unit(claim: ClaimSection) -> str:
    if claim.kind == "level":
        return units.level_unit(claim.species)
    return claim.unit or ("1 a-1" if claim.kind == "trend" else "1")


def _claim_text(claim: ClaimSection, one: Solved) -> judging.ClaimText:
    value = stated_value(claim)
    return judging.ClaimText(
        id=claim.id,
        kind=claim.kind,
        statement=claim.statement,
        species=claim.species,
        region=str(claim.region),
        value=value,
        unit=_unit(claim),
        reading=claim.read_as,
        width=float(claim.margin or claim.tolerance or 0.0),
        claimed_by=claim.claimed_by,
        where=claim.where,
        definition=_statement(claim, one, value),
    )


def _statement(claim: ClaimSection, one: Solved, value: float) -> Statement:
    city = one.case.city
    year = next((i.year for i in city.inventory if claim.where == f"inventory {i.id}"), None)
    ours = _region(claim, city)
    return Statement(
        species=claim.species,
        unit=claim.unit,
        scope=claim.scope,
        region=str(claim.region),
        area_km2=claim.region_area_km2,
        includes_biogenic=claim.includes_biogenic,
        basis=claim.basis,
        inventory_year=year,
        adjustments=adjustments_of(claim.adjustments),
        gwp=claim.gwp,
        includes_respiration=claim.includes_respiration,
        months=claim.months or None,
        uncertainty=claim.uncertainty,
        coverage=claim.coverage,
        denominator=claim.divided_by,
        base_year=claim.base_year,
        level=value if claim.kind == "level" else None,
        overlap=shared_area(Region(claim.id, claim.polygons), ours) if claim.polygons else None,
    )


def _estimand(claim: ClaimSection, one: Solved, epochs: tuple[Interval, ...]) -> Estimand:
    case = one.case
    block = _block_of(claim, claim.sectors, case)
    known, name = _known_level(claim, one, block)
    section = next(b for b in _cell_blocks(case) if b.name == block)
    return Estimand(
        species=case.species,
        region_area_km2=region_area_km2(_region(claim, case.city), case.grid),
        years=tuple(sorted({e.start.year for e in epochs})),
        biogenic_in_block=biogenic_in(block, case),
        respiration_in_block=respiration_in(block, case),
        hours=one.variants[0].name,
        is_level=claim.kind == "level",
        day_factors=bool(section.hour_factors),
        day_factors_sd=section.hour_factors_sd,
        months=months_sampled(one.main.problem.table, epochs),
        base_years=tuple(sorted({epochs[0].start.year, _last_year(epochs[0])})) if claim.epochs else (),
        scales=case.scales,
        reference_level=known,
        reference=name,
    )


def biogenic_in(block: str, case: Case) -> bool | None:
    """Whether the block holds natural fluxes of its gas; None where no block does, and there may be some."""
    natural = natural_terms(case.species)
    return _in_block(block, case, *natural) if natural else False


def respiration_in(block: str, case: Case) -> bool | None:
    """The same of the breath of people and livestock."""
    breath = breath_terms(case.species)
    return _in_block(block, case, *breath) if breath else False


def _in_block(block: str, case: Case, *terms: str) -> bool | None:
    """Whether the block holds such fluxes; None where no block does: nothing tells them apart."""
    blocks = [b for b in case.city.block if b.species == case.species]
    holding = [b.name for b in blocks if holds(sectors_of(b, case), *terms)]
    return block in holding if holding else None


def _known_level(claim: ClaimSection, one: Solved, block: str) -> tuple[float | None, str]:
    """Total [t a⁻¹] over the claim's region of a map that is only compared with, and its name; None without.

    Candidate maps are not asked, they are the prior; nor is the inventory that the claim quotes.
    """
    maps = one.case.compared.get(block, {}) if claim.kind == "level" and claim.sectors == ("*",) else {}
    name = next((name for name in maps if claim.where != f"inventory {name}"), None)
    if name is None:
        return None, ""
    mean = maps[name]["flux"].sum("sector").mean("time").transpose("lat", "lon").values
    fraction = one.regions["fraction"].sel(region=str(claim.region)).values
    total = float((mean * fraction * one.case.grid.cell_area_m2()).sum())
    return total * units.tonnes_per_year(one.case.species), f"inventory '{name}'"


def _region(claim: ClaimSection, city: CityConfig) -> Region:
    return next((r.as_domain() for r in city.region if r.id == claim.region), Region("window", ()))


def months_sampled(table: ObservationTable, epochs: Sequence[Interval]) -> tuple[tuple[int, ...], ...]:
    """The calendar months (1 … 12) with observations, of each interval that has any."""
    seen = [table.start[(table.start >= e.start64) & (table.start < e.end64)] for e in epochs]
    months = [sorted({int(m) % 12 + 1 for m in one.astype("M8[M]").astype(int)}) for one in seen]
    return tuple(tuple(found) for found in months if found)


def _last_year(epoch: Interval) -> int:
    return int((epoch.end64 - 1).astype("M8[Y]").astype(int)) + 1970
