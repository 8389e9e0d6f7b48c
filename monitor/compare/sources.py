"""Sources that are in no inventory: the scan, its false alarms, and the strength of what is found.

For a candidate cell c and window of days w the response is h = H·1_(c,w); with P the precision after
fixed effects::

    f̂ = hᵀP r / hᵀP h,   var f̂ = 1 / hᵀP h,   z = hᵀP r / (hᵀP h)^½

For one cell all windows come from its Gram matrix over days, by running sums.  The null distribution
of the largest z over all cells and windows is simulated from Ψ, so the false-alarm probability is
that of the whole search (Kulldorff 1997 for the idea).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.compare.statistics import DETECTABLE_SIGMAS, Z
from monitor.inversion.kernels import window_maxima
from monitor.inversion.posterior import Posterior
from monitor.inversion.solution import Solution, solve_factored

#: Hits whose weight exp((z² − z²max)/2) is below this do not matter for place, dates and strength.
_LEAST_WEIGHT = 1e-4
#: Family-wise probability of a false alarm at which detection limits are stated.
FALSE_ALARM = 0.05
#: Standard normal quantile of 80 % power.
POWER_SIGMAS = DETECTABLE_SIGMAS - Z


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where and when to look.

    Attributes
    ----------
    effect : (n, c)
        Enhancement per unit source in each candidate cell, at each observation.
    day : (n,) int
        Day index of each observation, 0 … days − 1.
    days : int
    windows : (w, 2) int
        First day and day after the last.
    place : (c, 2) int
        Row and column of each candidate on the grid.
    """

    effect: np.ndarray
    day: np.ndarray
    days: int
    windows: np.ndarray
    place: np.ndarray

    def near(self, cell: int, reach: int = 2) -> np.ndarray:
        """Candidates within `reach` cells of one (c,): hits there are the same event."""
        return np.asarray(np.abs(self.place - self.place[cell]).max(axis=1) <= reach)


@dataclass(frozen=True, eq=False)
class Hit:
    """What a scan found: the best cell and window, and the mixture around it.

    `cells`, `windows`, `weights`, `strengths`, `sigmas` are the mixture over places and windows,
    weights ∝ exp(z²/2); `p_value` is family-wise.  All σ and z are those after inflation.

    Attributes
    ----------
    threshold : float
        The z that the best of a source-free search exceeds in 5 of 100 worlds; NaN without draws.
    limits : (w, 2)
        Strength and σ in every window of the best cell; σ is infinite where nothing would be seen.
    """

    cell: int
    window: tuple[int, int]
    z: float
    p_value: float
    cells: np.ndarray
    windows: np.ndarray
    weights: np.ndarray
    strengths: np.ndarray
    sigmas: np.ndarray
    threshold: float
    limits: np.ndarray

    def interval(self, scale_sd: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Strength: median, σ and 95 % interval over place, dates and the transport's scale.

        Unbounded when no window of the search would show a source.
        """
        if not np.isfinite(self.sigmas).all():
            return np.nan, np.inf, -np.inf, np.inf
        n = 40_000
        pick = rng.choice(self.weights.size, size=n, p=self.weights / self.weights.sum())
        draws = self.strengths[pick] + self.sigmas[pick] * rng.standard_normal(n)
        # the truth is the estimate over a factor 1 + ε: log-normal keeps it positive
        draws *= np.exp(scale_sd * rng.standard_normal(n))
        low, high = np.quantile(draws, [0.025, 0.975])
        return float(np.median(draws)), float(draws.std()), float(low), float(high)


def day_windows(days: int, min_days: int, max_days: int) -> np.ndarray:
    """All runs of `min_days` … `max_days` consecutive days (w, 2)."""
    pairs = [(a, a + k) for k in range(min_days, max_days + 1) for a in range(days - k + 1)]
    return np.array(pairs, dtype="i8").reshape(-1, 2)


def scan(
    posterior: Posterior,
    candidates: Candidates,
    *,
    draws: int,
    seed: int,
    known: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Hit:
    """The most significant source, with its family-wise false-alarm probability.

    Parameters
    ----------
    known : (n, q), optional
        Responses of sources already found; they get a flat prior.
    draws : int
        Simulations of the null distribution of the largest z; without any, p is 1.
    """
    solution = solve_factored(posterior.solution.lower, posterior.problem.residual, known)
    noise = _null_residuals(solution, draws, seed)
    weighted = np.column_stack([solution.alpha, _project(solution, noise)])
    order = np.argsort(candidates.day, kind="stable")
    precision = solution.precision[np.ix_(order, order)]
    effect, day, weighted = candidates.effect[order], candidates.day[order], weighted[order]
    starts, ends = candidates.windows[:, 0], candidates.windows[:, 1]
    best = np.full(weighted.shape[1], -np.inf)
    n_cells = effect.shape[1]
    z_all = np.full((n_cells, starts.size), -np.inf)
    sigma = np.full_like(z_all, np.inf)
    for c in range(n_cells):
        seen = np.flatnonzero(effect[:, c])
        if not seen.size:
            continue
        column, bins = effect[seen, c][:, None], _Days(day[seen], candidates.days)
        gram = bins.running_both(column * precision[np.ix_(seen, seen)] * column.T)
        score = bins.running(column * weighted[seen])
        z_all[c], sigma[c] = window_maxima(gram, score, starts, ends, best)
        if progress:
            progress(c + 1, n_cells)
    # the posterior's variances were inflated to what left-out days show: so is the noise of a source
    widen = float(np.sqrt(posterior.inflation))
    z_all, sigma = z_all / widen, sigma * widen
    p_value = (1.0 + float(np.sum(best[1:] >= z_all.max()))) / (draws + 1.0)
    threshold = float(np.quantile(best[1:], 1.0 - FALSE_ALARM, method="higher")) if draws else np.nan
    return _collect(z_all, sigma, candidates, p_value, threshold)


def _null_residuals(solution: Solution, draws: int, seed: int) -> np.ndarray:
    """Residuals (n, draws) of a world without the source, from Ψ."""
    rng = np.random.default_rng(seed)
    return np.asarray(solution.lower @ rng.standard_normal((solution.lower.shape[0], draws)))


def _project(solution: Solution, columns: np.ndarray) -> np.ndarray:
    return np.asarray(solution.precision @ columns)


class _Days:
    """Rows sorted by day (n,), summed over all days before each midnight: 0 … `days`."""

    def __init__(self, day: np.ndarray, days: int) -> None:
        self.days = days
        self.present, self.first = np.unique(day, return_index=True)

    def running(self, rows: np.ndarray) -> np.ndarray:
        """Running sums (days + 1, k) of rows (n, k)."""
        sums = np.zeros((self.days + 1, rows.shape[1]))
        sums[self.present + 1] = np.add.reduceat(rows, self.first, axis=0)
        return sums.cumsum(axis=0)

    def running_both(self, matrix: np.ndarray) -> np.ndarray:
        """Running sums (days + 1, days + 1) of a matrix (n, n) in both directions."""
        return self.running(self.running(matrix).T).T


def _collect(
    z: np.ndarray, sigma: np.ndarray, candidates: Candidates, p_value: float, threshold: float
) -> Hit:
    best_cell, best_window = (int(i) for i in np.unravel_index(int(np.argmax(z)), z.shape))
    first, last = candidates.windows[best_window]
    seen = np.isfinite(sigma)
    strength = np.where(seen, z, 0.0) * np.where(seen, sigma, 1.0)
    top = max(float(z.max()), 0.0)
    weight = np.exp(0.5 * (np.maximum(z, 0.0) ** 2 - top**2))
    near = candidates.near(best_cell)[:, None] & _overlapping(candidates.windows, first, last)[None, :]
    # where the best is below zero nothing was found, but a strength and its limit there still are
    part = near & seen & (weight > _LEAST_WEIGHT) & ((z > 0) | (top == 0))
    part[best_cell, best_window] = True
    cells, windows = np.nonzero(part)
    return Hit(
        cell=best_cell,
        window=(int(first), int(last)),
        z=float(z.max()),
        p_value=p_value,
        cells=cells,
        windows=candidates.windows[windows],
        weights=weight[cells, windows],
        strengths=strength[cells, windows],
        sigmas=sigma[cells, windows],
        threshold=threshold,
        limits=np.stack([strength[best_cell], sigma[best_cell]], axis=1),
    )


def _overlapping(windows: np.ndarray, first: int, last: int) -> np.ndarray:
    """Windows that share at least half of their union with [first, last): the same event."""
    common = np.minimum(windows[:, 1], last) - np.maximum(windows[:, 0], first)
    union = np.maximum(windows[:, 1], last) - np.minimum(windows[:, 0], first)
    return np.asarray(common >= 0.5 * union)


def upper_limit(hit: Hit, scale_sd: float) -> float:
    """The strength that a source at the best cell stays below, whichever of the windows it filled.

    The largest of the windows' upper 95 % limits: the limit in the window that happened to fit best says
    nothing of a shorter source at another time.  Infinite when a window would show nothing.
    """
    value, sigma = hit.limits.T
    return float(np.max(value + Z * np.hypot(sigma, scale_sd * value)))


def detectable_strength(hit: Hit) -> float:
    """Strength found with 80 % power in the windows of the hit, at the family-wise false-alarm rate.

    From the simulated threshold: a source must pass it, not the quantile of a single test.
    """
    if not np.isfinite(hit.sigmas).all():
        return np.inf
    return (hit.threshold + POWER_SIGMAS) * float(np.average(hit.sigmas, weights=hit.weights))
