"""H Q Hᵀ in a basis of smooth fields, for many cells: S ≈ Φ (ΦᵀSΦ) Φᵀ, with the error measured.

Footprints are smooth on the scale of a few cells, so that the coarse waves of the flux carry nearly all of
H Q Hᵀ.  Φ holds products of the eigenvectors of the correlation along each axis of the grid; such a product
basis is projected on line by line, at a fraction of the cost of a free one.  The basis does not depend on the
hyperparameters: footprints are projected once, and lengths may then change (Galerkin).

The error is not assumed but measured: for clusters of observations H Q Hᵀ is also computed exactly, and the
basis grows until the largest error, relative to √(M_ii M_jj), is below the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh

from monitor.errors import InputError, NumericalError
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.factor import Factor
from monitor.inversion.kernels import project_grid
from monitor.inversion.linear import LinearPosterior, LinearProblem, observation_factor, solve_with
from monitor.inversion.operators import RaggedJacobian, SeparableTotals, select_rows
from monitor.inversion.sweep import (
    Pieces,
    clock,
    gram,
    gram_slope,
    in_space,
    pairs_of,
    pieces_of,
    ragged,
    sigma_of,
)
from monitor.inversion.threads import in_parts

#: Largest error of an element of H Q Hᵀ relative to √(M_ii M_jj).
TOLERANCE = 2e-4
_SIZES = (120, 300, 400, 500, 600, 750, 1000, 1400, 2000, 3000)
_ROWS = 256


@dataclass(frozen=True, eq=False)
class Basis:
    """Fields rows[:, b] ⊗ columns[:, a] with a < counts[b], orthonormal.

    A stationary correlation keeps the symmetry of a field under both reflections of the grid, so ΦᵀSΦ falls
    into four blocks: `place` puts fields of the same symmetry beside each other.

    Attributes
    ----------
    rows, columns : (ny, B), (nx, A)
    counts : (B,)
    """

    rows: np.ndarray
    columns: np.ndarray
    counts: np.ndarray

    @property
    def size(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def symmetry(self) -> np.ndarray:
        """Symmetry class 0 … 3 of each field, in the order of rows and columns (r,)."""
        return np.concatenate([2 * (b % 2) + np.arange(count) % 2 for b, count in enumerate(self.counts)])

    @cached_property
    def place(self) -> np.ndarray:
        """Where each field stands (r,)."""
        out = np.empty(self.size, dtype="i8")
        out[np.argsort(self.symmetry, kind="stable")] = np.arange(self.size)
        return out

    @cached_property
    def blocks(self) -> list[slice]:
        """The fields of each symmetry."""
        edges = np.cumsum([0, *np.bincount(self.symmetry, minlength=4)])
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]

    def fields(self) -> np.ndarray:
        """Φᵀ (r, s)."""
        out = np.empty((self.size, self.rows.shape[0] * self.columns.shape[0]))
        parts = [
            np.einsum("y,xa->ayx", self.rows[:, b], self.columns[:, :count]).reshape(count, -1)
            for b, count in enumerate(self.counts)
        ]
        out[self.place] = np.concatenate(parts)
        return out

    def correlation(self, space: Matern, kernel: Any = None) -> list[np.ndarray]:
        """The blocks of ΦᵀSΦ, or of another kernel on the same grid."""
        fields = self.fields()
        spread = space.on_fields(fields, kernel)
        found = [fields[block] @ spread[block].T for block in self.blocks]
        return [0.5 * (inner + inner.T) for inner in found]

    def against(self, fields: np.ndarray) -> np.ndarray:
        """Φᵀ f (r, k) of fields (k, s)."""
        ny, nx = self.rows.shape[0], self.columns.shape[0]
        lines = fields.reshape(-1, ny, nx) @ self.columns
        both = np.einsum("kya,yb->kba", lines, self.rows, optimize=True)
        out = np.empty((self.size, fields.shape[0]))
        out[self.place] = np.concatenate([both[:, b, :k] for b, k in enumerate(self.counts)], axis=1).T
        return out

    @classmethod
    def of(cls, space: Matern, size: int) -> Basis:
        """About `size` products of the coarsest waves along both axes."""
        ny, nx = grid_shape(space)
        along = [_waves(space, k, step) for k, step in zip((ny, nx), space.steps, strict=True)]
        high = np.arange(ny)[:, None] / (ny * space.steps[0])
        wide = np.arange(nx)[None, :] / (nx * space.steps[1])
        order = high**2 + wide**2
        inside = order <= np.sort(order, axis=None)[min(size, order.size) - 1]
        counts = inside.sum(axis=1)
        counts = counts[counts > 0]
        return cls(
            np.ascontiguousarray(along[0][:, : counts.size]),
            np.ascontiguousarray(along[1][:, : counts.max()]),
            counts,
        )


def _waves(space: Matern, count: int, step: float) -> np.ndarray:
    """Eigenvectors of the correlation along a line, the smoothest first."""
    lag = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :]) * step
    _, vectors = eigh(space.correlation(lag))
    return np.asarray(vectors[:, ::-1])


def _own(space: Matern, places: np.ndarray) -> np.ndarray:
    """F S Fᵀ on its diagonal (k,) for fields (k, s); single cells need no product."""
    single = np.count_nonzero(places, axis=1) <= 1
    out = np.sum(places, axis=1) ** 2
    if not single.all():
        rest = places[~single]
        out[~single] = np.einsum("ks,ks->k", rest, in_space(space)(np.ascontiguousarray(rest)))
    return np.asarray(out)


def grid_shape(space: Matern) -> tuple[int, int]:
    """(ny, nx) of a regular grid.

    Raises
    ------
    InputError
        When the cells are no regular grid of two dimensions.
    """
    if space.shape is None or len(space.shape) != 2 or space.groups is not None:
        raise InputError(
            'method="reduced" needs the cells on a regular grid',
            expected="a correlation in space with at=(ny, nx)",
            found=f"positions of shape {space.positions.shape}",
            remedy='use method="observations"',
        )
    return space.shape[0], space.shape[1]


def weigher(basis: Basis, inner: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Fields in the basis (k, r) -> fields times the correlation in the basis."""

    def weigh(fields: np.ndarray) -> np.ndarray:
        out = np.empty_like(fields)
        for block, matrix in zip(basis.blocks, inner, strict=True):
            np.matmul(fields[:, block], matrix, out=out[:, block])
        return out

    return weigh


@dataclass(frozen=True, eq=False)
class Reduction:
    """Footprints projected once; H Q Hᵀ and its slopes for any lengths and scales.

    Attributes
    ----------
    truncation : float
        Largest error relative to √(M_ii M_jj) found against the exact H Q Hᵀ, at the lengths it was made for.
    """

    covariance: Kronecker
    basis: Basis
    pieces: Pieces
    truncation: float

    def observe(self, covariance: Kronecker | None = None) -> np.ndarray:
        """H Q Hᵀ (n, n), for another scale and other lengths if a covariance is given."""
        now = covariance or self.covariance
        inner = self.basis.correlation(now.space)
        return self._scale(now) * gram(self.pieces, clock(now), weigher(self.basis, inner))

    def slopes(self, covariance: Kronecker | None = None) -> Iterator[np.ndarray]:
        """∂(H Q Hᵀ) by the logarithms of scale, length in time and length in space."""
        now = covariance or self.covariance
        factor = self._scale(now)
        inner = self.basis.correlation(now.space)
        yield 2.0 * factor * gram(self.pieces, clock(now), weigher(self.basis, inner))
        yield factor * gram_slope(self.pieces, clock(now), weigher(self.basis, inner))
        slope = self.basis.correlation(now.space, now.space.correlation_slope)
        yield factor * gram(self.pieces, clock(now), weigher(self.basis, slope))

    def variance_of(self, totals: SeparableTotals, factor: Factor) -> np.ndarray:
        """Posterior variances (k,) of totals that are products of times and places, in the basis."""
        covariance, pieces = self.covariance, self.pieces
        in_time, per_cell = sigma_of(covariance)
        times, places = (totals.time * in_time).T, totals.space * per_cell
        spread = clock(covariance).unit().matvec(times)
        prior_time = np.einsum("pa,pa->a", times, spread)
        prior_place = _own(covariance.space, places)
        inner = weigher(self.basis, self.basis.correlation(covariance.space))
        seen = inner(np.ascontiguousarray(self.basis.against(places).T)).T
        hour = np.repeat(np.arange(spread.shape[0]), np.diff(pieces.starts))
        fields = pieces.fields(0, pieces.row.size)
        out = np.empty((times.shape[1], places.shape[0]))
        for a in range(times.shape[1]):
            weight = sp.csr_array(
                (spread[hour, a], (pieces.order[pieces.row], np.arange(hour.size))),
                shape=(pieces.n, hour.size),
            )
            half = factor.half(weight @ fields)
            gained = np.einsum("rb,rb->b", seen, (half.T @ half) @ seen)
            out[a] = prior_time[a] * prior_place - gained
        return np.asarray(np.maximum(out.reshape(-1), 0.0))

    def _scale(self, now: Kronecker) -> float:
        return float((now.scale / self.covariance.scale) ** 2)


def reduce(covariance: Kronecker, jacobian: Any, tolerance: float = TOLERANCE) -> Reduction:
    """Project the footprints on the smallest basis that is good to `tolerance`.

    Raises
    ------
    InputError
        When cells are no regular grid, or time is not exponential.
    NumericalError
        When no basis is good enough: with the error reached.
    """
    clock(covariance)
    grid_shape(covariance.space)
    n = jacobian.shape[0]
    clusters = np.unique(np.linspace(0, max(n - 4, 0), 6).astype("i8"))
    sample = np.unique(np.minimum(clusters[:, None] + np.arange(4), n - 1))
    few = ragged(_sparse(select_rows(jacobian, sample)))
    exact = gram(pieces_of(covariance, few), clock(covariance), in_space(covariance.space))
    unit = np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
    error = np.inf
    for size in _SIZES:
        basis = Basis.of(covariance.space, size)
        inner = basis.correlation(covariance.space)
        found = gram(project(covariance, few, basis), clock(covariance), weigher(basis, inner))
        error = float(np.max(np.abs(found - exact) / np.where(unit > 0, unit, 1.0)))
        if error <= tolerance or basis.size == covariance.space.size:
            return Reduction(covariance, basis, project(covariance, jacobian, basis), error)
    raise NumericalError(
        "no basis of smooth fields is good enough",
        expected=f"an error of at most {tolerance:g}",
        found=f"{error:.2g} with {basis.size} fields",
        remedy='use method="observations", or accept a larger tolerance',
    )


def _sparse(rows: Any) -> sp.csr_array:
    out = sp.csr_array(rows)
    out.sort_indices()
    return out


def project(covariance: Kronecker, jacobian: Any, basis: Basis) -> Pieces:
    """The footprints times σ in the basis, a few hundred observations at a time."""
    p, s = covariance.shape
    in_time, per_cell = sigma_of(covariance)
    flat = np.ascontiguousarray(per_cell.reshape(-1))
    stored = jacobian if isinstance(jacobian, RaggedJacobian) else ragged(jacobian)
    n, parts = stored.shape[0], []
    for start in range(0, n, _ROWS):
        rows = stored.part(start, min(start + _ROWS, n))
        row, hour, begin, end = pairs_of(rows, s)
        fields = np.empty((row.size, basis.size))

        def part(
            a: int,
            b: int,
            rows: RaggedJacobian = rows,
            pairs: tuple[np.ndarray, np.ndarray, np.ndarray] = (begin, end, hour),
            fields: np.ndarray = fields,
        ) -> None:
            begin, end, hour = (of[a:b] for of in pairs)
            project_grid(
                begin,
                end,
                hour,
                rows.columns,
                rows.values,
                flat,
                basis.rows,
                basis.columns,
                basis.counts,
                basis.place,
                fields[a:b],
            )

        in_parts(part, row.size)
        fields *= in_time[hour, None]
        parts.append((row + start, hour, fields))
    row, hour = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return Pieces.holding(n, p, row, hour, [fields for _, _, fields in parts])


def solve_reduced(problem: LinearProblem, tolerance: float = TOLERANCE) -> LinearPosterior:
    """The posterior with H Q Hᵀ reduced; `truncation` holds the measured error.

    Raises
    ------
    InputError, NumericalError
        When the prior is no `Kronecker` on a regular grid, or no basis is good enough.
    """
    reduction = reduction_of(problem, tolerance)
    factor = observation_factor(problem, reduction.observe())
    return solve_with(problem, factor, reduction.truncation, reduction)


def reduction_of(problem: LinearProblem, tolerance: float = TOLERANCE) -> Reduction:
    """The reduction of a problem's H Q Hᵀ; for errors see `solve_reduced`."""
    prior = problem.prior_covariance
    if not isinstance(prior, Kronecker):
        raise InputError(
            'method="reduced" needs a Kronecker prior covariance',
            found=type(prior).__name__,
            remedy='use method="observations"',
        )
    return reduce(prior, problem.jacobian, tolerance)
