"""Every row of an inventory table is comparable, or says why not; the traps of real tables by name."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitor.compare.adjustments import Adjustment
from monitor.compare.comparable import MAGNITUDE_FACTOR, compare_definitions
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.tables import Question, hold_table, outcome_counts, reason_counts, territorial_totals
from monitor.inventory import InventoryRow, inventory_table
from monitor.plugins import ReadContext

#: The region and the years are drawn to each row: could the air of its own place be asked about it?
OWN = Estimand(
    "co2", None, (), biogenic_in_block=False, respiration_in_block=False, hours="all hours", is_level=True
)
#: What a claim made of a table of CO2e would have to declare.
DECLARED = ("co2e taken as carbon dioxide", Adjustment("gwp of the publisher", 0.02))
ILE_DE_FRANCE = replace(OWN, region_area_km2=12_012.0, years=(2014,))
CDP = {
    2016: "2016_-_Citywide_GHG_Emissions",
    2017: "2017_-_Cities_Community_Wide_Emissions",
    2018: "2018_City-wide_Emissions",
    2019: "2019_City-wide_Emissions",
    2020: "2020_-_City-Wide_Emissions",
    2021: "2021_City-wide_Emissions",
}
PATHS = {
    "c40_workbook": "gpc/C40_GPC_Database.xlsx",
    "c40_tidy": "gpc/clean_c40.csv",
    "uk_local_authority": "uk/local_authority_emissions.csv",
    "carbon_monitor_cities": "gpc/carbon_monitor_cities_processed.csv",
}


@cache
def read(root: Path, reader: str, path: str = ""):
    module = import_module(f"monitor.ingest.readers.{reader}")
    return module.READER.read(root / "inventory" / (path or PATHS[reader]), ReadContext())


def cdp(root: Path, year: int):
    return read(root, "cdp_cities", f"cdp/{CDP[year]}.csv")


def raw_cdp(root: Path, year: int) -> pd.DataFrame:
    """The file as pandas reads it, its columns under plain names."""
    frame = pd.read_csv(root / f"inventory/cdp/{CDP[year]}.csv", dtype=str, keep_default_na=False)
    wanted = {
        "one": r"total scope 1 emissions",
        "two": r"total scope 2 emissions",
        "city": r"total (city-wide )?emissions \(metric",
        "gases": r"gases included",
        "protocol": r"primary methodology|protocol|primary protocol",
        "year": r"measurement year|accounting year",
        "scopes": r"scopes included",
    }
    columns = {
        name: next((c for c in frame if re.match(pattern, c.strip().lower())), None)
        for name, pattern in wanted.items()
    }
    return pd.DataFrame({name: frame[c].str.strip() if c else "" for name, c in columns.items()})


def table_of(**fields):
    row = {"place": "Exampel", "year": 2019, "scope": "1", "gas": "co2", "value": 1e6, "line": 2}
    row |= {"all_sectors": True, "protocol": "GPC", "area_km2": 105.0} | fields
    return inventory_table(
        [InventoryRow(**row)], [], {"title": "one row", "source_digest": "", "rows_read": 1}
    )


def why(table, question):
    (one,) = hold_table(table, question)
    return one.outcome, [item.item for item in one.why_not]


# --- one row --------------------------------------------------------------------------------------------


def test_a_whole_territorial_total_of_the_gas_is_comparable():
    assert why(table_of(), Question(OWN)) == ("comparable", [])
    same_place = Question(replace(OWN, region_area_km2=105.0, years=(2019,)), place="exampel")
    assert why(table_of(), same_place) == ("comparable", [])


@pytest.mark.parametrize(
    ("fields", "ours", "item", "word"),
    [
        ({"gas": "co2e", "gwp": "AR5"}, {}, "gas", "co2e of which 95 % is CO2"),
        ({"scope": "2"}, {}, "scope", "scope 2 taken off"),
        ({"biogenic": True}, {}, "biogenic part", "biogenic part of 1 %"),
        ({"year": 2012}, {"years": (2019,)}, "period", "year 2012 for 2019"),
        (
            {"area_km2": 50.0},
            {"region_area_km2": 105.0},
            "region",
            Adjustment("half the people's area", 0.1),
        ),
        ({"area_km2": np.nan}, {"region_area_km2": 105.0}, "region", Adjustment("area as the region's", 0.1)),
        ({"all_sectors": False, "label": "Road"}, {}, "sector", "sector is most of it"),
        ({"protocol": "Other"}, {}, "protocol", "protocol read and checked"),
        ({"start": "2019-07-01", "end": "2020-07-01"}, {"years": (2019,)}, "accounts", "year of accounts"),
    ],
)
def test_a_difference_is_a_mismatch_unless_it_is_declared(fields, ours, item, word):
    question = Question(replace(OWN, **ours))
    assert why(table_of(**fields), question) == ("not comparable", [item])
    assert why(table_of(**fields), replace(question, declared=(word,))) == ("declared", [])
    assert why(table_of(**fields), replace(question, declared=("something else",)))[0] == "not comparable"


@pytest.mark.parametrize("key", ["NO", "IE", "NE", "C", "NO IE"])
def test_no_word_declares_a_missing_amount(key):
    everything = tuple(word for words in ("amount", "sector", "notation key") for word in (words,))
    question = Question(OWN, declared=everything)
    assert why(table_of(value=np.nan, notation=key), question) == ("not comparable", ["amount"])


def test_another_place_is_another_place():
    assert why(table_of(), Question(OWN, place="Beispiel")) == ("not comparable", ["place"])
    assert why(table_of(place_code="X1"), Question(OWN, place="x1"))[0] == "comparable"


def test_a_declaration_that_a_row_does_not_need_leaves_it_comparable():
    assert why(table_of(), Question(OWN, declared=DECLARED))[0] == "comparable"


def test_another_inventory_of_the_same_place_tells_orders_of_magnitude():
    question = Question(OWN, references={"Exampel": (6e6, "the council's")})
    assert why(table_of(), question) == ("not comparable", ["magnitude"])
    assert why(table_of(value=2e6), question)[0] == "comparable"
    assert why(table_of(all_sectors=False), question)[1] == ["sector"]


def test_the_items_of_the_gate_are_those_of_a_claim_with_the_same_words():
    table = table_of(gas="co2e", area_km2=50.0)
    (one,) = hold_table(table, Question(ILE_DE_FRANCE))
    claim = Statement(
        species="co2e", unit="t CO2e a-1", scope="territorial", region="Exampel", area_km2=50.0,
        includes_biogenic=False, basis="gas", inventory_year=2019, adjustments=(), names_our_region=False,
        includes_respiration=False, denominator="total",
    )  # fmt: skip
    own = ("amount", "place", "sector", "protocol", "arithmetic", "accounts")
    assert tuple(i for i in one.items if i.item not in own) == compare_definitions(claim, ILE_DE_FRANCE)


# --- one sector -----------------------------------------------------------------------------------------


def sector_rows(*codes: str):
    rows = [
        InventoryRow("Exampel", 2019, "1", "co2", 1e6, line=2 + k, gpc=code, label=code, protocol="GPC")
        for k, code in enumerate(codes)
    ]
    return inventory_table(rows, [], {"title": "rows", "source_digest": "", "rows_read": len(rows)})


def test_a_row_is_held_against_its_sector_where_the_schemes_meet():
    roads, homes = Question(OWN, gnfr=frozenset("F")), Question(OWN, gnfr=frozenset("C"))
    assert [one.outcome for one in hold_table(sector_rows("II.1.1", "I.2.1"), roads)] == [
        "comparable",
        "not comparable",
    ]
    offices = hold_table(sector_rows("I.2.1"), homes)[0]
    assert [i.detail for i in offices.why_not] == ["I.2.1 (GNFR C I), C is estimated"]


def test_one_of_several_rows_of_a_sector_is_not_the_sector():
    roads = Question(OWN, gnfr=frozenset("F"))
    for one in hold_table(sector_rows("II.1.1", "II.1.1"), roads):
        assert [i.detail for i in one.why_not] == ["II.1.1: one of 2 rows of its sector"]


# --- every row of the real tables -------------------------------------------------------------------------


def test_every_row_of_c40_is_comparable_or_says_why_not(real_data):
    table = read(real_data, "c40_workbook")
    bare, declared = hold_table(table, Question(OWN)), hold_table(table, Question(OWN, declared=DECLARED))
    raw = pd.read_excel(
        real_data / "inventory" / PATHS["c40_workbook"],
        sheet_name="GHG Dashboard Data - Inventory",
        dtype=object,
    )
    without_land = sum(not isinstance(v, int | float) or np.isnan(v) for v in raw["V.2"])
    assert outcome_counts(bare) == {"comparable": 0, "declared": 0, "not comparable": 18947}
    assert reason_counts(bare)["gas"] == reason_counts(bare)["gwp"] == 18947
    assert outcome_counts(declared) == {"comparable": 0, "declared": 229, "not comparable": 18718}
    assert without_land == 229
    assert reason_counts(declared)["amount"] == int((table["notation"].values != "").sum())
    assert all(one.outcome != "not comparable" or one.why_not for one in declared)


def test_no_row_of_the_tidy_c40_table_is_a_total(real_data):
    declared = hold_table(read(real_data, "c40_tidy"), Question(OWN, declared=DECLARED))
    assert outcome_counts(declared)["not comparable"] == reason_counts(declared)["sector"] == 6267


@pytest.mark.parametrize("year", CDP)
def test_every_row_of_cdp_is_comparable_or_says_why_not(year, real_data):
    table, raw = cdp(real_data, year), raw_cdp(real_data, year)
    number = raw[["one", "two", "city"]].apply(pd.to_numeric, errors="coerce")
    known = raw["protocol"].str.contains("gpc|global protocol|ipcc|u.s. community|iclei", case=False)
    added = number["one"] + number["two"]
    wrong = (added - number["city"]).abs() > 0.01 * number["city"].abs()
    wrong &= ~raw["scopes"].str.contains("BASIC")
    ends = raw["year"].str.extract(r"^(\d{4}-\d\d-\d\d) - (\d{4}-\d\d-\d\d)$")
    dated = (ends[0] < ends[1]) | raw["year"].str.contains("12:00:00 AM")
    whole = number["one"].notna() & known & ~wrong & dated
    alone = whole & (raw["gases"] == "CO2")
    bare, declared = hold_table(table, Question(OWN)), hold_table(table, Question(OWN, declared=DECLARED))
    assert outcome_counts(bare)["comparable"] == alone.sum() == COMPARABLE_ROWS[year][0]
    assert outcome_counts(declared)["declared"] == (whole & ~alone).sum() == COMPARABLE_ROWS[year][1]
    assert sum(outcome_counts(declared).values()) == table.sizes["row"]
    assert all(one.outcome != "not comparable" or one.why_not for one in declared)


#: Rows comparable as they are, and with CO2e and its warming potentials declared.
COMPARABLE_ROWS = {
    2016: (16, 70),
    2017: (5, 136),
    2018: (8, 174),
    2019: (9, 117),
    2020: (5, 72),
    2021: (0, 22),
}


def uk_counts(table):
    bare = hold_table(table, Question(OWN))
    assert all(one.why_not for one in bare)
    return outcome_counts(bare)["not comparable"], reason_counts(bare)


@pytest.mark.slow
def test_no_row_of_the_united_kingdom_is_a_territorial_total(real_data):
    table = read(real_data, "uk_local_authority")
    lines, reasons = uk_counts(table.isel(row=table["year"].values == 2020))
    assert lines == reasons["sector"] == 394 * 28
    assert reasons["scope"] == 394 * (5 + 6)  # five columns of electricity, six that add it


@pytest.mark.slow
def test_every_row_of_the_united_kingdom_says_why_not(real_data):
    lines, reasons = uk_counts(read(real_data, "uk_local_authority"))
    assert lines == reasons["sector"] == 6304 * 28
    assert reasons["scope"] == 6304 * 11


@pytest.mark.slow
def test_the_roads_of_the_united_kingdom_are_parts_of_road_transport(real_data):
    table = read(real_data, "uk_local_authority")
    one = table.isel(row=(table["year"].values == 2020) & (table["place_code"].values == "BFS"))
    held = hold_table(one, Question(OWN, gnfr=frozenset("F")))
    roads = [h for h in held if "Road" in one["label"].values[h.row]]
    assert [i.detail for h in roads for i in h.why_not] == [
        "Road Transport (A roads): one of 2 rows of its sector",
        "Road Transport (Minor roads): one of 2 rows of its sector",
    ]


@pytest.mark.slow
def test_carbon_monitor_gives_sectors_and_no_total(real_data):
    table = read(real_data, "carbon_monitor_cities")
    held = hold_table(table, Question(OWN))
    assert outcome_counts(held)["not comparable"] == reason_counts(held)["sector"] == 11410


# --- Paris ------------------------------------------------------------------------------------------------


def test_paris_the_commune_is_not_comparable_with_its_metropolis(real_data):
    """105 km², 5.2 Mt in all and 3.4 Mt of scope 1, against a region of 12,012 km² that emits some 33 Mt."""
    table = cdp(real_data, 2016)
    paris = table.isel(row=table["place_code"].values == "31175")
    question = Question(ILE_DE_FRANCE, place="Paris", declared=DECLARED)
    by_scope = dict(zip(paris["scope"].values, hold_table(paris, question), strict=True))
    values = dict(zip(paris["scope"].values, paris["value"].values, strict=True))
    assert (values["1+2"], values["1"]) == (5195663, 3359242)
    assert [i.item for i in by_scope["1"].why_not] == ["region"]
    assert by_scope["1"].why_not[0].detail == "105 km² claimed, 12,012 km² estimated"
    assert [i.item for i in by_scope["1+2"].why_not] == ["scope", "region"]
    other = replace(question, references={"31175": (33e6, "the inversion's region")})
    scope_1 = hold_table(paris, other)[list(paris["scope"].values).index("1")]
    assert [i.item for i in scope_1.why_not] == ["region", "magnitude"]


def test_half_of_what_paris_emits_directly_is_not_its_total(real_data):
    table = cdp(real_data, 2021)
    paris = table.isel(row=table["place_code"].values == "31175")
    direct = [
        one
        for one in hold_table(paris, Question(OWN, declared=DECLARED))
        if paris["scope"].values[one.row] == "1"
    ]
    assert [[i.item for i in one.why_not] for one in direct] == [["sector"], ["sector"]]
    assert territorial_totals([table])["31175"] == {2019: 3480141}


# --- Indianapolis -----------------------------------------------------------------------------------------


RESEARCH_T_A = 16.5e6


def indianapolis(root, year, question):
    """The row of scope 1 and its outcome; it is asked together with its line, whose total it makes."""
    table = cdp(root, year)
    line = table.isel(row=table["place_code"].values == "43907")
    at = list(line["scope"].values).index("1")
    return line.isel(row=at), hold_table(line, question)[at]


def test_indianapolis_is_caught_by_its_protocol_and_by_another_inventory(real_data):
    """0.73 Mt on 953 km²: gas, scope, area and sums are right; the protocol and the size are not."""
    region = replace(OWN, region_area_km2=953.0, years=(2013,))
    row, bare = indianapolis(real_data, 2017, Question(region))
    assert float(row["value"]) == pytest.approx(726155.11) and str(row["gas"].values) == "co2"
    assert [(i.item, i.detail) for i in bare.why_not] == [
        ("protocol", "'Other: Hestia Project': what the inventory counts is not said")
    ]
    taken = Question(region, declared=("protocol: a research inventory",))
    assert indianapolis(real_data, 2017, taken)[1].outcome == "declared"
    for known, name in ((RESEARCH_T_A, "the research inventory"), (10058619.65, "its own report for 2019")):
        _, held = indianapolis(real_data, 2017, replace(taken, references={"43907": (known, name)}))
        assert [i.item for i in held.why_not] == ["magnitude"] and name in held.why_not[0].detail


def test_the_later_reports_of_indianapolis_are_its_other_inventory(real_data):
    own = territorial_totals([cdp(real_data, year) for year in CDP])["43907"]
    assert own[2019] / own[2013] > MAGNITUDE_FACTOR
    _, held = indianapolis(real_data, 2017, Question(OWN, references={"43907": (own[2019], "2019")}))
    assert "magnitude" in [i.item for i in held.why_not]


def test_the_first_report_of_indianapolis_does_not_add_up(real_data):
    """76,770 t where the year after has 726,155: a digit was lost, and the total of the line tells."""
    _, held = indianapolis(real_data, 2016, Question(OWN))
    assert [i.item for i in held.why_not] == ["protocol", "arithmetic"]
    assert held.why_not[1].detail == "scope 1 and 2 make 1,510,980 t a-1, their total is 2,160,365"


def test_what_indianapolis_emits_per_head_does_not_betray_it_alone(real_data):
    """Six of 275 totals of American cities are lower per head; a rule on that would refuse these too."""
    lower = total = 0
    for year in CDP:
        table = cdp(real_data, year)
        american = np.isin(table["country"].values, ["USA", "United States of America"])
        whole = table.isel(row=american & table["all_sectors"].values & (table["scope"].values == "1"))
        per_head = whole["value"].values / whole["population"].values
        lower, total = lower + int((per_head < 0.851).sum()), total + per_head.size
    assert (lower, total) == (6, 275)


@pytest.mark.slow
def test_two_honest_inventories_of_one_city_and_year_are_within_the_factor(real_data):
    c40 = territorial_totals([read(real_data, "c40_workbook")])
    ratios = []
    for year in CDP:
        table = cdp(real_data, year)
        names = dict(zip(table["place_code"].values, table["place"].values, strict=True))
        for code, totals in territorial_totals([table]).items():
            ratios += [
                value / c40[names[code]][y] for y, value in totals.items() if y in c40.get(names[code], {})
            ]
    within = [1 / MAGNITUDE_FACTOR < ratio < MAGNITUDE_FACTOR for ratio in ratios]
    assert len(ratios) > 150 and sum(within) >= len(ratios) - 2
