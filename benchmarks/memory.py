"""Memory of this process: what it holds now, and the most it held since the last reset.

On Linux the peak is VmHWM, which writing 5 to /proc/self/clear_refs sets back to the present (proc(5)).  It
counts pages of mapped files too, which the system may drop when it needs the room; `Sampler` follows the
other pages apart.  Elsewhere the peak is ru_maxrss, of the whole life of the process.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: How the peak is measured, for the record.
METHOD = "VmHWM, set back before each run" if _STATUS.exists() else "ru_maxrss of the process"


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"{_STATUS} has no line {name}")
    return int(found.group(1)) * 1024


def resident() -> int:
    """Bytes now."""
    return _status("VmRSS") if _STATUS.exists() else peak()


def peak() -> int:
    """Most bytes since `reset_peak`."""
    if _STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak() -> None:
    """Begin a new peak, where the system can."""
    if _STATUS.exists():
        _RESET.write_text("5")


class Sampler:
    """Most bytes that belong to no file, looked at every 20 ms while in the `with` block; 0 if unknown."""

    def __enter__(self) -> Sampler:
        self.most, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if _STATUS.exists():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.most = max(self.most, anonymous())


def anonymous() -> int:
    """Bytes now that belong to no file."""
    return _status("RssAnon") if _STATUS.exists() else 0
