"""Compiled loops of the search for sources: arrays in, arrays out."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def run_maxima(running, starts, ends, scale, best):  # type: ignore[no-untyped-def]
    """Largest z of every world over the runs of bins of one cell; `best` (worlds,) is updated in place.

    running : (bins + 1, worlds) sums of hᵢ (P r)ᵢ over all bins before;  starts, ends : (w,);
    scale : (w,) 1 / (hᵀPh)^½, zero where nothing is seen.
    """
    worlds = best.size
    for w in range(starts.size):
        factor = scale[w]
        if factor == 0.0:
            continue
        first, last = running[starts[w]], running[ends[w]]
        for k in range(worlds):
            best[k] = max(best[k], (last[k] - first[k]) * factor)


@njit(cache=True, nogil=True)
def run_crossings(running, starts, ends, scale, slope, threshold, least):  # type: ignore[no-untyped-def]
    """Smallest strength with which each world passes the threshold; `least` (worlds,) in place.

    running, starts, ends, scale : as in `run_maxima`, of worlds without the source;
    slope : (w,) growth of z with the strength, positive.
    """
    for w in range(starts.size):
        first, last = running[starts[w]], running[ends[w]]
        factor, steepness = scale[w], 1.0 / slope[w]
        for k in range(least.size):
            least[k] = min(least[k], (threshold - (last[k] - first[k]) * factor) * steepness)
