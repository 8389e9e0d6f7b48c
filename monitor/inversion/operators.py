"""The Jacobian in its forms, and totals that are a product of times and places.

A Jacobian H (n, m) is an array, a sparse array, an object with ``matvec`` and ``rmatvec``, or a
`RaggedJacobian` that streams its rows from disk.  A state of p times and s cells is ordered t·s + c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.kernels import add_transposed
from monitor.inversion.numeric import numbers

#: Rows that are read at once from a ragged store.
_ROWS = 256
#: Non-zeros that are read at once where there is no need for few rows.
_ENTRIES = 4_000_000


@dataclass(frozen=True, eq=False)
class RaggedJacobian:
    """Footprints as they lie in a store: most of H is zero, and it need not fit into memory.

    Attributes
    ----------
    offsets : (n + 1,) int64
        Where each row begins in `columns` and `values`.
    columns : (non-zeros,) int
        Ascending within a row, which `LinearProblem` makes sure of.
    values : (non-zeros,) float32 or float64
        Products are formed in float64.  Storing footprints as float32 rounds each value by at most 6e-8
        of itself, so H Q Hᵀ by at most 1.2e-7.
    shape : (n, m)

    The arrays may be memory maps.
    """

    offsets: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        n = self.shape[0]
        if self.offsets.shape != (n + 1,):
            raise InputError(
                "the offsets of the ragged Jacobian do not fit its rows",
                expected=f"({n + 1},)",
                found=str(self.offsets.shape),
            )
        if self.columns.shape != self.values.shape or int(self.offsets[-1]) != self.values.size:
            raise InputError(
                "columns, values and offsets of the ragged Jacobian do not fit together",
                expected=f"{int(self.offsets[-1])} columns and values",
                found=f"{self.columns.size} columns, {self.values.size} values",
            )

    @classmethod
    def of(cls, matrix: sp.sparray) -> RaggedJacobian:
        """From a sparse array."""
        rows = matrix.tocsr()
        if not rows.has_sorted_indices:
            rows = rows.sorted_indices()
        return cls(rows.indptr.astype("i8"), rows.indices, rows.data, rows.shape)

    def chunks(self, entries: int) -> Iterator[tuple[int, int]]:
        """(start, stop) of parts of about so many non-zeros."""
        start, n = 0, self.shape[0]
        while start < n:
            stop = int(np.searchsorted(self.offsets, self.offsets[start] + entries, "right")) - 1
            stop = min(max(stop, start + 1), n)
            yield start, stop
            start = stop

    def between(self, start: int, stop: int) -> RaggedJacobian:
        """The columns `start` … `stop` − 1, numbered from zero."""
        inside, count = [], []
        for i, j in self.chunks(_ENTRIES):
            part = self.part(i, j)
            keep = (part.columns >= start) & (part.columns < stop)
            running = np.concatenate([[0], np.cumsum(keep)])
            count.append(np.diff(running[part.offsets]))
            inside.append((part.columns[keep] - start, part.values[keep]))
        columns, values = (np.concatenate([pair[k] for pair in inside]) for k in (0, 1))
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(count))])
        return RaggedJacobian(offsets, columns, values, (self.shape[0], stop - start))

    def rows(self, start: int, stop: int) -> sp.csr_array:
        """Rows `start` … `stop` − 1 as a sparse array in float64."""
        found = self.part(start, stop)
        return sp.csr_array((found.values.astype("f8"), found.columns, found.offsets), shape=found.shape)

    def part(self, start: int, stop: int) -> RaggedJacobian:
        """Rows `start` … `stop` − 1 as they lie in the store."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return RaggedJacobian(
            np.asarray(self.offsets[start : stop + 1]) - first,
            np.asarray(self.columns[first:last]),
            np.asarray(self.values[first:last]),
            (stop - start, self.shape[1]),
        )

    def select(self, rows: np.ndarray) -> RaggedJacobian:
        """The rows `rows` (k,), in that order, as they lie in the store."""
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, breaks) if run.size]
        if len(runs) == 1:
            return self.part(*runs[0])
        parts = [self.part(start, stop) for start, stop in runs]
        length = np.diff(self.offsets)[rows]
        return RaggedJacobian(
            np.concatenate([[0], np.cumsum(length)]),
            np.concatenate([p.columns for p in parts]),
            np.concatenate([p.values for p in parts]),
            (rows.size, self.shape[1]),
        )

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        """H v, for (m,) and (m, k)."""
        n = self.shape[0]
        return np.concatenate([self.rows(i, min(i + _ROWS, n)) @ vector for i in range(0, n, _ROWS)])

    def rmatvec(self, vector: np.ndarray) -> np.ndarray:
        """Hᵀ w, for (n,) and (n, k)."""
        columns = np.ascontiguousarray(vector.reshape(self.shape[0], -1), dtype="f8")
        out = np.zeros((self.shape[1], columns.shape[1]))
        for i, j in self.chunks(_ENTRIES):
            part = self.part(i, j)
            add_transposed(part.offsets, part.columns, part.values, columns[i:j], out)
        return out.reshape(self.shape[1], *vector.shape[1:])


@dataclass(frozen=True, eq=False)
class SeparableTotals:
    """Totals Σ_t Σ_c time[a, t] · space[b, c] · x[t, c], one for every pair (a, b), ordered a·B + b.

    Attributes
    ----------
    time : (A, p)
        For a daily mean: 1/24 in the hours of the day.
    space : (B, s)
        For a district: area fraction × cell area × unit factor.  May be sparse; an identity asks for
        every cell.
    """

    time: np.ndarray
    space: Any

    def __post_init__(self) -> None:
        for name in ("time", "space"):
            given = getattr(self, name)
            if name == "space" and sp.issparse(given):
                object.__setattr__(self, name, sp.csr_array(given))
                continue
            array = numbers(given, f"totals: {name}")
            if array.ndim != 2:
                raise InputError(
                    f"weights in {name} need two dimensions",
                    expected="(A, p) in time, (B, s) in space",
                    found=str(array.shape),
                )
            object.__setattr__(self, name, array)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.time.shape[0] * self.space.shape[0], self.time.shape[1] * self.space.shape[1])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` … `stop` − 1 written out (stop − start, m)."""
        a, b = np.divmod(np.arange(start, stop), self.space.shape[0])
        places = self.space[b].toarray() if sp.issparse(self.space) else self.space[b]
        return np.asarray((self.time[a][:, :, None] * places[:, None, :]).reshape(a.size, -1))

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        """Totals of a state (m,), or of states (m, q)."""
        p, s = self.time.shape[1], self.space.shape[1]
        in_time = (self.time @ vector.reshape(p, -1)).reshape(self.time.shape[0], s, -1)
        out = [self.space @ states for states in in_time]
        return np.asarray(np.reshape(out, (self.shape[0], *vector.shape[1:])))


Totals = np.ndarray | SeparableTotals
Jacobian = Any


def as_jacobian(jacobian: Any) -> Jacobian:
    """The Jacobian, checked: two dimensions, finite; sparse arrays as CSR with sorted columns.

    An operator is taken at its word: what it gives is looked at in `LinearProblem.residual`.

    Raises
    ------
    InputError
    """
    if sp.issparse(jacobian):
        rows = sp.csr_array(jacobian)
        if rows.dtype.kind == "c":
            numbers(rows.data, "jacobian")
        rows = rows if rows.dtype.kind == "f" else rows.astype("f8")
        if not rows.has_canonical_format:
            # the arrays may be the caller's
            rows = rows.copy()
            rows.sum_duplicates()
        _finite(
            rows.data,
            "jacobian",
            lambda i: (int(np.searchsorted(rows.indptr, i, "right") - 1), int(rows.indices[i])),
        )
        return rows
    if hasattr(jacobian, "matvec") and hasattr(jacobian, "rmatvec"):
        if len(getattr(jacobian, "shape", ())) != 2:
            raise InputError(
                "the jacobian is an operator without a shape", expected="an attribute shape = (n, m)"
            )
        if isinstance(jacobian, RaggedJacobian):
            _ensure_ragged(jacobian)
        return jacobian
    array = numbers(jacobian, "jacobian")
    if array.ndim != 2:
        raise InputError("the jacobian needs two dimensions", expected="(n, m)", found=str(array.shape))
    _finite(array.ravel(), "jacobian", lambda i: (i // array.shape[1], i % array.shape[1]))
    return array


def _ensure_ragged(store: RaggedJacobian) -> None:
    """Raise `InputError` where a row is not in order, points beyond the unknowns, or is not finite."""
    if store.columns.dtype.kind != "i" or (np.diff(store.offsets) < 0).any():
        raise InputError(
            "the ragged Jacobian needs integer columns and ascending offsets",
            found=f"columns of {store.columns.dtype}, offsets {store.offsets[:3]} …",
        )
    for start, stop in store.chunks(_ENTRIES):
        part = store.part(start, stop)
        falling = np.append(False, part.columns[1:] < part.columns[:-1])
        falling[part.offsets[:-1][part.offsets[:-1] < falling.size]] = False
        beyond = (part.columns < 0) | (part.columns >= store.shape[1])
        for wrong, what, remedy in (
            (falling[: part.columns.size], "columns that are not in ascending order", "RaggedJacobian.of"),
            (beyond, f"columns beyond its {store.shape[1]} unknowns", "check the grid and the times"),
            (~np.isfinite(part.values), "values that are not finite", "leave the observation out"),
        ):
            bad = np.flatnonzero(wrong)
            if bad.size:
                k = int(bad[0])
                row = start + int(np.searchsorted(part.offsets, k, "right")) - 1
                raise InputError(
                    f"the ragged Jacobian has {bad.size} {what}",
                    found=f"column {part.columns[k]}, value {part.values[k]} in row {row}",
                    remedy=remedy,
                )


def _finite(values: np.ndarray, name: str, place: Any) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"{name} has {bad.size} values that are not finite",
            found=f"{values[bad[0]]} at {place(int(bad[0]))}",
            remedy="leave the observation out, or mend its footprint",
        )


def forward(jacobian: Jacobian, states: np.ndarray) -> np.ndarray:
    """H x for states (m,) or (m, k)."""
    if isinstance(jacobian, np.ndarray) or sp.issparse(jacobian):
        return np.asarray(jacobian @ states)
    if states.ndim == 1 or isinstance(jacobian, RaggedJacobian):
        return np.asarray(jacobian.matvec(states))
    return np.column_stack([jacobian.matvec(column) for column in states.T])


def adjoint(jacobian: Jacobian, observed: np.ndarray) -> np.ndarray:
    """Hᵀ w for w (n,) or (n, k)."""
    if isinstance(jacobian, np.ndarray) or sp.issparse(jacobian):
        return np.asarray(jacobian.T @ observed)
    if observed.ndim == 1 or isinstance(jacobian, RaggedJacobian):
        return np.asarray(jacobian.rmatvec(observed))
    return np.column_stack([jacobian.rmatvec(column) for column in observed.T])


def row_chunk(jacobian: Jacobian, start: int, stop: int) -> Any:
    """Rows `start` … `stop` − 1, as an array or a sparse array."""
    if isinstance(jacobian, np.ndarray) or sp.issparse(jacobian):
        return jacobian[start:stop]
    if isinstance(jacobian, RaggedJacobian):
        return jacobian.rows(start, stop)
    unit = np.zeros((jacobian.shape[0], stop - start))
    unit[np.arange(start, stop), np.arange(stop - start)] = 1.0
    return adjoint(jacobian, unit).T


def select_rows(jacobian: Jacobian, keep: np.ndarray) -> Any:
    """The rows `keep`, in that order, as an array or a sparse array."""
    if isinstance(jacobian, np.ndarray) or sp.issparse(jacobian):
        return jacobian[keep]
    chunks = [row_chunk(jacobian, int(i), int(i) + 1) for i in keep]
    return sp.vstack(chunks).tocsr() if sp.issparse(chunks[0]) else np.vstack(chunks)


def cut_columns(jacobian: Jacobian, edges: np.ndarray) -> list[Any]:
    """The Jacobian of each block of columns between one edge and the next."""
    if isinstance(jacobian, RaggedJacobian):
        return [jacobian.between(int(a), int(b)) for a, b in pairwise(edges)]
    array = as_columns(jacobian)
    return [array[:, a:b] for a, b in pairwise(edges)]


def as_columns(jacobian: Jacobian) -> Any:
    """The Jacobian as an array or a sparse array whose columns can be cut."""
    if isinstance(jacobian, np.ndarray):
        return jacobian
    if sp.issparse(jacobian):
        return jacobian.tocsc()
    whole = row_chunk(jacobian, 0, jacobian.shape[0])
    return whole.tocsc() if sp.issparse(whole) else whole
