"""What the flux readers share: maps in our order, their gas, their year."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np

from monitor.errors import SourceFormatError
from monitor.ingest.readers import _netcdf as nc
from monitor.plugins import ReadContext

_CARRIED = ("institution", "references", "copyright_notice", "author", "conditions_of_use", "comments")


def read_maps(
    dataset: netCDF4.Dataset, name: str, axes: tuple[str, str], orders: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """The variable as (time, lat, lon), axes ascending; `SourceFormatError` when a cell is missing."""
    timed = "time" in dataset.variables[name].dimensions
    order = nc.require_dims(dataset, name, (("time", *axes) if timed else axes))
    dense = nc.read_array(dataset, name).astype("f8").transpose(order)
    dense = dense if timed else dense[None]
    dense = dense[:, orders[0]][:, :, orders[1]]
    if not np.isfinite(dense).all():
        at = tuple(map(int, np.unravel_index(int(np.argmin(np.isfinite(dense))), dense.shape)))
        raise SourceFormatError(
            f"'{name}' is missing in {int((~np.isfinite(dense)).sum())} cells",
            expected="a number in every cell",
            found=f"{dense[at]} at (time, lat, lon) = {at}",
            where=dataset.filepath(),
            remedy="fill the cells in the source, and say with what",
        )
    return dense


def agreed_species(stated: str | None, context: ReadContext, path: Path) -> str:
    """The gas, from the file and the configuration, which must agree."""
    found, wanted = (stated or "").lower(), (context.species or "").lower()
    if found and wanted and found != wanted:
        raise SourceFormatError(
            "the file is of another gas than configured", expected=wanted, found=found, where=str(path)
        )
    if not (found or wanted):
        raise SourceFormatError(
            "neither the file nor the configuration says the gas",
            where=str(path),
            remedy="name `species` for this inventory",
        )
    return wanted or found


def year_bounds(year: int) -> np.ndarray:
    """The calendar year as bounds, (1, 2) datetime64[ns]."""
    return np.array([[f"{year:04d}-01-01", f"{year + 1:04d}-01-01"]], dtype="datetime64[ns]")


def carried(dataset: netCDF4.Dataset) -> dict[str, object]:
    """Attributes that travel with the data: who made them, on what terms."""
    return {key: value for key in _CARRIED if (value := nc.attribute(dataset, key))}
