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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.kernels import add_fields, add_product, find_pieces, scatter_pieces, write_far
from monitor.inversion.mirror import Weigher, blockwise
from monitor.inversion.operators import RaggedJacobian, row_chunk
from monitor.inversion.threads import in_parts

#: e-foldings after which a correlation is below the last bit.
_FAR = 40.0
_ROWS = 512
#: Numbers in the fields that are held at once.
_FIELDS = 750_000


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
    fields : callable (start, stop) -> (stop − start, width)
        The pieces' footprints times σ, in the precision `dtype`.
    """

    order: np.ndarray
    first: np.ndarray
    last: np.ndarray
    row: np.ndarray
    starts: np.ndarray
    fields: Callable[[int, int], np.ndarray]
    width: int
    dtype: str

    @property
    def n(self) -> int:
        return int(self.order.size)

    def near(self, t: int, rows: np.ndarray) -> slice:
        """The observations that begin by hour `t` and end when the first of `rows` begins, or later."""
        if not rows.size:
            return slice(0, 0)
        low = int(np.searchsorted(self.last, self.first[rows].min(), "left"))
        return slice(low, int(np.searchsorted(self.begun, t, "right")))

    @cached_property
    def begun(self) -> np.ndarray:
        """The earliest hour in which this observation or one after it begins (n,)."""
        return np.asarray(np.minimum.accumulate(self.first[::-1])[::-1])

    @classmethod
    def of(
        cls,
        row: np.ndarray,
        hour: np.ndarray,
        fields: Callable[[np.ndarray], np.ndarray],
        *,
        shape: tuple[int, int],
        width: int,
        dtype: str = "f8",
    ) -> Pieces:
        """From pairs in any order, of `shape` (n, hours); `fields` takes the numbers of pairs."""
        n, hours = shape
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
            width,
            dtype,
        )


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
    return gram(pieces_of(covariance, jacobian), clock(covariance), in_space(covariance.space))


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


def length_slopes(covariance: Kronecker, jacobian: Any) -> Iterator[np.ndarray]:
    """Its derivatives by the logarithms of the lengths in time and in space, exact."""
    pieces, time, space = pieces_of(covariance, jacobian), clock(covariance), covariance.space
    yield gram_slope(pieces, time, in_space(space))
    yield gram(pieces, time, in_space(space, space.correlation_slope))


def in_space(space: Matern, kernel: Any = None) -> Weigher:
    """Fields as `pieces_of` gives them -> fields times the correlation S, or another kernel of distance."""
    if space.mirror:
        matrices = space.mirror.matrices(kernel, space.steps) if kernel else space.mirrored
        return blockwise(space.mirror, matrices)
    if space.shape is not None and space.groups is None and len(space.shape) > 1:
        return lambda fields: space.on_fields(fields, kernel)
    matrix = space.unit()._written_out(kernel or space.correlation)
    return lambda fields: fields @ matrix


def fields_in(space: Matern) -> tuple[np.ndarray, np.ndarray]:
    """Where each cell stands in a field and with what weights, (s,) and (s, parts): folded, or as it is."""
    if space.mirror:
        return space.mirror.place, space.mirror.weight
    return np.arange(space.size), np.ones((space.size, 1))


def field_size(space: Matern) -> int:
    """Numbers in a field."""
    return space.mirror.size if space.mirror else space.size


def pieces_of(covariance: Kronecker, jacobian: Any, dtype: str = "f8") -> Pieces:
    """The footprints as fields of all cells, folded where the grid has a mirror."""
    if not isinstance(jacobian, np.ndarray):
        return stored_pieces(covariance, ragged(jacobian), dtype)
    n, (p, s) = jacobian.shape[0], covariance.shape
    in_time, per_cell = sigma_of(covariance)
    cubes, mirror = jacobian.reshape(n, p, s), covariance.space.mirror
    hour, row = np.nonzero(cubes.any(axis=2).T)

    def fields(which: np.ndarray) -> np.ndarray:
        sigma = in_time[hour[which], None] * per_cell[hour[which] % per_cell.shape[0]]
        cells = cubes[row[which], hour[which]] * sigma
        return np.asarray(mirror.fold(cells) if mirror else cells, dtype=dtype)

    return Pieces.of(row, hour, fields, shape=(n, p), width=field_size(covariance.space), dtype=dtype)


def stored_pieces(covariance: Kronecker, stored: RaggedJacobian, dtype: str = "f8") -> Pieces:
    """The same from a ragged store."""
    p, s = covariance.shape
    row, hour, begin, end = pairs_of(stored, s)
    scatter = scatterer(covariance, stored, dtype)
    return Pieces.of(
        row,
        hour,
        lambda which: scatter(begin[which], end[which], hour[which]),
        shape=(stored.shape[0], p),
        width=field_size(covariance.space),
        dtype=dtype,
    )


def scatterer(covariance: Kronecker, stored: RaggedJacobian, dtype: str) -> Callable[..., np.ndarray]:
    """(begin, end, hour) of pieces (k,) -> their fields (k, ·), times σ."""
    in_time, per_cell = sigma_of(covariance)
    flat = np.ascontiguousarray(per_cell.reshape(-1))
    place, weight = fields_in(covariance.space)
    size = field_size(covariance.space)

    def scatter(begin: np.ndarray, end: np.ndarray, hour: np.ndarray) -> np.ndarray:
        out = np.empty((begin.size, size), dtype=dtype)

        def part(a: int, b: int) -> None:
            scatter_pieces(
                begin[a:b], end[a:b], hour[a:b], stored.columns, stored.values, flat, place, weight, out[a:b]
            )

        in_parts(part, begin.size)
        out *= in_time[hour, None].astype(dtype)
        return out

    return scatter


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


def chunks_of(starts: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """(first, stop) of hours with about so many pieces together: larger products, nearer to the machine's."""
    first, hours = 0, starts.size - 1
    while first < hours:
        stop = max(int(np.searchsorted(starts, starts[first] + most, "right")) - 1, first + 1)
        yield first, stop
        first = stop


def _hours(pieces: Pieces, weigh: Weigher) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Hour after hour with influence: its number, rows, their footprints, and those times S."""
    starts = pieces.starts
    for first, stop in chunks_of(starts, max(_FIELDS // pieces.width, 1)):
        begin = starts[first]
        if starts[stop] == begin:
            continue
        present = pieces.fields(begin, starts[stop])
        spread = weigh(present)
        for t in range(first, stop):
            here = slice(starts[t] - begin, starts[t + 1] - begin)
            if here.stop > here.start:
                yield t, pieces.row[starts[t] : starts[t + 1]], present[here], spread[here]


def gram(pieces: Pieces, time: Matern, weigh: Weigher) -> np.ndarray:
    """Σ_tt' e^{−|t−t'|/τ} G_t S G_t'ᵀ (n, n)."""
    at, n = time.positions / time.length, pieces.n
    out = np.zeros((n, n))
    if not pieces.row.size:
        return out
    begin, end = at[pieces.first], at[pieces.last]
    # F_t = e^{−(t − base)} Σ e^{t' − base} G_t' S: a base for each row, so that nothing decays at every step
    base = begin.copy()
    swept, begins = (np.zeros((n, pieces.width), pieces.dtype) for _ in range(2))
    for t, rows, present, spread in _hours(pieces, weigh):
        near = pieces.near(t, rows)
        far = rows[at[t] - base[rows] > _FAR / 2]
        swept[far] = _times(np.exp(base[far] - at[t]), swept[far])
        base[far] = at[t]
        half = 0.5 * np.exp(at[t] - base[rows])
        add_fields(swept, rows, half, spread)
        add_product(out, rows, near.start, present @ swept[near].T, np.exp(base[near] - at[t]))
        add_fields(swept, rows, half, spread)
        add_fields(begins, rows, np.exp(begin[rows] - at[t]), present)
    return finished(out, pieces, time, lambda i, j: (begins[j] @ swept[i].T) * np.exp(base[i] - end[i]))


def gram_slope(pieces: Pieces, time: Matern, weigh: Weigher) -> np.ndarray:
    """Its derivative by ln τ: Σ_tt' |t−t'|/τ e^{−|t−t'|/τ} G_t S G_t'ᵀ (n, n)."""
    at, n = time.positions / time.length, pieces.n
    out = np.zeros((n, n))
    if not pieces.row.size:
        return out
    begin, end = at[pieces.first], at[pieces.last]
    base = begin.copy()
    # Σ (t − t') e^{−(t − t')} G_t' S = e^{−(t − base)} ((t − base) swept − late)
    swept, late, begins, early = (np.zeros((n, pieces.width), pieces.dtype) for _ in range(4))
    for t, rows, present, spread in _hours(pieces, weigh):
        near = pieces.near(t, rows)
        far = rows[at[t] - base[rows] > _FAR / 2]
        step = at[t] - base[far]
        late[far] = _times(np.exp(-step), late[far] - _times(step, swept[far]))
        swept[far] = _times(np.exp(-step), swept[far])
        base[far] = at[t]
        lag = at[t] - base[near]
        lagged = (present @ swept[near].T) * lag - present @ late[near].T
        add_product(out, rows, near.start, lagged, np.exp(-lag))
        after, before = at[t] - base[rows], at[t] - begin[rows]
        add_fields(swept, rows, np.exp(after), spread)
        add_fields(late, rows, after * np.exp(after), spread)
        add_fields(begins, rows, np.exp(-before), present)
        add_fields(early, rows, before * np.exp(-before), present)

    def apart(i: slice, j: slice) -> np.ndarray:
        rest = end[i] - base[i]
        gap = begin[j][:, None] - end[i][None, :]
        plain = begins[j] @ swept[i].T
        found = (gap + rest) * plain + early[j] @ swept[i].T - begins[j] @ late[i].T
        return np.asarray(found * np.exp(-rest))

    return finished(out, pieces, time, apart)


def finished(
    out: np.ndarray, pieces: Pieces, time: Matern, product: Callable[[slice, slice], np.ndarray]
) -> np.ndarray:
    """N + Nᵀ with the pairs that lie apart in time, in the old order of observations; in the memory of N.

    product : slices i, j -> (j, i)
        (E_i B_jᵀ)ᵀ, for the observations i that end before j begin.
    """
    _add_transposed(out)
    _far(out, pieces, time.positions / time.length, product)
    return _in_old_order(out, pieces.order)


def _times(weight: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Weights of the rows, in the precision of the fields."""
    return np.asarray(weight[:, None].astype(fields.dtype) * fields)


def _far(
    out: np.ndarray, pieces: Pieces, at: np.ndarray, product: Callable[[slice, slice], np.ndarray]
) -> None:
    """Write the pairs whose footprints lie apart in time, in place."""
    last, first, n = pieces.last, pieces.first, pieces.n
    for start in range(0, n, _ROWS):
        j = slice(start, min(start + _ROWS, n))
        stop = int(np.searchsorted(last, first[j].max(), "left"))
        begin = int(np.searchsorted(at[last[:stop]], at[first[j]].min() - _FAR, "left"))
        if stop <= begin:
            # what is not far and not swept is beyond the last bit
            out[j, :stop] = 0.0
            out[:stop, j] = 0.0
            continue
        write_far(out, product(slice(begin, stop), j), start, begin, first, last, at)
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
    """The rows and columns of a matrix where they were before, in its own memory."""
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    if (place == np.arange(place.size)).all():
        return matrix
    for start in range(0, place.size, _ROWS):
        rows = slice(start, start + _ROWS)
        matrix[rows] = matrix[rows][:, place]
    done = np.zeros(place.size, dtype=bool)
    for first in range(place.size):
        if done[first]:
            continue
        row, kept = first, matrix[first].copy()
        while not done[row]:
            done[row] = True
            matrix[row] = kept if place[row] == first else matrix[place[row]]
            row = int(place[row])
    return matrix
