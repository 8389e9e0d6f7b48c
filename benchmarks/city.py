"""A city in memory: stations, plume footprints, a flux map, and observations that the map explains."""

from __future__ import annotations

import numpy as np
import xarray as xr

from monitor.contracts import Flag, ObservationColumns, flux_dataset, observations_dataset
from monitor.domain import Grid, Interval, Station
from monitor.inversion import Assumptions, Background, Correlation, FluxBlock, InverseProblem, Mismatch
from monitor.transport.forward import modelled_enhancement
from monitor.transport.plume import plume_footprints

HOUR = np.timedelta64(1, "h")


def grid(cells: int, step_deg: float = 0.02) -> Grid:
    """cells × cells around 10° E, 50° N."""
    offset = (np.arange(cells) - (cells - 1) / 2) * step_deg
    return Grid(10.0 + 1.5 * offset, 50.0 + offset)


def weather(time: np.ndarray) -> xr.Dataset:
    """Wandering wind under a steady mixing height, one row an hour."""
    rng = np.random.default_rng(1)
    n = time.size
    columns = {
        "wind_speed": 3.0 + 2.0 * rng.random(n),
        "wind_direction": np.cumsum(rng.normal(0.0, 25.0, n)) % 360.0,
        "boundary_layer_height": np.full(n, 1200.0),
        "stability_class": np.full(n, 4.0),
    }
    return xr.Dataset(
        {k: ("time", v) for k, v in columns.items()}, coords={"time": time.astype("datetime64[ns]")}
    )


def flux(where: Grid, species: str = "co2") -> xr.Dataset:
    """A bright centre on a pale ground, constant in 2023 [µmol m⁻² s⁻¹]."""
    lon, lat = np.meshgrid(where.lon_deg - 10.0, where.lat_deg - 50.0)
    field = 1.0 + 20.0 * np.exp(-((lon / 0.15) ** 2) - (lat / 0.1) ** 2)
    year = np.array([["2023-01-01", "2024-01-01"]], dtype="datetime64[ns]")
    notes = {"species": species, "title": "a made-up city", "source_digest": ""}
    return flux_dataset(where, field[None, None], sectors=["all"], time_bounds=year, attributes=notes)


def series(values: np.ndarray, time: np.ndarray, station: Station) -> xr.Dataset:
    """Good hourly means [µmol mol⁻¹]."""
    n = values.size
    columns = ObservationColumns(
        start=time,
        end=time + HOUR,
        mole_fraction=values,
        flag=np.full(n, Flag.GOOD),
        uncertainty=np.full(n, 0.1),
        stdev=np.full(n, 0.3),
        count=np.full(n, 60),
    )
    notes = {
        "species": "co2",
        "station": station.id,
        "inlet_height_m": station.inlets_m[0],
        "station_longitude_deg": station.lon_deg,
        "station_latitude_deg": station.lat_deg,
        "calibration_scale": "WMO-CO2-X2019",
        "source_digest": "",
    }
    return observations_dataset(columns, notes)


def problem(n: int, cells: int, stations: int, hours_apart: int = 24) -> InverseProblem:
    """An inverse problem with n observations (rounded down to whole stations) of cells × cells fluxes."""
    where, times = grid(cells), n // stations
    time = np.datetime64("2023-03-01T14", "ns") + np.arange(times) * hours_apart * HOUR
    rng = np.random.default_rng(2)
    observed, footprints, prior = {}, {}, flux(where)
    for k in range(stations):
        angle = 2 * np.pi * k / stations
        site = Station(f"S{k}", 10.0 + 0.18 * np.cos(angle), 50.0 + 0.12 * np.sin(angle), (80.0,))
        seen = plume_footprints(where, site, 80.0, weather(time))
        signal = 0.8 * modelled_enhancement(seen, prior).values[0]
        observed[site.id] = series(420.0 + signal + rng.normal(0.0, 1.0, times), time, site)
        footprints[site.id] = seen
    middle = time[times // 2].astype("datetime64[D]").astype(object)
    first, last = Interval.parse("2023-03-01", middle), Interval.parse(middle, "2024-01-01")
    return InverseProblem.from_datasets(
        observed,
        footprints,
        {"fossil": prior},
        epochs={"first": first, "last": last},
        assumptions=Assumptions(
            state=(FluxBlock("fossil", correlation=Correlation(time_days=400.0)),),
            background=Background(by_side=stations == 1),
            mismatch=Mismatch(by_hour=stations == 1),
        ),
    )
