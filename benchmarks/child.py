"""A contestant in a process of its own: `python -m benchmarks.child CASE CONTESTANT [FOLDER]`.

It imports what the contestant needs, notes the memory, loads the inputs, and then answers each line on stdin
with one run.  The line is "", the name of a file for the outputs, or "profile".
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks import memory, profiles
from benchmarks.cases import find


def main() -> None:
    # what libraries print goes to stderr: stdout is for the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    case, name, *folder = sys.argv[1:]
    contestant = find(case).contestant(name)
    for module in contestant.modules:
        import_module(module)
    base, base_anonymous = memory.resident(), memory.anonymous()
    memory.reset_peak()
    begin = perf_counter()
    inputs = contestant.load(Path(folder[0]) if folder else None)
    ready = {"load_s": perf_counter() - begin, "inputs_gb": 1e-9 * (memory.resident() - base)}
    print(json.dumps(ready | {"order": contestant.order(inputs)}), file=answers, flush=True)
    for line in sys.stdin:
        found = run(contestant, inputs, line.strip(), (base, base_anonymous))
        print(json.dumps(found), file=answers, flush=True)


def run(contestant: Any, inputs: Any, wish: str, base: tuple[int, int]) -> dict[str, Any]:
    """Seconds and memory of one run; the outputs go into a file if one is named."""
    memory.reset_peak()
    with memory.Sampler() as sampled:
        begin, busy = perf_counter(), process_time()
        outputs, stages = (
            profiles.traced(contestant.run, inputs) if wish == "profile" else _plain(contestant.run, inputs)
        )
        seconds, busy = perf_counter() - begin, process_time() - busy
    if wish and wish != "profile":
        np.savez(wish, **(outputs or {}))
    return {
        "s": seconds,
        "cpu_s": busy,
        "peak_gb": 1e-9 * (memory.peak() - base[0]),
        "anonymous_gb": 1e-9 * max(sampled.most - base[1], 0),
        "stages": stages,
    }


def _plain(work: Any, inputs: Any) -> tuple[Any, dict[str, Any]]:
    return work(inputs), {}


if __name__ == "__main__":
    main()
