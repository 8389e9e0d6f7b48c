"""Importing the package, and the first solution of a tiny problem, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.cases import Case, Row, Target
from benchmarks.race import Settings

TINY = """
import numpy as np
from monitor import inversion as inv
hours, side, n = 12, 6, 20
rng = np.random.default_rng(1)
prior = inv.covariance.Kronecker(
    inv.covariance.Exponential(6.0, hours), inv.covariance.Exponential(2.0, (side, side))
)
jacobian = rng.random((n, hours * side**2))
totals = np.ones((1, hours * side**2))
problem = inv.LinearProblem(jacobian, rng.random(n), 1.0, prior, 0.1, totals=totals)
posterior = inv.solve(problem)
posterior.mean, posterior.totals.covariance
"""
PROGRAMS = {
    "nothing": "pass",
    "import monitor.inversion": "import monitor.inversion",
    "import xarray, scipy.linalg": "import xarray, scipy.linalg",
    "first solution": TINY,
}


def startup(case: Case, settings: Settings) -> dict[str, Any]:
    """Seconds of whole interpreters, in turn; compiled code is at hand after the cold run of each."""
    rows: dict[str, Row] = {}
    runs: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    count = case.runs if settings.runs is None else settings.runs
    with tempfile.TemporaryDirectory() as cache:
        environment = settings.environment(NUMBA_CACHE_DIR=cache)
        cold = {name: _seconds(text, environment) for name, text in PROGRAMS.items()}
        for k in range(count):
            settings.say(f"{case.name}: run {k + 1} of {count}")
            for name, text in PROGRAMS.items():
                runs[name].append(_seconds(text, environment))
    for name, times in runs.items():
        rows[name] = {"cold_s": cold[name], "warm_s": float(np.median(times)), "warm_runs_s": times}
    bare = rows["nothing"]["warm_s"]
    ours = rows["import monitor.inversion"]["warm_s"] - bare
    theirs = rows["import xarray, scipy.linalg"]["warm_s"] - bare
    return {
        "case": case.name,
        "about": case.about,
        "sizes": {},
        "threads": settings.threads,
        "rows": rows,
        "targets": [
            Target("import / import of xarray, scipy.linalg, interpreter off", ours / theirs, 1.5).as_json(),
            Target("first solution with its imports [s]", rows["first solution"]["warm_s"], 2.0).as_json(),
        ],
    }


def _seconds(program: str, environment: dict[str, str]) -> float:
    begin = perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    return perf_counter() - begin
