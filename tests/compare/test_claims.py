"""A claim is judged without the prior's vote, in the region it names, against every candidate map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import CELLS, GRID, dense_q, flux, interval, make_world

from monitor import units
from monitor.compare.claims import (
    ClaimText,
    Quantity,
    TransportScale,
    Variant,
    answer,
    judge,
    with_length,
    with_mismatch_time,
    without_station,
)
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.ensemble import estimate_at
from monitor.inversion import Correlation, FluxBlock, Posterior, solve

EPOCHS = {"before": interval(0, 12), "after": interval(40, 12)}
AREA = GRID.cell_area_m2().ravel()
FACTOR = units.tonnes_per_year("co2")
HALF = np.where(np.arange(CELLS) % 5 < 2, 1.0, np.where(np.arange(CELLS) % 5 == 2, 0.4, 0.0))


def world(seed=0):
    return make_world(
        seed,
        stations=3,
        every_hours=6,
        epochs=EPOCHS,
        block=FluxBlock("total", relative_sd=0.3, correlation=Correlation(time_days=400.0)),
    )


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    return replace(solve(world().problem()), inflation=1.0)


def maps():
    """The prior itself, and another layout of the same size."""
    one = world().prior["total"]["flux"].values.ravel()
    return {"one": one, "two": one.mean() * (1 + 0.5 * np.sin(np.arange(CELLS)))}


def quantity(epochs=("before", "after"), fraction=None, patterns=None, **changes):
    return Quantity(
        species="co2",
        region="r",
        block="total",
        fraction=np.ones(CELLS) if fraction is None else fraction,
        area_m2=AREA,
        epochs=tuple(EPOCHS[e] for e in epochs),
        patterns=patterns or {"one": maps()["one"]},
        alternatives={},
        **changes,
    )


def with_truth(posterior, fields, rng=None):
    """Exact observations (or noisy ones) of one flux per epoch; the background as in the prior."""
    problem = posterior.problem
    (block,) = problem.blocks
    values = problem.baseline + block.jacobian @ np.concatenate(fields)
    if rng is not None:
        rest = tuple(c.name for c in problem.model.components if c.name != "total")
        covariance = problem.model.covariance(posterior.values, rest)
        values = values + np.linalg.cholesky(covariance) @ rng.standard_normal(values.size)
    return replace(posterior, problem=replace(problem, table=replace(problem.table, value=values)))


#: What a claim of CO2 has to say beside its place and number.
TOLD = {"includes_respiration": False, "denominator": "total"}


def claim(value=-0.25, reading="at least", width=0.125, kind="change", **definition):
    # the epochs are weeks of March and of April, and in one test a station short
    differ = ("months differ", "a station less") if kind == "change" else ()
    stated = Statement("co2", "t CO2 a-1", "territorial", "r", None, False, "gas", None, differ, **TOLD)
    return ClaimText(
        "c", kind, "", "co2", "r", value, "1", reading, width, "", "", replace(stated, **definition)
    )


OURS = Estimand("co2", 1000.0, (2023,), False, "all hours", False, respiration_in_block=False)


@pytest.mark.parametrize("fraction", [None, HALF], ids=["whole grid", "cells cut by the edge"])
def test_the_response_along_the_claimed_pattern_is_one(posterior, fraction):
    for epochs in (("before", "after"), ("after",)):
        found = answer(quantity(epochs, fraction), Variant("main", posterior), "one")
        assert found.responses == {"one": pytest.approx(1.0, abs=1e-9)}


@pytest.mark.parametrize("fraction", [None, HALF], ids=["whole grid", "cells cut by the edge"])
@pytest.mark.parametrize("change", [-0.25, 0.1, 0.0])
def test_exact_data_of_a_change_inside_the_region_give_that_change(posterior, fraction, change):
    """What happens outside, here a doubling, does not leak in."""
    inside = np.ones(CELLS) if fraction is None else fraction
    before = 1.7 * maps()["one"]  # the prior is wrong, and has no vote
    after = before * ((1 + change) * inside + 2.0 * (1 - inside))
    found = answer(quantity(fraction=fraction), Variant("m", with_truth(posterior, (before, after))), "one")
    assert found.totals[1] / found.totals[0] - 1 == pytest.approx(change, abs=1e-8)
    assert found.totals[0] == pytest.approx(FACTOR * (AREA * inside) @ before, rel=1e-8)


@pytest.mark.parametrize("epochs", [("before", "after"), ("after",)], ids=["change", "level"])
@settings(max_examples=8)
@given(factor=st.floats(0.2, 5.0))
def test_the_prior_mean_has_no_vote(posterior, epochs, factor):
    """Nor in a level of one epoch, though the fluxes of the other are correlated with it."""
    problem = posterior.problem
    (block,) = problem.blocks
    moved = replace(posterior, problem=replace(problem, blocks=(replace(block, prior=factor * block.prior),)))
    one, other = (answer(quantity(epochs), Variant("m", p), "one") for p in (posterior, moved))
    sigma = np.sqrt(np.diagonal(one.covariance))
    assert (np.abs(one.totals - other.totals) < 1e-6 * sigma).all()
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-9)


def test_the_totals_of_two_epochs_are_those_of_the_state_with_two_free_strengths(posterior):
    """State space, (x, β) together, no prior on β: the inverse of the information matrix."""
    problem = posterior.problem
    (block,) = problem.blocks
    h = block.jacobian.toarray()
    flat = np.kron(np.eye(2), maps()["one"][:, None])
    rest = tuple(c.name for c in problem.model.components if c.name != "total")
    r = problem.model.covariance(posterior.values, rest)
    seen = np.hstack([h, h @ flat])
    information = seen.T @ np.linalg.solve(r, seen)
    information[:40, :40] += np.linalg.inv(dense_q(block, problem.values_of("total", posterior.values)))
    rows = FACTOR * np.kron(np.eye(2), AREA)
    rows = np.hstack([rows, rows @ flat])
    state = np.linalg.solve(information, seen.T @ np.linalg.solve(r, problem.residual))
    found = answer(quantity(), Variant("m", posterior), "one")
    np.testing.assert_allclose(found.totals, rows[:, :40] @ block.prior.ravel() + rows @ state, rtol=1e-7)
    np.testing.assert_allclose(found.covariance, rows @ np.linalg.solve(information, rows.T), rtol=1e-7)


def estimate_of(q, posterior, correlation):
    found = answer(q, Variant("m", posterior), "one")
    return estimate_at(q.made, found, q.transport, correlation)


def test_a_shared_transport_error_widens_a_level_and_leaves_of_a_change_what_epochs_do_not_share(posterior):
    plain, scaled = (quantity(transport=TransportScale(common_sd=c)) for c in (0.0, 0.3))
    level = [estimate_of(replace(q, epochs=(EPOCHS["after"],)), posterior, 0.6) for q in (plain, scaled)]
    assert level[1].sigma ** 2 - level[0].sigma ** 2 == pytest.approx((0.3 * level[0].value) ** 2)
    assert estimate_of(scaled, posterior, 1.0) == estimate_of(plain, posterior, 1.0)
    for correlation in (0.0, 0.5, 0.9):
        wide, narrow = (estimate_of(q, posterior, correlation) for q in (scaled, plain))
        extra = 2 * (1 - correlation) * (0.3 * (1 + narrow.value)) ** 2
        assert wide.sigma**2 - narrow.sigma**2 == pytest.approx(extra)


def test_a_change_is_judged_at_the_least_favourable_correlation_of_a_shared_error(posterior):
    before = 20 * maps()["one"]
    cut = Variant("m", with_truth(posterior, (before, 0.75 * before)))
    assert judge(claim(), OURS, quantity(), [cut]).answer == "supported"
    doubted = judge(claim(), OURS, quantity(transport=TransportScale(common_sd=0.1)), [cut])
    assert doubted.answer == "undecided" and doubted.correlation == 0.0
    assert doubted.estimate == estimate_of(quantity(transport=TransportScale(0.1)), cut.posterior, 0.0)
    assert doubted.as_json()["least_favourable_correlation"] == 0.0
    assert judge(claim(), OURS, quantity(), [cut]).as_json()["least_favourable_correlation"] is None


def test_change_intervals_cover_a_true_change_over_noisy_worlds(posterior):
    """Fixed truth, 100 draws of background and mismatch: 95 ± 2.2 cover."""
    rng = np.random.default_rng(0)
    before = maps()["one"]
    held = []
    for _ in range(100):
        noisy = with_truth(posterior, (before, 0.75 * before), rng)
        found = judge(claim(), OURS, quantity(), [Variant("m", noisy)]).estimate
        held.append(found.low <= -0.25 <= found.high)
    assert np.sum(held) >= 88


def test_a_true_cut_is_supported_a_false_one_contradicted_and_a_small_one_undecided(posterior):
    before = 20 * maps()["one"]  # a strong city: the change stands out
    cut = Variant("m", with_truth(posterior, (before, 0.75 * before)))
    assert judge(claim(-0.20, width=0.10), OURS, quantity(), [cut]).answer == "supported"
    assert judge(claim(-0.45, width=0.22), OURS, quantity(), [cut]).answer == "contradicted"
    weak = Variant("m", with_truth(posterior, (0.3 * maps()["one"], 0.29 * maps()["one"])))
    small = judge(claim(-0.02, width=0.01), OURS, quantity(), [weak])
    assert small.answer == "undecided"
    assert "below-detectable-change" in small.reasons


def test_a_level_is_judged_by_its_tolerance(posterior):
    field = 20 * maps()["one"]
    total = FACTOR * float(AREA @ field)
    exact = Variant("m", with_truth(posterior, (field, field)))
    level = quantity(("after",))
    ours = replace(OURS, is_level=True)
    # a quarter less than 4/3 of the total is the total itself: the interval lies across that edge
    for value, expected in ((total, "supported"), (2 * total, "contradicted"), (total / 0.75, "undecided")):
        text = claim(value, "equal", 0.25, "level")
        assert judge(text, ours, level, [exact]).answer == expected


def test_the_totals_behind_a_change_are_estimated_as_levels_of_their_epochs(posterior):
    transport = TransportScale(common_sd=0.05)
    found = judge(claim(), OURS, quantity(transport=transport), [Variant("m", posterior)], level=0.99)
    assert [e.interval for e in found.epochs] == list(quantity().epochs)
    first, second = (e.estimate for e in found.epochs)
    assert second.value / first.value - 1 == pytest.approx(found.estimate.value, rel=1e-9)
    answered = answer(quantity(), Variant("m", posterior), "one")
    for k, total in enumerate((first, second)):
        # the transport's 5 % of the total on top of the variance of the epoch
        sigma = np.hypot(np.sqrt(answered.covariance[k, k]), 0.05 * answered.totals[k])
        assert total.level == 0.99 and total.sigma == pytest.approx(sigma, rel=1e-9)
        for limit in (total.low, total.high):  # the transport's share is of the truth, here the limit
            reach = 2.5758293 * np.hypot(np.sqrt(answered.covariance[k, k]), 0.05 * limit)
            assert abs(limit - total.value) == pytest.approx(reach, rel=1e-6)


def test_an_equal_change_is_as_hard_to_decide_as_its_tolerance_is_narrow(posterior):
    before = 2 * maps()["one"]
    unsure = Variant("m", with_truth(posterior, (before, 0.75 * before)))
    found = judge(claim(-0.25, "equal", 0.02), OURS, quantity(), [unsure])
    assert found.detectable > 0.02 * 0.25
    assert found.answer == "undecided" and "below-detectable-change" in found.reasons


def test_what_is_not_comparable_gets_no_number(posterior):
    found = judge(claim(scope="scope-1-2"), OURS, quantity(), [Variant("m", posterior)])
    assert found.answer == "not comparable"
    assert found.estimate is None
    assert found.reasons == (
        "scope: the claim counts scope-1-2; the air sees what is emitted inside the region",
    )


def test_the_members_are_maps_times_variants_and_stations_stay_out_of_the_pool(posterior):
    both = quantity(patterns=maps())
    main = Variant("main", posterior)
    variants = [main, with_length(main, 2.0), without_station(main, 0)]
    found = judge(claim(), OURS, both, variants)
    assert [m.name for m in found.ensemble] == [
        "one, main", "two, main", "one, correlation length × 2", "two, correlation length × 2",
        "one, without S0-50m", "two, without S0-50m",
    ]  # fmt: skip
    models = [m.estimate for m in found.ensemble[:4]]
    assert found.estimate.value == pytest.approx(np.mean([m.value for m in models]))
    assert found.estimate.sigma**2 == pytest.approx(
        np.mean([m.sigma**2 for m in models]) + np.var([m.value for m in models])
    )
    assert set(found.responses) == {"one", "two"}
    assert all(least <= most for least, most in found.responses.values())


def test_variants_change_what_they_say_and_nothing_else(posterior):
    main = Variant("main", posterior)
    names = [p.name for p in posterior.hyperparameters.parameters]
    longer = with_length(main, 2.0).posterior.values / posterior.values
    assert longer[names.index("total length")] == 2.0 and longer.prod() == 2.0
    slower = with_mismatch_time(main, 3.0).posterior.values / posterior.values
    assert slower[names.index("transport time")] == pytest.approx(3.0) and slower.prod() == pytest.approx(3.0)
    fewer = without_station(main, 1)
    assert set(fewer.posterior.problem.table.station) == {0, 2} and fewer.station_out


def test_a_network_that_cannot_answer_without_a_station_is_unstable_not_broken(posterior):
    """Only station 0 measured in the second epoch: without it there is no answer, which is an answer."""
    problem = posterior.problem
    keep = np.flatnonzero((problem.table.station == 0) | (problem.table.start < EPOCHS["after"].start64))
    main = Variant("m", posterior.on(problem.select(keep)))
    found = judge(claim(), OURS, quantity(), [main, without_station(main, 0)])
    assert found.answer == "undecided" and "unstable" in found.reasons
    assert found.as_json()["ensemble"][-1]["estimate"] is None


def test_the_same_data_give_the_same_verdict(posterior):
    one, other = (judge(claim(), OURS, quantity(), [Variant("m", posterior)]).as_json() for _ in range(2))
    assert one == other


def test_the_share_from_data_is_one_minus_the_ratio_of_variances(posterior):
    found = judge(claim(), OURS, quantity(), [Variant("m", posterior)])
    free = posterior.totals(quantity().totals())
    flat = answer(quantity(), Variant("m", posterior), "one").totals
    contrast = np.array([-flat[1] / flat[0], 1.0])
    before, after = (contrast @ c @ contrast for c in (free.prior_covariance, free.covariance))
    assert found.share_from_data == pytest.approx(1 - after / before)
    assert 0 < found.share_from_data < 1


def test_helpers_make_the_maps_they_say():
    assert flux(maps()["two"])["flux"].size == CELLS
