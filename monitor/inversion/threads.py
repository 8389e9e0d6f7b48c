"""How many threads the compiled loops use, said in one place.

A kernel works on a range of rows and lets go of the interpreter's lock, so that one body serves one
thread and several; the order of summation, and so every bit of the result, is the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise


def kernel_threads() -> int:
    """Threads of the compiled loops: NUMBA_NUM_THREADS, or the processors this process may use."""
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(work: Callable[[int, int], None], size: int, threads: int | None = None) -> None:
    """Call ``work(start, stop)`` on parts of 0 … size, in `threads` threads."""
    count = max(1, min(threads or kernel_threads(), size))
    if count == 1:
        work(0, size)
        return
    # four parts a thread: rows differ in length
    edges = [size * k // (4 * count) for k in range(4 * count + 1)]
    for done in [_pool(count).submit(work, a, b) for a, b in pairwise(edges) if b > a]:
        done.result()


@lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    """Threads that wait for work; those of a parent process do not follow into its children."""
    return ThreadPoolExecutor(count, thread_name_prefix="inversion")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
