"""From datasets to a linear problem: every hour accounted for; unit and order without effect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from small_worlds import CELLS, flux, footprints, interval, make_world, series, times, whole

from monitor.contracts import Flag, Reason
from monitor.domain import Grid
from monitor.errors import GridError, InputError
from monitor.inversion import Background, Correlation, FixedEffect, FluxBlock, Mismatch, Selection, solve
from monitor.inversion.state import overlap_share, time_steps
from monitor.transport.forward import jacobian

FLAGS = st.sampled_from([Flag.GOOD, Flag.NOT_EVALUATED, Flag.SUSPECT, Flag.BAD, Flag.MISSING])


def with_hours(world, flags, *, drop=0, **selection):
    name = next(iter(world.observations))
    observed = world.observations[name]
    observed = observed.assign(flag=observed["flag"].copy(data=np.resize(flags, observed.sizes["time"])))
    values = observed["mole_fraction"].where(observed["flag"] != Flag.MISSING)
    observed = observed.assign(mole_fraction=values.assign_attrs(observed["mole_fraction"].attrs))
    return replace(
        world,
        observations={name: observed.isel(time=slice(drop, None))},
        footprints={name: world.footprints[name]},
        assumptions=replace(world.assumptions, selection=Selection(**selection)),
    )


@settings(max_examples=25)
@given(
    flags=st.lists(FLAGS, min_size=5, max_size=24),
    drop=st.integers(0, 20),
    hours=st.sampled_from([(0, 24), (6, 18), (12, 17)]),
    average=st.sampled_from(["hourly", "daily"]),
    min_hours=st.integers(1, 4),
)
def test_every_footprint_hour_is_used_or_excluded_with_a_reason(flags, drop, hours, average, min_hours):
    world = with_hours(
        make_world(0, stations=1, every_hours=2), np.array([Flag.GOOD, *flags]), drop=drop,
        local_hours=hours, average=average, min_hours=min_hours, utc_offset_h=1.0,
    )  # fmt: skip
    world = replace(world, epochs={"short": interval(1, 4)})
    try:
        table = world.problem().table
    except InputError:
        reject()  # nothing is left: told apart in another test
    ((operator,),) = table.averaging.values()
    used = np.unique(operator.indices).size
    assert used + sum(table.excluded.values()) == table.footprint_hours
    assert all(table.excluded)
    np.testing.assert_allclose(operator.sum(axis=1), 1.0)  # every row is a mean
    if average == "hourly":
        assert used == table.n


def test_reasons_tell_a_missing_row_from_a_missing_number_and_name_the_flags():
    world = make_world(0, stations=1, days=2)
    (name,) = world.observations
    observed = world.observations[name].copy(deep=True)
    observed["flag"][0], observed["mole_fraction"][0] = Flag.MISSING, np.nan
    observed["flag"][1], observed["flag_reason"][1] = Flag.BAD, Reason.SPIKE | Reason.RANGE
    observed = observed.isel(time=[0, 1, *range(4, observed.sizes["time"])])
    table = replace(world, observations={name: observed}).problem().table
    assert table.excluded == {"flagged bad: range, spike": 1, "no row": 2, "not a number": 1}


def test_an_inlet_without_a_single_row_is_excluded_hour_by_hour():
    world = make_world(0, days=2)
    name = next(iter(world.observations))
    empty = world.observations[name].isel(time=slice(0, 0))
    table = replace(world, observations={**world.observations, name: empty}).problem().table
    assert table.excluded == {"no row": world.footprints[name].sizes["receptor"]}


def test_a_daily_mean_is_the_mean_of_the_rows_of_footprints_and_values():
    world = make_world(3, stations=1, every_hours=1, days=4)
    hourly = world.problem()
    daily = replace(
        world, assumptions=replace(world.assumptions, selection=Selection(average="daily", utc_offset_h=2.0))
    ).problem()
    day = (hourly.table.start + np.timedelta64(2, "h")).astype("datetime64[D]")
    for k, label in enumerate(np.unique(day)):
        rows = day == label
        assert daily.table.value[k] == pytest.approx(hourly.table.value[rows].mean())
        assert daily.table.end[k] - daily.table.start[k] == np.timedelta64(int(rows.sum()), "h")
        one, other = (p.blocks[0].jacobian.toarray() for p in (daily, hourly))
        np.testing.assert_allclose(one[k], other[rows].mean(axis=0), rtol=1e-12, atol=1e-15)


def test_an_unknown_uncertainty_within_a_day_does_not_make_the_day_perfect():
    world = make_world(3, stations=1, every_hours=1, days=2)
    (name,) = world.observations
    observed = world.observations[name].copy(deep=True)
    observed["uncertainty"][3] = np.nan
    daily = replace(world.assumptions, selection=Selection(average="daily"))
    table = replace(world, observations={name: observed}, assumptions=daily).problem().table
    np.testing.assert_allclose(table.uncertainty, 0.1)


def test_the_jacobian_is_the_footprint_and_hours_of_the_day_weigh_it():
    factors = np.arange(24.0) / 11.5
    plain = make_world(5, stations=1)
    block = replace(plain.assumptions.state[0], hour_factors=tuple(factors))
    weighted = replace(
        plain, assumptions=replace(plain.assumptions, state=(block,), selection=Selection(utc_offset_h=3.0))
    )
    one, other = plain.problem(), weighted.problem()
    direct = jacobian(plain.footprints["S0-50m"], one.blocks[0].steps, early="first").toarray()
    np.testing.assert_allclose(one.blocks[0].jacobian.toarray(), direct)
    local = (np.floor(other.table.hours - 0.5 + 3.0) % 24).astype(int)
    np.testing.assert_allclose(other.blocks[0].jacobian.toarray(), factors[local][:, None] * direct)


def test_a_pattern_block_scales_the_enhancement_of_its_field():
    world = make_world(5, stations=2)
    block = FluxBlock(
        "total", resolution="pattern", step_days=2.0, relative_sd=0.4, correlation=Correlation(time_days=3.0)
    )
    problem = replace(world, assumptions=replace(world.assumptions, state=(block,))).problem()
    cells = world.problem()
    np.testing.assert_allclose(problem.predicted, cells.predicted)
    found = problem.model.covariance(problem.model.starts, ("total",))
    # what each observation sees of each step is the enhancement of the field in that step
    by_step = cells.blocks[0].jacobian.toarray().reshape(problem.table.n, 3, CELLS) @ cells.blocks[0].prior[0]
    lag = np.abs(np.arange(3)[:, None] - np.arange(3)) * 48.0
    dense = 0.16 * by_step @ np.exp(-lag / 72.0) @ by_step.T
    np.testing.assert_allclose(found, dense, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_another_unit_of_the_flux_changes_no_total_and_no_chi_square(factor):
    """Fluxes in units `factor` times larger: footprints grow by it, fluxes shrink by it."""
    world = make_world(1)
    scaled = replace(
        world,
        footprints={
            k: f.assign(
                value=(f["value"] * factor).assign_attrs(f["value"].attrs),
                residual_value=(f["residual_value"] * factor).assign_attrs(f["residual_value"].attrs),
            )
            for k, f in world.footprints.items()
        },
        prior={
            k: f.assign(flux=(f["flux"] / factor).assign_attrs(f["flux"].attrs))
            for k, f in world.prior.items()
        },
    )
    one, other = solve(world.problem()), solve(scaled.problem())
    # footprints are stored as 32-bit numbers, good to 1e-7
    assert other.diagnostics.chi2 == pytest.approx(one.diagnostics.chi2, rel=1e-5)
    assert other.diagnostics.dofs == pytest.approx(one.diagnostics.dofs, rel=1e-5)
    first, second = one.totals([whole(one.problem)]), other.totals([whole(other.problem, factor)])
    np.testing.assert_allclose(second.shift, first.shift, rtol=1e-4)
    np.testing.assert_allclose(second.covariance, first.covariance, rtol=1e-4)


def test_the_order_of_stations_and_hours_changes_no_total():
    world = make_world(2, stations=3)
    problem = world.problem()
    found = solve(problem).totals([whole(problem)])
    names = dict(zip(world.observations, ["Z", "A", "M"], strict=True))
    renamed = replace(
        world,
        observations={names[k]: v for k, v in world.observations.items()},
        footprints={names[k]: v for k, v in reversed(world.footprints.items())},
    ).problem()
    assert renamed.table.inlets == ("A", "M", "Z")
    other = solve(renamed).totals([whole(renamed)])
    np.testing.assert_allclose(other.shift, found.shift, rtol=1e-9)
    np.testing.assert_allclose(other.covariance, found.covariance, rtol=1e-9)
    order = np.random.default_rng(0).permutation(problem.table.n)
    shuffled = solve(problem.select(order)).totals([whole(problem)])
    np.testing.assert_allclose(shuffled.shift, found.shift, rtol=1e-9)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_prior_doubled_or_halved_moves_nothing_along_a_flat_pattern(factor):
    """At fixed scales and reference the prior mean has no vote along the pattern: below 1e-6 σ."""
    world = make_world(4)
    problem = world.problem()
    pattern = world.prior["total"]["flux"].values.ravel()
    (block,) = problem.blocks
    moved = replace(problem, blocks=(replace(block, prior=factor * block.prior),))  # reference and σ held
    answers = []
    for one in (problem, moved):
        total = whole(one)
        effect = FixedEffect("all", "total", pattern, total.interval)
        found = solve(one).totals([total], [effect])
        prior = float(
            np.sum(one.block("total").loading(total.weight, total.interval) * one.block("total").prior)
        )
        answers.append((prior + found.shift[0], np.sqrt(found.covariance[0, 0])))
    assert abs(answers[1][0] - answers[0][0]) < 1e-6 * answers[0][1]
    shrunk = [
        solve(p).totals([whole(p)]).shift[0] + f * answers[0][0] for p, f in ((problem, 1), (moved, factor))
    ]
    assert abs(shrunk[1] - shrunk[0]) > 0.05 * answers[0][1]  # where the prior votes it does move


def test_selecting_observations_selects_everything():
    problem = make_world(6).problem()
    keep = np.array([0, 3, 4, 10])
    part = problem.select(keep)
    np.testing.assert_array_equal(part.residual, problem.residual[keep])
    values = problem.model.starts
    np.testing.assert_allclose(
        part.model.covariance(values), problem.model.covariance(values)[np.ix_(keep, keep)]
    )
    np.testing.assert_array_equal(part.table.hours, problem.table.hours[keep])


def test_the_covariance_of_the_observations_is_the_sum_of_named_parts():
    world = make_world(7)
    assumptions = replace(
        world.assumptions,
        background=Background(per="station", sd_ppm=1.5, offset_sd_ppm=4.0, by_side=True),
        mismatch=Mismatch(variability_factor=0.5, common_fraction=0.1, by_hour=True, representation_ppm=0.3),
    )
    problem = replace(world, assumptions=assumptions).problem()
    values = problem.model.starts
    names = [c.name for c in problem.model.components]
    assert names == [
        "total", "inflow offset", "side offset", "inflow", "instrument", "representation", "variability",
        "transport", "common transport",
    ]  # fmt: skip
    table = problem.table
    lag = np.abs(table.hours[:, None] - table.hours[None])
    same = table.station[:, None] == table.station[None]
    inflow = problem.model.covariance(values, ("inflow",))
    np.testing.assert_allclose(inflow, 2.25 * same * np.exp(-lag / 48.0), rtol=1e-12)
    side = ((table.wind_from_deg + 45) % 360 // 90).astype(int)
    expected = 2.25 * (side[:, None] == side[None])
    np.testing.assert_allclose(problem.model.covariance(values, ("side offset",)), expected)
    size = np.hypot(problem.reference, 0.3 * problem.reference.mean())
    expected = 0.09 * same * np.outer(size, size) * np.exp(-lag / 8.0)
    np.testing.assert_allclose(problem.model.covariance(values, ("transport",)), expected, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(problem.model.covariance(values, ("instrument",))), 0.01)


@pytest.mark.parametrize(
    ("direction", "side"), [(0, 0), (44, 0), (46, 1), (90, 1), (180, 2), (270, 3), (314, 3), (316, 0)]
)
def test_inflow_comes_from_the_side_the_wind_comes_from(direction, side):
    world = make_world(7, stations=1, days=2)
    (name,) = world.footprints
    winds = world.footprints[name].assign(
        wind_direction=("receptor", np.full(world.footprints[name].sizes["receptor"], float(direction)))
    )
    background = replace(world.assumptions.background, by_side=True)
    problem = replace(
        world, footprints={name: winds}, assumptions=replace(world.assumptions, background=background)
    ).problem()
    part = next(c for c in problem.model.components if c.name == "side offset")
    np.testing.assert_array_equal(np.argmax(part.columns, axis=1), side)


def test_the_background_is_interpolated_to_the_middle_of_each_observation():
    world = make_world(8, days=2)
    time = np.array(["2023-02-01", "2023-04-01"], dtype="datetime64[ns]")
    seconds = (time - time[0]) / np.timedelta64(1, "s")
    line = xr.DataArray(
        400 + seconds / 1e5, dims="time", coords={"time": time}, attrs={"units": "umol mol-1"}
    )
    problem = replace(world, baseline=line).problem()
    expected = 400 + (problem.table.hours * 3600 - time[0].astype("datetime64[s]").astype(float)) / 1e5
    np.testing.assert_allclose(problem.baseline, expected)
    short = line.isel(time=[0]).reindex(time=time)
    with pytest.raises(InputError, match="background does not cover"):
        replace(world, baseline=short).problem()


def test_what_does_not_fit_is_named():
    world = make_world(0, days=2)
    with pytest.raises(InputError, match=r"no footprints for S1-50m.*found: S0-50m"):
        replace(world, footprints={"S0-50m": world.footprints["S0-50m"]}).problem()
    with pytest.raises(InputError, match="no prior flux for block 'total'"):
        replace(world, prior={"other": world.prior["total"]}).problem()
    shifted = world.prior["total"].assign_coords(lon=world.prior["total"]["lon"] + 0.05)
    with pytest.raises(GridError, match="another grid than the footprints"):
        replace(world, prior={"total": shifted}).problem()
    other = world.footprints["S1-50m"].assign_coords(lat=world.footprints["S1-50m"]["lat"] + 1.0)
    with pytest.raises(GridError, match="S0-50m and S1-50m are on different grids"):
        replace(world, footprints={**world.footprints, "S1-50m": other}).problem()
    with pytest.raises(InputError, match="no observation is left.*outside the epochs"):
        replace(world, epochs={"later": interval(100, 2)}).problem()


def test_a_spread_that_no_station_gives_cannot_scale_an_error():
    world = make_world(0, days=2)
    blind = {
        k: o.assign(stdev=o["stdev"].where(False).assign_attrs(o["stdev"].attrs))
        for k, o in world.observations.items()
    }
    mismatch = replace(world.assumptions.mismatch, variability_factor=1.0)
    with pytest.raises(InputError, match="variability.*spread"):
        replace(
            world, observations=blind, assumptions=replace(world.assumptions, mismatch=mismatch)
        ).problem()


def test_steps_tile_the_epochs_and_shares_of_an_interval_sum_to_one():
    epochs = [interval(0, 7), interval(20, 5)]
    steps = time_steps(epochs, 3.0)
    assert steps.shape == (5, 2)
    lengths = (steps[:, 1] - steps[:, 0]) / np.timedelta64(1, "D")
    np.testing.assert_array_equal(lengths, [3, 3, 1, 3, 2])
    np.testing.assert_allclose(overlap_share(steps, interval(0, 7)), [3 / 7, 3 / 7, 1 / 7, 0, 0])
    assert overlap_share(steps, interval(2, 20)).sum() == pytest.approx(1.0)


def test_distances_are_those_on_the_sphere_to_one_per_cent():
    grid = Grid(lon_deg=2.0 + 0.5 * np.arange(4), lat_deg=48.0 + 0.4 * np.arange(3))
    lon, lat = (np.deg2rad(a.ravel()) for a in np.meshgrid(grid.lon_deg, grid.lat_deg))
    cosine = np.sin(lat[:, None]) * np.sin(lat) + np.cos(lat[:, None]) * np.cos(lat) * np.cos(
        lon[:, None] - lon
    )
    great_circle = 6371.0 * np.arccos(np.clip(cosine, -1, 1))
    np.testing.assert_allclose(Correlation().in_space(grid)._distance(), great_circle, rtol=0.015, atol=0.01)


def test_a_flux_by_month_becomes_the_mean_over_each_step():
    world = make_world(0, days=6)
    base = world.prior["total"]
    bounds = np.array([["2023-01-01", "2023-03-04"], ["2023-03-04", "2023-06-01"]], dtype="datetime64[ns]")
    two = xr.concat(
        [base, 3 * base], "time", data_vars="minimal", coords="minimal", compat="override"
    ).assign_coords(time=("time", bounds[:, 0], base["time"].attrs), time_bnds=(("time", "bnds"), bounds))
    two["flux"].attrs = base["flux"].attrs
    block = replace(world.assumptions.state[0], step_days=2.0)
    problem = replace(
        world, prior={"total": two}, assumptions=replace(world.assumptions, state=(block,))
    ).problem()
    field = base["flux"].values.ravel()
    np.testing.assert_allclose(problem.blocks[0].prior, np.array([1.0, 2.0, 3.0])[:, None] * field)


def test_worlds_are_what_they_say():
    """The helpers of these tests: hours, cells and stations."""
    time = times({"a": interval(0, 1)}, 6)
    assert time.size == 4
    assert footprints(np.random.default_rng(0), time, "X").sizes["receptor"] == 4
    assert series(time, np.ones(4), "X").sizes["time"] == 4
    assert flux(np.ones(CELLS))["flux"].shape == (1, 1, 4, 5)
