"""Truths and observations of the calibration: drawn from what they are said to be drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.calibration.bench import Bench
from monitor.calibration.network import MIXING, SPEED
from monitor.calibration.reference_network import BLOCK, other_weather
from monitor.calibration.worlds import draw_truth, epoch_totals, errors_factor, observe, right_world, stream


def test_a_truth_has_exactly_the_totals_that_it_was_given(bench: Bench) -> None:
    network = bench.pair
    wanted = epoch_totals(network, -0.3)
    truth = draw_truth(network, np.random.default_rng(1), wanted)
    assert truth.changes == pytest.approx([-0.3], rel=1e-12)
    # a cell cut by the edge counts in full inside, so the drawn fluxes less the added pattern make the rest
    plain = draw_truth(network, np.random.default_rng(1))
    added = (truth.flux[BLOCK] - plain.flux[BLOCK])[[0, -1]][:, network.quantity.fraction > 0]
    pattern = network.quantity.patterns["inventory"] * network.quantity.fraction
    ratio = added / pattern[network.quantity.fraction > 0]
    assert ratio == pytest.approx(np.broadcast_to(ratio[:, :1], ratio.shape))
    size = float(network.quantity.weight @ network.quantity.patterns["inventory"])
    assert plain.totals + ratio[:, 0] * size == pytest.approx(wanted)


def test_observations_of_the_right_model_have_the_covariance_that_inverts_them(bench: Bench) -> None:
    problem = bench.pair.problem
    rng = np.random.default_rng(2)
    seen = np.array([right_world(bench.pair, rng)[1].residual for _ in range(400)])
    lower = np.linalg.cholesky(problem.model.covariance(problem.model.starts))
    white = np.linalg.solve(lower, seen.T)
    # mean square of 400 × n standard normals: 1 within four of its standard errors
    assert np.mean(white**2) == pytest.approx(1.0, abs=4 * np.sqrt(2 / white.size))
    assert np.abs(white.mean(axis=1)).max() < 5 / np.sqrt(400)


def test_stretched_errors_keep_their_size_and_remember_longer(bench: Bench) -> None:
    problem = bench.pair.problem
    plain, stretched = (f @ f.T for f in (errors_factor(problem), errors_factor(problem, 3.0)))
    assert np.diagonal(stretched) == pytest.approx(np.diagonal(plain))
    same = problem.table.station == 0
    day = problem.table.start[same]
    first, next_day = np.flatnonzero(same)[:2]
    assert day[1] - day[0] == np.timedelta64(1, "D")
    # exp(−24/36) against exp(−24/12) of the transport error, and nothing else changes
    transport = problem.values_of("transport", problem.model.starts)
    component = next(c for c in problem.model.components if c.name == "transport")
    own = component.covariance(transport)[first, next_day]
    expected = own * (np.exp(-24 / 36) / np.exp(-24 / 12) - 1)
    assert stretched[first, next_day] - plain[first, next_day] == pytest.approx(expected)


def test_the_other_transport_is_another_in_wind_and_in_each_epochs_mixing(bench: Bench) -> None:
    network = bench.network
    assert network.other_transport is not None
    block = network.problem.block(BLOCK)
    moved = network.other_transport(np.random.default_rng(3))[BLOCK]
    plain, other = (np.asarray(h @ block.prior.ravel()) for h in (block.jacobian, moved))
    # not the same footprints times a factor: what is left after the best factor is a tenth of the signal
    factor = float(plain @ other / (plain @ plain))
    assert np.linalg.norm(other - factor * plain) > 0.05 * np.linalg.norm(other)
    again = network.other_transport(np.random.default_rng(3))[BLOCK]
    assert (again != moved).nnz == 0


def test_the_other_weather_has_one_wind_for_all_epochs_and_a_mixing_height_for_each(bench: Bench) -> None:
    from monitor.calibration import reference_network as reference

    weather = [reference._weather(year) for year in ("2018", "2019", "2020")]
    moved = other_weather(np.random.default_rng(4), weather)
    turns = [
        (m["wind_direction"] - w["wind_direction"] + 180) % 360 - 180
        for m, w in zip(moved, weather, strict=True)
    ]
    speeds = [(m["wind_speed"] / w["wind_speed"]).values for m, w in zip(moved, weather, strict=True)]
    mixing = [
        (m["boundary_layer_height"] / w["boundary_layer_height"]).values
        for m, w in zip(moved, weather, strict=True)
    ]
    assert np.ptp(np.concatenate([t.values for t in turns])) < 1e-9
    assert np.ptp(np.concatenate(speeds)) < 1e-12
    assert all(np.ptp(m) < 1e-12 for m in mixing)
    assert len({round(float(m[0]), 6) for m in mixing}) == 3
    assert max(abs(float(m[0]) - 1) for m in mixing) <= MIXING


def test_a_mixing_height_in_full_scales_what_an_epoch_sees_and_nothing_else(bench: Bench) -> None:
    from monitor.calibration.network import mixed

    network = bench.network
    problem, factors = network.problem, np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.0])
    seen = mixed(problem, factors) @ problem.block(BLOCK).predicted()
    for epoch, factor in zip(network.epochs, factors, strict=True):
        own = (problem.table.start >= epoch.start64) & (problem.table.start < epoch.end64)
        assert own.sum() == 60
        assert seen[own] * factor == pytest.approx(problem.block(BLOCK).predicted()[own], rel=1e-12)


def test_a_mixing_height_in_full_moves_the_signal_ten_times_as_far_as_through_the_plume(bench: Bench) -> None:
    network = bench.network
    block, table = network.problem.block(BLOCK), network.problem.table
    assert network.other_transport is not None
    assert network.well_mixed is not None

    def unevenness(draw, seed: int) -> float:  # type: ignore[no-untyped-def]
        """How far the factors on all that an epoch sees are apart: of the wind they are the same."""
        moved = draw(np.random.default_rng(seed))[BLOCK] @ block.prior.ravel()
        plain = block.predicted()
        own = [(table.start >= e.start64) & (table.start < e.end64) for e in network.epochs]
        return float(np.std([moved[k].sum() / plain[k].sum() for k in own]))

    through, full = (
        np.mean([unevenness(draw, k) for k in range(3)])
        for draw in (network.other_transport, network.well_mixed)
    )
    # evenly within ± 20 % is a standard deviation of 12 %, over a wind speed of 1 ± 15 %
    assert 0.6 < full / (MIXING / np.sqrt(3)) < 1 + 2 * SPEED
    assert through < full / 3


def test_a_stream_is_the_same_whichever_others_are_drawn() -> None:
    first = stream(1, 7, "power 2").standard_normal(3)
    assert stream(1, 7, "power 2").standard_normal(3) == pytest.approx(first, abs=0)
    for other in (stream(2, 7, "power 2"), stream(1, 8, "power 2"), stream(1, 7, "power 3")):
        assert not np.allclose(other.standard_normal(3), first)


def test_the_observations_hold_the_truth_through_the_transport_that_is_given(bench: Bench) -> None:
    network = bench.pair
    truth = draw_truth(network, np.random.default_rng(5))
    doubled = {BLOCK: 2.0 * network.problem.block(BLOCK).jacobian}
    once, twice = (
        observe(network, truth, np.random.default_rng(6), jacobians=j).table.value for j in (None, doubled)
    )
    seen = network.problem.block(BLOCK).jacobian @ truth.flux[BLOCK].ravel()
    assert twice - once == pytest.approx(seen)
