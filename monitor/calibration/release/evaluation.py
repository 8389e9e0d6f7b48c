"""The judgement: what the dates after the development say, with everything chosen before.

`evaluate_release` runs the frozen model on each wind cut of the ensemble, for all instruments together and
for each group alone, pools the cuts as a mixture in equal parts, searches the hours without release, and
holds the outcome against the metered truth.  Nothing else reads the truth.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from monitor.calibration.release.alarm import Search, search
from monitor.calibration.release.data import DEVELOPMENT_ENDS, MAIN, OFF, Samples, blocks_of, read_release
from monitor.calibration.release.errors import GROUPS, frozen_errors
from monitor.calibration.release.model import SILENCE, ReleaseModel, model_of, unpack
from monitor.calibration.release.sampling import SETTLED, Posterior, pooled, sample_release
from monitor.transport import surface_plume
from monitor.transport.surface_plume import Dispersion

ALL: Final = "all instruments"
#: Targets: distance of the place [m], width of the interval of all together [factor], groups that must cover.
WITHIN_M: Final = 10.0
WIDEST: Final = 4.0
COVERING_GROUPS: Final = 3
NULL_DRAWS: Final = 1000
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
        At the posterior mean of the unknowns.
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
    dispersion: Dispersion
    posterior: Posterior

    @property
    def factor(self) -> float:
        """Upper over lower end of the interval."""
        return self.high / self.low

    def covers(self, rate: float) -> bool:
        """False also where sampling failed: populations that disagree are no interval."""
        return self.posterior.disagreement <= SETTLED and self.low <= rate <= self.high

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
    folder: Path | None = None,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ReleaseResult:
    """Run the frozen model on the dates from 27 May, or with `development` on those before.

    Posteriors that are finished are kept in `folder`, so that a run that was cut off goes on where it was.

    Raises
    ------
    SourceFormatError
    """
    every = read_release(path)
    before = every.time < DEVELOPMENT_ENDS
    samples = every.select(before if development else ~before)
    errors = frozen_errors()
    cuts = tuple(errors) if cuts is None else cuts
    jobs = [Job(samples, cut, group, seed, folder) for group in instruments for cut in cuts]
    # spawned, not forked: a caller may have threads
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        estimates = []
        for found in pool.map(estimate, jobs):
            estimates.append(found)
            if progress:
                progress(len(estimates), len(jobs))
    off, on = {}, {}
    for cut in cuts:
        off[cut] = _search(samples, cut, OFF, seed)
        on[cut] = _search(samples, cut, MAIN, seed)
    return ReleaseResult(
        estimates=tuple(estimates),
        ensembles=tuple(_pooled([e for e in estimates if e.instruments == group]) for group in instruments),
        off=off,
        on=on,
        true_rate=every.setting_g_min,
        true_place=every.source_m,
        inlets=_places(every),
        first_day=str(samples.time.min())[:10],
        last_day=str(samples.time.max())[:10],
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class Job:
    """One wind cut and group, or `ALL`; the posterior is kept in `folder` when there is one."""

    samples: Samples
    cut: float
    instruments: str
    seed: int
    folder: Path | None = None

    @property
    def model(self) -> ReleaseModel:
        part = self.samples.select(self.samples.windy(self.cut))
        if self.instruments != ALL:
            part = part.select(part.group == self.instruments)
        return model_of(blocks_of(part), frozen_errors()[self.cut])

    def kept_at(self, folder: Path) -> Path:
        """A file named after all that the posterior depends on."""
        found = hashlib.sha256(f"{self.cut} {self.instruments} {self.seed} {code_digest()}".encode())
        found.update(self.samples.mole_fraction.tobytes() + self.samples.time.tobytes())
        return folder / f"{self.instruments.split()[0]}-{self.cut:g}-{found.hexdigest()[:12]}.npz"


def estimate(job: Job) -> Estimate:
    """The answer to one job, from its file when it is there."""
    model = job.model
    file = None if job.folder is None else job.kept_at(job.folder)
    if file is not None and file.exists():
        with np.load(file) as kept:
            fields = {name: kept[name] for name in Posterior.__dataclass_fields__}
        found = Posterior(**fields | {"disagreement": float(fields["disagreement"])})
    else:
        found = sample_release(model, seed=job.seed)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, **{name: getattr(found, name) for name in Posterior.__dataclass_fields__})
    on = model.blocks.on
    return _summary(job.instruments, job.cut, (on.size, int(on.sum())), found, 0.0)


def code_digest() -> str:
    """SHA-256 over what a posterior is computed with."""
    here = Path(__file__).parent
    used = [*sorted(here.glob("*.py")), here / "errors.json", Path(surface_plume.__file__)]
    unused = ("report.py", "__main__.py", "evaluation.py", "alarm.py", "develop.py", "worlds.py")
    return hashlib.sha256(b"".join(file.read_bytes() for file in used if file.name not in unused)).hexdigest()


def _search(samples: Samples, cut: float, state: int, seed: int) -> Search:
    """The search in the hours of one state, with the dispersion that was thought of before any data."""
    model = model_of(
        blocks_of(samples.select(samples.windy(cut) & (samples.state == state))), frozen_errors()[cut]
    )
    fewer, hits = (1, 20) if state == OFF else (5, 1)
    return search(model, unpack(SILENCE)[1], draws=NULL_DRAWS // fewer, seed=seed, most_hits=hits)


def _pooled(members: list[Estimate]) -> Estimate:
    """The mixture of the cuts in equal parts; its variance is that within plus that between them."""
    posterior = pooled([member.posterior for member in members])
    between = float(np.std([np.log(member.rate) for member in members]))
    counts = (max(m.half_hours for m in members), max(m.with_release for m in members))
    return _summary(members[0].instruments, None, counts, posterior, between)


def _summary(
    instruments: str,
    cut: float | None,
    counts: tuple[int, int],
    posterior: Posterior,
    between_sd: float,
) -> Estimate:
    mean = posterior.weights @ posterior.draws
    place, covariance = posterior.place
    low, middle, high = posterior.rate_quantiles(_QUANTILES).tolist()
    return Estimate(
        instruments=instruments,
        least_wind_m_s=cut,
        half_hours=counts[0],
        with_release=counts[1],
        rate=middle,
        low=low,
        high=high,
        between_sd=between_sd,
        place=place,
        place_covariance=covariance,
        dispersion=unpack(np.concatenate([[0.0], mean]))[1],
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
