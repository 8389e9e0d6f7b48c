"""Claims of every kind from a city's data: the same totals said in other words give the same answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from published import published
from small_worlds import CELLS, flux, footprints, series, times
from test_analysis import BARE, CHANGE, CITY, LEVEL, NAMES, SOURCE, claims

from monitor.compare.terms import holds
from monitor.config import CityConfig
from monitor.domain import Interval
from monitor.errors import InputError
from monitor.service.analysis import analyse, solve_case
from monitor.service.case import CityData, build_case
from monitor.service.claims import biogenic_in, flat, judge_claim, months_sampled, respiration_in

EPOCHS = {
    "first": Interval.parse("2023-03-01", "2023-03-11"),
    "second": Interval.parse("2023-03-21", "2023-03-31"),
    "third": Interval.parse("2023-04-10", "2023-04-20"),
}
WHOLE = Interval.parse("2023-03-01", "2023-04-20")
LAST = [str(EPOCHS["third"].start), str(EPOCHS["third"].end)]
#: The two parts of the grid on either side of a meridian that cuts cells.
WEST, EAST = (
    [[west, 47.95], [east, 47.95], [east, 48.35], [west, 48.35]]
    for west, east in ((6.95, 7.17), (7.17, 7.45))
)
CHANGE_LATE = CHANGE | {"epochs": ["first", "third"]}
TREND = CHANGE | {"id": "trend", "kind": "trend", "epochs": list(EPOCHS), "unit": "1 a-1"}
LEVEL_LATE = LEVEL | {"period": LAST}
GREEN = {"name": "green", "species": "co2", "relative_sd": 0.5, "sectors": ["biosphere"]}


def city(**changes) -> CityConfig:
    fields = CITY | {
        "region": [
            {"id": "west", "polygons": [WEST]},
            {"id": "east", "polygons": [EAST]},
            {"id": "window", "whole_grid": True},
        ],
        "epoch": [{"id": k, "start": str(e.start), "end": str(e.end)} for k, e in EPOCHS.items()],
        "scan": [],
        "ensemble": {"leave_one_station_out": False},
    }
    return CityConfig.model_validate(fields | changes)


SECTORS = city(
    block=[
        {"name": s, "species": "co2", "relative_sd": 0.3, "time_days": 300, "sectors": [s]}
        for s in ("traffic", "heating")
    ]
)


@pytest.fixture(scope="module")
def data() -> CityData:
    """What the air holds of the inventories' mean, a fifth less of it in each epoch."""
    rng = np.random.default_rng(3)
    time = times(EPOCHS, 3)
    inventories = {i["id"]: flux(rng.gamma(2, 1, CELLS), i["id"], [i["sector"]]) for i in CITY["inventory"]}
    prints = {f"{name}-fp": footprints(rng, time, name) for name in NAMES}
    plain = CityData(
        {f"{n}-obs": series(time, np.full(time.size, 400.0), n) for n in NAMES}, prints, inventories
    )
    case = build_case(city(), "co2", WHOLE, plain)
    problem = case.problem((0, 24))
    signal = sum(
        (1 - 0.2 * k) * problem.effect("fossil", flat(case.reference["fossil"]), epoch)
        for k, epoch in enumerate(EPOCHS.values())
    )
    values = 400.0 + signal + 0.3 * rng.standard_normal(signal.size)
    table, observed = problem.table, {}
    for number, inlet in enumerate(table.inlets):
        mine = table.station == number
        name = inlet.split("-")[0]
        observed[f"{name}-obs"] = series(table.start[mine], values[mine], name)
    return CityData(observed, prints, inventories)


@pytest.fixture(scope="module")
def solved(data):
    return solve_case(build_case(city(), "co2", WHOLE, data))


def judged(solved, *items, as_of=None):
    """Verdicts of claims on one posterior."""
    listed = claims(*items).claim
    found = {c.id: judge_claim(c, solved.case.city, solved, WHOLE, as_of) for c in listed}
    return {name: published(name, verdict) for name, verdict in found.items()}


def test_a_realised_trend_of_even_epochs_is_the_change_from_first_to_last_per_year(solved):
    trend = TREND | {"slope": "realised", "region": "window"}
    found = judged(solved, trend, CHANGE_LATE | {"region": "window"})
    years = (EPOCHS["third"].start - EPOCHS["first"].start).total_seconds() / (365.25 * 86400)
    rate, change = found["trend"], found["cut"]
    assert rate["unit"] == "1 a-1" and rate["degrees_of_freedom"] is None
    for member, other in zip(rate["ensemble"], change["ensemble"], strict=True):
        assert member["estimate"] * years == pytest.approx(other["estimate"], rel=1e-9)
        assert member["sigma"] * years == pytest.approx(other["sigma"], rel=1e-9)


def test_an_underlying_trend_of_three_epochs_has_one_degree_of_freedom_and_is_wider(solved):
    underlying = judged(solved, TREND)["trend"]
    assert underlying["degrees_of_freedom"] == 1 and underlying["verdict"] == "undecided"
    absolute = TREND | {"unit": "t CO2 a-2", "value": -1e6, "margin": 5e5}
    wide, narrow = (
        judged(solved, absolute | {"slope": slope})["trend"] for slope in ("underlying", "realised")
    )
    assert wide["unit"] == narrow["unit"] == "t CO2 a-2"
    # t of one degree of freedom against the normal quantile: 12.7 / 1.96
    assert np.ptp(wide["interval"]) > 6 * np.ptp(narrow["interval"])


def test_the_shares_of_two_halves_are_one(solved):
    share = LEVEL_LATE | {"kind": "share", "value": 0.5, "unit": "1", "of_region": "window"}
    found = judged(solved, share | {"id": "west", "region": "west"}, share | {"id": "east", "region": "east"})
    for west, east in zip(found["west"]["ensemble"], found["east"]["ensemble"], strict=True):
        assert west["estimate"] + east["estimate"] == pytest.approx(1.0, abs=1e-6)
        assert west["sigma"] == pytest.approx(east["sigma"], rel=1e-6)
    assert found["west"]["claimed"]["unit"] == "1"


def test_the_shares_of_two_sectors_are_one(data):
    by_sector = solve_case(build_case(SECTORS, "co2", WHOLE, data))
    share = LEVEL_LATE | {"kind": "share", "value": 0.5, "unit": "1", "of_sectors": ["*"]}
    found = judged(
        by_sector,
        share | {"id": "traffic", "sectors": ["traffic"]},
        share | {"id": "heating", "sectors": ["heating"]},
    )
    for one, other in zip(found["traffic"]["ensemble"], found["heating"]["ensemble"], strict=True):
        assert one["estimate"] + other["estimate"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": "window", "of_region": "west"}, "share of a region that does not hold its own"),
        ({"region": "west", "of_region": "west"}, "share of nothing but itself"),
        ({"region": "west", "of_region": "south"}, "names a region that the city file does not have"),
    ],
)
def test_a_share_of_what_does_not_hold_it_is_refused(solved, changes, message):
    share = LEVEL_LATE | {"kind": "share", "value": 0.5, "unit": "1"} | changes
    with pytest.raises(InputError, match=message):
        judged(solved, share)


def test_a_preview_shows_the_numbers_and_answers_nothing(solved):
    dated = CHANGE_LATE | {"evaluate_on": ["2023-06-01", "2024-06-01"]}
    on, between = (judged(solved, dated, as_of=date(2023, month, 1))["cut"] for month in (6, 7))
    assert between["verdict"] == "undecided" and between["reasons"] == ["not-an-evaluation-date"]
    assert between["evaluation"] == {
        "status": "preview", "as_of": "2023-07-01", "rule": "bonferroni", "look": None, "looks": None,
        "time": None, "information": None, "next": "2024-06-01", "declared": ["2023-06-01", "2024-06-01"],
    }  # fmt: skip
    assert between["estimate"] == on["estimate"] and between["level"] == 0.95
    assert on["level"] == pytest.approx(0.975) and on["evaluation"]["look"] == 1
    assert np.ptp(on["interval"]) > np.ptp(between["interval"])


def test_what_cannot_be_compared_is_said_on_any_day(solved):
    wrong = CHANGE_LATE | {"evaluate_on": ["2023-06-01"], "scope": "consumption"}
    assert judged(solved, wrong, as_of=date(2023, 7, 1))["cut"]["verdict"] == "not comparable"


def test_a_look_before_the_end_is_about_what_has_been_seen_and_wider(data, solved):
    daily = CHANGE_LATE | {"spending": {"rule": "obrien-fleming", "looks": 10}}
    half = Interval.parse("2023-03-01", "2023-04-15")
    level = LEVEL_LATE | {"spending": {"rule": "pocock", "looks": 10}}
    early = analyse(city(), claims(daily, level, CHANGE_LATE | {"id": "whole"}), half, data).verdicts
    assert set(early) == {"cut", "level"}  # the other waits for its epoch to end
    assert early["cut"]["periods"][1] == ["2023-04-10T00:00:00Z", "2023-04-15T00:00:00Z"]
    late = judged(solved, daily)["cut"]
    assert (early["cut"]["evaluation"]["look"], late["evaluation"]["look"]) == (5, 10)
    assert early["cut"]["level"] > 0.997 > late["level"] > 0.95
    assert early["level"]["periods"] == [early["cut"]["periods"][1]]


def test_a_source_needs_a_smaller_p_at_one_look_of_several(solved):
    dates = [f"2023-{month:02d}-01" for month in range(5, 13)]
    alone, one_of = (
        judged(solved, SOURCE | {"evaluate_on": d}, as_of=date(2023, 5, 1))["fire"]
        for d in (dates[:1], dates)
    )
    assert alone["false_alarm"] == one_of["false_alarm"]
    if one_of["verdict"] == "supported":
        assert one_of["false_alarm"] <= 0.05 / len(dates)


def test_a_declared_difference_brings_its_uncertainty(solved):
    declared = [{"text": "one year for another", "relative_sd": 0.2}]
    plain, wide = (
        judged(solved, LEVEL_LATE | {"adjustments": [*a, *BARE]})["level"]
        for a in (["one year for another"], declared)
    )
    assert plain["estimate"] == pytest.approx(wide["estimate"], rel=1e-3)
    assert wide["sigma"] >= np.hypot(plain["sigma"], 0.19 * abs(plain["estimate"]))
    assert wide["adjustments"] == plain["adjustments"] == ["one year for another", *(a["text"] for a in BARE)]


@pytest.mark.parametrize(
    ("base", "changes", "item"),
    [
        (LEVEL_LATE, {"months": [1, 2, 12]}, "months"),
        (LEVEL_LATE, {"species": "co2e", "unit": "t CO2e a-1"}, "gas"),
        (LEVEL_LATE, {"uncertainty": 0.1}, "coverage"),
        (LEVEL_LATE, {"denominator": "head", "unit": "t CO2 head-1 a-1"}, "denominator"),
        (CHANGE_LATE, {"base_year": 2005}, "base"),
        (LEVEL_LATE, {"scope": None}, "scope"),
        (CHANGE_LATE, {"denominator": None}, "denominator"),
        (LEVEL_LATE, {"region": "west", "polygons": [EAST]}, "region"),
        (LEVEL_LATE, {"where": "inventory one-traffic"}, "period"),
    ],
)
def test_what_a_claim_says_of_itself_reaches_the_gate(solved, base, changes, item):
    found = judged(solved, base | changes)[base["id"]]
    assert found["verdict"] == "not comparable"
    assert item in [c["item"] for c in found["comparability"] if c["status"] == "mismatch"]


def test_a_number_of_an_inventory_is_of_its_whole_year(solved):
    tied = LEVEL_LATE | {
        "where": "inventory one-traffic",
        "months": [],
        "adjustments": ["inventory year 2021 for 2023", *BARE],
    }
    found = {c["item"]: c for c in judged(solved, tied)["level"]["comparability"]}
    assert found["months"]["status"] == "declared" and "months 4 in the air" in found["months"]["detail"]
    assert found["calibration scale"]["status"] == "equal"


def test_a_yearly_total_against_days_of_april_is_not_comparable(solved):
    found = judged(solved, LEVEL_LATE | {"months": []})["level"]
    (why,) = [c for c in found["comparability"] if c["status"] == "mismatch"]
    assert why["item"] == "months" and why["detail"] == "whole years claimed, months 4 in the air"


def test_a_change_of_years_is_not_seen_in_days_of_spring_unless_the_claim_says_so(solved):
    """March and April were sampled, each in an epoch of its own: no list of months is that of both."""
    bare = CHANGE_LATE | {"adjustments": [*BARE, {"item": "epochs: months", "text": "March, then April"}]}
    for stated, said in (([], "whole years"), ([3, 4], "months 3, 4"), ([3], "months 3")):
        found = judged(solved, bare | {"months": stated})["cut"]
        (why,) = [c for c in found["comparability"] if c["status"] == "mismatch"]
        assert why["detail"] == f"{said} claimed, months 3, or months 4 in the air"
    season = {"item": "months", "text": "the cut is taken to be even over the year", "relative_sd": 0.1}
    plain, wide = (
        judged(solved, bare | {"adjustments": [*bare["adjustments"], season | {"relative_sd": sd}]})["cut"]
        for sd in (0.0, 0.1)
    )
    assert plain["verdict"] != "not comparable" and wide["sigma"] > plain["sigma"]


def test_a_level_of_some_hours_is_as_uncertain_as_the_cycle_of_the_day(data):
    """Unstated it is not comparable, stated it is in the interval; of a change the claim declares it."""
    found = {}
    for sd in (None, 0.01, 0.3):
        even = {**CITY["block"][0], "hour_factors": [1.0] * 24, "hour_factors_sd": sd}
        part = city(selection={"local_hours": [9, 18]}, block=[even])
        found[sd] = judged(solve_case(build_case(part, "co2", WHOLE, data)), LEVEL_LATE, CHANGE_LATE)
    (why,) = [c for c in found[None]["level"]["comparability"] if c["status"] == "mismatch"]
    assert why["item"] == "hours" and "hour_factors_sd" in why["detail"]
    narrow, wide = found[0.01]["level"], found[0.3]["level"]
    assert wide["sigma"] >= np.hypot(narrow["sigma"], 0.28 * abs(narrow["estimate"]))
    (why,) = [c for c in found[0.3]["cut"]["comparability"] if c["status"] == "mismatch"]
    assert why["item"] == "hours" and 'item = "hours"' in why["detail"]


def test_a_share_of_a_year_is_not_seen_in_april(solved):
    share = LEVEL_LATE | {"kind": "share", "value": 0.5, "unit": "1", "region": "west", "of_region": "window"}
    april, year = (judged(solved, share | {"months": months})["level"] for months in ([4], []))
    assert april["verdict"] != "not comparable"
    assert [c["item"] for c in year["comparability"] if c["status"] == "mismatch"] == ["months"]


def test_vegetation_and_breath_that_no_block_holds_are_not_taken_to_be_none_unless_somebody_says_so(solved):
    found = judged(solved, LEVEL_LATE | {"adjustments": []})["level"]
    assert found["verdict"] == "not comparable" and found["estimate"] is None
    for item, why in zip(("biogenic part", "respiration"), found["reasons"], strict=True):
        assert why.startswith(f"{item}: no block") and f'adjustments = [{{ item = "{item}"' in why
    items = {c["item"]: c for c in judged(solved, LEVEL_LATE)["level"]["comparability"]}
    assert items["biogenic part"]["status"] == items["respiration"]["status"] == "declared"
    assert "period" not in items  # nobody asked


def test_a_block_for_vegetation_leaves_the_others_without_it(solved):
    case = replace(solved.case, city=city(block=[SECTORS.block[0].model_dump(), GREEN]))
    assert biogenic_in("traffic", case) is False and biogenic_in("green", case) is True
    assert biogenic_in("traffic", replace(case, city=SECTORS)) is None
    assert biogenic_in("traffic", replace(case, city=SECTORS, species="co")) is False


def test_a_block_for_vegetation_does_not_hold_the_breath_of_people(solved):
    sectors = [SECTORS.block[0].model_dump(), GREEN, GREEN | {"name": "people", "sectors": ["respiration"]}]
    case, green = (replace(solved.case, city=city(block=blocks)) for blocks in (sectors, sectors[:2]))
    assert respiration_in("traffic", case) is False and respiration_in("people", case) is True
    assert respiration_in("traffic", green) is None


@pytest.mark.parametrize(("sectors", "held"), [(["biosphere"], True), (["NEE", "traffic"], True)])
def test_a_block_that_holds_vegetation_is_known_by_its_sectors(sectors, held):
    assert holds(sectors, "biosphere") is held
    assert not holds(["traffic", "heating"], "biosphere", "waters-and-wetlands")


@pytest.mark.parametrize(
    ("lost", "months"),
    [((), (1, 11, 12)), ((12,), (1, 11)), ((11, 12), (1,))],
)
def test_a_month_without_observations_is_not_sampled(solved, lost, months):
    epoch = Interval.parse("2023-11-15", "2024-01-02")
    start = np.arange("2023-11-15", "2024-03-01", dtype="M8[D]").astype("M8[s]")
    kept = start[~np.isin(start.astype("M8[M]").astype(int) % 12 + 1, lost)]
    table = replace(solved.main.problem.table, start=kept)
    assert months_sampled(table, (epoch,)) == (months,)
