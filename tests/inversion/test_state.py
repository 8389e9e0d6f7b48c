"""Blocks of the state in any mixture: the textbook answer, whatever the steps, gaps and masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from dense import process
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import CELLS, GRID, distance_km, flux, interval, make_world

from monitor.contracts import Flag
from monitor.inversion import Background, Correlation, FluxBlock, Selection, solve
from monitor.inversion.state import time_steps

#: Of the largest element; the textbook's own rounding is some 1e-13 times the condition of Ψ, about 1e3.
TEXTBOOK = 1e-10


@st.composite
def blocks(draw):
    """One of each resolution, or some of them, with steps that do not divide the epochs."""
    found = []
    for name, resolution in (("bio", "pattern"), ("road", "scalings"), ("plant", "cells")):
        if found and draw(st.booleans()):
            continue
        kernel = draw(st.sampled_from(["exponential", "matern"]))
        correlation = Correlation(
            draw(st.floats(2.0, 40.0)),
            draw(st.floats(0.2, 20.0)),
            kernel=kernel,
            smoothness=draw(st.sampled_from([1.5, 2.5])),
            hours_of_day=draw(st.sampled_from([None, 3.0])),
        )
        found.append(
            FluxBlock(
                name,
                resolution=resolution,
                step_days=draw(st.sampled_from([None, 1 / 24, 0.7, 2.0])),
                relative_sd=draw(st.floats(0.1, 1.0)),
                correlation=correlation,
                floor=draw(st.sampled_from([0.0, 0.3])),
            )
        )
    return tuple(found)


def time_matrix(correlation, hours):
    """Element by element."""
    lag = np.abs(hours[:, None] - hours)
    if correlation.hours_of_day is None:
        return np.exp(-lag / (24 * correlation.time_days))
    day, hour = np.floor(hours / 24), (hours % 24).astype(int)
    apart = np.abs(hour[:, None] - hour)
    apart = np.minimum(apart, 24 - apart)
    return np.exp(-np.abs(day[:, None] - day) / correlation.time_days - apart / correlation.hours_of_day)


def space_matrix(correlation):
    d = distance_km() / correlation.length_km
    if correlation.kernel == "exponential":
        return np.exp(-d)
    z = np.sqrt(2 * correlation.smoothness) * d
    return {1.5: (1 + z) * np.exp(-z), 2.5: (1 + z + z**2 / 3) * np.exp(-z)}[correlation.smoothness]


def entries(footprints, factor=1.0):
    """(receptor, time of influence, cell, value), one after the other; the residual sees the hour before."""
    hour = np.timedelta64(1, "h")
    time, oldest = footprints["time"].values, int(footprints["hours_back"].values.max()) + 1
    rows = np.repeat(np.arange(time.size), footprints["entry_count"].values)
    late = np.repeat(np.arange(time.size), footprints["residual_count"].values)
    for r, c, back, v in zip(rows, footprints["cell"].values, footprints["hours_back"].values,
                             footprints["value"].values, strict=True):  # fmt: skip
        yield r, time[r] - back * hour, c, factor * float(v)
    for r, c, v in zip(
        late, footprints["residual_cell"].values, footprints["residual_value"].values, strict=True
    ):
        yield r, time[r] - oldest * hour, c, factor * float(v)


def dense_jacobian(problem, world, block, field):
    """H of a block, an influence at a time: given to the first step that ends after it."""
    p, s = block.shape
    out = np.zeros((problem.table.n, p * s))
    labels = zip(problem.table.names, problem.table.start, strict=True)
    row_of = {label: i for i, label in enumerate(labels)}
    for name, dataset in world.footprints.items():
        for r, moment, cell, value in entries(dataset):
            row = row_of.get((name, dataset["time"].values[r]))
            if row is None:
                continue
            step = int(np.argmax(block.steps[:, 1] > moment))
            column = step * s + (0 if s == 1 else cell)
            out[row, column] += value * (1.0 if block.fields is None else field[cell])
    return out


def dense_q(assumed, block, mean):
    q = np.kron(time_matrix(assumed.correlation, block.step_hours), np.ones((1, 1)) if block.shape[1] == 1
                else space_matrix(assumed.correlation))  # fmt: skip
    sigma = np.ones(q.shape[0])
    if block.fields is None:
        sigma = np.tile(np.abs(mean) + assumed.floor * np.abs(mean).mean(), block.shape[0])
    return assumed.relative_sd**2 * q * np.outer(sigma, sigma)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1000),
    state=blocks(),
    stations=st.integers(1, 3),
    gap=st.sampled_from([2, 9]),
    lost=st.floats(0.0, 0.5),
    per=st.sampled_from(["network", "station", "side"]),
)
def test_any_mixture_of_blocks_gives_the_textbook_answer(seed, state, stations, gap, lost, per):
    rng = np.random.default_rng(seed)
    epochs = {"one": interval(0, 2), "two": interval(gap + 1, 3)}
    world = make_world(seed, stations=stations, every_hours=6, epochs=epochs)
    observations = {
        name: o.assign(flag=o["flag"].copy(
            data=np.where(rng.uniform(size=o.sizes["time"]) < lost, Flag.BAD, Flag.GOOD).astype("i1")))
        for name, o in world.observations.items()
    }  # fmt: skip
    maps = {b.name: rng.gamma(2.0, 1.0, CELLS) * (rng.uniform(size=CELLS) < 0.7) + 0.01 for b in state}
    world = replace(
        world,
        observations=observations,
        prior={name: flux(field) for name, field in maps.items()},
        assumptions=replace(
            world.assumptions,
            state=state,
            background=Background(
                per=per, sd_ppm=1.0, offset_sd_ppm=3.0, station_offset_sd_ppm=0.5, station_drift_sd_ppm=2.0
            ),
        ),
    )
    problem = world.problem()
    hs, qs, rows = [], [], []
    for assumed, block in zip(state, problem.blocks, strict=True):
        hs.append(dense_jacobian(problem, world, block, maps[assumed.name]))
        qs.append(dense_q(assumed, block, maps[assumed.name]))
        # footprints are stored as float32 and multiplied in another order
        np.testing.assert_allclose(block.jacobian.toarray(), hs[-1], rtol=1e-12, atol=1e-14)
    background = dense_background(problem, per)
    rest = tuple(
        c.name for c in problem.model.components if c.name in ("instrument", "representation", "transport")
    )
    psi = sum(h @ q @ h.T for h, q in zip(hs, qs, strict=True)) + background
    psi = psi + problem.model.covariance(problem.model.starts, rest)
    found = solve(problem)
    scale = np.abs(psi).max()
    np.testing.assert_allclose(problem.model.covariance(found.values), psi, atol=TEXTBOOK * scale)
    residual = problem.table.value - problem.baseline
    for assumed, h in zip(state, hs, strict=True):
        mean = maps[assumed.name]
        fluxes = np.tile(mean, h.shape[1] // CELLS)
        residual = residual - h @ (fluxes if assumed.resolution == "cells" else np.ones(h.shape[1]))
    estimate = found.totals(problem.totals)
    for k, total in enumerate(problem.totals):
        i = [b.name for b in state].index(total.block)
        row = problem.block(total.block).loading(total.weight, total.interval).ravel()
        cross = hs[i] @ qs[i] @ row
        rows.append(row)
        prior = row @ qs[i] @ row
        shift = cross @ np.linalg.solve(psi, residual)
        assert abs(estimate.shift[k] - shift) < TEXTBOOK * np.sqrt(prior) * 10
        variance = prior - cross @ np.linalg.solve(psi, cross)
        assert abs(estimate.covariance[k, k] / found.inflation - variance) < TEXTBOOK * prior * 10


def dense_background(problem, per):
    """Constants per epoch, offset and drift per station and epoch, AR(1), an element after the other."""
    table = problem.table
    starts = np.array([e.start64 for e in problem.epochs.values()])
    epoch = np.searchsorted(starts, table.start, side="right") - 1
    middle = np.array([(e.start64.astype("datetime64[s]").astype(float) + e.hours * 1800) / 3600
                       for e in problem.epochs.values()])  # fmt: skip
    months = (table.hours - middle[epoch]) / 720.0
    out = np.zeros((table.n, table.n))
    same_station = table.station[:, None] == table.station
    for i in range(table.n):
        for j in range(table.n):
            if epoch[i] == epoch[j]:
                out[i, j] += 9.0
                if same_station[i, j]:
                    out[i, j] += 0.25 * (len(table.inlets) > 1) + 4.0 * months[i] * months[j]
    side = ((table.wind_from_deg + 45) % 360 // 90).astype(int)
    group = {"network": np.zeros(table.n), "station": table.station, "side": side}[per]
    return out + process(table.hours, group, np.ones(table.n), 48.0)


@pytest.mark.parametrize("resolution", ["pattern", "scalings"])
def test_scalings_see_the_flux_of_the_hour_of_influence(resolution):
    """A prior that doubles at noon of the second day, in one step over both."""
    world = make_world(3, stations=1, days=3, every_hours=5)
    base = world.prior["total"]["flux"].values.ravel()
    edge = np.datetime64("2023-03-02T12", "ns")
    bounds = np.array([["2023-01-01", edge], [edge, "2023-06-01"]], dtype="datetime64[ns]")
    two = in_time(world.prior["total"], [1.0, 2.0], bounds)
    block = FluxBlock("total", resolution=resolution)
    problem = replace(
        world, prior={"total": two}, assumptions=replace(world.assumptions, state=(block,))
    ).problem()
    expected = np.zeros((problem.table.n, CELLS))
    for r, moment, cell, value in entries(world.footprints["S0-50m"]):
        expected[r, cell] += value * base[cell] * (2.0 if moment >= edge else 1.0)
    found = problem.blocks[0].jacobian.toarray()
    if resolution == "pattern":
        expected = expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def in_time(prior, factors, bounds):
    """The prior times a factor in each of the periods `bounds`."""
    parts = [f * prior["flux"].isel(time=0, drop=True) for f in factors]
    values = xr.concat(parts, "time").transpose("sector", "time", "lat", "lon")
    return xr.Dataset(
        {"flux": values.assign_attrs(prior["flux"].attrs), "cell_area": prior["cell_area"]},
        coords={"time": ("time", bounds[:, 0], prior["time"].attrs), "time_bnds": (("time", "bnds"), bounds)},
        attrs=prior.attrs,
    ).assign_coords(sector=prior["sector"])


def test_sector_blocks_share_one_prior_dataset():
    rng = np.random.default_rng(0)
    world = make_world(0, days=2)
    fields = rng.gamma(2.0, 1.0, (3, CELLS))
    state = (FluxBlock("traffic", ("road", "ship")), FluxBlock("heat", ("heating",), resolution="scalings"))
    problem = replace(
        world,
        prior=flux(fields, sectors=["road", "heating", "ship"]),
        assumptions=replace(world.assumptions, state=state),
    ).problem()
    np.testing.assert_allclose(problem.block("traffic").prior[0], fields[0] + fields[2])
    np.testing.assert_allclose(problem.block("heat").fields[0], fields[1])
    assert [(t.block, t.region, t.epoch) for t in problem.totals] == [
        ("traffic", "all cells", "only"), ("heat", "all cells", "only")
    ]  # fmt: skip


def test_short_steps_begin_as_early_as_the_footprints_reach():
    steps = time_steps([interval(2, 1), interval(4, 1)], 0.25, reach_hours=30.0)
    begin = (steps[:, 0] - interval(0, 1).start64) / np.timedelta64(1, "h")
    # the second epoch begins a day after the first ends: its steps reach back to there, and no further
    np.testing.assert_array_equal(begin[:5], [18, 24, 30, 36, 42])
    np.testing.assert_array_equal(begin[5:9], [48, 54, 60, 66])
    np.testing.assert_array_equal(begin[9:13], [72, 78, 84, 90])
    assert steps.shape == (17, 2)


def test_a_block_may_have_a_correlation_of_its_own():
    world = make_world(0, days=2)
    own = Correlation(length_km=3.0, time_days=0.5)
    state = (FluxBlock("a", correlation=own), FluxBlock("b"))
    assumptions = replace(world.assumptions, state=state, correlation=Correlation(25.0, 9.0))
    prior = {name: flux(np.ones(CELLS)) for name in "ab"}
    problem = replace(world, prior=prior, assumptions=assumptions).problem()
    medians = {p.name: p.start for p in problem.model.parameters}
    assert (medians["a length"], medians["a time"]) == (3.0, 12.0)
    assert (medians["b length"], medians["b time"]) == (25.0, 216.0)


def test_ten_lines_suffice():
    """Observations, footprints and prior alone: all else has a default."""
    world = make_world(0, stations=1, days=3)
    (observed,), (seen,) = world.observations.values(), world.footprints.values()
    problem = type(world.problem()).from_datasets(observed, seen, world.prior["total"])
    assert problem.table.inlets == ("S0-50m",)
    assert list(problem.epochs) == ["all"]
    epoch = problem.epochs["all"]
    assert (epoch.start64, epoch.end64) == (problem.table.start.min(), problem.table.end.max())
    assert [t.name for t in problem.totals] == ["all cells total all"]
    assert problem.assumptions.selection == Selection()
    found = solve(problem).to_dataset()
    assert found["flux_posterior"].shape == (1, 1, *GRID.shape)
