"""The evidence of a linear problem: its slope, its maximum, and what totals owe to hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from monitor import inversion as inv
from monitor.errors import InputError, NumericalError
from monitor.inversion import covariance as cov
from monitor.inversion import hyper
from tests import small_worlds
from tests.inversion import dense

PRIORS = {
    "variances": lambda: cov.Diagonal(np.linspace(0.5, 2.0, 24)),
    "matrix": lambda: cov.Dense(dense.spd(np.random.default_rng(1), 24), scale=0.8),
    "line": lambda: cov.Exponential(3.0, 24, std=np.linspace(0.5, 1.5, 24)),
    "Matérn on a grid": lambda: cov.Matern(2.0, 1.5, (4, 6), scale=1.3),
    "Matérn of any smoothness": lambda: cov.Matern(2.0, 0.8, np.random.default_rng(2).uniform(0, 9, (24, 2))),
    "hours and days": lambda: cov.HourOfDay(2.0, 4.0, np.arange(24) * 5.0),
    "space and time": lambda: cov.Kronecker(
        cov.Exponential(2.0, 4), cov.Exponential(1.5, (2, 3)), std=np.linspace(0.5, 1.5, 24), scale=0.7
    ),
    "space and hours of days": lambda: cov.Kronecker(
        cov.HourOfDay(1.5, 6.0, np.arange(4) * 7.0, scale=1.2), cov.Matern(2.0, 2.5, (2, 3), scale=0.9)
    ),
    "blocks": lambda: cov.Block(
        (
            cov.Kronecker(cov.Exponential(2.0, 4), cov.Exponential(1.5, (2, 2))),
            cov.Sum((cov.Diagonal(np.ones(8)), cov.Exponential(2.0, 8, groups=np.arange(8) // 4))),
        )
    ),
}


def mismatches(n):
    hours = np.sort(np.random.default_rng(n).uniform(0, 40, n))
    station = np.arange(n) % 2
    return {
        "variances": cov.Diagonal(np.linspace(0.3, 0.6, n)),
        "matrix": cov.Dense(dense.spd(np.random.default_rng(n), n)),
        "along the hours of each station": cov.Sum(
            (
                cov.Diagonal(np.full(n, 0.2)),
                cov.Exponential(5.0, hours, groups=station, std=np.linspace(0.5, 1.0, n)),
            )
        ),
        "smooth": cov.Sum((cov.Matern(4.0, 1.5, hours), cov.Diagonal(np.full(n, 0.3)))),
        "hours and days": cov.Sum((cov.HourOfDay(1.5, 5.0, hours), cov.Diagonal(np.full(n, 0.3)))),
    }


@st.composite
def problems(draw, prior):
    """Linear problems with a prior of one kind, with more and with fewer observations than unknowns."""
    n = draw(st.sampled_from([9, 30]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    jacobian = rng.gamma(0.5, 1.0, (n, 24)) * (rng.random((n, 24)) < 0.6)
    kind = draw(st.sampled_from(["dense", "sparse", "ragged"]))
    given_as = jacobian if kind == "dense" else sp.csr_array(jacobian)
    if kind == "ragged":
        given_as = inv.RaggedJacobian.of(given_as)
    effects = rng.gamma(1.0, 1.0, (24, draw(st.sampled_from([0, 1, 2]))))
    return inv.LinearProblem(
        given_as,
        rng.normal(size=n) * 2.0,
        0.3,
        PRIORS[prior](),
        mismatches(n)[draw(st.sampled_from(sorted(mismatches(n))))],
        fixed_effects=effects if effects.size else None,
    )


def starts(problem):
    return np.array([p.start for p in problem.parameters])


def dense_evidence(problem, values):
    """The density of the contrasts that no fixed effect touches, less ½ ln|XᵀX|, every matrix written out."""
    now = problem.with_values(values)
    jacobian = inv.operators.forward(problem.jacobian, np.eye(problem.m))
    psi = jacobian @ now.prior_covariance.dense() @ jacobian.T + now.mismatch_covariance.dense()
    residual = problem.observations - jacobian @ problem.prior_mean
    effects = np.column_stack([np.zeros((problem.m, 0)), *problem.fixed_effects.values()])
    x = jacobian @ effects
    q = x.shape[1]
    basis = np.linalg.qr(x, mode="complete")[0][:, q:] if q else np.eye(problem.n)
    contrasts = multivariate_normal.logpdf(basis.T @ residual, cov=basis.T @ psi @ basis)
    return contrasts - (0.5 * np.linalg.slogdet(x.T @ x)[1] if q else 0.0)


@settings(max_examples=8)
@pytest.mark.parametrize("prior", PRIORS)
@given(data=st.data())
def test_the_evidence_is_the_density_of_what_fixed_effects_leave_over(prior, data):
    problem = data.draw(problems(prior))
    value, _ = hyper.log_evidence_of(problem)
    # two ways through matrices of condition below 1e6
    assert value == pytest.approx(dense_evidence(problem, starts(problem)), rel=1e-9, abs=1e-9)
    assert value == pytest.approx(inv.solve(problem).log_evidence, rel=1e-9, abs=1e-9)


@settings(max_examples=8)
@pytest.mark.parametrize("prior", PRIORS)
@given(data=st.data())
def test_the_gradient_is_the_slope_of_the_dense_evidence(prior, data):
    problem = data.draw(problems(prior))
    _, gradient = hyper.log_evidence_of(problem)
    at, step = starts(problem), 2e-3
    for k, slope in enumerate(gradient):
        near = [np.where(np.arange(at.size) == k, np.exp(j * step), 1.0) for j in (-2, -1, 1, 2)]
        low2, low, high, high2 = (dense_evidence(problem, at * factor) for factor in near)
        # five points: their own error is step⁴ times the fifth derivative, below 1e-9
        differences = (8.0 * (high - low) - (high2 - low2)) / (12.0 * step)
        assert slope == pytest.approx(differences, rel=1e-6, abs=1e-7), problem.parameters[k].name


@settings(max_examples=5)
@pytest.mark.parametrize("prior", PRIORS)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_contracted_slopes_are_those_written_out(prior, data, seed):
    problem = data.draw(problems(prior))
    for part in (problem.prior_covariance, problem.mismatch_covariance):
        weight = np.random.default_rng(seed).normal(size=(part.size, part.size))
        weight = weight + weight.T
        written = [np.vdot(weight, slope) for slope in part.slopes(np.eye(part.size))]
        scale = np.abs(weight).sum()
        # a sum of m² terms in two orders
        np.testing.assert_allclose(
            hyper.contract_slopes(part, weight), written, rtol=1e-10, atol=1e-13 * scale
        )


def test_a_correlation_that_is_a_product_has_one_scale():
    """Time, space and their product could each have one; two of them would say the same."""
    problem = small_problem()
    assert [p.name for p in problem.parameters] == [
        "prior scale", "prior time length", "prior space length", "mismatch 0 scale", "mismatch 1 scale",
        "mismatch 1 length",
    ]  # fmt: skip


def small_problem(seed=0, n=80, *, effects=None):
    """Twelve hours of a 3 × 4 grid seen n times, noise and a process, with observations from their sum."""
    rng = np.random.default_rng(seed)
    jacobian = rng.gamma(0.5, 1.0, (n, 144)) * (rng.random((n, 144)) < 0.3)
    hours = np.arange(n) * 1.0
    problem = inv.LinearProblem(
        jacobian,
        np.zeros(n),
        1.0,
        cov.Kronecker(cov.Exponential(4.0, 12), cov.Exponential(2.0, (3, 4)), std=0.5),
        cov.Sum((cov.Diagonal(np.full(n, 0.5)), cov.Exponential(6.0, hours, std=0.8))),
        totals=np.kron(np.eye(2), np.full(72, 1.0 / 72)),
        fixed_effects=effects,
    )
    return with_observations(problem, state_and_observations(problem, rng)[1])


def with_observations(problem, observations):
    """The same problem with other observations."""
    return inv.LinearProblem(
        problem.jacobian,
        observations,
        problem.prior_mean,
        problem.prior_covariance,
        problem.mismatch_covariance,
        totals=problem.totals,
        fixed_effects=problem.fixed_effects or None,
    )


def state_and_observations(problem, rng):
    """A state and what is observed of it, from the problem's own covariances."""
    prior, mismatch = problem.prior_covariance, problem.mismatch_covariance
    noise = mismatch.sqrt_matvec(rng.normal(size=mismatch.sqrt_size))
    state = problem.prior_mean + prior.sqrt_matvec(rng.normal(size=prior.sqrt_size))
    return state, problem.jacobian @ state + noise


def penalised(problem, parameters, values):
    step = [np.log(v / p.start) / p.log_sd for v, p in zip(values, parameters, strict=True) if p.log_sd]
    return hyper.log_evidence_of(problem.with_values(values))[0] - 0.5 * np.sum(np.square(step))


def test_the_maximum_is_one():
    problem = small_problem(1, effects=np.ones(144))
    found = hyper.maximise_evidence(problem)
    best = penalised(problem, problem.parameters, found.values)
    assert found.log_evidence == pytest.approx(hyper.log_evidence_of(found.problem)[0], rel=1e-12)
    for k in range(found.values.size):
        for factor in (0.85, 1.18):
            moved = found.values * np.where(np.arange(found.values.size) == k, factor, 1.0)
            assert penalised(problem, problem.parameters, moved) < best


def test_the_problem_of_a_fit_is_at_its_values():
    problem = small_problem(1)
    found = hyper.maximise_evidence(problem)
    np.testing.assert_allclose(starts(found.problem), found.values, rtol=1e-12)
    assert inv.solve(found.problem).log_evidence == pytest.approx(found.log_evidence, rel=1e-10)
    assert found["mismatch 1 length"] == found.values[5]
    with pytest.raises(InputError, match="no parameter 'length'.*prior scale"):
        found["length"]


def test_the_laplace_covariance_is_the_inverse_curvature():
    problem = small_problem(2)
    found = hyper.maximise_evidence(problem)
    step, q = 1e-3, found.values.size
    hessian = np.zeros((q, q))
    for k in range(q):
        near = [found.values * np.where(np.arange(q) == k, np.exp(j * step), 1.0) for j in (-1, 1)]
        low, high = (hyper.log_evidence_of(problem.with_values(v))[1] for v in near)
        hessian[k] = -(high - low) / (2 * step)
    hessian += np.eye(q)
    # curvature is taken from gradients 0.1 prior 1σ apart: terms of fourth order are left
    np.testing.assert_allclose(found.log_covariance, np.linalg.inv(hessian), rtol=0.01, atol=1e-3)


def test_held_parameters_stay_and_have_no_variance():
    problem = small_problem(3)
    found = hyper.maximise_evidence(problem, fixed=("prior time length", "mismatch 1 length"))
    assert found["prior time length"] == pytest.approx(4.0) and found["mismatch 1 length"] == pytest.approx(
        6.0
    )
    np.testing.assert_array_equal(found.log_covariance[[1, 5]], 0.0)
    np.testing.assert_allclose(found.interval()[1], 4.0)
    assert (np.diff(found.interval(), axis=1)[[0, 2, 3, 4]] > 0).all()


def test_with_all_parameters_held_nothing_is_fitted():
    problem = small_problem(3)
    found = hyper.maximise_evidence(problem, fixed=[p.name for p in problem.parameters])
    np.testing.assert_allclose(found.values, starts(problem))
    assert found.evaluations == 1
    mixed = found.totals()
    np.testing.assert_array_equal(mixed.between, 0.0)
    np.testing.assert_allclose(mixed.covariance, inv.solve(problem).totals.covariance, rtol=1e-10)


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match="no parameter of the problem: length, size.*prior time length"):
        hyper.maximise_evidence(small_problem(), fixed=("size", "length", "prior scale"))
    with pytest.raises(InputError, match="no method 'quick'.*reduced"):
        hyper.maximise_evidence(small_problem(), method="quick")
    with pytest.raises(InputError, match="level lies between"):
        hyper.maximise_evidence(small_problem()).interval(95)


def test_a_covariance_that_is_not_positive_definite_at_the_start_is_refused():
    problem = inv.LinearProblem(np.ones((2, 1)), np.zeros(2), 0.0, 1.0, np.zeros(2))
    with pytest.raises(NumericalError, match="not positive definite.*index 1"):
        hyper.maximise_evidence(problem)


def test_fixed_effects_that_cannot_be_told_apart_are_refused():
    problem = small_problem(effects=np.column_stack([np.ones(144), 2.0 * np.ones(144)]))
    with pytest.raises(NumericalError, match="cannot be told apart.*column 1 of 2"):
        hyper.log_evidence_of(problem)


def test_the_interval_holds_the_stated_share_of_the_log_normal():
    found = hyper.Hyperparameters(small_problem().parameters[:1], np.array([2.0]), np.array([[0.25]]), 0.0, 1)
    np.testing.assert_allclose(found.interval(0.6826894921), [[2.0 * np.exp(-0.5), 2.0 * np.exp(0.5)]])


def test_a_change_of_units_leaves_the_fit_as_it_is():
    """Mole fractions in ppb instead of ppm, fluxes in other units again."""
    problem = small_problem(4, effects=np.ones(144))
    air, flux = 1e3, 86400.0
    other = inv.LinearProblem(
        problem.jacobian * air / flux,
        problem.observations * air,
        problem.prior_mean * flux,
        cov.Kronecker(cov.Exponential(4.0, 12), cov.Exponential(2.0, (3, 4)), std=0.5 * flux),
        cov.Sum((cov.Diagonal(np.full(80, 0.5 * air**2)), cov.Exponential(6.0, 80, std=0.8 * air))),
        fixed_effects=np.ones(144) * flux,
    )
    one, two = hyper.maximise_evidence(problem), hyper.maximise_evidence(other)
    # the same path of the search, to the rounding of gradients of order 1e-12
    np.testing.assert_allclose(two.values, one.values, rtol=1e-7)
    # the effect's response is rescaled with the data, so that all 80 densities change their unit
    assert two.log_evidence == pytest.approx(one.log_evidence - 80 * np.log(air), rel=1e-9)


def test_the_order_of_observations_does_not_matter():
    problem = small_problem(5)
    order = np.random.default_rng(0).permutation(80)
    hours = np.arange(80) * 1.0
    other = inv.LinearProblem(
        problem.jacobian[order],
        problem.observations[order],
        problem.prior_mean,
        problem.prior_covariance,
        cov.Sum((cov.Diagonal(np.full(80, 0.5)), cov.Exponential(6.0, hours[order], std=0.8))),
    )
    one, two = hyper.maximise_evidence(problem), hyper.maximise_evidence(other)
    np.testing.assert_allclose(two.values, one.values, rtol=1e-7)
    np.testing.assert_allclose(two.log_covariance, one.log_covariance, atol=1e-6)


def test_totals_keep_what_hyperparameters_add_apart():
    """Within and between are those of many draws from the Laplace distribution."""
    problem = line_problem(3, n=60)
    found = hyper.maximise_evidence(problem)
    mixed = found.totals()
    rng = np.random.default_rng(0)
    drawn = found.values * np.exp(rng.multivariate_normal(np.zeros(3), found.log_covariance, size=600))
    totals = [inv.solve(problem.with_values(v)).totals for v in drawn]
    means, within = np.array([t.mean for t in totals]), np.array([t.covariance for t in totals])
    between = np.diagonal(np.cov(means.T))
    # 600 draws know a variance to 6 %; over the width of these parameters totals have terms of fourth order
    np.testing.assert_allclose(mixed.mean, means.mean(axis=0), atol=0.3 * np.sqrt(between.max()))
    np.testing.assert_allclose(np.diagonal(mixed.within), within.mean(axis=0).diagonal(), rtol=0.05)
    np.testing.assert_allclose(np.diagonal(mixed.between), between, rtol=0.4)
    np.testing.assert_allclose(mixed.covariance, mixed.within + mixed.between)
    np.testing.assert_allclose(mixed.interval()[:, 1] - mixed.mean, 1.959964 * mixed.std, rtol=1e-6)


def test_a_problem_from_datasets_is_fitted_as_the_posterior_does():
    problem = small_worlds.make_world(3, estimate_scales=True).problem()
    found = hyper.maximise_evidence(problem)
    posterior = inv.solve(problem)
    np.testing.assert_allclose(found.values, posterior.values, rtol=1e-12)
    total = small_worlds.whole(problem)
    both = posterior.totals([total])
    mixed = found.totals([total])
    np.testing.assert_allclose(mixed.covariance, both.covariance, rtol=1e-10)
    np.testing.assert_allclose(mixed.mean, both.shift + inv.prior_totals(problem, [total]), rtol=1e-10)
    assert (mixed.between > 0).all() and (mixed.within > 0).all()
    held = hyper.maximise_evidence(problem, fixed=("total length",))
    assert held["total length"] == 12.0 and found["total length"] != 12.0
    np.testing.assert_allclose(inv.solve(problem, fitted=held).values, held.values)


def line_problem(seed=0, n=30):
    """A line of 20 unknowns, each observation a sum over some: three parameters, and cheap."""
    rng = np.random.default_rng(seed)
    problem = inv.LinearProblem(
        rng.gamma(0.5, 1.0, (n, 20)) * (rng.random((n, 20)) < 0.3),
        np.zeros(n),
        1.0,
        cov.Exponential(3.0, 20),
        np.full(n, 0.3),
        totals=np.kron(np.eye(2), np.full(10, 0.1)),
    )
    return with_observations(problem, state_and_observations(problem, rng)[1])


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


def test_the_fit_tells_how_far_it_is():
    problem, seen = line_problem(8), []
    hyper.maximise_evidence(problem, progress=lambda done, total: seen.append((done, total)))
    hyper.sample(problem, draws=10, progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] >= 1 and seen[-1] == (60, 60)


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


@dataclass(frozen=True)
class Calibration:
    """Whether truths lie inside their 95 % intervals, problem by problem."""

    names: list[str]
    parameters: np.ndarray
    totals: np.ndarray
    totals_at_known_parameters: np.ndarray


@pytest.fixture(scope="module")
def calibration():
    """400 problems; their parameters lie about the stated ones by e^±0.5, and a state is drawn at them."""
    inside, totals, known = [], [], []
    for k in range(400):
        rng = np.random.default_rng([5, k])
        problem = small_problem(k)
        truth = starts(problem) * np.exp(0.5 * rng.normal(size=6))
        state, observations = state_and_observations(problem.with_values(truth), rng)
        found = hyper.maximise_evidence(with_observations(problem, observations))
        inside.append(within(found.interval(), truth))
        totals.append(within(found.totals().interval(), problem.totals @ state))
        at_truth = hyper.fit.mixture(found.evidence, [truth])
        known.append(within(at_truth.interval(), problem.totals @ state))
    names = [p.name for p in problem.parameters]
    return Calibration(names, np.array(inside), np.array(totals), np.array(known))


def within(interval, truth):
    return (interval[:, 0] <= truth) & (truth <= interval[:, 1])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_lengths_and_scales_are_recovered_inside_their_intervals(calibration):
    cases = calibration.parameters[:100].sum(axis=0)
    print("inside 95 % intervals, of 100:", dict(zip(calibration.names, cases.tolist(), strict=True)))
    print("and of 400:", calibration.parameters.sum(axis=0).tolist())
    assert (cases >= 90).all()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_totals_are_covered_when_hyperparameters_are_estimated(calibration):
    share, known = calibration.totals.mean(axis=0), calibration.totals_at_known_parameters.mean(axis=0)
    print(f"400 problems: totals inside 95 % intervals {share}, at known hyperparameters {known}")
    # ± 1.1 % is one standard error of a share of 400
    assert ((share >= 0.92) & (share <= 0.98)).all()


@settings(max_examples=6)
@given(side=st.sampled_from([4, 5]), form=st.sampled_from(["dense", "sparse"]), seed=st.integers(0, 1000))
def test_slopes_by_one_sweep_are_those_of_the_matrix(side, form, seed):
    """Uneven times, footprints that do not overlap, grids with and without a middle line, free places."""
    rng = np.random.default_rng(seed)
    jacobian = rng.gamma(0.5, 1.0, (6, 8, side * side))
    jacobian[:3, 5:] = 0.0
    jacobian[3:, :2] = 0.0
    rows = jacobian.reshape(6, -1)
    for place in ((side, side), rng.uniform(0.0, 4.0, (side * side, 2))):
        prior = cov.Kronecker(
            cov.Exponential(3.0, np.cumsum(rng.gamma(1.0, 1.0, 8)), scale=0.8),
            cov.Matern(2.0, 1.5, place, scale=1.2),
            std=(rng.gamma(1.0, 1.0, 8), rng.gamma(1.0, 1.0, side * side)),
        )
        found = list(prior.slopes(rows if form == "dense" else sp.csr_array(rows)))
        step, at = 1e-4, np.array([p.start for p in prior.parameters])
        for k, slope in enumerate(found):
            near = [at * np.where(np.arange(3) == k, np.exp(j * step), 1.0) for j in (-1, 1)]
            low, high = (rows @ prior.with_values(v).dense() @ rows.T for v in near)
            # central differences: their own error is step² times the third derivative
            np.testing.assert_allclose(slope, (high - low) / (2 * step), atol=1e-6 * np.abs(high).max())


@pytest.mark.parametrize("with_offsets", [False, True])
def test_the_reduced_evidence_is_the_exact_one_at_other_lengths_too(with_offsets):
    """The footprints are projected once; fluxes may be one block among others."""
    rng, n, cells = np.random.default_rng(0), 60, 72
    seen = np.zeros((n, 12, cells))
    for back in range(4):
        hour = np.arange(n) // 6 + 2 - back
        inside = np.flatnonzero((hour >= 0) & (hour < 12))
        seen[inside, hour[inside]] = rng.gamma(1.0, 1.0, (inside.size, cells)) * (rng.random(cells) < 0.4)
    jacobian = seen.reshape(n, -1)
    prior = cov.Kronecker(cov.Exponential(5.0, 12), cov.Exponential(3.0, (8, 9)), std=0.3)
    if with_offsets:
        jacobian = np.hstack([jacobian, np.eye(n)[:, :20]])
        prior = cov.Block((prior, cov.Exponential(2.0, 20)))
    problem = inv.LinearProblem(sp.csr_array(jacobian), rng.normal(size=n), 0.0, prior, np.full(n, 0.5))
    exact, reduced = (hyper.Evidence.of(problem, method) for method in ("exact", "reduced"))
    assert exact.truncation == 0.0 and 0.0 < reduced.truncation < 2e-3
    for factors in (1.0, np.exp(np.linspace(-0.5, 0.5, len(problem.parameters)))):
        (value, gradient), (close, slope) = (e(starts(problem) * factors) for e in (exact, reduced))
        # errors of H Q Hᵀ are some 1e-4 of the mismatch; 60 observations may add theirs up
        assert close == pytest.approx(value, abs=6e-3)
        np.testing.assert_allclose(slope, gradient, atol=6e-3)
        np.testing.assert_allclose(
            reduced.posterior(starts(problem) * factors).alpha,
            inv.solve(problem.with_values(starts(problem) * factors)).alpha,
            atol=1e-3,
        )


def test_a_reduced_fit_is_the_exact_one_also_from_wrong_lengths():
    """The basis is made for the stated length, a quarter of the true one, and again at the maximum."""
    rng, n = np.random.default_rng(2), 90
    jacobian = rng.gamma(0.5, 1.0, (n, 6 * 72)) * (rng.random((n, 6 * 72)) < 0.1)
    true = cov.Kronecker(cov.Exponential(5.0, 6), cov.Exponential(4.0, (8, 9)), std=0.5)
    problem = inv.LinearProblem(jacobian, np.zeros(n), 0.0, true, np.full(n, 0.2))
    observations = state_and_observations(problem, rng)[1]
    stated = with_observations(problem.with_values(starts(problem) * [1.0, 0.5, 0.25, 1.0]), observations)
    one, two = (hyper.maximise_evidence(stated, method=method) for method in ("exact", "reduced"))
    assert one.truncation == 0.0 and 0.0 < two.truncation < 2e-3
    # the gradient ends below 1 % of a σ; the reduction adds as much
    sigma = np.sqrt(np.diagonal(one.log_covariance))
    assert (np.abs(np.log(two.values / one.values)) < 0.05 * sigma).all()
    np.testing.assert_allclose(two.log_covariance, one.log_covariance, atol=0.05 * sigma.max() ** 2)


def test_a_search_that_goes_on_with_another_basis_ends_where_it_was(monkeypatch):
    jacobian = np.random.default_rng(0).gamma(0.5, 1.0, (20, 2 * 12))
    prior = cov.Kronecker(cov.Exponential(2.0, 2), cov.Exponential(2.0, (3, 4)))
    problem = inv.LinearProblem(
        jacobian, np.random.default_rng(1).normal(size=20), 0.0, prior, np.full(20, 0.5)
    )
    once = hyper.maximise_evidence(problem, method="reduced")
    monkeypatch.setattr(hyper.fit, "_SETTLED", -1.0)
    again = hyper.maximise_evidence(problem, method="reduced")
    assert again.evaluations > 1.5 * once.evaluations
    # both end where the gradient is below 1 % of a σ
    width = np.sqrt(np.diagonal(once.log_covariance))
    assert (np.abs(np.log(again.values / once.values)) < 0.03 * width).all()
