"""The judgement: what the dates after the development say, with everything chosen before.

`evaluate_release` runs the frozen model on each wind cut of the ensemble, for all instruments together and
for each group alone, pools the cuts as a mixture in equal parts, searches the hours without release, and
holds the outcome against the metered truth.  Nothing else reads the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from monitor.calibration.release.alarm import Search, search
from monitor.calibration.release.data import DEVELOPMENT_ENDS, MAIN, OFF, Samples, blocks_of, read_release
from monitor.calibration.release.model import GROUPS, SILENCE, frozen_errors, model_of, unpack
from monitor.calibration.release.sampling import Posterior, pooled, sample_release

ALL: Final = "all instruments"
#: Targets: distance of the place [m], width of the interval of all together [factor], groups that must cover.
WITHIN_M: Final = 10.0
WIDEST: Final = 4.0
COVERING_GROUPS: Final = 3
NULL_DRAWS: Final = 1000
#: Effective draws below which a posterior was not found.
FEWEST_DRAWS: Final = 50.0
_QUANTILES: Final = np.array([0.025, 0.5, 0.975])


@dataclass(frozen=True, eq=False)
class Estimate:
    """Rate [g min⁻¹] and place [m] from one choice of instruments and wind, or from the ensemble of cuts.

    Attributes
    ----------
    instruments
        `ALL` or a group.
    least_wind_m_s
        None for the ensemble.
    half_hours
        Half-hour means that were used, of them `with_release`.
    rate, low, high
        Posterior median and 95 % interval.
    between_sd
        σ of the logarithm of the rate between the cuts; zero for a single one.
    place, place_covariance
        Posterior mean (2,) and covariance (2, 2).
    dispersion
        Posterior means of growth, lateral factor, roughness [m], turn [degrees].
    effective_draws
        Draws that the weighted ones are worth; of the ensemble the smallest.
    posterior
    """

    instruments: str
    least_wind_m_s: float | None
    half_hours: int
    with_release: int
    rate: float
    low: float
    high: float
    between_sd: float
    place: np.ndarray
    place_covariance: np.ndarray
    dispersion: tuple[float, float, float, float]
    effective_draws: float
    posterior: Posterior

    @property
    def factor(self) -> float:
        """Upper over lower end of the interval."""
        return self.high / self.low

    def covers(self, rate: float) -> bool:
        """False also where sampling failed: too few draws are no interval."""
        return self.effective_draws >= FEWEST_DRAWS and self.low <= rate <= self.high

    def away(self, place: tuple[float, float]) -> float:
        """Distance [m] of the place found."""
        return float(np.hypot(*(self.place - np.asarray(place))))


@dataclass(frozen=True, eq=False)
class ReleaseResult:
    """All estimates, the ensembles first to be read, the searches by wind cut, and the truth."""

    estimates: tuple[Estimate, ...]
    ensembles: tuple[Estimate, ...]
    off: dict[float, Search]
    on: dict[float, Search]
    true_rate: float
    true_place: tuple[float, float]
    inlets: dict[str, tuple[float, float, float, float]]
    first_day: str
    last_day: str
    seed: int

    @property
    def together(self) -> Estimate:
        return self.ensembles[0]

    @property
    def targets(self) -> dict[str, bool]:
        """Each target and whether it was met."""
        groups = [found for found in self.ensembles[1:] if found.covers(self.true_rate)]
        return {
            "place within 10 m": self.together.away(self.true_place) <= WITHIN_M,
            "rate covered by all instruments": self.together.covers(self.true_rate),
            "interval of all instruments at most a factor of 4": self.together.factor <= WIDEST,
            "rate covered by at least three groups": len(groups) >= COVERING_GROUPS,
            "no alarm in the off hours": not any(found.alarms for found in self.off.values()),
        }


def evaluate_release(
    path: Path,
    *,
    seed: int = 20150527,
    cuts: tuple[float, ...] | None = None,
    instruments: tuple[str, ...] = (ALL, *GROUPS),
    development: bool = False,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ReleaseResult:
    """Run the frozen model on the dates from 27 May, or with `development` on those before.

    Raises
    ------
    SourceFormatError
    """
    every = read_release(path)
    before = every.time < DEVELOPMENT_ENDS
    samples = every.select(before if development else ~before)
    errors = frozen_errors()
    cuts = tuple(errors) if cuts is None else cuts
    jobs = [(samples, cut, group, seed) for group in instruments for cut in cuts]
    with ProcessPoolExecutor(processes) as pool:
        estimates = []
        for found in pool.map(_estimate, *zip(*jobs, strict=True)):
            estimates.append(found)
            if progress:
                progress(len(estimates), len(jobs))
    ensembles = [_pooled([e for e in estimates if e.instruments == group]) for group in instruments]
    growth = np.mean([e.dispersion for e in estimates if e.instruments == instruments[0]], axis=0)
    tuned = np.concatenate([SILENCE[:3], np.log(growth[:3]), growth[3:]])
    dispersion = unpack(tuned)[1]
    off, on = {}, {}
    for cut in cuts:
        windy = samples.windy(cut)
        shut = model_of(blocks_of(samples.select(windy & (samples.state == OFF))), errors[cut])
        open_ = model_of(blocks_of(samples.select(windy & (samples.state == MAIN))), errors[cut])
        off[cut] = search(shut, dispersion, draws=NULL_DRAWS, seed=seed)
        on[cut] = search(open_, dispersion, draws=NULL_DRAWS // 5, seed=seed, most_hits=1)
    return ReleaseResult(
        estimates=tuple(estimates),
        ensembles=tuple(ensembles),
        off=off,
        on=on,
        true_rate=every.setting_g_min,
        true_place=every.source_m,
        inlets=_places(every),
        first_day=str(samples.time.min())[:10],
        last_day=str(samples.time.max())[:10],
        seed=seed,
    )


def _estimate(samples: Samples, cut: float, group: str, seed: int) -> Estimate:
    part = samples.select(samples.windy(cut))
    if group != ALL:
        part = part.select(part.group == group)
    model = model_of(blocks_of(part), frozen_errors()[cut])
    found = sample_release(model, seed=seed)
    on = model.blocks.on
    return _summary(group, cut, (on.size, int(on.sum())), found, (found.effective_draws, 0.0))


def _pooled(members: list[Estimate]) -> Estimate:
    """The mixture of the cuts in equal parts; its variance is that within plus that between them."""
    posterior = pooled([member.posterior for member in members])
    between = float(np.std([np.log(member.rate) for member in members]))
    counts = (max(m.half_hours for m in members), max(m.with_release for m in members))
    least = min(member.effective_draws for member in members)
    return _summary(members[0].instruments, None, counts, posterior, (least, between))


def _summary(
    instruments: str,
    cut: float | None,
    counts: tuple[int, int],
    posterior: Posterior,
    quality: tuple[float, float],
) -> Estimate:
    mean = posterior.weights @ posterior.draws
    away = posterior.draws - mean
    covariance = (away * posterior.weights[:, None]).T @ away
    low, middle, high = posterior.rate_quantiles(_QUANTILES).tolist()
    return Estimate(
        instruments=instruments,
        least_wind_m_s=cut,
        half_hours=counts[0],
        with_release=counts[1],
        rate=middle,
        low=low,
        high=high,
        between_sd=quality[1],
        place=mean[:2],
        place_covariance=covariance[:2, :2],
        dispersion=(*np.exp(mean[2:5]).tolist(), float(mean[5])),
        effective_draws=quality[0],
        posterior=posterior,
    )


def _places(samples: Samples) -> dict[str, tuple[float, float, float, float]]:
    """Ends of each instrument's path [m], a point's twice."""
    where = samples.inlets
    _, first = np.unique(samples.instrument, return_index=True)
    return {
        str(samples.instrument[i]): (
            float(where.x1[i]),
            float(where.y1[i]),
            float(where.x2[i]),
            float(where.y2[i]),
        )
        for i in first
    }
