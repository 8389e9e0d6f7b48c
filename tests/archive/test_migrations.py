"""The schema: from nothing, from every earlier one, and never from a later one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import monitor.archive
from monitor.archive import Archive
from monitor.archive.database import REVISIONS, Database
from monitor.archive.models import Base
from monitor.errors import StorageError

MIGRATIONS = Path(monitor.archive.__file__).parent / "migrations"


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    return made


def test_the_list_of_revisions_is_that_of_the_scripts() -> None:
    scripts = ScriptDirectory.from_config(config()).walk_revisions()
    assert tuple(reversed([script.revision for script in scripts])) == REVISIONS


def test_the_migrations_make_the_tables_of_the_models(any_archive: Archive) -> None:
    with any_archive.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def older(root: Path, revision: str) -> None:
    """An archive as that revision's version left it, with one object."""
    root.mkdir()
    database = Database(f"sqlite:///{root / 'catalogue.sqlite'}", lock_timeout_s=1)
    made = config()
    with database.engine.connect() as connection:
        made.attributes["connection"] = connection
        command.upgrade(made, revision)
        connection.exec_driver_sql(f"INSERT INTO objects VALUES ('{'a' * 64}', '{'b' * 64}', 3, '.json')")
        connection.commit()


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_earlier_schema_is_migrated_after_a_backup(tmp_path: Path, revision: str) -> None:
    older(tmp_path / "archive", revision)
    with Archive.open(tmp_path / "archive") as archive:
        assert archive.verify().checked == 1
    (backup,) = (tmp_path / "archive" / "backups").iterdir()
    copy = sqlite3.connect(backup)
    assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
    assert copy.execute("SELECT count(*) FROM objects").fetchall() == [(1,)]
    copy.close()
    Archive.open(tmp_path / "archive").close()
    assert len(list((tmp_path / "archive" / "backups").iterdir())) == 1


def test_a_failed_migration_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older(tmp_path / "archive", REVISIONS[0])
    before = (tmp_path / "archive" / "catalogue.sqlite").read_bytes()

    def broken(name: str, *_: object, **__: object) -> None:
        raise OSError(f"cannot make {name}")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_table", broken)
        with pytest.raises(OSError, match="cannot make"):
            Archive.open(tmp_path / "archive")
    assert (tmp_path / "archive" / "catalogue.sqlite").read_bytes() == before
    Archive.open(tmp_path / "archive").close()


def test_a_newer_schema_is_refused_untouched(archive: Archive) -> None:
    with archive.transaction() as tx:
        tx.session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = (archive.root / "catalogue.sqlite").read_bytes()
    with pytest.raises(
        StorageError, match=r"newer version.*schema 0002 or older.*found: schema 9999.*install"
    ):
        Archive.open(archive.root)
    assert (archive.root / "catalogue.sqlite").read_bytes() == before


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "catalogue.sqlite")
    other.execute("CREATE TABLE songs (title)")
    other.commit()
    other.close()
    with pytest.raises(StorageError, match=r"not a catalogue.*songs"):
        Archive.open(tmp_path)
