"""The joint posterior of place, rate and dispersion, by adaptive importance sampling.

Starts come from a coarse grid of places; from the hopeful ones the density is climbed, reference and
Student-t weights found in turn.  The first proposals are Laplace approximations at the summits beside broad
ones, the last of them over the whole area.  Rounds of draws then move a mixture of Student-t's towards all
draws so far (Cappé et al. 2008, Stat. Comput. 18, 447), and every draw is weighted by the mixture of all
proposals (Cornuet et al. 2012, Scand. J. Stat. 39, 798), so that no round is thrown away.  Given place and
dispersion the rate is integrated, and is not drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from monitor.calibration.release import rates
from monitor.calibration.release.climbing import STEP, climb, laplace, starts, thinned
from monitor.calibration.release.model import AREA_M, PRIOR_MEAN, PRIOR_SD, ReleaseModel

_TAIL: Final = 5.0
#: Starts that end this far below the best in ln density after a first short climb are given up.
_HOPELESS: Final = 15.0
#: σ of the broad proposal's place [m], and its share.
_WIDE_M, _BROAD = 0.6 * AREA_M, 0.15
#: Draws a round, with more than so many half hours.
_MANY: Final = 1000
_DRAWS: Final = ((_MANY, 120), (400, 300), (0, 600))
#: Powers of the density that are tried until draws are worth `_SOME`; parts that join after the first round.
_POWERS, _SOME, _MORE = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), 40.0, 4
#: Plumes of the first posterior that the independent errors of the second are a mean of.
_PLUMES: Final = 40
#: σ of the wide proposals [`STEP`].
_BEND: Final = 2.0
#: σ of the narrowest proposals.
_LEAST: Final = 0.02 * STEP
#: Effective draws at which no further round is made.
ENOUGH: Final = 250.0


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws (d, 7) of the shape, weights (d,) that sum to one, and of each the rate's mean and σ."""

    draws: np.ndarray
    weights: np.ndarray
    rate: np.ndarray
    rate_sd: np.ndarray

    def rate_quantiles(self, at: np.ndarray) -> np.ndarray:
        """Quantiles of the rate [g min⁻¹]."""
        return rates.quantiles(at, self.rate, self.rate_sd, self.weights)

    @property
    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (2,) and covariance (2, 2) of the place [m]."""
        places = self.draws[:, :2]
        return self.weights @ places, _moments(places, self.weights)

    def plumes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Unknowns (n, 8) drawn from it, with the estimate of the rate for each shape."""
        chosen = rng.choice(self.weights.size, n, p=self.weights)
        rate = np.clip(self.rate[chosen], rates.LEAST_G_MIN, rates.LARGEST_G_MIN)
        return np.column_stack([np.log(rate), self.draws[chosen]])

    @property
    def effective_draws(self) -> float:
        return float(1.0 / np.sum(self.weights**2))


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Student-t's, ν = `_TAIL`: shares (k,), centres (k, 7), scales (k, 7, 7); the last one is broad."""

    share: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    def log_parts(self, points: np.ndarray) -> np.ndarray:
        """Ln of share times density (k, d)."""
        each = zip(self.share, self.centre, self.scale, strict=True)
        return np.stack([np.log(a) + multivariate_t(m, s, df=_TAIL).logpdf(points) for a, m, s in each])

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, 7)."""
        many = rng.multinomial(n, self.share)
        each = zip(many, self.centre, self.scale, strict=True)
        made = [multivariate_t(m, s, df=_TAIL, seed=rng).rvs(k).reshape(k, -1) for k, m, s in each if k]
        return np.concatenate(made)

    def towards(self, points: np.ndarray, weights: np.ndarray) -> _Mixture:
        """Moved to the moments of weighted draws; the broad one stays."""
        log_parts = self.log_parts(points)
        owner = np.exp(log_parts - logsumexp(log_parts, axis=0)) * weights
        share, centre, scale = self.share.copy(), self.centre.copy(), self.scale.copy()
        for k in range(share.size - 1):
            share[k] = owner[k].sum()
            # a part of few draws keeps its place
            if np.sum(owner[k]) ** 2 < 2 * STEP.size * np.sum(owner[k] ** 2):
                continue
            centre[k] = owner[k] @ points / share[k]
            moments = _moments(points, owner[k] / share[k])
            scale[k] = moments * (_TAIL - 2) / _TAIL * 1.2 + np.diag(_LEAST**2)
        share[:-1] = np.maximum(share[:-1] / max(share[:-1].sum(), 1e-300), 0.05)
        share[:-1] *= (1 - _BROAD) / share[:-1].sum()
        return _Mixture(share, centre, scale)

    def joined_by(self, points: np.ndarray, spread: np.ndarray) -> _Mixture:
        """With a part of scale `spread` (7, 7) more at each point (k, 7), before the broad one."""
        many = len(points)
        share = np.insert(self.share[:-1] / 2, self.share.size - 1, np.full(many, (1 - _BROAD) / 2 / many))
        scales = np.broadcast_to(spread, (many, *spread.shape))
        return _Mixture(
            np.append(share, _BROAD),
            np.concatenate([self.centre[:-1], points, self.centre[-1:]]),
            np.concatenate([self.scale[:-1], scales, self.scale[-1:]]),
        )


def sample_release(model: ReleaseModel, *, seed: int, rounds: int = 12) -> Posterior:
    """The posterior of a model; the same seed gives the same draws.

    Reference and Student-t weights are those of the highest summit.  A first posterior says how wide the
    plumes spread that may be true; with the independent errors of their mean the second is drawn.
    """
    rng = np.random.default_rng(seed)
    draws = next(n for least, n in _DRAWS if model.blocks.count.size > least)
    model, summits = summits_of(model)
    sharp = model.tempered()
    # many instruments leave the plume no place where the factors of the reference mislead, and cost much
    evaluate = sharp.evaluated_held if model.blocks.count.size > _MANY else sharp.evaluated
    first, mixture = _adapted(evaluate, _first(model, summits), rng, (draws, _SOME, max(rounds // 3, 1)))
    model = model.about(first.plumes(_PLUMES, rng)).towards_weights().towards_weights()
    return _adapted(model.tempered().evaluated, mixture, rng, (draws, ENOUGH, rounds))[0]


def _adapted(
    evaluate: Callable[[np.ndarray], tuple[float, float, float]],
    mixture: _Mixture,
    rng: np.random.Generator,
    effort: tuple[int, float, int],
) -> tuple[Posterior, _Mixture]:
    """The posterior of an evaluated density, and the last proposal.

    `effort`: draws a round, the effective draws that are enough, and the most rounds.
    """
    draws, enough, rounds = effort
    points, found = np.empty((0, STEP.size)), np.empty((0, 3))
    made: list[_Mixture] = []
    while True:
        fresh = mixture.draw(draws, rng)
        points = np.concatenate([points, fresh])
        found = np.concatenate([found, [evaluate(point) for point in fresh]])
        made.append(mixture)
        weights = _weights(points, found[:, 0], made)
        flat = _flattened(points, found[:, 0], made)
        if len(made) == 1:
            chosen = points[rng.choice(flat.size, _MORE, p=flat)]
            # all weight may lie on one draw, which has no spread
            mixture = mixture.joined_by(chosen, _moments(points, flat) / 4 + np.diag(_LEAST**2))
        mixture = mixture.towards(points, flat)
        if 1.0 / np.sum(weights**2) >= enough or len(made) == rounds:
            break
    kept = weights > 1e-6 * weights.max()
    posterior = Posterior(points[kept], weights[kept] / weights[kept].sum(), found[kept, 1], found[kept, 2])
    return posterior, mixture


def _moments(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Covariance (k, k) of draws (d, k) whose weights (d,) sum to one."""
    away = points - weights @ points
    return np.asarray((away * weights[:, None]).T @ away)


def summits_of(model: ReleaseModel) -> tuple[ReleaseModel, list[np.ndarray]]:
    """The model at its highest summit, and the shapes (7,) of all worth climbing, the highest first."""
    few = thinned(model)
    tried = [climb(few, start, rounds=1, steps=12) for start in starts(few)]
    best = max(bound for _, _, bound in tried)
    hopeful = [found for found in tried if found[2] > best - _HOPELESS]
    climbed = sorted(
        (climb(*found[:2], rounds=4, steps=20) for found in hopeful), key=lambda found: -found[2]
    )
    apart: list[tuple[ReleaseModel, np.ndarray, float]] = []
    for found in climbed:
        if all(np.any(np.abs(found[1][1:] - other[1][1:]) > STEP) for other in apart):
            apart.append(found)
    climbed = apart
    highest = climbed[0] if few is model else climb(model, climbed[0][1], rounds=4)
    return highest[0], [highest[1][1:], *(summit[1:] for _, summit, _ in climbed[1:])]


def _first(model: ReleaseModel, summits: list[np.ndarray]) -> _Mixture:
    """Laplace approximations at the summits, each with a wide one because ridges bend, and the broad one."""
    broad = np.diag([_WIDE_M**2] * 2 + list(PRIOR_SD**2))
    tight = [laplace(model, summit) for summit in summits]
    wide = [narrow + np.diag((_BEND * STEP) ** 2) for narrow in tight]
    share = np.full(2 * len(summits) + 1, (1 - _BROAD) / (2 * len(summits)))
    share[-1] = _BROAD
    centre = np.stack([*summits, *summits, np.concatenate([[0.0, 0.0], PRIOR_MEAN])])
    return _Mixture(share, centre, np.stack([*tight, *wide, broad]))


def _weights(points: np.ndarray, value: np.ndarray, made: list[_Mixture]) -> np.ndarray:
    """Importance weights against the mixture of all proposals, sum 1."""
    mixture = logsumexp([logsumexp(one.log_parts(points), axis=0) for one in made], axis=0)
    log_weight = value - mixture
    return np.asarray(np.exp(log_weight - logsumexp(log_weight)))


def _flattened(points: np.ndarray, value: np.ndarray, made: list[_Mixture]) -> np.ndarray:
    """Weights of the density to the largest power that leaves draws worth `_SOME`: rather too wide."""
    for power in _POWERS:
        weights = _weights(points, power * value, made)
        if 1.0 / np.sum(weights**2) >= _SOME:
            break
    return weights


def pooled(members: list[Posterior]) -> Posterior:
    """The mixture of posteriors in equal parts."""
    return Posterior(
        np.concatenate([member.draws for member in members]),
        np.concatenate([member.weights for member in members]) / len(members),
        np.concatenate([member.rate for member in members]),
        np.concatenate([member.rate_sd for member in members]),
    )
