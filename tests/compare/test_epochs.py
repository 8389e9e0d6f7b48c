"""Two epochs must be seen in the same months and hours, by the same stations; and the gate says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_worlds import interval, make_world

from monitor.compare.definitions import Statement
from monitor.compare.epochs import compare_epochs
from monitor.domain import Interval

PLAIN = Statement("co2", "1", "territorial", "r", None, False, "gas", None, ())
YEAR = 365


def table(epochs, every_hours=3):
    return make_world(stations=2, every_hours=every_hours, epochs=epochs).problem().table


def statuses(items):
    return {i.item: i.status for i in items}


ALL_EQUAL = dict.fromkeys(("epochs: months", "epochs: hours", "epochs: network"), "equal")
SAME = {"before": interval(0, 20), "after": interval(YEAR + 1, 20)}


def test_the_same_weeks_of_two_years_are_alike():
    assert statuses(compare_epochs(PLAIN, table(SAME), list(SAME.values()))) == ALL_EQUAL


def test_march_is_not_june_unless_the_claim_says_so():
    epochs = {"before": interval(0, 20), "after": interval(92, 20)}
    rows, periods = table(epochs), list(epochs.values())
    (months, *_) = compare_epochs(PLAIN, rows, periods)
    assert months.status == "mismatch"
    assert months.detail == "100% of the observations are others: Mar, Jun not in every epoch"
    declared = replace(PLAIN, adjustments=("months differ: a cut by the season is taken off",))
    assert statuses(compare_epochs(declared, rows, periods))["epochs: months"] == "declared"


def test_a_station_that_came_later_is_another_network_however_short_it_ran():
    rows = table(SAME)
    late = rows.start >= SAME["after"].start64
    few = np.flatnonzero((rows.station == 0) | (late & (np.arange(rows.n) % 12 == 0)))
    found = compare_epochs(PLAIN, rows.select(few), list(SAME.values()))
    assert statuses(found) == ALL_EQUAL | {"epochs: network": "mismatch"}
    assert "S1-50m not in every epoch" in found[2].detail
    declared = replace(PLAIN, adjustments=("the second station was added later",))
    assert statuses(compare_epochs(declared, rows.select(few), list(SAME.values()))) == ALL_EQUAL | {
        "epochs: network": "declared"
    }


@pytest.mark.parametrize("offset", [0.0, 5.5])
def test_afternoons_are_not_whole_days(offset):
    rows = table(SAME, every_hours=1)
    local = (rows.hours + offset) % 24
    kept = np.flatnonzero((rows.start < SAME["after"].start64) | ((local >= 12) & (local < 17)))
    found = compare_epochs(PLAIN, rows.select(kept), list(SAME.values()), offset)
    assert statuses(found) == ALL_EQUAL | {"epochs: hours": "mismatch"}
    lost = [f"{h:02d} h" for h in range(24) if not 12 <= h < 17]
    assert found[1].detail.endswith(f"{', '.join(lost)} not in every epoch")


def test_a_few_days_of_gap_are_no_other_epoch():
    rows = table(SAME)
    gap = Interval.parse("2023-03-05", "2023-03-07")
    kept = np.flatnonzero((rows.start < gap.start64) | (rows.start >= gap.end64))
    assert statuses(compare_epochs(PLAIN, rows.select(kept), list(SAME.values()))) == ALL_EQUAL


def test_of_many_epochs_the_two_that_differ_most_count():
    epochs = {"before": SAME["before"], "odd": interval(200, 20), "after": SAME["after"]}
    found = statuses(compare_epochs(PLAIN, table(epochs), list(epochs.values())))
    assert found == ALL_EQUAL | {"epochs: months": "mismatch"}
