"""What the readers make of each format's traps: labels, flags, fill values, orders of dimensions, sums."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from reading_cases import (
    AGAGE,
    EDGAR_NEW,
    EDGAR_OLD,
    EXA,
    FIXTURES,
    FLUX_MONTHS,
    FLUX_YEAR,
    HOURLY,
    L2_2019,
    L2_2024,
    MINUTES,
    NAME_AGED,
    NAME_OLD,
    NAME_PARIS,
    NAME_THINNED,
    NRT,
    OPENGHG,
    REAL_CASES,
    STILT_ICOS,
    STILT_LAT_FIRST,
    STILT_LON_FIRST,
    Case,
)

from monitor.contracts import USABLE, Flag, Reason
from monitor.errors import ConfigError, SourceFormatError
from monitor.ingest.readers._common import canonical_scale
from monitor.plugins import ReadContext
from monitor.units import MOLAR_MASS_G_MOL


def midpoints(made: xr.Dataset) -> np.ndarray:
    bounds = made["time_bnds"].values
    middle: np.ndarray = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) // 2
    return middle


def dense(made: xr.Dataset) -> np.ndarray:
    """Influence summed over ages, (receptor, cell): the slow way back from the ragged form."""
    out = np.zeros((made.sizes["receptor"], made.sizes["lat"] * made.sizes["lon"]))
    for count, cell, value in (
        ("entry_count", "cell", "value"),
        ("residual_count", "residual_cell", "residual_value"),
    ):
        receptor = np.repeat(np.arange(out.shape[0]), made[count].values)
        np.add.at(out, (receptor, made[cell].values), made[value].values)
    return out


def raw_variable(case: Case, name: str) -> np.ndarray:
    with netCDF4.Dataset(FIXTURES / case.path) as dataset:
        return np.ma.filled(dataset.variables[name][:].astype("f8"), np.nan)


# ------------------------------------------------------------------------------------------------- GCWERKS


def test_a_gcwerks_label_is_the_middle_of_its_row() -> None:
    made = HOURLY.read()
    assert midpoints(made)[0] == np.datetime64("2023-06-01T00:19:30")
    lengths = made["time_bnds"].values[:, 1] - made["time_bnds"].values[:, 0]
    assert (lengths == np.timedelta64(18, "m")).all()


def test_the_rows_of_a_minute_file_are_a_minute_long() -> None:
    made = MINUTES.read()
    assert midpoints(made)[0] == np.datetime64("2023-06-01T00:19:30")
    lengths = made["time_bnds"].values[:, 1] - made["time_bnds"].values[:, 0]
    assert (lengths == np.timedelta64(60, "s")).all()


def test_gcwerks_keeps_missing_rows_and_flags_what_is_not_air() -> None:
    made = HOURLY.read()
    assert made.sizes["time"] == 60
    assert made["flag"].values[[0, 2, 4]].tolist() == [Flag.NOT_EVALUATED, Flag.MISSING, Flag.BAD]
    assert made["flag_reason"].values[4] == Reason.SOURCE
    assert np.isfinite(made["mole_fraction"].values[4]), "flagged, not deleted"


def test_gcwerks_units_follow_its_convention() -> None:
    first = (FIXTURES / HOURLY.path).read_text().splitlines()[3].split()
    assert HOURLY.read()["mole_fraction"].values[0] == pytest.approx(float(first[4]) * 1e-3)
    co2 = HOURLY.get_reader().read(FIXTURES / HOURLY.path, MINUTES.context)
    assert co2["mole_fraction"].values[0] == pytest.approx(float(first[7]))


@pytest.mark.parametrize("key", ["species", "station", "inlet_m", "scale"])
def test_what_a_gcwerks_file_does_not_say_the_configuration_must(key: str) -> None:
    known = {"species": "ch4", "station": EXA, "inlet_m": 50.0, "scale": "X2004A"}
    context = ReadContext(**{k: v for k, v in known.items() if k != key})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"add `{key}`"):
        HOURLY.get_reader().read(FIXTURES / HOURLY.path, context)


def test_the_order_of_rows_in_a_file_does_not_matter(tmp_path: Path) -> None:
    lines = (FIXTURES / HOURLY.path).read_text().splitlines()
    shuffled = [lines[i] for i in np.random.default_rng(0).permutation(range(3, len(lines)))]
    path = tmp_path / "shuffled.dat"
    path.write_text("\n".join(lines[:3] + shuffled))
    made = HOURLY.get_reader().read(path, HOURLY.context)
    xr.testing.assert_equal(made, HOURLY.read())


def test_repeated_rows_are_dropped_and_contradicting_ones_flagged(tmp_path: Path) -> None:
    lines = (FIXTURES / HOURLY.path).read_text().splitlines()
    path = tmp_path / "repeated.dat"
    path.write_text("\n".join([*lines, lines[3], lines[8].replace("1956.77", "1976.77")]))
    made = HOURLY.get_reader().read(path, HOURLY.context)
    assert made.sizes["time"] == 61
    assert made.attrs["reader_notes"] == (
        "1 repeated rows dropped; 2 rows contradict another about the same interval; flagged suspect"
    )
    twice = np.isclose(made["mole_fraction"], 1.95677) | np.isclose(made["mole_fraction"], 1.97677)
    assert (made["flag"].values[twice] == Flag.SUSPECT).all() and twice.sum() == 2


# ---------------------------------------------------------------------------------------------------- ICOS


def test_icos_labels_are_the_beginning_of_the_hour_in_utc() -> None:
    made = L2_2019.read()
    assert (
        made["time_bnds"].values[0].tolist()
        == np.array(["2023-06-01T00", "2023-06-01T01"], dtype="datetime64[ns]").tolist()
    )


def test_icos_fill_values_and_flags_are_both_heeded() -> None:
    made = L2_2019.read()
    flag, value, reason = (made[name].values for name in ("flag", "mole_fraction", "flag_reason"))
    assert flag[4] == Flag.MISSING and np.isnan(value[4])
    assert flag[19] == Flag.BAD and reason[19] == Reason.SOURCE and np.isfinite(value[19])
    automatic = NRT.read()
    assert automatic["flag"].values[23] == Flag.MISSING, "flagged good (U), yet the missing value"
    assert automatic["flag"].values[0] == Flag.GOOD


def test_icos_says_its_level_and_keeps_licence_and_contributor() -> None:
    assert [case.read().attrs["product_level"] for case in (L2_2019, L2_2024, NRT)] == ["L2", "L2", "NRT"]
    attributes = L2_2019.read().attrs
    assert attributes["licence"] == "invented data, free for any use"
    assert attributes["contributor"].startswith("Nobody")


def test_the_scale_is_that_of_the_instruments_that_measured() -> None:
    assert L2_2024.read().attrs["calibration_scale"] == "WMO-CH4-X2004A"
    assert L2_2019.read().attrs["calibration_scale"] == "WMO-CO2-X2007"


def test_a_longitude_may_carry_both_sign_and_side() -> None:
    assert L2_2024.read().attrs["station_longitude_deg"] == -11.5


def test_icos_repeatability_is_the_uncertainty_in_ppm() -> None:
    made = L2_2024.read()
    assert made["uncertainty"].values[0] == pytest.approx(0.177e-3)
    assert made["mole_fraction"].values[0] == pytest.approx(1.99, rel=0.02)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("WMOX2007", "WMO-CO2-X2007"),
        ("WMO X2007", "WMO-CO2-X2007"),
        ("wmo-x2007", "WMO-CO2-X2007"),
        ("WMO-CO2-X2007", "WMO-CO2-X2007"),
        ("TU1987", "TU1987"),
        ("Unknown", "unknown"),
        ("", "unknown"),
    ],
)
def test_scales_have_one_spelling(text: str, scale: str) -> None:
    assert canonical_scale(text, "co2") == scale


# ------------------------------------------------------------------------------------------------- OpenGHG


def test_openghg_labels_are_the_beginning_and_periods_are_stated() -> None:
    bounds = OPENGHG.read()["time_bnds"].values
    assert bounds[0, 0] == np.datetime64("2023-06-01T00:00:30")
    assert bounds[0, 1] - bounds[0, 0] == np.timedelta64(60, "s")
    bounds = AGAGE.read()["time_bnds"].values
    assert bounds[0, 0] == np.datetime64("2023-06-01T00:00:22.500")
    assert bounds[0, 1] - bounds[0, 0] == np.timedelta64(75, "s")


@pytest.mark.parametrize(("label", "shift"), [("left", 0.0), ("middle", 37.5), ("right", 75.0)])
def test_a_label_elsewhere_shifts_the_interval_back(label: str, shift: float, tmp_path: Path) -> None:
    path = tmp_path / "labelled.nc"
    path.write_bytes((FIXTURES / AGAGE.path).read_bytes())
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.variables["time"].setncattr("label", label)
    apart = AGAGE.read()["time"].values - AGAGE.get_reader().read(path, AGAGE.context)["time"].values
    assert (apart == np.timedelta64(round(shift * 1e9), "ns")).all()


def test_a_status_flag_marks_bad_rows_and_none_means_not_evaluated() -> None:
    made = AGAGE.read()
    assert made["flag"].values[[0, 3]].tolist() == [Flag.GOOD, Flag.BAD]
    assert OPENGHG.read()["flag"].values[[0, 7]].tolist() == [Flag.NOT_EVALUATED, Flag.MISSING]
    assert made.attrs["calibration_scale"] == "TU1987"
    assert made["uncertainty"].values[0] == pytest.approx(2e-3)


# ---------------------------------------------------------------------------------------------- footprints


def test_the_ragged_form_holds_exactly_the_integrated_footprint() -> None:
    made = NAME_OLD.read()
    fp = raw_variable(NAME_OLD, "fp").transpose(2, 0, 1).reshape(24, -1)
    there = np.isfinite(fp).all(axis=1)
    assert np.array_equal(dense(made), fp[there])
    assert made.sizes["entry"] == 0, "without ages, all of it is residual"


def test_a_lost_footprint_is_left_out_and_noted() -> None:
    made = NAME_OLD.read()
    assert made.sizes["receptor"] == 23
    assert np.datetime64("2023-06-01T09", "ns") not in made["time"].values
    assert "1 receptors without a footprint" in made.attrs["reader_notes"]


def test_small_negatives_are_kept_and_counted() -> None:
    made = NAME_OLD.read()
    assert made.attrs["negative_values"] == 1
    assert float(made["residual_value"].min()) == pytest.approx(-0.0117, abs=1e-4)


def test_resolved_ages_and_residual_add_up_to_the_footprint() -> None:
    for case, name, order in ((NAME_AGED, "fp", (2, 0, 1)), (NAME_PARIS, "srr", (0, 1, 2))):
        made = case.read()
        total = raw_variable(case, name).transpose(order)
        total = total[:, ::-1] if case is NAME_PARIS else total  # that file's latitudes descend
        flat = total.reshape(made.sizes["receptor"], -1)
        assert np.allclose(dense(made), flat, rtol=5e-3, atol=1e-4)  # the file keeps three digits
        assert made.sizes["entry"] > 0 and made.sizes["residual_entry"] > 0


def test_hours_back_begin_at_the_receptors_own_hour() -> None:
    assert sorted(set(NAME_AGED.read()["hours_back"].values.tolist())) == list(range(8))
    assert sorted(set(NAME_PARIS.read()["hours_back"].values.tolist())) == list(range(4))


def test_thinned_ages_are_not_used_and_nothing_is_lost() -> None:
    made = NAME_THINNED.read()
    assert made.sizes["entry"] == 0
    assert "hours back (0, 2, 4, 6 …) are not consecutive" in made.attrs["reader_notes"]
    fp = raw_variable(NAME_THINNED, "fp").transpose(2, 0, 1).reshape(6, -1)
    assert np.array_equal(dense(made), fp)


def test_meteorology_is_carried_and_a_wrong_label_is_seen_through() -> None:
    made = NAME_OLD.read()
    assert float(made["air_temperature"][0]) == pytest.approx(285.15)
    assert "labelled K and holds °C" in made.attrs["reader_notes"]
    assert [made[n].attrs["units"] for n in ("wind_speed", "boundary_layer_height", "pressure")] == [
        "m s-1",
        "m",
        "hPa",
    ]


def test_latitudes_ascend_whatever_the_file_does() -> None:
    made = NAME_PARIS.read()
    assert (np.diff(made["lat"].values) > 0).all()
    north = dense(made).reshape(-1, made.sizes["lat"], made.sizes["lon"])
    assert np.allclose(north, raw_variable(NAME_PARIS, "srr")[:, ::-1], rtol=5e-3, atol=1e-4)


def test_a_large_file_is_read_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = NAME_AGED.read()
    monkeypatch.setattr("monitor.ingest.readers.name_footprint._BLOCK_BYTES", 20_000)
    xr.testing.assert_identical(NAME_AGED.read(), whole)


def test_stilt_names_are_understood_in_either_order() -> None:
    one, other = STILT_LON_FIRST.read(), STILT_LAT_FIRST.read()
    xr.testing.assert_equal(one, other)
    assert one.attrs["station_longitude_deg"] == 11.5 and one.attrs["inlet_height_m"] == 50.0


def test_stilt_hours_of_influence_become_hours_back() -> None:
    made = STILT_LON_FIRST.read()
    assert made["time"].values.tolist() == np.array(["2023-06-01T12"], dtype="datetime64[ns]").tolist()
    foot = raw_variable(STILT_LON_FIRST, "foot")
    foot = np.where(np.isnan(foot), 0.0, foot).reshape(6, -1)
    for back in range(1, 7):
        here = made["hours_back"].values == back
        assert float(made["value"].values[here].sum()) == pytest.approx(foot[6 - back].sum(), rel=1e-5)
    assert "1 missing cells" in made.attrs["reader_notes"]


def test_an_aggregated_stilt_map_is_all_residual() -> None:
    made = STILT_ICOS.read()
    assert made.sizes["entry"] == 0
    assert float(made["residual_value"].sum()) == pytest.approx(
        np.nansum(raw_variable(STILT_ICOS, "foot")), rel=1e-5
    )


def test_stilt_influence_after_the_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "202306011000_11.5_48.1_50_foot.nc"
    path.write_bytes((FIXTURES / STILT_LON_FIRST.path).read_bytes())
    with pytest.raises(SourceFormatError, match="hours of influence do not fit"):
        STILT_LON_FIRST.get_reader().read(path, STILT_LON_FIRST.context)


# --------------------------------------------------------------------------------------------------- fluxes


def test_a_flux_map_keeps_its_values_and_covers_its_year() -> None:
    made = FLUX_YEAR.read()
    flux = raw_variable(FLUX_YEAR, "flux")
    assert np.allclose(made["flux"].values[0, 0], flux[:, :, 0] * 1e6, rtol=1e-12)
    assert made["sector"].values.tolist() == ["waste"]
    assert (
        made["time_bnds"].values.astype("datetime64[D]").tolist()
        == np.array([["2023-01-01", "2024-01-01"]], dtype="datetime64[D]").tolist()
    )


def test_monthly_maps_cover_their_months() -> None:
    bounds = FLUX_MONTHS.read()["time_bnds"].values
    assert (bounds[1:, 0] == bounds[:-1, 1]).all() and bounds[-1, 1] == np.datetime64("2024-01-01")
    assert FLUX_MONTHS.read()["sector"].values.tolist() == ["waste-all"]


def test_a_flux_map_of_another_year_or_gas_is_refused() -> None:
    reader = FLUX_YEAR.get_reader()
    with pytest.raises(SourceFormatError, match="of another year than configured"):
        reader.read(FIXTURES / FLUX_YEAR.path, ReadContext(year=2019))
    with pytest.raises(SourceFormatError, match="of another gas than configured"):
        reader.read(FIXTURES / FLUX_YEAR.path, ReadContext(species="co2"))
    with pytest.raises(SourceFormatError, match="of another year than configured"):
        EDGAR_OLD.get_reader().read(FIXTURES / EDGAR_OLD.path, ReadContext(year=2019))


def test_edgar_longitudes_are_turned_and_its_mass_is_kept() -> None:
    made = EDGAR_OLD.read()
    assert made["lon"].values[0] == -177.5 and (np.diff(made["lon"].values) > 0).all()
    kilograms = raw_variable(EDGAR_OLD, "emi_ch4")
    area = made["cell_area"].values
    ours = float((made["flux"].values[0, 0] * area).sum()) * MOLAR_MASS_G_MOL["ch4"] * 1e-9
    assert ours == pytest.approx(float((kilograms * area).sum()), rel=1e-9)
    west = made["flux"].sel(lon=-2.5, lat=47.5).item()
    east = made["flux"].sel(lon=2.5, lat=47.5).item()
    assert east == pytest.approx(2 * west) and west > 0


def test_edgar_year_gas_and_sector_stand_in_the_name() -> None:
    old, new = EDGAR_OLD.read(), EDGAR_NEW.read()
    assert (old.attrs["species"], old["sector"].item()) == ("ch4", "total")
    assert (new.attrs["species"], new["sector"].item()) == ("co2", "ENE")
    assert [str(d["time"].values[0])[:4] for d in (old, new)] == ["2015", "2022"]


def test_the_real_maps_have_the_totals_over_the_window_that_were_found_before(real_data: Path) -> None:
    expected = {2012: 0.92, 2013: 0.43, 2019: 0.21}  # Tg CH4 a-1, to two digits
    for case in (c for c in REAL_CASES if c.reader == "openghg_flux"):
        made = case.read(real_data)
        window = made.sel(lon=slice(-0.5, 3.6), lat=slice(51.1, 53.9))
        assert window["flux"].shape[2:] == (12, 12)
        moles_s = float((window["flux"] * window["cell_area"]).sum()) * 1e-6
        year = case.context.year
        assert year is not None
        teragrams = moles_s * MOLAR_MASS_G_MOL["ch4"] * 365.25 * 86400 * 1e-12
        assert teragrams == pytest.approx(expected[year], abs=0.01)


def test_level_2_and_near_real_time_of_one_station_join_without_overlap(real_data: Path) -> None:
    final, recent = (
        next(c for c in REAL_CASES if name in c.path).read(real_data) for name in ("HTM_150.0_CTS", "NRT_HTM")
    )
    assert final["time_bnds"].values[-1, 1] == recent["time_bnds"].values[0, 0]
    assert (final.attrs["product_level"], recent.attrs["product_level"]) == ("L2", "NRT")
    usable = np.isin(final["flag"].values, USABLE)
    assert usable.sum() == 17242 and float(final["mole_fraction"].values[usable].min()) > 380
