"""H Q Hᵀ for Q = D (T ⊗ S) D with exponential T, by one sweep over time.

With G_t the footprints of hour t times σ (rows: observations), and ρ the correlation between neighbouring
hours::

    F_t = ρ F_{t−1} + G_t S          N = Σ_t G_t (ρ F_{t−1} + ½ G_t S)ᵀ          H Q Hᵀ = N + Nᵀ

(half of the present hour, because N + Nᵀ counts it twice).  Only observations whose footprints may overlap
in time are swept together.  For the rest, where i ends at b_i before j begins at a_j, the sum falls apart::

    (H Q Hᵀ)_ij = e^{−(a_j − b_i)/τ} E_i B_jᵀ
    E_i = Σ_t e^{−(b_i − t)/τ} G_t[i] S       B_j = Σ_t e^{−(t − a_j)/τ} G_t[j]

All of it is exact.  `monitor.inversion.reduced` does the same in a basis of smooth fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.kernels import find_pieces, project_dense, scatter_pieces
from monitor.inversion.operators import RaggedJacobian, SeparableTotals, row_chunk
from monitor.inversion.threads import in_parts

#: Cells up to which S is multiplied as a matrix rather than by Fourier transforms.
_SMALL = 1024
#: e-foldings after which a correlation is below the last bit.
_FAR = 40.0
_ROWS = 512


@dataclass(frozen=True, eq=False)
class Pieces:
    """(Observation, hour) pairs with influence, ordered by hour.

    Observations are renumbered so that they end one after another: `order[k]` is the old number.

    Attributes
    ----------
    order : (n,)
    first, last : (n,)
        Hours in which each observation's footprint begins and ends, renumbered.
    row, hour : (q,)
    starts : (p + 1,)
        Where each hour's pieces begin.
    fields : callable (start, stop) -> (stop − start, r)
        The pieces' footprints times σ.
    """

    order: np.ndarray
    first: np.ndarray
    last: np.ndarray
    row: np.ndarray
    starts: np.ndarray
    fields: Callable[[int, int], np.ndarray]

    @property
    def n(self) -> int:
        return int(self.order.size)

    @classmethod
    def of(
        cls, n: int, hours: int, row: np.ndarray, hour: np.ndarray, fields: Callable[[np.ndarray], np.ndarray]
    ) -> Pieces:
        """From pairs in any order; `fields` takes the numbers of pairs."""
        first, last = np.full(n, hours), np.zeros(n, dtype="i8")
        np.minimum.at(first, row, hour)
        np.maximum.at(last, row, hour)
        first = np.minimum(first, last)
        order = np.lexsort((first, last))
        place = np.empty(n, dtype="i8")
        place[order] = np.arange(n)
        by_hour = np.lexsort((place[row], hour))
        return cls(
            order,
            first[order],
            last[order],
            place[row][by_hour],
            np.searchsorted(hour[by_hour], np.arange(hours + 1)),
            lambda start, stop: fields(by_hour[start:stop]),
        )

    @classmethod
    def holding(
        cls, n: int, hours: int, row: np.ndarray, hour: np.ndarray, fields: list[np.ndarray]
    ) -> Pieces:
        """From pairs in any order and their fields, which are put in order once; the list is emptied."""
        plain = cls.of(n, hours, row, hour, lambda which: which)
        place = np.empty(row.size, dtype="i8")
        place[plain.fields(0, row.size)] = np.arange(row.size)
        held = np.empty((row.size, fields[0].shape[1]))
        start = 0
        while fields:
            part = fields.pop(0)
            held[place[start : start + part.shape[0]]] = part
            start += part.shape[0]
        return replace(plain, fields=lambda start, stop: held[start:stop])


def markov(covariance: Kronecker) -> bool:
    """Whether the sweep applies: exponential along ascending times."""
    time = covariance.time
    return (
        isinstance(time, Matern)
        and time.smoothness == 0.5
        and time.positions.ndim == 1
        and time.groups is None
        and bool((np.diff(time.positions) >= 0).all())
    )


def observe(covariance: Kronecker, jacobian: Any) -> np.ndarray:
    """H Q Hᵀ (n, n), exact."""
    pieces = pieces_of(covariance, jacobian)
    return gram(pieces, clock(covariance), in_space(covariance.space))


def clock(covariance: Kronecker) -> Matern:
    """The exponential correlation in time.

    Raises
    ------
    InputError
        When time is correlated otherwise.
    """
    time = covariance.time
    if not (isinstance(time, Matern) and markov(covariance)):
        raise InputError(
            "the sweep over time needs an exponential correlation along ascending times",
            found=type(time).__name__,
            remedy='use method="observations"',
        )
    return time


def in_space(space: Matern, kernel: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    """Fields (k, s) -> fields times the correlation S, or another kernel of the same geometry."""
    chosen = kernel or space.correlation
    if space.shape is not None and space.groups is None and space.size > _SMALL:
        return lambda fields: space.on_fields(fields, chosen)
    matrix = space.unit()._written_out(chosen)
    return lambda fields: fields @ matrix


def pieces_of(covariance: Kronecker, jacobian: Any) -> Pieces:
    """The footprints on all cells."""
    p, s = covariance.shape
    in_time, per_cell = sigma_of(covariance)
    if isinstance(jacobian, np.ndarray):
        n = jacobian.shape[0]
        cubes = jacobian.reshape(n, p, s)
        hour, row = np.nonzero(cubes.any(axis=2).T)

        def dense(which: np.ndarray) -> np.ndarray:
            field = in_time[hour[which], None] * per_cell[hour[which] % per_cell.shape[0]]
            return np.asarray(cubes[row[which], hour[which]] * field)

        return Pieces.of(n, p, row, hour, dense)
    stored = ragged(jacobian)
    row, hour, begin, end = pairs_of(stored, s)

    def sparse(which: np.ndarray) -> np.ndarray:
        out = np.empty((which.size, s))
        flat = np.ascontiguousarray(per_cell.reshape(-1))

        def part(a: int, b: int) -> None:
            chosen = which[a:b]
            scatter_pieces(
                begin[chosen], end[chosen], hour[chosen], stored.columns, stored.values, flat, out[a:b]
            )

        in_parts(part, which.size)
        out *= in_time[hour[which], None]
        return out

    return Pieces.of(stored.shape[0], p, row, hour, sparse)


def ragged(jacobian: Any) -> RaggedJacobian:
    """Any Jacobian as ragged rows; without a copy where it is sparse or ragged already."""
    if isinstance(jacobian, RaggedJacobian):
        return jacobian
    if not sp.issparse(jacobian):
        jacobian = sp.csr_array(row_chunk(jacobian, 0, jacobian.shape[0]))
    return RaggedJacobian.of(jacobian)


def pairs_of(rows: RaggedJacobian, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, hour, begin and end of each (observation, hour) pair."""
    none = np.zeros(0, dtype="i8")
    count = find_pieces(rows.offsets, rows.columns, cells, none, none, none)
    row, hour, begin = (np.empty(count, dtype="i8") for _ in range(3))
    find_pieces(rows.offsets, rows.columns, cells, row, hour, begin)
    end = np.minimum(np.append(begin[1:], rows.offsets[-1]), rows.offsets[1:][row]) if count else none
    return row, hour, begin, end


def sigma_of(covariance: Kronecker) -> tuple[np.ndarray, np.ndarray]:
    """σ as (p,) times (1 or p, s), with the σ of the factors in it."""
    p, _ = covariance.shape
    a, b = covariance.deviation
    in_time = np.broadcast_to(a[:, 0], (p,)) * np.sqrt(covariance.time.diagonal())
    return in_time, b * covariance.space.deviation[None, :]


def gram(pieces: Pieces, time: Matern, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Σ_tt' e^{−|t−t'|/τ} G_t S G_t'ᵀ (n, n)."""
    width = int((pieces.last - pieces.first).max(initial=0)) + 1
    at, n = time.positions / time.length, pieces.n
    out = np.zeros((n, n))
    swept: np.ndarray | None = None
    previous = np.intp(0)
    for t in np.flatnonzero(np.diff(pieces.starts)):
        start, stop = pieces.starts[t], pieces.starts[t + 1]
        rows, present = pieces.row[start:stop], pieces.fields(start, stop)
        spread = weigh(present)
        if swept is None:
            swept, ends, begins = (np.zeros((n, present.shape[1])) for _ in range(3))
        low = int(np.searchsorted(pieces.last, t - width, "right"))
        high = int(np.searchsorted(pieces.last, t + width, "left"))
        swept[low:high] *= np.exp(-(at[t] - at[previous]))
        swept[rows] += 0.5 * spread
        out[rows, low:high] += present @ swept[low:high].T
        swept[rows] += 0.5 * spread
        ends[rows] += np.exp(at[t] - at[pieces.last[rows]])[:, None] * spread
        begins[rows] += np.exp(at[pieces.first[rows]] - at[t])[:, None] * present
        previous = t
    if swept is not None:
        _add_transposed(out)
        _far(out, pieces, at, width, lambda i, j: begins[j] @ ends[i].T)
    return _in_old_order(out, pieces.order)


def gram_slope(pieces: Pieces, time: Matern, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Its derivative by ln τ: Σ_tt' |t−t'|/τ e^{−|t−t'|/τ} G_t S G_t'ᵀ (n, n)."""
    width = int((pieces.last - pieces.first).max(initial=0)) + 1
    at, n = time.positions / time.length, pieces.n
    out = np.zeros((n, n))
    r = pieces.fields(0, 1).shape[1]
    swept, lagged, ends, begins, late, early = (np.zeros((n, r)) for _ in range(6))
    previous = np.intp(0)
    for t in np.flatnonzero(np.diff(pieces.starts)):
        start, stop = pieces.starts[t], pieces.starts[t + 1]
        rows, present = pieces.row[start:stop], pieces.fields(start, stop)
        spread = weigh(present)
        low = int(np.searchsorted(pieces.last, t - width, "right"))
        high = int(np.searchsorted(pieces.last, t + width, "left"))
        step = at[t] - at[previous]
        lagged[low:high] += step * swept[low:high]
        lagged[low:high] *= np.exp(-step)
        swept[low:high] *= np.exp(-step)
        out[rows, low:high] += present @ lagged[low:high].T
        swept[rows] += spread
        after, before = at[pieces.last[rows]] - at[t], at[t] - at[pieces.first[rows]]
        ends[rows] += np.exp(-after)[:, None] * spread
        late[rows] += (after * np.exp(-after))[:, None] * spread
        begins[rows] += np.exp(-before)[:, None] * present
        early[rows] += (before * np.exp(-before))[:, None] * present
        previous = t
    _add_transposed(out)

    def apart(i: slice, j: slice) -> np.ndarray:
        gap = at[pieces.first[j]][:, None] - at[pieces.last[i]][None, :]
        plain = begins[j] @ ends[i].T
        return np.asarray(gap * plain + early[j] @ ends[i].T + begins[j] @ late[i].T)

    _far(out, pieces, at, width, apart)
    return _in_old_order(out, pieces.order)


def _far(
    out: np.ndarray, pieces: Pieces, at: np.ndarray, width: int, product: Callable[[slice, slice], np.ndarray]
) -> None:
    """Write the pairs whose footprints lie apart in time, in place."""
    last, first, n = pieces.last, pieces.first, pieces.n
    for start in range(0, n, _ROWS):
        j = slice(start, min(start + _ROWS, n))
        stop = int(np.searchsorted(last, last[j.stop - 1] - width, "right"))
        begin = int(np.searchsorted(at[last[:stop]], at[first[j]].min() - _FAR, "left"))
        if stop <= begin:
            # what is not far and not swept is beyond the last bit
            out[j, :stop] = 0.0
            out[:stop, j] = 0.0
            continue
        i = slice(begin, stop)
        gap = at[first[j]][:, None] - at[last[i]][None, :]
        part = product(i, j) * np.exp(-np.maximum(gap, 0.0))
        far = last[i][None, :] <= last[j][:, None] - width
        out[j, i] = np.where(far, part, out[j, i])
        out[i, j] = np.where(far.T, part.T, out[i, j])
        out[j, :begin] = 0.0
        out[:begin, j] = 0.0


def _add_transposed(matrix: np.ndarray) -> None:
    """M + Mᵀ in place, a block at a time."""
    n = matrix.shape[0]
    for i in range(0, n, _ROWS):
        a = slice(i, min(i + _ROWS, n))
        for k in range(0, i + 1, _ROWS):
            b = slice(k, min(k + _ROWS, n))
            both = matrix[a, b] + matrix[b, a].T
            matrix[a, b] = both
            matrix[b, a] = both.T


def _in_old_order(matrix: np.ndarray, order: np.ndarray) -> np.ndarray:
    if (order == np.arange(order.size)).all():
        return matrix
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return np.asarray(matrix[np.ix_(place, place)])


def separable_cross(
    jacobian: Any, covariance: Kronecker, totals: SeparableTotals, *, diagonal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """H Q aᵀ (n, k) and a Q aᵀ (k, k), or its diagonal, for totals that are products of times and places."""
    p, s = covariance.shape
    in_time, per_cell = sigma_of(covariance)
    if per_cell.shape[0] > 1:
        raise ValueError("σ is no product of times and cells")
    unit_time = covariance.time.unit() if isinstance(covariance.time, Matern) else covariance.time
    times = (totals.time * in_time).T
    spread_time = unit_time.matvec(times)
    places = totals.space * per_cell
    spread_place = in_space(covariance.space)(np.ascontiguousarray(places))
    within_time, within_place = times.T @ spread_time, places @ spread_place.T
    if diagonal:
        prior = np.outer(np.diagonal(within_time), np.diagonal(within_place)).reshape(-1)
    else:
        prior = np.kron(within_time, within_place)
    weights = in_time[:, None] * spread_time
    field = np.ascontiguousarray((per_cell * spread_place).T)
    n, count = jacobian.shape[0], totals.time.shape[0] * totals.space.shape[0]
    cross = np.empty((n, count))
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        rows = row_chunk(jacobian, start, stop)
        cross[start:stop] = _cross_rows(rows, weights, field, (p, s))
    return cross, prior


def _cross_rows(rows: Any, weights: np.ndarray, field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Σ_t Σ_c H[i, t, c] weights[t, a] field[c, b], as (rows, A·B)."""
    p, s = shape
    n, a, b = rows.shape[0], weights.shape[1], field.shape[1]
    if not sp.issparse(rows):
        half = np.einsum("ips,pa->ais", rows.reshape(n, p, s), weights, optimize=True)
        return np.asarray((half.reshape(-1, s) @ field).reshape(a, n, b).transpose(1, 0, 2).reshape(n, -1))
    rows = rows.tocsr()
    if a * s < b * p:
        # few times: sum over time first
        hour, cell = np.divmod(rows.indices, s)
        out = np.empty((n, a, b))
        for k in range(a):
            summed = sp.csr_array((rows.data * weights[hour, k], cell, rows.indptr), shape=(n, s)).toarray()
            out[:, k] = summed @ field
        return out.reshape(n, -1)
    stored = ragged(rows)
    row, hour, begin, end = pairs_of(stored, s)
    seen = np.empty((row.size, b))

    def part(i: int, j: int) -> None:
        project_dense(begin[i:j], end[i:j], hour[i:j], stored.columns, stored.values, field, seen[i:j])

    in_parts(part, row.size)
    out = np.zeros((n, a, b))
    edges = np.searchsorted(row, np.arange(n + 1))
    for i in range(n):
        j = slice(edges[i], edges[i + 1])
        out[i] = weights[hour[j]].T @ seen[j]
    return out.reshape(n, -1)
