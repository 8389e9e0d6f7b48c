"""The real file formats, written as their makers write them (layouts as in our readers' docstrings)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import netCDF4
import numpy as np
import xarray as xr

from monitor.contracts import grid_of
from monitor.domain import Grid, Station
from monitor.transport.footprints import integrated
from monitor.twin.sensors import Record
from monitor.units import MOLAR_MASS_G_MOL

_TO_FILE: Final = {"co2": 1.0, "ch4": 1e3}
_EPOCH: Final = np.datetime64("1970-01-01", "s")
SCALES: Final = {"co2": "WMO-CO2-X2019", "ch4": "WMO-CH4-X2004A"}

_ICOS_HEADER = """\
# TITLE: {gas} - L2-2024.1 continuous time series for {name}
# FILE NAME: {file}
# DATA FORMAT: see the last line of this header for column description
# TOTAL LINES: {total}
# HEADER LINES: {header}
# PROJECT DATA VERSION: L2-2024.1
# DATA VERSION: L2 final
# STATION CODE: {id}
# STATION NAME: {name}
# STATION CATEGORY: Synthetic
# OBSERVATION CATEGORY: Air sampling observation at a Stationary platform
# COUNTRY/TERRITORY: none
# CONTRIBUTOR: synthetic city, no measurement
# LATITUDE: {lat:.4f} N
# LONGITUDE: {lon:.4f} E
# ALTITUDE: 100 m asl
# NUMBER OF SAMPLING HEIGHTS: 1
# SAMPLING HEIGHTS: {inlet:.1f} m agl
# CONTACT POINT: none
# PARAMETER: {gas}
# COVERING PERIOD: {first} {last}
# TIME INTERVAL: hourly
# MEASUREMENT UNIT: {unit}
# MEASUREMENT METHOD: Cavity RingDown Spectrometer (instrument Id 461)
# SAMPLING TYPE: continuous
# TIME ZONE: UTC
# MEASUREMENT SCALE: 461: {scale}
# DATA POLICY: synthetic data, free to use
# COMMENT:
#   - Times are UTC
#   - Time-averaged values are reported at the beginning of the averaging interval.
#   - Flag 'N' = data incorrect before manual quality control
#   - Flag 'O' = data correct after manual quality control
#   - Flag 'K' = data incorrect after manual quality control
#
#Site;SamplingHeight;Year;Month;Day;Hour;Minute;DecimalDate;{column};Stdev;NbPoints;Flag;InstrumentId;QualityId;LTR;CMR;STTB
"""


def write_icos(path: Path, station: Station, record: Record) -> None:
    """ICOS ATC Level 2: `;`-separated, missing −999.990 with flag K, label at the beginning."""
    factor, seconds = _TO_FILE[record.gas], record.time.astype("datetime64[s]")
    rows = []
    for i, moment in enumerate(seconds):
        stamp = str(moment)
        year = moment.astype("datetime64[Y]")
        share = (moment - year) / ((year + 1).astype("datetime64[s]") - year.astype("datetime64[s]"))
        missing = not np.isfinite(record.value[i])
        value = -999.99 if missing else record.value[i] * factor
        spread = -9.99 if missing else record.stdev[i] * factor
        flag = "K" if missing or record.flagged[i] else "O"
        sigma = record.sigma_ppm * factor
        rows.append(
            f"{station.id};{station.inlets_m[0]:g};{stamp[:4]};{stamp[5:7]};{stamp[8:10]};{stamp[11:13]};00;"
            f"{int(stamp[:4]) + share:.8f};{value:.3f};{spread:.3f};{record.count[i]};{flag};461;91587;"
            f"{sigma:.8f};{sigma / 2:.8f};0.00000000"
        )
    header = _ICOS_HEADER.count("\n")
    text = _ICOS_HEADER.format(
        gas=record.gas.upper(),
        column=record.gas,
        file=path.name,
        total=header + len(rows),
        header=header,
        id=station.id,
        name=station.name,
        lat=station.lat_deg,
        lon=station.lon_deg,
        inlet=station.inlets_m[0],
        first=str(seconds[0])[:16],
        last=str(seconds[-1])[:16],
        unit={"co2": "µmol.mol-¹", "ch4": "nmol.mol-¹"}[record.gas],
        scale=SCALES[record.gas].replace(f"-{record.gas.upper()}-", " "),
    )
    path.write_text(text + "\n".join(rows) + "\n", encoding="utf-8")


def write_gcwerks(path: Path, records: list[Record]) -> None:
    """GCWERKS ``.dat``: the label is the middle of a one-inlet segment, `nan` is missing."""
    gases = "".join(f"{r.gas:>10}{r.gas:>8}{r.gas:>6}" for r in records)
    fields = "".join(f"{'C':>10}{'stdev':>8}{'N':>6}" for _ in records)
    lines = ["Created:  1 Jan 24 00:00 GMT", f"     -      -         -    -{gases}"]
    lines.append(f"  date   time      type port{fields}")
    middle = (records[0].time + np.timedelta64(30, "m")).astype("datetime64[s]")
    for i, moment in enumerate(middle):
        stamp = str(moment).replace("-", "").replace(":", "")
        cells = ""
        for record in records:
            factor = _TO_FILE[record.gas]
            cells += f"{record.value[i] * factor:10.3f}{record.stdev[i] * factor:8.3f}{record.count[i]:6d}"
        lines.append(f"{stamp[2:8]} {stamp[9:]}       air    9{cells}")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_openghg_observations(path: Path, station: Station, record: Record) -> None:
    """OpenGHG netCDF: one gas, label left, status flag 0 or 1."""
    gas, factor = record.gas, _TO_FILE[record.gas]
    unit = {"co2": "1e-6", "ch4": "1e-9"}[gas]
    inlet = f"{station.inlets_m[0]:g}"
    with netCDF4.Dataset(path, "w") as file:
        _time(file, record.time, {"label": "left", "sampling_period_seconds": 3600.0})
        _variable(file, gas, ("time",), record.value * factor, {"units": unit})
        _variable(file, f"{gas}_variability", ("time",), record.stdev * factor, {"units": unit})
        sigma = np.where(np.isfinite(record.value), record.sigma_ppm * factor, np.nan)
        _variable(file, f"{gas}_repeatability", ("time",), sigma, {"units": unit})
        _variable(file, f"{gas}_number_of_observations", ("time",), record.count.astype("f8"), {})
        meanings = {"flag_meaning": "0 = unflagged, 1 = flagged"}
        _variable(file, f"{gas}_status_flag", ("time",), record.flagged.astype("f8"), meanings)
        file.setncatts(
            {
                "Conventions": "CF-1.8",
                "species": gas,
                "site": station.id.lower(),
                "station_long_name": station.name,
                "station_longitude": station.lon_deg,
                "station_latitude": station.lat_deg,
                "inlet": f"{inlet}m",
                "inlet_height_magl": inlet,
                "sampling_period": 3600.0,
                "sampling_period_unit": "s",
                "calibration_scale": SCALES[gas],
                "scale": SCALES[gas],
                "source": "synthetic city, no measurement",
            }
        )


def write_name_footprints(path: Path, footprints: xr.Dataset, station: Station) -> None:
    """NAME in the old OpenGHG form: ``fp(lat, lon, time)`` over all ages, with its meteorology."""
    dense = integrated(footprints).transpose("lat", "lon", "receptor").values
    receptors = footprints.sizes["receptor"]
    names = {
        "wind_speed": "m/s",
        "wind_direction": "degrees",
        "boundary_layer_height": "m",
        "temperature": "K",
    }
    with netCDF4.Dataset(path, "w") as file:
        _axes(file, grid_of(footprints))
        _time(file, footprints["time"].values, {"label": "left", "period": "1.0 hours"})
        _variable(file, "fp", ("lat", "lon", "time"), dense, {"units": "(mol/mol)/(mol/m2/s)"})
        for ours, unit in names.items():
            theirs = "PBLH" if ours == "boundary_layer_height" else ours
            _variable(file, theirs, ("time",), footprints[ours].values, {"units": unit})
        for name, value in (("release_lon", station.lon_deg), ("release_lat", station.lat_deg)):
            _variable(file, name, ("time",), np.full(receptors, value), {"units": "degrees"})
        file.setncatts(
            {
                "Conventions": "CF-1.8",
                "title": "Footprints of a Gaussian plume, in the layout of NAME",
                "species": "inert",
                "model": "PLUME",
                "met_model": "synthetic",
                "domain": "TWIN",
                "site": station.id,
                "inlet_height": f"{station.inlets_m[0]:g}magl",
            }
        )


def write_openghg_flux(
    path: Path, grid: Grid, times: np.ndarray, flux: np.ndarray, attributes: dict[str, str]
) -> None:
    """OpenGHG flux: ``flux(lat, lon, time)`` in mol m⁻² s⁻¹ from `flux` (time, lat, lon) in µmol m⁻² s⁻¹."""
    with netCDF4.Dataset(path, "w") as file:
        _axes(file, grid)
        _time(file, times, {"notes": "Start of time period"})
        notes = {"units": "mol/m2/s", "species": attributes["species"], "source": attributes["source"]}
        _variable(file, "flux", ("lat", "lon", "time"), np.moveaxis(flux, 0, -1) * 1e-6, notes)
        file.setncatts({"Conventions": "CF-1.8", **attributes})


def write_edgar_flux(path: Path, grid: Grid, flux: np.ndarray, gas: str, title: str) -> None:
    """EDGAR (to v7): ``emi_<gas>(lat, lon)`` in kg m⁻² s⁻¹, no time axis, year and sector in the name."""
    with netCDF4.Dataset(path, "w") as file:
        _axes(file, grid)
        kilograms = flux * 1e-9 * MOLAR_MASS_G_MOL[gas]
        notes = {"units": "kg m-2 s-1", "cell_method": "time: mean (interval: 1 year, 365 days)"}
        _variable(file, f"emi_{gas}", ("lat", "lon"), kilograms, notes)
        file.setncatts({"Conventions": "CF-1.0", "title": title, "institution": "synthetic city"})


def _axes(file: netCDF4.Dataset, grid: Grid) -> None:
    for name, values, unit in (
        ("lat", grid.lat_deg, "degrees_north"),
        ("lon", grid.lon_deg, "degrees_east"),
    ):
        file.createDimension(name, values.size)
        axis = file.createVariable(name, "f8", (name,))
        axis[:] = values
        axis.units = unit


def _time(file: netCDF4.Dataset, time: np.ndarray, attributes: dict[str, object]) -> None:
    file.createDimension("time", time.size)
    axis = file.createVariable("time", "i8", ("time",))
    axis[:] = (time.astype("datetime64[s]") - _EPOCH).astype("i8")
    axis.setncatts({"units": "seconds since 1970-01-01", "calendar": "standard", "standard_name": "time"})
    axis.setncatts(attributes)


def _variable(
    file: netCDF4.Dataset, name: str, dims: tuple[str, ...], values: np.ndarray, attributes: dict[str, str]
) -> None:
    variable = file.createVariable(name, "f4", dims, zlib=len(dims) > 1, complevel=1, fill_value=np.nan)
    variable[:] = values
    variable.setncatts(attributes)
