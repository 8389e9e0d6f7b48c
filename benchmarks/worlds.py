"""Worlds on disk: footprints in a ragged store, a truth drawn from the prior, observations of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.cities import (
    CITIES,
    DISTRICTS,
    MONTH,
    PEER,
    YEAR,
    City,
    chunks,
    districts,
    flux_map,
    footprints,
    masses,
    month_edges,
    rhythm,
    sigma_map,
    spread_for,
    stations,
    wind_path,
)
from monitor import inversion as inv
from monitor.inversion import covariance as cov

__all__ = [
    "CITIES",
    "DISTRICTS",
    "MONTH",
    "PEER",
    "YEAR",
    "City",
    "FileArray",
    "World",
    "districts",
    "flux_map",
    "make",
    "masses",
    "month_edges",
    "rhythm",
    "sigma_map",
    "spread_for",
    "stations",
    "wind_path",
]


class FileArray:
    """A one-dimensional array that is read from its file where it is cut, and takes no memory else.

    Pages of a memory map stay with the process until the system needs the room; these do not.
    """

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        self.path, self.dtype, self.shape, self.size = path, mapped.dtype, mapped.shape, mapped.size
        self._begin = int(mapped.offset)

    def __getitem__(self, cut: slice) -> np.ndarray:
        start, stop, _ = cut.indices(self.size)
        offset = self._begin + start * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, max(stop - start, 0), offset=offset)


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
    streamed : bool
        Whether footprints are read from their files part by part; else the files are mapped into memory.
    """

    folder: Path
    city: City
    spread: float
    share: float
    streamed: bool = False

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
        if self.streamed:
            parts = [FileArray(self.folder / f"{name}.npy") for name in ("columns", "values")]
        else:
            parts = [self.array(name) for name in ("columns", "values")]
        return inv.RaggedJacobian(offsets, *parts, shape)

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


def _write_footprints(city: City, spread: float, folder: Path) -> int:
    """The ragged store: columns as int32, values as float32 (float64 if dense), a few rows at a time."""
    edges, kind = [0], "f8" if city.dense else "f4"
    with open(folder / "columns.raw", "wb") as columns_file, open(folder / "values.raw", "wb") as values_file:
        for part in chunks(np.arange(city.n)):
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
    for part in chunks(np.arange(world.city.n)):
        rows = jacobian.part(int(part[0]), int(part[-1]) + 1)
        products = rows.values.astype("f8") * truth[rows.columns]
        sums = np.concatenate([[0.0], np.cumsum(products)])
        out[part] = sums[rows.offsets[1:]] - sums[rows.offsets[:-1]]
    return out
