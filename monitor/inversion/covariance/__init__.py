"""Covariances with structure: what the prior and the mismatch are made of.

Every one of them multiplies vectors, draws (`sqrt_matvec`), writes itself out (`dense`) for small sizes, and
gives H Q Hᵀ (`observe`) with the derivatives of it by the logarithms of its parameters (`slopes`).
"""

from monitor.inversion.covariance.base import Covariance, Dense, Diagonal, as_covariance
from monitor.inversion.covariance.combined import Block, Selected, Sum, add_to
from monitor.inversion.covariance.hours import HourOfDay
from monitor.inversion.covariance.kronecker import Kronecker
from monitor.inversion.covariance.stationary import Exponential, Matern

__all__ = [
    "Block",
    "Covariance",
    "Dense",
    "Diagonal",
    "Exponential",
    "HourOfDay",
    "Kronecker",
    "Matern",
    "Selected",
    "Sum",
    "add_to",
    "as_covariance",
]
