"""Maps: fluxes of sectors, and the regions that they are summed over."""

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
    ensure_time,
    ensure_units,
    ensure_variables,
)
from monitor.domain import Grid


def flux_dataset(
    grid: Grid,
    flux: np.ndarray,
    *,
    sectors: list[str],
    time_bounds: np.ndarray,
    attributes: Mapping[str, object],
) -> xr.Dataset:
    """A flux dataset.

    Parameters
    ----------
    flux : (sector, time, lat, lon)
        µmol m⁻² s⁻¹, positive upward (into the air).
    time_bounds : (time, 2) datetime64
        The period each field is the mean of.
    attributes
        Must hold species, title and source_digest.
    """
    bounds = time_bounds.astype("datetime64[ns]")
    dataset = xr.Dataset(
        {
            "flux": (("sector", "time", "lat", "lon"), flux.astype("f8"), {"units": units.FLUX}),
            "cell_area": (("lat", "lon"), grid.cell_area_m2(), {"units": "m2"}),
        },
        coords={
            "sector": ("sector", np.asarray(sectors, dtype=str)),
            "time": ("time", bounds[:, 0], {"bounds": "time_bnds"}),
            "lat": ("lat", grid.lat_deg.astype("f8"), {"units": "degrees_north"}),
            "lon": ("lon", grid.lon_deg.astype("f8"), {"units": "degrees_east"}),
            "time_bnds": (("time", "bnds"), bounds),
        },
        attrs={"Conventions": "CF-1.8", **attributes},
    )
    return ensure_flux(dataset)


def ensure_flux(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the flux contract, else `ContractError`."""
    ensure_dataset(dataset, "flux")
    name = f"flux {dataset.attrs.get('title', '?')}"
    ensure_variables(
        dataset,
        name,
        {
            "flux": ("sector", "time", "lat", "lon"),
            "cell_area": ("lat", "lon"),
            "time_bnds": ("time", "bnds"),
        },
    )
    ensure_attributes(dataset, name, ("species", "title", "source_digest"))
    ensure_units(dataset, name, "flux", units.FLUX)
    ensure_time(dataset, name, unique=True)
    start, end = dataset["time_bnds"].values.T
    over = end[:-1] > start[1:]
    if over.any():
        at = int(np.argmax(over))
        raise broken(
            name,
            f"the times at index {at} and {at + 1} overlap",
            expected="an end that is not after the next start",
            found=f"{end[at]} and {start[at + 1]}",
        )
    ensure_finite(dataset, name, "flux")
    return dataset


def ensure_regions(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the regions contract (fractions in [0, 1]), else `ContractError`."""
    ensure_dataset(dataset, "regions")
    ensure_variables(dataset, "regions", {"fraction": ("region", "lat", "lon")})
    values = dataset["fraction"].values
    wrong = ~((values >= 0) & (values <= 1 + 1e-9))
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), values.shape)
        raise broken("regions", f"fraction outside 0…1 at {tuple(map(int, at))}", found=str(values[at]))
    return dataset


def grid_of(dataset: xr.Dataset) -> Grid:
    """The grid of a dataset with `lat` and `lon` cell centres."""
    return Grid(lon_deg=dataset["lon"].values.astype("f8"), lat_deg=dataset["lat"].values.astype("f8"))
