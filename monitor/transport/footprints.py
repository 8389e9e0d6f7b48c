"""What one does with ragged footprints before they become an operator: select, join, coarsen, look at.

The layout is that of `monitor.contracts`: receptor *r* owns ``entry_count[r]`` consecutive entries and
``residual_count[r]`` consecutive residual entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import footprints_dataset, grid_of
from monitor.domain import Grid
from monitor.errors import GridError, InputError, UsageError

_RAGGED = ("entry_count", "cell", "hours_back", "value", "residual_count", "residual_cell", "residual_value")
#: Receptors of one series agree to this: 1e-3 degrees is about 100 m, what rounding in file headers leaves.
_POSITION_TOLERANCE_DEG = 1e-3


def receptors_of(footprints: xr.Dataset) -> xr.Dataset:
    """The receptor table: times, bounds and meteorology, without the influence itself."""
    return footprints.drop_vars([*_RAGGED, "lat", "lon"])


def entry_receptors(footprints: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Receptor index of every entry (entry,) and of every residual entry (residual_entry,)."""
    receptor = np.arange(footprints.sizes["receptor"])
    return (
        np.repeat(receptor, footprints["entry_count"].values),
        np.repeat(receptor, footprints["residual_count"].values),
    )


def is_time_integrated(footprints: xr.Dataset) -> bool:
    """Whether no entry has an age: all influence is residual."""
    return footprints.sizes["entry"] == 0


def integrated(footprints: xr.Dataset) -> xr.DataArray:
    """Influence summed over all ages and the residual: dense (receptor, lat, lon) [ppm / (µmol m⁻² s⁻¹)].

    Identity: its sum over cells is the sum of a receptor's `value` and `residual_value`.
    """
    n_lat, n_lon = footprints.sizes["lat"], footprints.sizes["lon"]
    n = footprints.sizes["receptor"]
    rows, residual_rows = entry_receptors(footprints)
    flat = np.concatenate(
        [
            rows * (n_lat * n_lon) + footprints["cell"].values,
            residual_rows * (n_lat * n_lon) + footprints["residual_cell"].values,
        ]
    )
    value = np.concatenate([footprints["value"].values, footprints["residual_value"].values]).astype("f8")
    dense = np.bincount(flat, weights=value, minlength=n * n_lat * n_lon).reshape(n, n_lat, n_lon)
    return xr.DataArray(
        dense,
        dims=("receptor", "lat", "lon"),
        coords={"time": footprints["time"], "lat": footprints["lat"], "lon": footprints["lon"]},
        name="footprint",
        attrs={"units": units.FOOTPRINT, "long_name": "footprint integrated over time"},
    )


def select_receptors(footprints: xr.Dataset, which: np.ndarray) -> xr.Dataset:
    """The footprints of some receptors.

    Parameters
    ----------
    footprints : xr.Dataset
        Of the footprints contract.
    which : (receptor,) bool or (k,) int
        A mask, or ascending indices without repetition (times must stay unique and ascending).

    Raises
    ------
    UsageError
        When a mask has a wrong length or indices do not ascend within the receptors.
    """
    n = footprints.sizes["receptor"]
    which = np.asarray(which)
    if which.dtype == bool and which.size != n:
        raise UsageError("the mask does not fit the receptors", expected=str(n), found=str(which.size))
    index = np.flatnonzero(which) if which.dtype == bool else which.astype("i8")
    if index.size and (index[0] < 0 or index[-1] >= n or (np.diff(index) <= 0).any()):
        raise UsageError("receptor indices must ascend", expected=f"0 … {n - 1}", found=str(index[:10]))
    keep = np.zeros(n, dtype=bool)
    keep[index] = True
    rows, residual_rows = entry_receptors(footprints)
    return footprints.isel(
        receptor=index,
        entry=np.flatnonzero(keep[rows]),
        residual_entry=np.flatnonzero(keep[residual_rows]),
    )


def concat(footprints: Sequence[xr.Dataset]) -> xr.Dataset:
    """Footprints of one receptor from several files as one dataset, sorted by time.

    Receptor variables that only some of the datasets hold are left out.

    Raises
    ------
    GridError
        When the grids differ; both are described.
    InputError
        When station, inlet or position differ, or a receptor time appears twice.
    """
    if not footprints:
        raise UsageError("there are no footprints to join", expected="at least one dataset")
    first = footprints[0]
    for other in footprints[1:]:
        _ensure_same_grid(first, other)
        _ensure_same_receptor(first, other)
    if len(footprints) == 1:
        return first
    times = np.concatenate([f["time"].values for f in footprints])
    order = np.argsort(times, kind="stable")
    twice = times[order][1:][np.diff(times[order]) == np.timedelta64(0)]
    if twice.size:
        raise InputError(
            f"{twice.size} footprint times of {_label(first)} appear twice",
            found=", ".join(str(t)[:16] for t in twice[:3]),
            remedy="give each hour once: check for overlapping monthly files",
        )
    shared = set.intersection(*({str(v) for v in receptors_of(f).variables} for f in footprints))
    tables = [receptors_of(f) for f in footprints]
    tables = [t.drop_vars([v for v in t.variables if v not in shared]) for t in tables]
    table = xr.concat(tables, dim="receptor", join="exact", combine_attrs="override", data_vars="all")
    columns = {name: np.concatenate([f[name].values for f in footprints]) for name in _RAGGED}
    entry = _ragged_order(columns["entry_count"], order)
    residual = _ragged_order(columns["residual_count"], order)
    return footprints_dataset(
        grid_of(first),
        table.isel(receptor=order),
        (
            columns["entry_count"][order],
            columns["cell"][entry],
            columns["hours_back"][entry],
            columns["value"][entry],
        ),
        (
            columns["residual_count"][order],
            columns["residual_cell"][residual],
            columns["residual_value"][residual],
        ),
        dict(first.attrs),
    )


def _ragged_order(count: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Index of the ragged entries when receptors are taken in `order`."""
    start = np.concatenate([[0], np.cumsum(count)])[:-1]
    taken = count[order]
    offset = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    return np.asarray(np.repeat(start[order], taken) + offset, dtype="i8")


def aggregate(footprints: xr.Dataset, factor: int) -> xr.Dataset:
    """Footprints on a grid `factor` times coarser, each coarse cell the *sum* of its fine cells.

    A footprint is influence per flux *in the whole cell*, so cells are summed, never averaged: the sum over
    cells is conserved, and F·H is too for a flux constant within each coarse cell.

    Raises
    ------
    GridError
        When the number of cells along an axis is not a multiple of `factor`.
    """
    if factor < 1:
        raise UsageError("the factor of aggregation must be at least 1", found=str(factor))
    fine = grid_of(footprints)
    n_lat, n_lon = fine.shape
    if n_lat % factor or n_lon % factor or min(n_lat, n_lon) < 2 * factor:
        raise GridError(
            f"the footprint grid of {_label(footprints)} cannot be coarsened by {factor}",
            expected=f"numbers of cells that are multiples of {factor}, at least two coarse cells each way",
            found=fine.describe(),
            remedy="choose a factor that divides both, or cut the grid first",
        )
    coarse = Grid(
        lon_deg=fine.lon_deg.reshape(-1, factor).mean(axis=1),
        lat_deg=fine.lat_deg.reshape(-1, factor).mean(axis=1),
    )

    def coarse_cell(cell: np.ndarray) -> np.ndarray:
        row, column = np.divmod(cell.astype("i8"), n_lon)
        return np.asarray((row // factor) * (n_lon // factor) + column // factor)

    rows, residual_rows = entry_receptors(footprints)
    n_receptors, n_cells = footprints.sizes["receptor"], coarse.shape[0] * coarse.shape[1]
    back = footprints["hours_back"].values.astype("i8")
    count, cell, hours, value = _summed(
        rows, coarse_cell(footprints["cell"].values), back, footprints["value"].values, (n_receptors, n_cells)
    )
    residual_cell = coarse_cell(footprints["residual_cell"].values)
    r_count, r_cell, _, r_value = _summed(
        residual_rows,
        residual_cell,
        np.zeros_like(residual_cell),
        footprints["residual_value"].values,
        (n_receptors, n_cells),
    )
    return footprints_dataset(
        coarse,
        receptors_of(footprints),
        (count, cell, hours, value),
        (r_count, r_cell, r_value),
        dict(footprints.attrs),
    )


def _summed(
    row: np.ndarray, cell: np.ndarray, back: np.ndarray, value: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Entries of equal (receptor, hours back, cell) summed: (count, cell, hours_back, value)."""
    n_receptors, n_cells = shape
    n_back = int(back.max()) + 1 if back.size else 1
    key, where = np.unique((row * n_back + back) * n_cells + cell, return_inverse=True)
    total = np.bincount(where, weights=value.astype("f8"), minlength=key.size)
    count = np.bincount(key // n_cells // n_back, minlength=n_receptors)
    return count, key % n_cells, key // n_cells % n_back, total


def _ensure_same_grid(one: xr.Dataset, other: xr.Dataset) -> None:
    if not grid_of(one).same_as(grid_of(other)):
        raise GridError(
            f"footprint grids differ ({_label(one)})",
            expected=grid_of(one).describe(),
            found=grid_of(other).describe(),
            remedy="bring both to one grid first (monitor.transport.footprints.aggregate)",
        )


def _ensure_same_receptor(one: xr.Dataset, other: xr.Dataset) -> None:
    tolerances = {
        "inlet_height_m": 0.01,
        "station_longitude_deg": _POSITION_TOLERANCE_DEG,
        "station_latitude_deg": _POSITION_TOLERANCE_DEG,
    }
    differs = any(
        abs(float(one.attrs[name]) - float(other.attrs[name])) > tolerance
        for name, tolerance in tolerances.items()
    )
    if differs or str(one.attrs["station"]) != str(other.attrs["station"]):
        raise InputError(
            "footprints of different receptors cannot be one series",
            expected=_label(one),
            found=_label(other),
            remedy="join the footprints of each station and inlet on their own",
        )


def _label(footprints: xr.Dataset) -> str:
    a = footprints.attrs
    return (
        f"{a['station']} {float(a['inlet_height_m']):g} m at"
        f" {float(a['station_longitude_deg']):.4f} E, {float(a['station_latitude_deg']):.4f} N"
    )
