"""What a claim is about must be what the air is asked, item by item."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.compare.adjustments import WORDS, Adjustment, declares
from monitor.compare.comparable import compare_definitions, declared_sd, is_comparable
from monitor.compare.definitions import Estimand, Statement
from monitor.config.base import GateItem

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
    includes_respiration=False,
    denominator="total",
)
OURS = Estimand(
    species="co2",
    region_area_km2=762.0,
    years=(2023,),
    biogenic_in_block=False,
    respiration_in_block=False,
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
        "gas", "scope", "biogenic part", "respiration", "basis", "region", "unit", "hours",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "field", "key"),
    [
        ("scope", "scope", 'scope = "territorial"'),
        ("biogenic part", "includes_biogenic", "includes_biogenic = false or true"),
        ("respiration", "includes_respiration", "includes_respiration = false or true"),
        ("denominator", "denominator", 'denominator = "total"'),
    ],
)
@pytest.mark.parametrize("is_level", [True, False])
def test_what_a_claim_does_not_say_is_a_mismatch_that_says_what_to_write(item, field, key, is_level):
    ours = replace(OURS, is_level=is_level)
    (found,) = (i for i in compare_definitions(replace(CLAIM, **{field: None}), ours) if i.item == item)
    assert found.status == "mismatch" and key in found.detail
    assert status(item, ours=ours, **{field: None}, adjustments=(f"{item}: asked",)) == ("declared", True)


@pytest.mark.parametrize(
    ("unit", "stated", "expected"),
    [
        ("t CO2 a-1", None, "equal"),
        ("t CO2 a-1", "gas", "equal"),
        ("t CO2 a-1", "carbon", "mismatch"),
        ("t C a-1", None, "equal"),
        ("t C a-1", "carbon", "equal"),
        ("t C a-1", "gas", "mismatch"),
        ("kt", None, "mismatch"),
        ("kt", "gas", "equal"),
    ],
)
def test_the_unit_says_the_basis_and_the_claim_may_not_say_another(unit, stated, expected):
    assert status("basis", unit=unit, basis=stated)[0] == expected


@pytest.mark.parametrize("unit", [None, "1", "1 a-1"])
def test_a_ratio_has_no_basis(unit):
    ratio = replace(OURS, is_level=False)
    assert {status("basis", ours=ratio, unit=unit, basis=basis)[0] for basis in (None, "gas", "carbon")} == {
        "equal"
    }


def test_of_a_gas_that_nothing_living_matters_to_nothing_of_it_is_asked():
    """Methane has waters and wetlands, but no breath; carbon monoxide has neither."""
    asked = {}
    for gas in ("co2", "ch4", "co"):
        bare = replace(CLAIM, species=gas, includes_biogenic=None, includes_respiration=None)
        found = compare_definitions(bare, replace(OURS, species=gas))
        asked[gas] = {i.item: i.status for i in found if i.item in ("biogenic part", "respiration")}
    assert asked == {
        "co2": {"biogenic part": "mismatch", "respiration": "mismatch"},
        "ch4": {"biogenic part": "mismatch"},
        "co": {},
    }
    assert status(
        "biogenic part", ours=replace(OURS, species="co"), species="co", includes_biogenic=True
    ) == (
        "mismatch",
        False,
    )


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
        ("region", {"area_km2": 105.0}, Adjustment("area of the commune scaled by population", 0.1)),
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


#: One sentence about aviation, with a word of the region's, the period's and the months' items.
PARIS = "aviation in the metropolitan area is left out, as in the yearbook of the fiscal year"


@pytest.mark.parametrize(
    ("item", "changes"),
    [
        ("region", {"area_km2": 105.0}),
        ("period", {"inventory_year": 2012}),
        ("months", {"months": (7, 8)}),
    ],
)
def test_an_ordinary_sentence_with_several_words_declares_none_of_them(item, changes):
    assert status(item, **changes, adjustments=(PARIS,)) == ("mismatch", False)
    items = compare_definitions(replace(CLAIM, **changes, adjustments=(PARIS,)), OURS)
    said = {i.item: i.detail for i in items}[item]
    assert "relative_sd" in said if item == "region" else "name the one it is about (item)" in said
    others = {"region", "period", "months"} - {item}
    named = Adjustment(PARIS, 0.1, item)
    assert status(item, **changes, adjustments=(named,)) == ("declared", True)
    assert not any(declares(named, other) for other in others)


def test_a_text_declares_by_the_word_that_it_begins_with_or_that_stands_alone_in_it():
    assert declares(Adjustment("months: a winter for the year"), "months")
    assert not declares(Adjustment("months: a winter for the year"), "period")
    assert not declares(Adjustment("a winter month for the year"), "months")
    year = Adjustment("inventory year 2012 for 2016")  # of a whole other year
    assert declares(year, "period") and declares(year, "months") and not declares(year, "base")


def test_another_area_is_declared_only_with_its_uncertainty():
    assert status("region", area_km2=105.0, adjustments=("area scaled by people",)) == ("mismatch", False)
    items = compare_definitions(
        replace(CLAIM, area_km2=105.0, adjustments=(Adjustment("scaled by people", 0.3, "region"),)), OURS
    )
    assert is_comparable(items) and declared_sd(items) == 0.3


def test_every_item_that_can_be_declared_is_a_key_of_the_files_and_no_other():
    assert set(get_args(GateItem)) == {item for item, words in WORDS.items() if words}


UNTOLD = pytest.mark.parametrize(
    ("item", "ours", "included"),
    [
        ("biogenic part", {"biogenic_in_block": None}, {"includes_biogenic": True}),
        ("respiration", {"respiration_in_block": None}, {"includes_respiration": True}),
    ],
    ids=["natural fluxes", "breath"],
)


@UNTOLD
def test_fluxes_that_nothing_tells_apart_are_a_mismatch_until_somebody_declares_them(item, ours, included):
    bare = replace(OURS, **ours)
    detail = {i.item: i for i in compare_definitions(CLAIM, bare)}[item].detail
    assert status(item, ours=bare) == ("mismatch", False)
    assert f'adjustments = [{{ item = "{item}"' in detail and "[[block]]" in detail
    assert status(item, ours=bare, **included) == ("mismatch", False)
    none = Adjustment("a desert in summer", 0.05, item)
    assert status(item, ours=bare, adjustments=(none,)) == ("declared", True)
    assert declared_sd(compare_definitions(replace(CLAIM, adjustments=(none,)), bare)) == 0.05


@UNTOLD
def test_fluxes_that_a_ledger_lists_are_declared_by_its_list(item, ours, included):
    listing = replace(OURS, **ours, terms_listed=True)
    assert status(item, ours=listing) == ("declared", True)
    assert status(item, ours=listing, **included) == ("mismatch", False)


@pytest.mark.parametrize("species", ["ch4", "co"])
def test_the_breath_of_people_is_asked_of_carbon_dioxide_alone(species):
    items = compare_definitions(replace(CLAIM, species=species), replace(OURS, species=species))
    assert "respiration" not in {i.item for i in items}


def test_a_year_that_nobody_claimed_is_not_asked():
    assert "period" not in {i.item for i in compare_definitions(CLAIM, OURS)}


def test_a_yearly_total_is_about_all_months():
    assert status("months", ours=replace(OURS, months=((9,),))) == ("mismatch", False)
    assert status("months", ours=replace(OURS, months=((9,),)), months=(9,)) == ("equal", True)


@pytest.mark.parametrize(
    ("claimed", "sampled", "expected"),
    [
        (None, ((10, 11), (10, 11)), "mismatch"),
        (tuple(range(1, 13)), ((10, 11), (10, 11)), "mismatch"),
        ((10, 11), ((10, 11), (10, 11)), "equal"),
        ((10, 11), ((10, 11), (10, 11, 12)), "mismatch"),
        ((10, 11), ((11,), (10, 11)), "mismatch"),
        (None, (tuple(range(1, 13)),) * 3, "equal"),
    ],
)
def test_a_change_is_about_the_months_that_every_epoch_has_seen(claimed, sampled, expected):
    """However few of the observations lie in another month."""
    change = replace(OURS, is_level=False, months=sampled)
    assert status("months", ours=change, months=claimed)[0] == expected
    season = ("months: autumn stands for the year",)
    assert status("months", ours=change, months=claimed, adjustments=season)[1]


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


AFTERNOON = replace(OURS, hours="12-17 h")


def test_a_few_hours_speak_for_the_day_only_with_the_uncertainty_of_its_cycle():
    assert status("hours", ours=AFTERNOON) == ("mismatch", False)
    bare = replace(AFTERNOON, day_factors=True)
    items = {i.item: i for i in compare_definitions(CLAIM, bare)}
    assert items["hours"].status == "mismatch" and "hour_factors_sd" in items["hours"].detail
    sized = compare_definitions(CLAIM, replace(bare, day_factors_sd=0.2))
    assert is_comparable(sized) and declared_sd(sized) == 0.2
    assert "(± 20.0%, 1σ)" in {i.item: i.detail for i in sized}["hours"]


def test_a_claim_that_declares_the_hours_of_a_level_says_how_uncertain_that_is():
    assert status("hours", ours=AFTERNOON, adjustments=("afternoon hours only",)) == ("mismatch", False)
    sized = replace(CLAIM, adjustments=(Adjustment("afternoon hours only", 0.1),))
    assert declared_sd(compare_definitions(sized, AFTERNOON)) == 0.1


def test_that_the_cycle_of_the_day_did_not_change_is_declared_and_not_taken_as_equal():
    change = replace(AFTERNOON, is_level=False, day_factors=True, day_factors_sd=0.2)
    assert status("hours", ours=change) == ("mismatch", False)
    same = (Adjustment("the cycle of the day is the same", item="hours"),)
    assert status("hours", ours=change, adjustments=same) == ("declared", True)
    assert status("hours", ours=replace(OURS, is_level=False)) == ("equal", True)


def test_every_declaration_is_carried_to_the_page():
    items = compare_definitions(replace(CLAIM, adjustments=("natural sources are missing",)), OURS)
    assert items[-1].status == "declared"
    assert items[-1].detail == "natural sources are missing"


def test_a_declaration_that_no_item_needed_is_carried_too():
    items = compare_definitions(replace(CLAIM, adjustments=("inventory year 2012",)), OURS)
    assert [(i.item, i.detail) for i in items if i.status == "declared"] == [("other", "inventory year 2012")]


def test_a_declared_adjustment_brings_its_own_uncertainty():
    two = (
        Adjustment("scope 2 removed", 0.03),
        Adjustment("area scaled by people", 0.04),
        "biogenic part of 1 %",
    )
    items = compare_definitions(
        replace(CLAIM, scope="scope-1-2", area_km2=105.0, includes_biogenic=True, adjustments=two), OURS
    )
    assert is_comparable(items)
    assert declared_sd(items) == pytest.approx(0.05)  # 3-4-5
    assert "(± 3.0%, 1σ)" in {i.item: i.detail for i in items}["scope"]
    assert declared_sd(compare_definitions(CLAIM, OURS)) == 0


@given(st.lists(st.floats(0, 1), max_size=5))
def test_uncertainties_of_adjustments_add_as_independent(sds):
    texts = tuple(Adjustment(f"note {i}", sd) for i, sd in enumerate(sds))
    items = compare_definitions(replace(CLAIM, adjustments=texts), OURS)
    assert declared_sd(items) == pytest.approx(sum(sd**2 for sd in sds) ** 0.5)


@pytest.mark.parametrize(
    ("item", "ours", "changes", "word"),
    [
        ("gas", {}, {"species": "co2e", "gwp": "AR5"}, "co2e: CO2 is 93 % of it"),
        ("gwp", {}, {"species": "co2e"}, "gwp taken as AR4"),
        ("gwp", {"gwp": "AR5"}, {"species": "co2e", "gwp": "AR4"}, "gwp AR4 to AR5 by the shares of gases"),
        ("respiration", {"respiration_in_block": True}, {}, "respiration is 6 %"),
        ("months", {"months": ((7, 8),)}, {}, "months: the year held against July and August"),
        ("months", {}, {"months": (7, 8)}, "month factors of the profile"),
        ("coverage", {}, {"uncertainty": 0.1}, "coverage taken as 1σ"),
        ("denominator", {}, {"denominator": "m2"}, "denominator: multiplied by the area"),
        (
            "base",
            {"is_level": False, "base_years": (2010,)},
            {"base_year": 2004},
            "base moved by 2 %",
        ),
        ("magnitude", {"reference_level": 1.65e7}, {"level": 7.3e5}, "magnitude checked with the city"),
        ("region", {}, {"names_our_region": False}, Adjustment("area unknown", 0.1)),
        ("region", {}, {"area_km2": 762.0, "overlap": 0.5}, Adjustment("half", 0.1, "region")),
    ],
)
def test_each_item_is_equal_declared_or_a_mismatch(item, ours, changes, word):
    ours = replace(OURS, **ours)
    assert status(item, ours=ours, **changes)[0] == "mismatch"
    assert status(item, ours=ours, **changes, adjustments=(word,))[0] == "declared"


@pytest.mark.parametrize(
    ("item", "ours", "changes"),
    [
        ("gwp", {"gwp": "AR5"}, {"species": "co2e", "gwp": "AR5"}),
        ("respiration", {"respiration_in_block": False}, {}),
        ("months", {"months": (tuple(range(1, 13)),)}, {}),
        ("months", {"months": ((7, 8),)}, {"months": (8, 7)}),
        ("coverage", {}, {"uncertainty": 0.1, "coverage": 0.95}),
        ("denominator", {"denominator": "m2"}, {"denominator": "m2"}),
        ("base", {"is_level": False, "base_years": (2010,)}, {"base_year": 2010}),
        ("calibration scale", {"scales": ("WMO-CH4-X2004A",)}, {}),
        ("magnitude", {"reference_level": 1.65e7}, {"level": 1.9e7}),
        ("region", {"region_area_km2": None}, {"area_km2": 105.0, "names_our_region": False}),
        ("region", {}, {"area_km2": 762.0, "overlap": 0.95}),
    ],
)
def test_what_agrees_is_equal(item, ours, changes):
    assert status(item, ours=replace(OURS, **ours), **changes)[0] == "equal"


@pytest.mark.parametrize(("coverage", "expected"), [(0.95, "equal"), (0.6827, "declared")])
def test_the_uncertainty_stated_with_a_number_is_shown_and_does_not_enter(coverage, expected):
    said = replace(CLAIM, uncertainty=0.1, coverage=coverage)
    (found,) = (i for i in compare_definitions(said, OURS) if i.item == "coverage")
    assert found.status == expected
    assert "it does not enter" in found.detail and "carried" not in found.detail
    assert declared_sd(compare_definitions(said, OURS)) == 0


def test_a_coverage_is_a_probability():
    assert status("coverage", uncertainty=0.1, coverage=2.0) == ("mismatch", False)


def test_a_mixture_of_calibration_scales_warns_and_does_not_end_the_comparison():
    mixed = replace(OURS, scales=("TU1987", "WMO-CH4-X2004A"))
    items = {i.item: i for i in compare_definitions(CLAIM, mixed)}
    assert items["calibration scale"].status == "declared"
    assert items["calibration scale"].detail.startswith(
        "warning: observations and background are on TU1987 and"
    )
    said = replace(CLAIM, adjustments=("scale: TU1987 is 0.1 % below",))
    assert "warning" not in {i.item: i.detail for i in compare_definitions(said, mixed)}["calibration scale"]


#: Boston 18.5 g CH4 m-2 a-1 (McKain et al. 2015); the fair 6.7 µg m-2 s-1, 1.5 t in 16 d (Chen et al. 2020)
BOSTON_UG_M2_S, BOSTON_KM2 = 18.5e6 / (365.25 * 86400), 124.0
OKTOBERFEST_UG_M2_S, OKTOBERFEST_T_A = 6.7, 1.5 / (16 / 365.25)


def test_ten_times_the_methane_of_boston_is_true_per_square_metre_and_false_as_a_total():
    boston_t_a = BOSTON_UG_M2_S * BOSTON_KM2 * 1e6 * 365.25 * 86400 * 1e-12
    assert OKTOBERFEST_UG_M2_S / BOSTON_UG_M2_S > 10
    assert OKTOBERFEST_T_A / boston_t_a < 0.02
    claim = replace(CLAIM, species="ch4", unit="ug CH4 m-2 s-1", denominator="m2", names_our_region=True)
    total, per_area = replace(OURS, species="ch4"), replace(OURS, species="ch4", denominator="m2")
    assert status("denominator", ours=total, **_changes(claim)) == ("mismatch", False)
    assert status("denominator", ours=per_area, **_changes(claim)) == ("equal", True)


def _changes(claim):
    return {name: getattr(claim, name) for name in ("species", "unit", "denominator")}


def test_every_item_and_the_words_that_declare_it_are_documented():
    docs = Path(__file__).parents[2] / "docs"
    pages = [(docs / page).read_text(encoding="utf-8") for page in ("verdicts.md", "tables.md")]
    rows = [line for page in pages for line in page.splitlines() if line.startswith("| ")]
    for item, words in WORDS.items():
        if item.startswith("epochs: "):  # in the text below the table
            assert all(f"`{word}`" in pages[0] for word in words), item
            continue
        said = [row for row in rows if row.split("|")[1].split("(")[0].strip() == item]
        assert said, f"'{item}' is in no table of the gate"
        assert not words or any(f"`{word}`" in row for row in said for word in words), item
