"""`monitor compare`: rows that sum, rows that are not compared, and terms before gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_worlds import CELLS, GRID, flux
from test_analysis import CITY, WHOLE, city, data  # noqa: F401 - the fixture

from monitor.cli import run
from monitor.cli.comparing import _interval
from monitor.compare.claims import answer
from monitor.compare.terms import weigh_gap
from monitor.config import CityConfig, TableSection
from monitor.domain import Interval
from monitor.errors import ConfigError, MissingInputError
from monitor.inventory import InventoryRow, inventory_table
from monitor.service.analysis import solve_case
from monitor.service.case import CityData, build_case
from monitor.service.ledger_rows import months_of, reconcile
from monitor.service.ledger_tables import reconcile_table
from monitor.service.ledgers import by_chance
from monitor.service.whole_files import read_table

YEARS = {"ledger": {"adjustments": ["year: 2021 taken for 2023"]}}
PEOPLE = {"region": [CITY["region"][0] | {"population": 200_000}, CITY["region"][1]]}


def solved(data, **changes):  # noqa: F811
    return solve_case(build_case(city(**changes), "co2", WHOLE, data))


@pytest.fixture(scope="module")
def rows(data):  # noqa: F811
    return reconcile(solved(data, **YEARS, **PEOPLE))


def test_there_is_a_row_per_region_sector_period_and_inventory(rows):
    keys = [(r.region, r.sector, r.period, r.inventory) for r in rows]
    assert len(set(keys)) == len(keys) == 2 * 3 * 2 * 2
    assert {r.sector for r in rows} == {"*", "traffic", "heating"}


def test_the_inventorys_sectors_sum_to_its_total_and_so_does_the_posterior(rows):
    whole = {(r.region, r.period, r.inventory): r for r in rows if r.sector == "*"}
    for key, row in whole.items():
        parts = [r for r in rows if r.sector != "*" and (r.region, r.period, r.inventory) == key]
        assert sum(p.bottom_up.value for p in parts) == pytest.approx(row.bottom_up.value)
        assert sum(p.posterior.value for p in parts) == pytest.approx(row.posterior.value)
        # assigned errors of one cause, the default: σ add
        assert sum(p.bottom_up.sigma for p in parts) == pytest.approx(row.bottom_up.sigma)
        assert sum(p.posterior.sigma for p in parts) >= row.posterior.sigma


def test_an_uncertainty_that_nobody_stated_is_said_to_be_assigned(rows):
    shown = [r.as_json() for r in rows]
    assert all(r["bottom_up"]["uncertainty"] == "assigned" for r in shown)
    assert all(r.bottom_up.sigma == pytest.approx(0.2 * r.bottom_up.value) for r in rows)


def test_a_sectors_own_uncertainty_stands_before_the_default(data):  # noqa: F811
    ledger = YEARS["ledger"] | {
        "sector": [{"sector": "traffic", "relative_sd": 0.05}],
        "between_sectors": 0.0,
    }
    found = {r.sector: r.bottom_up for r in reconcile(solved(data, ledger=ledger)) if r.inventory == "one"}
    assert found["traffic"].sigma == pytest.approx(0.05 * found["traffic"].value)
    assert found["*"].sigma == pytest.approx(np.hypot(found["traffic"].sigma, found["heating"].sigma))


def test_an_inventory_of_another_year_is_not_compared(data):  # noqa: F811
    for row in reconcile(solved(data)):
        shown = row.as_json()
        assert (
            shown["status"] == "not comparable"
            and "inventory of 2021, air of 2023" in shown["not_comparable"][0]
        )
        assert all(shown[k] is None for k in ("prior", "posterior", "estimate", "difference"))


def test_a_month_of_air_is_held_against_a_year_only_where_that_is_declared(data):  # noqa: F811
    """The air is of March in the one epoch and of April in the other, the inventory of a whole year."""
    year = {"ledger": {"adjustments": [{"item": "period", "text": "2021 for 2023"}]}}
    for row in reconcile(solved(data, **year)):
        (why,) = row.not_comparable
        month = {"base": 3, "target": 4}[row.period]
        assert why == f"months: whole years claimed, months {month} in the air"
    both = {"ledger": {"adjustments": [*year["ledger"]["adjustments"], "months: alike in all seasons"]}}
    assert all(row.not_comparable == () for row in reconcile(solved(data, **both)))


def test_a_map_of_months_is_held_against_the_same_months():
    """Of a monthly map the number is that of the epoch's months; of an annual one that of the year."""
    field = np.ones(CELLS)
    monthly = xr.concat([flux(field)] * 12, "time", data_vars="all")
    first = np.datetime64("2023-01") + np.arange(12)
    monthly["time_bnds"].values[:] = np.stack([first, first + 1], axis=1).astype("datetime64[ns]")
    assert months_of(monthly, Interval.parse("2023-03-10", "2023-05-01")) == (3, 4)
    assert months_of(flux(field), Interval.parse("2023-03-10", "2023-05-01")) == tuple(range(1, 13))
    assert months_of(monthly, Interval.parse("2024-03-10", "2024-05-01")) == tuple(range(1, 13))


@pytest.fixture(scope="module")
def doubted(data):  # noqa: F811
    """As `rows`, with an adjustment that is uncertain by 40 % (1σ)."""
    months = {"item": "months", "text": "March and April for the year", "relative_sd": 0.4}
    year = {"item": "period", "text": "2021 for 2023"}
    return solved(
        data, ledger={"adjustments": [year, months, {"item": "hours", "text": "-", "relative_sd": 9}]}
    )


def test_a_declared_uncertainty_is_in_the_estimate_and_in_the_difference(rows, doubted):
    """Errors of scale add in quadrature; an adjustment of a difference that a row does not have adds none."""
    for plain, wide in zip(rows, reconcile(doubted), strict=True):
        assert wide.as_json()["declared_sd"] == 0.4 and plain.as_json()["declared_sd"] is None
        if plain.estimate is None:
            continue
        assert wide.estimate.value == pytest.approx(plain.estimate.value)
        more = wide.estimate.sigma**2 - plain.estimate.sigma**2
        assert more >= 0.9 * (0.4 * wide.estimate.value) ** 2  # of the members, pooled as their values
        assert wide.estimate.high > plain.estimate.high and wide.gap.sigma > plain.gap.sigma
        assert wide.gap.sigma >= np.hypot(wide.estimate.sigma, wide.bottom_up.sigma) * (1 - 1e-12)
        moved = np.hypot(plain.posterior_difference.sigma, 0.4 * plain.posterior.value)
        assert wide.posterior_difference.sigma == pytest.approx(moved)


def test_what_is_declared_of_a_table_is_in_the_rows_of_its_whole_and_of_its_sectors(data, known):  # noqa: F811
    months = {"item": "months", "text": "-", "relative_sd": 0.4}
    both = {"adjustments": [{"item": "period", "text": "-"}, months]} | HELD
    table = table_of({"value": 9e5} | AREA, *PARTS)
    for plain, wide in zip(of_base(known, table), of_base(solved(data, ledger=both), table), strict=True):
        if plain.gap is not None:
            assert wide.declared_sd == 0.4
            assert wide.estimate.sigma > plain.estimate.sigma and wide.gap.sigma > plain.gap.sigma


def test_the_estimate_of_a_total_is_the_verdicts(rows, data):  # noqa: F811
    """One member of the ensemble lies within the pooled interval, and the pooled σ is no smaller than its."""
    one = solved(data, **YEARS)
    from monitor.service.ledger_rows import _cells

    cell = next(c for c in _cells(one) if c.inventory == "one" and c.quantity.region == "west")
    member = answer(cell.quantity, one.variants[0], "one")
    row = next(
        r
        for r in rows
        if r.region == "west" and r.sector == "*" and r.inventory == "one" and r.period == cell.period
    )
    assert row.estimate.low < member.totals[0] < row.estimate.high
    assert row.estimate.sigma > 0.5 * np.sqrt(member.covariance[0, 0])


def test_people_breathe_in_the_row_of_the_total_and_leave_sectors_open(rows):
    west = [r for r in rows if r.region == "west"]
    for row in west:
        term = next(t for t in row.terms if t.name == "human-respiration")
        assert (term.value == pytest.approx(73_050.0)) if row.sector == "*" else (term.value is None)
    assert all(t.value is None for r in rows if r.region == "window" for t in r.terms)


def test_what_the_data_do_not_carry_is_marked(rows):
    for row in rows:
        low = row.share_from_data < 0.5
        weak = low or not 0.8 <= row.response[0] <= row.response[1] <= 1.25
        assert ("prior-driven" in row.marks) == (low or (weak and row.sector != "*"))
        assert ("pattern-dependent" in row.marks) == (weak and not low and row.sector == "*")
    assert any(row.marks for row in rows)


def test_no_gap_is_called_while_terms_have_no_size(rows):
    assert {r.status for r in rows} <= {"none-seen", "terms-missing", "prior-driven", "gap"}
    assert not any(r.status == "gap" and r.gap.value > 0 for r in rows)


def test_a_map_that_is_only_compared_is_a_second_witness(data):  # noqa: F811
    """It is in no prior: the same numbers, but its difference from the posterior is wider."""
    rng = np.random.default_rng(5)
    third = {"id": "three", "path": "x", "reader": "openghg-flux", "species": "co2", "year": 2023}
    field = rng.gamma(2, 1, CELLS)
    more = CityData(
        data.observations, data.footprints, dict(data.inventories) | {"three": flux(field, "three", ["all"])}
    )
    inventory = [*CITY["inventory"], third | {"role": "compare"}]
    apart = reconcile(solved(more, inventory=inventory, ledger={"adjustments": ["months: the same"]}))
    row = next(r for r in apart if r.inventory == "three" and r.region == "window" and r.period == "base")
    assert row.not_comparable == ()  # of the year of the air, unlike the others
    independent = np.hypot(row.posterior.sigma, row.bottom_up.sigma)
    assert row.posterior_difference.sigma == pytest.approx(independent)
    candidates = [r for r in reconcile(solved(data, **YEARS)) if r.sector == "*"]
    assert all(
        r.posterior_difference.sigma < np.hypot(r.posterior.sigma, r.bottom_up.sigma) for r in candidates
    )


def test_an_inventory_without_vegetation_is_not_held_against_a_block_that_has_it(data):  # noqa: F811
    green = CITY["inventory"][0] | {"id": "one-biosphere", "sector": "biosphere"}
    grown = flux(np.random.default_rng(6).gamma(2, 1, CELLS), "one-biosphere", ["biosphere"])
    more = CityData(data.observations, data.footprints, dict(data.inventories) | {"one-biosphere": grown})
    found = reconcile(solved(more, inventory=[*CITY["inventory"], green], **YEARS))
    why = {row.inventory: row.not_comparable for row in found}
    assert why["one"] == ()
    assert why["two"] == ("biogenic part: natural and biogenic fluxes are on one side only",)


def test_a_term_of_an_unknown_region_is_refused():
    term = {"name": "ponds", "species": "co2", "region": "east", "value_t_a": 1.0, "sd_t_a": 1.0}
    with pytest.raises(ValueError, match="ledger.term 'ponds': no region 'east'"):
        CityConfig.model_validate({**CITY, "ledger": {"term": [term]}})


def test_the_command_prints_one_json_object(fed, capsys):
    arguments = ["compare", str(fed.config), "--from", "2020-01-06", "--to", "2020-01-08"]
    arguments += ["--data", str(fed.data), "--workdir", str(fed.workdir)]
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    chance = found["by_chance"]
    assert (chance["tested"], chance["level"]) == (1, 0.95) and chance["expected"] == pytest.approx(0.05)
    assert row["unit"] == "t CH4 a-1" and row["bottom_up"]["uncertainty"] == "assigned"
    assert [t["name"] for t in row["missing_terms"]] == ["waters-and-wetlands"]
    assert row["interval"] == ["2020-01-06T00:00:00Z", "2020-01-08T00:00:00Z"]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert (
        chance["text"] in text
        and "two ledgers" in text
        and "assigned" in text
        and "waters-and-wetlands (size not stated)" in text
    )
    for said in ("bottom-up ± 1σ", "posterior, 95 %", "estimate, 95 %", "unit"):
        assert all(word in text for word in said.split())


def test_a_list_of_differences_says_how_many_lie_outside_by_chance(rows):
    """Of inventories that are right 5 of 100 differences lie outside 95 %, in the mean."""
    tested = [r for r in rows if r.gap is not None]
    found = by_chance([*rows, replace(rows[0], gap=None)])
    assert found["tested"] == len(tested) and found["expected"] == pytest.approx(0.05 * len(tested))
    assert found["outside"] == sum(abs(r.gap.sigmas) > 1.96 for r in tested)
    assert f"found outside: {found['outside']}" in found["text"]
    drawn = np.random.default_rng(7).normal(size=4000)
    right = by_chance([replace(tested[0], gap=weigh_gap(z, 1.0, ())) for z in drawn])
    assert right["outside"] == pytest.approx(right["expected"], abs=3 * np.sqrt(4000 * 0.05 * 0.95))


def test_a_number_of_the_air_is_printed_with_its_own_interval_or_that_of_a_normal_error():
    assert _interval({"value": 100.0, "sigma": 10.0}) == "100\n(80.4 … 120)"
    assert _interval({"value": 100.0, "sigma": 10.0, "interval": [70.0, 140.0]}) == "100\n(70 … 140)"
    assert _interval(None) == "–"


# --- tables ----------------------------------------------------------------------------------------------


def table_of(*rows: dict, **section):
    common = {
        "place": "Exampel",
        "year": 2023,
        "scope": "1",
        "gas": "co2",
        "protocol": "GPC",
        "all_sectors": True,
    }
    made = [InventoryRow(**(common | {"line": 2 + k} | row)) for k, row in enumerate(rows)]
    dataset = inventory_table(made, [], {"title": "t", "source_digest": "", "rows_read": len(rows)})
    stated = {"id": "gpc", "path": "x", "reader": "c40-tidy", "place": "exampel", "region": "window"}
    return TableSection.model_validate(stated | section), dataset


AREA = {"area_km2": float(GRID.cell_area_m2().sum()) / 1e6}


@pytest.fixture(scope="module")
def main(data):  # noqa: F811
    return solved(data, **YEARS)


def test_a_whole_row_is_compared_and_its_parts_say_why_not(main):
    parts = {"value": 2e5, "all_sectors": False, "label": "Residential", "gpc": "I.1.1"} | AREA
    table = table_of({"value": 9e5} | AREA, parts, {"value": np.nan, "notation": "NE"} | AREA)
    found = [r for r in reconcile_table(main, *table) if r.period == "base"]
    whole, part, missing = found
    assert whole.not_comparable == () and whole.bottom_up.value == 9e5 and whole.lines == (2,)
    assert (
        whole.bottom_up.sigma == pytest.approx(0.2 * 9e5)
        and whole.as_json()["bottom_up"]["uncertainty"] == "assigned"
    )
    assert whole.gap.value == pytest.approx(whole.estimate.value - 9e5)
    assert whole.posterior_difference.sigma == pytest.approx(
        np.hypot(whole.posterior.sigma, whole.bottom_up.sigma)
    )
    assert part.status == missing.status == "not comparable" and part.lines == (3,)
    assert part.not_comparable == ("sector: no sector of the maps is known to hold it",)
    assert any(reason.startswith("amount: no number: not estimated") for reason in missing.not_comparable)
    assert part.estimate is None and missing.bottom_up is None
    json.dumps([r.as_json() for r in found], allow_nan=False)


def test_the_air_beside_a_table_is_that_beside_the_maps(main):
    """One pooled answer of all maps, which lies among theirs."""
    (row,) = [r for r in reconcile_table(main, *table_of({"value": 9e5} | AREA)) if r.period == "base"]
    maps = [r for r in reconcile(main) if r.region == "window" and r.sector == "*" and r.period == "base"]
    low, high = min(r.estimate.value for r in maps), max(r.estimate.value for r in maps)
    assert low <= row.estimate.value <= high
    assert row.prior.value == pytest.approx(np.mean([r.bottom_up.value for r in maps]))


@pytest.mark.parametrize(
    ("row", "section", "reason"),
    [
        ({"gas": "co2e", "gwp": "AR5"} | AREA, {}, "gas"),
        ({"scope": "1+2"} | AREA, {}, "scope"),
        ({"area_km2": 50.0}, {}, "region"),
        ({"protocol": "other"} | AREA, {}, "protocol"),
    ],
)
def test_a_row_about_something_else_says_what(main, row, section, reason):
    found = reconcile_table(main, *table_of({"value": 9e5} | row, **section))
    assert found and all(r.status == "not comparable" for r in found)
    assert all(any(why.startswith(f"{reason}:") for why in r.not_comparable) for r in found)


def test_a_table_that_made_the_prior_is_no_second_witness(main):
    apart, made = (
        reconcile_table(main, *table_of({"value": 9e5} | AREA, in_prior=p))[0].posterior_difference
        for p in (False, True)
    )
    assert made.value == apart.value and made.sigma < apart.sigma


HELD = {
    "sector": [
        {"sector": "traffic", "codes": ["F"]},
        {"sector": "heating", "scheme": "gpc", "codes": ["I.1.1", "I.2.1"]},
    ]
}


def part(code, value, **more):
    return {"gpc": code, "label": code, "value": value, "all_sectors": False} | AREA | more


@pytest.fixture(scope="module")
def known(data):  # noqa: F811
    return solved(data, ledger=YEARS["ledger"] | HELD)


PARTS = (part("II.1.1", 3e5), part("I.1.1", 4e5), part("I.2.1", 1e5), part("I.3.1", 2e5))


def of_base(solved_case, table):
    return [r for r in reconcile_table(solved_case, *table) if r.period == "base"]


def test_sectors_that_mean_the_same_are_compared_and_the_others_say_why_not(known):
    traffic, heating, industry = of_base(known, table_of(*PARTS))
    assert (traffic.sector, traffic.counted, traffic.lines) == ("traffic", ("II.1.1",), (2,))
    assert (heating.sector, heating.counted, heating.lines) == ("heating", ("I.1.1", "I.2.1"), (3, 4))
    assert traffic.bottom_up.value == 3e5 and heating.bottom_up.value == 5e5
    assert heating.bottom_up.sigma == pytest.approx(0.2 * 5e5)  # assigned errors of one cause: σ add
    for row in (traffic, heating):
        assert row.not_comparable == () and row.gap is not None and row.assigned
        assert row.gap.value == pytest.approx(row.estimate.value - row.bottom_up.value)
        assert ("prior-driven" in row.marks) == (row.share_from_data < 0.5 or row.response[0] < 0.8)
        assert all(term.value is None for term in row.terms)
    assert industry.status == "not comparable" and industry.sector == "I.3.1"
    assert industry.not_comparable[0].startswith("sector: no sector of the maps is known to hold it")


def test_the_air_beside_a_tables_sector_is_that_beside_the_maps_sector(data):  # noqa: F811
    """With one map, prior, posterior and estimate are those of the map's own row of the sector."""
    one = solved(data, ledger=YEARS["ledger"] | HELD, inventory=CITY["inventory"][:2])
    maps = {r.sector: r for r in reconcile(one) if r.region == "window" and r.period == "base"}
    for row in of_base(one, table_of(*PARTS))[:2]:
        same = maps[row.sector]
        assert row.prior.value == pytest.approx(same.prior.value)
        assert row.posterior.value == pytest.approx(same.posterior.value)
        assert row.posterior.sigma == pytest.approx(same.posterior.sigma)
        assert row.estimate.value == pytest.approx(same.estimate.value)
        assert row.estimate.sigma == pytest.approx(same.estimate.sigma)


def test_of_several_maps_the_prior_is_their_mean_and_the_estimate_pools_them(known):
    maps = [r for r in reconcile(known) if r.region == "window" and r.period == "base"]
    for row in of_base(known, table_of(*PARTS))[:2]:
        same = [r for r in maps if r.sector == row.sector]
        assert len(same) == 2
        assert row.prior.value == pytest.approx(np.mean([r.bottom_up.value for r in same]))
        low, high = min(r.estimate.low for r in same), max(r.estimate.high for r in same)
        assert low < row.estimate.value < high


def test_what_does_not_occur_counts_as_none_and_what_nobody_estimated_leaves_the_sector_open(known):
    (traffic,) = of_base(
        known, table_of(part("II.1.1", 3e5), part("I.1.1", 4e5), part("I.2.1", np.nan, notation="NO"))
    )[:1]
    assert traffic.sector == "traffic"
    none = of_base(known, table_of(part("I.1.1", 4e5), part("I.2.1", np.nan, notation="NO")))
    assert [(r.sector, r.bottom_up.value) for r in none] == [("heating", 4e5)]
    open_, key = of_base(known, table_of(part("I.1.1", 4e5), part("I.2.1", np.nan, notation="NE")))
    assert "'heating' holds I.2.1 (GNFR C), I.2.1 (GNFR I) too" in open_.not_comparable[0]
    assert key.not_comparable == ("amount: no number: not estimated",)


def test_two_rows_of_one_sector_are_not_known_to_be_all_of_it(known):
    rows = of_base(
        known, table_of(part("II.1.1", 1e5, label="A roads"), part("II.1.1", 2e5, label="minor roads"))
    )
    assert [r.not_comparable for r in rows] == [("sector: one of 2 rows of its sector",)] * 2


def test_a_declared_sector_makes_no_part_a_whole(known):
    """A difference that is declared of the whole says nothing of its parts."""
    table = table_of({"value": 9e5} | AREA, *PARTS, adjustments=["sector: land use is left out"])
    assert [r.sector for r in of_base(known, table)] == ["*", "traffic", "heating", "I.3.1"]


def test_a_sector_that_one_map_does_not_have_is_not_compared(data):  # noqa: F811
    inventory = [i for i in CITY["inventory"] if i["id"] != "two-traffic"]
    rows = of_base(solved(data, ledger=YEARS["ledger"] | HELD, inventory=inventory), table_of(*PARTS))
    found = {r.counted: r for r in rows}
    assert found["I.1.1", "I.2.1"].not_comparable == ()
    assert found[("II.1.1",)].not_comparable == (
        "sector: no sector of the maps is known to hold it (map 'two')",
    )


def test_sectors_of_two_blocks_are_two_totals_and_the_whole_is_none(data):  # noqa: F811
    block = {"species": "co2", "relative_sd": 0.3, "time_days": 300}
    blocks = [block | {"name": s, "sectors": [s]} for s in ("traffic", "heating")]
    two = solved(data, ledger=YEARS["ledger"] | HELD, block=blocks, scan=[])
    whole, *parts = sorted(of_base(two, table_of({"value": 9e5} | AREA, *PARTS)), key=lambda r: r.lines)
    assert whole.not_comparable == (
        "sector: all sectors, and the air's are in several blocks: traffic, heating",
    )
    assert [(r.block, r.sector) for r in parts[:2]] == [("traffic", "traffic"), ("heating", "heating")]
    assert all(r.not_comparable == () for r in parts[:2])


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"codes": ["Q"]}, "sector 'traffic': 'Q' is no sector of gnfr"),
        ({"codes": ["F1"]}, "sector 'traffic': 'F1' is a part of a sector of gnfr"),
        ({"scheme": "crf", "codes": ["1.A.3.b.i"]}, "'1.A.3.b.i' is a part of a sector of crf"),
        ({"scheme": "nace", "codes": ["H"]}, "scheme"),
    ],
)
def test_a_sector_that_holds_what_no_scheme_has_is_refused(section, fault):
    with pytest.raises(ValueError, match=fault):
        CityConfig.model_validate({**CITY, "ledger": {"sector": [{"sector": "traffic"} | section]}})


def test_rows_of_the_nearest_year_are_shown_and_others_left(main):
    rows = [{"value": 9e5, "year": year} | AREA for year in (2015, 2019, 2024)]
    found = reconcile_table(main, *table_of(*rows))
    assert {r.lines for r in found} == {(4,)}


def test_a_table_from_its_file_needs_its_place(tmp_path):
    root = Path(__file__).resolve().parents[2] / "fixtures" / "c40_tidy"
    file = next(root.iterdir())
    section = TableSection(id="t", path=file.name, reader="c40-tidy", place="Nowhere", region="window")
    with pytest.raises(MissingInputError, match="table 't' has no row of 'Nowhere'"):
        read_table(section, root / file.name)
    with pytest.raises(ConfigError, match="reader 'gcwerks' reads observations"):
        read_table(section.model_copy(update={"reader": "gcwerks"}), root / file.name)
    with pytest.raises(MissingInputError, match="there is no such file"):
        read_table(section, tmp_path / file.name)
