"""Inventory tables: what cities report, one row for each sector, scope, gas, boundary and year.

A table is a dataset with the dims `row` (what was read) and `refused` (what was not, with its line and
reason).  Nothing is summed, and a row that sums others says so in `is_total`: the rows that do not may be
added up within one place, year and scope.

============  ==============================================================================================
place         name; `place_code` the publisher's number or code; `boundary` its words for the area
sector        code as given, `label` in words; `gpc` our vocabulary, codes separated by spaces; `gnfr` from it
scope         "1", "2", "3", or a sum: "1+2", "basic", "basic+", "basic+s3"
all_sectors   whether the row is the whole of its scope
gas, gwp      "co2", "ch4", "n2o", "co2e"; "AR4", "AR5", "AR6" or "unknown"; `gases` the publisher's list
value, unit   per year, in tonnes as `unit` says; NaN where a notation key stands
notation      "NO" not occurring, "IE" included elsewhere, "NE" not estimated, "C" confidential, or several
is_total      whether other rows of the table are parts of this one
biogenic      whether the row counts biogenic or land fluxes
line, column  where in the file, lines from 1
============  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from monitor import sectors, units
from monitor.errors import ContractError

GASES = ("co2", "ch4", "n2o", "co2e")
SCOPES = ("1", "2", "3", "1+2", "basic", "basic+", "basic+s3")
NOTATION_KEYS = ("NO", "IE", "NE", "C")
GWPS = ("AR4", "AR5", "AR6", "unknown")
UNITS = tuple(units.level_unit(gas) for gas in GASES)


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """One row of a table; `value` in t a⁻¹ of `unit`, NaN with a notation key.

    `unit` may say CO₂e for a single gas: the amount is then weighted by `gwp`.  `start` and `end` are ISO
    dates, the calendar year where empty; `area_km2` and `population` are NaN where not stated.
    """

    place: str
    year: int
    scope: str
    gas: str
    value: float
    line: int
    unit: str = ""
    notation: str = ""
    sector: str = ""
    label: str = ""
    gpc: str = ""
    all_sectors: bool = False
    is_total: bool = False
    biogenic: bool = False
    gwp: str = "unknown"
    place_code: str = ""
    country: str = ""
    boundary: str = ""
    protocol: str = ""
    gases: str = ""
    remark: str = ""
    area_km2: float = np.nan
    population: float = np.nan
    start: str = ""
    end: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not read: a whole line, or (with `column`) one cell of it; `reason` is one of few texts."""

    line: int
    reason: str
    detail: str = ""
    column: str = ""


_DTYPES = {"int": "i4", "float": "f8", "bool": "?"}


def inventory_table(
    rows: Sequence[InventoryRow], refused: Sequence[Refused], attributes: Mapping[str, object]
) -> xr.Dataset:
    """The dataset of a table.

    Parameters
    ----------
    rows, refused
        What was read and what was not, in the order of the file.
    attributes
        Must hold title, source_digest and rows_read, the number of lines below the header.

    Raises
    ------
    ContractError
        When the result breaks the contract.
    """
    made = {
        field.name: ("row", _column(rows, field.name, str(field.type)))
        for field in fields(InventoryRow)
        if field.name not in ("start", "end")
    }
    gases, given = made["gas"][1], made["unit"][1]
    made["unit"] = ("row", _objects(u or units.level_unit(g) for u, g in zip(given, gases, strict=True)))
    gnfr = {codes: _gnfr(codes) for codes in set(made["gpc"][1])}
    made["gnfr"] = ("row", _objects(gnfr[codes] for codes in made["gpc"][1]))
    bounds = np.array(
        [(r.start or f"{r.year:04d}-01-01", r.end or f"{r.year + 1:04d}-01-01") for r in rows],
        dtype="datetime64[s]",
    ).reshape(-1, 2)
    for field in fields(Refused):
        made[f"refused_{field.name}"] = ("refused", _column(refused, field.name, str(field.type)))
    dataset = xr.Dataset(made, attrs={"Conventions": "CF-1.8", **attributes})
    dataset.coords["time_bnds"] = (("row", "bnds"), bounds.astype("datetime64[ns]"))
    return ensure_inventory_table(dataset)


def _column(items: Sequence[object], name: str, kind: str) -> np.ndarray:
    values = [getattr(item, name) for item in items]
    return _objects(values) if kind == "str" else np.array(values, dtype=_DTYPES[kind])


def _objects(values: object) -> np.ndarray:
    """Texts as objects: a fixed width would cost the longest remark for every row."""
    listed = list(values)  # type: ignore[call-overload]
    out = np.empty(len(listed), dtype=object)
    out[:] = listed
    return out


def _gnfr(codes: str) -> str:
    """GNFR codes of the scope-1 codes among several GPC codes; empty for the rest."""
    found = (g for code in codes.split() for g in sectors.translate(code, "gpc", "gnfr"))
    return " ".join(dict.fromkeys(found))


def ensure_inventory_table(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the contract of an inventory table, else `ContractError`."""
    names = [f.name for f in fields(InventoryRow) if f.name not in ("start", "end")]
    refused = [f"refused_{f.name}" for f in fields(Refused)]
    for name, dims in {
        **dict.fromkeys([*names, "gnfr"], ("row",)),
        **dict.fromkeys(refused, ("refused",)),
    }.items():
        if name not in dataset.variables or dataset[name].dims != dims:
            raise _fail(dataset, f"'{name}' is missing or has other dims than {dims}")
    for attribute in ("title", "source_digest", "rows_read"):
        if attribute not in dataset.attrs:
            raise _fail(dataset, f"attribute '{attribute}' is missing")
    _ensure_listed(dataset, "gas", GASES)
    _ensure_listed(dataset, "scope", SCOPES)
    _ensure_listed(dataset, "unit", UNITS)
    _ensure_listed(dataset, "gwp", GWPS)
    keyed = dataset["notation"].values != ""
    unknown = {key for text in dataset["notation"].values for key in text.split()} - set(NOTATION_KEYS)
    if unknown:
        raise _fail(dataset, "unknown notation key", found=", ".join(unknown))
    _ensure_rows(
        dataset, np.isfinite(dataset["value"].values) != keyed, "a value or a notation key, and not both"
    )
    _ensure_rows(dataset, dataset["line"].values >= 1, "a line of the file")
    bounds = dataset["time_bnds"].values
    _ensure_rows(dataset, bounds[:, 1] > bounds[:, 0], "a period that ends after it begins")
    _ensure_counts(dataset)
    return dataset


def _ensure_counts(dataset: xr.Dataset) -> None:
    """Each line was read or refused: the numbers add up."""
    whole = dataset["refused_line"].values[dataset["refused_column"].values == ""]
    lines = np.unique(dataset["line"].values)
    if np.intersect1d(lines, whole).size or lines.size + whole.size != dataset.attrs["rows_read"]:
        raise _fail(
            dataset,
            "the lines do not add up",
            expected=f"{dataset.attrs['rows_read']} read",
            found=f"{lines.size} used and {whole.size} refused",
        )


def _ensure_listed(dataset: xr.Dataset, name: str, known: tuple[str, ...]) -> None:
    unknown = set(dataset[name].values) - set(known)
    if unknown:
        raise _fail(dataset, f"unknown {name}", expected=", ".join(known), found=", ".join(map(str, unknown)))


def _ensure_rows(dataset: xr.Dataset, holds: np.ndarray, expected: str) -> None:
    if not holds.all():
        at = int(np.argmin(holds))
        where = f"line {int(dataset['line'].values[at])}"
        raise _fail(dataset, f"row {at} does not hold {expected}", found=where)


def _fail(dataset: xr.Dataset, what: str, **parts: str) -> ContractError:
    return ContractError(f"table {dataset.attrs.get('title', '?')}: {what}", **parts)


def refusal_counts(dataset: xr.Dataset) -> dict[str, int]:
    """How often each reason refused a whole line, the most frequent first."""
    whole = dataset["refused_column"].values == ""
    reasons, counts = np.unique(dataset["refused_reason"].values[whole].astype(str), return_counts=True)
    return {str(reasons[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}
