"""The hours without release: does the search raise an alarm, and on how little does a hit rest?

For a place c and a run of half hours w the response is h = a_c within w and zero outside; with P the
precision of the air's mismatch after the backgrounds::

    z = hᵀP r / (hᵀP h)^½

The largest z over all places and runs is held against its distribution in draws of the mismatch, so that the
false-alarm probability is that of the whole search.  Its half hours have Student-t errors, with weights found
without any source: one of them alone gives z < 2.3 however large it is, so that a source must last or be seen
by several.  A single half hour is judged by itself: by what the others say of it, against Student's t and the
number of half hours; it is `unconfirmed` where fewer than three of its samples carry it.  Each of the two has
half of the false alarms.  The search over the hours *with* release is the control: it must find something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.stats import t as student_t

from monitor.calibration.release.data import Blocks
from monitor.calibration.release.model import AREA_M, DEGREES_OF_FREEDOM, ReleaseModel
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
    """Hits of runs, the strongest first, then single half hours; threshold, largest z and p of runs."""

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
    threshold = float(np.quantile(null, 1 - FALSE_ALARM / 2, method="higher"))
    half_hours = int(np.unique(scan.half_hour).size)
    single = scan.single_half_hours()
    first, rows = scan.strongest(null)
    hits: list[Hit] = []
    hit = first
    while hit.z > threshold and len(hits) < most_hits:
        hits.append(hit)
        scan = scan.without(rows)
        hit, rows = scan.strongest(null)
    return Search((*hits, *single), threshold, first.z, first.p_value, half_hours)


@dataclass(frozen=True, eq=False)
class _Scan:
    """Observations (b,) with the responses (b, p) of places (p, 2) and the covariance (b, b) of the air."""

    mole_fraction: np.ndarray
    offsets: np.ndarray
    response: np.ndarray
    places: np.ndarray
    correlated: np.ndarray
    independent: np.ndarray
    unweighted: np.ndarray
    half_hour: np.ndarray
    hours: np.ndarray
    count: np.ndarray
    instrument: np.ndarray
    deviations: np.ndarray

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
            correlated=model.mismatch.background,
            independent=model.mismatch.air / model.weights,
            unweighted=model.mismatch.air,
            half_hour=np.floor(2 * blocks.hours + 1e-6).astype("i8"),
            hours=blocks.hours,
            count=blocks.count,
            instrument=blocks.names[blocks.instrument],
            deviations=_deviations(blocks),
        ).without(np.zeros(0, dtype="i8"))

    def without(self, rows: np.ndarray) -> _Scan:
        """The scan without some observations, and in the order of time."""
        kept = np.setdiff1d(np.argsort(self.half_hour, kind="stable"), rows, assume_unique=True)
        kept = kept[np.argsort(self.half_hour[kept], kind="stable")]
        vectors = ("mole_fraction", "independent", "unweighted", "half_hour", "hours", "count", "instrument")
        cut = {name: getattr(self, name)[kept] for name in (*vectors, "deviations", "response")}
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

    def single_half_hours(self) -> tuple[Hit, ...]:
        """Means that lie too far above what all others say of them, by Student's t."""
        own = np.diagonal(self.precision)
        # an instrument's only half hour is its background, and says nothing
        judged = (own > 1e-6 / self.independent) & (self.response.max(axis=1) > 0)
        own = np.where(judged, own, 1.0)
        apart = (self.precision @ self.mole_fraction) / own
        score = apart / np.sqrt(np.maximum(1 / own - self.independent, 0.0) + self.unweighted)
        p_value = np.minimum(student_t.sf(score, DEGREES_OF_FREEDOM) * score.size, 1.0)
        return tuple(
            Hit(
                z=float(score[i]),
                p_value=float(p_value[i]),
                place_m=(float(at[0]), float(at[1])),
                start_hours=float(self.hours[i]),
                end_hours=float(self.hours[i]),
                instruments=(str(self.instrument[i]),),
                samples=_carriers(apart[i] + self.deviations[i]),
            )
            for i in np.flatnonzero(judged & (p_value <= FALSE_ALARM / 2))
            for at in [self.places[np.argmax(self.response[i])]]
        )

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


def _deviations(blocks: Blocks) -> np.ndarray:
    """Of the samples of each half hour from their mean: an array (b,) of arrays."""
    samples = blocks.samples.mole_fraction
    apart = (samples - blocks.mean(samples)[blocks.of])[np.argsort(blocks.of, kind="stable")]
    found = np.empty(blocks.count.size, dtype=object)
    for i, own in enumerate(np.split(apart, np.cumsum(blocks.count.astype(int))[:-1])):
        found[i] = own
    return found


def _carriers(excess: np.ndarray) -> int:
    """How many samples at least make up `_SHARE` of a positive sum."""
    total = np.cumsum(-np.sort(-excess))
    return int(np.argmax(total >= _SHARE * excess.sum())) + 1


def _running(rows: np.ndarray) -> np.ndarray:
    """Sums of all rows (n, k) before each, and of all (n + 1, k)."""
    return np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
