"""Observations left out, and patterns with a flat prior, against refits and limits."""

from __future__ import annotations

import dense
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from structures import footprints, seeds, simple, sizes

from monitor import inversion as inv
from monitor.errors import NumericalError
from monitor.inversion import covariance as cov


@st.composite
def networks(draw, fixed=None, independent=False):
    """Two stations for some days, with errors that are correlated in time; a prior of any structure."""
    m, days = draw(sizes), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(seeds))
    per_day = draw(st.integers(1, 3))
    hours = np.repeat(24.0 * np.arange(days)[:, None] + 6.0 * np.arange(per_day), 2).ravel()
    station = np.tile([0, 1], days * per_day)
    n = hours.size
    r = cov.Sum((cov.Diagonal(rng.uniform(0.2, 2, n)), cov.Exponential(8.0, hours, groups=station, std=0.7)))
    if independent:
        r = r.parts[0]
    number = min(draw(st.integers(0, 2)) if fixed is None else fixed, m)
    h, patterns = rng.gamma(1.0, 1.0, (n, m)) + footprints(rng, n, m), rng.gamma(2.0, 1.0, (m, number))
    q, _ = draw(simple(m))
    problem = inv.LinearProblem(
        h,
        rng.normal(size=n),
        rng.normal(size=m),
        q,
        r,
        totals=rng.normal(size=(2, m)),
        fixed_effects=patterns,
    )
    return problem, {"each": np.arange(n), "day": hours // 24, "station": station}


def refit(problem, keep, method="observations"):
    """The same problem with some of the observations, at the same covariances."""
    return inv.solve(
        inv.LinearProblem(
            problem.jacobian[keep],
            problem.observations[keep],
            problem.prior_mean,
            problem.prior_covariance,
            problem.mismatch_covariance.select(keep),
            totals=problem.totals,
            fixed_effects=problem.fixed_effects,
        ),
        method=method,
    )


def predicted(problem, posterior, rows, keep):
    """Error and covariance of the prediction of `rows` from `keep`: the errors of both may be correlated."""
    r = problem.mismatch_covariance.dense()
    across = np.linalg.solve(r[np.ix_(keep, keep)], r[np.ix_(keep, rows)])
    ahead = problem.jacobian[rows] - across.T @ problem.jacobian[keep]
    offset = across.T @ problem.observations[keep]
    error = problem.observations[rows] - offset - ahead @ posterior.mean
    own = r[np.ix_(rows, rows)] - across.T @ r[np.ix_(keep, rows)]
    return error, ahead @ posterior.covariance() @ ahead.T + own


@pytest.mark.parametrize("groups", ["each", "day", "station"])
@pytest.mark.parametrize("method", ["observations", "state", "auto"])
@settings(max_examples=25)  # nine times
@given(data=st.data())
def test_leaving_out_equals_a_refit_without(groups, method, data):
    problem, labels = data.draw(networks(independent=method == "state"))
    label = labels[groups]
    posterior = inv.solve(problem, method=method)
    q = len(problem.fixed_effects)
    for group in np.unique(label):
        seen = problem.fixed_observed[label != group]
        # what rests on one group alone has a test of its own
        assume(q == 0 or (seen.shape[0] >= q and np.linalg.cond(seen) < 1e3))
    found = posterior.leave_out(label)
    prior = np.abs(problem.prior_covariance.diagonal()).max()
    weight = np.abs(problem.totals).sum()
    for g, group in enumerate(found.labels):
        rows, keep = np.flatnonzero(label == group), np.flatnonzero(label != group)
        other = refit(problem, keep, method)
        error, spread = predicted(problem, other, rows, keep)
        # without the group a fixed effect may be known far less well
        variance = prior + np.abs(other.covariance()).max()
        # 1e-8 of the errors, of the totals and of their variances, as they may be large
        np.testing.assert_allclose(found.residual[rows], error, rtol=0, atol=1e-8 * (1 + np.abs(error).max()))
        np.testing.assert_allclose(found.std[rows] ** 2, np.diagonal(spread), rtol=1e-8)
        level = np.abs(other.totals.mean).max() + weight * np.sqrt(variance)
        np.testing.assert_allclose(found.totals_mean[g], other.totals.mean, rtol=0, atol=1e-8 * level)
        np.testing.assert_allclose(
            found.totals_covariance[g], other.totals.covariance, rtol=0, atol=1e-8 * weight**2 * variance
        )
    np.testing.assert_allclose(found.standardised, found.residual / found.std, rtol=1e-15)


def test_leaving_everything_out_leaves_the_prior():
    rng = np.random.default_rng(1)
    problem = inv.LinearProblem(
        rng.normal(size=(5, 3)), rng.normal(size=5), 1.0, dense.spd(rng, 3), 0.5, totals=np.ones((1, 3))
    )
    posterior = inv.solve(problem)
    found = posterior.leave_out(np.zeros(5))
    # an inverse of an inverse of a matrix of condition 1e2
    np.testing.assert_allclose(found.totals_mean[0], posterior.totals.prior_mean, rtol=1e-12)
    np.testing.assert_allclose(found.totals_covariance[0], posterior.totals.prior_covariance, rtol=1e-12)
    np.testing.assert_allclose(found.residual, problem.residual, rtol=1e-12)


@given(networks(fixed=1), seeds)
def test_a_fixed_effect_is_the_limit_of_a_broad_prior(drawn, seed):
    """Q + κ² ΔΔᵀ: what is left of the prior falls as κ⁻², so that two κ show the way to the limit."""
    problem, _ = drawn
    (pattern,) = problem.fixed_effects.values()
    exact = inv.solve(problem)
    q = problem.prior_covariance.dense()
    means, covariances = [], []
    # κ² of 1e4 and 2e4 times the variance of the strength
    for times in (1e4, 2e4):
        broad = q + times * exact.beta_covariance[0, 0] * np.outer(pattern, pattern)
        found = inv.solve(
            inv.LinearProblem(
                problem.jacobian,
                problem.observations,
                problem.prior_mean,
                broad,
                problem.mismatch_covariance,
                totals=problem.totals,
            )
        ).totals
        means.append(found.mean)
        covariances.append(found.covariance)
    sigma = np.sqrt(np.diagonal(exact.totals.covariance)) + np.abs(exact.totals.mean)
    # the error of the extrapolation is of the order κ⁻⁴, 1e-8, and of what κ² costs in digits, 1e-9
    np.testing.assert_allclose(2 * means[1] - means[0], exact.totals.mean, rtol=0, atol=1e-6 * sigma.max())
    limit = 2 * covariances[1] - covariances[0]
    np.testing.assert_allclose(limit, exact.totals.covariance, rtol=0, atol=1e-6 * np.abs(limit).max())


@given(networks(fixed=1), st.floats(0.1, 30.0), st.floats(-30.0, 30.0))
def test_the_prior_along_a_fixed_effect_may_be_multiplied_or_shifted(drawn, factor, shift):
    """Multiplied: its variance along Δ; shifted: its mean by any amount of Δ."""
    problem, _ = drawn
    (pattern,) = problem.fixed_effects.values()
    q = problem.prior_covariance.dense()
    more = factor * np.trace(q) / pattern.size * np.outer(pattern, pattern) / (pattern @ pattern)
    changed = inv.LinearProblem(
        problem.jacobian,
        problem.observations,
        problem.prior_mean + shift * pattern,
        q + more,
        problem.mismatch_covariance,
        totals=problem.totals,
        fixed_effects=problem.fixed_effects,
    )
    a, b = inv.solve(problem), inv.solve(changed)
    sigma = np.sqrt(np.abs(a.totals.covariance).max()) + np.abs(a.totals.mean).max()
    np.testing.assert_allclose(b.totals.mean, a.totals.mean, rtol=0, atol=1e-8 * sigma)
    np.testing.assert_allclose(
        b.totals.covariance, a.totals.covariance, rtol=0, atol=1e-8 * np.abs(a.totals.covariance).max()
    )
    assert b.log_evidence == pytest.approx(a.log_evidence, rel=1e-8, abs=1e-8)
    assert b.chi2 == pytest.approx(a.chi2, rel=1e-8, abs=1e-8)


@given(networks(fixed=2))
def test_along_fixed_effects_the_response_is_one(drawn):
    problem, _ = drawn
    assume(np.linalg.cond(problem.fixed_observed) < 1e3)
    totals = inv.solve(problem).totals
    for pattern in problem.fixed_effects.values():
        true = problem.totals @ pattern
        clear = np.abs(true) > 1e-3 * np.abs(problem.totals).sum() * pattern.max()
        # 1e-8 of a change that may be a thousandth of its parts
        np.testing.assert_allclose(totals.response(pattern)[clear], 1.0, rtol=1e-7)
    assert (totals.share_from_data == 1.0).all()


def test_a_group_that_alone_holds_a_fixed_effect_cannot_be_left_out():
    h = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.5]])
    only = {"harbour": np.array([0.0, 1.0])}
    problem = inv.LinearProblem(h, np.ones(4), 0.0, 1.0, 0.5, fixed_effects=only)
    posterior = inv.solve(problem)
    day = np.array([1, 1, 2, 2])
    with pytest.raises(
        NumericalError, match=r"group 2 cannot be left out: fixed effect 'harbour' rests on it"
    ):
        posterior.leave_out(day)
    assert np.isfinite(posterior.leave_out(np.array([1, 1, 2, 3])).residual).all()
    with pytest.raises(NumericalError, match="group 0 cannot be left out"):
        posterior.leave_out(np.zeros(4, dtype=int))
