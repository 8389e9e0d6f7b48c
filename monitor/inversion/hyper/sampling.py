"""Hyperparameters by a short Markov chain, where their posterior is not log-normal.

Metropolis steps of two kinds, chosen by a coin (Tierney 1994, §2.4): one from a t distribution about the
maximum with the Laplace covariance, which crosses the whole posterior and is taken often where Laplace is
good; one of 2.38/√q of that width about the present place, which goes on where it is not.  Neither adapts, so
that every step leaves the posterior as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.errors import InputError, NumericalError
from monitor.inversion.components import Parameter
from monitor.inversion.hyper.evidence import Evidence
from monitor.inversion.hyper.fit import MixedTotals, held, mixture, search
from monitor.inversion.linear import LinearProblem
from monitor.inversion.progress import Progress, shown

#: Degrees of freedom of the long steps: tails heavier than those of a posterior with log-normal priors.
_TAILS = 5.0
#: Steps before the first that counts; the chain begins at the maximum.
_WARM_UP = 50


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws of the hyperparameters from their posterior.

    Attributes
    ----------
    values : (draws, q)
    log_posterior : (draws,)
        Evidence times prior, in logarithms and up to a constant.
    acceptance : float
        Share of the steps that were taken.
    effective_size : (q,)
        Independent draws that would say as much of the mean of each logarithm; NaN for a parameter held.
    """

    parameters: tuple[Parameter, ...]
    values: np.ndarray
    log_posterior: np.ndarray
    acceptance: float
    effective_size: np.ndarray
    evidence: Evidence

    def __getitem__(self, name: str) -> np.ndarray:
        names = [p.name for p in self.parameters]
        if name not in names:
            raise InputError(f"no parameter '{name}'", expected=", ".join(names))
        return np.asarray(self.values[:, names.index(name)])

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Quantiles that hold `level` of the draws between them (q, 2)."""
        if not 0 < level < 1:
            raise InputError("a level lies between 0 and 1", found=str(level))
        return np.asarray(np.quantile(self.values, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0).T)

    def totals(self, totals: Any = None, points: int = 64) -> MixedTotals:
        """The mixture of the totals' posteriors over `points` draws at equal distances in the chain.

        `within` is the mean of their covariances, `between` the covariance of their means.
        """
        chosen = np.linspace(0, self.values.shape[0] - 1, min(points, self.values.shape[0])).astype("i8")
        return mixture(self.evidence, list(self.values[chosen]), totals)


def sample(
    problem: LinearProblem,
    *,
    draws: int = 1000,
    seed: int = 0,
    fixed: Collection[str] = (),
    method: str = "auto",
    progress: Progress | None = None,
) -> Sample:
    """Draw the hyperparameters of a linear problem from evidence times prior.

    Parameters
    ----------
    fixed, method
        As in `maximise_evidence`, which says where the chain begins.
    progress : callable (done, total), optional
        Called after every step; a bar on a terminal if absent.

    Raises
    ------
    InputError
        When nothing is free, `fixed` names no parameter, or there are no draws.
    NumericalError
        When Ψ is not positive definite at the stated values.
    """
    if not isinstance(problem, LinearProblem):
        raise InputError(
            "hyperparameters are sampled of a problem in plain arrays",
            expected="LinearProblem",
            found=type(problem).__name__,
            remedy="of an InverseProblem: hyper.sample(problem.linear())",
        )
    parameters = held(problem.parameters, fixed)
    free = np.array([p.log_sd > 0 for p in parameters])
    if not free.any() or draws < 1:
        raise InputError(
            "nothing to sample",
            expected="a free parameter and at least one draw",
            found=f"{int(free.sum())} free parameters, {draws} draws",
        )
    found, evidence = search(problem, parameters, method)
    target = _Target(evidence, parameters, np.log(found.values))
    root = np.linalg.cholesky(found.log_covariance[np.ix_(free, free)])
    with shown("draws", progress) as done:
        steps, logs, taken = _walk(target, root, draws, np.random.default_rng(seed), done)
    values = np.tile(found.values, (draws, 1))
    values[:, free] *= np.exp(steps @ root.T)
    size = np.full(free.size, np.nan)
    size[free] = [effective_size(column) for column in np.log(values[:, free]).T]
    return Sample(parameters, values, logs, taken, size, evidence)


@dataclass(frozen=True, eq=False)
class _Target:
    """Ln of evidence times prior over ln θ; −∞ where Ψ is so near to singular that it cannot be factored."""

    evidence: Evidence
    parameters: tuple[Parameter, ...]
    centre: np.ndarray

    def __call__(self, shift: np.ndarray) -> float:
        width = np.array([p.log_sd for p in self.parameters])
        free = width > 0
        theta = self.centre.copy()
        theta[free] += shift
        median = np.log([p.start for p in self.parameters])
        step = (theta - median)[free] / width[free]
        try:
            value = self.evidence.value(np.exp(theta))
        except NumericalError:
            return -np.inf
        return value - 0.5 * float(step @ step)


def _walk(
    target: _Target,
    root: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Places in units of `root` from the maximum (draws, q), ln of the target there, and the share taken."""
    q = root.shape[0]
    here, log_here = np.zeros(q), target(np.zeros(q))
    places, logs, taken = np.empty((draws, q)), np.empty(draws), 0
    for k in range(-_WARM_UP, draws):
        far = rng.random() < 0.5
        normal = rng.standard_normal(q)
        heavy = normal / np.sqrt(rng.chisquare(_TAILS) / _TAILS)
        there = heavy if far else here + 2.38 / np.sqrt(q) * normal
        log_there = target(root @ there)
        gain = log_there - log_here + (_log_t(here) - _log_t(there) if far else 0.0)
        if np.log(rng.random()) < gain:
            here, log_here = there, log_there
            taken += k >= 0
        if k >= 0:
            places[k], logs[k] = here, log_here
        progress(k + _WARM_UP + 1, draws + _WARM_UP)
    return places, logs, taken / draws


def _log_t(place: np.ndarray) -> float:
    """Ln of the density of the long steps, up to a constant."""
    return float(-0.5 * (_TAILS + place.size) * np.log1p(place @ place / _TAILS))


def effective_size(chain: np.ndarray) -> float:
    """Number of independent draws that would know the mean of a chain (draws,) as well.

    Sums of neighbouring autocorrelations are added while they are positive (Geyer 1992, §3.3).
    """
    n = chain.size
    centred = chain - chain.mean()
    wave = np.fft.rfft(centred, 2 * n)
    correlation = np.fft.irfft(wave * wave.conj())[:n]
    if not correlation[0] > 0:
        return 1.0
    pairs = (correlation[: n - n % 2] / correlation[0]).reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    kept = pairs[: ends[0]] if ends.size else pairs
    return float(n / max(2.0 * kept.sum() - 1.0, 1.0))
