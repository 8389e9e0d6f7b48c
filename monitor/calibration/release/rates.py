"""The rate given everything else: a normal likelihood under a prior that knows no order of magnitude.

Between `LEAST_G_MIN` and `LARGEST_G_MIN` every factor of the rate is as likely as any other, p(q) ∝ 1/q.  The
integrals are sums over a grid that is even in ln q.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import logsumexp

LEAST_G_MIN: Final = 0.01
LARGEST_G_MIN: Final = 1000.0
#: Middles of steps of 0.4 %: an error of the rate of 1 % is resolved.
_EDGES: Final = np.geomspace(LEAST_G_MIN, LARGEST_G_MIN, 2880)
_GRID: Final = np.sqrt(_EDGES[1:] * _EDGES[:-1])


def log_mass(rate: float, sd: float) -> float:
    """Ln ∫ exp(−(q − rate)²/2 sd²) p(q) dq; nothing where all rates fit alike (sd = ∞)."""
    return float(logsumexp(-0.5 * ((_GRID - rate) / sd) ** 2) - np.log(_GRID.size))


def quantiles(at: np.ndarray, rate: np.ndarray, sd: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Quantiles [g min⁻¹] of a mixture of the posteriors given rate and sd (d,), in shares `weights` (d,)."""
    total = np.zeros(_GRID.size)
    for q, s, w in zip(rate, sd, weights, strict=True):
        log = -0.5 * ((_GRID - q) / s) ** 2
        share = np.exp(log - log.max())
        total += w * share / share.sum()
    return np.asarray(np.interp(at, np.cumsum(total) / total.sum(), _EDGES[1:]))
