"""Footprints as a linear operator on fluxes: mole-fraction enhancement = H · flux.

Ages: an entry ``hours_back`` = *k* of the receptor hour *t* saw the ground during the hour *t − k*.
Influence without an age multiplies a mean flux: that of the receptor's own time for a time-integrated
footprint, that of the time just before the last resolved hour, *t − K − 1*, for a true residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor import units
from monitor.contracts import grid_of
from monitor.errors import GridError, InputError, UsageError
from monitor.transport.footprints import entry_receptors, is_time_integrated

_HOUR = np.timedelta64(1, "h")


def jacobian(
    footprints: xr.Dataset,
    step_bounds: np.ndarray,
    *,
    early: Literal["error", "first"] = "error",
    hours_resolved: int | None = None,
) -> sp.csr_array:
    """The operator H from fluxes per (time step, cell) to enhancements.

    Identity: for u constant in time, H u is the integrated footprint times u.

    Parameters
    ----------
    footprints : xr.Dataset
        Of the footprints contract; r receptors, c cells.
    step_bounds : (p, 2) datetime64
        Half-open time steps, ascending, without overlap; gaps (between epochs) are allowed.
    early : {"error", "first"}
        What becomes of resolved influence older than every step of the unbroken run of steps that holds
        the receptor's hour: an error, or given to the first step of that run. A true residual is always
        given to that first step when it is too old.
    hours_resolved
        Hours back that are resolved, of receptors that were selected from others; those of the receptors
        given if absent.

    Returns
    -------
    scipy.sparse.csr_array, (r, p·c)
        ppm per (µmol m⁻² s⁻¹); column ``step * c + cell``.

    Raises
    ------
    InputError
        When a receptor's hour, or with ``early="error"`` an hour of influence, is in no step.
    """
    bounds = _ensure_steps(step_bounds)
    n_cells = footprints.sizes["lat"] * footprints.sizes["lon"]
    time = footprints["time"].values
    rows, residual_rows = entry_receptors(footprints)
    own = _step_of(time, bounds, footprints, "receptor")
    first = _first_of_run(bounds)[own]
    influence_time = time[rows] - footprints["hours_back"].values * _HOUR
    if early == "first":
        influence_time = np.maximum(influence_time, bounds[first[rows], 0])
    step = _step_of(influence_time, bounds, footprints, "influence")
    residual_time = _residual_time(footprints, hours_resolved)
    residual_step = _step_of(np.maximum(residual_time, bounds[first, 0]), bounds, footprints, "residual")
    row = np.concatenate([rows, residual_rows])
    column = np.concatenate(
        [
            step * n_cells + footprints["cell"].values,
            residual_step[residual_rows] * n_cells + footprints["residual_cell"].values,
        ]
    )
    value = np.concatenate([footprints["value"].values, footprints["residual_value"].values]).astype("f8")
    return sp.coo_array((value, (row, column)), shape=(time.size, bounds.shape[0] * n_cells)).tocsr()


def modelled_enhancement(
    footprints: xr.Dataset, flux: xr.Dataset, sectors: Sequence[str] | None = None
) -> xr.DataArray:
    """Enhancements that a flux dataset causes at the receptors, per sector.

    A flux with one time step is taken as constant in time, whatever its year. Else each hour of influence
    multiplies the field whose bounds hold that hour.

    Parameters
    ----------
    footprints : xr.Dataset
        Of the footprints contract.
    flux : xr.Dataset
        Of the flux contract, on the footprints' grid.
    sectors : sequence of str, optional
        All when absent.

    Returns
    -------
    xr.DataArray, (sector, receptor)
        µmol mol⁻¹.

    Raises
    ------
    GridError
        When the grids differ.
    InputError
        When an hour of influence is outside a time-resolved flux.
    UsageError
        When a sector is not in the flux.
    """
    _ensure_flux_grid(footprints, flux)
    known = [str(s) for s in flux["sector"].values]
    names = known if sectors is None else list(sectors)
    unknown = [s for s in names if s not in known]
    if unknown:
        raise UsageError(f"no sector {', '.join(unknown)}", expected=", ".join(known))
    rows, residual_rows = entry_receptors(footprints)
    time = footprints["time"].values
    field = np.zeros(rows.size, dtype="i8")
    residual_field = np.zeros(time.size, dtype="i8")
    if flux.sizes["time"] > 1:
        bounds = _ensure_steps(flux["time_bnds"].values)
        hours = time[rows] - footprints["hours_back"].values * _HOUR
        field = _step_of(hours, bounds, footprints, "influence")
        oldest = np.maximum(_residual_time(footprints), bounds[0, 0])
        residual_field = _step_of(oldest, bounds, footprints, "residual")
    cell, residual_cell = footprints["cell"].values, footprints["residual_cell"].values
    value = footprints["value"].values.astype("f8")
    residual_value = footprints["residual_value"].values.astype("f8")
    result = np.zeros((len(names), time.size))
    for i, name in enumerate(names):
        values = flux["flux"].sel(sector=name).values.reshape(flux.sizes["time"], -1)
        weights = value * values[field, cell]
        residual = residual_value * values[residual_field[residual_rows], residual_cell]
        result[i] = np.bincount(rows, weights=weights, minlength=time.size)
        result[i] += np.bincount(residual_rows, weights=residual, minlength=time.size)
    return xr.DataArray(
        result,
        dims=("sector", "receptor"),
        coords={"sector": names, "time": footprints["time"]},
        name="enhancement",
        attrs={"units": units.MOLE_FRACTION, "species": str(flux.attrs["species"])},
    )


def _residual_time(footprints: xr.Dataset, hours_resolved: int | None = None) -> np.ndarray:
    """The hour whose flux stands for that of the influence without an age, per receptor."""
    time = footprints["time"].values
    if hours_resolved is None:
        if is_time_integrated(footprints):
            return np.asarray(time)
        hours_resolved = int(footprints["hours_back"].values.max()) + 1
    return np.asarray(time - hours_resolved * _HOUR)


def _ensure_steps(step_bounds: np.ndarray) -> np.ndarray:
    bounds = np.asarray(step_bounds).astype("datetime64[ns]")
    if bounds.ndim != 2 or bounds.shape[1] != 2 or bounds.shape[0] == 0:
        raise UsageError("time steps are pairs of moments", expected="shape (p, 2)", found=str(bounds.shape))
    if (bounds[:, 0] >= bounds[:, 1]).any() or (bounds[1:, 0] < bounds[:-1, 1]).any():
        raise UsageError("time steps must ascend without overlap", found=str(bounds[:3].tolist()))
    return bounds


def _first_of_run(bounds: np.ndarray) -> np.ndarray:
    """For each step the first step of the unbroken run of steps it belongs to (p,)."""
    starts = np.concatenate([[True], bounds[1:, 0] > bounds[:-1, 1]])
    return np.asarray(np.maximum.accumulate(np.where(starts, np.arange(bounds.shape[0]), 0)))


def _step_of(times: np.ndarray, bounds: np.ndarray, footprints: xr.Dataset, what: str) -> np.ndarray:
    """Index of the step that holds each time; `InputError` naming the times that are in none."""
    index = np.searchsorted(bounds[:, 0], times, side="right") - 1
    outside = (index < 0) | (times >= bounds[np.maximum(index, 0), 1])
    if outside.any():
        lost = np.unique(times[outside])
        raise InputError(
            f"{lost.size} {what} hours of {footprints.attrs['station']} are in no time step",
            expected=f"{str(bounds[0, 0])[:16]} … {str(bounds[-1, 1])[:16]} ({bounds.shape[0]} steps)",
            found=f"{str(lost[0])[:16]} … {str(lost[-1])[:16]}",
            remedy="let the steps cover the footprints' hours back, or select other receptors",
        )
    return index


def _ensure_flux_grid(footprints: xr.Dataset, flux: xr.Dataset) -> None:
    ours, theirs = grid_of(footprints), grid_of(flux)
    if not ours.same_as(theirs):
        raise GridError(
            f"the grids of footprint and flux differ ({footprints.attrs['station']},"
            f" {flux.attrs.get('title', 'flux')})",
            expected=ours.describe(),
            found=theirs.describe(),
            remedy="regrid the flux to the footprint's grid, conserving its total",
        )
