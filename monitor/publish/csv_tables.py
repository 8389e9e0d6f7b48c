"""The tables of a report, one row a thing, and what their columns hold in which unit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from monitor.units import level_unit

Table = list[dict[str, Any]]

#: Mappings with keys that are always the same: each becomes a column.
_NESTED = {
    "claimed",
    "evaluation",
    "bottom_up",
    "prior",
    "posterior",
    "estimate",
    "difference",
    "difference_after_terms",
    "posterior_difference",
}
#: Parts of a verdict that have a table, or a place in the JSON, of their own.
_APART = {"comparability", "ensemble", "epochs", "flips", "made_from", "family"}

_AS_UNIT = "as in column unit"
#: Columns that hold numbers (a pattern of the name) and their unit.
COLUMN_UNITS = (
    (r"claimed_(value|margin)", "as in column claimed_unit"),
    (r"claimed_tolerance|relative_sd|declared_sd", "1, of the value"),
    (r"(difference|difference_after_terms|posterior_difference)_in_sigmas", "1"),
    (
        r"(estimate|prior|posterior|bottom_up|difference|difference_after_terms|posterior_difference)"
        r"(_value|_sigma|_interval_low|_interval_high)?",
        _AS_UNIT,
    ),
    (r"interval_(low|high)|sigma(_within|_between)?|detectable(_before)?|strength", _AS_UNIT),
    (r"prior_total", _AS_UNIT),
    (
        r"(estimate_)?level|probability|bayes_factor|share_from_data|response(_most)?|false_alarm"
        r"|background_share|z|hits",
        "1",
    ),
    (r"degrees_of_freedom|least_favourable_correlation|evaluation_(look|looks|time|information)", "1"),
    (r"years_to_detect", "a"),
    (r"false_alarms_a_year", "a-1"),
    (r"lon|lat|lon_deg|lat_deg", "degrees"),
    (r"place_km", "km"),
    (r"ground_m_asl|inlets_m", "m"),
    (r"value", _AS_UNIT),
)
_PATTERNS = tuple((re.compile(pattern), unit) for pattern, unit in COLUMN_UNITS)


def tables_of(content: Mapping[str, Any]) -> dict[str, Table]:
    """All tables by name."""
    verdicts: Mapping[str, Mapping[str, Any]] = content["verdicts"]
    return {
        "verdicts": [
            {"claim": key, **_flat({k: v for k, v in row.items() if k not in _APART})}
            for key, row in verdicts.items()
        ],
        "ensemble": [
            {"claim": key, **_flat(member), "level": row.get("level"), "unit": row.get("unit")}
            for key, row in verdicts.items()
            for member in row.get("ensemble") or []
        ],
        "comparability": [
            {"claim": key, **_flat(item)}
            for key, row in verdicts.items()
            for item in row.get("comparability") or []
        ],
        "epochs": [
            {"claim": key, **_spanned(epoch, "period"), "unit": level_unit(str(row.get("species")))}
            for key, row in verdicts.items()
            for epoch in row.get("epochs") or []
        ],
        "totals": [_flat(row) for row in content["totals"]],
        "inventories": [
            {"inventory": key, **_spanned(row, "period")} for key, row in content["inventories"].items()
        ],
        "ledgers": [_spanned(row, "interval") for row in content["ledgers"]],
        "sources": [_flat(row) for row in content["sources"]],
        "hyperparameters": [_flat(row) for row in content["hyperparameters"]],
        "stations": [_flat(row) for row in content["stations"]],
        "figures": _pairs("figure", content["figures"]),
        "warnings": [{"warning": text} for text in content["warnings"]],
        "provenance": _pairs("item", content["provenance"]),
        "diagnostics": [
            {"species": name, **row}
            for name, attributes in content["diagnostics"].items()
            for row in _pairs("diagnostic", attributes)
        ],
    }


def column_rows(tables: Mapping[str, Table]) -> Table:
    """The columns of numbers of all tables that have a column of their units, each with its unit."""
    rows = []
    for name, table in tables.items():
        columns = dict.fromkeys(key for row in table for key in row)
        for column in columns if name not in _PLAIN else ():
            unit = unit_of(column)
            if unit:
                rows.append({"table": name, "column": column, "unit": unit})
    return rows


#: Tables of names and values, whose units stand in the names or in the JSON.
_PLAIN = {"figures", "warnings", "provenance", "diagnostics"}


def unit_of(column: str) -> str:
    """The unit of a column of numbers; empty for words and for JSON."""
    return next((unit for pattern, unit in _PATTERNS if pattern.fullmatch(column)), "")


def _spanned(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A row whose `key` is a half-open interval of time."""
    start, end = row.get(key) or (None, None)
    return {"start": start, "end": end, **_flat({k: v for k, v in row.items() if k != key})}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level: an interval becomes two columns, lists of words one cell, the rest JSON."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key.endswith("interval") and isinstance(value, list) and len(value) == 2:
            flat[f"{key}_low"], flat[f"{key}_high"] = value
        elif key in _NESTED and isinstance(value, dict):
            flat |= {f"{key}_{inner}": item for inner, item in _flat(value).items()}
        else:
            flat[key] = _cell(value)
    return flat


def _cell(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _pairs(name: str, values: Mapping[str, Any], prefix: str = "") -> Table:
    """Nested mappings as rows of dotted name and value."""
    rows: Table = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _pairs(name, value, f"{prefix}{key}.")
        else:
            rows.append({name: f"{prefix}{key}", "value": _cell(value)})
    return rows
