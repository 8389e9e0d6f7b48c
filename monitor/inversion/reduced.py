"""H Q Hᵀ for many cells: most footprints in a basis of smooth fields, the sharp ones on all cells.

Footprints are smooth on the scale of a few cells soon after the air has left the station, so that the leading
eigenvectors Φ of the correlation S carry nearly all of H Q Hᵀ.  A footprint whose part outside Φ could
matter is *sharp*, and gets that part from the cells themselves (`monitor.inversion.reduction`).

The error is not assumed but measured: for clusters of observations H Q Hᵀ is also computed exactly, and the
basis grows until the largest error is below the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError, NumericalError
from monitor.inversion.basis import Basis, grid_of
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.linear import LinearPosterior, LinearProblem, observation_factor, solve_with
from monitor.inversion.operators import RaggedJacobian, select_rows
from monitor.inversion.reduction import Reduction, entries_of, project, projected
from monitor.inversion.sweep import clock, markov, observe, pairs_of, ragged

#: Largest error of an element of H Q Hᵀ relative to the mismatch, √(R_ii R_jj).
TOLERANCE = 3e-3
#: A footprint of one hour is sharp when what it has outside the basis could add more than this part of R_ii;
#: the first that is good enough is taken.
_SHARPER = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-8, 0.0)
_SIZES = (100, 200, 300, 400, 500, 600)
#: Cells above which the exact way costs far more.
_MANY_CELLS = 1024
#: Observations by which a basis is chosen.
_SAMPLE = 48


class NoBasisError(NumericalError):
    """No basis of smooth fields is good enough beside errors as small as these."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A basis, and when a footprint is sharp: good to `truncation` for some, and so for their like.

    Attributes
    ----------
    sharpest : float
        Part of R_ii above which what a footprint has outside the basis is kept.
    """

    covariance: Kronecker
    basis: Basis
    sharpest: float
    truncation: float

    def reduction(self, jacobian: Any, noise: np.ndarray) -> Reduction:
        """The footprints projected; `noise` (n,) are their R_ii."""
        most = self.sharpest * noise
        return projected(self.covariance, ragged(jacobian), self.basis, most, self.truncation)


def choose(covariance: Kronecker, jacobian: Any, noise: np.ndarray, tolerance: float = TOLERANCE) -> Choice:
    """The cheapest basis that is good to `tolerance` for clusters of observations.

    Parameters
    ----------
    noise : (n,)
        Variances of the mismatch R_ii, beside which errors are small or not.

    Raises
    ------
    InputError
        When cells are no regular grid, or time is not exponential.
    NoBasisError
        When no basis is good enough: with the error reached.
    """
    clock(covariance)
    grid_of(covariance.space)
    n = jacobian.shape[0]
    every = np.unique(np.linspace(0, n - 1, _SAMPLE).astype("i8"))
    typical, beside = Typical.of(covariance, _rows_of(jacobian, every)), noise[every]
    sample = _clusters(n)
    few, noise = _rows_of(jacobian, sample), noise[sample]
    exact = observe(covariance, few)
    unit = np.sqrt(np.outer(noise, noise))
    error = np.inf
    for sharpest in _SHARPER:
        basis = typical.cheapest(sharpest * beside)
        found = projected(covariance, few, basis, sharpest * noise, 0.0).observe()
        error = float(np.max(np.abs(found - exact) / unit))
        if error <= tolerance:
            return Choice(covariance, basis, sharpest, error)
    raise NoBasisError(
        "no basis of smooth fields is good enough",
        expected=f"an error of at most {tolerance:g} of the mismatch",
        found=f"{error:.2g} with {basis.size} fields",
        remedy='use method="exact" (or "auto", which does so here)',
    )


def reduce(
    covariance: Kronecker, jacobian: Any, noise: np.ndarray, tolerance: float = TOLERANCE
) -> Reduction:
    """Choose a basis and project the footprints on it; see `choose`."""
    stored = ragged(jacobian)
    return choose(covariance, stored, noise, tolerance).reduction(stored, noise)


def is_large(covariance: Any) -> bool:
    """Whether a prior has so many cells that the exact H Q Hᵀ costs far more, and can be reduced."""
    if not isinstance(covariance, Kronecker) or not markov(covariance):
        return False
    return covariance.space.mirror is not None and covariance.space.size > _MANY_CELLS


def _clusters(n: int) -> np.ndarray:
    """Six clusters of four observations."""
    begin = np.unique(np.linspace(0, max(n - 4, 0), 6).astype("i8"))
    return np.unique(np.minimum(begin[:, None] + np.arange(4), n - 1))


def _rows_of(jacobian: Any, rows: np.ndarray) -> RaggedJacobian:
    out = sp.csr_array(select_rows(jacobian, rows))
    out.sort_indices()
    return ragged(out)


@dataclass(frozen=True, eq=False)
class Typical:
    """Some observations, by which a basis is chosen.

    Attributes
    ----------
    bases : of growing size
    outside : (q, bases)
        What could be missing of each footprint's variance in each of the bases.
    """

    rows: RaggedJacobian
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    bases: tuple[Basis, ...]
    outside: np.ndarray

    @classmethod
    def of(cls, covariance: Kronecker, rows: RaggedJacobian) -> Typical:
        cells = covariance.space.size
        largest = Basis.of(covariance.space, min(_SIZES[-1], cells))
        bases = tuple(largest.cut(min(size, cells)) for size in _SIZES)
        pairs = pairs_of(rows, cells)
        held = np.empty((pairs[0].size, largest.size), dtype="f4")
        beyond = project(covariance, rows, pairs, largest, np.arange(pairs[0].size), held)
        value, square = np.concatenate(largest.values), held.astype("f8") ** 2
        outside = [b.least * (beyond + square[:, value <= b.least].sum(axis=1)) for b in bases]
        return cls(rows, pairs, bases, np.stack(outside, axis=1))

    def cheapest(self, most: np.ndarray) -> Basis:
        """The basis with which smooth and sharp footprints together cost least, at most `most` (n,) missing.

        The weights are nanoseconds of a number in a product of sparse and dense, in one of dense arrays, and
        on its way through memory.
        """
        row, _, begin, end = self.pairs
        count, cells = max(row.size, 1), self.bases[0].fields.shape[0]
        near = 8 * count / self.rows.shape[0]
        cost = []
        for basis, outside in zip(self.bases, self.outside.T, strict=True):
            sharp = outside > most[row]
            entries, _ = entries_of(begin[sharp], end[sharp])
            seen = np.unique(self.rows.columns[entries] % cells).size
            smooth = basis.size * (0.1 * self.rows.values.size / count + 0.02 * near + 4.0)
            cost.append(smooth + entries.size / count * (0.1 * seen + near))
        return self.bases[int(np.argmin(cost))]


def solve_reduced(problem: LinearProblem, tolerance: float = TOLERANCE) -> LinearPosterior:
    """The posterior with H Q Hᵀ reduced; `truncation` holds the measured error.

    Raises
    ------
    InputError, NumericalError
        When the prior is no `Kronecker` on a regular grid, or no basis is good enough.
    """
    reduction = reduction_of(problem, tolerance)
    signal, truncation = reduction.observe(), reduction.truncation
    del reduction  # its footprints would lie beside the factor
    return solve_with(problem, observation_factor(problem, signal), truncation)


def reduction_of(problem: LinearProblem, tolerance: float = TOLERANCE) -> Reduction:
    """The reduction of a problem's H Q Hᵀ; for errors see `solve_reduced`."""
    prior = problem.prior_covariance
    if not isinstance(prior, Kronecker):
        raise InputError(
            'method="reduced" needs a Kronecker prior covariance',
            found=type(prior).__name__,
            remedy='use method="exact"',
        )
    return reduce(prior, problem.jacobian, problem.mismatch_covariance.diagonal(), tolerance)
