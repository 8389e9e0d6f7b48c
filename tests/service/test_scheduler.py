"""The scheduler: what is due is done once, late data make it due again, and only one scheduler works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from mini_city import MiniCity

from monitor.archive import Archive
from monitor.cli import run as cli
from monitor.domain import Interval
from monitor.errors import LockedError, MonitorError, UsageError
from monitor.service import jobs
from monitor.service.jobs import scheduled_intervals
from monitor.service.ledger import Ledger, process_owner
from monitor.service.scheduler import LOCK_LEASE, LOCK_NAME, open_service, serve, tick
from monitor.service.worker import WorkerError, run_job


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def tests_in_workers(monkeypatch):
    """Let workers find the stand-in for the analysis."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))


def work_here(job, limits, *, stop):
    """Do a job in this process, which costs no start."""
    try:
        return jobs.do(job)
    except MonitorError as error:
        raise WorkerError(error.what, pid=os.getpid(), status=error.exit_code, found=str(error)) from error


def plan_here(job, limits, *, stop):
    """Do only the runs in workers."""
    return (work_here if job["job"] == "plan" else run_job)(job, limits, stop=stop)


def service_here(city: MiniCity, clock):
    return replace(service_of(city, clock), work=work_here)


def service_of(city: MiniCity, clock, analyse: str = "fake_analysis:analyse", **settings):
    text = city.service.read_text()
    for key, value in settings.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{key} ="))
        text = text.replace(line, f"{key} = {value}")
    city.service.write_text(text)
    return open_service(city.service, clock=clock, analyse=analyse)


def feed(city: MiniCity, day: str) -> None:
    city.observations(day)
    city.footprints(day)


def rows_of(city: MiniCity):
    with Archive.open(city.workdir / "archive") as archive:
        return Ledger(archive, "test").rows("mini")


def intervals_of(*days: str) -> list[Interval]:
    return [Interval(d := datetime.fromisoformat(day), d + timedelta(days=2)) for day in days]


def test_scheduled_intervals_end_before_the_moment():
    first = datetime(2020, 1, 6)
    found = scheduled_intervals(first, 2, datetime(2020, 1, 10, 5))
    assert found == intervals_of("2020-01-06", "2020-01-08")
    assert scheduled_intervals(first, 2, first) == []


def test_three_intervals_fed_file_by_file_are_each_done_once(mini):
    clock = Clock("2020-01-08T07:00")
    service = service_here(mini, clock)
    for day in ("2020-01-06", "2020-01-08", "2020-01-10"):
        clock.now = datetime.fromisoformat(day) + timedelta(days=2, hours=7)
        assert tick(service).done == ()  # nothing has come yet
        feed(mini, day)
        assert tick(service).done == (("mini", *intervals_of(day)),)
    assert tick(service).done == ()
    rows = rows_of(mini)
    counted = Counter((row.key.step, row.key.interval) for row in rows)
    expected = intervals_of("2020-01-06", "2020-01-08", "2020-01-10")
    assert counted == {(step, i): 1 for step in ("ingest", "invert", "publish") for i in expected}
    assert {row.status for row in rows} == {"done"}
    assert {row.attempts for row in rows} == {1}


def test_a_tick_says_what_is_missing_refused_or_waited_for_and_its_exit_code_is_the_first_failures(mini):
    clock = Clock("2020-01-08T07:00")
    service = service_here(mini, clock)
    nothing = tick(service).as_json()
    assert nothing["missing"][0] == {
        "city": "mini",
        "what": "source 'one': no file matches '*.dat' in 'observations'",
    }
    assert "no observations of ch4" in nothing["waiting"][0]["reason"] and nothing["exit_code"] == 65
    feed(mini, "2020-01-06")
    mini.check("2020-01-06")
    assert tick(service).as_json() == {
        "done": [{"city": "mini", "interval": ["2020-01-06T00:00:00Z", "2020-01-08T00:00:00Z"]}],
        **{key: [] for key in ("failed", "waiting", "refused", "missing")},
        "exit_code": 0,
    }
    clock.now += timedelta(days=2)
    late = tick(service)  # every source has files, and the newest interval none of their days: try again
    assert len(late.waiting) == 1 and late.missing == () and late.exit_code == 75
    (mini.data / "check").rename(mini.data / "elsewhere")
    gone = tick(service).as_json()
    assert gone["refused"][0]["source"] == "one-check" and gone["exit_code"] == 65
    clock.now += timedelta(days=2)
    (mini.data / "elsewhere").rename(mini.data / "check")
    feed(mini, "2020-01-10")
    assert tick(service).exit_code == 0  # a gap of the past is no failure of today


def test_serving_once_prints_a_summary_and_ends_with_its_exit_code(mini, capsys, monkeypatch):
    service = service_here(mini, Clock("2020-01-20T00:00"))
    monkeypatch.setattr("monitor.service.scheduler.open_service", lambda *_: service)
    code = cli(["serve", "--once", "--config", str(mini.service), "--json"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == summary["exit_code"] == 65 and summary["event"] == "summary"
    assert {item["what"].split("'")[1] for item in summary["missing"]} == {"one", "one-check", "one-fp"}
    assert cli(["serve", "--once", "--config", str(mini.service)]) == 65
    text = capsys.readouterr().out
    assert "0 done, 0 failed" in text and "mini: source 'one': no file matches" in text
    assert "more waiting: there are no observations of ch4 for the interval" in text


def test_missed_intervals_are_caught_up_and_late_data_make_one_due_again(mini):
    for day in ("2020-01-06", "2020-01-08"):
        feed(mini, day)
    clock = Clock("2020-01-11T00:00")
    service = service_here(mini, clock)
    assert [interval for _, interval in tick(service).done] == intervals_of("2020-01-06", "2020-01-08")
    mini.observations("2020-01-08", add_ppb=4.0, created="5 Feb 20")
    assert [interval for _, interval in tick(service).done] == intervals_of("2020-01-08")
    counted = Counter((row.key.step, row.key.interval) for row in rows_of(mini))
    late = intervals_of("2020-01-08")[0]
    assert counted["invert", late] == 2
    assert sum(counted.values()) == 9


def test_an_interval_waits_for_its_latency_and_its_data(mini):
    mini.observations("2020-01-06")
    clock = Clock("2020-01-08T05:00")
    service = service_here(mini, clock)
    early = tick(service)
    assert (early.done, early.failed, early.waiting, early.exit_code) == ((), (), (), 0)
    clock.now += timedelta(hours=2)
    result = tick(service)
    assert result.done == ()
    ((_, interval, reason),) = result.waiting
    assert interval == intervals_of("2020-01-06")[0]
    assert "no footprints" in reason


def test_an_interval_waits_for_a_map_that_has_run_out(mini):
    mini.inventory(hours=24 * 7)  # to the end of 2020-01-07
    feed(mini, "2020-01-06")
    feed(mini, "2020-01-08")
    mini.check("2020-01-06")
    service = service_here(mini, Clock("2020-01-10T07:00"))
    result = tick(service)
    assert [interval for _, interval in result.done] == intervals_of("2020-01-06")
    ((_, interval, reason),) = result.waiting
    assert interval == intervals_of("2020-01-08")[0] and result.failed == () and result.exit_code == 75
    for words in ("inventory 'map' has run out", "2020-01-08T00:00:00Z in inventories/map.nc", "what to do"):
        assert words in reason
    mini.inventory(hours=24 * 10)
    assert intervals_of("2020-01-08")[0] in [interval for _, interval in tick(service).done]


def test_an_interval_that_another_process_still_works_at_waits_and_has_not_failed(mini):
    feed(mini, "2020-01-06")
    clock = Clock("2020-01-08T07:00")
    held = LockedError("somebody else is at work", found="held by here/2/abc until 8 o'clock")

    def work(job, limits, *, stop):
        if job["job"] == "plan":
            return work_here(job, limits, stop=stop)
        raise WorkerError(held.what, pid=1, status=held.exit_code, found=held.found)

    result = tick(replace(service_here(mini, clock), work=work))
    assert result.failed == () and result.exit_code == 75
    assert "somebody else is at work" in result.waiting[0][2]
    assert [row for row in rows_of(mini) if row.status == "failed"] == []
    assert len(tick(service_here(mini, clock)).done) == 1


def test_a_bad_file_is_quarantined_once_and_the_others_go_on(mini):
    feed(mini, "2020-01-06")
    (mini.data / "footprints" / "zzz.nc").write_bytes(b"<html>not today</html>")
    events = []
    service = service_here(mini, Clock("2020-01-08T07:00"))
    result = tick(service, report=lambda event, facts: events.append(event))
    assert len(result.done) == 1
    assert events == ["file refused", "interval done"]
    events.clear()
    tick(service, report=lambda event, facts: events.append(event))
    assert events == []
    with Archive.open(mini.workdir / "archive") as archive:
        assert [kept.name for kept in archive.quarantined()] == ["zzz.nc"]


@pytest.mark.parametrize(
    ("analyse", "limit", "reason"),
    [
        ("hang", {"step_timeout_s": 15}, "wall-clock limit of 15 s"),
        ("devour", {"step_memory_mib": 3000}, "out of memory"),
        ("die", {}, "the worker died"),
    ],
)
def test_a_hung_or_greedy_step_is_ended_with_its_reason_and_tried_again(mini, analyse, limit, reason):
    feed(mini, "2020-01-06")
    clock = Clock("2020-01-08T07:00")
    result = tick(replace(service_of(mini, clock, f"fake_analysis:{analyse}", **limit), work=plan_here))
    assert result.done == ()
    assert reason in result.failed[0][2]
    rows = {row.key.step: row for row in rows_of(mini)}
    assert rows["invert"].status == "failed"
    assert reason in rows["invert"].error
    assert rows["ingest"].status == "done"
    assert len(tick(service_here(mini, clock)).done) == 1


def test_serve_ticks_by_the_clock_of_apscheduler_and_gives_the_lock_back(mini):
    feed(mini, "2020-01-06")
    results = serve(service_of(mini, Clock("2020-01-08T07:00")), ticks=1)
    assert [len(result.done) for result in results] == [1]
    with Archive.open(mini.workdir / "archive") as archive:
        (lock,) = Ledger(archive, "test").locks()
    assert lock.lease_until is None


def test_a_second_scheduler_is_refused_while_the_first_lives(mini):
    service = service_of(mini, lambda: datetime(2020, 1, 8))
    with Archive.open(mini.workdir / "archive", clock=service.clock) as archive:
        ledger = Ledger(archive, process_owner(), service.clock)
        with ledger.scheduler_lock(LOCK_NAME, LOCK_LEASE), pytest.raises(LockedError) as caught:
            serve(service, ticks=1)
    assert caught.value.exit_code == 75


def test_an_orphaned_lease_is_recovered_at_the_start(mini):
    feed(mini, "2020-01-06")
    clock = Clock("2020-01-08T07:00")
    service = replace(service_of(mini, clock, "fake_analysis:refuse"), work=work_here)
    tick(service)
    with Archive.open(mini.workdir / "archive", clock=clock) as archive:
        ledger = Ledger(archive, "elsewhere/1/abc", clock)
        key = next(row.key for row in ledger.rows() if row.key.step == "invert")
        ledger.claim(key, timedelta(minutes=1))
    clock.now += timedelta(minutes=2)
    events = []
    service = service_here(mini, clock)
    (result,) = serve(service, ticks=1, report=lambda event, facts: events.append(event))
    assert "lease recovered" in events
    assert len(result.done) == 1


def test_only_configured_cities_can_be_chosen(mini):
    with pytest.raises(UsageError, match="no city is called atlantis"):
        open_service(mini.service, ["atlantis"])


def test_sigterm_ends_the_service_after_its_step_and_a_second_one_is_refused_before(mini):
    command = [sys.executable, "-m", "monitor", "serve", "--config", str(mini.service)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not _locked(mini) and time.monotonic() < deadline:
            time.sleep(0.1)
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 75
        assert "somebody else is at work" in second.stderr
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 0
    finally:
        first.kill()
        first.wait()


def _locked(city: MiniCity) -> bool:
    if not (city.workdir / "archive" / "catalogue.sqlite").exists():
        return False
    with Archive.open(city.workdir / "archive") as archive:
        return any(lock.lease_until for lock in Ledger(archive, "test").locks())


def test_a_failing_interval_is_left_alone_for_longer_and_longer(mini):
    feed(mini, "2020-01-06")
    clock = Clock("2020-01-08T07:00")
    failing = replace(service_of(mini, clock, "fake_analysis:refuse"), work=work_here)
    failures = []
    for _ in range(5):
        while not (result := tick(failing)).failed:
            assert "tried again from" in result.waiting[0][2]
            clock.now += timedelta(minutes=1)
        failures.append(clock.now)
    pauses = [(b - a) // timedelta(minutes=1) for a, b in pairwise(failures)]
    assert pauses == pytest.approx([0, 5, 10, 20], abs=1)  # workers stamp with the seconds they took
    mini.observations("2020-01-06", add_ppb=1.0, created="3 Feb 20")  # other inputs are another matter
    assert len(tick(service_here(mini, clock)).done) == 1


def test_a_file_that_still_grows_is_left_for_later(mini, monkeypatch):
    feed(mini, "2020-01-06")
    path = mini.footprints("2020-01-06")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    service = service_here(mini, Clock("2020-01-08T07:00"))
    with monkeypatch.context() as patch:
        patch.setattr(jobs.time, "sleep", lambda _: path.write_bytes(whole[: path.stat().st_size + 100]))
        assert "no footprints" in tick(service).waiting[0][2]
    with Archive.open(mini.workdir / "archive") as archive:
        assert list(archive.quarantined()) == []
    path.write_bytes(whole)
    assert len(tick(service).done) == 1


def test_an_interval_is_not_answered_from_the_data_before_it(mini):
    feed(mini, "2020-01-06")
    service = replace(service_of(mini, Clock("2020-01-10T07:00")), work=work_here)
    service = replace(service, config=service.config.model_copy(update={"window_days": 6.0}))
    result = tick(service)
    assert [interval for _, interval in result.done] == intervals_of("2020-01-06")
    assert [interval for _, interval, _ in result.waiting] == intervals_of("2020-01-08")
