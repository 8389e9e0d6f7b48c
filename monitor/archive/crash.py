"""Places where a process may be made to die, so that a test can visit each of them.

``MONITOR_CRASH_AT=before-rename`` ends the process at the first visit of that point as a power cut
would: no clean-up, exit status 137.  ``before-rename:3`` ends it at the third visit.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

#: Every point, in the order in which storing, recording and finishing a step passes them.
CRASH_POINTS: Final = (
    "after-claim",
    "during-write",
    "before-rename",
    "after-rename",
    "before-quarantine-row",
    "before-done",
    "before-commit",
    "after-commit",
)
_VARIABLE: Final = "MONITOR_CRASH_AT"
_visits: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Die here if the environment says so; else do nothing."""
    wanted = os.environ.get(_VARIABLE)
    if not wanted:
        return
    point, _, visit = wanted.partition(":")
    if point == name:
        _visits[name] += 1
        if _visits[name] == int(visit or 1):
            os._exit(137)
