"""The four answers, the rules that lead to them, and the reasons that go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt

from scipy.stats import norm

from monitor.compare.statistics import LEVEL, Estimate
from monitor.domain import Interval

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
NOT_COMPARABLE = "not comparable"
#: The reason of an answer that is not due: between the dates on which a claim is judged.
NOT_DUE = "not-an-evaluation-date"
#: The reason of an answer that came too late: the look has one already, from other data.
TAKEN = "look-taken"
#: The reason of a date that was declared when the claim had been looked at already.
LATE = "declared-late"
#: The reason of a look at a source that is granted less error than simulations can show.
UNSIMULATED = "beyond-simulation"

#: Outside these responses to some pattern of the same total, neither yes nor no may be said.
LEAST_RESPONSE, MOST_RESPONSE = 0.8, 1.25
#: Below this part of the prior variance taken away by the data, a number is the prior's.
LEAST_SHARE = 0.5
#: Fewer observations decide nothing: neither their errors nor their scales are known from them.
LEAST_OBSERVATIONS = 60
#: Share of left-out days inside their 95 % intervals, below which neither may be said.
LEAST_COVERAGE = 0.85


def shows(least: float, most: float) -> bool:
    """Whether layouts that show between these parts of a true change show it for what it is."""
    return LEAST_RESPONSE <= least and most <= MOST_RESPONSE


REASONS: Mapping[str, str] = {
    "below-detectable-change": "The network could not have seen what is claimed: it is smaller than the "
    "smallest change or departure it detects.",
    "prior-driven": "The answer comes mostly from what was assumed before looking at the air.",
    "unstable": "Another defensible choice, or leaving out one station, turns the answer around.",
    "too-little-data": "The observations are fewer than 60, or leave the interval too wide to decide.",
    "poor-fit": "The model does not predict left-out days as well as it says it does.",
    "pattern-dependent": "A true change laid out in another pattern would show as less than 80 % of itself, "
    "or as more than 125 %.",
    "stronger-than-claimed": "There is a source, but the interval of its strength is above the claim.",
    UNSIMULATED: "No simulated world without a source came as far, but this look is granted less error than "
    "so many worlds can show: it cannot find a source, a later one may.",
    NOT_DUE: "The claim is judged on its declared dates alone, each from the data up to it: looked at daily, "
    "any claim comes true once.",
    LATE: "This date was declared when the claim had been looked at already: only dates that were named "
    "before anybody looked make a verdict final.",
    TAKEN: "This look at the claim was taken before, from other data: a revision may take its answer back, "
    "and gives none.",
}


@dataclass(frozen=True)
class Comparison:
    """One item of the comparability gate: equal, declared, or mismatch.

    `relative_sd` is what a declared adjustment adds to the uncertainty, 1σ as a fraction of the quantity.
    """

    item: str
    status: str
    detail: str
    relative_sd: float = 0.0

    def as_json(self) -> dict[str, object]:
        return {
            "item": self.item,
            "status": self.status,
            "detail": self.detail,
            "relative_sd": self.relative_sd or None,
        }


@dataclass(frozen=True)
class Member:
    """One member of the ensemble and the verdict it would give alone.

    `choice` is what it does otherwise than the main one: "map", "correlation length", "station", …
    """

    name: str
    estimate: Estimate
    verdict: str
    choice: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "member": self.name,
            "estimate": number(self.estimate.value),
            "sigma": number(self.estimate.sigma),
            "interval": [number(self.estimate.low), number(self.estimate.high)],
            "verdict": self.verdict,
            "choice": self.choice,
        }


@dataclass(frozen=True)
class EpochTotal:
    """The total of one epoch, estimated as a level; its unit is that of a level."""

    interval: Interval
    estimate: Estimate

    def as_json(self) -> dict[str, object]:
        e = self.estimate
        return {
            "period": self.interval.as_json(),
            "estimate": number(e.value),
            "sigma": number(e.sigma),
            "interval": [number(e.low), number(e.high)],
            "level": e.level,
        }


@dataclass(frozen=True)
class Spread:
    """Where the variance of a pooled estimate comes from, each a 1σ.

    `by_choice` splits `between`: the squares add up to its square, but for what choices do together only.
    """

    within: float
    between: float
    by_choice: Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """The answer to one claim, with everything it stands on.

    `claim` holds the claim's own words and numbers; the rest is ours.  `as_json` is the published form.

    Attributes
    ----------
    spread
        Of the estimate, within and between members.
    flips
        Members that alone would say otherwise than the pooled estimate.
    correlation
        Between epochs, of the transport error they share: the least favourable one, at which the estimate is.
    responses
        Per layout the part of a true change that would show, along the map of least and of most.
    correlations
        Of the estimate's error with that of other parts of the model (inflow, biosphere), by name.
    detectable_before
        The detectable change as the network, the model and the maps had it, whatever was then observed.
    years_to_detect
        Years of data until what is claimed would be detectable; `None` for kinds without, and for never.
    epochs
        Of a change or a trend the totals it is made of.
    """

    answer: str
    reasons: tuple[str, ...]
    claim: Mapping[str, object]
    unit: str
    estimate: Estimate | None = None
    comparability: tuple[Comparison, ...] = ()
    probability: float | None = None
    bayes_factor: float | None = None
    detectable: float | None = None
    share_from_data: float | None = None
    responses: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ensemble: tuple[Member, ...] = ()
    uncertainty_rule: str = ""
    false_alarm: float | None = None
    spread: Spread | None = None
    flips: tuple[Member, ...] = ()
    correlation: float | None = None
    correlations: Mapping[str, float] = field(default_factory=dict)
    detectable_before: float | None = None
    years_to_detect: float | None = None
    epochs: tuple[EpochTotal, ...] = ()

    def as_json(self) -> dict[str, object]:
        """One JSON-ready object; `null` where absent or not finite.

        Keys beside the claim's own: `verdict`, `reasons`, `reason_texts`, `estimate`, `interval`, `level` (of
        the interval), `unit`, `sigma`, `degrees_of_freedom` (null where the variance is modelled),
        `sigma_within`, `sigma_between`, `sigma_by_choice` {choice: 1σ}, `sign_confirmed`, `probability`,
        `bayes_factor`, `detectable`, `detectable_before`, `years_to_detect`, `share_from_data`, `response`,
        `responses` {layout: along the map that shows least}, `responses_most`, `false_alarm`,
        `comparability`, `ensemble`, `flips` [{member, choice, verdict}], `flips_text`,
        `least_favourable_correlation`, `correlations` {part of the model: correlation},
        `epochs` [{period, estimate, sigma, interval, level}] (in the unit of a level), `uncertainty_rule`.
        """
        e = self.estimate
        return {
            "verdict": self.answer,
            "reasons": list(self.reasons),
            "reason_texts": [REASONS[r] for r in self.reasons if r in REASONS],
            **self.claim,
            "estimate": number(e.value) if e else None,
            "interval": [number(e.low), number(e.high)] if e else None,
            "level": e.level if e else None,
            "unit": self.unit,
            "sigma": number(e.sigma) if e else None,
            "degrees_of_freedom": number(e.degrees) if e else None,
            "sigma_within": number(self.spread.within) if self.spread else None,
            "sigma_between": number(self.spread.between) if self.spread else None,
            "sigma_by_choice": {k: number(v) for k, v in self.spread.by_choice.items()}
            if self.spread
            else {},
            "sign_confirmed": bool(e.low > 0 or e.high < 0) if e else None,
            "probability": number(self.probability),
            "bayes_factor": number(self.bayes_factor),
            "detectable": number(self.detectable),
            "detectable_before": number(self.detectable_before),
            "years_to_detect": number(self.years_to_detect),
            "share_from_data": number(self.share_from_data),
            "response": number(min(least for least, _ in self.responses.values()))
            if self.responses
            else None,
            "responses": {k: number(least) for k, (least, _) in self.responses.items()},
            "responses_most": {k: number(most) for k, (_, most) in self.responses.items()},
            "false_alarm": number(self.false_alarm),
            "comparability": [c.as_json() for c in self.comparability],
            "ensemble": [m.as_json() for m in self.ensemble],
            "flips": [{"member": m.name, "choice": m.choice, "verdict": m.verdict} for m in self.flips],
            "flips_text": flips_text(self.flips),
            "least_favourable_correlation": number(self.correlation),
            "correlations": {k: number(v) for k, v in self.correlations.items()},
            "epochs": [e.as_json() for e in self.epochs],
            "uncertainty_rule": self.uncertainty_rule,
        }


def number(value: float | None) -> float | None:
    """A JSON number, or ``None`` where absent or not finite."""
    return float(value) if value is not None and isfinite(value) else None


def change_answer(estimate: Estimate, claimed: float, margin: float) -> str:
    """ "At least c": supported when the interval is beyond the margin and reaches the claim.

    Parameters
    ----------
    claimed : float
        Signed fraction; −0.25 is a cut by a quarter.
    margin : float
        Smallest change that counts, positive.
    """
    sign = 1.0 if claimed > 0 else -1.0
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    if high < abs(claimed):
        return CONTRADICTED
    if low >= margin:
        return SUPPORTED
    return UNDECIDED


def level_answer(estimate: Estimate, claimed: float, tolerance: float) -> str:
    """ "It is c": supported when the interval lies inside c(1 ± m), contradicted when it is disjoint."""
    low, high = sorted((claimed * (1 - tolerance), claimed * (1 + tolerance)))
    if low <= estimate.low and estimate.high <= high:
        return SUPPORTED
    if estimate.high < low or estimate.low > high:
        return CONTRADICTED
    return UNDECIDED


def flips_of(said: str, members: Sequence[Member]) -> tuple[Member, ...]:
    """The members that alone say otherwise than `said`, the opposite first.

    One that cannot say (a station left out, without which nothing is seen) is among them.
    """
    opposite = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED}.get(said)
    others = [m for m in members if m.verdict != said]
    return tuple(sorted(others, key=lambda m: m.verdict != opposite))


def flips_text(flips: Sequence[Member]) -> str:
    """Which choice turns the answer, in one sentence; nothing where none does."""
    parts = []
    for verdict in dict.fromkeys(m.verdict for m in flips):
        turned = dict.fromkeys(_turned_by(m) for m in flips if m.verdict == verdict)
        # two choices together are news only where neither does it alone
        news = [
            name for name in turned if not any(o != name and name.startswith(f"{o} and ") for o in turned)
        ]
        parts.append(f"{verdict} {_listed(news)}")
    return f"Alone, the answer would be {'; '.join(parts)}." if parts else ""


def _turned_by(member: Member) -> str:
    return member.name if member.choice in ("", "station") else f"with another {member.choice}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def departs(without: Estimate, whole: Estimate, tried: int) -> bool:
    """Whether leaving out a station moves an estimate by more than the loss of its data explains.

    The difference between an efficient estimate and one from a part of its data has the difference of their
    variances (Hausman 1978, Econometrica 46, 1251); of `tried` stations one departs by chance in 5 of 100
    cases.  Short of that a station's data are ordinary data: that the answer turns without them says that
    they are needed, not that they are wrong.  An estimate without a σ departs.
    """
    if not isfinite(without.sigma):
        return True
    spread = sqrt(max(without.sigma**2 - whole.sigma**2, 0.0))
    return abs(without.value - whole.value) > float(norm.isf((1 - LEVEL) / (2 * max(tried, 1)))) * spread


@dataclass(frozen=True)
class Evidence:
    """What a verdict is weighed with beside the estimate itself.

    Attributes
    ----------
    responses
        Per layout, along the map that shows least and the one that shows most.
    station_members
        Those that depart from the whole (`departs`).
    """

    responses: Mapping[str, tuple[float, float]]
    model_members: Sequence[Member]
    station_members: Sequence[Member]
    loo_coverage: float
    n_observations: int
    share_from_data: float
    smallest_decidable: float


def weigh(answer: str, detectable: float, evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """The final answer and its reason codes.

    A yes or a no stands only if the data have decided it (they took half of the prior variance, and are no
    handful), every pattern with the same total would have shown for what it is (a response of 0.8 to 1.25),
    no member of the ensemble says the opposite, no station that departs from the others is such that without
    it the answer is the opposite or none at all, and the model predicts left-out days as well as it claims.

    Parameters
    ----------
    answer : str
        What the pooled interval says alone.
    detectable : float
        Smallest change (or departure from the claimed level) that 80 % of such data would detect.
    """
    reasons = []
    if not all(shows(*response) for response in evidence.responses.values()):
        reasons.append("pattern-dependent")
    said = {answer, *(m.verdict for m in (*evidence.model_members, *evidence.station_members))}
    blind = any(not isfinite(m.estimate.sigma) for m in evidence.station_members)
    if blind or {SUPPORTED, CONTRADICTED} <= said:
        reasons.append("unstable")
    if not LEAST_COVERAGE <= evidence.loo_coverage <= 1.0:
        reasons.append("poor-fit")
    if evidence.share_from_data < LEAST_SHARE:
        reasons.append("prior-driven")
    if evidence.n_observations < LEAST_OBSERVATIONS:
        reasons.append("too-little-data")
    if answer != UNDECIDED and not reasons:
        return answer, ()
    if detectable > evidence.smallest_decidable:
        reasons.insert(0, "below-detectable-change")
    return UNDECIDED, tuple(reasons) or ("too-little-data",)
