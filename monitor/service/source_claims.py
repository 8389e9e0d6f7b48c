"""Claims about a source: is there one at this place, and may it be as strong as is said?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor import units
from monitor.compare.comparable import MISMATCH, compare_source, declared_sd, is_comparable
from monitor.compare.detectable import detectable_strengths
from monitor.compare.estimator import Variant
from monitor.compare.statistics import LEVEL, Estimate
from monitor.compare.strengths import compare_strength
from monitor.compare.verdict import (
    CONTRADICTED,
    NOT_COMPARABLE,
    SUPPORTED,
    UNDECIDED,
    UNSIMULATED,
    Comparison,
    Verdict,
    flips_of,
)
from monitor.config import ClaimSection, InversionSection
from monitor.domain import Interval, iso_z
from monitor.inversion.posterior import Posterior
from monitor.service.search import Dates, Scope, dates_of, prepared
from monitor.service.source_doubts import ROUNDING, doubts_of_no, doubts_of_yes, members_of, turned
from monitor.service.source_look import (
    SourceLook,
    cell_of,
    enhancement_held,
    look_at,
    scope_of_claim,
    strength_held,
    within,
)

#: Simulated worlds: at least, expected beyond what a look is granted, and at most.
_DRAWS, _DRAWS_BEYOND, _MOST_DRAWS = 500, 10, 10_000


def judge_source(
    claim: ClaimSection,
    posterior: Posterior,
    inversion: InversionSection,
    seed: int,
    level: float = LEVEL,
    variants: Sequence[Variant] = (),
) -> dict[str, object]:
    """ "There is a source at this place": supported when its family-wise p is at most 1 − `level`.

    And the interval of the strength holds the one claimed, if one is.  Contradicted only when a strength is
    claimed and the upper limit is below it, whatever else is seen.  Both only if no instrument, nor the
    inflow, explains it as well, left-out days are predicted as they should be, and no variant says the
    opposite.

    A strength that is claimed is the whole source: what the inventory holds in the cell is a part of what is
    estimated.  Without one the estimate is what lies beyond the inventory.

    Interval and limit are those of `level`, and so is the number of simulated worlds, within bounds: a look
    that is granted less error than they can show finds no source, and says so.

    Parameters
    ----------
    variants
        The ensemble, the main one first.
    """
    problem = posterior.problem
    cell = cell_of(claim, posterior)
    scope = scope_of_claim(claim, posterior)
    unit = units.strength_unit(claim.species)
    items, inventory = _gate(claim, posterior, cell, scope)
    if not is_comparable(items):
        lost = tuple(f"{c.item}: {c.detail}" for c in items if c.status == MISMATCH)
        return Verdict(NOT_COMPARABLE, lost, _claim_json(claim), unit, comparability=items).as_json()
    if claim.period is not None:
        scope = within(scope, Interval.parse(*claim.period))
    draws = draws_for(level)
    held = np.zeros(problem.table.n) if claim.value is None else enhancement_held(problem, cell)
    scale_sd = float(np.hypot(inversion.transport_sd, declared_sd(items)))
    search = prepared(scope, posterior, draws, seed)
    look = look_at(scope, search, posterior, held, scale_sd=scale_sd, level=level)
    hit = look.hit
    estimate = Estimate(*hit.interval(scale_sd, np.random.default_rng(seed), level), level)
    detectable = float(detectable_strengths(search, np.unique(hit.windows), draws=_DRAWS)[0])
    answer, reasons = _answer(claim, look, posterior, estimate, draws)
    if answer == UNDECIDED and not reasons:
        reasons = _if_unseen(claim, detectable)
    members = members_of(claim, look, answer, estimate, variants)
    if turned(answer, members, variants):
        answer, reasons = UNDECIDED, ("unstable",)
    return Verdict(
        answer=answer,
        reasons=reasons,
        claim=_claim_json(claim, dates_of(hit, search.windows, scope.bins)) | {"draws": draws},
        unit=unit,
        estimate=estimate,
        comparability=items,
        detectable=detectable,
        ensemble=members,
        flips=flips_of(answer, members),
        uncertainty_rule=_rule_text(claim, look, draws, inventory),
        false_alarm=hit.p_value,
    ).as_json()


def _answer(
    claim: ClaimSection, look: SourceLook, posterior: Posterior, estimate: Estimate, draws: int
) -> tuple[str, tuple[str, ...]]:
    """What the look alone says, and why it does not say more; no reason where nothing is seen."""
    hit, value = look.hit, claim.value
    if value is not None and float(look.limits.max()) < value:
        doubts, said = doubts_of_no(look, posterior, value), CONTRADICTED
    elif hit.p_value <= 1.0 - look.level + ROUNDING:
        doubts, said = doubts_of_yes(look, posterior), SUPPORTED
        if value is not None and value < estimate.low:
            doubts += ("stronger-than-claimed",)
        elif value is not None and value > estimate.high:
            doubts += ("too-little-data",)
    else:
        reached = hit.p_value > 1.0 / (draws + 1) + ROUNDING
        return UNDECIDED, () if reached else (UNSIMULATED,)
    return (UNDECIDED, tuple(dict.fromkeys(doubts))) if doubts else (said, ())


def _rule_text(claim: ClaimSection, look: SourceLook, draws: int, inventory: str) -> str:
    what = (
        f"beyond the inventory, which has {inventory} there"
        if claim.value is None
        else f"of all that the cell emits, the {inventory} of the inventory among it"
    )
    return (
        f"Flat prior on the strength {what}; mixture over start and end weighted by their likelihood; a "
        f"transport error of {look.scale_sd:.0%} (1σ, the shared one and that of an epoch in quadrature) "
        "multiplies the estimate in the interval, the strength under test in the upper limit; the "
        f"false-alarm probability covers all {look.search.windows.count} windows together; from "
        f"{draws} draws it cannot be below 1/{draws + 1}."
    )


def draws_for(level: float) -> int:
    """Simulated worlds for a look at this level: enough that ten are expected beyond it, within bounds."""
    granted = max(1.0 - level, float(np.finfo(float).eps))
    return round(min(max(_DRAWS_BEYOND / granted, _DRAWS), _MOST_DRAWS))


def _gate(
    claim: ClaimSection, posterior: Posterior, cell: int, scope: Scope
) -> tuple[tuple[Comparison, ...], str]:
    """The items of the gate, and in words what the inventory holds at the place."""
    problem = posterior.problem
    row, column = divmod(cell, problem.grid.shape[1])
    where = f"{claim.lon_deg}, {claim.lat_deg} lies in the cell of row {row}, column {column} of the grid"
    seen = Interval.parse(iso_z(scope.bins.start[0]), iso_z(scope.bins.end[-1]))
    period = None if claim.period is None else Interval.parse(*claim.period)
    items = compare_source(claim.species, problem.species, where, period, seen)
    held = strength_held(problem, cell, period if period is not None and seen.overlaps(period) else seen)
    inventory = f"{held:,.0f}" if held >= 100 else f"{held:.3g}"
    inventory = f"{inventory} {units.strength_unit(problem.species)}"
    strength = compare_strength(claim.value, held, inventory, claim.adjustments)
    return (*items, strength), inventory


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


def _if_unseen(claim: ClaimSection, detectable: float) -> tuple[str, ...]:
    if claim.value is None or detectable <= claim.value:
        return ("too-little-data",)
    return ("below-detectable-change",)
