"""Cities of any size, made from a seed: their maps, winds and plume footprints.

Cells are 1 km wide.  Footprints follow a wind that wanders and spread with the hours back; how fast they
spread is chosen such that a given share of (cell, hour) pairs within the hours back is non-zero.  Fluxes are
in µmol m⁻² s⁻¹, mole fractions in ppm, footprints in ppm per flux, totals in mol s⁻¹ (a cell has 1 km²).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernels import plumes

DISTRICTS = 20
#: Mixing height at night and its growth by day [m], and what a flux of 1 adds in an hour to 1 m of air [ppm].
NIGHT_M, GROWTH_M, PPM_M = 300.0, 900.0, 87.0
#: Time in which the wind turns [h].
TURNING_H = 9.0
#: A cell below this share of the density in the middle of the plume is not in the footprint.
CUT = 0.02
#: Rows that are made at once.
_ROWS = 32


@dataclass(frozen=True)
class City:
    """What a world is made from; equal cities make equal worlds, to the bit.

    Attributes
    ----------
    hours, side
        p hours × (side × side) cells are the unknowns.
    stations, first, times_of_day
        Every station observes at these hours of the day, from hour `first` on.
    last
        Hour after the last observation; later than `hours` when fluxes before the campaign are sought.
    hours_back, share
        Of the (cell, hour) pairs in the hours back `share` are non-zero; 1: all, a dense Jacobian.
    narrow_km
        σ of a plume at the station.
    """

    name: str
    hours: int
    side: int
    stations: int
    first: int = 36
    last: int = 0
    times_of_day: tuple[int, ...] = tuple(range(24))
    hours_back: int = 36
    share: float = 0.05
    narrow_km: float = 0.5
    seed: int = 1

    @property
    def cells(self) -> int:
        return self.side**2

    @property
    def m(self) -> int:
        return self.hours * self.cells

    @property
    def n(self) -> int:
        return self.stations * self.times.size

    @property
    def dense(self) -> bool:
        return self.share >= 1.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"times_of_day": list(self.times_of_day)}

    @property
    def digest(self) -> str:
        """Of all that a world is made from, the generator's text too."""
        here = Path(__file__).parent
        text = b"".join((here / name).read_bytes() for name in ("cities.py", "worlds.py", "kernels.py"))
        return sha256(text + json.dumps(self.as_json()).encode()).hexdigest()[:12]

    @property
    def times(self) -> np.ndarray:
        """Hours in which a station observes."""
        hour = np.arange(self.first, self.last or self.hours)
        return hour[np.isin(hour % 24, self.times_of_day)]


PEER = City(
    "peer", hours=40, side=16, stations=18, first=39, last=79, hours_back=79, share=1.0, narrow_km=2.0
)
MONTH = City("city-month", hours=720, side=60, stations=4)
YEAR = City("city-year", hours=8760, side=100, stations=10, first=0, times_of_day=tuple(range(12, 18)))
CITIES = {city.name: city for city in (PEER, MONTH, YEAR)}


def month_edges(hours: int) -> np.ndarray:
    """Hours in which the months of a year of 365 days begin, as far as `hours`."""
    days = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    return days[days * 24 <= hours] * 24


def rhythm(hours: int) -> np.ndarray:
    """Factor of each hour: two peaks a day, mean 1."""
    hour = np.arange(hours) % 24
    peaks = np.exp(-(((hour - 8) / 2.5) ** 2)) + np.exp(-(((hour - 18) / 3.0) ** 2))
    return np.asarray(0.6 + 1.02 * peaks)


def flux_map(city: City) -> np.ndarray:
    """A bright centre, smaller ones around it, two roads, a pale ground (s,)."""
    rng = np.random.default_rng([city.seed, 1])
    x, y = np.meshgrid(*[(np.arange(city.side) + 0.5) / city.side - 0.5] * 2)
    field = 1.0 + 20.0 * np.exp(-((x / 0.12) ** 2) - (y / 0.09) ** 2)
    for _ in range(8):
        at, width, bright = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.02, 0.06), rng.uniform(3.0, 12.0)
        field += bright * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / width**2)
    for angle in rng.uniform(0.0, np.pi, 2):
        away = x * np.sin(angle) - y * np.cos(angle)
        field += 4.0 * np.exp(-((away / 0.01) ** 2))
    return np.asarray(field.reshape(-1))


def sigma_map(city: City) -> np.ndarray:
    """1σ of the prior in each cell (s,)."""
    return np.asarray(0.5 + 0.5 * flux_map(city))


def districts(city: City) -> np.ndarray:
    """Which cells belong to which of the districts (20, s): the cells nearest to each of 20 points."""
    rng = np.random.default_rng([city.seed, 2])
    column, row = np.meshgrid(np.arange(city.side) + 0.5, np.arange(city.side) + 0.5)
    # a point in every box of a lattice, so that none is without cells
    box = np.stack(np.divmod(np.arange(DISTRICTS), 5), axis=1)
    points = (box + rng.uniform(0.25, 0.75, box.shape)) / [4, 5] * city.side
    away = (row.reshape(-1, 1) - points[:, 0]) ** 2 + (column.reshape(-1, 1) - points[:, 1]) ** 2
    return np.asarray(np.argmin(away, axis=1)[None, :] == np.arange(DISTRICTS)[:, None], dtype="f8")


def stations(city: City) -> np.ndarray:
    """Row and column of each station [cells] (k, 2): around the centre, where people live."""
    rng = np.random.default_rng([city.seed, 3])
    angle = 2.0 * np.pi * (np.arange(city.stations) + rng.uniform(0.0, 0.5)) / city.stations
    radius = city.side * rng.uniform(0.12, 0.3, city.stations)
    return city.side / 2 + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def wind_path(city: City) -> np.ndarray:
    """Way of the wind since `hours_back` hours before the first flux [km] (…, 2): it keeps for some hours.

    Its speed is such that air crosses a thirtieth of the city in an hour: within the hours back most of it
    has come from outside, or has turned.
    """
    rng = np.random.default_rng([city.seed, 5])
    count = city.hours_back + max(city.hours, city.last) + 1
    keep = np.exp(-1.0 / TURNING_H)
    kick = rng.normal(0.0, city.side / 30.0 * np.sqrt(1.0 - keep**2), (count, 2))
    kick[0] /= np.sqrt(1.0 - keep**2)
    wind = np.empty_like(kick)
    for t in range(count):
        wind[t] = kick[t] if t == 0 else keep * wind[t - 1] + kick[t]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(wind, axis=0)])


def masses(city: City) -> np.ndarray:
    """What an hour over a uniform flux of 1 adds [ppm] (p,): little under a high mixing layer."""
    hour = np.arange(city.hours) % 24
    return PPM_M / (NIGHT_M + GROWTH_M * np.maximum(0.0, np.sin(2.0 * np.pi * (hour - 7) / 24.0)))


def footprints(city: City, which: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets, columns and values of the observations `which`."""
    most = which.size * city.hours_back * city.cells
    offsets, columns, values = np.empty(which.size + 1, "i8"), np.empty(most, "i8"), np.empty(most)
    count = plumes(
        stations(city)[which % city.stations],
        city.times[which // city.stations],
        wind_path(city),
        masses(city),
        (city.hours, city.side, city.side),
        (0, city.hours_back),
        (city.narrow_km, spread),
        -1.0 if city.dense else CUT,
        offsets,
        columns,
        values,
    )
    return offsets, columns[:count], values[:count]


def spread_for(city: City) -> float:
    """Growth of σ [km h⁻¹] with which `share` of the pairs is non-zero, in 512 observations.

    Raises
    ------
    ValueError
        When no growth leads there: the city is too small, or the share too large.
    """
    sample = np.unique(np.linspace(0, city.n - 1, 512).astype("i8"))
    pairs = sample.size * city.hours_back * city.cells

    def share(spread: float) -> float:
        return float(sum(footprints(city, part, spread)[0][-1] for part in chunks(sample)) / pairs)

    low, high = 0.0, city.side / 20.0
    if not share(low) < city.share < share(high):
        raise ValueError(f"{city}: shares from {share(low):.3f} to {share(high):.3f} can be had")
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) < city.share else (low, middle)
    return 0.5 * (low + high)


def chunks(which: np.ndarray) -> list[np.ndarray]:
    return [which[k : k + _ROWS] for k in range(0, which.size, _ROWS)]
