"""The verdict table of the method row by row, and the reasons that stop a yes or a no."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.compare.statistics import Estimate, gaussian
from monitor.compare.verdict import (
    REASONS,
    Evidence,
    Member,
    Verdict,
    change_answer,
    departs,
    level_answer,
    weigh,
)


def interval(low, high):
    return Estimate((low + high) / 2, (high - low) / 3.92, low, high)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.35, -0.15, "supported"),  # beyond the margin of 12.5 %, and reaches −25 %
        (-0.26, -0.13, "supported"),
        (-0.60, -0.30, "supported"),  # more than claimed is at least as claimed
        (-0.24, -0.13, "contradicted"),  # a real cut, but less than claimed
        (-0.10, 0.10, "contradicted"),
        (0.10, 0.20, "contradicted"),  # a rise
        (-0.30, -0.10, "undecided"),  # reaches the claim, but not surely beyond the margin
        (-0.50, 0.10, "undecided"),
        (-np.inf, np.inf, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_at_least_a_quarter_less(low, high, expected):
    assert change_answer(Estimate(0.0, 1.0, low, high), -0.25, 0.125) == expected


@given(low=st.floats(-1, 1), width=st.floats(0, 1), claimed=st.floats(0.01, 0.9), part=st.floats(0.1, 1))
def test_a_claimed_rise_is_a_claimed_cut_seen_in_the_mirror(low, width, claimed, part):
    one = change_answer(interval(low, low + width), claimed, part * claimed)
    assert one == change_answer(interval(-low - width, -low), -claimed, part * claimed)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (80, 120, "supported"),
        (75, 125, "supported"),
        (130, 160, "contradicted"),
        (10, 70, "contradicted"),
        (70, 120, "undecided"),
        (20, 300, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_a_level_of_a_hundred_within_a_quarter(low, high, expected):
    assert level_answer(Estimate(0.0, 1.0, low, high), 100.0, 0.25) == expected


def test_an_equal_change_is_a_level_of_the_change():
    assert level_answer(interval(-0.28, -0.22), -0.25, 0.25) == "supported"
    assert level_answer(interval(-0.18, -0.10), -0.25, 0.25) == "contradicted"
    assert level_answer(interval(-0.40, -0.22), -0.25, 0.25) == "undecided"


def member(verdict):
    return Member("m", gaussian(0.0, 1.0), verdict)


GOOD = Evidence(
    responses={"uniform": (0.95, 1.0), "core": (1.02, 1.1)},
    model_members=[member("supported")],
    station_members=[member("undecided")],
    loo_coverage=0.95,
    n_observations=200,
    share_from_data=0.9,
    smallest_decidable=0.25,
)


@pytest.mark.parametrize("answer", ["supported", "contradicted"])
def test_a_yes_or_a_no_stands_when_nothing_speaks_against_it(answer):
    evidence = replace(GOOD, model_members=[member(answer), member("undecided")])
    assert weigh(answer, 0.1, evidence) == (answer, ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"responses": {"uniform": (0.79, 1.0), "core": (1.0, 1.0)}}, "pattern-dependent"),
        ({"responses": {"core": (1.3, 1.3), "uniform": (1.0, 1.0)}}, "pattern-dependent"),
        ({"responses": {"core": (0.9, 2.0), "uniform": (1.0, 1.0)}}, "pattern-dependent"),
        ({"responses": {"core": (1.0, 1.0), "uniform": (np.nan, np.nan)}}, "pattern-dependent"),
        ({"model_members": [member("supported"), member("contradicted")]}, "unstable"),
        ({"station_members": [member("contradicted")]}, "unstable"),
        ({"loo_coverage": 0.8}, "poor-fit"),
        ({"share_from_data": 0.49}, "prior-driven"),
        ({"n_observations": 59}, "too-little-data"),
        ({"loo_coverage": float("nan")}, "poor-fit"),
    ],
)
def test_a_yes_does_not_stand(change, reason):
    assert weigh("supported", 0.1, replace(GOOD, **change)) == ("undecided", (reason,))


def test_a_no_does_not_stand_when_the_pattern_could_hide_the_change():
    evidence = replace(GOOD, responses={"core": (0.5, 1.0)}, model_members=[member("contradicted")])
    assert weigh("contradicted", 0.1, evidence) == ("undecided", ("pattern-dependent",))


@pytest.mark.parametrize(
    ("detectable", "change", "reasons"),
    [
        (0.4, {}, ("below-detectable-change",)),
        (0.1, {"share_from_data": 0.3}, ("prior-driven",)),
        (0.1, {"n_observations": 40}, ("too-little-data",)),
        (0.1, {}, ("too-little-data",)),
        (0.4, {"share_from_data": 0.3}, ("below-detectable-change", "prior-driven")),
        (
            0.1,
            {"model_members": [member("supported"), member("contradicted")]},
            ("unstable",),
        ),
    ],
)
def test_undecided_says_why(detectable, change, reasons):
    assert weigh("undecided", detectable, replace(GOOD, **change)) == ("undecided", reasons)


@given(
    answer=st.sampled_from(["supported", "contradicted", "undecided"]),
    response=st.tuples(st.floats(0, 1.5), st.floats(0, 1.5)).map(sorted).map(tuple),
    coverage=st.floats(0.5, 1),
    others=st.lists(st.sampled_from(["supported", "contradicted", "undecided"]), max_size=4),
    detectable=st.floats(0, 1),
    share=st.floats(-1, 1),
    n=st.integers(1, 300),
)
def test_undecided_always_has_known_reasons_and_the_others_never(
    answer, response, coverage, others, detectable, share, n
):
    evidence = Evidence({"x": response}, [member(o) for o in others], [], coverage, n, share, 0.25)
    final, reasons = weigh(answer, detectable, evidence)
    assert set(reasons) <= set(REASONS)
    assert (final == "undecided") == bool(reasons)
    assert final in (answer, "undecided")  # weighing never turns an answer round


def test_a_verdict_is_json_with_null_where_a_number_is_absent_or_unbounded():
    verdict = Verdict(
        "undecided",
        ("too-little-data",),
        {"kind": "change"},
        "1",
        estimate=Estimate(-0.2, 0.1, -np.inf, np.inf),
        bayes_factor=float("nan"),
        responses={"a": (0.9, 1.4), "b": (0.7, 1.0)},
    ).as_json()
    text = json.loads(json.dumps(verdict, allow_nan=False))
    assert text["interval"] == [None, None] and text["sign_confirmed"] is False
    assert text["bayes_factor"] is None and text["response"] == 0.7
    assert text["responses"] == {"a": 0.9, "b": 0.7} and text["responses_most"] == {"a": 1.4, "b": 1.0}
    assert {
        "verdict", "reasons", "estimate", "interval", "level", "unit", "sigma", "sign_confirmed",
        "detectable", "share_from_data", "response",
    } <= set(text)  # fmt: skip
    absent = Verdict("not comparable", ("region: another",), {}, "1").as_json()
    assert absent["estimate"] is None and absent["sign_confirmed"] is None


@pytest.mark.parametrize(
    ("low", "high", "confirmed"), [(-0.3, -0.1, True), (0.1, 0.2, True), (-0.1, 0.2, False)]
)
def test_a_sign_is_confirmed_when_zero_is_outside(low, high, confirmed):
    assert Verdict("x", (), {}, "1", estimate=interval(low, high)).as_json()["sign_confirmed"] is confirmed


def test_a_station_departs_when_its_loss_moves_more_than_it_explains():
    whole, without = gaussian(0.0, 1.0), gaussian(1.0, np.sqrt(2.0))  # they differ by one σ of the difference
    assert not departs(without, whole, 4)
    assert departs(replace(without, value=2.6), whole, 4)  # 2.50 of a σ for one of four at 5 %
    assert not departs(replace(without, value=2.4), whole, 4)
    assert departs(replace(without, value=2.0), whole, 1)  # 1.96 for one alone
    assert departs(gaussian(0.0, float("nan")), whole, 4)


def test_the_difference_from_a_part_of_the_data_has_the_difference_of_their_variances():
    rng = np.random.default_rng(1)
    data = rng.standard_normal((20_000, 8))
    whole, part = data.mean(axis=1), data[:, :6].mean(axis=1)
    assert np.var(part - whole) == pytest.approx(1 / 6 - 1 / 8, rel=0.03)
    found = [
        departs(gaussian(p, np.sqrt(1 / 6)), gaussian(w, np.sqrt(1 / 8)), 1)
        for w, p in zip(whole[:2000], part[:2000], strict=True)
    ]
    assert np.mean(found) == pytest.approx(0.05, abs=0.015)  # three standard errors
