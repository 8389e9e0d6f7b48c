"""A run killed at any moment, run again, ends in the same archive as an unbroken one."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import xarray as xr

from monitor.archive import CRASH_POINTS, Archive, crash, sha256_of
from monitor.domain import Interval
from monitor.errors import SourceFormatError
from monitor.service.ledger import Ledger, StepKey, process_owner

Series = Callable[..., xr.Dataset]
fork = multiprocessing.get_context("fork")
JULY = Interval.parse("2016-07-01", "2016-08-01")
KEY = StepKey("tac", "ingest", JULY, "e" * 64)


def run(root: Path, series: Series) -> None:
    """A step as the service does one: claim, quarantine, store, revise, and all of it in one commit."""
    (root.parent / "bad.dat").write_bytes(b"raw")
    with Archive.open(root) as archive:
        claim = Ledger(archive, process_owner()).claim(KEY, timedelta(hours=1))
        if claim is None:
            return
        archive.quarantine(root.parent / "bad.dat", SourceFormatError("broken"))
        old, new = archive.store(series(1.0)), archive.store(series(2.0))
        page = archive.store_document(b"{}", ".json")
        with archive.transaction() as tx:
            tx.record(old, kind="observations", key="o", valid=JULY)
            tx.record(page, kind="verdict", key="v", made_from=[old.digest])
            tx.record(new, kind="observations", key="o", valid=JULY)
            tx.note_file("tac", "a.dat", "a" * 64, 1, "ingested", [new.digest])
            claim.done(tx, [new.digest, page.digest])


def state(root: Path) -> dict[str, object]:
    """What must be equal in the end: everything but times and the number of attempts."""
    with Archive.open(root) as archive:
        assert archive.verify().ok
        archive.collect_orphans(timedelta(0))
        assert archive.verify().orphans == ()
        records = [r for key in ("o", "v") for r in archive.history(key)]
        for record in records:
            assert archive.object_path(record.digest, record.suffix).is_file()
        rows = Ledger(archive, "test").rows()
        return {
            "files": sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()),
            "records": [(r.key, r.digest, r.status, r.valid, r.made_from) for r in records],
            "seen": archive.seen_file("tac", "a" * 64, "ingested"),
            "quarantined": [(q.name, sha256_of(q.path)) for q in archive.quarantined()],
            "ledger": [(r.key, r.status, r.outputs, r.error) for r in rows],
        }


def _child(root: Path, series: Series, at: str) -> None:
    os.environ["MONITOR_CRASH_AT"] = at
    crash._visits.clear()
    run(root, series)


def crashed_run(root: Path, series: Series, at: str) -> bool:
    child = fork.Process(target=_child, args=(root, series, at))
    child.start()
    child.join()
    assert child.exitcode in (0, 137)
    return child.exitcode == 137


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_run_killed_at_a_named_point_and_run_again_ends_the_same(
    point: str, tmp_path: Path, series: Series
) -> None:
    run(tmp_path / "unbroken", series)
    expected = state(tmp_path / "unbroken")
    visit = 1
    while crashed_run(tmp_path / f"visit-{visit}", series, f"{point}:{visit}"):
        run(tmp_path / f"visit-{visit}", series)
        assert state(tmp_path / f"visit-{visit}") == expected
        visit += 1
    assert visit > 1, "the run never passed this point"


def _write_for_ever(root: Path, series: Series) -> None:
    with Archive.open(root) as archive:
        for value in range(10_000):
            stored = archive.store(series(float(value), n=20_000))
            with archive.transaction() as tx:
                tx.record(stored, kind="observations", key=f"o/{value}")


def _wait_for_another(objects: Path) -> None:
    """Until the writer is at work, however slow the machine is."""
    before, until = len(list(objects.rglob("*.nc"))), time.monotonic() + 60
    while len(list(objects.rglob("*.nc"))) == before and time.monotonic() < until:
        time.sleep(0.005)


def test_a_writer_killed_at_any_moment_leaves_whole_objects_or_none(tmp_path: Path, series: Series) -> None:
    dice = random.Random(1)
    root = tmp_path / "archive"
    with Archive.open(root) as archive:
        for _ in range(14):
            child = fork.Process(target=_write_for_ever, args=(root, series))
            child.start()
            _wait_for_another(root / "objects")
            time.sleep(dice.uniform(0.0, 0.25))
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            for path in (root / "objects").rglob("*.nc"):
                assert archive.load(path.stem).sizes["time"] == 20_000
            assert archive.verify().ok
        assert len(archive.find()) > 5
        archive.collect_orphans(timedelta(0))
        assert not list((root / "tmp").iterdir())
