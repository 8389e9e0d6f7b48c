"""The weakest source that a search would find: at family-wise 5 %, with a probability of 80 %, by simulation.

A source of strength f in cell c and window w raises z in every cell c' and window w' by f h'ᵀPh / (h'ᵀPh')^½.
In a world of noise alone the search would pass its threshold with the strength::

    f = min over c', w' of (threshold − z') (h'ᵀPh')^½ / h'ᵀPh

and D is the strength that suffices in 80 of 100 worlds.  Looked at are the windows in the cells around c;
what the source does further away would only help.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from monitor.compare.kernels import run_crossings
from monitor.compare.sources import Progress, Search
from monitor.compare.windows import Windows
from monitor.inversion.threads import in_parts

POWER = 0.8
#: Cells around the source, and correlation of their responses with its own, from which on they are looked at.
_REACH = 1
_LEAST_CORRELATION = 0.5
#: Cells that are worked on together.
_CELLS = 32


def detectable_strengths(
    search: Search, windows: np.ndarray, *, draws: int = 200, progress: Progress | None = None
) -> np.ndarray:
    """Strength (c,) at which a source in each cell is found in 80 of 100 worlds.

    Infinite where no strength suffices: in more than 20 of 100 cases nothing of it would be seen.

    Parameters
    ----------
    windows : (k,) int
        When the source may be at work; one of them, each as likely.
    draws : int
        Worlds of noise.
    """
    noise = search.weigh(search.noise(draws))
    cells = search.norm.shape[0]
    out = np.full(cells, np.inf)

    def work(start: int, stop: int) -> None:
        for begin in range(start, stop, _CELLS):
            some = np.arange(begin, min(begin + _CELLS, stop))
            out[some] = _of_cells(search, windows, noise, some)
            if progress:
                progress(int(some[-1]) + 1, cells)

    in_parts(work, cells)
    return out


def reference_windows(windows: Windows, bins: int, most: int = 6) -> np.ndarray:
    """Up to `most` runs of the searched length nearest to `bins`, spread over the period (k,)."""
    runs = windows.runs
    length = runs[:, 1] - runs[:, 0]
    fitting = np.flatnonzero(length == length[np.argmin(np.abs(length - bins))])
    # one after the other where there is room, else evenly apart
    apart = max(int(length[fitting[0]]), -(-fitting.size // most))
    return np.asarray(fitting[::apart])


def _of_cells(search: Search, windows: np.ndarray, noise: np.ndarray, cells: np.ndarray) -> np.ndarray:
    candidates = search.candidates
    near = np.array([candidates.near(c, _REACH) for c in cells])
    around = np.flatnonzero(near.any(axis=0))
    effect, n = candidates.effect[:, around], candidates.bin.size
    to_bins = sp.csr_array((np.ones(n), (candidates.bin, np.arange(n))), shape=(search.windows.bins, n))
    running = np.zeros((around.size, search.windows.bins + 1, noise.shape[1]))
    for k in range(around.size):
        np.cumsum(to_bins @ (effect[:, [k]] * noise), axis=0, out=running[k, 1:])
    least = np.full((cells.size, windows.size, noise.shape[1]), np.inf)
    for number, window in enumerate(windows):
        seen = np.flatnonzero(search.windows.inside[window][candidates.bin])
        source = np.zeros((n, cells.size))
        source[seen] = candidates.effect[np.ix_(seen, cells)]
        weighted = search.weigh(source)
        for own, cell in enumerate(cells):
            own_norm = search.norm[cell, window]
            if own_norm > 0.0:
                column, part = weighted[:, own], near[own, around]
                _cross(
                    search,
                    column,
                    (effect[:, part], running[part], around[part]),
                    own_norm,
                    least[own, number],
                )
    return np.asarray(np.quantile(least.reshape(cells.size, -1), POWER, axis=1, method="higher"))


def _cross(
    search: Search,
    weighted: np.ndarray,
    around: tuple[np.ndarray, np.ndarray, np.ndarray],
    own_norm: float,
    least: np.ndarray,
) -> None:
    """Lower `least` (worlds,) to what suffices for a source with P h = `weighted` (n,)."""
    effect, running, cells = around
    n, windows = weighted.size, search.windows
    to_bins = sp.csr_array((weighted, (search.candidates.bin, np.arange(n))), shape=(windows.bins, n))
    growth = windows.totals(to_bins @ effect).T
    runs, masks = windows.runs.shape[0], windows.recurring.astype("f8")
    for k, cell in enumerate(cells):
        norm = search.norm[cell]
        strong = np.flatnonzero((norm > 0.0) & (growth[k] >= _LEAST_CORRELATION * np.sqrt(norm * own_norm)))
        scale = 1.0 / np.sqrt(norm[strong])
        slope = growth[k, strong] * scale / np.sqrt(search.inflation)
        count = int(np.searchsorted(strong, runs))
        starts, ends = windows.runs[strong[:count]].T
        run_crossings(running[k], starts, ends, scale[:count], slope[:count], search.threshold, least)
        if count < strong.size:
            z = (masks[strong[count:] - runs] @ np.diff(running[k], axis=0)) * scale[count:, None]
            np.minimum(least, ((search.threshold - z) / slope[count:, None]).min(axis=0), out=least)
