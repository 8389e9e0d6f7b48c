"""The hours without release: does the search raise an alarm, and on how little does a hit rest?

For a place c and a run of half hours w the response is h = a_c within w and zero outside; with P the
precision of the air's mismatch after the backgrounds::

    z = hᵀP r / (hᵀP h)^½

The largest z over all places and runs is held against its distribution in draws of the mismatch, so that the
false-alarm probability is that of the whole search.  Single half hours have Student-t errors, with weights
found without any source: one of them alone gives z < 2.3 however large it is, so that a source must last or
be seen by several.  The same search over the hours *with* release is the control: it must find something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from scipy.linalg import cho_solve, cholesky

from monitor.calibration.release.model import AREA_M, ReleaseModel
from monitor.transport.surface_plume import Dispersion

FALSE_ALARM: Final = 0.05
#: Longest run that is searched [half hours], and the distance between places [m].
_LONGEST: Final = 16
_GRID_M: Final = 12.0
#: A response below this is none [ppm per g min⁻¹]: 10 g min⁻¹ would add less than the noise.
_FAINT: Final = 1e-3
#: A hit counts the samples that make up this share of its score.
_SHARE: Final = 0.9


@dataclass(frozen=True)
class Hit:
    """The strongest hit of a search, and on what it rests.

    `confirmed` is false where one instrument with fewer than three samples carries it.
    """

    z: float
    p_value: float
    place_m: tuple[float, float]
    start_hours: float
    end_hours: float
    instruments: tuple[str, ...]
    samples: int

    @property
    def confirmed(self) -> bool:
        return len(self.instruments) > 1 or self.samples >= 3


@dataclass(frozen=True)
class Search:
    """All hits below `FALSE_ALARM`, the strongest first; threshold, largest z and its p."""

    hits: tuple[Hit, ...]
    threshold: float
    best_z: float
    best_p: float
    half_hours: int

    @property
    def alarms(self) -> tuple[Hit, ...]:
        return tuple(hit for hit in self.hits if hit.confirmed)


def search(
    model: ReleaseModel, dispersion: Dispersion, *, draws: int, seed: int, most_hits: int = 20
) -> Search:
    """Hits of the search in the hours of a model, as if the release had been shut in all of them.

    What carries a hit is left out and the rest is searched again, so that a glitch hides nothing.
    """
    scan = _Scan.of(model, dispersion)
    null = scan.null_maxima(draws, seed)
    threshold = float(np.quantile(null, 1 - FALSE_ALARM, method="higher"))
    half_hours = int(np.unique(scan.half_hour).size)
    first, rows = scan.strongest(null)
    hits: list[Hit] = []
    hit = first
    while hit.z > threshold and len(hits) < most_hits:
        hits.append(hit)
        scan = scan.without(rows)
        hit, rows = scan.strongest(null)
    return Search(tuple(hits), threshold, first.z, first.p_value, half_hours)


@dataclass(frozen=True, eq=False)
class _Scan:
    """Observations (b,) with the responses (b, p) of places (p, 2) and the covariance (b, b) of the air."""

    mole_fraction: np.ndarray
    offsets: np.ndarray
    response: np.ndarray
    places: np.ndarray
    correlated: np.ndarray
    independent: np.ndarray
    half_hour: np.ndarray
    hours: np.ndarray
    count: np.ndarray
    instrument: np.ndarray

    @classmethod
    def of(cls, model: ReleaseModel, dispersion: Dispersion) -> _Scan:
        model, _ = model.silent().reweighted()
        blocks = model.blocks
        side = np.arange(-0.96 * AREA_M, 0.96 * AREA_M + 1, _GRID_M)
        places = np.array([(x, y) for x in side for y in side])
        # a place that no inlet looks at has no response, and no hit
        response = np.stack([model.response((x, y), dispersion) for x, y in places.tolist()], axis=1)
        return cls(
            mole_fraction=blocks.mole_fraction,
            offsets=model.offsets,
            response=np.where(response > _FAINT, response, 0.0),
            places=places,
            correlated=model.background,
            independent=model.air_variance / model.weights,
            half_hour=np.floor(2 * blocks.hours + 1e-6).astype("i8"),
            hours=blocks.hours,
            count=blocks.count,
            instrument=blocks.names[blocks.instrument],
        ).without(np.zeros(0, dtype="i8"))

    def without(self, rows: np.ndarray) -> _Scan:
        """The scan without some observations, and in the order of time."""
        kept = np.setdiff1d(np.argsort(self.half_hour, kind="stable"), rows, assume_unique=True)
        kept = kept[np.argsort(self.half_hour[kept], kind="stable")]
        vectors = ("mole_fraction", "independent", "half_hour", "hours", "count", "instrument", "response")
        cut = {name: getattr(self, name)[kept] for name in vectors}
        offsets = self.offsets[kept]
        return replace(
            self,
            offsets=offsets[:, offsets.any(axis=0)],
            correlated=self.correlated[np.ix_(kept, kept)],
            **cut,
        )

    @cached_property
    def precision(self) -> np.ndarray:
        """P (b, b) after the backgrounds."""
        factor = cholesky(self.correlated + np.diag(self.independent), lower=True)
        weighed = cho_solve((factor, True), np.column_stack([np.eye(self.count.size), self.offsets]))
        inverse, columns = weighed[:, : self.count.size], weighed[:, self.count.size :]
        return np.asarray(inverse - columns @ np.linalg.solve(self.offsets.T @ columns, columns.T))

    @cached_property
    def runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First observation of each half hour there is (n,), and starts and ends (w,) of runs of them."""
        present, first = np.unique(self.half_hour, return_index=True)
        pairs = [
            (i, j + 1)
            for i in range(present.size)
            for j in range(i, present.size)
            if present[j] - present[i] < _LONGEST
        ]
        start, end = np.array(pairs).T
        return first, start, end

    def _each(self, columns: np.ndarray) -> Iterator[np.ndarray]:
        """Z (w, k) of all runs for each place; −∞ where a run does not see it."""
        first, start, end = self.runs
        weighted = self.precision @ columns
        for h in self.response.T:
            gram = np.add.reduceat(h[:, None] * self.precision * h, first, axis=0)
            total = _running(_running(np.add.reduceat(gram, first, axis=1)).T).T
            norm = total[end, end] - total[start, end] - total[end, start] + total[start, start]
            sums = _running(np.add.reduceat(h[:, None] * weighted, first, axis=0))
            seen = norm > 1e-9 * max(float(norm.max()), 1e-30)
            z = np.full((start.size, columns.shape[1]), -np.inf)
            z[seen] = (sums[end] - sums[start])[seen] / np.sqrt(norm[seen])[:, None]
            yield z

    def null_maxima(self, draws: int, seed: int) -> np.ndarray:
        """The largest z (draws,) of searches in a world without a source."""
        rng = np.random.default_rng(seed)
        size = (self.count.size, draws)
        noise = np.sqrt(self.independent)[:, None] * rng.standard_normal(size)
        root = cholesky(self.correlated + 1e-10 * np.eye(self.count.size), lower=True)
        best = np.full(draws, -np.inf)
        for z in self._each(root @ rng.standard_normal(size) + noise):
            best = np.maximum(best, z.max(axis=0))
        return best

    def strongest(self, null: np.ndarray) -> tuple[Hit, np.ndarray]:
        """The strongest hit, and the observations that make up `_SHARE` of its score."""
        z = np.stack([found[:, 0] for found in self._each(self.mole_fraction[:, None])])
        place, run = (int(i) for i in np.unravel_index(int(np.argmax(z)), z.shape))
        first, start, end = self.runs
        edges = np.append(first, self.count.size)
        inside = np.arange(edges[start[run]], edges[end[run]])
        score = self.response[inside, place] * (self.precision @ self.mole_fraction)[inside]
        rank = np.argsort(-score)
        carried = int(np.searchsorted(np.cumsum(score[rank]), _SHARE * score.sum())) + 1
        rows = inside[rank[:carried]]
        hit = Hit(
            z=float(z.max()),
            p_value=(1.0 + float(np.sum(null >= z.max()))) / (null.size + 1.0),
            place_m=(float(self.places[place, 0]), float(self.places[place, 1])),
            start_hours=float(self.hours[rows].min()),
            end_hours=float(self.hours[rows].max()),
            instruments=tuple(sorted(set(self.instrument[rows].tolist()))),
            samples=int(self.count[rows].sum()),
        )
        return hit, rows


def _running(rows: np.ndarray) -> np.ndarray:
    """Sums of all rows (n, k) before each, and of all (n + 1, k)."""
    return np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
