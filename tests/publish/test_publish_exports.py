"""Data files: guarded cells, untouched numbers, and the layouts other programs expect."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from report_inputs import posterior, report_input

from monitor.domain import Region
from monitor.publish.content import clean, regions_geojson, total_rows
from monitor.publish.diagnostics import _fit_in_words
from monitor.publish.exports import file_name, guard, write_csv, write_exports
from monitor.publish.numbers import Z95
from monitor.publish.paris import paris_concentrations, paris_fluxes
from monitor.publish.table_view import value_text


@given(st.text())
def test_no_text_cell_starts_a_formula_and_none_is_lost(text):
    safe = guard(text)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert safe.removeprefix("'") == text or safe == text


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
def test_numbers_are_untouched(number):
    assert guard(number) is number


def test_a_table_reads_back(tmp_path):
    rows = [["=1+1", -3.5, None], ['Zürich, "Nord"\nline 2', 1e-9, "b"]]
    write_csv(tmp_path / "t.csv", ["text", "number", "-other"], rows)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as stream:
        found = list(csv.reader(stream))
    assert found == [
        ["text", "number", "'-other"],
        ["'=1+1", "-3.5", ""],
        ['Zürich, "Nord"\nline 2', "1e-09", "b"],
    ]


@given(st.text(max_size=200))
def test_a_file_name_never_leaves_its_folder(text):
    name = file_name(text)
    assert name and "/" not in name and "\\" not in name and not name.startswith(".") and len(name) <= 80


def test_json_values_follow_the_conventions():
    found = clean(
        {
            "nan": math.nan,
            "inf": np.float64("inf"),
            "time": np.datetime64("2016-07-01T06", "h"),
            "array": np.array([1.5, np.nan]),
            "flag": np.bool_(True),
            "tuple": (1, "a"),
        }
    )
    assert found == {
        "nan": None,
        "inf": None,
        "time": "2016-07-01T06:00:00Z",
        "array": [1.5, None],
        "flag": True,
        "tuple": [1, "a"],
    }
    json.dumps(found, allow_nan=False)


def test_totals_carry_the_interval_of_their_covariance():
    dataset = posterior("ch4", days=3)
    row = total_rows("ch4", dataset)[1]
    sd = math.sqrt(float(dataset["posterior_covariance"][1, 1]))
    assert row["interval"] == pytest.approx([row["estimate"] - Z95 * sd, row["estimate"] + Z95 * sd])
    assert (row["region"], row["epoch"], row["unit"], row["level"]) == ("city", "2023", "t CH4 a-1", 0.95)


def test_exports_stand_alone(tmp_path):
    paths = write_exports(report_input(days=3, species=("ch4",)), tmp_path / "data")
    assert paths.json.is_file() and not (tmp_path / "data" / "index.html").exists()
    with (paths.csv / "flux-ch4.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 24 * 32
    expected = posterior("ch4", days=3)["flux_posterior"].values[0, 0, 0, 0]
    assert float(rows[0]["flux_posterior_umol_m-2_s-1"]) == pytest.approx(expected, rel=1e-6)


def table(paths, name):
    with (paths.csv / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_column_of_numbers_has_its_unit(tmp_path):
    paths = write_exports(report_input(days=3, species=("ch4",)), tmp_path)
    units = {(row["table"], row["column"]): row["unit"] for row in table(paths, "columns")}
    for name in ("verdicts", "ensemble", "epochs", "totals", "inventories", "ledgers", "sources"):
        rows = table(paths, name)
        assert rows and all(row["unit"] for row in rows)
        for column in rows[0]:
            cells = [row[column] for row in rows if row[column]]
            if cells and column not in {"epoch", "period"}:  # names, that may be years
                assert bool(units.get((name, column))) == all(map(is_number, cells)), (
                    name,
                    column,
                    cells[:2],
                )


def is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def test_tables_carry_what_stands_behind_a_verdict(tmp_path):
    paths = write_exports(report_input(days=3, species=("ch4",)), tmp_path)
    rows = {row["claim"]: row for row in table(paths, "verdicts")}
    assert rows["trend"]["evaluation_look"] == "2" and rows["trend"]["level"] == "0.9714"
    assert rows["cut-25"]["flips_text"].startswith("Alone") and rows["cut-25"]["years_to_detect"] == "0.2"
    epochs = [row for row in table(paths, "epochs") if row["claim"] == "trend"]
    assert len(epochs) == 6 and {row["unit"] for row in epochs} == {"t CO2 a-1"}
    members = [row for row in table(paths, "ensemble") if row["claim"] == "cut-25"]
    assert [row["choice"] for row in members] == ["main", "station", "correlation length"]
    assert (
        float(members[0]["interval_low"]) < float(members[0]["estimate"]) < float(members[0]["interval_high"])
    )
    row = table(paths, "ledgers")[0]
    assert row["bottom_up_uncertainty"] == "assigned" and float(row["difference_in_sigmas"]) < 0
    said = json.loads(paths.json.read_text(encoding="utf-8"))
    assert said["ledgers"][0]["status"] == "none-seen" and said["family"]["claims"] == 8


def test_paris_units_are_moles_and_kilograms(tmp_path):
    dataset = posterior("co2", days=3)
    fluxes, mole_fractions = paris_fluxes("co2", dataset), paris_concentrations(dataset)
    assert fluxes["flux_total_posterior"].attrs["units"] == "mol m-2 s-1"
    total = dataset["flux_posterior"].sum("block").values * 1e-6
    np.testing.assert_allclose(fluxes["flux_total_posterior"].values, total)
    np.testing.assert_allclose(fluxes["country_flux_total_posterior"], dataset["posterior_total"] * 1e3)
    variance = np.diagonal(fluxes["covariance_country_flux_total_posterior"].values)
    np.testing.assert_allclose(variance, np.diagonal(dataset["posterior_covariance"].values) * 1e6)
    np.testing.assert_allclose(mole_fractions["Yobs"].values, dataset["observed"].values * 1e-6)
    assert isinstance(mole_fractions, xr.Dataset) and "YapostBC" in mole_fractions


def test_districts_become_closed_polygons_and_a_window_none():
    square = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    found = regions_geojson([Region("a", (square,), "A"), Region("window", ())])["features"]
    assert found[0]["geometry"]["coordinates"][0][0][-1] == [0.0, 0.0]
    assert found[1]["geometry"] is None


def test_small_truths_a_missing_end_has_no_limit_and_no_interval_is_widened_by_one():
    assert value_text([66.0, None]) == "66, no limit"
    assert not any("widened" in line for line in _fit_in_words({"inflation": 1.04}))
    assert any("widened by the factor 1.05," in line for line in _fit_in_words({"inflation": 1.1}))
