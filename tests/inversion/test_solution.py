"""The answer in observation space is the textbook answer in state space; fixed effects are its flat limit."""

from __future__ import annotations

import numpy as np
import pytest
from dense import spd, state_space_posterior
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import NumericalError
from monitor.inversion.solution import estimate_totals, leave_out, solve, solve_factored

SEEDS = st.integers(0, 10_000)


def world(seed, n=8, m=6, k=3):
    """A linear problem: H, Q, R, residual, totals a."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)), spd(rng, m), spd(rng, n), rng.normal(size=n), rng.normal(size=(k, m))


def totals(h, q, r, y, a, deltas=None):
    fixed = None if deltas is None else h @ deltas
    found = solve(h @ q @ h.T + r, y, fixed)
    return estimate_totals(found, h @ q @ a.T, a @ q @ a.T, None if deltas is None else a @ deltas)


def test_two_equal_votes_meet_in_the_middle():
    """Prior 2, observation 3, equal variances: 2.5 with variance 0.5."""
    one = np.ones((1, 1))
    found = estimate_totals(solve(2 * one, np.array([3.0 - 2.0])), one, one)
    assert 2.0 + found.shift[0] == pytest.approx(2.5)
    assert found.covariance[0, 0] == pytest.approx(0.5)


@given(seed=SEEDS, n=st.integers(1, 14), m=st.integers(1, 14), k=st.integers(1, 4), hide=st.integers(0, 255))
def test_totals_are_the_textbook_posterior_of_state_space(seed, n, m, k, hide):
    h, q, r, y, a = world(seed, n, m, k)
    for cell in range(m):
        if hide >> (cell % 8) & 1:
            h[:, cell] = 0.0  # a part of the state that nobody sees
    mean, covariance = state_space_posterior(h, q, r, y)
    found = totals(h, q, r, y, a)
    np.testing.assert_allclose(found.shift, a @ mean, atol=1e-10 * (1 + np.abs(a @ mean).max()))
    expected = a @ covariance @ a.T
    np.testing.assert_allclose(found.covariance, expected, atol=1e-10 * (1 + np.abs(expected).max()))
    np.testing.assert_allclose(found.gain @ y, found.shift, atol=1e-12)


@given(seed=SEEDS)
def test_a_fixed_effect_is_the_limit_of_a_broad_prior(seed):
    h, q, r, y, a = world(seed)
    deltas = np.random.default_rng(seed + 1).normal(size=(6, 2))
    found = totals(h, q, r, y, a, deltas)
    errors = []
    for kappa in (1e2, 1e3):
        broad = totals(h, q + kappa**2 * deltas @ deltas.T, r, y, a)
        errors.append(np.abs(broad.shift - found.shift).max() / (1 + np.abs(found.shift).max()))
        np.testing.assert_allclose(
            broad.covariance, found.covariance, rtol=0.2 if kappa < 1e3 else 0.02, atol=2 / kappa
        )
    # the approach is as κ⁻²: ten times broader is a hundred times nearer (or down to rounding)
    assert errors[1] < max(errors[0] / 30, 1e-7)


@given(seed=SEEDS, factor=st.floats(0.1, 50), shift=st.floats(-10, 10))
def test_the_prior_does_not_vote_along_a_fixed_effect(seed, factor, shift):
    """More prior variance along Δ, or another prior mean along Δ, changes nothing: 1e-8 is rounding."""
    h, q, r, y, a = world(seed)
    delta = np.random.default_rng(seed + 1).normal(size=(6, 1))
    found = totals(h, q, r, y, a, delta)
    wider = totals(h, q + factor * delta @ delta.T, r, y, a, delta)
    np.testing.assert_allclose(wider.shift, found.shift, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(wider.covariance, found.covariance, rtol=1e-8, atol=1e-8)
    moved = totals(h, q, r, y - h @ delta[:, 0] * shift, a, delta)
    np.testing.assert_allclose(moved.shift + shift * a @ delta[:, 0], found.shift, rtol=1e-8, atol=1e-8)


@given(seed=SEEDS)
def test_the_response_along_a_fixed_pattern_is_one(seed):
    h, q, r, y, a = world(seed)
    deltas = np.random.default_rng(seed + 1).normal(size=(6, 2))
    found = totals(h, q, r, y, a, deltas)
    for delta in (deltas[:, 0], deltas @ np.array([0.3, 2.0])):
        np.testing.assert_allclose(found.response(h @ delta, a @ delta), 1.0, atol=1e-9)
    shrunk = totals(h, q, r, y, a)
    assert np.abs(shrunk.response(h @ deltas[:, 0], a @ deltas[:, 0]) - 1).max() > 1e-3


@given(seed=SEEDS)
def test_a_fixed_effect_alone_is_generalised_least_squares(seed):
    rng = np.random.default_rng(seed)
    x, psi, y = rng.normal(size=(9, 2)), spd(rng, 9), rng.normal(size=9)
    found = solve(psi, y, x)
    inner = x.T @ np.linalg.solve(psi, x)
    np.testing.assert_allclose(found.beta, np.linalg.solve(inner, x.T @ np.linalg.solve(psi, y)), atol=1e-9)
    np.testing.assert_allclose(found.beta_covariance @ inner, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found.precision @ y, found.alpha, atol=1e-9)
    np.testing.assert_allclose(found.precision @ x, 0.0, atol=1e-9)


@given(seed=SEEDS, fixed=st.booleans())
def test_leaving_out_a_group_equals_a_refit_without_it(seed, fixed):
    rng = np.random.default_rng(seed)
    n = 11
    psi, y, x = spd(rng, n), rng.normal(size=n), rng.normal(size=(n, 1))
    columns = x if fixed else np.zeros((n, 0))
    groups = rng.integers(0, 3, n)
    residual, sigma = leave_out(solve(psi, y, columns), groups)
    for label in np.unique(groups):
        out, rest = np.flatnonzero(groups == label), np.flatnonzero(groups != label)
        if rest.size < 2:
            continue
        refit = solve(psi[np.ix_(rest, rest)], y[rest], columns[rest])
        found = estimate_totals(refit, psi[np.ix_(rest, out)], psi[np.ix_(out, out)], columns[out])
        np.testing.assert_allclose(residual[out], y[out] - found.shift, atol=1e-8)
        np.testing.assert_allclose(sigma[out], np.sqrt(np.diagonal(found.covariance)), rtol=1e-8)


def test_zero_footprint_leaves_the_prior_unchanged():
    h, q, r, y, a = world(0)
    found = totals(0 * h, q, r, y, a)
    np.testing.assert_array_equal(found.shift, 0.0)
    np.testing.assert_allclose(found.covariance, a @ q @ a.T)


@given(seed=SEEDS)
def test_more_data_never_widen_a_total(seed):
    h, q, r, y, a = world(seed)
    few = totals(h[:4], q, r[:4, :4], y[:4], a).covariance
    many = totals(h, q, r, y, a).covariance
    assert np.linalg.eigvalsh(few - many)[0] > -1e-10
    assert np.linalg.eigvalsh(many)[0] > -1e-12


@given(seed=SEEDS)
def test_batch_equals_one_observation_after_the_other(seed):
    """Sequential Kalman updates, with independent errors."""
    h, q, r, y, a = world(seed)
    r = np.diag(np.diagonal(r))
    mean, covariance = np.zeros(6), q.copy()
    for i in range(8):
        gain = covariance @ h[i] / (h[i] @ covariance @ h[i] + r[i, i])
        mean = mean + gain * (y[i] - h[i] @ mean)
        covariance = covariance - np.outer(gain, h[i] @ covariance)
    found = totals(h, q, r, y, a)
    np.testing.assert_allclose(found.shift, a @ mean, atol=1e-9)
    np.testing.assert_allclose(found.covariance, a @ covariance @ a.T, atol=1e-9)


def test_collinear_fixed_effects_are_refused_with_the_condition_number():
    column = np.arange(5.0)
    with pytest.raises(NumericalError, match=r"cannot be told apart.*condition number \d"):
        solve(np.eye(5), np.ones(5), np.column_stack([column, 3 * column]))


def test_more_fixed_effects_than_observations_are_refused():
    with pytest.raises(NumericalError, match="3 fixed effects.*2 observations"):
        solve(np.eye(2), np.ones(2), np.ones((2, 3)))


def test_a_pattern_that_nobody_sees_is_refused():
    with pytest.raises(NumericalError, match="leaves no trace.*column 1 is zero"):
        solve(np.eye(3), np.ones(3), np.column_stack([np.ones(3), np.zeros(3)]))


def test_a_covariance_that_is_not_positive_definite_is_refused_with_numbers():
    with pytest.raises(NumericalError, match="not positive definite.*smallest eigenvalue"):
        solve(np.ones((3, 3)) - np.eye(3), np.ones(3))


@pytest.mark.parametrize("what", ["residual", "fixed effect"])
def test_a_number_that_is_none_is_named_with_its_place(what):
    y, x = np.ones(3), np.ones((3, 1))
    (y if what == "residual" else x[:, 0])[2] = np.nan
    with pytest.raises(NumericalError, match=rf"{what} is not finite.*nan at index \(2"):
        solve_factored(np.eye(3), y, x)
