"""Files that are either whole or absent.

Temporary name → fsync → reread and verify → rename → fsync the folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.archive.crash import crash_point
from monitor.errors import StorageError

_BLOCK = 1 << 20
#: Space that must be left after a write [bytes]: room for the catalogue's journal.
RESERVE = 16 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes (hex), read in blocks."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


@contextlib.contextmanager
def storage_errors(where: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StorageError` that names the place and, for a full disk, the remedy."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise StorageError(
            "the disk is full" if full else "the disk refused",
            found=error.strerror or str(error),
            where=str(error.filename or where),
            remedy="free some space and run again; nothing stored before was touched"
            if full
            else "check the disk and the permissions of the archive folder, then run again",
        ) from error


def ensure_space(folder: Path, size: int) -> None:
    """`StorageError` unless `size` bytes and a reserve fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise StorageError(
            "not enough space on the disk",
            expected=f"{size + RESERVE:,} bytes free",
            found=f"{free:,}",
            where=str(folder),
            remedy="free some space and run again; nothing stored before was touched",
        )


def write_whole(
    payload: bytes,
    target: Path,
    tmp: Path,
    *,
    verify: Callable[[bytes], bool],
    is_kept: Callable[[], bool],
) -> None:
    """Put `payload` at `target`, whole or not at all.

    `verify` gets the bytes as read back from the disk, before they take the final name.  `is_kept` is
    asked, alone among all writers, whether somebody has put a good file there meanwhile: that one stays.
    """
    with storage_errors(target), _temporary(target, tmp) as temporary:
        ensure_space(tmp, len(payload))
        _write(temporary, payload)
        if not verify(temporary.read_bytes()):
            raise StorageError(
                "what was written is not what is read back",
                where=str(target),
                remedy="the disk or the memory is failing: check both before running again",
            )
        with _alone(tmp):
            if not is_kept():
                _take_name(temporary, target)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def copy_whole(source: Path, target: Path, tmp: Path) -> None:
    """Copy the file `source` to `target`, whole or not at all."""
    with storage_errors(target), _temporary(target, tmp) as temporary:
        ensure_space(tmp, source.stat().st_size)
        with source.open("rb") as reading, temporary.open("xb") as writing:
            shutil.copyfileobj(reading, writing, _BLOCK)
            writing.flush()
            os.fsync(writing.fileno())
        _take_name(temporary, target)


@contextlib.contextmanager
def _temporary(target: Path, tmp: Path) -> Iterator[Path]:
    path = tmp / f"{os.getpid()}-{secrets.token_hex(8)}{target.suffix}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write(path: Path, payload: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        view = memoryview(payload)
        while view:
            view = view[file.write(view[:_BLOCK]) :]
            crash_point("during-write")
        os.fsync(file.fileno())


def _take_name(temporary: Path, target: Path) -> None:
    if not target.parent.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fsync_folder(target.parent.parent)
    crash_point("before-rename")
    os.replace(temporary, target)
    fsync_folder(target.parent)
    crash_point("after-rename")


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
