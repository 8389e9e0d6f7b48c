"""The answer: fluxes, totals with their full covariance, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as default

import numpy as np
from scipy.linalg import solve_triangular

from monitor.domain import Interval
from monitor.inversion import hyper
from monitor.inversion.components import cholesky_or_error, exponential
from monitor.inversion.diagnostics import Diagnostics, diagnose
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import Solution, TotalEstimate, estimate_totals, solve_factored
from monitor.inversion.state import StateBlock, overlap_share


@dataclass(frozen=True, eq=False)
class Total:
    """A quantity Σ weight · flux of one block, averaged over an interval.

    `weight` (n_cells,) is area fraction × cell area × unit factor, so the total has the unit of the
    factor: `monitor.units.tonnes_per_year` gives t of the gas per year.
    """

    name: str
    block: str
    weight: np.ndarray
    interval: Interval


@dataclass(frozen=True, eq=False)
class FixedEffect:
    """A flux pattern [µmol m⁻² s⁻¹] in one block and interval whose strength has a flat prior.

    Attributes
    ----------
    adds : mapping of total's name -> value
        What the pattern adds to a total where that is not its weight times `field`: an emission known to
        lie inside a region counts there in full, although the region's edge cuts its cell.
    """

    name: str
    block: str
    field: np.ndarray
    interval: Interval
    adds: Mapping[str, float] = default(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Posterior:
    """A solved problem at fixed hyperparameters.

    Attributes
    ----------
    inflation : float
        Factor on all variances so that leave-one-day-out predictions have the spread they claim
        (at least 1: it widens, never narrows).
    neighbours : tuple of (values, lower)
        Hyperparameters one σ away, on both sides, along each principal direction of their uncertainty,
        with the factor of Ψ there.
    """

    problem: InverseProblem
    hyperparameters: hyper.Hyperparameters
    solution: Solution
    diagnostics: Diagnostics
    inflation: float
    neighbours: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def values(self) -> np.ndarray:
        return self.hyperparameters.values

    def at(self, values: np.ndarray) -> Posterior:
        """The same problem at other hyperparameters, taken as certain; diagnostics are kept."""
        covariance = self.problem.model.covariance(values)
        lower = cholesky_or_error(covariance, "the covariance of the observations")
        return replace(
            self,
            hyperparameters=replace(self.hyperparameters, values=values),
            solution=solve_factored(lower, self.problem.residual),
            neighbours=(),
        )

    def on(self, problem: InverseProblem) -> Posterior:
        """Another problem (a subset of the observations) at the same hyperparameters."""
        return replace(self, problem=problem).at(self.values)

    def totals(self, totals: Sequence[Total], effects: Sequence[FixedEffect] = ()) -> TotalEstimate:
        """Totals with their covariance, within and between hyperparameters, inflated.

        `shift` is the estimate minus the prior total; see `prior_totals`.
        """
        central = _totals_at(self.problem, self.values, self.solution.lower, totals, effects)
        between = np.zeros_like(central.covariance)
        for values, lower in self.neighbours:
            moved = _totals_at(self.problem, values, lower, totals, effects).shift - central.shift
            between += 0.5 * np.outer(moved, moved)
        return replace(
            central,
            covariance=self.inflation * central.covariance + between,
            prior_covariance=self.inflation * central.prior_covariance,
        )


def prior_totals(problem: InverseProblem, totals: Sequence[Total]) -> np.ndarray:
    """A x_a, one per total (k,)."""
    rows = [problem.block(t.block).loading(t.weight, t.interval) for t in totals]
    return np.array(
        [float(np.sum(a * problem.block(t.block).prior)) for a, t in zip(rows, totals, strict=True)]
    )


def solve_problem(problem: InverseProblem, *, fitted: hyper.Hyperparameters | None = None) -> Posterior:
    """Fit the scales (unless `fitted` is given), solve, diagnose.

    The scales and the diagnostics are those of the restricted likelihood, with the prior mean of each
    block and epoch free in size: how large a map is must not vote on how far to trust it.

    Raises
    ------
    NumericalError
        When the covariance of the observations is not positive definite.
    """
    free = problem.reference_effects
    found = fitted or hyper.maximise(problem.model, problem.residual, free)
    lower = cholesky_or_error(problem.model.covariance(found.values), "the covariance of the observations")
    solution = solve_factored(lower, problem.residual)
    diagnostics = diagnose(problem, solve_factored(lower, problem.residual, free), found.values)
    return Posterior(
        problem=problem,
        hyperparameters=found,
        solution=solution,
        diagnostics=diagnostics,
        inflation=max(1.0, diagnostics.raw_loo_variance),
        neighbours=tuple(_neighbours(problem, found)),
    )


def _neighbours(
    problem: InverseProblem, found: hyper.Hyperparameters
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for values in hyper.neighbours(found):
        covariance = problem.model.covariance(values)
        yield values, cholesky_or_error(covariance, "the covariance of the observations")


def _totals_at(
    problem: InverseProblem,
    values: np.ndarray,
    lower: np.ndarray,
    totals: Sequence[Total],
    effects: Sequence[FixedEffect],
) -> TotalEstimate:
    columns = [problem.effect(e.block, e.field, e.interval) for e in effects]
    fixed = np.column_stack(columns) if columns else None
    return totals_of(problem, values, solve_factored(lower, problem.residual, fixed), totals, effects)


def totals_of(
    problem: InverseProblem,
    values: np.ndarray,
    solution: Solution,
    totals: Sequence[Total],
    effects: Sequence[FixedEffect],
) -> TotalEstimate:
    """Totals from a solution whose fixed effects are `effects`."""
    cross = np.zeros((problem.table.n, len(totals)))
    prior = np.zeros((len(totals), len(totals)))
    for block in problem.blocks:
        mine = [i for i, t in enumerate(totals) if t.block == block.name]
        if not mine:
            continue
        rows = np.stack([block.loading(totals[i].weight, totals[i].interval) for i in mine])
        spread = block.covariance_times(problem.values_of(block.name, values), rows)
        cross[:, mine] = block.observe(spread)
        prior[np.ix_(mine, mine)] = np.einsum("kps,jps->kj", rows, spread)
    loading = np.array([[_loading(problem, t, e) for e in effects] for t in totals]).reshape(len(totals), -1)
    return estimate_totals(solution, cross, prior, loading)


def _loading(problem: InverseProblem, total: Total, effect: FixedEffect) -> float:
    if total.block != effect.block:
        return 0.0
    steps = problem.block(effect.block).steps
    inside = (steps[:, 0] < effect.interval.end64) & (steps[:, 1] > effect.interval.start64)
    share = float(overlap_share(steps, total.interval)[inside].sum())
    return share * effect.adds.get(total.name, float(total.weight @ effect.field))


@dataclass(frozen=True, eq=False)
class FluxMap:
    """Mean flux of a block over an interval [µmol m⁻² s⁻¹], each (n_cells,)."""

    prior: np.ndarray
    posterior: np.ndarray
    prior_sd: np.ndarray
    posterior_sd: np.ndarray


def flux_map(posterior: Posterior, name: str, interval: Interval) -> FluxMap:
    """Prior and posterior mean flux and their 1σ in every cell, exact."""
    problem, block = posterior.problem, posterior.problem.block(name)
    values = problem.values_of(name, posterior.values)
    share = overlap_share(block.steps, interval)
    if block.fields is not None:
        return _pattern_map(posterior, block, values, share)
    scale, length, tau = values
    space = exponential(block.distance_km, length)
    time = exponential(np.abs(block.step_hours[:, None] - block.step_hours[None, :]), tau)
    spread = time @ (share[:, None] * block.sigma)
    cross = np.zeros((problem.table.n, block.sigma.shape[1]))
    for k, step in enumerate(block.jacobian):
        rows = np.flatnonzero(np.any(step != 0, axis=1))
        cross[rows] += ((step[rows] * block.sigma[k]) @ space) * spread[k]
    cross *= scale**2
    prior_variance = scale**2 * np.sum(share[:, None] * block.sigma * spread, axis=0)
    half = solve_triangular(posterior.solution.lower, cross, lower=True, check_finite=False)
    variance = np.maximum(prior_variance - np.einsum("nc,nc->c", half, half), 0.0)
    prior = share @ block.prior
    return FluxMap(
        prior,
        prior + cross.T @ posterior.solution.alpha,
        np.sqrt(posterior.inflation * prior_variance),
        np.sqrt(posterior.inflation * variance),
    )


def _pattern_map(posterior: Posterior, block: StateBlock, values: np.ndarray, share: np.ndarray) -> FluxMap:
    p = block.steps.shape[0]
    rows = np.eye(p)[:, :, None]
    spread = block.covariance_times(values, rows)
    cross = block.observe(spread)
    prior_covariance = spread[:, :, 0]
    covariance = prior_covariance - cross.T @ posterior.solution.weigh(cross)
    scaling = 1.0 + cross.T @ posterior.solution.alpha
    fields = share[:, None] * np.asarray(block.fields)

    def sd(matrix: np.ndarray) -> np.ndarray:
        variance = np.einsum("pc,pq,qc->c", fields, matrix, fields)
        return np.asarray(np.sqrt(posterior.inflation * np.maximum(variance, 0.0)))

    return FluxMap(fields.sum(axis=0), scaling @ fields, sd(prior_covariance), sd(covariance))
