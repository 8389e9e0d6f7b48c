"""One factor of Ψ, one set of totals, many alternative sets of fixed effects.

All columns are solved for at once, and each set then costs a few small products: with
L Lᵀ = Ψ, halves L⁻¹ of the residual, the columns X and C = H Q aᵀ are kept, and the formulas of
`monitor.inversion.solution` are written in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from monitor.errors import NumericalError
from monitor.inversion.solution import TotalEstimate, least_squares


@dataclass(frozen=True, eq=False)
class Prepared:
    """Totals (k) of a factorised problem with columns (c) any of which may be free.

    Attributes
    ----------
    residual : (n,)
    prior_covariance : (k, k)
    half_residual, half_columns, half_cross : (n,), (n, c), (n, k)
        L⁻¹ times each.
    columns, cross : (n, c), (n, k)
        Ψ⁻¹ times each.
    """

    residual: np.ndarray
    prior_covariance: np.ndarray
    half_residual: np.ndarray
    half_columns: np.ndarray
    half_cross: np.ndarray
    columns: np.ndarray
    cross: np.ndarray

    def estimate(self, free: Sequence[int] = (), loading: np.ndarray | None = None) -> TotalEstimate:
        """The totals with the columns `free` flat; `loading` (k, len(free)) is what each adds to them.

        Raises
        ------
        NumericalError
            When a free column leaves no trace, or they are collinear.
        """
        gain = self.cross.T
        covariance = self.prior_covariance - self.half_cross.T @ self.half_cross
        chosen = list(free)
        if chosen:
            half = self.half_columns[:, chosen]
            spread = least_squares(half, self.half_residual)[1]
            extra = (0.0 if loading is None else loading) - self.half_cross.T @ half
            covariance = covariance + extra @ spread @ extra.T
            gain = gain + extra @ spread @ self.columns[:, chosen].T
        covariance = 0.5 * (covariance + covariance.T)
        return TotalEstimate(gain @ self.residual, covariance, self.prior_covariance, gain)


def prepare(
    lower: np.ndarray,
    residual: np.ndarray,
    cross: np.ndarray,
    prior_covariance: np.ndarray,
    columns: np.ndarray,
) -> Prepared:
    """Solve for the residual (n,), `cross` H Q aᵀ (n, k) and all `columns` (n, c) at once.

    Raises
    ------
    NumericalError
        When an entry is not finite.
    """
    everything = np.column_stack([residual, columns, cross])
    if not np.isfinite(everything).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(everything))[0])
        raise NumericalError(
            "the residual or a fixed effect is not finite", found=f"column {at[1]}, row {at[0]}"
        )
    half = solve_triangular(lower, everything, lower=True, check_finite=False)
    back = solve_triangular(lower, half[:, 1:], lower=True, trans="T", check_finite=False)
    c = columns.shape[1]
    return Prepared(
        residual, prior_covariance, half[:, 0], half[:, 1 : c + 1], half[:, c + 1 :], back[:, :c], back[:, c:]
    )
