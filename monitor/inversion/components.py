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

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
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


def exponential(distance: np.ndarray, length: float) -> np.ndarray:
    """exp(−d/ℓ), the correlation of a Markov (AR(1), Ornstein–Uhlenbeck) process."""
    return np.asarray(np.exp(-distance / length))


@dataclass(frozen=True, eq=False)
class SpaceTimeBlock:
    """H Q Hᵀ of a flux block: Q = v² (T ⊗ S), S = exp(−d/ℓ), T = exp(−|Δt|/τ) over the time steps.

    An observation touches the steps its footprint reaches.  The (row, step) pairs with influence are the
    *pieces*; with g the footprint of a piece times the reference σ of the cells,

        K = v² A (T_pieces ∘ G S Gᵀ) Aᵀ,     A (n, pieces) sums the pieces of an observation.

    Attributes
    ----------
    pieces : (q, s)
        G [µmol mol⁻¹ per unit of v].
    row, step : (q,)
        Observation and time step of each piece.
    n : int
        Number of observations.
    distance_km : (s, s)
    step_hours : (p,)
        Middles of the time steps.
    scale, length, time : Parameter
    """

    name: str
    pieces: np.ndarray
    row: np.ndarray
    step: np.ndarray
    n: int
    distance_km: np.ndarray
    step_hours: np.ndarray
    scale: Parameter
    length: Parameter
    time: Parameter
    _projected: Callable[[float], tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # the projection through S costs q·s² and depends on the length alone: keep the last few
        object.__setattr__(self, "_projected", lru_cache(maxsize=3)(self._project))

    @classmethod
    def of(
        cls,
        name: str,
        jacobian: tuple[np.ndarray, ...],
        distance_km: np.ndarray,
        step_hours: np.ndarray,
        parameters: tuple[Parameter, Parameter, Parameter],
    ) -> SpaceTimeBlock:
        """From one (n, s) array per time step."""
        rows = [np.flatnonzero(np.any(part != 0, axis=1)) for part in jacobian]
        return cls(
            name,
            np.concatenate([part[r] for part, r in zip(jacobian, rows, strict=True)]),
            np.concatenate(rows),
            np.repeat(np.arange(len(jacobian)), [r.size for r in rows]),
            jacobian[0].shape[0],
            distance_km,
            step_hours,
            *parameters,
        )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.scale, self.length, self.time)

    def _project(self, length: float) -> tuple[np.ndarray, np.ndarray]:
        """G S Gᵀ and G (∂S/∂ln ℓ) Gᵀ (q, q); the latter is empty when the length is held fixed."""
        space = exponential(self.distance_km, length)
        plain = (self.pieces @ space) @ self.pieces.T
        if self.length.log_sd == 0:
            return plain, np.zeros((0, 0))
        space *= self.distance_km / length
        return plain, (self.pieces @ space) @ self.pieces.T

    def _lag(self) -> np.ndarray:
        return np.asarray(np.abs(self.step_hours[:, None] - self.step_hours[None, :]))

    def _between_pieces(self, matrix: np.ndarray) -> np.ndarray:
        """A (p, p) matrix spread to pieces (q, q)."""
        return np.asarray(matrix[self.step[:, None], self.step[None, :]])

    def _one_piece_each(self) -> bool:
        return self.row.size == self.n and bool((np.sort(self.row) == np.arange(self.n)).all())

    def covariance(self, values: np.ndarray) -> np.ndarray:
        scale, length, tau = values
        plain, _ = self._projected(float(length))
        parts = scale**2 * plain * self._between_pieces(exponential(self._lag(), tau))
        if self._one_piece_each():
            back = np.argsort(self.row)
            return np.asarray(parts[back[:, None], back[None, :]])
        gather = sp.csr_array(
            (np.ones(self.row.size), (self.row, np.arange(self.row.size))), (self.n, self.row.size)
        )
        return np.asarray(gather @ (gather @ parts).T)

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        scale, length, tau = values
        plain, slope = self._projected(float(length))
        time = exponential(self._lag(), tau)
        weighted = weight[self.row[:, None], self.row[None, :]] * self._between_pieces(time)
        by_length = float(np.sum(weighted * slope)) if slope.size else 0.0
        weighted *= plain
        by_time = (
            float(np.sum(weighted * self._between_pieces(self._lag() / tau))) if self.time.log_sd else 0.0
        )
        return np.asarray(scale**2 * np.array([2.0 * float(weighted.sum()), by_length, by_time]))

    def select(self, keep: np.ndarray) -> SpaceTimeBlock:
        place = np.full(self.n, -1)
        place[keep] = np.arange(keep.size)
        kept = place[self.row] >= 0
        return replace(
            self, pieces=self.pieces[kept], row=place[self.row[kept]], step=self.step[kept], n=keep.size
        )


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

    def _profile(self, values: np.ndarray) -> np.ndarray:
        profile = values[0] * self.amplitude
        return np.asarray(profile if self.classes is None else profile * values[2:][self.classes])

    def covariance(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(markov_covariance(self.hours, self.group, self._profile(values), values[1]))

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rows, slope = markov_contract(self.hours, self.group, self._profile(values), values[1], weight)
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
        chosen = [
            c.covariance(v)
            for c, v in zip(self.components, self.split(values), strict=True)
            if names is None or c.name in names
        ]
        return np.asarray(np.sum(chosen, axis=0))

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
