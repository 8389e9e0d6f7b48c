"""Where the posterior is high: places to start from, the climb from there, the curvature at the summit."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from monitor.calibration.release.data import blocks_of
from monitor.calibration.release.model import (
    AREA_M,
    PRIOR_MEAN,
    SILENCE,
    ReleaseModel,
    log_prior,
    model_of,
    unpack,
)

#: Steps of the shape that change the density by about one, for the climb and for second differences.
STEP: Final = np.array([3.0, 3.0, 0.15, 0.15, 0.4, 0.5, 2.0])
#: Distance between places of the first scan [m], and that under which two starts are one.
_GRID_M, _APART_M = 15.0, 20.0
_STARTS: Final = 4
#: Steps of the weights per round of the climb.
_WEIGHING: Final = 3
#: Moves of a summit below which reference and weights agree with it [STEP; ln rate].
_SETTLED: Final = 0.05
#: Half hours that are enough for the first scan.
_ENOUGH: Final = 600
#: Whitened data beyond this many median absolute deviations are cut in the first scan.
_CUT: Final = 20.0


def thinned(model: ReleaseModel) -> ReleaseModel:
    """The model on some `_ENOUGH` of its half hours, evenly taken."""
    every = -(-model.blocks.count.size // _ENOUGH)
    if every == 1:
        return model
    samples = model.blocks.samples
    kept = np.arange(model.blocks.count.size) % every == 0
    return model_of(blocks_of(samples.select(kept[model.blocks.of])), model.mismatch.errors)


def starts(model: ReleaseModel) -> list[np.ndarray]:
    """Places far apart with the highest density, rates by least squares, the prior's dispersion (≤ 4, 8)."""
    side = np.arange(-0.9 * AREA_M, 0.9 * AREA_M + 1, _GRID_M)
    places = [(float(x), float(y)) for x in side for y in side]
    rate = np.clip(_least_squares_rates(model, places), 0.1, 100.0)
    points = [np.concatenate([[np.log(q)], p, PRIOR_MEAN]) for p, q in zip(places, rate, strict=True)]
    density = np.array([model.at(point).log_evidence() + log_prior(point[1:]) for point in points])
    chosen: list[np.ndarray] = []
    for index in np.argsort(-density):
        apart = [np.hypot(*(points[index][1:3] - other[1:3])) > _APART_M for other in chosen]
        if len(chosen) < _STARTS and all(apart):
            chosen.append(points[index])
    return chosen


def _least_squares_rates(model: ReleaseModel, places: list[tuple[float, float]]) -> np.ndarray:
    """Rate at each place by generalised least squares with the errors of the air alone [g min⁻¹]."""
    blocks = model.blocks
    lower = cholesky(model.mismatch.background + np.diag(model.mismatch.air), lower=True, check_finite=False)
    offsets = np.linalg.qr(solve_triangular(lower, model.offsets, lower=True))[0]
    dispersion = unpack(SILENCE)[1]
    response = np.stack([blocks.on * model.response(place, dispersion) for place in places], axis=1)
    white = solve_triangular(lower, np.column_stack([blocks.mole_fraction, response]), lower=True)
    white -= offsets @ (offsets.T @ white)
    data, response = white[:, 0], white[:, 1:]
    # an outlier must not choose the rate
    limit = _CUT * np.median(np.abs(data))
    norm = np.einsum("bp,bp->p", response, response)
    return np.asarray(response.T @ np.clip(data, -limit, limit) / np.maximum(norm, 1e-12))


def climb(
    model: ReleaseModel, start: np.ndarray, rounds: int = 12, steps: int = 40
) -> tuple[ReleaseModel, np.ndarray, float]:
    """The model with reference and weights of its summit, the summit, and the bound of the density there."""
    unknowns = start
    for _ in range(rounds):
        model = model.at(unknowns)
        for _ in range(_WEIGHING):
            model = model.towards_weights()

        def falling(scaled: np.ndarray, now: ReleaseModel = model) -> float:
            value = now.evaluated_held(scaled * STEP)[0]
            return -value if np.isfinite(value) else 1e9

        options = {"maxiter": steps, "ftol": 1e-8}
        found = minimize(falling, unknowns[1:] / STEP, method="L-BFGS-B", options=options)
        shape = found.x * STEP
        fresh = np.concatenate([[np.log(max(model.held(shape).rate, 0.1))], shape])
        moved = float(np.max(np.abs(fresh - unknowns) / np.concatenate([[1.0], STEP])))
        unknowns = fresh
        if moved < _SETTLED:
            break
    model = model.at(unknowns)
    return model, unknowns, model.evidence_bound() + log_prior(unknowns[1:])


def laplace(model: ReleaseModel, summit: np.ndarray) -> np.ndarray:
    """Inverse of minus the second differences at a summit (7, 7), made positive where they are not."""
    k = STEP.size
    step = 0.7 * STEP

    def at(*moves: tuple[int, float]) -> float:
        point = summit.copy()
        for i, sign in moves:
            point[i] += sign * step[i]
        value = model.log_density(point)
        return value if np.isfinite(value) else top - 5.0

    top = model.log_density(summit)
    hessian = np.zeros((k, k))
    up = [at((i, 1.0)) for i in range(k)]
    down = [at((i, -1.0)) for i in range(k)]
    for i in range(k):
        hessian[i, i] = 2 * top - up[i] - down[i]
        for j in range(i):
            both = at((i, 1.0), (j, 1.0))
            hessian[i, j] = hessian[j, i] = -(both - up[i] - up[j] + top)
    value, vectors = np.linalg.eigh(hessian)
    value = np.maximum(value, 0.05)
    return np.asarray(np.outer(step, step) * ((vectors / value) @ vectors.T))
