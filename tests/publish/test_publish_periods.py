"""Periods stand on the page by their dates, never by the key of a file."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Tree, plain
from report_inputs import ledger_row, posterior, report_input

from monitor.domain import Interval
from monitor.publish import write_report
from monitor.publish.periods import name_of, names_of_epochs, period_name

DAYS = {
    "base": ["2023-03-01T00:00:00Z", "2023-03-13T00:00:00Z"],
    "target": ["2023-09-01T00:00:00Z", "2023-12-01T00:00:00Z"],
}


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        ("2019-01-01", "2020-01-01", "2019"),
        ("2019-01-01", "2022-01-01", "2019 to 2021"),
        ("2023-09-01", "2023-10-01", "Sep 2023"),
        ("2023-09-01", "2023-12-01", "Sep to Nov 2023"),
        ("2022-12-01", "2023-03-01", "Dec 2022 to Feb 2023"),
        ("2023-03-01", "2023-03-13", "1 to 12 Mar 2023"),
        ("2020-01-06", "2020-01-07", "6 Jan 2020"),
        ("2023-01-28", "2023-02-04", "28 Jan to 3 Feb 2023"),
        ("2022-12-28", "2023-01-04", "28 Dec 2022 to 3 Jan 2023"),
        ("2023-01-28T06:00", "2023-01-29T12:00", "28 Jan 2023 06:00 to 29 Jan 2023 12:00"),
    ],
)
def test_a_period_is_named_by_its_dates_as_short_as_can_be(start, end, name):
    assert period_name(Interval.parse(start, end)) == name


@given(st.integers(0, 20_000), st.integers(1, 1500))
def test_a_name_of_days_says_both_ends(first, days):
    start = datetime(1990, 1, 1) + timedelta(days=first)
    name = period_name(Interval(start, start + timedelta(days=days)))
    last = start + timedelta(days=days - 1)
    assert str(last.year) in name
    assert start.year == last.year or str(start.year) in name
    ends = name.split(" to ")
    assert len(ends) <= 2 and (len(ends) == 2 or days == 1 or ends[0][0].isalpha() or ends[0].isdigit())


@pytest.mark.parametrize("ends", [None, [], ["x", "y"], ["2023-01-01"], "2023", ["2023-02-01", "2023-01-01"]])
def test_what_is_no_period_has_no_name(ends):
    assert name_of(ends) == ""


@pytest.mark.parametrize("stated", [None, "{", "[]", "{}", '{"epochs": {"a": 1}}', 7])
def test_a_posterior_that_says_no_dates_names_no_epoch(stated):
    assert names_of_epochs({"configuration": stated}) == {}


def test_no_key_of_a_period_is_on_the_page(tmp_path):
    dataset = posterior("co2", days=4)
    keys = dict(zip(dataset["epoch"].values, DAYS, strict=True))
    dataset = dataset.assign_coords(
        epoch=[keys[e] for e in dataset["epoch"].values],
        total_epoch=("total", [keys[e] for e in dataset["total_epoch"].values]),
    ).assign_attrs(configuration=json.dumps({"epochs": DAYS}))
    row = ledger_row("*", 1.41e7, 1.22e7, "none-seen", period="target", interval=DAYS["target"])
    report = report_input(posteriors={"co2": dataset}, ledgers=[row], verdicts={}, days=4)
    tree = Tree(write_report(report, tmp_path / "out").html.read_text("utf-8")).root
    shown = [plain(n.text) for n in tree.all() if n.tag in ("td", "figcaption", "p", "th")]
    assert any("1 to 12 Mar 2023" in text for text in shown)
    assert "Change, Sep to Nov 2023 minus 1 to 12 Mar 2023" in shown
    assert not [text for text in shown if re.search(r"\b(base|target)\b", text) and "epochs" not in text]
