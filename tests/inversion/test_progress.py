"""Long work says how far it is: to a callable, on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from monitor.inversion.progress import shown, tracked

WORK = """
import sys, time
from monitor.inversion.progress import tracked
for _ in tracked("windows", range(3)):
    time.sleep(0.15)
print("done")
"""


def test_a_callable_hears_every_step():
    heard = []
    with shown("windows", lambda done, total: heard.append((done, total))) as tell:
        tell(1, 2)
        tell(2, 2)
    assert heard == [(1, 2), (2, 2)]


def test_without_a_terminal_nothing_is_written(capfd):
    assert list(tracked("windows", range(3))) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_the_steps_and_the_output_stays_clean():
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True
    )
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b"done\n"
    assert "windows" in drawn and "3/3" in drawn
