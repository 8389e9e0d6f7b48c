"""Small closed forms behind the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

#: Level of every interval, and its normal quantile.
LEVEL = 0.95
Z = float(norm.ppf(0.5 + LEVEL / 2))
#: 80 % power at two-sided 95 %: the detectable change is this many σ.
DETECTABLE_SIGMAS = Z + float(norm.ppf(0.8))


@dataclass(frozen=True)
class Estimate:
    """A number with its 1σ and its 95 % interval (which need not be symmetric)."""

    value: float
    sigma: float
    low: float
    high: float

    @property
    def detectable(self) -> float:
        return DETECTABLE_SIGMAS * self.sigma


def gaussian(value: float, sigma: float) -> Estimate:
    """A symmetric 95 % interval."""
    return Estimate(value, sigma, value - Z * sigma, value + Z * sigma)


def relative_change(totals: np.ndarray, covariance: np.ndarray) -> Estimate:
    """T₂/T₁ − 1 of two correlated totals, with Fieller's interval.

    The interval holds every δ whose contrast T₂ − (1 + δ) T₁ is within z σ of zero (Fieller 1954).  It
    is unbounded when T₁ itself is not told from zero.

    Parameters
    ----------
    totals : (2,), covariance : (2, 2)
    """
    t1, t2 = totals
    (v11, v12), (_, v22) = covariance
    ratio = t2 / t1
    sigma = float(np.sqrt(max(v22 - 2 * ratio * v12 + ratio**2 * v11, 0.0)) / abs(t1))
    a, b, c = t1**2 - Z**2 * v11, t1 * t2 - Z**2 * v12, t2**2 - Z**2 * v22
    root = b**2 - a * c
    if a <= 0 or root < 0:
        return Estimate(float(ratio - 1), sigma, -np.inf, np.inf)
    half = float(np.sqrt(root))
    return Estimate(float(ratio - 1), sigma, float((b - half) / a - 1), float((b + half) / a - 1))


def pool(members: Sequence[Estimate]) -> Estimate:
    """Members of an ensemble as one estimate, by the law of total variance.

    Value: their mean; variance: mean of the variances plus variance of the values.  The shape of the
    interval is the mean of the members', stretched to the pooled σ.
    """
    values = np.array([m.value for m in members])
    within = float(np.mean([m.sigma**2 for m in members]))
    sigma = float(np.sqrt(within + values.var()))
    below = float(np.mean([(m.value - m.low) / m.sigma for m in members]))
    above = float(np.mean([(m.high - m.value) / m.sigma for m in members]))
    centre = float(values.mean())
    return Estimate(centre, sigma, centre - below * sigma, centre + above * sigma)


def bayes_factor(estimate: Estimate, claimed: float) -> float:
    """Evidence for a change of the claimed size, N(0, c²), against no change."""
    wide = float(np.hypot(estimate.sigma, claimed))
    log_ratio = norm.logpdf(estimate.value, scale=wide) - norm.logpdf(estimate.value, scale=estimate.sigma)
    return float(np.exp(min(log_ratio, 700.0)))  # beyond e^700 no number holds it


def probability_at_least(estimate: Estimate, claimed: float) -> float:
    """Probability that the truth goes at least as far as `claimed`, in its direction."""
    direction = 1.0 if claimed >= 0 else -1.0
    return float(norm.cdf(direction * (estimate.value - claimed) / estimate.sigma))


def probability_within(estimate: Estimate, low: float, high: float) -> float:
    """Probability that the truth lies in [low, high]."""
    return float(
        norm.cdf(high, estimate.value, estimate.sigma) - norm.cdf(low, estimate.value, estimate.sigma)
    )
