"""The symmetry of a regular grid, with which a stationary correlation falls into four blocks.

A field on (ny, nx) cells is the sum of four that are even or odd under the two reflections of the grid.  A
correlation that depends on the distance alone keeps them apart, so that S becomes four blocks of a quarter of
its size: a product with S costs a quarter, its eigenvectors a sixteenth.  Folding is orthonormal; fields stay
folded through the whole sweep, since F S Fᵀ does not depend on the basis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitor.inversion.kernels import lagged
from monitor.inversion.threads import in_parts

#: What multiplies fields (k, s) by a correlation.
Weigher = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Mirror:
    """A grid of ny × nx cells; fields are folded into the blocks even-even, even-odd, odd-even, odd-odd."""

    ny: int
    nx: int

    @property
    def half(self) -> tuple[int, int]:
        """Lines and columns of one quarter, the middle ones included."""
        return (self.ny + 1) // 2, (self.nx + 1) // 2

    @property
    def size(self) -> int:
        """Of a folded field: four quarters, where the odd ones have zeros on a middle line."""
        return 4 * self.half[0] * self.half[1]

    @cached_property
    def blocks(self) -> list[slice]:
        quarter = self.size // 4
        return [slice(k * quarter, (k + 1) * quarter) for k in range(4)]

    @cached_property
    def place(self) -> np.ndarray:
        """Where in its quarter each cell goes (s,)."""
        y, x = (np.minimum(np.arange(n), n - 1 - np.arange(n)) for n in (self.ny, self.nx))
        return np.asarray((y[:, None] * self.half[1] + x[None, :]).ravel())

    @cached_property
    def weight(self) -> np.ndarray:
        """With which weight each cell goes into each of the four blocks (s, 4)."""
        along_y, along_x = _even_odd(self.ny), _even_odd(self.nx)
        return np.stack([np.outer(a, b).ravel() for a in along_y for b in along_x], axis=1)

    def fold(self, fields: np.ndarray) -> np.ndarray:
        """Fields on cells (k, s), folded (k, size)."""
        cube = fields.reshape(-1, self.ny, self.nx)
        parts = [across for down in _both(cube, 1) for across in _both(down, 2)]
        return np.concatenate([part.reshape(fields.shape[0], -1) for part in parts], axis=1)

    def unfold(self, folded: np.ndarray) -> np.ndarray:
        """The inverse of `fold`: (k, size) to (k, s)."""
        quarters = folded.reshape(-1, 4, *self.half)
        lines = [_joined(quarters[:, k], quarters[:, k + 1], self.nx, 2) for k in (0, 2)]
        return _joined(lines[0], lines[1], self.ny, 1).reshape(folded.shape[0], -1)

    def matrices(
        self, kernel: Callable[[np.ndarray], np.ndarray], steps: Sequence[float] | np.ndarray
    ) -> list[np.ndarray]:
        """The four blocks of the matrix kernel(distance), for cells `steps` apart."""
        down, across = np.arange(self.ny) * steps[0], np.arange(self.nx) * steps[1]
        table = kernel(np.hypot(down[:, None], across[None, :]))
        near_y, far_y, scale_y = _lags(self.ny)
        near_x, far_x, scale_x = _lags(self.nx)
        quarter = self.size // 4
        # the sums over the two reflections of x, for each pair of lines
        over_x = [table[:, near_x] + sign * table[:, far_x] for sign in (1.0, -1.0)]
        found = []
        for y_sign, y_scale in zip((1.0, -1.0), scale_y, strict=True):
            for lines, x_scale in zip(over_x, scale_x, strict=True):
                block = lines[near_y] + y_sign * lines[far_y]
                block *= (y_scale[:, :, None, None]) * x_scale[None, None]
                found.append(np.ascontiguousarray(block.transpose(0, 2, 1, 3)).reshape(quarter, quarter))
        return found


def between(
    mirror: Mirror, cells: np.ndarray, kernel: Callable[[np.ndarray], np.ndarray], steps: np.ndarray
) -> np.ndarray:
    """The matrix kernel(distance) of some cells (u, u), in single precision."""
    down, across = np.arange(mirror.ny) * steps[0], np.arange(mirror.nx) * steps[1]
    table = kernel(np.hypot(down[:, None], across[None, :])).astype("f4")
    y, x = np.divmod(cells, mirror.nx)
    out = np.empty((cells.size, cells.size), dtype="f4")
    in_parts(lambda a, b: lagged(table, y, x, a, b, out), cells.size)
    return out


def _both(cube: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd part of a cube along an axis, each of half its length."""
    n = cube.shape[axis]
    half = (slice(None),) * axis + (slice(0, (n + 1) // 2),)
    near, far = cube[half], np.flip(cube, axis)[half]
    scale = np.full((n + 1) // 2, np.sqrt(0.5), dtype=cube.dtype)
    if n % 2:
        scale[-1] = 0.5  # the middle is added to itself
    scale = scale.reshape((1,) * axis + (-1,) + (1,) * (cube.ndim - 1 - axis))
    return (near + far) * scale, (near - far) * scale


def _joined(even: np.ndarray, odd: np.ndarray, n: int, axis: int) -> np.ndarray:
    """A cube of n along an axis from its even and odd parts."""
    scale = np.full((n + 1) // 2, np.sqrt(0.5), dtype=even.dtype)
    if n % 2:
        scale[-1] = 1.0  # the middle is its own mirror image, and odd parts are zero there
    scale = scale.reshape((1,) * axis + (-1,) + (1,) * (even.ndim - 1 - axis))
    near, far = (even + odd) * scale, (even - odd) * scale
    mirrored = np.flip(far, axis)[(slice(None),) * axis + (slice(n % 2, None),)]
    return np.concatenate([near, mirrored], axis=axis)


def _even_odd(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the cells of a line in its even and its odd part."""
    even = np.full(n, np.sqrt(0.5))
    odd = np.where(np.arange(n) < (n + 1) // 2, even, -even)
    if n % 2:
        even[n // 2], odd[n // 2] = 1.0, 0.0
    return even, odd


def _lags(n: int) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Lags between cells of the first half, to the other's mirror image, and the weights even and odd."""
    half = np.arange((n + 1) // 2)
    near, far = np.abs(half[:, None] - half[None, :]), n - 1 - half[:, None] - half[None, :]
    even, odd = np.ones(half.size), np.ones(half.size)
    if n % 2:
        # the middle is its own mirror image: it is counted twice in the sums
        even[-1], odd[-1] = np.sqrt(0.5), 0.0
    return near, far, (np.outer(even, even), np.outer(odd, odd))


def blockwise(mirror: Mirror, matrices: Sequence[np.ndarray]) -> Weigher:
    """Folded fields (k, size) times the matrix with these blocks."""

    def weigh(fields: np.ndarray) -> np.ndarray:
        out = np.empty_like(fields)
        for block, matrix in zip(mirror.blocks, matrices, strict=True):
            np.matmul(fields[:, block], matrix, out=out[:, block])
        return out

    return weigh
