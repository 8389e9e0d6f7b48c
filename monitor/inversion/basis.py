"""The leading eigenvectors of a correlation on a grid: smooth fields in which most footprints are held.

A stationary correlation on a regular grid commutes with the grid's mirrors, so that it falls into four blocks
(`monitor.inversion.mirror`), each with eigenvectors of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
from scipy.linalg import eigh

from monitor.errors import InputError
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.mirror import Mirror, Weigher, between

Kernel = Callable[[np.ndarray], np.ndarray]

#: Order of the blocks up to which eigenvectors are worked out directly, and steps of the iteration beyond.
_DIRECT, _ITERATIONS = 1200, 4
#: Whether the four blocks are odd along the axes.
_PARITY = ((0, 0), (0, 1), (1, 0), (1, 1))


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
