"""What the observations see of a block of fluxes: H Q Hᵀ with Q = v² D (T ⊗ S) D and a sparse H."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import scipy.sparse as sp

from monitor.inversion.components import Parameter
from monitor.inversion.covariance import Kronecker

#: Numbers that the pieces' footprints and their products may take.
_QUICK_ELEMENTS = 60_000_000


@dataclass(frozen=True, eq=False)
class SpaceTimeBlock:
    """H Q Hᵀ of a flux block.

    An observation touches the steps its footprint reaches.  The (row, step) pairs with influence are the
    *pieces*; with g the footprint of a piece times the reference σ of the cells,

        K = v² A (T_pieces ∘ G S Gᵀ) Aᵀ,     A (n, pieces) sums the pieces of an observation.

    G S Gᵀ does not depend on scale and time, which makes a fit of many evaluations quick.  A block with more
    pieces than fit (hourly steps of a city) takes the exact sweep over time of `monitor.inversion.sweep`.

    Attributes
    ----------
    jacobian : (n, p·s) csr
    unit : Kronecker
        Q at scale 1.
    parameters : (scale, length, time), or (scale, time) of a pattern
    """

    name: str
    jacobian: sp.csr_array
    unit: Kronecker
    parameters: tuple[Parameter, ...]
    _projected: Callable[[float], tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)
    _swept: Callable[[tuple[float, ...]], np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # the projection through S costs q·s² and depends on the length alone: keep the last few
        object.__setattr__(self, "_projected", lru_cache(maxsize=3)(self._project))
        object.__setattr__(self, "_swept", lru_cache(maxsize=1)(self._sweep))

    @property
    def n(self) -> int:
        return int(self.jacobian.shape[0])

    def at(self, values: np.ndarray) -> Kronecker:
        """Q at `values` of the parameters."""
        length = values[1] if len(self.parameters) == 3 else self.unit.space.length
        return self.unit.with_values(np.array([values[0], values[-1], length]))

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row and step of each piece (q,), and the piece of each non-zero of the Jacobian."""
        p, s = self.unit.shape
        row = np.repeat(np.arange(self.n), np.diff(self.jacobian.indptr))
        key = row * p + self.jacobian.indices // s
        begins = np.flatnonzero(np.diff(key, prepend=-1))
        piece = np.repeat(np.arange(begins.size), np.diff(begins, append=key.size))
        return key[begins] // p, key[begins] % p, piece

    @property
    def quick(self) -> bool:
        """Whether the products of all pieces are held."""
        q, (p, s) = self.pairs[0].size, self.unit.shape
        return bool(q * s + 3 * q**2 + s**2 + p**2 <= _QUICK_ELEMENTS)

    @cached_property
    def pieces(self) -> np.ndarray:
        """G (q, s) [µmol mol⁻¹ per unit of v]."""
        _, _, piece = self.pairs
        q, s, column = self.pairs[0].size, self.unit.shape[1], self.jacobian.indices
        sigma = np.sqrt(self.unit.diagonal())
        out = np.zeros((q, s))
        out[piece, column % s] = self.jacobian.data * sigma[column]
        return out

    def _project(self, length: float) -> tuple[np.ndarray, np.ndarray]:
        """G S Gᵀ and G (∂S/∂ln ℓ) Gᵀ (q, q); the latter is empty when the length is held fixed."""
        space = self.unit.space.unit().with_values(np.array([1.0, length]))
        plain = (self.pieces @ space.dense()) @ self.pieces.T
        if len(self.parameters) < 3 or self.parameters[1].log_sd == 0:
            return plain, np.zeros((0, 0))
        slope = space.slope_matvec(np.eye(space.size))
        return plain, (self.pieces @ slope) @ self.pieces.T

    def _between_pieces(self, matrix: np.ndarray) -> np.ndarray:
        """A (p, p) matrix spread to pieces (q, q)."""
        step = self.pairs[1]
        return np.asarray(matrix[step[:, None], step[None, :]])

    def _sweep(self, values: tuple[float, ...]) -> np.ndarray:
        return self.at(np.array(values)).observe(self.jacobian)

    def covariance(self, values: np.ndarray) -> np.ndarray:
        """(n, n) covariance at parameter `values` [(µmol mol⁻¹)²]."""
        if not self.quick:
            return self._swept(tuple(values))
        now = self.at(values)
        row = self.pairs[0]
        plain, _ = self._projected(float(now.space.length))
        parts = values[0] ** 2 * plain * self._between_pieces(now.time.unit().dense())
        if row.size == self.n and bool((row == np.arange(self.n)).all()):
            return np.asarray(parts)
        gather = sp.csr_array((np.ones(row.size), (row, np.arange(row.size))), (self.n, row.size))
        return np.asarray(gather @ (gather @ parts).T)

    def contract(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Σ_ij weight_ij ∂K_ij/∂ln v, one number per parameter; `weight` is symmetric (n, n)."""
        if not self.quick:
            return self._contract_swept(values, weight)
        now, row = self.at(values), self.pairs[0]
        plain, slope = self._projected(float(now.space.length))
        weighted = weight[row[:, None], row[None, :]]
        scale = values[0] ** 2
        by_time = 0.0
        if self.parameters[-1].log_sd:
            rate = now.time.unit().slope_matvec(np.eye(now.time.size))
            by_time = float(np.sum(weighted * plain * self._between_pieces(rate)))
        weighted = weighted * self._between_pieces(now.time.unit().dense())
        by_length = [float(np.sum(weighted * slope)) if slope.size else 0.0] if self._has_length else []
        weighted *= plain
        return np.asarray(scale * np.array([2.0 * float(weighted.sum()), *by_length, by_time]))

    @property
    def _has_length(self) -> bool:
        return len(self.parameters) == 3

    def _contract_swept(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """One derivative (n, n) after another; those of parameters held fixed are not worked out."""
        scale = 2.0 * float(np.vdot(weight, self.covariance(values)))
        free = [p.log_sd > 0 for p in self.parameters[1:]]
        if not any(free):
            return np.array([scale, *(0.0 for _ in free)])
        _, by_time, by_length = (float(np.vdot(weight, m)) for m in self.at(values).slopes(self.jacobian))
        return np.array([scale, by_length, by_time] if self._has_length else [scale, by_time])

    def select(self, keep: np.ndarray) -> SpaceTimeBlock:
        return SpaceTimeBlock(self.name, self.jacobian[keep], self.unit, self.parameters)
