"""Inventories that are wrong by a factor, as a user would hand them over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from monitor.domain import Interval

_FAR = np.timedelta64(400 * 24, "h")


def scaled(flux: xr.Dataset, epochs: Sequence[Interval], factors: Sequence[float]) -> xr.Dataset:
    """A flux dataset times the factor of the epoch that is nearest to each of its times.

    One of a single time, which is taken as constant, becomes one of a time for each epoch; it changes half
    way between two epochs.
    """
    middle = np.array([e.start64 + (e.end64 - e.start64) / 2 for e in epochs])
    if flux.sizes["time"] == 1:
        turn = middle[:-1] + (middle[1:] - middle[:-1]) / 2
        ends = np.concatenate([[epochs[0].start64 - _FAR], turn, [epochs[-1].end64 + _FAR]])
        flux = flux.isel(time=np.zeros(len(epochs), dtype="i8"))
        bounds = np.stack([ends[:-1], ends[1:]], axis=1)
        flux = flux.assign(time_bnds=(flux["time_bnds"].dims, bounds)).assign_coords(time=ends[:-1])
    own = flux["time_bnds"].values
    at = own[:, 0] + (own[:, 1] - own[:, 0]) / 2
    nearest = np.abs(at[:, None] - middle[None, :]).argmin(axis=1)
    factor = xr.DataArray(np.asarray(factors, dtype="f8")[nearest], dims="time")
    values = (flux["flux"] * factor).transpose(*flux["flux"].dims).assign_attrs(flux["flux"].attrs)
    return flux.assign(flux=values)
