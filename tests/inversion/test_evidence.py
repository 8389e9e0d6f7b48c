"""The evidence of a linear problem is a density, and its gradient the slope of that density."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import inversion as inv
from monitor.errors import NumericalError
from monitor.inversion import covariance as cov
from monitor.inversion import hyper
from tests.inversion import dense
from tests.inversion.small_problems import dense_evidence, small_problem, starts

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


def test_fixed_effects_that_cannot_be_told_apart_are_refused():
    problem = small_problem(effects=np.column_stack([np.ones(144), 2.0 * np.ones(144)]))
    with pytest.raises(NumericalError, match="cannot be told apart.*column 1 of 2"):
        hyper.log_evidence_of(problem)


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
