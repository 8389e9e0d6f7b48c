"""The Gaussian plume, integrated over rectangles, as scalar arithmetic."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

#: Beyond this ratio of σz to the mixing height the plume counts as well mixed; the images' sum then differs
#: from 1/h by 2 exp(−π²σz²/2h²) < 1e-5.
_WELL_MIXED = 1.6
#: Half-width in σy beyond which a plume's cross-section is left out (erfc(6/√2) = 2e-9).
_CUT = 6.0
#: Gauss–Legendre nodes and weights, three points, on [−1, 1].
_NODE = 0.7745966692414834
_OUTER, _INNER = 5.0 / 9.0, 8.0 / 9.0


@njit(cache=True)
def vertical_term(x_m, receptor_m, mixing_m, a_z, b_z, p_z):  # type: ignore[no-untyped-def]
    """Vertical density [m⁻¹] at the receptor of a ground source `x_m` upwind; 1/h when well mixed.

    Σₙ 2 exp(−(z + 2nh)²/2σz²) / (√(2π) σz): reflection at the ground and at the mixing height h (Seinfeld
    and Pandis 2016, §18.9); zero for a receptor above h.
    """
    if receptor_m >= mixing_m:
        return 0.0
    sigma = a_z * x_m * (1.0 + b_z * x_m) ** p_z
    if sigma <= 0.0:
        return 0.0
    if sigma > _WELL_MIXED * mixing_m:
        return 1.0 / mixing_m
    # Images further than 6 σz add less than exp(−18).
    images = int(3.0 * sigma / mixing_m) + 1
    total = 0.0
    for n in range(-images, images + 1):
        distance = (receptor_m + 2.0 * n * mixing_m) / sigma
        total += math.exp(-0.5 * distance * distance)
    return 2.0 * total / (math.sqrt(2.0 * math.pi) * sigma)


@njit(cache=True)
def _cross_section(corner_x, corner_y, x):  # type: ignore[no-untyped-def]
    """The interval of y where the line at `x` meets the convex quadrilateral; (0, 0) if it does not."""
    low, high = 1e300, -1e300
    for i in range(4):
        j = (i + 1) % 4
        x0, x1 = corner_x[i], corner_x[j]
        if (x0 <= x <= x1) or (x1 <= x <= x0):
            if x1 == x0:
                y0, y1 = corner_y[i], corner_y[j]
            else:
                y0 = corner_y[i] + (x - x0) / (x1 - x0) * (corner_y[j] - corner_y[i])
                y1 = y0
            low = min(low, y0, y1)
            high = max(high, y0, y1)
    if high < low:
        return 0.0, 0.0
    return low, high


@njit(cache=True)
def _slice(x, low, high, receptor_m, mixing_m, sigma):  # type: ignore[no-untyped-def]
    """Plume density at `x` upwind integrated across the wind, `low` … `high` [m⁻¹], without wind speed."""
    sigma_y = sigma[0] * x * (1.0 + sigma[1] * x) ** sigma[2]
    if sigma_y <= 0.0 or low > _CUT * sigma_y or high < -_CUT * sigma_y:
        return 0.0
    scale = 1.0 / (math.sqrt(2.0) * sigma_y)
    across = 0.5 * (math.erf(high * scale) - math.erf(low * scale))
    return across * vertical_term(x, receptor_m, mixing_m, sigma[3], sigma[4], sigma[5])


@njit(cache=True)
def _section(corner_x, corner_y, start, end, receptor_m, mixing_m, sigma):  # type: ignore[no-untyped-def]
    """Integral of `_slice` over x from `start` to `end`, between which the edges are straight lines."""
    length = end - start
    first, last = start + 0.25 * length, start + 0.75 * length
    low_a, high_a = _cross_section(corner_x, corner_y, first)
    low_b, high_b = _cross_section(corner_x, corner_y, last)
    low_slope, high_slope = (low_b - low_a) / (last - first), (high_b - high_a) / (last - first)
    slope = max(abs(low_slope), abs(high_slope))
    total, x = 0.0, start
    while x < end:
        # A step is short against the distance (σ grows with it) and against the plume that an edge crosses.
        sigma_y = sigma[0] * (x + 10.0) * (1.0 + sigma[1] * (x + 10.0)) ** sigma[2]
        step = max(10.0, 0.3 * x)
        if slope * step > 1.5 * sigma_y:
            step = max(1.5 * sigma_y / slope, length / 64.0)
        if x + step > end - 1e-3 * length:
            step = end - x
        total_step = 0.0
        for k in range(-1, 2):
            at = x + 0.5 * step * (1.0 + k * _NODE)
            low, high = low_a + low_slope * (at - first), high_a + high_slope * (at - first)
            weight = _INNER if k == 0 else _OUTER
            total_step += weight * _slice(at, low, high, receptor_m, mixing_m, sigma)
        total += 0.5 * step * total_step
        if step <= 0.0:
            break
        x += step
    return total


@njit(cache=True)
def cell_integral(corner_x, corner_y, receptor_m, mixing_m, sigma):  # type: ignore[no-untyped-def]
    """Plume density integrated over one quadrilateral [m⁰]: ∫∫ (crosswind × vertical) dy dx.

    Analytic in y (error function), Gauss–Legendre in x between the corners.  `corner_x` is distance upwind
    of the receptor, `corner_y` across the wind; the part downwind of the receptor (x < 0) does not count.
    """
    far = max(corner_x[0], corner_x[1], corner_x[2], corner_x[3])
    if far <= 0.0:
        return 0.0
    reach = _CUT * sigma[0] * far * (1.0 + sigma[1] * far) ** sigma[2]
    if min(corner_y[0], corner_y[1], corner_y[2], corner_y[3]) > reach:
        return 0.0
    if max(corner_y[0], corner_y[1], corner_y[2], corner_y[3]) < -reach:
        return 0.0
    knots = np.sort(corner_x)
    total = 0.0
    for k in range(3):
        start, end = max(knots[k], 0.0), knots[k + 1]
        if end - start > 1e-9 * far:
            total += _section(corner_x, corner_y, start, end, receptor_m, mixing_m, sigma)
    return total


@njit(cache=True)
def plume_cells(west, east, south, north, receptor_m, wind, direction_rad, mixing_m, sigma):  # type: ignore[no-untyped-def]
    """Plume density per wind speed integrated over every cell, (receptor, lat, lon) [s m⁻¹].

    Parameters
    ----------
    west, east : (lat, lon) float64
        Cell edges east of the receptor [m], per row of latitude.
    south, north : (lat,) float64
        Cell edges north of the receptor [m].
    receptor_m : float
        Height of the inlet above ground [m].
    wind, direction_rad, mixing_m : (receptor,) float64
        Wind speed [m s⁻¹], direction the wind comes *from* [rad, clockwise from north], mixing height [m].
    sigma : (receptor, 6) float64
        (a, b, p) of σy then of σz, σ = a x (1 + b x)ᵖ [m].
    """
    n, (n_lat, n_lon) = wind.size, west.shape
    result = np.zeros((n, n_lat, n_lon))
    corner_x, corner_y = np.empty(4), np.empty(4)
    for r in range(n):
        toward_east, toward_north = math.sin(direction_rad[r]), math.cos(direction_rad[r])
        for i in range(n_lat):
            for j in range(n_lon):
                for k in range(4):
                    e = west[i, j] if k == 0 or k == 3 else east[i, j]
                    m = south[i] if k < 2 else north[i]
                    corner_x[k] = e * toward_east + m * toward_north
                    corner_y[k] = e * toward_north - m * toward_east
                density = cell_integral(corner_x, corner_y, receptor_m, mixing_m[r], sigma[r])
                result[r, i, j] = density / wind[r]
    return result
