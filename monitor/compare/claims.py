"""Level and change claims, held against the air.

The claimed quantity enters with a flat prior along its pattern, inside and outside the region and in
each epoch on its own, so that the prior does not vote; everything else keeps its covariance.  Each
candidate map is one pattern; patterns and variants of the model together are the ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from monitor import units
from monitor.compare.comparable import Estimand as Definition
from monitor.compare.comparable import Statement, compare_definitions, is_comparable
from monitor.compare.statistics import (
    Estimate,
    bayes_factor,
    gaussian,
    pool,
    probability_at_least,
    probability_within,
    relative_change,
)
from monitor.compare.verdict import (
    NOT_COMPARABLE,
    Evidence,
    Member,
    Verdict,
    change_answer,
    level_answer,
    weigh,
)
from monitor.domain import Interval
from monitor.errors import NumericalError
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.posterior import Posterior
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import TotalEstimate
from monitor.inversion.totals import FixedEffect, Total


@dataclass(frozen=True, eq=False)
class Variant:
    """One defensible way to solve the problem; `station_out` marks those with a station left out."""

    name: str
    posterior: Posterior
    station_out: bool = False


@dataclass(frozen=True, eq=False)
class Quantity:
    """What is claimed about: a region's total of one block in one or two epochs.

    Attributes
    ----------
    fraction : (n_cells,)
        Coverage of each cell by the region.
    area_m2 : (n_cells,)
    patterns : mapping of map id -> flux (n_cells,)
        Candidate maps [µmol m⁻² s⁻¹]; each is one flat direction.
    alternatives : mapping of name -> flux (n_cells,)
        Other layouts of the same total, for the response.
    """

    species: str
    region: str
    block: str
    fraction: np.ndarray
    area_m2: np.ndarray
    epochs: tuple[Interval, ...]
    patterns: Mapping[str, np.ndarray]
    alternatives: Mapping[str, np.ndarray]
    transport: TransportScale = field(default_factory=TransportScale)

    @property
    def weight(self) -> np.ndarray:
        """Per cell: fraction × area × t a⁻¹ per µmol s⁻¹."""
        return np.asarray(self.fraction * self.area_m2 * units.tonnes_per_year(self.species))

    def totals(self) -> list[Total]:
        return [Total(f"{self.region} {k}", self.block, self.weight, e) for k, e in enumerate(self.epochs)]

    def effects(self, pattern: np.ndarray) -> list[FixedEffect]:
        """The pattern inside and outside the region, per epoch; an empty outside is left out.

        In a cell that the region's edge cuts, the part inside counts in full and the part outside not at
        all: weighing both by the cell's coverage would hide some of a change that ends at the edge.
        """
        size = float(self.weight @ pattern)
        parts = [
            ("inside", pattern * self.fraction, size),
            ("outside", pattern * (1.0 - self.fraction), 0.0),
        ]
        names = [total.name for total in self.totals()]
        return [
            FixedEffect(f"{name} {k}", self.block, part, epoch, dict.fromkeys(names, adds))
            for k, epoch in enumerate(self.epochs)
            for name, part, adds in parts
            if float(np.abs(part) @ self.area_m2) > 0
        ]


@dataclass(frozen=True, eq=False)
class Answer:
    """Totals by one variant and one pattern, transport error included."""

    name: str
    totals: np.ndarray
    covariance: np.ndarray
    responses: Mapping[str, float]
    station_out: bool


def answer(quantity: Quantity, variant: Variant, pattern: str) -> Answer:
    """The totals of a quantity, flat along `pattern` (t a⁻¹), and the response to other layouts."""
    # the mean is the pattern times what the air says; any other prior mean would vote in the directions
    # in which the candidate maps differ
    problem = variant.posterior.problem.without_prior_mean(quantity.block)
    posterior = replace(variant.posterior, problem=problem)
    field = quantity.patterns[pattern]
    effects = [*quantity.effects(field), *_other_epochs(quantity, problem, field)]
    found = posterior.totals(quantity.totals(), effects)
    totals = found.shift
    contrast = np.zeros(totals.size)
    contrast[-1] = 1.0
    if totals.size == 2:
        contrast[0] = -totals[1] / totals[0]
    responses = {}
    for name, layout in {**quantity.patterns, **quantity.alternatives}.items():
        inside = layout * quantity.fraction
        size = float(quantity.weight @ layout)
        if size > 0:
            effect = problem.effect(quantity.block, inside, quantity.epochs[-1])
            responses[name] = float(contrast @ found.gain @ effect / size)
    return Answer(
        f"{pattern}, {variant.name}",
        totals,
        quantity.transport.inflate(totals, found.covariance, ratio=totals.size == 2),
        responses,
        variant.station_out,
    )


def _other_epochs(quantity: Quantity, problem: InverseProblem, pattern: np.ndarray) -> list[FixedEffect]:
    """The pattern, free in each epoch that is not asked about and is seen.

    Fluxes are correlated in time: a prior mean wrong in all epochs, held in one, would pull at the others.
    """
    effects = [
        FixedEffect(f"epoch {name}", quantity.block, pattern, epoch)
        for name, epoch in problem.epochs.items()
        if not any(epoch.overlaps(asked) for asked in quantity.epochs)
    ]
    return [e for e in effects if np.any(problem.effect(e.block, e.field, e.interval))]


def _answer_or_none(quantity: Quantity, variant: Variant, pattern: str) -> Answer:
    """The answer; without numbers where the stations left over do not see the pattern in an epoch."""
    try:
        return answer(quantity, variant, pattern)
    except NumericalError:
        if not variant.station_out:
            raise
        k = len(quantity.epochs)
        blind = np.full((k, k), np.nan)
        return Answer(f"{pattern}, {variant.name}", blind[0], blind, {}, True)


def informative(quantity: Quantity, posterior: Posterior) -> TotalEstimate:
    """The totals with the prior's vote, printed beside the verdict."""
    return posterior.totals(quantity.totals())


def share_from_data(found: TotalEstimate, contrast: np.ndarray) -> float:
    """1 − posterior over prior variance of a contrast of totals."""
    before = float(contrast @ found.prior_covariance @ contrast)
    after = float(contrast @ found.covariance @ contrast)
    return 1.0 - after / before if before > 0 else float("nan")


@dataclass(frozen=True)
class ClaimText:
    """The claim in its own words, as it is carried to the page."""

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
            "adjustments": list(self.definition.adjustments),
        }


def judge(
    claim: ClaimText, definition: Definition, quantity: Quantity, variants: Sequence[Variant]
) -> Verdict:
    """The verdict on a level or change claim.

    Parameters
    ----------
    variants
        The first is the main one; those with `station_out` check stability and do not enter the pool.
    """
    items = compare_definitions(claim.definition, definition)
    if not is_comparable(items):
        lost = tuple(f"{c.item}: {c.detail}" for c in items if c.status == "mismatch")
        return Verdict(NOT_COMPARABLE, lost, claim.as_json(), claim.unit, comparability=items)
    change = len(quantity.epochs) == 2
    answers = [_answer_or_none(quantity, v, p) for v in variants for p in quantity.patterns]
    members = [_member(claim, a) for a in answers]
    models = [m for m, a in zip(members, answers, strict=True) if not a.station_out]
    stations = [m for m, a in zip(members, answers, strict=True) if a.station_out]
    pooled = pool([m.estimate for m in models])
    main = variants[0].posterior
    contrast = np.array([-answers[0].totals[1] / answers[0].totals[0], 1.0]) if change else np.ones(1)
    share = share_from_data(informative(quantity, main), contrast)
    responses = _least(a.responses for a in answers if not a.station_out)
    evidence = Evidence(
        responses=responses,
        model_members=models,
        station_members=stations,
        loo_coverage=main.diagnostics.loo_coverage,
        n_observations=main.problem.table.n,
        share_from_data=share,
        smallest_decidable=abs(claim.value) * (1.0 if claim.reading == "at least" else claim.width),
    )
    final, reasons = weigh(_rule(claim, pooled), pooled.detectable, evidence)
    return Verdict(
        answer=final,
        reasons=reasons,
        claim=claim.as_json(),
        unit=claim.unit,
        estimate=pooled,
        comparability=items,
        probability=_probability(claim, pooled),
        bayes_factor=bayes_factor(pooled, claim.value) if change else None,
        detectable=pooled.detectable,
        share_from_data=share,
        responses=responses,
        ensemble=tuple(members),
        uncertainty_rule=_rule_text(quantity, change),
    )


def _member(claim: ClaimText, found: Answer) -> Member:
    if found.totals.size == 2:
        estimate = relative_change(found.totals, found.covariance)
    else:
        estimate = gaussian(float(found.totals[0]), float(np.sqrt(found.covariance[0, 0])))
    return Member(found.name, estimate, _rule(claim, estimate))


def _rule(claim: ClaimText, estimate: Estimate) -> str:
    if claim.reading == "at least":
        return change_answer(estimate, claim.value, claim.width)
    return level_answer(estimate, claim.value, claim.width)


def _probability(claim: ClaimText, pooled: Estimate) -> float:
    if claim.reading == "at least":
        return probability_at_least(pooled, claim.value)
    low, high = sorted((claim.value * (1 - claim.width), claim.value * (1 + claim.width)))
    return probability_within(pooled, low, high)


def _least(responses: object) -> dict[str, float]:
    out: dict[str, float] = {}
    for found in responses:  # type: ignore[attr-defined]
        for name, value in found.items():
            out[name] = min(value, out.get(name, np.inf))
    return out


def _rule_text(quantity: Quantity, change: bool) -> str:
    text = (
        "Flat prior along each candidate map, inside and outside the region; variance within and between "
        "hyperparameters, inflated to what left-out days show; members of the ensemble pooled by the law "
        "of total variance"
    )
    t = quantity.transport
    if change:
        return (
            f"{text}; epochs jointly, with their covariance (Fieller); a transport error of {t.epoch_sd:.1%} "
            f"(1σ) that differs between epochs is added, one common to both cancels."
        )
    return f"{text}; a common transport error of {np.hypot(t.common_sd, t.epoch_sd):.1%} (1σ) is added."


def with_length(variant: Variant, factor: float) -> Variant:
    """The variant with all correlation lengths of the fluxes multiplied by `factor`."""
    return _with_factor(variant, " length", factor, f"correlation length × {factor:g}")


def with_mismatch_time(variant: Variant, factor: float) -> Variant:
    """The variant with the correlation time of the transport error multiplied by `factor`."""
    return _with_factor(variant, "transport time", factor, f"mismatch time × {factor:g}")


def with_background_time(variant: Variant, factor: float) -> Variant:
    """The variant with the correlation time of the inflow multiplied by `factor`."""
    return _with_factor(variant, "inflow time", factor, f"inflow time × {factor:g}")


def _with_factor(variant: Variant, ending: str, factor: float, name: str) -> Variant:
    posterior = variant.posterior
    names = [p.name for p in posterior.hyperparameters.parameters]
    values = posterior.values.copy()
    values[[i for i, n in enumerate(names) if n.endswith(ending)]] *= factor
    return replace(variant, name=name, posterior=posterior.at(values))


def without_station(variant: Variant, station: int) -> Variant:
    """The variant with one inlet's observations left out, at the same hyperparameters."""
    problem = variant.posterior.problem
    keep = np.flatnonzero(problem.table.station != station)
    name = f"without {problem.table.inlets[station]}"
    return Variant(name, variant.posterior.on(problem.select(keep)), station_out=True)
