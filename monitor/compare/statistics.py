"""Small closed forms behind the verdicts.

An interval is two-sided at its `level` (95 % unless a look at the data is granted less), with normal
quantiles where the variance is modelled and Student's where it was estimated from few years.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, nct, norm, t

from monitor.errors import InputError

#: Level of an interval unless another is asked for, and its normal quantile.
LEVEL = 0.95
Z = float(norm.ppf(0.5 + LEVEL / 2))
#: Probability with which a detectable change is detected.
POWER = 0.8
#: Midpoints of the scale mixture of normals that a Student t is.
_MIXTURE = (np.arange(400) + 0.5) / 400


@lru_cache(maxsize=256)
def quantile(level: float = LEVEL, degrees: float = np.inf) -> float:
    """Two-sided quantile: normal, or Student's with few `degrees` of freedom."""
    return float(t.ppf(0.5 + level / 2, degrees) if np.isfinite(degrees) else norm.ppf(0.5 + level / 2))


@lru_cache(maxsize=256)
def detectable_sigmas(level: float = LEVEL, degrees: float = np.inf) -> float:
    """How many σ a true effect has that is told from zero with a probability of 80 %.

    Normal: z + z(0.8), 2.8 at 95 %.  Student: the noncentrality at which t passes its quantile that often.
    """
    if not np.isfinite(degrees):
        return quantile(level) + float(norm.ppf(POWER))
    beyond = quantile(level, degrees)

    def surplus(shift: float) -> float:
        return float(nct.sf(beyond, degrees, shift)) - POWER

    return float(brentq(surplus, 0.0, 10.0 * beyond))


DETECTABLE_SIGMAS = detectable_sigmas()


@dataclass(frozen=True)
class Estimate:
    """A number with its 1σ and its interval (which need not be symmetric).

    `level` is that of the interval; `degrees` of freedom are finite where σ was estimated from few years.
    """

    value: float
    sigma: float
    low: float
    high: float
    level: float = LEVEL
    degrees: float = np.inf

    @property
    def detectable(self) -> float:
        """The smallest true departure that is told from none in 80 of 100 such cases, at this level."""
        return detectable_sigmas(self.level, self.degrees) * self.sigma

    def sigma_towards(self, other: float) -> float:
        """The 1σ with which it is held against `other`: that of the interval on its side, never below σ."""
        edge = self.high if other > self.value else self.low
        return max(self.sigma, abs(edge - self.value) / quantile(self.level, self.degrees))


def gaussian(value: float, sigma: float, level: float = LEVEL, degrees: float = np.inf) -> Estimate:
    """A symmetric interval, normal or (with few `degrees` of freedom) Student's."""
    half = quantile(level, degrees) * sigma
    return Estimate(value, sigma, value - half, value + half, level, degrees)


def ratio(
    values: np.ndarray, covariance: np.ndarray, level: float = LEVEL, degrees: float = np.inf
) -> Estimate:
    """The second of two correlated values over the first, with Fieller's interval.

    The interval holds every ratio ρ whose contrast v₂ − ρ v₁ is within z σ of zero (Fieller 1954).  It is
    unbounded when v₁ itself is not told from zero.

    Parameters
    ----------
    values : (2,), covariance : (2, 2)
    """
    z = quantile(level, degrees)
    t1, t2 = values
    (v11, v12), (_, v22) = covariance
    found = t2 / t1
    sigma = float(np.sqrt(max(v22 - 2 * found * v12 + found**2 * v11, 0.0)) / abs(t1))
    a, b, c = t1**2 - z**2 * v11, t1 * t2 - z**2 * v12, t2**2 - z**2 * v22
    root = b**2 - a * c
    if a <= 0 or root < 0:
        return Estimate(float(found), sigma, -np.inf, np.inf, level, degrees)
    half = float(np.sqrt(root))
    return Estimate(float(found), sigma, float((b - half) / a), float((b + half) / a), level, degrees)


def relative_change(totals: np.ndarray, covariance: np.ndarray, level: float = LEVEL) -> Estimate:
    """T₂/T₁ − 1 of two correlated totals (2,), with Fieller's interval; `covariance` is (2, 2)."""
    found = ratio(totals, covariance, level)
    return Estimate(found.value - 1, found.sigma, found.low - 1, found.high - 1, level)


def pool(members: Sequence[Estimate]) -> Estimate:
    """Members that differ in one choice as one estimate, by the law of total variance.

    Value: their mean; variance: mean of the variances plus variance of the values.  The shape of the
    interval is the mean of the members', stretched to the pooled σ; level and degrees of freedom are theirs.
    """
    values = np.array([m.value for m in members])
    within = float(np.mean([m.sigma**2 for m in members]))
    return stretched(members, float(values.mean()), float(np.sqrt(within + values.var())))


def scaled(value: float, sigma: float, relative_sd: float, level: float = LEVEL) -> Estimate:
    """A total that was seen through an error of scale: T̂ = T (1 + ε) + e, ε ~ N(0, s²), e ~ N(0, σ²).

    The interval holds every T with |T̂ − T| ≤ z √(σ² + s² T²): the error is a part of the truth, not of the
    estimate, so it reaches further up than down.  It is unbounded when z s ≥ 1.  The 1σ given is that at T̂.
    """
    z = quantile(level)
    spread, a = float(np.hypot(sigma, relative_sd * value)), 1.0 - (z * relative_sd) ** 2
    if a <= 0:
        return Estimate(value, spread, -np.inf, np.inf, level)
    root = float(np.sqrt(value**2 - a * (value**2 - (z * sigma) ** 2)))
    return Estimate(value, spread, (value - root) / a, (value + root) / a, level)


def stretched(members: Sequence[Estimate], value: float, sigma: float) -> Estimate:
    """The mean shape of the members' intervals at another value and σ.

    Raises
    ------
    InputError
        When the members' intervals are of different levels.
    """
    levels = {m.level for m in members}
    if len(levels) != 1:
        raise InputError(
            "estimates of one ensemble need intervals of one level", found=", ".join(map(str, sorted(levels)))
        )
    below = float(np.mean([(m.value - m.low) / m.sigma for m in members]))
    above = float(np.mean([(m.high - m.value) / m.sigma for m in members]))
    degrees = min(m.degrees for m in members)
    return Estimate(value, sigma, value - below * sigma, value + above * sigma, levels.pop(), degrees)


def bayes_factor(estimate: Estimate, claimed: float) -> float:
    """Evidence for a change of the claimed size, N(0, c²), against no change.

    With few degrees of freedom σ is itself uncertain: the densities are then averaged over it.
    """
    if np.isfinite(estimate.degrees):
        sigma = estimate.sigma * np.sqrt(estimate.degrees / chi2.ppf(_MIXTURE, estimate.degrees))
    else:
        sigma = np.array([estimate.sigma])
    wide = _log_mean_density(estimate.value, np.hypot(sigma, claimed))
    log_ratio = wide - _log_mean_density(estimate.value, sigma)
    return float(np.exp(min(log_ratio, 700.0)))  # beyond e^700 no number holds it


def _log_mean_density(value: float, sigma: np.ndarray) -> float:
    logs = norm.logpdf(value, scale=sigma)
    return float(np.logaddexp.reduce(logs) - np.log(logs.size))


def probability_at_least(estimate: Estimate, claimed: float) -> float:
    """Probability that the truth goes at least as far as `claimed`, in its direction."""
    below = probability_below(estimate, claimed)
    return 1.0 - below if claimed >= 0 else below


def probability_within(estimate: Estimate, low: float, high: float) -> float:
    """Probability that the truth lies in [low, high]."""
    return probability_below(estimate, high) - probability_below(estimate, low)


def probability_below(estimate: Estimate, bound: float) -> float:
    """Probability that the truth lies below `bound`, by the confidence distribution of the interval itself.

    What makes an interval skewed is an error that depends on the truth: with u the distance from the estimate
    in its σ, x is inside where |u| ≤ z √(1 + b u + c u²), for errors of scale (`scaled`) as for a ratio
    (Fieller).  The interval's two ends tell b and c, and the same pivot at any z tells the probability:
    beyond an end it is what the level leaves to one side, so that no probability speaks against an answer.
    Of a symmetric interval b = c = 0.  Where the pivot turns back, far outside, what is left lies at
    infinity; an unbounded interval leaves more than its level does on either side of every number.
    """
    z, u = quantile(estimate.level, estimate.degrees), (bound - estimate.value) / estimate.sigma
    down = estimate.sigma / (estimate.value - estimate.low)
    up = estimate.sigma / (estimate.high - estimate.value)
    b = down - up
    c = max(1.0 / z**2 - down * up, b**2 / 4)  # but for rounding it is so
    if b * u < -2.0:
        u = -2.0 / b
    pivot = u / np.sqrt(max(1.0 + b * u + c * u**2, np.finfo(float).tiny))
    return float(t.cdf(pivot, estimate.degrees) if np.isfinite(estimate.degrees) else norm.cdf(pivot))
