"""Totals are sums over a dense posterior; intervals cover; diagnostics are what their formulas say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from dense import state_space_posterior
from small_worlds import CELLS, GRID, dense_q, draw_observations, interval, make_world, whole

from monitor import units
from monitor.inversion import Correlation, FixedEffect, FluxBlock, Total, prior_totals, solve
from monitor.inversion.diagnostics import cross_fitted_inflation
from monitor.inversion.posterior import flux_map
from monitor.inversion.solution import solve as solve_dense
from monitor.inversion.state import overlap_share


@pytest.fixture(scope="module")
def solved():
    return solve(make_world(0).problem())


def dense_posterior(posterior):
    """State-space mean shift and covariance of the cells block: everything else is noise."""
    problem = posterior.problem
    (block,) = problem.blocks
    h = block.jacobian.toarray()
    q = dense_q(block, problem.values_of(block.name, posterior.values))
    others = tuple(c.name for c in problem.model.components if c.name != block.name)
    r = problem.model.covariance(posterior.values, others)
    return state_space_posterior(h, q, r, problem.residual), h, q


def regions() -> xr.Dataset:
    left = np.zeros(GRID.shape)
    left[:, :2], left[:, 2] = 1.0, 0.3
    return xr.Dataset(
        {"fraction": (("region", "lat", "lon"), np.stack([np.ones(GRID.shape), left]), {"units": "1"})},
        coords={"region": ["window", "left"], "lat": GRID.lat_deg, "lon": GRID.lon_deg},
    )


def test_totals_are_the_sum_over_a_dense_posterior(solved):
    (mean, covariance), _, q = dense_posterior(solved)
    rng = np.random.default_rng(1)
    totals = [Total(f"t{k}", "total", rng.uniform(size=CELLS), interval(k, 3)) for k in range(3)]
    block = solved.problem.blocks[0]
    rows = np.stack([block.loading(t.weight, t.interval).ravel() for t in totals])
    for row, total in zip(rows, totals, strict=True):
        share = overlap_share(block.steps, total.interval)
        np.testing.assert_allclose(row, np.concatenate([s * total.weight for s in share]))
    found = solved.totals(totals)
    np.testing.assert_allclose(found.shift, rows @ mean, rtol=1e-8)
    np.testing.assert_allclose(found.covariance, solved.inflation * rows @ covariance @ rows.T, rtol=1e-8)
    np.testing.assert_allclose(found.prior_covariance, solved.inflation * rows @ q @ rows.T, rtol=1e-10)
    np.testing.assert_allclose(prior_totals(solved.problem, totals), rows @ block.prior.ravel())


def test_the_flux_map_is_the_dense_posterior_cell_by_cell(solved):
    (mean, covariance), _, q = dense_posterior(solved)
    for period in (interval(0, 6), interval(1, 2)):
        block = solved.problem.blocks[0]
        mix = np.kron(overlap_share(block.steps, period), np.eye(CELLS))
        found = flux_map(solved, "total", period)
        np.testing.assert_allclose(found.prior, mix @ block.prior.ravel())
        np.testing.assert_allclose(found.posterior - found.prior, mix @ mean, rtol=1e-7, atol=1e-9)
        for sd, dense in ((found.prior_sd, q), (found.posterior_sd, covariance)):
            expected = np.sqrt(solved.inflation * np.diagonal(mix @ dense @ mix.T))
            np.testing.assert_allclose(sd, expected, rtol=1e-7)


def test_the_map_of_a_pattern_scales_its_field():
    block = FluxBlock(
        "total", resolution="pattern", step_days=2.0, relative_sd=0.4, correlation=Correlation(time_days=3.0)
    )
    posterior = solve(make_world(0, block=block).problem())
    problem = posterior.problem
    part = problem.blocks[0]
    h = part.jacobian.toarray()
    lag = np.abs(part.step_hours[:, None] - part.step_hours[None])
    q = 0.16 * np.exp(-lag / 72.0)
    r = problem.model.covariance(posterior.values) - h @ q @ h.T
    shift, covariance = state_space_posterior(h, q, r, problem.residual)
    found = flux_map(posterior, "total", interval(0, 6))
    field = part.fields[0]
    np.testing.assert_allclose(found.posterior, field * (1 + shift.mean()), rtol=1e-8)
    sd = np.sqrt(posterior.inflation * covariance.mean())
    np.testing.assert_allclose(found.posterior_sd, np.abs(field) * sd, rtol=1e-7)
    total = posterior.totals([whole(problem)])
    weight = whole(problem).weight
    assert total.shift[0] == pytest.approx(float(weight @ field) * shift.mean(), rel=1e-8)


def test_the_map_adds_up_to_the_total(solved):
    total = whole(solved.problem)
    found = flux_map(solved, "total", total.interval)
    assert solved.totals([total]).shift[0] == pytest.approx(
        float(total.weight @ (found.posterior - found.prior)), rel=1e-9
    )


def test_fixed_effects_of_two_epochs_answer_fully_each_in_its_own():
    epochs = {"before": interval(0, 6), "after": interval(40, 6)}
    posterior = solve(
        make_world(
            0, epochs=epochs, block=FluxBlock("total", correlation=Correlation(time_days=100.0))
        ).problem()
    )
    field = np.random.default_rng(0).gamma(2, 1, CELLS)
    totals = [Total(k, "total", GRID.cell_area_m2().ravel(), e) for k, e in epochs.items()]
    effects = [FixedEffect(k, "total", field, e) for k, e in epochs.items()]
    found = posterior.totals(totals, effects)
    for k, effect in enumerate(effects):
        response = found.gain @ posterior.problem.effect("total", field, effect.interval)
        expected = np.eye(2)[k] * float(totals[k].weight @ field)
        np.testing.assert_allclose(response, expected, atol=1e-8 * expected.max())


def test_uncertain_scales_add_the_variance_of_the_delta_method():
    world = make_world(3, days=12, estimate_scales=True)
    problem = world.problem()
    posterior = solve(problem)
    total = whole(problem)
    fixed = replace(posterior, neighbours=())
    between = (posterior.totals([total]).covariance - fixed.totals([total]).covariance)[0, 0]
    assert between > 0
    gradient = []
    for k in range(posterior.values.size):
        moved = [posterior.values.copy() for _ in range(2)]
        moved[0][k] *= np.exp(0.01)
        moved[1][k] *= np.exp(-0.01)
        up, down = (posterior.at(v).totals([total]).shift[0] for v in moved)
        gradient.append((up - down) / 0.02)
    delta = np.array(gradient) @ posterior.hyperparameters.log_covariance @ np.array(gradient)
    # one σ is a wide step for a logarithm: the two agree in size, not in digits
    assert 0.4 * delta < between < 2.5 * delta


def test_neighbours_lie_one_sigma_on_both_sides_of_the_scales():
    posterior = solve(make_world(3, days=12, estimate_scales=True).problem())
    steps = np.array([np.log(v / posterior.values) for v, _ in posterior.neighbours])
    np.testing.assert_allclose(steps.sum(axis=0), 0.0, atol=1e-9)  # no direction is preferred
    spread = 0.5 * steps.T @ steps
    np.testing.assert_allclose(spread, posterior.hyperparameters.log_covariance, atol=1e-9)


def test_diagnostics_are_their_formulas(solved):
    problem, values = solved.problem, solved.values
    psi = problem.model.covariance(values)
    free = problem.reference_effects
    weighted = np.linalg.solve(psi, free)
    inverse = np.linalg.inv(psi) - weighted @ np.linalg.solve(free.T @ weighted, weighted.T)
    hqh = problem.model.covariance(values, ("total",))
    bcb = problem.model.covariance(values, ("inflow offset", "station offset", "inflow"))
    d = solved.diagnostics
    assert d.chi2 == pytest.approx(
        problem.residual @ inverse @ problem.residual / (problem.table.n - free.shape[1])
    )
    assert d.dofs == pytest.approx(np.trace(inverse @ hqh))
    assert d.background_share == pytest.approx(np.trace(inverse @ bcb) / np.trace(inverse @ (hqh + bcb)))


def test_left_out_days_are_predicted_from_all_others(solved):
    problem = solved.problem
    psi = problem.model.covariance(solved.values)
    free = problem.reference_effects
    day = np.floor(problem.table.hours / 24)
    squares = []
    for label in np.unique(day):
        out, rest = np.flatnonzero(day == label), np.flatnonzero(day != label)
        # universal kriging: the size of the prior mean is free, so its column is matched exactly
        corner = np.zeros((free.shape[1], free.shape[1]))
        system = np.block([[psi[np.ix_(rest, rest)], free[rest]], [free[rest].T, corner]])
        target = np.vstack([psi[np.ix_(rest, out)], free[out].T])
        weights = np.linalg.solve(system, target)
        error = problem.residual[out] - weights[: rest.size].T @ problem.residual[rest]
        variance = np.diagonal(psi[np.ix_(out, out)] - target.T @ weights)
        squares.append(error**2 / variance)
    raw = float(np.mean(np.concatenate(squares)))
    assert solved.diagnostics.raw_loo_variance == pytest.approx(raw, rel=1e-8)
    assert solved.inflation == pytest.approx(max(1.0, raw), rel=1e-8)


def test_inflation_is_judged_on_other_weeks_than_it_was_found_on():
    raw = np.array([3.0, 1.0, 0.5, 0.5])
    week = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(cross_fitted_inflation(raw, week), [1.0, 1.0, 5.0, 5.0])
    np.testing.assert_allclose(cross_fitted_inflation(raw, np.zeros(4)), 1.0)


def test_the_only_day_of_an_epoch_is_not_predicted_from_the_others():
    two = {"first": interval(0, 7), "second": interval(7, 1)}
    problem = make_world(0, days=8, epochs=two).problem()
    posterior = solve(problem)
    day = np.floor(problem.table.hours / 24.0)
    known = np.isfinite(posterior.diagnostics.standardised)
    assert not known[day == day.max()].any()
    assert known[day < day.max()].all()
    assert np.isfinite(posterior.inflation)
    assert 0.0 < posterior.diagnostics.loo_coverage <= 1.0


def test_under_the_right_model_left_out_days_have_the_spread_they_claim():
    squares, inside = [], []
    for seed in range(12):
        problem = make_world(seed, stations=3, days=10).problem()
        _, residual = draw_observations(problem, np.random.default_rng(seed))
        values = problem.baseline + problem.predicted + residual
        posterior = solve(replace(problem, table=replace(problem.table, value=values)))
        squares.append(posterior.diagnostics.raw_loo_variance)
        inside.append(posterior.diagnostics.loo_coverage)
    # 2160 errors, correlated within a day: about 1 ± 0.06
    assert 0.85 < np.mean(squares) < 1.15
    assert 0.92 < np.mean(inside) < 0.98


def test_intervals_cover_the_truth_as_often_as_they_say():
    """300 truths and data sets drawn from the prior, at the right scales; a perfect system covers 277–293."""
    problem = make_world(5, stations=2, days=4).problem()
    total = whole(problem)
    (block,) = problem.blocks
    row = block.loading(total.weight, total.interval).ravel()
    psi = problem.model.covariance(problem.model.starts)
    spread = dense_q(block, problem.values_of("total", problem.model.starts)) @ row
    cross, prior = block.jacobian @ spread, float(row @ spread)
    weighted = np.linalg.solve(psi, cross)
    sigma = np.sqrt(prior - cross @ weighted)
    rng = np.random.default_rng(0)
    misses = []
    for _ in range(300):
        state, residual = draw_observations(problem, rng)
        values = problem.baseline + problem.predicted + residual
        one = replace(problem, table=replace(problem.table, value=values))
        estimate = solve_totals(one, total, psi)
        assert estimate[1] == pytest.approx(sigma)
        misses.append((float(row @ state) - estimate[0]) / estimate[1])
    covered = np.mean(np.abs(misses) < 1.96)
    assert 0.92 <= covered <= 0.98
    assert np.mean(np.square(misses)) == pytest.approx(1.0, abs=0.25)  # 3σ of 300 squares


def solve_totals(problem, total, psi):
    """Shift and σ of one total from the package's solver, without the (costly) diagnostics."""
    from monitor.inversion.posterior import totals_of

    found = totals_of(problem, problem.model.starts, solve_dense(psi, problem.residual), [total], [])
    return found.shift[0], np.sqrt(found.covariance[0, 0])


def test_the_dataset_holds_maps_totals_series_and_scales(solved):
    dataset = solved.to_dataset(regions())
    assert {
        "flux_prior", "flux_posterior", "flux_prior_sd", "flux_posterior_sd", "cell_area", "prior_total",
        "posterior_total", "prior_covariance", "posterior_covariance", "share_from_data", "gain", "time",
        "observed", "modelled_prior", "modelled_posterior", "background_posterior", "loo_standardised",
        "hyperparameter_value", "hyperparameter_log_sd", "station", "uncertainty",
    } <= set(dataset.variables)  # fmt: skip
    assert {"species", "chi2", "dofs", "background_share", "inflation", "loo_coverage"} <= set(dataset.attrs)
    assert dataset["posterior_total"].attrs["units"] == "t CO2 a-1"
    assert list(dataset["total_region"].values) == ["window", "left"]
    area = GRID.cell_area_m2()
    prior = dataset["flux_prior"].values[0, 0] * area * units.tonnes_per_year("co2")
    expected = [prior.sum(), (prior * regions()["fraction"].values[1]).sum()]
    np.testing.assert_allclose(dataset["prior_total"], expected)


def test_the_covariance_of_totals_is_symmetric_and_no_wider_than_the_prior(solved):
    dataset = solved.to_dataset(regions())
    after, before = dataset["posterior_covariance"].values, dataset["prior_covariance"].values
    np.testing.assert_array_equal(after, after.T)
    scale = before.max()
    assert np.linalg.eigvalsh(after)[0] > -1e-12 * scale
    assert np.linalg.eigvalsh(before - after)[0] > -1e-12 * scale
    share = dataset["share_from_data"].values
    np.testing.assert_allclose(share, 1 - np.diagonal(after) / np.diagonal(before))
    assert ((share > 0) & (share < 1)).all()


def test_observation_minus_posterior_model_is_the_mismatch_the_data_ask_for(solved):
    """Y − Hx̂ − Bb̂ = R Ψ⁻¹ r."""
    dataset = solved.to_dataset(regions())
    problem = solved.problem
    mismatch = problem.model.covariance(solved.values, ("instrument", "representation", "transport"))
    expected = mismatch @ np.linalg.solve(problem.model.covariance(solved.values), problem.residual)
    found = dataset["observed"] - dataset["modelled_posterior"]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(dataset["uncertainty"], np.sqrt(np.diagonal(mismatch)))


def test_the_transport_errs_on_another_signal_as_on_the_reference(solved):
    """With the component's own amplitude it is that component; of a signal it is f² s sᵀ ∘ exp(−|Δt|/τ)."""
    model, values, table = solved.problem.model, solved.values, solved.problem.table
    component = next(c for c in model.components if c.name == "transport")
    own = solved.transport_error(component.amplitude)
    np.testing.assert_allclose(own, model.covariance(values, ("transport",)), rtol=1e-12)
    named = dict(zip((p.name for p in model.parameters), values, strict=True))
    signal = np.random.default_rng(0).standard_normal(table.n)
    apart = np.abs(table.hours[:, None] - table.hours) / named["transport time"]
    same = table.station[:, None] == table.station
    expected = named["transport fraction"] ** 2 * np.outer(signal, signal) * np.exp(-apart) * same
    np.testing.assert_allclose(solved.transport_error(signal), expected, rtol=1e-10, atol=1e-15)


def test_a_subset_at_the_same_scales_is_the_problem_of_the_subset(solved):
    keep = np.flatnonzero(solved.problem.table.station == 0)
    part = solved.on(solved.problem.select(keep))
    alone = solve(solved.problem.select(keep), fitted=solved.hyperparameters)
    total = whole(solved.problem)
    np.testing.assert_allclose(part.totals([total]).shift, alone.totals([total]).shift, rtol=1e-10)
    assert part.inflation == solved.inflation and part.neighbours == ()


def test_an_emission_inside_a_region_counts_there_in_full_though_its_cell_is_cut():
    """Half a cell lies inside: what is emitted there is the region's, not half of it."""
    posterior = solve(make_world(0).problem())
    weight = np.full(CELLS, 0.5)
    total = Total("r", "total", weight, interval(0, 6))
    field = np.ones(CELLS)
    inside = FixedEffect("inside", "total", 0.5 * field, interval(0, 6), adds={"r": 0.5 * CELLS})
    outside = FixedEffect("outside", "total", field * np.arange(CELLS), interval(0, 6), adds={"r": 0.0})
    found = posterior.totals([total], [inside, outside])
    for effect, expected in ((inside, 0.5 * CELLS), (outside, 0.0)):
        response = found.gain @ posterior.problem.effect("total", effect.field, effect.interval)
        assert response[0] == pytest.approx(expected, abs=1e-8)
