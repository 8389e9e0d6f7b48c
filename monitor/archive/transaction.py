"""What may be written into the catalogue, all in one database transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from monitor.archive.crash import crash_point
from monitor.archive.files import copy_whole, sha256_of, storage_errors
from monitor.archive.models import ObjectRow, QuarantineRow, RecordInputRow, RecordRow, SourceFileRow
from monitor.archive.records import (
    ObjectRecord,
    QuarantineRecord,
    StoredObject,
    ensure_digests,
    object_record,
    quarantine_record,
)
from monitor.domain import Interval, iso_z
from monitor.errors import InputError, MonitorError, StorageError

#: What can become of a source's file.
OUTCOMES = ("ingested", "quarantined")
_CLOCK_TOLERANCE = timedelta(days=1)


class Transaction:
    """Writes that are kept together or not at all; made by `Archive.transaction`.

    `moment` is the recorded time of all of them: now, but never before anything recorded earlier, so
    that a clock which steps back cannot change what was known at a past moment.
    """

    def __init__(self, session: Session, root: Path, now: datetime) -> None:
        self.session = session
        self._root = root
        latest = session.scalar(select(func.max(RecordRow.recorded_at)))
        self.moment = max(now, latest) if latest else now

    def current(self, key: str) -> ObjectRecord | None:
        """The record that holds `key` now, this transaction's own writes included."""
        row = self._current_row(key)
        return object_record(row) if row else None

    def record(
        self,
        stored: StoredObject,
        *,
        kind: str,
        key: str,
        valid: Interval | None = None,
        made_from: Iterable[str] = (),
        config_digest: str = "",
        code_version: str = "",
        recorded_at: datetime | None = None,
    ) -> ObjectRecord:
        """Say that `stored` is now what `key` means.

        The same digest as the current record's: nothing happens, unless that record is stale, in which
        case it is confirmed by a new one.  Another digest: the new record supersedes the current one,
        and every record made from the old object, directly or not, is marked stale.  A record whose
        own inputs are superseded already is born stale.

        Parameters
        ----------
        stored : StoredObject
            From `Archive.store` or `Archive.store_document`.
        kind, key : str
            The class of thing ("observations") and its logical identity, stable over revisions
            ("observations/tacolneston/TAC/100m/ch4/2016-07").
        valid : Interval, optional
            The interval the data are about.
        made_from : iterable of str
            Digests of what it was made from.
        recorded_at : datetime, optional
            UTC; when it became known, if not now.

        Raises
        ------
        StorageError
            When the stored file is gone.
        InputError
            When a digest is malformed or `recorded_at` lies before the record it would supersede.
        """
        inputs = sorted(set(made_from))
        ensure_digests([stored.digest, *inputs])
        current = self._current_row(key)
        moment = self._recorded_time(recorded_at, current)
        outdated = self._outdated(inputs)
        if current and current.digest == stored.digest and (current.stale_at is None or outdated):
            return object_record(current)
        self._ensure_object(stored)
        if current:
            current.superseded_at = moment
            self.session.flush()  # one current record a key: the old one must end first
        row = RecordRow(
            key=key,
            kind=kind,
            digest=stored.digest,
            valid_start=valid.start if valid else None,
            valid_end=valid.end if valid else None,
            recorded_at=moment,
            config_digest=config_digest,
            code_version=code_version,
            inputs=[RecordInputRow(digest=digest) for digest in inputs],
        )
        self.session.add(row)
        if outdated:
            row.stale_at, row.stale_because = moment, f"made from superseded {outdated[0]}"
        if current and current.digest != stored.digest:
            self._mark_stale(current.digest, moment, f"{key} superseded at {iso_z(moment)}")
        self.session.flush()
        return object_record(row)

    def note_file(
        self,
        source_id: str,
        name: str,
        sha256: str,
        size: int,
        outcome: str,
        object_digests: Sequence[str] = (),
    ) -> None:
        """Remember that `source_id`'s file with this content was seen, and its `outcome` of `OUTCOMES`."""
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {OUTCOMES}, not {outcome!r}")
        ensure_digests([sha256, *object_digests])
        known = select(SourceFileRow).filter_by(source_id=source_id, sha256=sha256, outcome=outcome)
        row = self.session.scalars(known).one_or_none()
        if row:
            row.object_digests = sorted({*row.object_digests, *object_digests})
            return
        self.session.add(
            SourceFileRow(
                source_id=source_id,
                name=name,
                sha256=sha256,
                size=size,
                outcome=outcome,
                noted_at=self.moment,
                object_digests=sorted(set(object_digests)),
            )
        )

    def quarantine(self, path: Path, error: MonitorError) -> QuarantineRecord:
        """Keep the raw bytes of `path` with the reason it could not be used; `path` itself is left alone.

        The same bytes under the same name are kept once, with the first reason.
        """
        with storage_errors(path):
            sha256, size = sha256_of(path), path.stat().st_size
        name = _file_name(path)
        folder = self._root / "quarantine"
        target = folder / sha256 / name
        if not target.exists() or sha256_of(target) != sha256:
            copy_whole(path, target, self._root / "tmp")
        crash_point("before-quarantine-row")
        row = self.session.scalars(select(QuarantineRow).filter_by(sha256=sha256, name=name)).one_or_none()
        if row is None:
            row = QuarantineRow(
                sha256=sha256, name=name, size=size, quarantined_at=self.moment, reason=error.as_dict()
            )
            self.session.add(row)
            self.session.flush()
        return quarantine_record(row, folder)

    def _current_row(self, key: str) -> RecordRow | None:
        query = select(RecordRow).where(RecordRow.key == key, RecordRow.superseded_at.is_(None))
        return self.session.scalars(query).one_or_none()

    def _recorded_time(self, given: datetime | None, current: RecordRow | None) -> datetime:
        if given is None:
            return self.moment
        if given.tzinfo is not None or given > self.moment + _CLOCK_TOLERANCE:
            raise InputError(
                "a recorded time must be UTC, timezone-free, and not in the future", found=given.isoformat()
            )
        if current and given < current.recorded_at:
            raise InputError(
                "a record cannot supersede one that became known later",
                expected=f"recorded at or after {current.recorded_at.isoformat()}",
                found=given.isoformat(),
                where=current.key,
            )
        return given

    def _ensure_object(self, stored: StoredObject) -> None:
        """A row for the file, which must be there: a collector may have taken an unrecorded one."""
        if not stored.path.is_file():
            raise StorageError(
                "the stored object is gone",
                where=str(stored.path),
                remedy="store it again; collect orphans only with a grace longer than a run",
            )
        if self.session.get(ObjectRow, stored.digest) is None:
            self.session.add(
                ObjectRow(
                    digest=stored.digest, sha256=stored.sha256, size=stored.size, suffix=stored.path.suffix
                )
            )
            self.session.flush()

    def _outdated(self, digests: list[str]) -> list[str]:
        """Those of `digests` that are ours, but that no fresh current record holds."""
        query = select(RecordRow.digest, RecordRow.superseded_at, RecordRow.stale_at).where(
            RecordRow.digest.in_(digests)
        )
        rows = self.session.execute(query).all()
        fresh = {
            digest for digest, superseded_at, stale_at in rows if superseded_at is None and stale_at is None
        }
        return sorted({row[0] for row in rows} - fresh)

    def _mark_stale(self, digest: str, moment: datetime, because: str) -> None:
        """Mark what was made from `digest`, and from that, and so on."""
        frontier = {digest}
        while frontier:
            query = select(RecordRow).where(
                RecordRow.inputs.any(RecordInputRow.digest.in_(frontier)), RecordRow.stale_at.is_(None)
            )
            rows = self.session.scalars(query).all()
            for row in rows:
                row.stale_at, row.stale_because = moment, because
            self.session.flush()
            frontier = {row.digest for row in rows}


def _file_name(path: Path) -> str:
    """The file's name as valid UTF-8, its end where it is too long for a name of our own."""
    raw = path.name.encode("utf-8", "backslashreplace")
    return raw[-200:].decode("utf-8", "ignore")
