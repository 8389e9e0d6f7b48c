"""The archive: immutable objects on the disk, and a catalogue of what they are and when we learned it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import xarray as xr
from sqlalchemy import func, or_, select

from monitor.archive import netcdf, upkeep
from monitor.archive.crash import crash_point
from monitor.archive.database import Database
from monitor.archive.digest import content_digest
from monitor.archive.files import sha256_of, storage_errors, write_whole
from monitor.archive.models import ObjectRow, QuarantineRow, RecordRow, SourceFileRow
from monitor.archive.records import (
    ObjectRecord,
    QuarantineRecord,
    StoredObject,
    VerifyReport,
    ensure_digests,
    object_record,
    quarantine_record,
    utcnow,
)
from monitor.archive.transaction import Transaction
from monitor.domain import Interval
from monitor.errors import MonitorError, StorageError

_DATASET_SUFFIX = ".nc"


class Archive:
    """Objects that never change, and a catalogue that only grows; see `open`.

    Nothing is edited or deleted: a new object supersedes the old one under the same key, and
    ``as_of=`` any past moment gives back what was known then.
    """

    def __init__(self, root: Path, database: Database, clock: Callable[[], datetime]) -> None:
        self.root = root
        self.database = database
        self._clock = clock
        self._writing = threading.local()  # a scheduler's threads each have their own transactions

    @classmethod
    def open(
        cls,
        root: Path,
        url: str | None = None,
        *,
        clock: Callable[[], datetime] = utcnow,
        lock_timeout_s: float = 30.0,
    ) -> Archive:
        """The archive in folder `root`, made if absent, its schema brought up to date.

        Parameters
        ----------
        root : Path
            Holds objects/, quarantine/, tmp/ and, by default, catalogue.sqlite.
        url : str, optional
            SQLAlchemy URL of another database, such as ``postgresql+psycopg://…``.
        clock : callable, optional
            Gives the recorded time: UTC, timezone-free.
        lock_timeout_s : float, optional
            How long to wait for another writer before `LockedError`.

        Raises
        ------
        StorageError
            When the folder cannot be made, or the schema is newer than this version.
        """
        root = Path(root).absolute()
        with storage_errors(root):
            for folder in ("objects", "quarantine", "tmp"):
                (root / folder).mkdir(parents=True, exist_ok=True)
        database = Database(url or f"sqlite:///{root / 'catalogue.sqlite'}", lock_timeout_s=lock_timeout_s)
        database.migrate(root / "backups")
        return cls(root, database, clock)

    def close(self) -> None:
        """Give back the database connections."""
        self.database.engine.dispose()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- objects ---------------------------------------------------------------------------------

    def store(self, dataset: xr.Dataset) -> StoredObject:
        """Put `dataset` on the disk, whole and verified, under its content digest; again: nothing happens.

        It means nothing until `Transaction.record` says what it is.

        Raises
        ------
        ContractError
            When the dataset holds something that netCDF-4 cannot keep exactly.
        StorageError
            When the disk is full or fails; nothing stored before is touched.
        """
        digest = content_digest(dataset)

        def verify(raw: bytes) -> bool:
            return content_digest(netcdf.from_bytes(raw, where=digest)) == digest

        return self._store(digest, _DATASET_SUFFIX, lambda: netcdf.to_bytes(dataset), verify)

    def store_document(self, payload: bytes, suffix: str) -> StoredObject:
        """Put a document (".json", ".html", …) on the disk under the SHA-256 of its bytes."""
        if suffix == _DATASET_SUFFIX or not suffix.startswith(".") or not suffix[1:].isalnum():
            raise ValueError(f"a document's suffix is like '.json', not {suffix!r}")
        digest = hashlib.sha256(payload).hexdigest()
        return self._store(digest, suffix, lambda: payload, lambda raw: raw == payload)

    def _store(
        self, digest: str, suffix: str, make: Callable[[], bytes], verify: Callable[[bytes], bool]
    ) -> StoredObject:
        path = self.object_path(digest, suffix)
        with storage_errors(path):
            kept = self._kept(digest, path, verify)
        if kept:
            return kept
        # The bytes of equal content differ from writer to writer, so the first good file stays.
        write_whole(
            make(),
            path,
            self.root / "tmp",
            verify=verify,
            is_kept=lambda: self._kept(digest, path, verify) is not None,
        )
        raw = path.read_bytes()
        stored = StoredObject(digest, hashlib.sha256(raw).hexdigest(), len(raw), path)
        self._heal(stored)
        return stored

    def _kept(self, digest: str, path: Path, verify: Callable[[bytes], bool]) -> StoredObject | None:
        """The object, if it is on the disk already and intact."""
        if not path.exists():
            return None
        raw = path.read_bytes()
        found = hashlib.sha256(raw).hexdigest()
        row = self._object_row(digest)
        try:
            intact = row.sha256 == found if row else verify(raw)
        except StorageError:
            intact = False
        if not intact:
            return None
        os.utime(path)  # if it is an orphan of a killed run, its grace begins anew
        return StoredObject(digest, found, len(raw), path)

    def _heal(self, stored: StoredObject) -> None:
        """A damaged object was written again, and the same content may have other bytes."""
        row = self._object_row(stored.digest)
        if row and row.sha256 != stored.sha256:
            with self.database.writing() as session:
                healed = session.get_one(ObjectRow, stored.digest)
                healed.sha256, healed.size = sha256_of(stored.path), stored.path.stat().st_size

    def load(self, digest: str) -> xr.Dataset:
        """The dataset with this content digest, in memory, verified against what was stored.

        Raises
        ------
        StorageError
            When the object is unknown or missing, or its bytes have changed.
        """
        path = self.object_path(digest, _DATASET_SUFFIX)
        raw, known = self._read_verified(digest, path, "dataset")
        dataset = netcdf.from_bytes(raw, where=str(path))
        if not known and content_digest(dataset) != digest:
            raise _corrupt(path)
        return dataset

    def load_document(self, digest: str) -> bytes:
        """The bytes of the document with this digest, verified."""
        row = self._object_row(digest)
        path = self.object_path(digest, row.suffix if row else "")
        if not row:  # stored, but not recorded yet
            path = next(self._shard(digest).glob(f"{digest}.*"), path)
        raw, _ = self._read_verified(digest, path, "document")
        if hashlib.sha256(raw).hexdigest() != digest:
            raise _corrupt(path)
        return raw

    def _read_verified(self, digest: str, path: Path, sort: str) -> tuple[bytes, bool]:
        """The bytes at `path`, and whether the catalogue knew their checksum."""
        row = self._object_row(digest)
        if row and (row.suffix == _DATASET_SUFFIX) != (sort == "dataset"):
            raise StorageError(
                "an object is of another sort", expected=sort, found=f"'{row.suffix}'", where=digest
            )
        if not path.is_file():
            raise StorageError(
                "an object is missing" if row else "no such object",
                where=str(path),
                remedy="restore the file from a backup, or ingest its sources again" if row else "",
            )
        with storage_errors(path):
            raw = path.read_bytes()
        if row and hashlib.sha256(raw).hexdigest() != row.sha256:
            raise _corrupt(path)
        return raw, row is not None

    def object_path(self, digest: str, suffix: str = _DATASET_SUFFIX) -> Path:
        """Where the object with this digest lies, or would lie; `InputError` for what is no digest."""
        ensure_digests([digest])
        return self._shard(digest) / f"{digest}{suffix}"

    def _shard(self, digest: str) -> Path:
        return self.root / "objects" / digest[:2]

    def holds(self, digest: str) -> bool:
        """Whether an object of this digest was ever recorded."""
        return self._object_row(digest) is not None

    def _object_row(self, digest: str) -> ObjectRow | None:
        with self.database.reading() as session:
            return session.get(ObjectRow, digest)

    # --- the catalogue ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One database transaction, holding the write lock; committed at the end, undone on any error.

        Keep it short: store objects before it, record them in it.

        Raises
        ------
        LockedError
            When another writer holds the lock for longer than the time-out.
        """
        if getattr(self._writing, "now", False):
            raise RuntimeError("a transaction is open already; use its own methods")
        self._writing.now = True
        try:
            with self.database.writing() as session:
                yield Transaction(session, self.root, self._clock())
                session.flush()
                crash_point("before-commit")
        finally:
            self._writing.now = False
        crash_point("after-commit")

    def current(self, key: str, as_of: datetime | None = None) -> ObjectRecord | None:
        """The record that holds `key` now, or held it at `as_of` (recorded time, UTC)."""
        return next(iter(self._records(RecordRow.key == key, _known_at(as_of), as_of=as_of)), None)

    def find(
        self,
        kind: str | None = None,
        prefix: str = "",
        valid_overlaps: Interval | None = None,
        as_of: datetime | None = None,
    ) -> list[ObjectRecord]:
        """Current records (at `as_of`), by kind, beginning of the key and valid time; sorted by key.

        With `valid_overlaps`, records without a valid interval are left out.
        """
        conditions = [_known_at(as_of)]
        if kind is not None:
            conditions.append(RecordRow.kind == kind)
        if prefix:  # not LIKE, which ignores case in SQLite
            conditions.append(func.substr(RecordRow.key, 1, len(prefix)) == prefix)
        if valid_overlaps is not None:
            conditions += [
                RecordRow.valid_start < valid_overlaps.end,
                RecordRow.valid_end > valid_overlaps.start,
            ]
        return self._records(*conditions, as_of=as_of)

    def history(self, key: str) -> list[ObjectRecord]:
        """Every record that ever held `key`, oldest first."""
        return self._records(RecordRow.key == key)

    def _records(self, *conditions: object, as_of: datetime | None = None) -> list[ObjectRecord]:
        query = select(RecordRow).where(*conditions).order_by(RecordRow.id)  # type: ignore[arg-type]
        with self.database.reading() as session:
            records = [object_record(row, as_of) for row in session.scalars(query)]
        return sorted(records, key=lambda record: record.key)  # each server has its own order of text

    def seen_file(self, source_id: str, sha256: str, outcome: str | None = None) -> bool:
        """Whether `source_id`'s file with this content was ingested or quarantined (or only `outcome`)."""
        query = select(SourceFileRow.id).filter_by(source_id=source_id, sha256=sha256)
        if outcome is not None:
            query = query.filter_by(outcome=outcome)
        with self.database.reading() as session:
            return session.scalars(query).first() is not None

    # --- quarantine and upkeep -------------------------------------------------------------------

    def quarantine(self, path: Path, error: MonitorError) -> QuarantineRecord:
        """Keep the raw bytes of `path` with the reason it could not be used, in a transaction of its own."""
        with self.transaction() as tx:
            return tx.quarantine(path, error)

    def quarantined(self) -> list[QuarantineRecord]:
        """Every quarantined file, oldest first."""
        with self.database.reading() as session:
            rows = session.scalars(select(QuarantineRow).order_by(QuarantineRow.id)).all()
        return [quarantine_record(row, self.root / "quarantine") for row in rows]

    def verify(self) -> VerifyReport:
        """Read every object and quarantined file and compare its SHA-256; check the database itself."""
        return upkeep.verify(self.root, self.database)

    def collect_orphans(self, grace: timedelta) -> list[Path]:
        """Delete files that no row names and that are older than `grace`; returns what was deleted."""
        return upkeep.collect_orphans(self.root, self.database, grace)


def _known_at(as_of: datetime | None) -> object:
    if as_of is None:
        return RecordRow.superseded_at.is_(None)
    ended_later = or_(RecordRow.superseded_at.is_(None), RecordRow.superseded_at > as_of)
    return (RecordRow.recorded_at <= as_of) & ended_later


def _corrupt(path: Path) -> StorageError:
    return StorageError(
        "an object is not what was stored",
        expected="the SHA-256 of the catalogue",
        where=str(path),
        remedy="restore the file from a backup, or store its content again; `monitor verify` lists all",
    )
