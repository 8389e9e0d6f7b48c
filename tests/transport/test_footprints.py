"""Footprints selected, joined, coarsened and applied keep their sums, times and adjoints."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from monitor.contracts import ensure_footprints, flux_dataset, footprints_dataset, grid_of
from monitor.domain import Grid
from monitor.errors import GridError, InputError, UsageError
from monitor.transport.footprints import aggregate, concat, integrated, select_receptors
from monitor.transport.forward import jacobian, modelled_enhancement

START = np.datetime64("2021-09-02T12", "ns")
HOUR = np.timedelta64(1, "h")


def make(
    n=5, *, n_lat=4, n_lon=6, hours=8, start=START, seed=0, lon0=7.0, station="HILL", integrated_only=False
) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    grid = Grid(lon0 + np.arange(n_lon) * 0.02, 48.0 + np.arange(n_lat) * 0.0125)
    count = np.zeros(n, int) if integrated_only else rng.integers(0, 9, n)
    residual = rng.integers(1, 6, n)
    cells = n_lat * n_lon
    time = start + np.arange(n) * HOUR
    receptors = xr.Dataset(
        {"wind_speed": ("receptor", rng.uniform(1, 9, n))},
        coords={
            "time": ("receptor", time, {"bounds": "time_bnds"}),
            "time_bnds": (("receptor", "bnds"), np.stack([time, time + HOUR], 1)),
        },
    )
    return footprints_dataset(
        grid,
        receptors,
        (
            count,
            rng.integers(0, cells, count.sum()),
            rng.integers(0, hours, count.sum()),
            rng.gamma(1, 0.01, count.sum()),
        ),
        (residual, rng.integers(0, cells, residual.sum()), rng.gamma(1, 0.01, residual.sum())),
        {
            "station": station,
            "inlet_height_m": 50.0,
            "station_longitude_deg": 7.05,
            "station_latitude_deg": 48.02,
            "model": "made up",
            "source_digest": "",
        },
    )


def steps(first: str, n: int, hours: int) -> np.ndarray:
    start = np.datetime64(first, "ns") + np.arange(n) * hours * HOUR
    return np.stack([start, start + hours * HOUR], axis=1)


def sums(footprints: xr.Dataset) -> float:
    return float(footprints["value"].sum() + footprints["residual_value"].sum())


def test_integration_keeps_the_sum():
    footprints = make()
    assert float(integrated(footprints).sum()) == pytest.approx(
        sums(footprints), rel=1e-6
    )  # stored as float32


@given(seed=st.integers(0, 1000), factor=st.sampled_from([1, 2]))
def test_aggregation_conserves_the_sum_of_each_receptor(seed, factor):
    fine = make(seed=seed)
    coarse = aggregate(fine, factor)
    np.testing.assert_allclose(
        integrated(coarse).sum(("lat", "lon")), integrated(fine).sum(("lat", "lon")), rtol=1e-6
    )
    assert grid_of(coarse).shape == (4 // factor, 6 // factor)


def test_aggregation_keeps_the_enhancement_of_a_flux_constant_within_coarse_cells():
    fine = make()
    coarse = aggregate(fine, 2)
    field = np.arange(6.0).reshape(2, 3)
    kept = (integrated(coarse).values * field).sum((1, 2))
    np.testing.assert_allclose(
        kept, (integrated(fine).values * np.kron(field, np.ones((2, 2)))).sum((1, 2)), rtol=1e-6
    )


def test_a_grid_that_does_not_divide_is_refused():
    with pytest.raises(GridError, match="cannot be coarsened by 4"):
        aggregate(make(), 4)


def test_selection_takes_the_entries_along():
    footprints = make()
    chosen = ensure_footprints(select_receptors(footprints, np.array([1, 3])))
    np.testing.assert_allclose(integrated(chosen), integrated(footprints).values[[1, 3]])
    masked = select_receptors(footprints, np.array([False, True, False, True, False]))
    assert masked.identical(chosen)


@pytest.mark.parametrize(
    "which", [np.array([3, 1]), np.array([1, 1]), np.array([7]), np.array([True, False])]
)
def test_a_selection_that_does_not_fit_is_refused(which):
    with pytest.raises(UsageError):
        select_receptors(make(), which)


def test_joining_what_was_split_gives_the_whole_in_any_order():
    whole = make(9)
    parts = [select_receptors(whole, np.arange(k, 9, 3)) for k in (2, 0, 1)]
    assert concat(parts).identical(whole)


def test_joining_refuses_other_grids_and_names_both():
    with pytest.raises(GridError, match=r"lon 7…7.1 .*lon 7.01…7.11"):
        concat([make(), make(lon0=7.01, start=START + 24 * HOUR)])


def test_joining_refuses_other_stations_and_repeated_hours():
    with pytest.raises(InputError, match="different receptors"):
        concat([make(), make(station="DALE", start=START + 24 * HOUR)])
    with pytest.raises(InputError, match="2 footprint times of HILL 50 m .* appear twice.*2021-09-02T15:00"):
        concat([make(), make(start=START + 3 * HOUR)])


@given(seed=st.integers(0, 1000))
def test_the_operator_has_its_adjoint(seed):
    footprints = make(seed=seed)
    h = jacobian(footprints, steps("2021-09-02T00", 5, 6))
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=h.shape[1]), rng.normal(size=h.shape[0])
    assert (h @ u) @ v == pytest.approx(u @ (h.T @ v), rel=1e-10, abs=1e-12)


def test_a_constant_flux_sees_the_integrated_footprint():
    footprints = make()
    field = np.random.default_rng(1).uniform(size=24)
    h = jacobian(footprints, steps("2021-09-02T00", 5, 6))
    np.testing.assert_allclose(h @ np.tile(field, 5), integrated(footprints).values.reshape(5, -1) @ field)


def test_influence_goes_to_the_step_of_its_hour():
    footprints = make(4, hours=6)
    dense = jacobian(footprints, steps("2021-09-02T00", 24, 1)).toarray().reshape(4, 24, 24)
    expected = np.zeros_like(dense)
    row = np.repeat(np.arange(4), footprints["entry_count"])
    hour = 12 + row - footprints["hours_back"].values
    np.add.at(expected, (row, hour, footprints["cell"].values), footprints["value"].values)
    last = int(footprints["hours_back"].max())
    row = np.repeat(np.arange(4), footprints["residual_count"])
    residual = footprints["residual_value"].values
    np.add.at(expected, (row, 12 + row - last - 1, footprints["residual_cell"].values), residual)
    np.testing.assert_allclose(dense, expected)


def test_a_time_integrated_footprint_sees_the_flux_of_its_own_hour():
    footprints = make(3, integrated_only=True)
    dense = jacobian(footprints, steps("2021-09-02T12", 3, 1)).toarray().reshape(3, 3, 24)
    np.testing.assert_allclose(dense[[0, 1, 2], [0, 1, 2]], integrated(footprints).values.reshape(3, -1))


def test_influence_older_than_every_step_is_an_error_or_the_first_steps():
    footprints = make(3)
    with pytest.raises(InputError, match=r"influence hours of HILL are in no time step .*2021-09-02T06:00"):
        jacobian(footprints, steps("2021-09-02T11", 6, 1))
    h = jacobian(footprints, steps("2021-09-02T11", 6, 1), early="first")
    assert h.sum() == pytest.approx(sums(footprints), rel=1e-6)


def test_influence_from_before_an_epoch_stays_in_that_epoch():
    footprints = make(3)
    epochs = np.concatenate([steps("2021-01-01T00", 1, 24), steps("2021-09-02T11", 1, 48)])
    h = jacobian(footprints, epochs, early="first")
    assert h[:, :24].sum() == 0


def flux_of(times: np.ndarray, values: np.ndarray, *, lon0: float = 7.0) -> xr.Dataset:
    grid = Grid(lon0 + np.arange(6) * 0.02, 48.0 + np.arange(4) * 0.0125)
    attributes = {"species": "co2", "title": "made up", "source_digest": ""}
    return flux_dataset(
        grid, values, sectors=["traffic", "heating"], time_bounds=times, attributes=attributes
    )


def test_enhancements_are_the_operator_times_the_flux():
    footprints, bounds = make(), steps("2021-09-02T00", 24, 1)
    values = np.random.default_rng(3).uniform(size=(2, 24, 4, 6))
    found = modelled_enhancement(footprints, flux_of(bounds, values))
    expected = jacobian(footprints, bounds) @ values.reshape(2, -1).T
    np.testing.assert_allclose(found, expected.T)
    only = modelled_enhancement(footprints, flux_of(bounds, values), ["heating"])
    np.testing.assert_allclose(only[0], found[1])


def test_a_yearly_map_of_another_year_is_constant_in_time():
    values = np.random.default_rng(3).uniform(size=(2, 1, 4, 6))
    found = modelled_enhancement(make(), flux_of(steps("2012-01-01T00", 1, 8784), values))
    np.testing.assert_allclose(found[0], (integrated(make()).values * values[0, 0]).sum((1, 2)))


def test_a_flux_on_another_grid_or_time_or_without_the_sector_is_refused():
    values = np.ones((2, 1, 4, 6))
    with pytest.raises(GridError, match="grids of footprint and flux differ"):
        modelled_enhancement(make(), flux_of(steps("2021-01-01", 1, 24), values, lon0=8.0))
    with pytest.raises(UsageError, match="no sector ships"):
        modelled_enhancement(make(), flux_of(steps("2021-01-01", 1, 24), values), ["ships"])
    with pytest.raises(InputError, match="in no time step"):
        modelled_enhancement(make(), flux_of(steps("2021-01-01", 2, 24), np.ones((2, 2, 4, 6))))
