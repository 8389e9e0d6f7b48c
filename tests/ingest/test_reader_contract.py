"""The suite every reader passes, on invented files and on real ones."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from reading_cases import (
    CASES,
    ENSURE,
    FIXTURES,
    NAME_OLD,
    REAL_CASES,
    REAL_REFUSALS,
    Case,
)

from monitor.errors import MissingInputError, SourceFormatError, UnitError, UsageError
from monitor.plugins import KINDS, ReadContext

PLAUSIBLE_PPM = {"ch4": (1.6, 20.0), "co2": (300.0, 1000.0)}


def assert_keeps_the_contract(case: Case, root: Path) -> None:
    reader, made = case.get_reader(), case.read(root)
    assert ENSURE[reader.kind](made) is made
    assert made.attrs["source_digest"] == hashlib.sha256((root / case.path).read_bytes()).hexdigest()
    assert all(isinstance(value, str | int | float) for value in made.attrs.values()), (
        "not writable to netCDF"
    )
    if reader.kind == "observations":
        low, high = PLAUSIBLE_PPM[made.attrs["species"]]
        assert low < float(made["mole_fraction"].median()) < high, "not in ppm"
        assert made.attrs["calibration_scale"] != "unknown"
    if reader.kind == "footprints":
        assert (made["value"].values != 0).all() and (made["residual_value"].values != 0).all()
        total = float(made["value"].sum() + made["residual_value"].sum())
        assert 0 < total / made.sizes["receptor"] < 100, "not in ppm per (µmol m⁻² s⁻¹)"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_invented_file_becomes_a_dataset_that_keeps_its_contract(case: Case) -> None:
    assert_keeps_the_contract(case, FIXTURES)


@pytest.mark.parametrize("case", REAL_CASES, ids=str)
def test_a_real_file_becomes_a_dataset_that_keeps_its_contract(case: Case, real_data: Path) -> None:
    assert_keeps_the_contract(case, real_data)


@pytest.mark.parametrize(("case", "message"), REAL_REFUSALS, ids=lambda x: str(x)[:60])
def test_a_real_file_of_another_kind_is_refused_with_its_reason(
    case: Case, message: str, real_data: Path
) -> None:
    with pytest.raises((SourceFormatError, UnitError), match=message) as caught:
        case.read(real_data)
    assert Path(case.path).name in str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reading_a_file_twice_gives_the_same(case: Case) -> None:
    xr.testing.assert_identical(case.read(), case.read())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_file_reads_the_same_elsewhere(case: Case, tmp_path: Path) -> None:
    copy = tmp_path / Path(case.path).name
    shutil.copy(FIXTURES / case.path, copy)
    xr.testing.assert_identical(case.get_reader().read(copy, case.context), case.read())


@pytest.mark.filterwarnings("ignore:Variable time has datetime type and a bounds variable")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_read_can_be_written_and_read_back(case: Case, tmp_path: Path) -> None:
    made = case.read()
    made.to_netcdf(tmp_path / "made.nc")
    with xr.open_dataset(tmp_path / "made.nc", decode_timedelta=False) as again:
        assert set(again.variables) == set(made.variables)


READERS = list({case.reader: case for case in CASES}.values())


@pytest.mark.parametrize("case", READERS, ids=lambda case: case.reader)
def test_a_reader_takes_a_path_and_nothing_else(case: Case) -> None:
    assert case.get_reader().kind in KINDS
    with pytest.raises(UsageError, match=r"local pathlib\.Path"):
        case.get_reader().read("https://example.org/data.nc", case.context)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", READERS, ids=lambda case: case.reader)
def test_a_missing_file_a_folder_and_an_empty_file_are_told_apart(case: Case, tmp_path: Path) -> None:
    reader = case.get_reader()
    with pytest.raises(MissingInputError, match="no such file"):
        reader.read(tmp_path / "none.nc", case.context)
    with pytest.raises(MissingInputError, match="no such file"):
        reader.read(tmp_path, case.context)
    (tmp_path / "empty").touch()
    with pytest.raises(SourceFormatError, match="is empty"):
        reader.read(tmp_path / "empty", case.context)


def test_the_invented_files_are_what_their_generator_writes(tmp_path: Path) -> None:
    for name in ("generate", "generate_tables"):
        spec = importlib.util.spec_from_file_location(name, FIXTURES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.generate(tmp_path)
    for case in CASES:
        again = case.read(tmp_path)
        again.attrs["source_digest"] = case.read().attrs["source_digest"]
        xr.testing.assert_allclose(again, case.read())


def test_a_file_of_another_place_is_refused() -> None:
    from monitor.domain import Station

    elsewhere = ReadContext(station=Station("EXA", 11.5, 49.1), inlet_m=50.0)
    with pytest.raises(SourceFormatError, match="another place than the configured station"):
        NAME_OLD.get_reader().read(FIXTURES / NAME_OLD.path, elsewhere)


def test_a_file_of_another_inlet_is_refused() -> None:
    with pytest.raises(SourceFormatError, match="another inlet than configured"):
        NAME_OLD.get_reader().read(FIXTURES / NAME_OLD.path, ReadContext(inlet_m=100.0))


def test_a_month_of_real_footprints_is_read_well_within_two_seconds(real_data: Path) -> None:
    case = next(case for case in REAL_CASES if "TEST_201607" in case.path)
    start = time.perf_counter()
    made = case.read(real_data)
    assert time.perf_counter() - start < 2.0
    assert made.sizes["receptor"] == 744
    assert float(made["residual_value"].astype("f8").sum()) == pytest.approx(1031.357, rel=1e-5)
    hours = np.diff(made["time"].values)
    assert (hours == np.timedelta64(1, "h")).all()
