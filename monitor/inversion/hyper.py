"""Hyperparameters by maximum marginal likelihood, with analytic gradients.

With fixed effects X under a flat prior the restricted likelihood is used::

    ln p(y|θ) = −½ ( rᵀ P r + ln|Ψ| + ln|XᵀΨ⁻¹X| + (n − q) ln 2π ),
    P = Ψ⁻¹ − Ψ⁻¹X (XᵀΨ⁻¹X)⁻¹ XᵀΨ⁻¹
    ∂/∂ln v = ½ tr[(P r rᵀ P − P) ∂Ψ/∂ln v]

(Rasmussen & Williams 2006, ch. 5; Patterson & Thompson 1971 for the restricted form).  Weak
log-normal priors on the parameters keep it proper.  The shape at the maximum gives their covariance
(Laplace).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

from monitor.inversion.components import (
    ObservationModel,
    Parameter,
    cholesky_or_error,
    inverse_from_cholesky,
)

_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Hyperparameters:
    """Parameter values at the maximum, with the Laplace covariance of their logarithms.

    `log_covariance` is (q, q), zero in the rows of parameters held fixed.
    """

    parameters: tuple[Parameter, ...]
    values: np.ndarray
    log_covariance: np.ndarray
    log_evidence: float
    evaluations: int

    def __getitem__(self, name: str) -> float:
        return float(self.values[[p.name for p in self.parameters].index(name)])


def log_evidence(
    model: ObservationModel, values: np.ndarray, residual: np.ndarray, fixed: np.ndarray
) -> tuple[float, np.ndarray]:
    """Restricted log-likelihood and its gradient in ln v.

    Parameters
    ----------
    residual : (n,)
        Observations minus the prior's prediction [µmol mol⁻¹].
    fixed : (n, q)
        Columns with a flat prior; (n, 0) for none.
    """
    n, q = fixed.shape
    lower = cholesky_or_error(model.covariance(values), "the covariance of the observations")
    precision = inverse_from_cholesky(lower)
    log_det = 2.0 * float(np.log(np.diagonal(lower)).sum())
    if q:
        weighted = precision @ fixed
        inner = fixed.T @ weighted
        log_det += float(np.linalg.slogdet(inner)[1])
        precision = precision - weighted @ np.linalg.solve(inner, weighted.T)
    alpha = precision @ residual
    value = -0.5 * (float(residual @ alpha) + log_det + (n - q) * _LOG_2PI)
    return value, 0.5 * model.contract(values, np.outer(alpha, alpha) - precision)


def maximise(
    model: ObservationModel,
    residual: np.ndarray,
    fixed: np.ndarray | None = None,
    *,
    start: np.ndarray | None = None,
    iterations: int = 60,
) -> Hyperparameters:
    """The parameters that maximise evidence times prior, by L-BFGS in logarithms.

    Parameters
    ----------
    residual : (n,)
        Observations minus the prior's prediction [µmol mol⁻¹].
    fixed : (n, q), optional
        Columns with a flat prior.
    start : (parameters,), optional
        Where to begin; the prior medians if absent.

    Raises
    ------
    NumericalError
        When Ψ is not positive definite at the start.
    """
    parameters = model.parameters
    columns = np.zeros((residual.size, 0)) if fixed is None else fixed
    median = np.log(model.starts)
    width = np.array([p.log_sd for p in parameters])
    free = width > 0
    if not free.any():
        value, _ = log_evidence(model, model.starts, residual, columns)
        return Hyperparameters(parameters, model.starts, np.zeros((width.size, width.size)), value, 1)

    def objective(step: np.ndarray) -> tuple[float, np.ndarray]:
        theta = median.copy()
        theta[free] += step * width[free]
        value, gradient = log_evidence(model, np.exp(theta), residual, columns)
        return -value + 0.5 * float(step @ step), -(gradient[free] * width[free]) + step

    begin = np.zeros(int(free.sum())) if start is None else (np.log(start) - median)[free] / width[free]
    found = optimize.minimize(
        objective,
        np.clip(begin, -4.0, 4.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-4.0, 4.0)] * int(free.sum()),
        options={"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-2},
    )
    theta = median.copy()
    theta[free] += found.x * width[free]
    covariance = np.zeros((len(parameters), len(parameters)))
    curvature = _curvature(objective, found.x)
    covariance[np.ix_(free, free)] = width[free][:, None] * curvature * width[free][None, :]
    value, _ = log_evidence(model, np.exp(theta), residual, columns)
    return Hyperparameters(parameters, np.exp(theta), covariance, value, int(found.nfev))


def _curvature(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]], at: np.ndarray, step: float = 0.05
) -> np.ndarray:
    """Inverse Hessian of the objective by differences of its gradient, made positive definite."""
    centre = objective(at)[1]
    hessian = np.array([(objective(at + row)[1] - centre) / step for row in np.eye(at.size) * step])
    hessian = 0.5 * (hessian + hessian.T)
    eigenvalue, vectors = linalg.eigh(hessian)
    # the prior alone gives curvature 1 in these coordinates: nothing may be flatter than half of it
    return np.asarray((vectors / np.maximum(eigenvalue, 0.5)) @ vectors.T)
