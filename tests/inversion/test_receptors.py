"""Observations are rows of a linear operator over receptors: averages, differences, columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import footprints, make_world, times

from monitor import units
from monitor.contracts import Flag
from monitor.errors import InputError
from monitor.inversion import Background, Difference, FluxBlock, InverseProblem, Mismatch, Selection, solve
from monitor.inversion.receptors import Average, Column

#: Sums of the same few thousand products in another order.
SAME = {"rtol": 1e-11, "atol": 1e-12}


def with_gaps(world, rng, lost):
    """A share of the hours of each station flagged missing."""
    observations = {}
    for name, dataset in world.observations.items():
        gone = rng.uniform(size=dataset.sizes["time"]) < lost
        flag = np.where(gone, Flag.MISSING, Flag.GOOD).astype("i1")
        observations[name] = dataset.assign(flag=dataset["flag"].copy(data=flag))
    return replace(world, observations=observations)


def rich(world, **selection):
    """All parts of background and mismatch, so that each must be differenced."""
    block = FluxBlock("total", step_days=1.0)
    return replace(
        world,
        assumptions=replace(
            world.assumptions,
            state=(block,),
            background=Background(
                per="station", sd_ppm=1.0, offset_sd_ppm=3.0, station_offset_sd_ppm=0.5,
                station_drift_sd_ppm=0.7, by_side=True,
            ),
            mismatch=Mismatch(
                representation_ppm=0.5, variability_factor=0.3, common_fraction=0.2, by_hour=True
            ),
            selection=Selection(**selection),
        ),
    )  # fmt: skip


def textbook(psi, problem):
    """Totals' shift and covariance from the block's own matrices."""
    (block,) = problem.blocks
    q = block.covariance(problem.values_of("total", problem.model.starts)).dense()
    rows = np.stack([block.loading(t.weight, t.interval).ravel() for t in problem.totals])
    cross = block.jacobian.toarray() @ q @ rows.T
    return cross.T @ np.linalg.solve(psi, problem.residual), rows @ q @ rows.T - cross.T @ np.linalg.solve(
        psi, cross
    )


def pairs_of(table, differences):
    """D, one element after the other."""
    rows = []
    for d in differences:
        for i in range(table.n):
            for j in range(table.n):
                same = table.start[i] == table.start[j]
                if same and table.names[i] == d.downwind and table.names[j] == d.upwind:
                    row = np.zeros(table.n)
                    row[i], row[j] = 1.0, -1.0
                    rows.append(row)
    return np.array(rows)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 100), lost=st.floats(0.0, 0.4), shared=st.booleans())
def test_a_difference_is_the_same_operator_on_everything(seed, lost, shared):
    rng = np.random.default_rng(seed)
    world = rich(with_gaps(make_world(seed, stations=3, days=3), rng, lost))
    names = list(world.observations)
    differences = (Difference(names[1], names[0]),)
    differences += (Difference(names[2], names[0]),) if shared else ()
    plain = world.problem()
    problem = rich(world, differences=differences).problem()
    # hours at which a station of a difference is alone take part in nothing, so the elements are fewer
    met = np.isin(np.arange(plain.table.n), np.flatnonzero(abs(pairs_of(plain.table, differences)).sum(0)))
    single = plain.table.names == names[2] if not shared else np.zeros(plain.table.n, bool)
    elements = plain.select(np.flatnonzero(met | single))
    d = np.vstack([np.eye(elements.table.n)[elements.table.names == names[2]][: 0 if shared else None],
                   pairs_of(elements.table, differences)])  # fmt: skip
    np.testing.assert_allclose(problem.table.value, d @ elements.table.value, **SAME)
    np.testing.assert_allclose(problem.blocks[0].jacobian.toarray(), d @ elements.blocks[0].jacobian, **SAME)
    values = problem.model.starts
    background = ("inflow offset", "side offset", "station offset", "station drift", "inflow")
    for part in (background, ("instrument",), ("representation",), ("variability",), ("total",)):
        expected = d @ elements.model.covariance(values, part) @ d.T
        np.testing.assert_allclose(problem.model.covariance(values, part), expected, **SAME)
    psi = problem.model.covariance(values)
    shift, covariance = textbook(psi, problem)
    found = solve(problem)
    np.testing.assert_allclose(found.totals(problem.totals).shift, shift, rtol=1e-10)
    total = found.totals(problem.totals).covariance / found.inflation
    # a variance is the difference of two: rounding is of the larger
    np.testing.assert_allclose(total, covariance, rtol=1e-8)
    linear = solve(problem.linear()).totals
    np.testing.assert_allclose(linear.mean - linear.prior_mean, shift, rtol=1e-8)


def test_a_constant_of_the_network_drops_out_of_a_difference():
    world = make_world(1, stations=2, days=3)
    names = list(world.observations)
    chosen = replace(world.assumptions, selection=Selection(differences=(Difference(names[0], names[1]),)))
    problem = replace(world, assumptions=chosen).problem()
    assert problem.table.inlets == (f"{names[0]} − {names[1]}",)
    np.testing.assert_array_equal(problem.baseline, 0.0)
    for part in ("inflow offset", "inflow"):
        np.testing.assert_allclose(problem.model.covariance(problem.model.starts, (part,)), 0.0, atol=1e-14)
    lifted = replace(world, assumptions=chosen).with_values(
        {name: o["mole_fraction"].values + 17.0 for name, o in world.observations.items()}
    )
    np.testing.assert_allclose(lifted.problem().residual, problem.residual, atol=1e-10)


def test_daily_differences_are_of_the_same_hours():
    rng = np.random.default_rng(0)
    world = with_gaps(make_world(2, stations=2, days=4, every_hours=2), rng, 0.3)
    names = list(world.observations)
    both = Selection(average="daily", differences=(Difference(names[0], names[1]),))
    table = replace(world, assumptions=replace(world.assumptions, selection=both)).problem().table
    good = [o["flag"].values == Flag.GOOD for o in world.observations.values()]
    values = [o["mole_fraction"].values for o in world.observations.values()]
    met, day = good[0] & good[1], world.observations[names[0]]["time"].values.astype("datetime64[D]")
    expected = [np.mean((values[0] - values[1])[met & (day == label)]) for label in np.unique(day[met])]
    np.testing.assert_allclose(table.value, expected, rtol=1e-10, atol=1e-11)
    assert table.excluded["no simultaneous value of the other station"] == sum(
        g.sum() - met.sum() for g in good
    )


def test_a_difference_that_does_not_exist_is_named():
    world = make_world(0, days=2)
    with pytest.raises(InputError, match="names stations without observations: nowhere"):
        rich(world, differences=(Difference("S0-50m", "nowhere"),)).problem()
    with pytest.raises(InputError, match="needs two stations.*'A' twice"):
        Difference("A", "A")
    early, late = world.observations.values()
    n = early.sizes["time"] // 2
    apart = replace(
        world,
        observations={"S0-50m": early.isel(time=slice(0, n)), "S1-50m": late.isel(time=slice(n, None))},
    )
    with pytest.raises(InputError, match="no observation is left.*no simultaneous value"):
        rich(apart, differences=(Difference("S0-50m", "S1-50m"),)).problem()


@given(group=st.lists(st.integers(0, 4), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_an_average_is_the_mean_of_its_receptors(group, seed):
    index = np.unique(group, return_inverse=True)[1]
    values = np.random.default_rng(seed).normal(size=20)
    receptor = np.random.default_rng(seed).permutation(20)[: index.size]
    found = Average(receptor, index).operator(20) @ values
    np.testing.assert_allclose(found, [values[receptor[index == k]].mean() for k in range(index.max() + 1)])


LEVELS = 3


def column_world(seed, lost=0.0):
    """One tower and one column of three levels."""
    rng = np.random.default_rng(seed)
    world = with_gaps(make_world(seed, stations=2, days=3), rng, lost)
    tower, above = list(world.observations)
    observed = world.observations[above]
    time = times(world.epochs, 4)
    shape = (time.size, LEVELS)
    weight = rng.dirichlet(np.ones(LEVELS), time.size)
    profile = 400 + rng.normal(size=shape)

    def variable(dims, values, unit):
        return (dims, values, {"units": unit})

    observed = observed.assign(
        averaging_kernel=variable(("time", "level"), rng.uniform(0.5, 1.3, shape), "1"),
        pressure_weight=variable(("time", "level"), weight, "1"),
        prior_profile=variable(("time", "level"), profile, units.MOLE_FRACTION),
        prior_column=variable(("time",), (weight * profile).sum(axis=1), units.MOLE_FRACTION),
    )
    levels = tuple(footprints(rng, time, above) for _ in range(LEVELS))
    return replace(
        world,
        observations={tower: world.observations[tower], above: observed},
        footprints={tower: world.footprints[tower], above: levels},
    )


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 100), lost=st.floats(0.0, 0.4), average=st.sampled_from(["hourly", "daily"]))
def test_a_column_sees_its_levels_by_weight_and_kernel(seed, lost, average):
    """Y = c_a + Σ a w (x − x_a), with x_l = b + H_l f: written out level by level."""
    world = rich(column_world(seed, lost), average=average)
    _, above = list(world.observations)
    problem = world.problem()
    observed = world.observations[above]
    weights = (observed["averaging_kernel"] * observed["pressure_weight"]).values
    prior = (observed["averaging_kernel"] * observed["pressure_weight"] * observed["prior_profile"]).values
    reduced = observed["mole_fraction"].values - observed["prior_column"].values + prior.sum(axis=1)
    as_tower = [
        rich(replace(world, observations={"L": plain_observation(observed)}, footprints={"L": level}),
             average=average).problem()
        for level in world.footprints[above]
    ]  # fmt: skip
    rows = problem.table.names == above
    good = observed["flag"].values == Flag.GOOD
    label = observed["time"].values.astype("datetime64[D]") if average == "daily" else observed["time"].values
    mean = np.array([(label[good] == k) / np.sum(label[good] == k) for k in np.unique(label[good])])
    np.testing.assert_allclose(problem.table.value[rows], mean @ reduced[good], rtol=1e-12)
    hourly = [rich(of_level(world, observed, level)).problem() for level in world.footprints[above]]
    seen = sum(
        mean @ (weights[good, k][:, None] * h.blocks[0].jacobian.toarray()) for k, h in enumerate(hourly)
    )
    np.testing.assert_allclose(problem.blocks[0].jacobian.toarray()[rows], seen, **SAME)
    exposure = mean @ weights[good].sum(axis=1)
    np.testing.assert_allclose(problem.table.exposure[rows], exposure, rtol=1e-12)
    values = problem.model.starts
    offset = problem.model.covariance(values, ("inflow offset",))[np.ix_(rows, rows)]
    np.testing.assert_allclose(offset, 9.0 * np.outer(exposure, exposure), rtol=1e-12)
    inflow = problem.model.covariance(values, ("inflow",))[np.ix_(rows, rows)]
    alone = as_tower[0].model.covariance(as_tower[0].model.starts, ("inflow",))
    np.testing.assert_allclose(inflow, alone * np.outer(exposure, exposure), rtol=1e-12)
    shift, covariance = textbook(problem.model.covariance(values), problem)
    found = solve(problem)
    np.testing.assert_allclose(found.totals(problem.totals).shift, shift, rtol=1e-10)
    np.testing.assert_allclose(
        found.totals(problem.totals).covariance / found.inflation, covariance, rtol=1e-8
    )


def plain_observation(observed):
    return observed.drop_vars(["averaging_kernel", "pressure_weight", "prior_profile", "prior_column"])


def of_level(world, observed, level):
    return replace(world, observations={"L": plain_observation(observed)}, footprints={"L": level})


def test_a_column_is_exact_where_the_kernel_is_one():
    """With a = 1 and the true profile the column is Σ w x: the prior drops out."""
    rng = np.random.default_rng(0)
    weight = rng.dirichlet(np.ones(4), 5)
    truth, prior = 400 + rng.normal(size=(5, 4)), 400 + rng.normal(size=(5, 4))
    column = Column(np.ones((5, 4)), weight, prior, (weight * prior).sum(axis=1))
    np.testing.assert_allclose(column.observed((weight * truth).sum(axis=1)), (weight * truth).sum(axis=1))


def test_a_column_that_does_not_fit_is_named():
    world = column_world(0)
    _, above = list(world.observations)
    observed = world.observations[above]

    def problem_of(dataset: xr.Dataset, levels=None) -> InverseProblem:
        return replace(
            world,
            observations={**world.observations, above: dataset},
            footprints={**world.footprints, above: levels or world.footprints[above]},
        ).problem()

    with pytest.raises(InputError, match="column of S1-50m has no 'prior_profile'"):
        problem_of(observed.drop_vars("prior_profile"))
    with pytest.raises(
        InputError, match=r"footprints of 'S1-50m' do not fit.*per level: 3.*found: 2 datasets"
    ):
        problem_of(observed, world.footprints[above][:2])
    with pytest.raises(
        InputError, match=r"footprints of 'S1-50m' do not fit.*one dataset.*found: 3 datasets"
    ):
        problem_of(plain_observation(observed))
    ppb = observed.assign(prior_profile=observed["prior_profile"].assign_attrs(units="nmol mol-1"))
    with pytest.raises(InputError, match=r"'prior_profile' of S1-50m is in a wrong unit.*nmol"):
        problem_of(ppb)
    broken = observed["averaging_kernel"].copy()
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match=r"'averaging_kernel' of S1-50m is not finite at \(3, 1\)"):
        problem_of(observed.assign(averaging_kernel=broken))
    late = world.footprints[above][1].isel(receptor=slice(1, None))
    late = footprints(np.random.default_rng(1), late["time"].values, above)
    with pytest.raises(InputError, match="level 1 of 'S1-50m' has other receptor times"):
        problem_of(observed, (world.footprints[above][0], late, world.footprints[above][2]))
