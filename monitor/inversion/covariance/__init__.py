"""Covariances with structure: what the prior and the mismatch are made of.

Every one of them multiplies vectors, draws (`sqrt_matvec`), writes itself out (`dense`) for small sizes, and
gives H Q Hᵀ (`observe`) with the derivatives of it by the logarithms of its parameters (`slopes`).
"""

from monitor.inversion.covariance.base import Block, Covariance, Dense, Diagonal, Sum, as_covariance
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Exponential, HourOfDay, Matern, add_to

__all__ = [
    "Block",
    "Covariance",
    "Dense",
    "Diagonal",
    "Exponential",
    "HourOfDay",
    "Kronecker",
    "Matern",
    "Sum",
    "add_to",
    "as_covariance",
]
