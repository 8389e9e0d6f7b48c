"""Level, change, trend and share claims, held against the air.

Each candidate map is one pattern; patterns and variants of the model together are the ensemble.  `decide`
goes from answers to a verdict without looking at a model: `judge` calls it with the answers of one set of
observations, a calibration with those of thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from monitor.compare.comparable import compare_definitions, is_comparable
from monitor.compare.confounding import correlations
from monitor.compare.definitions import Estimand as Definition
from monitor.compare.definitions import Statement
from monitor.compare.ensemble import (
    MAP,
    Choices,
    Pooled,
    estimate_at,
    pooled_at_each,
    pooled_responses,
    variants_of,
    with_background,
    with_background_time,
    with_length,
    with_mismatch_scale,
    with_mismatch_time,
    without_station,
)
from monitor.compare.epochs import compare_epochs
from monitor.compare.estimator import MAIN, Answer, Estimator, Variant, answer, answers, estimator, estimators
from monitor.compare.forms import Level, Share
from monitor.compare.plan import detectable_before, years_to_detect
from monitor.compare.quantity import Quantity
from monitor.compare.statistics import (
    LEVEL,
    Estimate,
    bayes_factor,
    probability_at_least,
    probability_within,
)
from monitor.compare.verdict import (
    NOT_COMPARABLE,
    UNDECIDED,
    Comparison,
    EpochTotal,
    Evidence,
    Member,
    Spread,
    Verdict,
    change_answer,
    departs,
    flips_of,
    level_answer,
    weigh,
)
from monitor.inversion.assumptions import TransportScale

__all__ = [
    "Answer",
    "Choices",
    "ClaimText",
    "Estimator",
    "Quantity",
    "Support",
    "TransportScale",
    "Variant",
    "answer",
    "answers",
    "decide",
    "estimator",
    "estimators",
    "gate",
    "judge",
    "rule",
    "share_from_data",
    "support_of",
    "variants_of",
    "with_background",
    "with_background_time",
    "with_length",
    "with_mismatch_scale",
    "with_mismatch_time",
    "without_station",
]


@dataclass(frozen=True)
class ClaimText:
    """The claim in its own words, as it is carried to the page.

    `kind` is level, change, trend or share; `width` the margin of "at least" (in the unit of the value), the
    relative tolerance of "equal".
    """

    id: str
    kind: str
    statement: str
    species: str
    region: str
    value: float
    unit: str
    reading: str
    width: float
    claimed_by: str
    where: str
    definition: Statement

    def as_json(self) -> dict[str, object]:
        width = {"margin": self.width} if self.reading == "at least" else {"tolerance": self.width}
        return {
            "kind": self.kind,
            "statement": self.statement,
            "species": self.species,
            "region": self.region,
            "claimed": {"value": self.value, "unit": self.unit, "reading": self.reading, **width},
            "claimed_by": self.claimed_by,
            "where": self.where,
            "adjustments": [a if isinstance(a, str) else a.text for a in self.definition.adjustments],
        }


@dataclass(frozen=True, eq=False)
class Support:
    """What a verdict rests on beside the answers.

    Attributes
    ----------
    loo_coverage : float
        Share of left-out days' observations inside their 95 % intervals.
    prior_covariance, posterior_covariance : (k, k)
        Of the totals with the prior's vote.
    detectable_before : float
    correlations : mapping of part of the model -> correlation with the claimed contrast
    """

    loo_coverage: float
    n_observations: int
    prior_covariance: np.ndarray
    posterior_covariance: np.ndarray
    detectable_before: float = np.nan
    correlations: Mapping[str, float] = field(default_factory=dict)


def support_of(
    quantity: Quantity, main: Variant, members: Sequence[Estimator], level: float = LEVEL
) -> Support:
    """Of a solved problem."""
    return Support(
        loo_coverage=main.posterior.diagnostics.loo_coverage,
        n_observations=main.posterior.problem.table.n,
        prior_covariance=members[0].prior,
        posterior_covariance=members[0].informed,
        detectable_before=detectable_before(quantity, members, level),
        correlations=correlations(quantity, main, members[0]),
    )


def judge(
    claim: ClaimText,
    definition: Definition,
    quantity: Quantity,
    variants: Sequence[Variant],
    *,
    level: float = LEVEL,
) -> Verdict:
    """The verdict on a claim of level, change, trend or share.

    Parameters
    ----------
    variants
        The first is the main one; those with `station_out` check stability and do not enter the pool.
    level
        Of all intervals; less error is left to one look at the data of several.
    """
    items = gate(claim.definition, definition, quantity, variants[0])
    if not is_comparable(items):
        lost = tuple(f"{c.item}: {c.detail}" for c in items if c.status == "mismatch")
        return Verdict(NOT_COMPARABLE, lost, claim.as_json(), claim.unit, comparability=items)
    members = estimators(quantity, variants)
    answers = [m.at(m.residual) for m in members]
    support = support_of(quantity, variants[0], members, level)
    verdict = decide(claim, quantity, answers, support, level=level, items=items)
    return replace(verdict, epochs=epoch_totals(quantity, answers, level))


def epoch_totals(
    quantity: Quantity, answers: Sequence[Answer], level: float = LEVEL
) -> tuple[EpochTotal, ...]:
    """The total of each of several epochs as a level of its own, transport error included.

    They are correlated: a change or a trend has an interval of its own, and it does not follow from these.
    """
    models = [a for a in answers if not a.station_out]
    if len(quantity.epochs) < 2 or not all(np.isfinite(a.covariance).all() for a in models):
        return ()
    found = []
    for k, epoch in enumerate(quantity.epochs):
        alone = [replace(a, totals=a.totals[[k]], covariance=a.covariance[[k]][:, [k]]) for a in models]
        pooled = pooled_at_each(Level(), alone, quantity.transport, level, declared_sd=quantity.declared_sd)
        found.append(EpochTotal(epoch, pooled[0].estimate))
    return tuple(found)


def gate(
    statement: Statement, definition: Definition, quantity: Quantity, main: Variant
) -> tuple[Comparison, ...]:
    """Whether the claim is about what is estimated, and its epochs were seen in the same way."""
    items = compare_definitions(statement, definition)
    if len(quantity.epochs) == 1:
        return items
    problem = main.posterior.problem
    offset = problem.assumptions.selection.utc_offset_h
    return (*items, *compare_epochs(statement, problem.table, quantity.epochs, offset))


def decide(
    claim: ClaimText,
    quantity: Quantity,
    answers: Sequence[Answer],
    support: Support,
    *,
    level: float = LEVEL,
    items: tuple[Comparison, ...] = (),
) -> Verdict:
    """The verdict from the members' answers: variant by variant, within each map by map, main ones first.

    A pure function of its arguments.  Where a member of the pool has no answer there is no estimate.
    """
    form, models = quantity.made, [a for a in answers if not a.station_out]
    if not all(np.isfinite(a.covariance).all() for a in models):
        why = ("too-little-data",)
        return Verdict(UNDECIDED, why, claim.as_json(), claim.unit, comparability=items)
    tried = pooled_at_each(
        form, models, quantity.transport, level, quantity.correlations, quantity.declared_sd
    )
    pooled = _least_favourable(claim, tried)
    correlation = pooled.correlation if np.isfinite(pooled.correlation) else 0.0
    members = []
    for found in answers:
        estimate = estimate_at(form, found, quantity.transport, correlation, level, quantity.declared_sd)
        name = _choice(found, answers[0])
        members.append(Member(found.name, estimate, rule(claim, estimate), name))
    share = share_from_data(support, form.contrast(answers[0].totals, answers[0].covariance))
    evidence = Evidence(
        responses=pooled_responses(models),
        model_members=[m for m, a in zip(members, answers, strict=True) if not a.station_out],
        station_members=_departing(answers, members),
        loo_coverage=support.loo_coverage,
        n_observations=support.n_observations,
        share_from_data=share,
        smallest_decidable=abs(claim.value) * (1.0 if claim.reading == "at least" else claim.width),
    )
    said = rule(claim, pooled.estimate)
    final, reasons = weigh(said, pooled.estimate.detectable, evidence)
    return Verdict(
        answer=final,
        reasons=reasons,
        claim=claim.as_json(),
        unit=claim.unit,
        estimate=pooled.estimate,
        comparability=items,
        probability=_probability(claim, pooled.estimate),
        bayes_factor=bayes_factor(pooled.estimate, claim.value) if form.from_none else None,
        detectable=pooled.estimate.detectable,
        share_from_data=share,
        responses=evidence.responses,
        ensemble=tuple(members),
        uncertainty_rule=_rule_text(quantity, pooled),
        spread=Spread(pooled.within, pooled.between, pooled.by_choice),
        flips=flips_of(said, members),
        correlation=pooled.correlation,
        correlations=support.correlations,
        detectable_before=support.detectable_before,
        years_to_detect=years_to_detect(quantity, answers[0], pooled, claim.value),
    )


def _least_favourable(claim: ClaimText, tried: Sequence[Pooled]) -> Pooled:
    """The widest of those that leave the claim open; if none does, the widest of all."""
    open_ones = [p for p in tried if rule(claim, p.estimate) == UNDECIDED]
    return max(open_ones or tried, key=lambda p: p.estimate.sigma)


def _departing(answers: Sequence[Answer], members: Sequence[Member]) -> list[Member]:
    """The members without a station that depart from the main one of their map."""
    mains = {a.pattern: m for a, m in reversed(list(zip(answers, members, strict=True)))}
    without = [(a, m) for a, m in zip(answers, members, strict=True) if a.station_out]
    tried = len(without) // len(mains)
    return [m for a, m in without if departs(m.estimate, mains[a.pattern].estimate, tried)]


def _choice(found: Answer, first: Answer) -> str:
    """What a member does otherwise than the first one, in words."""
    if found.pattern == first.pattern:
        return found.choice
    return MAP if found.choice == MAIN else f"{found.choice} and {MAP}"


def share_from_data(support: Support, contrast: np.ndarray) -> float:
    """1 − posterior over prior variance of a contrast of totals."""
    before = float(contrast @ support.prior_covariance @ contrast)
    after = float(contrast @ support.posterior_covariance @ contrast)
    return 1.0 - after / before if before > 0 else float("nan")


def rule(claim: ClaimText, estimate: Estimate) -> str:
    """What one estimate says of the claim, alone."""
    if claim.reading == "at least":
        return change_answer(estimate, claim.value, claim.width)
    return level_answer(estimate, claim.value, claim.width)


def _probability(claim: ClaimText, pooled: Estimate) -> float:
    if claim.reading == "at least":
        return probability_at_least(pooled, claim.value)
    low, high = sorted((claim.value * (1 - claim.width), claim.value * (1 + claim.width)))
    return probability_within(pooled, low, high)


_TOTALS = (
    "Flat prior along each candidate map, inside and outside the region; variance within and between "
    "hyperparameters, inflated to what left-out days show; members of the ensemble pooled, choices as "
    "independent of each other"
)


def _which(correlations: Sequence[float]) -> str:
    if len(correlations) == 1:
        return "as the city declares"
    return f"the least favourable of {', '.join(f'{c:g}' for c in correlations)}"


def _rule_text(quantity: Quantity, pooled: Pooled) -> str:
    t, form, degrees = quantity.transport, quantity.made, pooled.estimate.degrees
    if isinstance(form, Level):
        return (
            f"{_TOTALS}; a common transport error of {np.hypot(t.common_sd, t.epoch_sd):.1%} (1σ) is added."
        )
    if isinstance(form, Share):
        return f"{_TOTALS}; part and whole together (Fieller): a transport error that both share cancels."
    text = f"{_TOTALS}; epochs jointly, with their covariance"
    text += " (Fieller)" if form.is_ratio else ""
    text += f"; a transport error of {t.epoch_sd:.1%} (1σ) that differs between epochs is added"
    if np.isfinite(pooled.correlation):
        text += (
            f", and one of {t.common_sd:.1%} (1σ) that they share, correlated between them by "
            f"{pooled.correlation:g}, {_which(quantity.correlations)}"
        )
    if np.isfinite(degrees):
        text += f"; Student's t with {degrees:g} degrees of freedom"
    return f"{text}."
