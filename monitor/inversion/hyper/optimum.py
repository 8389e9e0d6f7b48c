"""The parameters that maximise evidence times prior, and the covariance of their logarithms (Laplace).

Weak log-normal priors on the parameters keep it proper; everything happens in logarithms, in units of the
prior's 1σ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import linalg, optimize
from scipy.special import ndtri

from monitor.errors import InputError
from monitor.inversion.components import ObservationModel, Parameter
from monitor.inversion.hyper.evidence import log_evidence
from monitor.inversion.numeric import numbers

#: How far from its median a parameter may go [prior 1σ].
_REACH = 4.0


class Slope(Protocol):
    """An evidence: parameter values -> ln p(y|θ) and its gradient in ln θ."""

    def __call__(self, values: np.ndarray, /) -> tuple[float, np.ndarray]: ...


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
        names = [p.name for p in self.parameters]
        if name not in names:
            raise InputError(f"no parameter '{name}'", expected=", ".join(names))
        return float(self.values[names.index(name)])

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper bounds (q, 2), normal in the logarithm."""
        if not 0 < level < 1:
            raise InputError("a level lies between 0 and 1", found=str(level))
        reach = ndtri(0.5 + 0.5 * level) * np.sqrt(np.diagonal(self.log_covariance))
        return np.asarray(self.values[:, None] * np.exp(reach[:, None] * np.array([-1.0, 1.0])))


def maximise(
    model: ObservationModel,
    residual: np.ndarray,
    fixed: np.ndarray | None = None,
    *,
    start: np.ndarray | None = None,
    iterations: int = 60,
) -> Hyperparameters:
    """The parameters of a model in observation space that maximise evidence times prior.

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
    columns = np.zeros((residual.size, 0)) if fixed is None else fixed
    return maximum(
        lambda values: log_evidence(model, values, residual, columns),
        model.parameters,
        start=start,
        iterations=iterations,
    )


def maximum(
    evidence: Slope,
    parameters: tuple[Parameter, ...],
    *,
    start: np.ndarray | None = None,
    iterations: int = 60,
    progress: Callable[[int, int], None] | None = None,
) -> Hyperparameters:
    """The maximum of evidence times prior by L-BFGS, from the prior medians or from `start`.

    Where nothing is free to move the evidence at the medians is returned.
    """
    median = np.array([p.start for p in parameters])
    width = np.array([p.log_sd for p in parameters])
    free = width > 0
    if not free.any():
        return Hyperparameters(parameters, median, np.zeros((width.size,) * 2), evidence(median)[0], 1)
    climb = _Climb(evidence, np.log(median), width)
    begin = np.zeros(int(free.sum()))
    if start is not None:
        begin = np.log(_checked_start(start, width.size) / median)[free] / width[free]

    def report(_: np.ndarray) -> None:
        climb.steps += 1
        if progress:
            progress(climb.steps, iterations)

    found = optimize.minimize(
        climb,
        np.clip(begin, -_REACH, _REACH),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_REACH, _REACH)] * begin.size,
        options={"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-2},
        callback=report,
    )
    covariance = np.zeros((width.size,) * 2)
    covariance[np.ix_(free, free)] = np.outer(width[free], width[free]) * _curvature(climb, found.x)
    value = climb.level + 0.5 * float(found.x @ found.x) - float(found.fun)
    return Hyperparameters(parameters, climb.values(found.x), covariance, value, climb.evaluations)


def _checked_start(start: Any, count: int) -> np.ndarray:
    values = numbers(start, "start")
    if values.shape != (count,):
        raise InputError(
            "start does not fit", expected=f"({count},), the parameters", found=str(values.shape)
        )
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        raise InputError(
            "start has values that are not positive numbers",
            found=f"{values[bad[0]]} at index {int(bad[0])}",
            remedy="begin at problem.parameters' start, or at fit.values",
        )
    return values


@dataclass
class _Climb:
    """−ln(evidence × prior) and its gradient over steps from the prior median [prior 1σ].

    The evidence is counted from its first value, so that a change of units, which adds a constant to it, does
    not change when the search ends.
    """

    evidence: Slope
    log_median: np.ndarray
    width: np.ndarray
    evaluations: int = 0
    steps: int = 0
    level: float = 0.0

    def values(self, step: np.ndarray) -> np.ndarray:
        """The parameters (q,) a step of the free ones leads to."""
        theta = self.log_median.copy()
        free = self.width > 0
        theta[free] += step * self.width[free]
        return np.asarray(np.exp(theta))

    def __call__(self, step: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.evidence(self.values(step))
        if not self.evaluations:
            self.level = value
        self.evaluations += 1
        free = self.width > 0
        return self.level - value + 0.5 * float(step @ step), step - gradient[free] * self.width[free]


def _curvature(climb: _Climb, at: np.ndarray, step: float = 0.05) -> np.ndarray:
    """Inverse Hessian of the objective by central differences of its gradient, made positive definite."""
    sides = [(climb(at + row)[1], climb(at - row)[1]) for row in np.eye(at.size) * step]
    hessian = np.array([(above - below) / (2.0 * step) for above, below in sides])
    hessian = 0.5 * (hessian + hessian.T)
    eigenvalue, vectors = linalg.eigh(hessian)
    # the prior alone gives curvature 1 in these coordinates: nothing may be flatter than half of it
    return np.asarray((vectors / np.maximum(eigenvalue, 0.5)) @ vectors.T)


def neighbours(found: Hyperparameters, reach: float = 1.0) -> Iterator[np.ndarray]:
    """Values `reach` σ away, on both sides, along each principal direction of their uncertainty.

    At one σ half the sum of the squares of what changes on the way is the covariance that the uncertainty of
    the parameters adds, to first order.
    """
    eigenvalue, vector = np.linalg.eigh(found.log_covariance)
    for size, direction in zip(eigenvalue, vector.T, strict=True):
        if size > 1e-10:
            # both sides: which of them an eigenvector points to is an accident of the library
            for side in (-1.0, 1.0):
                yield found.values * np.exp(side * reach * np.sqrt(size) * direction)
