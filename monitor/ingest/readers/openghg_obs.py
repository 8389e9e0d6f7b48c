"""OpenGHG and AGAGE netCDF observations: one gas, one inlet, the variable named as the species.

Traps:

- AGAGE files predating OpenGHG write ``1e-9`` as unit, ``Calibration_scale`` with a capital, no ``site``;
  their ``sampling_period_seconds`` (75 s of a gas chromatograph every 40 min) is an attribute of ``time``.
- the label is ``left`` (the beginning) as an attribute of ``time`` says; other labels are converted.
- the status flag is called ``status_flag`` or ``<gas>_status_flag``: 0 good, 1 flagged.  Files without one
  are "not evaluated".
- the scale may be written several times in one file, in several spellings.
"""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import Flag, ObservationColumns, Reason
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.ingest.readers import _netcdf as nc
from monitor.plugins import ReadContext, Reader

_EXPECTED = "an OpenGHG observation file (netCDF, a variable named as the gas)"
#: How far the beginning lies before the label, in sampling periods.
_LABELS = {
    "left": 0.0,
    "beginning": 0.0,
    "start": 0.0,
    "middle": 0.5,
    "centre": 0.5,
    "center": 0.5,
    "right": 1.0,
}
_CARRIED = (
    "data_owner",
    "conditions_of_use",
    "Conditions of use",
    "network",
    "instrument",
    "station_long_name",
)


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One file as observations.

    Raises
    ------
    SourceFormatError
        For another format, a missing variable, a file of another gas, place or inlet.
    UnitError
        When the unit is missing or unknown.
    """
    with nc.opened(path, _EXPECTED) as dataset:
        species = _species(dataset, context)
        factor = units.mole_fraction_factor(nc.require_unit(dataset, species), where=str(path))
        site = common.resolve_site(_file_site(dataset), context, path)
        notes: list[str] = []
        columns = _columns(dataset, species, factor)
        carried = {k.lower().replace(" ", "_"): v for k in _CARRIED if (v := nc.attribute(dataset, k))}
        attributes = (
            carried
            | site.attributes()
            | {
                "species": species,
                "calibration_scale": _scale(dataset, species, context, notes),
                "source_digest": common.file_digest(path),
            }
        )
    return common.finish_observations(columns, attributes, notes)


def _species(dataset: netCDF4.Dataset, context: ReadContext) -> str:
    stated = (nc.attribute(dataset, "species") or "").lower()
    wanted = (context.species or stated).lower()
    if stated and stated != wanted:
        raise SourceFormatError(
            "the file is of another gas than configured",
            expected=wanted,
            found=stated,
            where=dataset.filepath(),
        )
    if not wanted:
        raise SourceFormatError(
            "neither the file nor the configuration says the gas",
            where=dataset.filepath(),
            remedy="name `species` in the source",
        )
    return nc.require_variable(dataset, wanted)


def _file_site(dataset: netCDF4.Dataset) -> common.FileSite:
    station = nc.attribute(dataset, "site")
    return common.FileSite(
        station=station.upper() if station else nc.attribute(dataset, "station_long_name"),
        lon_deg=nc.number_attribute(dataset, "station_longitude"),
        lat_deg=nc.number_attribute(dataset, "station_latitude"),
        height_m=common.height_from(nc.attribute(dataset, "inlet_height_magl", "inlet", "inlet_magl")),
    )


def _columns(dataset: netCDF4.Dataset, species: str, factor: float) -> ObservationColumns:
    value = nc.read_array(dataset, species).astype("f8") * factor
    start, end = _bounds(dataset)
    nc.require_dims(dataset, species, ("time",))

    def optional(*names: str) -> np.ndarray | None:
        for name in names:
            if name in dataset.variables:
                nc.require_dims(dataset, name, ("time",))
                return nc.read_array(dataset, name).astype("f8")
        return None

    status = optional(f"{species}_status_flag", "status_flag")
    spread = optional(f"{species}_variability", f"{species}_stdev")
    sigma = optional(f"{species}_repeatability")
    count = optional(f"{species}_number_of_observations")
    good = np.full(value.size, Flag.NOT_EVALUATED) if status is None else _from_status(status)
    return ObservationColumns(
        start=start,
        end=end,
        mole_fraction=value,
        flag=np.where(np.isfinite(value), good, Flag.MISSING),
        flag_reason=np.where(good == Flag.BAD, Reason.SOURCE, Reason.NONE),
        uncertainty=None if sigma is None else sigma * factor,
        stdev=None if spread is None else spread * factor,
        count=None if count is None else np.nan_to_num(count),
    )


def _from_status(status: np.ndarray) -> np.ndarray:
    known = np.where(status == 0, Flag.GOOD, Flag.BAD)
    return np.where(np.isnan(status), Flag.NOT_EVALUATED, known)


def _bounds(dataset: netCDF4.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Beginning and end of each sampling period, (n,) each."""
    label = nc.read_times(dataset)
    time = dataset.variables["time"]
    period_s = nc.number_attribute(time, "sampling_period_seconds")
    if period_s is None and nc.attribute(dataset, "sampling_period_unit") in (None, "s"):
        period_s = nc.number_attribute(dataset, "sampling_period")
    if period_s is None or not period_s > 0:
        raise SourceFormatError(
            "the sampling period is not stated",
            expected="sampling_period [s]",
            found=nc.attribute(dataset, "sampling_period") or "nothing",
            where=dataset.filepath(),
        )
    kind = (nc.attribute(time, "label") or "left").lower()
    if kind not in _LABELS:
        raise SourceFormatError("the time label is unknown", expected=", ".join(_LABELS), found=kind)
    period = np.timedelta64(round(period_s * 1e9), "ns")
    start = label - np.timedelta64(round(_LABELS[kind] * period_s * 1e9), "ns")
    return start, start + period


def _scale(dataset: netCDF4.Dataset, species: str, context: ReadContext, notes: list[str]) -> str:
    stated = [nc.attribute(dataset, key) for key in ("scale", "calibration_scale")]
    stated += [nc.attribute(dataset.variables[species], "calibration_scale")]
    scales = {common.canonical_scale(text, species) for text in stated if text} - {"unknown"}
    wanted = common.canonical_scale(context.scale or "", species)
    if scales and wanted not in scales | {"unknown"}:
        notes.append(
            f"the file says scale {' + '.join(sorted(scales))}, the configuration {wanted}: file kept"
        )
    return " + ".join(sorted(scales)) or wanted


READER = Reader("openghg-obs", "observations", read, "OpenGHG and AGAGE netCDF observations")
