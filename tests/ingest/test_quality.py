"""Claims about quality control: it flags and never edits; each test fires on its fault; units cannot slip."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from strategies import observations, series

from monitor.contracts import USABLE, Flag, Reason
from monitor.domain import Interval
from monitor.errors import SourceFormatError, UnitError, UsageError
from monitor.ingest.quality import ManualFlag, QualitySettings, apply_quality, parse_manual_flags

RANK = {Flag.NOT_EVALUATED: 0, Flag.GOOD: 1, Flag.SUSPECT: 2, Flag.BAD: 3, Flag.MISSING: 4}


def calm(n: int = 40) -> list[float]:
    """A plausible CH₄ series, ppm."""
    return list(2.0 + 0.01 * np.sin(np.arange(n)) + 1e-4 * np.arange(n))


def flags_of(made: xr.Dataset) -> list[int]:
    flags: list[int] = made["flag"].values.tolist()
    return flags


@given(observations())
def test_quality_control_changes_flags_and_nothing_else(dataset: xr.Dataset) -> None:
    before = dataset.copy(deep=True)
    made = apply_quality(dataset, now=datetime(2023, 6, 2))
    xr.testing.assert_identical(dataset, before)
    xr.testing.assert_identical(
        made.drop_vars(["flag", "flag_reason"]), before.drop_vars(["flag", "flag_reason"])
    )


@given(observations())
def test_a_flag_only_ever_gets_worse_and_keeps_its_reasons(dataset: xr.Dataset) -> None:
    made = apply_quality(dataset)
    for old, new in zip(flags_of(dataset), flags_of(made), strict=True):
        assert RANK[Flag(new)] >= RANK[Flag(old)]
    old_reasons = dataset["flag_reason"].values
    assert (made["flag_reason"].values & old_reasons == old_reasons).all()


@given(observations())
def test_judging_twice_changes_nothing_more(dataset: xr.Dataset) -> None:
    once = apply_quality(dataset)
    assert set(flags_of(once)).isdisjoint({Flag.NOT_EVALUATED})
    again = apply_quality(once)
    # with fewer usable rows the spike test may look across rows that it took out: it can only flag more
    assert (again["flag"].values >= once["flag"].values).all()


@given(observations(max_rows=10))
def test_flags_of_the_range_do_not_depend_on_the_other_rows(dataset: xr.Dataset) -> None:
    made = apply_quality(dataset)
    alone = [apply_quality(dataset.isel(time=[i])) for i in range(dataset.sizes["time"])]
    bit = [int(one["flag_reason"].values[0]) & Reason.RANGE for one in alone]
    assert (made["flag_reason"].values & Reason.RANGE).tolist() == bit


def test_a_value_out_of_range_is_bad_and_its_neighbours_are_good() -> None:
    values = calm()
    values[10], values[20] = 1.2, 25.0
    made = apply_quality(series(values))
    assert made["flag"].values[[10, 20]].tolist() == [Flag.BAD, Flag.BAD]
    assert made["flag_reason"].values[10] & Reason.RANGE
    assert flags_of(made).count(Flag.GOOD) == 38


def test_a_lone_spike_is_suspect_and_a_plume_of_two_rows_is_not() -> None:
    values = calm()
    values[10] += 3.0
    values[20] += 3.0
    values[21] += 2.9
    made = apply_quality(series(values))
    assert made["flag"].values[10] == Flag.SUSPECT and made["flag_reason"].values[10] == Reason.SPIKE
    assert made["flag"].values[[20, 21]].tolist() == [Flag.GOOD, Flag.GOOD]


def test_a_step_is_no_spike() -> None:
    values = calm()
    assert set(flags_of(apply_quality(series(values[:20] + [v + 2.0 for v in values[20:]])))) == {Flag.GOOD}


def test_a_stuck_sensor_is_bad_for_as_long_as_it_is_stuck() -> None:
    values = calm()
    values[10:20] = [2.05] * 10
    made = apply_quality(series(values))
    assert [i for i, flag in enumerate(flags_of(made)) if flag == Flag.BAD] == list(range(10, 20))
    assert (made["flag_reason"].values[10:20] == Reason.FLAT_LINE).all()


def test_equal_values_for_a_short_while_are_not_a_stuck_sensor() -> None:
    values = calm()
    values[10:14] = [2.05] * 4
    assert set(flags_of(apply_quality(series(values)))) == {Flag.GOOD}


def test_the_first_row_after_a_gap_is_marked_and_stays_good() -> None:
    made = apply_quality(series(calm()).isel(time=[*range(10), *range(20, 40)]))
    assert made["flag_reason"].values[10] == Reason.GAP and made["flag"].values[10] == Flag.GOOD


def test_rows_from_the_future_are_bad_beyond_the_tolerance() -> None:
    made = apply_quality(series(calm()), now=datetime(2023, 6, 1, 23))
    assert [i for i, flag in enumerate(flags_of(made)) if flag == Flag.BAD] == list(range(24, 40))
    assert made["flag_reason"].values[24] == Reason.FUTURE


def test_a_clock_a_day_fast_flags_the_whole_last_day() -> None:
    fast = series(calm(24), start="2023-06-02T00:00")
    assert set(flags_of(apply_quality(fast, now=datetime(2023, 6, 2)))[1:]) == {Flag.BAD}


def test_a_now_with_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="timezone-free"):
        apply_quality(series(calm()), now=datetime(2023, 6, 1, tzinfo=UTC))


def test_a_mean_of_few_samples_is_suspect_when_asked_for() -> None:
    dataset = series(calm())
    dataset["count"].values[:] = 20
    dataset["count"].values[5] = 3
    assert set(flags_of(apply_quality(dataset))) == {Flag.GOOD}
    made = apply_quality(dataset, QualitySettings(least_samples=10))
    assert made["flag"].values[5] == Flag.SUSPECT and made["flag_reason"].values[5] == Reason.FEW_SAMPLES


@pytest.mark.parametrize("factor", [1e3, 1e-3, 44 / 12, 12 / 44, 1e6])
@pytest.mark.parametrize(("species", "level"), [("ch4", 1.95), ("co2", 415.0)])
def test_a_unit_mix_up_is_refused(species: str, level: float, factor: float) -> None:
    dataset = series([v / 2.0 * level * factor for v in calm()])
    dataset.attrs["species"] = species
    with pytest.raises(UnitError, match="is not possible in air"):
        apply_quality(dataset)


def test_the_message_of_a_mix_up_guesses_its_factor() -> None:
    with pytest.raises(UnitError, match="as if ×1000"):
        apply_quality(series([v * 1e3 for v in calm()]))


def test_a_few_high_rows_are_a_plume_and_no_wrong_unit() -> None:
    assert flags_of(apply_quality(series([7.0, 8.0, 9.0]))) == [Flag.GOOD] * 3


def test_a_gas_without_limits_is_refused_and_limits_can_be_set() -> None:
    dataset = series(calm())
    dataset.attrs["species"] = "n2o"
    with pytest.raises(UsageError, match="no plausible range is set for 'n2o'"):
        apply_quality(dataset)
    tight = replace(QualitySettings().ch4, plausible_high_ppm=2.0)
    made = apply_quality(series(calm()), QualitySettings(ch4=tight))
    assert 0 < flags_of(made).count(Flag.BAD) < 40


MANUAL = """instrument,start,end,flag,who,when,why
EXA,2023-06-01T03:00:00Z,2023-06-01T05:00:00Z,bad,A. Person,2023-06-02,pump replaced
EXA-99m,2023-06-01T00:00:00Z,2023-06-02T00:00:00Z,bad,A. Person,2023-06-02,another inlet
*,2023-06-01T10:30:00Z,2023-06-01T10:45:00Z,suspect,A. Person,2023-06-02,lightning
"""


def test_peoples_judgements_apply_to_their_station_and_interval() -> None:
    made = apply_quality(series(calm()), manual=parse_manual_flags(MANUAL))
    flagged = {i: flag for i, flag in enumerate(flags_of(made)) if flag not in USABLE}
    assert flagged == {3: Flag.BAD, 4: Flag.BAD, 10: Flag.SUSPECT}
    assert made["flag_reason"].values[3] == Reason.MANUAL


def test_manual_flags_say_who_and_why() -> None:
    first = parse_manual_flags(MANUAL)[0]
    interval = Interval.parse("2023-06-01T03:00", "2023-06-01T05:00")
    assert first == ManualFlag("EXA", interval, Flag.BAD, "A. Person", "2023-06-02", "pump replaced")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("instrument,", "device,"),
        (",bad,A. Person", ",terrible,A. Person"),
        ("A. Person,2023-06-02,pump replaced", ",2023-06-02,pump replaced"),
        (",2023-06-02,pump replaced", ""),
        ("03:00:00Z", "three"),
        ("2023-06-01T05:00:00Z,bad", "2023-05-01T05:00:00Z,bad"),
    ],
)
def test_a_manual_flag_that_cannot_be_read_is_refused(old: str, new: str) -> None:
    with pytest.raises(SourceFormatError, match="manual flag"):
        parse_manual_flags(MANUAL.replace(old, new, 1))
