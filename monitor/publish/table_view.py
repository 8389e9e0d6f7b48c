"""Tables of the page: inventories, exclusions, figures and provenance as rows of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.domain import parse_utc
from monitor.errors import UsageError
from monitor.publish.marks import in_cell, other
from monitor.publish.numbers import MINUS, as_number, estimate_of, show_claimed, show_plain
from monitor.publish.wording import gas_name, inventory_sentence, items_of, mapping_of, text_of

Rows = list[tuple[str, str]]


def inventory_rows(inventories: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each inventory's total beside the estimate along its own pattern."""
    rows = []
    for name, row in inventories.items():
        estimate = estimate_of(*(row.get(key) for key in ("estimate", "interval", "level", "unit")))
        prior = as_number(row.get("prior_total"))
        reasons = [text_of(reason) for reason in items_of(row.get("not_comparable"))]
        rows.append(
            {
                "name": name,
                "gas": gas_name(row.get("species")),
                "prior": other("claimed", show_claimed(prior, text_of(row.get("unit"))) or "–"),
                "estimate": in_cell(estimate),
                "says": f"not comparable: {'; '.join(reasons)}"
                if reasons
                else inventory_sentence(prior, estimate),
                "response": plain_or_dash(row.get("response")),
                "background": plain_or_dash(row.get("background_share")),
            }
        )
    return rows


def place_text(row: Mapping[str, Any]) -> str:
    """Latitude and longitude with their hemispheres."""
    lat, lon = as_number(row.get("lat")), as_number(row.get("lon"))
    if lat is None or lon is None:
        return "an unknown place"
    return f"{abs(lat):.3f}°\u00a0{'N' if lat >= 0 else 'S'}, {abs(lon):.3f}°\u00a0{'E' if lon >= 0 else 'W'}"


def day_text(moment: object) -> str:
    """A moment as a day, with the hour where it is not midnight; unreadable text as it is."""
    if not text_of(moment):
        return "?"
    try:
        at = parse_utc(text_of(moment))
    except UsageError:
        return text_of(moment)
    hour = f" {at:%H:%M} UTC" if (at.hour, at.minute) != (0, 0) else ""
    return f"{at.day} {at:%b %Y}{hour}"


def excluded_rows(figures: Mapping[str, Any]) -> Rows:
    """Reasons for leaving measurements out and how many each; nested mappings by gas or station."""
    return _counts(mapping_of(figures.get("excluded")), "")


def _counts(counts: Mapping[str, Any], prefix: str) -> Rows:
    rows: Rows = []
    for reason, count in counts.items():
        if isinstance(count, Mapping):
            rows += _counts(count, f"{prefix}{reason}: ")
        else:
            rows.append((f"{prefix}{reason}".replace("_", " "), value_text(count)))
    return rows


def figure_rows(figures: Mapping[str, Any]) -> Rows:
    """All other figures of the run, named as in the JSON."""
    return pair_rows({key: value for key, value in figures.items() if key != "excluded"})


def pair_rows(values: Mapping[str, Any], prefix: str = "") -> Rows:
    """Nested mappings as (dotted name, text)."""
    rows: Rows = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += pair_rows(value, f"{prefix}{key}.")
        elif value is not None:
            rows.append((f"{prefix}{key}", value_text(value)))
    return rows


def value_text(value: object) -> str:
    """One value as text: numbers to six digits, lists with commas; an absent end has no limit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f").replace("-", MINUS)
    if isinstance(value, float):
        return show_plain(value, 6)
    if isinstance(value, list | tuple):
        return ", ".join("no limit" if item is None else value_text(item) for item in value)
    return text_of(value)


def input_rows(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Inputs by kind and key, with digest and files."""
    rows = []
    for row in map(mapping_of, items_of(provenance.get("inputs"))):
        files = next((row[key] for key in ("source_files", "source files", "files") if key in row), [])
        rows.append(
            {
                "kind": text_of(row.get("kind")),
                "key": text_of(row.get("key")),
                "digest": text_of(row.get("digest")),
                "files": [text_of(name) for name in items_of(files)] or ([text_of(files)] if files else []),
            }
        )
    return rows


def plain_or_dash(value: object) -> str:
    """Three significant digits, a dash where there is no number."""
    number = as_number(value)
    return "–" if number is None else show_plain(number)
