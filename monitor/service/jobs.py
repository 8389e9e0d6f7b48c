"""What a worker does: take in new files and say what is due, or run one interval."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from monitor.archive import Archive, utcnow
from monitor.config import CityConfig, ClaimsConfig, config_digest
from monitor.domain import Interval, iso_z, parse_utc
from monitor.errors import MissingInputError
from monitor.ingest.sources import is_settled, poll
from monitor.service import intake as files
from monitor.service import months as calendar
from monitor.service.entries import read_sheets
from monitor.service.inputs import ensure_maps_reach, ensure_sufficient, find_inputs, window_of
from monitor.service.ledger import ABANDONED, UNKNOWN_DIGEST, Ledger, LedgerRow, StepKey, process_owner
from monitor.service.pipeline import is_done, run_interval
from monitor.service.release import release_key
from monitor.service.run import RunOptions, load_configuration, open_archive
from monitor.service.taken import Intake

#: A file changed less than this ago is looked at twice, so long apart [s], before it is read.
FRESH_S, SETTLE_S = 30.0, 1.0
#: Pause before the third attempt, doubled for each later one up to the longest.
BACK_OFF: Final = timedelta(minutes=5)
LONGEST_BACK_OFF: Final = timedelta(hours=6)


def do(job: Mapping[str, Any]) -> Any:
    """Do a job; its answer is JSON-ready."""
    return {"plan": _plan, "run": _run}[job["job"]](job)


def scheduled_intervals(first: datetime, days: float, until: datetime) -> list[Interval]:
    """The consecutive intervals of `days` from `first` that have ended by `until`."""
    step = timedelta(days=days)
    count = max(0, int((until - first) / step))
    return [Interval(first + i * step, first + (i + 1) * step) for i in range(count)]


def _plan(job: Mapping[str, Any]) -> dict[str, Any]:
    """Take in every new file of the scheduled time, then list due and waiting intervals.

    An interval is due when it has not been published from the inputs it has now; it waits while inputs
    that it cannot do without are missing.  `behind`: the newest one waits.
    """
    now, first = parse_utc(job["now"]), parse_utc(job["first_interval"])
    until = now - timedelta(hours=job["latency_hours"])
    intervals = scheduled_intervals(first, job["interval_days"], until)
    city, claims = load_configuration(Path(job["config"]))
    with open_archive(Path(job["workdir"]), lambda: now) as archive:
        intake = _take_in(archive, city, Path(job["data"]), _horizon(job, first, now), now)
        ledger = Ledger(archive, process_owner(), lambda: now)
        due, waiting = _sorted_out(ledger, city, claims, intervals, job["window_days"])
    return {
        "due": [interval.as_json() for interval in due],
        "waiting": [{"interval": i.as_json(), "reason": reason} for i, reason in waiting],
        "behind": bool(waiting) and waiting[-1][0] == intervals[-1],
        "failures": [failure.as_dict() for failure in intake.failures],
        "missing": list(intake.warnings),
    }


def _horizon(job: Mapping[str, Any], first: datetime, now: datetime) -> list[str]:
    """The months that any scheduled interval up to now may use."""
    start = Interval(first, first + timedelta(days=job["interval_days"]))
    begin = window_of(start, job["window_days"]).start
    return calendar.months_touched(Interval(begin, max(now, start.end)))


def _take_in(archive: Archive, city: CityConfig, data_root: Path, months: list[str], now: datetime) -> Intake:
    growing = _growing(city, data_root)
    options = files.IntakeOptions(tuple(months), now, skip_known_bad=True, skip=growing)
    intake = files.prepare_intake(archive, city, data_root, options)
    files.quarantine_failures(archive, intake)
    files.commit_intake(archive, intake, config=config_digest(city))
    return intake


def _growing(city: CityConfig, data_root: Path) -> frozenset[Path]:
    """Files that are still being written: fresh ones that change between two looks."""
    folders = [(data_root / source.path, source.pattern) for source in city.source]
    paths = [path for folder, pattern in folders if folder.is_dir() for path in folder.glob(pattern)]
    newest = (time.time() - FRESH_S) * 1e9
    earlier = {path: look for path, look in poll(paths).items() if look[1] > newest}
    if not earlier:
        return frozenset()
    time.sleep(SETTLE_S)
    later = poll(list(earlier))
    return frozenset(path for path in earlier if not is_settled(path, earlier, later))


def _sorted_out(
    ledger: Ledger,
    city: CityConfig,
    claims: ClaimsConfig | None,
    intervals: list[Interval],
    window_days: float | None,
) -> tuple[list[Interval], list[tuple[Interval, str]]]:
    """The due intervals, and those that wait with the reason."""
    archive, rows = ledger.archive, ledger.rows(city.city.id)
    sheets = read_sheets(archive, city.city.id)
    due, waiting = [], []
    for interval in intervals:
        window = window_of(interval, window_days)
        inputs = find_inputs(archive, city, claims, interval, window, sheets=sheets)
        try:
            # an answer for an interval needs data of the interval, not of the window alone
            own = find_inputs(archive, city, claims, interval, interval, sheets=sheets)
            ensure_sufficient(city, own)
            ensure_maps_reach(archive, city, own)
        except MissingInputError as error:
            waiting.append((interval, str(error)))
            continue
        key = StepKey(city.city.id, "publish", interval, inputs.digest)
        if is_done(archive, ledger, key, release_key(city.city.id, interval)):
            continue
        if reason := _held_back(rows, interval, inputs.digest, ledger.clock()):
            waiting.append((interval, reason))
        else:
            due.append(interval)
    return due, waiting


def _held_back(rows: Sequence[LedgerRow], interval: Interval, digest: str, now: datetime) -> str:
    """Why an interval that keeps failing on the same inputs is left alone for now; "" when it is not.

    The second attempt comes with the next tick, later ones after 5, 10, 20 … minutes and at most 6 hours.
    """
    failed = [
        row
        for row in rows
        if row.key.interval == interval
        and row.status == "failed"
        and row.key.input_digest in (digest, UNKNOWN_DIGEST)
        and row.attempts > 1
        and not (row.error or "").startswith(ABANDONED)  # our own end is no fault of the step
        and row.finished_at is not None
    ]
    for row in failed:
        pause = min(BACK_OFF * 2.0 ** min(row.attempts - 2, 20), LONGEST_BACK_OFF)
        again = (row.finished_at or now) + pause
        if now < again:
            return f"{row.key.step} failed {row.attempts} times, tried again from {iso_z(again)}: {row.error}"
    return ""


def _run(job: Mapping[str, Any]) -> dict[str, Any]:
    start, end = job["interval"]
    analyse = None
    if job.get("analyse"):
        module, _, name = job["analyse"].partition(":")
        analyse = getattr(import_module(module), name)
    options = RunOptions(
        window_days=job["window_days"],
        keep_going=True,
        lease=timedelta(seconds=job["lease_s"]),
        clock=lambda: utcnow() + timedelta(seconds=job["clock_offset_s"]),
        analyse=analyse,
    )
    city, _ = load_configuration(Path(job["config"]))
    options = replace(options, skip=_growing(city, Path(job["data"])))
    outcome = run_interval(
        Path(job["config"]), Interval.parse(start, end), Path(job["data"]), Path(job["workdir"]), options
    )
    return {
        "report": str(outcome.report),
        "steps": dict(outcome.steps),
        "verdicts": {name: verdict["verdict"] for name, verdict in outcome.verdicts.items()},
    }
