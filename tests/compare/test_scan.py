"""The scan is the sum it stands for, its alarms are as rare as it says, its intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import norm
from small_worlds import GRID, interval, make_world

from monitor.compare.limits import upper_limit
from monitor.compare.sources import (
    Candidates,
    Hit,
    Search,
    alarms_a_year,
    prepare,
)
from monitor.compare.windows import Windows, bin_runs
from monitor.inversion import FluxBlock, Posterior, solve

DAYS, CELLS = 16, 20
#: Every seventh day from the third on, and its day after.
MARKET = np.isin(np.arange(DAYS) % 7, (2,))
PAIRS = np.isin(np.arange(DAYS) % 7, (2, 3))


@pytest.fixture(scope="module")
def network() -> Posterior:
    world = make_world(
        3,
        stations=3,
        every_hours=6,
        epochs={"only": interval(0, DAYS)},
        block=FluxBlock("total", relative_sd=0.2),
    )
    return replace(solve(world.problem()), inflation=1.0)


@pytest.fixture(scope="module")
def lower(network) -> np.ndarray:
    return network.solution.lower


@pytest.fixture(scope="module")
def candidates(network) -> Candidates:
    problem = network.problem
    day = np.floor(problem.table.hours / 24.0).astype(int)
    place = np.stack(np.unravel_index(np.arange(CELLS), GRID.shape), axis=1)
    windows = Windows(DAYS, bin_runs(DAYS, 3, 8), np.stack([MARKET, PAIRS]), ("market", "pairs"))
    return Candidates(problem.blocks[0].footprints(), day - day.min(), windows, place)


@pytest.fixture(scope="module")
def search(lower, candidates) -> Search:
    return prepare(lower, candidates, draws=400, seed=0)


def number_of(windows: Windows, first: int, last: int) -> int:
    return int(np.flatnonzero((windows.runs == (first, last)).all(axis=1))[0])


def noise(search, rng, worlds=1) -> np.ndarray:
    """Residuals drawn from Ψ (n, worlds)."""
    lower = search.solution.lower
    return lower @ rng.standard_normal((lower.shape[0], worlds))


def world_with(search, rng, cell, window, strength) -> np.ndarray:
    """A residual from Ψ, and a source of the strength in the window (first, last) or of that number."""
    number = number_of(search.windows, *window) if isinstance(window, tuple) else window
    return noise(search, rng)[:, 0] + strength * search.candidates.response(cell, number)


def sigma_of(search, cell, window) -> float:
    return float(search.sigma[cell, number_of(search.windows, *window)])


def brute_force(lower, candidates, r, known=None):
    """Z and strength of every cell and window by generalised least squares, one by one."""
    p = np.linalg.inv(lower @ lower.T)
    if known is not None:
        p = p - p @ known @ np.linalg.inv(known.T @ p @ known) @ known.T @ p
    z = np.full((candidates.effect.shape[1], candidates.windows.count), -np.inf)
    f = np.zeros_like(z)
    for c in range(z.shape[0]):
        for w, inside in enumerate(candidates.windows.inside):
            h = np.where(inside[candidates.bin], candidates.effect[:, c], 0.0)
            norm = h @ p @ h
            if norm > 1e-9:
                f[c, w] = h @ p @ r / norm
                z[c, w] = f[c, w] * np.sqrt(norm)
    return z, f


@pytest.mark.parametrize("with_known", [False, True])
@pytest.mark.parametrize("window", [(4, 9), -1])
def test_the_search_finds_what_a_loop_over_cells_and_windows_finds(search, lower, with_known, window):
    candidates = search.candidates
    window = window if isinstance(window, tuple) else search.windows.count - 1
    r = world_with(search, np.random.default_rng(1), 7, window, 1.5)
    known = candidates.response(3, 4)[:, None] if with_known else None
    z, f = brute_force(lower, candidates, r, known)
    hit = (search if known is None else search.given(known)).look(r)
    cell, number = np.unravel_index(np.argmax(z), z.shape)
    assert (hit.cell, hit.window) == (cell, number)
    assert hit.z == pytest.approx(z.max(), rel=1e-9)
    np.testing.assert_allclose(hit.limits[:, 0], f[cell], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(hit.limits[:, 1], f[cell] / z[cell], rtol=1e-7)
    best = np.argmax(hit.weights)
    assert hit.strengths[best] == pytest.approx(f[cell, number])


def test_a_signal_cut_to_each_window_shows_as_much_as_a_loop_over_them_finds(search, lower):
    place = search.narrowed(search.candidates.only(np.array([7])))
    candidates = place.candidates
    p = np.linalg.inv(lower @ lower.T)
    signal = np.random.default_rng(4).gamma(1.0, size=candidates.bin.size)
    shown = place.shown(signal)
    for w, inside in enumerate(candidates.windows.inside):
        h = candidates.response(0, w)
        slow = h @ p @ np.where(inside[candidates.bin], signal, 0.0) / (h @ p @ h)
        assert shown[w] == pytest.approx(slow, rel=1e-7, abs=1e-10)
    # that of the place itself is its strength, which is what is added to the limits and to the mixture
    np.testing.assert_allclose(place.shown(3.0 * candidates.effect[:, 0]), 3.0)
    hit = place.look(noise(search, np.random.default_rng(5), 1)[:, 0])
    raised = hit.raised(shown)
    np.testing.assert_allclose(raised.limits[:, 0] - hit.limits[:, 0], shown, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(raised.strengths - hit.strengths, shown[hit.windows], rtol=1e-9, atol=1e-12)
    assert (raised.z, raised.p_value) == (hit.z, hit.p_value)


def test_a_search_by_some_observations_is_that_of_a_network_without_the_others(search, lower):
    keep = np.flatnonzero(np.arange(lower.shape[0]) % 3)
    r = world_with(search, np.random.default_rng(1), 7, (4, 9), 1.5)
    candidates = search.candidates
    some = replace(candidates, effect=candidates.effect[keep], bin=candidates.bin[keep])
    z, f = brute_force(np.linalg.cholesky((lower @ lower.T)[np.ix_(keep, keep)]), some, r[keep], None)
    hit = search.among(keep).look(r[keep])
    assert hit.z == pytest.approx(z.max(), rel=1e-9)
    np.testing.assert_allclose(hit.limits[:, 0], f[hit.cell], rtol=1e-7, atol=1e-10)


def test_the_largest_z_of_many_worlds_is_that_of_each(search, lower):
    worlds = noise(search, np.random.default_rng(8), 5)
    known = search.candidates.response(3, 4)[:, None]
    for one, held in ((search, None), (search.given(known), known)):
        slow = [brute_force(lower, search.candidates, r, held)[0].max() for r in worlds.T]
        np.testing.assert_allclose(one.largest(worlds), slow, rtol=1e-9)


def test_what_is_known_already_is_not_found_again(search):
    known = search.candidates.response(7, 3)[:, None]
    held = search.given(known)
    assert held.norm[7, 3] == 0.0 and np.isinf(held.sigma[7, 3])
    assert held.look(100.0 * known[:, 0]).z == pytest.approx(0.0, abs=1e-4)


def test_an_injected_source_is_found_where_and_when_it_was(search):
    strength = 6.0 * sigma_of(search, 7, (4, 9))
    right = 0
    for seed in range(8):
        hit = search.look(world_with(search, np.random.default_rng(seed), 7, (4, 9), strength))
        assert hit.p_value <= 0.05
        first, last = search.windows.spans[hit.window]
        right += (hit.cell == 7) and abs(first - 4) <= 1 and abs(last - 9) <= 1
        assert 7 in hit.places()
    assert right >= 6


def test_a_recurring_source_is_found_as_what_it_is(search):
    """Two days in seven: the set that recurs beats every unbroken run."""
    number = search.windows.count - 1
    strength = 7.0 * search.sigma[7, number]
    hits = [search.look(world_with(search, np.random.default_rng(s), 7, number, strength)) for s in range(8)]
    assert sum(hit.cell == 7 and hit.window == number for hit in hits) >= 7
    assert search.windows.name(number) == "pairs"


def one_place(search, cell, windows=None, draws=10) -> Search:
    chosen = None if windows is None else Windows.of_runs(DAYS, windows)
    return prepare(
        search.solution.lower, search.candidates.only(np.array([cell]), chosen), draws=draws, seed=0
    )


def test_the_strength_at_a_known_place_and_time_is_unbiased_and_has_the_stated_spread(search):
    rng = np.random.default_rng(5)
    known = one_place(search, 7, [(4, 9)])
    sigma = sigma_of(search, 7, (4, 9))
    found = [known.look(world_with(search, rng, 7, (4, 9), 3 * sigma)).limits[0] for _ in range(200)]
    np.testing.assert_allclose(np.array(found)[:, 1], sigma)
    error = np.array(found)[:, 0] / sigma - 3
    assert abs(error.mean()) < 3 / np.sqrt(200)
    assert 0.8 < error.std() < 1.2


def test_in_worlds_without_a_source_the_family_wise_p_value_is_uniform(search):
    """500 empty worlds against a null distribution of 400: a Kolmogorov-Smirnov test, and 25 ± 5 alarms."""
    z = search.largest(noise(search, np.random.default_rng(2), 500))
    p = np.array([search.p_value(value) for value in z])
    assert stats.ks_2samp(z, search.null).pvalue > 0.01
    assert stats.kstest(p, "uniform").statistic < 0.085  # 1.36 √(1/400 + 1/500) is 0.091
    assert 12 <= (p <= 0.05).sum() <= 40


def test_one_search_a_month_at_five_per_cent_alarms_every_other_year():
    assert alarms_a_year(0.05, 365.25 / 12) == pytest.approx(0.6)


def test_the_interval_of_a_source_found_by_the_scan_holds_its_strength(search):
    """200 sources of 7σ, at unknown place and time: 95 % of 200 is 190 ± 3."""
    rng = np.random.default_rng(3)
    held, n = 0, 200
    for seed in range(n):
        cell, first = int(rng.integers(CELLS)), int(rng.integers(0, DAYS - 6))
        window = (first, first + int(rng.integers(3, 7)))
        strength = 7.0 * sigma_of(search, cell, window)
        hit = search.look(world_with(search, rng, cell, window, strength))
        _, _, low, high = hit.interval(0.0, np.random.default_rng(seed))
        held += low <= strength <= high
    assert 180 <= held <= 198


def test_the_interval_of_one_place_and_window_is_the_gaussian_one(search):
    hit = one_place(search, 7, [(4, 9)]).look(world_with(search, np.random.default_rng(4), 7, (4, 9), 2.0))
    value, sigma, low, high = hit.interval(0.0, np.random.default_rng(0))
    f, s = hit.limits[0]
    assert value == pytest.approx(f, abs=0.03 * s) and sigma == pytest.approx(s, rel=0.02)
    assert (low, high) == pytest.approx((f - 1.96 * s, f + 1.96 * s), abs=0.06 * s)


def test_a_transport_error_multiplies_the_strength_and_keeps_its_median(search):
    hit = one_place(search, 7, [(4, 9)]).look(world_with(search, np.random.default_rng(4), 7, (4, 9), 50.0))
    plain, wide = (hit.interval(s, np.random.default_rng(0)) for s in (0.0, 0.2))
    assert wide[0] == pytest.approx(plain[0], rel=0.01)
    assert (wide[3] / wide[0], wide[2] / wide[0]) == pytest.approx(
        (np.exp(0.2 * 1.96), np.exp(-0.2 * 1.96)), rel=0.05
    )


def test_inflated_variances_widen_sources_and_raise_p_values(search):
    r = world_with(search, np.random.default_rng(4), 7, (4, 9), 1.5)
    plain, wide = search.look(r), replace(search, inflation=4.0).look(r)
    assert wide.z == pytest.approx(plain.z / 2)
    assert wide.p_value >= plain.p_value
    np.testing.assert_allclose(wide.limits[:, 1], 2 * plain.limits[:, 1])
    np.testing.assert_allclose(wide.limits[:, 0], plain.limits[:, 0])


def test_a_place_where_the_air_is_cleaner_than_expected_is_no_error(search):
    """All windows below zero: nothing found, but a limit on what may hide there."""
    runs = one_place(search, 7, search.windows.runs)
    hit = runs.look(-5.0 * search.candidates.effect[:, 7])
    assert hit.z < 0 and hit.p_value > 0.5
    low, high = hit.interval(0.1, np.random.default_rng(0))[2:]
    assert low < hit.strength < high and hit.strength < 0
    assert np.isfinite(upper_limit(hit, 0.1))


def test_a_place_that_no_footprint_touches_has_no_limit(search):
    effect = np.zeros((search.candidates.effect.shape[0], 1))
    blind = replace(search.candidates.only(np.array([7])), effect=effect)
    hit = prepare(search.solution.lower, blind, draws=20, seed=0).look(effect[:, 0] + 1.0)
    assert hit.p_value == 1.0
    assert hit.interval(0.1, np.random.default_rng(0))[2:] == (-np.inf, np.inf)
    assert upper_limit(hit, 0.1) == np.inf


@pytest.mark.parametrize(
    ("value", "sigma", "scale_sd", "limit"),
    [(1.0, 1.0, 0.3, 4.11), (10.0, 2.0, 0.3, 25.5), (10.0, 2.0, 0.0, 13.92), (10.0, 2.0, 0.52, np.inf)],
)
def test_a_limit_is_the_strength_whose_own_transport_error_just_allows_the_estimate(
    search, value, sigma, scale_sd, limit
):
    hit = one_place(search, 7, [(4, 9)]).look(world_with(search, np.random.default_rng(4), 7, (4, 9), 2.0))
    known = replace(hit, limits=np.array([[value, sigma]]))
    assert upper_limit(known, scale_sd) == pytest.approx(limit, rel=1e-3)


@given(st.floats(-50, 50), st.floats(0.1, 20), st.floats(0, 0.24), st.sampled_from([0.5, 0.95, 0.99, 0.9999]))
def test_a_limit_solves_its_equation_at_every_level(value, sigma, scale_sd, level):
    none = np.zeros(0)
    hit = Hit(0, 0, 0.0, 1.0, none, none, none, none, none, np.nan, np.array([[value, sigma]]))
    limit = upper_limit(hit, scale_sd, level)
    beyond = norm.ppf(0.5 + level / 2) * np.hypot(sigma, scale_sd * limit)
    assert limit - value == pytest.approx(beyond, rel=1e-6, abs=1e-9)


def test_the_interval_is_that_of_the_level_or_is_not_stated(search):
    hit = one_place(search, 7, [(4, 9)]).look(world_with(search, np.random.default_rng(4), 7, (4, 9), 2.0))
    f, s = hit.limits[0]
    for level in (0.8, 0.95, 0.9999):
        low, high = hit.interval(0.0, np.random.default_rng(0), level)[2:]
        z = norm.ppf(0.5 + level / 2)
        assert (low, high) == pytest.approx((f - z * s, f + z * s), abs=0.2 * s if level > 0.95 else 0.06 * s)
    for level in (1 - 1e-7, 1.0):
        assert hit.interval(0.0, np.random.default_rng(0), level)[2:] == (-np.inf, np.inf)
    assert upper_limit(hit, 0.0, 1.0) == upper_limit(hit, 0.1, 1.0) == np.inf


def test_the_upper_limit_holds_for_a_source_in_any_of_the_windows(search):
    """A true strength above the stated limit in 5 % of the cases or less, whenever the source was there."""
    rng = np.random.default_rng(6)
    place = one_place(search, 7)
    above = 0
    for _ in range(60):
        first = int(rng.integers(0, DAYS - 3))
        strength = 2.0 * sigma_of(search, 7, (first, first + 3))
        above += (
            upper_limit(place.look(world_with(search, rng, 7, (first, first + 3), strength)), 0.0) < strength
        )
    assert above <= 5


def test_the_same_seed_gives_the_same_answer(search):
    again = prepare(search.solution.lower, search.candidates, draws=search.null.size, seed=0)
    np.testing.assert_array_equal(again.null, search.null)
