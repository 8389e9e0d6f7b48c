"""Covariances of the observations, as a sum of named components with parameters.

Whatever the state vector holds, the solver sees it in observation space::

    Ψ(θ) = H Q(θ) Hᵀ + B C(θ) Bᵀ + R(θ)

so each block of the state and each part of the mismatch is a `Component`: an (n, n) covariance as a
function of positive parameters, and the contraction of a weight matrix with its derivatives.  The
evidence (`monitor.inversion.hyper`) needs nothing else, and no (m, m) matrix is ever formed.

All parameters are positive and live in logarithms; mole fractions are in µmol mol⁻¹, times in
hours, distances in km.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from monitor.errors import NumericalError
from monitor.inversion.kernels import markov_contract, markov_covariance


@dataclass(frozen=True)
class Parameter:
    """A positive hyperparameter: `start` is its prior median, `log_sd` the prior 1σ of its logarithm.

    ``log_sd = 0`` holds it fixed at `start`.
    """

    name: str
    start: float
    log_sd: float
    unit: str = "1"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start) and self.start > 0 and self.log_sd >= 0):
            raise NumericalError(
                f"hyperparameter '{self.name}' needs a positive start and a non-negative log_sd",
                found=f"start {self.start}, log_sd {self.log_sd}",
            )


class Component(Protocol):
    """One named part of the covariance of the observations."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    def covariance(self, values: np.ndarray) -> np.ndarray:
        """(n, n) covariance at parameter `values` [(µmol mol⁻¹)²]."""
        ...

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Σ_ij weight_ij ∂K_ij/∂ln v, one number per parameter; `weight` is symmetric (n, n)."""
        ...

    def select(self, keep: np.ndarray) -> Component:
        """The same component for the observations `keep` (indices)."""
        ...


@dataclass(frozen=True, eq=False)
class TemporalProcess:
    """An AR(1) process per group, K_ij = v² p_i p_j exp(−|t_i − t_j|/τ) if i, j are of one group.

    The profile p_i = a_i g_class(i): `amplitude` a (n,) is 1 for an additive process (inflow) and the
    reference enhancement for a multiplicative one (transport: v is then a fraction); g is a factor per
    class of observation (hour of the day, inflow side), estimated, one parameter each.
    """

    name: str
    hours: np.ndarray
    group: np.ndarray
    amplitude: np.ndarray
    scale: Parameter
    time: Parameter
    classes: np.ndarray | None = None
    factors: tuple[Parameter, ...] = ()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.scale, self.time, *self.factors)

    def profile(self, values: np.ndarray) -> np.ndarray:
        profile = values[0] * self.amplitude
        return np.asarray(profile if self.classes is None else profile * values[2:][self.classes])

    def covariance(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(markov_covariance(self.hours, self.group, self.profile(values), values[1]))

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rows, slope = markov_contract(self.hours, self.group, self.profile(values), values[1], weight)
        by_class = (
            np.zeros(0)
            if self.classes is None
            else 2.0 * np.bincount(self.classes, weights=rows, minlength=len(self.factors))
        )
        return np.concatenate([[2.0 * rows.sum(), slope], by_class])

    def select(self, keep: np.ndarray) -> TemporalProcess:
        return replace(
            self,
            hours=self.hours[keep],
            group=self.group[keep],
            amplitude=self.amplitude[keep],
            classes=None if self.classes is None else self.classes[keep],
        )


@dataclass(frozen=True, eq=False)
class Independent:
    """Errors of each observation on its own: K = diag(v² a_i² g²_class(i))."""

    name: str
    amplitude: np.ndarray
    scale: Parameter
    classes: np.ndarray | None = None
    factors: tuple[Parameter, ...] = ()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.scale, *self.factors)

    def variance(self, values: np.ndarray) -> np.ndarray:
        """(n,) [(µmol mol⁻¹)²]"""
        profile = values[0] * self.amplitude
        return np.asarray((profile if self.classes is None else profile * values[1:][self.classes]) ** 2)

    def covariance(self, values: np.ndarray) -> np.ndarray:
        return np.diag(self.variance(values))

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rows = 2.0 * np.diagonal(weight) * self.variance(values)
        if self.classes is None:
            return np.array([rows.sum()])
        return np.concatenate(
            [[rows.sum()], np.bincount(self.classes, weights=rows, minlength=len(self.factors))]
        )

    def select(self, keep: np.ndarray) -> Independent:
        return replace(
            self,
            amplitude=self.amplitude[keep],
            classes=None if self.classes is None else self.classes[keep],
        )


@dataclass(frozen=True, eq=False)
class LowRank:
    """A few columns with independent weights, K = v² B Bᵀ: offsets, trends."""

    name: str
    columns: np.ndarray
    scale: Parameter

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.scale,)

    def covariance(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values[0] ** 2 * (self.columns @ self.columns.T))

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.array([2.0 * values[0] ** 2 * float(np.sum(self.columns * (weight @ self.columns)))])

    def select(self, keep: np.ndarray) -> LowRank:
        return LowRank(self.name, self.columns[keep], self.scale)


@dataclass(frozen=True, eq=False)
class Combined:
    """A part of observations that are linear combinations of others, D K Dᵀ: differences.

    Attributes
    ----------
    part : Component
        Of the observations that are combined (n₀).
    operator : (n, n₀) csr
        D.
    """

    part: Component
    operator: sp.csr_array

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.part.parameters

    def covariance(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self.operator @ np.asarray(self.operator @ self.part.covariance(values)).T)

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        back = self.operator.T
        return self.part.contract(values, np.asarray(back @ np.asarray(back @ weight).T))

    def select(self, keep: np.ndarray) -> Combined:
        return replace(self, operator=self.operator[keep])


@dataclass(frozen=True, eq=False)
class ObservationModel:
    """The components together; `values` run over all their parameters in order."""

    components: tuple[Component, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(p for c in self.components for p in c.parameters)

    @property
    def starts(self) -> np.ndarray:
        return np.array([p.start for p in self.parameters])

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """`values` cut into one array per component."""
        ends = np.cumsum([len(c.parameters) for c in self.components])
        return np.split(values, ends[:-1])

    def covariance(self, values: np.ndarray, names: tuple[str, ...] | None = None) -> np.ndarray:
        """Ψ, or the sum of the components called `names` [(µmol mol⁻¹)²]."""
        total: np.ndarray | None = None
        for component, own in zip(self.components, self.split(values), strict=True):
            if names is not None and component.name not in names:
                continue
            part = component.covariance(own)
            # in its place: a list of them all would take as many (n, n) matrices
            total = part.copy() if total is None else np.add(total, part, out=total)
        return np.zeros((0, 0)) if total is None else total

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Σ_ij weight_ij ∂Ψ_ij/∂ln v for all parameters."""
        parts = zip(self.components, self.split(values), strict=True)
        return np.concatenate([c.contract(v, weight) for c, v in parts])

    def select(self, keep: np.ndarray) -> ObservationModel:
        return ObservationModel(tuple(c.select(keep) for c in self.components))


def cholesky_or_error(matrix: np.ndarray, name: str) -> np.ndarray:
    """Lower Cholesky factor, or `NumericalError` with the smallest eigenvalue."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        lowest = float(np.linalg.eigvalsh(matrix)[0])
        raise NumericalError(
            f"{name} is not positive definite",
            expected="all eigenvalues above zero",
            found=f"smallest eigenvalue {lowest:.3e}, largest diagonal {matrix.diagonal().max():.3e}",
            remedy="check the standard deviations; two identical observations without own noise do this",
        ) from None


def inverse_from_cholesky(lower: np.ndarray) -> np.ndarray:
    """Ψ⁻¹ from its lower factor (LAPACK dpotri), for the traces that need every element."""
    inverse, info = lapack.dpotri(lower, lower=1)
    if info != 0:
        raise NumericalError(
            "the covariance of the observations cannot be inverted", found=f"dpotri info {info}"
        )
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T)
