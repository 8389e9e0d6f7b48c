"""Intervals cover what they say: truth drawn from the prior, data from the model, covariances right."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, chi2

from monitor import inversion as inv
from monitor.inversion import covariance as cov

WORLDS = 2000
Z95 = 1.959963984540054
RANKS = 20


def world(seed: int):
    """A small city: 4 to 8 hours × 6 to 12 cells, two stations; a truth, data with its errors, two totals."""
    rng = np.random.default_rng([77, seed])
    p, ny, nx = int(rng.integers(4, 9)), int(rng.integers(2, 4)), int(rng.integers(3, 5))
    s = ny * nx
    q = cov.Kronecker(
        cov.Exponential(rng.uniform(1, 10), np.arange(p, dtype="f8")),
        cov.Matern(rng.uniform(0.7, 3), rng.choice([0.5, 1.5, 2.5]), (ny, nx)),
        rng.uniform(0.3, 3.0, (p, s)),
    )
    hours = np.repeat(np.arange(p, dtype="f8"), 2)
    station = np.tile([0, 1], p)
    r = cov.Sum(
        (
            cov.Diagonal(rng.uniform(0.05, 2.0, hours.size)),
            cov.Exponential(rng.uniform(0.5, 5), hours, groups=station, std=rng.uniform(0.1, 1.0)),
        )
    )
    h = rng.gamma(1.0, 1.0, (hours.size, p * s)) * (rng.random((hours.size, p * s)) < 0.3)
    prior = rng.normal(size=p * s)
    truth = prior + q.sqrt_matvec(rng.standard_normal(q.sqrt_size))
    y = h @ truth + r.sqrt_matvec(rng.standard_normal(r.sqrt_size))
    totals = np.stack([np.ones(p * s), rng.uniform(0, 1, p * s)])
    return inv.LinearProblem(h, y, prior, q, r, totals=totals), totals @ truth, rng


def test_intervals_of_95_per_cent_cover_95_per_cent_and_ranks_are_flat():
    """2,000 worlds: the truth of each total among 19 draws from its posterior takes every rank alike."""
    inside, ranks, squares = [], [], []
    for seed in range(WORLDS):
        problem, truth, rng = world(seed)
        posterior = inv.solve(problem)
        found = posterior.totals
        error = truth - found.mean
        inside.append(np.abs(error) <= Z95 * found.std)
        draws = rng.multivariate_normal(np.zeros(2), found.covariance, size=RANKS - 1, method="cholesky")
        ranks.append((draws < error).sum(axis=0))
        # both totals together: the covariance between them counts
        squares.append(error @ np.linalg.solve(found.covariance, error))
    covered = np.mean(inside, axis=0)
    assert ((covered >= 0.94) & (covered <= 0.96)).all(), covered
    for total in range(2):
        counts = np.bincount(np.array(ranks)[:, total], minlength=RANKS)
        statistic = ((counts - WORLDS / RANKS) ** 2 / (WORLDS / RANKS)).sum()
        assert chi2.sf(statistic, RANKS - 1) > 0.001, counts
    jointly = int(np.sum(np.array(squares) <= chi2.ppf(0.95, 2)))
    # a binomial count beyond its 0.1 % tails would be worth a look
    assert binom.ppf(0.001, WORLDS, 0.95) <= jointly <= binom.ppf(0.999, WORLDS, 0.95)


def test_fixed_effects_are_covered_whatever_their_truth():
    """A pattern of any strength, ten prior σ away: a flat prior does not vote."""
    inside = []
    for seed in range(500):
        problem, _, rng = world(seed)
        pattern = rng.gamma(2.0, 1.0, problem.m)
        strength = 10.0 * rng.normal()
        moved = inv.LinearProblem(
            problem.jacobian,
            problem.observations + strength * (problem.jacobian @ pattern),
            problem.prior_mean,
            problem.prior_covariance,
            problem.mismatch_covariance,
            fixed_effects={"claim": pattern},
        )
        found = inv.solve(moved).fixed_effects
        inside.append(abs(found.mean[0] - strength) <= Z95 * np.sqrt(found.covariance[0, 0]))
    covered = int(np.sum(inside))
    # 500 draws: the 0.1 % tails of the binomial at 95 %
    assert binom.ppf(0.001, 500, 0.95) <= covered <= binom.ppf(0.999, 500, 0.95)


def test_intervals_are_wrong_when_the_errors_are():
    """The test above can fail: errors of half the size are found out."""
    inside = []
    for seed in range(300):
        problem, truth, _ = world(seed)
        shrunk = problem.with_values(
            np.array([0.5 * p.start if "scale" in p.name else p.start for p in problem.parameters])
        )
        found = inv.solve(shrunk).totals
        inside.append(np.abs(truth - found.mean) <= Z95 * found.std)
    # half of σ covers 67 %
    assert (np.mean(inside, axis=0) < 0.8).all()
