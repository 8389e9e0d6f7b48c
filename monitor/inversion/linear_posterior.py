"""The posterior of a linear problem: state, totals, diagnostics and refits without observations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError, NumericalError, PrecisionWarning
from monitor.inversion.components import inverse_from_cholesky
from monitor.inversion.factor import Factor, factored
from monitor.inversion.linear_problem import (
    LinearProblem,
    apply_totals,
    checked_vector,
    chunks,
    cross_covariance,
    ensure_affordable,
    fitting_totals,
    forward_covariance,
    update_of,
)
from monitor.inversion.operators import adjoint, forward

_LOG_2PI = float(np.log(2 * np.pi))
#: Share of the information on a fixed effect below which the rest of the observations does not hold it up.
_ALONE = 1e-10
#: What rounding may take from a variance, as a share of the prior one.
_ROUNDING = 1e-9
#: Share of the prior variance below which rounding, 1e-16 of it, leaves fewer than four digits.
_FEW_DIGITS = 1e-12


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
        1 − posterior variance / prior variance; 1 where a fixed effect reaches, 0 where the prior is certain.
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
        variance = _kept(np.diagonal(self.covariance), np.diagonal(self.prior_covariance))
        return np.asarray(np.sqrt(variance))

    def response(self, pattern: np.ndarray) -> np.ndarray:
        """How much of a true change Δ (m,) each total shows: a K H Δ / a Δ; 1 is a faithful answer.

        NaN for a total that does not change.
        """
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
        Where H Q Hᵀ was reduced its largest error relative to √(R_ii R_jj), measured on some observations; on
        all of them it is a few times larger.  0 when exact.
    weights : (n,)
        Of the observations: 1, unless a likelihood with heavy tails trusts some of them less.
    """

    problem: LinearProblem
    factor: Factor
    beta: np.ndarray
    beta_covariance: np.ndarray
    alpha: np.ndarray
    truncation: float = 0.0
    weights: Any = None

    def __post_init__(self) -> None:
        weights = np.ones(self.problem.n) if self.weights is None else self.weights
        object.__setattr__(
            self, "weights", checked_vector(weights, self.problem.n, "weights", "observations")
        )

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
        for start, stop in chunks(m, m):
            rows = sp.csr_array(
                (np.ones(stop - start), (np.arange(stop - start), np.arange(start, stop))),
                shape=(stop - start, m),
            )
            out[start:stop] = self.variance_of(rows)
        return np.sqrt(out)

    def covariance(self) -> np.ndarray:
        """Of the state (m, m)."""
        ensure_affordable(self.problem.m**2, f"the covariance of {self.problem.m} unknowns")
        cross, prior = cross_covariance(self.problem, sp.eye_array(self.problem.m, format="csr"))
        loading = np.column_stack([*self.problem.fixed_effects.values(), np.zeros((self.problem.m, 0))])
        return self._spread(cross, prior, loading)[0]

    def averaging_kernel(self) -> np.ndarray:
        """∂x̂/∂x = K H (m, m)."""
        ensure_affordable(self.problem.m**2, f"the averaging kernel of {self.problem.m} unknowns")
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
        rows = fitting_totals(totals, self.problem.prior_covariance)
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

    def mean_of(self, totals: Any) -> np.ndarray:
        """Means of totals (k,), without their covariance: for maps."""
        rows = fitting_totals(totals, self.problem.prior_covariance)
        out = apply_totals(rows, self.problem.prior_mean) + update_of(self.problem, rows, self.alpha)
        for weight, pattern in zip(self.beta, self.problem.fixed_effects.values(), strict=True):
            out = out + weight * apply_totals(rows, pattern)
        return np.asarray(out)

    def variance_of(self, totals: Any) -> np.ndarray:
        """Variances of totals (k,), without their covariance: for maps of 1σ."""
        rows = fitting_totals(totals, self.problem.prior_covariance)
        cross, prior = cross_covariance(self.problem, rows, diagonal=True)
        half = self.factor.half(cross)
        variance = prior - np.einsum("nk,nk->k", half, half)
        if self.beta.size:
            loading = np.column_stack(
                [apply_totals(rows, pattern) for pattern in self.problem.fixed_effects.values()]
            )
            extra = loading - cross.T @ self.fixed_weighted
            variance = variance + np.einsum("kq,qr,kr->k", extra, self.beta_covariance, extra)
        return _kept(variance, prior)

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
        """rᵀPr / (n − q); NaN where there are as many fixed effects as observations."""
        left = self.problem.n - self.beta.size
        return float(self.problem.residual @ self.alpha) / left if left else float("nan")

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

        Raises
        ------
        InputError, NumericalError
            When a fixed effect rests on one group alone.
        """
        label = np.asarray(groups)
        if label.shape != (self.problem.n,):
            expected = f"({self.problem.n},)"
            raise InputError("groups need a label per observation", expected=expected, found=str(label.shape))
        labels, index = np.unique(label, return_inverse=True)
        residual, std = np.empty(self.problem.n), np.empty(self.problem.n)
        found = self.totals if self.problem.totals is not None else None
        k = found.mean.size if found else 0
        ensure_affordable(
            labels.size * k**2, f"the covariance of {k} totals without each of {labels.size} groups"
        )
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
        """[P_II]⁻¹ = A⁻¹ + A⁻¹U (XᵀΨ⁻¹X − UᵀA⁻¹U)⁻¹ UᵀA⁻¹ with A = (Ψ⁻¹)_II and U = (Ψ⁻¹X)_I.

        What is inverted on the right is the information of the other groups on the fixed effects.
        """
        lower, _ = factored(np.ascontiguousarray(self.factor.block(rows)), f"the precision of group {label}")
        inverse = inverse_from_cholesky(lower)
        if not self.beta.size:
            return inverse
        spread = inverse @ self.fixed_weighted[rows]
        root = np.linalg.cholesky(self.beta_covariance)
        share = np.eye(self.beta.size) - root.T @ (self.fixed_weighted[rows].T @ spread) @ root
        left, vectors = np.linalg.eigh(0.5 * (share + share.T))
        if left[0] < _ALONE:
            name = self.fixed_effects.names[int(np.argmax(np.abs(root @ vectors[:, 0])))]
            raise NumericalError(
                f"group {label} cannot be left out: fixed effect '{name}' rests on it alone",
                expected="other observations that see the effect",
                found=f"{max(left[0], 0.0):.1e} of the information on it comes from the others",
                remedy="take smaller groups, or fewer fixed effects",
            )
        loading = spread @ root @ vectors
        return np.asarray(inverse + (loading / left) @ loading.T)


def _kept(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Variances, with less than nothing taken as zero where it is rounding.

    Raises
    ------
    NumericalError
        Where it is more than rounding.

    Warns
    -----
    PrecisionWarning
        Where the difference of prior and gain leaves fewer than four digits.
    """
    lost = np.flatnonzero(after < -_ROUNDING * before)
    if lost.size:
        i = int(lost[0])
        raise NumericalError(
            "a posterior variance is lost to rounding",
            expected="a variance of at least zero",
            found=f"{after[i]:.3g} at index {i}, of a prior variance of {before[i]:.3g}",
            remedy="see posterior.condition; a prior far wider than the errors of the observations does this",
        )
    few = np.flatnonzero((after < _FEW_DIGITS * before) & (before > 0))
    if few.size:
        i = int(few[0])
        warnings.warn(
            f"of {few.size} posterior variances fewer than four digits are left: {after[i]:.3g} at index "
            f"{i}, of a prior variance of {before[i]:.3g}; a prior far wider than the errors does this",
            PrecisionWarning,
            stacklevel=4,
        )
    return np.where(after > 0, after, 0.0)
