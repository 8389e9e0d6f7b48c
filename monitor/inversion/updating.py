"""New observations added to a posterior: Ψ grows by a block of rows, and so does its factor::

    Ψ = [Ψ₁₁ Ψ₁₂; Ψ₂₁ Ψ₂₂] = L Lᵀ,    L₂₁ = (L₁₁⁻¹ Ψ₁₂)ᵀ,    L₂₂ L₂₂ᵀ = Ψ₂₂ − L₂₁ L₂₁ᵀ

(Golub & Van Loan 2013, §4.2), so that n old and k new observations cost n² k instead of (n + k)³/3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import LinearOperator, onenormest

from monitor.errors import InputError
from monitor.inversion.covariance import Block, Covariance, Diagonal, as_covariance
from monitor.inversion.factor import ObservationFactor, factored
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_with
from monitor.inversion.operators import RaggedJacobian, as_jacobian, forward, row_chunk
from monitor.inversion.windows import WindowedFactor, window_of

#: New observations whose products with Q are worked out at once.
_ROWS = 16


@dataclass(frozen=True, eq=False)
class NewObservations:
    """Further observations of the same unknowns.

    Attributes
    ----------
    jacobian : (k, m)
    observations : (k,)
    mismatch_covariance
        Of the new observations alone, if their errors are independent of the older ones; else a covariance
        of all n + k, the older first.
    """

    jacobian: Any
    observations: np.ndarray
    mismatch_covariance: Any


def update(posterior: LinearPosterior, new: NewObservations | LinearProblem) -> LinearPosterior:
    """The posterior with further observations, at the same hyperparameters.

    After `solve` it equals solving with all observations at once; after `windowed` the new observations are
    another window, with the last one as its overlap.

    Parameters
    ----------
    new : NewObservations or LinearProblem
        Of a problem only its Jacobian, observations and mismatch are used.

    Raises
    ------
    InputError, NumericalError
    """
    if not isinstance(posterior, LinearPosterior):
        raise InputError(
            "an update takes the posterior of a problem in plain arrays",
            expected="LinearPosterior",
            found=type(posterior).__name__,
            remedy="of an InverseProblem: that of inv.solve(problem.linear(posterior.values))",
        )
    old, joined = posterior.problem, _joined(posterior.problem, new)
    factor = posterior.factor
    if isinstance(factor, WindowedFactor):
        return solve_with(joined, _another_window(factor, joined, old.n), posterior.truncation)
    if isinstance(factor, ObservationFactor):
        return solve_with(joined, _grown(factor, joined, old.n), posterior.truncation)
    raise InputError(
        "a solution by the state cannot be continued",
        expected='a posterior by method="observations" or "reduced", or by inv.windowed',
        found=type(factor).__name__,
    )


def _another_window(factor: WindowedFactor, joined: LinearProblem, n: int) -> WindowedFactor:
    before = factor.windows[-1].rows
    rows = np.concatenate([before, np.arange(n, joined.n)])
    window, condition = window_of(
        joined, lambda jacobian, _: joined.prior_covariance.observe(jacobian), rows, before.size
    )
    return WindowedFactor(
        (*factor.windows, window), max(condition, factor.condition), joined.mismatch_covariance
    )


def _grown(factor: ObservationFactor, joined: LinearProblem, n: int) -> ObservationFactor:
    size, k = joined.n, joined.n - n
    cross = np.empty((size, k))
    for start in range(0, k, _ROWS):
        stop = min(start + _ROWS, k)
        rows = row_chunk(joined.jacobian, n + start, n + stop)
        dense = np.asarray(rows.toarray() if sp.issparse(rows) else rows)
        cross[:, start:stop] = forward(joined.jacobian, joined.prior_covariance.matvec(dense.T))
    cross += _columns(joined.mismatch_covariance, n)
    lower = np.zeros((size, size), order="F")
    lower[:n, :n] = factor.lower
    below = solve_triangular(factor.lower, cross[:n], lower=True, check_finite=False).T
    lower[n:, :n] = below
    rest = np.ascontiguousarray(cross[n:] - below @ below.T)
    lower[n:, n:], condition = factored(0.5 * (rest + rest.T), "the covariance of the new observations")
    return ObservationFactor(lower, max(condition, _condition(lower)), joined.mismatch_covariance)


def _condition(lower: np.ndarray) -> float:
    """Condition number of L Lᵀ (1-norm, estimated; Higham & Tisseur 2000)."""
    n = lower.shape[0]

    def divide(v: np.ndarray) -> np.ndarray:
        half = solve_triangular(lower, v, lower=True, check_finite=False)
        return np.asarray(solve_triangular(lower, half, lower=True, trans="T", check_finite=False))

    def multiply(v: np.ndarray) -> np.ndarray:
        return np.asarray(lower @ (lower.T @ v))

    norms = [
        float(onenormest(LinearOperator((n, n), f, rmatvec=f, matmat=f, rmatmat=f, dtype="f8")))
        for f in (multiply, divide)
    ]
    return norms[0] * norms[1]


def _columns(covariance: Covariance, start: int) -> np.ndarray:
    """Columns `start` … of a covariance (n, k)."""
    unit = np.zeros((covariance.size, covariance.size - start))
    unit[np.arange(start, covariance.size), np.arange(unit.shape[1])] = 1.0
    return covariance.matvec(unit)


def _joined(old: LinearProblem, new: NewObservations | LinearProblem) -> LinearProblem:
    """One problem with the observations of both."""
    jacobian = as_jacobian(new.jacobian)
    if jacobian.shape[1] != old.m:
        raise InputError(
            "the new observations see other unknowns",
            expected=f"a jacobian of shape (k, {old.m})",
            found=str(tuple(jacobian.shape)),
            remedy="let the state cover the new hours from the beginning",
        )
    values = np.asarray(new.observations, dtype="f8")
    return replace(
        old,
        jacobian=_stacked(old.jacobian, jacobian),
        observations=np.concatenate([old.observations, values]),
        mismatch_covariance=_joint(old.mismatch_covariance, new.mismatch_covariance, values.size),
    )


def _joint(old: Covariance, new: Any, k: int) -> Covariance:
    size = getattr(new, "size", 0) if isinstance(new, Covariance) else np.shape(new)[:1]
    if size in (old.size + k, (old.size + k,)):
        return as_covariance(new, old.size + k, "mismatch_covariance")
    alone = as_covariance(new, k, "mismatch_covariance of the new observations")
    if isinstance(old, Diagonal) and isinstance(alone, Diagonal):
        return Diagonal(np.concatenate([old.diagonal(), alone.diagonal()]))
    return Block((old, alone))


def _stacked(old: Any, new: Any) -> Any:
    if isinstance(old, RaggedJacobian):
        added = new if isinstance(new, RaggedJacobian) else RaggedJacobian.of(sp.csr_array(new))
        return RaggedJacobian(
            np.concatenate([old.offsets, old.offsets[-1] + added.offsets[1:]]),
            np.concatenate([old.columns, added.columns]),
            np.concatenate([old.values, added.values]),
            (old.shape[0] + added.shape[0], old.shape[1]),
        )
    parts = [row_chunk(h, 0, h.shape[0]) for h in (old, new)]
    if any(sp.issparse(part) for part in parts):
        return sp.vstack([sp.csr_array(part) for part in parts], format="csr")
    return np.vstack(parts)
