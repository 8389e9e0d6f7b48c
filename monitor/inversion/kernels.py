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


@njit(cache=True)
def window_maxima(gram, score, starts, ends, best):  # type: ignore[no-untyped-def]
    """Z of one cell in all windows, the σ of its strength, and the largest z of every simulated world.

    gram : (days + 1, days + 1) running sums of hᵢ Pᵢⱼ hⱼ;  score : (days + 1, 1 + draws) running sums of
    hᵢ (P r)ᵢ, the first column the data, the others worlds without a source;  best : (1 + draws,) the
    largest z so far, updated in place.  Returns z = strength/σ of the data and σ, each (windows,): −∞ and
    ∞ in a window without response.
    """
    windows, worlds = starts.size, score.shape[1]
    z = np.full(windows, -np.inf)
    sigma = np.full(windows, np.inf)
    for w in range(windows):
        a, b = starts[w], ends[w]
        norm = gram[b, b] - gram[a, b] - gram[b, a] + gram[a, a]
        if norm <= 0.0:
            continue
        scale = 1.0 / np.sqrt(norm)
        z[w] = (score[b, 0] - score[a, 0]) * scale
        sigma[w] = scale
        for k in range(worlds):
            value = (score[b, k] - score[a, k]) * scale
            if value > best[k]:
                best[k] = value
    return z, sigma
