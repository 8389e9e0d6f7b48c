"""The inflow as a remote station sees it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import USABLE
from monitor.errors import InputError, UsageError

_DAY = np.timedelta64(1, "D")


def remote_baseline(
    observations: xr.Dataset, quantile: float = 0.2, window_days: float = 10.0, *, min_values: int = 12
) -> xr.DataArray:
    """A robust baseline: the running quantile of a remote station's usable values.

    Each daily node is the `quantile` of the usable values within ± `window_days` / 2; nodes with fewer than
    `min_values` are interpolated linearly between their neighbours. Read it at any hour with
    ``baseline.interp(time=hours)``: the nodes reach a day beyond the data on both sides.

    Parameters
    ----------
    observations : xr.Dataset
        Of the observations contract.
    quantile : float
        In [0, 1]; 0.5 is the running median. Low quantiles keep local pollution out.
    window_days : float
        Full width of the window [d].

    Returns
    -------
    xr.DataArray, (time,)
        µmol mol⁻¹ at midnights; coordinate `count` holds the number of values behind each node.

    Raises
    ------
    InputError
        When no window holds `min_values` usable values.
    """
    if not 0 <= quantile <= 1 or window_days <= 0:
        raise UsageError(
            "a baseline needs a quantile in [0, 1] and a positive window",
            found=f"{quantile}, {window_days} d",
        )
    usable = np.isin(observations["flag"].values, USABLE)
    time, value = observations["time"].values[usable], observations["mole_fraction"].values[usable]
    name = f"{observations.attrs['station']} ({observations.attrs['species']})"
    if not time.size:
        raise InputError(f"the remote station {name} has no usable value")
    first, last = time[0].astype("datetime64[D]") - _DAY, time[-1].astype("datetime64[D]") + 2 * _DAY
    nodes = np.arange(first, last + _DAY, _DAY).astype("datetime64[ns]")
    half = np.timedelta64(round(window_days * 43200e9), "ns")
    low, high = np.searchsorted(time, nodes - half), np.searchsorted(time, nodes + half, side="right")
    count = high - low
    good = count >= min_values
    if not good.any():
        raise InputError(
            f"no window of the remote station {name} holds enough values",
            expected=f"{min_values} usable values within {window_days:g} d",
            found=f"at most {int(count.max())}",
            remedy="widen baseline_days, or take another station as background",
        )
    level = np.array([np.quantile(value[a:b], quantile) for a, b in zip(low[good], high[good], strict=True)])
    hours = (nodes - nodes[0]) / np.timedelta64(1, "h")
    return xr.DataArray(
        np.interp(hours, hours[good], level),
        dims="time",
        coords={"time": nodes, "count": ("time", count)},
        name="baseline",
        attrs={
            "units": units.MOLE_FRACTION,
            "species": str(observations.attrs["species"]),
            "station": str(observations.attrs["station"]),
            "calibration_scale": str(observations.attrs["calibration_scale"]),
            "quantile": quantile,
            "window_days": window_days,
        },
    )
