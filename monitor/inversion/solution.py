"""The linear-Gaussian answer in observation space, with fixed effects in closed form.

With Ψ = H Q Hᵀ + B C Bᵀ + R, residual r = y − H x_a − B b_a, and columns X whose weights β have a flat
prior (METHODS: κ → ∞ in Q + κ² ΔΔᵀ, which is generalised least squares)::

    β̂ = (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹ r          α = Ψ⁻¹ (r − Xβ̂) = P r

and for totals T = a x with C = H Q aᵀ (n, k), prior covariance V = a Q aᵀ and loadings G = aΔ (k, q)::

    T̂   = a x_a + Gβ̂ + Cᵀα = a x_a + K r
    K    = CᵀΨ⁻¹ + E (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹,      E = G − CᵀΨ⁻¹X
    cov  = V − CᵀΨ⁻¹C + E (XᵀΨ⁻¹X)⁻¹ Eᵀ

exact, with no (m, m) matrix (Tarantola 2005 §3.2; Rasmussen & Williams 2006 §2.7 for the flat limit).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from monitor.errors import NumericalError
from monitor.inversion.components import cholesky_or_error, inverse_from_cholesky


@dataclass(frozen=True, eq=False)
class Solution:
    """Ψ factored, the fixed effects estimated.

    Attributes
    ----------
    lower : (n, n)
        Cholesky factor of Ψ.
    residual : (n,)
        Observations minus the prior's prediction.
    fixed : (n, q)
        Columns with a flat prior.
    beta, beta_covariance : (q,), (q, q)
    alpha : (n,)
        P r.
    """

    lower: np.ndarray
    residual: np.ndarray
    fixed: np.ndarray
    beta: np.ndarray
    beta_covariance: np.ndarray
    alpha: np.ndarray

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        """Ψ⁻¹ times `columns` (n, …)."""
        half = solve_triangular(self.lower, columns, lower=True, check_finite=False)
        return np.asarray(solve_triangular(self.lower, half, lower=True, trans="T", check_finite=False))

    @cached_property
    def precision(self) -> np.ndarray:
        """P = Ψ⁻¹ − Ψ⁻¹X (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹ (n, n)."""
        inverse = inverse_from_cholesky(self.lower)
        if self.fixed.shape[1] == 0:
            return inverse
        weighted = inverse @ self.fixed
        return np.asarray(inverse - weighted @ self.beta_covariance @ weighted.T)


@dataclass(frozen=True, eq=False)
class TotalEstimate:
    """Totals and what is known of them.

    Attributes
    ----------
    shift : (k,)
        Estimate minus a x_a.
    covariance, prior_covariance : (k, k)
        The prior's is infinite along fixed effects; `prior_covariance` is that of the rest.
    gain : (k, n)
        K of T̂ = a x_a + K r: what a change in the observations does to the totals.
    """

    shift: np.ndarray
    covariance: np.ndarray
    prior_covariance: np.ndarray
    gain: np.ndarray

    def response(self, effect: np.ndarray, total: np.ndarray) -> np.ndarray:
        """How much of a true change the estimate shows: K H Δ / aΔ, (k,).

        `effect` (n,) is H Δ, `total` (k,) is aΔ; 1 is a faithful answer.
        """
        return np.asarray(self.gain @ effect / total)


def solve(covariance: np.ndarray, residual: np.ndarray, fixed: np.ndarray | None = None) -> Solution:
    """Factor Ψ (n, n) and estimate the fixed effects; see `solve_factored`.

    Raises
    ------
    NumericalError
        When Ψ is not positive definite.
    """
    lower = cholesky_or_error(covariance, "the covariance of the observations")
    return solve_factored(lower, residual, fixed)


def solve_factored(lower: np.ndarray, residual: np.ndarray, fixed: np.ndarray | None = None) -> Solution:
    """The solution for a factor of Ψ.

    Raises
    ------
    NumericalError
        When an entry is not finite, a fixed effect leaves no trace, or the fixed effects are collinear
        (the condition number is given).
    """
    columns = np.zeros((residual.size, 0)) if fixed is None else fixed
    for name, values in (("the residual", residual), ("a fixed effect", columns)):
        if not np.isfinite(values).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise NumericalError(f"{name} is not finite", found=f"{values[at]} at index {at}")
    half = solve_triangular(lower, np.column_stack([residual, columns]), lower=True, check_finite=False)
    r_half, x_half = half[:, 0], half[:, 1:]
    if columns.shape[1] == 0:
        beta, beta_covariance = np.zeros(0), np.zeros((0, 0))
    else:
        beta, beta_covariance = least_squares(x_half, r_half)
    alpha = solve_triangular(lower, r_half - x_half @ beta, lower=True, trans="T", check_finite=False)
    return Solution(lower, residual, columns, beta, beta_covariance, np.asarray(alpha))


def least_squares(x_half: np.ndarray, r_half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (q,) of columns (n, q) and their covariance, both already whitened by L⁻¹.

    Raises
    ------
    NumericalError
    """
    n, count = x_half.shape
    if count > n:
        raise NumericalError(
            f"{count} fixed effects cannot be estimated from {n} observations",
            remedy="take a longer period, more hours of the day, or fewer patterns at once",
        )
    scale = np.linalg.norm(x_half, axis=0)
    if not (scale > 0).all():
        raise NumericalError(
            "a fixed effect leaves no trace in the observations",
            found=f"column {int(np.argmin(scale))} is zero",
            remedy="the network does not see this pattern in this period",
        )
    q, r = np.linalg.qr(x_half / scale)
    condition = float(np.linalg.cond(r))
    if condition > 1e8:
        raise NumericalError(
            "the fixed effects cannot be told apart", found=f"condition number {condition:.2e}"
        )
    inverse = solve_triangular(r, np.eye(r.shape[0])) / scale[:, None]
    return np.asarray(inverse @ (q.T @ r_half)), np.asarray(inverse @ inverse.T)


def estimate_totals(
    solution: Solution, cross: np.ndarray, prior_covariance: np.ndarray, loading: np.ndarray | None = None
) -> TotalEstimate:
    """Totals with their full covariance.

    Parameters
    ----------
    cross : (n, k)
        H Q aᵀ.
    prior_covariance : (k, k)
        a Q aᵀ.
    loading : (k, q), optional
        aΔ of the fixed effects; zeros if absent.
    """
    weighted = solution.weigh(cross)
    gain = weighted.T
    covariance = prior_covariance - cross.T @ weighted
    if solution.fixed.shape[1]:
        g = np.zeros((cross.shape[1], solution.fixed.shape[1])) if loading is None else loading
        extra = g - weighted.T @ solution.fixed
        covariance = covariance + extra @ solution.beta_covariance @ extra.T
        gain = gain + extra @ solution.beta_covariance @ solution.weigh(solution.fixed).T
    covariance = 0.5 * (covariance + covariance.T)
    return TotalEstimate(gain @ solution.residual, covariance, prior_covariance, gain)


def leave_out(
    solution: Solution, groups: np.ndarray, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Leave-group-out residuals and their standard deviations, in closed form.

    For a group I: e_I = [P_II]⁻¹ (P r)_I with covariance [P_II]⁻¹; equal to a refit without the group
    at fixed θ, to rounding.

    Parameters
    ----------
    groups : (n,)
        A label per observation (its day, its station).
    labels
        The groups that are left out, each alone; all if absent.

    Returns
    -------
    residual, sigma : (n,), (n,)
        NaN in groups that are not left out.
    """
    residual, sigma = np.full(groups.size, np.nan), np.full(groups.size, np.nan)
    precision = solution.precision
    for label in np.unique(groups) if labels is None else labels:
        rows = np.flatnonzero(groups == label)
        block = precision[np.ix_(rows, rows)]
        lower = cholesky_or_error(block, f"the precision of group {label}")
        inverse = inverse_from_cholesky(lower)
        residual[rows] = inverse @ solution.alpha[rows]
        sigma[rows] = np.sqrt(np.diagonal(inverse))
    return residual, sigma
