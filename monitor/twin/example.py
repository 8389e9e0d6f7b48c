"""A small city in memory, to try an inversion on: the datasets of `monitor.contracts`, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import Flag, ObservationColumns, flux_dataset, observations_dataset
from monitor.transport.plume import plume_footprints
from monitor.twin import air, emissions, weather
from monitor.twin.geography import Geography, Site, make_geography
from monitor.twin.settings import TwinSettings

_GAS: Final = "ch4"
_EPOCH: Final = "base"
#: The landfill that the inventory does not know: x, y from the centre [km], and its strength [t a⁻¹].
_LANDFILL_KM: Final = (5.0, -5.0)
_LANDFILL_T_A: Final = 3000.0
_PPB: Final = 1e-3
_HOUR: Final = np.timedelta64(3600, "s").astype("timedelta64[ns]")


@dataclass(frozen=True, eq=False)
class ExampleCity:
    """Methane over a synthetic city, by inlet, on one grid.

    Attributes
    ----------
    observations, footprints : mapping of inlet -> xr.Dataset
        Hourly, in the afternoons.  The footprints are of the analysed weather, the data of the true one.
    prior : xr.Dataset
        The inventory: some ten per cent wrong in each sector, 40 % in each cell, and without the landfill.
    regions : xr.Dataset
        Area fractions of the metropolitan region and of its four parts.
    truth : xr.DataArray (lat, lon)
        Flux [µmol m⁻² s⁻¹].
    inflow : xr.DataArray (inlet, time)
        What the air held before it came to the city [µmol mol⁻¹].
    stations : mapping of inlet -> (longitude, latitude)
    landfill : (longitude, latitude)
    """

    observations: Mapping[str, xr.Dataset]
    footprints: Mapping[str, xr.Dataset]
    prior: xr.Dataset
    regions: xr.Dataset
    truth: xr.DataArray
    inflow: xr.DataArray
    stations: Mapping[str, tuple[float, float]]
    landfill: tuple[float, float]


def example_city(seed: int = 1, *, n_cells: int = 24, days: int = 28) -> ExampleCity:
    """Draw a city of `n_cells` × `n_cells` cells, observed for `days` days; no file is touched.

    The transport that makes the data is that of a good model: its wind is up to 3° and 5 % off, its mixing
    height up to 5 %, each enhancement 12 %.
    """
    settings = TwinSettings(
        n_cells=n_cells, days=days, wind_turn_deg=3.0, wind_scale=0.05, mixing_bias=0.05, mismatch=0.12
    )
    streams = np.random.SeedSequence(seed).spawn(4)
    fluxes, sky, incoming, noise = (np.random.default_rng(s) for s in streams)
    geography = make_geography(settings)
    known = emissions.true_emissions(fluxes, geography, settings, _GAS).fields[_EPOCH]
    landfill, place = _landfill(geography)
    truth = np.asarray(sum(known.values())) + landfill
    inventory = {s: emissions.inventory_field(fluxes, geography, field) for s, field in known.items()}
    error = weather.draw_transport_error(sky, settings)
    time = settings.hours(_EPOCH)
    analysed = weather.analysed_weather(sky, settings, _EPOCH)
    epoch = air.Epoch(
        _EPOCH, time, settings.sampled(time), analysed, weather.true_weather(sky, analysed, error, _EPOCH)
    )
    inflow = _inflow(incoming, geography, epoch)
    observations, footprints = {}, {}
    for site, background in zip(geography.sites, inflow.values, strict=True):
        local = (air.true_footprints(geography, site, epoch) * truth).sum(axis=(1, 2))
        local *= air.mismatch_factor(sky, epoch, error, settings)
        observations[_inlet(site)] = _observed(site, time[epoch.sampled], background + local, noise)
        footprints[_inlet(site)] = _footprints(geography, site, epoch)
    return ExampleCity(
        observations,
        footprints,
        prior=_prior(geography, inventory, time),
        regions=_regions(geography),
        truth=_map(geography, truth),
        inflow=inflow,
        stations={_inlet(s): (s.station.lon_deg, s.station.lat_deg) for s in geography.sites},
        landfill=place,
    )


def _inlet(site: Site) -> str:
    return f"{site.station.id}-{site.station.inlets_m[0]:g}m"


def _landfill(geography: Geography) -> tuple[np.ndarray, tuple[float, float]]:
    """Its flux (lat, lon) [µmol m⁻² s⁻¹], all in one cell, and where that is."""
    row = int(np.argmin(np.abs(geography.y_km[:, 0] - _LANDFILL_KM[1])))
    column = int(np.argmin(np.abs(geography.x_km[0] - _LANDFILL_KM[0])))
    grid, field = geography.grid, np.zeros(geography.grid.shape)
    field[row, column] = _LANDFILL_T_A / units.tonnes_per_year(_GAS) / grid.cell_area_m2()[row, column]
    return field, (float(grid.lon_deg[column]), float(grid.lat_deg[row]))


def _inflow(rng: np.random.Generator, geography: Geography, epoch: air.Epoch) -> xr.DataArray:
    place = []
    for site in geography.sites:
        x = np.interp(site.station.lon_deg, geography.grid.lon_deg, geography.x_km[0])
        y = np.interp(site.station.lat_deg, geography.grid.lat_deg, geography.y_km[:, 0])
        place.append((float(x), float(y)))
    values = weather.inflow(rng, epoch.time, _GAS, np.array(place))[:, epoch.sampled]
    return xr.DataArray(
        values,
        coords={"inlet": [_inlet(s) for s in geography.sites], "time": epoch.time[epoch.sampled]},
        dims=("inlet", "time"),
        attrs={"units": units.MOLE_FRACTION},
    )


def _observed(site: Site, time: np.ndarray, air_ppm: np.ndarray, rng: np.random.Generator) -> xr.Dataset:
    sigma = _PPB * (site.ch4_noise_ppb or 3.0)
    start = time.astype("datetime64[ns]")
    columns = ObservationColumns(
        start=start,
        end=start + _HOUR,
        mole_fraction=air_ppm + sigma * rng.standard_normal(time.size),
        flag=np.full(time.size, Flag.GOOD, dtype="i1"),
        uncertainty=np.full(time.size, sigma),
    )
    attributes = {
        "species": _GAS,
        "station": site.station.id,
        "inlet_height_m": site.station.inlets_m[0],
        "station_longitude_deg": site.station.lon_deg,
        "station_latitude_deg": site.station.lat_deg,
        "calibration_scale": "WMO-CH4-X2004A",
        "source_digest": "",
    }
    return observations_dataset(columns, attributes)


def _footprints(geography: Geography, site: Site, epoch: air.Epoch) -> xr.Dataset:
    height_m, hours = site.station.inlets_m[0], epoch.analysed.isel(time=epoch.sampled)
    return plume_footprints(geography.grid, site.station, height_m, hours, curves=weather.ANALYSED_CURVES)


def _prior(geography: Geography, fields: Mapping[str, np.ndarray], time: np.ndarray) -> xr.Dataset:
    bounds = np.array([[time[0], time[-1] + np.timedelta64(1, "h")]], dtype="datetime64[ns]")
    return flux_dataset(
        geography.grid,
        np.stack(list(fields.values()))[:, None],
        sectors=list(fields),
        time_bounds=bounds,
        attributes={"species": _GAS, "title": "inventory", "source_digest": ""},
    )


def _regions(geography: Geography) -> xr.Dataset:
    names, grid = [r.id for r in geography.regions], geography.grid
    fraction = np.stack([geography.fraction[name] for name in names])
    return xr.Dataset(
        {"fraction": (("region", "lat", "lon"), fraction, {"units": "1"})},
        coords={"region": names, "lat": grid.lat_deg, "lon": grid.lon_deg},
    )


def _map(geography: Geography, field: np.ndarray) -> xr.DataArray:
    grid = geography.grid
    coords = {"lat": grid.lat_deg, "lon": grid.lon_deg}
    return xr.DataArray(field, coords=coords, dims=("lat", "lon"), attrs={"units": units.FLUX})
