"""Looks at a claim: published boundaries, and a Brownian motion that nobody may find to be a trend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from monitor.compare.looks import ALPHA, ONCE, WIDEST_Z, plan, spent
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


def rates(rule: str, n: int, information: np.ndarray, draws: int = 20_000) -> float:
    """Share of null Brownian motions that leave the boundaries at any of `n` evenly declared looks."""
    z = np.array([look.z for look in plan(rule, np.arange(1, n + 1) / n)])
    steps = np.sqrt(np.diff(information, prepend=0.0))
    rng = np.random.default_rng(4)
    out = 0
    for _ in range(draws // 1000):
        path = np.cumsum(rng.standard_normal((1000, n)) * steps, axis=1) / np.sqrt(information)
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


# The declared fractions are those of the calendar. An error that more data do not lessen (of transport, of an
# earlier epoch) makes the looks more alike, a lucky beginning too: both err on the safe side.
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("path", [lambda t: t / (t + 0.3), np.sqrt], ids=["shared error", "early"])
def test_information_that_comes_early_makes_no_error_more_likely(rule, path):
    assert rates(rule, 60, path(np.arange(1, 61) / 60)) <= ALPHA


def test_information_that_comes_late_costs_what_the_page_says():
    late = (np.arange(1, 61) / 60) ** 2  # a quarter of it in the first half of the time
    assert rates("obrien-fleming", 60, late) == pytest.approx(0.065, abs=0.0055)
    assert rates("pocock", 60, late) == pytest.approx(0.072, abs=0.0055)
    assert rates("bonferroni", 60, late) <= ALPHA


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
