"""OpenGHG flux maps: ``flux`` in mol m⁻² s⁻¹ on (lat, lon, time) in any order.

Traps:

- the time axis labels the *beginning* of the period and does not say how long it is: one field dated
  1 January is a year, fields dated on firsts of months are months, otherwise the regular step counts.
- the gas may be missing (the configuration must say it then); the sector is at best the attribute ``source``.
- the attribute ``time_period`` is not trustworthy for one-field files and is not used.
"""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import flux_dataset
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.ingest.readers import _flux as maps
from monitor.ingest.readers import _netcdf as nc
from monitor.plugins import ReadContext, Reader

_EXPECTED = "an OpenGHG flux file (netCDF with flux(lat, lon, time))"


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One flux file, as one sector.

    Raises
    ------
    SourceFormatError
        For another format, missing values, a file of another gas or year than configured.
    UnitError
        When the unit is missing or unknown.
    """
    with nc.opened(path, _EXPECTED) as dataset:
        name = nc.require_variable(dataset, "flux")
        variable = dataset.variables[name]
        stated = nc.attribute(variable, "species") or nc.attribute(dataset, "species")
        species = maps.agreed_species(stated, context, path)
        factor = units.flux_factor(nc.require_unit(dataset, name), species, where=str(path))
        grid, axes, orders = nc.read_grid(dataset)
        bounds = _time_bounds(dataset, name, context)
        dense = maps.read_maps(dataset, name, axes, orders) * factor
        source = nc.attribute(variable, "source") or nc.attribute(dataset, "source")
        attributes = {
            "species": species,
            "title": nc.attribute(dataset, "title") or path.stem,
            "source_digest": common.file_digest(path),
            "negative_values": int((dense < 0).sum()),
        } | maps.carried(dataset)
    sector = context.sector or source or "total"
    return flux_dataset(grid, dense[None], sectors=[sector], time_bounds=bounds, attributes=attributes)


def _time_bounds(dataset: netCDF4.Dataset, name: str, context: ReadContext) -> np.ndarray:
    """The period of each field, (time, 2)."""
    path = Path(dataset.filepath())
    if "time" not in dataset.variables[name].dimensions:
        if context.year is None:
            raise SourceFormatError(
                "neither the file nor the configuration says the year",
                where=str(path),
                remedy="add `year` to the [[inventory]]",
            )
        return maps.year_bounds(context.year)
    start = nc.read_times(dataset)
    if (np.diff(start) <= np.timedelta64(0, "ns")).any():
        raise SourceFormatError("the time axis must ascend", found=str(start), where=str(path))
    years = start.astype("datetime64[Y]").astype(int) + 1970
    if context.year is not None and (years != context.year).any():
        raise SourceFormatError(
            "the file is of another year than configured",
            expected=str(context.year),
            found=", ".join(map(str, np.unique(years))),
            where=str(path),
            remedy="correct `year` or `path` of the inventory",
        )
    return np.stack([start, _ends(start, path)], axis=1)


def _ends(start: np.ndarray, path: Path) -> np.ndarray:
    for unit in ("Y", "M"):
        begins = start.astype(f"datetime64[{unit}]")
        if (begins == start).all() and (start.size > 1 or unit == "Y"):
            ends = (begins + 1).astype("datetime64[ns]")
            if (ends[:-1] == start[1:]).all():
                return np.asarray(ends)
    steps = np.diff(start)
    if steps.size == 0 or (steps != steps[0]).any():
        raise SourceFormatError(
            "the periods of the fields cannot be told from the time axis",
            expected="years, months, or a regular step",
            found=", ".join(map(str, start[:4])),
            where=str(path),
        )
    return np.asarray(start + steps[0])


READER = Reader("openghg-flux", "flux", read, "OpenGHG flux maps")
