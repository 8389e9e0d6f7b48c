"""Observations of one station, inlet and gas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts.checks import (
    broken,
    ensure_attributes,
    ensure_dataset,
    ensure_time,
    ensure_units,
    ensure_variables,
)
from monitor.contracts.flags import USABLE, Flag, flag_attributes, reason_attributes

_OBSERVATION_ATTRIBUTES = (
    "species",
    "station",
    "inlet_height_m",
    "station_longitude_deg",
    "station_latitude_deg",
    "calibration_scale",
    "source_digest",
)


@dataclass(frozen=True)
class ObservationColumns:
    """The columns of one observation series, each of shape (n,); see `observations_dataset`."""

    start: np.ndarray
    end: np.ndarray
    mole_fraction: np.ndarray
    flag: np.ndarray
    flag_reason: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    stdev: np.ndarray | None = None
    count: np.ndarray | None = None


def observations_dataset(columns: ObservationColumns, attributes: Mapping[str, object]) -> xr.Dataset:
    """An observations dataset, sorted by time.

    Parameters
    ----------
    columns : ObservationColumns
        `start`, `end` datetime64; mole fractions, `uncertainty` (1σ) and `stdev` [µmol mol⁻¹], NaN
        where unknown; `count` of samples (0 unknown); `flag` of `Flag`; `flag_reason` of `Reason`.
    attributes
        Must hold species, station, inlet_height_m, station_longitude_deg, station_latitude_deg,
        calibration_scale ("unknown" if so) and source_digest (SHA-256 of the file, or "" when made).

    Raises
    ------
    ContractError
        When the result breaks the contract.
    """
    n = columns.mole_fraction.size
    nan = np.full(n, np.nan)
    order = np.argsort(columns.start, kind="stable")

    def column(values: np.ndarray | None, default: np.ndarray, dtype: str) -> np.ndarray:
        return np.asarray(default if values is None else values)[order].astype(dtype)

    start = columns.start.astype("datetime64[ns]")[order]
    end = columns.end.astype("datetime64[ns]")[order]
    ppm = {"units": units.MOLE_FRACTION}
    dataset = xr.Dataset(
        {
            "mole_fraction": (
                "time",
                column(columns.mole_fraction, nan, "f8"),
                ppm | {"long_name": "mole fraction in dry air", "ancillary_variables": "flag flag_reason"},
            ),
            "uncertainty": ("time", column(columns.uncertainty, nan, "f8"), ppm | {"long_name": "1 sigma"}),
            "stdev": (
                "time",
                column(columns.stdev, nan, "f8"),
                ppm | {"long_name": "spread in the interval"},
            ),
            "count": ("time", column(columns.count, np.zeros(n), "i4"), {"units": "1"}),
            "flag": ("time", column(columns.flag, nan, "i1"), flag_attributes()),
            "flag_reason": ("time", column(columns.flag_reason, np.zeros(n), "i4"), reason_attributes()),
        },
        coords={"time": ("time", start, {"bounds": "time_bnds"})},
        attrs={"Conventions": "CF-1.8", **attributes},
    )
    dataset.coords["time_bnds"] = (("time", "bnds"), np.stack([start, end], axis=1))
    return ensure_observations(dataset)


def ensure_observations(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the observations contract, else `ContractError`."""
    ensure_dataset(dataset, "observations")
    name = f"observations {dataset.attrs.get('station', '?')}"
    columns = ("mole_fraction", "uncertainty", "stdev", "count", "flag", "flag_reason")
    ensure_variables(dataset, name, dict.fromkeys(columns, ("time",)) | {"time_bnds": ("time", "bnds")})
    ensure_attributes(dataset, name, _OBSERVATION_ATTRIBUTES)
    ensure_time(dataset, name, unique=False)
    for variable in ("mole_fraction", "uncertainty", "stdev"):
        ensure_units(dataset, name, variable, units.MOLE_FRACTION)
    flag, value = dataset["flag"].values, dataset["mole_fraction"].values
    unknown = ~np.isin(flag, [f.value for f in Flag])
    if unknown.any():
        at = int(np.argmax(unknown))
        raise broken(name, f"unknown flag at index {at}", expected="1, 2, 3, 4 or 9", found=str(flag[at]))
    lost = np.isin(flag, USABLE) & ~np.isfinite(value)
    if lost.any():
        at = int(np.argmax(lost))
        raise broken(name, f"a usable flag on a value that is not finite at index {at}", found=str(value[at]))
    return dataset
