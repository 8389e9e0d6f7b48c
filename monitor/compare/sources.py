"""Sources that are in no inventory: the search, its false alarms, and the strength of what is found.

For a candidate cell c and a window w of time bins the response is h = H·1_(c,w), by the time of the
observations; with the precision P after fixed effects::

    f̂ = hᵀP r / hᵀP h,   var f̂ = 1 / hᵀP h,   z = hᵀP r / (hᵀP h)^½

All windows of a cell come from its Gram matrix over bins, G_bb' = h_bᵀ Ψ⁻¹ h_b': runs by running sums,
recurring windows by sums over their bins.  Fixed effects X take (Aᵀ h)² off the norms, A = Ψ⁻¹X(XᵀΨ⁻¹X)^-½.
The null distribution of the largest z over all cells and windows is simulated from Ψ, so the false-alarm
probability is that of the whole search (Kulldorff 1997 for the idea).  Norms and null distribution depend
on the network alone: a `Search` is prepared once and looks at any number of residuals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from monitor.compare.kernels import run_maxima
from monitor.compare.statistics import LEVEL
from monitor.compare.windows import Windows
from monitor.inversion.components import cholesky_or_error
from monitor.inversion.solution import Solution, solve, solve_factored
from monitor.inversion.threads import in_parts

#: Hits whose weight exp((z² − z²max)/2) is below this do not matter for place, dates and strength.
_LEAST_WEIGHT = 1e-4
#: Correlation of the responses from which on two hits are the same event: half of the one is the other.
_SAME = float(np.sqrt(0.5))
#: Parts of a norm below which nothing but rounding is left, of the cell's over all bins.
_BLIND = 1e-10
#: Family-wise probability of a false alarm at which detection limits are stated.
FALSE_ALARM = 0.05
#: Cells that are worked on together.
_CELLS = 32
#: Draws of a strength: at least, in both tails together, and at most.
_DRAWS, _TAIL_DRAWS, _MOST_DRAWS = 40_000, 200, 2_000_000
_DAYS_A_YEAR = 365.25

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where and when to look.

    Attributes
    ----------
    effect : (n, c)
        Enhancement per unit source in each candidate cell, at each observation.
    bin : (n,) int
        Time bin of each observation, 0 … windows.bins − 1.
    windows : Windows
    place : (c, 2) int
        Row and column of each candidate on the grid.
    """

    effect: np.ndarray
    bin: np.ndarray
    windows: Windows
    place: np.ndarray

    def response(self, cell: int, window: int) -> np.ndarray:
        """H·1_(c,w) (n,)."""
        return np.asarray(np.where(self.windows.inside[window][self.bin], self.effect[:, cell], 0.0))

    def near(self, cell: int, reach: int) -> np.ndarray:
        """Candidates within `reach` cells of one (c,) bool."""
        return np.asarray(np.abs(self.place - self.place[cell]).max(axis=1) <= reach)

    def only(self, cells: np.ndarray, windows: Windows | None = None) -> Candidates:
        """Some of the cells (indices), and perhaps other windows."""
        chosen = self.windows if windows is None else windows
        return replace(self, effect=self.effect[:, cells], place=self.place[cells], windows=chosen)


@dataclass(frozen=True, eq=False)
class Hit:
    """What a search found: the best cell and window, and the mixture around it.

    `cells`, `windows` (indices), `weights`, `strengths`, `sigmas` are the mixture over places and windows of
    the same event, weights ∝ exp(z²/2); `p_value` is family-wise.  All σ and z are those after inflation.

    Attributes
    ----------
    threshold : float
        The z that the best of a source-free search exceeds in 5 of 100 worlds; NaN without draws.
    limits : (w, 2)
        Strength and σ in every window of the best cell; σ is infinite where nothing would be seen.
    """

    cell: int
    window: int
    z: float
    p_value: float
    cells: np.ndarray
    windows: np.ndarray
    weights: np.ndarray
    strengths: np.ndarray
    sigmas: np.ndarray
    threshold: float
    limits: np.ndarray

    @property
    def strength(self) -> float:
        """In the best cell and window."""
        return float(self.limits[self.window, 0])

    @property
    def sigma(self) -> float:
        """Of the strength in the best cell and window."""
        return float(self.limits[self.window, 1])

    def raised(self, by: np.ndarray) -> Hit:
        """The same with a strength added in each window (w,), of a search of one cell; z and p stay."""
        limits = self.limits + np.stack([by, np.zeros(by.size)], axis=1)
        return replace(self, strengths=self.strengths + by[self.windows], limits=limits)

    def places(self, share: float = 0.95) -> np.ndarray:
        """The fewest cells (k,) that hold `share` of the weight, the likeliest first."""
        cells, at = np.unique(self.cells, return_inverse=True)
        weight = np.bincount(at, self.weights) / self.weights.sum()
        order = np.argsort(-weight, kind="stable")
        count = int(np.searchsorted(np.cumsum(weight[order]), share)) + 1
        return np.asarray(cells[order[:count]])

    def interval(
        self, scale_sd: float, rng: np.random.Generator, level: float = LEVEL
    ) -> tuple[float, float, float, float]:
        """Strength: median, σ and interval at `level` over place, dates and the transport's scale.

        Unbounded when no window of the search would show a source, and at a level above 99.99 %, whose tails
        are not drawn often enough.
        """
        if not np.isfinite(self.sigmas).all():
            return np.nan, np.inf, -np.inf, np.inf
        # an early look of very many may be granted less than a float tells from nothing
        wanted = _TAIL_DRAWS / max(1.0 - level, np.finfo(float).eps)
        n = round(min(max(wanted, _DRAWS), _MOST_DRAWS))
        pick = rng.choice(self.weights.size, size=n, p=self.weights / self.weights.sum())
        draws = self.strengths[pick] + self.sigmas[pick] * rng.standard_normal(n)
        # the truth is the estimate over a factor 1 + ε: log-normal keeps it positive
        draws *= np.exp(scale_sd * rng.standard_normal(n))
        low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
        if round(wanted) > n:
            low, high = -np.inf, np.inf
        return float(np.median(draws)), float(draws.std()), float(low), float(high)


@dataclass(frozen=True, eq=False)
class Search:
    """A search of one network, ready to look at residuals.

    Attributes
    ----------
    candidates : Candidates
    network : Solution
        Ψ factored; no fixed effects.
    solution : Solution
        The same with the sources already known as fixed effects.
    plain : (c, w)
        hᵀΨ⁻¹h without fixed effects; 0 where nothing is seen.
    inflation : float
        Factor on the variances; z is divided by its root, σ multiplied.
    null : (draws,)
        Largest z, before inflation, of worlds without a source, ascending.
    seed : int
    """

    candidates: Candidates
    network: Solution
    solution: Solution
    plain: np.ndarray
    inflation: float
    null: np.ndarray
    seed: int

    @property
    def windows(self) -> Windows:
        return self.candidates.windows

    @property
    def threshold(self) -> float:
        """The z that the best of a source-free search exceeds in 5 of 100 worlds; NaN without draws."""
        if not self.null.size:
            return np.nan
        return float(np.quantile(self.null, 1.0 - FALSE_ALARM, method="higher"))

    @cached_property
    def norm(self) -> np.ndarray:
        """hᵀPh of every cell and window (c, w); 0 where nothing is seen."""
        norm = self.plain
        if self.solution.fixed.shape[1]:
            norm = norm.copy()
            for column in _half_fixed(self.solution).T:
                norm -= self.totals(column) ** 2
            # what the fixed effects hold already is not there to be found again
            norm[norm <= 1e-8 * self.plain] = 0.0
        return norm

    @cached_property
    def sigma(self) -> np.ndarray:
        """σ of the strength in every cell and window (c, w), inflated; infinite where nothing is seen."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.sqrt(self.inflation / self.norm))

    def given(
        self, known: np.ndarray, error: np.ndarray | None = None, progress: Progress | None = None
    ) -> Search:
        """The search that holds the responses `known` (n, q) of sources already found as fixed effects.

        `error` (n, n) is what their transport adds to Ψ: no strength makes up for a plume that was elsewhere,
        and what is left of a strong source is no other one.
        """
        network = self.network if error is None else self._blurred(error)
        solution = solve_factored(network.lower, self.solution.residual, known)
        other = replace(self, network=network, solution=solution)
        if error is not None:
            other = replace(other, plain=_norms(network.precision, self.candidates))
        return replace(other, null=np.sort(other._null(self.null.size, progress)))

    def _blurred(self, error: np.ndarray) -> Solution:
        lower = self.network.lower
        return solve(lower @ lower.T + error, np.zeros(lower.shape[0]))

    def narrowed(self, candidates: Candidates) -> Search:
        """The search of other candidates in the same network, without a null distribution."""
        plain = _norms(self.network.precision, candidates)
        return replace(self, candidates=candidates, plain=plain, null=np.zeros(0))

    def among(self, keep: np.ndarray) -> Search:
        """The search by the observations `keep` (indices) alone, without a null distribution."""
        lower, candidates = self.network.lower[keep], self.candidates
        left = cholesky_or_error(lower @ lower.T, "the covariance of some observations")
        some = replace(candidates, effect=candidates.effect[keep], bin=candidates.bin[keep])
        return prepare(left, some, draws=0, seed=self.seed, inflation=self.inflation)

    def shown(self, signal: np.ndarray) -> np.ndarray:
        """Strength (w,) that each window shows of a signal (n,) cut to it, in the first cell; 0 where blind.

        hᵀP 1_w s / hᵀPh, from the bins' sums of h_i P_ij s_j; of each pair of bins only the sum matters.
        """
        n = signal.size
        to_bins = sp.csr_array((np.ones(n), (self.candidates.bin, np.arange(n))), (self.windows.bins, n))
        parts = self.candidates.effect[:, :1] * self.solution.precision * signal
        pairs = to_bins @ (to_bins @ parts.T).T
        norm = self.norm[0]
        total = self.windows.both(0.5 * (pairs + pairs.T)[None])[0]
        return np.where(norm > 0.0, total, 0.0) / np.where(norm > 0.0, norm, 1.0)

    def look(self, residual: np.ndarray) -> Hit:
        """The most significant source in a residual (n,), with its family-wise false-alarm probability."""
        alpha = solve_factored(self.solution.lower, residual, self.solution.fixed).alpha
        z = self.totals(alpha)
        z = np.where(self.norm > 0.0, z, -np.inf) / np.sqrt(np.where(self.norm > 0.0, self.norm, 1.0))
        z /= np.sqrt(self.inflation)
        return self._collect(z, self.p_value(float(z.max())))

    def largest(self, residuals: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """Largest z of each residual (n, k): (k,)."""
        best = self._largest(self.weigh(residuals), progress)
        return np.asarray(best / np.sqrt(self.inflation))

    def p_value(self, z: float) -> float:
        """How often the best of a source-free search is at least z; 1 without draws."""
        above = self.null.size - np.searchsorted(self.null, z)
        return float((1.0 + above) / (1.0 + self.null.size))

    def correlation(self, response: np.ndarray) -> np.ndarray:
        """Of a response (n,) with that of every cell and window (c, w), in the metric of P."""
        weighted = self.weigh(response[:, None])[:, 0]
        size = np.sqrt(max(float(response @ weighted), 0.0)) * np.sqrt(self.norm)
        seen = size > 0.0
        return np.where(seen, self.totals(weighted), 0.0) / np.where(seen, size, 1.0)

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        """P times columns (n, k)."""
        weighted = self.solution.weigh(columns)
        if self.solution.fixed.shape[1] == 0:
            return weighted
        half = _half_fixed(self.solution)
        return np.asarray(weighted - half @ (half.T @ columns))

    def totals(self, weighted: np.ndarray) -> np.ndarray:
        """Σ hᵢ wᵢ over every cell and window (c, w)."""
        n = weighted.size
        to_bins = sp.csr_array((weighted, (self.candidates.bin, np.arange(n))), shape=(self.windows.bins, n))
        return self.windows.totals(to_bins @ self.candidates.effect).T

    def noise(self, draws: int) -> np.ndarray:
        """Residuals of worlds without a source, from Ψ (n, draws); the same ones at every call."""
        rng = np.random.default_rng(self.seed)
        lower = self.network.lower
        return np.asarray(lower @ rng.standard_normal((lower.shape[0], draws)))

    def _null(self, draws: int, progress: Progress | None) -> np.ndarray:
        """Largest z of worlds without a source, from Ψ (draws,)."""
        return self._largest(self.weigh(self.noise(draws)), progress)

    def _largest(self, weighted: np.ndarray, progress: Progress | None) -> np.ndarray:
        """Largest z, before inflation, of residuals times P (n, k): (k,)."""
        candidates, windows = self.candidates, self.windows
        order, first, present = by_bin(candidates.bin)
        effect, weighted = candidates.effect[order], weighted[order]
        norm, cells, worlds = self.norm, effect.shape[1], weighted.shape[1]
        scale = np.where(norm > 0.0, 1.0, 0.0) / np.sqrt(np.where(norm > 0.0, norm, 1.0))
        runs, masks = windows.runs.shape[0], windows.recurring.astype("f8")
        found: list[np.ndarray] = []

        def work(start: int, stop: int) -> None:
            best = np.full(worlds, -np.inf)
            for begin in range(start, stop, _CELLS):
                some = slice(begin, min(begin + _CELLS, stop))
                running = np.zeros((some.stop - begin, windows.bins + 1, worlds))
                for b, (i, j) in zip(present, first, strict=True):
                    running[:, b + 1] = effect[i:j, some].T @ weighted[i:j]
                for own, sums in zip(range(begin, some.stop), running, strict=True):
                    if masks.size:
                        z = (masks @ sums[1:]) * scale[own, runs:, None]
                        np.maximum(
                            best, np.where(scale[own, runs:, None] > 0, z, -np.inf).max(axis=0), out=best
                        )
                    np.cumsum(sums, axis=0, out=sums)
                    run_maxima(sums, windows.runs[:, 0], windows.runs[:, 1], scale[own, :runs], best)
                if progress:
                    progress(some.stop, cells)
            found.append(best)

        in_parts(work, cells)
        return np.asarray(np.max(found, axis=0))

    def _collect(self, z: np.ndarray, p_value: float) -> Hit:
        cell, window = (int(i) for i in np.unravel_index(int(np.argmax(z)), z.shape))
        seen = np.isfinite(self.sigma)
        strength = np.where(seen, z, 0.0) * np.where(seen, self.sigma, 1.0)
        top = max(float(z.max()), 0.0)
        weight = np.exp(0.5 * (np.maximum(z, 0.0) ** 2 - top**2))
        # where the best is below zero nothing was found, but a strength and its limit there still are
        part = seen & (weight > _LEAST_WEIGHT) & ((z > 0) | (top == 0))
        part &= self.correlation(self.candidates.response(cell, window)) >= _SAME
        part[cell, window] = True
        cells, windows = np.nonzero(part)
        return Hit(
            cell=cell,
            window=window,
            z=float(z.max()),
            p_value=p_value,
            cells=cells,
            windows=windows,
            weights=weight[part],
            strengths=strength[part],
            sigmas=self.sigma[part],
            threshold=self.threshold,
            limits=np.stack([strength[cell], self.sigma[cell]], axis=1),
        )


def prepare(
    lower: np.ndarray,
    candidates: Candidates,
    *,
    draws: int,
    seed: int,
    inflation: float = 1.0,
    progress: Progress | None = None,
) -> Search:
    """A search of the network whose observations have the covariance Ψ = L Lᵀ.

    Parameters
    ----------
    lower : (n, n)
        L, lower triangular.
    draws : int
        Simulations of the null distribution of the largest z; without any, p is 1.
    """
    network = solve_factored(lower, np.zeros(lower.shape[0]))
    plain = _norms(network.precision, candidates)
    search = Search(candidates, network, network, plain, inflation, np.zeros(0), seed)
    return replace(search, null=np.sort(search._null(draws, progress))) if draws else search


def _norms(inverse: np.ndarray, candidates: Candidates) -> np.ndarray:
    """HᵀΨ⁻¹h of every cell and window (c, w), from the Gram matrix over bins of each cell."""
    order, first, present = by_bin(candidates.bin)
    inverse = inverse[np.ix_(order, order)]
    effect, windows = candidates.effect[order], candidates.windows
    begins = first[:, 0]
    norm = np.zeros((effect.shape[1], windows.count))

    def work(start: int, stop: int) -> None:
        for begin in range(start, stop, _CELLS):
            some = slice(begin, min(begin + _CELLS, stop))
            h = np.ascontiguousarray(effect[:, some])
            gram = np.zeros((h.shape[1], windows.bins, windows.bins))
            for number, (b, (i, j)) in enumerate(zip(present, first, strict=True)):
                # the lower half of the bins; the other is its mirror
                part = np.add.reduceat((inverse[:j, i:j] @ h[i:j]) * h[:j], begins[: number + 1], axis=0)
                gram[:, present[: number + 1], b] = part.T
                gram[:, b, present[: number + 1]] = part.T
            found = windows.both(gram)
            found[found <= _BLIND * gram.sum(axis=(1, 2))[:, None]] = 0.0
            norm[some] = found

    in_parts(work, effect.shape[1])
    return norm


def by_bin(bin_: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order (n,) by bin, begin and end in it (p, 2) of each bin that is present, and these bins (p,)."""
    order = np.argsort(bin_, kind="stable")
    present, begin = np.unique(bin_[order], return_index=True)
    return order, np.stack([begin, np.append(begin[1:], bin_.size)], axis=1), present


def _half_fixed(solution: Solution) -> np.ndarray:
    """Ψ⁻¹X (XᵀΨ⁻¹X)^-½ (n, q)."""
    weighted = solution.weigh(solution.fixed)
    return np.asarray(weighted @ np.linalg.cholesky(solution.beta_covariance))


def alarms_a_year(p_value: float, days: float) -> float:
    """False alarms per year of operation: p · 365.25 / days.

    For one search per period of this length, one after the other, each with the family-wise probability p
    of at least one false alarm, and a model of the noise that holds.
    """
    return p_value * _DAYS_A_YEAR / days
