"""A chain of hyperparameters draws from their posterior."""

from __future__ import annotations

import numpy as np
import pytest

from monitor import inversion as inv
from monitor.errors import InputError
from monitor.inversion import hyper
from tests.inversion.small_problems import dense_evidence, line_problem, starts


def grid_posterior(problem, names, points=41):
    """Values (places, parameters) on a grid 4 prior 1σ to both sides, and their weights."""
    free = [k for k, p in enumerate(problem.parameters) if p.name in names]
    axes = np.meshgrid(*[np.linspace(-4.0, 4.0, points)] * len(free), indexing="ij")
    step = np.stack([a.ravel() for a in axes], axis=1)
    values = np.tile(starts(problem), (step.shape[0], 1))
    values[:, free] *= np.exp(step)
    logs = np.array([dense_evidence(problem, v) for v in values]) - 0.5 * np.sum(step**2, axis=1)
    weight = np.exp(logs - logs.max())
    assert weight[(np.abs(step) > 3.9).any(axis=1)].sum() < 1e-3 * weight.sum()
    return values, weight / weight.sum(), free


NAMES = ("prior scale", "prior length")


@pytest.mark.parametrize("names", [NAMES[1:], NAMES])
def test_the_chain_draws_from_the_posterior_of_a_grid(names):
    problem = line_problem(7)
    fixed = [p.name for p in problem.parameters if p.name not in names]
    drawn = hyper.sample(problem, draws=2000, seed=1, fixed=fixed)
    values, weight, free = grid_posterior(problem, names)
    for k in free:
        size = drawn.effective_size[k]
        log, found = np.log(values[:, k]), np.log(drawn.values[:, k])
        mean = weight @ log
        sd = np.sqrt(weight @ (log - mean) ** 2)
        kurtosis = weight @ (log - mean) ** 4 / sd**4
        # four standard errors of a mean and of a variance, whose draws are half as independent
        assert abs(found.mean() - mean) < 4.0 * sd / np.sqrt(size)
        assert abs(found.var() / sd**2 - 1.0) < 4.0 * np.sqrt(2.0 * (kurtosis - 1.0) / size)
    assert 0.3 < drawn.acceptance < 0.95 and (drawn.effective_size[free] > 200).all()
    assert np.isnan(np.delete(drawn.effective_size, free)).all()


def test_totals_of_a_chain_are_the_mixture_over_the_posterior():
    problem = line_problem(7)
    mixed = hyper.sample(problem, draws=2000, seed=2, fixed=["mismatch scale"]).totals(points=400)
    values, weight, _ = grid_posterior(problem, NAMES, points=25)
    kept = weight > 1e-5
    found = [inv.solve(problem.with_values(v)).totals for v in values[kept]]
    share = weight[kept] / weight[kept].sum()
    means, within = np.array([t.mean for t in found]), np.array([t.covariance for t in found])
    mean = share @ means
    between = np.diagonal((share * (means - mean).T) @ (means - mean))
    variance = within.diagonal(0, 1, 2)
    spread = np.sqrt(share @ (variance - share @ variance) ** 2)
    # 400 places of the chain are worth at least 100 independent ones: four standard errors
    assert (np.abs(mixed.mean - mean) < 4.0 * np.sqrt(between / 100)).all()
    assert (np.abs(np.diagonal(mixed.within) - share @ variance) < 4.0 * spread / 10.0).all()
    np.testing.assert_allclose(np.diagonal(mixed.between), between, rtol=4.0 * np.sqrt(2.0 / 100))


def test_the_chain_is_the_same_for_the_same_seed():
    problem = line_problem(8)
    one, two, other = (hyper.sample(problem, draws=40, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(one.values, two.values)
    assert not np.array_equal(one.values, other.values)
    assert one["prior scale"].shape == (40,)
    at = problem.with_values(one.values[-1])
    step = np.log(one.values[-1] / starts(problem))
    expected = hyper.log_evidence_of(at)[0] - 0.5 * step @ step
    assert one.log_posterior[-1] == pytest.approx(expected, rel=1e-10)


def test_a_chain_with_nothing_to_draw_is_refused():
    problem = line_problem()
    with pytest.raises(InputError, match="nothing to sample.*0 free parameters"):
        hyper.sample(problem, fixed=[p.name for p in problem.parameters])
    with pytest.raises(InputError, match="nothing to sample.*0 draws"):
        hyper.sample(problem, draws=0)


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.9])
def test_the_effective_size_of_an_autoregression_is_known(memory):
    """N (1 − φ)/(1 + φ) for an AR(1) chain."""
    rng, n = np.random.default_rng(0), 20_000
    chain = np.zeros(n)
    for k in range(1, n):
        chain[k] = memory * chain[k - 1] + rng.normal()
    # the estimate is known to about 5 % for such a length; its truncation adds as much again
    assert hyper.effective_size(chain) == pytest.approx(n * (1 - memory) / (1 + memory), rel=0.2)
