"""`python -m benchmarks [CASE …] [--json]`: each case in a process of its own, with cold compiled caches.

A row holds the first run (compilation included), the median of five warm runs, the median of five
Cholesky factorisations taken in turn with them and the ratio of the two medians, and the peak memory of the
process, set-up included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from time import perf_counter
from typing import Any

RUNS = 5
LIST = """
import json
from benchmarks import cases
print(json.dumps([(case.name, case.size == case.kind.params[0]) for case in cases()]))
"""
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
HEAD = ("case", "first [s]", "warm [s]", "yardstick [s]", "ratio", "peak [MiB]")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "case", nargs="*", help="run the cases whose names hold this; all but the smallest if absent"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.inside:
        print(json.dumps(measure(given.case[0])))
        return 0
    chosen = names(given.case)
    if not chosen:
        print(f"no case holds {' or '.join(given.case)}; there are: {', '.join(names([]))}", file=sys.stderr)
        return 2
    if not given.json:
        print(f"{HEAD[0]:<48}" + "".join(f"{name:>15}" for name in HEAD[1:]))
    failed = 0
    for name in chosen:
        row = in_a_process(name)
        failed += row is None
        if row is not None:
            print(json.dumps(row) if given.json else line(row), flush=True)
    return 1 if failed else 0


def names(wanted: list[str]) -> list[str]:
    """The cases whose names hold one of `wanted`; without any, all at their working sizes.

    Asked of a child process: what this one has loaded would count in the peak memory of the others.
    """
    listing = subprocess.run([sys.executable, "-c", LIST], check=True, stdout=subprocess.PIPE)
    found = json.loads(listing.stdout)
    return [n for n, smallest in found if (any(w in n for w in wanted) if wanted else not smallest)]


def in_a_process(name: str) -> dict[str, Any] | None:
    """The row of a case; None when it failed, which stands on stderr."""
    with tempfile.TemporaryDirectory() as cache:
        environment = dict.fromkeys(THREADS, "1") | os.environ | {"NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-m", "benchmarks", "--inside", name]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def measure(name: str) -> dict[str, Any]:
    """Run a case in this process."""
    import resource

    import numpy as np

    from benchmarks import cases

    case = next(c for c in cases() if c.name == name)
    instance = case.ready()
    matrix = yardstick(instance.order)
    run = getattr(instance, case.method)
    first = seconds(lambda: run(case.size))
    np.linalg.cholesky(matrix)
    warm, beside = [], []
    for _ in range(RUNS):
        warm.append(seconds(lambda: run(case.size)))
        beside.append(seconds(lambda: np.linalg.cholesky(matrix)))
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mib
    median, stick = float(np.median(warm)), float(np.median(beside))
    return {
        "case": name,
        "first_s": round(first, 5),
        "warm_s": round(median, 5),
        "warm_runs_s": [round(t, 5) for t in warm],
        "yardstick_s": round(stick, 5),
        "yardstick_order": instance.order,
        "ratio": round(median / stick, 3),
        "peak_mib": round(peak, 1),
    }


def yardstick(order: int) -> Any:
    """A well-conditioned symmetric matrix."""
    import numpy as np

    lag = np.abs(np.arange(order)[:, None] - np.arange(order)[None, :])
    return np.exp(-lag / 10.0) + np.eye(order)


def seconds(run: Any) -> float:
    begin = perf_counter()
    run()
    return perf_counter() - begin


def line(row: dict[str, Any]) -> str:
    numbers = (f"{row['first_s']:.3f}", f"{row['warm_s']:.4f}", f"{row['yardstick_s']:.4f}")
    tail = (f"{row['ratio']:.2f}", f"{row['peak_mib']:.0f}")
    return f"{row['case']:<48}" + "".join(f"{text:>15}" for text in (*numbers, *tail))


if __name__ == "__main__":
    sys.exit(main())
