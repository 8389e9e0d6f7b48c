"""`monitor demo`: a synthetic city from raw files to verdicts, and the truth beside the answers.

The truth is written with the city and read again at the very end, to say which answers are right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from monitor.config import load_city
from monitor.domain import Grid, Interval, parse_utc
from monitor.service.pipeline import run_interval
from monitor.service.run import RunOptions, RunOutcome

if TYPE_CHECKING:
    from monitor.twin import TwinSettings

#: What the air must say of each claim of the demonstration, and for which reason, where that matters.
EXPECTED: Final = MappingProxyType(
    {
        "cut-25": ("supported", None),
        "cut-45": ("contradicted", None),
        "cut-2": ("undecided", "below-detectable-change"),
        "festival": ("supported", None),
        "commune": ("not comparable", None),
    }
)
_REGIONS: Final = MappingProxyType({"cut-25": "metro", "cut-45": "metro", "cut-2": "control"})
#: How far from the truth a source found by the scan may be [grid cells].
_CELLS = 1


@dataclass(frozen=True)
class Check:
    """One answer beside the truth."""

    name: str
    answer: str
    truth: str
    right: bool


def run_demo(
    out: Path, seed: int, options: RunOptions | None = None, settings: TwinSettings | None = None
) -> tuple[RunOutcome, list[Check]]:
    """Write the city of `seed` below `out`, answer its claims, and hold the answers against the truth."""
    from monitor.twin import TwinSettings, write_city
    from monitor.twin.geography import make_geography

    options, settings = options or RunOptions(), settings or TwinSettings()
    started = time.monotonic()
    if options.progress is not None:
        options.progress("writing the city")
    write_city(out, seed, settings)
    city_path = out / "config" / "cities" / "twin.toml"
    outcome = run_interval(city_path, whole_time(city_path), out / "data", out / "workdir", options)
    seconds = round(time.monotonic() - started, 2)
    outcome = replace(outcome, figures={**outcome.figures, "seconds": seconds})
    truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    return outcome, compare_with_truth(outcome, truth, make_geography(settings).grid)


def whole_time(city_path: Path) -> Interval:
    """From the beginning of the first epoch of a city to the end of the last."""
    epochs = [epoch.interval() for epoch in load_city(city_path).epoch]
    return Interval(min(epoch.start for epoch in epochs), max(epoch.end for epoch in epochs))


def compare_with_truth(outcome: RunOutcome, truth: Mapping[str, Any], grid: Grid) -> list[Check]:
    """Every verdict, and the source found by the scan, beside the truth."""
    checks = []
    for name, verdict in outcome.verdicts.items():
        answer, reasons = str(verdict["verdict"]), list(verdict["reasons"])
        expected, reason = EXPECTED.get(name, (answer, None))
        right = answer == expected and (reason is None or reason in reasons)
        checks.append(
            Check(name, ": ".join(filter(None, [answer, ", ".join(reasons)])), _told(name, truth), right)
        )
    return [*checks, _scan_check(outcome.sources, truth["festival"], grid)]


def _told(name: str, truth: Mapping[str, Any]) -> str:
    if name in _REGIONS:
        return f"{truth['change'][_REGIONS[name]]:+.1%} in {_REGIONS[name]}"
    if name == "festival":
        return _described(truth["festival"])
    return "another area" if name == "commune" else ""


def _described(source: Mapping[str, Any]) -> str:
    start, end = str(source["start"])[:10], str(source["end"])[:10]
    return f"{source['strength']:.0f} {source['unit']} from {start} to {end}"


def _scan_check(sources: Sequence[Mapping[str, Any]], festival: Mapping[str, Any], grid: Grid) -> Check:
    """Whether the scan found the festival untold: near, dates and strength inside their intervals."""
    here = [source for source in sources if _cells_apart(source, festival, grid) <= _CELLS]
    if not here:
        return Check("scan", f"{len(sources)} sources elsewhere", _described(festival), False)
    found, cells = here[0], _cells_apart(here[0], festival, grid)
    in_time = all(_holds(found[f"{k}_interval"], festival[k]) for k in ("start", "end"))
    low, high = found["interval"]
    began, ended = (" … ".join(str(t)[:10] for t in found[f"{k}_interval"]) for k in ("start", "end"))
    answer = (
        f"{low:.0f} … {high:.0f} {found['unit']}, began {began}, ended {ended}, "
        f"{cells} cell{'' if cells == 1 else 's'} off"
    )
    return Check("scan", answer, _described(festival), in_time and low <= festival["strength"] <= high)


def _holds(interval: Sequence[str], moment: str) -> bool:
    low, high = (parse_utc(text) for text in interval)
    return low <= parse_utc(moment) <= high


def _cells_apart(source: Mapping[str, Any], other: Mapping[str, Any], grid: Grid) -> int:
    """The greater of the distances in rows and in columns."""
    steps = {"lon": grid.lon_step_deg, "lat": grid.lat_step_deg}
    apart: list[float] = [abs(source[axis] - other[axis]) / step for axis, step in steps.items()]
    return max(round(cells) for cells in apart)
