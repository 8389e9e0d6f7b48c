"""Faults of the disk: each is noticed, said, and costs nothing that was stored before."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import resource
import shutil
from collections import namedtuple
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import xarray as xr

from monitor.archive import Archive, StoredObject
from monitor.errors import SourceFormatError, StorageError

Series = Callable[..., xr.Dataset]
fork = multiprocessing.get_context("fork")


def recorded(archive: Archive, series: Series, value: float = 1.0) -> StoredObject:
    stored = archive.store(series(value))
    with archive.transaction() as tx:
        tx.record(stored, kind="observations", key="observations/tac")
    return stored


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_flipped_bit_is_noticed_and_storing_again_heals(archive: Archive, series: Series) -> None:
    stored = recorded(archive, series)
    whole = stored.path.read_bytes()
    dice = random.Random(20160701)
    for _ in range(40):
        raw = bytearray(whole)
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        stored.path.write_bytes(raw)
        with pytest.raises(StorageError, match="not what was stored"):
            archive.load(stored.digest)
    report = archive.verify()
    assert not report.ok
    assert report.corrupt == (str(stored.path),)
    archive.store(series())
    assert archive.verify().ok
    xr.testing.assert_identical(archive.load(stored.digest), series())


@pytest.mark.parametrize("size", [0, 1, 8, 100, 1000, 4096])
def test_a_truncated_object_is_noticed_recorded_or_not(archive: Archive, series: Series, size: int) -> None:
    for stored in (recorded(archive, series), archive.store(series(5.0))):
        stored.path.write_bytes(stored.path.read_bytes()[:size])
        with pytest.raises(StorageError):
            archive.load(stored.digest)
    assert archive.verify().corrupt == (str(recorded_path(archive)),)


def recorded_path(archive: Archive) -> Path:
    (record,) = archive.find()
    return archive.object_path(record.digest)


def test_a_missing_object_is_said_and_can_be_stored_again(archive: Archive, series: Series) -> None:
    stored = recorded(archive, series)
    stored.path.unlink()
    with pytest.raises(StorageError, match="missing.*restore"):
        archive.load(stored.digest)
    assert archive.verify().missing == (str(stored.path),)
    archive.store(series())
    assert archive.verify().ok


def test_a_damaged_quarantined_file_is_reported(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "bad.dat").write_bytes(b"raw")
    kept = archive.quarantine(tmp_path / "bad.dat", SourceFormatError("broken"))
    kept.path.write_bytes(b"rot")
    assert archive.verify().corrupt == (str(kept.path),)


def test_a_full_disk_leaves_no_trace(
    archive: Archive, series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(archive, series)
    before = snapshot(archive.root)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("monitor.archive.files.os.fsync", full)
    with pytest.raises(StorageError, match=r"disk is full.*No space left.*free some space") as caught:
        archive.store(series(2.0))
    assert caught.value.exit_code == 74
    with pytest.raises(StorageError, match="disk is full"):
        archive.store_document(b"{}", ".json")
    (tmp_path / "bad.dat").write_bytes(b"raw")
    with pytest.raises(StorageError, match="disk is full"):
        archive.quarantine(tmp_path / "bad.dat", SourceFormatError("broken"))
    assert snapshot(archive.root) == before


def _store_with_a_file_size_limit(root: Path, dataset: xr.Dataset) -> None:
    archive = Archive.open(root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    try:
        archive.store(dataset)
    except StorageError as error:
        os._exit(error.exit_code)
    os._exit(1)


def test_a_write_that_the_system_cuts_short_leaves_no_trace(archive: Archive, series: Series) -> None:
    """The limit on file size fails a write halfway, inside the kernel, as a full disk does."""
    recorded(archive, series)
    before = snapshot(archive.root)
    child = fork.Process(target=_store_with_a_file_size_limit, args=(archive.root, series(2.0)))
    child.start()
    child.join()
    assert child.exitcode == 74
    assert snapshot(archive.root) == before


def test_space_is_looked_at_before_writing(
    archive: Archive, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(StorageError, match=r"not enough space.*bytes free; found: 1,000"):
        archive.store(series())
    assert not list((archive.root / "tmp").iterdir())


def test_a_full_database_undoes_the_transaction(archive: Archive, series: Series) -> None:
    stored = recorded(archive, series)

    def fill() -> None:
        with archive.transaction() as tx:
            tx.session.connection().exec_driver_sql("PRAGMA max_page_count = 1")
            for i in range(2000):
                tx.record(stored, kind="observations", key=f"observations/{i}/{'x' * 200}")

    with pytest.raises(StorageError, match=r"database failed.*full"):
        fill()
    assert [record.key for record in archive.find()] == ["observations/tac"]
    assert archive.verify().ok


def test_a_damaged_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Archive.open(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"the disk refused.*file"):
        Archive.open(tmp_path / "file" / "archive")


def test_orphans_and_temporaries_are_collected_after_the_grace_only(archive: Archive, series: Series) -> None:
    kept, orphan = recorded(archive, series), archive.store(series(2.0))
    (archive.root / "tmp" / "1-left.nc").write_bytes(b"half")
    assert archive.verify().orphans == (str(orphan.path),)
    assert archive.collect_orphans(timedelta(hours=1)) == []
    old = orphan.path.stat().st_mtime - 7200
    for path in (orphan.path, archive.root / "tmp" / "1-left.nc", kept.path):
        os.utime(path, (old, old))
    archive.store(series(2.0))  # a new run needs the orphan: its grace begins anew
    assert archive.collect_orphans(timedelta(hours=1)) == [archive.root / "tmp" / "1-left.nc"]
    os.utime(orphan.path, (old, old))
    assert archive.collect_orphans(timedelta(hours=1)) == [orphan.path]
    assert kept.path.is_file()
    assert archive.verify().ok
