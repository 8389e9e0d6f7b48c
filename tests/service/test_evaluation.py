"""When a verdict counts: on declared dates, at the level that the rule grants, and never in between."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_analysis import CHANGE, EPOCHS, LEVEL, SOURCE, city, claims

from monitor.compare.looks import plan
from monitor.domain import Interval, iso_z
from monitor.errors import UsageError
from monitor.service.evaluation import (
    cut_epochs,
    elapsed_at_looks,
    evaluation_of,
    family_of,
    family_text,
    look_dates,
    with_information,
)

CITY = city()
TARGET = EPOCHS["target"]


def claim(base=CHANGE, **changes):
    return claims(base | changes).claim[0]


def until(day: str) -> Interval:
    return Interval.parse("2023-03-01", day)


def test_a_claim_without_dates_is_final_for_whoever_looks_once():
    found = evaluation_of(claim(), CITY, until("2023-04-20"), None)
    assert (found.status, found.level, found.following) == ("undeclared", 0.95, None)


def test_one_date_is_an_interval_of_95_per_cent_on_it_and_a_preview_before_and_after():
    dated = claim(evaluate_on=["2023-05-01"])
    days = {"2023-04-30": "preview", "2023-05-01": "final", "2023-05-02": "preview"}
    for day, status in days.items():
        found = evaluation_of(dated, CITY, until(day), date.fromisoformat(day))
        assert (found.status, found.level) == (status, 0.95), day
    assert evaluation_of(dated, CITY, until("2023-04-29"), None).following == date(2023, 5, 1)


def test_data_that_end_with_the_period_serve_the_first_date_after_it():
    """No more data of April will come: what ends on the 20th is what 1 May will see."""
    dated = claim(evaluate_on=["2023-05-01", "2023-06-01"])
    assert evaluation_of(dated, CITY, until("2023-04-20"), None).as_of == date(2023, 5, 1)
    for day in ("2023-04-19", "2023-04-21"):
        assert evaluation_of(dated, CITY, until(day), None).status == "preview"
    assert evaluation_of(dated, CITY, until("2023-05-02"), None).status == "preview"
    assert evaluation_of(dated, CITY, until("2023-06-01"), None).look.number == 2


def test_several_dates_share_the_error_evenly():
    dated = claim(evaluate_on=["2023-05-01", "2024-05-01", "2025-05-01"])
    found = evaluation_of(dated, CITY, until("2024-05-01"), date(2024, 5, 1))
    assert found.level == pytest.approx(1 - 0.05 / 3)
    assert (found.look.number, found.look.of, found.following) == (2, 3, date(2025, 5, 1))


def test_daily_looks_have_the_levels_of_the_declared_rule():
    days = (TARGET.end - TARGET.start).days
    spending = {"rule": "obrien-fleming", "looks": days}
    daily = claim(spending=spending)
    assert look_dates(daily, CITY) == tuple(TARGET.start.date() + timedelta(days=k + 1) for k in range(days))
    looks = plan("obrien-fleming", np.arange(1, days + 1) / days)
    for k in (0, 5, days - 1):
        end = TARGET.start + timedelta(days=k + 1)
        found = evaluation_of(daily, CITY, Interval(TARGET.start, end), None)
        assert found.status == "final"
        assert found.level == pytest.approx(looks[k].level, abs=1e-12)
    assert found.level < 0.97 and found.as_json()["time"] == pytest.approx(1.0)


def test_a_look_is_one_set_of_data_those_that_end_on_its_date():
    """Five looks at twelve days: the data of each day before one would be another draw at its level."""
    five = claim(spending={"rule": "obrien-fleming", "looks": 5})
    dates = look_dates(five, CITY)
    for days in range(1, 12):
        data = Interval(TARGET.start, TARGET.start + timedelta(days=days))
        # looks at 2.4, 4.8, 7.2, 9.6 and 12 days
        for day in (d for d in dates if d >= data.end.date()):
            found = evaluation_of(five, CITY, data, day)
            assert (found.status == "final") == (day == data.end.date()), (days, day)
    whole = evaluation_of(five, CITY, TARGET, dates[-1])
    assert (whole.status, whole.look.number) == ("final", 5)


def test_a_date_that_the_data_do_not_reach_is_a_preview_unless_the_period_is_whole():
    dated = claim(SOURCE, evaluate_on=["2023-05-01", "2023-06-01"])
    for end, day, status in (
        ("2023-04-30", date(2023, 6, 1), "preview"),
        ("2023-04-30", date(2023, 5, 1), "preview"),
        ("2023-05-01", date(2023, 5, 1), "final"),
        ("2023-05-02", date(2023, 6, 1), "preview"),
        ("2023-06-01", date(2023, 6, 1), "final"),
    ):
        assert evaluation_of(dated, CITY, until(end), day).status == status, (end, day)
    of_april = claim(evaluate_on=["2023-05-01", "2023-06-01"])
    assert evaluation_of(of_april, CITY, until("2023-04-20"), date(2023, 6, 1)).status == "final"


def test_late_information_widens_a_look_and_early_information_narrows_none():
    daily = claim(spending={"rule": "pocock", "looks": 12})
    day = TARGET.start + timedelta(days=6)
    found = evaluation_of(daily, CITY, Interval(TARGET.start, day), None)
    elapsed = elapsed_at_looks(found, daily, CITY)
    assert elapsed == [timedelta(days=k) for k in range(1, 7)]
    even, late, early = (
        with_information(found, daily, CITY, [(e / elapsed[-1]) ** power for e in elapsed])
        for power in (1, 3, 0.3)
    )
    assert even.level == pytest.approx(found.level, abs=1e-9) and even.information == pytest.approx(5 / 6)
    assert late.level > found.level + 1e-4 and late.information == pytest.approx((5 / 6) ** 3)
    assert early.level == pytest.approx(found.level, abs=1e-9)
    assert with_information(found, daily, CITY, [0.0] * 6).level > 1 - 1e-9
    assert elapsed_at_looks(found, claim(evaluate_on=["2023-04-14", "2023-05-01"]), CITY) == []


def test_looks_at_a_source_do_not_count_on_how_its_searches_depend():
    """The second search has more windows: its p-values are no Brownian motion."""
    looks = {"rule": "pocock", "looks": ["2023-04-14", "2023-04-20"]}
    period = ["2023-04-08", "2023-04-20"]
    place, total = (claim(base, spending=looks, period=period) for base in (SOURCE, LEVEL))
    data = Interval.parse(*period)
    found = evaluation_of(place, CITY, data, None)
    assert found.level > evaluation_of(total, CITY, data, None).level
    assert elapsed_at_looks(found, place, CITY) == []


@given(st.integers(2, 60), st.integers(0, 400))
def test_a_day_is_final_only_if_it_is_declared(looks, offset):
    daily = claim(spending={"rule": "pocock", "looks": looks})
    day = TARGET.start.date() + timedelta(days=offset)
    found = evaluation_of(daily, CITY, until("2023-04-20"), day)
    assert (found.status == "final") == (day in look_dates(daily, CITY))
    assert found.level >= 0.95 - 1e-9


def test_looks_without_a_period_or_before_it_are_refused():
    with pytest.raises(UsageError, match="looks need a period"):
        look_dates(claim(SOURCE, spending={"rule": "pocock", "looks": 3}), CITY)
    early = claim(spending={"rule": "pocock", "looks": ["2023-04-08", "2023-04-20"]})
    with pytest.raises(UsageError, match="a look comes before its period"):
        look_dates(early, CITY)


def test_epochs_are_cut_only_for_a_claim_that_looks_before_they_end():
    half = until("2023-04-14")
    assert cut_epochs(CITY, [claim()], half) == CITY
    daily = claim(spending={"rule": "pocock", "looks": 12})
    cut = {e.id: e.interval() for e in cut_epochs(CITY, [daily], half).epoch}
    assert cut["target"] == Interval.parse("2023-04-08", "2023-04-14")
    level = claim(LEVEL, spending={"rule": "pocock", "looks": 12})
    alone = {e.id: e.interval() for e in cut_epochs(CITY, [level], half).epoch}
    assert (alone["target"], alone["base"]) == (cut["target"], EPOCHS["base"])


def test_a_change_seen_early_is_measured_from_the_same_part_of_the_earlier_season():
    daily, half = claim(spending={"rule": "pocock", "looks": 12}), until("2023-04-14")
    cut = {e.id: e.interval() for e in cut_epochs(CITY, [daily], half).epoch}
    start = EPOCHS["base"].start
    assert cut["base"] == Interval(start, start + (half.end - EPOCHS["target"].start))
    asked = [iso_z(moment) for moment in (EPOCHS["base"].start, EPOCHS["base"].end)]
    whole = claim(LEVEL, period=asked)
    kept = {e.id: e.interval() for e in cut_epochs(CITY, [daily, whole], half).epoch}
    assert kept == cut | {"base": EPOCHS["base"]}


def test_the_family_of_claims_says_how_often_one_of_them_errs():
    family = family_of(claims(CHANGE, LEVEL | {"evaluate_on": ["2023-05-01"]}, SOURCE), CITY)
    assert family["claims"] == 3 and family["undeclared"] == 2
    assert family["at_most"] == pytest.approx(0.15)
    assert family["if_independent"] == pytest.approx(1 - 0.95**3)
    # against draws: three independent claims, each wrong once in twenty
    wrong = np.random.default_rng(0).random((100_000, 3)) < 0.05
    assert family["if_independent"] == pytest.approx(wrong.any(axis=1).mean(), abs=0.004)
    assert "at most 15%" in family_text(family) and "2 without declared dates" in family_text(family)
    assert family_of(None, CITY)["at_most"] == 0.0 and family_text(family_of(None, CITY)) == ""
