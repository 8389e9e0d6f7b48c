"""Where the time of a run goes: seconds spent in the functions that make up a solution."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from types import FrameType
from typing import Any

#: Function of `monitor.inversion` -> stage.  Time counts for the innermost stage that is running.
STAGES = {
    "__post_init__": "checks of the input",
    "residual": "residual",
    "reduce": "choice of the basis",
    "project": "projection of footprints",
    "pieces_of": "footprints on cells",
    "gram": "sweep over time",
    "gram_slope": "sweep over time",
    "_far": "pairs far apart in time",
    "on_fields": "correlation in space",
    "factored": "factorisation",
    "estimate": "totals",
    "variance_of": "map of σ",
    "mean": "field",
    "trace_weight": "inverse for the gradient",
    "contract": "slopes",
}
REST = "the rest"


class StageClock:
    """A profile function for `sys.setprofile` that adds up seconds by stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[tuple[FrameType | None, str]] = [(None, REST)]
        self._since = perf_counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            code = frame.f_code
            stage = STAGES.get(code.co_name)
            if stage is not None and "/inversion/" in code.co_filename:
                self._tick()
                self._running.append((frame, stage))
        elif event == "return" and self._running[-1][0] is frame:
            self._tick()
            self._running.pop()

    def _tick(self) -> None:
        now = perf_counter()
        self.seconds[self._running[-1][1]] += now - self._since
        self._since = now

    def done(self) -> dict[str, float]:
        """Seconds of each stage, the longest first."""
        self._tick()
        return dict(sorted(self.seconds.items(), key=lambda item: -item[1]))


def traced(work: Callable[[Any], Any], inputs: Any) -> tuple[Any, dict[str, float]]:
    """What `work` returns, and the seconds of each stage."""
    clock = StageClock()
    sys.setprofile(clock)
    try:
        outputs = work(inputs)
    finally:
        sys.setprofile(None)
    return outputs, clock.done()
