"""Several writers at once: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from monitor.archive import Archive, netcdf
from monitor.archive.database import sqlite_journal_mode
from monitor.errors import LockedError

Series = Callable[..., xr.Dataset]
fork = multiprocessing.get_context("fork")


def _increment(root: Path, url: str | None, series: Series, times: int) -> None:
    with Archive.open(root, url) as archive:
        for _ in range(times):
            with archive.transaction() as tx:
                record = tx.current("counter")
                value = float(archive.load(record.digest)["mole_fraction"][-1]) if record else 0.0
                tx.record(archive.store(series(value + 1)), kind="counter", key="counter")


def test_no_increment_of_three_writers_is_lost(any_archive: Archive, series: Series) -> None:
    engine = any_archive.database.engine
    url = None if any_archive.database.is_sqlite else engine.url.render_as_string(hide_password=False)
    engine.dispose()  # no connection may cross the fork
    children = [fork.Process(target=_increment, args=(any_archive.root, url, series, 10)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    record = any_archive.current("counter")
    assert record is not None
    assert float(any_archive.load(record.digest)["mole_fraction"][-1]) == 30.0
    assert len(any_archive.history("counter")) == 30
    assert any_archive.verify().ok


def _store_the_same(root: Path, series: Series, start: float) -> None:
    with Archive.open(root) as archive:
        time.sleep(max(0.0, start - time.time()))
        for value in range(10):
            stored = archive.store(series(float(value), n=2000))
            with archive.transaction() as tx:
                tx.record(stored, kind="observations", key=f"o/{value}")


def test_writers_of_the_same_content_agree_on_one_file(archive: Archive, series: Series) -> None:
    start = time.time() + 0.3
    children = [fork.Process(target=_store_the_same, args=(archive.root, series, start)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert archive.verify().ok
    assert [len(archive.history(f"o/{value}")) for value in range(10)] == [1] * 10


def test_the_first_good_file_stays_though_the_bytes_of_equal_content_differ(
    archive: Archive, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer stores and records the same content while we are still making our bytes."""
    make = netcdf.to_bytes

    def overtaken(dataset: xr.Dataset) -> bytes:
        monkeypatch.setattr(netcdf, "to_bytes", lambda dataset: make(dataset) + bytes(512))
        with Archive.open(archive.root) as other:
            theirs = other.store(dataset)
            with other.transaction() as tx:
                tx.record(theirs, kind="observations", key="o")
        return make(dataset)

    monkeypatch.setattr(netcdf, "to_bytes", overtaken)
    ours = archive.store(series())
    with archive.transaction() as tx:
        tx.record(ours, kind="observations", key="o")
    assert ours.size == len(make(series())) + 512
    assert archive.verify().ok


def _open(root: Path) -> None:
    Archive.open(root).close()


def test_many_may_open_a_new_archive_at_once(tmp_path: Path) -> None:
    children = [fork.Process(target=_open, args=(tmp_path / "archive",)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4


def test_a_lock_that_is_never_given_back_ends_in_an_error(archive: Archive, series: Series) -> None:
    stored = archive.store(series())
    other = sqlite3.connect(archive.root / "catalogue.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Archive.open(archive.root, lock_timeout_s=0.2) as waiting:
        began = time.monotonic()
        with (
            pytest.raises(LockedError, match=r"locked by another process.*within 0.2 s.*try again") as caught,
            waiting.transaction() as tx,
        ):
            tx.record(stored, kind="observations", key="o")
        assert time.monotonic() - began < 5
        assert caught.value.exit_code == 75
        assert waiting.find() == []  # readers go on
        other.execute("ROLLBACK")
        with waiting.transaction() as tx:
            tx.record(stored, kind="observations", key="o")
    other.close()


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 40, 1), "DELETE"), ((3, 51, 2), "DELETE"), ((3, 51, 3), "WAL"), ((4, 0, 0), "WAL")],
)
def test_wal_is_used_only_where_the_library_is_safe(
    version: tuple[int, int, int], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert sqlite_journal_mode() == mode
    with Archive.open(tmp_path) as archive, archive.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == mode.lower()
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
