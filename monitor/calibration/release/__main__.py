"""``python -m monitor.calibration.release FILE [--json] [--development] [--figures FOLDER]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from monitor.calibration.release.evaluation import evaluate_release
from monitor.calibration.release.report import as_json, intervals, markdown, plan


def main() -> None:
    """Tables to stdout, or one JSON object; drawings into a folder when asked."""
    parser = argparse.ArgumentParser(prog="python -m monitor.calibration.release", description=__doc__)
    parser.add_argument("file", type=Path, help="the table of the release experiment")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--development", action="store_true", help="the dates the model was chosen on")
    parser.add_argument("--figures", type=Path, help="folder for release-plan.svg and release-rates.svg")
    parser.add_argument("--seed", type=int, default=20150527)
    asked = parser.parse_args()
    result = evaluate_release(asked.file, seed=asked.seed, development=asked.development)
    if asked.figures:
        asked.figures.mkdir(parents=True, exist_ok=True)
        (asked.figures / "release-plan.svg").write_text(plan(result) + "\n", "utf-8")
        (asked.figures / "release-rates.svg").write_text(intervals(result) + "\n", "utf-8")
    sys.stdout.write(json.dumps(as_json(result), indent=1) + "\n" if asked.json else markdown(result))


if __name__ == "__main__":
    main()
