"""The search for sources over a month: 3,600 cells and 1,830 runs of half days, with recurring windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import cholesky

from monitor.compare.sources import Candidates, Hit, prepare
from monitor.compare.windows import TimeBins, Windows

_HOUR = np.timedelta64(3600, "s")
_START = np.datetime64("2023-03-01T00:00:00", "s")


@dataclass(frozen=True, eq=False)
class Month:
    """A network's Cholesky factor of Ψ, where and when to look, and one residual."""

    lower: np.ndarray
    candidates: Candidates
    residual: np.ndarray

    @property
    def order(self) -> int:
        return int(self.residual.size)


def month(folder: Path | None = None, *, side: int = 60, hours: int = 684, stations: int = 4) -> Month:
    """Hourly observations of 30 days, one in twenty missing.

    Their errors last for hours, and half of them are common to the stations.
    """
    rng = np.random.default_rng(5)
    hour = np.tile(np.sort(rng.permutation(round(hours / 0.95))[:hours]), stations)
    station = np.repeat(np.arange(stations), hours)
    time = _START + hour * _HOUR
    bins = TimeBins.covering([(time.min(), time.max() + _HOUR)], 12.0)
    near = np.exp(-np.abs(hour[:, None] - hour) / 6.0)
    lower = cholesky(near * (0.5 + 0.5 * (station[:, None] == station)) + 0.2 * np.eye(hour.size), lower=True)
    effect = rng.gamma(0.3, 1.0, (hour.size, side * side))
    place = np.stack(np.unravel_index(np.arange(side * side), (side, side)), axis=1)
    windows = Windows(bins.size, bins.runs(0.5, 31.0), *bins.recurring())
    residual = lower @ rng.standard_normal(hour.size)
    return Month(lower, Candidates(effect, bins.index(time), windows, place), residual)


def search(inputs: Month, draws: int) -> dict[str, float]:
    """Norms of every cell and window, a null distribution, and a look at the residual."""
    hit: Hit = prepare(inputs.lower, inputs.candidates, draws=draws, seed=1).look(inputs.residual)
    return {"z": hit.z, "p": hit.p_value}
