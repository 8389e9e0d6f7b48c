"""NAME and FLEXPART footprints in the OpenGHG layouts: `fp`, `fp_HiTRes`, and the PARIS `srr`.

Forms read:

- ``fp(lat, lon, time)`` in any order of dimensions: integrated over the age of the air, all residual;
- ``fp_HiTRes(…, H_back)``: one map per hour back, the last bin the residual (what is older);
- PARIS ``srr``, ``srr_time_resolved`` and ``srr_residual``; also FLEXPART files in that layout.

Traps:

- a thinned ``fp_HiTRes`` (hours back 0, 2, 4 …) sums to far less than ``fp``: its ages cannot be used, so
  the whole of ``fp`` becomes residual, and `reader_notes` says so.  A complete one must sum to ``fp``
  within 2 % per receptor, else the file contradicts itself and is refused.
- small negative values (−0.0117) occur: kept, because sums must be conserved, and counted in the attribute
  ``negative_values``.
- air temperature may be labelled K and hold °C: recognised by its range.  Pressure likewise (Pa, hPa).
- the London file's ``fp`` is flattened over a nested grid; its ``fp_low`` is the same influence on the
  coarse grid and is read instead.
- hours whose footprint is missing altogether (all NaN) are left out and counted in `reader_notes`.
- the exit fractions (``particle_locations_*``) are not read.
"""

from __future__ import annotations

import re
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import footprints_dataset
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.ingest.readers import _netcdf as nc
from monitor.ingest.readers import _ragged as ragged
from monitor.plugins import ReadContext, Reader

_EXPECTED = "a NAME footprint file (netCDF with fp or srr)"
#: Dense footprints are held in memory this much at a time [bytes].
_BLOCK_BYTES = 256 * 2**20
#: How far the resolved ages of a receptor may miss its integrated footprint.
_SUM_TOLERANCE = 0.02
_FILE_NAME = re.compile(r"([A-Za-z0-9]+)-(\d+(?:\.\d+)?magl|column)_")
_METEOROLOGY = {
    "wind_speed": ("wind_speed",),
    "wind_direction": ("wind_direction", "wind_from_direction"),
    "boundary_layer_height": ("PBLH", "atmosphere_boundary_layer_thickness"),
    "air_temperature": ("air_temperature", "temperature"),
    "pressure": ("air_pressure", "pressure"),
}
_METEOROLOGY_UNITS = {
    "wind_speed": ("m s-1", ("m/s", "m s-1")),
    "wind_direction": ("degree", ("degrees", "degree")),
    "boundary_layer_height": ("m", ("m",)),
    "air_temperature": ("K", ("K", "C", "degC")),
    "pressure": ("hPa", ("hPa", "Pa")),
}


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """All receptors of one file, ragged, with their meteorology.

    Raises
    ------
    SourceFormatError
        For another format, a file that contradicts itself, another place or inlet than configured.
    UnitError
        When the footprint's unit is missing or unknown.
    """
    with nc.opened(path, _EXPECTED) as dataset:
        notes: list[str] = []
        integrated = _integrated_name(dataset, notes)
        factor = units.footprint_factor(nc.require_unit(dataset, integrated), where=str(path))
        grid, axes, orders = nc.read_grid(dataset)
        start, end = _bounds(dataset)
        layout = _Layout(dataset, axes, orders)
        resolved, residual = _influence(layout, integrated, _resolved_names(dataset, notes))
        keep = _usable_receptors(start, residual, path, notes)
        receptors = _receptors(dataset, start, end, notes).isel(receptor=keep)
        resolved, residual = (ragged.selected(part, keep) for part in (resolved, residual))
        site = common.resolve_site(_file_site(dataset, path), context, path)
        attributes = _attributes(dataset, site, [resolved.value, residual.value]) | {
            "source_digest": common.file_digest(path),
            **({"reader_notes": "; ".join(notes)} if notes else {}),
        }
    return footprints_dataset(
        grid,
        receptors,
        (resolved.count, resolved.cell, resolved.age, resolved.value * np.float32(factor)),
        (residual.count, residual.cell, residual.value * np.float32(factor)),
        attributes,
    )


class _Layout:
    """Reads blocks of receptors as (receptor, age, cell), whatever the order in the file."""

    def __init__(
        self, dataset: netCDF4.Dataset, axes: tuple[str, str], orders: tuple[np.ndarray, np.ndarray]
    ) -> None:
        self.dataset, self.axes, self.orders = dataset, axes, orders
        self.n_receptors = len(dataset.dimensions["time"])

    def blocks(self, name: str) -> list[slice]:
        """Slices over receptors, small enough to hold one dense."""
        nc.ensure_size(self.dataset, name)
        shape = self.dataset.variables[name].shape
        per_receptor = 4 * int(np.prod(shape, dtype="i8")) // max(1, self.n_receptors)
        step = max(1, _BLOCK_BYTES // max(1, per_receptor))
        return [slice(i, min(i + step, self.n_receptors)) for i in range(0, self.n_receptors, step)]

    def read(self, name: str, block: slice, age: str | None = None) -> np.ndarray:
        """`name` as (receptor, age, cell); one age when there is no dimension `age`."""
        wanted = ("time", *((age,) if age else ()), *self.axes)
        order = nc.require_dims(self.dataset, name, wanted)
        index = [slice(None)] * len(order)
        index[order[0]] = block
        dense = nc.read_array(self.dataset, name, tuple(index)).transpose(order)
        if age is None:
            dense = dense[:, None]
        for axis, sorting in zip((2, 3), self.orders, strict=True):
            if (np.diff(sorting) != 1).any():
                dense = dense.take(sorting, axis)
        return np.ascontiguousarray(dense).reshape(*dense.shape[:2], -1)


def _integrated_name(dataset: netCDF4.Dataset, notes: list[str]) -> str:
    name = nc.require_variable(dataset, "fp", "srr")
    if "index" in dataset.variables[name].dimensions and "fp_low" in dataset.variables:
        notes.append(
            "fp is flattened over a nested grid; fp_low, the same influence on the coarse grid, is read"
        )
        return "fp_low"
    return name


def _resolved_names(dataset: netCDF4.Dataset, notes: list[str]) -> tuple[str, str | None, str] | None:
    """Names of the resolved variable, of its residual (``None``: the last bin) and of the age dimension."""
    for name, residual in (("fp_HiTRes", None), ("srr_time_resolved", "srr_residual")):
        if name not in dataset.variables:
            continue
        age = next(
            (d for d in dataset.variables[name].dimensions if d in ("H_back", "hours_back", "hour_back")), ""
        )
        if not age or (residual and residual not in dataset.variables):
            raise SourceFormatError(
                f"'{name}' is there, but not what belongs to it",
                expected=f"a dimension H_back{' and ' + residual if residual else ''}",
                found=", ".join(dataset.variables[name].dimensions),
                where=dataset.filepath(),
            )
        hours = (
            nc.read_array(dataset, age)
            if age in dataset.variables
            else np.arange(len(dataset.dimensions[age]))
        )
        if not np.array_equal(hours, np.arange(hours.size)):
            listed = ", ".join(f"{h:g}" for h in hours[:4])
            notes.append(
                f"{name} ignored: its hours back ({listed} …) are not consecutive; all influence residual"
            )
            return None
        return name, residual, age
    return None


def _influence(
    layout: _Layout, integrated: str, names: tuple[str, str | None, str] | None
) -> tuple[ragged.Ragged, ragged.Ragged]:
    """Resolved and residual influence of all receptors; a receptor whose map is all NaN has count −1."""
    resolved, residual = [], []
    for block in layout.blocks(names[0] if names else integrated):
        total = layout.read(integrated, block)
        lost = np.isnan(total)
        missing = lost.all(axis=(1, 2))
        if (lost.any(axis=(1, 2)) & ~missing).any():
            raise SourceFormatError(f"'{integrated}' has holes (NaN)", where=layout.dataset.filepath())
        total[missing] = 0.0
        if names is None:
            resolved.append(ragged.Ragged.empty(total.shape[0]))
            old = ragged.from_dense(total)
        else:
            ages, rest = _aged(layout, names, block)
            ages[missing], rest[missing] = 0.0, 0.0
            _ensure_sums(layout.dataset, names[0], ages.sum(axis=(1, 2)) + rest.sum(axis=(1, 2)), total)
            resolved.append(ragged.from_dense(ages))
            old = ragged.from_dense(rest)
        old.count[missing] = -1
        residual.append(old)
    return ragged.concatenated(resolved), ragged.concatenated(residual)


def _aged(layout: _Layout, names: tuple[str, str | None, str], block: slice) -> tuple[np.ndarray, np.ndarray]:
    """Influence by age (receptor, age, cell), and what is older (receptor, 1, cell)."""
    dense = layout.read(names[0], block, names[2])
    if names[1] is None:
        return dense[:, :-1], dense[:, -1:]
    return dense, layout.read(names[1], block)


def _ensure_sums(dataset: netCDF4.Dataset, name: str, by_age: np.ndarray, total: np.ndarray) -> None:
    integrated = total.sum(axis=(1, 2))
    wrong = ~(np.abs(by_age - integrated) <= _SUM_TOLERANCE * np.abs(integrated) + 1e-6)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise SourceFormatError(
            f"'{name}' contradicts the integrated footprint",
            expected=f"sums that agree within {_SUM_TOLERANCE:.0%}",
            found=f"{by_age[at]:.6g} by age, {integrated[at]:.6g} integrated, at time index {at}",
            where=dataset.filepath(),
            remedy="ask the source for the complete file",
        )


def _bounds(dataset: netCDF4.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Beginning and end of each receptor's interval; the label is the beginning, by the format."""
    start = nc.read_times(dataset)
    time = dataset.variables["time"]
    label = nc.attribute(time, "label") or "left"
    if label != "left":
        raise SourceFormatError(
            "the time label is unknown", expected="left", found=label, where=dataset.filepath()
        )
    period = re.fullmatch(r"\s*([\d.]+)\s*hours?\s*", nc.attribute(time, "period") or "")
    hours = float(period[1]) if period else 1.0
    return start, start + np.timedelta64(round(hours * 3600e3), "ms").astype("timedelta64[ns]")


def _usable_receptors(start: np.ndarray, residual: ragged.Ragged, path: Path, notes: list[str]) -> np.ndarray:
    """Indices of the receptors to keep, in the order of time; resets the marks of missing ones."""
    missing = residual.count < 0
    residual.count[missing] = 0
    if missing.any():
        notes.append(f"{int(missing.sum())} receptors without a footprint (NaN) left out")
    keep = np.argsort(start, kind="stable")
    keep = keep[~missing[keep]]
    if not keep.size:
        raise SourceFormatError("no receptor has a footprint", where=str(path))
    twice = np.diff(start[keep]) == np.timedelta64(0, "ns")
    if twice.any():
        at = start[keep][int(np.argmax(twice))]
        raise SourceFormatError("a receptor time occurs twice", found=str(at), where=str(path))
    return keep


def _receptors(dataset: netCDF4.Dataset, start: np.ndarray, end: np.ndarray, notes: list[str]) -> xr.Dataset:
    bounds = np.stack([start, end], axis=1).astype("datetime64[ns]")
    receptors = xr.Dataset(
        coords={
            "time": ("receptor", bounds[:, 0], {"bounds": "time_bnds"}),
            "time_bnds": (("receptor", "bnds"), bounds),
        }
    )
    for ours, theirs in _METEOROLOGY.items():
        name = next((n for n in theirs if n in dataset.variables), None)
        if name is None or dataset.variables[name].dimensions != ("time",):
            continue
        values = _meteorology(dataset, name, ours, notes)
        if values is not None:
            receptors[ours] = (
                "receptor",
                values,
                {"units": _METEOROLOGY_UNITS[ours][0], "source_name": name},
            )
    return receptors


def _meteorology(dataset: netCDF4.Dataset, name: str, ours: str, notes: list[str]) -> np.ndarray | None:
    """Values in our unit; ``None``, with a note, when the unit is unknown.  Wrong labels show by range."""
    values = nc.read_array(dataset, name).astype("f8")
    label = nc.attribute(dataset.variables[name], "units") or ""
    if label not in _METEOROLOGY_UNITS[ours][1]:
        notes.append(f"{name} left out: its unit '{label}' is unknown")
        return None
    middle = float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
    if ours == "air_temperature":
        celsius = middle < 150.0
        if celsius and label == "K":
            notes.append(f"{name} is labelled K and holds °C (median {middle:.1f}); converted")
        return values + 273.15 if celsius else values
    if ours == "pressure":
        if (label == "Pa") != (middle > 2000.0):
            notes.append(
                f"{name} is labelled {label}, which its median {middle:.0f} contradicts; taken by range"
            )
        return values / 100.0 if middle > 2000.0 else values
    return values


def _file_site(dataset: netCDF4.Dataset, path: Path) -> common.FileSite:
    """Site by attributes, else by the file's name; a column has no inlet height (NaN)."""
    named = _FILE_NAME.match(path.name)
    station = nc.attribute(dataset, "site") or (named[1] if named else None)
    inlet = nc.attribute(dataset, "inlet_height") or (named[2] if named else None)
    lon, lat = (_release(dataset, name) for name in ("release_lon", "release_lat"))
    height = float("nan") if inlet == "column" else common.height_from(inlet)
    return common.FileSite(station.upper() if station else None, lon, lat, height)


def _release(dataset: netCDF4.Dataset, name: str) -> float | None:
    """Where the particles are released; ``None`` when the file is silent, NaN when receptors move."""
    if name not in dataset.variables:
        return None
    values = nc.read_array(dataset, name)
    return float(np.median(values)) if np.ptp(values) < 0.01 else float("nan")


def _attributes(dataset: netCDF4.Dataset, site: common.Site, values: list[np.ndarray]) -> dict[str, object]:
    stated = {key: nc.attribute(dataset, key) for key in ("met_model", "model_version", "species", "domain")}
    return site.attributes() | {
        "model": nc.attribute(dataset, "model") or "NAME",
        "negative_values": int(sum((v < 0).sum() for v in values)),
        **{("footprint_species" if k == "species" else k): v for k, v in stated.items() if v},
    }


READER = Reader(
    "name-footprint", "footprints", read, "NAME and FLEXPART footprints, OpenGHG and PARIS layouts"
)
