"""The linear problem in plain arrays, and its exact answer::

    y = H x + ε,    x ~ N(x_a, Q),    ε ~ N(0, R)

    Ψ = H Q Hᵀ + R          r = y − H x_a
    x̂ = x_a + Δβ̂ + Q Hᵀ α   α = P r,   P = Ψ⁻¹ − Ψ⁻¹X (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹,   X = HΔ

with patterns Δ whose strength β has a flat prior; without them P = Ψ⁻¹.  For totals a x see
`monitor.inversion.solution`.  Any unit serves, if H, y and x agree (Tarantola 2005, §3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError, NumericalError
from monitor.inversion.components import Parameter, inverse_from_cholesky
from monitor.inversion.covariance import Covariance, Diagonal, Kronecker, add_to, as_covariance
from monitor.inversion.factor import Factor, ObservationFactor, StateFactor, factored
from monitor.inversion.operators import SeparableTotals, adjoint, as_jacobian, forward

_LOG_2PI = float(np.log(2 * np.pi))
#: States that are held at once where a posterior is worked out in parts.
_CHUNK = 512
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
        put = object.__setattr__
        put(self, "jacobian", jacobian)
        put(self, "observations", _vector(self.observations, n, "observations", "rows of the jacobian"))
        mean = np.asarray(self.prior_mean, dtype="f8")
        mean = np.full(m, float(mean)) if mean.ndim == 0 else mean
        put(self, "prior_mean", _vector(mean, m, "prior_mean", "columns of the jacobian"))
        put(self, "prior_covariance", as_covariance(self.prior_covariance, m, "prior_covariance"))
        put(self, "mismatch_covariance", as_covariance(self.mismatch_covariance, n, "mismatch_covariance"))
        if self.totals is not None:
            put(self, "totals", _totals(self.totals, m))
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
        array = _vector(values, len(self.parameters), "values", "parameters of the problem")
        split = len(self.prior_covariance.parameters)
        other = copy(self)
        object.__setattr__(other, "prior_covariance", self.prior_covariance.with_values(array[:split]))
        object.__setattr__(other, "mismatch_covariance", self.mismatch_covariance.with_values(array[split:]))
        return other

    @cached_property
    def residual(self) -> np.ndarray:
        """Y − H x_a (n,)."""
        return np.asarray(self.observations - forward(self.jacobian, self.prior_mean))

    @cached_property
    def fixed_observed(self) -> np.ndarray:
        """X = HΔ (n, q)."""
        columns = [forward(self.jacobian, pattern) for pattern in self.fixed_effects.values()]
        return np.column_stack(columns) if columns else np.zeros((self.n, 0))


@dataclass(frozen=True, eq=False)
class TotalsEstimate:
    """Totals T = a x and what is known of them, before and after the observations.

    Attributes
    ----------
    mean, prior_mean : (k,)
    covariance, prior_covariance : (k, k)
        Along fixed effects the prior is infinitely wide; `prior_covariance` is that of the rest.
    gain : (k, n)
        What a change in the observations does to the totals; worked out when asked for.
    share_from_data : (k,)
        1 − posterior variance / prior variance; 1 where a fixed effect reaches.
    """

    mean: np.ndarray
    covariance: np.ndarray
    prior_mean: np.ndarray
    prior_covariance: np.ndarray
    share_from_data: np.ndarray
    rows: Any
    posterior: LinearPosterior
    _cross: np.ndarray
    _extra: np.ndarray

    @cached_property
    def gain(self) -> np.ndarray:
        found = self.posterior.factor.weigh(self._cross).T
        if self._extra.shape[1]:
            found = found + self._extra @ self.posterior.beta_covariance @ self.posterior.fixed_weighted.T
        return np.asarray(found)

    @property
    def std(self) -> np.ndarray:
        """1σ (k,)."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance)))

    def response(self, pattern: np.ndarray) -> np.ndarray:
        """How much of a true change Δ (m,) each total shows: a K H Δ / a Δ; 1 is a faithful answer."""
        true = apply_totals(self.rows, np.asarray(pattern, dtype="f8"))
        shown = self.gain @ forward(self.posterior.problem.jacobian, np.asarray(pattern, dtype="f8"))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(true != 0, shown / true, np.nan))


@dataclass(frozen=True, eq=False)
class FixedEffects:
    """Strengths of the patterns with a flat prior."""

    names: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, eq=False)
class LeaveOut:
    """What the rest of the observations says of each group, and what the totals are without it.

    Attributes
    ----------
    labels : (g,)
    residual, std : (n,)
        Error of the prediction of each observation from the other groups, and its 1σ.
    totals_mean, totals_covariance : (g, k), (g, k, k)
        Of the totals without the group.
    """

    labels: np.ndarray
    residual: np.ndarray
    std: np.ndarray
    totals_mean: np.ndarray
    totals_covariance: np.ndarray

    @property
    def standardised(self) -> np.ndarray:
        """Residuals in units of their σ (n,): variance 1 when the model is right."""
        return np.asarray(self.residual / self.std)


@dataclass(frozen=True, eq=False)
class LinearPosterior:
    """The answer; everything is computed when it is asked for, and exact.

    Attributes
    ----------
    factor : Factor
        Ψ, factored.
    beta, beta_covariance : (q,), (q, q)
    alpha : (n,)
        P r.
    truncation : float
        Relative error of H Q Hᵀ where it was reduced, measured; 0 when exact.
    weights : (n,)
        Of the observations: 1, unless a likelihood with heavy tails trusts some of them less.
    """

    problem: LinearProblem
    factor: Factor
    beta: np.ndarray
    beta_covariance: np.ndarray
    alpha: np.ndarray
    truncation: float = 0.0
    reduction: Any = None
    weights: Any = None

    def __post_init__(self) -> None:
        weights = np.ones(self.problem.n) if self.weights is None else self.weights
        object.__setattr__(self, "weights", _vector(weights, self.problem.n, "weights", "observations"))

    @property
    def condition(self) -> float:
        """Condition number of the matrix that was factored (estimated, 1-norm)."""
        return self.factor.condition

    @cached_property
    def mean(self) -> np.ndarray:
        """x̂ (m,)."""
        problem = self.problem
        out = problem.prior_mean + problem.prior_covariance.matvec(adjoint(problem.jacobian, self.alpha))
        for weight, pattern in zip(self.beta, problem.fixed_effects.values(), strict=True):
            out = out + weight * pattern
        return np.asarray(out)

    @cached_property
    def std(self) -> np.ndarray:
        """1σ of every unknown (m,), worked out in parts."""
        m, out = self.problem.m, np.empty(self.problem.m)
        for start in range(0, m, _CHUNK):
            stop = min(start + _CHUNK, m)
            rows = sp.csr_array(
                (np.ones(stop - start), (np.arange(stop - start), np.arange(start, stop))),
                shape=(stop - start, m),
            )
            out[start:stop] = self.variance_of(rows)
        return np.sqrt(out)

    def covariance(self) -> np.ndarray:
        """Of the state (m, m)."""
        _affordable(self.problem.m**2, f"the covariance of {self.problem.m} unknowns")
        cross, prior = cross_covariance(self.problem, sp.eye_array(self.problem.m, format="csr"))
        loading = np.column_stack([*self.problem.fixed_effects.values(), np.zeros((self.problem.m, 0))])
        return self._spread(cross, prior, loading)[0]

    def averaging_kernel(self) -> np.ndarray:
        """∂x̂/∂x = K H (m, m)."""
        _affordable(self.problem.m**2, f"the averaging kernel of {self.problem.m} unknowns")
        gain = self.estimate(sp.eye_array(self.problem.m, format="csr")).gain
        return np.asarray(adjoint(self.problem.jacobian, gain.T).T)

    @cached_property
    def totals(self) -> TotalsEstimate:
        """The problem's totals."""
        if self.problem.totals is None:
            raise InputError(
                "the problem names no totals",
                expected="totals=(k, m) in LinearProblem",
                remedy="give them there, or ask posterior.estimate(totals)",
            )
        return self.estimate(self.problem.totals)

    def estimate(self, totals: Any) -> TotalsEstimate:
        """Any other totals (k, m), with their full covariance."""
        rows = _totals(totals, self.problem.m)
        cross, prior = cross_covariance(self.problem, rows)
        loading = np.column_stack(
            [
                *(apply_totals(rows, pattern) for pattern in self.problem.fixed_effects.values()),
                np.zeros((rows.shape[0], 0)),
            ]
        )
        spread, extra = self._spread(cross, prior, loading)
        before, after = np.diagonal(prior), np.diagonal(spread)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(before > 0, 1.0 - after / before, 0.0)
        share[np.any(loading != 0, axis=1)] = 1.0
        return TotalsEstimate(
            mean=apply_totals(rows, self.problem.prior_mean) + loading @ self.beta + cross.T @ self.alpha,
            covariance=spread,
            prior_mean=apply_totals(rows, self.problem.prior_mean),
            prior_covariance=prior,
            share_from_data=share,
            rows=rows,
            posterior=self,
            _cross=cross,
            _extra=extra,
        )

    def variance_of(self, totals: Any) -> np.ndarray:
        """Variances of totals (k,), without their covariance: for maps of 1σ.

        Where H Q Hᵀ was reduced, and the totals are products of times and places, the reduction of the prior
        variance is worked out in the same basis of smooth fields.
        """
        if self.reduction is not None and isinstance(totals, SeparableTotals) and not self.beta.size:
            return np.asarray(self.reduction.variance_of(totals, self.factor))
        cross, prior = cross_covariance(self.problem, totals, diagonal=True)
        half = self.factor.half(cross)
        variance = prior - np.einsum("nk,nk->k", half, half)
        if self.beta.size:
            loading = np.column_stack(
                [apply_totals(totals, pattern) for pattern in self.problem.fixed_effects.values()]
            )
            extra = loading - cross.T @ self.fixed_weighted
            variance = variance + np.einsum("kq,qr,kr->k", extra, self.beta_covariance, extra)
        return np.asarray(np.maximum(variance, 0.0))

    def _spread(
        self, cross: np.ndarray, prior: np.ndarray, loading: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Posterior covariance (k, k), and G − CᵀΨ⁻¹X (k, q)."""
        half = self.factor.half(cross)
        covariance = prior - half.T @ half
        extra = loading - cross.T @ self.fixed_weighted
        if self.beta.size:
            covariance = covariance + extra @ self.beta_covariance @ extra.T
        return 0.5 * (covariance + covariance.T), extra

    @cached_property
    def fixed_weighted(self) -> np.ndarray:
        """Ψ⁻¹ X (n, q)."""
        return self.factor.weigh(self.problem.fixed_observed)

    @property
    def fixed_effects(self) -> FixedEffects:
        return FixedEffects(tuple(self.problem.fixed_effects), self.beta, self.beta_covariance)

    @property
    def innovations(self) -> np.ndarray:
        """Y − H x_a − Xβ̂ (n,): what the prior, with the fitted patterns, did not foresee."""
        return np.asarray(self.problem.residual - self.problem.fixed_observed @ self.beta)

    @property
    def chi2(self) -> float:
        """rᵀPr / (n − q)."""
        return float(self.problem.residual @ self.alpha) / (self.problem.n - self.beta.size)

    @cached_property
    def dofs(self) -> float:
        """tr(P H Q Hᵀ) + q: pieces of information that the observations hold about the state."""
        value = self.factor.signal_trace
        if self.beta.size:
            signal = forward_covariance(self.problem, self.fixed_weighted)
            value += self.beta.size - float(np.sum(self.beta_covariance * (self.fixed_weighted.T @ signal)))
        return value

    @property
    def log_evidence(self) -> float:
        """Ln p(y); with fixed effects the restricted likelihood, as in `monitor.inversion.hyper`."""
        q = self.beta.size
        value = float(self.problem.residual @ self.alpha) + self.factor.log_det
        if q:
            value -= float(np.linalg.slogdet(self.beta_covariance)[1])
        return -0.5 * (value + (self.problem.n - q) * _LOG_2PI)

    def leave_out(self, groups: np.ndarray) -> LeaveOut:
        """Leave each group of observations out, in closed form; equal to refits at fixed covariances.

        For a group I: e_I = [P_II]⁻¹ α_I with covariance [P_II]⁻¹; a total without it is
        T̂ − K_I e_I with covariance + K_I [P_II]⁻¹ K_Iᵀ.

        Parameters
        ----------
        groups : (n,)
            A label per observation: its day, its station, or its own number.
        """
        label = np.asarray(groups)
        if label.shape != (self.problem.n,):
            raise InputError(
                "groups need a label per observation",
                expected=f"({self.problem.n},)",
                found=str(label.shape),
            )
        labels, index = np.unique(label, return_inverse=True)
        residual, std = np.empty(self.problem.n), np.empty(self.problem.n)
        found = self.totals if self.problem.totals is not None else None
        k = found.mean.size if found else 0
        means, covariances = np.zeros((labels.size, k)), np.zeros((labels.size, k, k))
        for g in range(labels.size):
            rows = np.flatnonzero(index == g)
            inverse = self._without(rows, labels[g])
            residual[rows] = inverse @ self.alpha[rows]
            std[rows] = np.sqrt(np.diagonal(inverse))
            if found:
                gain = found.gain[:, rows]
                means[g] = found.mean - gain @ residual[rows]
                covariances[g] = found.covariance + gain @ inverse @ gain.T
        return LeaveOut(labels, residual, std, means, covariances)

    def _without(self, rows: np.ndarray, label: Any) -> np.ndarray:
        """[P_II]⁻¹."""
        block = self.factor.block(rows)
        if self.beta.size:
            part = self.fixed_weighted[rows]
            block = block - part @ self.beta_covariance @ part.T
        lower, condition = factored(np.ascontiguousarray(block), f"the precision of group {label}")
        if condition > 1e13:
            raise NumericalError(
                f"group {label} cannot be left out: a fixed effect rests on it alone",
                found=f"condition number {condition:.1e}",
                remedy="take smaller groups, or fewer fixed effects",
            )
        return inverse_from_cholesky(lower)


def solve_observations(problem: LinearProblem) -> LinearPosterior:
    """By the Cholesky factor of Ψ (n, n): exact, whatever m is."""
    signal = problem.prior_covariance.observe(problem.jacobian)
    return solve_with(problem, observation_factor(problem, signal))


def observation_factor(problem: LinearProblem, signal: np.ndarray) -> ObservationFactor:
    """Ψ = `signal` + R, factored in the place of `signal`."""
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
    root = prior.sqrt_matvec(np.eye(prior.sqrt_size))
    variance = problem.mismatch_covariance.diagonal()
    if not (variance > 0).all():
        raise NumericalError(
            "mismatch_covariance is not positive definite",
            found=f"variance {variance.min():.6g} at index {int(np.argmin(variance))}",
            remedy="no observation is without error",
        )
    return solve_with(problem, StateFactor.of(variance, forward(problem.jacobian, root)))


def solve_with(
    problem: LinearProblem, factor: Factor, truncation: float = 0.0, reduction: Any = None
) -> LinearPosterior:
    """The posterior for a factor of Ψ, with the fixed effects by generalised least squares."""
    residual, columns = problem.residual, problem.fixed_observed
    weighted = factor.weigh(np.column_stack([residual, columns]))
    alpha, x_weighted = weighted[:, 0], weighted[:, 1:]
    if not columns.shape[1]:
        return LinearPosterior(problem, factor, np.zeros(0), np.zeros((0, 0)), alpha, truncation, reduction)
    names = tuple(problem.fixed_effects)
    inverse = _inverse_gram(columns.T @ x_weighted, names, problem.n)
    beta = inverse @ (x_weighted.T @ residual)
    # once more with what is left over: the strengths are then good to the last digits
    rest = factor.weigh(residual - columns @ beta)
    beta = beta + inverse @ (columns.T @ rest)
    alpha = factor.weigh(residual - columns @ beta)
    return LinearPosterior(problem, factor, beta, inverse, alpha, truncation, reduction)


def _inverse_gram(gram: np.ndarray, names: tuple[str, ...], n: int) -> np.ndarray:
    """(XᵀΨ⁻¹X)⁻¹, scaled by its diagonal first."""
    scale = np.sqrt(np.diagonal(gram))
    if len(names) > n:
        raise NumericalError(f"{len(names)} fixed effects cannot be estimated from {n} observations")
    if not (scale > 0).all():
        raise NumericalError(
            "a fixed effect leaves no trace in the observations",
            found=f"'{names[int(np.argmin(scale))]}' is zero at all of them",
            remedy="the network does not see this pattern",
        )
    scaled = 0.5 * (gram + gram.T) / np.outer(scale, scale)
    eigenvalue, vectors = np.linalg.eigh(scaled)
    if eigenvalue[0] < 1e-12 * eigenvalue[-1]:
        raise NumericalError(
            "the fixed effects cannot be told apart",
            found=f"condition number {eigenvalue[-1] / max(eigenvalue[0], 1e-300):.1e} of {', '.join(names)}",
            remedy="leave one of them out",
        )
    return np.asarray((vectors / eigenvalue) @ vectors.T / np.outer(scale, scale))


def cross_covariance(
    problem: LinearProblem, totals: Any, *, diagonal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """H Q aᵀ (n, k) and a Q aᵀ, (k, k) or its diagonal (k,)."""
    prior = problem.prior_covariance
    if isinstance(totals, SeparableTotals) and isinstance(prior, Kronecker):
        from monitor.inversion.sweep import separable_cross

        return separable_cross(problem.jacobian, prior, totals, diagonal=diagonal)
    k = totals.shape[0]
    cross = np.empty((problem.n, k))
    inner = np.empty(k) if diagonal else np.empty((k, k))
    for start in range(0, k, _CHUNK):
        stop = min(start + _CHUNK, k)
        spread = prior.matvec(_dense_rows(totals, start, stop).T)
        cross[:, start:stop] = forward(problem.jacobian, spread)
        if diagonal:
            part = _dense_rows(totals, start, stop)
            inner[start:stop] = np.einsum("km,mk->k", part, spread)
        else:
            inner[:, start:stop] = apply_totals(totals, spread)
    return cross, inner if diagonal else 0.5 * (inner + inner.T)


def forward_covariance(problem: LinearProblem, columns: np.ndarray) -> np.ndarray:
    """H Q Hᵀ times `columns` (n, q), without the (n, n) matrix."""
    back = adjoint(problem.jacobian, columns)
    return forward(problem.jacobian, problem.prior_covariance.matvec(back))


def apply_totals(totals: Any, states: np.ndarray) -> np.ndarray:
    """A x for states (m,) or (m, q)."""
    if isinstance(totals, SeparableTotals):
        return totals.matvec(states)
    return np.asarray(totals @ states)


def _dense_rows(totals: Any, start: int, stop: int) -> np.ndarray:
    if isinstance(totals, SeparableTotals):
        return totals.rows(start, stop)
    part = totals[start:stop]
    return np.asarray(part.toarray() if sp.issparse(part) else part)


def _vector(values: Any, size: int, name: str, of: str) -> np.ndarray:
    array = np.asarray(values, dtype="f8")
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


def _totals(totals: Any, m: int) -> Any:
    if isinstance(totals, SeparableTotals):
        rows: Any = totals
        empty = np.flatnonzero(~totals.space.any(axis=1))
    else:
        rows = sp.csr_array(totals) if sp.issparse(totals) else np.atleast_2d(np.asarray(totals, dtype="f8"))
        weight = abs(rows).sum(axis=1)
        if not np.isfinite(weight).all():
            raise InputError(
                "totals have a weight that is not finite",
                found=f"row {int(np.flatnonzero(~np.isfinite(weight))[0])}",
            )
        empty = np.flatnonzero(weight == 0)
    if rows.shape[1] != m:
        raise InputError(
            "totals do not fit the state", expected=f"(k, {m})", found=f"({rows.shape[0]}, {rows.shape[1]})"
        )
    if empty.size:
        raise InputError(
            f"total {int(empty[0])} names no region: its weights are all zero",
            expected="at least one weight",
            remedy="check the region's polygon against the grid",
        )
    return rows


def _fixed_effects(patterns: Any, m: int) -> Mapping[str, np.ndarray]:
    if patterns is None:
        return {}
    if isinstance(patterns, Mapping):
        named = dict(patterns)
    else:
        columns = np.asarray(patterns, dtype="f8")
        columns = columns[:, None] if columns.ndim == 1 else columns
        named = {f"effect {k}": columns[:, k] for k in range(columns.shape[1])}
    return {
        name: _vector(v, m, f"fixed effect '{name}'", "columns of the jacobian") for name, v in named.items()
    }


def _affordable(elements: int, what: str) -> None:
    if elements > _LARGEST:
        raise InputError(
            f"{what} does not fit into memory",
            expected=f"at most {_LARGEST:,} numbers",
            found=f"{elements:,} numbers, {elements * 8 / 2**30:.0f} GiB",
            remedy="ask for totals of them: their covariance is exact and small",
        )
