"""Where the time of a run goes: seconds spent in the functions that make up a solution."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any

import numpy as np

#: Function of `monitor.inversion`, with its module where several have the name -> stage.
#: Time counts for the innermost stage that is running.
STAGES: dict[str | tuple[str, str], str] = {
    ("sharp", "gram"): "sharp footprints",
    "__post_init__": "checks of the input",
    "residual": "residual",
    "reduce": "choice of the basis",
    "choose": "choice of the basis",
    "_projected": "projection of footprints",
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


@cache
def stage_of(file: str, function: str) -> str:
    """The stage of a function; empty where it is none of ours, or no stage."""
    if "/monitor/inversion/" not in file:
        return ""
    return STAGES.get((Path(file).stem, function), STAGES.get(function, ""))


def sweep_operations(pieces: Any) -> int:
    """Of the products in the sweep: each footprint of an hour with all that overlap with it in time."""
    found = 0
    for t in np.flatnonzero(np.diff(pieces.starts)):
        rows = pieces.row[pieces.starts[t] : pieces.starts[t + 1]]
        near = pieces.near(t, rows)
        found += 2 * rows.size * (near.stop - near.start) * pieces.width
    return found


#: Function -> what it works on, and the operations of its products: what it does beside them is not counted.
OPERATIONS: dict[str, tuple[str, Callable[[Any], float]]] = {
    "gram": ("pieces", sweep_operations),
    "factored": ("matrix", lambda matrix: matrix.shape[0] ** 3 / 3),
}


class StageClock:
    """A profile function for `sys.setprofile` that adds up seconds, and operations, by stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.operations: defaultdict[str, float] = defaultdict(float)
        self._running: list[tuple[FrameType | None, str]] = [(None, REST)]
        self._since = perf_counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            code = frame.f_code
            stage = stage_of(code.co_filename, code.co_name)
            if stage:
                self._tick()
                self._running.append((frame, stage))
                name, count = OPERATIONS.get(code.co_name, ("", len))
                if name in frame.f_locals:
                    self.operations[stage] += count(frame.f_locals[name])
                    self._since = perf_counter()
        elif event == "return" and self._running[-1][0] is frame:
            self._tick()
            self._running.pop()

    def _tick(self) -> None:
        now = perf_counter()
        self.seconds[self._running[-1][1]] += now - self._since
        self._since = now

    def done(self) -> dict[str, dict[str, float]]:
        """Seconds of each stage, the longest first, and its speed where operations are counted."""
        self._tick()
        found: dict[str, dict[str, float]] = {}
        for stage, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            found[stage] = {"s": seconds}
            if stage in self.operations:
                found[stage]["gflops"] = 1e-9 * self.operations[stage] / seconds
        return found


def traced(work: Callable[[Any], Any], inputs: Any) -> tuple[Any, dict[str, dict[str, float]]]:
    """What `work` returns, and the stages it went through."""
    clock = StageClock()
    sys.setprofile(clock)
    try:
        outputs = work(inputs)
    finally:
        sys.setprofile(None)
    return outputs, clock.done()
