"""A claimed strength is the whole source, and neither yes nor no rests on one instrument or one choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_worlds import CELLS, GRID, flux, make_world
from source_worlds import CELL, DAYS, INVERSION, claim, holding, network, with_source

from monitor import units
from monitor.compare.comparable import DECLARED, EQUAL, MISMATCH
from monitor.compare.estimator import Variant
from monitor.compare.strengths import MOST_HELD, compare_strength
from monitor.domain import Interval
from monitor.inversion import FluxBlock, Posterior
from monitor.service.source_claims import judge_source
from monitor.service.source_look import enhancement_held, strength_held

PERIOD = ("2023-03-05", "2023-03-10")
KNOWN = ("strength: the inventory's flux there is this plant",)


@pytest.fixture(scope="module")
def air() -> Posterior:
    return network()


@pytest.fixture(scope="module")
def unit(air) -> float:
    """What the claim of that period would detect [kg h⁻¹]."""
    return judge_source(claim(period=PERIOD), with_source(air, 0.0), INVERSION, 0)["detectable"]


def in_period(problem) -> np.ndarray:
    """Its observations (n,) bool."""
    day = np.floor(problem.table.hours / 24).astype(int)
    day -= day.min()
    return (day >= 4) & (day < 9)


def with_values(posterior: Posterior, value: np.ndarray) -> Posterior:
    problem = posterior.problem
    return replace(posterior, problem=replace(problem, table=replace(problem.table, value=value)))


def judged(posterior, variants=(), **changes):
    return judge_source(claim(period=PERIOD, **changes), posterior, INVERSION, 0, variants=variants)


def test_a_plant_that_emits_what_inventory_and_claim_say_is_supported_and_never_contradicted(air, unit):
    plant = 6 * unit
    for seed in range(4):
        found = judged(with_source(holding(air, plant), 0.0, seed=seed), value=plant, adjustments=KNOWN)
        assert found["verdict"] == "supported" and found["interval"][0] < plant < found["interval"][1]


def test_a_plant_that_emits_twice_what_is_claimed_is_not_supported_by_its_excess(air, unit):
    plant = 6 * unit
    found = judged(with_source(holding(air, plant), plant), value=plant, adjustments=KNOWN)
    assert (found["verdict"], found["reasons"]) == ("undecided", ["stronger-than-claimed"])
    assert found["interval"][0] < 2 * plant < found["interval"][1]


@pytest.mark.parametrize("part", [0.02, 0.5, 3.0])
def test_the_strength_of_a_named_period_is_the_same_whatever_the_inventory_holds_there(air, unit, part):
    """The prior does not vote: the same air, another inventory at the cell in that time."""
    there = with_source(air, 5 * unit)
    other = holding(there, part * 5 * unit)
    # outside the period both inventories are right
    outside = np.where(in_period(air.problem), 0.0, enhancement_held(other.problem, CELL))
    other = with_values(other, there.problem.table.value + outside)
    one = judged(there, value=5 * unit, adjustments=KNOWN)
    two = judged(other, value=5 * unit, adjustments=KNOWN)
    assert two["interval"] == pytest.approx(one["interval"], rel=1e-9)
    assert two["false_alarm"] == one["false_alarm"] and two["verdict"] == one["verdict"] == "supported"


def test_a_claim_without_dates_never_contradicts_what_the_inventory_holds_and_the_air_shows(air, unit):
    plant = 6 * unit
    for seed in range(4):
        there = with_source(holding(air, plant), 0.0, seed=seed)
        found = judge_source(claim(value=plant, adjustments=KNOWN), there, INVERSION, 0)
        # it stands out at no time, so there is no yes either
        assert (found["verdict"], found["reasons"]) == ("undecided", ["too-little-data"])
        assert found["interval"][0] < plant < found["interval"][1]


def test_without_a_strength_only_what_lies_beyond_the_inventory_is_a_source(air, unit):
    """Else every cell of a city that emits would be one."""
    held = holding(air, 20 * unit)
    nothing, more = (judged(with_source(held, s)) for s in (0.0, 4 * unit))
    assert nothing["verdict"] == "undecided" and more["verdict"] == "supported"
    assert more["interval"][0] < 4 * unit < more["interval"][1]
    assert "beyond the inventory" in more["uncertainty_rule"]


def test_what_the_inventory_holds_at_the_place_must_be_declared(air, unit):
    def item(held, **changes):
        found = judge_source(
            claim(**{"value": 10 * unit, "period": PERIOD, **changes}),
            with_source(holding(air, held), 0.0),
            INVERSION,
            0,
        )
        (one,) = (i for i in found["comparability"] if i["item"] == "strength")
        return found["verdict"], one

    assert item(0.9 * unit)[1]["status"] == "equal"
    verdict, asked = item(1.1 * unit)
    assert (verdict, asked["status"]) == ("not comparable", "mismatch") and "already holds" in asked["detail"]
    assert item(1.1 * unit, adjustments=KNOWN)[1]["status"] == "declared"


def test_a_declared_strength_brings_its_uncertainty(air, unit):
    stated = ({"item": "strength", "text": "a tenth of it is traffic", "relative_sd": 0.3},)
    there = with_source(holding(air, 3 * unit), 3 * unit)
    plain, wide = (judged(there, value=6 * unit, adjustments=a) for a in (KNOWN, stated))
    assert wide["interval"][0] < plain["interval"][0] and plain["interval"][1] < wide["interval"][1]


@pytest.mark.parametrize(
    ("held", "declared", "status"),
    [(MOST_HELD, (), EQUAL), (0.2, (), MISMATCH), (0.2, KNOWN, DECLARED), (0.2, ("natural",), MISMATCH)],
)
def test_the_gate_lets_a_tenth_pass_and_asks_about_more(held, declared, status):
    assert compare_strength(1.0, held, "some", declared).status == status


def test_what_the_inventory_holds_in_a_cell_is_what_its_prior_loses_without_it(air):
    """By definition, H x_a with the cell less H x_a without it; a strength is flux times area."""
    held = holding(air, 1000.0).problem
    without = holding(air, 0.0).problem
    assert enhancement_held(held, CELL) == pytest.approx(held.predicted - without.predicted, abs=1e-12)
    assert strength_held(held, CELL, Interval.parse(*PERIOD)) == pytest.approx(1000.0)
    (block,) = held.blocks
    taken_up = replace(held, blocks=(replace(block, prior=-block.prior),))
    assert not enhancement_held(taken_up, CELL).any()
    assert strength_held(taken_up, CELL, Interval.parse(*PERIOD)) == 0.0


def test_the_inventory_of_every_kind_of_block_is_put_back():
    """A constant flux is the same whether a block holds it per cell, as scalings, or as one factor."""
    held = []
    for resolution in ("cells", "scalings", "pattern"):
        world = make_world(3, days=DAYS, every_hours=6)
        blocks = (FluxBlock("total"), FluxBlock("other", resolution=resolution))
        maps = world.prior | {"other": flux(np.arange(1.0, CELLS + 1))}
        problem = replace(world, prior=maps, assumptions=replace(world.assumptions, state=blocks)).problem()
        held.append((enhancement_held(problem, CELL), strength_held(problem, CELL, Interval.parse(*PERIOD))))
    for enhancement, strength in held[1:]:
        assert enhancement == pytest.approx(held[0][0], rel=1e-9)
        assert strength == pytest.approx(held[0][1])


# --- a no ----------------------------------------------------------------------------------------------


def test_a_station_that_repeats_one_value_hides_no_source(air, unit):
    """It sees most of the place; without it the others see the source."""
    there = with_source(air, 2.5 * unit)
    problem, inside = there.problem, in_period(there.problem)
    names, value = problem.table.names, problem.table.value
    seen = np.where(inside, problem.blocks[0].footprints()[:, CELL], 0.0) ** 2
    station = max(np.unique(names), key=lambda name: seen[names == name].sum())
    stuck = np.where(inside & (names == station), np.median(value[~inside & (names == station)]), value)
    found = judged(with_values(there, stuck), value=2.5 * unit)
    assert found["interval"][1] < 2.5 * unit
    assert (found["verdict"], found["reasons"]) == ("undecided", ["unstable"])


def test_a_no_of_days_that_are_badly_predicted_is_a_poor_fit(air, unit):
    """One week's errors are six times those of the other: no inflation of the one serves the other."""
    empty = with_source(air, 0.0)
    problem = empty.problem
    late = problem.table.hours >= problem.table.hours.min() + 24 * DAYS / 2
    wild = with_values(empty, problem.table.value + np.where(late, 5.0 * problem.residual, 0.0))
    assert judged(empty, value=100 * unit)["verdict"] == "contradicted"
    found = judged(wild, value=100 * unit)
    assert found["verdict"] == "undecided" and "poor-fit" in found["reasons"]


def test_one_station_alone_rules_out_a_source_of_named_dates_only():
    alone = with_source(network(stations=1, every_hours=4), 0.0)
    detectable = judged(alone)["detectable"]
    assert judged(alone, value=1e3 * detectable)["verdict"] == "contradicted"
    undated = judge_source(claim(value=1e6 * detectable), alone, INVERSION, 0)
    assert undated["verdict"] == "undecided"
    few = with_source(network(stations=1), 0.0)
    assert few.problem.table.n < 60
    assert judged(few, value=1e3 * detectable)["reasons"] == ["too-little-data"]


def test_another_choice_that_says_the_opposite_leaves_the_claim_open(air, unit):
    there, empty = with_source(air, 5 * unit), with_source(air, 0.0)
    variants = [
        Variant("main", there),
        Variant("other", empty, choice="length"),
        Variant("same", there, choice="map"),
    ]
    found = judged(there, variants, value=5 * unit)
    assert [m["verdict"] for m in found["ensemble"]] == ["supported", "contradicted", "supported"]
    assert (found["verdict"], found["reasons"]) == ("undecided", ["unstable"])
    assert {f["member"] for f in found["flips"]} >= {"other"}
    assert judged(there, variants[::2], value=5 * unit)["verdict"] == "supported"
    turned = [Variant("main", empty), Variant("other", there, choice="length")]
    assert judged(empty, turned, value=5 * unit)["reasons"] == ["unstable"]


def test_a_variant_alone_is_the_look_with_its_own_covariance(air, unit):
    """The window's generalised least squares by dense algebra."""
    there = with_source(air, 5 * unit)
    member = judged(there, [Variant("main", there), Variant("same", there)], value=5 * unit)["ensemble"][1]
    problem = there.problem
    per_kg = units.kilograms_per_hour("co2") * GRID.cell_area_m2().ravel()[CELL]
    h = np.where(in_period(problem), problem.blocks[0].footprints()[:, CELL] / per_kg, 0.0)
    precision = np.linalg.inv(there.solution.lower @ there.solution.lower.T)
    assert member["estimate"] == pytest.approx(
        h @ precision @ problem.residual / (h @ precision @ h), rel=1e-6
    )


def test_nothing_is_made_up_about_the_prior_or_other_layouts(air, unit):
    found = judged(with_source(air, 3 * unit))
    assert found["share_from_data"] is None and found["response"] is None and found["responses"] == {}
