"""From a city's data to JSON: every key, every refusal, and the same answer twice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from published import published
from small_worlds import CELLS, GRID, flux, footprints, series, times

from monitor.config import CityConfig, ClaimsConfig
from monitor.domain import Interval
from monitor.errors import InputError, MissingInputError
from monitor.service.analysis import analyse
from monitor.service.case import CityData, build_case

WHOLE = Interval.parse("2023-03-01", "2023-04-20")
EPOCHS = {
    "base": Interval.parse("2023-03-01", "2023-03-13"),
    "target": Interval.parse("2023-04-08", "2023-04-20"),
}
NAMES = ("S0", "S1")

CITY = {
    "schema_version": 1,
    "city": {"id": "small", "species": ["co2"]},
    "station": [{"id": s, "lon_deg": 7.2, "lat_deg": 48.1, "inlets_m": [50]} for s in NAMES],
    "source": [
        {"id": f"{s}-{kind}", "pattern": "*", "reader": reader, "station": s, "inlet_m": 50}
        for s in NAMES
        for kind, reader in (("obs", "gcwerks"), ("fp", "name-footprint"))
    ],
    "inventory": [
        {
            "id": f"{m}-{s}", "map": m, "path": "x", "reader": "openghg-flux", "species": "co2", "sector": s,
            "year": 2021,
        }
        for m in ("one", "two")
        for s in ("traffic", "heating")
    ],
    "region": [
        {"id": "west", "polygons": [[[6.96, 47.96], [7.17, 47.96], [7.17, 48.34], [6.96, 48.34]]]},
        {"id": "window", "whole_grid": True},
    ],
    "epoch": [{"id": k, "start": str(e.start), "end": str(e.end)} for k, e in EPOCHS.items()],
    "block": [{"name": "fossil", "species": "co2", "relative_sd": 0.3, "time_days": 300}],
    "inversion": [
        {
            "species": "co2",
            "background": {"sd_ppm": 1.0, "offset_sd_ppm": 5.0},
            "mismatch": {"representation_ppm": 0.5},
            "transport_scale_sd": 0.1,
            "estimate_scales": False,
        }
    ],
    "ensemble": {"length_factors": [2.0]},
    "scan": [{"species": "co2", "min_days": 3, "max_days": 5, "draws": 100}],
}  # fmt: skip
#: Nothing grows or breathes in this world.
BARE = (
    {"item": "biogenic part", "text": "nothing grows here"},
    {"item": "respiration", "text": "nobody breathes here"},
)
#: What a claim of CO2 has to say beside its place and number.
TOLD = {"scope": "territorial", "includes_biogenic": False, "includes_respiration": False}
CHANGE = {
    "id": "cut", "kind": "change", "statement": "cut by a fifth", "region": "west", "species": "co2",
    "epochs": ["base", "target"], "value": -0.2, "unit": "1", "margin": 0.1,
    **TOLD, "denominator": "total",
    "adjustments": ["months: March and April", *BARE],
}  # fmt: skip
LEVEL = {
    "id": "level", "kind": "level", "statement": "this much", "region": "window", "species": "co2",
    "period": ["2023-04-08", "2023-04-20"], "months": [4], "value": 1e6, "unit": "t CO2 a-1",
    "tolerance": 0.25, "adjustments": [*BARE], **TOLD,
}  # fmt: skip
SOURCE = {
    "id": "fire", "kind": "source", "statement": "a fire", "species": "co2", "lon_deg": 7.2, "lat_deg": 48.1,
}  # fmt: skip

VERDICT_KEYS = {
    "verdict", "reasons", "estimate", "interval", "level", "unit", "sigma", "sign_confirmed", "detectable",
    "share_from_data", "response",
}  # fmt: skip
INVENTORY_KEYS = {"prior_total", "estimate", "sigma", "interval", "unit", "response", "background_share"}


def city(**changes) -> CityConfig:
    return CityConfig.model_validate({**CITY, **changes})


def claims(*items) -> ClaimsConfig:
    return ClaimsConfig.model_validate({"schema_version": 1, "claim": list(items)})


@pytest.fixture(scope="module")
def data() -> CityData:
    rng = np.random.default_rng(0)
    time = times(EPOCHS, 6)
    observed, prints = {}, {}
    for name in NAMES:
        found = series(time, 400 + 2 * rng.standard_normal(time.size), name)
        observed[f"{name}-obs"] = found
        prints[f"{name}-fp"] = footprints(rng, time, name)
    inventories = {i["id"]: flux(rng.gamma(2, 1, CELLS), i["id"], [i["sector"]]) for i in CITY["inventory"]}
    return CityData(observed, prints, inventories)


@pytest.fixture(scope="module")
def done(data):
    return analyse(city(), claims(CHANGE, LEVEL, SOURCE), WHOLE, data)


def test_the_answer_is_json_with_every_key(done):
    text = json.loads(
        json.dumps(
            [done.verdicts, done.inventories, done.sources, done.figures, done.warnings], allow_nan=False
        )
    )
    verdicts, inventories, _, figures, _ = text
    assert set(verdicts) == {"cut", "level", "fire"}
    for verdict in verdicts.values():
        assert set(verdict) >= VERDICT_KEYS
        assert verdict["verdict"] in {"supported", "contradicted", "undecided", "not comparable"}
        assert published("x", verdict)["digest"]
    assert set(inventories) == {"one", "two"}
    assert all(set(i) >= INVENTORY_KEYS for i in inventories.values())
    for row in inventories.values():
        # maps of 2021, air of 2023: dated, and never held against each other unsaid
        assert row["inventory_years"] == [2021] and row["period"][1].startswith("2023-")
        biogenic, breath, period, *_ = row["not_comparable"]
        assert not row["comparable"] and "inventory of 2021, air of 2023" in period
        assert biogenic.startswith("biogenic part: no block") and breath.startswith("respiration: no block")
    assert {"n_observations", "excluded", "dofs", "loo_variance", "loo_coverage"} <= set(figures)
    assert verdicts["cut"]["unit"] == "1" and verdicts["level"]["unit"] == "t CO2 a-1"
    assert verdicts["fire"]["unit"] == "kg CO2 h-1"
    # a p-value is not the probability of a claim
    assert verdicts["fire"]["probability"] is None and 0 < verdicts["fire"]["false_alarm"] <= 1


def test_the_prior_totals_of_the_maps_are_their_sums(done, data):
    area = GRID.cell_area_m2().ravel()
    west = CITY["region"][0]
    assert west["id"] == done.inventories["one"]["region"]
    assert (
        0
        < done.inventories["one"]["prior_total"]
        < 44.0095e-12
        * 31557600
        * float(
            area @ sum(data.inventories[f"one-{s}"]["flux"].values.ravel() for s in ("traffic", "heating"))
        )
    )
    assert done.inventories["one"]["response"] == pytest.approx(1.0, abs=0.35)


def test_hours_used_and_excluded_are_the_hours_of_the_footprints(done):
    figures = done.figures
    assert figures["used_hours"] + sum(figures["excluded"].values()) == figures["footprint_hours"]


def test_the_same_data_give_the_same_answers(done, data):
    again = analyse(city(), claims(CHANGE, LEVEL, SOURCE), WHOLE, data)
    assert json.dumps(again.verdicts) == json.dumps(done.verdicts)
    assert json.dumps(again.sources) == json.dumps(done.sources)


@pytest.mark.parametrize(
    "claim",
    [LEVEL | {"period": ["2022-01-01", "2022-02-01"]}, SOURCE | {"period": ["2022-01-01", "2022-02-01"]}],
    ids=["level", "source"],
)
def test_a_claim_about_another_time_is_not_judged_and_a_warning_says_so(data, claim):
    found = analyse(city(scan=[]), claims(claim), WHOLE, data)
    assert found.verdicts == {}
    assert any(f"Claim '{claim['id']}' is not judged here" in w for w in found.warnings)


def test_an_epoch_outside_the_run_is_not_judged(data):
    found = analyse(city(scan=[]), claims(CHANGE), Interval.parse("2023-03-01", "2023-04-01"), data)
    assert found.verdicts == {} and len(found.warnings) >= 1


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (CHANGE | {"region": "east"}, "names a region that the city file does not have.*west, window.*east"),
        (CHANGE | {"epochs": ["base", "never"]}, "names epochs that the city file does not have.*never"),
        (LEVEL | {"species": "ch4", "unit": "t CH4 a-1"}, "about a gas the city does not observe"),
        (CHANGE | {"sectors": ["traffic"]}, "sectors of exactly one block.*heating, traffic.*found: traffic"),
        (SOURCE | {"lon_deg": 48.1, "lat_deg": 7.2}, "place of 'fire' lies outside the grid"),
    ],
    ids=["region", "epoch", "gas", "sector", "place"],
)
def test_what_a_claim_names_must_be_there(data, claim, message):
    with pytest.raises(InputError, match=message):
        analyse(city(scan=[]), claims(claim), WHOLE, data)


def test_a_claim_may_name_all_sectors_of_the_block(data):
    whole = analyse(city(scan=[]), claims(CHANGE | {"sectors": ["heating", "traffic"]}), WHOLE, data)
    assert set(whole.verdicts) == {"cut"}


def test_another_area_or_scope_is_not_comparable(data):
    found = analyse(
        city(scan=[]),
        claims(LEVEL | {"id": "commune", "region_area_km2": 105.0}, CHANGE | {"scope": "scope-1-2"}),
        WHOLE,
        data,
    )
    assert {v["verdict"] for v in found.verdicts.values()} == {"not comparable"}
    assert found.verdicts["commune"]["estimate"] is None


def test_an_undeclared_year_of_the_inventory_is_not_comparable_and_a_declared_one_is(data):
    tied = LEVEL | {"where": "inventory one-traffic"}
    declared = tied | {"id": "declared", "adjustments": ["inventory year 2021 for 2023", *BARE]}
    found = analyse(city(scan=[]), claims(tied, declared), WHOLE, data).verdicts
    assert found["level"]["verdict"] == "not comparable"
    assert found["declared"]["verdict"] != "not comparable"


def test_nothing_to_work_on_is_said(data):
    with pytest.raises(MissingInputError, match="no observations of co2"):
        build_case(city(), "co2", WHOLE, replace(data, observations={}))
    with pytest.raises(MissingInputError, match="no inventory has a sector of block 'fossil'"):
        build_case(city(), "co2", WHOLE, replace(data, inventories={}))


def test_an_interval_within_an_epoch_is_an_epoch_of_its_own(data):
    short = Interval.parse("2023-03-02", "2023-03-05")
    assert list(build_case(city(), "co2", short, data).epochs.values()) == [short]


def test_the_reference_is_the_mean_of_the_maps(data):
    case = build_case(city(), "co2", WHOLE, data)
    total = sum(data.inventories[i["id"]]["flux"].values.ravel() for i in CITY["inventory"]) / 2
    np.testing.assert_allclose(case.reference["fossil"]["flux"].values.ravel(), total)
    chosen = city(inversion=[CITY["inversion"][0] | {"reference": ["two"]}])
    case = build_case(chosen, "co2", WHOLE, data)
    total = sum(data.inventories[f"two-{s}"]["flux"].values.ravel() for s in ("traffic", "heating"))
    np.testing.assert_allclose(case.reference["fossil"]["flux"].values.ravel(), total)


def test_another_scale_of_the_background_warns(data):
    other = data.observations["S1-obs"].assign_attrs(calibration_scale="X2007")
    case = build_case(
        city(), "co2", WHOLE, replace(data, observations={**data.observations, "S1-obs": other})
    )
    assert "Calibration scales differ" in case.warnings[0] and "X2007" in case.warnings[0]
