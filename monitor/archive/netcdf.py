"""Datasets to netCDF-4 bytes and back, exactly.

The bytes are made in memory, so that every failure of the disk meets us in our own ``write`` and not
inside the C library.  Anyone can open the file with ``xarray.open_dataset``; reading it back with
`from_bytes` gives the same content digest.  No ``_FillValue`` is invented; every array that can carry
filters has shuffle, zlib and the Fletcher-32 checksum.
"""

from __future__ import annotations

from typing import Any, Final

import netCDF4
import numpy as np
import xarray as xr

from monitor.archive.plain import PlainArray, PlainVariable, plain_attributes, plain_variables
from monitor.errors import ContractError, StorageError

_EPOCH: Final = "1970-01-01"
#: Coarse to fine; the coarsest that is exact is written, since few tools know nanoseconds.
_TIME_UNITS: Final = {
    "seconds": 1_000_000_000,
    "milliseconds": 1_000_000,
    "microseconds": 1_000,
    "nanoseconds": 1,
}
_NAT: Final = np.iinfo("i8").min
#: Names of attributes that were bool; netCDF has no such type.
_BOOLS: Final = "monitor_bool_attributes"
_FILTERS: Final = {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}


def to_bytes(dataset: xr.Dataset) -> bytes:
    """`dataset` as the bytes of a netCDF-4 file; `ContractError` when it cannot be kept exactly."""
    variables = list(plain_variables(dataset))
    attributes = plain_attributes(dataset.attrs, where="dataset")
    file = netCDF4.Dataset("object.nc", mode="w", format="NETCDF4", memory=1024)
    try:
        for name, size in dataset.sizes.items():
            file.createDimension(str(name), size)
        for variable in variables:
            _write_variable(file, variable, _coordinates_of(variable, variables))
        _write_attributes(file, attributes)
        others = [v.name for v in variables if v.is_coordinate and v.dims != (v.name,)]
        if others:
            file.setncattr("coordinates", " ".join(others))
        return bytes(file.close())
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        if file.isopen():
            file.close()
        raise ContractError(
            "the dataset cannot be written as netCDF-4",
            found=str(error),
            where=", ".join(v.name for v in variables),
        ) from error


def _coordinates_of(variable: PlainVariable, variables: list[PlainVariable]) -> str:
    """CF `coordinates` of a data variable: auxiliary ones on its dims, bounds left out."""
    if variable.is_coordinate:
        return ""
    bounds = {text for v in variables if "bounds" in v.attributes for text in v.attributes["bounds"].values}
    return " ".join(
        v.name
        for v in variables
        if v.is_coordinate
        and v.dims != (v.name,)
        and v.name not in bounds
        and set(v.dims) <= set(variable.dims)
    )


def _write_variable(file: Any, variable: PlainVariable, coordinates: str) -> None:
    values, encoding = _packed(variable.array)
    text = variable.array.kind == "text"
    filters = {} if text or not variable.dims else _FILTERS
    fill = encoding.pop("_FillValue", False)
    target = file.createVariable(
        variable.name, str if text else values.dtype, variable.dims, fill_value=fill, **filters
    )
    target.set_auto_maskandscale(False)
    _write_attributes(target, variable.attributes)
    if coordinates:
        target.setncattr("coordinates", coordinates)
    for name, value in encoding.items():
        target.setncattr(name, value)
    if values.size:
        target[...] = values if variable.dims else values[()]


def _packed(array: PlainArray) -> tuple[np.ndarray, dict[str, Any]]:
    """Values as written, and the attributes that say how to read them (xarray's conventions)."""
    if array.kind == "bool":
        return array.values, {"dtype": "bool"}
    if array.kind not in ("datetime64[ns]", "timedelta64[ns]"):
        return array.values, {}
    missing = array.values == _NAT
    known = array.values[~missing]
    unit = next(name for name, step in _TIME_UNITS.items() if not (known % step).any())
    packed = np.where(missing, _NAT, array.values // _TIME_UNITS[unit])
    encoding: dict[str, Any] = {"_FillValue": np.int64(_NAT)} if missing.any() else {}
    if array.kind == "datetime64[ns]":
        return packed, encoding | {"units": f"{unit} since {_EPOCH}", "calendar": "proleptic_gregorian"}
    return packed, encoding | {"units": unit, "dtype": "timedelta64[ns]"}


def _write_attributes(target: Any, attributes: dict[str, PlainArray]) -> None:
    for name, array in attributes.items():
        values = array.values
        if array.kind == "text":
            target.setncattr(name, values[0] if values.size == 1 else list(values))
        else:
            target.setncattr(name, values[0] if values.size == 1 else values)
    bools = [name for name, array in attributes.items() if array.kind == "bool"]
    if bools:
        target.setncattr(_BOOLS, " ".join(bools))


def from_bytes(raw: bytes, *, where: str = "") -> xr.Dataset:
    """The dataset in the bytes of a file that `to_bytes` made, in memory, without `encoding`."""
    try:
        file = netCDF4.Dataset("object.nc", mode="r", memory=raw)
    except (OSError, RuntimeError) as error:
        raise StorageError("an object does not open as netCDF-4", found=str(error), where=where) from error
    try:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        attributes = _read_attributes(file)
        coordinates = str(attributes.pop("coordinates", "")).split()
        variables = {name: _read_variable(file.variables[name]) for name in file.variables}
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise StorageError("an object cannot be read in full", found=str(error), where=where) from error
    finally:
        file.close()
    names = {name for name, variable in variables.items() if variable.dims == (name,)} | set(coordinates)
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in names},
        coords={name: variable for name, variable in variables.items() if name in names},
        attrs=attributes,
    )


def _read_variable(source: Any) -> xr.Variable:
    attributes = _read_attributes(source)
    attributes.pop("coordinates", None)
    values = np.asarray(source[...], dtype=object if source.dtype is str else None).reshape(source.shape)
    if source.dtype is str:
        values = values.astype(str)
    elif attributes.get("dtype") == "bool":
        del attributes["dtype"]
        values = values.astype(bool)
    elif attributes.get("dtype") == "timedelta64[ns]":
        del attributes["dtype"]
        values = _unpacked_time(values, attributes).astype("timedelta64[ns]")
    elif attributes.get("calendar") == "proleptic_gregorian" and _EPOCH in str(attributes.get("units")):
        del attributes["calendar"]
        values = _unpacked_time(values, attributes).astype("datetime64[ns]")
    return xr.Variable(source.dimensions, values, attributes)


def _unpacked_time(values: np.ndarray, attributes: dict[str, Any]) -> np.ndarray:
    step = _TIME_UNITS[str(attributes.pop("units")).split()[0]]
    attributes.pop("_FillValue", None)
    return np.where(values == _NAT, _NAT, np.where(values == _NAT, 0, values) * step)


def _read_attributes(source: Any) -> dict[str, Any]:
    attributes = {name: source.getncattr(name) for name in source.ncattrs()}
    bools = str(attributes.pop(_BOOLS, "")).split()
    for name, value in attributes.items():
        if name in bools:
            attributes[name] = bool(value) if np.ndim(value) == 0 else value.astype(bool)
        elif isinstance(value, np.int64 | np.float64):
            attributes[name] = value.item()
    return attributes
