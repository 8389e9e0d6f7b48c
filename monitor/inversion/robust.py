"""Outliers: a Student-t mismatch by iterated re-weighting (Lange, Little & Taylor 1989; METHODS §6–7).

The independent part of R, of variance σ² per observation, gets a tail as heavy as that of Student's t.  It is
a mixture of normal errors::

    y = H x + η + ε      η ~ N(0, correlated part of R)      εᵢ | wᵢ ~ N(0, σᵢ²/wᵢ)      wᵢ ~ Γ(ν/2, rate ν/2)

and the weights are found in turn with the posterior of everything else::

    wᵢ = (ν + 1) / (ν + E[εᵢ²]/σᵢ²),    E[εᵢ²] = vᵢ²αᵢ² + vᵢ − vᵢ²Pᵢᵢ,    vᵢ = σᵢ²/wᵢ

with α = P r and P as in `monitor.inversion.linear`.  A residual as large as expected has weight 1;
a perfect fit has at most (ν + 1)/ν, an outlier of z σ about (ν + 1)/z².  This is expectation–maximisation for
ln p(y | w) + Σ ln p(ln wᵢ), which no step makes smaller, and the fixed point is also that of a posterior
factored into p(x, η) p(w) (Bishop 2006, §10.1).  ν → ∞ is the Gaussian.

χ², evidence, σ and covariances of the result are those of the Gaussian problem at these weights: χ² is near 1
because outliers have been given the variance they ask for, and evidences compare at equal weights only.
Models and degrees of freedom compare by `log_evidence_bound`.

**With hyperparameters**: scales and weights are found in turn until they agree::

    fit = hyper.maximise_evidence(problem)
    for _ in range(5):
        weights = solve(problem.with_values(fit.values), likelihood="student-t").weights
        fit = hyper.maximise_evidence(robust.reweighted(problem, weights), start=fit.values)

The parameters keep their names and order, so that `fit.values` serve the problem without weights.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln

from monitor.errors import InputError, NumericalError
from monitor.inversion.covariance import Block, Covariance, Diagonal, Sum, add_to
from monitor.inversion.factor import ObservationFactor, factored
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_state, solve_with
from monitor.inversion.numeric import numbers

if TYPE_CHECKING:
    from monitor.inversion.reduction import Reduction

Solver = Callable[[LinearProblem], LinearPosterior]

#: Largest change of the logarithm of a weight in the last step.
TOLERANCE = 1e-6
#: Steps after which the weights are said not to converge.
STEPS = 500
_ROWS = 64


def solve_student_t(
    problem: LinearProblem, degrees_of_freedom: float = 4.0, method: str | Solver = "observations"
) -> LinearPosterior:
    """The posterior with Student-t errors in the independent part of R; its `weights` say whom it trusts.

    H Q Hᵀ is worked out once, for all steps.

    Parameters
    ----------
    degrees_of_freedom
        ν of Student's t; σ of the mismatch is its scale, so that clean data keep their weight.
    method
        "observations", "state" or "reduced", see `monitor.inversion.solve`; or any other solver, as
        ``lambda now: inv.windowed(now, window, overlap)``.

    Raises
    ------
    InputError
        When R has no independent part, or ν is not positive.
    NumericalError
        When the weights do not converge: with the last change.
    """
    nu, variance = float(degrees_of_freedom), _tailed_variance(problem, degrees_of_freedom)
    solve = _solver(problem, method) if isinstance(method, str) else method
    weights, change = np.ones(problem.n), np.inf
    for _ in range(STEPS):
        posterior = solve(reweighted(problem, weights))
        fresh = (nu + 1.0) / (nu + expected_square(posterior, weights, variance))
        change = float(np.max(np.abs(np.log(fresh / weights))))
        if change <= TOLERANCE:
            return replace(posterior, weights=weights)
        weights = fresh
    raise NumericalError(
        "the weights of the Student-t mismatch do not converge",
        expected=f"a change of ln w of at most {TOLERANCE:g}",
        found=f"{change:.2g} after {STEPS} steps",
        remedy="take more degrees of freedom, or look for σ of the mismatch that are far too small",
    )


def _tailed_variance(problem: LinearProblem, degrees_of_freedom: float) -> np.ndarray:
    """σᵢ² (n,) of the errors that get heavy tails; for errors see `solve_student_t`."""
    if not (np.isfinite(degrees_of_freedom) and degrees_of_freedom > 0):
        raise InputError("degrees_of_freedom must be a positive number", found=f"{degrees_of_freedom}")
    variance = independent_variance(problem.mismatch_covariance)
    if not variance.any():
        raise InputError(
            'likelihood="student-t" needs independent errors among those of the observations',
            expected="a Diagonal, or a Sum with a Diagonal in it, as mismatch_covariance",
            found=type(problem.mismatch_covariance).__name__,
            remedy="state the instrument's part of the mismatch as inv.covariance.Diagonal",
        )
    return variance


def expected_square(posterior: LinearPosterior, weights: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """E[εᵢ²]/σᵢ² (n,) of the independent errors, given the data and the weights.

    Parameters
    ----------
    variance : (n,)
        σᵢ², without weights; where it is zero there is nothing to re-weight, and 1 is returned.
    """
    spread = variance / weights
    gain = spread * (precision_diagonal(posterior) - posterior.alpha**2)
    return np.asarray(np.where(variance > 0, (1.0 - gain) / weights, 1.0))


def log_evidence_bound(posterior: LinearPosterior, degrees_of_freedom: float) -> float:
    """A lower bound of ln p(y) with Student-t errors, at the weights they gave (Bishop 2006, §10.1).

    With q = Γ(a, a/w), a = (ν + 1)/2, about the weights: ln p(y | w) + Σ {½(E ln wᵢ − ln wᵢ) − KL(q, prior)}.
    It is the evidence itself where no observation shares an unknown with another.
    """
    before, after = 0.5 * degrees_of_freedom, 0.5 * (degrees_of_freedom + 1.0)
    weights = posterior.weights[independent_variance(posterior.problem.mismatch_covariance) > 0]
    rate = after / weights
    mean_log = digamma(after) - np.log(rate)
    apart = (after - before) * digamma(after) - gammaln(after) + gammaln(before)
    apart = apart + before * (np.log(rate) - np.log(before)) + after * (before - rate) / rate
    return float(posterior.log_evidence + np.sum(0.5 * (mean_log - np.log(weights)) - apart))


def precision_diagonal(posterior: LinearPosterior) -> np.ndarray:
    """Pᵢᵢ (n,)."""
    n = posterior.problem.n
    rows = np.split(np.arange(n), np.arange(_ROWS, n, _ROWS))
    own = np.concatenate([np.diagonal(posterior.factor.block(part)) for part in rows])
    spent = posterior.fixed_weighted
    return np.asarray(own - np.einsum("nq,qr,nr->n", spent, posterior.beta_covariance, spent))


def reweighted(problem: LinearProblem, weights: np.ndarray) -> LinearProblem:
    """The problem with the independent variances of R divided by the weights (n,).

    Raises
    ------
    InputError
        When a weight is not positive, or they do not fit.
    """
    given = numbers(weights, "weights")
    if given.shape != (problem.n,):
        raise InputError("weights do not fit", expected=f"({problem.n},)", found=str(given.shape))
    bad = np.flatnonzero(~(np.isfinite(given) & (given > 0)))
    if bad.size:
        raise InputError(
            f"{bad.size} weights are not positive numbers",
            found=f"{given[bad[0]]} at index {int(bad[0])}",
            remedy="leave an observation out that has no weight",
        )
    # a copy keeps the residual: the data are not looked at twice
    other = copy(problem)
    object.__setattr__(other, "mismatch_covariance", _divided(problem.mismatch_covariance, given))
    return other


def independent_variance(covariance: Covariance) -> np.ndarray:
    """Variances (n,) of the Diagonal parts; zero where there are none."""
    if isinstance(covariance, Diagonal):
        return covariance.diagonal()
    if isinstance(covariance, Sum):
        return np.asarray(np.sum([independent_variance(part) for part in covariance.parts], axis=0))
    if isinstance(covariance, Block):
        return np.concatenate([independent_variance(part) for part in covariance.parts])
    return np.zeros(covariance.size)


def _divided(covariance: Covariance, weights: np.ndarray) -> Covariance:
    if isinstance(covariance, Diagonal):
        return replace(covariance, variance=covariance.variance / weights)
    if isinstance(covariance, Sum):
        return Sum(tuple(_divided(part, weights) for part in covariance.parts))
    if isinstance(covariance, Block):
        cut = np.split(weights, np.cumsum([part.size for part in covariance.parts])[:-1])
        return Block(tuple(_divided(part, w) for part, w in zip(covariance.parts, cut, strict=True)))
    return covariance


def _solver(problem: LinearProblem, method: str) -> Solver:
    """A solver for the problem at other weights, with all but the independent variances worked out once."""
    if method == "state":
        return solve_state
    reduction: Reduction | None = None
    if method == "reduced":
        from monitor.inversion.reduced import reduction_of

        reduction = reduction_of(problem)
    signal = reduction.observe() if reduction else problem.prior_covariance.observe(problem.jacobian)
    truncation = reduction.truncation if reduction else 0.0
    add_to(signal, _divided(problem.mismatch_covariance, np.full(problem.n, np.inf)))

    def solve(now: LinearProblem) -> LinearPosterior:
        matrix = signal.copy()
        matrix[np.diag_indices(now.n)] += independent_variance(now.mismatch_covariance)
        lower, condition = factored(matrix, "the covariance of the observations")
        factor = ObservationFactor(lower, condition, now.mismatch_covariance)
        return solve_with(now, factor, truncation)

    return solve
