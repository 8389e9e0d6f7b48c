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
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh

from monitor.errors import InputError, NumericalError
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.kernels import project_pieces
from monitor.inversion.linear import LinearPosterior, LinearProblem, observation_factor, solve_with
from monitor.inversion.mirror import Mirror, Weigher, between
from monitor.inversion.operators import RaggedJacobian, select_rows
from monitor.inversion.sharp import Sharp
from monitor.inversion.sweep import (
    Pieces,
    clock,
    gram,
    gram_slope,
    markov,
    observe,
    pairs_of,
    ragged,
    sigma_of,
)
from monitor.inversion.threads import in_parts

Kernel = Callable[[np.ndarray], np.ndarray]

#: Largest error of an element of H Q Hᵀ relative to the mismatch, √(R_ii R_jj).
TOLERANCE = 3e-3
#: A footprint of one hour is sharp when what it has outside the basis could add more than this part of R_ii;
#: the first that is good enough is taken.
_SHARPER = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-8, 0.0)
_SIZES = (100, 200, 300, 400, 500, 600)
#: Order of the blocks up to which eigenvectors are worked out directly, and steps of the iteration beyond.
_DIRECT, _ITERATIONS = 1200, 4
#: Whether the four blocks are odd along the axes.
_PARITY = ((0, 0), (0, 1), (1, 0), (1, 1))
#: Cells above which the exact way costs far more.
_MANY_CELLS = 1024
#: Non-zeros of a ragged store that are projected at once.
_ENTRIES = 4_000_000
#: Observations by which a basis is chosen.
_SAMPLE = 48


class NoBasisError(NumericalError):
    """No basis of smooth fields is good enough beside errors as small as these."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The leading eigenvectors of a correlation on a grid, by symmetry.

    Attributes
    ----------
    vectors, values : four arrays (quarter, r_k), (r_k,)
    least : float
        No eigenvalue that is left out is larger, as far as they have converged.
    """

    space: Matern
    vectors: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    least: float

    @property
    def mirror(self) -> Mirror:
        return grid_of(self.space)

    @property
    def size(self) -> int:
        return sum(part.shape[1] for part in self.vectors)

    @cached_property
    def blocks(self) -> list[slice]:
        edges = np.cumsum([0, *(part.shape[1] for part in self.vectors)])
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]

    @cached_property
    def fields(self) -> np.ndarray:
        """Φ on the cells (s, r), in single precision."""
        folded = np.zeros((self.size, self.mirror.size))
        for block, part, vectors in zip(self.blocks, self.mirror.blocks, self.vectors, strict=True):
            folded[block, part] = vectors.T
        return np.ascontiguousarray(self.mirror.unfold(folded).T.astype("f4"))

    @classmethod
    def of(cls, space: Matern, size: int) -> Basis:
        """Of about `size` eigenvectors, those of the largest eigenvalues first within each block."""
        mirror = grid_of(space)
        quarter = mirror.size // 4
        count = min(quarter, int(1.2 * size / 4) + 2)
        found = [
            _leading(block, partial(_waves, space, odd), count)
            for block, odd in zip(space.mirrored, _PARITY, strict=True)
        ]
        # whatever was not worked out is below the smallest of each block
        least = max(float(value[-1]) for value, _ in found) if count < quarter else 0.0
        return cls(space, tuple(v for _, v in found), tuple(value for value, _ in found), least).cut(size)

    def cut(self, size: int) -> Basis:
        """The `size` leading eigenvectors."""
        every = np.sort(np.concatenate(self.values))[::-1]
        least = max(float(every[size]) if size < every.size else 0.0, self.least)
        keep = [int(np.count_nonzero(v > least)) for v in self.values]
        return Basis(
            self.space,
            tuple(np.ascontiguousarray(v[:, :k]) for v, k in zip(self.vectors, keep, strict=True)),
            tuple(v[:k] for v, k in zip(self.values, keep, strict=True)),
            least,
        )

    def correlation(self, space: Matern, kernel: Kernel) -> list[np.ndarray]:
        """The blocks of ΦᵀSΦ, S having the kernel."""
        if space is self.space and kernel == space.correlation:
            return self._own
        matrices = self.mirror.matrices(kernel, space.steps)
        return [v.T @ (s @ v) for v, s in zip(self.vectors, matrices, strict=True)]

    @cached_property
    def _own(self) -> list[np.ndarray]:
        return [v.T @ (s @ v) for v, s in zip(self.vectors, self.space.mirrored, strict=True)]

    def weigher(self, inner: list[np.ndarray]) -> Weigher:
        """Fields in the basis -> times ΦᵀSΦ, given its blocks."""
        single = [block.astype("f4") for block in inner]

        def weigh(fields: np.ndarray) -> np.ndarray:
            out = np.empty_like(fields)
            for block, matrix in zip(self.blocks, single, strict=True):
                np.matmul(fields[:, block], matrix, out=out[:, block])
            return out

        return weigh

    def outside(self, cells: np.ndarray, space: Matern, kernel: Kernel) -> np.ndarray:
        """S − ΦΦᵀSΦΦᵀ between some cells (u, u), S having the kernel, in single precision."""
        out = between(self.mirror, cells, kernel, space.steps)
        fields = self.fields[cells]
        out -= self.weigher(self.correlation(space, kernel))(fields) @ fields.T
        return out


def _leading(
    matrix: np.ndarray, start: Callable[[int], np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of a covariance (k,), falling, and their vectors (size, k).

    Of a large one by subspace iteration from `start` (count -> (size, count)), with a few vectors more than
    are asked for (Halko, Martinsson & Tropp 2011, §4.5): as a basis they serve before they have converged.
    """
    size = matrix.shape[0]
    if size <= _DIRECT or 2 * count > size:
        value, vectors = eigh(matrix, subset_by_index=[size - count, size - 1])
        return value[::-1], vectors[:, ::-1]
    vectors = start(min(size, int(1.3 * count)))
    for _ in range(_ITERATIONS):
        vectors, _ = np.linalg.qr(matrix @ vectors)
    value, inner = eigh(vectors.T @ (matrix @ vectors))
    return value[::-1][:count], vectors @ inner[:, ::-1][:, :count]


def _waves(space: Matern, odd: tuple[int, int], count: int) -> np.ndarray:
    """Products of the eigenvectors along both axes of the grid, folded, the smoothest first (quarter, k)."""
    along = []
    for cells, step, block in zip((grid_of(space).ny, grid_of(space).nx), space.steps, odd, strict=True):
        line = Mirror(cells, 1).matrices(space.correlation, (step, 1.0))[2 * block]
        along.append(eigh(line))
    (y_value, y_vectors), (x_value, x_vectors) = along
    order = np.argsort(-np.outer(y_value, x_value), axis=None)[:count]
    y, x = np.divmod(order, x_value.size)
    fields = y_vectors[:, None, y] * x_vectors[None, :, x]
    return np.asarray(fields.reshape(-1, order.size))


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
            expected="a correlation in space with at=(ny, nx), of at most 15,000 cells",
            found=f"positions of shape {space.positions.shape}",
            remedy='use method="exact"',
        )
    return space.mirror


@dataclass(frozen=True, eq=False)
class Reduction:
    """Footprints projected once; H Q Hᵀ and its slopes for any lengths and scales.

    Attributes
    ----------
    smooth : Pieces
        All footprints in the basis.
    sharp : Sharp
        The sharp ones on their cells.
    truncation : float
        Largest error against the exact H Q Hᵀ found for clusters of observations, relative to
        √(R_ii R_jj), at the lengths of `covariance`; among all observations it is a few times larger.
    """

    covariance: Kronecker
    basis: Basis
    smooth: Pieces
    sharp: Sharp
    truncation: float

    def observe(self, covariance: Kronecker | None = None) -> np.ndarray:
        """H Q Hᵀ (n, n), for another scale and other lengths if a covariance is given."""
        now = covariance or self.covariance
        return self._gram(now, now.space.correlation)

    def slopes(self, covariance: Kronecker | None = None) -> Iterator[np.ndarray]:
        """∂(H Q Hᵀ) by the logarithms of scale, length in time and length in space."""
        now = covariance or self.covariance
        yield 2.0 * self.observe(now)
        yield from self.length_slopes(now)

    def length_slopes(self, now: Kronecker) -> Iterator[np.ndarray]:
        """∂(H Q Hᵀ) by the logarithms of the lengths in time and space alone."""
        space, time = now.space, clock(now)
        weigh = self.basis.weigher(self.basis.correlation(space, space.correlation))
        yield self._sum(
            now,
            lambda: gram_slope(self.smooth, time, weigh),
            lambda: self.sharp.gram_slope(
                time, self.basis.outside(self.sharp.cells, space, space.correlation)
            ),
        )
        yield self._gram(now, space.correlation_slope)

    def _gram(self, now: Kronecker, kernel: Kernel) -> np.ndarray:
        """Σ T_tt' G_t K G_t'ᵀ for a kernel in space."""
        space, time = now.space, clock(now)
        weigh = self.basis.weigher(self.basis.correlation(space, kernel))
        return self._sum(
            now,
            lambda: gram(self.smooth, time, weigh),
            lambda: self.sharp.gram(time, self.basis.outside(self.sharp.cells, space, kernel)),
        )

    def _sum(
        self, now: Kronecker, smooth: Callable[[], np.ndarray], sharp: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """The smooth and the sharp part, at the scale of `now`."""
        # the sharp part first: its fields are gone when the other matrix comes
        rest = sharp() if self.sharp.count else np.zeros(())
        out = smooth()
        out += rest
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
    NoBasisError
        When no basis is good enough: with the error reached.
    """
    clock(covariance)
    grid_of(covariance.space)
    n = jacobian.shape[0]
    every = np.unique(np.linspace(0, n - 1, _SAMPLE).astype("i8"))
    typical, beside = Typical.of(covariance, _rows_of(jacobian, every)), noise[every]
    sample = _clusters(n)
    few, noise = _rows_of(jacobian, sample), noise[sample]
    exact = observe(covariance, few)
    unit = np.sqrt(np.outer(noise, noise))
    error = np.inf
    for sharpest in _SHARPER:
        basis = typical.cheapest(sharpest * beside)
        found = _projected(covariance, few, basis, sharpest * noise, 0.0).observe()
        error = float(np.max(np.abs(found - exact) / unit))
        if error <= tolerance:
            return Choice(covariance, basis, sharpest, error)
    raise NoBasisError(
        "no basis of smooth fields is good enough",
        expected=f"an error of at most {tolerance:g} of the mismatch",
        found=f"{error:.2g} with {basis.size} fields",
        remedy='use method="exact" (or "auto", which does so here)',
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


@dataclass(frozen=True, eq=False)
class Typical:
    """Some observations, by which a basis is chosen.

    Attributes
    ----------
    bases : of growing size
    outside : (q, bases)
        What could be missing of each footprint's variance in each of the bases.
    """

    rows: RaggedJacobian
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    bases: tuple[Basis, ...]
    outside: np.ndarray

    @classmethod
    def of(cls, covariance: Kronecker, rows: RaggedJacobian) -> Typical:
        cells = covariance.space.size
        largest = Basis.of(covariance.space, min(_SIZES[-1], cells))
        bases = tuple(largest.cut(min(size, cells)) for size in _SIZES)
        pairs = pairs_of(rows, cells)
        held = np.empty((pairs[0].size, largest.size), dtype="f4")
        beyond = _project(covariance, rows, pairs, largest, np.arange(pairs[0].size), held)
        value, square = np.concatenate(largest.values), held.astype("f8") ** 2
        outside = [b.least * (beyond + square[:, value <= b.least].sum(axis=1)) for b in bases]
        return cls(rows, pairs, bases, np.stack(outside, axis=1))

    def cheapest(self, most: np.ndarray) -> Basis:
        """The basis with which smooth and sharp footprints together cost least, at most `most` (n,) missing.

        The weights are nanoseconds of a number in a product of sparse and dense, in one of dense arrays, and
        on its way through memory.
        """
        row, _, begin, end = self.pairs
        count, cells = max(row.size, 1), self.bases[0].fields.shape[0]
        near = 8 * count / self.rows.shape[0]
        cost = []
        for basis, outside in zip(self.bases, self.outside.T, strict=True):
            sharp = outside > most[row]
            entries, _ = _entries(begin[sharp], end[sharp])
            seen = np.unique(self.rows.columns[entries] % cells).size
            smooth = basis.size * (0.1 * self.rows.values.size / count + 0.02 * near + 4.0)
            cost.append(smooth + entries.size / count * (0.1 * seen + near))
        return self.bases[int(np.argmin(cost))]


def _entries(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the entries of some pieces one after another, and where each piece ends among them."""
    stop = np.cumsum(end - begin)
    shift = np.repeat(begin - (stop - (end - begin)), end - begin)
    return shift + np.arange(shift.size), stop


def _projected(
    covariance: Kronecker, stored: RaggedJacobian, basis: Basis, most: np.ndarray, truncation: float
) -> Reduction:
    """The footprints in the basis, and those with more than `most` (n,) outside it as they are."""
    p, s = covariance.shape
    n, in_time = stored.shape[0], sigma_of(covariance)[0]
    flat = np.ascontiguousarray(sigma_of(covariance)[1].reshape(-1))
    chunks = list(stored.chunks(_ENTRIES))
    pairs = [pairs_of(stored.part(*chunk), s) for chunk in chunks]
    row = np.concatenate([found[0] + start for (start, _), found in zip(chunks, pairs, strict=True)])
    hour = np.concatenate([found[1] for found in pairs])
    smooth = Pieces.of(row, hour, lambda which: which, shape=(n, p), width=basis.size, dtype="f4")
    place = np.empty(row.size, dtype="i8")
    place[smooth.fields(0, row.size)] = np.arange(row.size)
    held = np.empty((row.size, basis.size), dtype="f4")
    sharp, done = [], 0
    for chunk, found in zip(chunks, pairs, strict=True):
        rows, (row, hour, begin, end) = stored.part(*chunk), found
        outside = _project(covariance, rows, found, basis, place[done : done + row.size], held)
        done += row.size
        keep = np.flatnonzero(basis.least * outside > most[chunk[0] + row])
        entries, last = _entries(begin[keep], end[keep])
        column, at = rows.columns[entries], np.repeat(hour[keep], end[keep] - begin[keep])
        sigma = in_time[at] * flat[column - (0 if flat.size > s else at * s)]
        value = (sigma * rows.values[entries]).astype("f4")
        sharp.append((chunk[0] + row[keep], hour[keep], np.diff(last, prepend=0), column - at * s, value))
    rest = Sharp.of(*(np.concatenate([part[k] for part in sharp]) for k in range(5)), shape=(n, p))
    smooth = replace(smooth, fields=lambda start, stop: held[start:stop])
    return Reduction(covariance, basis, smooth, rest, truncation)


def _project(
    covariance: Kronecker,
    rows: RaggedJacobian,
    pairs: tuple[np.ndarray, ...],
    basis: Basis,
    place: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Footprints times σ in the basis, to held[place]; the squares of what they have outside it (q,)."""
    _, hour, begin, end = pairs
    in_time, per_cell = sigma_of(covariance)
    flat, in_time = np.ascontiguousarray(per_cell.reshape(-1)), np.ascontiguousarray(in_time)
    outside, store = np.empty(hour.size), (rows.columns, rows.values)
    fields = basis.fields  # once, before threads ask for it

    def part(a: int, b: int) -> None:
        project_pieces(
            begin[a:b],
            end[a:b],
            hour[a:b],
            place[a:b],
            store,
            flat,
            in_time,
            fields,
            held,
            outside[a:b],
        )

    in_parts(part, hour.size)
    return outside


def solve_reduced(problem: LinearProblem, tolerance: float = TOLERANCE) -> LinearPosterior:
    """The posterior with H Q Hᵀ reduced; `truncation` holds the measured error.

    Raises
    ------
    InputError, NumericalError
        When the prior is no `Kronecker` on a regular grid, or no basis is good enough.
    """
    reduction = reduction_of(problem, tolerance)
    signal, truncation = reduction.observe(), reduction.truncation
    del reduction  # its footprints would lie beside the factor
    return solve_with(problem, observation_factor(problem, signal), truncation)


def reduction_of(problem: LinearProblem, tolerance: float = TOLERANCE) -> Reduction:
    """The reduction of a problem's H Q Hᵀ; for errors see `solve_reduced`."""
    prior = problem.prior_covariance
    if not isinstance(prior, Kronecker):
        raise InputError(
            'method="reduced" needs a Kronecker prior covariance',
            found=type(prior).__name__,
            remedy='use method="exact"',
        )
    return reduce(prior, problem.jacobian, problem.mismatch_covariance.diagonal(), tolerance)
