"""What a claim is about must be what the air is asked, item by item."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.compare.comparable import Estimand, Statement, compare_definitions, is_comparable

CLAIM = Statement(
    species="co2",
    unit="t CO2 a-1",
    scope="territorial",
    region="metro",
    area_km2=None,
    includes_biogenic=False,
    basis="gas",
    inventory_year=None,
    adjustments=(),
)
OURS = Estimand(
    species="co2",
    region_area_km2=762.0,
    years=(2023,),
    biogenic_in_block=False,
    hours="all hours",
    is_level=True,
)


def status(item, *, ours=OURS, **changes):
    items = compare_definitions(replace(CLAIM, **changes), ours)
    return {i.item: i.status for i in items}[item], is_comparable(items)


def test_a_claim_about_the_same_thing_is_comparable_in_every_item():
    items = compare_definitions(CLAIM, OURS)
    assert {i.status for i in items} == {"equal"}
    assert [i.item for i in items] == [
        "gas", "scope", "biogenic part", "basis", "region", "unit", "period", "hours",
    ]  # fmt: skip


def test_paris_the_commune_is_not_its_metropolitan_area():
    assert status("region", area_km2=105.0) == ("mismatch", False)
    items = compare_definitions(replace(CLAIM, area_km2=105.0), OURS)
    assert "105 km² claimed, 762 km² estimated" in {i.item: i.detail for i in items}["region"]


@pytest.mark.parametrize(("area", "expected"), [(700.0, "equal"), (836.0, "equal"), (680.0, "mismatch")])
def test_areas_within_a_tenth_are_the_same_place(area, expected):
    assert status("region", area_km2=area)[0] == expected


@pytest.mark.parametrize(
    ("item", "changes", "word"),
    [
        ("region", {"area_km2": 105.0}, "area of the commune scaled by population"),
        ("scope", {"scope": "scope-1-2"}, "scope 2 removed by the grid factor"),
        ("biogenic part", {"includes_biogenic": True}, "biogenic part is 4 %"),
        ("period", {"inventory_year": 2012}, "inventory year 2012 for 2023"),
    ],
)
def test_a_difference_is_a_mismatch_unless_it_is_declared(item, changes, word):
    assert status(item, **changes) == ("mismatch", False)
    assert status(item, **changes, adjustments=(word,)) == ("declared", True)
    assert status(item, **changes, adjustments=("something else",)) == ("mismatch", False)


def test_a_word_inside_another_declares_nothing():
    assert status("period", inventory_year=2012, adjustments=("a yearly mean",))[0] == "mismatch"
    assert status("region", area_km2=105.0, adjustments=("arealess",))[0] == "mismatch"


@pytest.mark.parametrize("scope", ["scope-1-2", "consumption"])
def test_what_is_emitted_elsewhere_is_not_in_the_air_of_the_region(scope):
    assert status("scope", scope=scope) == ("mismatch", False)


def test_territorial_and_scope_one_are_the_same():
    assert status("scope", scope="scope-1") == ("equal", True)


def test_another_gas_is_never_comparable_whatever_is_declared():
    everything = ("gas", "year", "area", "scope", "biogenic", "hours")
    assert status("gas", species="ch4", unit="t CH4 a-1", adjustments=everything) == ("mismatch", False)


def test_carbon_and_its_dioxide_are_told_apart_by_the_unit():
    assert status("basis", basis="carbon", unit="t C a-1") == ("equal", True)
    assert status("basis", basis="carbon", unit="t CO2 a-1") == ("mismatch", False)


@pytest.mark.parametrize("unit", [None, "kt", "Mt CO2", "t CH4 a-1", "t CO2e a-1"])
def test_a_unit_that_does_not_name_gas_and_year_is_a_mismatch(unit):
    assert status("unit", unit=unit) == ("mismatch", False)


def test_an_inventory_of_the_same_year_needs_no_declaration():
    assert status("period", inventory_year=2023) == ("equal", True)


def test_a_change_has_no_unit_and_no_year_to_compare():
    items = compare_definitions(replace(CLAIM, unit=None, inventory_year=2012), replace(OURS, is_level=False))
    assert {"unit", "period"}.isdisjoint({i.item for i in items})
    assert is_comparable(items)


def test_a_few_hours_speak_for_the_day_only_by_declared_factors():
    afternoon = replace(OURS, hours="12-17 h")
    assert status("hours", ours=afternoon) == ("mismatch", False)
    assert status("hours", ours=replace(afternoon, day_factors=True)) == ("declared", True)
    assert status("hours", ours=afternoon, adjustments=("afternoon hours only",)) == ("declared", True)
    assert status("hours", ours=replace(afternoon, is_level=False)) == ("equal", True)


def test_every_declaration_is_carried_to_the_page():
    items = compare_definitions(replace(CLAIM, adjustments=("natural sources are missing",)), OURS)
    assert items[-1].status == "declared"
    assert items[-1].detail == "natural sources are missing"
