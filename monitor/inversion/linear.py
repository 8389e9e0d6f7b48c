"""The linear problem in plain arrays, and its exact answer::

    y = H x + ε,    x ~ N(x_a, Q),    ε ~ N(0, R)

    Ψ = H Q Hᵀ + R          r = y − H x_a
    x̂ = x_a + Δβ̂ + Q Hᵀ α   α = P r,   P = Ψ⁻¹ − Ψ⁻¹X (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹,   X = HΔ

with patterns Δ whose strength β has a flat prior; without them P = Ψ⁻¹.  For totals a x see
`monitor.inversion.solution`.  Any unit serves, if H, y and x agree (Tarantola 2005, §3.2).
"""

from __future__ import annotations

import warnings

import numpy as np

from monitor.errors import InputError, NumericalError, PrecisionWarning
from monitor.inversion.covariance import Diagonal, add_to
from monitor.inversion.factor import Factor, ObservationFactor, StateFactor, factored
from monitor.inversion.linear_posterior import LinearPosterior
from monitor.inversion.linear_problem import LinearProblem, apply_totals, checked_totals
from monitor.inversion.operators import forward

__all__ = [
    "LinearPosterior",
    "LinearProblem",
    "apply_totals",
    "checked_totals",
    "observation_factor",
    "solve_observations",
    "solve_state",
    "solve_with",
]

#: Condition number above which fewer than four digits are left.
ILL_CONDITIONED = 1e12


def solve_observations(problem: LinearProblem) -> LinearPosterior:
    """By the Cholesky factor of Ψ (n, n): exact, whatever m is."""
    signal = problem.prior_covariance.observe(problem.jacobian)
    return solve_with(problem, observation_factor(problem, signal))


def observation_factor(problem: LinearProblem, signal: np.ndarray) -> ObservationFactor:
    """Ψ = `signal` + R, factored in the place of `signal`."""
    _ = problem.residual  # a jacobian that gives NaN is said here, before it spoils the factor
    add_to(signal, problem.mismatch_covariance)
    lower, condition = factored(signal, "the covariance of the observations")
    return ObservationFactor(lower, condition, problem.mismatch_covariance)


def solve_state(problem: LinearProblem) -> LinearPosterior:
    """By the information matrix of the state: exact, and cheaper where m is below n.

    Raises
    ------
    InputError
        When the errors of the observations are correlated.
    """
    if not isinstance(problem.mismatch_covariance, Diagonal):
        raise InputError(
            'method="state" needs independent errors of the observations',
            expected="variances, or inv.covariance.Diagonal, as mismatch_covariance",
            found=type(problem.mismatch_covariance).__name__,
            remedy='use method="observations"',
        )
    prior = problem.prior_covariance
    _ = problem.residual  # as in observation_factor
    root = prior.sqrt_matvec(np.eye(prior.sqrt_size))
    variance = problem.mismatch_covariance.diagonal()
    if not (variance > 0).all():
        raise NumericalError(
            "mismatch_covariance is not positive definite",
            found=f"variance {variance.min():.6g} at index {int(np.argmin(variance))}",
            remedy="no observation is without error",
        )
    return solve_with(problem, StateFactor.of(variance, forward(problem.jacobian, root)))


def solve_with(problem: LinearProblem, factor: Factor, truncation: float = 0.0) -> LinearPosterior:
    """The posterior for a factor of Ψ, with the fixed effects by generalised least squares.

    Warns
    -----
    PrecisionWarning
        When the condition number leaves fewer than four digits.  Nothing is regularised.
    """
    _report(factor.condition)
    residual, columns = problem.residual, problem.fixed_observed
    weighted = factor.weigh(np.column_stack([residual, columns]))
    alpha, x_weighted = weighted[:, 0], weighted[:, 1:]
    if not columns.shape[1]:
        return LinearPosterior(problem, factor, np.zeros(0), np.zeros((0, 0)), alpha, truncation)
    names = tuple(problem.fixed_effects)
    inverse = _inverse_gram(columns.T @ x_weighted, names, problem.n)
    beta = inverse @ (x_weighted.T @ residual)
    # once more with what is left over: the strengths are then good to the last digits
    rest = factor.weigh(residual - columns @ beta)
    beta = beta + inverse @ (columns.T @ rest)
    alpha = factor.weigh(residual - columns @ beta)
    return LinearPosterior(problem, factor, beta, inverse, alpha, truncation)


def _report(condition: float) -> None:
    """Say it when digits are lost, and refuse when none is left (Golub & Van Loan 2013, §2.6)."""
    what = "the covariance of the observations is nearly singular"
    remedy = (
        "give every observation an error of its own, drop one of two observations that say the same, "
        "or put a prior that is far too wide into fixed_effects"
    )
    if condition * np.finfo("f8").eps >= 1:
        raise NumericalError(
            what.replace("nearly singular", "singular to the last digit"),
            expected=f"a condition number below {1 / np.finfo('f8').eps:.0e}",
            found=f"{condition:.1e}",
            remedy=remedy,
        )
    if condition > ILL_CONDITIONED:
        digits = int(-np.log10(condition * np.finfo("f8").eps))
        warnings.warn(
            f"{what}: condition number {condition:.1e}, about {digits} digits are left; {remedy}",
            PrecisionWarning,
            stacklevel=6,
        )


def _inverse_gram(gram: np.ndarray, names: tuple[str, ...], n: int) -> np.ndarray:
    """(XᵀΨ⁻¹X)⁻¹, scaled by its diagonal first."""
    scale = np.sqrt(np.diagonal(gram))
    if len(names) > n:
        raise NumericalError(
            "there are more fixed effects than observations",
            expected=f"at most {n}",
            found=f"{len(names)}: {', '.join(names)}",
            remedy="leave some of them out",
        )
    if not (scale > 0).all():
        raise NumericalError(
            "a fixed effect leaves no trace in the observations",
            found=f"'{names[int(np.argmin(scale))]}' is zero at all of them",
            remedy="the network does not see this pattern",
        )
    scaled = 0.5 * (gram + gram.T) / np.outer(scale, scale)
    eigenvalue, vectors = np.linalg.eigh(scaled)
    if eigenvalue[0] < 1e-12 * eigenvalue[-1]:
        weight = np.abs(vectors[:, 0])
        alike = [f"'{names[k]}'" for k in np.flatnonzero(weight > 0.1 * weight.max())]
        raise NumericalError(
            "the fixed effects cannot be told apart",
            expected="patterns of which no sum with weights is zero at all observations",
            found=f"{', '.join(alike)} are one, condition number {_ratio(eigenvalue):.1e}",
            remedy="leave one of them out",
        )
    return np.asarray((vectors / eigenvalue) @ vectors.T / np.outer(scale, scale))


def _ratio(eigenvalue: np.ndarray) -> float:
    """Of the largest to the smallest, ascending; ∞ where the smallest is rounding."""
    return float(eigenvalue[-1] / eigenvalue[0]) if eigenvalue[0] > 0 else float("inf")
