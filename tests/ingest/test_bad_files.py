"""Damaged, foreign and hostile files: one clear error each, never a crash, never invented data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_cases import (
    AGAGE,
    CASES,
    EDGAR_NEW,
    EDGAR_OLD,
    FIXTURES,
    FLUX_YEAR,
    HOURLY,
    L2_2019,
    NAME_AGED,
    NAME_OLD,
    NETCDF_CASES,
    NRT,
    OPENGHG,
    SERIES_CASES,
    STILT_LON_FIRST,
    TEXT_CASES,
    Case,
)

from monitor.errors import InputError, SourceFormatError, UnitError
from monitor.ingest.readers._classic import needed_bytes

PAGES = [
    b"<!DOCTYPE html><html><body>503</body></html>",
    b"\n <HTML>",
    b"\xef\xbb\xbf<?xml version='1.0'?><Error/>",
]


def read_bytes(case: Case, raw: bytes, folder: Path) -> object:
    """What the reader makes of `raw` under the name of the case's file."""
    path = folder / Path(case.path).name
    path.write_bytes(raw)
    return case.get_reader().read(path, case.context)


def read_changed(case: Case, folder: Path, change: Callable[[netCDF4.Dataset], None]) -> object:
    """What the reader makes of the case's netCDF file after `change`."""
    path = folder / Path(case.path).name
    path.write_bytes((FIXTURES / case.path).read_bytes())
    with netCDF4.Dataset(path, "a") as dataset:
        change(dataset)
    return case.get_reader().read(path, case.context)


@pytest.mark.parametrize("case", NETCDF_CASES, ids=str)
def test_a_netcdf_file_cut_off_anywhere_is_refused(case: Case, tmp_path: Path) -> None:
    raw = (FIXTURES / case.path).read_bytes()
    for length in [1, 7, 100, *np.linspace(200, len(raw) - 1, 40).astype(int)]:
        with pytest.raises(SourceFormatError, match="cut off|not netCDF") as caught:
            read_bytes(case, raw[: int(length)], tmp_path)
        assert caught.value.found and caught.value.where and caught.value.remedy


@pytest.mark.parametrize("case", SERIES_CASES, ids=str)
def test_a_text_file_cut_off_gives_an_error_or_rows_it_really_holds(case: Case, tmp_path: Path) -> None:
    raw = (FIXTURES / case.path).read_bytes()
    whole = case.read()["mole_fraction"].values
    for length in np.linspace(1, len(raw) - 2, 60).astype(int):
        cut = raw[: int(length)]
        try:
            made = read_bytes(case, cut, tmp_path)
        except SourceFormatError:
            continue
        values = made["mole_fraction"].values  # type: ignore[index]
        # cut inside the last number of the last row, digits may be lost: only earlier rows must be exact
        assert (
            np.array_equal(values[:-1], whole[: values.size - 1], equal_nan=True) or values.size < whole.size
        )


def test_an_icos_file_cut_between_rows_says_how_many_lines_are_gone(tmp_path: Path) -> None:
    lines = (FIXTURES / L2_2019.path).read_bytes().split(b"\n")
    made = read_bytes(L2_2019, b"\n".join(lines[:-4]), tmp_path)
    assert made.attrs["reader_notes"] == f"{len(lines) - 4} lines where the header announces {len(lines)}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_error_page_is_recognised(case: Case, page: bytes, tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="the file is a web page, not data"):
        read_bytes(case, page + b" " * 1000, tmp_path)


@pytest.mark.parametrize("case", TEXT_CASES, ids=str)
def test_a_binary_file_under_a_text_name_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="not UTF-8 text|binary"):
        read_bytes(case, (FIXTURES / OPENGHG.path).read_bytes(), tmp_path)


@pytest.mark.parametrize("case", NETCDF_CASES, ids=str)
def test_a_text_file_under_a_netcdf_name_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="is not netCDF"):
        read_bytes(case, (FIXTURES / HOURLY.path).read_bytes(), tmp_path)


ROW_DAMAGE: list[tuple[Case, bytes, bytes, str]] = [
    (HOURLY, b"1967.20", b"19x7.20", "a number in column 'ch4 C'"),
    (HOURLY, b"230601  31930", b"231301  31930", "a date and time that exist"),
    (HOURLY, b"230601  31930", b"230601  3h930", "date yymmdd and time HHMMSS"),
    (HOURLY, b" 1967.20", b"", "10 fields"),
    (L2_2019, b"EXA;50;2023;06;01;03;", b"EXA;50;2023;06;31;03;", "a date and time that exist"),
    (L2_2019, b"EXA;50;2023;06;01;03;", b"EXA;50;2023;06;03;", "fields separated by ';'"),
    (
        NRT,
        b"EXA;50;2023;06;01;03;00;2023.41;",
        b"EXA;50;2023;06;01;03;00;2023.41;x",
        "a number in column 'co2'",
    ),
]


@pytest.mark.parametrize(("case", "old", "new", "expected"), ROW_DAMAGE)
def test_a_broken_row_is_named_with_its_line(
    case: Case, old: bytes, new: bytes, expected: str, tmp_path: Path
) -> None:
    raw = (FIXTURES / case.path).read_bytes()
    assert raw.count(old) == 1
    line = raw[: raw.index(old)].count(b"\n") + 1
    with pytest.raises(SourceFormatError, match="a row cannot be read") as caught:
        read_bytes(case, raw.replace(old, new), tmp_path)
    assert caught.value.where.endswith(f"line {line}") and expected in caught.value.expected


def test_an_unknown_icos_flag_is_refused(tmp_path: Path) -> None:
    raw = (FIXTURES / NRT.path).read_bytes()
    with pytest.raises(SourceFormatError, match="a flag O, U, N or K"):
        read_bytes(NRT, raw.replace(b";U;", b";Z;", 1), tmp_path)


TEXT_DRIFT: list[tuple[Case, bytes, bytes, type[InputError], str]] = [
    (HOURLY, b"Created:", b"Written:", SourceFormatError, "does not start like a GCWERKS file"),
    (HOURLY, b"stdev", b"sigma", SourceFormatError, "columns of ch4 are missing: stdev"),
    (
        HOURLY,
        b"ch4     ch4   ch4",
        b"n2o     n2o   n2o",
        SourceFormatError,
        "columns of ch4 are missing: C, N, stdev",
    ),
    (L2_2019, b"umol.mol-", b"furlongs-", UnitError, "is not a unit of mole fraction"),
    (L2_2019, b";NbPoints;", b";Samples;", SourceFormatError, "columns are missing: NbPoints"),
    (L2_2019, b"HEADER LINES: ", b"HEADER LINES: 9", SourceFormatError, "not that of an ICOS ATC file"),
    (
        L2_2019,
        b"at the beginning of",
        b"at the middle of",
        SourceFormatError,
        "does not say how times are meant",
    ),
    (L2_2019, b"INTERVAL: hourly", b"INTERVAL: daily", SourceFormatError, "not hourly means"),
    (
        NRT,
        b"# DATA PRODUCT TYPE: NRT",
        b"# DATA PRODUCT TYPE: X",
        SourceFormatError,
        "SourceFormatError|product level",
    ),
]


@pytest.mark.parametrize(("case", "old", "new", "error", "message"), TEXT_DRIFT)
def test_a_text_layout_that_changed_is_refused(
    case: Case, old: bytes, new: bytes, error: type[InputError], message: str, tmp_path: Path
) -> None:
    raw = (FIXTURES / case.path).read_bytes()
    assert old in raw
    raw = raw.replace(b"- NRT ", b"- ") if b"PRODUCT TYPE" in old else raw
    with pytest.raises(error, match=message):
        read_bytes(case, raw.replace(old, new), tmp_path)


def set_unit(name: str, unit: str) -> Callable[[netCDF4.Dataset], None]:
    return lambda dataset: dataset.variables[name].setncattr("units", unit)


def rename(old: str, new: str) -> Callable[[netCDF4.Dataset], None]:
    return lambda dataset: dataset.renameVariable(old, new)


NETCDF_DRIFT: list[tuple[Case, Callable[[netCDF4.Dataset], None], type[InputError], str]] = [
    (OPENGHG, set_unit("ch4", "kg"), UnitError, "'kg' is not a unit of mole fraction"),
    (OPENGHG, lambda d: d.variables["ch4"].delncattr("units"), UnitError, "states no unit"),
    (OPENGHG, rename("ch4", "methane"), SourceFormatError, "variable 'ch4' is missing"),
    (
        OPENGHG,
        lambda d: d.setncattr("sampling_period", "multiple"),
        SourceFormatError,
        "sampling period is not stated",
    ),
    (OPENGHG, lambda d: d.setncattr("species", "co2"), SourceFormatError, "variable 'co2' is missing"),
    (OPENGHG, set_unit("time", "fortnights since 2023-06-01"), SourceFormatError, "time unit"),
    (OPENGHG, set_unit("time", "seconds since 2023-06-01 00:00:00 +02:00"), SourceFormatError, "time unit"),
    (OPENGHG, lambda d: d.variables["time"].setncattr("calendar", "360_day"), SourceFormatError, "360_day"),
    (
        AGAGE,
        lambda d: d.variables["time"].setncattr("label", "somewhere"),
        SourceFormatError,
        "time label is unknown",
    ),
    (NAME_OLD, set_unit("fp", "s"), UnitError, "'s' is not a unit of footprint"),
    (NAME_OLD, rename("fp", "footprint"), SourceFormatError, "variable 'fp' is missing"),
    (NAME_OLD, rename("lon", "x"), SourceFormatError, "variable 'lon' is missing"),
    (FLUX_YEAR, set_unit("flux", "t/a"), UnitError, "'t/a' is not a unit of flux"),
    (FLUX_YEAR, set_unit("flux", "mol m-2"), UnitError, "is not a unit of flux"),
    (EDGAR_OLD, set_unit("emi_ch4", "kg m-2 d-1"), UnitError, "is not a unit of flux"),
    (EDGAR_NEW, rename("fluxes", "emissions"), SourceFormatError, "emissions per cell, not fluxes"),
    (STILT_LON_FIRST, set_unit("foot", "ppm"), UnitError, "'ppm' is not a unit of footprint"),
    (STILT_LON_FIRST, rename("foot", "influence"), SourceFormatError, "variable 'foot' is missing"),
]


@pytest.mark.parametrize(("case", "change", "error", "message"), NETCDF_DRIFT)
def test_a_netcdf_layout_that_changed_is_refused(
    case: Case,
    change: Callable[[netCDF4.Dataset], None],
    error: type[InputError],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        read_changed(case, tmp_path, change)


def test_holes_in_a_footprint_are_refused(tmp_path: Path) -> None:
    def spoil(dataset: netCDF4.Dataset) -> None:
        dataset.variables["fp"][0, 0, 3] = np.nan

    with pytest.raises(SourceFormatError, match="'fp' has holes"):
        read_changed(NAME_OLD, tmp_path, spoil)


def test_ages_that_do_not_add_up_to_the_footprint_are_refused(tmp_path: Path) -> None:
    def halve(dataset: netCDF4.Dataset) -> None:
        dataset.variables["fp_HiTRes"][:] = 0.5 * dataset.variables["fp_HiTRes"][:]

    with pytest.raises(SourceFormatError, match="'fp_HiTRes' contradicts the integrated footprint"):
        read_changed(NAME_AGED, tmp_path, halve)


def test_a_hole_in_a_flux_map_is_refused(tmp_path: Path) -> None:
    def spoil(dataset: netCDF4.Dataset) -> None:
        dataset.variables["flux"][2, 3, 0] = np.nan

    with pytest.raises(SourceFormatError, match=r"'flux' is missing in 1 cells.*\(0, 2, 3\)"):
        read_changed(FLUX_YEAR, tmp_path, spoil)


def test_a_header_that_claims_terabytes_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "EXA-50magl_bomb_202306.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("lat", 20_000), ("lon", 20_000), ("time", 10_000)):
            dataset.createDimension(name, size)
            axis = dataset.createVariable(name, "f8", (name,), zlib=True)
            axis[:] = np.linspace(-80, 80, size)
        dataset.variables["time"].setncatts({"units": "hours since 2023-06-01", "label": "left"})
        fp = dataset.createVariable("fp", "f4", ("lat", "lon", "time"), zlib=True)
        fp.setncattr("units", "(mol/mol)/(mol/m2/s)")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(SourceFormatError, match="claims more data than the file can hold"):
        NAME_OLD.get_reader().read(path, NAME_OLD.context)


def test_a_projected_footprint_is_refused(tmp_path: Path) -> None:
    def project(dataset: netCDF4.Dataset) -> None:
        for old, new in (("lon", "x"), ("lat", "y")):
            dataset.renameDimension(old, new)
            dataset.renameVariable(old, new)

    with pytest.raises(SourceFormatError, match="on a projected grid"):
        read_changed(STILT_LON_FIRST, tmp_path, project)


def test_the_length_a_classic_file_needs_is_the_length_it_has(tmp_path: Path) -> None:
    path = tmp_path / "records.nc"
    for layout in ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"):
        for n_record_variables in (0, 1, 3):
            with netCDF4.Dataset(path, "w", format=layout) as dataset:
                dataset.createDimension("time", None)
                dataset.createDimension("x", 5)
                dataset.createVariable("x", "f8", ("x",))[:] = np.arange(5.0)
                for i in range(n_record_variables):
                    dataset.createVariable(f"v{i}", "i2", ("time", "x"))[:] = np.ones((7, 5), "i2")
            raw = path.read_bytes()
            assert len(raw) - 4 < needed_bytes(raw) <= len(raw)


@given(data=st.data())
def test_random_damage_gives_our_error_or_a_dataset(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = data.draw(st.sampled_from([*TEXT_CASES, EDGAR_OLD]))  # HDF5 is left to the limited child process
    raw = bytearray((FIXTURES / case.path).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InputError):  # any other exception would be a crash
        read_bytes(case, bytes(raw), tmp_path_factory.getbasetemp())
