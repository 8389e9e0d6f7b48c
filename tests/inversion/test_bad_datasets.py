"""What cannot be inverted is refused, naming the variable, the place, the values and the remedy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from small_worlds import CELLS, GRID, flux, interval, make_world

from monitor.contracts import Flag
from monitor.errors import ContractError, GridError, InputError, UnitError
from monitor.inversion import Background, Correlation, FluxBlock, InverseProblem, Mismatch, Selection
from monitor.inversion.assumptions import Assumptions, TransportScale
from monitor.inversion.totals import whole_grid

TIMES = np.array(["2023-02-01", "2023-04-01"], dtype="datetime64[ns]")


@pytest.fixture(scope="module")
def world():
    return make_world(0, days=2)


def changed(dataset: xr.Dataset, variable: str, values=None, **attributes) -> xr.Dataset:
    found = dataset[variable].copy(data=dataset[variable].values if values is None else values)
    return dataset.assign({variable: found.assign_attrs(attributes)})


def assemble(world, regions=None, **datasets):
    parts = {
        "observations": world.observations,
        "footprints": world.footprints,
        "prior": world.prior,
    } | datasets
    return InverseProblem.from_datasets(
        **parts, regions=regions, epochs=world.epochs, assumptions=world.assumptions
    )


def test_a_value_that_is_not_a_number_but_flagged_good(world):
    observed = world.observations["S0-50m"]
    values = observed["mole_fraction"].values.copy()
    values[5] = np.nan
    with pytest.raises(ContractError, match=r"observations S0-50m.*not finite at index 5.*found: nan"):
        assemble(
            world, observations={**world.observations, "S0-50m": changed(observed, "mole_fraction", values)}
        )


@pytest.mark.parametrize("value", [-0.1, np.inf, -np.inf])
def test_an_uncertainty_that_is_no_size_of_an_error(world, value):
    observed = world.observations["S0-50m"]
    sigma = observed["uncertainty"].values.copy()
    sigma[5] = value
    broken = changed(observed, "uncertainty", sigma)
    with pytest.raises(InputError, match=rf"uncertainty of S0-50m.*index 5.*found: {value}; 1 such"):
        assemble(world, observations={**world.observations, "S0-50m": broken})
    flag = observed["flag"].values.copy()
    flag[5] = Flag.BAD
    unused = changed(broken, "flag", flag)
    assert assemble(world, observations={**world.observations, "S0-50m": unused}).table.n == 23


def with_instrument(world, floor: float, sigma: np.ndarray):
    """Its problem with `sigma` of the first station."""
    name = "S0-50m"
    stated = replace(world.assumptions.mismatch, instrument_floor_ppm=floor)
    problem = assemble(
        replace(world, assumptions=replace(world.assumptions, mismatch=stated)),
        observations={**world.observations, name: changed(world.observations[name], "uncertainty", sigma)},
    )
    (instrument,) = [c for c in problem.model.components if c.name == "instrument"]
    variance = instrument.covariance(problem.values_of("instrument", problem.model.starts)).diagonal()
    return np.sqrt(variance[problem.table.names == name])


def test_an_unknown_uncertainty_is_no_perfect_instrument(world):
    """Unknown ones are the median of the station's known ones; of a station without any, the floor."""
    n = world.observations["S0-50m"].sizes["time"]
    sigma = np.linspace(0.2, 0.6, n)
    sigma[[0, 3]] = np.nan
    expected = np.where(np.isnan(sigma), np.median(sigma[np.isfinite(sigma)]), sigma)
    # squared and rooted once
    np.testing.assert_allclose(with_instrument(world, 0.0, sigma), expected, rtol=1e-15)
    np.testing.assert_allclose(with_instrument(world, 0.5, sigma), np.maximum(expected, 0.5), rtol=1e-15)
    unknown = np.full(n, np.nan)
    np.testing.assert_allclose(with_instrument(world, 0.3, unknown), 0.3, rtol=1e-15)
    with pytest.raises(
        InputError, match=r"uncertainty of S0-50m is not known.*NaN in all 12.*instrument_floor_ppm"
    ):
        with_instrument(world, 0.0, unknown)


def test_observations_in_ppb(world):
    wrong = changed(world.observations["S1-50m"], "mole_fraction", units="nmol mol-1")
    with pytest.raises(
        ContractError,
        match=r"observations S1-50m: 'mole_fraction'.*wrong unit.*umol mol-1.*nmol mol-1.*convert",
    ):
        assemble(world, observations={**world.observations, "S1-50m": wrong})


def test_a_prior_without_a_unit(world):
    prior = world.prior["total"]
    bare = prior.assign(flux=prior["flux"].drop_attrs())
    with pytest.raises(
        ContractError, match=r"flux prior: 'flux' is in a wrong unit.*found: None.*attrs\['units'\]"
    ):
        assemble(world, prior={"total": bare})


def test_a_prior_that_is_not_a_number(world):
    values = world.prior["total"]["flux"].values.copy()
    values[0, 0, 2, 1] = np.inf
    with pytest.raises(ContractError, match=r"'flux' is not finite at \(0, 0, 2, 1\).*found: inf"):
        assemble(world, prior={"total": changed(world.prior["total"], "flux", values)})


def test_a_footprint_that_is_not_a_number(world):
    seen = world.footprints["S0-50m"]
    values = seen["value"].values.copy()
    values[17] = np.nan
    with pytest.raises(
        ContractError, match=r"footprints S0-50m: 'value' is not finite at \(17,\).*found: nan"
    ):
        assemble(world, footprints={**world.footprints, "S0-50m": changed(seen, "value", values)})


def hourly(world, first, last):
    """The prior by the hour, from `first` to `last`."""
    edges = np.arange(np.datetime64(first, "ns"), np.datetime64(last, "ns"), np.timedelta64(1, "h"))
    bounds = np.stack([edges, edges + np.timedelta64(1, "h")], axis=1)
    base = world.prior["total"]
    values = np.repeat(base["flux"].values, edges.size, axis=1)
    return xr.Dataset(
        {"flux": (base["flux"].dims, values, base["flux"].attrs), "cell_area": base["cell_area"]},
        coords={
            "sector": base["sector"], "time": ("time", edges), "time_bnds": (("time", "bnds"), bounds),
            "lat": base["lat"], "lon": base["lon"],
        },
        attrs=base.attrs,
    )  # fmt: skip


@pytest.mark.parametrize("resolution", ["cells", "scalings", "pattern"])
def test_a_footprint_that_reaches_to_a_time_before_the_flux(world, resolution):
    """The footprints reach 30 hours back; the flux begins with the observations."""
    block = FluxBlock("total", resolution=resolution, step_days=1 / 24)
    early = replace(world, assumptions=replace(world.assumptions, state=(block,)))
    with pytest.raises(
        InputError,
        match=r"the prior of block 'total' does not cover the time of the footprints.*2023-03-01T00:00"
        r".*begins as many hours earlier as the footprints reach back",
    ):
        assemble(early, prior={"total": hourly(world, "2023-03-01", "2023-03-03")})
    assemble(early, prior={"total": hourly(world, "2023-02-26", "2023-03-03")})


@pytest.mark.parametrize("resolution", ["cells", "scalings", "pattern"])
def test_a_step_that_the_flux_covers_in_part(world, resolution):
    """Ten of the 48 hours of the only step are in no time of the flux."""
    block = FluxBlock("total", resolution=resolution)
    early = replace(world, assumptions=replace(world.assumptions, state=(block,)))
    full = hourly(world, "2023-02-26", "2023-03-03")
    assemble(early, prior={"total": full})
    for lost in (np.r_[80:90], np.r_[full.sizes["time"] - 10 : full.sizes["time"]]):
        gap = full.drop_isel(time=lost)
        with pytest.raises(InputError, match=r"prior of block 'total'.*10 hours are missing in step 0"):
            assemble(early, prior={"total": gap})


def test_times_of_a_flux_that_overlap(world):
    """An hour counted twice would hide one that is missing."""
    full = hourly(world, "2023-02-26", "2023-03-03")
    bounds = full["time_bnds"].values.copy()
    bounds[7, 1] += np.timedelta64(30, "m")
    long = full.assign_coords(time_bnds=(("time", "bnds"), bounds))
    with pytest.raises(ContractError, match="times at index 7 and 8 overlap.*T08:30.*T08:00"):
        assemble(world, prior={"total": long})


def test_a_gap_of_the_flux_that_is_seen_before_the_first_step(world):
    block = FluxBlock("total", resolution="pattern")
    early = replace(world, assumptions=replace(world.assumptions, state=(block,)))
    full = hourly(world, "2023-02-26", "2023-03-03")
    gap = full.drop_isel(time=np.r_[50:70])
    with pytest.raises(InputError, match=r"the prior of block 'total'.*hours of S0-50m.*no time step"):
        assemble(early, prior={"total": gap})


def test_a_flux_of_a_single_time_is_constant_whatever_its_year(world):
    """An inventory of one year serves another."""
    prior = world.prior["total"]
    bounds = np.array([["2012-01-01", "2013-01-01"]], dtype="datetime64[ns]")
    old = prior.assign_coords(time=("time", bounds[:, 0]), time_bnds=(("time", "bnds"), bounds))
    (block,), (expected,) = assemble(world, prior={"total": old}).blocks, world.problem().blocks
    np.testing.assert_array_equal(block.prior, expected.prior)


def test_a_prior_of_another_gas(world):
    with pytest.raises(UnitError, match=r"prior total is of another gas.*co2.*found: ch4"):
        assemble(world, prior={"total": world.prior["total"].assign_attrs(species="ch4")})


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda r: r.assign_coords(lon=r["lon"] + 0.05), GridError, "regions are on another grid"),
        (lambda r: r * 0.0, InputError, "region 'all cells' has no cell on the grid.*all zero at index 0"),
        (lambda r: r.drop_vars("region"), InputError, "regions have no names.*1 regions without"),
        (lambda r: r * 2.0, ContractError, r"fraction outside 0…1 at \(0, 0, 0\).*found: 2"),
        (lambda r: xr.concat([r, r], "region"), InputError, "name of its own.*'all cells' more than once"),
        (lambda r: r.assign_coords(region=[""]), InputError, "name of its own.*no name at index 0"),
    ],
)
def test_a_region_that_names_nothing(world, change, error, text):
    with pytest.raises(error, match=text):
        assemble(world, regions=change(whole_grid(GRID)))


def test_blocks_that_cannot_be_told_apart(world):
    def stated(*blocks):
        return replace(world, assumptions=replace(world.assumptions, state=blocks))

    with pytest.raises(InputError, match="two blocks of the state are called 'a'"):
        assemble(stated(FluxBlock("a"), FluxBlock("a")), prior={"a": world.prior["total"]})
    with pytest.raises(
        InputError, match="'transport' names a block of the state and a part.*rename the block"
    ):
        assemble(stated(FluxBlock("transport")), prior=world.prior["total"])
    with pytest.raises(InputError, match="block 'a' names sectors.*: shipping.*expected: s0"):
        assemble(stated(FluxBlock("a", ("shipping",))), prior=world.prior["total"])
    problem = world.problem()
    with pytest.raises(InputError, match="no block 'sea'.*expected: total"):
        problem.block("sea")


def sectored(world, *blocks, prior=None):
    """A problem of three sectors."""
    three = flux(np.ones((3, CELLS)), sectors=["gas", "waste", "farms"]) if prior is None else prior
    return assemble(replace(world, assumptions=replace(world.assumptions, state=blocks)), prior=three)


def test_a_sector_is_known_and_counted_once(world):
    gas, waste = FluxBlock("a", ("gas",)), FluxBlock("b", ("waste", "farms"))
    sectored(world, gas, waste)
    with pytest.raises(
        InputError, match="block 'a' names sectors.*: wast .expected: gas, waste, farms; found: gas, wast"
    ):
        sectored(world, FluxBlock("a", ("gas", "wast")))
    for other, sector in ((("gas", "waste"), "gas"), (("*",), "gas")):
        with pytest.raises(InputError, match=rf"blocks 'a' and 'b' both count sector '{sector}'"):
            sectored(world, gas, FluxBlock("b", other))
    with pytest.raises(InputError, match=r"both count sector '\*'"):
        sectored(world, FluxBlock("a"), FluxBlock("b"))
    # priors of their own: the same name of a sector is no sector twice
    own = {name: flux(np.ones((1, CELLS)), sectors=["gas"]) for name in "ab"}
    sectored(world, gas, FluxBlock("b", ("gas",)), prior=own)
    for words in ("gas", (), ("gas", "gas")):
        with pytest.raises(InputError, match="sectors of block 'a' are no set of names"):
            FluxBlock("a", words)


def test_words_that_mean_nothing():
    with pytest.raises(InputError, match="no kernel 'gaussian'.*exponential, matern"):
        Correlation(kernel="gaussian")
    with pytest.raises(InputError, match="block 'a' has no resolution 'pixels'.*cells, scalings, pattern"):
        FluxBlock("a", resolution="pixels")
    with pytest.raises(InputError, match="no average 'weekly'.*hourly, daily"):
        Selection(average="weekly")
    with pytest.raises(InputError, match="no inflow per 'city'.*network, station, side"):
        Background(per="city")


@pytest.mark.parametrize(
    ("baseline", "error", "text"),
    [
        (xr.DataArray([4e5, 4e5], coords={"time": TIMES}, attrs={"units": "nmol mol-1"}), UnitError,
         "baseline is in a wrong unit.*umol mol-1.*found: 'nmol mol-1'"),
        (xr.DataArray([400.0, 400.0], coords={"time": TIMES}), UnitError, "umol mol-1.*found: None"),
        (400.0, InputError, "no series over time.*DataArray.*found: float"),
        (np.full(9, 400.0), InputError, "no series over time.*found: ndarray"),
        (xr.DataArray(np.ones((2, 2)), coords={"time": TIMES}, dims=("time", "inlet")), InputError,
         r"no series over time.*found: DataArray with dims \('time', 'inlet'\)"),
    ],
)  # fmt: skip
def test_a_baseline_that_is_no_mole_fraction_over_time(world, baseline, error, text):
    with pytest.raises(error, match=text):
        assemble(world, baseline=baseline)


POSITIVE = {
    FluxBlock: ("step_days", "relative_sd"),
    Correlation: ("length_km", "time_days", "smoothness", "hours_of_day"),
    Background: ("sd_ppm", "correlation_hours", "offset_sd_ppm"),
    Mismatch: ("representation_ppm", "variability_factor", "least_fraction", "transport_fraction",
               "correlation_hours"),
    Selection: ("min_hours",),
}  # fmt: skip
NON_NEGATIVE = {
    FluxBlock: ("floor",),
    Correlation: ("length_log_sd",),
    Background: ("station_offset_sd_ppm", "station_drift_sd_ppm"),
    Mismatch: ("instrument_floor_ppm", "common_fraction"),
    TransportScale: ("common_sd", "epoch_sd"),
}


def stated(kind, **values):
    return kind(**({"name": "a"} if kind is FluxBlock else {}), **values)


@pytest.mark.parametrize(
    ("kind", "name", "least"),
    [(k, n, "> 0") for k, names in POSITIVE.items() for n in names]
    + [(k, n, "≥ 0") for k, names in NON_NEGATIVE.items() for n in names],
)
def test_a_number_out_of_range_is_refused_by_its_own_name(kind, name, least):
    for value in (-1, float("nan"), float("inf"), "1", *([0] if least == "> 0" else [])):
        with pytest.raises(
            InputError, match=rf"{kind.__name__}.{name} is out of range.*number {least}; found: {value!r}"
        ):
            stated(kind, **{name: value})
    stated(kind, **{name: np.float64(1.0)})
    if least == "≥ 0":
        stated(kind, **{name: 0.0})


def test_a_step_shorter_than_a_second_would_never_end():
    with pytest.raises(InputError, match="step_days is out of range.*a second at least; found: 1e-06"):
        FluxBlock("a", step_days=1e-6)


@pytest.mark.parametrize("hours", [(20, 4), (8, 8), (-1, 12), (12, 25)])
def test_hours_that_are_no_part_of_a_day(hours):
    with pytest.raises(InputError, match="local_hours.*start must be below the end.*found:"):
        Selection(local_hours=hours)
    with pytest.raises(InputError, match="utc_offset_h.*found: nan"):
        Selection(utc_offset_h=float("nan"))


@pytest.mark.parametrize("factors", [(1.0,) * 23, (2.0,) * 24, (-1.0, 3.0) * 12, (float("nan"),) * 24])
def test_factors_that_are_no_cycle_of_a_day(factors):
    with pytest.raises(InputError, match="hour_factors of block 'a'.*24 numbers ≥ 0 of mean 1"):
        FluxBlock("a", hour_factors=factors)
    FluxBlock("a", hour_factors=(0.5, 1.5) * 12)


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("prior", lambda w: {}, "there are no prior fluxes.*Dataset.*found: an empty dict"),
        ("prior", lambda w: w.prior["total"]["flux"], "fluxes are no dataset.*found: DataArray with"),
        ("prior", lambda w: {"total": 1.0}, "prior fluxes 'total' are no dataset.*found: float"),
        ("regions", lambda w: {"city": np.ones((4, 5))}, "regions: no dataset.*xarray.Dataset.*: dict"),
        ("observations", lambda w: w.prior["total"].to_dataframe(), "observations are no.*: DataFrame"),
        ("observations", lambda w: {}, "there are no observations.*found: an empty dict"),
        ("footprints", lambda w: {"S0-50m": [1], "S1-50m": [2]}, "'S0-50m' are no.*per level.*found: list"),
        ("assumptions", lambda w: Background(), "assumptions has a wrong type.*: Assumptions.*: Background"),
        ("assumptions", lambda w: {}, "assumptions has a wrong type.*found: dict"),
        ("epochs", lambda w: {"a": ("2023", "2024")}, "epoch 'a' has.*Interval.*: tuple.*Interval.parse"),
        ("epochs", lambda w: interval(0, 2), "epochs has a wrong type.*Mapping.*found: Interval"),
    ],
)  # fmt: skip
def test_an_argument_of_a_wrong_kind(world, name, given, text):
    parts = {
        "observations": world.observations, "footprints": world.footprints, "prior": world.prior,
        "epochs": world.epochs, "assumptions": world.assumptions,
    }  # fmt: skip
    with pytest.raises(InputError, match=text) as caught:
        InverseProblem.from_datasets(**parts | {name: given(world)})
    # types are named, values are not printed
    assert len(str(caught.value)) < 400


def test_assumptions_of_a_wrong_kind():
    with pytest.raises(
        InputError, match=r"Assumptions.mismatch has a wrong type.*Mismatch.*found: Background"
    ):
        Assumptions(mismatch=Background())
    with pytest.raises(InputError, match=r"Assumptions.state\[0\] has.*FluxBlock.*found: str"):
        Assumptions(state=("total",))


def test_one_alone_and_the_other_by_name(world):
    (observed, _), (seen, _) = world.observations.values(), world.footprints.values()
    with pytest.raises(
        InputError, match="not given in the same way.*observations alone, footprints by inlet"
    ):
        assemble(world, observations=observed)
    with pytest.raises(
        InputError, match="not given in the same way.*observations by inlet, footprints alone"
    ):
        assemble(world, footprints=seen)


def test_a_side_without_wind(world):
    calm = {name: f.drop_vars("wind_direction") for name, f in world.footprints.items()}
    background = replace(world.assumptions.background, per="side")
    with pytest.raises(
        InputError, match="needs the wind at the receptor.*12 observations? without|24 observations"
    ):
        assemble(
            replace(world, assumptions=replace(world.assumptions, background=background)), footprints=calm
        )


def test_a_pattern_has_no_fluxes_to_set(world):
    block = FluxBlock("total", resolution="pattern")
    problem = replace(world, assumptions=replace(world.assumptions, state=(block,))).problem()
    with pytest.raises(InputError, match="block 'total' scales its prior"):
        problem.effect("total", np.ones(CELLS), interval(0, 2))


def test_a_flux_made_for_these_tests_is_good(world):
    assert assemble(world, prior=flux(np.ones(CELLS))).table.n == 24
