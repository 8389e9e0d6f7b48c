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
from monitor.publish.exports import file_name, guard, write_csv, write_exports
from monitor.publish.numbers import Z95
from monitor.publish.paris import paris_concentrations, paris_fluxes


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
