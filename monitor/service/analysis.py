"""From a city's data to its answers: solve each gas, judge each claim, look for sources."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import xarray as xr

from monitor import units
from monitor.compare import claims as judging
from monitor.compare.ensemble import least_favourable
from monitor.compare.regions import region_fractions
from monitor.compare.statistics import LEVEL
from monitor.compare.verdict import number
from monitor.config import CityConfig, ClaimsConfig, ClaimSection
from monitor.domain import Interval, Region
from monitor.errors import InputError
from monitor.inversion.posterior import Posterior, solve_problem
from monitor.service.case import Case, CityData, build_case
from monitor.service.claims import flat, judge_claim, transport_of
from monitor.service.evaluation import cut_epochs
from monitor.service.ledger_rows import asked_of, estimand_of, mismatches, reconcile, years_of
from monitor.service.ledger_tables import reconcile_tables
from monitor.service.search import Found, find_sources

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
    ledgers: list[dict[str, object]] = field(default_factory=list)


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
        """From what was observed, the footprints and the maps: the same inputs give the same draws."""
        problem, found = self.main.problem, hashlib.sha256()
        arrays = [problem.table.value, problem.table.uncertainty]
        arrays += [a for b in problem.blocks for a in (b.jacobian.data, b.jacobian.indices, b.prior, b.sigma)]
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        return int.from_bytes(found.digest()[:4], "big")


def analyse(
    city: CityConfig,
    claims: ClaimsConfig | None,
    interval: Interval,
    data: CityData,
    *,
    as_of: date | None = None,
    progress: Callable[[str], None] | None = None,
) -> Analysis:
    """Solve every gas of the city over `interval`, judge its claims, scan for sources.

    `as_of` is the day of the evaluation (`monitor.service.evaluation`).

    Raises
    ------
    MonitorError
        When inputs are missing, do not fit together, or a claim names what is not there.
    """
    say = progress or (lambda _: None)
    solved: dict[str, Solved] = {}
    seen = cut_epochs(city, claims.claim if claims else (), interval)
    for species in city.city.species:
        say(f"{species}: solving")
        solved[species] = solve_case(build_case(seen, species, interval, data))
    warnings = [w for s in solved.values() for w in _warnings(s)]
    verdicts: dict[str, dict[str, object]] = {}
    for claim in claims.claim if claims else ():
        say(f"claim {claim.id}")
        found = judge_claim(claim, city, _solved_for(claim, solved), interval, as_of)
        if found is None:
            warnings.append(f"Claim '{claim.id}' is not judged here: its period is not inside {interval}.")
        else:
            verdicts[claim.id] = found
    searches: dict[str, Found] = {}
    for section in city.scan:
        say(f"{section.species}: looking for sources beyond the inventory")
        one, inversion = solved[section.species], city.inversion_of(section.species)
        searches[section.species] = find_sources(section, one.main, inversion, one.seed)
    say("the two ledgers")
    ledgers = [
        row.as_json()
        for one in solved.values()
        for row in (*reconcile(one), *reconcile_tables(one, data.tables))
    ]
    posteriors = {s: v.main.to_dataset(v.regions, transport_of(v.case)) for s, v in solved.items()}
    return Analysis(
        posteriors={s: _with_limits(dataset, searches.get(s)) for s, dataset in posteriors.items()},
        verdicts=verdicts,
        inventories={k: v for s in solved.values() for k, v in _inventories(s).items()},
        sources=[event for found in searches.values() for event in found.events],
        figures=_figures(solved) | _searched(searches),
        warnings=warnings,
        ledgers=ledgers,
    )


def _solved_for(claim: ClaimSection, solved: Mapping[str, Solved]) -> Solved:
    """The gas that a claim is about; of a sum of gases the first, and the gate says the rest."""
    gas = next(iter(solved)) if claim.species == "co2e" else claim.species
    if gas not in solved:
        raise InputError(
            f"claim '{claim.id}' is about a gas the city does not observe",
            expected=", ".join(solved),
            found=claim.species,
        )
    return solved[gas]


def solve_case(case: Case) -> Solved:
    """The main posterior and the ensemble that the city file asks for."""
    city = case.city
    main = judging.Variant(_hours_name(city.selection.local_hours), _solve(case, city.selection.local_hours))
    choices = judging.Choices(**city.ensemble.model_dump(exclude={"local_hours", "epoch_factors"}))
    variants = judging.variants_of(main, choices)
    variants += [
        judging.Variant(_hours_name(hours), _solve(case, hours), choice="hours")
        for hours in city.ensemble.local_hours
    ]
    regions = [r.as_domain() for r in city.region] or [Region("window", ())]
    return Solved(case, tuple(variants), region_fractions(regions, case.grid))


def _solve(case: Case, local_hours: tuple[int, int]) -> Posterior:
    return solve_problem(case.problem(local_hours))


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
        patterns={name: flat(dataset) for name, dataset in maps.items()},
        alternatives={},
        transport=transport_of(solved.case),
    )
    models = [v for v in solved.variants if not v.station_out]
    found = judging.answers(quantity, models)
    estimand = replace(estimand_of(solved, region, epoch, block.name), terms_listed=False)
    out: dict[str, dict[str, object]] = {}
    for name, pattern in quantity.patterns.items():
        answers = [a for a in found if a.pattern == name]
        pooled = least_favourable(quantity.made, answers, quantity.transport).estimate
        reasons = mismatches(asked_of(solved, region, name, maps[name], epoch, estimand))
        out[name] = {
            "species": solved.case.species,
            "region": region,
            "period": list(epoch.as_json()),
            "inventory_years": years_of(solved.case.city, name, maps[name]),
            "comparable": not reasons,
            "not_comparable": list(reasons),
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


def _searched(searches: Mapping[str, Found]) -> dict[str, object]:
    """How many places the searches looked at, and each in figures; nothing without a search."""
    if not searches:
        return {}
    figures = {species: found.figures for species, found in searches.items()}
    return {"sources_searched": sum(f.places for f in searches.values()), "searches": figures}


def _with_limits(posterior: xr.Dataset, found: Found | None) -> xr.Dataset:
    """The posterior with the map of the strengths that its search would have found."""
    if found is None:
        return posterior
    attributes = {
        "units": units.strength_unit(str(posterior.attrs["species"])),
        "long_name": "strength of a source that the search finds with 80 % at family-wise 5 %",
    }
    return posterior.assign(detectable_strength=(("lat", "lon"), found.detectable, attributes))


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
