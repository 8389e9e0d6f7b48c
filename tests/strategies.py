"""Random cases for property tests: intervals, grids, and series of observations that keep the contract."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from monitor.contracts import USABLE, Flag, ObservationColumns, Reason, observations_dataset
from monitor.domain import Grid, Interval

EPOCH = datetime(2023, 6, 1)
ATTRIBUTES: dict[str, object] = {
    "species": "ch4",
    "station": "EXA",
    "inlet_height_m": 50.0,
    "station_longitude_deg": 11.5,
    "station_latitude_deg": 48.1,
    "calibration_scale": "WMO-CH4-X2004A",
    "source_digest": "",
}


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """Intervals of one second to some months, within a few years."""
    start = EPOCH + timedelta(seconds=draw(st.integers(-50_000_000, 50_000_000)))
    return Interval(start, start + timedelta(seconds=draw(st.integers(1, 10_000_000))))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Regular grids well inside the globe."""
    step = draw(st.floats(0.01, 2.0))
    n_lon, n_lat = draw(st.integers(2, 30)), draw(st.integers(2, 30))
    lon, lat = draw(st.floats(-170.0, 100.0)), draw(st.floats(-80.0, 15.0))
    return Grid(lon_deg=lon + step * np.arange(n_lon), lat_deg=lat + step * np.arange(n_lat))


@st.composite
def observations(draw: st.DrawFn, max_rows: int = 40) -> xr.Dataset:
    """Series of rows of 1 to 60 minutes over two days, any flags, some values missing."""
    n = draw(st.integers(1, max_rows))
    minutes = np.sort(draw(st.lists(st.integers(0, 2880), min_size=n, max_size=n, unique=True)))
    length = draw(st.integers(1, 60))
    start = np.datetime64(EPOCH, "ns") + minutes.astype("timedelta64[m]")
    value = np.array(draw(st.lists(st.floats(1.8, 3.0), min_size=n, max_size=n)))
    flag = np.array(draw(st.lists(st.sampled_from(list(Flag)), min_size=n, max_size=n)), dtype="i1")
    reason = np.array(draw(st.lists(st.integers(0, 255), min_size=n, max_size=n))) & ~int(Reason.GAP)
    value[flag == Flag.MISSING] = np.nan
    stdev = np.array(draw(st.lists(st.floats(0.0, 0.1), min_size=n, max_size=n)))
    columns = ObservationColumns(
        start=start,
        end=start + np.timedelta64(length, "m"),
        mole_fraction=value,
        flag=flag,
        flag_reason=np.where(np.isin(flag, USABLE), 0, reason),
        uncertainty=np.full(n, 0.001),
        stdev=stdev,
        count=np.full(n, 20),
    )
    return observations_dataset(columns, ATTRIBUTES)


def series(
    values: list[float],
    *,
    minutes: int = 60,
    flags: list[Flag] | None = None,
    start: str = "2023-06-01T00:00",
) -> xr.Dataset:
    """A plain series: one row every `minutes`, all good unless `flags` says otherwise; NaN is missing."""
    n = len(values)
    begin = np.datetime64(start, "ns") + np.arange(n) * np.timedelta64(minutes, "m")
    value = np.array(values, dtype="f8")
    flag = np.array(flags or [Flag.GOOD] * n, dtype="i1")
    columns = ObservationColumns(
        start=begin,
        end=begin + np.timedelta64(minutes, "m"),
        mole_fraction=value,
        flag=np.where(np.isnan(value), Flag.MISSING, flag),
    )
    return observations_dataset(columns, ATTRIBUTES)
