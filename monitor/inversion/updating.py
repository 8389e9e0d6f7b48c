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
from monitor.inversion.covariance.base import is_covariance, scaled_rows
from monitor.inversion.factor import ObservationFactor, factored
from monitor.inversion.linear import (
    LinearPosterior,
    LinearProblem,
    solve_observations,
    solve_state,
    solve_with,
)
from monitor.inversion.linear_problem import checked_vector
from monitor.inversion.operators import RaggedJacobian, as_jacobian, forward, row_chunk
from monitor.inversion.robust import reweighted
from monitor.inversion.windows import WindowedFactor, last_times, window_of

#: New observations whose products with Q are worked out at once.
_ROWS = 16
#: Vectors by which two covariances are compared, and what rounding may make of their products.
_PROBES = 3
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class NewObservations:
    """Further observations of the same unknowns.

    Attributes
    ----------
    jacobian : (k, m)
    observations : (k,)
    mismatch_covariance
        Of the new observations alone, if their errors are independent of the older ones; else a covariance
        of all n + k, the older first, whose leading block is that of the older ones.
    times : (k,), optional
        After `windowed` with times of its own: those of the new observations.
    """

    jacobian: Any
    observations: np.ndarray
    mismatch_covariance: Any
    times: Any = None


def update(posterior: LinearPosterior, new: NewObservations | LinearProblem) -> LinearPosterior:
    """The posterior with further observations, at the same hyperparameters.

    After `solve` it equals solving with all observations at once; a solution by the state, whose unknowns are
    few, is solved afresh.  After `windowed` the new observations are another window, with the same overlap in
    time.  Observations that lost weight to a Student-t likelihood keep it; the new ones have weight 1.

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
    old, joined = posterior.problem, _joined(posterior.problem, new, posterior.weights)
    factor = posterior.factor
    if isinstance(factor, WindowedFactor):
        at = _times(factor, joined, old.n, getattr(new, "times", None))
        found = solve_with(joined, _another_window(factor, joined, at), posterior.truncation)
    elif isinstance(factor, ObservationFactor):
        found = solve_with(joined, _grown(factor, joined, old.n), posterior.truncation)
    elif isinstance(joined.mismatch_covariance, Diagonal):
        found = solve_state(joined)
    else:
        found = solve_observations(joined)
    return replace(found, weights=np.concatenate([posterior.weights, np.ones(joined.n - old.n)]))


def _another_window(factor: WindowedFactor, joined: LinearProblem, at: np.ndarray) -> WindowedFactor:
    """One window more, of the new observations at times `at` (k,); what is near on either side is overlap."""
    n, known, overlap = factor.times.size, factor.times, factor.overlap
    before = np.flatnonzero((known >= at.min() - overlap) & (known <= at.max() + overlap))
    rows = np.concatenate([before, np.arange(n, joined.n)])
    window, condition = window_of(
        joined, lambda jacobian, _: joined.prior_covariance.observe(jacobian), rows, before.size
    )
    return replace(
        factor,
        windows=(*factor.windows, window),
        condition=max(condition, factor.condition),
        mismatch=joined.mismatch_covariance,
        times=np.concatenate([known, at]),
    )


def _times(factor: WindowedFactor, joined: LinearProblem, n: int, given: Any) -> np.ndarray:
    """Times of the new observations (k,)."""
    if given is not None:
        return checked_vector(given, joined.n - n, "times", "new observations")
    if not factor.stated:
        return last_times(joined, n)
    raise InputError(
        "the windows were cut by times of their own, and those of the new observations are not known",
        expected="NewObservations(…, times=(k,))",
        remedy="give them in the unit of the times that windowed was given",
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
    """Condition number of L Lᵀ, scaled to a diagonal of ones (1-norm, estimated; Higham & Tisseur 2000)."""
    n = lower.shape[0]
    root = np.sqrt(np.einsum("ij,ij->i", lower, lower))

    def divide(v: np.ndarray) -> np.ndarray:
        half = solve_triangular(lower, scaled_rows(root, v), lower=True, check_finite=False)
        back = solve_triangular(lower, half, lower=True, trans="T", check_finite=False)
        return scaled_rows(root, back)

    def multiply(v: np.ndarray) -> np.ndarray:
        return scaled_rows(1.0 / root, lower @ (lower.T @ scaled_rows(1.0 / root, v)))

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


def _joined(old: LinearProblem, new: NewObservations | LinearProblem, weights: np.ndarray) -> LinearProblem:
    """One problem with the observations of both; `weights` are those of the old ones."""
    if not isinstance(new, (NewObservations, LinearProblem)):
        raise InputError(
            "an update takes new observations",
            expected="NewObservations or LinearProblem",
            found=type(new).__name__,
            remedy="inv.NewObservations(jacobian, observations, mismatch_covariance)",
        )
    jacobian = as_jacobian(new.jacobian)
    if jacobian.shape[0] == 0:
        raise InputError(
            "there are no new observations",
            expected="a jacobian of shape (k, m), k of 1 or more",
            found="k = 0",
        )
    if jacobian.shape[1] != old.m:
        raise InputError(
            "the new observations see other unknowns",
            expected=f"a jacobian of shape (k, {old.m})",
            found=str(tuple(jacobian.shape)),
            remedy="let the state cover the new hours from the beginning",
        )
    values = checked_vector(new.observations, jacobian.shape[0], "observations", "rows of the new jacobian")
    given, n = new.mismatch_covariance, old.n + values.size
    joint = _size(given) == n
    covariance = (
        as_covariance(given, n, "mismatch_covariance")
        if joint
        else _beside(old.mismatch_covariance, as_covariance(given, values.size, "mismatch_covariance"))
    )
    joined = replace(
        old,
        jacobian=_stacked(old.jacobian, jacobian),
        observations=np.concatenate([old.observations, values]),
        mismatch_covariance=covariance,
    )
    if joint:
        if not (weights == 1).all():
            joined = reweighted(joined, np.concatenate([weights, np.ones(values.size)]))
        _ensure_continues(joined.mismatch_covariance, old.mismatch_covariance)
    return joined


def _size(covariance: Any) -> int:
    """Number of observations of a covariance or an array; 0 of a number."""
    if is_covariance(covariance):
        return int(covariance.size)
    shape = np.shape(covariance)
    return int(shape[0]) if shape else 0


def _beside(old: Covariance, new: Covariance) -> Covariance:
    """Of independent observations."""
    if isinstance(old, Diagonal) and isinstance(new, Diagonal):
        return Diagonal(np.concatenate([old.diagonal(), new.diagonal()]))
    return Block((old, new))


def _ensure_continues(joint: Covariance, old: Covariance) -> None:
    """Raise `InputError` where the leading block of a joint covariance is not the old one.

    Products with a few random vectors are compared (Freivalds 1979), beside the variances.
    """
    n = old.size
    probe = np.zeros((joint.size, _PROBES))
    probe[:n] = np.random.default_rng(0).standard_normal((n, _PROBES))
    pairs = np.column_stack([joint.diagonal()[:n], joint.matvec(probe)[:n]])
    known = np.column_stack([old.diagonal(), old.matvec(probe[:n])])
    apart = np.flatnonzero((np.abs(pairs - known) > _SAME * np.abs(known).max()).any(axis=1))
    if apart.size:
        i = int(apart[0])
        raise InputError(
            "the leading block of the joint mismatch_covariance is not that of the older observations",
            expected=f"the covariance that they were solved with, of variance {known[i, 0]:.6g} at index {i}",
            found=f"variance {pairs[i, 0]:.6g} there; {apart.size} of {n} rows differ",
            remedy="give the older observations first, with the same errors; "
            "of independent new ones their own covariance alone",
        )


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
