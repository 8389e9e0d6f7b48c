"""What a claim or a table declares of its differences, and which item of the gate each declaration is about.

An ordinary word must not turn a mismatch into a comparison: a declaration names its item, or its text holds
one declaring word, or begins with one.  A text that names several declares none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from monitor.config.base import AdjustmentSection

#: What declares a difference: item of the gate → words, one of which the adjustment's text must hold.
WORDS: dict[str, tuple[str, ...]] = {
    "gas": ("co2e",),
    "gwp": ("gwp",),
    "scope": ("scope",),
    "biogenic part": ("biogenic",),
    "respiration": ("respiration",),
    "region": ("area",),
    "period": ("year",),
    # the number of another year is the number of a whole year: its months are said with it
    "months": ("month", "season", "year"),
    "hours": ("hour",),
    "coverage": ("coverage",),
    "denominator": ("denominator",),
    "base": ("base",),
    "calibration scale": ("scale",),
    "magnitude": ("magnitude",),
    "strength": ("strength",),
    "epochs: months": ("month",),
    "epochs: hours": ("hour",),
    "epochs: network": ("network", "station"),
    # what only the row of a table is asked, in monitor.compare.tables; nothing declares a missing amount
    "amount": (),
    "place": (),
    "sector": ("sector",),
    "protocol": ("protocol",),
    "arithmetic": ("total",),
    "accounts": ("year",),
}
#: Items whose difference is a number: who declares it says how uncertain the adjustment is.
NEEDS_SD = ("region",)


@dataclass(frozen=True)
class Adjustment:
    """A declared difference: its text, what it adds to the uncertainty, and the item of the gate it is about.

    `relative_sd` is 1σ as a fraction of the quantity, independent of everything else; 0 where it has none.
    Without an `item` the text must name it.
    """

    text: str
    relative_sd: float = 0.0
    item: str | None = None


def adjustments_of(stated: Iterable[str | Adjustment | AdjustmentSection]) -> tuple[Adjustment, ...]:
    """Adjustments as a file or a caller states them."""
    return tuple(
        Adjustment(a) if isinstance(a, str) else Adjustment(a.text, a.relative_sd, a.item) for a in stated
    )


def declares(adjustment: Adjustment, item: str) -> bool:
    """Whether an adjustment declares a difference of this item of the gate."""
    if not WORDS.get(item) or (item in NEEDS_SD and not adjustment.relative_sd):
        return False
    if adjustment.item is not None:
        return adjustment.item == item
    said = _said(adjustment.text)
    return (len(set(said)) == 1 or _leads(adjustment.text, said)) and said[0] in WORDS[item]


def remedy(adjustments: Iterable[Adjustment], item: str) -> str:
    """Why an adjustment that speaks of the item does not declare it; empty where none does."""
    for a in adjustments:
        said = _said(a.text)
        about = a.item == item or (a.item is None and not set(said).isdisjoint(WORDS.get(item, ())))
        if about and item in NEEDS_SD and not a.relative_sd:
            return f"'{a.text}' does not say how uncertain it is (relative_sd)"
        if about and a.item is None:
            return f"'{a.text}' speaks of several items: name the one it is about (item)"
    return ""


def _said(text: str) -> list[str]:
    """The declaring words of a text in its order; "yearly" does not declare a difference of years."""
    return [word for word in map(_singular, re.findall(r"\w+", text.lower())) if word in _ALL_WORDS]


def _leads(text: str, said: list[str]) -> bool:
    first = re.match(r"\W*(\w+)", text.lower())
    return bool(said) and first is not None and _singular(first[1]) == said[0]


def _singular(word: str) -> str:
    return word.removesuffix("s")


_ALL_WORDS = frozenset(word for words in WORDS.values() for word in words)
