"""Footprints of one receptor, as a CF contiguous ragged array."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts.checks import (
    broken,
    ensure_attributes,
    ensure_dataset,
    ensure_finite,
    ensure_not_negative,
    ensure_time,
    ensure_units,
    ensure_variables,
)
from monitor.domain import Grid


def footprints_dataset(
    grid: Grid,
    receptors: xr.Dataset,
    resolved: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    residual: tuple[np.ndarray, np.ndarray, np.ndarray],
    attributes: Mapping[str, object],
) -> xr.Dataset:
    """A ragged footprints dataset.

    Parameters
    ----------
    grid : Grid
        The surface grid.
    receptors : xr.Dataset
        dim `receptor`: `time` (beginning) and `time_bnds` (receptor, bnds); optional per-receptor
        meteorology (`wind_speed` m s⁻¹, `wind_direction` deg, `boundary_layer_height` m, …) is carried.
    resolved : (count, cell, hours_back, value)
        shapes (receptor,), (entry,), (entry,), (entry,).
    residual : (count, cell, value)
        shapes (receptor,), (residual_entry,), (residual_entry,).
    attributes
        Must hold station, inlet_height_m, station_longitude_deg, station_latitude_deg, model, source_digest.
    """
    fp = {"units": units.FOOTPRINT}
    dataset = receptors.assign_coords(
        {
            "lat": ("lat", grid.lat_deg.astype("f8"), {"units": "degrees_north", "long_name": "cell centre"}),
            "lon": ("lon", grid.lon_deg.astype("f8"), {"units": "degrees_east", "long_name": "cell centre"}),
        }
    ).assign(
        {
            "entry_count": ("receptor", resolved[0].astype("i8"), {"sample_dimension": "entry"}),
            "cell": (
                "entry",
                resolved[1].astype("i4"),
                {"long_name": "flat cell index, ilat * n_lon + ilon"},
            ),
            "hours_back": ("entry", resolved[2].astype("i2"), {"units": "h"}),
            "value": ("entry", resolved[3].astype("f4"), fp),
            "residual_count": ("receptor", residual[0].astype("i8"), {"sample_dimension": "residual_entry"}),
            "residual_cell": ("residual_entry", residual[1].astype("i4"), {}),
            "residual_value": ("residual_entry", residual[2].astype("f4"), fp),
        }
    )
    dataset.attrs = {"Conventions": "CF-1.8", **attributes}
    return ensure_footprints(dataset)


def ensure_footprints(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the footprints contract, else `ContractError`."""
    ensure_dataset(dataset, "footprints")
    name = f"footprints {dataset.attrs.get('station', '?')}"
    ensure_variables(
        dataset,
        name,
        {
            "time": ("receptor",),
            "time_bnds": ("receptor", "bnds"),
            "lat": ("lat",),
            "lon": ("lon",),
            "entry_count": ("receptor",),
            "cell": ("entry",),
            "hours_back": ("entry",),
            "value": ("entry",),
            "residual_count": ("receptor",),
            "residual_cell": ("residual_entry",),
            "residual_value": ("residual_entry",),
        },
    )
    required = (
        "station",
        "inlet_height_m",
        "station_longitude_deg",
        "station_latitude_deg",
        "model",
        "source_digest",
    )
    ensure_attributes(dataset, name, required)
    ensure_time(dataset, name, unique=True)
    n_cells = dataset.sizes["lat"] * dataset.sizes["lon"]
    for count, cell, value in (
        ("entry_count", "cell", "value"),
        ("residual_count", "residual_cell", "residual_value"),
    ):
        ensure_units(dataset, name, value, units.FOOTPRINT)
        ensure_finite(dataset, name, value)
        ensure_not_negative(dataset, name, count)
        total = int(dataset[count].sum())
        if total != dataset[cell].size:
            raise broken(
                name, f"'{count}' does not add up", expected=str(dataset[cell].size), found=str(total)
            )
        cells = dataset[cell].values
        if cells.size and not (0 <= cells.min() and cells.max() < n_cells):
            at = int(np.argmax((cells < 0) | (cells >= n_cells)))
            raise broken(
                name,
                f"'{cell}' out of the grid at index {at}",
                expected=f"0 … {n_cells - 1}",
                found=str(cells[at]),
            )
    ensure_not_negative(dataset, name, "hours_back")
    # archives hold small negative values, kept because sums are conserved; a whole influence is not negative
    influence = float(dataset["value"].sum(dtype="f8") + dataset["residual_value"].sum(dtype="f8"))
    if influence < 0:
        raise broken(name, "the influence is negative in sum", expected="≥ 0", found=f"{influence:g}")
    return dataset
