"""Coverage fractions keep the area; neighbours share a cell without loss; what is no region is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.compare.regions import region_area_km2, region_fractions
from monitor.domain import Grid, Region
from monitor.errors import InputError

GRID = Grid(lon_deg=7.0 + 0.1 * np.arange(8), lat_deg=48.0 + 0.1 * np.arange(6))


def box(west, south, east, north):
    return ((west, south), (east, south), (east, north), (west, north))


def fraction(*rings):
    return region_fractions([Region("r", rings)], GRID)["fraction"].values[0]


corners = st.tuples(
    st.floats(6.96, 7.3), st.floats(47.96, 48.2), st.floats(7.32, 7.74), st.floats(48.22, 48.54)
)


@given(corner=corners)
def test_fractions_times_cells_are_the_area_of_the_region(corner):
    ring = box(*corner)
    found = float((fraction(ring) * GRID.cell_area_m2()).sum()) / 1e6
    # sphere of equal area against the ellipsoid: below 0.5 % at this latitude
    assert found == pytest.approx(region_area_km2(Region("r", (ring,)), GRID), rel=5e-3)


@given(corner=corners)
def test_a_fraction_is_the_part_of_the_cell_that_a_fine_raster_finds(corner):
    west, south, east, north = corner
    fine = 40
    lon = 6.95 + 0.1 / fine * (np.arange(8 * fine) + 0.5)
    lat = 47.95 + 0.1 / fine * (np.arange(6 * fine) + 0.5)
    inside = np.outer((lat > south) & (lat < north), (lon > west) & (lon < east))
    raster = inside.reshape(6, fine, 8, fine).mean(axis=(1, 3))
    np.testing.assert_allclose(fraction(box(*corner)), raster, atol=2.1 / fine)


@given(cut=st.floats(7.0, 7.6), slope=st.floats(-0.1, 0.1))
def test_neighbours_without_a_gap_sum_to_one(cut, slope):
    left = ((6.95, 47.95), (cut, 47.95), (cut + slope, 48.55), (6.95, 48.55))
    right = ((cut, 47.95), (7.75, 47.95), (7.75, 48.55), (cut + slope, 48.55))
    np.testing.assert_allclose(fraction(left) + fraction(right), 1.0, atol=1e-9)


def test_a_region_of_two_rings_is_their_union_and_overlaps_count_once():
    one, other = box(7.0, 48.0, 7.3, 48.3), box(7.2, 48.0, 7.5, 48.3)
    both = fraction(one, other)
    np.testing.assert_allclose(both, fraction(box(7.0, 48.0, 7.5, 48.3)), atol=1e-12)


def test_a_region_without_rings_is_the_whole_grid():
    np.testing.assert_array_equal(fraction(), 1.0)
    assert region_area_km2(Region("window", ()), GRID) == pytest.approx(GRID.cell_area_m2().sum() / 1e6)


@pytest.mark.parametrize("ring", [box(20, 48, 21, 49), box(48.0, 7.0, 48.3, 7.3)])
def test_a_region_elsewhere_is_refused(ring):
    with pytest.raises(InputError, match="'r' lies outside the grid.*longitude and latitude"):
        fraction(ring)


def test_a_region_that_reaches_over_the_edge_is_refused_because_its_total_would_be_cut():
    with pytest.raises(InputError, match=r"'r' lies only to 75\.0% on the grid.*cut the region"):
        fraction(box(6.80, 48.0, 7.4, 48.3))
    fraction(box(6.9499, 48.0, 7.4, 48.3))  # a hair over is drawing


BOW_TIE = ((7.0, 48.0), (7.3, 48.3), (7.3, 48.0), (7.0, 48.3))


@pytest.mark.parametrize(
    "rings", [(BOW_TIE,), (box(7.4, 48.0, 7.5, 48.1), BOW_TIE), (((7.0, 48.0), (7.1, 48.1), (7.2, 48.2)),)]
)
def test_edges_that_cross_and_lines_are_no_region(rings):
    with pytest.raises(InputError, match="region 'r' is no polygon.*edges do not cross"):
        fraction(*rings)


def test_the_way_round_a_ring_does_not_matter():
    ring = box(7.03, 48.02, 7.37, 48.31)
    np.testing.assert_allclose(fraction(ring), fraction(ring[::-1]))
    same = [region_area_km2(Region("r", (r,)), GRID) for r in (ring, ring[::-1])]
    assert same[0] == pytest.approx(same[1]) and same[0] > 0
