"""Looks at a claim: published boundaries, and a Brownian motion that nobody may find to be a trend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from monitor.compare.looks import ALPHA, ONCE, WIDEST_Z, plan, plan_apart, spent
from monitor.compare.statistics import gaussian
from monitor.compare.verdict import SUPPORTED, change_answer
from monitor.errors import UsageError

RULES = ("obrien-fleming", "pocock", "bonferroni")


# Tables of R's ldbounds and of Reboussin et al. 2000 (Control. Clin. Trials 21, 190): five looks, 0.05
@pytest.mark.parametrize(
    ("rule", "published"),
    [
        ("obrien-fleming", (4.877, 3.357, 2.680, 2.290, 2.031)),
        ("pocock", (2.438, 2.427, 2.410, 2.397, 2.386)),
    ],
)
def test_five_equal_looks_have_the_published_boundaries(rule, published):
    looks = plan(rule, [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose([look.z for look in looks], published, atol=6e-4)
    assert [(look.number, look.of) for look in looks] == [(k, 5) for k in range(1, 6)]


def test_two_unequal_looks_spend_what_a_bivariate_normal_says():
    first, second = plan("pocock", [0.3, 1.0])
    assert 2 * norm.sf(first.z) == pytest.approx(spent("pocock", 0.3), rel=1e-8)
    both = multivariate_normal(cov=[[1, np.sqrt(0.3)], [np.sqrt(0.3), 1]])
    stays = quad(
        lambda x: norm.pdf(x) * np.diff(norm.cdf([-second.z, second.z], np.sqrt(0.3) * x, np.sqrt(0.7)))[0],
        -first.z,
        first.z,
    )[0]
    assert 1 - stays == pytest.approx(ALPHA, rel=1e-7)
    box = both.cdf([first.z, second.z], lower_limit=[-first.z, -second.z])
    assert 1 - box == pytest.approx(ALPHA, abs=1e-4)  # scipy integrates the box to about 1e-5


def rates(rule: str, n: int, information: np.ndarray, known=None, drift=0.0, draws: int = 20_000) -> float:
    """Share of Brownian motions that leave the boundaries at any of `n` evenly declared looks.

    The boundaries are those of looks that gathered `known`, by the calendar if absent; `drift` is the mean
    of Z at the last look.
    """
    z = np.array([look.z for look in plan(rule, np.arange(1, n + 1) / n, known)])
    means = drift * np.sqrt(information / information[-1])
    steps = np.sqrt(np.diff(information, prepend=0.0))
    rng = np.random.default_rng(4)
    out = 0
    for _ in range(draws // 1000):
        path = np.cumsum(rng.standard_normal((1000, n)) * steps, axis=1) / np.sqrt(information) + means
        out += int((np.abs(path) > z).any(axis=1).sum())
    return out / draws


# 20,000 draws: 0.05 ± 0.0015 (1σ)
@pytest.mark.parametrize("rule", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("n", [7, 90])
def test_daily_looks_together_err_once_in_twenty(rule, n):
    assert rates(rule, n, np.arange(1, n + 1) / n) == pytest.approx(ALPHA, abs=0.0055)


def test_a_look_a_day_at_95_per_cent_would_err_far_more_often():
    n, draws = 90, 5_000
    walk = np.cumsum(np.random.default_rng(5).standard_normal((draws, n)), axis=1)
    often = (np.abs(walk / np.sqrt(np.arange(1, n + 1))) > ONCE.z).any(axis=1).mean()
    assert often > 0.35


@pytest.mark.parametrize("rule", ["obrien-fleming", "pocock"])
def test_a_false_claim_watched_every_day_is_supported_as_seldom_as_one_judged_once(rule):
    """A cut of exactly the margin, 12.5 %, claimed as 25 %: one side of the interval may err, in 2.5 %."""
    days, draws, sigma = 60, 1000, 0.06
    levels = [look.level for look in plan(rule, np.arange(1, days + 1) / days)]
    walks = np.cumsum(np.random.default_rng(7).standard_normal((draws, days)), axis=1)
    at_last = sigma * np.sqrt(days)  # 1σ after k days is that of the last over √(k / days)
    supported = 0
    for walk in walks:
        day = np.arange(1, days + 1)
        estimates = -0.125 + at_last * walk / day
        supported += any(
            change_answer(gaussian(float(e), float(at_last / np.sqrt(k)), level), -0.25, 0.125) == SUPPORTED
            for e, k, level in zip(estimates, day, levels, strict=True)
        )
    assert supported / draws <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / draws)
    assert supported / draws > 0.005


# An error that more data do not lessen (of transport, of an earlier epoch) makes the looks more alike than
# their information says, a lucky beginning that is not counted too: both err on the safe side.
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("path", [lambda t: t / (t + 0.3), np.sqrt], ids=["shared error", "early"])
def test_information_that_comes_early_makes_no_error_more_likely(rule, path):
    assert rates(rule, 60, path(np.arange(1, 61) / 60)) <= ALPHA


def late(t):
    """A tenth as dense in the first half of the time as in the second."""
    return np.where(t < 0.5, 0.1 * t, 0.05 + 1.9 * (t - 0.5))


@pytest.mark.parametrize("rule", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("path", [lambda t: t**2, lambda t: t**3, late], ids=["square", "cube", "a gap"])
def test_information_that_comes_late_makes_no_error_more_likely_where_it_is_counted(rule, path):
    gathered = path(np.arange(1, 61) / 60)
    assert rates(rule, 60, gathered, gathered) == pytest.approx(ALPHA, abs=0.0055)
    assert rates(rule, 60, gathered) > 0.062  # by the calendar alone


def test_what_counting_late_information_costs_is_what_the_page_says():
    """Of an effect that a single look finds in 85 of 100 cases (Z = 3)."""
    t = np.arange(1, 61) / 60
    power = {rule: [rates(rule, 60, path, path, drift=3.0) for path in (t, t**2)] for rule in RULES[:2]}
    assert power["obrien-fleming"] == pytest.approx([0.83, 0.81], abs=0.01)
    assert power["pocock"] == pytest.approx([0.75, 0.69], abs=0.01)


def test_observations_that_come_in_after_each_look_cost_what_the_page_says():
    """At each of five looks half of the newest interval was missing, and nobody remembers."""
    known = (np.arange(1, 6) - 0.5) / 5
    assert rates("obrien-fleming", 5, known, draws=100_000) == pytest.approx(0.051, abs=0.002)
    assert rates("pocock", 5, known, draws=100_000) == pytest.approx(0.054, abs=0.002)


@pytest.mark.parametrize("rule", ["obrien-fleming", "pocock"])
def test_a_look_that_knows_nothing_leaves_its_error_to_the_next(rule):
    first, second, last = plan(rule, [0.3, 0.6, 1.0], [0.0, 1.0, 3.0])
    assert first.z == WIDEST_Z
    assert 2 * norm.sf(second.z) == pytest.approx(spent(rule, 0.6), rel=1e-8)
    assert [look.z for look in plan(rule, [0.3, 0.6, 1.0], [0.0, 1.0])] == [first.z, second.z]
    assert last.z > ONCE.z


def test_a_look_that_knows_no_more_than_the_last_spends_what_is_left_on_the_same_answer():
    """Z is the same at both: together they err when it passes the narrower boundary."""
    first, last = plan("pocock", [0.5, 1.0], [1.0, 1.0])
    assert ONCE.z - 1e-6 <= last.z < ONCE.z + 0.02 < first.z


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=7))
def test_what_looks_spend_never_exceeds_the_error_however_information_comes(steps):
    gathered = np.cumsum(steps)
    times = np.arange(1, len(steps) + 1) / len(steps)
    for look in plan("obrien-fleming", times, gathered):
        assert 2 * norm.sf(look.z) <= spent("obrien-fleming", look.time) * (1 + 1e-6)


def test_information_that_descends_is_refused():
    with pytest.raises(UsageError, match="must not descend"):
        plan("pocock", [0.5, 1.0], [2.0, 1.0])


@pytest.mark.parametrize("rule", RULES)
def test_looks_of_unknown_dependence_share_the_error_as_a_sum(rule):
    looks = plan_apart(rule, [0.2, 0.5, 1.0])
    assert sum(1 - look.level for look in looks) == pytest.approx(ALPHA)
    assert all(
        look.z >= known.z - 1e-9 for look, known in zip(looks, plan(rule, [0.2, 0.5, 1.0]), strict=True)
    )


def test_evenly_split_looks_hold_however_they_depend():
    looks = plan("bonferroni", [0.1, 0.5, 1.0])
    assert sum(1 - look.level for look in looks) == pytest.approx(ALPHA)
    assert len({look.z for look in looks}) == 1


@given(
    st.sampled_from(RULES),
    st.lists(st.floats(0.02, 1.0), min_size=1, max_size=8, unique_by=lambda t: round(t, 2)),
)
def test_a_look_is_never_narrower_than_one_look_alone(rule, fractions):
    looks = plan(rule, [*sorted(t for t in fractions if t < 0.99), 1.0])
    assert all(ONCE.z - 1e-6 <= look.z <= WIDEST_Z for look in looks)
    assert all(0.95 - 1e-7 <= look.level < 1 for look in looks)


@pytest.mark.parametrize("rule", RULES)
def test_one_look_is_an_interval_of_95_per_cent(rule):
    (look,) = plan(rule, [1.0])
    assert look.z == pytest.approx(ONCE.z) and look.level == pytest.approx(0.95)


@pytest.mark.parametrize("fractions", [[], [0.5], [0.5, 0.5, 1.0], [0.0, 1.0], [1.0, 0.5]])
def test_looks_that_do_not_ascend_to_the_end_are_refused(fractions):
    with pytest.raises(UsageError, match="ascend to the whole"):
        plan("pocock", fractions)
