"""Bins tile the local day, runs do not cross gaps, and sums over windows are plain sums over their bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.compare.kernels import run_crossings, run_maxima
from monitor.compare.windows import TimeBins, Windows, bin_runs
from monitor.errors import InputError

#: A Monday.
MONDAY = np.datetime64("2023-05-01T00:00:00", "s")
HOUR = np.timedelta64(3600, "s")


def weeks(count: int, hours: float = 12.0, offset: float = 0.0) -> TimeBins:
    end = MONDAY + count * 7 * 24 * HOUR
    shift = np.timedelta64(round(offset * 3600), "s")
    return TimeBins.covering([(MONDAY - shift, end - shift)], hours, offset)


def test_runs_are_all_stretches_of_consecutive_bins():
    found = {tuple(w) for w in bin_runs(6, 2, 4)}
    assert found == {(a, b) for a in range(6) for b in range(a + 2, min(a + 4, 6) + 1)}
    assert bin_runs(2, 3, 28).shape == (0, 2)


@given(hours=st.sampled_from([1.0, 3.0, 7.0, 12.0, 24.0, 72.0]), offset=st.sampled_from([-5.0, 0.0, 5.5]))
def test_every_moment_of_the_period_is_in_the_one_bin_that_holds_it(hours, offset):
    bins = weeks(2, hours, offset)
    moments = np.arange(bins.start[0], bins.end[-1], np.timedelta64(977, "s"))
    at = bins.index(moments)
    assert (bins.start[at] <= moments).all() and (moments < bins.end[at]).all()
    assert (bins.end[:-1] == bins.start[1:]).all()
    if bins.parts_a_day:  # they are counted from the local midnight
        local = bins.start + np.timedelta64(round(offset * 3600), "s")
        assert (
            (local - local.astype("datetime64[D]"))[bins.part_of_day == 0] == np.timedelta64(0, "s")
        ).all()


def test_a_run_does_not_cross_a_gap_and_a_moment_in_it_is_an_error():
    day = 24 * HOUR
    bins = TimeBins.covering([(MONDAY, MONDAY + 3 * day), (MONDAY + 10 * day, MONDAY + 12 * day)], 24.0)
    assert bins.size == 5
    assert {tuple(r) for r in bins.runs(2, 9)} == {(0, 2), (1, 3), (0, 3), (3, 5)}
    with pytest.raises(InputError, match="none of the bins"):
        bins.index(np.array([MONDAY + 5 * day]))


def test_half_days_of_a_month_are_about_1800_runs():
    bins = weeks(4)
    assert bins.size == 56 and bins.runs(0.5, 28).shape[0] == 56 * 57 // 2


def test_recurring_sets_are_weekdays_and_parts_of_the_day():
    masks, names = weeks(3).recurring()
    found = dict(zip(names, masks, strict=True))
    assert len(names) == 29  # (7 weekdays, workdays, weekends) × 3, and two halves of every day
    bins = weeks(3)
    np.testing.assert_array_equal(found["every Tuesday"], bins.weekday == 1)
    np.testing.assert_array_equal(
        found["every weekend, 12-00 h"], (bins.weekday >= 5) & (bins.part_of_day == 1)
    )
    assert found["every Tuesday"].sum() == 6
    assert not any(mask.all() for mask in masks)


def test_what_comes_once_does_not_recur():
    names = weeks(1, 24.0).recurring()[1]
    assert names == ()
    assert weeks(2, 48.0).parts_a_day == 0


@given(seed=st.integers(0, 1000), bins=st.integers(1, 6))
def test_sums_over_windows_are_sums_over_their_bins(seed, bins):
    rng = np.random.default_rng(seed)
    square = rng.normal(size=(2, bins, bins))
    gram = square @ square.transpose(0, 2, 1) + 0.1 * np.eye(bins)
    scores = rng.normal(size=(bins, 4))
    recurring = np.ones((1, bins), dtype=bool)
    recurring[0, rng.integers(bins)] = bins == 1
    windows = Windows(bins, bin_runs(bins, 1, bins), recurring, ("most",))
    sums = [scores[inside].sum(axis=0) for inside in windows.inside]
    norms = [[g[np.ix_(inside, inside)].sum() for inside in windows.inside] for g in gram]
    np.testing.assert_allclose(windows.totals(scores), sums, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(windows.both(gram), norms, rtol=1e-9, atol=1e-11)
    for inside, (first, last) in zip(windows.inside, windows.spans, strict=True):
        assert (first, last) == (np.flatnonzero(inside)[0], np.flatnonzero(inside)[-1] + 1)
    # the kernel takes the runs only
    runs = windows.runs.shape[0]
    running = np.vstack([np.zeros(4), scores.cumsum(axis=0)])
    scale = 1.0 / np.sqrt(norms[0][:runs])
    best = np.full(4, -np.inf)
    run_maxima(running, windows.runs[:, 0], windows.runs[:, 1], scale, best)
    np.testing.assert_allclose(
        best, (np.array(sums)[:runs] * scale[:, None]).max(axis=0), rtol=1e-9, atol=1e-11
    )


def test_a_source_crosses_the_threshold_in_the_window_that_needs_least():
    running = np.array([[0.0, 0.0], [1.0, -1.0], [1.0, 3.0]])
    starts, ends = np.array([0, 1]), np.array([1, 2])
    least = np.full(2, np.inf)
    run_crossings(running, starts, ends, np.array([1.0, 0.5]), np.array([1.0, 0.5]), 3.0, least)
    np.testing.assert_allclose(least, [2.0, 2.0])  # 3 − 1 of the first run; (3 − 2) / 0.5 of the second
