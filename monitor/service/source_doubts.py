"""What a yes or a no about a source must withstand: instruments, inflow, other choices, left-out days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.compare.absence import check_missing
from monitor.compare.crosschecks import Checks, check
from monitor.compare.estimator import Variant
from monitor.compare.events import Event
from monitor.compare.statistics import Estimate, scaled
from monitor.compare.verdict import (
    CONTRADICTED,
    LEAST_COVERAGE,
    LEAST_OBSERVATIONS,
    SUPPORTED,
    UNDECIDED,
    Member,
    departs,
)
from monitor.config import ClaimSection
from monitor.inversion.posterior import Posterior
from monitor.service.search import prior_sd
from monitor.service.source_look import SourceLook, cell_of, enhancement_held, scope_of_claim, within

#: A p-value of 0.05 is at most 1 − 0.95, whatever the last digit says.
ROUNDING = 1e-12
#: What a check that an event does not pass says of a claim; the inventory may well hold what is claimed.
_REASONS = {
    "few-samples": "too-little-data",
    "other-stations": "unstable",
    "station-fault": "unstable",
    "station-stuck": "unstable",
    "inflow": "unstable",
}


def doubts_of_yes(look: SourceLook, posterior: Posterior) -> tuple[str, ...]:
    """Reason codes against a source that is seen: an instrument or the inflow may be what is seen."""
    hit = look.hit
    event = Event(look.search, hit, ((hit.cell, hit.window),), hit.p_value)
    spread = prior_sd(event, look.scope, posterior)
    checks = check(event, look.whole(hit.window), posterior.problem.table, spread)
    return (*_said_by(checks), *_fit(look, posterior, hit.window))


def doubts_of_no(look: SourceLook, posterior: Posterior, strength: float) -> tuple[str, ...]:
    """Reason codes against a strength that is ruled out: one station alone, or the inflow, may hide it."""
    table, window = posterior.problem.table, look.weakest
    checks = check_missing(look.search, look.whole(window), table, strength, window)
    found = _said_by(checks)
    if _rests_on_one(look, table.names, strength):
        found += ("unstable",)
    return (*found, *_fit(look, posterior, window))


def _said_by(checks: Checks) -> tuple[str, ...]:
    return tuple(_REASONS[code] for code in checks.reasons if code in _REASONS)


def _rests_on_one(look: SourceLook, names: np.ndarray, strength: float) -> bool:
    """Whether the others leave room for the strength without some station, in any window.

    With a single station there are no others: in the one window that is named its own record shows a
    fault, in one of many it may not.
    """
    stations = np.unique(names)
    if stations.size < 2:
        return look.search.windows.count > 1
    return any(look.among(np.flatnonzero(names != name)).limits.max() >= strength for name in stations)


def _fit(look: SourceLook, posterior: Posterior, window: int) -> tuple[str, ...]:
    """Whether there are data enough, and left-out days are predicted, with what is seen of the source off."""
    source = look.hit.limits[window, 0] * look.search.candidates.response(0, window)
    coverage = posterior.coverage_of(look.whole(window) - source)
    few = ("too-little-data",) if look.residual.size < LEAST_OBSERVATIONS else ()
    return few if LEAST_COVERAGE <= coverage <= 1.0 else ("poor-fit", *few)


# --- the ensemble -----------------------------------------------------------------------------------------


def members_of(
    claim: ClaimSection, look: SourceLook, answer: str, estimate: Estimate, variants: Sequence[Variant]
) -> tuple[Member, ...]:
    """What each variant says alone, the first of which is the look's own; none without variants.

    Each estimates the strength in the window that decides: that of a yes fits best, that of a no leaves most
    room.
    """
    if not variants:
        return ()
    window = look.weakest if answer == CONTRADICTED else look.hit.window
    first = Member(variants[0].name, estimate, answer, variants[0].choice)
    return (first, *(_member(claim, look, v, window) for v in variants[1:]))


def turned(answer: str, members: Sequence[Member], variants: Sequence[Variant]) -> bool:
    """Whether another choice says the opposite, or a station's loss that its data do not explain makes it."""
    opposite = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED}.get(answer)
    without = sum(v.station_out for v in variants)
    return any(
        m.verdict == opposite and (not v.station_out or departs(m.estimate, members[0].estimate, without))
        for m, v in zip(members, variants, strict=True)
    )


def _member(claim: ClaimSection, look: SourceLook, variant: Variant, window: int) -> Member:
    posterior = variant.posterior
    problem = posterior.problem
    scope = within(scope_of_claim(claim, posterior), look.interval(window))
    response = scope.candidates.response(0, 0)
    residual = problem.residual
    if claim.value is not None:
        residual = residual + np.where(
            response != 0, enhancement_held(problem, cell_of(claim, posterior)), 0.0
        )
    weighted = posterior.solution.weigh(response)
    norm = float(response @ weighted)
    if norm <= 0.0:
        return Member(
            variant.name, Estimate(np.nan, np.nan, np.nan, np.nan, look.level), UNDECIDED, variant.choice
        )
    value, sigma = float(weighted @ residual) / norm, float(np.sqrt(posterior.inflation / norm))
    found = scaled(value, sigma, look.scale_sd, look.level)
    seen = look.search.p_value(value / sigma) <= 1.0 - look.level + ROUNDING
    return Member(variant.name, found, _alone(claim.value, found, seen), variant.choice)


def _alone(claimed: float | None, found: Estimate, seen: bool) -> str:
    if claimed is not None and found.high < claimed:
        return CONTRADICTED
    return SUPPORTED if seen and (claimed is None or found.low <= claimed) else UNDECIDED
