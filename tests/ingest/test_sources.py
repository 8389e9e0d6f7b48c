"""Claims about a folder as a source: complete files only, below their folder only, in a fixed order."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.errors import ConfigError, MissingInputError
from monitor.ingest.sources import is_settled, list_files, poll


def test_files_are_listed_in_order_with_size_and_digest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.dat", "a.dat", "sub/c.dat", "other.txt"):
        (tmp_path / name).write_text(name)
    found = list_files(tmp_path, "*.dat")
    assert [f.path.name for f in found] == ["a.dat", "b.dat"]
    assert found[0].sha256 == hashlib.sha256(b"a.dat").hexdigest() and found[0].size == 5
    assert found[0].mtime_ns == (tmp_path / "a.dat").stat().st_mtime_ns
    assert [f.path.name for f in list_files(tmp_path, "**/*.dat")] == ["a.dat", "b.dat", "c.dat"]


def test_no_file_yet_is_no_error_but_no_folder_is(tmp_path: Path) -> None:
    assert list_files(tmp_path, "*.dat") == []
    with pytest.raises(MissingInputError, match="folder of a source is missing"):
        list_files(tmp_path / "none", "*.dat")


@pytest.mark.parametrize("pattern", ["../*.dat", "/etc/*", "a/../../b", "", "..\\*.dat"])
def test_a_pattern_cannot_leave_its_folder(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must stay below its folder"):
        list_files(tmp_path, pattern)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.dat").write_text("secret")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.dat").symlink_to(tmp_path / "secret.dat")
    (tmp_path / "in" / "folder.dat").mkdir()
    (tmp_path / "in" / "own.dat").write_text("own")
    assert [f.path.name for f in list_files(tmp_path / "in", "*.dat")] == ["own.dat"]


def test_a_file_that_grows_is_not_settled_until_it_rests(tmp_path: Path) -> None:
    path = tmp_path / "upload.nc"
    path.write_bytes(b"half")
    first = poll([path])
    with path.open("ab") as stream:
        stream.write(b"more")
    second, third = poll([path]), poll([path])
    assert not is_settled(path, first, second)
    assert is_settled(path, second, third)


def test_a_file_rewritten_at_the_same_size_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "upload.nc"
    path.write_bytes(b"abcd")
    first = poll([path])
    path.write_bytes(b"dcba")
    os.utime(path, ns=(first[path][1] + 1, first[path][1] + 1))
    assert not is_settled(path, first, poll([path]))


def test_an_empty_new_or_vanished_file_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "upload.nc"
    assert not is_settled(path, poll([path]), poll([path]))
    path.touch()
    assert not is_settled(path, poll([path]), poll([path]))
    path.write_bytes(b"data")
    seen = poll([path])
    path.unlink()
    assert not is_settled(path, seen, poll([path]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, monitor.ingest; print([m for m in ('numpy', 'xarray', 'netCDF4') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_public_name_can_be_loaded() -> None:
    import monitor.ingest as ingest

    assert all(getattr(ingest, name) is not None for name in ingest.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ingest.nothing
