"""From a city's data to its answers: solve each gas, judge each claim, look for sources."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import xarray as xr

from monitor import units
from monitor.compare import claims as judging
from monitor.compare.comparable import Estimand, Statement
from monitor.compare.ensemble import least_favourable
from monitor.compare.regions import region_area_km2, region_fractions
from monitor.compare.statistics import LEVEL
from monitor.compare.verdict import number
from monitor.config import CityConfig, ClaimsConfig, ClaimSection, FluxBlockSection
from monitor.domain import Interval, Region
from monitor.errors import InputError, UnitError
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.posterior import Posterior, solve_problem
from monitor.service.case import Case, CityData, build_case
from monitor.service.search import find_sources, judge_source

__all__ = ["Analysis", "CityData", "analyse"]

_ALL_HOURS = (0, 24)


@dataclass(frozen=True)
class Analysis:
    """All answers of one interval, JSON-ready but for the posteriors."""

    posteriors: dict[str, xr.Dataset]
    verdicts: dict[str, dict[str, object]]
    inventories: dict[str, dict[str, object]]
    sources: list[dict[str, object]]
    figures: dict[str, object]
    warnings: list[str]


@dataclass(frozen=True, eq=False)
class Solved:
    """A gas with its main posterior and the variants of the ensemble, the main one first."""

    case: Case
    variants: tuple[judging.Variant, ...]
    regions: xr.Dataset

    @property
    def main(self) -> Posterior:
        return self.variants[0].posterior

    @property
    def seed(self) -> int:
        """From the observations themselves, so that the same data give the same draws."""
        return int.from_bytes(hashlib.sha256(self.main.problem.table.value.tobytes()).digest()[:4], "big")


def analyse(
    city: CityConfig,
    claims: ClaimsConfig | None,
    interval: Interval,
    data: CityData,
    *,
    progress: Callable[[str], None] | None = None,
) -> Analysis:
    """Solve every gas of the city over `interval`, judge its claims, scan for sources.

    Raises
    ------
    MonitorError
        When inputs are missing, do not fit together, or a claim names what is not there.
    """
    say = progress or (lambda _: None)
    solved: dict[str, Solved] = {}
    for species in city.city.species:
        say(f"{species}: solving")
        solved[species] = solve_case(build_case(city, species, interval, data))
    warnings = [w for s in solved.values() for w in _warnings(s)]
    verdicts: dict[str, dict[str, object]] = {}
    for claim in claims.claim if claims else ():
        say(f"claim {claim.id}")
        found = _judge(claim, city, solved, interval, warnings)
        if found is not None:
            verdicts[claim.id] = found
    sources = []
    for section in city.scan:
        say(f"{section.species}: looking for sources that are in no inventory")
        one = solved[section.species]
        sources += find_sources(section, one.main, city.inversion_of(section.species), one.seed)
    return Analysis(
        posteriors={s: v.main.to_dataset(v.regions, _transport(v)) for s, v in solved.items()},
        verdicts=verdicts,
        inventories={k: v for s in solved.values() for k, v in _inventories(s).items()},
        sources=sources,
        figures=_figures(solved) | _searched(city, solved),
        warnings=warnings,
    )


def solve_case(case: Case) -> Solved:
    """The main posterior and the ensemble that the city file asks for."""
    city = case.city
    main = judging.Variant(_hours_name(city.selection.local_hours), _solve(case, city.selection.local_hours))
    variants = [main]
    for hours in city.ensemble.local_hours:
        variants.append(judging.Variant(_hours_name(hours), _solve(case, hours), choice="hours"))
    variants += [judging.with_length(main, factor) for factor in city.ensemble.length_factors]
    variants += [judging.with_mismatch_time(main, f) for f in city.ensemble.mismatch_time_factors]
    variants += [judging.with_background_time(main, f) for f in city.ensemble.background_time_factors]
    inlets = main.posterior.problem.table.inlets
    if city.ensemble.leave_one_station_out and len(inlets) > 1:
        variants += [judging.without_station(main, k) for k in range(len(inlets))]
    regions = [r.as_domain() for r in city.region] or [Region("window", ())]
    return Solved(case, tuple(variants), region_fractions(regions, case.grid))


def _solve(case: Case, local_hours: tuple[int, int]) -> Posterior:
    return solve_problem(case.problem(local_hours))


def _transport(solved: Solved) -> TransportScale:
    section = solved.case.inversion
    return TransportScale(section.transport_scale_sd, section.transport_epoch_sd)


def _hours_name(hours: tuple[int, int]) -> str:
    return "all hours" if hours == _ALL_HOURS else f"{hours[0]:02d}-{hours[1]:02d} h"


def _warnings(solved: Solved) -> list[str]:
    warnings = list(solved.case.warnings)
    for variant in solved.variants:
        if variant.posterior.inflation > 1.05 and variant.posterior.neighbours:
            warnings.append(
                f"{solved.case.species}, {variant.name}: left-out days are missed by more than the model "
                f"says; all variances were multiplied by {variant.posterior.inflation:.2f}."
            )
    return warnings


def _judge(
    claim: ClaimSection,
    city: CityConfig,
    solved: Mapping[str, Solved],
    interval: Interval,
    warnings: list[str],
) -> dict[str, object] | None:
    """The verdict as JSON; ``None`` (and a warning) when the run does not hold the claim's period."""
    if claim.species not in solved:
        raise InputError(
            f"claim '{claim.id}' is about a gas the city does not observe",
            expected=", ".join(solved),
            found=claim.species,
        )
    one = solved[claim.species]
    not_here = f"Claim '{claim.id}' is not judged here: its period is not inside {interval}."
    if claim.kind == "source":
        if claim.period is not None and _epochs_of(claim, one.case) is None:
            warnings.append(not_here)
            return None
        return judge_source(claim, one.main, city.inversion_of(claim.species), one.seed)
    epochs = _epochs_of(claim, one.case)
    if epochs is None:
        warnings.append(not_here)
        return None
    quantity = _quantity(claim, city, one, epochs)
    text = _claim_text(claim, city)
    return judging.judge(text, _estimand(claim, city, one, epochs), quantity, one.variants).as_json()


def _epochs_of(claim: ClaimSection, case: Case) -> tuple[Interval, ...] | None:
    if claim.kind == "change":
        assert claim.epochs is not None
        known = {e.id for e in case.city.epoch}
        lost = [name for name in claim.epochs if name not in known]
        if lost:
            raise InputError(
                f"claim '{claim.id}' names epochs that the city file does not have",
                expected=", ".join(sorted(known)) or "[[epoch]] tables",
                found=", ".join(lost),
            )
        if any(name not in case.epochs for name in claim.epochs):
            return None
        return tuple(case.epochs[name] for name in claim.epochs)
    assert claim.period is not None
    period = Interval.parse(*claim.period)
    return (period,) if any(e.contains(period) for e in case.epochs.values()) else None


def _quantity(
    claim: ClaimSection, city: CityConfig, one: Solved, epochs: tuple[Interval, ...]
) -> judging.Quantity:
    region = str(claim.region)
    if region not in one.regions["region"].values:
        raise InputError(
            f"claim '{claim.id}' names a region that the city file does not have",
            expected=", ".join(map(str, one.regions["region"].values)),
            found=region,
        )
    block = _block_of(claim, one.case)
    maps = one.case.maps[block]
    reference = _flat(one.case.reference[block])
    alternatives = {
        # even over the cells that emit at all: nobody claims a cut at sea
        "uniform": np.where(reference > 0.05 * reference.mean(), reference.mean(), 0.0),
        "core": np.where(reference > np.median(reference[reference > 0]), reference, 0.0),
    }
    for name, dataset in maps.items():
        if dataset.sizes["sector"] > 1:
            for sector in dataset["sector"].values:
                alternatives[f"{name} {sector}"] = _flat(dataset.sel(sector=[sector]))
    return judging.Quantity(
        species=claim.species,
        region=region,
        block=block,
        fraction=one.regions["fraction"].sel(region=region).values.ravel(),
        area_m2=one.case.grid.cell_area_m2().ravel(),
        epochs=epochs,
        patterns={name: _flat(dataset) for name, dataset in maps.items()},
        alternatives=alternatives,
        transport=_transport(one),
    )


def _flat(flux: xr.Dataset) -> np.ndarray:
    """Mean over time of the sum of sectors (n_cells,)."""
    return np.asarray(flux["flux"].sum("sector").mean("time").values.ravel())


def _block_of(claim: ClaimSection, case: Case) -> str:
    """The block of cells that the claim is about."""
    cells = [b for b in case.city.block if b.species == case.species and b.resolution == "cells"]
    fitting = [b for b in cells if claim.sectors == ("*",) or set(claim.sectors) == _sectors_of(b, case)]
    if len(fitting) != 1:
        raise InputError(
            f"claim '{claim.id}' must be about the sectors of exactly one block of cells",
            expected=" or ".join(f"{b.name}: {', '.join(sorted(_sectors_of(b, case)))}" for b in cells),
            found=", ".join(claim.sectors),
            remedy="name the sectors of one block, or merge blocks",
        )
    return fitting[0].name


def _sectors_of(block: FluxBlockSection, case: Case) -> set[str]:
    """The sectors a block sums; of "*" all that its maps hold."""
    if block.sectors != ("*",):
        return set(block.sectors)
    return {str(s) for flux in case.maps[block.name].values() for s in flux["sector"].values}


def _claim_text(claim: ClaimSection, city: CityConfig) -> judging.ClaimText:
    value = float(claim.value or 0.0)
    if claim.kind == "level":
        with suppress(UnitError):  # the gate says so
            value *= units.total_factor(str(claim.unit), claim.species)
    reading = claim.reading if claim.kind == "change" else "equal"
    width = claim.margin or abs(value) / 2 if reading == "at least" else claim.tolerance or 0.25
    year = next((i.year for i in city.inventory if claim.where == f"inventory {i.id}"), None)
    return judging.ClaimText(
        id=claim.id,
        kind=claim.kind,
        statement=claim.statement,
        species=claim.species,
        region=str(claim.region),
        value=value,
        unit="1" if claim.kind == "change" else units.level_unit(claim.species),
        reading=reading,
        width=width,
        claimed_by=claim.claimed_by,
        where=claim.where,
        definition=Statement(
            species=claim.species,
            unit=claim.unit,
            scope=claim.scope,
            region=str(claim.region),
            area_km2=claim.region_area_km2,
            includes_biogenic=claim.includes_biogenic,
            basis=claim.basis,
            inventory_year=year,
            adjustments=claim.adjustments,
        ),
    )


def _estimand(claim: ClaimSection, city: CityConfig, one: Solved, epochs: tuple[Interval, ...]) -> Estimand:
    region = next((r.as_domain() for r in city.region if r.id == claim.region), Region("window", ()))
    block = _block_of(claim, one.case)
    return Estimand(
        species=one.case.species,
        region_area_km2=region_area_km2(region, one.case.grid),
        years=tuple(sorted({e.start.year for e in epochs})),
        biogenic_in_block=False,
        hours=one.variants[0].name,
        is_level=claim.kind == "level",
        day_factors=any(b.hour_factors for b in city.block if b.name == block and b.species == claim.species),
    )


def _inventories(solved: Solved) -> dict[str, dict[str, object]]:
    """Each candidate map against the air, flat along its own pattern, over the first region."""
    block = next((b for b in solved.main.problem.blocks if not b.is_pattern), None)
    if block is None:
        return {}
    maps = solved.case.maps[block.name]
    region = str(solved.regions["region"].values[0])
    epoch = list(solved.case.epochs.values())[-1]
    quantity = judging.Quantity(
        species=solved.case.species,
        region=region,
        block=block.name,
        fraction=solved.regions["fraction"].values[0].ravel(),
        area_m2=solved.case.grid.cell_area_m2().ravel(),
        epochs=(epoch,),
        patterns={name: _flat(dataset) for name, dataset in maps.items()},
        alternatives={},
        transport=_transport(solved),
    )
    models = [v for v in solved.variants if not v.station_out]
    out: dict[str, dict[str, object]] = {}
    for name, pattern in quantity.patterns.items():
        answers = [judging.answer(quantity, v, name) for v in models]
        pooled = least_favourable(quantity.made, answers, quantity.transport).estimate
        out[name] = {
            "species": solved.case.species,
            "region": region,
            "prior_total": float(quantity.weight @ pattern),
            "estimate": number(pooled.value),
            "sigma": number(pooled.sigma),
            "interval": [number(pooled.low), number(pooled.high)],
            "level": LEVEL,
            "unit": units.level_unit(solved.case.species),
            "response": number(
                min((min(a.responses.values()) for a in answers if a.responses), default=None)
            ),
            "background_share": number(solved.main.diagnostics.background_share),
        }
    return out


def _figures(solved: Mapping[str, Solved]) -> dict[str, object]:
    """Counts and diagnostics; of several gases the sums, with each gas below `by_species`."""
    by_species = {name: _species_figures(one) for name, one in solved.items()}
    if len(by_species) == 1:
        return next(iter(by_species.values()))
    excluded: Counter[str] = Counter()
    for figures in by_species.values():
        excluded.update(figures["excluded"])  # type: ignore[call-overload]
    return {
        "n_observations": sum(f["n_observations"] for f in by_species.values()),  # type: ignore[misc]
        "excluded": dict(excluded),
        "dofs": sum(f["dofs"] for f in by_species.values()),  # type: ignore[misc]
        "by_species": by_species,
    }


def _searched(city: CityConfig, solved: Mapping[str, Solved]) -> dict[str, object]:
    """How many places the scans looked at; nothing without a scan."""
    places = [len(s.places) or int(np.prod(solved[s.species].case.grid.shape)) for s in city.scan]
    return {"sources_searched": sum(places)} if places else {}


def _species_figures(one: Solved) -> dict[str, object]:
    table, d = one.main.problem.table, one.main.diagnostics
    return {
        "n_observations": table.n,
        "footprint_hours": table.footprint_hours,
        "used_hours": table.footprint_hours - sum(table.excluded.values()),
        "excluded": dict(table.excluded),
        "dofs": d.dofs,
        "chi2": d.chi2,
        "background_share": d.background_share,
        "raw_loo_variance": d.raw_loo_variance,
        "inflation": one.main.inflation,
        "loo_variance": d.loo_variance,
        "loo_coverage": d.loo_coverage,
        "loo_coverage_by_class": dict(d.loo_coverage_by_class),
        "log_evidence": one.main.hyperparameters.log_evidence,
    }
