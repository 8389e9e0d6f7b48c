"""The things we talk about, as small frozen dataclasses.

Units stand in the names; times are UTC and timezone-free; intervals are half-open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from monitor.errors import InputError, UsageError


@dataclass(frozen=True, order=True)
class Interval:
    """A half-open time interval [start, end), UTC, timezone-free, to the second."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment.tzinfo is not None:
                raise InputError(
                    "times are UTC and timezone-free inside the system",
                    found=moment.isoformat(),
                    remedy="convert with parse_utc() first",
                )
        if not self.start < self.end:
            raise InputError(
                "an interval must end after it starts",
                found=f"[{self.start.isoformat()}, {self.end.isoformat()})",
            )

    @classmethod
    def parse(cls, start: str | date | datetime, end: str | date | datetime) -> Interval:
        """From two ISO-8601 moments or dates."""
        return cls(parse_utc(start), parse_utc(end))

    @property
    def start64(self) -> np.datetime64:
        return np.datetime64(self.start, "ns")

    @property
    def end64(self) -> np.datetime64:
        return np.datetime64(self.end, "ns")

    @property
    def hours(self) -> float:
        return (self.end - self.start).total_seconds() / 3600.0

    def contains(self, other: Interval) -> bool:
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Interval) -> bool:
        return self.start < other.end and other.start < self.end

    def as_json(self) -> list[str]:
        """[start, end] as ISO-8601 with Z."""
        return [iso_z(self.start), iso_z(self.end)]

    def __str__(self) -> str:
        return f"[{iso_z(self.start)}, {iso_z(self.end)})"


def parse_utc(moment: str | date | datetime) -> datetime:
    """A UTC moment, timezone-free, from ISO-8601 text, a date or a datetime.

    A date is its midnight; "Z" and offsets are converted to UTC; a naive time is taken as UTC,
    which is what every time in our own files is.
    """
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError as error:
            raise UsageError(
                "a time must be ISO-8601",
                expected="2016-07-01 or 2016-07-01T06:00:00Z",
                found=repr(moment),
            ) from error
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment


def iso_z(moment: datetime | np.datetime64) -> str:
    """ISO-8601 with Z, to the second."""
    if isinstance(moment, np.datetime64):
        return str(moment.astype("datetime64[s]")) + "Z"
    return moment.replace(microsecond=0).isoformat() + "Z"


@dataclass(frozen=True)
class Species:
    """A gas: `id` as in file names ("co2"), `name` for pages, and the unit pages show it in."""

    id: str
    name: str
    display_unit: str
    display_factor: float


SPECIES = {
    "co2": Species("co2", "CO₂", "ppm", 1.0),
    "ch4": Species("ch4", "CH₄", "ppb", 1e3),
    "co": Species("co", "CO", "ppb", 1e3),
}


@dataclass(frozen=True)
class Station:
    """A measuring site; `inlets_m` are heights above ground."""

    id: str
    lon_deg: float
    lat_deg: float
    inlets_m: tuple[float, ...] = ()
    name: str = ""
    ground_m_asl: float | None = None


@dataclass(frozen=True)
class Inlet:
    """One inlet of a station, the receptor of footprints."""

    station: Station
    height_m: float

    @property
    def id(self) -> str:
        return f"{self.station.id}-{self.height_m:g}m"


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular longitude-latitude grid by its cell centres [degrees], both ascending."""

    lon_deg: np.ndarray
    lat_deg: np.ndarray

    def __post_init__(self) -> None:
        for name, axis in (("lon", self.lon_deg), ("lat", self.lat_deg)):
            steps = np.diff(axis)
            if axis.ndim != 1 or axis.size < 2 or not (steps > 0).all():
                raise InputError(f"grid axis {name} must be ascending with at least two cells")
            if not np.allclose(steps, steps.mean(), rtol=1e-2):
                raise InputError(
                    f"grid axis {name} must be regular",
                    found=f"steps from {steps.min():.6g} to {steps.max():.6g} degrees",
                )

    @property
    def shape(self) -> tuple[int, int]:
        """(n_lat, n_lon)"""
        return (self.lat_deg.size, self.lon_deg.size)

    @property
    def lon_step_deg(self) -> float:
        return float((self.lon_deg[-1] - self.lon_deg[0]) / (self.lon_deg.size - 1))

    @property
    def lat_step_deg(self) -> float:
        return float((self.lat_deg[-1] - self.lat_deg[0]) / (self.lat_deg.size - 1))

    @property
    def lon_edges_deg(self) -> np.ndarray:
        return _edges(self.lon_deg, self.lon_step_deg)

    @property
    def lat_edges_deg(self) -> np.ndarray:
        return np.asarray(np.clip(_edges(self.lat_deg, self.lat_step_deg), -90.0, 90.0))

    def cell_area_m2(self) -> np.ndarray:
        """Cell areas (lat, lon) on the sphere of mean radius 6,371,007.2 m: R²·Δλ·Δ(sin φ)."""
        earth_m = 6_371_007.2
        band = np.diff(np.sin(np.deg2rad(self.lat_edges_deg)))
        width = np.deg2rad(np.diff(self.lon_edges_deg))
        return np.asarray(earth_m**2 * np.outer(band, width))

    def same_as(self, other: Grid, *, tolerance_cells: float = 0.02) -> bool:
        """Whether centres agree to a small fraction of a cell (files store float32)."""
        return (
            self.shape == other.shape
            and bool(np.all(np.abs(self.lon_deg - other.lon_deg) < tolerance_cells * self.lon_step_deg))
            and bool(np.all(np.abs(self.lat_deg - other.lat_deg) < tolerance_cells * self.lat_step_deg))
        )

    def describe(self) -> str:
        return (
            f"{self.shape[0]} × {self.shape[1]} cells, lat {self.lat_deg[0]:.4g}…{self.lat_deg[-1]:.4g}"
            f" step {self.lat_step_deg:.4g}°, lon {self.lon_deg[0]:.4g}…{self.lon_deg[-1]:.4g}"
            f" step {self.lon_step_deg:.4g}°"
        )


def _edges(centres: np.ndarray, step: float) -> np.ndarray:
    return np.asarray(np.append(centres - step / 2, centres[-1] + step / 2))


@dataclass(frozen=True)
class Region:
    """A named area; `polygon_lonlat` is one or more rings of (lon, lat) pairs in degrees."""

    id: str
    polygons_lonlat: tuple[tuple[tuple[float, float], ...], ...]
    name: str = ""


@dataclass(frozen=True)
class ProcessingStep:
    """One thing done to data, kept with them: who did what, with which settings."""

    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.detail else self.name
