"""Student-t mismatch: what the weights are, what they protect from, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import t as student_t

from monitor import inversion as inv
from monitor.errors import InputError, NumericalError
from monitor.inversion import hyper, reduction, robust
from monitor.inversion.covariance import Block, Dense, Diagonal, Exponential, Kronecker, Sum

NU = 4.0


def world(rng, n=40, m=12, *, correlated=True, outliers=0.0):
    """A problem whose truth is drawn from its prior, and the true total."""
    jacobian = rng.gamma(1.0, size=(n, m)) * (rng.random((n, m)) < 0.4)
    prior = Exponential(3.0, at=np.arange(float(m)))
    parts = [Diagonal(np.ones(n))]
    if correlated:
        parts.append(Exponential(5.0, at=np.arange(float(n)), std=0.7))
    mismatch = Sum(tuple(parts))
    truth = 2.0 + prior.sqrt_matvec(rng.normal(size=m))
    clean = jacobian @ truth + mismatch.sqrt_matvec(rng.normal(size=mismatch.sqrt_size))
    gross = (rng.random(n) < outliers) * rng.choice([-1.0, 1.0], n) * rng.uniform(10.0, 20.0, n)
    totals = np.full((1, m), 1.0 / m)
    problem = inv.LinearProblem(jacobian, clean + gross, 2.0, prior, mismatch, totals=totals)
    return problem, replace(problem, observations=clean), float(truth.mean())


def expected_squares(problem, weights):
    """E[ε²]/σ² from the joint posterior of (x, η, ε), every matrix written out."""
    q = problem.prior_covariance.dense()
    independent = robust.independent_variance(problem.mismatch_covariance)
    correlated = problem.mismatch_covariance.dense() - np.diag(independent)
    h, m, n = problem.jacobian, problem.m, problem.n
    prior = np.zeros((m + 2 * n, m + 2 * n))
    prior[:m, :m], prior[m : m + n, m : m + n] = q, correlated
    prior[m + n :, m + n :] = np.diag(independent / weights)
    operator = np.hstack([h, np.eye(n), np.eye(n)])
    gain = np.linalg.solve(operator @ prior @ operator.T, operator @ prior).T
    mean = gain @ problem.residual
    covariance = prior - gain @ operator @ prior
    return (mean[m + n :] ** 2 + np.diagonal(covariance)[m + n :]) / independent


# --- what the weights are ---------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 30), nu=st.floats(1.0, 30.0), correlated=st.booleans())
def test_weights_solve_their_equation_with_the_posterior_of_all_parts(seed, n, nu, correlated):
    rng = np.random.default_rng(seed)
    problem, _, _ = world(rng, n, 5, correlated=correlated, outliers=0.2)
    weights = inv.solve(problem, likelihood="student-t", degrees_of_freedom=nu).weights
    # twice the tolerance of the iteration, whose last step is not taken
    np.testing.assert_allclose(weights, (nu + 1) / (nu + expected_squares(problem, weights)), rtol=2e-6)


def test_weights_are_the_mode_of_their_density_given_the_observations():
    """Found a second time by a general optimiser from ln p(y | w) + Σ ln p(ln w), w ~ Γ(ν/2, ν/2)."""
    problem, _, _ = world(np.random.default_rng(3), 15, 5, outliers=0.2)
    signal = problem.prior_covariance.observe(problem.jacobian)
    correlated = problem.mismatch_covariance.parts[1].dense()

    def negative(log_w):
        psi = signal + correlated + np.diag(np.exp(-log_w))
        value = problem.residual @ np.linalg.solve(psi, problem.residual) + np.linalg.slogdet(psi)[1]
        return 0.5 * value - 0.5 * NU * float(np.sum(log_w - np.exp(log_w)))

    found = minimize(negative, np.zeros(15), options={"gtol": 1e-6})
    weights = inv.solve(problem, likelihood="student-t", degrees_of_freedom=NU).weights
    # finite-difference gradients of the optimiser are good to about 1e-5
    np.testing.assert_allclose(np.log(weights), found.x, atol=1e-4)


def test_no_step_lowers_the_density_of_the_weights():
    problem, _, _ = world(np.random.default_rng(8), outliers=0.1)
    variance = robust.independent_variance(problem.mismatch_covariance)
    weights, before = np.ones(problem.n), -np.inf
    for _ in range(20):
        posterior = inv.solve(robust.reweighted(problem, weights))
        value = posterior.log_evidence + 0.5 * NU * float(np.sum(np.log(weights) - weights))
        assert value >= before - 1e-9  # rounding
        before = value
        weights = (NU + 1) / (NU + robust.expected_square(posterior, weights, variance))


def test_infinite_degrees_of_freedom_are_the_gaussian():
    problem, _, _ = world(np.random.default_rng(1), outliers=0.1)
    gauss = inv.solve(problem)
    found = inv.solve(problem, likelihood="student-t", degrees_of_freedom=1e12)
    # weights differ from 1 by z²/ν, about 1e-10
    np.testing.assert_allclose(found.weights, 1.0, atol=1e-9)
    np.testing.assert_allclose(found.mean, gauss.mean, rtol=1e-8)
    np.testing.assert_allclose(found.totals.covariance, gauss.totals.covariance, rtol=1e-8)
    np.testing.assert_array_equal(gauss.weights, np.ones(problem.n))


def test_the_weight_is_one_where_the_residual_is_as_expected_and_falls_with_it():
    """One observation without signal: E[ε²] is y² itself, so that w = (ν + 1)/(ν + y²/σ²) exactly."""
    sizes = np.array([0.0, 1.0, 2.0, 5.0, 100.0])
    problem = inv.LinearProblem(np.zeros((5, 1)), 3.0 * sizes, 0.0, 1.0, np.full(5, 9.0))
    weights = inv.solve(problem, "observations", likelihood="student-t", degrees_of_freedom=NU).weights
    np.testing.assert_allclose(weights, (NU + 1) / (NU + sizes**2), rtol=1e-12)
    assert weights[1] == pytest.approx(1.0, rel=1e-12)


def test_the_bound_of_the_evidence_is_the_density_of_t_where_nothing_is_shared():
    values, sigma = np.array([0.0, -1.0, 30.0]), np.array([1.0, 2.0, 3.0])
    problem = inv.LinearProblem(np.zeros((3, 1)), values, 0.0, 1.0, sigma**2)
    posterior = inv.solve(problem, "observations", likelihood="student-t", degrees_of_freedom=NU)
    expected = np.sum(student_t(NU, scale=sigma).logpdf(values))
    # at the maximum, so that the tolerance of the weights enters squared
    assert robust.log_evidence_bound(posterior, NU) == pytest.approx(expected, abs=1e-9)


def test_the_bound_prefers_heavy_tails_where_there_are_outliers():
    dirty, clean, _ = world(np.random.default_rng(2), 80, outliers=0.1)
    for problem, heavier in ((dirty, True), (clean, False)):
        bound = [
            robust.log_evidence_bound(inv.solve(problem, likelihood="student-t", degrees_of_freedom=nu), nu)
            for nu in (3.0, 1e4)
        ]
        assert (bound[0] > bound[1]) == heavier


# --- what they protect from -------------------------------------------------------------------------------


@pytest.mark.parametrize("correlated", [False, True])
def test_five_per_cent_gross_outliers_cost_less_than_thirty_per_cent(correlated):
    rng = np.random.default_rng(20)
    errors = []
    for _ in range(300):
        dirty, clean, truth = world(rng, 60, 20, correlated=correlated, outliers=0.05)
        found = (inv.solve(clean), inv.solve(dirty, likelihood="student-t"), inv.solve(dirty))
        errors.append([p.totals.mean[0] - truth for p in found])
    reference, robustly, gaussian = np.sqrt(np.mean(np.square(errors), axis=0))
    print(f"error ratio: Student-t {robustly / reference:.3f}, Gaussian {gaussian / reference:.2f}")
    assert robustly <= 1.3 * reference
    assert gaussian >= 2.0 * reference


def test_an_infinite_outlier_is_as_good_as_left_out():
    dirty, _, _ = world(np.random.default_rng(5), outliers=0.0)
    values = dirty.observations.copy()
    values[7] = 1e6
    keep = np.arange(dirty.n) != 7
    found = inv.solve(replace(dirty, observations=values), likelihood="student-t")
    assert found.weights[7] < 1e-11
    mismatch = Sum((Diagonal(np.ones(dirty.n - 1)), Exponential(5.0, at=np.flatnonzero(keep) * 1.0, std=0.7)))
    without = inv.LinearProblem(
        dirty.jacobian[keep], values[keep], 2.0, dirty.prior_covariance, mismatch, totals=dirty.totals
    )
    left = inv.solve(without, likelihood="student-t")
    # what remains of it is weight × size = (ν + 1)/z, 5e-6 of a σ; weights are iterated to 1e-6
    np.testing.assert_allclose(found.totals.mean, left.totals.mean, rtol=1e-5)
    np.testing.assert_allclose(found.totals.std, left.totals.std, rtol=1e-5)


def test_scales_and_weights_found_in_turn_do_not_take_outliers_for_noise():
    rng = np.random.default_rng(12)
    problem, _, _ = world(rng, 300, 10, correlated=False, outliers=0.05)
    held = [p.name for p in problem.parameters if p.name != "mismatch 0 scale"]
    fit = hyper.maximise_evidence(problem, fixed=held)
    gaussian = fit["mismatch 0 scale"]
    for _ in range(8):
        weights = inv.solve(problem.with_values(fit.values), likelihood="student-t").weights
        fit = hyper.maximise_evidence(robust.reweighted(problem, weights), fixed=held, start=fit.values)
    # the truth is 1, of which 300 values know 4 %; outliers of 15 σ in 5 % make it √(1 + 0.05 · 233) = 3.6
    assert gaussian > 2.5
    assert fit["mismatch 0 scale"] == pytest.approx(1.0, abs=0.25)


# --- what they leave alone --------------------------------------------------------------------------------


def test_only_independent_variances_are_divided():
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1.2, 7)
    drift = Exponential(4.0, at=np.arange(3.0), std=2.0)
    first = Sum((Diagonal(np.array([1.0, 2.0, 0.0]), scale=1.5), drift, Sum((Diagonal(np.ones(3)),))))
    second = Diagonal(np.full(4, 3.0))
    problem = inv.LinearProblem(np.ones((7, 1)), np.zeros(7), 0.0, 1.0, Block((first, second)))
    independent = np.array([3.25, 5.5, 1.0, 3.0, 3.0, 3.0, 3.0])
    np.testing.assert_allclose(robust.independent_variance(problem.mismatch_covariance), independent)
    found = robust.reweighted(problem, weights)
    expected = np.diag(independent / weights)
    expected[:3, :3] += drift.dense()
    np.testing.assert_allclose(found.mismatch_covariance.dense(), expected, rtol=1e-14)
    assert [p.name for p in found.parameters] == [p.name for p in problem.parameters]


def test_an_observation_without_independent_error_keeps_its_weight():
    problem, _, _ = world(np.random.default_rng(2))
    variance = np.ones(problem.n)
    variance[3] = 0.0
    other = replace(
        problem, mismatch_covariance=Sum((Diagonal(variance), problem.mismatch_covariance.parts[1]))
    )
    weights = inv.solve(other, likelihood="student-t").weights
    assert weights[3] == 1.0
    assert (np.delete(weights, 3) != 1.0).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), unit=st.sampled_from([1e-6, 1e3]))
def test_weights_know_no_units_and_no_order(seed, unit):
    rng = np.random.default_rng(seed)
    problem, _, _ = world(rng, 20, 4, correlated=False, outliers=0.1)
    weights = inv.solve(problem, likelihood="student-t").weights
    order = rng.permutation(20)
    other = inv.LinearProblem(
        problem.jacobian[order] * unit,
        problem.observations[order] * unit,
        2.0,
        problem.prior_covariance,
        Diagonal(np.full(20, unit**2)),
    )
    # the same steps, apart from rounding
    np.testing.assert_allclose(inv.solve(other, likelihood="student-t").weights, weights[order], rtol=1e-8)


def test_a_fixed_effect_is_the_limit_of_a_broad_prior():
    problem, _, _ = world(np.random.default_rng(4), outliers=0.1)
    pattern = np.ones(problem.m)
    fixed = replace(problem, fixed_effects={"level": pattern})
    broad = replace(
        problem, prior_covariance=problem.prior_covariance.dense() + 1e6 * np.outer(pattern, pattern)
    )
    found, limit = (inv.solve(p, likelihood="student-t") for p in (fixed, broad))
    # the limit is reached as 1/10⁶, in units of an information of order 1 to 10
    np.testing.assert_allclose(found.weights, limit.weights, rtol=1e-5)
    np.testing.assert_allclose(found.totals.mean, limit.totals.mean, rtol=1e-5)


# --- every way to solve -----------------------------------------------------------------------------------


def test_every_method_finds_the_same_weights(monkeypatch):
    rng = np.random.default_rng(6)
    prior = Kronecker(Exponential(3.0, at=4), Exponential(2.0, at=(4, 5)), std=1.0)
    n, m = 170, prior.size
    jacobian = rng.gamma(1.0, size=(n, m)) * (rng.random((n, m)) < 0.2)
    values = jacobian @ prior.sqrt_matvec(rng.normal(size=m)) + rng.standard_t(3, size=n)
    problem = inv.LinearProblem(jacobian, values, 0.0, prior, np.ones(n), totals=np.ones((1, m)))
    calls = []
    observe = reduction.Reduction.observe
    monkeypatch.setattr(
        reduction.Reduction, "observe", lambda self: calls.append(self.smooth.n) or observe(self)
    )
    found = {
        method: inv.solve(problem, method, likelihood="student-t")
        for method in ("observations", "state", "reduced")
    }
    assert calls.count(n) == 1  # H Q Hᵀ of all once, whatever the number of steps
    exact = found["observations"]
    for method, rtol in (("state", 1e-9), ("reduced", 20 * found["reduced"].truncation + 1e-9)):
        np.testing.assert_allclose(found[method].weights, exact.weights, rtol=rtol)
        np.testing.assert_allclose(found[method].totals.covariance, exact.totals.covariance, rtol=rtol)


def test_any_other_solver_may_do_the_steps():
    problem, _, _ = world(np.random.default_rng(6), outliers=0.1)
    expected = inv.solve(problem, likelihood="student-t")
    found = robust.solve_student_t(problem, method=lambda now: inv.solve(now, "observations"))
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-10)


def test_windows_may_do_the_steps():
    rng = np.random.default_rng(6)
    prior = Kronecker(Exponential(3.0, at=24), Exponential(2.0, at=(3, 3)), std=1.0)
    seen = np.repeat(np.arange(24), 2)
    jacobian = np.zeros((48, prior.size))
    for row, hour in enumerate(seen):
        jacobian[row, hour * 9 : hour * 9 + 9] = rng.gamma(1.0, size=9)
    values = jacobian @ prior.sqrt_matvec(rng.normal(size=prior.size)) + rng.standard_t(2, size=48)
    problem = inv.LinearProblem(jacobian, values, 0.0, prior, np.ones(48))
    exact = inv.solve(problem, likelihood="student-t").weights
    found = robust.solve_student_t(problem, method=lambda now: inv.windowed(now, 6.0, 24.0)).weights
    # windows that see the whole past leave nothing out
    np.testing.assert_allclose(found, exact, rtol=1e-7)


def test_a_wholly_correlated_mismatch_has_nothing_to_reweight():
    problem, _, _ = world(np.random.default_rng(2), 10, 3)
    for mismatch in (problem.mismatch_covariance.parts[1], Dense(np.eye(10)), Sum((Dense(np.eye(10)),))):
        with pytest.raises(InputError, match=r"needs independent errors.*found: .*inv\.covariance\.Diagonal"):
            inv.solve(replace(problem, mismatch_covariance=mismatch), likelihood="student-t")


def test_weights_that_do_not_converge_are_an_error_with_the_number(monkeypatch):
    monkeypatch.setattr(robust, "STEPS", 3)
    problem, _, _ = world(np.random.default_rng(2), outliers=0.1)
    with pytest.raises(NumericalError, match=r"do not converge.*found: [0-9.e-]+ after 3 steps"):
        inv.solve(problem, likelihood="student-t")


def test_bad_choices_are_refused_by_name():
    problem, _, _ = world(np.random.default_rng(2), 6, 2)
    with pytest.raises(InputError, match="no likelihood 'cauchy'.*gaussian, student-t"):
        inv.solve(problem, likelihood="cauchy")
    with pytest.raises(InputError, match="degrees_of_freedom must be a positive number.*-1"):
        inv.solve(problem, likelihood="student-t", degrees_of_freedom=-1)
    with pytest.raises(InputError, match=r"1 weights are not positive numbers.*0\.0 at index 2"):
        robust.reweighted(problem, np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match=r"weights do not fit.*\(6,\).*\(2,\)"):
        robust.reweighted(problem, np.ones(2))
