"""The answer: fluxes, totals with their full covariance, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import xarray as xr
from scipy.linalg import solve_triangular

from monitor.domain import Interval
from monitor.errors import NumericalError
from monitor.inversion import hyper
from monitor.inversion.components import Combined, TemporalProcess, cholesky_or_error
from monitor.inversion.covariance import Kronecker
from monitor.inversion.diagnostics import Diagnostics, diagnose, left_out_coverage, left_out_variance
from monitor.inversion.flat import Prepared, prepare
from monitor.inversion.mismatch import COMMON_TRANSPORT, TRANSPORT
from monitor.inversion.problem import InverseProblem
from monitor.inversion.robust import solve_student_t
from monitor.inversion.solution import Solution, TotalEstimate, estimate_totals, solve_factored
from monitor.inversion.state import StateBlock, overlap_share
from monitor.inversion.totals import FixedEffect, Total

if TYPE_CHECKING:
    from monitor.inversion.assumptions import TransportScale

#: Rounds of weights and scales in turn, and the change of a scale, in its own σ, at which they have settled.
ROUNDS = 30
SETTLED = 0.1


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

    def inflation_of(self, residual: np.ndarray) -> float:
        """The inflation that another residual (n,) asks for: of the data less what was explained since."""
        solution = solve_factored(self.solution.lower, residual, self.problem.reference_effects)
        return float(np.fmax(1.0, left_out_variance(self.problem, solution)))

    def coverage_of(self, residual: np.ndarray) -> float:
        """The share of left-out days inside their 95 % intervals, of another residual (n,)."""
        solution = solve_factored(self.solution.lower, residual, self.problem.reference_effects)
        return left_out_coverage(self.problem, solution)

    def transport_error(self, signal: np.ndarray) -> np.ndarray:
        """Covariance (n, n) of the transport's error on a `signal` (n,) that the reference does not hold.

        That of the reference, at the same values, with the signal in its place [(µmol mol⁻¹)²].
        """
        problem = self.problem
        table, model = problem.table, problem.model
        total = np.zeros((table.n, table.n))
        for component, values in zip(model.components, model.split(self.values), strict=True):
            if component.name not in TRANSPORT:
                continue
            part = component.part if isinstance(component, Combined) else component
            assert isinstance(part, TemporalProcess)
            common = component.name == COMMON_TRANSPORT
            total += replace(
                part,
                hours=table.hours,
                group=np.zeros(table.n, dtype="i8") if common else table.station.astype("i8"),
                amplitude=signal,
                # the classes of what is combined are not those of the combinations
                classes=None if isinstance(component, Combined) else part.classes,
            ).covariance(values)
        return total

    def to_dataset(
        self, regions: xr.Dataset | None = None, transport: TransportScale | None = None
    ) -> xr.Dataset:
        """The posterior contract (`monitor.contracts.ensure_posterior`).

        Dims `total` (coords total_region, total_block, total_epoch), (block, epoch, lat, lon),
        `observation`, `hyperparameter`.

        Parameters
        ----------
        regions : xr.Dataset, optional
            Other regions than the problem's own.
        transport : TransportScale, optional
            A multiplicative transport error to add to the covariance of the totals.
        """
        from monitor.inversion.dataset import posterior_dataset

        return posterior_dataset(self, regions, transport)

    def totals(self, totals: Sequence[Total], effects: Sequence[FixedEffect] = ()) -> TotalEstimate:
        """Totals with their covariance, within and between hyperparameters, inflated.

        `shift` is the estimate minus the prior total; see `prior_totals`.
        """
        points = [(self.values, self.solution.lower), *self.neighbours]
        central, *others = (_totals_at(self.problem, v, lower, totals, effects) for v, lower in points)
        between = np.zeros_like(central.covariance)
        for other in others:
            moved = other.shift - central.shift
            between += 0.5 * np.outer(moved, moved)
        return replace(
            central,
            covariance=self.inflation * central.covariance + between,
            prior_covariance=self.inflation * central.prior_covariance,
        )

    def prepared(self, totals: Sequence[Total], columns: np.ndarray) -> list[Prepared]:
        """The totals at the hyperparameters themselves, then at each neighbour.

        Any of the `columns` (n, c) can be set free in them.  Nothing is inflated; gains and covariances hold
        for any observations of the same problem.
        """
        found = []
        for values, lower in [(self.values, self.solution.lower), *self.neighbours]:
            cross, prior = cross_of(self.problem, values, totals)
            found.append(prepare(lower, self.problem.residual, cross, prior, columns))
        return found


def prior_totals(problem: InverseProblem, totals: Sequence[Total]) -> np.ndarray:
    """A x_a, one per total (k,)."""
    blocks = [problem.block(t.block) for t in totals]
    return np.array(
        [
            float(np.sum(b.loading(t.weight, t.interval) * b.prior))
            for b, t in zip(blocks, totals, strict=True)
        ]
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
    found = fitted or fit_scales(problem)
    lower = cholesky_or_error(problem.model.covariance(found.values), "the covariance of the observations")
    solution = solve_factored(lower, problem.residual)
    diagnostics = diagnose(problem, solve_factored(lower, problem.residual, free), found.values)
    return Posterior(
        problem=problem,
        hyperparameters=found,
        solution=solution,
        diagnostics=diagnostics,
        inflation=float(np.fmax(1.0, diagnostics.raw_loo_variance)),
        neighbours=tuple(_neighbours(problem, found)),
    )


def fit_scales(problem: InverseProblem, start: np.ndarray | None = None) -> hyper.Hyperparameters:
    """The hyperparameters of the restricted likelihood, looked for from `start` on if given."""
    return hyper.maximise(problem.model, problem.residual, problem.reference_effects, start=start)


def solve_robust(
    problem: InverseProblem, degrees_of_freedom: float, *, fitted: hyper.Hyperparameters | None = None
) -> Posterior:
    """With Student-t errors in the independent part of R (`monitor.inversion.robust`).

    Weights and scales are found in turn; the answer is that of the problem at these weights.

    Raises
    ------
    InputError
        When no part of R is independent.
    NumericalError
        When weights and scales do not agree after some rounds.
    """
    found = fitted or fit_scales(problem)
    for _ in range(ROUNDS):
        weights = solve_student_t(problem.linear(found.values), degrees_of_freedom).weights
        weighted = problem.reweighted(weights)
        before, found = found.values, fitted or fit_scales(weighted, found.values)
        width = np.sqrt(np.diagonal(found.log_covariance))
        change = np.abs(np.log(found.values / before)) / np.where(width > 0, width, 1.0)
        if change.max(initial=0.0) < SETTLED:
            return solve_problem(weighted, fitted=found)
    raise NumericalError(
        f"weights and scales do not agree after {ROUNDS} rounds",
        expected=f"scales that change by less than {SETTLED:g} of their σ",
        found=f"'{problem.model.parameters[int(np.argmax(change))].name}' by {change.max():.2g} σ",
        remedy="fit them without the outliers, and give them as fitted=",
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
    cross, prior = cross_of(problem, values, totals)
    return estimate_totals(solution, cross, prior, loading_of(problem, totals, effects))


def cross_of(
    problem: InverseProblem, values: np.ndarray, totals: Sequence[Total]
) -> tuple[np.ndarray, np.ndarray]:
    """H Q aᵀ (n, k) and a Q aᵀ (k, k)."""
    cross = np.zeros((problem.table.n, len(totals)))
    prior = np.zeros((len(totals), len(totals)))
    for name in dict.fromkeys(t.block for t in totals):
        block = problem.block(name)
        mine = [i for i, t in enumerate(totals) if t.block == name]
        seen, spread = block.cross(problem.values_of(name, values), [totals[i] for i in mine])
        cross[:, mine] = seen
        prior[np.ix_(mine, mine)] = spread
    return cross, prior


def loading_of(
    problem: InverseProblem, totals: Sequence[Total], effects: Sequence[FixedEffect]
) -> np.ndarray:
    """What a unit of each effect adds to each total (k, q)."""
    rows = [[_loading(problem, t, e) for e in effects] for t in totals]
    return np.array(rows).reshape(len(totals), len(effects))


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
    """Prior and posterior mean flux and their 1σ in every cell, exact.

    With g(t, c) what the unknown counts in the mean flux of cell c, C = H Q gᵀ is made of

        C(i, c) = Σ_t' Σ_c' H_i(t', c') σ(t', c') S(c', c) [T (g σ)](t', c)
    """
    problem, block = posterior.problem, posterior.problem.block(name)
    values = problem.values_of(name, posterior.values)
    share = overlap_share(block.steps, interval)
    if block.is_pattern:
        return _pattern_map(posterior, block, values, share)
    q = block.covariance(values)
    in_time, per_cell = q.deviation
    counts = share[:, None] * (np.ones(block.shape) if block.fields is None else block.fields)
    weighted = counts * in_time * per_cell
    spread = q.time.matvec(weighted)
    cross = _map_cross(block, q, spread)
    prior_variance = np.sum(weighted * spread, axis=0)
    half = solve_triangular(posterior.solution.lower, cross, lower=True, check_finite=False)
    variance = np.maximum(prior_variance - np.einsum("nc,nc->c", half, half), 0.0)
    prior = np.sum(counts * block.prior, axis=0)
    return FluxMap(
        prior,
        prior + cross.T @ posterior.solution.alpha,
        np.sqrt(posterior.inflation * prior_variance),
        np.sqrt(posterior.inflation * variance),
    )


def _map_cross(block: StateBlock, q: Kronecker, spread: np.ndarray) -> np.ndarray:
    """C (n, s), a step at a time; at once where σ and the fields do not change in time."""
    in_time, per_cell = q.deviation
    p, s = block.shape
    cross = np.zeros((block.jacobian.shape[0], s))
    size = np.abs(spread).max(axis=0)
    profile = spread[:, int(np.argmax(size))] / max(float(size.max()), np.finfo(float).tiny)
    field = spread[int(np.argmax(np.abs(profile)))]
    scale = profile[int(np.argmax(np.abs(profile)))]
    if (
        q.separable
        and scale != 0
        and np.allclose(spread, np.outer(profile / scale, field), rtol=1e-13, atol=0)
    ):
        weight = sp.diags_array((in_time * (profile / scale)[:, None] * per_cell).ravel())
        cell = sp.vstack([sp.eye_array(s)] * p, format="csr")
        return np.asarray(_in_space(q, (block.jacobian @ weight @ cell).toarray()) * field)
    columns = block.jacobian.tocsc()
    sigma = np.broadcast_to(in_time * per_cell, (p, s))
    for k in np.flatnonzero(np.any(spread != 0, axis=1)):
        part = columns[:, k * s : (k + 1) * s].tocsr()
        rows = np.flatnonzero(np.diff(part.indptr))
        if rows.size:
            cross[rows] += _in_space(q, part[rows].toarray() * sigma[k]) * spread[k]
    return cross


def _in_space(q: Kronecker, fields: np.ndarray) -> np.ndarray:
    """Fields (k, s) times S."""
    return np.asarray(q.space.matvec(np.ascontiguousarray(fields.T)).T)


def _pattern_map(posterior: Posterior, block: StateBlock, values: np.ndarray, share: np.ndarray) -> FluxMap:
    q = block.covariance(values)
    prior_covariance = q.dense()
    cross = block.jacobian @ prior_covariance
    covariance = prior_covariance - cross.T @ posterior.solution.weigh(cross)
    scaling = block.prior[:, 0] + cross.T @ posterior.solution.alpha
    fields = share[:, None] * np.asarray(block.fields)

    def sd(matrix: np.ndarray) -> np.ndarray:
        variance = np.einsum("pc,pq,qc->c", fields, matrix, fields)
        return np.asarray(np.sqrt(posterior.inflation * np.maximum(variance, 0.0)))

    return FluxMap(block.prior[:, 0] @ fields, scaling @ fields, sd(prior_covariance), sd(covariance))
