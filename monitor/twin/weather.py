"""Weather as the analysis has it and as it truly was, and the air that flows in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from monitor.transport.plume import pasquill_class
from monitor.twin.settings import TwinSettings

#: Median wind speed [m s⁻¹] and its limits.
_WIND_M_S: Final = (4.8, 2.2, 11.0)
_AFTERNOON_MIXING_M: Final = (950.0, 1850.0)
#: Dispersion as the service's transport model has it: between Briggs' open country and city (rows A … F,
#: columns (a, b, p) of σy then σz, as in `monitor.transport.plume.BRIGGS`); σy is that of ten minutes times
#: 6^0.2 = 1.4 for an hour (Turner 1970, Workbook of Atmospheric Dispersion Estimates, chapter 5).
ANALYSED_CURVES: Final = np.array(
    [
        [0.378, 2e-4, -0.5, 0.220, 4e-4, 0.25],
        [0.322, 2e-4, -0.5, 0.170, 4e-4, 0.25],
        [0.217, 2e-4, -0.5, 0.130, 8e-5, -0.5],
        [0.158, 2e-4, -0.5, 0.092, 8e-4, -0.5],
        [0.112, 2e-4, -0.5, 0.050, 8e-4, -0.7],
        [0.092, 2e-4, -0.5, 0.036, 8e-4, -0.7],
    ]
)
#: Dispersion as it is: power laws σ = c xᵈ (b = 1 makes (1 + b x)ᵖ a power), equal to the analysed curves at
#: 1 and 10 km and apart from them nearer, between and further.
TRUE_CURVES: Final = np.array(
    [
        [1.372, 1.0, -0.20, 0.085, 1.0, 0.15],
        [1.170, 1.0, -0.20, 0.070, 1.0, 0.14],
        [0.788, 1.0, -0.20, 0.267, 1.0, -0.11],
        [0.574, 1.0, -0.20, 0.770, 1.0, -0.35],
        [0.406, 1.0, -0.20, 0.970, 1.0, -0.49],
        [0.336, 1.0, -0.20, 0.700, 1.0, -0.49],
    ]
)


@dataclass(frozen=True)
class TransportError:
    """How the true transport differs from the analysed one; the same turn and scale in both epochs."""

    turn_deg: float
    speed_factor: float
    mixing_factor: dict[str, float]
    mismatch_hours: float


def ar1(rng: np.random.Generator, n: int, steps: float, size: int = 1) -> np.ndarray:
    """`size` AR(1) series of unit variance with an e-folding time of `steps`, (size, n)."""
    rho = np.exp(-1.0 / steps)
    noise = rng.standard_normal((size, n))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=1))


def draw_transport_error(rng: np.random.Generator, settings: TwinSettings) -> TransportError:
    """One draw per city."""
    return TransportError(
        turn_deg=float(rng.uniform(-settings.wind_turn_deg, settings.wind_turn_deg)),
        speed_factor=float(1 + rng.uniform(-settings.wind_scale, settings.wind_scale)),
        mixing_factor={
            epoch: float(1 + rng.uniform(-settings.mixing_bias, settings.mixing_bias))
            for epoch in settings.starts
        },
        mismatch_hours=float(rng.uniform(*settings.mismatch_hours)),
    )


def analysed_weather(rng: np.random.Generator, settings: TwinSettings, epoch: str) -> xr.Dataset:
    """Hourly weather of an epoch, dim `time`: what the transport model is driven by.

    `wind_speed` [m s⁻¹], `wind_direction` (from) [degree], `boundary_layer_height` [m], `solar` [W m⁻²],
    `temperature` [K], `stability_class` 1 … 6.
    """
    time = settings.hours(epoch)
    n = time.size
    # Two wind components with a synoptic memory give all directions, westerlies a little more often.
    along, across = ar1(rng, n, 20.0, 2)
    direction = np.rad2deg(np.arctan2(-(along + 0.35), -across)) + 18.0 * ar1(rng, n, 1.5)[0]
    median, low, high = _WIND_M_S
    speed = np.clip(median * np.exp(0.30 * ar1(rng, n, 30.0)[0] + 0.10 * ar1(rng, n, 2.0)[0]), low, high)
    clear = np.clip(0.6 + 0.25 * ar1(rng, n, 20.0)[0], 0.15, 1.0)
    solar = clear * clear_sky_w_m2(time, settings)
    local = settings.local_hour(time)
    day = np.clip(np.sin(np.pi * (local - 6.5) / 16.0), 0.0, 1.0) ** 0.5
    low_m, high_m = _AFTERNOON_MIXING_M
    afternoon = np.clip(1400.0 + 200.0 * ar1(rng, n, 30.0)[0], low_m, high_m)
    mixing = np.where(day > 0.5, afternoon, 200.0 + (afternoon - 200.0) * day)
    season = (time - time[0]) / np.timedelta64(1, "D")
    temperature = 290.0 - 0.12 * season + 4.0 * day + 2.0 * ar1(rng, n, 60.0)[0]
    return _dataset(time, speed, direction, mixing, solar, temperature)


def true_weather(
    rng: np.random.Generator, analysed: xr.Dataset, error: TransportError, epoch: str
) -> xr.Dataset:
    """The weather that moved the air: turned, scaled, mixed otherwise; errors of the day and the hour."""
    n = analysed.sizes["time"]
    days = -(-n // 24)
    daily = np.repeat(rng.standard_normal((3, days)), 24, axis=1)[:, :n]
    direction = (
        analysed["wind_direction"].values + error.turn_deg + 4.0 * daily[0] + 4.0 * ar1(rng, n, 2.0)[0]
    )
    speed = analysed["wind_speed"].values * error.speed_factor * np.exp(0.06 * daily[1])
    mixing = analysed["boundary_layer_height"].values * error.mixing_factor[epoch] * np.exp(0.08 * daily[2])
    return _dataset(
        analysed["time"].values,
        np.maximum(speed, 1.0),
        direction,
        mixing,
        analysed["solar"].values,
        analysed["temperature"].values,
    )


def clear_sky_w_m2(time: np.ndarray, settings: TwinSettings) -> np.ndarray:
    """Clear-sky solar radiation, 0.75 · 1361 W m⁻² · sin(elevation); declination by Cooper (1969)."""
    day = (time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    declination = np.deg2rad(23.45) * np.sin(2 * np.pi * (284 + day) / 365.25)
    hour_angle = np.deg2rad(15.0 * (settings.local_hour(time) + 0.5 - 12.0))
    lat = np.deg2rad(settings.centre_lat_deg)
    sine = np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(hour_angle)
    return np.asarray(0.75 * 1361.0 * np.clip(sine, 0.0, None))


def inflow(rng: np.random.Generator, time: np.ndarray, gas: str, station_km: np.ndarray) -> np.ndarray:
    """Mole fraction of the air that comes in, per station (station, time) [ppm]; `station_km` (station, 2).

    A seasonal rise and a yearly growth, a synoptic part with a memory of 60 h common to all stations, and a
    weak gradient across the city with the same memory.
    """
    n = time.size
    level, growth, season, synoptic, slope = {
        "co2": (411.0, 2.4, 7.0, 2.2, 0.10),
        "ch4": (1.950, 0.012, 0.030, 0.013, 0.0006),
    }[gas]
    years = (time - np.datetime64("2021-01-01")) / np.timedelta64(1, "D") / 365.25
    since = (time - time[0]) / np.timedelta64(1, "D")
    common = level + growth * years + season * since / 91.0 + synoptic * ar1(rng, n, 60.0)[0]
    return np.asarray(common + slope * (station_km / 10.0) @ ar1(rng, n, 60.0, 2))


def _dataset(
    time: np.ndarray,
    speed: np.ndarray,
    direction: np.ndarray,
    mixing: np.ndarray,
    solar: np.ndarray,
    temperature: np.ndarray,
) -> xr.Dataset:
    def column(values: np.ndarray, unit: str) -> tuple[str, np.ndarray, dict[str, str]]:
        return ("time", np.asarray(values), {"units": unit})

    return xr.Dataset(
        {
            "wind_speed": column(speed, "m s-1"),
            "wind_direction": column(np.mod(direction, 360.0), "degree"),
            "boundary_layer_height": column(mixing, "m"),
            "solar": column(solar, "W m-2"),
            "temperature": column(temperature, "K"),
            "stability_class": column(pasquill_class(speed, solar), "1"),
        },
        coords={"time": time},
    )
