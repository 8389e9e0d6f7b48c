"""Long records by windows in time.

The density of the observations is the product of that of each window given all before it.  When the memory of
fluxes and errors is short beside `overlap`, all before it is as good as the last `overlap` of it (Vecchia
1988; Katzfuss & Guinness 2021)::

    p(y) = Π_k p(y_k | y_1 … y_{k−1})  ≈  Π_k p(y_k | the observations of the `overlap` before window k)

so that Ψ⁻¹ = WᵀW with a W of block rows that reach back by `overlap`.  No matrix of all observations is
formed; the result is the posterior of the whole record, with the covariance of totals across windows, and it
is exact where the overlap reaches back to the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import solve_triangular

from monitor.errors import InputError
from monitor.inversion.covariance import Block, Covariance, Kronecker, add_to
from monitor.inversion.factor import factored
from monitor.inversion.linear import LinearPosterior, LinearProblem, solve_with
from monitor.inversion.linear_problem import checked_vector
from monitor.inversion.operators import RaggedJacobian, row_chunk, select_rows
from monitor.inversion.progress import Progress, shown

_ROWS = 256
_STORED = 4_000_000
#: What makes H Q Hᵀ of some rows, from their Jacobian and their numbers.
Signal = Callable[[Any, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Window:
    """Observations `rows`: first the `before` of the overlap, then the window's own.

    `lower` is the Cholesky factor of their covariance.
    """

    rows: np.ndarray
    before: int
    lower: np.ndarray

    @property
    def own(self) -> np.ndarray:
        return self.rows[self.before :]

    def half(self, columns: np.ndarray) -> np.ndarray:
        """The window's own columns, less what the overlap foretells of them, in units of their σ."""
        found = solve_triangular(self.lower, columns[self.rows], lower=True, check_finite=False)
        return np.asarray(found[self.before :])

    def back(self, half: np.ndarray) -> np.ndarray:
        """The transposed of `half`: what the rows get."""
        padded = np.zeros((self.rows.size, *half.shape[1:]))
        padded[self.before :] = half
        return np.asarray(solve_triangular(self.lower, padded, lower=True, trans="T", check_finite=False))


@dataclass(frozen=True, eq=False)
class WindowedFactor:
    """Ψ⁻¹ = WᵀW, window by window.

    Attributes
    ----------
    mismatch : Covariance
        R, of which tr(Ψ⁻¹ H Q Hᵀ) = n − tr(Ψ⁻¹R) is made.
    times : (n,)
        Of the observations.
    overlap : float
    stated : bool
        Whether the times were given, rather than taken from the prior's.
    """

    windows: tuple[Window, ...]
    condition: float
    mismatch: Covariance
    times: np.ndarray
    overlap: float
    stated: bool

    @property
    def log_det(self) -> float:
        return 2.0 * sum(float(np.log(np.diagonal(w.lower)[w.before :]).sum()) for w in self.windows)

    def half(self, columns: np.ndarray) -> np.ndarray:
        return np.concatenate([w.half(columns) for w in self.windows])

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        out = np.zeros(columns.shape)
        for window in self.windows:
            out[window.rows] += window.back(window.half(columns))
        return out

    def block(self, rows: np.ndarray) -> np.ndarray:
        out = np.zeros((rows.size, rows.size))
        for window in self.windows:
            here, at, among = np.intersect1d(window.rows, rows, return_indices=True)
            unit = np.zeros((window.rows.size, here.size))
            unit[at, np.arange(here.size)] = 1.0
            half = solve_triangular(window.lower, unit, lower=True, check_finite=False)[window.before :]
            out[np.ix_(among, among)] += half.T @ half
        return out

    @cached_property
    def signal_trace(self) -> float:
        lost = 0.0
        for window in self.windows:
            unit = np.eye(window.rows.size)
            half = solve_triangular(window.lower, unit, lower=True, check_finite=False)[window.before :]
            lost += float(np.vdot(half, half @ self.mismatch.select(window.rows).dense()))
        return sum(w.own.size for w in self.windows) - lost


def windowed(
    problem: LinearProblem,
    window: float,
    overlap: float,
    *,
    times: np.ndarray | None = None,
    method: str = "auto",
    progress: Progress | None = None,
) -> LinearPosterior:
    """The posterior of a long record, by windows in time.

    Parameters
    ----------
    window, overlap
        In the unit of the times.  Observations see what was observed up to `overlap` before their window;
        some correlation times of fluxes and errors, beside the length of a footprint, bring the difference
        below a hundredth of σ.
    times : (n,), optional
        Of the observations; the last time that each of them sees if absent, which needs a `Kronecker` prior.
    method
        How H Q Hᵀ of a window is worked out: "exact", "reduced", or "auto" (reduced on grids of
        many cells, where the errors allow it).
    progress : callable (done, all), optional
        Called after each window; a bar on a terminal if absent.

    Raises
    ------
    InputError, NumericalError
    """
    if not isinstance(problem, LinearProblem):
        raise InputError(
            "windows take a problem in plain arrays",
            expected="LinearProblem",
            found=type(problem).__name__,
            remedy="of an InverseProblem: inv.windowed(problem.linear(fit.values), …, "
            "times=problem.table.hours), with fit of inv.hyper.maximise_evidence",
        )
    if not (window > 0 and overlap >= 0):
        raise InputError(
            "windows need a length, and an overlap that is not negative",
            expected="window > 0, overlap >= 0",
            found=f"window {window}, overlap {overlap}",
        )
    at = last_times(problem) if times is None else checked_vector(times, problem.n, "times", "observations")
    signal, truncation = _signal(problem, method)
    cuts = list(_cuts(at, window, overlap))
    found, condition = [], 0.0
    with shown("windows", progress) as done:
        for k, (before, own) in enumerate(cuts):
            rows = np.concatenate([before, own])
            made, worst = window_of(problem, signal, rows, before.size)
            found.append(made)
            condition = max(condition, worst)
            done(k + 1, len(cuts))
    factor = WindowedFactor(
        tuple(found), condition, problem.mismatch_covariance, at, overlap, times is not None
    )
    return solve_with(problem, factor, truncation)


def window_of(problem: LinearProblem, signal: Signal, rows: np.ndarray, before: int) -> tuple[Window, float]:
    """The observations `rows`, the first `before` of them as overlap, and the condition number of their Ψ."""
    matrix = signal(_rows_of(problem.jacobian, rows), rows)
    add_to(matrix, problem.mismatch_covariance.select(rows))
    lower, condition = factored(matrix, f"the covariance of the {rows.size} observations of a window")
    return Window(rows, before, lower), condition


def _signal(problem: LinearProblem, method: str) -> tuple[Signal, float]:
    """What makes H Q Hᵀ of some rows, and its error relative to the mismatch."""
    from monitor.inversion.reduced import NoBasisError, choose, is_large

    if method not in ("auto", "exact", "reduced"):
        raise InputError(f"no method '{method}'", expected="auto, exact, reduced")
    prior = problem.prior_covariance

    def exact(jacobian: Any, _: np.ndarray) -> np.ndarray:
        return prior.observe(jacobian)

    if method == "exact" or (method == "auto" and not is_large(prior)):
        return exact, 0.0
    if not isinstance(prior, Kronecker):
        raise InputError(
            'method="reduced" needs a Kronecker prior covariance',
            found=type(prior).__name__,
            remedy='use method="exact"',
        )
    noise = problem.mismatch_covariance.diagonal()
    try:
        basis = choose(prior, problem.jacobian, noise)
    except NoBasisError:
        if method == "auto":
            return exact, 0.0
        raise
    return lambda jacobian, rows: basis.reduction(jacobian, noise[rows]).observe(), basis.truncation


def last_times(problem: LinearProblem, start: int = 0) -> np.ndarray:
    """The last time of the prior that each observation from `start` on sees (n − start,).

    Raises
    ------
    InputError
        When the prior has no times, or an observation sees nothing.
    """
    prior = problem.prior_covariance
    if isinstance(prior, Block):
        prior = prior.parts[0]
    if not isinstance(prior, Kronecker):
        raise InputError(
            "the prior does not say when it is",
            expected="a Kronecker prior covariance, or times=",
            found=type(prior).__name__,
            remedy="give the times of the observations",
        )
    p, s = prior.shape
    positions = np.asarray(getattr(prior.time, "positions", getattr(prior.time, "hours", None)))
    rows = np.arange(start, problem.n)
    out = np.full(rows.size, -1)
    for first, stop, columns, row in _entries(
        _rows_of(problem.jacobian, rows) if start else problem.jacobian
    ):
        inside = columns < p * s
        np.maximum.at(out[first:stop], row[inside], columns[inside] // s)
    blind = np.flatnonzero(out < 0)
    if blind.size:
        raise InputError(
            f"{blind.size} observations see nothing, so that their time is unknown",
            found=f"the first at index {start + int(blind[0])}",
            remedy="leave them out, or give times=",
        )
    return np.asarray(positions[out])


def _entries(jacobian: Any) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Columns that rows `start` … `stop` − 1 see, with the number of the row among them."""
    if isinstance(jacobian, RaggedJacobian):
        for start, stop in jacobian.chunks(_STORED):
            part = jacobian.part(start, stop)
            yield start, stop, part.columns, np.repeat(np.arange(stop - start), np.diff(part.offsets))
        return
    for start in range(0, jacobian.shape[0], _ROWS):
        stop = min(start + _ROWS, jacobian.shape[0])
        row, columns = sp.csr_array(row_chunk(jacobian, start, stop)).nonzero()
        yield start, stop, columns, row


def _cuts(at: np.ndarray, window: float, overlap: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Observations of the overlap and of each window that has any."""
    number = np.floor((at - at.min()) / window).astype("i8")
    for k in np.unique(number):
        begin = at.min() + k * window
        own = np.flatnonzero(number == k)
        yield np.flatnonzero((at >= begin - overlap) & (number < k)), own


def _rows_of(jacobian: Any, rows: np.ndarray) -> Any:
    if isinstance(jacobian, RaggedJacobian):
        return jacobian.select(rows)
    return select_rows(jacobian, rows)
