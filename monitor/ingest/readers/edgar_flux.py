"""EDGAR gridded emissions: one gas, one sector, one year a file.

Forms read: up to v7 ``emi_<gas>(lat, lon)`` and v8 ``fluxes(lat, lon)``, both kg m⁻² s⁻¹.

Traps:

- longitudes run from 0 to 360 up to v7: turned to −180 … 180.
- there is no time axis: the year stands in the file's name or title (``v6.0_CH4_2015_TOTALS…``,
  ``v8.0_FT2022_GHG_CH4_2022_TOTALS_flx.nc``), the sector after it; ``TOTALS`` is our sector "total".
- v8 ``*_emi.nc`` holds *tonnes per cell and year* and is refused: the flux file of the same release is exact.
- CO₂ comes split in fossil ("CO2excl_short-cycle_org_C") and biogenic ("CO2_org_short-cycle_C") files; the
  part is kept in the attribute ``carbon`` and never added up silently.
- coarse samples in circulation keep single points of the 0.1° map: their longitudes do not close around
  the globe, their totals mean nothing, and they are refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import netCDF4
import xarray as xr

from monitor import units
from monitor.contracts import flux_dataset
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.ingest.readers import _flux as maps
from monitor.ingest.readers import _netcdf as nc
from monitor.plugins import ReadContext, Reader

_EXPECTED = "an EDGAR flux file (netCDF with emi_<gas> or fluxes)"
_NAME = re.compile(
    r"(?P<gas>CO2excl_short-cycle_org_C|CO2_excl_short-cycle_org_C|CO2_org_short-cycle_C|CO2bio|CO2|CH4|CO)"
    r"_(?P<year>(?:19|20)\d\d)(?:_(?P<sector>[A-Za-z][A-Za-z0-9_-]*?))?(?:_(?:flx|emi))?(?:\.|$)"
)
_CARBON = {
    "CO2excl_short-cycle_org_C": "fossil",
    "CO2_excl_short-cycle_org_C": "fossil",
    "CO2_org_short-cycle_C": "biogenic",
    "CO2bio": "biogenic",
}


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One EDGAR file, as one sector and one year.

    Raises
    ------
    SourceFormatError
        For another format, a v8 emission (not flux) file, an unknown or contradictory year or gas.
    UnitError
        When the unit is missing or unknown.
    """
    with nc.opened(path, _EXPECTED) as dataset:
        name = _variable(dataset)
        named = _NAME.search(path.name)
        gas = named["gas"] if named else name.removeprefix("emi_") if name != "fluxes" else ""
        species = maps.agreed_species(re.sub(r"^CO2.*", "co2", gas, flags=re.IGNORECASE), context, path)
        factor = units.flux_factor(nc.require_unit(dataset, name), species, where=str(path))
        grid, axes, orders = nc.read_grid(dataset)
        dense = maps.read_maps(dataset, name, axes, orders) * factor
        attributes = {
            "species": species,
            "title": f"{nc.attribute(dataset, 'title') or 'EDGAR'} ({path.stem})",
            "source_digest": common.file_digest(path),
            "negative_values": int((dense < 0).sum()),
        } | maps.carried(dataset)
        if gas in _CARBON:
            attributes["carbon"] = _CARBON[gas]
    sector = context.sector or (named["sector"] if named else None) or "total"
    return flux_dataset(
        grid,
        dense[None],
        sectors=["total" if sector.upper() == "TOTALS" else sector],
        time_bounds=maps.year_bounds(_year(named, context, path)),
        attributes=attributes,
    )


def _variable(dataset: netCDF4.Dataset) -> str:
    if "emissions" in dataset.variables and "fluxes" not in dataset.variables:
        raise SourceFormatError(
            "the file holds emissions per cell, not fluxes",
            expected="`fluxes` (v8 *_flx.nc) or `emi_<gas>` (up to v7)",
            found=f"`emissions` in {nc.attribute(dataset.variables['emissions'], 'units')}",
            where=dataset.filepath(),
            remedy="take the *_flx.nc file of the same release",
        )
    emissions = [name for name in dataset.variables if re.fullmatch(r"emi_\w+", name)]
    return nc.require_variable(dataset, "fluxes", *(emissions or ["emi_<gas>"]))


def _year(named: re.Match[str] | None, context: ReadContext, path: Path) -> int:
    found = int(named["year"]) if named else None
    if found is not None and context.year not in (None, found):
        raise SourceFormatError(
            "the file is of another year than configured",
            expected=str(context.year),
            found=str(found),
            where=str(path),
            remedy="correct `year` or `path` of the inventory",
        )
    year = found or context.year
    if year is None:
        raise SourceFormatError(
            "neither the file's name nor the configuration says the year",
            where=str(path),
            remedy="add `year` to the [[inventory]]",
        )
    return year


READER = Reader("edgar-flux", "flux", read, "EDGAR gridded emissions, kg m-2 s-1")
