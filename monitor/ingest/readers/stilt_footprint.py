"""STILT footprints: R-STILT files, one receptor each, and the aggregated ICOS variant.

Traps:

- the receptor stands only in the file's name: ``yyyymmddHHMM_lati_long_zagl_foot.nc``.  Some files put the
  longitude first: the order that agrees with the configured station, or with the grid, is taken; if both
  do, the first as longitude.
- ``time`` is the hour of *influence*, its beginning.  A particle released at T reaches back from T, so the
  hour of influence [T − 1 h, T) has ``hours_back`` 1, and 0 is the part of the receptor's own hour before T.
  The receptor's interval in our form is the hour that T lies in.
- a file without the receptor in its name: T is taken as the end of the newest hour of influence and
  `reader_notes` says so; the place and height must then come from the configuration.
- the time unit may end in "Z", which breaks general decoders.
- the missing value is −1, in the ICOS variant −1e30: single such cells count as no influence and are noted.
- the ICOS variant (``foot2012x12x08x18x46.55Nx007.98Ex00720_aggreg.nc``) is one map, summed over ten days,
  and its time is the receptor's: all residual.  Its cell centres look like south-west corners; they are
  kept as they are labelled, and noted.
- projected grids (x, y) are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import footprints_dataset
from monitor.domain import Grid
from monitor.errors import SourceFormatError
from monitor.ingest.readers import _common as common
from monitor.ingest.readers import _netcdf as nc
from monitor.ingest.readers import _ragged as ragged
from monitor.plugins import ReadContext, Reader

_EXPECTED = "a STILT footprint file (netCDF with foot(time, lat, lon))"
_HOUR = np.timedelta64(3600, "s").astype("timedelta64[ns]")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_R_STILT = re.compile(rf"(\d{{12}}|\d{{10}})_{_NUMBER}_{_NUMBER}_{_NUMBER}_(?:.*_)?foot\.nc")
_ICOS = re.compile(
    rf"foot(\d{{4}})x(\d\d)x(\d\d)x(\d\d)x{_NUMBER}([NS])x{_NUMBER}([EW])x{_NUMBER}(?:_aggreg)?\.nc"
)


@dataclass(frozen=True)
class _Receptor:
    """What a file's name says: when, and the place in the order of the name; ``None`` where it is silent."""

    time: np.datetime64 | None = None
    places: tuple[tuple[float, float], ...] = ()
    height_m: float | None = None


def read(path: Path, context: ReadContext) -> xr.Dataset:
    """One receptor, ragged.

    Raises
    ------
    SourceFormatError
        For another format, a projected grid, an unknown receptor, or another place than configured.
    UnitError
        When the footprint's unit is missing or unknown.
    """
    with nc.opened(path, _EXPECTED) as dataset:
        name = nc.require_variable(dataset, "foot")
        factor = units.footprint_factor(nc.require_unit(dataset, name), where=str(path))
        _ensure_geographic(dataset)
        grid, axes, orders = nc.read_grid(dataset)
        notes: list[str] = []
        dense = _dense(dataset, name, axes, orders, notes)
        hours = nc.read_times(dataset)
        aggregated = nc.attribute(dataset, "backtime") is not None
        receptor = _named(path)
        site = common.resolve_site(_file_site(receptor, grid, context, path), context, path)
    if aggregated:
        notes.append("time-integrated; cell centres as labelled, which may be south-west corners")
        resolved, residual = ragged.Ragged.empty(1), ragged.from_dense(dense)
        start = _hour_of(hours[0] if receptor.time is None else receptor.time)
    else:
        start = _receptor_hour(receptor, hours, notes)
        resolved, residual = _by_age(dense, hours, start, path), ragged.Ragged.empty(1)
    attributes = site.attributes() | {
        "model": "STILT",
        "source_digest": common.file_digest(path),
        "negative_values": int((dense < 0).sum()),
    }
    return footprints_dataset(
        grid,
        _receptors(start),
        (resolved.count, resolved.cell, resolved.age, resolved.value * np.float32(factor)),
        (residual.count, residual.cell, residual.value * np.float32(factor)),
        attributes | ({"reader_notes": "; ".join(notes)} if notes else {}),
    )


def _ensure_geographic(dataset: netCDF4.Dataset) -> None:
    if "x" in dataset.dimensions and "lon" not in dataset.dimensions:
        raise SourceFormatError(
            "the footprint is on a projected grid",
            expected="lon and lat",
            found=nc.attribute(dataset, "crs", "projection") or "x and y",
            where=dataset.filepath(),
            remedy="run STILT with a longitude-latitude grid",
        )


def _dense(
    dataset: netCDF4.Dataset,
    name: str,
    axes: tuple[str, str],
    orders: tuple[np.ndarray, np.ndarray],
    notes: list[str],
) -> np.ndarray:
    """Influence as (1, hour, cell); missing cells are no influence."""
    order = nc.require_dims(dataset, name, ("time", *axes))
    dense = nc.read_array(dataset, name).transpose(order)[:, orders[0]][:, :, orders[1]]
    missing = ~np.isfinite(dense) | (dense == -1.0) | (dense < -1e29)
    if missing.all():
        raise SourceFormatError(
            f"'{name}' holds no value", where=dataset.filepath(), remedy="fetch the file again"
        )
    if missing.any():
        notes.append(f"{int(missing.sum())} missing cells taken as no influence")
        dense = np.where(missing, np.float32(0.0), dense)
    return np.ascontiguousarray(dense).reshape(1, dense.shape[0], -1)


def _named(path: Path) -> _Receptor:
    """The receptor as the file's name says."""
    if r_stilt := _R_STILT.fullmatch(path.name):
        stamp = r_stilt[1].ljust(12, "0")
        text = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:]}"
        first, second = float(r_stilt[2]), float(r_stilt[3])
        return _Receptor(_moment(text, path), ((first, second), (second, first)), float(r_stilt[4]))
    if icos := _ICOS.fullmatch(path.name):
        lat = float(icos[5]) * (-1.0 if icos[6] == "S" else 1.0)
        lon = float(icos[7]) * (-1.0 if icos[8] == "W" else 1.0)
        return _Receptor(
            _moment(f"{icos[1]}-{icos[2]}-{icos[3]}T{icos[4]}:00", path), ((lon, lat),), float(icos[9])
        )
    return _Receptor()


def _moment(text: str, path: Path) -> np.datetime64:
    try:
        return np.datetime64(text, "ns")
    except ValueError as error:
        raise SourceFormatError(
            "the file's name holds an impossible time", found=text, where=str(path)
        ) from error


def _file_site(receptor: _Receptor, grid: Grid, context: ReadContext, path: Path) -> common.FileSite:
    """The place (lon, lat) of the name, in the order that agrees with the station or else with the grid."""
    if not receptor.places:
        return common.FileSite()

    def agrees(place: tuple[float, float]) -> bool:
        if context.station is not None:
            lon, lat = context.station.lon_deg, context.station.lat_deg
            # a station of unknown place (NaN) agrees with any
            return not max(abs(place[0] - lon), abs(place[1] - lat)) > common.POSITION_TOLERANCE_DEG
        lons, lats = grid.lon_edges_deg, grid.lat_edges_deg
        return bool(lons[0] <= place[0] <= lons[-1] and lats[0] <= place[1] <= lats[-1])

    chosen = next((place for place in receptor.places if agrees(place)), None)
    if chosen is None:
        where = context.station if context.station is not None else grid.describe()
        raise SourceFormatError(
            "the receptor in the file's name is elsewhere",
            expected=str(where),
            found=" or ".join(f"{lon:g} E, {lat:g} N" for lon, lat in receptor.places),
            where=str(path),
            remedy="correct `station` or `pattern` of the source",
        )
    return common.FileSite(None, chosen[0], chosen[1], receptor.height_m)


def _receptor_hour(receptor: _Receptor, hours: np.ndarray, notes: list[str]) -> np.ndarray:
    """Beginning of the receptor's hour, (1,) datetime64[ns]."""
    if receptor.time is not None:
        return _hour_of(receptor.time)
    end = _hour_of(hours.max() + _HOUR)
    notes.append(
        f"no receptor in the file's name: released at {end[0]}, the end of the newest hour of influence"
    )
    return end


def _hour_of(moment: np.datetime64) -> np.ndarray:
    """The beginning of the hour that `moment` lies in, (1,) datetime64[ns]."""
    return np.asarray(moment).reshape(1).astype("datetime64[h]").astype("datetime64[ns]")


def _by_age(dense: np.ndarray, hours: np.ndarray, start: np.ndarray, path: Path) -> ragged.Ragged:
    """Influence by hours back from the receptor's hour `start`."""
    apart = (start[0] - hours).astype("i8")
    back, rest = np.divmod(apart, int(_HOUR.astype("i8")))
    if rest.any() or (back < 0).any() or np.unique(back).size != back.size:
        raise SourceFormatError(
            "the hours of influence do not fit the receptor",
            expected=f"whole hours, each once, none after {start[0]}",
            found=f"{hours.min()} … {hours.max()}",
            where=str(path),
        )
    found = ragged.from_dense(dense)
    return ragged.Ragged(found.count, found.cell, back[found.age], found.value)


def _receptors(start: np.ndarray) -> xr.Dataset:
    bounds = np.stack([start, start + _HOUR], axis=1)
    return xr.Dataset(
        coords={
            "time": ("receptor", start, {"bounds": "time_bnds"}),
            "time_bnds": (("receptor", "bnds"), bounds),
        }
    )


READER = Reader("stilt-footprint", "footprints", read, "STILT footprints, R-STILT and ICOS variant")
