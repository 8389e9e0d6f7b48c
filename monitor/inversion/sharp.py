"""Sharp footprints: few, each on few cells, swept over time with whatever kernel is given between cells.

As `monitor.inversion.sweep`, with sparse footprints: a product with the kernel costs the footprint's own
cells times the cells that any sharp footprint sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.kernels import spread_sparse, sweep_sparse
from monitor.inversion.sweep import Pieces, chunks_of, finished
from monitor.inversion.threads import in_parts

#: Numbers in the products with the kernel that are held at once.
_FIELDS = 1_500_000


@dataclass(frozen=True, eq=False)
class Sharp:
    """Footprints of single hours, ordered by hour.

    Attributes
    ----------
    pieces : Pieces
        Their observations and hours.
    begin, end : (q,)
        Where each has its entries.
    cell : (entries,)
        Number among `cells`.
    value : (entries,) float32
        Footprint times σ.
    cells : (u,)
        The cells that any of them sees.
    """

    pieces: Pieces
    begin: np.ndarray
    end: np.ndarray
    cell: np.ndarray
    value: np.ndarray
    cells: np.ndarray

    @property
    def count(self) -> int:
        return int(self.begin.size)

    @classmethod
    def of(
        cls,
        row: np.ndarray,
        hour: np.ndarray,
        length: np.ndarray,
        cell: np.ndarray,
        value: np.ndarray,
        *,
        shape: tuple[int, int],
    ) -> Sharp:
        """From pairs in any order, with `length` (q,) entries each; `shape` is (n, hours)."""
        plain = Pieces.of(row, hour, lambda which: which, shape=shape, width=1)
        by_hour = plain.fields(0, row.size)
        end = np.cumsum(length)
        cells, number = np.unique(cell, return_inverse=True)
        return cls(plain, (end - length)[by_hour], end[by_hour], number.astype("i8"), value, cells)

    def gram(self, time: Matern, kernel: np.ndarray) -> np.ndarray:
        """Σ_tt' e^{−|t−t'|/τ} G_t K G_t'ᵀ (n, n) for a kernel K (u, u), in single precision."""
        out, swept, begins, base = self._swept(time, kernel, slope=False)[:4]
        end = (time.positions / time.length)[self.pieces.last]
        return finished(
            out, self.pieces, time, lambda i, j: (begins[j] @ swept[i].T) * np.exp(base[i] - end[i])
        )

    def gram_slope(self, time: Matern, kernel: np.ndarray) -> np.ndarray:
        """Its derivative by ln τ."""
        out, swept, begins, base, late, early = self._swept(time, kernel, slope=True)
        at = time.positions / time.length
        begin, end = at[self.pieces.first], at[self.pieces.last]

        def apart(i: slice, j: slice) -> np.ndarray:
            rest = end[i] - base[i]
            gap = begin[j][:, None] - end[i][None, :]
            plain = begins[j] @ swept[i].T
            found = (gap + rest) * plain + early[j] @ swept[i].T - begins[j] @ late[i].T
            return np.asarray(found * np.exp(-rest))

        return finished(out, self.pieces, time, apart)

    def _swept(self, time: Matern, kernel: np.ndarray, *, slope: bool) -> tuple[np.ndarray, ...]:
        pieces, u = self.pieces, self.cells.size
        n, at = pieces.n, time.positions / time.length
        out = np.zeros((n, n), dtype="f4")
        swept, begins = (np.zeros((n, u), dtype="f4") for _ in range(2))
        late, early = (np.zeros((n, u) if slope else (0, 0), dtype="f4") for _ in range(2))
        base = at[pieces.first].copy()
        starts = pieces.starts
        near = [pieces.near(t, pieces.row[starts[t] : starts[t + 1]]) for t in range(at.size)]
        order = starts, pieces.row, np.array([(w.start, w.stop) for w in near]), pieces.first
        entries = self.begin, self.end, self.cell, self.value
        fields, matrix = (swept, begins, late, early), np.ascontiguousarray(kernel, dtype="f4")
        for first, stop in chunks_of(starts, max(_FIELDS // max(u, 1), 1)):
            spread = self._spread(slice(starts[first], starts[stop]), matrix)
            sweep_sparse((first, stop), order, entries, spread, at, base, fields, out)
        return out, swept, begins, base, late, early

    def _spread(self, here: slice, kernel: np.ndarray) -> np.ndarray:
        """Footprints times the kernel (k, u)."""
        begin, end = self.begin[here], self.end[here]
        out = np.empty((begin.size, kernel.shape[0]), dtype="f4")
        in_parts(
            lambda a, b: spread_sparse(begin[a:b], end[a:b], self.cell, self.value, kernel, out[a:b]),
            begin.size,
        )
        return out
