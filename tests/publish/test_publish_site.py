"""The site: readers see one whole release at any moment, whatever happens to the publisher."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from monitor.errors import LockedError, MissingInputError, StorageError
from monitor.publish.site import current_release, publish_release, verify_release, write_sums

SIZE = 40_000


def build(folder: Path, number: int) -> Path:
    """A small site whose files all say the same number."""
    folder.mkdir(parents=True, exist_ok=True)
    body = f"{number:06d}" * (SIZE // 6)
    (folder / "index.html").write_text(f'<p>{number:06d}</p><a href="data/a.txt">a</a><a href="b.txt">b</a>')
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "a.txt").write_text(body)
    (folder / "b.txt").write_text(body)
    write_sums(folder)
    return folder


def read(site: Path) -> str:
    """The number of the release a reader sees, having opened it once; raises when it is no whole release."""
    release = (site / "current").resolve(strict=True)
    first = (release / "index.html").read_text()[3:9]
    for name in ("data/a.txt", "b.txt"):
        text = (release / name).read_text()
        assert text == first * (SIZE // 6), f"a mixture in {release.name}"
    return first


def test_a_release_is_current_and_a_second_publication_of_it_changes_nothing(tmp_path):
    site = tmp_path / "site"
    first = publish_release(build(tmp_path / "one", 1), site)
    assert read(site) == "000001" and current_release(site) == first.resolve()
    assert publish_release(tmp_path / "one", site) == first.resolve()
    second = publish_release(build(tmp_path / "two", 2), site)
    assert read(site) == "000002" and first.is_dir() and second.name > first.name
    assert os.readlink(site / "current") == f"releases/{second.name}"


def test_only_the_last_releases_are_kept(tmp_path):
    site = tmp_path / "site"
    for number in range(6):
        publish_release(build(tmp_path / "build", number), site, keep=3)
    assert len(list((site / "releases").iterdir())) == 3 and read(site) == "000005"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: (b / "b.txt").unlink(), "no file 'b.txt'"),
        (lambda b: (b / "b.txt").write_text("other"), "another checksum of 'b.txt'"),
        (lambda b: (b / "index.html").write_text('<a href="#nowhere">x</a>'), "no place '#nowhere'"),
        (lambda b: (b / "more.html").write_text('<a href="/etc/hosts">x</a>'), "no file '/etc/hosts'"),
    ],
)
def test_a_build_that_is_not_whole_is_refused_and_the_site_stays(tmp_path, spoil, message):
    site = tmp_path / "site"
    publish_release(build(tmp_path / "one", 1), site)
    spoil(build(tmp_path / "two", 2))
    with pytest.raises(StorageError, match="the release is not whole") as caught:
        publish_release(tmp_path / "two", site)
    assert message in str(caught.value)
    assert read(site) == "000001"


def test_nothing_to_publish(tmp_path):
    with pytest.raises(MissingInputError, match="nothing to publish"):
        publish_release(tmp_path / "none", tmp_path / "site")


def test_two_publishers_do_not_meet(tmp_path):
    site = tmp_path / "site"
    publish_release(build(tmp_path / "one", 1), site)
    with (site / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="another process publishes"):
            publish_release(build(tmp_path / "two", 2), site)
    assert read(site) == "000001"


def test_a_full_disk_is_said_in_words_and_once(tmp_path, monkeypatch):
    full = os.strerror(errno.ENOSPC)

    def refused(source, target, **_):
        raise OSError(errno.ENOSPC, full, str(target))

    folder, copytree = build(tmp_path / "build", 1), shutil.copytree
    monkeypatch.setattr(shutil, "copytree", lambda *paths: copytree(*paths[:2], copy_function=refused))
    with pytest.raises(StorageError) as caught:
        publish_release(folder, tmp_path / "site")
    assert caught.value.found.count(full) == 1 and "[(" not in caught.value.found
    assert re.search(r"and \d+ more files$", caught.value.found)


def test_a_full_disk_leaves_the_old_release_and_no_leftover(tmp_path, monkeypatch):
    site = tmp_path / "site"
    publish_release(build(tmp_path / "one", 1), site)

    def full(*_args, **_kwargs):
        (site / "releases" / ".building-x").mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(StorageError, match="No space left"):
        publish_release(build(tmp_path / "two", 2), site)
    assert read(site) == "000001" and len(list((site / "releases").iterdir())) == 1


def test_a_reader_always_sees_a_whole_release(tmp_path):
    site = tmp_path / "site"
    publish_release(build(tmp_path / "build", 0), site)
    done = threading.Event()
    seen: list[list[str]] = [[], []]
    faults: list[BaseException] = []

    def reader(mine: list[str]) -> None:
        try:
            while not done.is_set():
                mine.append(read(site))
        except (AssertionError, OSError) as error:
            faults.append(error)

    threads = [threading.Thread(target=reader, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for number in range(1, 30):
        publish_release(build(tmp_path / "build", number), site, keep=8)
    done.set()
    for thread in threads:
        thread.join()
    assert not faults, faults
    for mine in seen:
        assert len(set(mine)) > 3 and mine == sorted(mine)  # many releases, never an older one again


PUBLISHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_publish_site import build
from monitor.publish.site import publish_release
root, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    publish_release(build(root / "build", number), root / "site", keep=3)
"""


def test_a_killed_publisher_leaves_a_whole_release(tmp_path):
    build(tmp_path / "build", 0)
    site = tmp_path / "site"
    publish_release(tmp_path / "build", site)
    for attempt in range(6):
        shutil.rmtree(tmp_path / "build", ignore_errors=True)
        arguments = [str(tmp_path), str(1000 * (attempt + 1)), str(Path(__file__).parent)]
        process = subprocess.Popen([sys.executable, "-c", PUBLISHER, *arguments], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(0.02 + 0.017 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        read(site)
        release = current_release(site)
        assert release is not None
        verify_release(release)
    publish_release(build(tmp_path / "last", 999_999), site, keep=3)
    assert read(site) == "999999"
    assert not list(site.rglob(".building-*"))
