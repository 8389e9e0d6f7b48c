"""What an inversion hands over: maps, totals with their covariance, series and diagnostics."""

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
    ensure_units,
    ensure_variables,
)

_MAPS = ("flux_prior", "flux_posterior", "flux_prior_sd", "flux_posterior_sd")
_TOTALS = (
    *("prior_total", "posterior_total", "share_from_data"),
    *("total_region", "total_block", "total_epoch"),
)
_COVARIANCES = ("prior_covariance", "posterior_covariance")
_SERIES = ("time", "time_end", "station", "observed", "modelled_posterior")
_POSTERIOR: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_MAPS, ("block", "epoch", "lat", "lon")),
    **dict.fromkeys(_TOTALS, ("total",)),
    **dict.fromkeys(_COVARIANCES, ("total", "total_")),
    **dict.fromkeys(_SERIES, ("observation",)),
    "averaging_kernel": ("total", "block", "lat", "lon"),
    "gain": ("total", "observation"),
    "hyperparameter_value": ("hyperparameter",),
}


def ensure_posterior(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the posterior contract, else `ContractError`.

    Totals are in t of the gas per year, and their covariances are symmetric with variances of zero or more.
    """
    ensure_dataset(dataset, "posterior")
    ensure_variables(dataset, "posterior", _POSTERIOR)
    ensure_attributes(dataset, "posterior", ("species", "chi2", "dofs", "inflation", "configuration"))
    for variable in _MAPS:
        ensure_units(dataset, "posterior", variable, units.FLUX)
        ensure_finite(dataset, "posterior", variable)
    for variable in ("prior_total", "posterior_total"):
        ensure_units(dataset, "posterior", variable, units.level_unit(str(dataset.attrs["species"])))
    for variable in _COVARIANCES:
        ensure_finite(dataset, "posterior", variable)
        values = dataset[variable].values
        if not np.array_equal(values, values.T):
            at = np.unravel_index(int(np.argmax(np.abs(values - values.T))), values.shape)
            raise broken(
                "posterior",
                f"'{variable}' is not symmetric at {tuple(map(int, at))}",
                found=f"{values[at]} and {values.T[at]}",
            )
        if (values.diagonal() < 0).any():
            at0 = int(np.argmin(values.diagonal()))
            raise broken(
                "posterior", f"'{variable}' has a negative variance at {at0}", found=str(values[at0, at0])
            )
    return dataset
