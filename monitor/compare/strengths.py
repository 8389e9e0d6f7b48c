"""Is the strength that is claimed of a source the one that is estimated?

The air shows all that a cell emits.  Where the inventory has a flux there, nothing in the air tells which
part of it is the source that the claim speaks of.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.compare.adjustments import Adjustment
from monitor.compare.comparable import EQUAL, difference_of
from monitor.compare.verdict import Comparison
from monitor.config.base import AdjustmentSection

#: Part of a claimed strength that the inventory may hold at the place without being asked about.
MOST_HELD = 0.1
_ITEM = "strength"


def compare_strength(
    claimed: float | None,
    held: float,
    inventory: str,
    adjustments: Iterable[str | Adjustment | AdjustmentSection],
) -> Comparison:
    """One item of the gate.

    Parameters
    ----------
    claimed
        Strength [kg h⁻¹], if one is.
    held, inventory
        What the inventory has the cell emit in that time [kg h⁻¹]; the same in words.
    """
    if claimed is None:
        return Comparison(
            _ITEM, EQUAL, f"none is claimed; asked is what lies beyond the inventory's {inventory}"
        )
    if held <= MOST_HELD * claimed:
        return Comparison(_ITEM, EQUAL, f"all that the cell emits, the inventory's {inventory} among it")
    detail = (
        f"the inventory already holds {inventory} there, {held / claimed:.0%} of what is claimed: the air "
        "shows what the cell emits in all, not which part of it is this source"
    )
    return difference_of(adjustments, _ITEM, detail)
