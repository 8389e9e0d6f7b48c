"""Claims about intervals, moments and grids."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import grids, intervals

from monitor.domain import Grid, Inlet, Interval, ProcessingStep, Station, iso_z, parse_utc
from monitor.errors import InputError, UsageError


def test_an_interval_must_end_after_it_starts() -> None:
    with pytest.raises(InputError, match="must end after it starts"):
        Interval.parse("2016-07-01", "2016-07-01")


def test_a_time_with_a_zone_is_refused_inside() -> None:
    with pytest.raises(InputError, match="timezone-free"):
        Interval(datetime(2016, 7, 1, tzinfo=UTC), datetime(2016, 7, 2, tzinfo=UTC))


@given(intervals())
def test_an_interval_survives_its_json(interval: Interval) -> None:
    assert Interval.parse(*interval.as_json()) == interval


@given(intervals(), intervals())
def test_overlap_is_symmetric_and_containment_implies_it(one: Interval, other: Interval) -> None:
    assert one.overlaps(other) == other.overlaps(one)
    assert not one.contains(other) or one.overlaps(other)


@given(intervals())
def test_neighbouring_intervals_do_not_overlap(interval: Interval) -> None:
    after = Interval(interval.end, interval.end + timedelta(hours=1))
    assert not interval.overlaps(after)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(-14, 14))
def test_an_offset_is_turned_into_utc(moment: datetime, hours: int) -> None:
    zoned = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    assert parse_utc(zoned.isoformat()) == zoned.replace(tzinfo=None) - timedelta(hours=hours)


def test_a_date_is_its_midnight_and_nonsense_is_refused() -> None:
    assert parse_utc(date(2016, 7, 1)) == datetime(2016, 7, 1)
    with pytest.raises(UsageError, match="ISO-8601"):
        parse_utc("01/07/2016")


def test_moments_are_printed_in_utc_to_the_second() -> None:
    assert iso_z(datetime(2016, 7, 1, 6)) == "2016-07-01T06:00:00Z"
    assert iso_z(np.datetime64("2016-07-01T06", "ns")) == "2016-07-01T06:00:00Z"


@given(grids())
def test_cell_areas_add_up_to_the_area_of_the_window(grid: Grid) -> None:
    lat, lon = np.deg2rad(grid.lat_edges_deg), np.deg2rad(grid.lon_edges_deg)
    window = 6_371_007.2**2 * (lon[-1] - lon[0]) * (np.sin(lat[-1]) - np.sin(lat[0]))
    assert grid.cell_area_m2().sum() == pytest.approx(window, rel=1e-9)


def test_the_whole_globe_has_the_area_of_its_sphere() -> None:
    globe = Grid(lon_deg=np.arange(-179.5, 180), lat_deg=np.arange(-89.5, 90))
    assert globe.cell_area_m2().sum() == pytest.approx(4 * np.pi * 6_371_007.2**2, rel=1e-12)


@given(grids())
def test_a_grid_is_itself_in_single_precision_and_not_when_shifted(grid: Grid) -> None:
    stored = Grid(
        lon_deg=grid.lon_deg.astype("f4").astype("f8"), lat_deg=grid.lat_deg.astype("f4").astype("f8")
    )
    assert grid.same_as(stored)
    shifted = Grid(lon_deg=grid.lon_deg + 0.5 * grid.lon_step_deg, lat_deg=grid.lat_deg)
    assert not grid.same_as(shifted)


@pytest.mark.parametrize("axis", [[1.0], [2.0, 1.0], [0.0, 1.0, 3.0]])
def test_an_axis_must_ascend_in_regular_steps(axis: list[float]) -> None:
    with pytest.raises(InputError, match="grid axis lon must be"):
        Grid(lon_deg=np.array(axis), lat_deg=np.array([0.0, 1.0]))


def test_names_are_readable() -> None:
    assert Inlet(Station("TAC", 1.1, 52.5), 100.0).id == "TAC-100m"
    assert str(ProcessingStep("hourly_mean", "18 min")) == "hourly_mean: 18 min"
