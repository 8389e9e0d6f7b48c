"""The two ledgers as the page shows them: what an inventory counts and what the air shows, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from monitor.publish.city_tables_view import city_tables
from monitor.publish.ledger_row_view import ALL, NOT_COMPARABLE, outcomes, row_view
from monitor.publish.marks import marked
from monitor.publish.numbers import as_number, estimate_from_sigma, millions, pretty_unit, show_level
from monitor.publish.wording import few, gas_name, items_of, mapping_of, text_of


def ledger_views(rows: Sequence[Mapping[str, Any]], regions: Mapping[str, str]) -> list[dict[str, Any]]:
    """One view a gas: the first region's rows, those of the others, of sectors, and what nobody counts.

    Parameters
    ----------
    regions
        Id → name.
    """
    gases = dict.fromkeys(text_of(row.get("species")) for row in rows)
    return [_gas_view(gas, [row for row in rows if row.get("species") == gas], regions) for gas in gases]


def _gas_view(gas: str, rows: list[Mapping[str, Any]], regions: Mapping[str, str]) -> dict[str, Any]:
    tables = [row for row in rows if row.get("lines")]
    maps = [row for row in rows if not row.get("lines")]
    compared = [row for row in rows if row in maps or row.get("status") != NOT_COMPARABLE]
    values = [as_number(mapping_of(row.get("bottom_up")).get("value")) for row in compared]
    divisor, prefix = millions(values)
    whole = [row for row in maps if row.get("sector") == ALL]
    ours = [row for row in whole if row.get("region") == whole[0].get("region")] if whole else []
    first = [row for row in ours if row.get("status") != NOT_COMPARABLE] or ours
    return {
        "gas": gas_name(gas),
        "unit": f"{prefix}{pretty_unit(text_of(rows[0].get('unit')))}",
        "summary": f"Of {few(len(whole))} comparisons of a whole inventory with the air: {outcomes(whole)}.",
        "totals": [row_view(row, regions, divisor) for row in first],
        "others": [row_view(row, regions, divisor) for row in whole if row not in first],
        "sectors": [row_view(row, regions, divisor) for row in maps if row.get("sector") != ALL],
        "tables": city_tables(tables, regions, divisor),
        "terms": _terms(whole, regions),
    }


def _terms(rows: Sequence[Mapping[str, Any]], regions: Mapping[str, str]) -> list[tuple[str, Markup]]:
    """Regions, and what the air sees there and the inventories do not count, with its size where known."""
    found: dict[str, dict[str, Markup]] = {}
    for row in rows:
        region = text_of(row.get("region"))
        for term in map(mapping_of, items_of(row.get("missing_terms"))):
            name = text_of(term.get("name")).replace("-", " ")
            size = estimate_from_sigma(term.get("value"), term.get("sigma"), row.get("unit"))
            said = Markup("{} (size not known)").format(name)
            if size is not None:
                shown = size.shown
                text = f"{shown.value}\u00a0{shown.unit}, {show_level(size.level)} interval {shown.interval}"
                said = Markup("{} ({})").format(name, marked(size, text))
            found.setdefault(regions.get(region, region), {})[name] = said
    places: dict[Markup, list[str]] = {}
    for region, terms in found.items():
        places.setdefault(Markup(", ").join(terms.values()), []).append(region)
    return [(", ".join(names), said) for said, names in places.items()]
