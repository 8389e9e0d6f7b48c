"""Ψ⁻¹ in two forms: by its Cholesky factor (n, n), or by the state's (k, k) where that is smaller.

The second is the Woodbury identity with Q = L Lᵀ and whitened columns B = R^-½ H L::

    Ψ⁻¹ = R^-½ [ I − B (I + BᵀB)⁻¹ Bᵀ ] R^-½          ln|Ψ| = ln|R| + ln|I + BᵀB|

which needs no inverse of Q, so that a singular Q does no harm (Rasmussen & Williams 2006, A.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.linalg import lapack, solve_triangular

from monitor.errors import NumericalError
from monitor.inversion.components import inverse_from_cholesky
from monitor.inversion.covariance import Covariance, Diagonal


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

    Raises
    ------
    NumericalError
        When it is not positive definite: with the order of the minor that is not, and that row's diagonal.
    """
    norm = float(lapack.dlange("1", matrix.T))
    diagonal = matrix.diagonal().copy()
    # the transposed of a C-ordered symmetric matrix is itself in Fortran's order: factored without a copy
    lower, info = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1, clean=1)
    if info != 0:
        raise NumericalError(
            f"{what} is not positive definite",
            expected="all eigenvalues above zero",
            found=f"it fails at index {info - 1}, whose variance is {diagonal[info - 1]:.6g}",
            remedy="check the standard deviations; two identical rows without own noise do this",
        )
    reciprocal, _ = lapack.dpocon(lower, norm, uplo="L")
    return lower, 1.0 / reciprocal if reciprocal > 0 else np.inf


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
    """The Woodbury form for independent errors of the observations.

    Attributes
    ----------
    variance : (n,)
        Diagonal of R.
    whitened : (n, k)
        B = R^-½ H L.
    inner : (k, k)
        Lower factor of I + BᵀB.
    """

    variance: np.ndarray
    whitened: np.ndarray
    inner: np.ndarray
    condition: float

    @classmethod
    def of(cls, variance: np.ndarray, spread: np.ndarray) -> StateFactor:
        """From R's diagonal (n,) and H L (n, k)."""
        whitened = spread / np.sqrt(variance)[:, None]
        matrix = whitened.T @ whitened
        matrix[np.diag_indices_from(matrix)] += 1.0
        inner, condition = factored(matrix, "the information matrix of the state")
        return cls(variance, whitened, inner, condition)

    @property
    def log_det(self) -> float:
        return float(np.log(self.variance).sum() + 2.0 * np.log(np.diagonal(self.inner)).sum())

    def weigh(self, columns: np.ndarray) -> np.ndarray:
        root = np.sqrt(self.variance) if columns.ndim == 1 else np.sqrt(self.variance)[:, None]
        scaled = columns / root
        half = solve_triangular(self.inner, self.whitened.T @ scaled, lower=True, check_finite=False)
        inner = solve_triangular(self.inner, half, lower=True, trans="T", check_finite=False)
        return np.asarray((scaled - self.whitened @ inner) / root)

    @cached_property
    def _contraction(self) -> tuple[np.ndarray, np.ndarray]:
        """B = U s Vᵀ, of which (I + BBᵀ)^-½ = I − U (1 − (1 + s²)^-½) Uᵀ."""
        left, singular, _ = np.linalg.svd(self.whitened, full_matrices=False)
        return left, 1.0 - 1.0 / np.sqrt(1.0 + singular**2)

    def half(self, columns: np.ndarray) -> np.ndarray:
        root = np.sqrt(self.variance) if columns.ndim == 1 else np.sqrt(self.variance)[:, None]
        scaled = columns / root
        left, shrink = self._contraction
        inner = left.T @ scaled
        return np.asarray(scaled - left @ (shrink * inner if inner.ndim == 1 else shrink[:, None] * inner))

    def block(self, rows: np.ndarray) -> np.ndarray:
        half = solve_triangular(self.inner, self.whitened[rows].T, lower=True, check_finite=False)
        root = np.sqrt(self.variance[rows])
        return np.asarray((np.eye(rows.size) - half.T @ half) / (root[:, None] * root[None, :]))

    @property
    def signal_trace(self) -> float:
        inverse = inverse_from_cholesky(self.inner)
        return float(self.inner.shape[0] - np.trace(inverse))
