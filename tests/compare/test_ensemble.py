"""How members are pooled, what each choice does, and which choice turns an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_worlds import interval, make_world

from monitor.compare.ensemble import (
    Choices,
    estimate_at,
    least_favourable,
    pool_choices,
    pooled_at_each,
    pooled_responses,
    shared,
    variants_of,
    with_background,
    with_mismatch_scale,
)
from monitor.compare.estimator import Answer, Variant
from monitor.compare.forms import Change, Level, Share, Trend
from monitor.compare.statistics import Estimate, gaussian, pool
from monitor.compare.verdict import Evidence, Member, flips_of, flips_text, weigh
from monitor.errors import InputError
from monitor.inversion import solve
from monitor.inversion.assumptions import Background, TransportScale


def member(pattern, choice, totals=(1.0,)):
    totals = np.array(totals)
    return Answer(f"{pattern}, {choice}", totals, 0.01 * np.eye(totals.size), {}, False, pattern, choice)


def ensemble(values, sigma=0.1):
    """Members of {choice: {pattern: value}} with one σ."""
    answers = [member(p, c) for c, row in values.items() for p in row]
    return answers, [gaussian(v, sigma) for row in values.values() for v in row.values()]


@given(values=st.lists(st.floats(-5, 5), min_size=4, max_size=4), sigma=st.floats(0.1, 2))
def test_maps_times_one_choice_are_pooled_by_the_law_of_total_variance(values, sigma):
    a, b, c, d = values
    answers, estimates = ensemble({"main": {"one": a, "two": b}, "length": {"one": c, "two": d}}, sigma)
    found, plain = pool_choices(answers, estimates), pool(estimates)
    assert found.estimate.value == pytest.approx(plain.value)
    assert found.estimate.sigma == pytest.approx(plain.sigma)
    assert found.within == pytest.approx(sigma)


def test_choices_that_do_nothing_do_not_hide_one_that_does():
    one = pool_choices(*ensemble({"main": {"m": 1.0}, "length": {"m": 2.0}}))
    idle = {f"idle {k}": {"m": 1.0} for k in range(8)}
    many = pool_choices(*ensemble({"main": {"m": 1.0}, "length": {"m": 2.0}, **idle}))
    assert many.between == pytest.approx(one.between) and many.estimate.value == one.estimate.value
    assert many.by_choice == pytest.approx({"length": 0.5} | dict.fromkeys(idle, 0.0), abs=1e-15)


def test_choices_that_do_nothing_do_not_hide_one_that_widens():
    answers = [member("m", "main"), member("m", "scale"), *(member("m", f"idle {k}") for k in range(8))]
    found = pool_choices(answers, [gaussian(1.0, s) for s in (1.0, 2.0, *[1.0] * 8)])
    assert found.within == pytest.approx(np.sqrt((1.0 + 4.0) / 2))
    narrower = pool_choices(answers, [gaussian(1.0, s) for s in (1.0, 0.1, *[1.0] * 8)])
    assert narrower.within == pytest.approx(np.sqrt((9 * 1.0 + 0.01) / 10))


def test_independent_choices_are_pooled_like_all_their_combinations():
    """Two choices with two and three options whose effects add: the mean and variance of the six."""
    length, time = (0.0, 0.4), (0.0, -0.3, 0.5)
    answers = [member("m", "main"), member("m", "length"), member("m", "time"), member("m", "time")]
    found = pool_choices(answers, [gaussian(1 + v, 0.1) for v in (0.0, 0.4, -0.3, 0.5)])
    full = [1 + a + b for a in length for b in time]
    assert found.estimate.value == pytest.approx(np.mean(full))
    assert found.between**2 == pytest.approx(np.var(full))
    assert found.between**2 == pytest.approx(sum(v**2 for v in found.by_choice.values()))


def test_the_responses_are_those_of_the_pooled_estimate_along_the_maps_of_least_and_most():
    """A true change of 1 in a layout moves each member by its response, and their pool by the pooled one."""
    rng = np.random.default_rng(2)
    choices = ("main", "length", "time", "time")
    answers = [member(p, c) for c in choices for p in ("one", "two")]
    responses = rng.uniform(0.6, 1.1, (len(answers), 2))
    answers = [replace(a, responses={"x": r[0], "y": r[1]}) for a, r in zip(answers, responses, strict=True)]
    found = pooled_responses(answers)
    for k, layout in enumerate("xy"):
        moved = []
        for pattern in ("one", "two"):
            mine = [(a, r[k]) for a, r in zip(answers, responses, strict=True) if a.pattern == pattern]
            before, after = (
                pool_choices([a for a, _ in mine], [gaussian(e * r, 0.1) for _, r in mine]) for e in (0, 1)
            )
            moved.append(after.estimate.value - before.estimate.value)
        assert found[layout] == pytest.approx((min(moved), max(moved)))


def test_a_map_that_shows_too_much_is_not_hidden_by_one_that_shows_too_little():
    """0.9 along one map and 2.0 along the other: their mean shows 1.45, and no verdict may stand on it."""
    answers = [replace(member(p, "main"), responses={"x": r}) for p, r in (("one", 0.9), ("two", 2.0))]
    evidence = Evidence(pooled_responses(answers), [], [], 0.95, 500, 0.9, 0.25)
    for answer in ("supported", "contradicted"):
        assert weigh(answer, 0.1, evidence) == ("undecided", ("pattern-dependent",))


def test_variants_that_name_no_choice_are_a_choice_of_their_own():
    answers = [member("m", "main"), member("m", "main")]
    found = pool_choices(answers, [gaussian(1.0, 0.1), gaussian(3.0, 0.1)])
    assert found.by_choice == {"other": 1.0} and found.estimate.value == 2.0


@given(common=st.floats(0, 0.4), epoch=st.floats(0, 0.2), correlation=st.floats(0, 1))
def test_a_shared_error_splits_into_what_is_common_and_what_is_not(common, epoch, correlation):
    totals = np.array([100.0, 75.0, 80.0])
    found = shared(TransportScale(common, epoch), correlation).inflate(totals, np.zeros((3, 3)))
    relative = common**2 * (
        correlation * np.ones((3, 3)) + (1 - correlation) * np.eye(3)
    ) + epoch**2 * np.eye(3)
    np.testing.assert_allclose(found, relative * np.outer(totals, totals), atol=1e-12)


@pytest.mark.parametrize(
    ("form", "totals", "expected"),
    [
        (Change(), (100.0, 75.0), 0.0),
        (Trend((0.0, 1.0, 2.0)), (100.0, 95.0, 90.0), 0.0),
        (Trend((0.0, 1.0, 2.0), relative=False), (100.0, 95.0, 90.0), 0.0),
        # from uptake to release: here the error of the slope is the error of the scale
        (Trend((0.0, 1.0, 2.0), "realised", relative=False), (-100.0, 0.0, 100.0), 0.9),
    ],
)
def test_the_least_favourable_correlation_is_the_one_of_the_widest_interval(form, totals, expected):
    answers = [member("m", "main", totals)]
    transport = TransportScale(common_sd=0.1)
    found = least_favourable(form, answers, transport)
    widths = {c: estimate_at(form, answers[0], transport, c).sigma for c in (0.0, 0.3, 0.6, 0.9)}
    assert found.correlation == expected == max(widths, key=widths.get)
    assert found.estimate.sigma == pytest.approx(max(widths.values()))


@pytest.mark.parametrize(("form", "totals"), [(Level(), (100.0,)), (Share(), (30.0, 70.0))])
def test_a_level_and_a_share_have_no_correlation_between_epochs(form, totals):
    transport = TransportScale(0.1, 0.1)
    found = least_favourable(form, [member("m", "main", totals)], transport)
    assert np.isnan(found.correlation)
    alone = form.estimate(np.array(totals), 0.01 * np.eye(len(totals)))
    if isinstance(form, Share):
        assert found.estimate.value == alone.value
        assert found.estimate.sigma == pytest.approx(alone.sigma)
    else:
        assert found.estimate.sigma == pytest.approx(np.hypot(alone.sigma, np.hypot(10, 10)))


@pytest.mark.parametrize(
    ("form", "totals", "expected"),
    [
        (Level(), (100.0,), 10.0),
        (Change(), (100.0, 75.0), 0.1 * 0.75 * np.sqrt(2)),
        # the part 10 % larger: share 33 / 103 in place of 30 / 100
        (Share(), (30.0, 70.0), 0.1 * 0.3 * 0.7),
    ],
)
def test_the_uncertainty_of_a_declared_adjustment_is_in_the_estimate(form, totals, expected):
    found = replace(member("m", "main", totals), covariance=np.zeros((len(totals), len(totals))))
    estimate = estimate_at(form, found, TransportScale(), 0.0, 0.95, 0.1)
    assert estimate.sigma == pytest.approx(expected)


def test_intervals_of_different_levels_are_not_pooled():
    with pytest.raises(InputError, match=r"intervals of one level.*0\.9"):
        pool([gaussian(1, 1), gaussian(1, 1, 0.9)])


def test_the_level_is_kept_from_member_to_pool():
    (found,) = pooled_at_each(Change(), [member("m", "main", (1.0, 0.8))], TransportScale(), 0.99)
    assert found.estimate.level == 0.99
    assert pool([gaussian(1, 1, 0.99, 4.0), gaussian(2, 1, 0.99, 3.0)]).degrees == 3.0


def said(*verdicts):
    return [Member(name, Estimate(0, 1, -1, 1), verdict, choice) for name, choice, verdict in verdicts]


def test_a_verdict_that_flips_names_the_choice_that_flips_it():
    members = said(
        ("one, main", "main", "supported"),
        ("two, main", "map", "undecided"),
        ("one, longer", "correlation length", "contradicted"),
        ("two, longer", "correlation length and map", "contradicted"),
        ("one, without S0", "station", "undecided"),
    )
    flips = flips_of("supported", members)
    assert [m.name for m in flips] == ["one, longer", "two, longer", "two, main", "one, without S0"]
    assert flips_text(flips) == (
        "Alone, the answer would be contradicted with another correlation length; "
        "undecided with another map or one, without S0."
    )
    assert flips_text(flips_of("supported", members[:1])) == ""


@pytest.fixture(scope="module")
def main():
    world = make_world(1, stations=3, epochs={"a": interval(0, 6), "b": interval(30, 6)})
    return Variant("all hours", solve(world.problem()))


def ratios(variant, main):
    names = [p.name for p in main.posterior.hyperparameters.parameters]
    found = variant.posterior.values / main.posterior.values
    return {n: r for n, r in zip(names, found.tolist(), strict=True) if r != 1}


def test_the_scale_of_the_mismatch_moves_all_of_r_but_the_instrument(main):
    found = ratios(with_mismatch_scale(main, 1.5), main)
    assert found == pytest.approx({"representation": 1.5, "transport fraction": 1.5})


def test_another_background_is_the_covariance_of_a_problem_that_states_it(main):
    problem = main.posterior.problem
    stated = replace(
        make_world(1, stations=3, epochs=problem.epochs),
        assumptions=replace(
            problem.assumptions, background=replace(problem.assumptions.background, per="station")
        ),
    ).problem()
    found = with_background(main, "station").posterior
    np.testing.assert_allclose(
        found.solution.lower @ found.solution.lower.T,
        stated.model.covariance(stated.model.starts),
        rtol=1e-12,
    )
    assert found.problem.assumptions.background.per == "station"
    assert len(found.values) == len(found.problem.model.parameters)


def test_the_default_ensemble_varies_lengths_mismatch_background_and_stations(main):
    found = variants_of(main, Choices())
    assert found[0] is main
    assert {v.choice for v in found} == {
        "main", "correlation length", "mismatch time", "mismatch scale", "inflow time", "background method",
        "station",
    }  # fmt: skip
    assert [v.name for v in found if v.station_out] == ["without S0-50m", "without S1-50m", "without S2-50m"]
    assert Background().per == "network"


def test_one_station_has_no_other_background_and_none_to_leave_out():
    alone = Variant("m", solve(make_world(stations=1).problem()))
    assert {v.choice for v in variants_of(alone, Choices())} == {
        "main", "correlation length", "mismatch time", "mismatch scale", "inflow time",
    }  # fmt: skip
