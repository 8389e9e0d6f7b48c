"""Slopes through few totals: textbook regression, dense GLS, simulation, and the anchors of the method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monitor.compare.forms import Trend
from monitor.compare.statistics import detectable_sigmas, gaussian, quantile
from monitor.compare.trends import (
    Planned,
    decimal_years,
    epochs_to_detect,
    realised_line,
    scatter_variance,
    slope_sigma,
    underlying_line,
    weatherhead_years,
    years_each,
)
from monitor.domain import Interval

YEARS = np.arange(6.0)
SEEDS = st.integers(0, 1000)


def some_covariance(seed, k=6, size=1.0):
    a = np.random.default_rng(seed).standard_normal((k, k + 3))
    return size * a @ a.T / (k + 3)


def test_without_a_modelled_error_the_underlying_slope_is_the_textbook_regression():
    totals = 30 - 0.5 * YEARS + np.random.default_rng(1).standard_normal(6)
    expected = stats.linregress(YEARS, totals)
    line = underlying_line(YEARS, totals, np.zeros((6, 6)))
    slope, base = line.weights @ totals
    assert (slope, base) == pytest.approx((expected.slope, expected.intercept))
    assert np.sqrt(np.diagonal(line.covariance)) == pytest.approx(
        [expected.stderr, expected.intercept_stderr]
    )
    found = Trend(tuple(YEARS), relative=False).estimate(totals, np.zeros((6, 6)))
    half = stats.t.ppf(0.975, 4) * expected.stderr
    assert (found.low, found.high) == pytest.approx((slope - half, slope + half))
    assert found.degrees == 4


@given(seed=SEEDS)
def test_the_underlying_slope_is_dense_generalised_least_squares_with_the_scatter(seed):
    rng = np.random.default_rng(seed)
    v = some_covariance(seed)
    totals = 30 - 0.5 * YEARS + 2 * rng.standard_normal(6)
    line = underlying_line(YEARS, totals, v)
    omega = v + line.scatter * np.eye(6)
    x = np.stack([YEARS, np.ones(6)], axis=1)
    spread = np.linalg.inv(x.T @ np.linalg.solve(omega, x))
    np.testing.assert_allclose(line.covariance, spread, rtol=1e-6, atol=1e-9)
    weights = spread @ x.T @ np.linalg.inv(omega)
    np.testing.assert_allclose(line.weights @ totals, weights @ totals, rtol=1e-6, atol=1e-8)
    off = totals - x @ (weights @ totals)
    # no more is left in the residuals than was allowed for, weighted or plain
    assert off @ np.linalg.solve(omega, off) <= 4 + 1e-6
    plain = totals - x @ np.linalg.lstsq(x, totals, rcond=None)[0]
    hat = np.eye(6) - x @ np.linalg.pinv(x)
    assert plain @ plain <= np.trace(hat @ omega) + 1e-6


@given(seed=SEEDS, size=st.floats(0.01, 100))
def test_the_realised_slope_is_a_contrast_of_totals_that_scatter_does_not_widen(seed, size):
    v = some_covariance(seed, size=size)
    totals = 100 * np.random.default_rng(seed).standard_normal(6)
    line = realised_line(YEARS, v)
    assert line.weights[0] @ totals == pytest.approx(np.polyfit(YEARS, totals, 1)[0])
    found = Trend(tuple(YEARS), "realised", relative=False).estimate(totals, v)
    weights = (YEARS - 2.5) / np.sum((YEARS - 2.5) ** 2)
    assert found.sigma == pytest.approx(np.sqrt(weights @ v @ weights))
    assert found.degrees == np.inf and found == gaussian(found.value, found.sigma)


@pytest.mark.parametrize(("scatter", "low"), [(0.0, 0.945), (1.0, 0.93), (2.0, 0.94)])
def test_underlying_intervals_cover_whether_years_scatter_or_not(scatter, low):
    """4,000 series of six years, uneven correlated errors; 95 % ± 1 % (3σ) where scatter rules.

    Where it is as large as the modelled error the residuals sometimes show too little of it: 1 % is lost.
    """
    rng = np.random.default_rng(3)
    v = some_covariance(7)
    half = np.linalg.cholesky(v)
    truth = 30 - 0.5 * YEARS
    held = []
    for _ in range(4000):
        totals = truth + half @ rng.standard_normal(6) + scatter * rng.standard_normal(6)
        found = Trend(tuple(YEARS), relative=False).estimate(totals, v)
        held.append(found.low <= -0.5 <= found.high)
    assert np.mean(held) > low


@pytest.mark.parametrize("reading", ["realised", "underlying"])
def test_a_relative_slope_is_fiellers_ratio_of_slope_and_base(reading):
    """15 % of uncertainty in the base: 5,000 series; the interval holds −2 % per year in 95 ± 0.9 % (3σ).

    Student's t where nothing scatters is wider than needed.
    """
    rng = np.random.default_rng(5)
    v = 4.0 * np.eye(6) + 16.0
    half = np.linalg.cholesky(v)
    truth = 30 * (1 - 0.02 * YEARS)
    form = Trend(tuple(YEARS), reading)
    found = [form.estimate(truth + half @ rng.standard_normal(6), v) for _ in range(5000)]
    held = np.mean([f.low <= -0.02 <= f.high for f in found])
    assert 0.941 < held < (0.959 if reading == "realised" else 1.0)
    assert np.median([f.value for f in found]) == pytest.approx(-0.02, abs=0.002)


def test_six_annual_points_of_paris():
    """−2 ± 0.6 % per year: z is 3.3, but with four degrees of freedom p is 0.03."""
    z = 2 / 0.6
    assert z == pytest.approx(3.3, abs=0.05)
    assert 2 * stats.norm.sf(z) < 0.001
    assert 2 * stats.t.sf(z, 6 - 2) == pytest.approx(0.03, abs=0.002)
    found = gaussian(-0.02, 0.006, degrees=4.0)
    assert found.high < 0 < gaussian(-0.02, 0.006, 0.98, 4.0).high


@pytest.mark.parametrize("degrees", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_power_of_a_detectable_trend_is_80_per_cent(degrees, level):
    """Monte Carlo of Student's t with the noncentrality found: 200,000 draws, ± 0.2 % (2σ)."""
    rng = np.random.default_rng(0)
    shift = detectable_sigmas(level, degrees)
    drawn = (rng.standard_normal(200_000) + shift) / np.sqrt(rng.chisquare(degrees, 200_000) / degrees)
    assert np.mean(drawn > quantile(level, degrees)) == pytest.approx(0.8, abs=0.004)
    assert shift > detectable_sigmas(level)


def test_many_years_detect_like_a_known_variance():
    assert detectable_sigmas(0.95, 500.0) == pytest.approx(2.8016, abs=0.02)


@given(sigma=st.floats(0.5, 3), lag1=st.floats(0, 0.6), slope=st.floats(0.2, 0.5))
def test_weatherheads_formula_is_the_generalised_slope_of_monthly_values(sigma, lag1, slope):
    """At the number of years it gives, the GLS slope of AR(1) months has |ω| / 2.8 as its σ."""
    years = weatherhead_years(sigma, slope, lag1)
    months = int(np.ceil(12 * years))
    gap = np.abs(np.subtract.outer(np.arange(months), np.arange(months)))
    found = slope_sigma(1 / 12, months, sigma**2 * lag1**gap)
    # the formula is the limit of many months: the ends count a little more
    assert detectable_sigmas() * found == pytest.approx(slope, rel=0.12)


def test_weatherheads_formula_is_too_short_on_annual_values_by_the_cube_root_of_twelve():
    years = weatherhead_years(1.0, 0.05, 0.0)
    count = int(np.ceil(12 ** (1 / 3) * years))
    assert detectable_sigmas() * slope_sigma(1.0, count, np.eye(count)) == pytest.approx(0.05, rel=0.05)
    assert weatherhead_years(1.0, 0.05, 0.0, power=0.9) / years == pytest.approx(
        (3.2415 / 2.8016) ** (2 / 3), rel=1e-3
    )


def test_two_epochs_that_are_known_to_6_7_per_cent_need_seven_years_each_to_see_10_per_cent():
    sigma = 0.067 * np.sqrt(2)  # of the change
    needed = years_each(1.0, detectable_sigmas() * sigma, 0.0, -0.10)
    assert needed == pytest.approx(7.0, abs=0.1)
    assert years_each(1.0, detectable_sigmas() * sigma, 0.11, -0.10) is None  # a bias does not shrink


@given(variance=st.floats(0.01, 10), shared=st.floats(0, 0.9), slope=st.floats(0.05, 2))
def test_the_epochs_needed_are_the_first_whose_detectable_slope_is_small_enough(variance, shared, slope):
    planned = Planned(1.0, variance, shared)
    found = epochs_to_detect(planned, -slope, "underlying")

    def detectable(count):
        v = variance * ((1 - shared) * np.eye(count) + shared)
        return detectable_sigmas(0.95, count - 2.0) * slope_sigma(1.0, count, v)

    if found is None:
        assert detectable(200) > slope
    else:
        assert detectable(found) <= slope * (1 + 1e-9)
        assert found == 3 or detectable(found - 1) > slope * (1 - 1e-9)


def test_a_plan_like_the_epochs_at_hand_has_their_mean_variance_and_correlation():
    v = 3.0 * (0.6 * np.eye(6) + 0.4)
    planned = Planned.like(YEARS, v, 0.1)
    assert (planned.step_years, planned.variance, planned.correlation) == pytest.approx((1.0, 3.0, 0.4))
    assert planned.sigma(6) == pytest.approx(np.hypot(slope_sigma(1.0, 6, v), 0.1))


def test_scatter_is_found_on_average():
    rng = np.random.default_rng(2)
    v = 0.5 * np.eye(8)
    years = np.arange(8.0)
    found = [scatter_variance(years, np.sqrt(0.5 + 2.0) * rng.standard_normal(8), v) for _ in range(3000)]
    assert np.mean(found) == pytest.approx(2.0, rel=0.06)


def test_years_are_counted_from_the_middle_of_the_first_epoch():
    epochs = [Interval.parse(f"{y}-01-01", f"{y + 1}-01-01") for y in (2016, 2017, 2018)]
    assert decimal_years(epochs) == pytest.approx([0, 1, 2], abs=0.002)
