"""`python -m benchmarks CASE … [--json]`: run cases, each contestant in a process of its own.

Printed are the seconds of the first run, compilation included, the median of the warm runs, the median of
Cholesky factorisations taken in turn with them and the ratio of both, the peak memory above the imports,
errors against the reference, and each target with whether it is met.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import cases, report
from benchmarks.race import Settings, race
from benchmarks.scaling import scaling
from benchmarks.startup import startup


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if given.table:
        lines = Path(given.table).read_text(encoding="utf-8").splitlines()
        print(report.markdown([json.loads(line) for line in lines if line.strip()]), end="")
        return 0
    if not given.case:
        for name, case in cases.named().items():
            print(f"{name:<48} {case.about}")
        return 0
    chosen = cases.chosen(given.case)
    if not chosen:
        print(
            f"no case holds {' or '.join(given.case)}; there are: {', '.join(cases.named())}", file=sys.stderr
        )
        return 2
    failed = 0
    for name in chosen:
        try:
            result = play(name, given)
        except RuntimeError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
            continue
        _say("")
        print(json.dumps(result) if given.json else report.terminal(result), flush=True)
    return 1 if failed else 0


def play(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run one case."""
    settings = Settings(
        Path(given.worlds), given.threads, given.runs, _say, given.profile, given.keep, tuple(given.without)
    )
    case = cases.find(name)
    if case.play == "scaling":
        return scaling(case, settings, Path(given.figure))
    if case.play == "import":
        return startup(case, settings)
    return race(case, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("case", nargs="*", help="names of cases, or parts of names; without one: a list")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--runs", type=int, help="warm runs of each contestant (5, where a case says nothing)"
    )
    parser.add_argument(
        "--threads", type=int, default=processors, help="of linear algebra and compiled loops"
    )
    parser.add_argument("--profile", action="store_true", help="one more run, with the seconds of its stages")
    parser.add_argument("--keep", action="store_true", help="take slow references from an earlier run")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="contestants to leave out")
    parser.add_argument("--worlds", default="build/worlds", help="folder in which generated cities are kept")
    parser.add_argument("--figure", default="build/scaling.svg", help="where `scaling` is drawn")
    parser.add_argument("--table", metavar="FILE", help="print the Markdown tables of results of --json")
    return parser


def _say(text: str) -> None:
    """A line of progress that the next one takes the place of; none where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
