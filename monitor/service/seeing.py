"""The sources that a network would see: how strong one must be, cell by cell, before any data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor import units
from monitor.compare.detectable import detectable_strengths, reference_windows
from monitor.compare.sources import Candidates, Search, prepare
from monitor.compare.statistics import DETECTABLE_SIGMAS, Z
from monitor.compare.windows import TimeBins, Windows
from monitor.config import ScanSection
from monitor.inversion.problem import InverseProblem

#: Worlds of noise: a strength is then known to some 5 %, which is more than its assumptions are.
_DRAWS, _SEED = 200, 0
_WORLDS, _MOST_WINDOWS = 100, 3
#: Quantile of 80 % power: how far the expected z of a source is above what it must pass.
_POWER_SIGMAS = DETECTABLE_SIGMAS - Z


@dataclass(frozen=True, eq=False)
class Lookout:
    """Where and when a search of all sites would look.

    Attributes
    ----------
    candidates : Candidates
        Every cell, and all runs of the search; rows are the observations of all sites.
    placed : (w,) int
        The runs that a source of the stated length is put into.
    """

    candidates: Candidates
    placed: np.ndarray

    def search(self, covariance: np.ndarray, rows: np.ndarray) -> Search:
        """The search by the observations `rows` (indices), with its null distribution."""
        some = Candidates(
            self.candidates.effect[rows],
            self.candidates.bin[rows],
            self.candidates.windows,
            self.candidates.place,
        )
        lower = np.linalg.cholesky(covariance[np.ix_(rows, rows)])
        return prepare(lower, some, draws=_DRAWS, seed=_SEED)

    def strengths(self, search: Search) -> np.ndarray:
        """Strength (c,) found in 80 of 100 cases, at a family-wise false-alarm probability of 5 %."""
        return detectable_strengths(search, self.placed, draws=_WORLDS)

    def responses(self, cells: np.ndarray) -> np.ndarray:
        """Response (n, c·w) to a unit source in each of the cells and each window, windows fastest."""
        inside = self.candidates.windows.inside[self.placed][:, self.candidates.bin]
        seen = self.candidates.effect[:, cells, None] * inside.T[:, None, :]
        return np.asarray(seen.reshape(seen.shape[0], -1))


def lookout(problem: InverseProblem, section: ScanSection) -> Lookout:
    """The search of the city file's `[[scan]]`, in every cell; runs alone, no recurring windows."""
    block = next(b for b in problem.blocks if b.fields is None)
    area = problem.grid.cell_area_m2().ravel()
    effect = block.footprints() / (units.kilograms_per_hour(problem.species) * area)
    selection = problem.assumptions.selection
    hours = section.bin_hours or (24.0 if selection.average == "daily" else 12.0)
    periods = [(e.start64, e.end64) for e in problem.epochs.values()]
    # the mean of a local day may begin before the epoch's first midnight
    periods += [(t, t + np.timedelta64(1, "s")) for t in np.unique(problem.table.start)]
    bins = TimeBins.covering(periods, hours, selection.utc_offset_h)
    runs = bins.runs(section.min_days, section.max_days)
    windows = Windows.of_runs(bins.size, runs if runs.size else bins.runs(0.0, section.max_days))
    place = np.stack(np.unravel_index(np.arange(area.size), problem.grid.shape), axis=1)
    candidates = Candidates(effect, bins.index(problem.table.start), windows, place)
    return Lookout(
        candidates, reference_windows(windows, round(section.source_days * 24.0 / hours), _MOST_WINDOWS)
    )


def middle_strength(sigma: np.ndarray, windows: int, threshold: float) -> float:
    """The strength in the middle cell, from σ (c·w,); infinite where half of the cells are not seen.

    In its own cell and window alone, where `Lookout.strengths` looks around them too: a little above it.
    """
    per_cell = np.median(sigma.reshape(-1, windows), axis=1)
    return float((threshold + _POWER_SIGMAS) * np.median(per_cell))


def region_summary(strengths: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Least, middle and largest strength over the cells of a region."""
    own: Sequence[float] = np.sort(strengths[inside]).tolist()
    return {"least": own[0], "middle": float(np.median(own)), "largest": own[-1]}
