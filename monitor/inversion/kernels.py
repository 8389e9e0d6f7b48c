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
def project_dense(begin, end, hour, columns, values, basis, out):  # type: ignore[no-untyped-def]
    """Footprints against the columns of basis (s, k): out (q, k), overwritten."""
    cells = basis.shape[0]
    total = np.zeros(basis.shape[1])
    for q in range(begin.size):
        total[:] = 0.0
        first = hour[q] * cells
        for k in range(begin[q], end[q]):
            value, row = values[k], basis[columns[k] - first]
            for a in range(total.size):
                total[a] += value * row[a]
        out[q, :] = total


@njit(cache=True, nogil=True)
def lagged(table, down, across, start, stop, out):  # type: ignore[no-untyped-def]
    """Write table[|y − y'|, |x − x'|] of some cells for the rows `start` … of out (u, u)."""
    for i in range(start, stop):
        for j in range(down.size):
            out[i, j] = table[abs(down[i] - down[j]), abs(across[i] - across[j])]


@njit(cache=True, nogil=True)
def add_transposed(offsets, columns, values, vectors, out):  # type: ignore[no-untyped-def]
    """Add Hᵀ vectors, of rows (rows, k), to out (m, k) for sparse rows of H."""
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            for a in range(vectors.shape[1]):
                out[columns[k], a] += values[k] * vectors[i, a]


@njit(cache=True, nogil=True)
def sum_over_time(offsets, columns, values, weights, out):  # type: ignore[no-untyped-def]
    """Σ_t H[i, t, c] weights[t, a] of sparse rows: out (rows, A, cells), overwritten; weights (p, A)."""
    cells = out.shape[2]
    for i in range(out.shape[0]):
        out[i] = 0.0
        for k in range(offsets[i], offsets[i + 1]):
            hour = columns[k] // cells
            for a in range(weights.shape[1]):
                out[i, a, columns[k] - hour * cells] += values[k] * weights[hour, a]


@njit(cache=True, nogil=True)
def project_pieces(pieces, rows, sigma, basis, out):  # type: ignore[no-untyped-def]
    """Footprints times σ in an orthonormal basis, and the squares of what they have outside it.

    pieces : begin, end, hour, place, each (q,);  rows : columns and values of a sparse store;  sigma : of the
    cells (s,) or (m,), and in time (p,);  basis : (s, r);  out : held (·, r), where footprint q goes to
    held[place[q]], and outside (q,).
    """
    begin, end, hour, place = pieces
    columns, values = rows
    std, in_time = sigma
    held, outside = out
    cells = basis.shape[0]
    total = np.zeros(basis.shape[1], basis.dtype)
    for q in range(begin.size):
        total[:] = 0.0
        norm = 0.0
        first = hour[q] * cells
        shift = first if std.size == cells else 0
        for k in range(begin[q], end[q]):
            value = values[k] * std[columns[k] - shift] * in_time[hour[q]]
            norm += value * value
            factor = basis.dtype.type(value)
            row = basis[columns[k] - first]
            for a in range(total.size):
                total[a] += factor * row[a]
        for a in range(total.size):
            held[place[q], a] = total[a]
            norm -= np.float64(total[a]) * np.float64(total[a])
        outside[q] = norm


@njit(cache=True, nogil=True)
def scatter_pieces(begin, end, hour, columns, values, std, place, weight, out):  # type: ignore[no-untyped-def]
    """Footprints times σ as fields: cell c goes to j·width + place[c] with weight[c, j].

    begin, end, hour : (q,);  std : (s,) or (m,);  place : (s,);  weight : (s, j);  out : (q, j·width),
    overwritten.
    """
    cells, parts = weight.shape
    width = out.shape[1] // parts
    for q in range(begin.size):
        out[q, :] = 0.0
        first = hour[q] * cells
        shift = first if std.size == cells else 0
        for k in range(begin[q], end[q]):
            cell = columns[k] - first
            value = values[k] * std[columns[k] - shift]
            for j in range(parts):
                out[q, j * width + place[cell]] += value * weight[cell, j]


@njit(cache=True, nogil=True)
def spread_sparse(begin, end, cell, value, kernel, out):  # type: ignore[no-untyped-def]
    """Sparse footprints times a kernel (u, u): out (q, u), overwritten."""
    u = kernel.shape[0]
    for q in range(begin.size):
        here = out[q]
        here[:] = 0.0
        for k in range(begin[q], end[q]):
            factor, line = value[k], kernel[cell[k]]
            for c in range(u):
                here[c] += factor * line[c]


@njit(cache=True, nogil=True)
def sweep_sparse(hours, order, entries, spread, at, base, fields, out):  # type: ignore[no-untyped-def]
    """The sweep of `monitor.inversion.sweep` for sparse footprints; with late and early also its slope.

    hours : from, to;  order : starts (p + 1,), row (q,), near (p, 2), first (n,);  entries : begin, end
    (q,), cell, value;  spread : (·, u) the footprints of these hours times the kernel;  at : (p,) hours and
    base : (n,) in e-foldings;  fields : swept, begins, late and early, (n, u) or empty;  out : (n, n).
    base, fields and out are updated.
    """
    starts, row, near, first = order
    begin, end, cell, value = entries
    swept, begins, late, early = fields
    slope = late.size > 0
    u, one = spread.shape[1], spread.dtype
    for t in range(hours[0], hours[1]):
        for q in range(starts[t], starts[t + 1]):
            i, here = row[q], spread[q - starts[hours[0]]]
            step = at[t] - base[i]
            if step > 20.0:
                decay = one.type(np.exp(-step))
                for c in range(u):
                    if slope:
                        late[i, c] = decay * (late[i, c] - one.type(step) * swept[i, c])
                    swept[i, c] *= decay
                base[i] = at[t]
                step = 0.0
            if not slope:
                weight = one.type(0.5 * np.exp(step))
                for c in range(u):
                    swept[i, c] += weight * here[c]
        low, high = near[t]
        for q in range(starts[t], starts[t + 1]):
            i = row[q]
            for j in range(low, high):
                plain, lagged = 0.0, 0.0
                for k in range(begin[q], end[q]):
                    plain += value[k] * swept[j, cell[k]]
                    if slope:
                        lagged += value[k] * late[j, cell[k]]
                lag = at[t] - base[j]
                out[i, j] += np.exp(-lag) * (plain * lag - lagged if slope else plain)
        for q in range(starts[t], starts[t + 1]):
            i, here = row[q], spread[q - starts[hours[0]]]
            after = at[t] - base[i]
            weight = one.type((1.0 if slope else 0.5) * np.exp(after))
            for c in range(u):
                swept[i, c] += weight * here[c]
                if slope:
                    late[i, c] += one.type(after) * weight * here[c]
            before = at[t] - at[first[i]]
            for k in range(begin[q], end[q]):
                begins[i, cell[k]] += value[k] * np.exp(-before)
                if slope:
                    early[i, cell[k]] += value[k] * before * np.exp(-before)


@njit(cache=True, nogil=True)
def add_fields(into, rows, weight, fields):  # type: ignore[no-untyped-def]
    """Add weight[q] · fields[q] to into[rows[q]], for fields (q, r) and into (n, r)."""
    for q in range(rows.size):
        factor = fields.dtype.type(weight[q])
        row = rows[q]
        for k in range(fields.shape[1]):
            into[row, k] += factor * fields[q, k]


@njit(cache=True, nogil=True)
def add_product(out, rows, first, product, weight):  # type: ignore[no-untyped-def]
    """Add product[q, j] · weight[j] to out[rows[q], first + j]."""
    for q in range(rows.size):
        row = rows[q]
        for j in range(product.shape[1]):
            out[row, first + j] += product[q, j] * weight[j]


@njit(cache=True, nogil=True)
def write_far(out, product, start, begin, first, last, at):  # type: ignore[no-untyped-def]
    """Write product · e^{−(t_j − t_i)} to both triangles of out where i ends in an hour before j begins.

    product : (j, i) for the observations start + j and begin + i;  first, last : (n,) hours;
    at : (p,) the hours in e-foldings.
    """
    for j in range(product.shape[0]):
        b = start + j
        for i in range(product.shape[1]):
            a = begin + i
            if last[a] < first[b]:
                value = product[j, i] * np.exp(at[last[a]] - at[first[b]])
                out[b, a] = value
                out[a, b] = value


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


@njit(cache=True, nogil=True)
def next_wall(mean, offset, velocity, held, limit):  # type: ignore[no-untyped-def]
    """When, and which, of the unknowns `held` first falls to zero before t = `limit`; number −1 if none does.

    On the path x(t) = mean + offset cos t + velocity sin t, which falls to zero at t = φ + arccos(−mean/r),
    with r and φ the amplitude and phase of its oscillation.
    """
    first, which = limit, -1
    for i in held:
        a, b, centre = offset[i], velocity[i], mean[i]
        if centre + a <= 1e-12 * (abs(a) + abs(b)) and b < 0.0:
            # on the wall, but for rounding, and going out
            return 0.0, i
        square = a * a + b * b
        if square <= centre * centre:
            continue
        t = np.arctan2(b, a) + np.arccos(-centre / np.sqrt(square))
        if t < 0.0:
            t += 2.0 * np.pi
        if t < first:
            first, which = t, i
    return first, which


@njit(cache=True, nogil=True)
def bounce(mean, offset, velocity, held, place, columns, left, most):  # type: ignore[no-untyped-def]
    """Follow x(t) for the time `left`, reflected where an unknown of `held` falls to zero; in place.

    place : (m,) the row of an unknown's covariance in `columns` (K, m), −1 where there is none.
    Returns the time left, the unknown whose column is missing or −1, and the number of reflections, of which
    there are at most `most`.
    """
    count = 0
    while count < most:
        step, wall = next_wall(mean, offset, velocity, held, left)
        cosine, sine = np.cos(step), np.sin(step)
        for i in range(mean.size):
            a, b = offset[i], velocity[i]
            offset[i] = a * cosine + b * sine
            velocity[i] = b * cosine - a * sine
        left -= step
        if wall < 0:
            return 0.0, -1, count
        offset[wall] = -mean[wall]
        row = place[wall]
        if row < 0:
            return left, wall, count
        factor = 2.0 * velocity[wall] / columns[row, wall]
        for i in range(mean.size):
            velocity[i] -= factor * columns[row, i]
        count += 1
    return left, -1, count
