"""The four answers, the rules that lead to them, and the reasons that go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from monitor.compare.statistics import LEVEL, Estimate

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
NOT_COMPARABLE = "not comparable"

#: Below this response to some pattern of the same total, neither yes nor no may be said.
LEAST_RESPONSE = 0.8

REASONS: Mapping[str, str] = {
    "below-detectable-change": "The network could not have seen what is claimed: it is smaller than the "
    "smallest change or departure it detects.",
    "prior-driven": "The answer comes mostly from what was assumed before looking at the air.",
    "unstable": "Another defensible choice, or leaving out one station, turns the answer around.",
    "too-little-data": "The data leave the interval too wide to decide.",
    "poor-fit": "The model does not predict left-out days as well as it says it does.",
    "pattern-dependent": "Less than 80 % of a true change laid out in another pattern would show.",
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
    """One member of the ensemble and the verdict it would give alone."""

    name: str
    estimate: Estimate
    verdict: str

    def as_json(self) -> dict[str, object]:
        return {
            "member": self.name,
            "estimate": number(self.estimate.value),
            "sigma": number(self.estimate.sigma),
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Verdict:
    """The answer to one claim, with everything it stands on.

    `claim` holds the claim's own words and numbers; the rest is ours.  `as_json` is the published form.
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
    responses: Mapping[str, float] = field(default_factory=dict)
    ensemble: tuple[Member, ...] = ()
    uncertainty_rule: str = ""
    false_alarm: float | None = None

    def as_json(self) -> dict[str, object]:
        """One JSON-ready object; `null` where absent or not finite."""
        e = self.estimate
        return {
            "verdict": self.answer,
            "reasons": list(self.reasons),
            "reason_texts": [REASONS[r] for r in self.reasons if r in REASONS],
            **self.claim,
            "estimate": number(e.value) if e else None,
            "interval": [number(e.low), number(e.high)] if e else None,
            "level": LEVEL if e else None,
            "unit": self.unit,
            "sigma": number(e.sigma) if e else None,
            "sign_confirmed": bool(e.low > 0 or e.high < 0) if e else None,
            "probability": number(self.probability),
            "bayes_factor": number(self.bayes_factor),
            "detectable": number(self.detectable),
            "share_from_data": number(self.share_from_data),
            "response": number(min(self.responses.values())) if self.responses else None,
            "responses": {k: number(v) for k, v in self.responses.items()},
            "false_alarm": number(self.false_alarm),
            "comparability": [c.as_json() for c in self.comparability],
            "ensemble": [m.as_json() for m in self.ensemble],
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


@dataclass(frozen=True)
class Evidence:
    """What a verdict is weighed with beside the estimate itself."""

    responses: Mapping[str, float]
    model_members: Sequence[Member]
    station_members: Sequence[Member]
    loo_coverage: float
    n_observations: int
    share_from_data: float
    smallest_decidable: float


def weigh(answer: str, detectable: float, evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """The final answer and its reason codes.

    A yes or a no stands only if every pattern with the same total would have shown (response of at
    least 0.8), no member of the ensemble says the opposite, no station is such that without it the answer
    is the opposite or none at all, and the model predicts left-out days as well as it claims.

    Parameters
    ----------
    answer : str
        What the pooled interval says alone.
    detectable : float
        Smallest change (or departure from the claimed level) that 80 % of such data would detect.
    """
    reasons = []
    if evidence.responses and min(evidence.responses.values()) < LEAST_RESPONSE:
        reasons.append("pattern-dependent")
    said = {answer, *(m.verdict for m in (*evidence.model_members, *evidence.station_members))}
    blind = any(not isfinite(m.estimate.sigma) for m in evidence.station_members)
    if blind or {SUPPORTED, CONTRADICTED} <= said:
        reasons.append("unstable")
    if not 0.85 <= evidence.loo_coverage <= 1.0:
        reasons.append("poor-fit")
    if answer != UNDECIDED and not reasons:
        return answer, ()
    if detectable > evidence.smallest_decidable:
        reasons.insert(0, "below-detectable-change")
    if evidence.share_from_data < 0.5:
        reasons.append("prior-driven")
    if evidence.n_observations < 60 or not reasons:
        reasons.append("too-little-data")
    return UNDECIDED, tuple(reasons)
