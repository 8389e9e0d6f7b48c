"""Compiled loops of the inversion: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def markov_covariance(hours, group, profile, tau):  # type: ignore[no-untyped-def]
    """K_ij = p_i p_j exp(−|t_i − t_j|/τ) within a group, else 0; shapes (n,) → (n, n)."""
    n = hours.size
    out = np.zeros((n, n))
    for i in range(n):
        out[i, i] = profile[i] * profile[i]
        for j in range(i):
            if group[i] == group[j]:
                value = profile[i] * profile[j] * np.exp(-abs(hours[i] - hours[j]) / tau)
                out[i, j] = value
                out[j, i] = value
    return out


@njit(cache=True)
def markov_contract(hours, group, profile, tau, weight):  # type: ignore[no-untyped-def]
    """Row sums Σ_j w_ij K_ij (n,) and Σ_ij w_ij K_ij |t_i − t_j|/τ, for symmetric w (n, n)."""
    n = hours.size
    rows = np.zeros(n)
    slope = 0.0
    for i in range(n):
        rows[i] += weight[i, i] * profile[i] * profile[i]
        for j in range(i):
            if group[i] == group[j]:
                lag = abs(hours[i] - hours[j]) / tau
                value = weight[i, j] * profile[i] * profile[j] * np.exp(-lag)
                rows[i] += value
                rows[j] += value
                slope += 2.0 * value * lag
    return rows, slope
