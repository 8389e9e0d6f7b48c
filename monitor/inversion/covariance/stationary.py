"""Stationary correlations in time and space: exponential and Matérn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from scipy.special import gamma, kv

from monitor.errors import InputError, NumericalError
from monitor.inversion.components import Parameter
from monitor.inversion.covariance.base import (
    LOG_SD,
    Dense,
    chosen,
    finite,
    positive,
    sandwiched,
    scaled_rows,
    sized,
    through,
)
from monitor.inversion.kernels import markov_sweep
from monitor.inversion.mirror import Mirror, blockwise
from monitor.inversion.numeric import numbers
from monitor.inversion.threads import kernel_threads

#: Largest ν: beyond it K_ν overflows at distances that matter.
_SMOOTHEST = 50.0
#: Points up to which a square root is a dense Cholesky factor.
_DENSE = 4096
#: Cells up to which a correlation is multiplied in four dense blocks rather than by Fourier transforms.
_FOLDED = 15_000
#: Groups of cells up to which a grid is transformed once for each.
_GROUPS = 8
#: Fields that are transformed at once; for as many the four blocks are worth building.
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Matern:
    """σ² times the Matérn correlation of distance d (Rasmussen & Williams 2006, eq. 4.14)::

        k(d) = 2^(1−ν)/Γ(ν) · z^ν K_ν(z),    z = √(2ν) d/ℓ

    so that smoothness ν = ½ is exp(−d/ℓ).

    Attributes
    ----------
    length
        ℓ, in the unit of `at`.
    smoothness
        ν; 0.5, 1.5 and 2.5 have closed forms.
    at : (p,), (s, d), int, or tuple of ints
        Positions; a tuple (ny, nx) is a regular grid and an int a line, both with `spacing`.
    std : scalar or (size,)
    groups : (size,), optional
        Different groups (stations) are uncorrelated.
    """

    length: float
    smoothness: float
    at: Any = None
    spacing: Any = 1.0
    std: Any = 1.0
    groups: Any = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("length", self.length), ("smoothness", self.smoothness), ("scale", self.scale)):
            positive(value, name)
        if self.smoothness > _SMOOTHEST:
            raise InputError(
                "smoothness is too large to be worked out",
                expected=f"at most {_SMOOTHEST:g}",
                found=f"{self.smoothness:g}",
                remedy="the limit exp(−d²/2ℓ²), within about 1/ν, goes into inv.covariance.Dense",
            )
        if self.at is None or np.size(self.at) == 0:
            raise InputError(
                "at has no positions",
                expected="hours (p,), positions (s, d), or a regular grid (ny, nx)",
                remedy="Exponential(48.0, at=hours), Matern(5.0, 1.5, at=(ny, nx), spacing=1.0)",
            )
        if self.shape is not None and np.shape(self.spacing) not in ((), (len(self.shape),)):
            raise InputError(
                "spacing does not fit",
                expected=f"a number, or one for each of the {len(self.shape)} axes",
                found=str(np.shape(self.spacing)),
            )
        if self.positions.ndim not in (1, 2):
            raise InputError(
                "at does not fit", expected="(p,) or (s, d)", found=str(np.shape(self.positions))
            )
        finite(self.positions, "at")
        deviation = numbers(self.std, "std")
        finite(np.atleast_1d(deviation), "std")
        if deviation.ndim and deviation.shape != (self.size,):
            raise InputError("std does not fit", expected=f"({self.size},)", found=str(deviation.shape))
        if (deviation < 0).any():
            raise InputError("std is negative", found=f"{deviation.min():.6g} at index {deviation.argmin()}")
        if self.groups is not None and np.shape(self.groups) != (self.size,):
            raise InputError(
                "groups do not fit", expected=f"({self.size},)", found=str(np.shape(self.groups))
            )

    @cached_property
    def shape(self) -> tuple[int, ...] | None:
        """Of the regular grid; None for free positions."""
        if isinstance(self.at, (int, np.integer)):
            return (int(self.at),)
        if not isinstance(self.at, tuple):
            return None
        if not all(isinstance(k, (int, np.integer)) and k > 0 for k in self.at):
            raise InputError(
                "at is no shape of a grid",
                expected="(ny, nx) in whole numbers above zero",
                found=str(self.at)[:60],
                remedy="give positions as a list or an array",
            )
        return tuple(int(k) for k in self.at)

    @cached_property
    def steps(self) -> np.ndarray:
        """Spacing along each axis of the grid."""
        return np.broadcast_to(numbers(self.spacing, "spacing"), (len(self.shape or ()),))

    @cached_property
    def positions(self) -> np.ndarray:
        """(size,) along a line, else (size, d)."""
        if self.shape is None:
            return numbers(self.at, "at")
        axes = [np.arange(k) * step for k, step in zip(self.shape, self.steps, strict=True)]
        if len(axes) == 1:
            return np.asarray(axes[0])
        return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)

    @property
    def size(self) -> int:
        return int(self.positions.shape[0])

    @cached_property
    def mirror(self) -> Mirror | None:
        """The symmetry of a regular grid of two dimensions that is small enough for its blocks."""
        if self.shape is None or len(self.shape) != 2 or self.groups is not None or self.size > _FOLDED:
            return None
        return Mirror(self.shape[0], self.shape[1])

    @cached_property
    def mirrored(self) -> list[np.ndarray]:
        """The blocks of the correlation (σ = 1) under that symmetry."""
        return self.mirror.matrices(self.correlation, self.steps) if self.mirror else []

    def unit(self) -> Matern:
        """The correlation alone: σ = 1."""
        return Matern(self.length, self.smoothness, self.at, self.spacing, groups=self.groups)

    @property
    def deviation(self) -> np.ndarray:
        """σ (size,)."""
        return self.scale * np.broadcast_to(np.asarray(self.std, dtype="f8"), (self.size,))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("scale", self.scale, LOG_SD), Parameter("length", self.length, LOG_SD))

    def with_values(self, values: np.ndarray) -> Matern:
        return replace(self, scale=float(values[0]), length=float(values[1]))

    def correlation(self, distance: np.ndarray) -> np.ndarray:
        """k(d)."""
        nu = self.smoothness
        z = np.sqrt(2.0 * nu) * distance / self.length
        if nu == 0.5:
            return np.asarray(np.exp(-z))
        if nu == 1.5:
            return np.asarray((1.0 + z) * np.exp(-z))
        if nu == 2.5:
            return np.asarray((1.0 + z + z**2 / 3.0) * np.exp(-z))
        safe = np.where(z > 0, z, 1.0)
        bessel = kv(nu, safe)
        known = (z > 0) & np.isfinite(bessel)  # where it overflows, the correlation is 1 to 1e-12
        value = 2.0 ** (1.0 - nu) / gamma(nu) * safe**nu * np.where(known, bessel, 0.0)
        return np.asarray(np.where(known, value, 1.0))

    def correlation_slope(self, distance: np.ndarray) -> np.ndarray:
        """∂k/∂ln ℓ = 2^(1−ν)/Γ(ν) · z^(ν+1) K_(ν−1)(z)."""
        nu = self.smoothness
        z = np.sqrt(2.0 * nu) * distance / self.length
        if nu == 0.5:
            return np.asarray(z * np.exp(-z))
        if nu == 1.5:
            return np.asarray(z**2 * np.exp(-z))
        if nu == 2.5:
            return np.asarray(z**2 * (1.0 + z) / 3.0 * np.exp(-z))
        safe = np.where(z > 0, z, 1.0)
        bessel = kv(nu - 1.0, safe)
        known = (z > 0) & np.isfinite(bessel)
        value = 2.0 ** (1.0 - nu) / gamma(nu) * safe ** (nu + 1.0) * np.where(known, bessel, 0.0)
        return np.asarray(np.where(known, value, 0.0))

    def diagonal(self) -> np.ndarray:
        return np.asarray(self.deviation**2)

    def dense(self) -> np.ndarray:
        return self._written_out(self.correlation)

    def _written_out(self, kernel: Any) -> np.ndarray:
        out = kernel(self._distance())
        if self.groups is not None:
            label = np.asarray(self.groups)
            out = out * (label[:, None] == label[None, :])
        return np.asarray(out * np.outer(self.deviation, self.deviation))

    def _distance(self) -> np.ndarray:
        at = self.positions
        if at.ndim == 1:
            return np.asarray(np.abs(at[:, None] - at[None, :]))
        squared = sum((column[:, None] - column[None, :]) ** 2 for column in at.T)
        return np.asarray(np.sqrt(squared))

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        vector = sized(vector, self.size)
        inner = scaled_rows(self.deviation, vector)
        if self._chained:
            out = self._markov(inner)
        elif self._on_fourier:
            out = self._on_grid(inner, self.correlation)
        else:
            return np.asarray(self.dense() @ vector)
        return scaled_rows(self.deviation, out)

    def slope_matvec(self, vector: np.ndarray) -> np.ndarray:
        """(∂Q/∂ln ℓ) v."""
        if not self._on_fourier:
            return np.asarray(self._written_out(self.correlation_slope) @ vector)
        inner = scaled_rows(self.deviation, vector)
        return scaled_rows(self.deviation, self._on_grid(inner, self.correlation_slope))

    @cached_property
    def _masks(self) -> np.ndarray:
        """Which unknowns each group holds (g, size)."""
        if self.groups is None:
            return np.ones((1, self.size), dtype=bool)
        label = np.asarray(self.groups)
        return np.asarray(np.unique(label)[:, None] == label[None, :])

    @property
    def _on_fourier(self) -> bool:
        """Whether there is a regular grid, cut into a few groups at most."""
        return self.shape is not None and (self.groups is None or len(self._masks) <= _GROUPS)

    def _on_grid(self, vector: np.ndarray, kernel: Any) -> np.ndarray:
        """The correlation matrix times (s,) or (s, k), by circulant embedding within each group."""
        fields = np.ascontiguousarray(vector.reshape(self.size, -1).T)
        if self.mirror and kernel == self.correlation and fields.shape[0] >= _BATCH:
            out = self.mirror.unfold(blockwise(self.mirror, self.mirrored)(self.mirror.fold(fields)))
        elif self.groups is None:
            out = self.on_fields(fields, kernel)
        else:
            out = np.sum([mask * self.on_fields(mask * fields, kernel) for mask in self._masks], axis=0)
        return np.ascontiguousarray(out.T).reshape(vector.shape)

    def on_fields(self, fields: np.ndarray, kernel: Any = None) -> np.ndarray:
        """The correlation on a regular grid, without groups, times each field (k, s): exact, O(s log s).

        A symmetric Toeplitz matrix is a corner of a circulant one, which Fourier waves diagonalise.
        """
        shape = self.shape or ()
        padded = tuple(scipy.fft.next_fast_len(2 * k - 1, real=True) for k in shape)
        symbol = self._symbol(kernel or self.correlation, padded)
        axes = tuple(range(1, len(shape) + 1))
        out = np.empty_like(fields, dtype="f8")
        for start in range(0, fields.shape[0], _BATCH):
            part = fields[start : start + _BATCH].reshape(-1, *shape)
            wave = scipy.fft.rfftn(part, s=padded, axes=axes, workers=kernel_threads())
            wave *= symbol
            back = scipy.fft.irfftn(wave, s=padded, axes=axes, workers=kernel_threads(), overwrite_x=True)
            cut = back[(slice(None), *(slice(0, k) for k in shape))]
            out[start : start + _BATCH] = cut.reshape(-1, self.size)
        return out

    def _symbol(self, kernel: Any, padded: tuple[int, ...]) -> np.ndarray:
        """Eigenvalues of the circulant matrix whose first block is ours."""
        axes = [
            np.minimum(np.arange(k), k - np.arange(k)) * step
            for k, step in zip(padded, self.steps, strict=True)
        ]
        squared = sum(a**2 for a in np.meshgrid(*axes, indexing="ij"))
        return np.asarray(scipy.fft.rfftn(kernel(np.sqrt(squared))).real)

    def _markov(self, vector: np.ndarray) -> np.ndarray:
        """exp(−|Δ|/ℓ) within groups times (p,) or (p, k), by a forward and a backward recursion."""
        order, decay = self._chain
        columns = np.ascontiguousarray(vector[order].reshape(order.size, -1))
        forward, backward = columns.copy(), columns.copy()
        markov_sweep(decay, forward, 1)
        markov_sweep(decay, backward, -1)
        out = np.empty_like(columns)
        out[order] = forward + backward - columns
        return out.reshape(vector.shape)

    @cached_property
    def _chain(self) -> tuple[np.ndarray, np.ndarray]:
        """Order by group and position, and the correlation with the one before (0 at a group's start)."""
        label = np.zeros(self.size) if self.groups is None else np.unique(self.groups, return_inverse=True)[1]
        order = np.lexsort((self.positions, label))
        at, group = self.positions[order], label[order]
        decay = np.zeros(self.size)
        decay[1:] = np.where(group[1:] == group[:-1], np.exp(-np.abs(np.diff(at)) / self.length), 0.0)
        return order, decay

    @property
    def sqrt_size(self) -> int:
        if self._chained or not self._on_fourier or self.size <= _DENSE:
            return self.size
        return len(self._masks) * int(np.prod(self._embedding[1]))

    @property
    def _chained(self) -> bool:
        return self.smoothness == 0.5 and self.positions.ndim == 1

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        vector = sized(vector, self.sqrt_size)
        if self._chained:
            order, decay = self._chain
            fresh = scaled_rows(np.sqrt(1.0 - decay**2), vector.reshape(order.size, -1))
            columns = np.ascontiguousarray(fresh)
            markov_sweep(decay, columns, 1)
            out = np.empty_like(columns)
            out[order] = columns
            return scaled_rows(self.deviation, out.reshape(vector.shape))
        if not self._on_fourier or self.size <= _DENSE:
            return scaled_rows(self.deviation, self._root @ vector)
        return scaled_rows(self.deviation, self._circulant_root(vector))

    @cached_property
    def _root(self) -> np.ndarray:
        return Dense(self.unit().dense())._root

    @cached_property
    def _embedding(self) -> tuple[np.ndarray, tuple[int, ...]]:
        """A circulant matrix without negative eigenvalues (Dietrich & Newsam 1997)."""
        lowest = 0.0
        for factor in (2, 3, 4, 6, 8):
            padded = tuple(scipy.fft.next_fast_len(factor * k, real=True) for k in self.shape or ())
            symbol = self._symbol(self.correlation, padded)
            lowest = float(symbol.min())
            if lowest > -1e-12 * symbol.max():
                return np.sqrt(np.maximum(symbol, 0.0)), padded
        raise NumericalError(
            "no circulant embedding of this correlation is positive definite",
            found=f"eigenvalue {lowest:.3e} at eight times the grid",
            remedy="take a shorter length, or a smaller grid",
        )

    def _circulant_root(self, vector: np.ndarray) -> np.ndarray:
        root, padded = self._embedding
        axes = tuple(range(1, len(padded) + 1))
        out = np.zeros((self.size, int(np.prod(vector.shape[1:], dtype="i8"))))
        for mask, part in zip(self._masks, np.split(vector, len(self._masks)), strict=True):
            fields = np.moveaxis(part.reshape(*padded, -1), -1, 0)
            back = scipy.fft.irfftn(scipy.fft.rfftn(fields, axes=axes) * root, s=padded, axes=axes)
            cut = back[(slice(None), *(slice(0, k) for k in self.shape or ()))]
            out[mask] = cut.reshape(cut.shape[0], -1).T[mask]
        return out.reshape(self.size, *vector.shape[1:])

    def observe(self, jacobian: Any) -> np.ndarray:
        if self._chained or self._on_fourier:
            return through(self.matvec, jacobian)
        return sandwiched(self.dense(), jacobian)

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        yield 2.0 * self.observe(jacobian)
        if self._on_fourier:
            yield through(self.slope_matvec, jacobian)
        else:
            yield sandwiched(self._written_out(self.correlation_slope), jacobian)

    def select(self, rows: np.ndarray) -> Matern:
        index = chosen(rows, self.size)
        std, groups = np.asarray(self.std, dtype="f8"), self.groups
        return replace(
            self,
            at=self.positions[index],
            spacing=1.0,
            std=std[index] if std.ndim else std,
            groups=None if groups is None else np.asarray(groups)[index],
        )


@dataclass(frozen=True, eq=False)
class Exponential(Matern):
    """σ² exp(−d/ℓ): Matérn of smoothness ½, and a Markov process along a line."""

    smoothness: float = field(default=0.5, init=False)
