"""How the service is: what was done, what waits for a person, and whether the machine is fit for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from monitor.archive import Archive, utcnow
from monitor.domain import iso_z
from monitor.errors import MissingInputError, MonitorError
from monitor.service.ledger import Ledger, LockState, process_owner

#: Less free space than this is worth a warning [bytes].
_LITTLE_SPACE: Final = 2 * 2**30
#: A clock before this moment has not been set.
_NOT_BEFORE: Final = datetime(2024, 1, 1)


def status(workdir: Path, *, clock: Callable[[], datetime] = utcnow) -> dict[str, Any]:
    """What `monitor status` shows, JSON-ready: ledger, last done, quarantine, stale verdicts, locks.

    Raises
    ------
    MissingInputError
        When there is no archive in `workdir`.
    """
    root = existing_archive(workdir)
    with Archive.open(root, clock=clock) as archive:
        ledger = Ledger(archive, process_owner(), clock)
        rows = ledger.rows()
        verdicts = archive.find(kind="verdict")
        return {
            "workdir": str(workdir.absolute()),
            "ledger": [row.as_dict() for row in rows],
            "last_done": {
                city: done.key.interval.as_json()
                for city in sorted({row.key.city for row in rows})
                if (done := ledger.last_done(city, "publish")) is not None
            },
            "quarantined": [record.as_dict() for record in archive.quarantined()],
            "stale_verdicts": [record.as_dict() for record in verdicts if record.stale],
            "locks": [_lock_as_json(lock, clock()) for lock in ledger.locks()],
        }


def existing_archive(workdir: Path) -> Path:
    """The archive's folder in `workdir`; `MissingInputError` when there is none."""
    root = workdir / "archive"
    if not root.is_dir():
        raise MissingInputError(
            "there is no archive here",
            expected="a working folder that a run has written",
            where=str(workdir),
            remedy="name the folder with --workdir, or run `monitor run` first",
        )
    return root


def _lock_as_json(lock: LockState, now: datetime) -> dict[str, Any]:
    held = lock.lease_until is not None and lock.lease_until > now
    return {
        "name": lock.name,
        "held": held,
        "owner": lock.owner,
        "acquired_at": iso_z(lock.acquired_at),
        "heartbeat_at": iso_z(lock.heartbeat_at),
        "lease_until": iso_z(lock.lease_until) if lock.lease_until else None,
    }


# --- doctor ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One check of the doctor: `state` is "ok", "warning" or "bad"."""

    name: str
    state: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {"check": self.name, "state": self.state, "detail": self.detail}


def examine(workdir: Path, configs: Sequence[Path] = ()) -> list[Check]:
    """Look at the machine, the working folder and the configuration files."""
    checks = [
        _python(),
        _sqlite(workdir),
        _space(workdir),
        _writable(workdir),
        _numba_cache(),
        _clock(workdir),
    ]
    return [*checks, *(_configuration(path) for path in configs)]


def _python() -> Check:
    version = sys.version.split()[0]
    return Check("python", "ok" if sys.version_info >= (3, 11) else "bad", version)


def _sqlite(workdir: Path) -> Check:
    from monitor.archive.database import WAL_SAFE, sqlite_journal_mode

    mode = f"SQLite {sqlite3.sqlite_version}, journal mode {sqlite_journal_mode()}"
    if _on_network(workdir):
        return Check(
            "sqlite", "bad", f"{mode}; {workdir} is on a network file system, where its locks do not hold"
        )
    safe = ".".join(map(str, WAL_SAFE))
    return Check("sqlite", "ok", mode if "WAL" in mode else f"{mode} (WAL is safe from {safe})")


def _on_network(path: Path) -> bool:
    """Whether `path` lies on a network file system; False where the system does not say."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return False
    real, best = os.path.realpath(path), ("", "")
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, place, kind, *_ = line.split()
        if (real == place or real.startswith(place.rstrip("/") + "/")) and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1].startswith(("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs"))


def _nearest(path: Path) -> Path:
    """`path`, or its nearest parent that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _space(workdir: Path) -> Check:
    free = shutil.disk_usage(_nearest(workdir)).free
    state = "ok" if free >= _LITTLE_SPACE else "warning"
    return Check("disk", state, f"{free / 2**30:.1f} GiB free at {workdir}")


def _writable(workdir: Path) -> Check:
    real = Path(os.path.realpath(workdir))
    try:
        with tempfile.TemporaryFile(dir=_nearest(workdir)):
            return Check("working folder", "ok", str(real))
    except OSError as error:
        return Check("working folder", "bad", f"{real}: {error.strerror}")


def _numba_cache() -> Check:
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).resolve().parents[1])
    if os.access(_nearest(place), os.W_OK):
        return Check("numba cache", "ok", str(place))
    return Check("numba cache", "warning", f"{place} is read-only: every start compiles; set NUMBA_CACHE_DIR")


def _clock(workdir: Path) -> Check:
    now, newest = utcnow(), datetime.min
    if (workdir / "archive").is_dir():
        newest = max((row.started_at for row in _rows(workdir)), default=datetime.min)
    if now < _NOT_BEFORE or now < newest:
        return Check(
            "clock", "bad", f"{iso_z(now)} is before {iso_z(max(newest, _NOT_BEFORE))}: set the clock"
        )
    return Check("clock", "ok", f"{iso_z(now)}, time zone of the system {time.strftime('%Z')} (not used)")


def _rows(workdir: Path) -> list[Any]:
    with Archive.open(workdir / "archive") as archive:
        return list(Ledger(archive, process_owner()).rows())


def _configuration(path: Path) -> Check:
    from monitor.service.checking import check_file

    try:
        return Check("configuration", "ok", f"{path}: {check_file(path)}")
    except MonitorError as error:
        return Check("configuration", "bad", str(error))


def schema_revision(root: Path) -> str | None:
    """The revision of the catalogue in the archive's folder `root`, untouched; None when there is none."""
    file = root / "catalogue.sqlite"
    if not file.is_file():
        return None
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return str(row[0]) if row else None
