"""Closed forms against simulation, limits and the anchors of the method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from monitor.compare.statistics import (
    DETECTABLE_SIGMAS,
    Estimate,
    Z,
    bayes_factor,
    gaussian,
    pool,
    probability_at_least,
    probability_below,
    probability_within,
    ratio,
    relative_change,
    scaled,
)
from monitor.compare.verdict import CONTRADICTED, SUPPORTED, change_answer, level_answer
from monitor.inversion.assumptions import TransportScale

RNG_SEEDS = st.integers(0, 1000)


def covariance(s1, s2, rho):
    return np.array([[s1**2, rho * s1 * s2], [rho * s1 * s2, s2**2]])


def test_an_interval_of_95_per_cent_and_a_power_of_80_per_cent():
    found = gaussian(2.0, 0.5)
    assert (found.low, found.high) == pytest.approx((2 - 1.959964 * 0.5, 2 + 1.959964 * 0.5))
    assert DETECTABLE_SIGMAS == pytest.approx(2.8016, abs=1e-4)
    # a true effect of that many σ is told from zero four times in five
    assert norm.sf(1.959964 - DETECTABLE_SIGMAS) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(("s1", "s2", "rho"), [(5, 5, 0.0), (15, 10, 0.6), (25, 5, -0.5), (20, 20, 0.9)])
def test_fieller_covers_a_true_ratio_where_the_first_total_is_uncertain(s1, s2, rho):
    """Monte Carlo: 20 000 pairs of totals about 100 and 75; the interval holds −25 % in 95 % of them."""
    rng = np.random.default_rng(0)
    v = covariance(s1, s2, rho)
    draws = np.array([100.0, 75.0]) + rng.standard_normal((20_000, 2)) @ np.linalg.cholesky(v).T
    held = [e.low <= -0.25 <= e.high for e in (relative_change(d, v) for d in draws)]
    # where T₁ is not told from zero the whole line is given, so 2 % of the last but one case hold for certain
    assert 0.944 < np.mean(held) < (0.956 if s1 < 25 else 0.98)


@given(ratio=st.floats(0.2, 3.0), rho=st.floats(-0.9, 0.9), s=st.floats(1e-4, 1e-3))
def test_fieller_becomes_the_delta_method_when_the_first_total_is_well_known(ratio, rho, s):
    found = relative_change(np.array([1.0, ratio]), covariance(s, 1.5 * s, rho))
    plain = gaussian(found.value, found.sigma)
    assert found.value == pytest.approx(ratio - 1)
    assert found.low == pytest.approx(plain.low, abs=0.02 * found.sigma + 1e-12)
    assert found.high == pytest.approx(plain.high, abs=0.02 * found.sigma + 1e-12)


@given(t2=st.floats(-3, 5), rho=st.floats(-0.95, 0.95), s1=st.floats(0.01, 0.45), s2=st.floats(0.01, 2))
def test_the_ends_of_fiellers_interval_are_just_z_sigma_from_zero_contrast(t2, rho, s1, s2):
    v = covariance(s1, s2, rho)
    found = relative_change(np.array([1.0, t2]), v)
    for end in (found.low, found.high):
        direction = np.array([-(1 + end), 1.0])
        z = direction @ [1.0, t2] / np.sqrt(direction @ v @ direction)
        assert abs(z) == pytest.approx(1.959964, rel=1e-5)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("s1", [0.52, 1.0, 10.0])
def test_a_first_total_not_told_from_zero_gives_no_bound(s1):
    found = relative_change(np.array([1.0, 0.75]), covariance(s1, 0.1, 0.0))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_the_anchor_of_two_totals():
    """32.6 ± 2.2 to 34.3 ± 2.3 Mt is +5.2 % with ±10 % (1σ) if independent."""
    found = relative_change(np.array([32.6, 34.3]), covariance(2.2, 2.3, 0.0))
    assert found.value == pytest.approx(0.052, abs=5e-4)
    assert found.sigma == pytest.approx(0.10, abs=0.002)


@given(common=st.floats(0, 0.4), epoch=st.floats(0, 0.05))
def test_a_transport_error_common_to_both_epochs_cancels_in_a_ratio(common, epoch):
    totals, v = np.array([100.0, 75.0]), covariance(5, 4, 0.5)
    with_common = TransportScale(common, epoch).inflate(totals, v, ratio=True)
    without = TransportScale(0.0, epoch).inflate(totals, v, ratio=True)
    assert relative_change(totals, with_common) == relative_change(totals, without)


def test_a_transport_error_stays_in_levels_and_differences_between_epochs_in_ratios():
    totals, v = np.array([100.0, 75.0]), covariance(5, 4, 0.5)
    level = TransportScale(0.2, 0.1).inflate(totals[:1], v[:1, :1])
    assert level[0, 0] == pytest.approx(25 + 0.04 * 1e4 + 0.01 * 1e4)
    rng = np.random.default_rng(1)
    epochs = totals * np.exp(0.01 * rng.standard_normal((100_000, 2)))
    simulated = np.std(epochs[:, 1] / epochs[:, 0])
    found = relative_change(totals, TransportScale(0.2, 0.01).inflate(totals, 0 * v, ratio=True))
    assert found.sigma == pytest.approx(simulated, rel=0.01)


@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=6), seed=RNG_SEEDS)
def test_members_are_pooled_by_the_law_of_total_variance(values, seed):
    sigmas = np.random.default_rng(seed).uniform(0.1, 2, len(values))
    found = pool([gaussian(v, s) for v, s in zip(values, sigmas, strict=True)])
    assert found.value == pytest.approx(np.mean(values))
    assert found.sigma**2 == pytest.approx(np.mean(sigmas**2) + np.var(values))
    assert found.low == pytest.approx(found.value - 1.959964 * found.sigma, abs=1e-6)


def test_pooling_one_member_returns_it_with_its_skewed_interval():
    one = Estimate(1.0, 0.5, 0.2, 2.5)
    found = pool([one])
    assert (found.value, found.sigma, found.low, found.high) == pytest.approx((1.0, 0.5, 0.2, 2.5))
    unbounded = pool([one, Estimate(1.2, 0.5, -np.inf, np.inf)])
    assert (unbounded.low, unbounded.high) == (-np.inf, np.inf)


@given(value=st.floats(-1, 1), sigma=st.floats(0.2, 1), claimed=st.floats(0.2, 0.9))
def test_bayes_factor_is_the_ratio_of_the_two_densities(value, sigma, claimed):
    found = bayes_factor(gaussian(value, sigma), -claimed)
    grid = np.linspace(-8, 8, 20_001) * claimed
    marginal = np.trapezoid(norm.pdf(value, grid, sigma) * norm.pdf(grid, 0, claimed), grid)
    expected = marginal / norm.pdf(value, 0, sigma)
    assert found == pytest.approx(expected, rel=1e-3)


def test_overwhelming_evidence_is_a_number():
    assert 1e300 < bayes_factor(gaussian(-0.25, 0.005), -0.25) < np.inf


def test_probabilities_count_in_the_claimed_direction():
    assert probability_at_least(gaussian(-0.25, 0.05), -0.25) == pytest.approx(0.5)
    assert probability_at_least(gaussian(-0.35, 0.05), -0.25) == pytest.approx(norm.cdf(2))
    assert probability_at_least(gaussian(0.35, 0.05), 0.25) == pytest.approx(norm.cdf(2))
    assert probability_within(gaussian(1, 0.5), 0.5, 1.5) == pytest.approx(norm.cdf(1) - norm.cdf(-1))


@given(value=st.floats(-50, 50), sigma=st.floats(0.1, 20), relative_sd=st.floats(0.0, 0.45))
def test_a_limit_is_as_far_off_as_its_own_error_of_scale_allows(value, sigma, relative_sd):
    found = scaled(value, sigma, relative_sd)
    for limit in (found.low, found.high):
        assert abs(value - limit) == pytest.approx(Z * np.hypot(sigma, relative_sd * limit), rel=1e-7)
    assert found.low <= value <= found.high
    plain = gaussian(value, sigma)
    assert found.low <= plain.low + 1e-9 and found.high >= plain.high - 1e-9


def test_an_error_of_scale_is_covered_on_both_sides_alike():
    """A symmetric interval about the estimate misses truths above it four times in a hundred at 7 %."""
    rng, truth = np.random.default_rng(4), 100.0
    seen = truth * (1 + 0.15 * rng.standard_normal(4000)) + 5.0 * rng.standard_normal(4000)
    found = [scaled(v, 5.0, 0.15) for v in seen]
    for missed in ([e.high < truth for e in found], [e.low > truth for e in found]):
        assert np.mean(missed) == pytest.approx(0.025, abs=3 * np.sqrt(0.025 * 0.975 / 4000))


@given(st.floats(1.0, 100.0), st.floats(0.1, 50.0), st.floats(0.0, 0.45))
def test_a_difference_is_held_to_the_end_of_the_interval_on_its_side(value, sigma, relative_sd):
    found = scaled(value, sigma, relative_sd)
    assert found.high - value == pytest.approx(Z * found.sigma_towards(found.high))
    assert value - found.low <= Z * found.sigma_towards(found.low) * (1 + 1e-9)
    assert min(found.sigma_towards(2 * value), found.sigma_towards(0.0)) >= found.sigma


def test_beyond_an_error_of_scale_of_one_half_nothing_is_bounded():
    assert scaled(3.0, 1.0, 0.6).sigma_towards(100.0) == np.inf
    assert (scaled(3.0, 1.0, 0.6).low, scaled(3.0, 1.0, 0.6).high) == (-np.inf, np.inf)


LEVELS = st.sampled_from([0.9, 0.95, 0.975, 0.9958])
SPREADS = st.floats(0.01, 0.6)


@st.composite
def totals(draw) -> tuple[np.ndarray, np.ndarray]:
    """Two correlated totals and their covariance, up to errors that do not tell the first from zero."""
    values = np.array([1.0, draw(st.floats(0.3, 2.0))])
    return values, covariance(draw(SPREADS), draw(SPREADS) * values[1], draw(st.floats(-0.9, 0.9)))


@st.composite
def estimates(draw) -> Estimate:
    """Of any shape: symmetric, Student's, seen through an error of scale, a ratio, several pooled."""
    level = draw(LEVELS)
    shape = draw(st.sampled_from(["gaussian", "student", "scaled", "ratio", "change", "pool"]))
    if shape in ("gaussian", "student"):
        degrees = np.inf if shape == "gaussian" else draw(st.floats(1.0, 8.0))
        return gaussian(draw(st.floats(-1.0, 1.0)), draw(SPREADS), level, degrees)
    if shape == "scaled":
        return scaled(1.0, draw(SPREADS), draw(SPREADS), level)
    if shape == "ratio":
        return ratio(*draw(totals()), level, draw(st.sampled_from([np.inf, 4.0])))
    if shape == "change":
        return relative_change(*draw(totals()), level)
    parts = st.builds(scaled, st.floats(0.8, 1.2), SPREADS, st.floats(0.0, 0.6), st.just(level))
    return pool(draw(st.lists(parts, min_size=2, max_size=5)))


@given(found=estimates(), bound=st.floats(-3.0, 4.0))
def test_a_bound_is_outside_the_interval_where_no_more_probability_is_beyond_it_than_the_level_leaves(
    found, bound
):
    left = (1.0 - found.level) / 2
    for end, inside in ((found.low, bound > found.low), (found.high, bound < found.high)):
        if np.isfinite(end):
            beyond = probability_below(found, end)
            assert min(beyond, 1.0 - beyond) == pytest.approx(left, rel=1e-6)
        if not np.isclose(bound, end, rtol=1e-9, atol=1e-9):
            below = probability_below(found, bound)
            assert inside == ((below if end == found.low else 1.0 - below) > left)


@given(
    found=estimates(),
    claimed=st.one_of(st.floats(-1.0, -0.01), st.floats(0.01, 2.0)),
    width=st.floats(0.05, 0.9),
)
def test_no_answer_is_contradicted_by_its_own_probability(found, claimed, width):
    """Contradicted: at most what the level leaves to one side; supported: at least the level, or one side."""
    left = (1.0 - found.level) / 2 * (1 + 1e-6)
    if claimed > 0:
        low, high = claimed * (1 - width), claimed * (1 + width)
        probability, answer = probability_within(found, low, high), level_answer(found, claimed, width)
        assert 0.0 <= probability <= 1.0
        assert answer != CONTRADICTED or probability <= left
        assert answer != SUPPORTED or probability >= 1.0 - 2 * left
    probability = probability_at_least(found, claimed)
    answer = change_answer(found, claimed, 0.0)
    assert (answer == CONTRADICTED) == (probability < left) or abs(probability / left - 1) < 1e-5
    assert answer != SUPPORTED or probability_at_least(found, np.copysign(1e-12, claimed)) >= 1.0 - 2 * left


@given(found=estimates(), bounds=st.lists(st.floats(-50.0, 50.0), min_size=2, max_size=8))
def test_a_probability_grows_with_its_bound(found, bounds):
    stated = [probability_below(found, bound) for bound in sorted(bounds)]
    assert (np.diff(stated) >= 0).all()


@given(value=st.floats(0.5, 2.0), own=SPREADS, scale=st.floats(0.0, 0.4), truth=st.floats(0.2, 4.0))
def test_the_probability_of_a_scaled_total_is_that_of_the_pivot_of_its_interval(value, own, scale, truth):
    """Oracle: T̂ is normal about the truth with √(σ² + s² T²); where the interval has no end it is as far."""
    found = scaled(value, own, scale)
    if np.isfinite(found.high):
        pivot = (truth - value) / np.hypot(own, scale * truth)
        assert probability_below(found, truth) == pytest.approx(norm.cdf(pivot), abs=1e-9)
    if scale == 0.0:
        assert probability_below(found, truth) == pytest.approx(norm.cdf((truth - value) / own), abs=1e-12)


@given(pair=totals(), bound=st.floats(-0.9, 3.0))
def test_the_probability_of_a_ratio_is_that_of_its_contrast(pair, bound):
    """Oracle: Fieller's own statement about v₂ − ρ v₁, whose error is normal."""
    values, errors = pair
    found, contrast = ratio(values, errors), np.array([-bound, 1.0])
    if np.isfinite(found.high):
        u = (bound - found.value) / found.sigma
        pivot = -(contrast @ values) / np.sqrt(contrast @ errors @ contrast)
        assert np.sign(u) == np.sign(pivot)
        assert probability_below(found, bound) == pytest.approx(norm.cdf(pivot), abs=1e-6)


def test_a_claim_that_the_interval_contradicts_has_no_probability_of_four_per_cent():
    """A change of −20 % through 15 % in each epoch, claimed −49 %; a total 0.69 against 1 within 5 %."""
    fallen = np.array([1.0, 0.8])
    change = relative_change(fallen, np.diag((0.15 * fallen) ** 2))
    assert change_answer(change, -0.49, 0.245) == CONTRADICTED
    assert probability_at_least(change, -0.49) < 0.025
    seen = scaled(0.69, 0.0, 0.15)
    tail = 1.0 - probability_below(seen, 0.95)
    assert tail == pytest.approx(norm.cdf((0.69 / 0.95 - 1) / 0.15), abs=1e-9)
