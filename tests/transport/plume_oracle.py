"""The slow way: the textbook plume, summed over a fine mesh of points within each cell."""

from __future__ import annotations

import numpy as np


def density(x, y, receptor_m, mixing_m, sigma):
    """Plume density times wind speed at points x upwind, y across [m⁻²]."""
    upwind = np.where(x > 0, x, np.nan)
    sigma_y = sigma[0] * upwind * (1 + sigma[1] * upwind) ** sigma[2]
    sigma_z = sigma[3] * upwind * (1 + sigma[4] * upwind) ** sigma[5]
    images = sum(np.exp(-((receptor_m + 2 * n * mixing_m) ** 2) / (2 * sigma_z**2)) for n in range(-60, 61))
    vertical = 2 * images / (np.sqrt(2 * np.pi) * sigma_z)
    across = np.exp(-(y**2) / (2 * sigma_y**2)) / (np.sqrt(2 * np.pi) * sigma_y)
    return np.nan_to_num(vertical * across)


def cells(west, east, south, north, receptor_m, met, sigma, points=120):
    """Plume density integrated over every cell, as `plume_cells` for one receptor."""
    wind, direction, mixing = met
    mid = (np.arange(points) + 0.5) / points
    out = np.zeros(west.shape)
    for i in range(west.shape[0]):
        m = south[i] + mid * (north[i] - south[i])
        for j in range(west.shape[1]):
            e = west[i, j] + mid * (east[i, j] - west[i, j])
            x = e[None] * np.sin(direction) + m[:, None] * np.cos(direction)
            y = e[None] * np.cos(direction) - m[:, None] * np.sin(direction)
            area = (east[i, j] - west[i, j]) * (north[i] - south[i])
            out[i, j] = density(x, y, receptor_m, mixing, sigma).mean() * area / wind
    return out
