"""Hyperparameters of a problem by maximum evidence, and totals that carry their uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from monitor.errors import InputError
from monitor.inversion.components import Parameter
from monitor.inversion.hyper.evidence import Evidence, log_evidence
from monitor.inversion.hyper.optimum import Hyperparameters, maximum, neighbours
from monitor.inversion.linear import LinearProblem
from monitor.inversion.progress import Progress, shown

if TYPE_CHECKING:
    from monitor.inversion.problem import InverseProblem
    from monitor.inversion.totals import Total

#: Change of ln p(y|θ) below which a new basis says the same: it moves no parameter by a third of its σ.
_SETTLED = 0.05
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class MixedTotals:
    """Totals whose covariance has two parts, by the law of total variance.

    Attributes
    ----------
    mean : (k,)
    within : (k, k)
        What is left when the hyperparameters are known.
    between : (k, k)
        What the uncertainty of the hyperparameters adds.
    """

    mean: np.ndarray
    within: np.ndarray
    between: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Both together (k, k)."""
        return np.asarray(self.within + self.between)

    @property
    def std(self) -> np.ndarray:
        """1σ (k,)."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance)))

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper bounds (k, 2), normal."""
        reach = ndtri(0.5 + 0.5 * level) * self.std
        return np.asarray(self.mean[:, None] + reach[:, None] * np.array([-1.0, 1.0]))


@dataclass(frozen=True, eq=False)
class Fit(Hyperparameters):
    """Hyperparameters at the maximum of evidence times prior, and what the problem is there.

    Attributes
    ----------
    problem : LinearProblem or InverseProblem
        A `LinearProblem` is at the fitted values; an `InverseProblem` takes them as
        ``inv.solve(problem, fitted=fit)``.
    evidence : Evidence or None
        The evidence as a function of the values, of a `LinearProblem`.
    """

    problem: LinearProblem | InverseProblem
    evidence: Evidence | None = None

    @property
    def truncation(self) -> float:
        """Largest error of an element of H Q Hᵀ beside the mismatch, at the maximum; 0 when exact."""
        return self.evidence.truncation if self.evidence else 0.0

    def totals(self, totals: Any = None) -> MixedTotals:
        """Totals with the covariance within and between hyperparameters, by the law of total variance.

        Of a `LinearProblem` by the cubature of third degree over the normal distribution of the logarithms:
        the solutions √q σ away, on both sides along each of q principal directions, count equally
        (Arasaratnam & Haykin 2009).  `mean` is the mean of their means, `within` the mean of their
        covariances, `between` the covariance of their means.  Of an `InverseProblem` as in
        `monitor.inversion.posterior`.

        Parameters
        ----------
        totals : (k, m), SeparableTotals, or a sequence of Total
            For a `LinearProblem` its own totals if absent; for an `InverseProblem` a sequence of `Total`.
        """
        if not isinstance(self.problem, LinearProblem):
            return _of_datasets(self, self.problem, totals)
        evidence = self.evidence or Evidence.of(self.problem)
        reach = float(np.sqrt(np.count_nonzero(np.diagonal(self.log_covariance))))
        return mixture(evidence, list(neighbours(self, reach)) or [self.values], totals)


def mixture(evidence: Evidence, places: Sequence[np.ndarray], totals: Any = None) -> MixedTotals:
    """Totals over values of the parameters that are equally likely."""
    found = [totals_at(evidence, values, totals) for values in places]
    means, covariances = (np.array([pair[k] for pair in found]) for k in (0, 1))
    mean = means.mean(axis=0)
    moved = means - mean
    return MixedTotals(mean, covariances.mean(axis=0), moved.T @ moved / len(places))


def totals_at(evidence: Evidence, values: np.ndarray, totals: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) and covariance (k, k) of totals at other values of the parameters."""
    posterior = evidence.posterior(values)
    found = posterior.totals if totals is None else posterior.estimate(totals)
    return found.mean, found.covariance


def _of_datasets(fit: Fit, problem: InverseProblem, totals: Sequence[Total] | None) -> MixedTotals:
    from monitor.inversion.posterior import prior_totals, solve_problem

    if totals is None:
        raise InputError(
            "a problem from datasets has no totals of its own", remedy="give a sequence of Total"
        )
    posterior = solve_problem(problem, fitted=fit)
    both = posterior.totals(totals)
    within = replace(posterior, neighbours=()).totals(totals).covariance
    return MixedTotals(prior_totals(problem, totals) + both.shift, within, both.covariance - within)


def maximise_evidence(
    problem: LinearProblem | InverseProblem,
    *,
    fixed: Collection[str] = (),
    start: np.ndarray | None = None,
    method: str = "auto",
    iterations: int = 60,
    progress: Progress | None = None,
) -> Fit:
    """The hyperparameters that maximise evidence times prior, with their Laplace covariance.

    The prior of each is log-normal about the value the problem was stated with (`Parameter.log_sd`: within a
    factor of 2.7 for the covariances of `monitor.inversion.covariance`).  A `LinearProblem` has the
    parameters ``problem.parameters``; an `InverseProblem` those of its model, fitted by the restricted
    likelihood with the prior mean of each block and epoch free in size.

    Parameters
    ----------
    problem : LinearProblem or InverseProblem
    fixed : names
        Parameters held at the values the problem was stated with.
    start : (parameters,), optional
        Where to begin; the stated values if absent.
    method
        "auto", "exact" or "reduced", see `Evidence.of`; for a `LinearProblem`.
    progress : callable (done, total), optional
        Called after each step of the search, with the number of steps at most; a bar on a terminal if
        absent.

    Raises
    ------
    InputError
        When `fixed` names a parameter that does not exist.
    NumericalError
        When Ψ is not positive definite at the start.
    """
    with shown("steps of the search", progress) as done:
        if not isinstance(problem, LinearProblem):
            return _fit_datasets(problem, fixed, start=start, iterations=iterations, progress=done)
        parameters = held(problem.parameters, fixed)
        choices = {"start": start, "iterations": iterations, "progress": done}
        found, evidence = search(problem, parameters, method, **choices)
    return Fit(**vars(found), problem=problem.with_values(found.values), evidence=evidence)


def search(
    problem: LinearProblem, parameters: tuple[Parameter, ...], method: str, **choices: Any
) -> tuple[Hyperparameters, Evidence]:
    """The maximum, and the evidence as it is prepared there.

    The basis of a reduced H Q Hᵀ is good at the lengths it was made for.  So it is made once more at the
    maximum, and where that moves the evidence the search goes on from there.
    """
    evidence = Evidence.of(problem, method)
    found = maximum(evidence, parameters, **choices)
    for _ in range(_ROUNDS if evidence.is_reduced else 0):
        evidence = Evidence.of(problem.with_values(found.values), method)
        if abs(evidence.value(found.values) - found.log_evidence) < _SETTLED:
            break
        again = maximum(evidence, parameters, **(choices | {"start": found.values}))
        found = replace(again, evaluations=found.evaluations + again.evaluations)
    return found, evidence


def _fit_datasets(problem: InverseProblem, fixed: Collection[str], **choices: Any) -> Fit:
    model, residual, free = problem.model, problem.residual, problem.reference_effects
    found = maximum(
        lambda values: log_evidence(model, values, residual, free), held(model.parameters, fixed), **choices
    )
    return Fit(**vars(found), problem=problem)


def held(parameters: tuple[Parameter, ...], names: Collection[str]) -> tuple[Parameter, ...]:
    """The parameters, those called `names` without freedom.

    Raises
    ------
    InputError
        When a name is not among them.
    """
    chosen = {names} if isinstance(names, str) else set(names)
    known = [p.name for p in parameters]
    unknown = sorted(chosen - set(known))
    if unknown:
        raise InputError(
            f"fixed names no parameter of the problem: {', '.join(unknown)}",
            expected=", ".join(known),
            remedy="take names of problem.parameters",
        )
    return tuple(replace(p, log_sd=0.0) if p.name in chosen else p for p in parameters)
