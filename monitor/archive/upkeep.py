"""Checking the archive against the disk, and clearing away what killed runs left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitor.archive.database import Database
from monitor.archive.files import sha256_of, storage_errors
from monitor.archive.models import ObjectRow, QuarantineRow
from monitor.archive.records import VerifyReport


def verify(root: Path, database: Database) -> VerifyReport:
    """Compare every object and quarantined file with its SHA-256, and let the database check itself."""
    with database.reading() as session:
        expected = _expected(root, session)
        faults = _catalogue_faults(session) if database.is_sqlite else ()
    missing, corrupt = [], []
    checksums: dict[str, tuple[str, str]] = {}
    for path, sha256 in expected.items():
        if not path.is_file():
            missing.append(str(path))
        elif (found := _read_sha256(path)) != sha256:
            corrupt.append(str(path))
            checksums |= {str(path): (sha256, found)} if found else {}
    orphans = tuple(str(path) for path in _kept_files(root) if path not in expected)
    return VerifyReport(len(expected), tuple(missing), tuple(corrupt), orphans, faults, checksums)


def _read_sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:  # a sector that cannot be read is damage to report, not a reason to stop
        return ""


def collect_orphans(root: Path, database: Database, grace: timedelta) -> list[Path]:
    """Delete temporaries and files without a row, unchanged for `grace`.

    The write lock is held, so that no file is taken between a `store` and the commit that names it
    within the grace.
    """
    oldest = time.time() - grace.total_seconds()
    collected = []
    with database.writing() as session, storage_errors(root):
        expected = _expected(root, session)
        candidates = [path for path in _kept_files(root) if path not in expected]
        for path in [*candidates, *(root / "tmp").iterdir()]:
            with contextlib.suppress(FileNotFoundError):  # a temporary whose writer has just finished
                if path.stat().st_mtime <= oldest:
                    path.unlink()
                    collected.append(path)
    return collected


def _expected(root: Path, session: Session) -> dict[Path, str]:
    """Every file the catalogue names, with its SHA-256."""
    objects = root / "objects"
    files = {
        objects / row.digest[:2] / f"{row.digest}{row.suffix}": row.sha256
        for row in session.scalars(select(ObjectRow).order_by(ObjectRow.digest))
    }
    for row in session.scalars(select(QuarantineRow).order_by(QuarantineRow.id)):
        files[root / "quarantine" / row.sha256 / row.name] = row.sha256
    return files


def _kept_files(root: Path) -> Iterator[Path]:
    for folder in ("objects", "quarantine"):
        yield from sorted(path for path in (root / folder).glob("*/*") if path.is_file())


def _catalogue_faults(session: Session) -> tuple[str, ...]:
    connection = session.connection()
    integrity = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    dangling = [
        f"dangling reference: {tuple(row)}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
    ]
    return tuple([text for text in integrity if text != "ok"] + dangling)
