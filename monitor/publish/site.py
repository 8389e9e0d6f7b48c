"""The site: releases side by side, one link to the current one, swapped in a single step.

    site_root/releases/000007-3f2a…/    whole, verified, never changed
    site_root/current -> releases/000007-3f2a…

A reader sees the old release or the new one and never a mixture; one that has opened a release can
finish with it, because the last `keep` releases stay.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from monitor.errors import LockedError, MissingInputError, StorageError

SUMS = "SHA256SUMS"
#: Releases kept by default, the current one among them.
KEEP = 5
_BUILDING = ".building-"


def publish_release(build_dir: Path, site_root: Path, *, keep: int = KEEP) -> Path:
    """Put what lies in `build_dir` before the readers as a new release, and say where it lies.

    The build is verified (`verify_release`), copied aside, synced and renamed, then the link `current`
    is replaced.  A build that equals the current release makes no new one.  Releases beyond the last
    `keep` go.

    Raises
    ------
    MissingInputError
        When there is nothing to publish.
    StorageError
        When the build is not whole, or the disk fails; the site stays as it was.
    LockedError
        When another process publishes to this site.
    """
    if not build_dir.is_dir() or not any(build_dir.iterdir()):
        raise MissingInputError(
            "there is nothing to publish",
            expected="a folder with a report",
            found="no such folder" if not build_dir.is_dir() else "an empty folder",
            where=str(build_dir),
            remedy="write the report first",
        )
    verify_release(build_dir)
    releases = site_root / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    with _lock(site_root):
        _clear_leftovers(site_root)
        digest = folder_digest(build_dir)
        current = current_release(site_root)
        if current is not None and current.name.endswith(digest):
            return current
        release = releases / f"{_last_number(releases) + 1:06d}-{digest}"
        try:
            _copy_aside(build_dir, release)
            _point(site_root, release)
        except OSError as error:
            _clear_leftovers(site_root)
            raise StorageError(
                "the release could not be written",
                found=_first_refusal(error),
                where=str(release),
                remedy="free space or mend the disk and publish again; the site still shows the last release",
            ) from error
        _prune(releases, release, keep)
    return release


def current_release(site_root: Path) -> Path | None:
    """The release that readers see, None before the first."""
    link = site_root / "current"
    return link.resolve() if link.is_symlink() and link.exists() else None


def verify_release(folder: Path) -> None:
    """Raise `StorageError` unless every local link leads to a file and every listed checksum holds."""
    faults = [*_broken_links(folder), *_wrong_sums(folder)]
    if faults:
        raise StorageError(
            f"the release is not whole: {len(faults)} faults",
            expected="every linked file, each with its checksum",
            found="; ".join(faults[:5]),
            where=str(folder),
            remedy="write the report again",
        )


def ensure_listed(path: Path) -> None:
    """Raise `StorageError` when the checksums beside a file list another one of it."""
    listing = path.parent / SUMS
    rows = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    listed = {name: digest for digest, _, name in (row.partition("  ") for row in rows)}
    found = _sha256(path)
    if listed.get(path.name, found) != found:
        raise StorageError(
            "the file is not as it was published",
            expected=f"SHA-256 {listed[path.name]}, as {SUMS} beside it says",
            found=found,
            where=str(path),
            remedy="do not use it; `monitor publish` writes the archived report again",
        )


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in {"href", "src"} and value:
                self.targets.append(value)


def _broken_links(folder: Path) -> Iterator[str]:
    for page in sorted(folder.rglob("*.html")):
        links = _Links()
        links.feed(page.read_text(encoding="utf-8"))
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            if not path and parts.fragment not in links.anchors:
                yield f"{page.name}: no place '#{parts.fragment}'"
            elif path and (path.startswith("/") or not (page.parent / path).exists()):
                yield f"{page.name}: no file '{path}'"


def _wrong_sums(folder: Path) -> Iterator[str]:
    for listing in sorted(folder.rglob(SUMS)):
        for row in listing.read_text(encoding="utf-8").splitlines():
            expected, _, name = row.partition("  ")
            path = listing.parent / name
            if not path.is_file():
                yield f"{listing.name}: no file '{name}'"
            elif _sha256(path) != expected:
                yield f"{listing.name}: another checksum of '{name}'"


def write_sums(folder: Path) -> Path:
    """Write the checksums of all files below `folder`, in the format of ``sha256sum --check``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
    rows = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    target = folder / SUMS
    target.write_text("".join(rows), encoding="utf-8")
    return target


def folder_digest(folder: Path) -> str:
    """Sixteen hexadecimal digits over names and contents of all files below `folder`."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{_sha256(path)}\n".encode())
    return total.hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _lock(site_root: Path) -> Iterator[None]:
    with (site_root / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError(
                "another process publishes to this site", where=str(site_root), remedy="try again in a minute"
            ) from error
        yield


def _copy_aside(build_dir: Path, release: Path) -> None:
    """Copy under a temporary name, sync files and folders, then rename: `release` is absent or whole."""
    aside = release.parent / f"{_BUILDING}{release.name}"
    shutil.copytree(build_dir, aside)
    for path in sorted(aside.rglob("*"), reverse=True):
        sync(path)
    sync(aside)
    aside.rename(release)
    sync(release.parent)


def _first_refusal(error: OSError) -> str:
    """What the system said; of a copied folder, which is refused file by file, its first words."""
    if not isinstance(error, shutil.Error) or not isinstance(error.args[0], list):
        return str(error)
    (_, target, why), count = error.args[0][0], len(error.args[0])
    return f"{Path(target).name}: {why}" + (f"; and {count - 1} more files" if count > 1 else "")


def _point(site_root: Path, release: Path) -> None:
    link = site_root / f"{_BUILDING}current"
    link.symlink_to(Path("releases") / release.name)
    os.replace(link, site_root / "current")
    sync(site_root)


def sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, safe against power loss."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_leftovers(site_root: Path) -> None:
    """Remove what a killed publication left behind; nobody else holds the lock."""
    (site_root / f"{_BUILDING}current").unlink(missing_ok=True)
    for folder in (site_root / "releases").glob(f"{_BUILDING}*"):
        shutil.rmtree(folder)


def _numbered(releases: Path) -> list[Path]:
    return sorted(p for p in releases.iterdir() if p.is_dir() and p.name[:6].isdigit())


def _last_number(releases: Path) -> int:
    return max((int(path.name[:6]) for path in _numbered(releases)), default=0)


def _prune(releases: Path, current: Path, keep: int) -> None:
    for old in _numbered(releases)[: -max(keep, 1)]:
        if old.name != current.name:
            shutil.rmtree(old)
