"""Made worlds: instruments, winds and hours of a table, data whose truth is known, and what is found of it.

    python -m monitor.calibration.release.worlds FILE GROUP LEAST_WIND stated|rough WORLDS

prints a line of JSON for each world in the hours of the development dates.  A *stated* world is drawn from
the model that inverts it.  A *rough* one is not: its wind is turned and scaled by errors that last, drifts
last three times as long, and no smooth factor multiplies the plume.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from scipy.linalg import cholesky

from monitor.calibration.release.data import blocks_of, read_release
from monitor.calibration.release.develop import development
from monitor.calibration.release.errors import Mismatch, frozen_errors
from monitor.calibration.release.model import (
    AREA_M,
    DEGREES_OF_FREEDOM,
    PRIOR_MEAN,
    PRIOR_SD,
    WRONG_DIRECTION,
    ReleaseModel,
    model_of,
)
from monitor.calibration.release.sampling import Posterior, sample_release

#: Rates of made worlds are log-uniform between these [g min⁻¹].
LEAST_G_MIN, LARGEST_G_MIN = 1.0, 20.0
#: Errors of the wind in a rough world, and how long they last [degrees; 1; h].
_TURN_DEG, _SPEED, _WIND_H = 10.0, 0.15, 3.0
_BACKGROUND_PPM: Final = 1.8
#: Radius² of a 95 % region in standard deviations of two dimensions, χ²₂(0.95).
ELLIPSE: Final = 5.991


@dataclass(frozen=True)
class Tried:
    """One world and what its inversion said: rates [g min⁻¹], whether rate and place were covered."""

    seed: int
    rough: bool
    rate: float
    low: float
    high: float
    rate_covered: bool
    place_covered: bool
    away_m: float
    disagreement: float


def truth(rng: np.random.Generator) -> np.ndarray:
    """Unknowns (8,): the place anywhere, the dispersion of the prior."""
    rate = rng.uniform(np.log(LEAST_G_MIN), np.log(LARGEST_G_MIN))
    place = rng.uniform(-AREA_M, AREA_M, 2)
    return np.concatenate([[rate], place, PRIOR_MEAN + PRIOR_SD * rng.standard_normal(PRIOR_SD.size)])


def stated_world(model: ReleaseModel, unknowns: np.ndarray, rng: np.random.Generator) -> ReleaseModel:
    """The half hours of a model with data drawn from it."""
    plume = model.enhancement(unknowns)
    correlated = model.mismatch.background + np.outer(plume, plume) * model.mismatch.factors
    return _observed(model, plume + _drawn(correlated, rng), unknowns, rng)


def rough_world(model: ReleaseModel, unknowns: np.ndarray, rng: np.random.Generator) -> ReleaseModel:
    """The same half hours in air that the model knows wrongly."""
    blocks, e = model.blocks, model.mismatch.errors
    samples = blocks.samples
    hours = samples.time.astype("i8")[np.unique(samples.inlets.interval, return_index=True)[1]] / 3600.0
    fading = np.exp(-np.abs(np.subtract.outer(hours, hours)) / _WIND_H)
    turn, scale = _drawn(fading, rng) * _TURN_DEG, np.exp(_SPEED * _drawn(fading, rng))
    present = np.unique(samples.inlets.interval)
    speed, from_deg = samples.air.speed_m_s.copy(), samples.air.from_deg.copy()
    speed[present] *= scale
    from_deg[present] += turn
    air = replace(samples.air, speed_m_s=speed, from_deg=from_deg)
    other = replace(blocks, samples=replace(samples, air=air))
    slower = replace(e, drift_h=3 * e.drift_h, shared_h=3 * e.shared_h)
    plume = replace(model, mismatch=Mismatch(other, e)).enhancement(unknowns)
    return _observed(model, plume + _drawn(Mismatch(blocks, slower).background, rng), unknowns, rng)


def _observed(
    model: ReleaseModel, smooth: np.ndarray, unknowns: np.ndarray, rng: np.random.Generator
) -> ReleaseModel:
    """The model of data that are `smooth` (b,) [ppm] with independent errors about it."""
    wide = model.enhancement(unknowns, WRONG_DIRECTION)
    variance = model.mismatch.air + model.mismatch.scatter(wide**2)
    errors = np.sqrt(variance) * rng.standard_t(DEGREES_OF_FREEDOM, variance.size)
    data = replace(model.blocks, mole_fraction=_BACKGROUND_PPM + smooth + errors)
    return model_of(data, model.mismatch.errors)


def _drawn(covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = covariance.shape[0]
    jitter = 1e-9 * float(np.diagonal(covariance).max()) * np.eye(size)
    return np.asarray(cholesky(covariance + jitter, lower=True) @ rng.standard_normal(size))


def try_world(model: ReleaseModel, *, seed: int, rough: bool) -> Tried:
    """A world in the hours of `model`, made and inverted."""
    rng = np.random.default_rng([seed, rough])
    unknowns = truth(rng)
    world = (rough_world if rough else stated_world)(model, unknowns, rng)
    return judged(sample_release(world, seed=seed), unknowns, seed, rough)


def judged(found: Posterior, unknowns: np.ndarray, seed: int, rough: bool) -> Tried:
    """What a posterior says of a truth (8,)."""
    low, high = found.rate_quantiles(np.array([0.025, 0.975])).tolist()
    place, spread = found.place
    away = unknowns[1:3] - place
    rate = float(np.exp(unknowns[0]))
    return Tried(
        seed=seed,
        rough=rough,
        rate=rate,
        low=low,
        high=high,
        rate_covered=low <= rate <= high,
        place_covered=bool(away @ np.linalg.solve(spread, away) <= ELLIPSE),
        away_m=float(np.hypot(*away)),
        disagreement=found.disagreement,
    )


def main(path: str, group: str, least_wind_m_s: str, kind: str, worlds: str) -> None:
    """A line of JSON for each world."""
    cut = float(least_wind_m_s)
    samples = development(read_release(Path(path)), cut)
    model = model_of(blocks_of(samples.select(samples.group == group)), frozen_errors()[cut])
    for seed in range(int(worlds)):
        tried = try_world(model, seed=seed, rough=kind == "rough")
        sys.stdout.write(json.dumps(asdict(tried)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
