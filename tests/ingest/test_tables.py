"""What the readers make of inventory tables: every line counted, units, totals, notation keys, traps."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from reading_cases import (
    C40_BOOK,
    C40_TIDY,
    CARBON_MONITOR,
    CASES,
    CDP_2016,
    CDP_2021,
    ECRF,
    FIXTURES,
    NRT,
    REAL_TABLES,
    TABLE_CASES,
    UK,
    WORKBOOK_CASES,
    Case,
)

from monitor import cli, units
from monitor.archive.netcdf import from_bytes, to_bytes
from monitor.errors import InputError, SourceFormatError, UnitError
from monitor.ingest.readers import _table as table
from monitor.ingest.readers.c40_workbook import period
from monitor.ingest.readers.cdp_cities import period as accounts
from monitor.inventory import refusal_counts
from monitor.plugins import ReadContext, reader_names


@cache
def real(root: Path, path: str) -> xr.Dataset:
    """A real table, read once."""
    return next(case for case in REAL_TABLES if path in case.path).read(root)


def changed(case: Case, folder: Path, old: str, new: str) -> xr.Dataset:
    path = folder / Path(case.path).name
    text = (FIXTURES / case.path).read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return case.get_reader().read(path, ReadContext())


def rows(made: xr.Dataset, **where: object) -> list[dict[str, object]]:
    """Rows as dictionaries, those with the given values."""
    frame = made.drop_vars("time_bnds").drop_dims("refused").to_dataframe()
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return frame.to_dict("records")


# --- every line counts --------------------------------------------------------------------------------------


#: Lines with content, lines refused, rows, as found; the first is counted independently below.
COUNTS = {
    "C40_GPC_Database.xlsx": (424, 95, 18947),
    "clean_c40.csv": (18801, 12534, 6267),
    "2016_-_Citywide_GHG_Emissions.csv": (187, 0, 453),
    "2017_-_Cities_Community_Wide_Emissions.csv": (229, 3, 562),
    "2018_City-wide_Emissions.csv": (488, 279, 779),
    "2019_City-wide_Emissions.csv": (814, 474, 1261),
    "2020_-_City-Wide_Emissions.csv": (776, 371, 1356),
    "2021_City-wide_Emissions.csv": (989, 611, 1218),
    "local_authority_emissions.csv": (6304, 0, 176512),
    "carbon_monitor_cities_processed.csv": (11410, 0, 11410),
}


def lines_by_pandas(path: Path) -> int:
    if path.suffix == ".xlsx":  # 95 lines at the end hold formulas that give nothing, and pandas drops them
        return len(pd.read_excel(path, sheet_name="GHG Dashboard Data - Inventory")) + 95
    return len(pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False))


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow) if "uk/" in c.path else c for c in REAL_TABLES],
    ids=str,
)
def test_every_line_of_a_real_table_is_read_or_refused_with_its_reason(case: Case, real_data: Path) -> None:
    made = real(real_data, case.path)
    expected, refused, n_rows = COUNTS[Path(case.path).name]
    assert expected == lines_by_pandas(real_data / case.path) == made.attrs["rows_read"]
    assert sum(refusal_counts(made).values()) == refused
    assert made.sizes["row"] == n_rows
    assert np.unique(made["line"]).size == expected - refused
    assert all(made["refused_reason"].values != "")


@pytest.mark.parametrize("case", TABLE_CASES, ids=str)
def test_every_line_of_an_invented_table_is_read_or_refused_with_its_reason(case: Case) -> None:
    made = case.read()
    refused = made["refused_line"].values[made["refused_column"].values == ""]
    assert np.unique(made["line"]).size + refused.size == made.attrs["rows_read"]
    assert not set(made["line"].values) & set(refused)


@pytest.mark.parametrize("case", TABLE_CASES, ids=str)
def test_ingest_counts_the_lines_of_a_table(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    name = case.get_reader().name
    assert cli.run(["ingest", str(FIXTURES / case.path), "--reader", name, "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["kind"] == "table"
    assert line["rows_read"] == line["rows_used"] + line["rows_refused"]
    assert sum(line["refused"].values()) == line["rows_refused"]


@pytest.mark.parametrize("case", TABLE_CASES, ids=str)
def test_a_table_is_known_without_its_reader(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ingest", str(FIXTURES / case.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reader"] == case.get_reader().name


@pytest.mark.parametrize("case", [case for case in CASES if case not in TABLE_CASES], ids=str)
def test_a_file_that_is_no_table_is_told_its_reader(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ingest", str(FIXTURES / case.path), "--json"]) == 65
    error = json.loads(capsys.readouterr().out)["error"]
    reader = case.get_reader()
    assert f"a file that reader '{reader.name}' ({reader.kind}) understands" in error["found"]
    assert f"--reader {reader.name}" in error["remedy"]


@pytest.mark.parametrize(
    ("case", "old", "new", "found"),
    [
        (NRT, "# TITLE: CO2 - NRT", "ICOS ATC", "'icos-atc': the header is not that of an ICOS ATC file"),
        (C40_TIDY, "gpc_refno", "gpc_number", "'c40-tidy': column 'gpc_refno' is missing"),
        (CARBON_MONITOR, "locode", "place", "'carbon-monitor-cities': column 'locode' is missing"),
        (UK, "Year", "Jahr", "'uk-local-authority': column 'year' is missing"),
    ],
)
def test_a_file_that_no_reader_takes_is_refused_with_the_nearest_and_one_reason(
    case: Case, old: str, new: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FIXTURES / case.path).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "file").write_text(text.replace(old, new), encoding="utf-8")
    assert cli.run(["ingest", str(tmp_path / "file"), "--json"]) == 65
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["what"] == "no reader understands the file"
    others = len(reader_names()) - 1
    assert error["found"] == f"nearest is {found}; {others} other readers do not take it either"


def test_a_table_that_states_no_unit_is_known_and_refused_for_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FIXTURES / C40_TIDY.path).read_text(encoding="utf-8").replace(",kg,", ",,")
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    assert cli.run(["ingest", str(tmp_path / "table.csv"), "--json"]) == 65
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["error"], error["what"]) == ("UnitError", "the table states no unit")


@pytest.mark.parametrize(
    ("case", "column"), [(C40_TIDY, "units"), (CARBON_MONITOR, "emissions_units")], ids=str
)
def test_a_table_whose_column_of_units_is_gone_states_no_unit(
    case: Case, column: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (FIXTURES / case.path).open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.reader(stream))
    gone = lines[0].index(column)
    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(fields[:gone] + fields[gone + 1 :] for fields in lines)
    assert cli.run(["ingest", str(tmp_path / "table.csv"), "--json"]) == 65
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["error"], error["what"]) == ("UnitError", "the table states no unit")
    assert error["remedy"] and "table.csv" in error["where"]


@pytest.mark.parametrize("case", TABLE_CASES, ids=str)
def test_a_table_can_be_kept_in_the_archive_exactly(case: Case) -> None:
    made = case.read()
    xr.testing.assert_equal(from_bytes(to_bytes(made)), made)


# --- units ---------------------------------------------------------------------------------------------


UNITLESS = [
    (C40_TIDY, ",kg,CO2e,", ",,CO2e,"),
    (CARBON_MONITOR, ",kg,", ",,"),
    (CDP_2016, " (metric tonnes CO2e)", ""),
    (UK, ":kt CO2", ":"),
]


@pytest.mark.parametrize(("case", "old", "new"), UNITLESS, ids=[str(case) for case, *_ in UNITLESS])
def test_a_table_without_a_unit_is_one_clear_error(case: Case, old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises((UnitError, SourceFormatError), match=r"states no unit|is missing") as caught:
        changed(case, tmp_path, old, new)
    assert caught.value.expected and caught.value.remedy and Path(case.path).name in str(caught.value)


def test_a_form_without_a_unit_is_one_clear_error(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(FIXTURES / ECRF.path)
    sheet = book["eCRF_3"]
    cell = next(cell for cell in sheet[2] if str(cell.value).startswith("GHGs"))
    cell.value = "GHGs"
    book.save(tmp_path / "form.xlsx")
    with pytest.raises(UnitError, match="the table states no unit"):
        ECRF.get_reader().read(tmp_path / "form.xlsx", ReadContext())


def test_a_line_without_a_unit_among_others_is_refused(tmp_path: Path) -> None:
    made = changed(CARBON_MONITOR, tmp_path, "100000000,kg", "100000000,")
    assert refusal_counts(made)["no unit, or an unknown one"] == 2


@pytest.mark.parametrize(
    ("text", "factor", "gas"),
    [
        ("kg", 1e-3, None),
        ("kt CO2", 1e3, "co2"),
        ("metric tonnes CO2e", 1.0, "co2e"),
        ("tCO2e", 1.0, "co2e"),
        ("Gg CH4", 1e3, "ch4"),
        ("Mt CO2", 1e6, "co2"),
    ],
)
def test_units_of_tables_are_known_with_their_gas(text: str, factor: float, gas: str | None) -> None:
    assert units.table_unit(text) == (factor, gas)


@pytest.mark.parametrize("text", ["", "MT", "ton", "tons CO2", "KT CO2", "CO2", "%"])
def test_units_that_mean_several_things_are_refused(text: str) -> None:
    with pytest.raises(UnitError, match="states no unit|is not a unit of an inventory table"):
        units.table_unit(text)


def test_a_sum_of_gases_has_a_unit_of_its_own() -> None:
    assert units.level_unit("co2e") == "t CO2e a-1"
    assert units.level_unit("ch4") == "t CH4 a-1"


# --- numbers -------------------------------------------------------------------------------------------


@given(st.floats(-1e12, 1e12), st.sampled_from([",", " ", "\u00a0", "\u202f"]))
def test_numbers_are_read_with_any_separator_of_thousands(value: float, separator: str) -> None:
    assert table.number(f"{value:,.3f}".replace(",", separator)) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize("text", ["1.234,5", "1,23", "12,34,567", "nan", "inf", "1e", "five", "1 2", "--1"])
def test_what_is_ambiguous_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        table.number(text)


@pytest.mark.parametrize(
    ("text", "keys", "remark"),
    [
        ("NE", "NE", ""),
        ("NO ", "NO", ""),
        ("IE (I.1.1)", "IE", "(I.1.1)"),
        ("NO; IE", "NO IE", ""),
        ("NE; NE", "NE", ""),
    ],
)
def test_notation_keys_are_kept_as_keys(text: str, keys: str, remark: str) -> None:
    value, *rest = table.amount(text) or ()
    assert np.isnan(value) and rest == [keys, remark]


def test_text_that_is_no_key_is_no_amount() -> None:
    for text in ("NA", "n/a", "NOT", "IEA", "C40"):
        with pytest.raises(ValueError, match=text):
            table.amount(text)


@given(st.text(max_size=12))
def test_a_cell_is_an_amount_a_key_empty_or_an_error(text: str) -> None:
    try:
        found = table.amount(text)
    except ValueError:
        return
    assert found is None or np.isfinite(found[0]) != bool(found[1])


# --- C40 and GPC ---------------------------------------------------------------------------------------


def test_the_tidy_table_of_c40_is_its_workbook_in_kilograms(real_data: Path) -> None:
    book, tidy = real(real_data, "C40_GPC"), real(real_data, "clean_c40")
    known = {
        (r["place"], r["year"], r["sector"]): r["value"]
        for r in rows(book, is_total=False)
        if np.isfinite(float(r["value"]))
    }
    found = {(r["place"], r["year"], r["sector"]): r["value"] for r in rows(tidy)}
    assert len(found) == 6267
    for key, value in found.items():
        assert value == pytest.approx(known[key], rel=1e-9), key


def test_the_territorial_totals_of_c40_are_the_sums_of_scope_one(real_data: Path) -> None:
    made = real(real_data, "C40_GPC")
    frame = made.drop_vars("time_bnds").drop_dims("refused").to_dataframe()
    parts = frame[~frame.is_total & (frame.scope == "1")].groupby("line")["value"].sum()
    totals = frame[frame.sector == "Territorial"].set_index("line")["value"]
    assert len(totals) == 329
    np.testing.assert_allclose(parts.loc[totals.index], totals, rtol=1e-9)


def test_a_plain_sum_of_the_tidy_table_would_be_three_times_too_large(real_data: Path) -> None:
    made = real(real_data, "clean_c40")
    with (real_data / "inventory/gpc/clean_c40.csv").open(encoding="utf-8-sig") as stream:
        plain = sum(float(row["emissions"]) for row in csv.DictReader(stream)) / 1000
    assert plain / float(made["value"].sum()) == pytest.approx(3.0, rel=1e-9)
    assert refusal_counts(made) == {"repeats an emission beside another variable": 12534}
    assert np.isfinite(made["population"]).all() and np.isfinite(made["area_km2"]).all()


def test_the_notation_keys_of_c40_are_counted_by_kind(real_data: Path) -> None:
    made = real(real_data, "C40_GPC")
    rows_ = pd.read_excel(
        real_data / C40_REAL, sheet_name="GHG Dashboard Data - Inventory", keep_default_na=False, dtype=object
    )
    columns = [c for c in rows_.columns if c in set(made["sector"].values) - {"BASIC", "BASIC+", "BASIC+S3"}]
    texts = Counter(
        str(v).strip() for c in columns for v in rows_[c] if isinstance(v, str) and str(v).strip()
    )
    assert sum(texts.values()) == int((made["notation"].values != "").sum()) == 10818
    assert texts["NE"] + texts["NE; NE"] == int((made["notation"].values == "NE").sum())
    assert texts["NO; IE"] == int((made["notation"].values == "NO IE").sum()) == 8


C40_REAL = "inventory/gpc/C40_GPC_Database.xlsx"


def test_years_of_accounts_in_the_workbook_are_periods() -> None:
    made = C40_BOOK.read()
    line = made["line"].values[made["place"].values == "Beispiel"][0]
    bounds = made["time_bnds"].values[made["line"].values == line][0]
    assert list(bounds.astype("datetime64[D]").astype(str)) == ["2018-07-01", "2019-07-01"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019", ("", "")),
        ("2019-2020", ("2019-07-01", "2020-07-01")),
        ("April 2018 - April 2019", ("2018-04-01", "2019-04-01")),
        ("2013 Apr - 2014 Mar", ("2013-04-01", "2014-04-01")),
        ("July 2014 - 2015 June", ("2014-07-01", "2015-07-01")),
        ("01 July 2014-- 30 June 2015", ("2014-07-01", "2015-07-01")),
        ("01 January 2016 - 31 December 2016", ("2016-01-01", "2017-01-01")),
    ],
)
def test_periods_are_understood_as_written(text: str, expected: tuple[str, str]) -> None:
    assert period(text) == expected


# --- CDP -----------------------------------------------------------------------------------------------


PARIS = {"place_code": "31175"}


def test_paris_of_the_year_2019_splits_its_direct_emissions_over_two_columns(real_data: Path) -> None:
    made = real(real_data, "2021_City-wide")
    direct = rows(made, **PARIS, scope="1")
    assert [(r["sector"], r["value"], r["all_sectors"], r["is_total"]) for r in direct] == [
        ("direct grid", 105351.0, False, False),
        ("direct rest", 3374790.0, False, False),
    ]
    assert {r["year"] for r in direct} == {2019}
    c40 = rows(real(real_data, "C40_GPC"), place="Paris", year=2019, sector="Territorial")
    both = sum(float(str(r["value"])) for r in direct)
    assert both == pytest.approx(float(str(c40[0]["value"])), rel=0.01)


def test_paris_the_commune_states_its_area_and_its_scopes(real_data: Path) -> None:
    stated = {r["scope"]: r for r in rows(real(real_data, "2016_"), **PARIS)}
    assert {s: r["value"] for s, r in stated.items()} == {"1": 3359242, "2": 1836421, "1+2": 5195663}
    assert stated["1+2"]["is_total"] and not stated["1"]["is_total"]
    assert stated["1"]["area_km2"] == 105 and stated["1"]["population"] == 2265886


def test_the_totals_of_cdp_that_name_no_unit_are_tonnes_like_the_others(real_data: Path) -> None:
    """BASIC lies between scope 1 + 2 and that with scope 3: in other units it would not in any line."""
    within = total = 0
    for name in ("2018_", "2019_", "2020_"):
        frame = real(real_data, name).drop_vars("time_bnds").drop_dims("refused").to_dataframe()
        for _, line in frame.groupby("line"):
            by = line.set_index("sector")["value"]
            if {"scope 1", "scope 2", "basic"} <= set(by.index) and by["basic"] > 0:
                total += 1
                within += 0.5 < by["basic"] / (by["scope 1"] + by["scope 2"]) < 2
    assert total > 150 and within / total > 0.9


def test_a_city_that_lists_carbon_dioxide_alone_states_carbon_dioxide() -> None:
    first, second = CDP_2016.read(), CDP_2021.read()
    assert {(r["place"], r["gas"], r["unit"]) for r in rows(first)} == {
        ("Exampel", "co2e", "t CO2e a-1"),
        ("Beispiel", "co2", "t CO2 a-1"),
    }
    assert {r["gas"] for r in rows(second, place="City of Beispiel")} == {"co2"}


def test_thousands_set_apart_and_invisible_characters_are_read() -> None:
    (total,) = rows(CDP_2016.read(), place="Exampel", scope="1+2")
    assert (total["value"], total["area_km2"], total["remark"]) == (5e6, 105.5, "two lines")


def test_a_total_beside_its_parts_is_marked_and_one_alone_is_not() -> None:
    made = CDP_2016.read()
    assert rows(made, place="Exampel", scope="1+2")[0]["is_total"]
    assert not rows(made, place="Beispiel", scope="1+2")[0]["is_total"]
    assert rows(CDP_2021.read(), place="City of Beispiel", sector="scope 1")[0]["is_total"]


def test_cells_that_are_no_numbers_are_refused_one_by_one() -> None:
    made = CDP_2021.read()
    cells = made["refused_column"].values != ""
    assert list(made["refused_reason"].values[cells]) == ["an amount that is no number", "not applicable"]
    assert refusal_counts(made) == {"no year": 1, "the city reports no inventory": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-07-01 - 2014-06-30", ("2013-07-01", "2014-07-01")),
        ("12/31/2014 12:00:00 AM", ("2014-01-01", "2015-01-01")),
        ("02/28/2015 12:00:00 AM", ("2014-03-01", "2015-03-01")),
        ("-", None),
        ("2014-06-30 - 2013-07-01", None),
        ("13/41/2014 12:00:00 AM", None),
    ],
)
def test_the_accounts_of_cdp_are_periods(text: str, expected: tuple[str, str] | None) -> None:
    assert accounts(text) == expected


# --- United Kingdom, and others ------------------------------------------------------------------------


@pytest.mark.slow
def test_the_disjoint_authorities_are_the_united_kingdom(real_data: Path) -> None:
    """67.1 million people in 2020 (Office for National Statistics); the others contain districts."""
    frame = real(real_data, "local_authority").drop_vars("time_bnds").drop_dims("refused").to_dataframe()
    part = frame[(frame.year == 2020) & (frame.sector == "Domestic Gas") & ~frame.is_total]
    assert len(part) == 361
    assert part.population.sum() == pytest.approx(67.081e6, rel=1e-4)


@pytest.mark.slow
def test_the_totals_of_authorities_are_the_sums_of_their_parts(real_data: Path) -> None:
    frame = real(real_data, "local_authority").drop_vars("time_bnds").drop_dims("refused").to_dataframe()
    own = frame[frame.gpc != ""].groupby("line")["value"].sum()
    total = frame[frame.sector == "Total Emissions"].set_index("line")["value"]
    np.testing.assert_allclose(own.loc[total.index], total, rtol=1e-9)


def test_electricity_of_authorities_is_not_of_their_place() -> None:
    made = UK.read()
    for row in rows(made):
        assert (row["scope"] == "2") == ("Electricity" in str(row["sector"]))
    assert all(r["is_total"] for r in rows(made, place_code="KEN"))
    assert float(rows(made, sector="Domestic Gas")[0]["population"]) == 100_000


def test_carbon_monitors_power_is_what_it_supplies_to_the_grid() -> None:
    made = CARBON_MONITOR.read()
    power = rows(made, label="Power")
    assert {(r["sector"], r["gpc"], r["gnfr"]) for r in power} == {("I.4.1", "I.4.4", "A")}
    assert {r["place_code"] for r in power} == {"XX EXA", "YY EXA"}
    assert refusal_counts(made) == {"an unknown sector": 2}


# --- eCRF ----------------------------------------------------------------------------------------------


def test_the_gases_of_one_line_are_rows_and_their_sum_a_total() -> None:
    gas = rows(ECRF.read(), line=4)
    assert [(r["gas"], r["unit"], r["value"], r["is_total"], r["biogenic"]) for r in gas] == [
        ("co2", "t CO2 a-1", 1900.0, False, False),
        ("ch4", "t CO2e a-1", 2.8, False, False),
        ("n2o", "t CO2e a-1", 1.06, False, False),
        ("co2e", "t CO2e a-1", 1903.86, True, False),
        ("co2", "t CO2 a-1", 0.0, False, True),
    ]
    assert {r["gwp"] for r in gas} == {"AR5"} and {r["area_km2"] for r in gas} == {105.5}


def test_keys_stand_in_their_own_column_or_in_place_of_a_gas() -> None:
    made = ECRF.read()
    (alone,) = rows(made, line=7)
    assert (alone["notation"], alone["remark"], alone["gpc"]) == ("NE", "small", "I.1.3")
    assert [r["notation"] for r in rows(made, line=8)] == ["", "NE", "NO", ""]


def test_a_line_without_a_number_is_known_by_its_words() -> None:
    made = ECRF.read()
    assert rows(made, line=9)[0]["gpc"] == "II.2.1"
    assert (rows(made, line=10)[0]["gpc"], rows(made, line=10)[0]["notation"]) == ("III.1.2", "IE")
    assert refusal_counts(made) == {"an unknown sector": 1}  # a subtotal


def test_a_scope_that_contradicts_the_number_is_refused(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(FIXTURES / ECRF.path)
    book["eCRF_3"]["D4"] = "Scope 2"
    book.save(tmp_path / "form.xlsx")
    made = ECRF.get_reader().read(tmp_path / "form.xlsx", ReadContext())
    assert refusal_counts(made)["a scope that contradicts the GPC number"] == 1
    assert not rows(made, line=4)


# --- damaged tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WORKBOOK_CASES, ids=str)
def test_a_workbook_cut_off_or_damaged_is_refused(case: Case, tmp_path: Path) -> None:
    raw = (FIXTURES / case.path).read_bytes()
    path = tmp_path / Path(case.path).name
    for length in np.linspace(1, len(raw) - 1, 40).astype(int):
        path.write_bytes(raw[:length])
        with pytest.raises(SourceFormatError, match="no workbook") as caught:
            case.get_reader().read(path, ReadContext())
        assert caught.value.found and caught.value.remedy


@given(data=st.data())
def test_random_damage_to_a_workbook_gives_our_error_or_a_table(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = data.draw(st.sampled_from(WORKBOOK_CASES))
    raw = bytearray((FIXTURES / case.path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
    path.write_bytes(bytes(raw))
    try:
        case.get_reader().read(path, ReadContext())
    except InputError:
        return


def test_a_row_with_too_many_fields_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    made = changed(CARBON_MONITOR, tmp_path, "XX EXA-Power,", "XX EXA-Power,,")
    assert refusal_counts(made)["not as many fields as columns"] == 1
    assert made.sizes["row"] == CARBON_MONITOR.read().sizes["row"] - 1


def test_a_text_that_never_ends_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="a row cannot be read"):
        changed(CDP_2016, tmp_path, '"two', '"two" broken "')


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="two columns have one name: Country"):
        changed(CDP_2016, tmp_path, "Account Number", "Country")


def test_a_workbook_without_the_sheet_is_refused(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / ECRF.path, tmp_path / "other.xlsx")
    with pytest.raises(SourceFormatError, match="has no sheet 'GHG Dashboard Data - Inventory'"):
        C40_BOOK.get_reader().read(tmp_path / "other.xlsx", ReadContext())
