"""The same problem in plain arrays: the answers of both are one, and that of the textbook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_worlds import CELLS, flux, interval, make_world

from monitor.errors import InputError
from monitor.inversion import (
    Assumptions,
    Background,
    Correlation,
    FluxBlock,
    Mismatch,
    NewObservations,
    Selection,
    solve,
    update,
    windowed,
)
from monitor.inversion.posterior import flux_map

#: Both ways factor the same matrix, of condition 1e4 to 1e5.
BOTH = {"rtol": 1e-8, "atol": 1e-10}


def mixed(seed=0, *, selection=None, **background):
    """Hourly biosphere as a pattern, scalings of traffic, industry by epoch; everything in the background."""
    rng = np.random.default_rng(seed)
    world = make_world(seed, days=4)
    prior = {name: flux(rng.gamma(2.0, 1.0, CELLS)) for name in ("biosphere", "traffic", "industry")}
    stated = {"sd_ppm": 1.0, "offset_sd_ppm": 3.0, "station_offset_sd_ppm": 0.5, "station_drift_sd_ppm": 0.4}
    assumptions = Assumptions(
        state=(
            FluxBlock(
                "biosphere", resolution="pattern", step_days=1 / 24, correlation=Correlation(time_days=0.3)
            ),
            FluxBlock("traffic", resolution="scalings", step_days=1.0),
            FluxBlock("industry", correlation=Correlation(8.0, kernel="matern", smoothness=1.5)),
        ),
        correlation=Correlation(length_km=12.0, time_days=2.0),
        background=Background(**(stated | background)),
        mismatch=Mismatch(representation_ppm=0.5, transport_fraction=0.2, common_fraction=0.1, by_hour=True),
        selection=selection or Selection(),
        estimate_scales=False,
    )
    return replace(world, prior=prior, assumptions=assumptions)


def textbook(linear):
    """Mean and covariance of the state with every matrix written out."""
    h, q = linear.jacobian.toarray(), linear.prior_covariance.dense()
    r = linear.mismatch_covariance.dense()
    psi = h @ q @ h.T + r
    gain = np.linalg.solve(psi, h @ q).T
    residual = linear.observations - h @ linear.prior_mean
    return linear.prior_mean + gain @ residual, q - gain @ h @ q


@pytest.mark.parametrize("per", ["network", "station", "side"])
@pytest.mark.parametrize("by_side", [False, True])
def test_plain_arrays_give_the_answer_of_the_datasets(per, by_side):
    problem = mixed(per=per, by_side=by_side).problem()
    linear, posterior = problem.linear(), solve(problem)
    found = solve(linear).totals
    expected = posterior.totals(problem.totals)
    np.testing.assert_allclose(found.mean - found.prior_mean, expected.shift, **BOTH)
    np.testing.assert_allclose(posterior.inflation * found.covariance, expected.covariance, **BOTH)
    psi = linear.prior_covariance.observe(linear.jacobian) + linear.mismatch_covariance.dense()
    np.testing.assert_allclose(psi, problem.model.covariance(problem.model.starts), rtol=1e-10)


def test_plain_arrays_give_the_textbook_answer():
    problem = mixed(3).problem()
    linear = problem.linear()
    mean, covariance = textbook(linear)
    found = solve(linear)
    scale = np.sqrt(np.diagonal(linear.prior_covariance.dense()))
    np.testing.assert_allclose(found.mean / scale, mean / scale, atol=1e-8)
    rows = linear.totals.toarray()
    np.testing.assert_allclose(found.totals.mean, rows @ mean, rtol=1e-8)
    np.testing.assert_allclose(found.totals.covariance, rows @ covariance @ rows.T, rtol=1e-8)


def test_maps_of_all_kinds_of_blocks_are_those_of_the_textbook():
    problem = mixed(4).problem()
    mean, covariance = textbook(problem.linear())
    posterior = solve(problem)
    for block in problem.blocks:
        where = problem.columns[block.name]
        for period in (interval(0, 4), interval(1, 2)):
            rows = np.stack([block.loading(np.eye(CELLS)[c], period).ravel() for c in range(CELLS)])
            found = flux_map(posterior, block.name, period)
            np.testing.assert_allclose(found.posterior, rows @ mean[where], rtol=1e-8)
            variance = np.einsum("cm,mk,ck->c", rows, covariance[where, where], rows)
            np.testing.assert_allclose(found.posterior_sd, np.sqrt(posterior.inflation * variance), rtol=1e-7)


def test_columns_name_every_unknown_once():
    problem = mixed(1).problem()
    columns = problem.columns
    assert list(columns) == [
        "biosphere", "traffic", "industry", "inflow offset", "station offset", "station drift", "inflow",
    ]  # fmt: skip
    ends = [0, *(c.stop for c in columns.values())]
    assert [c.start for c in columns.values()] == ends[:-1]
    assert ends[-1] == problem.linear().m
    assert columns["station drift"].stop - columns["station drift"].start == 2


def with_outliers(world, rng, count=4, size=30.0):
    name = next(iter(world.observations))
    values = {k: o["mole_fraction"].values.copy() for k, o in world.observations.items()}
    where = rng.choice(values[name].size, count, replace=False)
    values[name][where] += size
    return world.with_values(values), where


def test_heavy_tails_of_datasets_are_those_of_plain_arrays():
    """At fixed scales: the same weights, and the answer of the problem at these weights."""
    world, where = with_outliers(mixed(2), np.random.default_rng(0))
    problem = world.problem()
    expected = solve(problem.linear(), likelihood="student-t", degrees_of_freedom=4.0)
    found = solve(problem, likelihood="student-t", degrees_of_freedom=4.0)
    np.testing.assert_allclose(found.problem.weights, expected.weights, rtol=1e-10)
    assert np.median(found.problem.weights[where]) < 0.1  # the processes may explain one of them
    totals = found.totals(problem.totals)
    np.testing.assert_allclose(totals.shift, expected.totals.mean - expected.totals.prior_mean, **BOTH)
    np.testing.assert_allclose(totals.covariance, found.inflation * expected.totals.covariance, **BOTH)
    np.testing.assert_array_equal(found.to_dataset()["weight"], found.problem.weights)


def test_scales_that_are_fitted_with_heavy_tails_do_not_see_the_outliers():
    world = make_world(2, days=8, every_hours=3, estimate_scales=True)
    clean = solve(world.problem()).hyperparameters["representation"]
    spoilt, where = with_outliers(world, np.random.default_rng(1), count=6, size=40.0)
    gaussian = solve(spoilt.problem()).hyperparameters["representation"]
    found = solve(spoilt.problem(), likelihood="student-t")
    assert found.problem.weights[where].max() < 0.1
    # without heavy tails the error nearly doubles; with them it is that of the clean data, within what six
    # observations of 128 less can move
    assert gaussian > 1.5 * clean
    assert 0.5 * clean < found.hyperparameters["representation"] < 1.3 * clean


def test_positive_blocks_are_chosen_by_name():
    problem = mixed(5).problem()
    found = solve(problem, positivity="truncated", positive=("industry",), draws=50, seed=1)
    expected = solve(
        problem.linear(), positivity="truncated", positive=problem.columns["industry"], draws=50, seed=1
    )
    np.testing.assert_array_equal(found.totals.mean, expected.totals.mean)
    assert problem.mask(["industry"]).sum() == CELLS
    assert problem.mask().sum() == problem.columns["industry"].stop
    with pytest.raises(InputError, match="no unknowns are called 'shipping'.*industry"):
        problem.mask(["shipping"])


def test_windows_take_the_plain_arrays_with_the_hours_of_the_table():
    """An overlap that reaches back to the beginning leaves nothing out."""
    problem = mixed(7).problem()
    linear = problem.linear()
    found = windowed(linear, 24.0, 1e4, times=problem.table.hours).totals
    expected = solve(linear).totals
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-8)
    np.testing.assert_allclose(found.covariance, expected.covariance, **BOTH)


def test_the_last_day_continues_the_answer_of_those_before():
    problem = mixed(8).problem()
    linear = problem.linear()
    late = problem.table.hours > problem.table.hours.max() - 24.0
    order = np.concatenate([np.flatnonzero(~late), np.flatnonzero(late)])
    before = replace(
        linear,
        jacobian=linear.jacobian[~late],
        observations=linear.observations[~late],
        mismatch_covariance=linear.mismatch_covariance.select(~late),
    )
    new = NewObservations(
        linear.jacobian[late], linear.observations[late], linear.mismatch_covariance.select(order)
    )
    found, expected = update(solve(before), new).totals, solve(linear).totals
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-8)
    np.testing.assert_allclose(found.covariance, expected.covariance, **BOTH)
