"""H Q Hᵀ for many cells: most footprints in a basis of smooth fields, the sharp ones on all cells.

Footprints are smooth on the scale of a few cells soon after the air has left the station, so that the leading
eigenvectors Φ of the correlation S carry nearly all of H Q Hᵀ.  A footprint whose part outside Φ could
matter is *sharp*, and gets that part from the cells themselves.  With the eigenvectors, SΦ = ΦΛ, the two
parts do not mix::

    g S g'ᵀ = (gΦ) Λ (g'Φ)ᵀ + g (S − ΦΛΦᵀ) g'ᵀ,

and the second term is left out where g or g' is smooth.  The footprints are projected once, in single
precision.  The basis does not depend on the hyperparameters: for another length ΦᵀSΦ takes the place of Λ.

The error is not assumed but measured: for clusters of observations H Q Hᵀ is also computed exactly, and the
basis grows until the largest error is below the tolerance.
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
from monitor.inversion.linear import LinearPosterior, LinearProblem, observation_factor, solve_with
from monitor.inversion.mirror import Mirror, Weigher, blockwise
from monitor.inversion.operators import RaggedJacobian, select_rows
from monitor.inversion.sweep import (
    Pieces,
    clock,
    gram,
    gram_slope,
    markov,
    observe,
    pairs_of,
    ragged,
    scatterer,
)

#: Largest error of an element of H Q Hᵀ relative to the mismatch, √(R_ii R_jj).
TOLERANCE = 1e-3
#: A footprint of one hour is sharp when what it has outside the basis could add more than this part of R_ii;
#: the first that is good enough is taken.
_SHARPER = (3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-8, 0.0)
_SIZES = (100, 150, 200, 300, 400, 500, 600, 800)
#: Observations with which a footprint is multiplied in the sweep, about.
_NEAR = 600
#: Cells above which the exact way costs far more.
_MANY_CELLS = 1024
#: Observations by which a basis is chosen.
_SAMPLE = 48
_PIECES = 2048


@dataclass(frozen=True, eq=False)
class Basis:
    """The leading eigenvectors of a correlation on a grid, by symmetry.

    Attributes
    ----------
    vectors, values : four arrays (quarter, r_k), (r_k,)
    least : float
        No eigenvalue that is left out is larger.
    """

    mirror: Mirror
    vectors: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    least: float

    @property
    def size(self) -> int:
        return sum(part.shape[1] for part in self.vectors)

    @cached_property
    def blocks(self) -> list[slice]:
        edges = np.cumsum([0, *(part.shape[1] for part in self.vectors)])
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]

    @cached_property
    def single(self) -> tuple[np.ndarray, ...]:
        return tuple(part.astype("f4") for part in self.vectors)

    @classmethod
    def of(cls, space: Matern, size: int) -> Basis:
        """Of about `size` eigenvectors, those of the largest eigenvalues first within each block."""
        mirror = grid_of(space)
        quarter = mirror.size // 4
        count = min(quarter, int(1.2 * size / 4) + 2)
        found = [_leading(block, count) for block in space.mirrored]
        # whatever was not worked out is below the smallest of each block
        least = max(float(value[-1]) for value, _ in found) if count < quarter else 0.0
        return cls(mirror, tuple(v for _, v in found), tuple(value for value, _ in found), least).cut(size)

    def cut(self, size: int) -> Basis:
        """The `size` leading eigenvectors."""
        every = np.sort(np.concatenate(self.values))[::-1]
        least = max(float(every[size]) if size < every.size else 0.0, self.least)
        keep = [int(np.count_nonzero(v > least)) for v in self.values]
        return Basis(
            self.mirror,
            tuple(np.ascontiguousarray(v[:, :k]) for v, k in zip(self.vectors, keep, strict=True)),
            tuple(v[:k] for v, k in zip(self.values, keep, strict=True)),
            least,
        )

    def project(self, fields: np.ndarray, out: np.ndarray) -> None:
        """Folded fields (k, size) in the basis, into `out` (k, r)."""
        for part, block, vectors in zip(self.mirror.blocks, self.blocks, self.single, strict=True):
            np.matmul(fields[:, part], vectors, out=out[:, block])

    def correlation(self, matrices: list[np.ndarray]) -> list[np.ndarray]:
        """The blocks of ΦᵀSΦ."""
        return [v.T @ (s @ v) for v, s in zip(self.vectors, matrices, strict=True)]

    def weigher(self, matrices: list[np.ndarray]) -> Weigher:
        """Fields in the basis -> times ΦᵀSΦ."""
        inner = [block.astype("f4") for block in self.correlation(matrices)]

        def weigh(fields: np.ndarray) -> np.ndarray:
            out = np.empty_like(fields)
            for block, matrix in zip(self.blocks, inner, strict=True):
                np.matmul(fields[:, block], matrix, out=out[:, block])
            return out

        return weigh

    def outside(self, matrices: list[np.ndarray]) -> Weigher:
        """Folded fields -> times S − ΦΦᵀSΦΦᵀ."""
        rest = [
            s - v @ inner @ v.T
            for s, v, inner in zip(matrices, self.vectors, self.correlation(matrices), strict=True)
        ]
        return blockwise(self.mirror, [block.astype("f4") for block in rest])


def _leading(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of a covariance (k,), falling, and their vectors (size, k)."""
    size = matrix.shape[0]
    value, vectors = eigh(matrix, subset_by_index=[size - count, size - 1])
    return value[::-1], vectors[:, ::-1]


def grid_of(space: Matern) -> Mirror:
    """The mirror of a regular grid.

    Raises
    ------
    InputError
        When the cells are no regular grid of two dimensions.
    """
    if space.mirror is None:
        raise InputError(
            'method="reduced" needs the cells on a regular grid',
            expected="a correlation in space with at=(ny, nx), of at most 12,000 cells",
            found=f"positions of shape {space.positions.shape}",
            remedy='use method="observations"',
        )
    return space.mirror


@dataclass(frozen=True, eq=False)
class Reduction:
    """Footprints projected once; H Q Hᵀ and its slopes for any lengths and scales.

    Attributes
    ----------
    smooth : Pieces
        All footprints in the basis.
    sharp : Pieces
        The sharp ones, folded.
    truncation : float
        Largest error found against the exact H Q Hᵀ, relative to √(R_ii R_jj), at the lengths of
        `covariance`.
    """

    covariance: Kronecker
    basis: Basis
    smooth: Pieces
    sharp: Pieces
    truncation: float

    def observe(self, covariance: Kronecker | None = None) -> np.ndarray:
        """H Q Hᵀ (n, n), for another scale and other lengths if a covariance is given."""
        now = covariance or self.covariance
        return self.product(gram, now, now.space.mirrored)

    def slopes(self, covariance: Kronecker | None = None) -> Iterator[np.ndarray]:
        """∂(H Q Hᵀ) by the logarithms of scale, length in time and length in space."""
        now = covariance or self.covariance
        yield 2.0 * self.observe(now)
        yield from self.length_slopes(now)

    def length_slopes(self, now: Kronecker) -> Iterator[np.ndarray]:
        """∂(H Q Hᵀ) by the logarithms of the lengths in time and space alone."""
        yield self.product(gram_slope, now, now.space.mirrored)
        slope = self.basis.mirror.matrices(now.space.correlation_slope, now.space.steps)
        yield self.product(gram, now, slope)

    def product(
        self,
        of: Callable[[Pieces, Matern, Weigher], np.ndarray],
        now: Kronecker,
        matrices: list[np.ndarray],
    ) -> np.ndarray:
        """`gram` or `gram_slope` at another scale and other lengths, S having the blocks `matrices`."""
        out = of(self.smooth, clock(now), self.basis.weigher(matrices))
        if self.sharp.row.size:
            out += of(self.sharp, clock(now), self.basis.outside(matrices))
        scale = (now.scale / self.covariance.scale) ** 2
        if scale != 1.0:
            out *= scale
        return out


@dataclass(frozen=True, eq=False)
class Choice:
    """A basis, and when a footprint is sharp: good to `truncation` for some, and so for their like.

    Attributes
    ----------
    sharpest : float
        Part of R_ii above which what a footprint has outside the basis is kept.
    """

    covariance: Kronecker
    basis: Basis
    sharpest: float
    truncation: float

    def reduction(self, jacobian: Any, noise: np.ndarray) -> Reduction:
        """The footprints projected; `noise` (n,) are their R_ii."""
        most = self.sharpest * noise
        return _projected(self.covariance, ragged(jacobian), self.basis, most, self.truncation)


def choose(covariance: Kronecker, jacobian: Any, noise: np.ndarray, tolerance: float = TOLERANCE) -> Choice:
    """The cheapest basis that is good to `tolerance` for clusters of observations.

    Parameters
    ----------
    noise : (n,)
        Variances of the mismatch R_ii, beside which errors are small or not.

    Raises
    ------
    InputError
        When cells are no regular grid, or time is not exponential.
    NumericalError
        When no basis is good enough: with the error reached.
    """
    clock(covariance)
    grid_of(covariance.space)
    n = jacobian.shape[0]
    every = np.unique(np.linspace(0, n - 1, _SAMPLE).astype("i8"))
    basis = _cheapest(covariance, _rows_of(jacobian, every), noise[every])
    sample = _clusters(n)
    few, noise = _rows_of(jacobian, sample), noise[sample]
    exact = observe(covariance, few)
    unit = np.sqrt(np.outer(noise, noise))
    error = np.inf
    for sharpest in _SHARPER:
        tried = _projected(covariance, few, basis, sharpest * noise, 0.0)
        found = tried.product(gram, covariance, covariance.space.mirrored)
        error = float(np.max(np.abs(found - exact) / unit))
        if error <= tolerance:
            return Choice(covariance, basis, sharpest, error)
    raise NumericalError(
        "no basis of smooth fields is good enough",
        expected=f"an error of at most {tolerance:g} of the mismatch",
        found=f"{error:.2g} with {basis.size} fields",
        remedy='use method="observations", or accept a larger tolerance',
    )


def reduce(
    covariance: Kronecker, jacobian: Any, noise: np.ndarray, tolerance: float = TOLERANCE
) -> Reduction:
    """Choose a basis and project the footprints on it; see `choose`."""
    stored = ragged(jacobian)
    return choose(covariance, stored, noise, tolerance).reduction(stored, noise)


def is_large(covariance: Any) -> bool:
    """Whether a prior has so many cells that the exact H Q Hᵀ costs far more, and can be reduced."""
    if not isinstance(covariance, Kronecker) or not markov(covariance):
        return False
    return covariance.space.mirror is not None and covariance.space.size > _MANY_CELLS


def _clusters(n: int) -> np.ndarray:
    """Six clusters of four observations."""
    begin = np.unique(np.linspace(0, max(n - 4, 0), 6).astype("i8"))
    return np.unique(np.minimum(begin[:, None] + np.arange(4), n - 1))


def _rows_of(jacobian: Any, rows: np.ndarray) -> RaggedJacobian:
    out = sp.csr_array(select_rows(jacobian, rows))
    out.sort_indices()
    return ragged(out)


def _cheapest(covariance: Kronecker, few: RaggedJacobian, noise: np.ndarray) -> Basis:
    """The basis with which smooth and sharp footprints together cost least.

    A smooth footprint costs its projection on r fields, a sharp one its product with S.
    """
    cells = covariance.space.size
    largest = Basis.of(covariance.space, min(_SIZES[-1], cells))
    best, cost = largest, np.inf
    for size in _SIZES:
        basis = largest.cut(min(size, cells))
        found = _projected(covariance, few, basis, _SHARPER[0] * noise, 0.0)
        share = found.sharp.row.size / max(found.smooth.row.size, 1)
        now = basis.size * (cells / 2 + _NEAR) + share * cells * (cells / 2 + _NEAR)
        if now < cost:
            best, cost = basis, now
    return best


def _projected(
    covariance: Kronecker, stored: RaggedJacobian, basis: Basis, most: np.ndarray, truncation: float
) -> Reduction:
    """The footprints in the basis, and those with more than `most` (n,) outside it as they are."""
    p, s = covariance.shape
    row, hour, begin, end = pairs_of(stored, s)
    scatter = scatterer(covariance, stored, "f4")
    plain = Pieces.of(row, hour, lambda which: which, shape=(stored.shape[0], p), width=1)
    place = np.empty(row.size, dtype="i8")
    place[plain.fields(0, row.size)] = np.arange(row.size)
    held = np.empty((row.size, basis.size), dtype="f4")
    outside = np.empty(row.size)
    for start in range(0, row.size, _PIECES):
        here = slice(start, min(start + _PIECES, row.size))
        fields = scatter(begin[here], end[here], hour[here])
        inside = np.empty((fields.shape[0], basis.size), dtype="f4")
        basis.project(fields, inside)
        held[place[here]] = inside
        outside[here] = np.einsum("ks,ks->k", fields, fields) - np.einsum("kr,kr->k", inside, inside)
    sharp = np.flatnonzero(basis.least * outside > most[row])
    smooth = Pieces.of(
        row, hour, lambda which: held[place[which]], shape=(stored.shape[0], p), width=basis.size, dtype="f4"
    )
    cells = Pieces.of(
        row[sharp],
        hour[sharp],
        lambda which: scatter(begin[sharp[which]], end[sharp[which]], hour[sharp[which]]),
        shape=(stored.shape[0], p),
        width=basis.mirror.size,
        dtype="f4",
    )
    return Reduction(covariance, basis, smooth, cells, truncation)


def solve_reduced(problem: LinearProblem, tolerance: float = TOLERANCE) -> LinearPosterior:
    """The posterior with H Q Hᵀ reduced; `truncation` holds the measured error.

    Raises
    ------
    InputError, NumericalError
        When the prior is no `Kronecker` on a regular grid, or no basis is good enough.
    """
    reduction = reduction_of(problem, tolerance)
    factor = observation_factor(problem, reduction.observe())
    return solve_with(problem, factor, reduction.truncation)


def reduction_of(problem: LinearProblem, tolerance: float = TOLERANCE) -> Reduction:
    """The reduction of a problem's H Q Hᵀ; for errors see `solve_reduced`."""
    prior = problem.prior_covariance
    if not isinstance(prior, Kronecker):
        raise InputError(
            'method="reduced" needs a Kronecker prior covariance',
            found=type(prior).__name__,
            remedy='use method="observations"',
        )
    return reduce(prior, problem.jacobian, problem.mismatch_covariance.diagonal(), tolerance)
