"""Positive unknowns: a choice of prior, never a clipping; the answer is drawn, with its Monte-Carlo error.

**Truncated** (`monitor.inversion.truncated`): the Gaussian posterior, restricted to x ≥ 0 in chosen unknowns.
**Log-normal** (`monitor.inversion.lognormal`): ln x is Gaussian in chosen unknowns.  Others stay Gaussian.

Either is skewed: the mean of a total is not its median, and neither is the most probable state.  Both are
reported.  There is no closed form of the evidence or of leaving observations out; the Gaussian posterior
beside it (`gaussian`) has them, for what it is.

What it costs: `draws` × m numbers are held, and a truncated problem needs a column of the covariance (m,) for
each constraint that is ever touched.  Beyond 2·10⁸ numbers in either an `InputError` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from monitor.errors import InputError
from monitor.inversion.linear import LinearPosterior, LinearProblem
from monitor.inversion.linear_problem import apply_totals, fitting_totals
from monitor.inversion.operators import adjoint, forward

#: Largest number of elements that draws, or columns of the covariance, may take.
LARGEST = 200_000_000
Kind = Literal["truncated", "lognormal"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Quantities known by draws from several chains, and how well.

    Attributes
    ----------
    draws : (N, k)
        One chain after another, all of the same length.
    chains : int
    """

    draws: np.ndarray
    chains: int

    @cached_property
    def mean(self) -> np.ndarray:
        """(k,)."""
        return np.asarray(self.draws.mean(axis=0))

    @cached_property
    def median(self) -> np.ndarray:
        """(k,)."""
        return self.quantile(0.5)

    @cached_property
    def std(self) -> np.ndarray:
        """1σ (k,)."""
        return np.asarray(self.draws.std(axis=0, ddof=1))

    def quantile(self, level: Any) -> np.ndarray:
        """Quantiles (k,), or (levels, k) for several levels."""
        return np.asarray(np.quantile(self.draws, level, axis=0))

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper bounds (k, 2) with equal tails."""
        return self.quantile([0.5 - 0.5 * level, 0.5 + 0.5 * level]).T

    @cached_property
    def effective_sample_size(self) -> np.ndarray:
        """Independent draws that would know the mean as well (k,)."""
        return effective_sample_size(self.draws, self.chains)

    @property
    def monte_carlo_error(self) -> np.ndarray:
        """1σ of `mean` (k,)."""
        return np.asarray(self.std / np.sqrt(self.effective_sample_size))

    @property
    def std_monte_carlo_error(self) -> np.ndarray:
        """1σ of `std` (k,): of the mean square over 2σ."""
        square = (self.draws - self.mean) ** 2
        error = square.std(axis=0) / np.sqrt(effective_sample_size(square, self.chains))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(self.std > 0, error / (2.0 * self.std), 0.0))


@dataclass(frozen=True, eq=False)
class PositiveTotals(Drawn):
    """Totals T = a x of a positive state: mean, median, σ, quantiles and covariance."""

    rows: Any

    @property
    def covariance(self) -> np.ndarray:
        """(k, k)."""
        return np.atleast_2d(np.cov(self.draws.T))


@dataclass(frozen=True, eq=False)
class PositivePosterior(Drawn):
    """The answer with positive unknowns, by draws of the state (N, m).

    Attributes
    ----------
    problem : LinearProblem
    kind : "truncated" or "lognormal"
    positive : (m,) bool
        The unknowns that were chosen.
    gaussian : LinearPosterior
        "truncated": the posterior without truncation.  "lognormal": Laplace's, in the unknowns whose
        logarithm is Gaussian, about the most probable state.
    acceptance : float
        Share of proposals that was accepted; 1 for "truncated", whose paths are exact.
    """

    problem: LinearProblem
    kind: Kind
    positive: np.ndarray
    gaussian: LinearPosterior
    acceptance: float = 1.0

    def covariance(self) -> np.ndarray:
        """Of the state (m, m)."""
        ensure_drawable(self.problem.m**2, f"the covariance of {self.problem.m} unknowns")
        return np.atleast_2d(np.cov(self.draws.T))

    @cached_property
    def totals(self) -> PositiveTotals:
        """The problem's totals."""
        if self.problem.totals is None:
            raise InputError(
                "the problem names no totals",
                expected="totals=(k, m) in LinearProblem",
                remedy="give them there, or ask posterior.estimate(totals)",
            )
        return self.estimate(self.problem.totals)

    def estimate(self, totals: Any) -> PositiveTotals:
        """Any other totals (k, m)."""
        rows = fitting_totals(totals, self.problem.prior_covariance)
        return PositiveTotals(apply_totals(rows, self.draws.T).T, self.chains, rows)


def effective_sample_size(draws: np.ndarray, chains: int) -> np.ndarray:
    """N over the integrated autocorrelation (k,), by Geyer's initial positive sequence.

    Deviations are from the mean of all chains, so that chains that disagree have few effective draws.
    (Geyer 1992, §3.3; Gelman et al. 2013, §11.5.)
    """
    total, k = draws.shape
    length = total // chains
    centred = (draws - draws.mean(axis=0)).reshape(chains, length, k)
    wave = np.fft.rfft(centred, n=2 * length, axis=1)
    lagged = np.fft.irfft(np.abs(wave) ** 2, axis=1)[:, :length].mean(axis=0) / length
    out = np.full(k, float(total))
    for j in range(k):
        if lagged[0, j] > 0:
            pairs = (lagged[: length // 2 * 2, j] / lagged[0, j]).reshape(-1, 2).sum(axis=1)
            stop = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else pairs.size
            falling = np.minimum.accumulate(pairs[:stop])
            out[j] = total / max(2.0 * float(falling.sum()) - 1.0, 1.0 / total)
    return out


def chosen_unknowns(positive: Any, m: int) -> np.ndarray:
    """The mask (m,) that a mask, a slice, indices or None (all) stand for.

    Raises
    ------
    InputError
    """
    mask = np.zeros(m, dtype=bool)
    if positive is None:
        mask[:] = True
    elif isinstance(positive, slice):
        mask[positive] = True
    else:
        given = np.asarray(positive)
        fits = given.shape == (m,) if given.dtype == bool else given.ndim == 1 and given.dtype.kind in "iu"
        if not fits or (given.dtype != bool and given.size and not (-m <= given.min() <= given.max() < m)):
            raise InputError(
                "positive does not choose among the unknowns",
                expected=f"a mask ({m},), a slice, indices below {m}, or None for all",
                found=f"{given.dtype} of shape {given.shape}",
            )
        mask[given] = True
    if not mask.any():
        raise InputError("positive chooses no unknown", remedy="leave positivity away")
    return mask


def ensure_drawable(elements: int, what: str) -> None:
    """Raise `InputError` when `what` would take more than `LARGEST` numbers."""
    if elements > LARGEST:
        raise InputError(
            f"{what} take more memory than is affordable",
            expected=f"at most {LARGEST:,} numbers",
            found=f"{elements:,} numbers, {elements * 8 / 2**30:.1f} GiB",
            remedy="take fewer draws, choose fewer positive unknowns, or coarser ones",
        )


def posterior_noise(posterior: LinearPosterior, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of x − x̂ (m, count): a draw of prior and errors, less what the inversion makes of it.

    No matrix (m, m) is formed.  Along fixed effects the answer is unbiased, so that their flat prior needs no
    draw.
    """
    problem = posterior.problem
    prior, mismatch = problem.prior_covariance, problem.mismatch_covariance
    state = prior.sqrt_matvec(rng.normal(size=(prior.sqrt_size, count)))
    seen = forward(problem.jacobian, state) + mismatch.sqrt_matvec(
        rng.normal(size=(mismatch.sqrt_size, count))
    )
    beta = posterior.beta_covariance @ (posterior.fixed_weighted.T @ seen)
    alpha = posterior.factor.weigh(seen) - posterior.fixed_weighted @ beta
    return np.asarray(state - prior.matvec(adjoint(problem.jacobian, alpha)) - _patterns(problem) @ beta)


def covariance_product(posterior: LinearPosterior, columns: np.ndarray) -> np.ndarray:
    """The posterior covariance times `columns` (m, k), without forming it."""
    problem, prior, patterns = (
        posterior.problem,
        posterior.problem.prior_covariance,
        _patterns(posterior.problem),
    )
    spread = prior.matvec(columns)
    cross = forward(problem.jacobian, spread)
    beta = posterior.beta_covariance @ (patterns.T @ columns - posterior.fixed_weighted.T @ cross)
    alpha = posterior.factor.weigh(cross) + posterior.fixed_weighted @ beta
    return np.asarray(spread - prior.matvec(adjoint(problem.jacobian, alpha)) + patterns @ beta)


def _patterns(problem: LinearProblem) -> np.ndarray:
    """Δ (m, q)."""
    return np.column_stack([*problem.fixed_effects.values(), np.zeros((problem.m, 0))])
