"""Draws of one density led to another, whatever the shape of either.

The bridge is geometric, ln p_β = (1 − β) ln p₀ + β ln p₁.  At each step the draws are resampled by what the
step changes and then moved (Del Moral, Doucet and Jasra 2006, J. R. Stat. Soc. B 68, 411), by differences of
draws of the other half (ter Braak 2006, Stat. Comput. 16, 239), so that no proposal must be shaped like the
density.  A step is as long as leaves draws worth half their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

#: What draws are worth after a step, by their number.
_WORTH: Final = 0.5
#: Moves of each draw that are enough at a step, sweeps at most, and times as many of both at the last step.
_MOVES, _SWEEPS, _AT_LAST = 2.0, 8, 2
#: Share of moves by a whole difference, which leads from one summit to another.
_WHOLE: Final = 0.1
#: Scatter of all moves by the scale.
_SCATTER: Final = 0.01

#: Ln density (n,) of points (n, k), −∞ where there is none.
Density = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Draws:
    """Points (n, k) with ln p₀ (n,), finite, and ln p₁ (n,)."""

    points: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @property
    def rise(self) -> np.ndarray:
        """Ln p₁/p₀ (n,)."""
        return np.asarray(self.after - self.before)

    def take(self, chosen: np.ndarray) -> _Draws:
        return _Draws(self.points[chosen], self.before[chosen], self.after[chosen])

    def put(self, rows: np.ndarray, others: _Draws) -> _Draws:
        """With others in some rows."""
        points, before, after = self.points.copy(), self.before.copy(), self.after.copy()
        points[rows], before[rows], after[rows] = others.points, others.before, others.after
        return _Draws(points, before, after)


def bridged(
    before: Density, after: Density, points: np.ndarray, scale: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws (n, k) of `after` from as many of `before`; `scale` (k,) is a size at which it changes.

    Where `before` has no density there is none after.  What `before` rejects is not tried under `after`,
    which may be dear: moves are accepted in two stages (Christen and Fox 2005, J. Comput. Graph. Stat. 14).
    """
    draws = _Draws(points, before(points), after(points))
    power = 0.0
    while power < 1.0:
        step = _step(draws, 1.0 - power)
        power = 1.0 if power + step > 1.0 - 1e-6 else power + step
        draws = draws.take(_systematic(_changed(draws, step), rng))
        effort = _AT_LAST if power == 1.0 else 1
        moves, sweeps = 0.0, 0
        while moves < effort * _MOVES and sweeps < effort * _SWEEPS:
            order = rng.permutation(points.shape[0])
            for own, other in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
                tried = _tried(draws.points[own], draws.points[other], scale, rng)
                ahead = before(tried)
                passed = np.log(rng.random(own.size)) < ahead - draws.before[own]
                own, fresh = own[passed], _Draws(tried[passed], ahead[passed], after(tried[passed]))
                gain = power * (fresh.rise - draws.take(own).rise)
                taken = np.log(rng.random(own.size)) < gain
                draws = draws.put(own[taken], fresh.take(taken))
                moves += float(np.sum(taken)) / order.size
            sweeps += 1
    return draws.points


def _changed(draws: _Draws, step: float) -> np.ndarray:
    """Weights (n,) of a step."""
    return np.asarray(softmax(step * draws.rise))


def _step(draws: _Draws, most: float) -> float:
    """The longest step that leaves draws worth `_WORTH`, at most so long."""

    def excess(step: float) -> float:
        return 1.0 / float(np.sum(_changed(draws, step) ** 2)) - _WORTH * draws.after.size

    # draws without density weigh nothing at the shortest step, and may be more than half
    if excess(most) >= 0 or excess(1e-9) <= 0:
        return most if excess(most) >= 0 else 1e-9
    return float(brentq(excess, 1e-9, most))


def _systematic(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows (n,) by weight, each as often as its weight says but for one (Kitagawa 1996)."""
    marks = (rng.random() + np.arange(weights.size)) / weights.size
    return np.minimum(np.searchsorted(np.cumsum(weights), marks), weights.size - 1)


def _tried(own: np.ndarray, other: np.ndarray, scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (n, k) moved by differences of two of the other half (m, k)."""
    many, size = own.shape
    first = rng.integers(other.shape[0], size=many)
    second = (first + rng.integers(1, other.shape[0], size=many)) % other.shape[0]
    part = 2.38 / np.sqrt(2 * size) * rng.uniform(0.3, 1.2, many)
    length = np.where(rng.random(many) < _WHOLE, 1.0, part)
    scatter = _SCATTER * scale * rng.standard_normal(own.shape)
    return np.asarray(own + length[:, None] * (other[first] - other[second]) + scatter)
