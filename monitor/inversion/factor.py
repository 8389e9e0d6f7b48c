"""Ψ⁻¹ in two forms: by its Cholesky factor (n, n), or by the state's (k, k) where that is smaller.

The second is a form of the Woodbury identity with Q = L Lᵀ, which needs no inverse of Q, so that a singular Q
does no harm (Rasmussen & Williams 2006, A.3); see `StateFactor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.linalg import cho_solve, lapack, qr, solve_triangular

from monitor.errors import NumericalError
from monitor.inversion.components import inverse_from_cholesky
from monitor.inversion.covariance import Covariance, Diagonal

#: Order from which a matrix is factored block by block, and that of the blocks.
_LARGE, _BLOCK = 8192, 1024


class Factor(Protocol):
    """Ψ, ready to be divided by."""

    @property
    def log_det(self) -> float: ...

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        """Ψ⁻¹ times (n,) or (n, k)."""
        ...

    def half(self, columns: np.ndarray) -> np.ndarray:
        """W C with WᵀW = Ψ⁻¹, so that CᵀΨ⁻¹C is the square of it."""
        ...

    def block(self, rows: np.ndarray) -> np.ndarray:
        """(Ψ⁻¹)_II (i, i)."""
        ...

    @property
    def signal_trace(self) -> float:
        """tr(Ψ⁻¹ H Q Hᵀ): degrees of freedom for signal."""
        ...

    @property
    def condition(self) -> float:
        """Condition number of the matrix that was factored (estimated, 1-norm)."""
        ...


def factored(matrix: np.ndarray, what: str) -> tuple[np.ndarray, float]:
    """Lower Cholesky factor of a symmetric matrix, in its place, and the estimated condition number.

    The matrix is scaled to a diagonal of ones first, and the factor back: the digits that are lost, and the
    condition number, are those of the scaled matrix, whatever the units are, and no other scaling is much
    better (van der Sluis 1969; Higham 2002, §10.1).

    Raises
    ------
    NumericalError
        When it is not positive definite: with the order of the minor that is not, and that row's diagonal.
    """
    diagonal = matrix.diagonal().copy()
    root = np.where(diagonal > 0, np.sqrt(np.abs(diagonal)), 1.0)
    _scale(matrix, 1.0 / root, 1.0 / root)
    norm = float(lapack.dlange("1", matrix.T))
    lower, info = cholesky_in_place(matrix)
    if info != 0:
        raise NumericalError(
            f"{what} is not positive definite",
            expected="all eigenvalues above zero",
            found=f"it fails at index {info - 1}, whose variance is {diagonal[info - 1]:.6g}",
            remedy="check the standard deviations; two identical rows without own noise do this",
        )
    reciprocal, _ = lapack.dpocon(lower, norm, uplo="L")
    _scale(lower, root)
    return lower, 1.0 / reciprocal if reciprocal > 0 else np.inf


def cholesky_in_place(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """Lower factor in the place of a C-ordered matrix, and 0 or the order of the minor that is not positive.

    The transposed of a C-ordered symmetric matrix is itself in Fortran's order: nothing is copied.  Large
    ones go block by block, since `dpotrf` of OpenBLAS 0.3 crashes on them with several threads.
    """
    n = matrix.shape[0]
    if n <= _LARGE:
        lower, info = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1, clean=1)
        return lower, int(info)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        upper, info = lapack.dpotrf(matrix[start:stop, start:stop].T, lower=0, clean=1)
        if info != 0:
            return matrix.T, start + int(info)
        matrix[start:stop, start:stop] = upper
        matrix[stop:, start:stop] = 0.0
        right = matrix[start:stop, stop:]
        right[:] = solve_triangular(upper, right, trans="T", check_finite=False)
        for first in range(stop, n, _BLOCK):
            last = min(first + _BLOCK, n)
            matrix[first:last, first:] -= right[:, first - stop : last - stop].T @ right[:, first - stop :]
    return matrix.T, 0


def _scale(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray | None = None) -> None:
    """Multiply the rows, and the columns, of a matrix (n, n) in its place."""
    matrix *= rows[:, None]
    if columns is not None:
        matrix *= columns


@dataclass(frozen=True, eq=False)
class ObservationFactor:
    """Ψ = L Lᵀ.

    Attributes
    ----------
    lower : (n, n)
    mismatch : Covariance
        R, of which tr(Ψ⁻¹ H Q Hᵀ) = n − tr(Ψ⁻¹R) is made.
    """

    lower: np.ndarray
    condition: float
    mismatch: Covariance

    @property
    def log_det(self) -> float:
        return 2.0 * float(np.log(np.diagonal(self.lower)).sum())

    def half(self, columns: np.ndarray) -> np.ndarray:
        """L⁻¹ times `columns`."""
        return np.asarray(solve_triangular(self.lower, columns, lower=True, check_finite=False))

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        half = self.half(columns)
        return np.asarray(solve_triangular(self.lower, half, lower=True, trans="T", check_finite=False))

    @cached_property
    def inverse(self) -> np.ndarray:
        """Ψ⁻¹ (n, n)."""
        return inverse_from_cholesky(self.lower)

    def block(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.inverse[np.ix_(rows, rows)])

    @property
    def signal_trace(self) -> float:
        if isinstance(self.mismatch, Diagonal):
            return float(self.lower.shape[0] - self.inverse.diagonal() @ self.mismatch.diagonal())
        return float(self.lower.shape[0] - np.vdot(self.inverse, self.mismatch.dense()))


@dataclass(frozen=True, eq=False)
class StateFactor:
    """Ψ = R^½ (I + BBᵀ) R^½ for independent errors of the observations, with B = R^-½ H L = U T::

        Ψ⁻¹ = R^-½ [ (I − UUᵀ) + U (I + TTᵀ)⁻¹ Uᵀ ] R^-½

    The two terms are large and small where they should be; the usual form I − B (I + BᵀB)⁻¹ Bᵀ is a
    difference of equal numbers where the observations outweigh the prior, and its condition hides it.

    Attributes
    ----------
    variance : (n,)
        Diagonal of R.
    basis, triangle : (n, r), (r, k)
        U, orthonormal, and T.
    inner : (r, r)
        Lower factor of I + TTᵀ.
    condition : float
        Of R^-½ Ψ R^-½.
    """

    variance: np.ndarray
    basis: np.ndarray
    triangle: np.ndarray
    inner: np.ndarray
    condition: float

    @classmethod
    def of(cls, variance: np.ndarray, spread: np.ndarray) -> StateFactor:
        """From R's diagonal (n,) and H L (n, k)."""
        basis, triangle = qr(spread / np.sqrt(variance)[:, None], mode="economic", check_finite=False)
        matrix = triangle @ triangle.T
        matrix[np.diag_indices_from(matrix)] += 1.0
        largest = float(np.abs(matrix).sum(axis=0).max())
        inner, condition = factored(matrix, "the information matrix of the state")
        # outside the basis the eigenvalues are 1, the least there is
        return cls(variance, basis, triangle, inner, largest if variance.size > inner.shape[0] else condition)

    @property
    def log_det(self) -> float:
        return float(np.log(self.variance).sum() + 2.0 * np.log(np.diagonal(self.inner)).sum())

    def _whitened(self, columns: np.ndarray) -> np.ndarray:
        root = np.sqrt(self.variance)
        return np.asarray(columns / (root if columns.ndim == 1 else root[:, None]))

    def _parts(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R^-½ C outside the basis (n, …), and along it (r, …)."""
        scaled = self._whitened(columns)
        along = self.basis.T @ scaled
        outside = scaled - self.basis @ along
        # twice is enough (Parlett 1998, §6.9): what rounding left along the basis would not shrink
        return outside - self.basis @ (self.basis.T @ outside), along

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        outside, along = self._parts(columns)
        return self._whitened(outside + self.basis @ cho_solve((self.inner, True), along, check_finite=False))

    def half(self, columns: np.ndarray) -> np.ndarray:
        """Of n + r rows: what is outside the basis, and what is along it."""
        outside, along = self._parts(columns)
        inner = solve_triangular(self.inner, along, lower=True, check_finite=False)
        return np.concatenate([outside, inner])

    def block(self, rows: np.ndarray) -> np.ndarray:
        part = self.basis[rows]
        half = solve_triangular(self.inner, part.T, lower=True, check_finite=False)
        root = np.sqrt(self.variance[rows])
        inside = np.eye(rows.size) - part @ part.T + half.T @ half
        return np.asarray(inside / (root[:, None] * root[None, :]))

    @property
    def signal_trace(self) -> float:
        half = solve_triangular(self.inner, self.triangle, lower=True, check_finite=False)
        return float(np.sum(half**2))
