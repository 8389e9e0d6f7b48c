"""H Q aᵀ for totals that are products of times and places, with Q = D (T ⊗ S) D and σ(t, c) = σ(t) σ(c).

The sums over times and over places fall apart: for the time weights u and the places v of a total::

    (H Q aᵀ)_i = Σ_t (T D_t u)_t σ(t) Σ_c H[i, t, c] σ(c) (S D_c v)_c
    a Q aᵀ     = (uᵀ D T D u) (vᵀ D S D v)

Few times are summed first, and so are few places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.kernels import project_dense, sum_over_time
from monitor.inversion.operators import RaggedJacobian, SeparableTotals, row_chunk
from monitor.inversion.sweep import in_space, pairs_of, ragged, sigma_of
from monitor.inversion.threads import in_parts

_ROWS = 512
#: Numbers that are held at once.
_ELEMENTS = 4_000_000


def separable_cross(
    jacobian: Any, covariance: Kronecker, totals: SeparableTotals, *, diagonal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """H Q aᵀ (n, k) and a Q aᵀ (k, k), or its diagonal (k,).

    `covariance` must be `separable`.
    """
    in_time, per_cell = sigma_of(covariance)
    time = covariance.time.unit()
    times = (totals.time * in_time).T
    spread_time = time.matvec(times)
    places = sp.csr_array(totals.space * per_cell) if sp.issparse(totals.space) else totals.space * per_cell
    weights = in_time[:, None] * spread_time
    if diagonal:
        own = _own(covariance.space, places)
        prior = np.outer(np.einsum("pa,pa->a", times, spread_time), own).reshape(-1)
    else:
        prior = np.kron(times.T @ spread_time, _dense(places @ _correlated(covariance.space, places).T))
    if _times_are_fewer(jacobian, covariance.shape, weights.shape[1], places.shape[0]):
        return _times_first(jacobian, covariance, weights, places), prior
    field = (per_cell * _correlated(covariance.space, places)).T
    return _places_first(jacobian, weights, np.ascontiguousarray(field), covariance.shape), prior


def _times_are_fewer(jacobian: Any, shape: tuple[int, int], a: int, b: int) -> bool:
    """Whether sums over A times, then B places, cost less than the other way, by a typical observation."""
    p, s = shape
    if isinstance(jacobian, np.ndarray):
        return a * s < b * p
    one = _stored(jacobian, jacobian.shape[0] // 2, jacobian.shape[0] // 2 + 1)
    hours, entries = pairs_of(one, s)[0].size, one.values.size
    return a * (entries + s * min(b, s / 2)) < b * (entries + a * hours)


def separable_update(
    jacobian: Any, covariance: Kronecker, totals: SeparableTotals, alpha: np.ndarray
) -> np.ndarray:
    """A Q Hᵀ α (k,) without a state: what the observations add to the means of totals."""
    in_time, per_cell = sigma_of(covariance)
    time = covariance.time.unit() if isinstance(covariance.time, Matern) else covariance.time
    weights = in_time[:, None] * time.matvec((totals.time * in_time).T)
    a, s = weights.shape[1], covariance.shape[1]
    field = np.zeros((a, s))
    chunk = max(min(_ROWS, _ELEMENTS // (a * s)), 1)
    for start in range(0, jacobian.shape[0], chunk):
        stop = min(start + chunk, jacobian.shape[0])
        summed = _summed_over_time(jacobian, start, stop, weights, s).reshape(stop - start, a, s)
        field += np.einsum("i,ias->as", alpha[start:stop], summed)
    places = totals.space * per_cell
    return np.asarray((places @ _correlated(covariance.space, field * per_cell).T).T).reshape(-1)


def _correlated(space: Matern, fields: Any) -> np.ndarray:
    """Fields on cells (k, s) times the correlation in space."""
    dense = np.ascontiguousarray(_dense(fields))
    if space.mirror:
        return space.mirror.unfold(in_space(space)(space.mirror.fold(dense)))
    return in_space(space)(dense)


def _own(space: Matern, places: Any) -> np.ndarray:
    """V S Vᵀ on its diagonal (k,) for fields (k, s); single cells need no product."""
    filled = np.asarray((places != 0).sum(axis=1)).ravel()
    out = np.asarray(places.sum(axis=1)).ravel() ** 2
    several = np.flatnonzero(filled > 1)
    if several.size:
        rest = _dense(places[several])
        out[several] = np.einsum("ks,ks->k", rest, _correlated(space, rest))
    return np.asarray(out)


def _dense(fields: Any) -> np.ndarray:
    return np.asarray(fields.toarray() if sp.issparse(fields) else fields)


def _times_first(jacobian: Any, covariance: Kronecker, weights: np.ndarray, places: Any) -> np.ndarray:
    """For few times: footprints are summed over time, then over places."""
    n, a, b = jacobian.shape[0], weights.shape[1], places.shape[0]
    per_cell = sigma_of(covariance)[1]
    # S multiplies whichever are fewer fields; places of single cells stay sparse
    on_footprints = sp.issparse(places) or b > n * a
    right = places if on_footprints else _correlated(covariance.space, places)
    out = np.empty((n, a, b))
    chunk = max(min(_ROWS, _ELEMENTS // (a * per_cell.size)), 1)
    for start in range(0, n, chunk):
        stop = min(start + chunk, n)
        cells = _summed_over_time(jacobian, start, stop, weights, per_cell.size) * per_cell
        seen = _correlated(covariance.space, cells) if on_footprints else cells
        out[start:stop] = np.asarray((right @ seen.T).T).reshape(stop - start, a, b)
    return out.reshape(n, -1)


def _summed_over_time(jacobian: Any, start: int, stop: int, weights: np.ndarray, cells: int) -> np.ndarray:
    """Σ_t H[i, t, c] weights[t, a] of some rows, as (rows · A, cells)."""
    a = weights.shape[1]
    if isinstance(jacobian, np.ndarray):
        cubes = jacobian[start:stop].reshape(stop - start, -1, cells)
        return np.asarray(np.einsum("ips,pa->ias", cubes, weights, optimize=True).reshape(-1, cells))
    stored = _stored(jacobian, start, stop)
    out = np.empty((stop - start, a, cells))

    def part(i: int, j: int) -> None:
        sum_over_time(stored.offsets[i : j + 1], stored.columns, stored.values, weights, out[i:j])

    in_parts(part, stop - start)
    return out.reshape(-1, cells)


def _places_first(
    jacobian: Any, weights: np.ndarray, field: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """For few places: footprints are summed over places (s, b), then over time."""
    n, a, b = jacobian.shape[0], weights.shape[1], field.shape[1]
    out = np.zeros((n, a, b))
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        if isinstance(jacobian, np.ndarray):
            seen = jacobian[start:stop].reshape(-1, shape[1]) @ field
            out[start:stop] = np.einsum("ipb,pa->iab", seen.reshape(-1, shape[0], b), weights, optimize=True)
            continue
        stored = _stored(jacobian, start, stop)
        row, hour, seen = _seen(stored, field)
        edges = np.searchsorted(row, np.arange(stop - start + 1))
        for i in range(stop - start):
            j = slice(edges[i], edges[i + 1])
            out[start + i] = weights[hour[j]].T @ seen[j]
    return out.reshape(n, -1)


def _seen(stored: RaggedJacobian, field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, hour and Σ_c H[i, t, c] field[c] (q, b) of each pair of observation and hour."""
    row, hour, begin, end = pairs_of(stored, field.shape[0])
    seen = np.empty((row.size, field.shape[1]))

    def part(i: int, j: int) -> None:
        project_dense(begin[i:j], end[i:j], hour[i:j], stored.columns, stored.values, field, seen[i:j])

    in_parts(part, row.size)
    return row, hour, seen


def _stored(jacobian: Any, start: int, stop: int) -> RaggedJacobian:
    if isinstance(jacobian, RaggedJacobian):
        return jacobian.part(start, stop)
    return ragged(sp.csr_array(row_chunk(jacobian, start, stop)))
