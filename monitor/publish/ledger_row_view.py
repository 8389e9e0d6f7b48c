"""One row of the ledgers as the page shows it: what is counted, what the air shows, what is said of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from monitor.publish.marks import in_cell, other
from monitor.publish.numbers import Estimate, as_number, estimate_from_sigma, estimate_of, show
from monitor.publish.periods import name_of
from monitor.publish.wording import few, items_of, mapping_of, text_of, tidy

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
NOT_COMPARABLE = "not comparable"
_MARKS = {"prior-driven": "split rests on the prior", "not-told-apart": "sectors not told apart"}
_MARKS_OF_ALL = {"prior-driven": "posterior rests on the prior", "pattern-dependent": "hangs on the layout"}


def outcomes(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many comparisons ended in which way."""
    counts = Counter(text_of(row.get("status")) for row in rows)
    return "; ".join(f"{few(counts[status])} {words}" for status, words in _COUNTED.items() if counts[status])


_COUNTED = {
    "gap": "with a gap",
    "terms-missing": "with a difference that terms of unknown size may explain",
    "closed-by-terms": "closed by known terms",
    "prior-driven": "with a difference that the measurements do not carry",
    "none-seen": "with no difference seen, which is not agreement but what these intervals allow",
    "not-tested": "not tested",
    "not comparable": "not comparable",
}


def row_view(row: Mapping[str, Any], regions: Mapping[str, str], divisor: float) -> dict[str, Any]:
    """One row: numbers with their intervals, in units of `divisor`, and what is said of them."""
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
        "counted": "; ".join(map(text_of, items_of(row.get("counted")))),
        "lines": lines_text(row),
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


def lines_text(row: Mapping[str, Any]) -> str:
    """Where in the table a row of it stands: "line 3", "lines 2, 5"."""
    lines = [text_of(line) for line in items_of(row.get("lines"))]
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(lines)}" if lines else ""


def _sector(row: Mapping[str, Any]) -> str:
    sector = text_of(row.get("sector"))
    return "" if sector == ALL else f"– {sector}"


def _amount(amount: object, row: Mapping[str, Any]) -> Estimate | None:
    found = mapping_of(amount)
    return estimate_from_sigma(found.get("value"), found.get("sigma"), row.get("unit"))


def _flat(row: Mapping[str, Any]) -> Estimate | None:
    found = mapping_of(row.get("estimate"))
    return estimate_of(found.get("value"), found.get("interval"), found.get("level"), row.get("unit"))
