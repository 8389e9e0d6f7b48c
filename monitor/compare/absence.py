"""A source that is said not to be there, held against what may have hidden it.

What is missing of the claimed strength S in a window is an event of its own: the residual S h − r, in which
it has the strength S − f̂ and the same σ.  An instrument that reads low, or repeats one value, and an inflow
that was lower hide a source as they feign one, so what is missing must pass the checks of what is found.
"""

from __future__ import annotations

import numpy as np

from monitor.compare.crosschecks import Checks, check
from monitor.compare.events import Event
from monitor.compare.sources import Search
from monitor.compare.windows import Windows
from monitor.inversion.table import ObservationTable


def check_missing(
    search: Search, residual: np.ndarray, table: ObservationTable, strength: float, window: int
) -> Checks:
    """What became of what is missing in the first cell and a window, a run.

    Parameters
    ----------
    residual : (n,)
        That in which the strength is missing.
    strength
        Of the source that is said not to be there.
    """
    lacking = strength * search.candidates.response(0, window) - residual
    run = Windows.of_runs(search.windows.bins, search.windows.runs[[window]])
    alone = search.narrowed(search.candidates.only(np.array([0]), run))
    hit = alone.look(lacking)
    # the inventory is no reason for something to be missing: its σ is no matter here
    return check(Event(alone, hit, ((0, 0),), hit.p_value), lacking, table, prior_sd=0.0)
