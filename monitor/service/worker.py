"""A step in a process of its own: ``python -m monitor.service.worker`` with a job on stdin.

Reading files of strangers, netCDF and jitted kernels live only here, under limits of memory, CPU and
wall-clock time.  A job is one JSON object, and so is the answer on stdout: ``{"ok": …}`` or
``{"error": …}``.  `run_job` is the other side: it starts the process, waits, and kills the whole process
group when the time is up.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.errors import MonitorError, StorageError

#: Variables that say how many threads a BLAS uses; more than one only spins on small matrices.
BLAS_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_STDERR_KEPT: Final = 2000
#: How often the parent looks whether the worker has ended [s].
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class Limits:
    """What a worker may use: wall-clock and CPU time [s], address space [MiB]."""

    wall_s: float
    memory_mib: float

    @property
    def cpu_s(self) -> int:
        """CPU time: every core for the whole wall-clock time."""
        return int(self.wall_s * (os.cpu_count() or 1)) + 1


class WorkerError(MonitorError):
    """A worker did not end well: its `pid` tells whose leases it left, `status` its error's exit code."""

    def __init__(self, what: str, *, pid: int = 0, status: int = 1, **parts: str) -> None:
        super().__init__(what, **parts)
        self.pid, self.status = pid, status


def run_job(job: Mapping[str, Any], limits: Limits, *, stop: Callable[[], bool] = lambda: False) -> Any:
    """Do `job` in a fresh process and return its answer.

    `stop` is asked all the time; when it says so the worker is ended early (used for a second signal).

    Raises
    ------
    WorkerError
        With the worker's own error, or saying which limit it broke.
    """
    job = {**job, "memory_mib": limits.memory_mib, "cpu_s": limits.cpu_s}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor.service.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        env=worker_environment(),
    )
    reason = ""
    deadline = time.monotonic() + limits.wall_s
    text: str | None = json.dumps(job)
    while True:
        try:
            out, err = process.communicate(text, timeout=_POLL_S)
            break
        except subprocess.TimeoutExpired:
            text = None
            if not reason and time.monotonic() > deadline:
                reason = f"wall-clock limit of {limits.wall_s:g} s"
            elif not reason and stop():
                reason = "the order to stop"
            if reason:
                _kill_group(process.pid)
    _kill_group(process.pid)  # what it may have left behind
    return _answer(process, out, err, reason, limits)


def worker_environment() -> dict[str, str]:
    """The environment of a worker: ours, with one BLAS thread unless the operator says otherwise."""
    return dict.fromkeys(BLAS_THREADS, "1") | dict(os.environ)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _answer(process: subprocess.Popen[str], out: str, err: str, reason: str, limits: Limits) -> Any:
    answer: dict[str, Any] = {}
    if not reason and out.strip():
        try:
            answer = json.loads(out.strip().splitlines()[-1])
        except json.JSONDecodeError:
            answer = {}
    if "ok" in answer:
        return answer["ok"]
    if "error" in answer:
        error = answer["error"]
        parts = {name: str(error.get(name, "")) for name in ("expected", "found", "where", "remedy")}
        raise WorkerError(error["what"], pid=process.pid, status=int(error["exit_code"]), **parts)
    if process.returncode == -signal.SIGXCPU:
        reason = f"CPU limit of {limits.cpu_s} s"
    raise WorkerError(
        f"the worker was ended by the {reason}" if reason else "the worker died",
        pid=process.pid,
        expected=f"an answer within {limits.wall_s:g} s and {limits.memory_mib:g} MiB",
        found=f"exit status {process.returncode}; {err.strip()[-_STDERR_KEPT:]}".strip("; "),
        remedy="it is tried again at the next tick; raise step_timeout_s or step_memory_mib if it needs more",
    )


# --- in the worker -----------------------------------------------------------------------------------


def main() -> None:
    """Read a job, set the limits, do it, answer."""
    job = json.loads(sys.stdin.read())
    _set_limits(job)
    answer_to = os.dup(1)
    os.dup2(2, 1)  # stdout is for the answer alone, whatever a library prints
    answer = _done(job)
    with os.fdopen(answer_to, "w") as stream:
        stream.write(json.dumps(answer) + "\n")
    sys.exit(0 if "ok" in answer else int(answer["error"]["exit_code"]))


def _set_limits(job: Mapping[str, Any]) -> None:
    size = int(job["memory_mib"] * 2**20)
    for what, limit in ((resource.RLIMIT_AS, size), (resource.RLIMIT_CPU, int(job["cpu_s"]))):
        hard = resource.getrlimit(what)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(what, (allowed, hard))
        except (ValueError, OSError):  # a system without this limit
            continue
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _done(job: Mapping[str, Any]) -> dict[str, Any]:
    from monitor.service.logs import redact_values

    try:
        from monitor.service import jobs

        return {"ok": jobs.do(job)}
    except MonitorError as error:
        return {"error": redact_values(error.as_dict())}
    except MemoryError:
        exhausted = MonitorError(
            "the worker ran out of memory",
            expected=f"at most {job['memory_mib']:g} MiB",
            remedy="raise step_memory_mib, or use a shorter window",
        )
        return {"error": exhausted.as_dict()}
    except OSError as error:
        refused = StorageError("the system refused", found=redact_values(str(error)))
        return {"error": refused.as_dict()}


if __name__ == "__main__":
    main()
