"""A weather that nobody measured: for networks that do not stand yet, declared in a few numbers.

It says how often the wind comes from where, how strong it is and how deep the air mixes, and nothing of
any real day.  What rests on it is a statement about a typical season, to be made again with real footprints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from monitor.errors import InputError

_CALM_M_S = 0.5


@dataclass(frozen=True)
class Climatology:
    """A wind rose with a memory.

    Attributes
    ----------
    wind_speed_m_s, wind_log_sd
        Median, and 1σ of the logarithm.
    prevailing_deg, prevailing_strength
        Where the wind comes from most; 0 for all directions alike, 1 for nine hours in ten from that half of
        the compass.
    boundary_layer_m
    stability_class
        1 … 6 for Pasquill A … F; 4 is neutral.
    memory_hours
        e-folding time of wind and speed.
    """

    wind_speed_m_s: float = 4.0
    wind_log_sd: float = 0.4
    prevailing_deg: float = 225.0
    prevailing_strength: float = 0.5
    boundary_layer_m: float = 1000.0
    stability_class: int = 4
    memory_hours: float = 24.0

    def describe(self) -> str:
        """What is assumed, in a sentence."""
        return (
            f"wind of {self.wind_speed_m_s:g} m s⁻¹ (median, 1σ of its logarithm {self.wind_log_sd:g}), "
            f"mostly from {self.prevailing_deg:g}° (strength {self.prevailing_strength:g}), memory "
            f"{self.memory_hours:g} h; air mixed to {self.boundary_layer_m:g} m; stability class "
            f"{'ABCDEF'[self.stability_class - 1]}"
        )


def declared_weather(climate: Climatology, time: np.ndarray, seed: int = 0) -> xr.Dataset:
    """Hourly weather of the climatology, dim `time`: what `monitor.transport.plume` is driven by.

    Two wind components with the declared memory, and a mean towards the prevailing direction, make all
    directions; the same `seed` gives the same hours.

    Parameters
    ----------
    time : (n,) datetime64
        Beginnings of hours, ascending; hours in between need not be there.

    Raises
    ------
    InputError
        When a number of the climatology cannot be.
    """
    _ensure_possible(climate)
    first = time[0].astype("datetime64[h]")
    at = ((time.astype("datetime64[h]") - first) / np.timedelta64(1, "h")).astype("i8")
    # an hour's numbers do not depend on how many hours follow
    noise = np.random.default_rng(seed).standard_normal((int(at[-1]) + 1, 3)).T
    along, across, speed = _ar1(noise, climate.memory_hours)[:, at]
    turned = np.rad2deg(np.arctan2(across, along + climate.prevailing_strength * np.sqrt(np.pi / 2)))
    values = {
        "wind_speed": (
            np.maximum(climate.wind_speed_m_s * np.exp(climate.wind_log_sd * speed), _CALM_M_S),
            "m s-1",
        ),
        "wind_direction": ((climate.prevailing_deg + turned) % 360.0, "degree"),
        "boundary_layer_height": (np.full(at.size, climate.boundary_layer_m), "m"),
        "stability_class": (np.full(at.size, climate.stability_class), "1"),
    }
    columns = {name: ("time", value, {"units": unit}) for name, (value, unit) in values.items()}
    return xr.Dataset(columns, coords={"time": time})


def _ar1(noise: np.ndarray, steps: float) -> np.ndarray:
    """AR(1) series of unit variance and e-folding time `steps` from white noise (k, n)."""
    rho = np.exp(-1.0 / steps)
    scaled = noise * np.where(np.arange(noise.shape[1]) == 0, 1.0, np.sqrt(1.0 - rho**2))
    return np.asarray(lfilter([1.0], [1.0, -rho], scaled, axis=1))


def _ensure_possible(climate: Climatology) -> None:
    limits = {
        "wind_speed_m_s": (_CALM_M_S, 50.0),
        "wind_log_sd": (0.0, 2.0),
        "prevailing_strength": (0.0, 10.0),
        "boundary_layer_m": (10.0, 10_000.0),
        "stability_class": (1, 6),
        "memory_hours": (0.1, 10_000.0),
    }
    for name, (low, high) in limits.items():
        value = getattr(climate, name)
        if not low <= value <= high:
            raise InputError(
                f"a climatology's {name} cannot be {value:g}",
                expected=f"{low:g} … {high:g}",
                found=f"{value:g}",
            )
