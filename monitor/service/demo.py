"""`monitor demo`: a synthetic city from raw files to verdicts, and the truth beside the answers.

The truth is written with the city and read again at the very end, to say which answers are right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from monitor.config import load_city
from monitor.domain import Interval, parse_utc
from monitor.service.pipeline import run_interval
from monitor.service.run import RunOptions, RunOutcome

#: What the air must say of each claim of the demonstration, and why.
EXPECTED: Final = MappingProxyType(
    {
        "cut-25": "supported",
        "cut-45": "contradicted",
        "cut-2": "undecided",
        "festival": "supported",
        "commune": "not comparable",
    }
)
_REGIONS: Final = MappingProxyType({"cut-25": "metro", "cut-45": "metro", "cut-2": "control"})


@dataclass(frozen=True)
class Check:
    """One answer beside the truth."""

    name: str
    answer: str
    truth: str
    right: bool


def run_demo(out: Path, seed: int, options: RunOptions | None = None) -> tuple[RunOutcome, list[Check]]:
    """Write the city of `seed` below `out`, answer its claims, and hold the answers against the truth."""
    from monitor.twin import write_city

    options = options or RunOptions()
    if options.progress is not None:
        options.progress("writing the city")
    write_city(out, seed)
    city_path = out / "config" / "cities" / "twin.toml"
    outcome = run_interval(city_path, whole_time(city_path), out / "data", out / "workdir", options)
    return outcome, compare_with_truth(outcome, json.loads((out / "truth.json").read_text(encoding="utf-8")))


def whole_time(city_path: Path) -> Interval:
    """From the beginning of the first epoch of a city to the end of the last."""
    epochs = [epoch.interval() for epoch in load_city(city_path).epoch]
    return Interval(min(epoch.start for epoch in epochs), max(epoch.end for epoch in epochs))


def compare_with_truth(outcome: RunOutcome, truth: Mapping[str, Any]) -> list[Check]:
    """Every verdict, and the source found by the scan, beside the truth."""
    checks = []
    for name, verdict in outcome.verdicts.items():
        answer = str(verdict["verdict"])
        told = _told(name, truth)
        checks.append(Check(name, answer, told, answer == EXPECTED.get(name, answer)))
    return [*checks, _scan_check(outcome, truth["festival"])]


def _told(name: str, truth: Mapping[str, Any]) -> str:
    if name in _REGIONS:
        return f"{truth['change'][_REGIONS[name]]:+.1%} in {_REGIONS[name]}"
    if name == "festival":
        return _festival(truth["festival"])
    return "another area" if name == "commune" else ""


def _festival(festival: Mapping[str, Any]) -> str:
    start, end = str(festival["start"])[:10], str(festival["end"])[:10]
    return f"{festival['strength']:.0f} {festival['unit']} from {start} to {end}"


def _scan_check(outcome: RunOutcome, festival: Mapping[str, Any]) -> Check:
    """Whether the scan found the source untold: dates within two days, strength in the interval."""
    near = timedelta(days=2)
    for found in outcome.sources:
        times = [abs(parse_utc(found[k]) - parse_utc(festival[k])) <= near for k in ("start", "end")]
        low, high = found["interval"]
        answer = f"{found['strength']:.0f} {found['unit']} from {found['start'][:10]} to {found['end'][:10]}"
        if abs(found["lon"] - festival["lon"]) < 0.05 and abs(found["lat"] - festival["lat"]) < 0.05:
            right = all(times) and low <= festival["strength"] <= high
            return Check("scan", answer, _festival(festival), right)
    return Check("scan", f"{len(outcome.sources)} sources elsewhere", _festival(festival), False)
