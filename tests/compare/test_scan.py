"""The scan is the sum it stands for, its alarms are as rare as it says, its intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_worlds import GRID, interval, make_world

from monitor.compare.sources import (
    Candidates,
    day_windows,
    detectable_strength,
    scan,
    upper_limit,
)
from monitor.inversion import FluxBlock, Posterior, solve

DAYS, CELLS = 16, 20


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
def candidates(network) -> Candidates:
    problem = network.problem
    day = np.floor(problem.table.hours / 24.0).astype(int)
    place = np.stack(np.unravel_index(np.arange(CELLS), GRID.shape), axis=1)
    return Candidates(problem.blocks[0].footprints(), day - day.min(), DAYS, day_windows(DAYS, 3, 8), place)


def with_residual(network: Posterior, residual: np.ndarray) -> Posterior:
    problem = network.problem
    values = problem.baseline + problem.predicted + residual
    return replace(network, problem=replace(problem, table=replace(problem.table, value=values)))


def world_with(network, candidates, rng, cell=None, window=(0, 0), strength=0.0) -> Posterior:
    """Residuals drawn from Ψ, plus a source."""
    residual = network.solution.lower @ rng.standard_normal(network.problem.table.n)
    if cell is not None:
        inside = (candidates.day >= window[0]) & (candidates.day < window[1])
        residual = residual + strength * np.where(inside, candidates.effect[:, cell], 0.0)
    return with_residual(network, residual)


def brute_force(posterior, candidates, known=None):
    """Z and strength of every cell and window by generalised least squares, one by one."""
    psi_inverse = np.linalg.inv(posterior.solution.lower @ posterior.solution.lower.T)
    p = psi_inverse
    if known is not None:
        p = p - p @ known @ np.linalg.inv(known.T @ p @ known) @ known.T @ p
    r = posterior.problem.residual
    z = np.full((candidates.effect.shape[1], candidates.windows.shape[0]), -np.inf)
    f = np.zeros_like(z)
    for c in range(z.shape[0]):
        for w, (first, last) in enumerate(candidates.windows):
            h = np.where((candidates.day >= first) & (candidates.day < last), candidates.effect[:, c], 0.0)
            norm = h @ p @ h
            if norm > 0:
                f[c, w] = h @ p @ r / norm
                z[c, w] = f[c, w] * np.sqrt(norm)
    return z, f


@pytest.mark.parametrize("with_known", [False, True])
def test_the_scan_finds_what_a_loop_over_cells_and_windows_finds(network, candidates, with_known):
    posterior = world_with(network, candidates, np.random.default_rng(1), 7, (4, 9), 1.5)
    known = candidates.effect[:, [3]] * (candidates.day[:, None] < 5) if with_known else None
    z, f = brute_force(posterior, candidates, known)
    hit = scan(posterior, candidates, draws=20, seed=0, known=known)
    cell, window = np.unravel_index(np.argmax(z), z.shape)
    assert (hit.cell, hit.window) == (cell, tuple(candidates.windows[window]))
    assert hit.z == pytest.approx(z.max(), rel=1e-9)
    np.testing.assert_allclose(hit.limits[:, 0], f[cell], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(hit.limits[:, 1], f[cell] / z[cell], rtol=1e-7)
    best = np.argmax(hit.weights)
    assert hit.strengths[best] == pytest.approx(f[cell, window])


def test_windows_are_all_runs_of_days():
    found = {tuple(w) for w in day_windows(6, 2, 4)}
    assert found == {(a, b) for a in range(6) for b in range(a + 2, min(a + 4, 6) + 1)}
    assert day_windows(2, 3, 28).shape == (0, 2)


def test_an_injected_source_is_found_where_and_when_it_was(network, candidates):
    strength = 6.0 * detectable_sigma(network, candidates, 7, (4, 9))
    places = []
    for seed in range(8):
        hit = scan(world_with(network, candidates, np.random.default_rng(seed), 7, (4, 9), strength),
                   candidates, draws=100, seed=seed)  # fmt: skip
        assert hit.p_value <= 0.05
        places.append((hit.cell == 7) and abs(hit.window[0] - 4) <= 1 and abs(hit.window[1] - 9) <= 1)
    assert np.sum(places) >= 6


def detectable_sigma(network, candidates, cell, window):
    h = np.where(
        (candidates.day >= window[0]) & (candidates.day < window[1]), candidates.effect[:, cell], 0.0
    )
    return 1.0 / np.sqrt(h @ network.solution.weigh(h))


def one_place(candidates, cell, windows=None):
    return replace(
        candidates,
        effect=candidates.effect[:, [cell]],
        place=candidates.place[[cell]],
        windows=candidates.windows if windows is None else np.array(windows),
    )


def test_the_strength_at_a_known_place_and_time_is_unbiased_and_has_the_stated_spread(network, candidates):
    rng = np.random.default_rng(5)
    known = one_place(candidates, 7, [(4, 9)])
    sigma = detectable_sigma(network, candidates, 7, (4, 9))
    found = np.array(
        [
            scan(world_with(network, candidates, rng, 7, (4, 9), 3 * sigma), known, draws=1, seed=0).limits[0]
            for _ in range(200)
        ]
    )
    np.testing.assert_allclose(found[:, 1], sigma)
    error = found[:, 0] / sigma - 3
    assert abs(error.mean()) < 3 / np.sqrt(200)
    assert 0.8 < error.std() < 1.2


def test_in_worlds_without_a_source_the_family_wise_p_value_is_uniform(network, candidates):
    """100 empty worlds: 5 alarms expected, more than 11 in one run of 100; the mean p is 0.5 ± 0.03."""
    rng = np.random.default_rng(2)
    p = np.array(
        [
            scan(world_with(network, candidates, rng), candidates, draws=60, seed=seed).p_value
            for seed in range(100)
        ]
    )
    assert (p <= 0.05).sum() <= 11
    assert abs(p.mean() - 0.5) < 0.1
    assert np.quantile(p, 0.25) == pytest.approx(0.25, abs=0.13)


def test_the_interval_of_a_source_found_by_the_scan_holds_its_strength(network, candidates):
    """Sixty sources of 7σ, at unknown place and time: 95 % of 60 is 57, fewer than 52 in one of 200 runs."""
    rng = np.random.default_rng(3)
    held, n = 0, 60
    for seed in range(n):
        cell = int(rng.integers(CELLS))
        first = int(rng.integers(0, DAYS - 6))
        window = (first, first + int(rng.integers(3, 7)))
        strength = 7.0 * detectable_sigma(network, candidates, cell, window)
        posterior = world_with(network, candidates, rng, cell, window, strength)
        hit = scan(posterior, candidates, draws=1, seed=seed)
        _, _, low, high = hit.interval(0.0, np.random.default_rng(seed))
        held += low <= strength <= high
    assert held >= 52


def test_the_interval_of_one_place_and_window_is_the_gaussian_one(network, candidates):
    posterior = world_with(network, candidates, np.random.default_rng(4), 7, (4, 9), 2.0)
    hit = scan(posterior, one_place(candidates, 7, [(4, 9)]), draws=10, seed=0)
    value, sigma, low, high = hit.interval(0.0, np.random.default_rng(0))
    f, s = hit.limits[0]
    assert value == pytest.approx(f, abs=0.03 * s) and sigma == pytest.approx(s, rel=0.02)
    assert (low, high) == pytest.approx((f - 1.96 * s, f + 1.96 * s), abs=0.06 * s)


def test_a_transport_error_multiplies_the_strength_and_keeps_its_median(network, candidates):
    posterior = world_with(network, candidates, np.random.default_rng(4), 7, (4, 9), 50.0)
    hit = scan(posterior, one_place(candidates, 7, [(4, 9)]), draws=10, seed=0)
    plain, wide = (hit.interval(s, np.random.default_rng(0)) for s in (0.0, 0.2))
    assert wide[0] == pytest.approx(plain[0], rel=0.01)
    assert (wide[3] / wide[0], wide[2] / wide[0]) == pytest.approx(
        (np.exp(0.2 * 1.96), np.exp(-0.2 * 1.96)), rel=0.05
    )


def test_inflated_variances_widen_sources_and_raise_p_values(network, candidates):
    posterior = world_with(network, candidates, np.random.default_rng(4), 7, (4, 9), 1.5)
    plain = scan(posterior, candidates, draws=50, seed=0)
    wide = scan(replace(posterior, inflation=4.0), candidates, draws=50, seed=0)
    assert wide.z == pytest.approx(plain.z / 2)
    assert wide.p_value >= plain.p_value
    np.testing.assert_allclose(wide.limits[:, 1], 2 * plain.limits[:, 1])
    np.testing.assert_allclose(wide.limits[:, 0], plain.limits[:, 0])


def test_a_place_where_the_air_is_cleaner_than_expected_is_no_error(network, candidates):
    """All windows below zero: nothing found, but a limit on what may hide there."""
    place = one_place(candidates, 7)
    posterior = with_residual(network, -5.0 * candidates.effect[:, 7])
    hit = scan(posterior, place, draws=20, seed=0)
    assert hit.z < 0 and hit.p_value > 0.5
    low, high = hit.interval(0.1, np.random.default_rng(0))[2:]
    assert low < high < 0
    assert np.isfinite(upper_limit(hit, 0.1))


def test_a_place_that_no_footprint_touches_has_no_limit(network, candidates):
    blind = replace(one_place(candidates, 7), effect=np.zeros((candidates.effect.shape[0], 1)))
    hit = scan(network, blind, draws=20, seed=0)
    assert hit.p_value == 1.0
    assert hit.interval(0.1, np.random.default_rng(0))[2:] == (-np.inf, np.inf)
    assert upper_limit(hit, 0.1) == np.inf
    assert detectable_strength(hit) == np.inf


def test_the_upper_limit_holds_for_a_source_in_any_of_the_windows(network, candidates):
    """A true strength above the stated limit in 5 % of the cases or less, whenever the source was there."""
    rng = np.random.default_rng(6)
    place = one_place(candidates, 7)
    above = 0
    for seed in range(60):
        first = int(rng.integers(0, DAYS - 3))
        strength = 2.0 * detectable_sigma(network, candidates, 7, (first, first + 3))
        posterior = world_with(network, candidates, rng, 7, (first, first + 3), strength)
        above += upper_limit(scan(posterior, place, draws=1, seed=seed), 0.0) < strength
    assert above <= 5


def test_the_detectable_strength_is_found_four_times_in_five(network, candidates):
    """At family-wise 5 %, over all windows of one place: 80 % of 60 is 48 ± 3."""
    rng = np.random.default_rng(7)
    place = one_place(candidates, 7)
    window = (4, 9)
    threshold = scan(network, place, draws=2000, seed=0).threshold
    strength = (threshold + 0.8416) * detectable_sigma(network, candidates, 7, window)
    found = [
        scan(world_with(network, candidates, rng, 7, window, strength), place, draws=1, seed=0).z >= threshold
        for _ in range(60)
    ]
    assert np.sum(found) >= 40  # other windows help a little
    assert 2.0 < threshold < 4.0


def test_the_same_seed_gives_the_same_answer(network, candidates):
    posterior = world_with(network, candidates, np.random.default_rng(4), 7, (4, 9), 1.0)
    one, other = (scan(posterior, candidates, draws=30, seed=9) for _ in range(2))
    assert (one.p_value, one.threshold) == (other.p_value, other.threshold)
