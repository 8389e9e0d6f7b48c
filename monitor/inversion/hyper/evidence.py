"""The evidence of the hyperparameters and its gradient, in observation space.

With fixed effects X under a flat prior the restricted likelihood is used::

    ln p(y|θ) = −½ ( rᵀ P r + ln|Ψ| + ln|XᵀΨ⁻¹X| + (n − q) ln 2π ),
    P = Ψ⁻¹ − Ψ⁻¹X (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹
    ∂/∂ln v = ½ tr[(P r rᵀ P − P) ∂Ψ/∂ln v]

(Rasmussen & Williams 2006, ch. 5; Patterson & Thompson 1971 for the restricted form).  The traces are taken
without writing a derivative out wherever the covariance has a structure that allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import blas, lapack, solve_triangular

from monitor.errors import InputError, NumericalError
from monitor.inversion.components import ObservationModel, cholesky_or_error
from monitor.inversion.covariance import Block, Covariance, Dense, Diagonal, Kronecker, Matern, Sum, add_to
from monitor.inversion.factor import ObservationFactor, factored
from monitor.inversion.kernels import markov_contract
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_with
from monitor.inversion.operators import adjoint, cut_columns

_LOG_2PI = float(np.log(2 * np.pi))
#: Unknowns up to which a weight is carried back to the state rather than a slope to the observations.
_FEW = 1024
#: Rows of a matrix that are mirrored at once.
_ROWS = 512
METHODS = ("auto", "exact", "reduced")


def restricted(
    lower: np.ndarray, residual: np.ndarray, fixed: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Ln p(y|θ), P r (n,) and V (n, q) with V Vᵀ = Ψ⁻¹ − P, from the Cholesky factor of Ψ.

    Raises
    ------
    NumericalError
        When the columns `fixed` (n, q) cannot be told apart.
    """
    n, q = fixed.shape
    half = solve_triangular(lower, np.column_stack([residual, fixed]), lower=True, check_finite=False)
    value = 2.0 * float(np.log(np.diagonal(lower)).sum()) + (n - q) * _LOG_2PI
    rest, turned = half[:, 0], np.zeros((n, 0))
    if q:
        turned, triangle = np.linalg.qr(half[:, 1:])
        own = np.abs(np.diagonal(triangle))
        length = np.linalg.norm(half[:, 1:], axis=0)
        alone = own <= 1e-10 * length
        if alone.any() or n <= q:
            raise NumericalError(
                "the fixed effects cannot be told apart",
                found=f"column {int(np.argmax(alone))} of {q}, with {n} observations",
                remedy="leave one of them out; the network may not see it",
            )
        value += 2.0 * float(np.log(own).sum())
        rest = rest - turned @ (turned.T @ rest)
    value += float(rest @ rest)
    back = np.column_stack([rest, turned])
    back = solve_triangular(lower, back, lower=True, trans="T", check_finite=False)
    return -0.5 * value, np.asarray(back[:, 0]), np.asarray(back[:, 1:])


def trace_weight(lower: np.ndarray, alpha: np.ndarray, spent: np.ndarray) -> np.ndarray:
    """P r rᵀ P − P (n, n), in the place of `lower`, which is lost.

    One inverse from the factor (dpotri), one update of low rank on its lower half, one mirroring.
    """
    inverse, info = lapack.dpotri(lower, lower=1, overwrite_c=1)
    if info != 0:
        raise NumericalError(
            "the covariance of the observations cannot be inverted", found=f"dpotri info {info}"
        )
    columns = np.asfortranarray(np.column_stack([alpha, spent]))
    weight = blas.dsyrk(1.0, columns, beta=-1.0, c=inverse, lower=1, overwrite_c=1).T
    n = weight.shape[0]
    # what was the lower half in Fortran's order is the upper half of the transposed
    for i in range(0, n, _ROWS):
        a = slice(i, min(i + _ROWS, n))
        weight[a, a] = np.triu(weight[a, a]) + np.triu(weight[a, a], 1).T
        weight[a.stop :, a] = weight[a, a.stop :].T
    return np.asarray(weight)


def log_evidence(
    model: ObservationModel, values: np.ndarray, residual: np.ndarray, fixed: np.ndarray
) -> tuple[float, np.ndarray]:
    """Restricted log-likelihood of a model in observation space and its gradient in ln v.

    Parameters
    ----------
    residual : (n,)
        Observations minus the prior's prediction [µmol mol⁻¹].
    fixed : (n, q)
        Columns with a flat prior; (n, 0) for none.
    """
    lower = np.asfortranarray(
        cholesky_or_error(model.covariance(values), "the covariance of the observations")
    )
    value, alpha, spent = restricted(lower, residual, fixed)
    return value, 0.5 * model.contract(values, trace_weight(lower, alpha, spent))


def contract_slopes(covariance: Covariance, weight: np.ndarray) -> np.ndarray:
    """Σ_ij weight_ij ∂Q_ij/∂ln v for each parameter v; `weight` is symmetric (m, m).

    No derivative is written out for variances, processes along a line, and sums and blocks of them.
    """
    if isinstance(covariance, Sum):
        return np.concatenate([contract_slopes(part, weight) for part in covariance.parts])
    if isinstance(covariance, Block):
        edges = np.cumsum([0, *(part.size for part in covariance.parts)])
        inner = [weight[a:b, a:b] for a, b in pairwise(edges)]
        return np.concatenate(
            [contract_slopes(part, w) for part, w in zip(covariance.parts, inner, strict=True)]
        )
    if isinstance(covariance, Diagonal):
        return np.array([2.0 * float(np.diagonal(weight) @ covariance.diagonal())])
    if isinstance(covariance, Dense):
        return np.array([2.0 * covariance.scale**2 * float(np.vdot(weight, covariance.matrix))])
    if isinstance(covariance, Kronecker):
        return _contract_product(covariance, weight)
    if isinstance(covariance, Matern):
        return _contract_stationary(covariance, weight)
    unit = sp.eye_array(covariance.size, format="csr")
    return np.array([float(np.vdot(weight, slope)) for slope in covariance.slopes(unit)])


def _contract_stationary(covariance: Matern, weight: np.ndarray) -> np.ndarray:
    if covariance.smoothness == 0.5 and covariance.positions.ndim == 1:
        groups = np.zeros(covariance.size) if covariance.groups is None else covariance.groups
        label = np.unique(groups, return_inverse=True)[1]
        deviation = np.ascontiguousarray(covariance.deviation)
        at = np.ascontiguousarray(covariance.positions, dtype="f8")
        rows, slope = markov_contract(at, label, deviation, covariance.length, np.ascontiguousarray(weight))
        return np.array([2.0 * rows.sum(), slope])
    by_scale = 2.0 * float(np.vdot(weight, covariance.dense()))
    return np.array([by_scale, float(np.vdot(weight, covariance.slope_matvec(np.eye(covariance.size))))])


def _contract_product(covariance: Kronecker, weight: np.ndarray) -> np.ndarray:
    """Of D (T ⊗ S) D: the weight is summed over one factor, then the other."""
    p, s = covariance.shape
    in_time, per_cell = covariance.deviation
    sigma = np.broadcast_to(in_time * per_cell, (p, s)).reshape(-1)
    inner = (weight * np.outer(sigma, sigma)).reshape(p, s, p, s)
    time, space = covariance.time.dense(), covariance.space.dense()
    over_space = np.einsum("psqt,st->pq", inner, space, optimize=True)
    over_time = np.einsum("psqt,pq->st", inner, time, optimize=True)
    slope_time = covariance.time.slope_matvec(np.eye(p))
    slope_space = covariance.space.slope_matvec(np.eye(s))
    return np.array(
        [
            2.0 * float(np.vdot(time, over_space)),
            float(np.vdot(slope_time, over_space)),
            float(np.vdot(slope_space, over_time)),
        ]
    )


@dataclass(frozen=True, eq=False)
class Term:
    """A part of the prior covariance with what the observations see of it.

    Attributes
    ----------
    covariance : Covariance
        At the values the problem was stated with.
    jacobian : (n, m)
        Columns of its unknowns.
    reduction : Reduction or None
        The footprints in a basis of smooth fields, projected once for all values.
    """

    covariance: Covariance
    jacobian: Any
    reduction: Any = None

    def observe(self, values: np.ndarray) -> np.ndarray:
        """H Q Hᵀ (n, n)."""
        now = self.covariance.with_values(values)
        return np.asarray(self.reduction.observe(now) if self.reduction else now.observe(self.jacobian))

    def contract(self, values: np.ndarray, weight: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """tr(weight · H ∂Q Hᵀ) for each parameter; `signal` is H Q Hᵀ, half the slope by the scale."""
        now = self.covariance.with_values(values)
        if self.reduction:
            lengths = [float(np.vdot(weight, slope)) for slope in self.reduction.length_slopes(now)]
            return np.array([2.0 * float(np.vdot(weight, signal)), *lengths])
        if self.covariance.size <= max(weight.shape[0], _FEW):
            inner = adjoint(self.jacobian, adjoint(self.jacobian, weight).T)
            return contract_slopes(now, 0.5 * (inner + inner.T))
        return np.array([float(np.vdot(weight, slope)) for slope in now.slopes(self.jacobian)])


def terms_of(covariance: Covariance, problem: LinearProblem, jacobian: Any, method: str) -> Iterator[Term]:
    """Sums and blocks taken apart, in the order of their parameters."""
    if isinstance(covariance, Sum):
        for part in covariance.parts:
            yield from terms_of(part, problem, jacobian, method)
    elif isinstance(covariance, Block):
        edges = np.cumsum([0, *(part.size for part in covariance.parts)])
        for part, columns in zip(covariance.parts, cut_columns(jacobian, edges), strict=True):
            yield from terms_of(part, problem, columns, method)
    elif isinstance(covariance, Kronecker) and _is_reduced(covariance, method):
        yield _reduced(covariance, problem, jacobian, method)
    else:
        yield Term(covariance, jacobian)


def _reduced(covariance: Kronecker, problem: LinearProblem, jacobian: Any, method: str) -> Term:
    """In a basis of smooth fields; with "auto" exact where the errors are too small for one."""
    from monitor.inversion.reduced import NoBasisError, reduce

    noise = problem.mismatch_covariance.diagonal()
    try:
        return Term(covariance, jacobian, reduce(covariance, jacobian, noise))
    except NoBasisError:
        if method == "auto":
            return Term(covariance, jacobian)
        raise


def _is_reduced(covariance: Kronecker, method: str) -> bool:
    from monitor.inversion.reduced import is_large

    return method == "reduced" or (method == "auto" and is_large(covariance))


@dataclass(frozen=True, eq=False)
class Evidence:
    """ln p(y|θ) of a linear problem as a function of the values of its parameters.

    What does not depend on θ is done once: residuals, fixed effects, and the projection of the footprints
    where there are many cells.
    """

    problem: LinearProblem
    terms: tuple[Term, ...]

    @classmethod
    def of(cls, problem: LinearProblem, method: str = "auto") -> Evidence:
        """Prepare the evidence.

        Parameters
        ----------
        method
            "exact"; "reduced": H Q Hᵀ of Kronecker priors in a basis of smooth fields (see
            `monitor.inversion.reduced`); "auto": reduced where a regular grid has more than 1,024 cells
            and the errors allow it.

        Raises
        ------
        InputError, NumericalError
        """
        if method not in METHODS:
            raise InputError(f"no method '{method}'", expected=", ".join(METHODS))
        return cls(problem, tuple(terms_of(problem.prior_covariance, problem, problem.jacobian, method)))

    @property
    def is_reduced(self) -> bool:
        """Whether a part of H Q Hᵀ is reduced."""
        return any(t.reduction for t in self.terms)

    @property
    def truncation(self) -> float:
        """Largest error of an element of H Q Hᵀ beside the mismatch, at the values of `problem`."""
        return max((t.reduction.truncation for t in self.terms if t.reduction), default=0.0)

    def value(self, values: np.ndarray) -> float:
        """Ln p(y|θ) alone.

        Raises
        ------
        NumericalError
            When Ψ is not positive definite.
        """
        *cut, last = self._cut(values)
        lower, _ = self._factored(self._signals(cut), last)
        return restricted(lower, self.problem.residual, self.problem.fixed_observed)[0]

    def __call__(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Ln p(y|θ) and its gradient in ln θ (parameters,).

        Raises
        ------
        NumericalError
            When Ψ is not positive definite.
        """
        *cut, last = self._cut(values)
        signals = self._signals(cut)
        # factored in the place of a copy: the signals are needed once more
        lower, _ = self._factored([signals[0].copy(), *signals[1:]], last)
        value, alpha, spent = restricted(lower, self.problem.residual, self.problem.fixed_observed)
        weight = trace_weight(lower, alpha, spent)
        parts = [t.contract(v, weight, s) for t, v, s in zip(self.terms, cut, signals, strict=True)]
        parts.append(contract_slopes(self.problem.mismatch_covariance.with_values(last), weight))
        return value, 0.5 * np.concatenate(parts)

    def posterior(self, values: np.ndarray) -> LinearPosterior:
        """The answer at these values; its `truncation` is that at the values of `problem`."""
        *cut, last = self._cut(values)
        lower, condition = self._factored(self._signals(cut), last)
        problem = self.problem.with_values(values)
        factor = ObservationFactor(lower, condition, problem.mismatch_covariance)
        return solve_with(problem, factor, self.truncation)

    def _cut(self, values: np.ndarray) -> list[np.ndarray]:
        """One array of values per term, and those of the mismatch."""
        return np.split(values, np.cumsum([len(t.covariance.parameters) for t in self.terms]))

    def _signals(self, cut: list[np.ndarray]) -> list[np.ndarray]:
        """H Q Hᵀ (n, n) of each term."""
        return [t.observe(v) for t, v in zip(self.terms, cut, strict=True)]

    def _factored(self, signals: list[np.ndarray], mismatch: np.ndarray) -> tuple[np.ndarray, float]:
        """Ψ factored in the place of the first signal, and its condition number."""
        first, *others = signals
        for signal in others:
            first += signal
        add_to(first, self.problem.mismatch_covariance.with_values(mismatch))
        return factored(first, "the covariance of the observations")


def log_evidence_of(problem: LinearProblem, method: str = "auto") -> tuple[float, np.ndarray]:
    """Ln p(y|θ) of a linear problem at its own values, and its gradient in their logarithms (parameters,).

    Raises
    ------
    InputError, NumericalError
    """
    return Evidence.of(problem, method)(np.array([p.start for p in problem.parameters]))
