"""How numbers are marked in the page, so that it can be held to its rule.

Every estimate stands in one element that carries its interval and level, in the units of the JSON::

    <data class="estimate" value="-0.24" data-low="-0.30" data-high="-0.19" data-level="0.95" data-unit="1">

Every other number with a unit stands in an element with `data-number`, which says what it is instead
(`KINDS`).  What is in neither does not belong on the page; the tests walk it.
"""

from __future__ import annotations

from markupsafe import Markup

from monitor.publish.numbers import Estimate

#: What a number with a unit may be when it is no estimate.
KINDS = {
    "claimed": "somebody else's number, or what a claim demands",
    "limit": "what this network is able to see, with a stated probability",
    "spread": "a standard deviation (1σ) of an estimate that stands beside it",
    "rule": "a level, or a threshold of our rules",
    "check": "counted in the measurements",
    "assumed": "declared in the configuration",
    "place": "where something is, and how large it is",
    "axis": "the scale of a picture",
    "record": "a technical record, as in the data files",
}


def marked(estimate: Estimate, text: str) -> Markup:
    """`text`, which says the estimate, its interval and (there or in the table's head) the level."""
    return Markup(
        '<data class="estimate" value="{}" data-low="{}" data-high="{}" data-level="{}"'
        ' data-unit="{}">{}</data>'
    ).format(
        *(f"{x:.7g}" for x in (estimate.value, estimate.low, estimate.high, estimate.level)),
        estimate.unit,
        text,
    )


def in_full(estimate: Estimate | None) -> Markup:
    """Number, unit, level and interval in one line; a dash where there is no estimate."""
    return Markup("–") if estimate is None else marked(estimate, estimate.shown.text)


def in_cell(estimate: Estimate | None, *, with_unit: bool = True, divisor: float = 1.0) -> Markup:
    """Number above its interval, for tables whose caption or head states the level.

    `divisor`: 1e6 in a table of millions.
    """
    if estimate is None:
        return Markup("–")
    shown = estimate.divided(divisor).shown
    value = f"{shown.value}\u00a0{shown.unit}" if with_unit and shown.unit else shown.value
    text = Markup('<strong>{}</strong> <span class="range">{}</span>').format(value, shown.interval)
    return marked(estimate, text)


def other(kind: str, text: str) -> Markup:
    """`text` whose numbers are no estimates but of that kind."""
    assert kind in KINDS
    return Markup('<span data-number="{}">{}</span>').format(kind, text)
