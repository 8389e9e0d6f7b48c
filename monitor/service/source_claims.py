"""Claims about a source: is there one at this place, and may it be as strong as is said?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor import units
from monitor.compare.comparable import MISMATCH, compare_source, is_comparable
from monitor.compare.crosschecks import Checks, check
from monitor.compare.detectable import detectable_strengths
from monitor.compare.events import Event
from monitor.compare.sources import upper_limit
from monitor.compare.statistics import LEVEL, Estimate
from monitor.compare.verdict import (
    CONTRADICTED,
    NOT_COMPARABLE,
    SUPPORTED,
    UNDECIDED,
    UNSIMULATED,
    Comparison,
    Verdict,
)
from monitor.compare.windows import Windows
from monitor.config import ClaimSection, InversionSection, ScanSection
from monitor.domain import Interval, iso_z
from monitor.inversion.posterior import Posterior
from monitor.service.search import Dates, Scope, dates_of, nearest_cell, prepared, prior_sd, scope_at

_CLAIM = {"bin_hours": 24.0, "min_days": 3.0, "max_days": 28.0, "recurring": False}
#: Simulated worlds: at least, expected beyond what a look is granted, and at most.
_DRAWS, _DRAWS_BEYOND, _MOST_DRAWS = 500, 10, 10_000
#: A p-value of 0.05 is at most 1 − 0.95, whatever the last digit says.
_ROUNDING = 1e-12
#: What a check that an event does not pass says of a claim; the inventory may well hold what is claimed.
_REASONS = {
    "few-samples": "too-little-data",
    "other-stations": "unstable",
    "station-fault": "unstable",
    "station-stuck": "unstable",
    "inflow": "unstable",
}


def judge_source(
    claim: ClaimSection,
    posterior: Posterior,
    inversion: InversionSection,
    seed: int,
    level: float = LEVEL,
) -> dict[str, object]:
    """ "There is a source at this place": supported when its family-wise p is at most 1 − `level`.

    And no instrument, nor the inflow, explains it as well, and the interval of the strength holds the one
    claimed, if one is.  Contradicted only when a strength is claimed and the upper limit is below it,
    whatever else is seen.  Interval and limit are those of `level`, and so is the number of simulated worlds,
    within bounds: a look that is granted less error than they can show finds no source, and says so.
    """
    problem = posterior.problem
    cell = nearest_cell(posterior, float(claim.lon_deg or 0.0), float(claim.lat_deg or 0.0), claim.id)
    section = ScanSection.model_validate(_CLAIM | {"species": claim.species})
    scope = scope_at(section, posterior, np.array([cell]))
    unit = units.strength_unit(claim.species)
    items = _gate(claim, posterior, cell, scope)
    if not is_comparable(items):
        lost = tuple(f"{c.item}: {c.detail}" for c in items if c.status == MISMATCH)
        return Verdict(NOT_COMPARABLE, lost, _claim_json(claim), unit, comparability=items).as_json()
    if claim.period is not None:
        scope = _within(scope, Interval.parse(*claim.period))
    draws = draws_for(level)
    search = prepared(scope, posterior, draws, seed)
    hit = search.look(problem.residual)
    scale_sd = inversion.transport_sd
    estimate = Estimate(*hit.interval(scale_sd, np.random.default_rng(seed), level), level)
    event = Event(search, hit, ((hit.cell, hit.window),), hit.p_value)
    checks = check(event, problem.residual, problem.table, prior_sd(event, scope, posterior))
    detectable = float(detectable_strengths(search, np.unique(hit.windows), draws=_DRAWS)[0])
    answer: str
    reasons: tuple[str, ...]
    if claim.value is not None and upper_limit(hit, scale_sd, level) < claim.value:
        answer, reasons = CONTRADICTED, ()
    elif hit.p_value <= 1.0 - level + _ROUNDING:
        answer, reasons = _if_seen(claim, checks, estimate)
    elif hit.p_value <= 1.0 / (draws + 1) + _ROUNDING:
        answer, reasons = UNDECIDED, (UNSIMULATED,)
    else:
        answer, reasons = _if_unseen(claim, detectable)
    return Verdict(
        answer=answer,
        reasons=reasons,
        claim=_claim_json(claim, dates_of(hit, search.windows, scope.bins)) | {"draws": draws},
        unit=unit,
        estimate=estimate,
        comparability=items,
        detectable=detectable,
        share_from_data=1.0,
        responses={"the source itself": (1.0, 1.0)},
        uncertainty_rule=(
            "Flat prior on the strength; mixture over start and end weighted by their likelihood; a "
            f"transport error of {scale_sd:.0%} (1σ, the shared one and that of an epoch in quadrature) "
            "multiplies the estimate in the interval, the strength under test in the upper limit; the "
            f"false-alarm probability covers all {search.windows.count} windows together; from "
            f"{draws} draws it cannot be below 1/{draws + 1}."
        ),
        false_alarm=hit.p_value,
    ).as_json()


def draws_for(level: float) -> int:
    """Simulated worlds for a look at this level: enough that ten are expected beyond it, within bounds."""
    granted = max(1.0 - level, float(np.finfo(float).eps))
    return round(min(max(_DRAWS_BEYOND / granted, _DRAWS), _MOST_DRAWS))


def _gate(claim: ClaimSection, posterior: Posterior, cell: int, scope: Scope) -> tuple[Comparison, ...]:
    grid = posterior.problem.grid
    row, column = divmod(cell, grid.shape[1])
    where = f"{claim.lon_deg}, {claim.lat_deg} lies in the cell of row {row}, column {column} of the grid"
    seen = Interval.parse(iso_z(scope.bins.start[0]), iso_z(scope.bins.end[-1]))
    period = None if claim.period is None else Interval.parse(*claim.period)
    return compare_source(claim.species, posterior.problem.species, where, period, seen)


def _claim_json(claim: ClaimSection, dates: Dates | None = None) -> dict[str, object]:
    return {
        "kind": "source",
        "statement": claim.statement,
        "species": claim.species,
        "region": claim.region,
        "claimed": {"value": claim.value, "unit": units.strength_unit(claim.species), "reading": "present"},
        "claimed_by": claim.claimed_by,
        "where": claim.where,
        "adjustments": [a if isinstance(a, str) else a.text for a in claim.adjustments],
        "place": [claim.lon_deg, claim.lat_deg],
        **(dates.as_json() if dates else dict.fromkeys(("start", "end", "start_interval", "end_interval"))),
    }


def _if_seen(claim: ClaimSection, checks: Checks, estimate: Estimate) -> tuple[str, tuple[str, ...]]:
    """Supported, unless one instrument or the inflow may be what is seen, or its strength is another."""
    doubts = tuple(dict.fromkeys(_REASONS[code] for code in checks.reasons if code in _REASONS))
    if claim.value is not None and claim.value < estimate.low:
        doubts += ("stronger-than-claimed",)
    elif claim.value is not None and claim.value > estimate.high:
        doubts += ("too-little-data",) if "too-little-data" not in doubts else ()
    return (UNDECIDED, doubts) if doubts else (SUPPORTED, ())


def _if_unseen(claim: ClaimSection, detectable: float) -> tuple[str, tuple[str, ...]]:
    if claim.value is None or detectable <= claim.value:
        return UNDECIDED, ("too-little-data",)
    return UNDECIDED, ("below-detectable-change",)


def _within(scope: Scope, period: Interval) -> Scope:
    """The scope of the one window that a claim states."""
    inside = (scope.bins.start < period.end64) & (scope.bins.end > period.start64)
    first, last = np.flatnonzero(inside)[[0, -1]]
    windows = Windows.of_runs(scope.bins.size, np.array([[first, last + 1]]))
    return replace(scope, candidates=replace(scope.candidates, windows=windows))
