"""The digest sees what data say and nothing else; a file keeps all of what it sees."""

from __future__ import annotations

import warnings
from pathlib import Path

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given

from monitor.archive import content_digest, netcdf
from monitor.errors import ContractError, StorageError

SIZES = {"time": 3, "cell": 2, "none": 0, "one": 1}
text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
numbers = st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", ">f8", ">i4", "?"])
times = st.sampled_from(["M8[ns]", "m8[ns]"])
scalars = st.one_of(text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
lists = st.one_of(
    st.lists(text, min_size=1, max_size=3),
    hnp.arrays(st.sampled_from(["i1", "f4", "?", "u2"]), st.integers(1, 4)),
)
attributes = st.dictionaries(
    st.sampled_from(["units_of", "flag_values", "flag_meanings", "long_name", "größe", "valid", "dtype_"]),
    st.one_of(scalars, lists),
    max_size=4,
)


@st.composite
def variables(draw: st.DrawFn) -> xr.Variable:
    dims = draw(st.lists(st.sampled_from(sorted(SIZES)), unique=True, max_size=3))
    shape = tuple(SIZES[dim] for dim in dims)
    kind = draw(st.sampled_from(["number", "time", "text"]))
    if kind == "text":
        flat = draw(st.lists(text, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        values = np.array(flat, dtype=str).reshape(shape)
    else:
        values = draw(hnp.arrays(draw(numbers if kind == "number" else times), shape))
    return xr.Variable(dims, values, draw(attributes))


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    drawn = draw(st.lists(variables(), min_size=1, max_size=4))
    named = {f"v{i}": variable for i, variable in enumerate(drawn)}
    coords = set(draw(st.lists(st.sampled_from(sorted(named)), unique=True)))
    dataset = xr.Dataset({n: v for n, v in named.items() if n not in coords}, attrs=draw(attributes))
    return dataset.assign_coords({n: v for n, v in named.items() if n in coords})


@given(datasets(), st.randoms())
def test_the_order_of_variables_and_attributes_does_not_matter(dataset: xr.Dataset, random: object) -> None:
    def shuffled(mapping: dict[str, object]) -> dict[str, object]:
        items = list(mapping.items())
        random.shuffle(items)  # type: ignore[attr-defined]
        return dict(items)

    variables = shuffled(dict(dataset.variables))
    renewed = {n: xr.Variable(v.dims, v.values, shuffled(v.attrs)) for n, v in variables.items()}
    other = xr.Dataset(
        {n: v for n, v in renewed.items() if n not in dataset.coords},
        coords={n: v for n, v in renewed.items() if n in dataset.coords},
        attrs=shuffled(dataset.attrs),
    )
    assert content_digest(other) == content_digest(dataset)


@given(datasets())
def test_a_round_trip_changes_nothing(dataset: xr.Dataset) -> None:
    digest = content_digest(dataset)
    loaded = netcdf.from_bytes(netcdf.to_bytes(dataset))
    assert content_digest(loaded) == digest
    assert set(loaded.coords) == set(dataset.coords)
    assert all(not v.encoding for v in loaded.variables.values())
    for name, variable in dataset.variables.items():
        np.testing.assert_array_equal(loaded[name].values, variable.values)
        if variable.dtype.kind != "U":
            assert loaded[name].dtype == variable.dtype.newbyteorder("=")


@given(datasets(), st.data())
def test_one_changed_value_changes_the_digest(dataset: xr.Dataset, data: st.DataObject) -> None:
    filled = [name for name, v in dataset.variables.items() if v.size]
    assume(filled)
    name = data.draw(st.sampled_from(filled))
    changed = dataset.copy(deep=True)
    variable = changed[name].variable
    values = np.array(variable.values)
    at = data.draw(st.integers(0, values.size - 1))
    old = values.flat[at]
    if values.dtype.kind == "U":
        values = values.astype(object)
        values.flat[at] = old + "x"
        values = values.astype(str)
    elif values.dtype.kind == "b":
        values.flat[at] = not old
    elif values.dtype.kind == "f":
        values.flat[at] = 1.0 if np.isnan(old) else np.nan
    else:
        values.view(f"i{values.itemsize}").flat[at] ^= 1
    changed = changed.assign({name: xr.Variable(variable.dims, values, variable.attrs)})
    changed = changed.set_coords(list(dataset.coords))
    assert content_digest(changed) != content_digest(dataset)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.assign_attrs(extra=1),
        lambda d: d.assign_attrs(station="MHD"),
        lambda d: d.rename(flag="flags"),
        lambda d: d.rename_dims(bnds="bounds"),
        lambda d: d.reset_coords("time_bnds"),
        lambda d: d.assign(flag=d.flag.astype("i2")),
        lambda d: d.assign(flag=d.flag.astype(bool)),
        lambda d: d.transpose(),
        lambda d: d.assign(mole_fraction=d.mole_fraction.assign_attrs(units="1")),
    ],
)
def test_any_other_change_of_content_changes_the_digest(series, change) -> None:  # type: ignore[no-untyped-def]
    assert content_digest(change(series())) != content_digest(series())


def test_encoding_chunks_width_unit_of_time_and_sort_of_nan_do_not_matter(series) -> None:  # type: ignore[no-untyped-def]
    dataset = series(np.nan).assign(place=("bnds", np.array(["a", "bb"])))
    other = dataset.copy(deep=True)
    other["mole_fraction"].encoding = {"dtype": "f4", "chunksizes": (2,)}
    other["mole_fraction"].values[-1] = np.array([0x7FF8000000000123], "u8").view("f8")[0]
    other["place"] = ("bnds", np.array(["a", "bb"], dtype="<U40"))
    other["time"] = ("time", dataset["time"].values.astype("M8[s]"), dataset["time"].attrs)
    assert content_digest(other) == content_digest(dataset)


def test_times_come_back_in_nanoseconds_exactly_as_stored() -> None:
    time = np.array(["2016-07-01T00:00:00.000000001", "1970-01-01", "2200-01-01", "1700-01-01"], "M8[ns]")
    loaded = netcdf.from_bytes(netcdf.to_bytes(xr.Dataset(coords={"time": time})))
    assert loaded["time"].dtype == np.dtype("M8[ns]")
    np.testing.assert_array_equal(loaded["time"].values, time)


def test_types_of_attributes_come_back(series) -> None:  # type: ignore[no-untyped-def]
    loaded = netcdf.from_bytes(netcdf.to_bytes(series()))
    assert loaded.attrs["dry"] is True
    assert type(loaded.attrs["inlet_height_m"]) is float
    assert loaded["flag"].attrs["flag_values"].dtype == np.dtype("i1")
    assert loaded["flag"].dtype == np.dtype("i1")
    xr.testing.assert_identical(loaded, series())


def test_anyone_can_open_the_file_with_xarray(series, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "object.nc").write_bytes(netcdf.to_bytes(series()))
    with warnings.catch_warnings(), xr.open_dataset(tmp_path / "object.nc") as opened:
        warnings.simplefilter("error")
        xr.testing.assert_equal(opened, series())
        assert opened["mole_fraction"].encoding["fletcher32"]
        assert opened["mole_fraction"].encoding["zlib"]
        assert "_FillValue" not in opened["mole_fraction"].encoding
        assert set(opened.coords) == {"time", "time_bnds"}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (xr.Dataset({"a": ("x", np.array([{}, 1], dtype=object))}), "cannot keep exactly.*variable 'a'"),
        (xr.Dataset({"a": ("x", np.array([1j]))}), "complex128"),
        (xr.Dataset({"a": ("x", np.array([b"ab"]))}), "cannot keep exactly"),
        (xr.Dataset(attrs={"a": None}), "None.*attribute 'a'"),
        (xr.Dataset(attrs={"a": {"b": 1}}), "netCDF cannot hold"),
        (xr.Dataset(attrs={"a": []}), "netCDF cannot hold"),
        (xr.Dataset(attrs={"a": 2**70}), "netCDF cannot hold"),
        (xr.Dataset({"a": ((), 1.0, {"_FillValue": 9.0})}), "packing: _FillValue"),
        (xr.Dataset({"a": ((), np.datetime64("3000", "s"))}), "do not fit in nanoseconds"),
        (xr.Dataset({1: ((), 1.0)}), "named by one word"),
        (xr.Dataset({"a/b": ((), 1.0)}), "named by one word"),
        (xr.Dataset({"a": ("x y", [1.0])}), "named by one word"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(dataset: xr.Dataset, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        content_digest(dataset)


def test_names_that_netcdf_refuses_are_an_error_of_ours() -> None:
    with pytest.raises(ContractError, match="cannot be written as netCDF-4"):
        netcdf.to_bytes(xr.Dataset(attrs={"a/b": 1}))


def test_text_with_a_nul_is_not_stored_shortened(archive) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StorageError, match="not what is read back"):
        archive.store(xr.Dataset({"a": ("x", np.array(["a\x00b"]))}))


def test_bytes_that_are_no_netcdf_are_a_storage_error() -> None:
    with pytest.raises(StorageError, match="does not open"):
        netcdf.from_bytes(b"<html>not a file</html>")
