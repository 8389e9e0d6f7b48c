"""The PARIS inversion layout (fluxes and concentrations), where a city's "country" is its region.

Names and units follow that layout: fluxes in mol m⁻² s⁻¹, totals in kg a⁻¹, mole fractions in
mol mol⁻¹, percentiles 2.5 and 97.5 of a normal distribution.  Left out, because a posterior does not
hold them: `country_fraction` (the region's share of each cell) and the parts of the observations'
uncertainty.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from monitor.publish.numbers import Z95

PERCENTILES = (2.5, 97.5)
_MOL_PER_UMOL = 1e-6
_KG_PER_T = 1e3


def paris_fluxes(species: str, posterior: xr.Dataset) -> xr.Dataset:
    """Total flux over all blocks by epoch, and the regions' totals with their covariance."""
    block_dims = ("epoch", "latitude", "longitude")
    flux = {
        f"flux_total_{name}": (
            block_dims,
            posterior[f"flux_{name}"].sum("block").transpose("epoch", "lat", "lon").values * _MOL_PER_UMOL,
            {"units": "mol m-2 s-1", "long_name": f"{name} {species} flux, sum of all parts"},
        )
        for name in ("prior", "posterior")
    }
    dataset = xr.Dataset(
        flux,
        coords={"latitude": posterior["lat"].values, "longitude": posterior["lon"].values},
        attrs={
            "species": species,
            "comment": "layout of the PARIS inversions; country means region and part",
        },
    )
    if "epoch" in posterior.variables:
        dataset = dataset.assign_coords(epoch=posterior["epoch"].values.astype(str))
    if posterior.sizes["block"] == 1:
        dataset = dataset.assign(_flux_percentiles(posterior))
    return dataset.assign(_country_totals(posterior)).assign_coords(percentile=list(PERCENTILES))


def _flux_percentiles(posterior: xr.Dataset) -> dict[str, xr.Variable]:
    """Only for a single block: standard deviations of several do not add without their covariance."""
    found: dict[str, xr.Variable] = {}
    for name in ("prior", "posterior"):
        if f"flux_{name}_sd" not in posterior:
            continue
        mean, sd = (
            posterior[key].isel(block=0).transpose("epoch", "lat", "lon").values * _MOL_PER_UMOL
            for key in (f"flux_{name}", f"flux_{name}_sd")
        )
        found[f"percentile_flux_total_{name}"] = xr.Variable(
            ("epoch", "percentile", "latitude", "longitude"),
            np.stack([mean - Z95 * sd, mean + Z95 * sd], axis=1),
            {"units": "mol m-2 s-1"},
        )
    return found


def _country_totals(posterior: xr.Dataset) -> dict[str, xr.Variable]:
    found: dict[str, xr.Variable] = {}
    for name in ("prior", "posterior"):
        total = posterior[f"{name}_total"].values * _KG_PER_T
        covariance = posterior[f"{name}_covariance"].values * _KG_PER_T**2
        sd = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
        found[f"country_flux_total_{name}"] = xr.Variable(("country",), total, {"units": "kg a-1"})
        found[f"percentile_country_flux_total_{name}"] = xr.Variable(
            ("country", "percentile"),
            np.stack([total - Z95 * sd, total + Z95 * sd], axis=1),
            {"units": "kg a-1"},
        )
        found[f"covariance_country_flux_total_{name}"] = xr.Variable(
            ("country", "country_"), covariance, {"units": "kg2 a-2"}
        )
    for key in ("region", "block", "epoch"):
        if f"total_{key}" in posterior.variables:
            found[f"country_{key}"] = xr.Variable(("country",), posterior[f"total_{key}"].values.astype(str))
    return found


def paris_concentrations(posterior: xr.Dataset) -> xr.Dataset:
    """Observed and modelled mole fractions [mol mol⁻¹] by receptor."""
    names = {
        "observed": "Yobs",
        "uncertainty": "uYobs_total",
        "modelled_prior": "Yapriori",
        "modelled_posterior": "Yapost",
        "background_prior": "YaprioriBC",
        "background_posterior": "YapostBC",
    }
    variables = {
        name: ("index", posterior[key].values * _MOL_PER_UMOL, {"units": "mol mol-1"})
        for key, name in names.items()
        if key in posterior.variables
    }
    coordinates = {
        "time": ("index", posterior["time"].values.astype("datetime64[ns]")),
        "platform": ("index", posterior["station"].values.astype(str)),
    }
    if "inlet_height_m" in posterior.variables:
        coordinates["inlet_height"] = ("index", posterior["inlet_height_m"].values)
    return xr.Dataset(variables, coords=coordinates)
