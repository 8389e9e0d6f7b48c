"""What the archive says about an object, a source file and a quarantined file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.archive.models import QuarantineRow, RecordRow
from monitor.domain import Interval, iso_z
from monitor.errors import InputError

_DIGEST = re.compile(r"[0-9a-f]{64}")


def utcnow() -> datetime:
    """Now, UTC, timezone-free."""
    return datetime.now(UTC).replace(tzinfo=None)


def ensure_digests(digests: Iterable[str]) -> None:
    """`InputError` for what is not a SHA-256 in hexadecimal digits."""
    for digest in digests:
        if not _DIGEST.fullmatch(digest):
            raise InputError("not a digest", expected="64 hexadecimal digits", found=repr(digest))


@dataclass(frozen=True)
class StoredObject:
    """A file that is safe on the disk: content digest, SHA-256 of its bytes, size [bytes], place."""

    digest: str
    sha256: str
    size: int
    path: Path


@dataclass(frozen=True)
class ObjectRecord:
    """What an object is: its logical `key`, the interval it is about (`valid`), since when we know it.

    `stale_at` is set when something it was made from, however indirectly, was superseded;
    `superseded_at` when a newer object took the same key.
    """

    key: str
    kind: str
    digest: str
    valid: Interval | None
    recorded_at: datetime
    superseded_at: datetime | None
    stale_at: datetime | None
    stale_because: str | None
    made_from: tuple[str, ...]
    config_digest: str
    code_version: str
    suffix: str

    @property
    def stale(self) -> bool:
        """Whether something it was made from has been superseded."""
        return self.stale_at is not None

    @property
    def status(self) -> str:
        """ "current", "superseded", or "superseded-upstream" (current, but made from superseded data)."""
        if self.superseded_at is not None:
            return "superseded"
        return "superseded-upstream" if self.stale else "current"

    def as_dict(self) -> dict[str, Any]:
        """The record as one JSON-ready object."""
        return {
            "key": self.key,
            "kind": self.kind,
            "digest": self.digest,
            "status": self.status,
            "valid": self.valid.as_json() if self.valid else None,
            "recorded_at": iso_z(self.recorded_at),
            "superseded_at": iso_z(self.superseded_at) if self.superseded_at else None,
            "stale_at": iso_z(self.stale_at) if self.stale_at else None,
            "stale_because": self.stale_because,
            "made_from": list(self.made_from),
            "config_digest": self.config_digest,
            "code_version": self.code_version,
        }


def object_record(row: RecordRow, as_of: datetime | None = None) -> ObjectRecord:
    """The record in `row`, as it was known at `as_of`: later endings are left out."""

    def known(moment: datetime | None) -> datetime | None:
        return moment if as_of is None or (moment is not None and moment <= as_of) else None

    valid = Interval(row.valid_start, row.valid_end) if row.valid_start and row.valid_end else None
    return ObjectRecord(
        key=row.key,
        kind=row.kind,
        digest=row.digest,
        valid=valid,
        recorded_at=row.recorded_at,
        superseded_at=known(row.superseded_at),
        stale_at=known(row.stale_at),
        stale_because=row.stale_because if known(row.stale_at) else None,
        made_from=tuple(item.digest for item in row.inputs),
        config_digest=row.config_digest,
        code_version=row.code_version,
        suffix=row.object.suffix,
    )


@dataclass(frozen=True)
class QuarantineRecord:
    """A file that could not be used: where its raw bytes are kept, and why."""

    sha256: str
    name: str
    path: Path
    size: int
    quarantined_at: datetime
    reason: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The record as one JSON-ready object."""
        return {
            "sha256": self.sha256,
            "name": self.name,
            "path": str(self.path),
            "size": self.size,
            "quarantined_at": iso_z(self.quarantined_at),
            "reason": self.reason,
        }


def quarantine_record(row: QuarantineRow, folder: Path) -> QuarantineRecord:
    """The record in `row`; `folder` is the archive's quarantine folder."""
    path = folder / row.sha256 / row.name
    return QuarantineRecord(row.sha256, row.name, path, row.size, row.quarantined_at, dict(row.reason))


@dataclass(frozen=True)
class VerifyReport:
    """What `Archive.verify` found; `ok` when nothing is missing, corrupt or broken.

    Orphans (files without a row, left by a killed run) are harmless and collected later.  `checksums` is the
    SHA-256 expected and found of every corrupt file that could be read.
    """

    checked: int
    missing: tuple[str, ...] = ()
    corrupt: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    catalogue_faults: tuple[str, ...] = ()
    checksums: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every object is as it was stored."""
        return not (self.missing or self.corrupt or self.catalogue_faults)

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON-ready object."""
        return {
            "ok": self.ok,
            "checked": self.checked,
            "missing": list(self.missing),
            "corrupt": list(self.corrupt),
            "checksums": {
                path: {"expected": expected, "found": found}
                for path, (expected, found) in self.checksums.items()
            },
            "orphans": list(self.orphans),
            "catalogue_faults": list(self.catalogue_faults),
        }
