"""The maximum of the evidence: what it finds, how well, and what totals owe to hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from monitor import inversion as inv
from monitor.errors import InputError, NumericalError
from monitor.inversion import covariance as cov
from monitor.inversion import hyper
from tests import small_worlds
from tests.inversion.small_problems import (
    line_problem,
    small_problem,
    starts,
    state_and_observations,
    with_observations,
)


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


def test_the_fit_tells_how_far_it_is():
    problem, seen = line_problem(8), []
    hyper.maximise_evidence(problem, progress=lambda done, total: seen.append((done, total)))
    hyper.sample(problem, draws=10, progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] >= 1 and seen[-1] == (60, 60)


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
