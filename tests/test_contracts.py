"""Claims about contracts: what keeps them passes unchanged, each breach is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from strategies import ATTRIBUTES, observations, series

from monitor import contracts
from monitor.contracts import Flag, ObservationColumns
from monitor.domain import Grid
from monitor.errors import ContractError

GRID = Grid(lon_deg=np.array([10.0, 10.5, 11.0]), lat_deg=np.array([50.0, 50.5]))
HOUR = np.timedelta64(1, "h")


def footprints() -> xr.Dataset:
    start = np.array(["2023-06-01T00", "2023-06-01T01"], dtype="datetime64[ns]")
    bounds = np.stack([start, start + HOUR], axis=1)
    receptors = xr.Dataset(
        coords={"time": ("receptor", start), "time_bnds": (("receptor", "bnds"), bounds)},
    )
    attributes = {key: value for key, value in ATTRIBUTES.items() if key != "species"} | {"model": "NAME"}
    resolved = (np.array([2, 1]), np.array([0, 5, 3]), np.array([0, 1, 0]), np.array([0.1, 0.2, 0.3]))
    residual = (np.array([0, 1]), np.array([4]), np.array([0.5]))
    return contracts.footprints_dataset(GRID, receptors, resolved, residual, attributes)


def flux() -> xr.Dataset:
    bounds = np.array([["2023-01-01", "2024-01-01"]], dtype="datetime64[ns]")
    attributes = {"species": "ch4", "title": "made", "source_digest": ""}
    return contracts.flux_dataset(
        GRID, np.ones((1, 1, 2, 3)), sectors=["total"], time_bounds=bounds, attributes=attributes
    )


def with_values(dataset: xr.Dataset, name: str, index: object, value: object) -> xr.Dataset:
    changed = dataset.copy(deep=True)
    changed[name].values[index] = value  # type: ignore[index]
    return changed


def with_unit(dataset: xr.Dataset, name: str, unit: str) -> xr.Dataset:
    changed = dataset.copy(deep=True)
    changed[name].attrs["units"] = unit
    return changed


def without_attribute(dataset: xr.Dataset, name: str) -> xr.Dataset:
    changed = dataset.copy()
    changed.attrs = {k: v for k, v in dataset.attrs.items() if k != name}
    return changed


@given(observations())
def test_observations_that_keep_the_contract_pass_unchanged(dataset: xr.Dataset) -> None:
    assert contracts.ensure_observations(dataset) is dataset


def test_rows_are_sorted_by_time_whatever_their_order() -> None:
    start = np.array(["2023-06-01T02", "2023-06-01T00", "2023-06-01T01"], dtype="datetime64[ns]")
    columns = ObservationColumns(start, start + HOUR, np.array([3.0, 1.0, 2.0]), np.full(3, Flag.GOOD))
    made = contracts.observations_dataset(columns, ATTRIBUTES)
    assert made["mole_fraction"].values.tolist() == [1.0, 2.0, 3.0]


BREACHES: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "no variable": (lambda d: d.drop_vars("stdev"), "'stdev' is missing"),
    "no attribute": (lambda d: without_attribute(d, "calibration_scale"), "calibration_scale"),
    "wrong unit": (lambda d: with_unit(d, "mole_fraction", "nmol mol-1"), "wrong unit"),
    "unknown flag": (lambda d: with_values(d, "flag", 1, 7), "unknown flag at index 1"),
    "usable NaN": (lambda d: with_values(d, "mole_fraction", 2, np.nan), "not finite at index 2"),
    "backward": (lambda d: d.isel(time=[1, 0, 2]), "time must ascend"),
    "label not first": (
        lambda d: d.assign_coords(time=d["time"] + np.timedelta64(30, "m")),
        "beginning of its bounds",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_each_breach_of_the_observations_contract_is_named(breach: str) -> None:
    change, message = BREACHES[breach]
    with pytest.raises(ContractError, match=message):
        contracts.ensure_observations(change(series([2.0, 2.1, 2.2])))


def test_a_label_half_an_interval_late_is_refused() -> None:
    late = series([2.0, 2.1])
    late = late.assign_coords(time=("time", late["time"].values + np.timedelta64(30, "m")))
    with pytest.raises(ContractError, match="beginning of its bounds"):
        contracts.ensure_observations(late)


def test_footprints_that_keep_the_contract_pass_unchanged() -> None:
    made = footprints()
    assert contracts.ensure_footprints(made) is made
    assert contracts.grid_of(made).same_as(GRID)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: with_values(d, "entry_count", 0, 3), "'entry_count' does not add up"),
        (lambda d: with_values(d, "entry_count", 0, -1), "'entry_count' is negative at index 0.*found: -1"),
        (lambda d: with_values(d, "hours_back", 1, -2), "'hours_back' is negative at index 1.*found: -2"),
        (lambda d: with_values(d, "value", 1, -50.0), "the influence is negative in sum.*≥ 0.*found: -"),
        (lambda d: with_values(d, "cell", 0, 6), "'cell' out of the grid at index 0.*0 … 5.*found: 6"),
        (lambda d: with_values(d, "cell", 1, -1), "'cell' out of the grid at index 1.*found: -1"),
        (lambda d: with_values(d, "residual_value", 0, np.inf), "'residual_value' is not finite"),
        (lambda d: with_unit(d, "value", "ppm"), "wrong unit"),
        (lambda d: without_attribute(d, "model"), "attributes missing: model"),
    ],
)
def test_each_breach_of_the_footprints_contract_is_named(
    change: Callable[[xr.Dataset], xr.Dataset], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        contracts.ensure_footprints(change(footprints()))


def test_flux_that_keeps_the_contract_passes_and_a_hole_is_named() -> None:
    made = flux()
    assert contracts.ensure_flux(made) is made
    with pytest.raises(ContractError, match=r"'flux' is not finite at \(0, 0, 1, 2\)"):
        contracts.ensure_flux(with_values(made, "flux", (0, 0, 1, 2), np.nan))


def test_a_region_fraction_above_one_is_refused() -> None:
    regions = xr.Dataset({"fraction": (("region", "lat", "lon"), np.full((1, 2, 3), 0.5))})
    assert contracts.ensure_regions(regions) is regions
    with pytest.raises(ContractError, match="fraction outside 0…1"):
        contracts.ensure_regions(with_values(regions, "fraction", (0, 1, 1), 1.2))
