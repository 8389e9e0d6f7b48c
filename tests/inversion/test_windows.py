"""Windows that look back to the beginning are the whole; updates are what all observations at once give."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import inversion as inv
from monitor.errors import InputError
from monitor.inversion import robust
from monitor.inversion.windows import last_times

cov = inv.covariance
HOURS, GRID, BACK = 48, (2, 3), 4


def record(seed, n=90, *, hours=HOURS, tau=3.0, correlated=True, order=None):
    """A long record: footprints of a few hours, errors correlated in time within two stations."""
    rng = np.random.default_rng(seed)
    cells = GRID[0] * GRID[1]
    last = np.sort(rng.integers(BACK, hours, n)) if order is None else order
    h = np.zeros((n, hours, cells))
    for i, t in enumerate(last):
        h[i, t - BACK : t + 1] = rng.gamma(0.5, size=(BACK + 1, cells)) * (
            rng.random((BACK + 1, cells)) < 0.4
        )
        h[i, t, rng.integers(cells)] += 1.0
    h = h.reshape(n, -1)
    prior = cov.Kronecker(
        cov.Exponential(tau, hours),
        cov.Exponential(2.0, GRID),
        (np.ones(hours), rng.uniform(0.5, 1.5, cells)),
    )
    mismatch = cov.Diagonal(rng.uniform(0.5, 1.0, n))
    if correlated:
        station = rng.integers(0, 2, n)
        mismatch = cov.Sum((mismatch, cov.Exponential(2.0, last.astype(float), groups=station, std=0.7)))
    truth = prior.sqrt_matvec(rng.normal(size=prior.sqrt_size))
    y = h @ truth + mismatch.sqrt_matvec(rng.normal(size=mismatch.sqrt_size))
    days = np.kron(np.eye(hours // 12), np.full((1, 12), 1 / 12))
    totals = inv.SeparableTotals(days, rng.random((2, cells)))
    return inv.LinearProblem(sp.csr_array(h), y, 0.1, prior, mismatch, totals=totals)


def agree(found, whole, rtol):
    np.testing.assert_allclose(found.mean, whole.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found.totals.mean, whole.totals.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found.totals.covariance, whole.totals.covariance, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found.std, whole.std, rtol=rtol)
    assert found.dofs == pytest.approx(whole.dofs, rel=rtol)
    assert found.chi2 == pytest.approx(whole.chi2, rel=rtol)
    assert found.log_evidence == pytest.approx(whole.log_evidence, rel=rtol)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), window=st.floats(3, 70), correlated=st.booleans())
def test_windows_that_look_back_to_the_beginning_are_the_whole(seed, window, correlated):
    problem = record(seed, 40, correlated=correlated)
    # a product of exact conditional densities: 1e-9 is rounding through two triangular solutions
    agree(inv.windowed(problem, window, overlap=HOURS), inv.solve(problem, "exact"), 1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_means_are_within_a_hundredth_of_sigma_and_sigma_within_a_hundredth(seed):
    """With an overlap of six correlation times and a footprint: e⁻⁶ is a quarter of a hundredth."""
    problem = record(seed, 400, hours=240)
    whole = inv.solve(problem, "exact")
    found = inv.windowed(problem, window=48, overlap=6 * 3 + BACK)
    sigma = whole.totals.std
    assert np.max(np.abs(found.totals.mean - whole.totals.mean) / sigma) < 0.01
    np.testing.assert_allclose(found.totals.std, sigma, rtol=0.01)
    assert np.max(np.abs(found.mean - whole.mean) / whole.std) < 0.01
    np.testing.assert_allclose(found.std, whole.std, rtol=0.01)


def test_the_error_falls_with_the_overlap():
    problem = record(5, 300, hours=240)
    sigma, whole = inv.solve(problem, "exact").totals.std, inv.solve(problem, "exact").totals.mean
    error = [
        np.max(np.abs(inv.windowed(problem, 24, overlap).totals.mean - whole) / sigma)
        for overlap in (0, 6, 12, 24)
    ]
    assert error[0] > 0.05  # windows that know nothing of each other are not good enough
    assert all(b < a / 2 for a, b in pairwise(error))


def test_left_out_days_are_those_of_the_whole():
    problem = record(7, 80)
    day = last_times(problem) // 12
    found = inv.windowed(problem, 10, overlap=HOURS).leave_out(day)
    whole = inv.solve(problem, "exact").leave_out(day)
    for name in ("residual", "std", "totals_mean", "totals_covariance"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-8, atol=1e-9)


def test_the_order_of_observations_and_of_stations_does_not_matter():
    problem = record(8, 60)
    shuffle = np.random.default_rng(0).permutation(60)
    other = replace(
        problem,
        jacobian=problem.jacobian[shuffle],
        observations=problem.observations[shuffle],
        mismatch_covariance=problem.mismatch_covariance.select(shuffle),
    )
    found, same = (inv.windowed(p, 13, overlap=12) for p in (problem, other))
    np.testing.assert_allclose(same.totals.mean, found.totals.mean, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(same.totals.covariance, found.totals.covariance, rtol=1e-9, atol=1e-10)


def test_a_store_on_disk_serves_windows_out_of_order(tmp_path):
    problem = record(9, 60, order=np.tile(np.arange(BACK, HOURS, 2)[:20], 3))
    stored = inv.RaggedJacobian.of(problem.jacobian)
    values = np.memmap(tmp_path / "values", "f8", "w+", shape=stored.values.shape)
    values[:] = stored.values
    ragged = replace(
        problem, jacobian=inv.RaggedJacobian(stored.offsets, stored.columns, values, stored.shape)
    )
    found, same = (inv.windowed(p, 11, overlap=9) for p in (problem, ragged))
    np.testing.assert_allclose(same.totals.mean, found.totals.mean, rtol=1e-10)


def test_progress_counts_the_windows():
    calls = []
    inv.windowed(record(1), 12, 12, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(k + 1, len(calls)) for k in range(len(calls))]
    assert len(calls) >= 4


def test_times_of_observations_are_the_last_that_they_see():
    order = np.array([5, 9, 30, 47])
    np.testing.assert_array_equal(last_times(record(2, 4, order=order)), order)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"window": 0.0}, "window > 0"),
        ({"overlap": -1.0}, "overlap >= 0"),
        ({"times": np.zeros(3)}, r"times has the wrong shape.*\(20,\), the observations.*\(3,\)"),
        ({"times": np.full(20, "2024-01-01", dtype="datetime64[h]")}, "times holds dates.*gives hours"),
        ({"times": np.r_[np.zeros(7), np.nan, np.zeros(12)]}, "times has 1 values.*nan at index 7"),
        ({"times": np.ma.masked_equal(np.arange(20.0), 4)}, "times has 1 masked values.*index 4"),
        ({"method": "quick"}, "no method 'quick'"),
    ],
)
def test_a_wrong_window_is_one_error(change, text):
    with pytest.raises(InputError, match=text):
        inv.windowed(**({"problem": record(3, 20), "window": 10.0, "overlap": 5.0} | change))


def test_a_prior_without_times_needs_the_times_of_observations():
    problem = inv.LinearProblem(np.eye(4), np.arange(4.0), 0.0, 1.0, 1.0, totals=np.ones((1, 4)))
    with pytest.raises(InputError, match=r"does not say when it is.*times="):
        inv.windowed(problem, 2.0, 1.0)
    found = inv.windowed(problem, 2.0, 1.0, times=np.arange(4.0))
    np.testing.assert_allclose(found.mean, inv.solve(problem).mean)


# --- updates ----------------------------------------------------------------------------------------------


def cut(problem, n):
    """The first n observations, and the others as new ones with the joint covariance of the errors."""
    first = replace(
        problem,
        jacobian=problem.jacobian[:n],
        observations=problem.observations[:n],
        mismatch_covariance=problem.mismatch_covariance.select(np.arange(n)),
    )
    return first, inv.NewObservations(
        problem.jacobian[n:], problem.observations[n:], problem.mismatch_covariance
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), n=st.integers(1, 29), correlated=st.booleans())
def test_batch_is_sequential(seed, n, correlated):
    problem = record(seed, 30, correlated=correlated)
    first, new = cut(problem, n)
    agree(inv.update(inv.solve(first, "exact"), new), inv.solve(problem, "exact"), 1e-9)


def test_one_after_another_is_all_at_once():
    problem = record(4, 25, correlated=False)
    variance = problem.mismatch_covariance.diagonal()
    first, _ = cut(problem, 20)
    found = inv.solve(first, "exact")
    for i in range(20, 25):
        found = inv.update(
            found, inv.NewObservations(problem.jacobian[[i]], problem.observations[[i]], variance[[i]])
        )
    agree(found, inv.solve(problem, "exact"), 1e-9)
    assert found.condition == pytest.approx(inv.solve(problem, "exact").condition, rel=3.0)


def test_fixed_effects_are_updated_too():
    problem = replace(record(6, 30), fixed_effects={"all": np.ones(HOURS * 6)})
    first, new = cut(problem, 22)
    found, whole = inv.update(inv.solve(first, "exact"), new), inv.solve(problem, "exact")
    np.testing.assert_allclose(found.fixed_effects.mean, whole.fixed_effects.mean, rtol=1e-8)
    np.testing.assert_allclose(found.totals.covariance, whole.totals.covariance, rtol=1e-8, atol=1e-10)


def test_a_windowed_record_grows_by_a_window():
    problem = record(3, 60)
    first, new = cut(problem, 50)
    found = inv.update(inv.windowed(first, 15, overlap=HOURS), new)
    # the last window reaches back to the beginning
    agree(found, inv.solve(problem, "exact"), 1e-9)


@pytest.mark.parametrize("stated", [False, True])
def test_many_updates_keep_windows_small_and_the_answer_near(stated):
    """Twenty single observations, each with what was seen six correlation times and a footprint before it."""
    problem = record(2, 220, hours=240, correlated=False)
    at, variance = last_times(problem).astype("f8"), problem.mismatch_covariance.diagonal()
    first, _ = cut(problem, 200)
    overlap = 6 * 3 + BACK
    found = inv.windowed(first, 24, overlap, times=at[:200] if stated else None)
    for i in range(200, 220):
        new = inv.NewObservations(problem.jacobian[[i]], problem.observations[[i]], variance[[i]])
        found = inv.update(found, replace(new, times=at[[i]]) if stated else new)
    for window, i in zip(found.factor.windows[-20:], range(200, 220), strict=True):
        np.testing.assert_array_equal(window.own, [i])
        near = (at[:i] >= at[i] - overlap) & (at[:i] <= at[i] + overlap)
        np.testing.assert_array_equal(window.rows[:-1], np.flatnonzero(near))
        assert window.before < 60
    whole = inv.solve(problem, "exact")
    # as in the test of windows themselves
    assert np.max(np.abs(found.totals.mean - whole.totals.mean) / whole.totals.std) < 0.01
    np.testing.assert_allclose(found.totals.std, whole.totals.std, rtol=0.01)


def test_windows_by_times_of_their_own_ask_for_the_times_of_new_observations():
    first, new = cut(record(3, 12, correlated=False), 10)
    windows = inv.windowed(first, 9.0, 9.0, times=np.arange(10.0))
    with pytest.raises(InputError, match=r"not known.*NewObservations\(…, times="):
        inv.update(windows, new)


def test_new_observations_of_other_unknowns_are_refused():
    first, new = cut(record(1, 10), 8)
    with pytest.raises(InputError, match=r"see other unknowns.*\(k, 288\)"):
        inv.update(inv.solve(first, "exact"), replace(new, jacobian=np.ones((2, 7))))


@pytest.mark.parametrize("correlated", [False, True])
def test_a_solution_by_the_state_is_continued(correlated):
    """Few unknowns and independent errors are solved by the state; what comes may have correlated errors."""
    rng = np.random.default_rng(0)
    h, y = rng.normal(size=(9, 2)), rng.normal(size=9)
    error = np.diag(rng.uniform(0.5, 1.0, 9))
    error[7, 8] = error[8, 7] = 0.3 if correlated else 0.0
    totals = np.ones((1, 2))
    first = inv.LinearProblem(h[:7], y[:7], 0.0, 1.0, np.diagonal(error)[:7], totals)
    whole = inv.LinearProblem(h, y, 0.0, 1.0, error, totals)
    own = error[7:, 7:] if correlated else np.diagonal(error)[7:]
    found = inv.update(inv.solve(first), inv.NewObservations(h[7:], y[7:], own))
    # matrices of condition below 100, by two ways
    agree(found, inv.solve(whole, "observations"), 1e-12)


def test_observations_without_weight_stay_without():
    """Solving with all observations, the old ones at the weights that they were given."""
    problem = record(5, 40, correlated=False)
    y = problem.observations.copy()
    y[3] += 30.0
    first, new = cut(replace(problem, observations=y), 30)
    trusted = inv.solve(first, "exact", likelihood="student-t")
    alone = problem.mismatch_covariance.diagonal()[30:]
    weights = np.concatenate([trusted.weights, np.ones(10)])
    whole = inv.solve(robust.reweighted(replace(problem, observations=y), weights), "exact")
    for covariance in (alone, new.mismatch_covariance):
        found = inv.update(trusted, replace(new, mismatch_covariance=covariance))
        np.testing.assert_array_equal(found.weights, weights)
        agree(found, whole, 1e-9)


def test_a_joint_covariance_that_changes_old_errors_is_refused():
    first, new = cut(record(1, 10), 8)
    other = cov.Sum((new.mismatch_covariance, cov.Diagonal(np.full(10, 1e-3))))
    with pytest.raises(InputError, match="leading block.*index 0.*independent"):
        inv.update(inv.solve(first, "exact"), replace(new, mismatch_covariance=other))
