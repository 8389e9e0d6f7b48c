"""Trends and shares from the air: exact data give the truth, the prior has no vote, a gain needs no data."""

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
    decide,
    estimators,
    judge,
    support_of,
    with_length,
    without_station,
)
from monitor.compare.confounding import correlations
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.estimator import Variant, answer, estimator
from monitor.compare.forms import Trend
from monitor.compare.plan import detectable_before
from monitor.compare.quantity import Quantity
from monitor.compare.trends import decimal_years
from monitor.inversion import Correlation, FluxBlock, Posterior, solve
from monitor.inversion.assumptions import TransportScale

#: Five weeks of March, one a year.
EPOCHS = {str(2023 + k): interval(365 * k + (k > 0), 8) for k in range(5)}
AREA = GRID.cell_area_m2().ravel()
FACTOR = units.tonnes_per_year("co2")
DISTRICT = np.where(np.arange(CELLS) % 5 < 2, 1.0, np.where(np.arange(CELLS) % 5 == 2, 0.4, 0.0))
BLOCK = FluxBlock("total", relative_sd=0.3, correlation=Correlation(time_days=400.0))


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    world = make_world(3, stations=3, every_hours=6, epochs=EPOCHS, block=BLOCK)
    return replace(solve(world.problem()), inflation=1.0)


@pytest.fixture(scope="module")
def sectors() -> Posterior:
    """Two blocks of one epoch, each with its own map."""
    rng = np.random.default_rng(5)
    world = make_world(4, stations=3, every_hours=3, epochs={"only": interval(0, 12)})
    blocks = tuple(replace(BLOCK, name=name) for name in ("traffic", "heating"))
    prior = {b.name: flux(rng.gamma(2.0, 1.0, CELLS)) for b in blocks}
    assumptions = replace(world.assumptions, state=blocks)
    return replace(solve(replace(world, prior=prior, assumptions=assumptions).problem()), inflation=1.0)


def map_of(posterior, block="total"):
    return posterior.problem.block(block).prior[0]


def quantity(posterior, epochs=None, block="total", **changes):
    made = Quantity(
        species="co2",
        region="r",
        block=block,
        fraction=np.ones(CELLS),
        area_m2=AREA,
        epochs=tuple(epochs or EPOCHS.values()),
        patterns={"one": map_of(posterior, block)},
        alternatives={},
    )
    return replace(made, **changes)


def with_truth(posterior, fields):
    """Exact observations of a flux per block and epoch, {block: [(n_cells,), …]}."""
    problem = posterior.problem
    values = problem.baseline + sum(
        problem.block(name).jacobian @ np.concatenate(found) for name, found in fields.items()
    )
    return replace(posterior, problem=replace(problem, table=replace(problem.table, value=values)))


#: What a claim of CO2 has to say beside its place and number.
TOLD = {"includes_respiration": False, "denominator": "total"}


def trend_claim(value=-0.02, width=0.01, **changes):
    differ = ("the months, hours and stations differ",)
    stated = Statement("co2", "a-1", "territorial", "r", None, False, "gas", None, differ, **TOLD)
    return ClaimText(
        "c", "trend", "", "co2", "r", value, "a-1", "at least", width, "", "", replace(stated, **changes)
    )


OURS = Estimand("co2", 1000.0, (2023,), False, "all hours", False, respiration_in_block=False)


@pytest.mark.parametrize("reading", ["realised", "underlying"])
@pytest.mark.parametrize("slope", [-0.05, 0.0, 0.1])
def test_exact_data_of_a_straight_decline_give_its_slope(posterior, reading, slope):
    years = decimal_years(list(EPOCHS.values()))
    base = 1.4 * map_of(posterior)
    exact = with_truth(posterior, {"total": [base * (1 + slope * t) for t in years]})
    form = Trend(tuple(years), reading)
    found = answer(quantity(posterior, form=form), Variant("m", exact), "one")
    assert form.estimate(found.totals, found.covariance).value == pytest.approx(slope, abs=1e-8)
    absolute = replace(form, relative=False).estimate(found.totals, found.covariance)
    assert absolute.value == pytest.approx(slope * FACTOR * float(AREA @ base), abs=1e-3)
    assert found.responses == {"one": pytest.approx(1.0, abs=1e-8)}


def test_five_totals_and_their_covariance_are_those_of_the_state_with_five_free_strengths(posterior):
    """State space, (x, β) together, no prior on β: the inverse of the information matrix."""
    problem = posterior.problem
    (block,) = problem.blocks
    h = block.jacobian.toarray()
    flat = np.kron(np.eye(5), map_of(posterior)[:, None])
    rest = tuple(c.name for c in problem.model.components if c.name != "total")
    r = problem.model.covariance(posterior.values, rest)
    seen = np.hstack([h, h @ flat])
    information = seen.T @ np.linalg.solve(r, seen)
    size = 5 * CELLS
    information[:size, :size] += np.linalg.inv(dense_q(block, problem.values_of("total", posterior.values)))
    rows = FACTOR * np.kron(np.eye(5), AREA)
    rows = np.hstack([rows, rows @ flat])
    found = answer(quantity(posterior), Variant("m", posterior), "one")
    np.testing.assert_allclose(found.covariance, rows @ np.linalg.solve(information, rows.T), rtol=1e-6)
    state = np.linalg.solve(information, seen.T @ np.linalg.solve(r, problem.residual))
    expected = rows[:, :size] @ block.prior.ravel() + rows @ state
    np.testing.assert_allclose(found.totals, expected, rtol=1e-6)


@settings(max_examples=6)
@given(factor=st.floats(0.2, 5.0), last=st.floats(0.3, 1.5))
def test_a_prior_that_is_doubled_or_holds_the_claim_does_not_move_the_estimate(posterior, factor, last):
    """By more than 1e-8 of σ: level of one epoch, change, trend."""
    problem = posterior.problem
    (block,) = problem.blocks
    ramp = factor * np.linspace(1.0, last, 5)[:, None]
    moved = replace(posterior, problem=replace(problem, blocks=(replace(block, prior=ramp * block.prior),)))
    every = list(EPOCHS.values())
    for epochs in (every[-1:], every[::4], every):
        asked = quantity(posterior, epochs)
        one, other = (answer(asked, Variant("m", p), "one") for p in (posterior, moved))
        before, after = (asked.made.estimate(a.totals, a.covariance) for a in (one, other))
        assert abs(after.value - before.value) <= 1e-8 * before.sigma
        assert after.sigma == pytest.approx(before.sigma, rel=1e-8)


@pytest.mark.parametrize("parts", [(1.0, 1.0), (2.0, 0.5), (0.3, 1.7)])
def test_exact_data_give_the_share_of_a_district(posterior, parts):
    inside, outside = parts
    field = map_of(posterior) * (inside * DISTRICT + outside * (1 - DISTRICT))
    exact = with_truth(posterior, {"total": [field] * 5})
    last = list(EPOCHS.values())[-1:]
    rest = quantity(posterior, last, fraction=1 - DISTRICT)
    asked = quantity(posterior, last, fraction=DISTRICT, rest=(rest,))
    found = answer(asked, Variant("m", exact), "one")
    size = AREA * map_of(posterior)
    true = inside * DISTRICT @ size / (inside * DISTRICT @ size + outside * (1 - DISTRICT) @ size)
    estimate = asked.made.estimate(found.totals, found.covariance)
    assert estimate.value == pytest.approx(true, abs=1e-8)
    assert found.responses == {"one": pytest.approx(1.0, abs=1e-8)}
    assert 0 < estimate.low < estimate.high


def test_exact_data_give_the_share_of_a_sector(sectors):
    strength = {"traffic": 1.8, "heating": 0.6}
    exact = with_truth(sectors, {k: [v * map_of(sectors, k)] for k, v in strength.items()})
    epoch = list(sectors.problem.epochs.values())
    rest = quantity(sectors, epoch, "heating")
    asked = quantity(sectors, epoch, "traffic", rest=(rest,))
    found = answer(asked, Variant("m", exact), "one")
    part, other = (v * float(AREA @ map_of(sectors, k)) for k, v in strength.items())
    assert asked.made.estimate(found.totals, found.covariance).value == pytest.approx(
        part / (part + other), abs=1e-7
    )


def test_sectors_of_one_map_cannot_be_told_apart_and_the_claim_stays_undecided(sectors):
    problem = sectors.problem
    one, two = problem.blocks
    same = replace(two, jacobian=one.jacobian, prior=one.prior)
    twins = replace(sectors, problem=replace(problem, blocks=(one, same)))
    epoch = list(problem.epochs.values())
    asked = quantity(twins, epoch, "traffic", rest=(quantity(twins, epoch, "heating"),))
    found = judge(trend_claim(0.5), OURS, asked, [Variant("m", twins)])
    assert (found.answer, found.reasons, found.estimate) == ("undecided", ("too-little-data",), None)


def test_one_gain_answers_for_any_observations(posterior):
    """The verdict from the gains and a new residual is the verdict on these observations."""
    rng = np.random.default_rng(6)
    asked = quantity(posterior)
    main = Variant("m", posterior)
    variants = [main, without_station(main, 1)]
    members = estimators(asked, variants)
    support = support_of(asked, main, members)
    noise = rng.standard_normal(posterior.problem.table.n)
    table = posterior.problem.table
    other = replace(
        posterior, problem=replace(posterior.problem, table=replace(table, value=table.value + noise))
    )
    moved = Variant("m", other)
    residual = members[0].residual + noise
    rows = [slice(None) if m.rows is None else m.rows for m in members]
    answers = [m.at(residual[r]) for m, r in zip(members, rows, strict=True)]
    quick = decide(trend_claim(), asked, answers, support).as_json()
    slow = judge(trend_claim(), OURS, asked, [moved, without_station(moved, 1)]).as_json()
    for key in ("estimate", "sigma", "detectable", "detectable_before", "share_from_data", "probability"):
        assert quick[key] == pytest.approx(slow[key], rel=1e-9), key
    for key in ("verdict", "reasons", "flips", "flips_text", "years_to_detect"):
        assert quick[key] == slow[key], key


def test_a_trend_verdict_says_its_degrees_of_freedom_and_how_long_it_takes(posterior):
    years = decimal_years(list(EPOCHS.values()))
    base = 20 * map_of(posterior)
    exact = Variant("m", with_truth(posterior, {"total": [base * (1 - 0.05 * t) for t in years]}))
    found = judge(trend_claim(-0.04, 0.02), OURS, quantity(posterior), [exact]).as_json()
    assert found["verdict"] == "supported"
    assert found["degrees_of_freedom"] == 3 and "3 degrees of freedom" in found["uncertainty_rule"]
    assert found["sigma_within"] == pytest.approx(found["sigma"]) and found["sigma_between"] == 0
    assert found["years_to_detect"] >= 3 and found["bayes_factor"] > 1
    tiny = judge(trend_claim(-1e-6, 5e-7), OURS, quantity(posterior), [exact]).as_json()
    assert tiny["years_to_detect"] is None


@settings(max_examples=5)
@given(factor=st.floats(-3, 3))
def test_what_is_detectable_before_the_data_does_not_look_at_them(posterior, factor):
    table = posterior.problem.table
    other = replace(
        posterior, problem=replace(posterior.problem, table=replace(table, value=factor * table.value))
    )
    every = list(EPOCHS.values())
    for epochs in (every[-1:], every[::4], every):
        asked = quantity(posterior, epochs)
        one, two = (
            detectable_before(asked, [estimator(asked, Variant("m", p), "one")]) for p in (posterior, other)
        )
        assert one == two > 0


def test_the_detectable_change_stated_before_is_that_of_unchanged_totals_as_the_map_says(posterior):
    asked = quantity(posterior, list(EPOCHS.values())[::4])
    member = estimator(asked, Variant("m", posterior), "one")
    total = FACTOR * float(AREA @ map_of(posterior))
    contrast = np.array([-1.0, 1.0]) / total
    sigma = np.sqrt(contrast @ member.covariance @ contrast)
    assert detectable_before(asked, [member]) == pytest.approx(2.8016 * sigma, rel=1e-4)


@pytest.mark.parametrize(
    "epochs", [slice(4, 5), slice(0, 5, 4), slice(0, 5)], ids=["level", "change", "trend"]
)
def test_the_correlation_with_the_inflow_is_that_of_the_joint_posterior(posterior, epochs):
    """Dense: β with a prior of 1e4 times its own σ, signal of the inflow and totals conditioned together."""
    problem = posterior.problem
    asked = quantity(posterior, list(EPOCHS.values())[epochs])
    main = Variant("m", posterior)
    found = estimator(asked, main, "one")
    background = ("inflow offset", "station offset", "inflow")
    s = problem.model.covariance(posterior.values, background)
    (block,) = problem.blocks
    flat = np.kron(np.eye(5), map_of(posterior)[:, None])
    q = dense_q(block, problem.values_of("total", posterior.values)) + 1e4 * flat @ flat.T
    h = block.jacobian.toarray()
    rest = tuple(c.name for c in problem.model.components if c.name != "total")
    psi = h @ q @ h.T + problem.model.covariance(posterior.values, rest)
    every = list(EPOCHS.values())
    rows = np.zeros((len(asked.epochs), 5 * CELLS))
    for i, epoch in enumerate(asked.epochs):
        k = every.index(epoch)
        rows[i, k * CELLS : (k + 1) * CELLS] = FACTOR * AREA
    contrast = asked.made.contrast(found.gain @ found.residual, found.covariance)
    total = contrast @ rows
    weights = {1: [1.0], 2: [-1.0, 1.0], 5: decimal_years(every) - decimal_years(every).mean()}[len(rows)]
    start = problem.table.start
    inside = np.array([(start >= e.start64) & (start < e.end64) for e in asked.epochs], dtype=float)
    mean = np.array(weights) @ (inside / inside.sum(axis=1, keepdims=True))
    crossed = np.stack([h @ q @ total, s @ mean], axis=1)
    prior = np.diag([total @ q @ total, mean @ s @ mean])
    joint = prior - crossed.T @ np.linalg.solve(psi, crossed)
    expected = joint[0, 1] / np.sqrt(joint[0, 0] * joint[1, 1])
    (name,) = correlations(asked, main, found)
    assert name == "inflow"
    assert correlations(asked, main, found)[name] == pytest.approx(expected, abs=2e-4)
    assert abs(expected) > 0.01


@pytest.mark.parametrize(("epochs", "expected"), [(slice(0, 5, 4), 1 / 1.1), (slice(0, 5), None)])
def test_a_transport_that_grew_stronger_is_a_member_of_the_ensemble(posterior, epochs, expected):
    """Air that is 10 % too shallow in the last epoch alone shows emissions a tenth too high there."""
    asked = quantity(posterior, list(EPOCHS.values())[epochs], epoch_factors=(1.1,))
    main, biased = (m.at(m.residual) for m in estimators(asked, [Variant("m", posterior)]))
    share = np.linspace(0, 1, main.totals.size)
    years = decimal_years(asked.epochs)
    np.testing.assert_allclose(biased.totals, main.totals / (1 + 0.1 * years / years[-1]), rtol=1e-12)
    assert np.abs(years / years[-1] - share).max() < 0.01
    if expected:
        values = [asked.made.estimate(a.totals, a.covariance).value for a in (main, biased)]
        assert 1 + values[1] == pytest.approx((1 + values[0]) * expected)
    found = judge(trend_claim(), OURS, asked, [Variant("m", posterior)])
    assert [m.choice for m in found.ensemble] == ["main", "transport of an epoch"]
    assert set(found.spread.by_choice) == {"transport of an epoch"}


def test_a_level_is_divided_by_the_factor_and_a_share_stays(posterior):
    last = list(EPOCHS.values())[-1:]
    level = quantity(posterior, last, epoch_factors=(0.8,))
    rest = quantity(posterior, last, fraction=1 - DISTRICT)
    share = quantity(posterior, last, fraction=DISTRICT, rest=(rest,), epoch_factors=(0.8,))
    for asked, factor in ((level, 1 / 0.8), (share, 1.0)):
        main, biased = (m.at(m.residual) for m in estimators(asked, [Variant("m", posterior)]))
        one, other = (asked.made.estimate(a.totals, a.covariance) for a in (main, biased))
        assert other.value == pytest.approx(factor * one.value)


def test_a_choice_that_changes_nothing_is_as_uncertain_as_the_main_one():
    """Else every choice that is tried would narrow the pooled interval."""
    world = make_world(3, stations=3, every_hours=6, epochs=EPOCHS, block=BLOCK)
    posterior = solve(replace(world, assumptions=replace(world.assumptions, estimate_scales=True)).problem())
    assert posterior.neighbours
    main = Variant("main", posterior)
    same = with_length(main, 1.0)
    first, second = (m.at(m.residual) for m in estimators(quantity(posterior), [main, same]))
    np.testing.assert_allclose(second.covariance, first.covariance, rtol=1e-9)
    certain = answer(quantity(posterior), same, "one")
    assert (np.diagonal(certain.covariance) < np.diagonal(first.covariance)).all()


def test_a_transport_that_differs_between_epochs_makes_a_trend_take_longer(posterior):
    waits = []
    for transport in (TransportScale(), TransportScale(epoch_sd=0.5)):
        asked = quantity(
            posterior, form=Trend(tuple(decimal_years(tuple(EPOCHS.values())))), transport=transport
        )
        found = judge(trend_claim(-0.05, 0.02), OURS, asked, [Variant("m", posterior)])
        waits.append(found.years_to_detect)
    assert waits[1] > waits[0]
