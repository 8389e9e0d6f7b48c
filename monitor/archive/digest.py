"""The identity of data: a digest over what a dataset says, not over how a file spells it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import xarray as xr

from monitor.archive.plain import PlainArray, plain_attributes, plain_variables

#: Part of every digest, so that a change of the rule below can never be mistaken for a change of data.
_RULE = b"monitor content digest 1"


def content_digest(dataset: xr.Dataset) -> str:
    """SHA-256 (hex) over the variables, coordinates, dims, dtypes, values and attributes of `dataset`.

    Equal content gives an equal digest whatever the order of variables and attributes, the chunks, the
    encoding, the byte order, or the library that wrote it.  Every NaN is the same NaN; −0.0 and 0.0
    differ.  Times are compared in nanoseconds and text without regard to its width; a one-element list
    in an attribute equals its element, as netCDF knows no difference.

    Raises
    ------
    ContractError
        When the dataset holds something that cannot be stored exactly.
    """
    whole = hashlib.sha256(_RULE)
    _add_attributes(whole, plain_attributes(dataset.attrs, where="dataset"))
    parts = {}
    for variable in plain_variables(dataset):
        part = hashlib.sha256()
        _add_text(part, variable.name, "coordinate" if variable.is_coordinate else "data", *variable.dims)
        _add_array(part, variable.array)
        _add_attributes(part, variable.attributes)
        parts[variable.name] = part.digest()
    for name in sorted(parts):
        whole.update(parts[name])
    return whole.hexdigest()


def _add_attributes(hasher: Any, attributes: dict[str, PlainArray]) -> None:
    _add_text(hasher, "attributes", str(len(attributes)))
    for name in sorted(attributes):
        _add_text(hasher, name)
        _add_array(hasher, attributes[name])


def _add_array(hasher: Any, array: PlainArray) -> None:
    values = array.values
    _add_text(hasher, array.kind, *(str(size) for size in values.shape))
    if array.kind == "text":
        _add_text(hasher, *values.flat)
        return
    if values.dtype.kind == "f" and np.isnan(values).any():
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
    if values.size:
        hasher.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)


def _add_text(hasher: Any, *texts: str) -> None:
    """Length before each text, so that no two lists of texts look alike."""
    hasher.update(len(texts).to_bytes(8, "little"))
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "little"))
        hasher.update(raw)
