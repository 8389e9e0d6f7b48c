"""The linear problem in plain arrays, checked: y = H x + ε with x ~ N(x_a, Q) and ε ~ N(0, R)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.components import Parameter
from monitor.inversion.covariance import Covariance, Kronecker, as_covariance
from monitor.inversion.numeric import numbers
from monitor.inversion.operators import SeparableTotals, adjoint, as_jacobian, forward

#: Totals that are worked out at once, and elements of the (m, k) array that they need.
_CHUNK = 512
_CHUNK_ELEMENTS = 40_000_000
#: Largest dense (m, m) or (k, m) matrix that is formed on request [elements].
_LARGEST = 400_000_000


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """Everything a linear-Gaussian inversion needs; checked, and made uniform, at construction.

    Parameters
    ----------
    jacobian : (n, m)
        Array, sparse array, an operator with ``shape``, ``matvec`` and ``rmatvec``, or a `RaggedJacobian`.
    observations : (n,)
    prior_mean : scalar or (m,)
    prior_covariance, mismatch_covariance
        A variance, variances (m,) or (n,), a matrix, or an object of `monitor.inversion.covariance`.
    totals : (k, m) or SeparableTotals, optional
        Rows a of the totals T = a x.
    fixed_effects : (m,), (m, q) or mapping of name -> (m,), optional
        Patterns Δ whose strength has a flat prior.

    Raises
    ------
    InputError, NumericalError
    """

    jacobian: Any
    observations: np.ndarray
    prior_mean: np.ndarray
    prior_covariance: Covariance
    mismatch_covariance: Covariance
    totals: Any = None
    fixed_effects: Any = None

    def __post_init__(self) -> None:
        jacobian = as_jacobian(self.jacobian)
        n, m = jacobian.shape
        if n == 0 or m == 0:
            raise InputError(
                "the problem is empty",
                expected="at least one observation and one unknown",
                found=f"a jacobian of shape ({n}, {m})",
                remedy="check the period and the selection of observations",
            )
        put = object.__setattr__
        put(self, "jacobian", jacobian)
        put(
            self, "observations", checked_vector(self.observations, n, "observations", "rows of the jacobian")
        )
        mean = numbers(self.prior_mean, "prior_mean")
        mean = np.full(m, float(mean)) if mean.ndim == 0 else mean
        put(self, "prior_mean", checked_vector(mean, m, "prior_mean", "columns of the jacobian"))
        put(self, "prior_covariance", as_covariance(self.prior_covariance, m, "prior_covariance"))
        put(self, "mismatch_covariance", as_covariance(self.mismatch_covariance, n, "mismatch_covariance"))
        if self.totals is not None:
            put(self, "totals", fitting_totals(self.totals, self.prior_covariance))
        put(self, "fixed_effects", _fixed_effects(self.fixed_effects, m))

    @property
    def n(self) -> int:
        return int(self.observations.size)

    @property
    def m(self) -> int:
        return int(self.prior_mean.size)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Hyperparameters of both covariances, by the names "prior …" and "mismatch …"."""
        parts = (("prior", self.prior_covariance), ("mismatch", self.mismatch_covariance))
        return tuple(replace(p, name=f"{part} {p.name}") for part, c in parts for p in c.parameters)

    def with_values(self, values: np.ndarray) -> LinearProblem:
        """The same problem at other values (q,) of its `parameters`, without a second look at the data.

        Raises
        ------
        InputError
        """
        array = checked_vector(values, len(self.parameters), "values", "parameters of the problem")
        split = len(self.prior_covariance.parameters)
        other = copy(self)
        object.__setattr__(other, "prior_covariance", self.prior_covariance.with_values(array[:split]))
        object.__setattr__(other, "mismatch_covariance", self.mismatch_covariance.with_values(array[split:]))
        return other

    @cached_property
    def residual(self) -> np.ndarray:
        """Y − H x_a (n,).

        Raises
        ------
        InputError
            Where an operator, or a store that is too large to be looked through, gives NaN.
        """
        found = np.asarray(self.observations - forward(self.jacobian, self.prior_mean))
        bad = np.flatnonzero(~np.isfinite(found))
        if bad.size:
            raise InputError(
                "the jacobian times the prior mean is not finite",
                found=f"{bad.size} observations, the first at index {int(bad[0])}",
                remedy="leave the observation out, or mend its footprint",
            )
        return found

    @cached_property
    def fixed_observed(self) -> np.ndarray:
        """X = HΔ (n, q)."""
        columns = [forward(self.jacobian, pattern) for pattern in self.fixed_effects.values()]
        return np.column_stack(columns) if columns else np.zeros((self.n, 0))


def cross_covariance(
    problem: LinearProblem, totals: Any, *, diagonal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """H Q aᵀ (n, k) and a Q aᵀ, (k, k) or its diagonal (k,)."""
    prior = problem.prior_covariance
    if isinstance(totals, SeparableTotals) and isinstance(prior, Kronecker) and prior.separable:
        from monitor.inversion.cross import separable_cross

        return separable_cross(problem.jacobian, prior, totals, diagonal=diagonal)
    k = totals.shape[0]
    cross = np.empty((problem.n, k))
    inner = np.empty(k) if diagonal else np.empty((k, k))
    for start, stop in chunks(k, problem.m):
        spread = prior.matvec(dense_rows(totals, start, stop).T)
        cross[:, start:stop] = forward(problem.jacobian, spread)
        if diagonal:
            part = dense_rows(totals, start, stop)
            inner[start:stop] = np.einsum("km,mk->k", part, spread)
        else:
            inner[:, start:stop] = apply_totals(totals, spread)
    return cross, inner if diagonal else 0.5 * (inner + inner.T)


def chunks(count: int, width: int) -> list[tuple[int, int]]:
    """(start, stop) of parts of `count` rows of `width` numbers that fit into memory at once."""
    size = max(1, min(_CHUNK, _CHUNK_ELEMENTS // width))
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def update_of(problem: LinearProblem, totals: Any, alpha: np.ndarray) -> np.ndarray:
    """A Q Hᵀ α (k,): what the observations add to the means of totals."""
    prior = problem.prior_covariance
    if isinstance(totals, SeparableTotals) and isinstance(prior, Kronecker) and prior.separable:
        from monitor.inversion.cross import separable_update

        return separable_update(problem.jacobian, prior, totals, alpha)
    return apply_totals(totals, prior.matvec(adjoint(problem.jacobian, alpha)))


def forward_covariance(problem: LinearProblem, columns: np.ndarray) -> np.ndarray:
    """H Q Hᵀ times `columns` (n, q), without the (n, n) matrix."""
    back = adjoint(problem.jacobian, columns)
    return forward(problem.jacobian, problem.prior_covariance.matvec(back))


def apply_totals(totals: Any, states: np.ndarray) -> np.ndarray:
    """A x for states (m,) or (m, q)."""
    if isinstance(totals, SeparableTotals):
        return totals.matvec(states)
    return np.asarray(totals @ states)


def dense_rows(totals: Any, start: int, stop: int) -> np.ndarray:
    """Some of the rows of totals, written out."""
    if isinstance(totals, SeparableTotals):
        return totals.rows(start, stop)
    part = totals[start:stop]
    return np.asarray(part.toarray() if sp.issparse(part) else part)


def checked_vector(values: Any, size: int, name: str, of: str) -> np.ndarray:
    """Finite numbers (size,), or an `InputError` naming `name` and the first that is none."""
    array = numbers(values, name)
    if array.shape != (size,):
        raise InputError(
            f"{name} has the wrong shape",
            expected=f"({size},), the {of}",
            found=str(array.shape),
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(
            f"{name} has {bad.size} values that are not finite",
            expected="numbers",
            found=f"{array[bad[0]]} at index {int(bad[0])}",
            remedy=f"leave {'that observation' if name == 'observations' else 'it'} out, or give a value",
        )
    return array


def checked_totals(totals: Any, m: int) -> Any:
    """Totals of m unknowns as an array, CSR or `SeparableTotals`, none of them empty; or an `InputError`."""
    if isinstance(totals, SeparableTotals):
        rows: Any = totals
        weight = np.outer(abs(totals.time).sum(axis=1), abs(totals.space).sum(axis=1)).ravel()
    else:
        rows = sp.csr_array(totals) if sp.issparse(totals) else np.atleast_2d(numbers(totals, "totals"))
        weight = abs(rows).sum(axis=1)
    if len(rows.shape) != 2 or rows.shape[1] != m:
        raise InputError("totals do not fit the state", expected=f"(k, {m})", found=str(rows.shape))
    bad = np.flatnonzero(~np.isfinite(weight))
    if bad.size:
        raise InputError(
            f"{bad.size} totals have a weight that is not finite",
            found=f"the first is total {int(bad[0])}",
            remedy="give every cell a weight, 0 where it is outside",
        )
    empty = np.flatnonzero(weight == 0)
    if empty.size:
        raise InputError(
            f"total {int(empty[0])} names no region: its weights are all zero",
            expected="at least one weight",
            found=f"{empty.size} of {weight.size} totals without",
            remedy="check the region's polygon against the grid",
        )
    return rows


def fitting_totals(totals: Any, prior: Covariance) -> Any:
    """`checked_totals`, whose times and cells are those of the prior where both say what they are."""
    if isinstance(totals, SeparableTotals) and isinstance(prior, Kronecker):
        shape = (totals.time.shape[1], totals.space.shape[1])
        if shape != prior.shape:
            raise InputError(
                "totals do not fit the state: their times and cells are not those of the prior",
                expected=f"weights of {prior.shape[0]} times and {prior.shape[1]} cells, as prior_covariance",
                found=f"{shape[0]} times and {shape[1]} cells",
                remedy="time is (A, p), space (B, s)",
            )
    return checked_totals(totals, prior.size)


def _fixed_effects(patterns: Any, m: int) -> Mapping[str, np.ndarray]:
    if patterns is None:
        return {}
    if isinstance(patterns, Mapping):
        named = dict(patterns)
    else:
        columns = numbers(patterns.toarray() if sp.issparse(patterns) else patterns, "fixed_effects")
        columns = columns[:, None] if columns.ndim == 1 else columns
        if columns.ndim != 2:
            raise InputError(
                "fixed_effects has the wrong shape", expected=f"({m}, q)", found=str(columns.shape)
            )
        named = {f"effect {k}": columns[:, k] for k in range(columns.shape[1])}
    return {
        name: checked_vector(v, m, f"fixed effect '{name}'", "columns of the jacobian")
        for name, v in named.items()
    }


def ensure_affordable(elements: int, what: str) -> None:
    """Raise `InputError` where that many numbers should not be formed at once."""
    if elements > _LARGEST:
        raise InputError(
            f"{what} does not fit into memory",
            expected=f"at most {_LARGEST:,} numbers",
            found=f"{elements:,} numbers, {elements * 8 / 2**30:.0f} GiB",
            remedy="ask for totals of them: their covariance is exact and small",
        )
