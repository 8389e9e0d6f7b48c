"""The joint posterior of place, rate and dispersion, by adaptive importance sampling.

Starts come from a coarse grid of places; from the best of them the density is climbed, reference and
Student-t weights found in turn; a Laplace approximation at the summit is the first proposal, beside a broad
one over the whole area.  Rounds of draws then refit a Student-t proposal to all draws so far, and every draw
is weighted by the mixture of all proposals (Cornuet et al. 2012, Scand. J. Stat. 39, 798), so that no round
is thrown away.  Given place and dispersion the rate is normal, and is not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import logsumexp, ndtr
from scipy.stats import multivariate_t

from monitor.calibration.release.model import (
    AREA_M,
    LARGEST_G_MIN,
    PRIOR_MEAN,
    PRIOR_SD,
    ReleaseModel,
    log_prior,
    unpack,
)

#: Steps of the shape that change the density by about one, for the climb and for second differences.
STEP: Final = np.array([3.0, 3.0, 0.15, 0.15, 0.4, 2.0])
#: Distance between places of the first scan [m], and that under which two starts are one.
_GRID_M, _APART_M = 15.0, 20.0
_STARTS, _TAIL = 4, 5.0
#: Steps of the weights per round of the climb.
_WEIGHING: Final = 3
#: Moves of a summit below which reference and weights agree with it [STEP; ln rate].
_SETTLED: Final = 0.05
#: A start whose first short climb ends this far below the best in ln density is given up.
_HOPELESS: Final = 15.0
#: σ of the broad proposal's place [m]; half hours above which a round has fewer draws.
_WIDE_M, _MANY = 45.0, 400
#: Effective draws at which no further round is made.
ENOUGH: Final = 250.0
#: Whitened data beyond this many median absolute deviations are cut in the first scan.
_CUT: Final = 20.0


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws (d, 6) of the shape, weights (d,) that sum to one, and of each the rate's mean and σ."""

    draws: np.ndarray
    weights: np.ndarray
    rate: np.ndarray
    rate_sd: np.ndarray

    def rate_quantiles(self, at: np.ndarray) -> np.ndarray:
        """Quantiles of the rate [g min⁻¹]: a mixture of normals cut at zero and `LARGEST_G_MIN`."""
        grid = np.concatenate([[0.0], np.geomspace(1e-3, LARGEST_G_MIN, 4000)])
        z = (grid[:, None] - self.rate) / np.minimum(self.rate_sd, 1e3 * LARGEST_G_MIN)
        share = ndtr(z) - ndtr(z[0])
        # a normal all of whose mass lies outside adds nothing that could be drawn
        share /= np.where(share[-1] > 0, share[-1], 1.0)
        return np.asarray(np.interp(at, share @ self.weights, grid))

    @property
    def effective_draws(self) -> float:
        return float(1.0 / np.sum(self.weights**2))


def sample_release(model: ReleaseModel, *, seed: int, rounds: int = 12) -> Posterior:
    """The posterior of a model; the same seed gives the same draws.

    The reference and the Student-t weights are those of the highest summit, and held.
    """
    rng = np.random.default_rng(seed)
    draws = 300 if model.blocks.count.size > _MANY else 1500
    tried = [climb(model, start, rounds=1, steps=12) for start in starts(model)]
    hopeful = [found for found in tried if found[2] > max(other[2] for other in tried) - _HOPELESS]
    model, summit, _ = max((climb(*found[:2]) for found in hopeful), key=lambda found: found[2])
    laplacian = (summit[1:], laplace(model, summit[1:]))
    broad = (np.concatenate([[0.0, 0.0], PRIOR_MEAN]), np.diag([_WIDE_M**2] * 2 + list(PRIOR_SD**2)))
    proposals = [laplacian, broad]
    points = np.empty((0, STEP.size))
    value = np.empty(0)
    made: list[tuple[float, np.ndarray, np.ndarray]] = []
    for _ in range(rounds):
        for centre, spread in proposals:
            n = max(draws // len(proposals), 1)
            fresh = multivariate_t(centre, spread, df=_TAIL, seed=rng).rvs(n).reshape(n, -1)
            points = np.concatenate([points, fresh])
            value = np.concatenate([value, [model.log_density(point) for point in fresh]])
            made.append((float(n), centre, spread))
        weights = _weights(points, value, made)
        if 1.0 / np.sum(weights**2) >= ENOUGH:
            break
        proposals = [_refit(points, weights), laplacian, broad]
    kept = weights > 1e-9 * weights.max()
    points, weights = points[kept], weights[kept] / weights[kept].sum()
    rate = np.array([model.rate(point)[:2] for point in points])
    return Posterior(points, weights, rate[:, 0], rate[:, 1])


def starts(model: ReleaseModel) -> list[np.ndarray]:
    """Places far apart with the highest density, rates by least squares, the prior's dispersion (≤ 4, 7)."""
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
    lower = cholesky(model.background + np.diag(model.air_variance), lower=True, check_finite=False)
    offsets = np.linalg.qr(solve_triangular(lower, model.offsets, lower=True))[0]
    dispersion = unpack(np.concatenate([[0.0, 0.0, 0.0], PRIOR_MEAN]))[1]
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
            value = now.log_density(scaled * STEP)
            return -value if np.isfinite(value) else 1e9

        options = {"maxiter": steps, "ftol": 1e-8}
        found = minimize(falling, unknowns[1:] / STEP, method="L-BFGS-B", options=options)
        shape = found.x * STEP
        fresh = np.concatenate([[np.log(max(model.rate(shape)[0], 0.1))], shape])
        moved = float(np.max(np.abs(fresh - unknowns) / np.concatenate([[1.0], STEP])))
        unknowns = fresh
        if moved < _SETTLED:
            break
    model, bound = model.at(unknowns).reweighted()
    return model, unknowns, bound + log_prior(unknowns[1:])


def laplace(model: ReleaseModel, summit: np.ndarray) -> np.ndarray:
    """Inverse of minus the second differences at a summit (6, 6), made positive where they are not."""
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


def _weights(
    points: np.ndarray, value: np.ndarray, made: list[tuple[float, np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Importance weights against the mixture of all proposals, sum 1."""
    total = sum(n for n, _, _ in made)
    mixture = logsumexp(
        [np.log(n / total) + multivariate_t(c, s, df=_TAIL).logpdf(points) for n, c, s in made], axis=0
    )
    log_weight = value - mixture
    return np.asarray(np.exp(log_weight - logsumexp(log_weight)))


def _refit(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale of a Student-t proposal with the moments of the draws, tempered while they are few."""
    worth = 1.0 / np.sum(weights**2)
    tempered = weights ** min(1.0, worth / 60.0)
    tempered = tempered / tempered.sum()
    centre = tempered @ points
    away = points - centre
    scale = (away * tempered[:, None]).T @ away * (_TAIL - 2) / _TAIL * 1.2
    return centre, scale + np.diag((0.02 * STEP) ** 2)


def pooled(members: list[Posterior]) -> Posterior:
    """The mixture of posteriors in equal parts."""
    return Posterior(
        np.concatenate([member.draws for member in members]),
        np.concatenate([member.weights for member in members]) / len(members),
        np.concatenate([member.rate for member in members]),
        np.concatenate([member.rate_sd for member in members]),
    )
