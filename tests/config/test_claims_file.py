"""A claims file: what it may say, and every fault of it at once, each with its key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import ClaimsConfig, ClaimSection, RegionSection, load_city, load_claims
from monitor.errors import ConfigError

LEVEL = {
    "kind": "level", "statement": "this much", "region": "city", "species": "co2", "value": 1e6,
    "unit": "t CO2 a-1", "period": ["2023-01-01", "2024-01-01"], "tolerance": 0.25,
}  # fmt: skip
CHANGE = {
    "kind": "change", "statement": "a quarter less", "region": "city", "species": "co2", "value": -0.25,
    "epochs": ["base", "target"], "margin": 0.125,
}  # fmt: skip
TREND = {
    "kind": "trend", "statement": "2 % less a year", "region": "city", "species": "co2", "value": -0.02,
    "unit": "1 a-1", "epochs": ["a", "b", "c"], "margin": 0.01,
}  # fmt: skip
SHARE = {
    "kind": "share", "statement": "a third is traffic", "region": "city", "species": "co2", "value": 0.33,
    "sectors": ["traffic"], "of_sectors": ["*"], "period": ["2023-01-01", "2024-01-01"], "tolerance": 0.25,
}  # fmt: skip
SOURCE = {"kind": "source", "statement": "it leaks", "species": "ch4", "lon_deg": 11.5, "lat_deg": 48.1}


def written(folder, *claims):
    """A claims file of these claims, TOML by way of JSON's inline tables."""
    lines = ["schema_version = 1"]
    for claim in claims:
        lines += ["[[claim]]", *(f"{key} = {_toml(value)}" for key, value in claim.items())]
    path = folder / "claims.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value).replace("Infinity", "inf")


def test_every_kind_of_claim_can_be_written(tmp_path):
    kinds = {"a": LEVEL, "b": CHANGE, "c": TREND, "d": SHARE, "e": SOURCE}
    found = load_claims(written(tmp_path, *({"id": k, **v} for k, v in kinds.items()))).claim
    assert [c.kind for c in found] == ["level", "change", "trend", "share", "source"]
    assert [c.read_as for c in found] == ["equal", "at least", "at least", "equal", "equal"]


@pytest.mark.parametrize(
    ("claim", "total"),
    [
        (LEVEL, True), (SHARE, True), (TREND | {"unit": "t CO2 a-2"}, True),
        (TREND, False), (CHANGE, False),
    ],
)  # fmt: skip
def test_a_claim_says_nothing_that_it_was_not_given_but_what_its_unit_or_its_kind_decides(claim, total):
    made = ClaimSection.model_validate({"id": "x", **claim})
    unsaid = (made.scope, made.includes_biogenic, made.includes_respiration, made.basis, made.denominator)
    assert unsaid == (None,) * 5
    assert made.divided_by == ("total" if total else None)
    assert ClaimSection.model_validate({"id": "x", **claim, "denominator": "head"}).divided_by == "head"


@pytest.mark.parametrize(
    ("claim", "fault"),
    [
        (LEVEL | {"tolerance": None}, r"claim.0.tolerance: .*without a margin.*tolerance = 0.25"),
        (CHANGE | {"margin": None}, r"claim.0.margin: .*without a margin.*margin = 0.125 is half"),
        (CHANGE | {"margin": 0.3}, r"claim.0.margin: .*0.3 is larger than the claim itself, 0.25"),
        (LEVEL | {"tolerance": 1.5}, r"claim.0.tolerance: .*1.5 is larger than the claim itself"),
        (LEVEL | {"margin": 0.1}, r"claim.0.margin: .*has a tolerance instead"),
        (CHANGE | {"epochs": None}, r"claim.0.epochs: .*percentage without its base"),
        (CHANGE | {"epochs": ["target"]}, r"claim.0.epochs: .*compares two different epochs, found 1"),
        (CHANGE | {"epochs": ["a", "a"]}, r"claim.0.epochs: .*two different epochs"),
        (TREND | {"epochs": ["a", "b"]}, r"claim.0.epochs: .*three or more different epochs, found 2"),
        (SHARE | {"of_sectors": None}, r"claim.0.of_region: .*percentage without its base"),
        (SHARE | {"value": 33.0}, r"claim.0.value: .*fraction above 0 and up to 1, found 33"),
        (CHANGE | {"value": -25.0}, r"claim.0.value: .*between -1 and 1, found -25"),
        (CHANGE | {"unit": "%"}, r"claim.0.unit: .*25 % is 0.25.*found '%'"),
        (LEVEL | {"unit": None}, r"claim.0.unit: .*of kind 'level' needs it"),
        (LEVEL | {"unit": "kt"}, r"claim.0.unit: .*'kt' is not a unit.*'t CO2 a-1'"),
        (TREND | {"unit": "t CO2 a-1"}, r"claim.0.unit: .*'1 a-1' or 't CO2 a-2'.*found 't CO2 a-1'"),
        (LEVEL | {"value": -5.0}, r"claim.0.value: .*a level is above 0, found -5"),
        (LEVEL | {"period": ["2024-01-01", "2023-01-01"]}, r"claim.0.period: .*end after it starts"),
        (LEVEL | {"period": ["soon", "later"]}, r"claim.0.period: .*ISO-8601"),
        (LEVEL | {"evaluate_on": ["later"]}, r"claim.0.evaluate_on: .*ISO-8601"),
        (LEVEL | {"evaluate_on": ["2024-02-01", "2024-01-01"]}, r"claim.0.evaluate_on: .*ascend"),
        (
            LEVEL | {"evaluate_on": ["2024-02-01"], "spending": {"rule": "pocock", "looks": 3}},
            r"claim.0.spending: .*not both",
        ),
        (LEVEL | {"spending": {"rule": "pocock", "looks": 1}}, r"claim.0.spending.looks: .*2 to 1000"),
        (LEVEL | {"spending": {"rule": "haybittle", "looks": 5}}, r"claim.0.spending.rule: .*haybittle"),
        (LEVEL | {"coverage": 0.95}, r"claim.0.uncertainty: .*no uncertainty that it is of"),
        (LEVEL | {"reading": "at least"}, r"claim.0.reading: .*a level is read as 'equal'"),
        (LEVEL | {"value": float("inf")}, r"claim.0.value: .*finite"),
        (LEVEL | {"months": [13]}, r"claim.0.months: .*1 to 12"),
        (SOURCE | {"value": 5.0, "reading": "at least"}, r"claim.0.reading: .*source is read as 'equal'"),
        (SOURCE | {"value": 5.0, "tolerance": 0.3}, r"claim.0.tolerance: .*a source has no tolerance"),
        (SOURCE | {"lat_deg": 111.5}, r"claim.0.lat_deg: .*less than or equal to 90"),
        (
            LEVEL | {"polygons": [[[0, 0], [1, 1], [1, 0], [0, 1]]]},
            r"claim.0.polygons.0: .*edges must not cross.*Self-intersection",
        ),
        (LEVEL | {"polygons": [[[48.1, 111.5], [48.2, 111.5], [48.2, 111.6]]]}, r"check their order"),
        (LEVEL | {"polygons": [[[0, 0], [1, 1], [0, 0]]]}, r"three different \[lon, lat\] corners, found 2"),
        (LEVEL | {"polygons": [[[0, 0], [1, 1], [2, 2]]]}, r"claim.0.polygons.0"),
        (LEVEL | {"colour": "red"}, r"claim.0.colour: unknown key"),
    ],
)  # fmt: skip
def test_one_fault_is_one_clear_error(tmp_path, claim, fault):
    claim = {"id": "x", **{k: v for k, v in claim.items() if v is not None}}
    with pytest.raises(ConfigError, match=fault) as caught:
        load_claims(written(tmp_path, claim))
    assert caught.value.what.startswith("1 fault in the configuration")
    assert caught.value.where == str(tmp_path / "claims.toml") and caught.value.exit_code == 78


def test_all_faults_of_a_file_are_listed_at_once(tmp_path):
    bad = [
        {"id": "x", **LEVEL, "tolerance": 3.0, "unit": "kt"},
        {"id": "x", **CHANGE, "margin": "much"},
        {"id": "y", **SHARE, "colour": "red"},
    ]
    with pytest.raises(ConfigError) as caught:
        load_claims(written(tmp_path, *bad))
    said = caught.value.what
    assert said.startswith("5 faults")
    for key in ("claim.0.unit", "claim.0.tolerance", "claim.1.margin", "claim.2.colour", "claim.1.id"):
        assert f"{key}: " in said, key
    assert "two claims have the id 'x'" in said


@pytest.mark.parametrize(
    ("ring", "fault"),
    [
        ([[7, 48], [8, 49], [8, 48], [7, 49]], "region 'r' is no polygon: its edges must not cross"),
        ([[7, 48], [8, 48], [7, 48]], "at least three different"),
        ([[7, 148], [8, 148], [8, 149]], "check their order"),
    ],
)
def test_a_region_that_is_no_polygon_is_refused_with_its_key(tmp_path, ring, fault):
    path = tmp_path / "city.toml"
    path.write_text(f'schema_version = 1\n[[region]]\nid = "r"\npolygons = [{json.dumps(ring)}]\n')
    with pytest.raises(ConfigError, match=f"region.0.polygons.0: .*{fault}"):
        load_city(path)


@given(st.floats(0.001, 0.999), st.floats(0.001, 1.5))
def test_a_margin_is_never_larger_than_what_is_claimed(value, margin):
    fields = {"id": "x", **CHANGE, "value": -value, "margin": margin}
    if margin > value:
        with pytest.raises(ValueError, match="larger than the claim"):
            ClaimSection.model_validate(fields)
    else:
        assert ClaimSection.model_validate(fields).margin == margin


@given(st.permutations([(7.0, 48.0), (8.0, 48.0), (8.0, 49.0), (7.0, 49.0)]))
def test_four_corners_are_a_region_only_in_an_order_that_goes_round(corners):
    """Of the 24 orders the 8 along the edge are polygons; the others cross themselves."""
    start = corners.index((7.0, 48.0))
    turned = [*corners[start:], *corners[:start]]
    goes_round = turned[2] == (8.0, 49.0)
    if goes_round:
        assert RegionSection(id="r", polygons=(tuple(corners),)).polygons
    else:
        with pytest.raises(ValueError, match="cross"):
            RegionSection(id="r", polygons=(tuple(corners),))


def test_claims_with_one_id_are_refused():
    claim = {"id": "x", **LEVEL}
    with pytest.raises(ValueError, match="two claims have the id 'x'"):
        ClaimsConfig.model_validate({"schema_version": 1, "claim": [claim, claim]})
