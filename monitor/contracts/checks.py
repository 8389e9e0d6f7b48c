"""What the checks of all contracts share; each raises `ContractError` naming variable, index and value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from monitor.errors import ContractError


def broken(name: str, what: str, **parts: str) -> ContractError:
    """The error that the dataset `name` breaks its contract."""
    return ContractError(f"{name}: {what}", **parts)


def ensure_dataset(given: object, name: str) -> None:
    """It is a dataset at all."""
    if not isinstance(given, xr.Dataset):
        raise broken(name, "no dataset", expected="xarray.Dataset", found=type(given).__name__)


def ensure_variables(dataset: xr.Dataset, name: str, expected: Mapping[str, tuple[str, ...]]) -> None:
    """Every variable is there, with its dims in their order."""
    for variable, dims in expected.items():
        if variable not in dataset.variables:
            raise broken(
                name, f"variable '{variable}' is missing", found=", ".join(map(str, dataset.variables))
            )
        if dataset[variable].dims != dims:
            raise broken(
                name, f"'{variable}' has wrong dims", expected=str(dims), found=str(dataset[variable].dims)
            )


def ensure_time(dataset: xr.Dataset, name: str, *, bounds: str = "time_bnds", unique: bool) -> None:
    """Time ascends, each the beginning of its bounds; no two alike where it is `unique`."""
    time, bnds = dataset["time"].values, dataset[bounds].values
    for variable, values in (("time", time), (bounds, bnds)):
        if values.dtype != np.dtype("datetime64[ns]"):
            raise broken(
                name, f"'{variable}' has a wrong type", expected="datetime64[ns]", found=str(values.dtype)
            )
        if np.isnat(values).any():
            raise broken(name, f"'{variable}' holds NaT at index {int(np.argmax(np.isnat(values)))}")
    steps = np.diff(time).astype("i8")
    if (steps < 0).any() or (unique and (steps == 0).any()):
        at = int(np.argmax(steps <= 0 if unique else steps < 0))
        raise broken(name, "time must ascend", found=f"{time[at]} then {time[at + 1]} at index {at}")
    wrong = (bnds[:, 0] != time) | (bnds[:, 1] <= bnds[:, 0])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise broken(
            name,
            "time must be the beginning of its bounds, and bounds must not be empty",
            found=f"time {time[at]}, bounds {bnds[at, 0]} … {bnds[at, 1]} at index {at}",
        )


def ensure_attributes(dataset: xr.Dataset, name: str, required: tuple[str, ...]) -> None:
    """Every attribute is there."""
    missing = [key for key in required if key not in dataset.attrs]
    if missing:
        raise broken(
            name, f"attributes missing: {', '.join(missing)}", found=", ".join(map(str, dataset.attrs))
        )


def ensure_units(dataset: xr.Dataset, name: str, variable: str, expected: str) -> None:
    """The variable says that it is in the unit expected."""
    found = dataset[variable].attrs.get("units")
    if found != expected:
        raise broken(
            name,
            f"'{variable}' is in a wrong unit",
            expected=expected,
            found=repr(found),
            remedy=f"convert it (monitor.units), and set attrs['units'] = '{expected}'",
        )


def ensure_finite(dataset: xr.Dataset, name: str, variable: str) -> None:
    """No value is missing or infinite."""
    values = dataset[variable].values
    if not np.isfinite(values).all():
        at = np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape)
        raise broken(name, f"'{variable}' is not finite at {tuple(map(int, at))}", found=str(values[at]))


def ensure_not_negative(dataset: xr.Dataset, name: str, variable: str) -> None:
    """No value is below zero."""
    values = dataset[variable].values
    if values.size and values.min() < 0:
        at = int(np.argmax(values < 0))
        raise broken(name, f"'{variable}' is negative at index {at}", expected="≥ 0", found=str(values[at]))
