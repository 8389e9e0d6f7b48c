"""Compiled loops of the inversion: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def markov_covariance(hours, group, profile, tau):  # type: ignore[no-untyped-def]
    """K_ij = p_i p_j exp(−|t_i − t_j|/τ) within a group, else 0; shapes (n,) → (n, n)."""
    n = hours.size
    out = np.zeros((n, n))
    for i in range(n):
        out[i, i] = profile[i] * profile[i]
        for j in range(i):
            if group[i] == group[j]:
                value = profile[i] * profile[j] * np.exp(-abs(hours[i] - hours[j]) / tau)
                out[i, j] = value
                out[j, i] = value
    return out


@njit(cache=True)
def markov_contract(hours, group, profile, tau, weight):  # type: ignore[no-untyped-def]
    """Row sums Σ_j w_ij K_ij (n,) and Σ_ij w_ij K_ij |t_i − t_j|/τ, for symmetric w (n, n)."""
    n = hours.size
    rows = np.zeros(n)
    slope = 0.0
    for i in range(n):
        rows[i] += weight[i, i] * profile[i] * profile[i]
        for j in range(i):
            if group[i] == group[j]:
                lag = abs(hours[i] - hours[j]) / tau
                value = weight[i, j] * profile[i] * profile[j] * np.exp(-lag)
                rows[i] += value
                rows[j] += value
                slope += 2.0 * value * lag
    return rows, slope


@njit(cache=True)
def window_maxima(gram, score, starts, ends, best):  # type: ignore[no-untyped-def]
    """Z of one cell in all windows, the σ of its strength, and the largest z of every simulated world.

    gram : (days + 1, days + 1) running sums of hᵢ Pᵢⱼ hⱼ;  score : (days + 1, 1 + draws) running sums of
    hᵢ (P r)ᵢ, the first column the data, the others worlds without a source;  best : (1 + draws,) the
    largest z so far, updated in place.  Returns z = strength/σ of the data and σ, each (windows,): −∞ and
    ∞ in a window without response.
    """
    windows, worlds = starts.size, score.shape[1]
    z = np.full(windows, -np.inf)
    sigma = np.full(windows, np.inf)
    for w in range(windows):
        a, b = starts[w], ends[w]
        norm = gram[b, b] - gram[a, b] - gram[b, a] + gram[a, a]
        if norm <= 0.0:
            continue
        scale = 1.0 / np.sqrt(norm)
        z[w] = (score[b, 0] - score[a, 0]) * scale
        sigma[w] = scale
        for k in range(worlds):
            value = (score[b, k] - score[a, k]) * scale
            if value > best[k]:
                best[k] = value
    return z, sigma


@njit(cache=True, nogil=True)
def find_pieces(offsets, columns, cells, row, hour, begin):  # type: ignore[no-untyped-def]
    """Stretches of equal hour within each sparse row; columns are t·cells + c, ascending in a row.

    Fills row, hour and begin (q,) and returns q; pass empty arrays to count only.
    """
    count = 0
    fill = row.size > 0
    for i in range(offsets.size - 1):
        limit = -1
        for k in range(offsets[i], offsets[i + 1]):
            if columns[k] >= limit:
                t = columns[k] // cells
                limit = (t + 1) * cells
                if fill:
                    row[count] = i
                    hour[count] = t
                    begin[count] = k
                count += 1
    return count


@njit(cache=True, nogil=True)
def project_grid(begin, end, hour, columns, values, std, rows_basis, columns_basis, counts, place, out):  # type: ignore[no-untyped-def]
    """Footprints in a product basis of a grid, one piece (one receptor in one hour) after another.

    Mode (b, a), a < counts[b], is rows_basis[y, b] · columns_basis[x, a], and stands at place[mode].  A piece
    is first summed along each line of the grid, then across the lines: a fraction of the direct sum.

    begin, end, hour : (q,);  std : (s,) or (m,);  rows_basis : (ny, B);  columns_basis : (nx, A);
    out : (q, Σ counts), overwritten.
    """
    width = columns_basis.shape[0]
    cells = rows_basis.shape[0] * width
    line = np.zeros(columns_basis.shape[1])
    total = np.zeros(place.size)
    for q in range(begin.size):
        total[:] = 0.0
        first = hour[q] * cells
        shift = first if std.size == cells else 0
        k = begin[q]
        while k < end[q]:
            y = (columns[k] - first) // width
            left = first + y * width
            line[:] = 0.0
            while k < end[q] and columns[k] < left + width:
                value = values[k] * std[columns[k] - shift]
                x = columns[k] - left
                for a in range(line.size):
                    line[a] += value * columns_basis[x, a]
                k += 1
            m = 0
            for b in range(counts.size):
                weight = rows_basis[y, b]
                for a in range(counts[b]):
                    total[m + a] += weight * line[a]
                m += counts[b]
        for m in range(place.size):
            out[q, place[m]] = total[m]


@njit(cache=True, nogil=True)
def project_dense(begin, end, hour, columns, values, basis, out):  # type: ignore[no-untyped-def]
    """Footprints against the columns of basis (s, k): out (q, k), overwritten."""
    cells = basis.shape[0]
    for q in range(begin.size):
        out[q, :] = 0.0
        first = hour[q] * cells
        for k in range(begin[q], end[q]):
            for a in range(basis.shape[1]):
                out[q, a] += values[k] * basis[columns[k] - first, a]


@njit(cache=True, nogil=True)
def scatter_pieces(begin, end, hour, columns, values, std, out):  # type: ignore[no-untyped-def]
    """Footprints times σ written out on all cells: out (q, s), overwritten; std : (s,) or (m,)."""
    cells = out.shape[1]
    for q in range(begin.size):
        out[q, :] = 0.0
        first = hour[q] * cells
        shift = first if std.size == cells else 0
        for k in range(begin[q], end[q]):
            out[q, columns[k] - first] += values[k] * std[columns[k] - shift]


@njit(cache=True, nogil=True)
def add_exponential(matrix, position, group, std, length, start, stop):  # type: ignore[no-untyped-def]
    """matrix_ij += σ_i σ_j exp(−|x_i − x_j|/ℓ) within a group, for the rows start … stop − 1."""
    for i in range(start, stop):
        for j in range(position.size):
            if group[i] == group[j]:
                lag = abs(position[i] - position[j]) / length
                if lag < 45.0:
                    matrix[i, j] += std[i] * std[j] * np.exp(-lag)


@njit(cache=True, nogil=True)
def markov_sweep(decay, columns, direction):  # type: ignore[no-untyped-def]
    """In place: x_i += φ_i x_(i−1) along the chain, or x_(i−1) += φ_i x_i backwards; columns (p, k)."""
    p = decay.size
    if direction > 0:
        for i in range(1, p):
            for k in range(columns.shape[1]):
                columns[i, k] += decay[i] * columns[i - 1, k]
    else:
        for i in range(p - 1, 0, -1):
            for k in range(columns.shape[1]):
                columns[i - 1, k] += decay[i] * columns[i, k]
