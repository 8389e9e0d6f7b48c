"""What the air at the stations truly holds, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from monitor import units
from monitor.domain import Interval
from monitor.transport.footprints import integrated
from monitor.transport.plume import plume_footprints
from monitor.twin.emissions import Emissions
from monitor.twin.geography import Geography, Site
from monitor.twin.settings import TwinSettings
from monitor.twin.weather import TRUE_CURVES, TransportError, ar1

#: Night-time excess that is not modelled: mean of a calm night [ppm].
_NIGHT: Final = {"co2": 9.0, "ch4": 0.045}


@dataclass(frozen=True)
class Festival:
    """The source that no inventory holds."""

    lon_deg: float
    lat_deg: float
    cell: tuple[int, int]
    interval: Interval
    kg_h: float


@dataclass(frozen=True)
class Epoch:
    """One season: all hours, which of them footprints cover, and both weathers."""

    name: str
    time: np.ndarray
    sampled: np.ndarray
    analysed: xr.Dataset
    true: xr.Dataset


def draw_festival(rng: np.random.Generator, geography: Geography, settings: TwinSettings) -> Festival:
    """Dates in the first half of the target season, strength within the settings' limits."""
    span = settings.festival_span
    first = int(rng.integers(settings.days // 8, max(settings.days // 2 - span // 2, settings.days // 8 + 1)))
    start = settings.starts["target"] + first * np.timedelta64(1, "D")
    interval = Interval.parse(str(start)[:19], str(start + span * np.timedelta64(1, "D"))[:19])
    lon, lat = geography.festival_lonlat
    strength = round(float(rng.uniform(*settings.festival_kg_h)), 1)
    return Festival(lon, lat, geography.festival_cell, interval, strength)


def true_footprints(geography: Geography, site: Site, epoch: Epoch) -> np.ndarray:
    """The influence that made the data (sampled hour, lat, lon): another plume, in another weather."""
    station = site.station
    weather = epoch.true.isel(time=epoch.sampled)
    footprints = plume_footprints(
        geography.grid, station, station.inlets_m[0], weather, curves=TRUE_CURVES, air_density_kg_m3=1.2
    )
    return np.asarray(integrated(footprints).values)


def local_enhancement(
    influence: np.ndarray, emissions: Emissions, cycles: dict[str, dict[str, np.ndarray]], epoch: Epoch
) -> np.ndarray:
    """Enhancement by the sectors of a gas at the sampled hours (sampled hour,) [ppm]."""
    flat = influence.reshape(influence.shape[0], -1)
    result = np.zeros(flat.shape[0])
    for sector, field in emissions.fields[epoch.name].items():
        result += (flat @ field.ravel()) * cycles[sector][epoch.name][epoch.sampled]
    return result


def festival_enhancement(
    influence: np.ndarray, geography: Geography, festival: Festival, time: np.ndarray
) -> np.ndarray:
    """Enhancement by the festival (hour,) [ppm of CH₄]."""
    row, column = festival.cell
    area = float(geography.grid.cell_area_m2()[row, column])
    flux = festival.kg_h / units.kilograms_per_hour("ch4") / area
    during = (time >= festival.interval.start64) & (time < festival.interval.end64)
    return np.asarray(influence[:, row, column] * flux * during)


def mismatch_factor(
    rng: np.random.Generator, epoch: Epoch, error: TransportError, settings: TwinSettings
) -> np.ndarray:
    """Multiplicative model–data mismatch at the sampled hours, mean 1, correlated over hours to a day."""
    noise = ar1(rng, epoch.time.size, error.mismatch_hours)[0][epoch.sampled]
    return np.asarray(np.exp(settings.mismatch * noise - settings.mismatch**2 / 2))


def whole_day(
    rng: np.random.Generator, enhancement: np.ndarray, epoch: Epoch, settings: TwinSettings, gas: str
) -> np.ndarray:
    """Enhancement of every hour (hour,): the modelled afternoons, and between them a simple rule.

    Outside the sampled hours the excess of a shallow night builds up until sunrise and fades by noon, more
    under weak wind; sampled and ruled hours join without a step.
    """
    n, local = epoch.time.size, settings.local_hour(epoch.time)
    shape = np.interp(local, [0, 6, 8, 11, 17, 20, 24], [0.7, 1.0, 0.9, 0.0, 0.0, 0.4, 0.7])
    wind = epoch.true["wind_speed"].values
    night = _NIGHT[gas] * shape * (3.0 / np.maximum(wind, 1.5)) * np.exp(0.3 * ar1(rng, n, 3.0)[0])
    hours = np.arange(n)
    return np.asarray(np.interp(hours, hours[epoch.sampled], enhancement) + night)
