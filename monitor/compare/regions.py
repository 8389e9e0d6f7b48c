"""Regions on a grid: how much of each cell lies inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
import xarray as xr
from pyproj import Geod

from monitor.contracts import ensure_regions
from monitor.domain import Grid, Region
from monitor.errors import InputError

#: Name of the region that is the whole grid.
WINDOW = "window"
#: Least part of a region that must lie on the grid: a total of half a region is not the region's.
LEAST_COVERED = 0.99


def region_fractions(regions: Sequence[Region], grid: Grid) -> xr.Dataset:
    """Coverage fraction of every cell by every region; the regions contract.

    Cells are boxes in longitude and latitude; the fraction is that of their area in the plane of the
    two, which over one cell differs from the true one by less than 1e-3.  A region without polygons is
    the whole grid.

    Raises
    ------
    InputError
        When a polygon crosses itself, or more than 1 % of the region lies outside the grid.
    """
    west, south = np.meshgrid(grid.lon_edges_deg[:-1], grid.lat_edges_deg[:-1])
    east, north = np.meshgrid(grid.lon_edges_deg[1:], grid.lat_edges_deg[1:])
    boxes = shapely.box(west.ravel(), south.ravel(), east.ravel(), north.ravel())
    fractions = [_fraction(region, boxes, grid) for region in regions]
    return ensure_regions(
        xr.Dataset(
            {"fraction": (("region", "lat", "lon"), np.stack(fractions), {"units": "1"})},
            coords={"region": [r.id for r in regions], "lat": grid.lat_deg, "lon": grid.lon_deg},
        )
    )


def _fraction(region: Region, boxes: np.ndarray, grid: Grid) -> np.ndarray:
    if not region.polygons_lonlat:
        return np.ones(grid.shape)
    shape = _shape(region)
    common = shapely.area(shapely.intersection(boxes, shape))
    covered = float(common.sum()) / shape.area
    if covered < LEAST_COVERED:
        where = "outside the grid" if covered == 0 else f"only to {covered:.1%} on the grid"
        raise InputError(
            f"region '{region.id}' lies {where}",
            expected=grid.describe(),
            found="bounds {:.6g}…{:.6g}° E, {:.6g}…{:.6g}° N".format(*np.take(shape.bounds, [0, 2, 1, 3])),
            remedy="check the order of longitude and latitude, or cut the region at the grid's edge",
        )
    return np.asarray(np.clip(common / shapely.area(boxes), 0.0, 1.0).reshape(grid.shape))


def _shape(region: Region) -> shapely.Geometry:
    parts = [shapely.Polygon(ring) for ring in region.polygons_lonlat]
    for part in parts:
        # before the union, which mends or stumbles over edges that cross
        if not part.is_valid or part.area < 1e-12:  # square degrees, a square of ten centimetres
            raise InputError(
                f"region '{region.id}' is no polygon",
                found=shapely.is_valid_reason(part) if not part.is_valid else "no area",
                remedy="draw it so that its edges do not cross",
            )
    return shapely.union_all(parts)


def region_area_km2(region: Region, grid: Grid) -> float:
    """Area on the ellipsoid [km²]; of the grid when the region has no polygons."""
    if not region.polygons_lonlat:
        return float(grid.cell_area_m2().sum()) / 1e6
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(_shape(region)))
    return abs(float(area)) / 1e6


def shared_area(one: Region, other: Region) -> float:
    """Share of the union of two regions with polygons that lies in both, 0 to 1; 1 without polygons.

    Measured in the plane of longitude and latitude, where a small region is distorted evenly.
    """
    if not (one.polygons_lonlat and other.polygons_lonlat):
        return 1.0
    a, b = _shape(one), _shape(other)
    return float(shapely.area(shapely.intersection(a, b)) / shapely.area(shapely.union(a, b)))
