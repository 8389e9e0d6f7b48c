"""Compiled loops of the benchmarks: arrays in, arrays out."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_ROOT2 = math.sqrt(2.0)


@njit(cache=True, nogil=True)
def _shares(centre, sigma, reach, cells, out):  # type: ignore[no-untyped-def]
    """Share of a Gaussian in each cell of unit width that it reaches; first and last of them."""
    first = max(0, math.floor(centre - reach * sigma))
    last = min(cells - 1, math.floor(centre + reach * sigma))
    low = math.erf((first - centre) / (sigma * _ROOT2))
    for i in range(first, last + 1):
        high = math.erf((i + 1 - centre) / (sigma * _ROOT2))
        out[i] = 0.5 * (high - low)
        low = high
    return first, last


@njit(cache=True, nogil=True)
def plumes(station, time, path, mass, shape, back, spread, cut, offsets, columns, values):  # type: ignore[no-untyped-def]
    """Footprints of observations on a grid of unit cells, as ragged rows; returns the non-zeros.

    Air that arrives at a station at the end of hour `time` was `age` hours before at the station minus the
    way of the wind since, and had spread to σ = spread[0] + spread[1]·age.  Each hour back is the mean of
    four such puffs, with `mass` in total; cells below `cut` of the density in the middle of a puff are left
    out.  Columns are t·cells + c, ascending within a row.

    station : (n, 2) row and column [cells];  time : (n,);  path : (hours + 1, 2) running sum of the wind,
    beginning back[1] hours before hour 0;  mass : (p,);  shape : (p, ny, nx);  back : (first, last + 1);
    offsets : (n + 1,), columns, values : filled.
    """
    p, ny, nx = shape
    cells = ny * nx
    field = np.zeros((ny, nx))
    along_y, along_x = np.zeros(ny), np.zeros(nx)
    reach = 6.0 if cut == 0.0 else math.sqrt(-2.0 * math.log(cut)) + 1.0
    if cut < 0.0:
        reach = 1e9
    count = 0
    offsets[0] = 0
    for i in range(time.size):
        end = path[time[i] + 1 + back[1]]
        for t in range(max(0, time[i] - back[1] + 1), min(p, time[i] - back[0] + 1)):
            top, bottom, left, right = ny, -1, nx, -1
            for k in range(4):
                part = (k + 0.5) / 4.0
                sigma = spread[0] + spread[1] * (time[i] + 1 - t - part)
                now = t + back[1]
                y = station[i, 0] - (end[0] - path[now, 0] - part * (path[now + 1, 0] - path[now, 0]))
                x = station[i, 1] - (end[1] - path[now, 1] - part * (path[now + 1, 1] - path[now, 1]))
                y0, y1 = _shares(y, sigma, reach, ny, along_y)
                x0, x1 = _shares(x, sigma, reach, nx, along_x)
                if y0 > y1 or x0 > x1:
                    continue
                for a in range(y0, y1 + 1):
                    for b in range(x0, x1 + 1):
                        field[a, b] += along_y[a] * along_x[b]
                top, bottom = min(top, y0), max(bottom, y1)
                left, right = min(left, x0), max(right, x1)
            middle = spread[0] + spread[1] * (time[i] + 0.5 - t)
            least = max(cut, 0.0) * 4.0 / (2.0 * math.pi * middle * middle + 1.0)
            for a in range(top, bottom + 1):
                for b in range(left, right + 1):
                    if field[a, b] > least or cut < 0.0:
                        columns[count] = t * cells + a * nx + b
                        values[count] = 0.25 * mass[t] * field[a, b]
                        count += 1
                    field[a, b] = 0.0
        offsets[i + 1] = count
    return count
