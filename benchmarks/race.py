"""Races: each contestant in a child process, its runs in turn with the yardstick's.

Every child of a contestant begins with an empty folder for compiled code, so that its first run is cold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from benchmarks.cases import Case, Row, Rows
from benchmarks.contestants import prior_field
from benchmarks.errors import compare
from benchmarks.worlds import City, World

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
MAKE = """
import sys
from pathlib import Path
from benchmarks.worlds import City, make
import json
given = json.loads(sys.argv[1])
make(City(**given | {"times_of_day": tuple(given["times_of_day"])}), Path(sys.argv[2]))
"""


@dataclass(frozen=True)
class Settings:
    """How cases are run.

    Attributes
    ----------
    worlds : Path
        Where generated cities lie, and stay.
    threads : int
        Of linear algebra and of compiled loops.
    runs : int, optional
        Instead of the case's own number of warm runs.
    say : str -> None
        Takes the progress.
    profile : bool
        One run more of each contestant, with the seconds of its stages.
    keep : bool
        Take references that are run once from an earlier run, if there is one.
    without
        Contestants to leave out.
    """

    worlds: Path
    threads: int
    runs: int | None = None
    say: Callable[[str], None] = lambda text: None
    profile: bool = False
    keep: bool = False
    without: tuple[str, ...] = ()

    def environment(self, **more: str) -> dict[str, str]:
        return os.environ | dict.fromkeys(THREADS, str(self.threads)) | more


class Child:
    """A process that answers each line with a line of JSON."""

    def __init__(self, module: str, *arguments: str, environment: dict[str, str]) -> None:
        self.command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def answer(self) -> Any:
        """The next line of the child.

        Raises
        ------
        RuntimeError
            When the child has ended; what it had to say stands on stderr.
        """
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            code = self.process.wait()
            raise RuntimeError(f"'{' '.join(self.command[1:])}' ended with code {code}; see above")
        return json.loads(line)

    def ask(self, line: str = "") -> Any:
        if self.process.stdin is not None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        return self.answer()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


def world_of(city: City, settings: Settings) -> Path:
    """The folder of a generated city, made by a child where it is not there."""
    folder = settings.worlds / f"{city.name}-{city.digest}"
    if not (folder / "world.json").exists():
        settings.say(f"{city.name}: making {city.n} observations of {city.m} unknowns")
        given = json.dumps(city.as_json())
        subprocess.run([sys.executable, "-c", MAKE, given, str(folder)], check=True)
    return folder


def race(case: Case, settings: Settings) -> dict[str, Any]:
    """Run a case; rows by contestant, targets, sizes."""
    folder = world_of(case.city, settings) if case.city else None
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as outputs:
        for contestant in [one for one in case.contestants if one.name not in settings.without]:
            rows[contestant.name] = _kept_or_run(case, contestant.name, folder, Path(outputs), settings)
        if folder is not None and case.reference in rows:
            _add_errors(rows, case.reference, World.open(folder), Path(outputs))
    sizes = sizes_of(World.open(folder)) if folder else {}
    return {
        "case": case.name,
        "about": case.about,
        "sizes": sizes,
        "threads": settings.threads,
        "rows": rows,
        "targets": [target.as_json() for target in case.judge(rows)],
    }


def sizes_of(world: World) -> dict[str, Any]:
    city = world.city
    return {
        "n": city.n,
        "m": city.m,
        "hours": city.hours,
        "cells": city.cells,
        "stations": city.stations,
        "non_zeros": int(world.array("values").size),
        "share": world.share,
    }


def _kept_or_run(case: Case, name: str, folder: Path | None, outputs: Path, settings: Settings) -> Row:
    """A contestant that is run once leaves its outputs beside the world, for `keep`."""
    if folder is None or name not in case.once:
        return row_of(case, name, folder, outputs, settings)
    kept, notes = folder / f"{name}.npz", folder / f"{name}.json"
    if settings.keep and notes.exists():
        copyfile(kept, outputs / kept.name)
        return json.loads(notes.read_text())
    row = row_of(case, name, folder, outputs, settings)
    copyfile(outputs / kept.name, kept)
    notes.write_text(json.dumps(row))
    return row


def row_of(case: Case, name: str, folder: Path | None, outputs: Path, settings: Settings) -> Row:
    """One contestant: a cold run, then warm ones in turn with the yardstick."""
    with tempfile.TemporaryDirectory() as cache:
        environment = settings.environment(NUMBA_CACHE_DIR=cache)
        given = (case.name, name) if folder is None else (case.name, name, str(folder))
        settings.say(f"{case.name} {name}: loading")
        with Child("benchmarks.child", *given, environment=environment) as child:
            ready = child.answer()
            stick_given = ("benchmarks.yardstick", str(ready["order"]))
            with Child(*stick_given, environment=settings.environment()) as stick:
                return _runs(case, name, child, stick, outputs, settings) | ready


def _runs(case: Case, name: str, child: Child, stick: Child, outputs: Path, settings: Settings) -> Row:
    settings.say(f"{case.name} {name}: cold run")
    cold = child.ask(str(outputs / f"{name}.npz"))
    count = case.runs if settings.runs is None else settings.runs
    count = 0 if name in case.once else count
    warm, beside = [], []
    if case.sticks:
        settings.say(f"{case.name} {name}: yardstick")
        stick.ask()
    for k in range(count):
        settings.say(f"{case.name} {name}: warm run {k + 1} of {count}")
        warm.append(child.ask())
        if k < case.sticks:
            settings.say(f"{case.name} {name}: yardstick {k + 1}")
            beside.append(stick.ask())
    stages = child.ask("profile")["stages"] if settings.profile else {}
    return _row(cold, warm or [cold], beside or [stick.ask()]) | {"stages": stages}


def _row(cold: Row, warm: list[Row], beside: list[Row]) -> Row:
    def median(key: str, of: list[Row]) -> float:
        return float(np.median([run[key] for run in of]))

    return {
        "cold_s": cold["s"],
        "warm_s": median("s", warm),
        "warm_runs_s": [run["s"] for run in warm],
        "yardstick_s": median("s", beside),
        "yardsticks_s": [found["s"] for found in beside],
        "ratio": median("s", warm) / median("s", beside),
        "cpu_ratio": median("cpu_s", warm) / median("cpu_s", beside),
        "peak_gb": max(run["peak_gb"] for run in (cold, *warm)),
        "anonymous_gb": max(run["anonymous_gb"] for run in (cold, *warm)),
        "gemm_gflops": median("gflops", beside),
        "copy_gbytes": median("gbytes", beside),
        "errors": {},
        "figures": {},
    }


def _add_errors(rows: Rows, reference: str, world: World, outputs: Path) -> None:
    """Errors against the reference, and the numbers that contestants give with their outputs."""
    true = dict(np.load(outputs / f"{reference}.npz"))
    prior = prior_field(world, true["field"].size) if "field" in true else None
    for name, row in rows.items():
        found = dict(np.load(outputs / f"{name}.npz"))
        row["figures"] = {key: float(value) for key, value in found.items() if value.ndim == 0}
        if name != reference:
            row["errors"] = compare(found, true, prior)
