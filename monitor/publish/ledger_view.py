"""The two ledgers as the page shows them: what an inventory counts and what the air shows, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from monitor.publish.marks import in_cell, marked, other
from monitor.publish.numbers import (
    Estimate,
    as_number,
    estimate_from_sigma,
    estimate_of,
    millions,
    pretty_unit,
    show,
    show_level,
)
from monitor.publish.periods import name_of
from monitor.publish.wording import few, gas_name, items_of, mapping_of, text_of, tidy

#: The sector of a row that sums all of them.
ALL = "*"
#: What is said of a difference, in words.
STATUS = {
    "none-seen": "no difference seen",
    "closed-by-terms": "closed by what the inventory does not count",
    "terms-missing": "differs; what the inventory does not count may explain it",
    "gap": "a gap: everything looked for is counted",
    "prior-driven": "differs, but the measurements do not carry it",
    "not-tested": "not tested",
    "not comparable": "not comparable",
}
_NOT_COMPARABLE = "not comparable"
_MARKS = {"prior-driven": "split rests on the prior", "not-told-apart": "sectors not told apart"}
_MARKS_OF_ALL = {"prior-driven": "posterior rests on the prior"}


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
    values = [as_number(mapping_of(row.get("bottom_up")).get("value")) for row in rows]
    divisor, prefix = millions(values)
    whole = [row for row in rows if row.get("sector") == ALL]
    ours = [row for row in whole if row.get("region") == whole[0].get("region")] if whole else []
    first = [row for row in ours if row.get("status") != _NOT_COMPARABLE] or ours
    return {
        "gas": gas_name(gas),
        "unit": f"{prefix}{pretty_unit(text_of(rows[0].get('unit')))}",
        "summary": _summary(whole),
        "totals": [_row(row, regions, divisor) for row in first],
        "others": [_row(row, regions, divisor) for row in whole if row not in first],
        "sectors": [_row(row, regions, divisor) for row in rows if row.get("sector") != ALL],
        "terms": _terms(whole, regions),
    }


def _summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many comparisons ended in which way."""
    counts = Counter(text_of(row.get("status")) for row in rows)
    parts = [f"{few(counts[status])} {words}" for status, words in _COUNTED.items() if counts[status]]
    return f"Of {few(len(rows))} comparisons of a whole inventory with the air: {'; '.join(parts)}."


_COUNTED = {
    "gap": "with a gap",
    "terms-missing": "with a difference that terms of unknown size may explain",
    "closed-by-terms": "closed by known terms",
    "prior-driven": "with a difference that the measurements do not carry",
    "none-seen": "with no difference seen, which is not agreement but what these intervals allow",
    "not-tested": "not tested",
    "not comparable": "not comparable",
}


def _row(row: Mapping[str, Any], regions: Mapping[str, str], divisor: float) -> dict[str, Any]:
    bottom_up = mapping_of(row.get("bottom_up"))
    status, region = text_of(row.get("status")), text_of(row.get("region"))
    sigmas = as_number(mapping_of(row.get("difference")).get("in_sigmas"))
    words = _MARKS | _MARKS_OF_ALL if row.get("sector") == ALL else _MARKS
    marks = [words.get(text_of(mark), text_of(mark)) for mark in items_of(row.get("marks"))]
    reasons = "; ".join(tidy(text_of(text)) for text in items_of(row.get("not_comparable")))
    return {
        "inventory": text_of(row.get("inventory")),
        "region": regions.get(region, region),
        "part": " ".join(filter(None, [text_of(row.get("block")), _sector(row)])),
        "period": name_of(row.get("interval")) or text_of(row.get("period")),
        "bottom_up": in_cell(_amount(bottom_up, row), with_unit=False, divisor=divisor),
        "assigned": bottom_up.get("uncertainty") == "assigned",
        "prior": in_cell(_amount(row.get("prior"), row), with_unit=False, divisor=divisor),
        "posterior": in_cell(_amount(row.get("posterior"), row), with_unit=False, divisor=divisor),
        "air": in_cell(_flat(row), with_unit=False, divisor=divisor),
        "sigmas": Markup("–") if sigmas is None else other("check", f"{show(sigmas, 1, signed=True)}\u00a0σ"),
        "says": STATUS.get(status, status) + (f": {reasons}" if reasons else ""),
        "stands_out": status in {"gap", "terms-missing", "prior-driven"},
        "marks": marks,
    }


def _sector(row: Mapping[str, Any]) -> str:
    sector = text_of(row.get("sector"))
    return "" if sector == ALL else f"– {sector}"


def _amount(amount: object, row: Mapping[str, Any]) -> Estimate | None:
    found = mapping_of(amount)
    return estimate_from_sigma(found.get("value"), found.get("sigma"), row.get("unit"))


def _flat(row: Mapping[str, Any]) -> Estimate | None:
    found = mapping_of(row.get("estimate"))
    return estimate_of(found.get("value"), found.get("interval"), found.get("level"), row.get("unit"))


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
