"""Covariances and posteriors the long way: every element written out, every matrix formed."""

from __future__ import annotations

import numpy as np


def space_time(jacobian, distance_km, step_hours, scale, length, tau):
    """H D (T ⊗ S) D Hᵀ with the state-space matrices formed; `jacobian` holds H D, one (n, s) per step."""
    steps, cells = len(jacobian), distance_km.shape[0]
    q = np.empty((steps * cells, steps * cells))
    for p in range(steps):
        for c in range(cells):
            for k in range(steps):
                for d in range(cells):
                    lag = abs(step_hours[p] - step_hours[k])
                    q[p * cells + c, k * cells + d] = np.exp(-lag / tau - distance_km[c, d] / length)
    h = np.hstack(jacobian)
    return scale**2 * h @ q @ h.T


def process(hours, group, profile, tau):
    """An AR(1) process per group, element by element."""
    n = len(hours)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if group[i] == group[j]:
                out[i, j] = profile[i] * profile[j] * np.exp(-abs(hours[i] - hours[j]) / tau)
    return out


def state_space_posterior(h, q, r, residual):
    """Mean shift and covariance by the information form, (HᵀR⁻¹H + Q⁻¹)⁻¹: never touches Ψ."""
    precision = h.T @ np.linalg.solve(r, h) + np.linalg.inv(q)
    covariance = np.linalg.inv(precision)
    return covariance @ h.T @ np.linalg.solve(r, residual), covariance


def spd(rng, n, floor=0.5):
    """A random symmetric positive definite matrix."""
    root = rng.normal(size=(n, n))
    return root @ root.T / n + floor * np.eye(n)
