"""Seeded cities of any size: plume footprints, a city-like prior, a truth drawn from it, observations.

Cells are 1 km wide.  Footprints follow a wind that wanders and spread with the hours back; how fast they
spread is chosen such that a given share of (cell, hour) pairs within the hours back is non-zero.  Fluxes are
in µmol m⁻² s⁻¹, mole fractions in ppm, footprints in ppm per flux, totals in mol s⁻¹ (a cell has 1 km²).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernels import plumes
from monitor import inversion as inv
from monitor.inversion import covariance as cov

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
        text = b"".join((here / name).read_bytes() for name in ("worlds.py", "kernels.py"))
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


@dataclass(frozen=True, eq=False)
class World:
    """A city on disk; arrays are memory maps, and nothing that is worked out is kept.

    Attributes
    ----------
    folder : Path
    city : City
    spread : float
        Growth of σ of the plumes [km h⁻¹].
    share : float
        Of (cell, hour) pairs within the hours back that is non-zero, counted.
    """

    folder: Path
    city: City
    spread: float
    share: float

    @classmethod
    def open(cls, folder: Path) -> World:
        notes = json.loads((folder / "world.json").read_text())
        given = notes["city"] | {"times_of_day": tuple(notes["city"]["times_of_day"])}
        return cls(folder, City(**given), notes["spread"], notes["share"])

    def array(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    @property
    def observations(self) -> np.ndarray:
        """(n,), ordered by time, then by station [ppm]."""
        return np.array(self.array("observations"))

    @property
    def truth(self) -> np.ndarray:
        """(p, s), float32."""
        return self.array("truth")

    @cached_property
    def jacobian(self) -> inv.RaggedJacobian | np.ndarray:
        """(n, m): ragged, or an array where the city is dense."""
        shape = (self.city.n, self.city.m)
        if self.city.dense:
            return np.load(self.folder / "values.npy").reshape(shape)
        offsets = np.array(self.array("offsets"))
        return inv.RaggedJacobian(offsets, self.array("columns"), self.array("values"), shape)

    @cached_property
    def station(self) -> np.ndarray:
        """Number of the station of each observation (n,)."""
        return np.tile(np.arange(self.city.stations), self.city.times.size)

    @cached_property
    def time(self) -> np.ndarray:
        """Hour of each observation (n,)."""
        return np.repeat(self.city.times, self.city.stations)

    def prior_mean(self) -> np.ndarray:
        """(m,): a map times the hour of the day."""
        return np.outer(rhythm(self.city.hours), flux_map(self.city)).reshape(-1)

    def prior_covariance(self) -> cov.Kronecker:
        """5 km and 48 h, σ half the flux and a little more."""
        city = self.city
        return cov.Kronecker(
            cov.Exponential(48.0, city.hours),
            cov.Exponential(5.0, (city.side, city.side)),
            std=(np.ones(city.hours), sigma_map(city)),
        )

    def mismatch_covariance(self) -> cov.Sum:
        """0.5 ppm of each hour's own, and 1 ppm correlated over 3 h within a station."""
        transport = cov.Exponential(3.0, self.time.astype("f8"), groups=self.station)
        return cov.Sum((cov.Diagonal(np.full(self.city.n, 0.25)), transport))

    def totals(self, months: bool = False) -> inv.SeparableTotals:
        """Means over days, or months, of 20 districts [mol s⁻¹]."""
        edges = month_edges(self.city.hours) if months else np.arange(0, self.city.hours + 1, 24)
        edges = np.unique(np.append(edges, self.city.hours))
        time = np.zeros((edges.size - 1, self.city.hours))
        for k in range(edges.size - 1):
            time[k, edges[k] : edges[k + 1]] = 1.0 / (edges[k + 1] - edges[k])
        return inv.SeparableTotals(time, districts(self.city))

    def problem(self, months: bool = False) -> inv.LinearProblem:
        """Built afresh each time, so that nothing of a former solution is at hand."""
        return inv.LinearProblem(
            self.jacobian,
            self.observations,
            self.prior_mean(),
            self.prior_covariance(),
            self.mismatch_covariance(),
            totals=self.totals(months),
        )


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


def make(city: City, folder: Path) -> World:
    """Write a world into `folder`, or open it where it lies there already."""
    marker = folder / "world.json"
    if marker.exists() and World.open(folder).city == city:
        return World.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    spread = 0.5 if city.dense else spread_for(city)
    found = _write_footprints(city, spread, folder)
    pairs = city.n * min(city.hours_back, city.hours) * city.cells
    notes = {"city": city.as_json(), "spread": spread, "share": found / pairs}
    (folder / "world.tmp").write_text(json.dumps(notes))
    world = World(folder, city, spread, notes["share"])
    _write_truth(world)
    rng = np.random.default_rng([city.seed, 4])
    noise = world.mismatch_covariance().sqrt_matvec(rng.standard_normal(2 * city.n))
    np.save(folder / "observations.npy", _seen(world) + noise)
    (folder / "world.tmp").rename(marker)
    return world


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
        return float(sum(footprints(city, part, spread)[0][-1] for part in _chunks(sample)) / pairs)

    low, high = 0.0, city.side / 20.0
    if not share(low) < city.share < share(high):
        raise ValueError(f"{city}: shares from {share(low):.3f} to {share(high):.3f} can be had")
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) < city.share else (low, middle)
    return 0.5 * (low + high)


def _chunks(which: np.ndarray) -> list[np.ndarray]:
    return [which[k : k + _ROWS] for k in range(0, which.size, _ROWS)]


def _write_footprints(city: City, spread: float, folder: Path) -> int:
    """The ragged store: columns as int32, values as float32 (float64 if dense), a few rows at a time."""
    edges, kind = [0], "f8" if city.dense else "f4"
    with open(folder / "columns.raw", "wb") as columns_file, open(folder / "values.raw", "wb") as values_file:
        for part in _chunks(np.arange(city.n)):
            offsets, columns, values = footprints(city, part, spread)
            edges.extend((edges[-1] + offsets[1:]).tolist())
            columns.astype("i4").tofile(columns_file)
            values.astype(kind).tofile(values_file)
    np.save(folder / "offsets.npy", np.array(edges, dtype="i8"))
    _as_npy(folder / "columns.raw", folder / "columns.npy", "i4")
    _as_npy(folder / "values.raw", folder / "values.npy", kind)
    return edges[-1]


def _as_npy(raw: Path, target: Path, kind: str) -> None:
    source = np.memmap(raw, dtype=kind, mode="r")
    out = np.lib.format.open_memmap(target, mode="w+", dtype=kind, shape=source.shape)
    for start in range(0, source.size, 2**24):
        out[start : start + 2**24] = source[start : start + 2**24]
    out.flush()
    raw.unlink()


def _write_truth(world: World) -> None:
    """A draw from the prior, hour after hour: x_t = ρ x_(t−1) + √(1 − ρ²) S^½ z."""
    city, prior = world.city, world.prior_covariance()
    rng = np.random.default_rng([city.seed, 6])
    keep = np.exp(-1.0 / prior.time.length)
    out = np.lib.format.open_memmap(
        world.folder / "truth.npy", mode="w+", dtype="f4", shape=(city.hours, city.cells)
    )
    field, factor, sigma, mean = np.zeros(city.cells), rhythm(city.hours), sigma_map(city), flux_map(city)
    for start in range(0, city.hours, 64):
        stop = min(start + 64, city.hours)
        fresh = prior.space.sqrt_matvec(rng.standard_normal((prior.space.sqrt_size, stop - start)))
        for t in range(start, stop):
            weight = np.sqrt(1.0 - keep**2) if t else 1.0
            field = keep * field + weight * fresh[:, t - start]
            out[t] = factor[t] * mean + sigma * field
    out.flush()


def _seen(world: World) -> np.ndarray:
    """H x of the truth (n,), a few rows at a time."""
    jacobian, truth = world.jacobian, world.truth.reshape(-1)
    if isinstance(jacobian, np.ndarray):
        return np.asarray(jacobian @ truth.astype("f8"))
    out = np.empty(world.city.n)
    for part in _chunks(np.arange(world.city.n)):
        rows = jacobian.part(int(part[0]), int(part[-1]) + 1)
        products = rows.values.astype("f8") * truth[rows.columns]
        sums = np.concatenate([[0.0], np.cumsum(products)])
        out[part] = sums[rows.offsets[1:]] - sums[rows.offsets[:-1]]
    return out
