"""What a problem will cost and what may be expected of it, said before any solve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from monitor.inversion.components import cholesky_or_error
from monitor.inversion.mismatch import BACKGROUND
from monitor.inversion.solution import solve_factored
from monitor.inversion.spacetime import SpaceTimeBlock

if TYPE_CHECKING:
    from monitor.inversion.problem import InverseProblem

#: Observations of which χ² and DOFS are worked out, and numbers that their footprints may take.
_ROWS = 1000
_ELEMENTS = 40_000_000
#: (n, n) matrices that are held at once: by the solve, and beside the work on a block.
_MATRICES = 8
_BESIDE = 3
#: Order of the matrices by which this machine is timed.
_TRIAL = 512


@dataclass(frozen=True)
class Preview:
    """Sizes, cost and expectations of a problem.

    Attributes
    ----------
    observations
        n.
    unknowns : mapping of block or part of the background -> unknowns
    non_zeros
        Of the Jacobian.
    memory_bytes
        Estimated peak of problem and solve, above what is loaded.
    seconds
        Of the solve, roughly: from operations counted and this machine's rates, measured just now.
    evaluations
        Of the evidence that the fit of the scales is taken to need; 1 where nothing is fitted.
    chi2
        Prior-predictive rᵀΨ⁻¹r / n at the prior medians: far above 1 the assumptions are too narrow, far
        below too wide.
    dofs, background_dofs
        tr(Ψ⁻¹ H Q Hᵀ) and tr(Ψ⁻¹ B C Bᵀ): pieces of information about the fluxes, and about the inflow.
    sampled
        Observations that χ² and DOFS are of; where it is below n, DOFS are at least these.
    """

    observations: int
    unknowns: Mapping[str, int]
    non_zeros: int
    memory_bytes: float
    seconds: float
    evaluations: int
    chi2: float
    dofs: float
    background_dofs: float
    sampled: int

    def __str__(self) -> str:
        n, m = self.observations, sum(self.unknowns.values())
        blocks = ", ".join(f"{name} {size:,}" for name, size in self.unknowns.items())
        part = "" if self.sampled == n else f" (of {self.sampled:,} observations spread over all)"
        least = "" if self.sampled == n else "at least "
        fit = f", {self.evaluations} evaluations of the evidence" if self.evaluations > 1 else ""
        return "\n".join(
            [
                f"observations    {n:,}",
                f"unknowns        {m:,}: {blocks}",
                f"footprints      {self.non_zeros:,} non-zeros, {self.non_zeros / (n * m):.1%} of H",
                f"memory          about {_in_bytes(self.memory_bytes)} at the peak",
                f"time            roughly {_in_words(self.seconds)}{fit}",
                f"χ² of the prior {self.chi2:.3g}{part}",
                f"DOFS            {least}{self.dofs:.3g} of fluxes, {self.background_dofs:.3g} of the inflow",
            ]
        )


def preview(problem: InverseProblem) -> Preview:
    """See `Preview`; costs a small part of a solve."""
    sampled = _sample(problem)
    chi2, dofs, background = _expectations(problem.select(sampled))
    columns = problem.columns
    evaluations = _evaluations(problem)
    return Preview(
        observations=problem.table.n,
        unknowns={name: where.stop - where.start for name, where in columns.items()},
        non_zeros=sum(int(b.jacobian.nnz) for b in problem.blocks),
        memory_bytes=_memory(problem),
        seconds=_seconds(problem, evaluations),
        evaluations=evaluations,
        chi2=chi2,
        dofs=dofs,
        background_dofs=background,
        sampled=sampled.size,
    )


def _sample(problem: InverseProblem) -> np.ndarray:
    """Observations evenly spread over stations and times; all of them where that is cheap."""
    n = problem.table.n
    width = max(_pieces(b.component) * b.shape[1] for b in problem.blocks) / n
    count = int(min(n, _ROWS, max(100, _ELEMENTS // max(width, 1.0))))
    return np.asarray(np.unique(np.linspace(0, n - 1, count).round().astype("i8")))


def _expectations(problem: InverseProblem) -> tuple[float, float, float]:
    """χ², and degrees of freedom for signal of the fluxes and of the background."""
    model, values = problem.model, problem.model.starts
    lower = cholesky_or_error(model.covariance(values), "the covariance of the observations")
    solution = solve_factored(lower, problem.residual)
    fluxes = model.covariance(values, tuple(b.name for b in problem.blocks))
    background = model.covariance(values, BACKGROUND)
    return (
        float(problem.residual @ solution.alpha) / problem.table.n,
        float(np.sum(solution.precision * fluxes)),
        float(np.sum(solution.precision * background)),
    )


def _evaluations(problem: InverseProblem) -> int:
    """A climb takes some tens of steps, and the curvature two evaluations for each free parameter."""
    free = sum(p.log_sd > 0 for p in problem.model.parameters)
    return 25 + 4 * free if free else 1


def _pieces(component: SpaceTimeBlock) -> int:
    """(Observation, step) pairs with influence."""
    return int(component.pairs[0].size)


def _memory(problem: InverseProblem) -> float:
    """Bytes of the problem's arrays, of (n, n) matrices, and of what the largest block needs meanwhile."""
    n = problem.table.n
    held, largest = 0.0, 0.0
    for block in problem.blocks:
        (p, s), q = block.shape, _pieces(block.component)
        h = block.jacobian
        # the Jacobian; prior, σ and fields
        held += h.data.nbytes + h.indices.nbytes + h.indptr.nbytes + 24 * p * s
        if block.component.quick:
            held += 8 * (q * s + 2 * q**2)
            largest = max(largest, 8.0 * (2 * s**2 + 3 * q**2))
        else:
            # the sweep's fields; row and piece of each non-zero
            largest = max(largest, 8.0 * 5 * n * s + 16.0 * h.nnz)
    return held + max(largest + 8.0 * _BESIDE * n**2, 8.0 * _MATRICES * n**2)


def _seconds(problem: InverseProblem, evaluations: int) -> float:
    n = problem.table.n
    product, factor = _rates()
    once = each = 0.0
    for block in problem.blocks:
        (p, s), q = block.shape, _pieces(block.component)
        if block.component.quick:
            projection = 2.0 * (q * s**2 + q**2 * s) / product
            moves = block.component.parameters[1].log_sd > 0 and s > 1
            once += 0.0 if moves else projection
            # S and its slope; and some passes over the pieces' matrix, of a few operations each
            each += (2.0 * projection if moves else 0.0) + 40.0 * q**2 / product * 8
        else:
            window = 2.0 * n * q / max(n, 1) / max(p, 1) * max(q / n, 1.0)
            each += q * _field_seconds(block.component) + 2.0 * q * min(window, n) * s / product
            each += n**2 * s / product
    # the factor, its inverse (two factors' worth), and of each part of Ψ a matrix
    each += 3.0 * n**3 / 3.0 / factor + 30.0 * len(problem.model.components) * n**2 / product * 4
    return once + each * (evaluations + 1)


def _rates() -> tuple[float, float]:
    """Operations per second of a matrix product, and of a Cholesky factorisation."""
    matrix = np.random.default_rng(0).normal(size=(_TRIAL, _TRIAL))
    product = min(_timed(lambda: matrix @ matrix) for _ in range(3))
    square = matrix @ matrix.T + _TRIAL * np.eye(_TRIAL)
    factor = min(_timed(lambda: np.linalg.cholesky(square)) for _ in range(3))
    return 2.0 * _TRIAL**3 / product, _TRIAL**3 / 3.0 / factor


def _field_seconds(component: SpaceTimeBlock) -> float:
    """Time that S takes on one field."""
    fields = np.ones((component.unit.space.size, 16))
    return min(_timed(lambda: component.unit.space.matvec(fields)) for _ in range(2)) / 16


def _timed(work: object) -> float:
    begin = perf_counter()
    work()  # type: ignore[operator]
    return perf_counter() - begin


def _in_bytes(size: float) -> str:
    return f"{size / 2**30:.2g} GiB" if size > 2**30 else f"{max(size / 2**20, 1.0):.0f} MiB"


def _in_words(seconds: float) -> str:
    if seconds < 1.0:
        return "less than a second"
    if seconds < 120.0:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60.0:.0f} minutes" if seconds < 7200.0 else f"{seconds / 3600.0:.0f} hours"
