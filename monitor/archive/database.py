"""The catalogue's database: how it is opened, locked and brought to the schema of this version.

One code for SQLite and PostgreSQL.  A write transaction holds the only write lock from its first
statement (``BEGIN IMMEDIATE``, or an advisory lock), so that what it read stays true until it commits.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from monitor.errors import LockedError, StorageError

#: The revisions of the schema, oldest first; the last is this version's.
REVISIONS: Final = ("0001", "0002")
#: SQLite releases before this one can corrupt a database in WAL mode (the WAL-reset bug).
WAL_SAFE: Final = (3, 51, 3)
_ADVISORY_LOCK: Final = 0x6D6F6E69746F72  # "monitor"
_LOCKED_SQLSTATES: Final = frozenset({"55P03", "40001", "40P01"})  # lock timeout, serialization, deadlock


def sqlite_journal_mode() -> str:
    """WAL where the SQLite library is safe with it, else DELETE."""
    return "WAL" if sqlite3.sqlite_version_info >= WAL_SAFE else "DELETE"


class Database:
    """An engine with two ways to use it: `reading()` and `writing()`."""

    def __init__(self, url: str, *, lock_timeout_s: float) -> None:
        self.lock_timeout_s = lock_timeout_s
        self.engine = _engine(url, lock_timeout_s)
        self._writer = self.engine.execution_options(monitor_write=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one consistent view; nothing written in it is kept."""
        with self._translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that holds the write lock; commits at the end, rolls back on any error."""
        with self._translated(), self._locked_connection() as connection:
            with Session(connection, expire_on_commit=False) as session:
                yield session
                session.flush()
            connection.commit()

    @contextlib.contextmanager
    def _locked_connection(self) -> Iterator[Connection]:
        """A connection in a write transaction; waits for the lock, with jitter, for a bounded time."""
        deadline = time.monotonic() + self.lock_timeout_s
        with self._writer.connect() as connection:
            while True:
                try:
                    connection.begin()
                    break
                except OperationalError as error:
                    if not _is_locked(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(random.uniform(0.005, 0.05))
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if _is_locked(error):
                raise LockedError(
                    "the catalogue is locked by another process",
                    expected=f"the lock within {self.lock_timeout_s:g} s",
                    found=str(error.orig),
                    where=self.engine.url.render_as_string(hide_password=True),
                    remedy="try again; if it lasts, find the process that holds the database open",
                ) from error
            raise self._storage_error(error, str(error.orig)) from error
        except SQLAlchemyError as error:
            raise self._storage_error(error, str(error)) from error

    def _storage_error(self, error: SQLAlchemyError, found: str) -> StorageError:
        return StorageError(
            "the catalogue's database failed",
            found=found,
            where=self.engine.url.render_as_string(hide_password=True),
            remedy="check the disk and the database; nothing of the failed transaction was kept",
        )

    def migrate(self, backups: Path) -> None:
        """Bring the schema to this version; a copy of an older SQLite file is kept in `backups` first.

        Raises
        ------
        StorageError
            When the schema is newer than this version, or the database is not a catalogue.
        """
        with self._translated(), self.engine.connect() as connection:
            if self._ensure_known(connection) == REVISIONS[-1]:
                return
        with self._translated(), self._locked_connection() as connection:
            found = self._ensure_known(connection)  # another process may have been faster
            if found == REVISIONS[-1]:
                return
            if found is not None and self.is_sqlite:
                self._back_up(backups, found)
            _upgrade(connection)
            connection.commit()

    def _ensure_known(self, connection: Connection) -> str | None:
        """The schema's revision, None for an empty database."""
        tables = inspect(connection).get_table_names()
        where = self.engine.url.render_as_string(hide_password=True)
        if not tables:
            return None
        found = None
        if "alembic_version" in tables:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if found in REVISIONS:
            return str(found)
        if found is None:
            raise StorageError(
                "the database holds tables but is not a catalogue",
                found=", ".join(sorted(tables)[:5]),
                where=where,
                remedy="name a database of its own for the archive",
            )
        raise StorageError(
            "the catalogue was written by a newer version",
            expected=f"schema {REVISIONS[-1]} or older",
            found=f"schema {found}",
            where=where,
            remedy="install that version; this one has changed nothing",
        )

    def _back_up(self, backups: Path, revision: str) -> None:
        backups.mkdir(exist_ok=True)
        path = backups / f"catalogue-{revision}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.sqlite"
        database = self.engine.url.database
        assert database is not None
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(path)) as copy,
        ):
            source.backup(copy)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_locked(error: DBAPIError) -> bool:
    text = str(error.orig)
    return (
        "database is locked" in text
        or "database table is locked" in text
        or getattr(error.orig, "sqlstate", None) in _LOCKED_SQLSTATES
    )


def _engine(url: str, lock_timeout_s: float) -> Engine:
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "begin", partial(_begin_postgresql, lock_timeout_s))
        return engine
    # No pool: an open handle must never cross a fork.
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": lock_timeout_s})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver's own comes too late
    for pragma in (f"journal_mode={sqlite_journal_mode()}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("monitor_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _begin_postgresql(lock_timeout_s: float, connection: Connection) -> None:
    if connection.get_execution_options().get("monitor_write", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(lock_timeout_s * 1000)}ms'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
