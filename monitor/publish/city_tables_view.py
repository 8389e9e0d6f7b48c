"""A city's own tables as the page shows them: rows held against the air, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from monitor.publish.ledger_row_view import NOT_COMPARABLE, lines_text, outcomes, row_view
from monitor.publish.marks import other
from monitor.publish.numbers import show_claimed
from monitor.publish.periods import name_of
from monitor.publish.wording import few, items_of, mapping_of, text_of, tidy

Row = Mapping[str, Any]


def city_tables(rows: Sequence[Row], regions: Mapping[str, str], divisor: float) -> list[dict[str, Any]]:
    """One view a table: its rows that are compared, the others with their reasons, and how many of each.

    Parameters
    ----------
    rows
        Rows of the ledgers that come from tables.
    divisor
        Of the numbers that are compared.
    """
    names = dict.fromkeys(text_of(row.get("inventory")) for row in rows)
    return [
        _view(name, [row for row in rows if row.get("inventory") == name], regions, divisor) for name in names
    ]


def _view(name: str, rows: list[Row], regions: Mapping[str, str], divisor: float) -> dict[str, Any]:
    compared = [row for row in rows if row.get("status") != NOT_COMPARABLE]
    refused = [row for row in rows if row.get("status") == NOT_COMPARABLE]
    return {
        "name": name,
        "summary": _summary(name, compared, refused),
        "compared": [row_view(row, regions, divisor) for row in compared],
        "refused": _refused(refused),
    }


def _summary(name: str, compared: list[Row], refused: list[Row]) -> str:
    lines = {(tuple(items_of(row.get("lines"))), tuple(items_of(row.get("counted")))) for row in refused}
    items = Counter(
        item
        for row in refused
        for item in {text_of(reason).split(":")[0] for reason in items_of(row.get("not_comparable"))}
    )
    parts = [f"{_number(len(compared))} with the air: {outcomes(compared)}"] if compared else []
    if refused:
        start = f"{_rows(len(lines))} not compared" if compared else "no row is compared with the air"
        parts.append(f"{start}, most often for: {', '.join(item for item, _ in items.most_common(3))}")
    said = ". ".join(part[0].upper() + part[1:] for part in parts)
    return f"Table “{name}”. {said}."


def _rows(count: int) -> str:
    return "one row is" if count == 1 else f"{few(count)} rows are"


def _number(count: int) -> str:
    return "one comparison" if count == 1 else f"{few(count)} comparisons"


def _refused(rows: list[Row]) -> list[dict[str, Any]]:
    """Each row of the table once for each of its reasons, with the periods that these are of."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        parts = ("counted", "lines", "not_comparable", "unit")
        key = (*(tuple(items_of(row.get(p))) or row.get(p) for p in parts), _value(row))
        found.setdefault(key, []).append(row)
    return [
        {
            "row": "; ".join(map(text_of, items_of(same[0].get("counted")))),
            "lines": lines_text(same[0]),
            "periods": "; ".join(dict.fromkeys(name_of(row.get("interval")) for row in same)),
            "counted": other("claimed", show_claimed(_value(same[0]), text_of(same[0].get("unit"))) or "–"),
            "why": Markup("<br>").join(
                tidy(text_of(reason)) for reason in items_of(same[0].get("not_comparable"))
            ),
        }
        for same in found.values()
    ]


def _value(row: Row) -> object:
    return mapping_of(row.get("bottom_up")).get("value")
