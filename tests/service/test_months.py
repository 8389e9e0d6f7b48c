"""Months: cut without loss, merged without regard to the order, ragged entries kept with their rows."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from monitor.contracts import ObservationColumns, footprints_dataset, observations_dataset
from monitor.domain import Grid, Interval
from monitor.errors import GridError, InputError
from monitor.service import months
from monitor.service.months import FileVersion, Part

GRID = Grid(np.array([0.0, 1.0, 2.0]), np.array([50.0, 51.0]))
SITE = {"station": "ONE", "inlet_height_m": 10.0, "station_longitude_deg": 1.0, "station_latitude_deg": 50.5}


def observations(hours: list[int], value: float, **attributes) -> xr.Dataset:
    start = np.datetime64("2020-01-30", "ns") + np.array(hours, dtype="i8") * np.timedelta64(1, "h")
    n = len(hours)
    columns = ObservationColumns(start, start + np.timedelta64(1, "h"), np.full(n, value), np.ones(n))
    extra = {"species": "ch4", "calibration_scale": "X", "source_digest": ""} | attributes
    return observations_dataset(columns, SITE | extra)


def footprints(hours: list[int], counts: list[int], value: float, grid: Grid = GRID) -> xr.Dataset:
    start = np.datetime64("2020-01-30", "ns") + np.array(hours, dtype="i8") * np.timedelta64(1, "h")
    bounds = np.stack([start, start + np.timedelta64(1, "h")], axis=1)
    receptors = xr.Dataset(coords={"time": ("receptor", start), "time_bnds": (("receptor", "bnds"), bounds)})
    n, count = sum(counts), np.array(counts)
    cells = np.concatenate([np.arange(c) for c in counts])
    values = value + np.repeat(np.array(hours, dtype="f4"), count)
    return footprints_dataset(
        grid,
        receptors,
        (count, cells, np.zeros(n), values),
        (count, cells, values),
        SITE | {"model": "M", "source_digest": ""},
    )


def version(rank: int, level: int = 1) -> FileVersion:
    return FileVersion(level, f"2020-02-{rank:02d}T00:00:00", f"{rank:064x}", f"file{rank}", 1)


def merged_one_by_one(parts: list[Part]) -> xr.Dataset:
    current, known = None, {}
    for part in parts:
        current = months.merge_parts([part], current, known)
        known[part.version.sha256] = part.version
    return current


def test_months_touched_are_those_that_overlap():
    assert months.months_touched(Interval.parse("2019-12-31", "2020-02-01")) == ["2019-12", "2020-01"]
    assert months.months_between("2020-02", "2020-01") == []


def test_months_are_cut_without_loss_or_repetition():
    data = observations(list(range(96)), 1.9)
    cut = months.split_months(data, ["2020-01", "2020-02", "2020-03"])
    assert {month: part.sizes["time"] for month, part in cut.items()} == {"2020-01": 48, "2020-02": 48}


def test_the_higher_level_wins_then_the_later_file():
    old, new, final = (observations([0, 1], v) for v in (1.0, 2.0, 3.0))
    parts = [Part(final, version(1, level=2)), Part(new, version(3)), Part(old, version(2))]
    assert months.merge_parts(parts, None, {})["mole_fraction"].values.tolist() == [3.0, 3.0]
    assert months.merge_parts(parts[1:], None, {})["mole_fraction"].values.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_month_of_observations_does_not_depend_on_the_order(order):
    parts = [
        Part(observations([0, 1, 2], 1.0, contact="a"), version(1)),
        Part(observations([2, 3], 2.0, contact="b"), version(2)),
        Part(observations([1, 2, 4], 3.0, contact="a"), version(3)),
    ]
    expected = months.merge_parts(parts, None, {})
    xr.testing.assert_identical(merged_one_by_one([parts[i] for i in order]), expected)
    assert expected["mole_fraction"].values.tolist() == [1.0, 3.0, 3.0, 2.0, 3.0]
    assert expected.attrs["contact"] == "a; b"


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5, unique=True), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_month_of_footprints_does_not_depend_on_the_order(files, random):
    parts = [
        Part(
            footprints(sorted(hours), [1 + (h + rank) % 4 for h in sorted(hours)], 100.0 * rank),
            version(rank),
        )
        for rank, hours in enumerate(files, start=1)
    ]
    expected = months.merge_parts(parts, None, {})
    shuffled = random.sample(parts, len(parts))
    xr.testing.assert_identical(merged_one_by_one(shuffled), expected)
    owner = {h: rank for rank, hours in enumerate(files, start=1) for h in hours}
    first = np.cumsum(expected["entry_count"].values) - expected["entry_count"].values
    assert expected["value"].values[first].tolist() == [100.0 * owner[h] + h for h in sorted(owner)]
    assert expected["residual_value"].values[first].tolist() == expected["value"].values[first].tolist()


def test_day_digests_change_with_their_day_alone():
    one, other = observations(list(range(48)), 1.0), observations(list(range(48)), 1.0)
    other["mole_fraction"].values[30] = 1.5
    first, second = months.day_digests(one), months.day_digests(other)
    assert first["2020-01-30"] == second["2020-01-30"]
    assert first["2020-01-31"] != second["2020-01-31"]
    assert (
        months.day_digests(months.take_rows(other, np.arange(24, 48)))["2020-01-31"] == second["2020-01-31"]
    )


def test_day_digests_see_the_ragged_entries():
    one, other = footprints([0, 30], [2, 3], 1.0), footprints([0, 30], [2, 3], 1.0)
    other["residual_value"].values[-1] = 9.0
    first, second = months.day_digests(one), months.day_digests(other)
    assert [first[day] == second[day] for day in ("2020-01-30", "2020-01-31")] == [True, False]


def test_footprints_on_two_grids_are_never_merged():
    other = Grid(GRID.lon_deg + 0.5, GRID.lat_deg)
    parts = [Part(footprints([0], [1], 1.0), version(1)), Part(footprints([1], [1], 1.0, other), version(2))]
    with pytest.raises(GridError, match="another grid"):
        months.merge_parts(parts, None, {})


def test_files_of_two_inlets_are_never_merged():
    parts = [
        Part(observations([0], 1.0), version(1)),
        Part(observations([1], 1.0, inlet_height_m=20.0), version(2)),
    ]
    with pytest.raises(InputError, match="differ in inlet_height_m"):
        months.merge_parts(parts, None, {})


def test_the_creation_of_a_file_is_its_own_word_before_the_disks():
    modified = datetime(2024, 5, 1)
    assert months.created_at({"source_created": "1 Mar 19 07:38 GMT"}, modified) == "2019-03-01T07:38:00"
    assert months.created_at({"date_created": "2019-03-01T07:38:00Z"}, modified) == "2019-03-01T07:38:00"
    assert months.created_at({"date_created": "some day"}, modified) == "2024-05-01T00:00:00"


def test_product_levels_order_final_above_plain_above_near_real_time():
    levels = [months.product_level({"product_level": text}) for text in ("L2", "", "NRT")]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 3
