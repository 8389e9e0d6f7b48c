"""Claims about averages: means are conserved, rows belong to the hour of their midpoint, nothing vanishes."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from reading_cases import HOURLY, REAL_CASES, TAC
from strategies import EPOCH, observations, series

from monitor.contracts import USABLE, Flag, Reason, ensure_observations
from monitor.domain import Interval
from monitor.errors import UsageError
from monitor.ingest.averaging import describe_flag, hour_accounting, hourly_mean, period_mean
from monitor.ingest.quality import apply_quality
from monitor.plugins import ReadContext

TWO_DAYS = Interval(EPOCH, EPOCH + timedelta(days=2, hours=1))


def slow_hours(dataset: xr.Dataset) -> dict[np.datetime64, list[int]]:
    """Indices of the usable rows of each hour, by a loop over rows."""
    hours = defaultdict(list)
    for i in range(dataset.sizes["time"]):
        if dataset["flag"].values[i] in USABLE:
            first, last = dataset["time_bnds"].values[i]
            hours[(first + (last - first) // 2).astype("datetime64[h]")].append(i)
    return hours


@given(observations())
def test_hourly_means_spread_and_count_are_those_of_a_plain_loop(dataset: xr.Dataset) -> None:
    made = ensure_observations(hourly_mean(dataset, TWO_DAYS))
    assert made.sizes["time"] == 49
    rows = slow_hours(dataset)
    for i, hour in enumerate(made["time"].values.astype("datetime64[h]")):
        own = made.isel(time=i)
        if not rows[hour]:
            assert (
                np.isnan(own["mole_fraction"]) and int(own["flag"]) not in USABLE and int(own["count"]) == 0
            )
            continue
        x, s = (dataset[name].values[rows[hour]] for name in ("mole_fraction", "stdev"))
        assert float(own["mole_fraction"]) == pytest.approx(x.mean(), rel=1e-12)
        assert float(own["stdev"]) == pytest.approx(np.sqrt(x.var() + (s**2).mean()), rel=1e-9, abs=1e-12)
        assert int(own["count"]) == 20 * len(x) and int(own["flag"]) in USABLE


@given(observations())
def test_averaging_conserves_the_mean_weighted_by_rows(dataset: xr.Dataset) -> None:
    usable = np.isin(dataset["flag"].values, USABLE)
    made = hourly_mean(dataset, TWO_DAYS)
    rows = made["count"].values / 20
    total = np.nansum(rows * made["mole_fraction"].values)
    assert total == pytest.approx(dataset["mole_fraction"].values[usable].sum(), rel=1e-12)


@given(observations())
def test_every_hour_is_accounted_for_once(dataset: xr.Dataset) -> None:
    account = hour_accounting(dataset, TWO_DAYS)
    assert sum(account.values()) == 49
    assert account["used"] == sum(1 for rows in slow_hours(dataset).values() if rows)


@given(observations())
def test_hourly_means_of_hourly_means_are_the_same(dataset: xr.Dataset) -> None:
    once = hourly_mean(dataset, TWO_DAYS)
    again = hourly_mean(once, TWO_DAYS)
    for name in ("mole_fraction", "flag", "flag_reason"):
        xr.testing.assert_identical(again[name], once[name])
    assert np.allclose(again["stdev"], once["stdev"], equal_nan=True)


@given(observations(), st.randoms(use_true_random=False))
def test_the_split_of_the_data_into_files_does_not_matter(dataset: xr.Dataset, random: object) -> None:
    first, second = dataset.isel(time=slice(0, None, 2)), dataset.isel(time=slice(1, None, 2))
    joined = xr.concat([second, first], "time").sortby("time")
    joined.attrs = dataset.attrs
    xr.testing.assert_allclose(hourly_mean(joined, TWO_DAYS), hourly_mean(dataset, TWO_DAYS))


@given(st.integers(1, 59))
def test_a_row_that_straddles_two_hours_goes_where_its_midpoint_is(minute: int) -> None:
    row = series([2.0], minutes=60, start=f"2023-06-01T00:{minute:02d}")
    made = hourly_mean(row, Interval.parse("2023-06-01T00:00", "2023-06-01T02:00"))
    used = np.isin(made["flag"].values, USABLE).tolist()
    assert used == [minute < 30, minute >= 30]


def test_a_label_half_an_hour_off_moves_every_row_to_another_hour() -> None:
    right = series([2.0, 2.1, 2.2], start="2023-06-01T00:00")
    wrong = series([2.0, 2.1, 2.2], start="2023-06-01T00:30")  # the middle taken for the beginning
    day = Interval.parse("2023-06-01", "2023-06-01T05:00")
    assert hourly_mean(right, day)["mole_fraction"].values[:3].tolist() == [2.0, 2.1, 2.2]
    assert hourly_mean(wrong, day)["mole_fraction"].values[1:4].tolist() == [2.0, 2.1, 2.2]


def test_two_segments_in_one_hour_are_averaged_and_an_hour_without_is_missing() -> None:
    made = hourly_mean(HOURLY.read(), Interval.parse("2023-06-01T06:00", "2023-06-01T08:00"))
    rows = HOURLY.read()["mole_fraction"].values[6:8]
    assert float(made["mole_fraction"][0]) == pytest.approx(rows.mean())
    assert int(made["count"][0]) == 580
    assert int(made["flag"][1]) == Flag.MISSING and int(made["flag_reason"][1]) == Reason.GAP


def test_each_kind_of_lost_hour_has_its_own_reason() -> None:
    flags = [Flag.GOOD, Flag.BAD, Flag.GOOD, Flag.SUSPECT]
    dataset = series([2.0, 2.1, np.nan, 2.2], flags=flags)
    dataset["flag_reason"].values[:] = [0, Reason.RANGE | Reason.SPIKE, 0, Reason.SPIKE]
    account = hour_accounting(dataset, Interval.parse("2023-06-01", "2023-06-01T05:00"))
    assert account == {
        "used": 1,
        "flagged bad: range+spike": 1,
        "flagged suspect: spike": 1,
        "no row": 1,
        "not a number": 1,
    }


def test_an_hour_with_one_usable_row_is_used() -> None:
    dataset = series([2.0, 2.5], minutes=30, flags=[Flag.GOOD, Flag.BAD])
    assert hour_accounting(dataset, Interval.parse("2023-06-01", "2023-06-01T01:00")) == {"used": 1}
    assert float(hourly_mean(dataset)["mole_fraction"][0]) == 2.0


def test_a_mixture_of_judged_and_unjudged_rows_is_not_called_good() -> None:
    mixed = series([2.0, 2.5], minutes=30, flags=[Flag.GOOD, Flag.NOT_EVALUATED])
    assert int(hourly_mean(mixed)["flag"][0]) == Flag.NOT_EVALUATED


def test_an_hour_covered_by_its_rows_has_no_sampling_error() -> None:
    full, part = series([2.0, 2.1, 2.2, 2.1], minutes=15), series([2.0, 2.2], minutes=15)
    for dataset in (full, part):
        dataset["uncertainty"].values[:] = 0.001
    assert float(hourly_mean(full)["uncertainty"][0]) == pytest.approx(0.001)
    spread = float(hourly_mean(part)["stdev"][0])
    expected = np.sqrt(0.001**2 + 0.5 * spread**2 / 2)  # half of the hour, two rows
    assert float(hourly_mean(part)["uncertainty"][0]) == pytest.approx(expected)


def test_nothing_is_known_of_an_hour_whose_rows_state_nothing() -> None:
    made = hourly_mean(series([2.0]))
    assert np.isnan(made["uncertainty"][0]) and np.isnan(made["stdev"][0]) and int(made["count"][0]) == 1


def test_the_caller_keeps_its_data() -> None:
    dataset = HOURLY.read()
    before = dataset.copy(deep=True)
    hourly_mean(dataset)
    period_mean(dataset)
    xr.testing.assert_identical(dataset, before)


def test_an_average_over_parts_of_hours_or_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="whole hours"):
        hourly_mean(series([2.0]), Interval.parse("2023-06-01T00:30", "2023-06-01T02:00"))
    with pytest.raises(UsageError, match="an average of nothing"):
        hourly_mean(series([2.0]).isel(time=slice(0, 0)))
    empty = hourly_mean(series([2.0]).isel(time=slice(0, 0)), Interval.parse("2023-06-01", "2023-06-02"))
    assert (empty["flag_reason"].values == Reason.GAP).all()


@pytest.mark.parametrize(
    ("offset", "first"), [(0.0, "12:00"), (2.0, "10:00"), (-7.0, "19:00"), (5.5, "06:30")]
)
def test_afternoons_are_local(offset: float, first: str) -> None:
    made = period_mean(series([2.0] * 72), utc_offset_h=offset, min_hours=1)
    bounds = made["time_bnds"].values
    assert {str(start)[11:16] for start in bounds[:, 0]} == {first}
    assert (bounds[:, 1] - bounds[:, 0] == np.timedelta64(5, "h")).all()


def test_afternoon_means_are_the_means_of_the_afternoon() -> None:
    values = list(np.linspace(2.0, 3.0, 48))
    made = period_mean(series(values))
    assert made["mole_fraction"].values == pytest.approx([np.mean(values[12:17]), np.mean(values[36:41])])
    assert made["hours"].values.tolist() == [5, 5]
    assert float(made["stdev"][0]) == pytest.approx(np.std(values[12:17]))


def test_a_day_with_too_few_hours_is_not_used_and_a_day_without_is_a_gap() -> None:
    values = [2.0] * 72
    values[12:15] = [np.nan] * 3
    values[36:41] = [np.nan] * 5
    made = period_mean(series(values), min_hours=3)
    assert made["flag"].values.tolist() == [Flag.SUSPECT, Flag.MISSING, Flag.GOOD]
    assert made["flag_reason"].values[0] == Reason.FEW_SAMPLES
    assert made["hours"].values.tolist() == [2, 0, 5]


def test_the_days_to_cover_can_be_asked_for() -> None:
    made = period_mean(series([2.0] * 24), days=Interval.parse("2023-05-31", "2023-06-03"))
    assert made["time"].values.astype("datetime64[D]").astype(str).tolist() == [
        "2023-05-31",
        "2023-06-01",
        "2023-06-02",
    ]
    assert describe_flag(int(made["flag"][0]), int(made["flag_reason"][0])) == "no row"


@pytest.mark.parametrize(("hours", "least"), [((17, 12), 1), ((0, 25), 1), ((12, 17), 6), ((12, 17), 0)])
def test_a_window_that_makes_no_sense_is_refused(hours: tuple[int, int], least: int) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        period_mean(series([2.0] * 24), local_hours=hours, min_hours=least)


def test_two_real_summer_months_are_accounted_for_to_the_hour(real_data: Path) -> None:
    summer = Interval.parse("2016-07-01", "2016-09-01")
    expected = {
        54.0: {"used": 1144, "no row": 274, "not a number": 70},
        100.0: {"used": 1211, "no row": 272, "not a number": 5},
        185.0: {"used": 1207, "no row": 275, "not a number": 6},
    }
    for case in REAL_CASES:
        if case.reader == "gcwerks" and case.context.species == "ch4":
            assert case.context.inlet_m is not None and isinstance(case.context, ReadContext)
            made = case.read(real_data)
            assert hour_accounting(made, summer) == expected[case.context.inlet_m]
            judged = hour_accounting(apply_quality(made), summer)
            assert sum(judged.values()) == 1488 and judged["used"] == expected[case.context.inlet_m]["used"]
    assert TAC.inlets_m == tuple(expected)
