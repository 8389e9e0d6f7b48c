"""The lie of the land: grid, districts, stations, the festival ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely

from monitor.domain import Grid, Region, Station
from monitor.twin.settings import TwinSettings

_KM_PER_DEGREE: Final = 111.195
#: Boundaries between the outer districts, degrees counter-clockwise from east.
_WEDGES: Final = {"north": (20.0, 170.0), "control": (170.0, 225.0), "east": (225.0, 380.0)}
_CENTRE_KM: Final = 5.5
FESTIVAL_KM: Final = (-2.7, 0.9)


@dataclass(frozen=True)
class Site:
    """A station with its instrument: who makes the files, how good it is [ppm and ppb, hourly 1σ]."""

    station: Station
    kind: str
    co2_noise_ppm: float
    ch4_noise_ppb: float | None


@dataclass(frozen=True)
class Geography:
    """Where everything is; `fraction` is each region's share of each cell, (lat, lon) by region id."""

    grid: Grid
    regions: tuple[Region, ...]
    fraction: dict[str, np.ndarray]
    sites: tuple[Site, ...]
    festival_lonlat: tuple[float, float]
    festival_cell: tuple[int, int]
    x_km: np.ndarray
    y_km: np.ndarray


def make_geography(settings: TwinSettings) -> Geography:
    """The same for every seed, so that the configuration is too."""
    grid = _grid(settings)
    x, y = _to_km(settings, grid.lon_deg[None, :], grid.lat_deg[:, None])
    regions = _regions(settings)
    lonlat = _to_lonlat(settings, *FESTIVAL_KM)
    row = int(np.argmin(np.abs(grid.lat_deg - lonlat[1])))
    column = int(np.argmin(np.abs(grid.lon_deg - lonlat[0])))
    return Geography(
        grid=grid,
        regions=regions,
        fraction={r.id: coverage(grid, r) for r in regions},
        sites=_sites(settings),
        festival_lonlat=(float(grid.lon_deg[column]), float(grid.lat_deg[row])),
        festival_cell=(row, column),
        x_km=np.broadcast_to(x, grid.shape),
        y_km=np.broadcast_to(y, grid.shape),
    )


def coverage(grid: Grid, region: Region) -> np.ndarray:
    """Share of each cell that lies in the region, (lat, lon), 0 to 1, exact on the plane of lon and lat."""
    shape = shapely.union_all([shapely.Polygon(ring) for ring in region.polygons_lonlat])
    west, south = np.meshgrid(grid.lon_edges_deg[:-1], grid.lat_edges_deg[:-1])
    east, north = np.meshgrid(grid.lon_edges_deg[1:], grid.lat_edges_deg[1:])
    boxes = shapely.box(west, south, east, north)
    share = shapely.area(shapely.intersection(boxes, shape)) / shapely.area(boxes)
    return np.asarray(np.clip(share, 0.0, 1.0))


def _to_lonlat(settings: TwinSettings, x_km: float, y_km: float) -> tuple[float, float]:
    across = _KM_PER_DEGREE * float(np.cos(np.deg2rad(settings.centre_lat_deg)))
    lon = settings.centre_lon_deg + x_km / across
    return round(lon, 5), round(settings.centre_lat_deg + y_km / _KM_PER_DEGREE, 5)


def _to_km(settings: TwinSettings, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    across = _KM_PER_DEGREE * np.cos(np.deg2rad(settings.centre_lat_deg))
    return (lon - settings.centre_lon_deg) * across, (lat - settings.centre_lat_deg) * _KM_PER_DEGREE


def _grid(settings: TwinSettings) -> Grid:
    step_km = settings.domain_km / settings.n_cells
    across = _KM_PER_DEGREE * np.cos(np.deg2rad(settings.centre_lat_deg))
    offset = (np.arange(settings.n_cells) - (settings.n_cells - 1) / 2) * step_km
    return Grid(
        lon_deg=settings.centre_lon_deg + offset / across,
        lat_deg=settings.centre_lat_deg + offset / _KM_PER_DEGREE,
    )


def _outer_km(angle_deg: np.ndarray) -> np.ndarray:
    angle = np.deg2rad(angle_deg)
    return np.asarray(14.5 + 1.5 * np.cos(2 * angle) + 0.8 * np.sin(3 * angle))


def _ring(settings: TwinSettings, angle_deg: np.ndarray, radius_km: np.ndarray) -> list[tuple[float, float]]:
    angle = np.deg2rad(angle_deg)
    points = zip(radius_km * np.cos(angle), radius_km * np.sin(angle), strict=True)
    return [_to_lonlat(settings, float(x), float(y)) for x, y in points]


def _regions(settings: TwinSettings) -> tuple[Region, ...]:
    """The metropolitan region, and its parts: the centre and three wedges around it, without gap."""
    whole = np.arange(0.0, 360.0, 5.0)
    centre = np.full(whole.size, _CENTRE_KM)
    regions = [
        Region("metro", (tuple(_ring(settings, whole, _outer_km(whole))),), "Metropolitan region"),
        Region("centre", (tuple(_ring(settings, whole, centre)),), "Centre"),
    ]
    for name, (start, end) in _WEDGES.items():
        angle = np.arange(start, end + 0.1, 5.0)
        outer = _ring(settings, angle, _outer_km(angle))
        inner = _ring(settings, angle[::-1], np.full(angle.size, _CENTRE_KM))
        regions.append(Region(name, (tuple(outer + inner),), f"{name.capitalize()} district"))
    return tuple(regions)


def _sites(settings: TwinSettings) -> tuple[Site, ...]:
    def site(id_: str, x: float, y: float, inlet: float, kind: str, co2: float, ch4: float | None) -> Site:
        lon, lat = _to_lonlat(settings, x, y)
        return Site(Station(id_, lon, lat, (inlet,), _NAMES[id_]), kind, co2, ch4)

    return (
        site("NRD", 1.4, 15.0, 100.0, "icos", 0.05, 0.6),
        site("SUD", 3.8, -15.0, 100.0, "icos", 0.05, 0.6),
        site("MID", -0.8, -1.2, 80.0, "gcwerks", 0.10, 1.0),
        site("WST", -15.0, 1.2, 80.0, "openghg", 0.40, 3.0),
        site("HAF", 14.5, 1.2, 70.0, "lowcost", 1.00, None),
    )


_NAMES: Final = {
    "NRD": "North tower",
    "SUD": "South tower",
    "MID": "University roof",
    "WST": "West school",
    "HAF": "Harbour mast",
}
