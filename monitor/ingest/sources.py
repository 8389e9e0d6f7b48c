"""A folder as a source: which files are there, whether they are complete, and what they are.

Uploads are watched, not trusted: a file counts as settled when its size and modification time stayed the
same between two polls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monitor.errors import ConfigError, MissingInputError


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file as it was when listed: size [bytes], modification time [ns since 1970], SHA-256."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str


def list_files(root: Path, pattern: str) -> list[SourceFile]:
    """Files below `root` that match the glob `pattern`, sorted by path.

    Directories and links that lead out of `root` are left out.

    Raises
    ------
    MissingInputError
        When `root` is not a folder.  (No matching file is not an error: data may not have come yet.)
    ConfigError
        When `pattern` is absolute or climbs out of `root`.
    """
    steps = PurePosixPath(pattern.replace("\\", "/"))
    if not pattern or steps.is_absolute() or ".." in steps.parts:
        raise ConfigError(
            "a pattern must stay below its folder",
            expected="a relative pattern such as 'tac.*.dat'",
            found=repr(pattern),
            remedy="correct `pattern` of the source",
        )
    if not root.is_dir():
        raise MissingInputError(
            "the folder of a source is missing",
            expected="a folder",
            where=str(root),
            remedy="correct `path` of the source, or mount the folder",
        )
    home = root.resolve()
    found = [
        path for path in sorted(root.glob(pattern)) if path.is_file() and path.resolve().is_relative_to(home)
    ]
    return [_described(path) for path in found]


def _described(path: Path) -> SourceFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    status = path.stat()
    return SourceFile(path, status.st_size, status.st_mtime_ns, digest)


def poll(paths: list[Path]) -> dict[Path, tuple[int, int]]:
    """Size [bytes] and modification time [ns] of each file that exists: one look, for `is_settled`."""
    looks = {}
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        looks[path] = (status.st_size, status.st_mtime_ns)
    return looks


def is_settled(
    path: Path, earlier: Mapping[Path, tuple[int, int]], later: Mapping[Path, tuple[int, int]]
) -> bool:
    """Whether a file was there, not empty and the same in two looks of `poll` some time apart."""
    return path in earlier and earlier[path] == later.get(path) and earlier[path][0] > 0
