"""`monitor serve`: a clock that asks what is due, and runs it, one worker at a time.

APScheduler is the clock and nothing more; what has been done stands in the run ledger.  A tick takes in
new files, lists the intervals that are due, and runs each in a worker under limits.  An interval missed
while we were down is simply due at the next tick, and one whose inputs changed is due again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from monitor.archive import utcnow
from monitor.config import ServiceConfig, load_city, load_service
from monitor.domain import Interval, iso_z
from monitor.errors import LockedError, MissingInputError, MonitorError, UsageError
from monitor.service.ledger import UNKNOWN_DIGEST, Ledger, SchedulerLock, StepKey, process_owner
from monitor.service.logs import redact
from monitor.service.run import open_archive
from monitor.service.worker import Limits, WorkerError, run_job

LOCK_NAME: Final = "scheduler"
#: The lock outlives a missed heartbeat or two, and no more.
LOCK_LEASE: Final = timedelta(seconds=60)
HEARTBEAT_S: Final = 10.0
#: The step name of a worker that ended before it claimed a step.
PLAN_STEP: Final = "plan"

Report = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Service:
    """A service as configured: paths are absolute, cities by id; `work` does a job, as `run_job` does."""

    config: ServiceConfig
    cities: dict[str, Path]
    data_root: Path
    workdir: Path
    clock: Callable[[], datetime] = utcnow
    analyse: str | None = None
    work: Callable[..., Any] = run_job

    @property
    def limits(self) -> Limits:
        return Limits(self.config.step_timeout_s, self.config.step_memory_mib)

    def job(self, kind: str, city: str, now: datetime) -> dict[str, Any]:
        """The description of a job for a worker."""
        offset = 0.0 if self.clock is utcnow else (now - utcnow()).total_seconds()
        return {
            "job": kind,
            "config": str(self.cities[city]),
            "data": str(self.data_root),
            "workdir": str(self.workdir),
            "now": iso_z(now),
            "clock_offset_s": offset,
            "first_interval": self.config.first_interval,
            "interval_days": self.config.interval_days,
            "window_days": self.config.window_days,
            "latency_hours": self.config.latency_hours,
            "lease_s": self.config.step_timeout_s + 60,
            "analyse": self.analyse,
        }


@dataclass(frozen=True)
class Tick:
    """What a tick did, by city.

    Attributes
    ----------
    done, failed, waiting
        Intervals, the last two with their reasons; a plan that failed has no interval.
    refused
        Files and sources that could not be used: city and the error as JSON.
    missing
        Sources without any file: city and a sentence.
    codes
        The exit code of each failure, in the order in which they happened.
    """

    done: tuple[tuple[str, Interval], ...] = ()
    failed: tuple[tuple[str, Interval | None, str], ...] = ()
    waiting: tuple[tuple[str, Interval, str], ...] = ()
    refused: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    codes: tuple[int, ...] = ()

    def __add__(self, other: Tick) -> Tick:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(Tick))
        return Tick(*(mine + theirs for mine, theirs in pairs))

    @property
    def exit_code(self) -> int:
        """0, or that of the first failure."""
        return next(iter(self.codes), 0)

    def as_json(self) -> dict[str, Any]:
        """All of it as one JSON-ready object."""
        return {
            "done": [{"city": city, "interval": i.as_json()} for city, i in self.done],
            "failed": [
                {"city": city, "interval": i and i.as_json(), "reason": reason}
                for city, i, reason in self.failed
            ],
            "waiting": [
                {"city": city, "interval": i.as_json(), "reason": reason} for city, i, reason in self.waiting
            ],
            "refused": [{"city": city, **error} for city, error in self.refused],
            "missing": [{"city": city, "what": text} for city, text in self.missing],
            "exit_code": self.exit_code,
        }


@dataclass
class Stop:
    """The wish to stop; a second wish ends the running worker too."""

    event: threading.Event = field(default_factory=threading.Event)
    wishes: int = 0

    def wish(self) -> None:
        self.wishes += 1
        self.event.set()

    def at_once(self) -> bool:
        return self.wishes > 1


def open_service(
    path: Path,
    cities: Sequence[str] = (),
    *,
    clock: Callable[[], datetime] = utcnow,
    analyse: str | None = None,
) -> Service:
    """The service that ``monitor.toml`` at `path` describes, all of it or the named cities.

    Raises
    ------
    ConfigError
        For a fault in any of the files.
    UsageError
        For a city that the configuration does not have.
    """
    config = load_service(path)
    home = path.absolute().parent
    found = {load_city(home / name).city.id: home / name for name in config.cities}
    if unknown := sorted(set(cities) - set(found)):
        raise UsageError(
            f"no city is called {', '.join(unknown)}", expected=", ".join(sorted(found)), where=str(path)
        )
    chosen = {city: file for city, file in found.items() if not cities or city in cities}
    return Service(config, chosen, home / config.data, home / config.workdir, clock, analyse)


# --- one tick ----------------------------------------------------------------------------------------


def tick(service: Service, *, stop: Stop | None = None, report: Report = lambda event, facts: None) -> Tick:
    """Do everything that is due now, oldest interval first; never raises for a failing step."""
    stop = stop or Stop()
    result = Tick()
    for city in service.cities:
        if not stop.event.is_set():
            result += _tick_city(service, city, stop, report)
    return result


def _tick_city(service: Service, city: str, stop: Stop, report: Report) -> Tick:
    now = service.clock()
    plan = _attempt(service, service.job("plan", city, now), city, None, stop)
    if isinstance(plan, WorkerError):
        report("plan failed", {"city": city, "reason": redact(str(plan))})
        return Tick(failed=((city, None, redact(str(plan))),), codes=(plan.status,))
    for failure in plan["failures"]:
        report("file refused", {"city": city, **failure})
    codes = [int(failure["exit_code"]) for failure in plan["failures"]]
    done, failed, held = [], [], []
    for start, end in plan["due"]:
        if stop.event.is_set():
            break
        interval = Interval.parse(start, end)
        job = service.job("run", city, now) | {"interval": [start, end]}
        answer = _attempt(service, job, city, interval, stop)
        if isinstance(answer, WorkerError) and answer.status == LockedError.exit_code:
            held.append((city, interval, redact(str(answer))))
            codes.append(answer.status)
        elif isinstance(answer, WorkerError):
            reason = redact(str(answer))
            report("interval failed", {"city": city, "interval": str(interval), "reason": reason})
            failed.append((city, interval, reason))
            codes.append(answer.status)
        else:
            report("interval done", {"city": city, "interval": str(interval), **answer})
            done.append((city, interval))
    if plan["behind"]:  # its data may be on their way, unless a source has none at all
        codes.append((MissingInputError if plan["missing"] else LockedError).exit_code)
    return Tick(
        tuple(done),
        tuple(failed),
        (*held, *((city, Interval.parse(*item["interval"]), item["reason"]) for item in plan["waiting"])),
        tuple((city, failure) for failure in plan["failures"]),
        tuple((city, text) for text in plan["missing"]),
        tuple(codes),
    )


def _attempt(
    service: Service, job: dict[str, Any], city: str, interval: Interval | None, stop: Stop
) -> dict[str, Any] | WorkerError:
    """The worker's answer, or why there is none; the reason is in the ledger too."""
    try:
        answer: dict[str, Any] = service.work(job, service.limits, stop=stop.at_once)
        return answer
    except WorkerError as error:
        if error.status == LockedError.exit_code:  # it held nothing, and who holds it may yet finish
            return error
        _give_back(service, city, interval, error.pid, redact(str(error)))
        return error


def _give_back(service: Service, city: str, interval: Interval | None, pid: int, reason: str) -> None:
    """Mark what a dead worker held as failed with the reason; without any such row, write one."""
    host = process_owner().split("/")[0]
    with open_archive(service.workdir, service.clock) as archive:
        ledger = Ledger(archive, process_owner(), service.clock)
        mine = [row for row in ledger.rows(city) if row.owner.startswith(f"{host}/{pid}/")]
        held = [row.key for row in mine if row.status == "leased"]
        if not mine and interval is not None:
            held = [StepKey(city, PLAN_STEP, interval, UNKNOWN_DIGEST)]
        for key in held:
            ledger.give_up(key, reason)


# --- the clock ---------------------------------------------------------------------------------------


def serve(
    service: Service, *, ticks: int | None = None, report: Report = lambda event, facts: None
) -> list[Tick]:
    """Tick until told to stop, or `ticks` times; returns the last ticks.

    SIGTERM or SIGINT ends the service after the running step; a second one ends the step as well.

    Raises
    ------
    LockedError
        When another scheduler holds the lock, or took it over.
    """
    with open_archive(service.workdir, service.clock) as archive:
        ledger = Ledger(archive, process_owner(), service.clock)
        with ledger.scheduler_lock(LOCK_NAME, LOCK_LEASE) as lock:
            for row in ledger.recover_orphans():
                report("lease recovered", {"step": str(row.key), "owner": row.owner})
            return _run_clock(service, lock, ticks, report)


def _run_clock(service: Service, lock: SchedulerLock, ticks: int | None, report: Report) -> list[Tick]:
    from apscheduler.schedulers.background import BackgroundScheduler

    stop = Stop()
    results: list[Tick] = []
    faults: list[MonitorError] = []
    beat = {"last": time.monotonic()}

    def heartbeat() -> None:
        try:
            lock.heartbeat()
            beat["last"] = time.monotonic()
        except MonitorError as error:
            faults.append(error)
            if isinstance(error, LockedError):
                stop.wish()

    def one_tick() -> None:
        try:
            results[:] = [*results[-99:], tick(service, stop=stop, report=report)]
        except MonitorError as error:
            report("tick failed", {"reason": redact(str(error))})
            failed = (("", None, redact(str(error))),)
            results[:] = [*results[-99:], Tick(failed=failed, codes=(error.exit_code,))]
        nonlocal ticks
        if ticks is not None:
            ticks -= 1
            if ticks <= 0:
                stop.wish()

    clock = BackgroundScheduler(
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    now = datetime.now(UTC)
    clock.add_job(one_tick, "interval", minutes=service.config.every_minutes, next_run_time=now, id="tick")
    clock.add_job(heartbeat, "interval", seconds=HEARTBEAT_S, next_run_time=now, id="heartbeat")
    with _signals(stop):
        clock.start()
        try:
            _watch(stop, beat)
        finally:
            clock.shutdown(wait=True)
    if lost := [fault for fault in faults if isinstance(fault, LockedError)]:
        raise lost[0]
    return results


def _watch(stop: Stop, beat: dict[str, float]) -> None:
    """Wait for the wish to stop; a heart that stands still is a dead scheduler in a live process."""
    limit = LOCK_LEASE.total_seconds() + HEARTBEAT_S
    while not stop.event.wait(timeout=1.0):
        silent = time.monotonic() - beat["last"]
        if silent > limit:
            raise MonitorError(
                "the scheduler's thread is dead",
                expected=f"a heartbeat every {HEARTBEAT_S:g} s",
                found=f"none for {silent:.0f} s",
                remedy="start `monitor serve` again; it goes on where this one stopped",
            )


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT mean stop, while in the block (in the main thread; others cannot catch them)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: stop.wish()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
