"""H Q Hᵀ from footprints in a basis of smooth fields, the sharp ones on all cells.

With the eigenvectors of the correlation, SΦ = ΦΛ, the two parts of a footprint do not mix::

    g S g'ᵀ = (gΦ) Λ (g'Φ)ᵀ + g (S − ΦΛΦᵀ) g'ᵀ,

and the second term is left out where g or g' is smooth.  The footprints are projected once, in single
precision.  The basis does not depend on the hyperparameters: for another length ΦᵀSΦ takes the place of Λ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from monitor.inversion.basis import Basis, Kernel
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.kernels import project_pieces
from monitor.inversion.operators import RaggedJacobian
from monitor.inversion.sharp import Sharp
from monitor.inversion.sweep import Pieces, clock, gram, gram_slope, pairs_of, sigma_of
from monitor.inversion.threads import in_parts

#: Non-zeros of a ragged store that are projected at once.
_ENTRIES = 4_000_000


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


def projected(
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
        outside = project(covariance, rows, found, basis, place[done : done + row.size], held)
        done += row.size
        keep = np.flatnonzero(basis.least * outside > most[chunk[0] + row])
        entries, last = entries_of(begin[keep], end[keep])
        column, at = rows.columns[entries], np.repeat(hour[keep], end[keep] - begin[keep])
        sigma = in_time[at] * flat[column - (0 if flat.size > s else at * s)]
        value = (sigma * rows.values[entries]).astype("f4")
        sharp.append((chunk[0] + row[keep], hour[keep], np.diff(last, prepend=0), column - at * s, value))
    rest = Sharp.of(*(np.concatenate([part[k] for part in sharp]) for k in range(5)), shape=(n, p))
    smooth = replace(smooth, fields=lambda start, stop: held[start:stop])
    return Reduction(covariance, basis, smooth, rest, truncation)


def project(
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
    sigma = (np.ascontiguousarray(per_cell.reshape(-1)), np.ascontiguousarray(in_time))
    outside, store = np.empty(hour.size), (rows.columns, rows.values)
    fields = basis.fields  # once, before threads ask for it

    def part(a: int, b: int) -> None:
        pieces = (begin[a:b], end[a:b], hour[a:b], place[a:b])
        project_pieces(pieces, store, sigma, fields, (held, outside[a:b]))

    in_parts(part, hour.size)
    return outside


def entries_of(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the entries of some pieces one after another, and where each piece ends among them."""
    stop = np.cumsum(end - begin)
    shift = np.repeat(begin - (stop - (end - begin)), end - begin)
    return shift + np.arange(shift.size), stop
