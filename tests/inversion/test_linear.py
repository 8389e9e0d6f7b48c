"""The exact posterior of a linear problem against the textbook, with every matrix formed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import dense
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from structures import FORMS, diagonal, footprints, kronecker, sizes, structures

from monitor import inversion as inv
from monitor.inversion import covariance as cov
from monitor.inversion import linear_problem
from monitor.inversion.linear_problem import cross_covariance

seeds = st.integers(0, 2**16)


def near(found, expected, scale=None, rel=1e-10):
    """Equal to 1e-10 of the scale: condition numbers of the cases are below 1e5, so 1e-11 may be lost."""
    expected = np.asarray(expected)
    scale = np.abs(expected).max(initial=0) if scale is None else scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=rel * max(float(scale), 1e-300))


@st.composite
def errors(draw, n, independent=False):
    """R: independent errors, and in some cases a correlated part of any structure beside them."""
    r, written = draw(diagonal(n))
    if independent or draw(st.booleans()):
        return r, written
    more, also = draw(structures(n))
    return cov.Sum((r, more)), written + also


@st.composite
def problems(draw, independent=False, prior=None, fixed=None):
    """A `LinearProblem`, and its parts written out: h, y, x_a, q, r, patterns (m, k), totals (k, m)."""
    m = draw(sizes)
    n = draw(st.integers(1, 14))
    q, q_written = draw((prior or structures)(m))
    r, r_written = draw(errors(n, independent))
    rng = np.random.default_rng(draw(seeds))
    h = footprints(rng, n, m)
    number = min(draw(st.integers(0, 2)) if fixed is None else fixed, n, m)
    patterns = rng.gamma(2.0, 1.0, (m, number))
    # the network must see the patterns and tell them apart; blind ones have tests of their own
    assume(number == 0 or np.linalg.cond(h @ patterns) < 1e3)
    totals = rng.normal(size=(draw(st.integers(1, 4)), m))
    y, mean = rng.normal(size=n), rng.normal(size=m)
    problem = inv.LinearProblem(
        FORMS[draw(st.sampled_from(list(FORMS)))](h),
        y,
        mean,
        q,
        r,
        totals=draw(st.sampled_from([totals, sp.csr_array(totals)])),
        fixed_effects=patterns,
    )
    return (
        problem,
        {"h": h, "y": y, "prior_mean": mean, "q": q_written, "r": r_written, "patterns": patterns},
        totals,
    )


def compare(posterior, parts, totals, rel=1e-10):
    """Every public figure of a posterior against the textbook."""

    def close(found, expected, scale=None):
        near(found, expected, scale, rel)

    true = dense.textbook(**parts)
    q, patterns = parts["q"], parts["patterns"]
    variance = np.abs(q).max() + np.abs(true["covariance"]).max()
    sigma = np.sqrt(variance)
    level = np.abs(parts["prior_mean"]).max() + np.abs(true["mean"]).max() + sigma
    close(posterior.mean, true["mean"], level)
    close(posterior.std**2, np.diagonal(true["covariance"]), variance)
    close(posterior.covariance(), true["covariance"], variance)
    close(posterior.averaging_kernel(), true["averaging_kernel"], 1 + np.abs(true["averaging_kernel"]).max())
    close(posterior.innovations, true["innovations"], np.abs(parts["y"]).max() + np.abs(parts["h"]).sum())
    close(posterior.dofs, np.trace(true["averaging_kernel"]), posterior.problem.n)
    close(posterior.log_evidence, true["log_evidence"], 1 + abs(true["log_evidence"]))
    if posterior.problem.n > patterns.shape[1]:
        close(posterior.chi2, true["chi2"], 1 + true["chi2"])
    close(posterior.fixed_effects.mean, true["beta"], level)
    close(posterior.fixed_effects.covariance, true["beta_covariance"])
    assert (posterior.weights == 1).all() and posterior.weights.shape == (posterior.problem.n,)
    found, weight = posterior.totals, np.abs(totals).sum()
    close(found.mean, totals @ true["mean"], weight * level)
    close(found.covariance, totals @ true["covariance"] @ totals.T, weight**2 * variance)
    close(found.std**2, np.diagonal(found.covariance))
    close(found.prior_mean, totals @ parts["prior_mean"], weight * level)
    before = totals @ q @ totals.T
    close(found.prior_covariance, before, weight**2 * variance)
    close(found.gain, totals @ true["gain"], weight * np.abs(true["gain"]).max())
    if not patterns.shape[1]:
        share = 1 - np.diagonal(totals @ true["covariance"] @ totals.T) / np.diagonal(before)
        # a share is a variance relative to the prior one of its own total
        close(found.share_from_data, share, weight**2 * variance / np.diagonal(before).min())
    pattern = np.linspace(1.0, 2.0, q.shape[0])
    shown = totals @ true["averaging_kernel"] @ pattern / (totals @ pattern)
    close(
        found.response(pattern),
        shown,
        (1 + np.abs(shown)).max() * (1 + weight / np.abs(totals @ pattern).min()),
    )


@given(problems())
def test_the_observations_way_is_the_textbook(drawn):
    problem, parts, totals = drawn
    compare(inv.solve(problem, method="observations"), parts, totals)


@given(problems(independent=True))
def test_the_state_way_is_the_textbook(drawn):
    problem, parts, totals = drawn
    compare(inv.solve(problem, method="state"), parts, totals)


@given(problems())
def test_the_automatic_way_is_the_textbook(drawn):
    problem, parts, totals = drawn
    compare(inv.solve(problem), parts, totals)


@st.composite
def _on_a_grid(draw, size):
    """Exponential along time and a grid of two dimensions: what "reduced" takes."""
    p = draw(st.sampled_from([k for k in range(1, size + 1) if size % k == 0]))
    s = size // p
    rows = draw(st.sampled_from([k for k in range(1, s + 1) if s % k == 0]))
    rng = np.random.default_rng(draw(seeds))
    at = np.cumsum(rng.integers(1, 5, p)).astype("f8")
    nu = draw(st.sampled_from([0.5, 1.5, 2.5]))
    q = cov.Kronecker(
        cov.Exponential(draw(st.floats(1, 30)), at),
        cov.Matern(draw(st.floats(0.5, 4)), nu, (rows, s // rows)),
        rng.uniform(0.5, 2, (p, s)),
    )
    return q, q.dense()


@settings(max_examples=25)  # each measures its own error first
@given(problems(prior=_on_a_grid))
def test_the_reduced_way_is_the_textbook_to_what_it_says(drawn):
    problem, parts, totals = drawn
    posterior = inv.solve(problem, method="reduced")
    assert posterior.truncation <= 1e-3
    # elements of Ψ are wrong by at most τ √(R_ii R_jj), so Ψ itself by nτ of R and no more of Ψ; the clusters
    # in which τ is measured hold all of these few observations, and R is up to ten times its independent part
    compare(posterior, parts, totals, 1e-10 + 10 * problem.n * posterior.truncation)


@given(problems(prior=_on_a_grid, fixed=0), seeds)
def test_totals_of_times_and_places_are_the_written_out_totals(drawn, seed):
    problem, _, _ = drawn
    p, s = problem.prior_covariance.shape
    rng = np.random.default_rng(seed)
    separable = inv.SeparableTotals(rng.uniform(0, 1, (3, p)), rng.uniform(0, 1, (2, s)))
    written = separable.rows(0, 6)
    near(separable.matvec(problem.prior_mean), written @ problem.prior_mean)
    posterior = inv.solve(problem)
    short, long = posterior.estimate(separable), posterior.estimate(written)
    scale = np.abs(long.prior_covariance).max()
    near(short.mean, long.mean, np.abs(long.mean).max() + np.sqrt(scale))
    near(short.covariance, long.covariance, scale)
    near(short.prior_covariance, long.prior_covariance, scale)
    near(posterior.variance_of(separable), np.diagonal(long.covariance), scale)
    near(posterior.mean_of(separable), long.mean, np.abs(long.mean).max() + 1)


@given(sizes.flatmap(kronecker), seeds)
def test_totals_of_times_and_places_under_any_product_prior(drawn, seed):
    q, written = drawn
    p, s = q.shape
    rng = np.random.default_rng(seed)
    h = footprints(rng, 5, q.size)
    in_time, in_space = rng.uniform(0, 1, (2, p)), rng.uniform(0, 1, (3, s))
    rows = np.kron(in_time, in_space)
    for form, space in (
        ("array", in_space),
        ("csr", sp.csr_array(in_space)),
        ("ragged", in_space),
        ("operator", in_space),
    ):
        separable = inv.SeparableTotals(in_time, space)
        near(separable.rows(1, 5), rows[1:5])
        near(separable.matvec(h.T), rows @ h.T)
        problem = inv.LinearProblem(FORMS[form](h), np.zeros(5), 0.0, q, 1.0)
        cross, prior = cross_covariance(problem, separable)
        near(cross, h @ written @ rows.T)
        near(prior, rows @ written @ rows.T)
        near(cross_covariance(problem, separable, diagonal=True)[1], np.diagonal(rows @ written @ rows.T))


def test_the_information_form_gives_the_same_posterior():
    """(HᵀR⁻¹H + Q⁻¹)⁻¹ never touches Ψ: an oracle that shares no matrix with the code."""
    rng = np.random.default_rng(5)
    for n, m in ((3, 9), (30, 9)):
        h, q, r = rng.normal(size=(n, m)), dense.spd(rng, m), dense.spd(rng, n)
        y, mean = rng.normal(size=n), rng.normal(size=m)
        shift, covariance = dense.state_space_posterior(h, q, r, y - h @ mean)
        posterior = inv.solve(inv.LinearProblem(h, y, mean, q, r))
        near(posterior.mean, mean + shift)
        near(posterior.covariance(), covariance)


@pytest.mark.parametrize("method", ["observations", "state", "auto"])
def test_prior_two_and_observation_three_with_equal_variances_give_two_and_a_half(method):
    problem = inv.LinearProblem([[1.0]], [3.0], 2.0, 1.0, 1.0, totals=[[1.0]])
    posterior = inv.solve(problem, method=method)
    # one division and one addition: the last bit
    assert posterior.mean == pytest.approx([2.5], rel=1e-15)
    assert posterior.std**2 == pytest.approx([0.5], rel=1e-15)
    assert posterior.totals.share_from_data == pytest.approx([0.5], rel=1e-15)
    assert posterior.averaging_kernel() == pytest.approx(np.array([[0.5]]), rel=1e-15)
    assert posterior.dofs == pytest.approx(0.5, rel=1e-15)
    # r² / Ψ = 1 / 2
    assert posterior.chi2 == pytest.approx(0.5, rel=1e-15)
    assert posterior.log_evidence == pytest.approx(-0.5 * (0.5 + np.log(2 * np.pi * 2)), rel=1e-15)


@pytest.mark.parametrize("method", ["observations", "state"])
def test_a_zero_footprint_leaves_the_prior_unchanged(method):
    prior = np.array([1.0, 2.0, 3.0])
    problem = inv.LinearProblem(
        np.zeros((2, 3)), [5.0, -5.0], prior, [1.0, 4.0, 9.0], 1.0, totals=np.ones((1, 3))
    )
    posterior = inv.solve(problem, method=method)
    assert (posterior.mean == prior).all()
    assert (posterior.std == [1.0, 2.0, 3.0]).all()
    assert posterior.dofs == 0.0
    assert posterior.totals.share_from_data == [0.0]


def test_what_no_observation_sees_and_nothing_correlates_with_keeps_its_prior():
    h = np.array([[1.0, 2.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]])
    q = cov.Block((cov.Exponential(3.0, 2), cov.Exponential(3.0, 2, std=2.0)))
    posterior = inv.solve(inv.LinearProblem(h, [1.0, 2.0], 0.5, q, 0.1))
    assert (posterior.mean[2:] == 0.5).all()
    # the prior's own products, in another order: the last bits
    np.testing.assert_allclose(posterior.covariance()[2:, 2:], q.parts[1].dense(), rtol=1e-14)


def test_a_certain_prior_has_no_share_from_data():
    problem = inv.LinearProblem(np.ones((3, 2)), [1.0, 2.0, 3.0], 1.0, [0.0, 1.0], 1.0, totals=np.eye(2))
    for method in ("observations", "state"):
        posterior = inv.solve(problem, method=method)
        assert posterior.totals.share_from_data[0] == 0.0
        assert posterior.std[0] == 0.0
        # three observations of variance 1 and a prior of 1: precision 4
        assert posterior.totals.share_from_data[1] == pytest.approx(0.75, rel=1e-14)


def test_a_prior_of_low_rank_does_no_harm():
    rng = np.random.default_rng(1)
    direction = rng.normal(size=6)
    q, h = np.outer(direction, direction), rng.normal(size=(20, 6))
    parts = {"h": h, "y": rng.normal(size=20), "prior_mean": np.zeros(6), "q": q, "r": np.eye(20)}
    parts["patterns"] = np.zeros((6, 0))
    problem = inv.LinearProblem(h, parts["y"], 0.0, q, 1.0, totals=np.eye(6))
    for method in ("observations", "state"):
        compare(inv.solve(problem, method=method), parts, np.eye(6))


@pytest.mark.parametrize("method", ["observations", "state"])
@pytest.mark.parametrize("shape", [(6, 4), (3, 5)])
@pytest.mark.filterwarnings("ignore::monitor.errors.PrecisionWarning")
@pytest.mark.parametrize("error", [1.0, 1e-2, 1e-5, 1e-9, 1e-11])
def test_the_condition_number_says_how_many_digits_are_lost(method, shape, error):
    """Against exact fractions, from data that say as much as the prior to data that say everything."""
    rng = np.random.default_rng(3)
    h, y = rng.normal(size=shape), rng.normal(size=shape[0])
    mean, variance = dense.rational(h, y, np.ones(shape[1]), np.full(shape[0], error))
    posterior = inv.solve(inv.LinearProblem(h, y, 0.0, 1.0, error), method=method)
    # the bound of a backward stable solver, with a factor for the few operations of each kind
    bound = 20 * posterior.condition * np.finfo("f8").eps
    np.testing.assert_allclose(posterior.mean, mean, rtol=0, atol=bound * np.abs(mean).max())
    np.testing.assert_allclose(posterior.std**2, variance, rtol=bound)


def test_the_borders_of_chunks_do_not_show(monkeypatch):
    rng = np.random.default_rng(2)
    h, totals = rng.normal(size=(5, 11)), rng.normal(size=(7, 11))
    problem = inv.LinearProblem(h, rng.normal(size=5), 0.0, cov.Exponential(2.0, 11), 0.3, totals=totals)
    whole = inv.solve(problem)
    std, covariance = whole.std, whole.totals.covariance
    monkeypatch.setattr(linear_problem, "_CHUNK", 3)
    parts = inv.solve(problem)
    # the same products in another grouping: some units in the last place
    near(parts.std, std, rel=1e-14)
    near(parts.totals.covariance, covariance, rel=1e-14)


@given(problems(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_a_change_of_units_changes_nothing(drawn, ppb, tonnes):
    """Observations in units of 1/ppb, fluxes in units of 1/tonnes: χ², DOFS and shares stay."""
    problem, parts, totals = drawn
    other = inv.LinearProblem(
        ppb / tonnes * parts["h"],
        ppb * parts["y"],
        tonnes * parts["prior_mean"],
        tonnes**2 * parts["q"],
        ppb**2 * parts["r"],
        totals=totals,
        fixed_effects=parts["patterns"],
    )
    a, b = inv.solve(problem), inv.solve(other)
    near(b.mean / tonnes, a.mean, np.abs(a.mean).max() + np.sqrt(np.abs(parts["q"]).max()))
    near(b.covariance() / tonnes**2, a.covariance(), np.abs(parts["q"]).max() + np.abs(a.covariance()).max())
    near(b.dofs, a.dofs, problem.n)
    if problem.n > a.beta.size:
        near(b.chi2, a.chi2, 1 + a.chi2)
    # a density: n units of the observations, and one of the fluxes for each strength that is integrated over
    shift = a.beta.size * np.log(tonnes) - problem.n * np.log(ppb)
    near(b.log_evidence, a.log_evidence + shift, 1 + abs(a.log_evidence) + abs(shift))


@given(problems(), seeds)
def test_the_order_of_the_observations_does_not_matter(drawn, seed):
    problem, parts, totals = drawn
    order = np.random.default_rng(seed).permutation(problem.n)
    other = inv.LinearProblem(
        parts["h"][order],
        parts["y"][order],
        parts["prior_mean"],
        problem.prior_covariance,
        problem.mismatch_covariance.select(order),
        totals=totals,
        fixed_effects=parts["patterns"],
    )
    a, b = inv.solve(problem), inv.solve(other)
    scale = np.abs(parts["q"]).max() + np.abs(a.covariance()).max()
    near(b.mean, a.mean, np.abs(a.mean).max() + np.sqrt(scale))
    near(b.covariance(), a.covariance(), scale)
    # α is zero where fixed effects take all, of numbers of the size of r/R
    near(b.alpha, a.alpha[order], np.abs(problem.residual / np.diagonal(parts["r"])).max())
    near(b.log_evidence, a.log_evidence, 1 + abs(a.log_evidence))


@given(problems())
def test_a_problem_at_other_values_is_the_problem_made_with_them(drawn):
    problem, _, _ = drawn
    starts = np.array([p.start for p in problem.parameters])
    values = starts * np.linspace(0.8, 1.3, starts.size)
    split = len(problem.prior_covariance.parameters)
    made = replace(
        problem,
        prior_covariance=problem.prior_covariance.with_values(values[:split]),
        mismatch_covariance=problem.mismatch_covariance.with_values(values[split:]),
    )
    _ = problem.residual
    moved = problem.with_values(values)
    assert [p.start for p in moved.parameters] == pytest.approx(values, rel=1e-15)
    np.testing.assert_array_equal(inv.solve(moved).mean, inv.solve(made).mean)
    assert [p.start for p in problem.parameters] == list(starts)
    names = [p.name for p in problem.parameters]
    assert len(set(names)) == len(names) and all(name.startswith(("prior ", "mismatch ")) for name in names)


def test_the_callers_arrays_are_left_as_they_are():
    rng = np.random.default_rng(8)
    h = footprints(rng, 6, 8)
    rows = FORMS["unsorted csr"](h)
    before = rows.data.copy(), rows.indices.copy(), rows.indptr.copy()
    y, q = rng.normal(size=6), dense.spd(rng, 8)
    kept = y.copy(), q.copy()
    posterior = inv.solve(inv.LinearProblem(rows, y, 0.0, q, np.ones(6), totals=np.ones((1, 8))))
    _ = posterior.mean, posterior.std, posterior.totals, posterior.leave_out(np.arange(6))
    for array, was in zip((rows.data, rows.indices, rows.indptr, y, q), (*before, *kept), strict=True):
        np.testing.assert_array_equal(array, was)


_SOLVE = """
import numpy as np
from monitor import inversion as inv
cov = inv.covariance
rng = np.random.default_rng(11)
time = cov.Exponential(9.0, 30)
q = cov.Kronecker(time, cov.Matern(2.0, 1.5, (4, 5)), rng.uniform(0.5, 2, (30, 20)))
near = np.abs(np.arange(40)[:, None] * 0.75 - np.arange(30)) < 4
h = rng.gamma(1.0, 1.0, (40, 30, 20)) * near[:, :, None]
hours = np.repeat(np.arange(20.0), 2)
r = cov.Sum((cov.Diagonal(np.ones(40)), cov.Exponential(3.0, hours, groups=np.arange(40) % 2)))
h = inv.RaggedJacobian.of(__import__("scipy.sparse").sparse.csr_array(h.reshape(40, 600)))
problem = inv.LinearProblem(h, rng.normal(size=40), 0.0, q, r, totals=rng.normal(size=(3, 600)))
found = inv.solve(problem, method="observations")
figures = *found.mean, *found.std, *found.totals.mean, *found.totals.covariance.ravel(), found.log_evidence
print(*(float(x).hex() for x in figures))
"""


def _printed(**variables):
    done = subprocess.run(
        [sys.executable, "-c", _SOLVE],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return np.array([[float.fromhex(x) for x in line.split()] for line in done.stdout.splitlines()])


def test_compiled_or_not_and_with_one_thread_or_two_the_answer_is_the_same():
    one, two = _printed(NUMBA_NUM_THREADS="1"), _printed(NUMBA_NUM_THREADS="2")
    slow = _printed(NUMBA_DISABLE_JIT="1")
    assert one.size == 600 + 600 + 3 + 9 + 1
    # sums are taken in the same order; Fourier transforms and contractions may round otherwise
    near(two, one, rel=1e-13)
    near(slow, one, rel=1e-13)
