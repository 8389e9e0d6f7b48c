"""Claims about a source: is there one at this place, and may it be as strong as is said?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor import units
from monitor.compare.crosschecks import Checks, check
from monitor.compare.detectable import detectable_strengths
from monitor.compare.events import Event
from monitor.compare.sources import upper_limit
from monitor.compare.statistics import LEVEL, Estimate
from monitor.compare.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict
from monitor.compare.windows import Windows
from monitor.config import ClaimSection, InversionSection, ScanSection
from monitor.domain import Interval
from monitor.errors import InputError
from monitor.inversion.posterior import Posterior
from monitor.service.search import Scope, dates_of, nearest_cell, prepared, prior_sd, scope_at

_CLAIM = {"bin_hours": 24.0, "min_days": 3.0, "max_days": 28.0, "recurring": False, "draws": 500}
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

    And no instrument, nor the inflow, explains it as well.  Contradicted only when a strength is claimed and
    the 95 % upper limit is below it.
    """
    problem = posterior.problem
    cell = nearest_cell(posterior, float(claim.lon_deg or 0.0), float(claim.lat_deg or 0.0), claim.id)
    section = ScanSection.model_validate(_CLAIM | {"species": claim.species})
    scope = scope_at(section, posterior, np.array([cell]))
    if claim.period is not None:
        scope = _within(scope, Interval.parse(*claim.period))
    search = prepared(scope, posterior, section.draws, seed)
    hit = search.look(problem.residual)
    scale_sd = inversion.transport_scale_sd
    value, sigma, low, high = hit.interval(scale_sd, np.random.default_rng(seed))
    event = Event(search, hit, ((hit.cell, hit.window),), hit.p_value)
    checks = check(event, problem.residual, problem.table, prior_sd(event, scope, posterior))
    detectable = float(detectable_strengths(search, np.unique(hit.windows), draws=section.draws)[0])
    if hit.p_value <= 1.0 - level + _ROUNDING:
        answer, reasons = _if_seen(checks)
    else:
        answer, reasons = _if_unseen(claim, upper_limit(hit, scale_sd), detectable)
    return Verdict(
        answer=answer,
        reasons=reasons,
        claim=_claim_json(claim, dates_of(hit, search.windows, scope.bins)),
        unit=units.strength_unit(claim.species),
        estimate=Estimate(value, sigma, low, high),
        detectable=detectable,
        share_from_data=1.0,
        responses={"the source itself": 1.0},
        uncertainty_rule=(
            "Flat prior on the strength; mixture over start and end weighted by their likelihood; a "
            f"transport error of {scale_sd:.0%} (1σ) is multiplied in; the false-alarm probability covers "
            f"all {search.windows.count} windows together."
        ),
        false_alarm=hit.p_value,
    ).as_json()


def _claim_json(claim: ClaimSection, dates: tuple[str, str]) -> dict[str, object]:
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
        "start": dates[0],
        "end": dates[1],
    }


def _if_seen(checks: Checks) -> tuple[str, tuple[str, ...]]:
    """Supported, unless one instrument or the inflow may be what is seen."""
    doubts = tuple(dict.fromkeys(_REASONS[code] for code in checks.reasons if code in _REASONS))
    return (UNDECIDED, doubts) if doubts else (SUPPORTED, ())


def _if_unseen(claim: ClaimSection, limit: float, detectable: float) -> tuple[str, tuple[str, ...]]:
    if claim.value is None:
        return UNDECIDED, ("too-little-data",)
    if limit < claim.value:
        return CONTRADICTED, ()
    return UNDECIDED, ("too-little-data",) if detectable <= claim.value else ("below-detectable-change",)


def _within(scope: Scope, period: Interval) -> Scope:
    """The scope of the one window that a claim states; `InputError` when the data do not reach it."""
    inside = (scope.bins.start < period.end64) & (scope.bins.end > period.start64)
    if not inside.any():
        raise InputError(
            "the data do not reach the period of a claimed source",
            expected=str(period),
            found=f"{scope.bins.start[0]} … {scope.bins.end[-1]}",
        )
    first, last = np.flatnonzero(inside)[[0, -1]]
    windows = Windows.of_runs(scope.bins.size, np.array([[first, last + 1]]))
    return replace(scope, candidates=replace(scope.candidates, windows=windows))
