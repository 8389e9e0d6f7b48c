"""Folding by symmetry is exact; the reduction is as good as it says, whatever is sharp."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from monitor import inversion as inv
from monitor.errors import InputError, NumericalError
from monitor.inversion import reduced, reduction, solving, sweep
from monitor.inversion.basis import Basis
from monitor.inversion.mirror import Mirror, between, blockwise
from monitor.inversion.sharp import Sharp

cov = inv.covariance
GRIDS = st.tuples(st.integers(1, 7), st.integers(1, 7))


def distances(ny, nx, steps):
    y, x = (axis.ravel() for axis in np.mgrid[:ny, :nx])
    return np.hypot((y[:, None] - y) * steps[0], (x[:, None] - x) * steps[1])


@given(grid=GRIDS, seed=st.integers(0, 99))
def test_folding_is_orthonormal_and_unfolding_its_inverse(grid, seed):
    mirror = Mirror(*grid)
    fields = np.random.default_rng(seed).normal(size=(3, grid[0] * grid[1]))
    folded = mirror.fold(fields)
    np.testing.assert_allclose(folded @ folded.T, fields @ fields.T, atol=1e-12)
    np.testing.assert_allclose(mirror.unfold(folded), fields, atol=1e-12)
    # cell by cell, as the compiled loop scatters
    scattered = np.zeros_like(folded)
    for cell in range(fields.shape[1]):
        for block in range(4):
            at = block * mirror.size // 4 + mirror.place[cell]
            scattered[:, at] += fields[:, cell] * mirror.weight[cell, block]
    np.testing.assert_allclose(scattered, folded, atol=1e-12)


@given(grid=GRIDS, length=st.floats(0.3, 9), seed=st.integers(0, 99))
def test_a_folded_correlation_is_the_correlation(grid, length, seed):
    steps = (1.3, 0.7)
    mirror = Mirror(*grid)
    fields = np.random.default_rng(seed).normal(size=(2, grid[0] * grid[1]))

    def kernel(distance):
        return np.exp(-distance / length)

    whole = kernel(distances(*grid, steps))
    found = blockwise(mirror, mirror.matrices(kernel, steps))(mirror.fold(fields))
    np.testing.assert_allclose(mirror.unfold(found), fields @ whole, atol=1e-12)
    some = np.unique(np.random.default_rng(seed).integers(0, whole.shape[0], 5))
    # written in single precision
    np.testing.assert_allclose(
        between(mirror, some, kernel, np.array(steps)), whole[np.ix_(some, some)], rtol=1e-6
    )


def world(seed=0, n=60, hours=40, grid=(12, 15), back=6, tau=8.0, width=0.7):
    """Plumes of a few cells that widen with age, seen from two stations; H is sparse."""
    rng = np.random.default_rng(seed)
    ny, nx = grid
    y, x = np.mgrid[:ny, :nx]
    rows = np.zeros((n, hours, ny, nx))
    for i in range(n):
        t = back + i * (hours - back) // n
        at = np.array([(ny / 3, nx / 3), (ny / 1.7, nx / 1.5)][i % 2])
        for age in range(back + 1):
            at = at + rng.normal(0, 0.8, 2)
            wide = width * (1 + age)
            plume = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * wide**2)) / wide**2
            rows[i, t - age] = np.where(plume > 1e-3 * plume.max(), plume, 0.0)
    prior = cov.Kronecker(
        cov.Exponential(tau, hours),
        cov.Exponential(3.0, grid),
        (rng.uniform(0.5, 1.5, hours), rng.uniform(0.5, 2.0, ny * nx)),
    )
    h = sp.csr_array(rows.reshape(n, -1))
    totals = inv.SeparableTotals(np.full((2, hours), 1 / hours) * [[1], [2]], rng.random((3, ny * nx)))
    y = h @ prior.sqrt_matvec(rng.normal(size=prior.sqrt_size)) + rng.normal(size=n)
    return inv.LinearProblem(h, y, 0.0, prior, np.ones(n), totals=totals)


@pytest.mark.parametrize("tau", [0.2, 8.0, 1e4])
@pytest.mark.parametrize("sharpest", [1e9, 1e-3, 0.0])
def test_whatever_is_sharp_the_signal_and_its_slopes_are_near(tau, sharpest):
    """With all footprints sharp nothing is left out; with none, what the basis does not hold."""
    problem = world(tau=tau)
    prior = problem.prior_covariance
    basis = Basis.of(prior.space, 60)
    noise = np.ones(problem.n)
    found = reduced.Choice(prior, basis, sharpest, 0.0).reduction(problem.jacobian, noise)
    assert (found.sharp.count == 0) == (sharpest > 1)
    exact = [prior.observe(problem.jacobian), *prior.slopes(problem.jacobian)]
    unit = np.abs(exact[0]).max()
    # all sharp: single precision; none: 60 of 180 eigenvectors hold nine tenths of a narrow plume
    tolerance = {0.0: 3e-6, 1e-3: 2e-2, 1e9: 0.2}[sharpest]
    for one, whole in zip([found.observe(), *found.slopes()], exact, strict=True):
        assert np.max(np.abs(one - whole)) < tolerance * unit
    if sharpest == 0.0 and tau == 8.0:
        moved = prior.with_values(np.array([1.7, 5.0, 4.0]))
        np.testing.assert_allclose(
            found.observe(moved), moved.observe(problem.jacobian), atol=0.02 * unit * 1.7**2
        )


def test_more_sharp_footprints_and_larger_bases_come_nearer():
    problem = world()
    prior, noise = problem.prior_covariance, np.ones(problem.n)
    exact = prior.observe(problem.jacobian)

    def error(size, sharpest):
        basis = Basis.of(prior.space, size)
        found = reduced.Choice(prior, basis, sharpest, 0.0).reduction(problem.jacobian, noise)
        return np.max(np.abs(found.observe() - exact))

    by_size = [error(size, 1e9) for size in (20, 60, 120, 180)]
    by_sharpness = [error(60, sharpest) for sharpest in (1e9, 1e-2, 1e-4, 0.0)]
    for errors in (by_size, by_sharpness):
        rounding = 1e-5 * np.abs(exact).max()
        assert all(b < max(a, rounding) for a, b in pairwise(errors))
        assert errors[0] > 100 * rounding > 100 * errors[-1]


@pytest.mark.parametrize("seed", range(3))
def test_the_stated_error_is_that_of_the_whole(seed):
    """The error is measured on clusters of observations; that of all is at most a few times larger."""
    problem = world(seed, n=90, grid=(16, 20))
    found = reduced.reduction_of(problem, tolerance=1e-3)
    error = np.max(np.abs(found.observe() - problem.prior_covariance.observe(problem.jacobian)))
    assert found.truncation <= 1e-3
    assert error <= 5 * found.truncation
    posterior, exact = inv.solve(problem, "reduced"), inv.solve(problem, "exact")
    assert posterior.truncation <= reduced.TOLERANCE
    sigma = exact.totals.std
    assert np.max(np.abs(posterior.totals.mean - exact.totals.mean) / sigma) < posterior.truncation * 5
    np.testing.assert_allclose(posterior.totals.std, sigma, rtol=posterior.truncation * 5)


def test_a_store_that_is_read_in_parts_gives_the_same(monkeypatch):
    problem = world()
    whole = reduced.reduction_of(problem)
    monkeypatch.setattr(reduction, "_ENTRIES", 300)
    monkeypatch.setattr(sweep, "_FIELDS", 500)
    parts = reduced.reduction_of(replace(problem, jacobian=inv.RaggedJacobian.of(problem.jacobian)))
    assert parts.sharp.count == whole.sharp.count
    # the same sums in single precision, in other parts
    np.testing.assert_allclose(parts.observe(), whole.observe(), atol=1e-5 * whole.observe().max())


def test_observations_in_another_order_give_the_same_signal_in_that_order():
    problem = world(n=40)
    shuffle = np.random.default_rng(1).permutation(40)
    plain = problem.prior_covariance.observe(problem.jacobian)
    mixed = problem.prior_covariance.observe(problem.jacobian[shuffle])
    np.testing.assert_allclose(mixed, plain[np.ix_(shuffle, shuffle)], rtol=1e-10, atol=1e-12 * plain.max())


def test_a_sharp_sweep_without_footprints_is_zero():
    none = np.zeros(0, dtype="i8")
    empty = Sharp.of(none, none, none, none, np.zeros(0, dtype="f4"), shape=(4, 7))
    assert not empty.gram(cov.Exponential(3.0, 7), np.zeros((0, 0), dtype="f4")).any()


def test_what_cannot_be_reduced_says_so():
    problem = world()
    with pytest.raises(NumericalError, match=r'no basis.*at most 1e-12.*found: .*fields.*method="exact"'):
        reduced.reduction_of(problem, tolerance=1e-12)
    scattered = cov.Kronecker(
        cov.Exponential(3.0, 40), cov.Exponential(3.0, np.random.default_rng(0).random((180, 2)))
    )
    with pytest.raises(InputError, match="regular grid"):
        inv.solve(replace(problem, prior_covariance=scattered), "reduced")
    with pytest.raises(InputError, match=r"needs a Kronecker.*found: Diagonal"):
        inv.solve(replace(problem, prior_covariance=np.ones(problem.m)), "reduced")


def test_auto_is_exact_where_errors_are_too_small_for_a_basis(monkeypatch):
    """A grid of more than 1,024 cells and nearly perfect observations: refused by name, solved by "auto"."""
    rng = np.random.default_rng(0)
    hours, grid = 4, (33, 32)
    prior = cov.Kronecker(cov.Exponential(3.0, hours), cov.Exponential(2.0, grid))
    h = sp.random_array((12, prior.size), density=0.02, rng=rng, format="csr")
    # some problems are larger: the number from which "auto" reduces is brought down to this one
    monkeypatch.setattr(solving, "_LARGE", 1)
    problem = inv.LinearProblem(h, rng.normal(size=12), 0.0, prior, 1e-12, totals=np.ones((1, prior.size)))
    whole = inv.solve(problem, "exact")
    every = {
        "solve": lambda method: inv.solve(problem, method),
        "windowed": lambda method: inv.windowed(problem, 2.0, 9.0, method=method),
        "evidence": lambda method: inv.hyper.Evidence.of(problem, method).posterior(
            np.array([p.start for p in problem.parameters])
        ),
    }
    for answer in every.values():
        with pytest.raises(reduced.NoBasisError, match='method="exact"'):
            answer("reduced")
        found = answer("auto")
        assert found.truncation == 0
        # the same matrix, of condition below 1e4, by another way
        np.testing.assert_allclose(found.totals.mean, whole.totals.mean, rtol=1e-9)
        np.testing.assert_allclose(found.totals.std, whole.totals.std, rtol=1e-9)
    student = inv.solve(problem, likelihood="student-t")
    assert student.truncation == 0
