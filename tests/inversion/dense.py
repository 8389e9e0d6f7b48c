"""Covariances and posteriors the long way: every element written out, every matrix formed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.stats import multivariate_normal


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


def textbook(h, y, prior_mean, q, r, patterns):
    """Everything about x ~ N(x_a + Δβ, Q), y = Hx + ε, β with a flat prior, with every matrix formed.

    The estimator is x̂ = x_a + G (y − H x_a) with GX = Δ, and its error covariance is taken from the errors
    that go into it (Joseph's form): (I − GH) Q (I − GH)ᵀ + G R Gᵀ.
    """
    psi = h @ q @ h.T + r
    x = h @ patterns
    weighted = np.linalg.solve(psi, x)
    beta_covariance = np.linalg.inv(x.T @ weighted)
    projector = np.linalg.inv(psi) - weighted @ beta_covariance @ weighted.T
    gain = q @ h.T @ projector + patterns @ beta_covariance @ weighted.T
    residual = y - h @ prior_mean
    left = np.eye(q.shape[0]) - gain @ h
    beta = beta_covariance @ (weighted.T @ residual)
    return {
        "mean": prior_mean + gain @ residual,
        "covariance": left @ q @ left.T + gain @ r @ gain.T,
        "gain": gain,
        "averaging_kernel": gain @ h,
        "beta": beta,
        "beta_covariance": beta_covariance,
        "innovations": residual - x @ beta,
        "chi2": residual @ projector @ residual / max(y.size - x.shape[1], 1),
        "log_evidence": log_evidence(residual, psi, x),
    }


def log_evidence(residual, psi, x):
    """ln p(y), with columns x under a flat prior by contrasts orthogonal to them (Harville 1974)."""
    n, q = x.shape
    contrasts = np.linalg.svd(x)[0][:, q:] if q else np.eye(n)
    if n == q:
        return -0.5 * np.linalg.slogdet(x.T @ x)[1]
    seen = multivariate_normal(cov=contrasts.T @ psi @ contrasts).logpdf(contrasts.T @ residual)
    return seen - 0.5 * np.linalg.slogdet(x.T @ x)[1]


def rational(h, y, q, r):
    """Mean and variances for x ~ N(0, diag q), ε ~ N(0, diag r), in fractions: every digit is right."""
    n, m = h.shape
    h = [[Fraction(float(v)) for v in row] for row in h]
    q, r, y = ([Fraction(float(v)) for v in values] for values in (q, r, y))
    rows = [
        [sum(h[i][k] * q[k] * h[j][k] for k in range(m)) + (r[i] if i == j else 0) for j in range(n)]
        + [y[i]]
        + [q[k] * h[i][k] for k in range(m)]
        for i in range(n)
    ]
    for c in range(n):
        rows[c] = [value / rows[c][c] for value in rows[c]]
        for i in range(n):
            if i != c:
                rows[i] = [a - rows[i][c] * b for a, b in zip(rows[i], rows[c], strict=True)]
    mean = [sum(q[k] * h[i][k] * rows[i][n] for i in range(n)) for k in range(m)]
    variance = [q[k] - sum(q[k] * h[i][k] * rows[i][n + 1 + k] for i in range(n)) for k in range(m)]
    return np.array(mean, dtype="f8"), np.array(variance, dtype="f8")
