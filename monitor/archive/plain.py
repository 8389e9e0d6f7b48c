"""A dataset as plain arrays and attributes: the one form that is hashed, written and read back.

========================  =======================  ==========================================
in the dataset            kind                     stored as
========================  =======================  ==========================================
int8 … uint64, f4, f8     ``i1`` … ``u8`` ``f8``   the same, little-endian
bool                      ``bool``                 int8
datetime64 of any unit    ``datetime64[ns]``       int64 nanoseconds since 1970-01-01
timedelta64 of any unit   ``timedelta64[ns]``      int64 nanoseconds
text of any width         ``text``                 variable-length UTF-8
========================  =======================  ==========================================

What has no exact place in a netCDF-4 file (objects, bytes, complex numbers, packed data that were not
unpacked) is a `ContractError`, never a silent conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from monitor.errors import ContractError

#: Kinds stored as plain numbers.
NUMBER_KINDS: Final = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
_TIME_KINDS: Final = {"M": "datetime64[ns]", "m": "timedelta64[ns]"}
#: Attributes that say how a file is packed, not what the data are.
_PACKING: Final = frozenset({"_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates"})


@dataclass(frozen=True)
class PlainArray:
    """Values with their kind; text is an object array of str, times are int64 nanoseconds."""

    kind: str
    values: np.ndarray


@dataclass(frozen=True)
class PlainVariable:
    """One variable: its name, dims, whether it is a coordinate, values and attributes."""

    name: str
    dims: tuple[str, ...]
    is_coordinate: bool
    array: PlainArray
    attributes: dict[str, PlainArray]


def plain_variables(dataset: xr.Dataset) -> Iterator[PlainVariable]:
    """The variables of `dataset` in its own order; dask arrays are computed one at a time."""
    for name, variable in dataset.variables.items():
        for word in (name, *variable.dims):
            if not isinstance(word, str) or "/" in word or word.split() != [word]:
                raise ContractError("a variable or dim must be named by one word", found=repr(word))
        array = plain_array(np.asarray(variable.values), where=f"variable '{name}'")
        attributes = plain_attributes(variable.attrs, where=f"variable '{name}'")
        forbidden = _PACKING | ({"units", "calendar"} if array.kind in _TIME_KINDS.values() else set())
        _refuse(forbidden & attributes.keys(), f"variable '{name}'")
        dims = tuple(str(dim) for dim in variable.dims)
        yield PlainVariable(str(name), dims, name in dataset.coords, array, attributes)


def _refuse(names: set[str] | frozenset[str], where: str) -> None:
    if names:
        raise ContractError(
            f"attributes that belong to a file's packing: {', '.join(sorted(names))}",
            expected="decoded data, with packing in `encoding` only",
            where=where,
            remedy="open the file with decoding on, or drop these attributes",
        )


def plain_array(values: np.ndarray, *, where: str) -> PlainArray:
    """`values` in storage form, same shape; `ContractError` for a dtype without one."""
    dtype = values.dtype
    if dtype.kind in "iuf" and f"{dtype.kind}{dtype.itemsize}" in NUMBER_KINDS:
        kind = f"{dtype.kind}{dtype.itemsize}"
        return PlainArray(kind, values.astype(kind, copy=False))
    if dtype.kind == "b":
        return PlainArray("bool", values.astype("i1"))
    if dtype.kind in _TIME_KINDS:
        return PlainArray(_TIME_KINDS[dtype.kind], _nanoseconds(values, where))
    if dtype.kind in "UTO":
        text = values.astype(object)
        if all(isinstance(item, str) for item in text.flat):
            return PlainArray("text", text)
    raise ContractError(
        "values that the archive cannot keep exactly",
        expected="numbers of 8 to 64 bits, bool, text or times",
        found=f"dtype {dtype}",
        where=where,
        remedy="convert before storing",
    )


def _nanoseconds(values: np.ndarray, where: str) -> np.ndarray:
    fine = values.astype(_TIME_KINDS[values.dtype.kind])
    back = fine.astype(values.dtype)
    if not np.array_equal(back[~np.isnat(values)], values[~np.isnat(values)]):
        raise ContractError("times outside 1678 … 2262 do not fit in nanoseconds", where=where)
    return np.asarray(fine.view("i8") if fine.ndim else fine.astype("i8"))


def plain_attributes(attributes: Mapping[Any, Any], *, where: str) -> dict[str, PlainArray]:
    """Attributes as one-dimensional arrays, a scalar as one element."""
    return {
        str(name): _plain_attribute(value, f"{where}, attribute '{name}'")
        for name, value in attributes.items()
    }


def _plain_attribute(value: object, where: str) -> PlainArray:
    if isinstance(value, str):
        return PlainArray("text", np.array([str(value)], dtype=object))
    array = np.asarray(value)
    if array.ndim > 1 or array.dtype.kind in "MmO" or array.size == 0:
        raise ContractError(
            "an attribute that netCDF cannot hold",
            expected="text, numbers, bool, or a non-empty list of one of them",
            found=repr(value)[:200],
            where=where,
        )
    return plain_array(np.atleast_1d(array), where=where)
