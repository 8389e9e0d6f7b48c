"""Positive unknowns: draws against closed forms, quadrature and plain Markov chains of another kind.

Every comparison of sampled numbers is in units of their Monte-Carlo error, and seeded.  Five of it is passed
by chance in all but one of two million; errors of the reference chain are added in quadrature.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import chisquare, kstest, multivariate_normal, truncnorm
from small_worlds import make_world

from monitor import inversion as inv
from monitor.errors import InputError, NumericalError
from monitor.inversion import lognormal, robust, truncated
from monitor.inversion.covariance import Block, Diagonal, Exponential, Kronecker, Sum
from monitor.inversion.kernels import next_wall
from monitor.inversion.linear import solve_observations
from monitor.inversion.operators import RaggedJacobian
from monitor.inversion.positivity import covariance_product, effective_sample_size, posterior_noise

FIVE = 5.0


def small(rng, m=6, n=4, **changes):
    """Some unknowns near zero, some not; two totals of opposite kinds."""
    jacobian = rng.gamma(1.0, size=(n, m))
    truth = np.abs(rng.normal(size=m))
    problem = inv.LinearProblem(
        jacobian,
        jacobian @ truth + 0.5 * rng.normal(size=n),
        0.4,
        Exponential(2.0, at=np.arange(float(m))),
        np.full(n, 0.25),
        totals=np.array([np.ones(m), np.where(np.arange(m) < m // 2, 1.0, -1.0)]),
    )
    return replace(problem, **changes)


def agree(found, mean, std, mean_error=0.0, std_error=0.0):
    """Mean and σ of totals within five Monte-Carlo errors."""
    for value, expected, own, other in (
        (found.mean, mean, found.monte_carlo_error, mean_error),
        (found.std, std, found.std_monte_carlo_error, std_error),
    ):
        apart = (value - expected) / np.hypot(own, other)
        assert (np.abs(apart) < FIVE).all(), f"{value} against {expected}: {apart} Monte-Carlo errors"


def batched(values, batches=50):
    """Mean, σ, and their errors from the spread of batch means: independent of the code's own estimate."""
    parts = values[: len(values) // batches * batches].reshape(batches, -1, values.shape[1])
    mean, std = parts.mean(axis=1), parts.std(axis=1)
    root = np.sqrt(batches)
    return values.mean(axis=0), values.std(axis=0), mean.std(axis=0) / root, std.std(axis=0) / root


def gibbs(mean, covariance, held, steps, rng):
    """Plain Gibbs sampling of a truncated normal, one unknown after another."""
    precision = np.linalg.inv(covariance)
    x, out, luck = np.maximum(mean, 0.1), np.empty((steps, mean.size)), rng.random((steps, mean.size))
    for k in range(steps):
        for i in range(mean.size):
            spread = 1.0 / np.sqrt(precision[i, i])
            centre = x[i] - spread**2 * (precision[i] @ (x - mean))
            # the distribution function turned around, from above for the sake of its digits
            above = ndtr(centre / spread) if held[i] else 1.0
            x[i] = centre - spread * ndtri(luck[k, i] * above)
        out[k] = x
    return out


def metropolis(log_density, start, scale, steps, rng):
    """Plain random-walk Metropolis."""
    x, value, out = start.copy(), log_density(start), np.empty((steps, start.size))
    moves, luck = rng.normal(size=(steps, start.size)) * scale, np.log(rng.random(steps))
    for k in range(steps):
        ahead = x + moves[k]
        new = log_density(ahead)
        if luck[k] < new - value:
            x, value = ahead, new
        out[k] = x
    return out


# --- truncated --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", [-3.0, -0.5, 4.0])
def test_one_truncated_unknown_has_its_closed_form(observation):
    problem = inv.LinearProblem(np.eye(1), np.array([observation]), 0.5, 1.0, 1.0, totals=np.eye(1))
    gauss = inv.solve(problem)
    expected = truncnorm(-gauss.mean[0] / gauss.std[0], np.inf, gauss.mean[0], gauss.std[0])
    found = inv.solve(problem, positivity="truncated", draws=8000, seed=1)
    agree(found.totals, expected.mean(), expected.std())
    thin = found.draws[::20, 0]  # independent enough for the test of Kolmogorov and Smirnov
    assert kstest(thin, expected.cdf).pvalue > 0.001


@pytest.mark.parametrize("correlation", [-0.8, 0.0, 0.9])
def test_two_truncated_unknowns_agree_with_quadrature(correlation):
    mean, covariance = np.array([-0.3, 0.5]), np.array([[1.0, correlation], [correlation, 1.0]])
    problem = inv.LinearProblem(
        np.zeros((1, 2)), np.zeros(1), mean, covariance, 1.0, totals=np.array([[1.0, 1.0], [1.0, -1.0]])
    )
    axis = (np.arange(1500) + 0.5) * (7.0 / 1500)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    weight = multivariate_normal(mean, covariance).pdf(grid)
    weight /= weight.sum()
    totals = np.einsum("xyi,ki->kxy", grid, problem.totals)
    expected = (weight * totals).sum(axis=(1, 2))
    spread = np.sqrt((weight * (totals - expected[:, None, None]) ** 2).sum(axis=(1, 2)))
    found = inv.solve(problem, positivity="truncated", draws=8000, seed=2)
    assert found.draws.min() >= 0
    agree(found.totals, expected, spread)


@pytest.mark.parametrize("positive", [None, slice(0, 3), np.array([5, 1])])
def test_truncated_totals_agree_with_a_long_gibbs_chain(positive):
    rng = np.random.default_rng(4)
    problem = small(rng)
    gauss = inv.solve(problem)
    held = np.zeros(6, dtype=bool)
    held[slice(None) if positive is None else positive] = True
    chain = gibbs(gauss.mean, gauss.covariance(), held, 8000, rng)[200:] @ problem.totals.T
    found = inv.solve(problem, positivity="truncated", positive=positive, draws=8000, seed=3)
    np.testing.assert_array_equal(found.positive, held)
    assert found.draws[:, held].min() >= 0
    agree(found.totals, *batched(chain))


def test_a_clipped_posterior_is_biased_and_the_truncated_one_is_not_clipped():
    problem = small(np.random.default_rng(4))
    gauss = inv.solve(problem)
    assert gauss.mean.min() < 0
    found = inv.solve(problem, positivity="truncated", draws=4000)
    clipped = np.maximum(gauss.mean, 0.0)
    assert (np.abs(found.mean - clipped) > FIVE * found.monte_carlo_error).any()
    assert (found.draws == 0).mean() < 0.01  # no mass on the wall


def test_walls_that_are_never_met_leave_the_gaussian():
    problem = small(np.random.default_rng(7))
    far = replace(problem, prior_mean=np.full(6, 50.0), observations=problem.jacobian @ np.full(6, 50.0))
    gauss = inv.solve(far)
    found = inv.solve(far, positivity="truncated", draws=4000)
    agree(found.totals, gauss.totals.mean, gauss.totals.std)
    # draws are then independent: the estimate of that is good to a few per cent
    np.testing.assert_allclose(found.totals.effective_sample_size, 4000, rtol=0.2)


def test_mixed_blocks_stay_gaussian_where_they_were_not_chosen():
    """A positive block, seen by other observations than an offset that may be negative."""
    rng = np.random.default_rng(8)
    jacobian = np.zeros((6, 5))
    jacobian[:3, :3], jacobian[3:, 3:] = rng.gamma(1.0, size=(3, 3)), rng.normal(size=(3, 2))
    prior = Block((Exponential(2.0, at=np.arange(3.0)), Diagonal(np.full(2, 4.0))))
    totals = np.array([[1.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0], np.ones(5)])
    values = np.array([0.1, -0.2, 0.3, -5.0, 1.0, 2.0])
    problem = inv.LinearProblem(jacobian, values, 0.2, prior, np.ones(6), totals=totals)
    gauss = inv.solve(problem).totals
    for choice in ({"positivity": "truncated"}, {"positivity": "lognormal", "stated": "mean"}):
        found = inv.solve(problem, positive=slice(0, 3), draws=4000, seed=5, **choice).totals
        assert abs(found.mean[1] - gauss.mean[1]) < FIVE * found.monte_carlo_error[1]
        assert abs(found.std[1] - gauss.std[1]) < FIVE * found.std_monte_carlo_error[1]
        assert found.mean[0] > gauss.mean[0]
        assert found.mean[2] == pytest.approx(found.mean[0] + found.mean[1], rel=1e-12)


def test_a_truncated_fixed_effect_is_the_limit_of_a_broad_prior():
    rng = np.random.default_rng(9)
    problem = small(rng, n=8)
    pattern = np.ones(6)
    fixed = replace(problem, fixed_effects={"level": pattern})
    gauss = inv.solve(fixed)
    chain = gibbs(gauss.mean, gauss.covariance(), np.ones(6, dtype=bool), 6000, rng)[200:] @ problem.totals.T
    found = inv.solve(fixed, positivity="truncated", draws=8000, seed=3)
    agree(found.totals, *batched(chain))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), m=st.integers(1, 9), fixed=st.booleans())
def test_products_with_the_posterior_covariance_need_no_matrix(seed, n, m, fixed):
    rng = np.random.default_rng(seed)
    effects = {"a": np.ones(m)} if fixed else None
    problem = inv.LinearProblem(
        rng.gamma(1.0, size=(n, m)), np.zeros(n), 0.0, np.full(m, 2.0), 1.0, fixed_effects=effects
    )
    posterior = inv.solve(problem)
    columns = rng.normal(size=(m, 3))
    expected = posterior.covariance() @ columns
    np.testing.assert_allclose(covariance_product(posterior, columns), expected, rtol=1e-9, atol=1e-9)


def test_draws_of_the_noise_have_the_posterior_covariance():
    rng = np.random.default_rng(0)
    mismatch = Sum((Diagonal(np.full(8, 0.25)), Exponential(2.0, at=np.arange(8.0))))
    problem = small(rng, n=8, mismatch_covariance=mismatch, fixed_effects={"level": np.ones(6)})
    posterior = inv.solve(problem)
    count = 20_000
    noise = posterior_noise(posterior, count, rng)
    covariance = posterior.covariance()
    error = np.sqrt((covariance**2 + np.outer(covariance.diagonal(), covariance.diagonal())) / count)
    assert (np.abs(noise @ noise.T / count - covariance) < FIVE * error).all()


@settings(max_examples=100, deadline=None)
@given(centre=st.floats(-2.0, 3.0), position=st.floats(0.01, 3.0), velocity=st.floats(-3.0, 3.0))
def test_the_first_wall_is_where_a_fine_clock_finds_it(centre, position, velocity):
    offset = position - centre
    time = np.linspace(0.0, 0.5 * np.pi, 20_001)
    path = centre + offset * np.cos(time) + velocity * np.sin(time)
    below = np.flatnonzero(path < 0)
    found, which = next_wall(
        np.array([centre]), np.array([offset]), np.array([velocity]), np.array([0]), 0.5 * np.pi
    )
    if below.size:
        assert which == 0
        assert time[below[0] - 1] - 1e-9 <= found <= time[below[0]] + 1e-9
    elif which == 0:
        # a path that dips below zero between two ticks
        assert path.min() < 1e-6


def test_many_unknowns_with_few_near_zero_need_few_columns():
    rng = np.random.default_rng(2)
    prior = Kronecker(Exponential(6.0, at=12), Exponential(3.0, at=(10, 10)), std=0.6)
    jacobian = rng.gamma(1.0, size=(80, prior.size)) * (rng.random((80, prior.size)) < 0.05)
    field = np.full(prior.size, 3.0)
    field[:5] = 0.2
    problem = inv.LinearProblem(
        jacobian, jacobian @ field, field, prior, 0.25, totals=np.ones((1, prior.size))
    )
    found = inv.solve(problem, positivity="truncated", draws=200)
    assert found.draws.min() >= 0
    assert found.totals.effective_sample_size[0] > 100
    # the wall lifts the total
    assert found.totals.mean[0] > inv.solve(problem).totals.mean[0]


# --- log-normal -------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(value=st.floats(1e-3, 1e3), ratio=st.floats(1e-6, 10.0))
def test_stated_mean_or_median_and_sigma_are_those_of_x(value, ratio):
    """By the textbook moments: mean exp(μ + s²/2), median exp(μ), σ² = (exp(s²) − 1) mean²."""
    for meaning in ("mean", "median"):
        location, spread = lognormal.log_parameters(
            np.array([value]), np.array([(ratio * value) ** 2]), meaning
        )
        mean, median = np.exp(location + 0.5 * spread**2), np.exp(location)
        np.testing.assert_allclose(mean if meaning == "mean" else median, value, rtol=1e-12)
        np.testing.assert_allclose(mean * np.sqrt(np.expm1(spread**2)), ratio * value, rtol=1e-9)


@pytest.mark.parametrize("stated", ["mean", "median"])
def test_without_observations_draws_are_those_of_the_stated_prior(stated):
    value, sigma = np.array([2.0, 0.5]), np.array([1.0, 0.5])
    covariance = np.outer(sigma, sigma) * np.array([[1.0, 0.6], [0.6, 1.0]])
    problem = inv.LinearProblem(np.zeros((1, 2)), np.zeros(1), value, covariance, 1.0)
    found = inv.solve(problem, positivity="lognormal", stated=stated, draws=8000, seed=1)
    middle = found.mean if stated == "mean" else found.median
    # the error of a median is about 1.25 times that of a mean, for a normal; 1.6 leaves room for the skew
    assert (np.abs(middle - value) < 1.6 * FIVE * found.monte_carlo_error).all()
    assert (np.abs(found.std - sigma) < FIVE * found.std_monte_carlo_error).all()
    logs = np.corrcoef(np.log(found.draws.T))[0, 1]
    assert logs == pytest.approx(0.6, abs=FIVE * (1 - 0.36) / np.sqrt(8000 / 2))


@pytest.mark.parametrize("stated", ["mean", "median"])
@pytest.mark.parametrize("error", [pytest.param(0.5, marks=pytest.mark.slow), 0.05])
def test_two_lognormal_unknowns_agree_with_quadrature(stated, error):
    value, covariance = np.array([1.0, 2.0]), np.array([[1.0, 0.8], [0.8, 4.0]])
    jacobian, observation = np.array([[1.0, 0.7]]), np.array([4.0])
    totals = np.array([[1.0, 1.0], [1.0, -1.0]])
    problem = inv.LinearProblem(jacobian, observation, value, covariance, error, totals=totals)
    # the prior of ln x by its own formulas, on a fine grid of white unknowns
    ratio = np.diagonal(covariance) / value**2
    square = np.log1p(ratio) if stated == "mean" else np.log(0.5 + 0.5 * np.sqrt(1 + 4 * ratio))
    shift = 0.5 * square if stated == "mean" else 0.0
    spread = np.sqrt(square)
    lower = np.linalg.cholesky(np.outer(spread, spread) * np.array([[1.0, 0.4], [0.4, 1.0]]))
    axis = np.linspace(-7.5, 7.5, 2001)
    white = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    state = np.exp((np.log(value) - shift)[:, None, None] + np.einsum("ij,jxy->ixy", lower, white))
    misfit = observation[0] - np.einsum("i,ixy->xy", jacobian[0], state)
    weight = np.exp(-0.5 * (white**2).sum(axis=0) - 0.5 * misfit**2 / error)
    weight /= weight.sum()
    sums = np.einsum("ki,ixy->kxy", totals, state)
    mean = (weight * sums).sum(axis=(1, 2))
    std = np.sqrt((weight * (sums - mean[:, None, None]) ** 2).sum(axis=(1, 2)))
    found = inv.solve(problem, positivity="lognormal", stated=stated, draws=8000, seed=4).totals
    agree(found, mean, std)
    for k in range(2):
        below = weight[sums[k] < found.median[k]].sum()
        # the share below the median has the error ½/√N_eff; the grid adds 0.002
        assert below == pytest.approx(0.5, abs=FIVE * 0.5 / np.sqrt(found.effective_sample_size[k]) + 0.002)


def test_lognormal_totals_agree_with_a_long_metropolis_chain():
    """Mixed: three log-normal unknowns, two Gaussian; correlated errors; a plain random walk in ln x."""
    rng = np.random.default_rng(6)
    mismatch = Sum((Diagonal(np.full(4, 0.1)), Exponential(2.0, at=np.arange(4.0), std=0.4)))
    problem = small(rng, 5, mismatch_covariance=mismatch)
    sigma = np.sqrt(np.log1p(1.0 / 0.4**2))
    scale = np.where(np.arange(5) < 3, sigma, 1.0)
    location = np.where(np.arange(5) < 3, np.log(0.4) - 0.5 * sigma**2, 0.4)
    precision = np.linalg.inv(problem.prior_covariance.dense() * np.outer(scale, scale))
    error = np.linalg.inv(mismatch.dense())

    def state(u):
        return np.where(np.arange(5) < 3, np.exp(np.minimum(u, 50.0)), u)

    def log_density(u):
        misfit = problem.observations - problem.jacobian @ state(u)
        return -0.5 * ((u - location) @ precision @ (u - location) + misfit @ error @ misfit)

    chain = metropolis(log_density, location, 0.35, 200_000, rng)[5000:]
    reference = state(chain) @ problem.totals.T
    found = inv.solve(
        problem, positivity="lognormal", stated="mean", positive=slice(0, 3), draws=8000, seed=2
    )
    assert found.draws[:, :3].min() > 0
    assert found.draws[:, 3:].min() < 0
    agree(found.totals, *batched(reference))
    assert found.acceptance > 0.6


def test_a_covariance_that_is_written_out_gives_the_same_draws(monkeypatch):
    problem = small(np.random.default_rng(3))
    expected = inv.solve(problem, positivity="lognormal", stated="mean", draws=16).draws
    monkeypatch.setattr(lognormal, "_DENSE", 0)
    found = inv.solve(problem, positivity="lognormal", stated="mean", draws=16).draws
    # the same random numbers; rounding grows along few paths
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_narrow_lognormal_is_the_gaussian():
    """σ of 1 % of the mean: the skew, of three times that, is beyond the Monte-Carlo error."""
    problem = small(np.random.default_rng(3))
    narrow = replace(
        problem,
        prior_mean=np.full(6, 10.0),
        prior_covariance=Exponential(2.0, at=np.arange(6.0), std=0.1),
        observations=problem.jacobian @ np.full(6, 10.05),
    )
    gauss = inv.solve(narrow).totals
    found = inv.solve(narrow, positivity="lognormal", stated="mean", draws=4000).totals
    assert (np.abs(found.mean - gauss.mean) < FIVE * found.monte_carlo_error).all()
    np.testing.assert_allclose(found.std, gauss.std, rtol=0.1)


def test_the_form_of_the_jacobian_does_not_matter():
    import scipy.sparse as sp

    problem = small(np.random.default_rng(3))
    dense = problem.jacobian
    forms = (sp.csr_array(dense), RaggedJacobian.of(sp.csr_array(dense)), sp.linalg.aslinearoperator(dense))
    for choice in ({"positivity": "truncated"}, {"positivity": "lognormal", "stated": "median"}):
        expected = inv.solve(problem, draws=16, **choice)
        for form in forms:
            found = inv.solve(replace(problem, jacobian=form), draws=16, **choice)
            # the same random numbers; rounding grows along few paths
            np.testing.assert_allclose(found.draws, expected.draws, rtol=1e-6)


# --- calibration ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["truncated", "lognormal"])
def test_the_rank_of_the_truth_among_the_draws_is_uniform(kind):
    """Truths from the prior itself, made with other means: rejection, and the textbook log-normal."""
    rng = np.random.default_rng(11)
    m, n, sigma = 4, 3, 0.7
    prior = Exponential(2.0, at=np.arange(float(m)), std=sigma)
    root = np.linalg.cholesky(prior.dense())
    square = np.log1p(sigma**2)
    ranks = []
    for seed in range(200):
        truth = 1.0 + root @ rng.normal(size=m)
        if kind == "lognormal":
            truth = np.exp(-0.5 * square + np.sqrt(square) / sigma * (truth - 1.0))
        while truth.min() < 0:
            truth = 1.0 + root @ rng.normal(size=m)
        jacobian = rng.gamma(1.0, size=(n, m))
        values = jacobian @ truth + 0.5 * rng.normal(size=n)
        problem = inv.LinearProblem(jacobian, values, 1.0, prior, 0.25, totals=np.ones((1, m)))
        stated = {"stated": "mean"} if kind == "lognormal" else {}
        found = inv.solve(problem, positivity=kind, draws=800, seed=seed, **stated).totals
        ranks.append((found.draws[:, 0] < truth.sum()).mean())
    counts = np.histogram(ranks, 10, (0.0, 1.0))[0]
    inside = np.mean((np.array(ranks) > 0.025) & (np.array(ranks) < 0.975))
    print(f"{kind}: ranks {counts}, 95 % intervals cover {100 * inside:.1f} %")
    assert chisquare(counts).pvalue > 0.001
    # 95 % ± 3 binomial σ of 200
    assert 0.90 < inside < 0.997


# --- what is reported -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice", [{"positivity": "truncated"}, {"positivity": "lognormal", "stated": "mean"}]
)
def test_a_seed_decides_every_draw(choice):
    problem = small(np.random.default_rng(3))
    first, again, other = (inv.solve(problem, draws=20, seed=s, **choice).draws for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_effective_draws_of_a_process_with_memory_are_the_textbook_number(memory):
    """AR(1): N (1 − φ)/(1 + φ)."""
    rng = np.random.default_rng(1)
    values = np.zeros((4, 20_000))
    for k in range(1, 20_000):
        values[:, k] = memory * values[:, k - 1] + rng.normal(size=4)
    found = effective_sample_size(values.reshape(-1, 1), 4)[0]
    # sampling error of the estimate, some per cent at this length
    assert found == pytest.approx(80_000 * (1 - memory) / (1 + memory), rel=0.15)


def test_chains_that_disagree_have_few_effective_draws():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4, 500)) + 5.0 * np.arange(4)[:, None]
    assert effective_sample_size(values.reshape(-1, 1), 4)[0] < 20


def test_totals_are_sums_of_the_draws():
    problem = small(np.random.default_rng(3))
    found = inv.solve(problem, positivity="truncated", draws=100)
    np.testing.assert_allclose(found.totals.mean, problem.totals @ found.mean, rtol=1e-12)
    expected = problem.totals @ found.covariance() @ problem.totals.T
    np.testing.assert_allclose(found.totals.covariance, expected, rtol=1e-10)
    np.testing.assert_allclose(found.totals.std**2, np.diagonal(expected), rtol=1e-10)
    interval = found.totals.interval(0.8)
    np.testing.assert_allclose(interval[:, 0], found.totals.quantile(0.1))
    np.testing.assert_allclose(found.estimate(np.eye(6)).mean, found.mean)
    assert found.draws.shape[0] >= 100


def test_outliers_and_positivity_are_solved_one_after_the_other():
    problem = small(np.random.default_rng(3))
    with pytest.raises(InputError, match=r"one after the other.*robust\.reweighted"):
        inv.solve(problem, likelihood="student-t", positivity="truncated")
    weights = inv.solve(problem, "observations", likelihood="student-t").weights
    found = inv.solve(robust.reweighted(problem, weights), positivity="truncated", draws=50)
    assert found.draws.min() >= 0


# --- bad input --------------------------------------------------------------------------------------------


def test_what_is_stated_must_be_said():
    problem = small(np.random.default_rng(3))
    with pytest.raises(InputError, match="said to be its mean or its median"):
        inv.solve(problem, positivity="lognormal")
    with pytest.raises(InputError, match='stated belongs to positivity="lognormal"'):
        inv.solve(problem, positivity="truncated", stated="mean")
    for one in (problem, make_world(0, days=2).problem()):
        with pytest.raises(InputError, match="need a positivity"):
            inv.solve(one, positive=slice(0, 2))


def test_bad_choices_are_refused_by_name():
    problem = small(np.random.default_rng(3))
    with pytest.raises(InputError, match="no positivity 'clipped'.*truncated, lognormal"):
        inv.solve(problem, positivity="clipped")
    with pytest.raises(InputError, match=r"does not choose.*a mask \(6,\).*bool of shape \(3,\)"):
        inv.solve(problem, positivity="truncated", positive=np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="indices below 6"):
        inv.solve(problem, positivity="truncated", positive=np.array([6]))
    with pytest.raises(InputError, match="chooses no unknown"):
        inv.solve(problem, positivity="truncated", positive=np.zeros(6, dtype=bool))
    with pytest.raises(InputError, match="draws of 2 or more"):
        inv.solve(problem, positivity="truncated", draws=1)


def test_a_prior_that_cannot_be_positive_is_named():
    mean = np.array([1.0, 1.0, -0.5, 1.0, 1.0, 0.0])
    problem = small(np.random.default_rng(3), prior_mean=mean)
    with pytest.raises(InputError, match=r"2 have none.*prior_mean -0\.5 at index 2"):
        inv.solve(problem, positivity="lognormal", stated="median")
    certain = replace(problem, prior_covariance=Diagonal(np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])))
    with pytest.raises(InputError, match=r"they are certain.*-0\.5 without variance at index 2"):
        inv.solve(certain, positivity="truncated")


def test_a_fixed_effect_has_no_place_beside_logarithms():
    problem = small(np.random.default_rng(3), fixed_effects={"level": np.ones(6)})
    with pytest.raises(InputError, match="fixed effect has no meaning.*level"):
        inv.solve(problem, positivity="lognormal", stated="mean")


def test_what_is_not_affordable_is_said_before_it_is_tried():
    problem = small(np.random.default_rng(3))
    for choice in ({"positivity": "truncated"}, {"positivity": "lognormal", "stated": "mean"}):
        with pytest.raises(InputError, match="more memory than is affordable.*600,000,000 numbers"):
            inv.solve(problem, draws=100_000_000, **choice)


def test_walls_beyond_memory_are_said(monkeypatch):
    monkeypatch.setattr("monitor.inversion.positivity.LARGEST", 20)
    problem = small(np.random.default_rng(4))
    with pytest.raises(InputError, match="covariances at .* constraints of 6 unknowns"):
        inv.solve(problem, positivity="truncated", draws=2)


def test_paths_without_end_are_an_error_with_the_number(monkeypatch):
    monkeypatch.setattr(truncated, "_REFLECTIONS", 0.1)
    with pytest.raises(NumericalError, match="reflected without end.*of π/2 left"):
        inv.solve(small(np.random.default_rng(4)), positivity="truncated", draws=50)


def test_gauss_newton_without_success_is_an_error_with_the_number(monkeypatch):
    monkeypatch.setattr(lognormal, "_STEPS", 1)
    with pytest.raises(NumericalError, match=r"most probable log-normal state is not found.*σ after 1 steps"):
        lognormal.solve_lognormal(
            small(np.random.default_rng(4)), np.ones(6, dtype=bool), "mean", solve_observations, (10, 0)
        )


@pytest.mark.parametrize(
    "choice", [{"positivity": "truncated"}, {"positivity": "lognormal", "stated": "mean"}]
)
@pytest.mark.parametrize("draws", [2, 10, 16])
def test_there_are_at_least_as_many_draws_as_asked_in_chains_of_one_length(choice, draws):
    problem = inv.LinearProblem(np.ones((1, 1)), [1.0], 1.0, 0.25, 0.25)
    found = inv.solve(problem, draws=draws, **choice)
    length, left = divmod(found.draws.shape[0], found.chains)
    assert left == 0 and found.chains * (length - 1) < draws <= found.chains * length
