"""What the machine can do beside the case, in a process of its own: `python -m benchmarks.yardstick N`.

Each line on stdin is answered with one factorisation, one product of matrices and one copy.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter, process_time

import numpy as np
from scipy.linalg import cholesky

from monitor.inversion.factor import cholesky_in_place

#: Order of the matrices that are multiplied, and numbers that are copied.
_GEMM, _COPY = 1536, 2**25
_LARGE = 8192


def positive_definite(order: int) -> np.ndarray:
    """A well-conditioned matrix (n, n), column after column so that it takes no second one."""
    out = np.empty((order, order), order="F")
    index = np.arange(order)
    for k in range(order):
        out[:, k] = np.exp(-np.abs(index - k) / 10.0)
        out[k, k] += 1.0
    return out


def factorisation_s(order: int) -> tuple[float, float]:
    """Clock and processor seconds of a Cholesky factorisation in the matrix's own place.

    It is `scipy.linalg.cholesky`; on large matrices that crashes with several threads (as numpy's does), and
    our own takes them block by block.
    """
    matrix = positive_definite(order)
    begin, busy = perf_counter(), process_time()
    if order > _LARGE:
        cholesky_in_place(matrix.T)
    else:
        cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    return perf_counter() - begin, process_time() - busy


def gemm_gflops() -> float:
    """Speed of a product of square matrices in float64 [1e9 operations a second]."""
    a, b = np.full((_GEMM, _GEMM), 0.5), np.full((_GEMM, _GEMM), 0.25)
    begin = perf_counter()
    a @ b
    return 2e-9 * _GEMM**3 / (perf_counter() - begin)


def copy_gbytes() -> float:
    """Speed of a copy, reading and writing counted [1e9 bytes a second]."""
    source, target = np.ones(_COPY), np.zeros(_COPY)
    begin = perf_counter()
    target[:] = source
    return 16e-9 * _COPY / (perf_counter() - begin)


def main() -> None:
    order = int(sys.argv[1])
    for _ in sys.stdin:
        seconds, busy = factorisation_s(order)
        found = {"s": seconds, "cpu_s": busy, "gflops": gemm_gflops(), "gbytes": copy_gbytes()}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
