"""The Gaussian posterior truncated to x ≥ 0 in chosen unknowns, by exact Hamiltonian Monte Carlo.

With the posterior N(x̂, P) as the reference and P⁻¹ as the mass, the paths are known::

    x(t) = x̂ + (x₀ − x̂) cos t + v sin t,    v ~ N(0, P)

and nothing is rejected.  Where a chosen unknown falls to zero, the velocity is reflected in the metric of the
mass, ``v ← v − 2 v_j P_·j / P_jj`` (Pakman & Paninski 2014, §2.2).  In time π/2 a path that meets no wall
ends in a draw that is independent of its beginning.

The paper works with white unknowns and needs a root of P; here P is used through draws of it (a draw of prior
and errors less what the inversion makes of it) and through its columns at the walls that are met, so that m
may be large where few walls matter.  A path has about as many reflections as there are unknowns near zero,
each of cost m.
"""

from __future__ import annotations

import numpy as np

from monitor.errors import InputError, NumericalError
from monitor.inversion.kernels import bounce
from monitor.inversion.linear import LinearPosterior
from monitor.inversion.positivity import (
    PositivePosterior,
    covariance_product,
    ensure_drawable,
    posterior_noise,
)
from monitor.inversion.progress import tracked

CHAINS = 4
#: Draws before the first that counts, in each chain.
BURN_IN = 50
#: Velocities that are drawn at once, and columns of the covariance that are worked out at once.
_BATCH = 64
#: Reflections in one path, per constraint, beyond which something is wrong.
_REFLECTIONS = 1000


def solve_truncated(
    posterior: LinearPosterior, positive: np.ndarray, draws: int, seed: int
) -> PositivePosterior:
    """Draws of the posterior restricted to x ≥ 0 where `positive` (m,).

    Raises
    ------
    InputError
        When a chosen unknown is negative and certain, or it takes more memory than is affordable.
    NumericalError
        When a path is reflected without end.
    """
    problem = posterior.problem
    ensure_drawable(draws * problem.m, f"{draws} draws of {problem.m} unknowns")
    prior = problem.prior_covariance.diagonal()
    certain = prior == 0
    for pattern in problem.fixed_effects.values():
        certain &= pattern == 0
    below = np.flatnonzero(positive & certain & (problem.prior_mean < 0))
    if below.size:
        raise InputError(
            f"{below.size} unknowns can not be positive: they are certain",
            found=f"prior mean {problem.prior_mean[below[0]]:.6g} without variance at index {int(below[0])}",
            remedy="give them a variance, or leave them out of positive",
        )
    walls = _Walls(posterior, np.flatnonzero(positive & ~certain))
    rng = np.random.default_rng(seed)
    length = -(-draws // CHAINS)
    kept = np.empty((CHAINS * length, problem.m))
    for chain in tracked("chains", range(CHAINS)):
        walls.run(rng, kept[chain * length : (chain + 1) * length])
    return PositivePosterior(kept, CHAINS, problem, "truncated", positive, posterior)


class _Walls:
    """The state of the sampler: where the walls are, and the columns of P at those that were met."""

    def __init__(self, posterior: LinearPosterior, held: np.ndarray) -> None:
        self.posterior, self.held = posterior, held
        self.mean = posterior.mean
        prior = np.sqrt(posterior.problem.prior_covariance.diagonal())
        self.prior_std = np.where(prior > 0, prior, np.maximum(np.abs(self.mean), 1.0))
        # the walls that are met first: their columns come along when one is asked for
        self.nearest = held[np.argsort(self.mean[held] / self.prior_std[held], kind="stable")]
        self.place = np.full(self.mean.size, -1)
        self.columns, self.known = np.empty((0, self.mean.size)), 0

    def run(self, rng: np.random.Generator, out: np.ndarray) -> None:
        """Fill `out` (length, m) with a chain of its own."""
        start = self.mean.copy()
        outside = self.held[start[self.held] <= 0]
        start[outside] = self.prior_std[outside] * rng.uniform(0.05, 0.5, outside.size)
        offset = start - self.mean
        total = BURN_IN + out.shape[0]
        for first in range(0, total, _BATCH):
            velocities = posterior_noise(self.posterior, min(_BATCH, total - first), rng).T
            for k, velocity in enumerate(velocities, start=first - BURN_IN):
                self.follow(offset, np.ascontiguousarray(velocity))
                if k >= 0:
                    out[k] = self.mean + offset
        # rounding of a wall that is touched at the end of a path
        out[:, self.held] = np.abs(out[:, self.held])

    def follow(self, offset: np.ndarray, velocity: np.ndarray) -> None:
        """One path of time π/2, in place."""
        left, count = 0.5 * np.pi, 0
        most = _REFLECTIONS * (self.held.size + 1)
        while left > 0:
            left, missing, met = bounce(
                self.mean, offset, velocity, self.held, self.place, self.columns, left, most - count
            )
            count += met
            if count >= most:
                raise NumericalError(
                    "a path of the truncated posterior is reflected without end",
                    expected=f"fewer than {most} reflections of {self.held.size} constraints",
                    found=f"{count}, with {left:.3g} of π/2 left",
                    remedy="look for chosen unknowns that contradict each other",
                )
            if missing >= 0:
                self.learn(missing)

    def learn(self, wall: int) -> None:
        """The columns of P at a wall and at the nearest that are not known yet."""
        unknown = self.nearest[(self.place[self.nearest] < 0) & (self.nearest != wall)]
        fresh = np.concatenate([[wall], unknown[: _BATCH - 1]])
        need, m = self.known + fresh.size, self.mean.size
        ensure_drawable(need * m, f"the covariances at {need} constraints of {m} unknowns")
        if need > self.columns.shape[0]:
            larger = np.empty((min(2 * need, self.held.size), m))
            larger[: self.known] = self.columns[: self.known]
            self.columns = larger
        unit = np.zeros((m, fresh.size))
        unit[fresh, np.arange(fresh.size)] = 1.0
        self.columns[self.known : need] = covariance_product(self.posterior, unit).T
        self.place[fresh] = np.arange(self.known, need)
        self.known = need
