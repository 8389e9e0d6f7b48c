"""The tables of the catalogue and of the run ledger; times are UTC and timezone-free.

``objects`` are files, ``records`` say what a file is and since when, ``record_inputs`` what it was made
from.  A record is never edited but for the three columns that say how it ended: `superseded_at`,
`stale_at` and `stale_because`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Base of all tables, with constraint names that migrations can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ObjectRow(Base):
    """A file in objects/: its identity (content digest) and its integrity (SHA-256 of the bytes)."""

    __tablename__ = "objects"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    suffix: Mapped[str] = mapped_column(String(16))


class RecordRow(Base):
    """What an object is (`key`, `kind`), the interval it is about, and since when we know it."""

    __tablename__ = "records"
    __table_args__ = (
        Index(
            "uq_records_current_key",
            "key",
            unique=True,
            sqlite_where=text("superseded_at IS NULL"),
            postgresql_where=text("superseded_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, index=True)
    kind: Mapped[str] = mapped_column(String(64), index=True)
    digest: Mapped[str] = mapped_column(ForeignKey("objects.digest"), index=True)
    valid_start: Mapped[datetime | None]
    valid_end: Mapped[datetime | None]
    recorded_at: Mapped[datetime] = mapped_column(index=True)
    superseded_at: Mapped[datetime | None]
    stale_at: Mapped[datetime | None]
    stale_because: Mapped[str | None] = mapped_column(Text)
    config_digest: Mapped[str] = mapped_column(String(64))
    code_version: Mapped[str] = mapped_column(Text)

    inputs: Mapped[list[RecordInputRow]] = relationship(
        lazy="selectin", order_by="RecordInputRow.digest", cascade="all, delete-orphan"
    )
    object: Mapped[ObjectRow] = relationship(lazy="joined")


class RecordInputRow(Base):
    """One digest that a record was made from: an object, or a file outside the archive."""

    __tablename__ = "record_inputs"

    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class SourceFileRow(Base):
    """A source's file with this content was seen, and what became of it."""

    __tablename__ = "source_files"
    __table_args__ = (UniqueConstraint("source_id", "sha256", "outcome"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(String(16))
    noted_at: Mapped[datetime]
    object_digests: Mapped[list[str]] = mapped_column(JSON)


class QuarantineRow(Base):
    """A file that could not be used: where its bytes are kept, and why."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("sha256", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    quarantined_at: Mapped[datetime]
    reason: Mapped[dict[str, Any]] = mapped_column(JSON)


class RunRow(Base):
    """The ledger: one row per (city, step, interval, input digest), whatever the number of attempts."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("city", "step", "interval_start", "interval_end", "input_digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str] = mapped_column(Text)
    step: Mapped[str] = mapped_column(Text)
    interval_start: Mapped[datetime]
    interval_end: Mapped[datetime]
    input_digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(Text)
    token: Mapped[int]
    attempts: Mapped[int]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    outputs: Mapped[list[str]] = mapped_column(JSON)


class LockRow(Base):
    """A named lock with a lease, and the heartbeat of its holder."""

    __tablename__ = "locks"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    token: Mapped[int]
    acquired_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
