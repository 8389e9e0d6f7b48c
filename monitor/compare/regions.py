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


def region_fractions(regions: Sequence[Region], grid: Grid) -> xr.Dataset:
    """Coverage fraction of every cell by every region; the regions contract.

    Cells are boxes in longitude and latitude; the fraction is that of their area in the plane of the
    two, which over one cell differs from the true one by less than 1e-3.  A region without polygons is
    the whole grid.

    Raises
    ------
    InputError
        When a polygon crosses itself, or lies wholly outside the grid.
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
    inside = shapely.area(shapely.intersection(boxes, shape)) / shapely.area(boxes)
    if inside.sum() == 0:
        raise InputError(
            f"region '{region.id}' lies outside the grid",
            expected=grid.describe(),
            found=f"bounds {shape.bounds}",
            remedy="check the order of longitude and latitude",
        )
    return np.asarray(np.clip(inside, 0.0, 1.0).reshape(grid.shape))


def _shape(region: Region) -> shapely.Geometry:
    shape = shapely.union_all([shapely.Polygon(ring) for ring in region.polygons_lonlat])
    if not shape.is_valid or shape.area == 0:
        raise InputError(
            f"region '{region.id}' is no polygon",
            found=shapely.is_valid_reason(shape),
            remedy="draw it so that its edges do not cross",
        )
    return shape


def region_area_km2(region: Region, grid: Grid) -> float:
    """Area on the ellipsoid [km²]; of the grid when the region has no polygons."""
    if not region.polygons_lonlat:
        return float(grid.cell_area_m2().sum()) / 1e6
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(_shape(region)))
    return abs(float(area)) / 1e6
