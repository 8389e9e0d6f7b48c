"""Are two epochs seen in the same way? Months, hours of the day and stations of their observations.

A summer held against a winter, or a network that lost its upwind station, shows a change where there is
none.  Each difference is declared by the claim, or the claim cannot be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from monitor.compare.comparable import EQUAL, difference
from monitor.compare.definitions import Statement
from monitor.compare.verdict import Comparison
from monitor.domain import Interval
from monitor.inversion.table import ObservationTable

#: Epochs are alike when no more than this part of the observations of one would have to be moved.
MOVED = 0.15
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def compare_epochs(
    statement: Statement, table: ObservationTable, epochs: Sequence[Interval], utc_offset_h: float = 0.0
) -> tuple[Comparison, ...]:
    """Items of the gate for a claim about several epochs: months, hours, network.

    Two epochs are alike in months (hours, stations) when the shares of their observations in each differ by
    no more than 15 % in all, and every station that measured in one did so in the other.  Of more epochs the
    two that differ most count.  An epoch without observations is left to the statistics, which see nothing.
    """
    rows = [_rows(table, epoch) for epoch in epochs]
    rows = [r for r in rows if r.size]
    local = table.hours + utc_offset_h
    month = (table.start.astype("datetime64[M]").astype("i8") % 12).astype("i8")
    hours = (local % 24.0).astype("i8")
    return (
        _item(statement, "epochs: months", _shares(month, rows, 12), _MONTHS),
        _item(statement, "epochs: hours", _shares(hours, rows, 24), [f"{h:02d} h" for h in range(24)]),
        _item(
            statement,
            "epochs: network",
            _shares(table.station, rows, len(table.inlets)),
            table.inlets,
            every=True,
        ),
    )


def _rows(table: ObservationTable, epoch: Interval) -> np.ndarray:
    return np.flatnonzero((table.start >= epoch.start64) & (table.start < epoch.end64))


def _shares(label: np.ndarray, rows: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Share of each epoch's observations with each label (epochs, count)."""
    found = [np.bincount(label[r], minlength=count) / r.size for r in rows]
    return np.array(found).reshape(-1, count)


def _item(
    statement: Statement, item: str, shares: np.ndarray, names: Sequence[str], *, every: bool = False
) -> Comparison:
    """`every`: what is there in one epoch must be there in the other, however little it is."""
    moved, lost = 0.0, np.zeros(0, dtype="i8")
    for one, other in combinations(shares, 2):
        moved = max(moved, 0.5 * float(np.abs(one - other).sum()))
        apart = np.flatnonzero((one > 0) != (other > 0))
        lost = apart if apart.size > lost.size else lost
    if moved <= MOVED and not (every and lost.size):
        return Comparison(item, EQUAL, f"the same in all epochs to {moved:.0%} of the observations")
    detail = f"{moved:.0%} of the observations are others"
    if lost.size:
        detail += f": {', '.join(names[k] for k in lost)} not in every epoch"
    return difference(statement, item, detail)
