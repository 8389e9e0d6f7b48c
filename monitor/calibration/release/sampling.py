"""The joint posterior of place, rate and dispersion, by populations of draws that are annealed.

Starts come from a coarse grid of places; from the hopeful ones the density is climbed, reference and
Student-t weights found in turn.  Draws about the summits, and some over the whole area, are led to the
posterior (`annealing`).  Populations that know nothing of each other say whether it has settled.  Given place
and dispersion the rate is integrated, and is not drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from monitor.calibration.release import rates
from monitor.calibration.release.annealing import Density, bridged
from monitor.calibration.release.climbing import STEP, climb, laplace, starts, thinned
from monitor.calibration.release.model import AREA_M, PRIOR_MEAN, PRIOR_SD, ReleaseModel

#: Starts that end this far below the best in ln density after a first short climb are given up.
_HOPELESS: Final = 30.0
#: Degrees of freedom of the first draws.
_TAIL: Final = 5.0
#: σ of the place of those over the whole area [m], and their share.
_WIDE_M, _BROAD = 0.6 * AREA_M, 0.25
#: σ of the wide ones about a summit [`STEP`].
_BEND: Final = 2.0
#: Populations, draws in each, and draws with more half hours than `_MANY`, which cost much.
_POPULATIONS, _DRAWS, _FEWER, _MANY = 4, 80, 48, 1000
#: R̂ between populations above which the posterior was not found; doublings of the draws that are tried then.
SETTLED, _DOUBLINGS = 1.1, 2
#: The reference is given up for one that is higher by this in ln density, and is looked for at most so often.
_HIGHER, _REFERENCES = 1.0, 3
#: Plumes of the first posterior that the independent errors of the second are a mean of.
_PLUMES: Final = 40

#: Ln density of a shape (7,), estimate and σ of its rate [g min⁻¹].
Evaluate = Callable[[np.ndarray], tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws of the shape, and what each says of the rate.

    Attributes
    ----------
    draws : (d, 7)
    weights : (d,)
        Their sum is one.
    rate, rate_sd : (d,)
        Mean and σ of the rate given the shape [g min⁻¹].
    disagreement
        Gelman and Rubin's R̂ between populations (1992, Stat. Sci. 7, 457), the largest of rate and place; one
        where they agree.
    """

    draws: np.ndarray
    weights: np.ndarray
    rate: np.ndarray
    rate_sd: np.ndarray
    disagreement: float

    def rate_quantiles(self, at: np.ndarray) -> np.ndarray:
        """Quantiles of the rate [g min⁻¹]."""
        return rates.quantiles(at, self.rate, self.rate_sd, self.weights)

    @property
    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (2,) and covariance (2, 2) of the place [m]."""
        places = self.draws[:, :2]
        mean = self.weights @ places
        away = places - mean
        return mean, np.asarray((away * self.weights[:, None]).T @ away)

    def plumes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Unknowns (n, 8) drawn from it, with the estimate of the rate for each shape."""
        chosen = rng.choice(self.weights.size, n, p=self.weights)
        return np.column_stack([_log_rate(self.rate), self.draws])[chosen]


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Student-t's, ν = `_TAIL`: shares (k,), centres (k, 7), scales (k, 7, 7)."""

    share: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """(d,)."""
        each = zip(self.share, self.centre, self.scale, strict=True)
        parts = [np.log(a) + multivariate_t(m, s, df=_TAIL).logpdf(points) for a, m, s in each]
        return np.asarray(logsumexp(np.stack(parts), axis=0))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, 7)."""
        many = rng.multinomial(n, self.share)
        each = zip(many, self.centre, self.scale, strict=True)
        made = [multivariate_t(m, s, df=_TAIL, seed=rng).rvs(k).reshape(k, -1) for k, m, s in each if k]
        return np.concatenate(made)


def sample_release(model: ReleaseModel, *, seed: int, draws: int | None = None) -> Posterior:
    """The posterior of a model; the same seed gives the same draws, so many in each population to begin with.

    Where the populations disagree they are drawn again, twice as large each time.
    """
    rng = np.random.default_rng(seed)
    size = draws or (_FEWER if model.blocks.count.size > _MANY else _DRAWS)
    begin = summits_of(model)
    found = _sampled(*begin, size, rng)
    for _ in range(_DOUBLINGS):
        if found.disagreement <= SETTLED:
            break
        size *= 2
        found = _sampled(*begin, size, rng)
    return found


def _sampled(
    model: ReleaseModel, summits: list[np.ndarray], bound: float, size: int, rng: np.random.Generator
) -> Posterior:
    """The posterior by populations of a size.

    Reference and Student-t weights are those of the highest summit, and of a higher one that draws come upon.
    A first posterior says how wide the plumes spread that may be true; with the independent errors of their
    mean the second is drawn.
    """
    many = model.blocks.count.size > _MANY
    for _ in range(_REFERENCES):
        proposal = _about(model, summits)
        sharp = model.tempered()
        # many instruments leave the plume no place where the factors of the reference mislead, and cost much
        evaluate = sharp.evaluated_held if many else sharp.evaluated
        begun = [proposal.draw(size, rng) for _ in range(_POPULATIONS)]
        drawn = [bridged(proposal.log_density, _density(evaluate), one, STEP, rng) for one in begun]
        first, highest = _found(evaluate, drawn)
        other, highest, higher = climb(model, highest, rounds=4)
        if higher < bound + _HIGHER:
            break
        model, bound, summits = other, higher, [highest[1:], *summits]
    model = model.about(first.plumes(_PLUMES, rng)).towards_weights().towards_weights()
    second = model.tempered().evaluated
    drawn = [bridged(_density(evaluate), _density(second), one, STEP, rng) for one in drawn]
    return _found(second, drawn)[0]


def _density(evaluate: Evaluate) -> Density:
    """The ln density of many shapes (n, 7)."""
    return lambda shapes: np.array([evaluate(shape)[0] for shape in shapes])


def _found(evaluate: Evaluate, populations: list[np.ndarray]) -> tuple[Posterior, np.ndarray]:
    """The posterior of populations of draws, and the unknowns (8,) of the highest."""
    value, rate, sd = np.array([[evaluate(shape) for shape in one] for one in populations]).transpose(2, 0, 1)
    watched = np.concatenate([_log_rate(rate)[..., None], np.stack(populations)[..., :2]], axis=2)
    draws, size = np.concatenate(populations), value.size
    best = int(np.argmax(value))
    highest = np.concatenate([_log_rate(rate).ravel()[best : best + 1], draws[best]])
    posterior = Posterior(draws, np.full(size, 1 / size), rate.ravel(), sd.ravel(), potential_scale(watched))
    return posterior, highest


def potential_scale(watched: np.ndarray) -> float:
    """R̂ of populations (m, n, k), the largest over k."""
    within = watched.var(axis=1, ddof=1).mean(axis=0)
    between = watched.mean(axis=1).var(axis=0, ddof=1)
    size = watched.shape[1]
    return float(np.sqrt((size - 1) / size + np.max(between / np.maximum(within, 1e-300))))


def _log_rate(rate: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.clip(rate, rates.LEAST_G_MIN, rates.LARGEST_G_MIN)))


def summits_of(model: ReleaseModel) -> tuple[ReleaseModel, list[np.ndarray], float]:
    """The model at its highest summit, the shapes (7,) of all worth climbing, the bound at the highest."""
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
    return highest[0], [highest[1][1:], *(summit[1:] for _, summit, _ in climbed[1:])], highest[2]


def _about(model: ReleaseModel, summits: list[np.ndarray]) -> _Mixture:
    """Laplace approximations at the summits, each with a wide one because ridges bend, and the whole area."""
    broad = np.diag([_WIDE_M**2] * 2 + list(PRIOR_SD**2))
    tight = [laplace(model, summit) for summit in summits]
    wide = [narrow + np.diag((_BEND * STEP) ** 2) for narrow in tight]
    share = np.full(2 * len(summits) + 1, (1 - _BROAD) / (2 * len(summits)))
    share[-1] = _BROAD
    centre = np.stack([*summits, *summits, np.concatenate([[0.0, 0.0], PRIOR_MEAN])])
    return _Mixture(share, centre, np.stack([*tight, *wide, broad]))


def pooled(members: list[Posterior]) -> Posterior:
    """The mixture of posteriors in equal parts; as settled as the least of them."""
    return Posterior(
        np.concatenate([member.draws for member in members]),
        np.concatenate([member.weights for member in members]) / len(members),
        np.concatenate([member.rate for member in members]),
        np.concatenate([member.rate_sd for member in members]),
        max(member.disagreement for member in members),
    )
