"""A problem from datasets in plain arrays: one state vector of named blocks.

The unknowns are the fluxes or scalings of each block, then the background and the stations' offsets::

    y − b_a = [H_1 … H_k  B] [x_1 … x_k  b] + ε,    b ~ N(0, C),    ε ~ N(0, R)

so the background's unknowns are departures from the given baseline b_a.  Each component of the observation
model has such a form: K = B C Bᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.components import Combined, Component, Independent, LowRank, TemporalProcess
from monitor.inversion.covariance import Block, Covariance, Dense, Diagonal, Exponential, Sum
from monitor.inversion.linear_problem import LinearProblem
from monitor.inversion.mismatch import BACKGROUND

if TYPE_CHECKING:
    from monitor.inversion.problem import InverseProblem
    from monitor.inversion.totals import Total


def linear_problem(problem: InverseProblem, values: np.ndarray | None = None) -> LinearProblem:
    """The same problem in plain arrays, at hyperparameters `values` (those stated if absent).

    Returns
    -------
    LinearProblem
        The totals are the problem's own, of its regions.  Where the columns lie: `InverseProblem.columns`.
    """
    at = problem.model.starts if values is None else values
    columns: list[Any] = [block.jacobian for block in problem.blocks]
    covariances: list[Covariance] = [b.covariance(problem.values_of(b.name, at)) for b in problem.blocks]
    mismatch: list[Covariance] = []
    blocks = {b.name for b in problem.blocks}
    for component, v in zip(problem.model.components, problem.model.split(at), strict=True):
        if component.name in BACKGROUND:
            seen, covariance = as_state(component, v)
            columns.append(seen)
            covariances.append(covariance)
        elif component.name not in blocks:
            mismatch.append(as_errors(component, v))
    means = [b.prior.ravel() for b in problem.blocks]
    rest = sum(c.shape[1] for c in columns[len(means) :])
    m = sum(c.shape[1] for c in columns)
    return LinearProblem(
        sp.csr_array(sp.hstack(columns, format="csr")),
        problem.table.value - problem.baseline,
        np.concatenate([*means, np.zeros(rest)]),
        Block(tuple(covariances)),
        Sum(tuple(mismatch)),
        totals=_rows(problem, problem.totals, m) if problem.totals else None,
    )


def columns_of(problem: InverseProblem) -> dict[str, slice]:
    """Where the unknowns of each block lie in the state vector of `linear_problem`."""
    names = [b.name for b in problem.blocks]
    sizes = [b.jacobian.shape[1] for b in problem.blocks]
    at = problem.model.starts
    for component, v in zip(problem.model.components, problem.model.split(at), strict=True):
        if component.name in BACKGROUND:
            names.append(component.name)
            sizes.append(as_state(component, v)[0].shape[1])
    edges = np.cumsum([0, *sizes])
    return {name: slice(int(a), int(b)) for name, (a, b) in zip(names, pairwise(edges), strict=True)}


def _rows(problem: InverseProblem, totals: Sequence[Total], m: int) -> sp.csr_array:
    """The totals' rows (k, m)."""
    where = columns_of(problem)
    parts = []
    for total in totals:
        row = sp.coo_array(problem.block(total.block).loading(total.weight, total.interval).reshape(1, -1))
        column = row.coords[1] + where[total.block].start
        parts.append(sp.csr_array((row.data, (row.coords[0], column)), shape=(1, m)))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def as_state(component: Component, values: np.ndarray) -> tuple[sp.csr_array, Covariance]:
    """B (n, u) and C (u, u) with K = B C Bᵀ, for a part of the background.

    A process has an unknown for each moment and group that is observed.
    """
    if isinstance(component, Combined):
        seen, covariance = as_state(component.part, values)
        return sp.csr_array(component.operator @ seen), covariance
    if isinstance(component, LowRank):
        size = component.columns.shape[1]
        return sp.csr_array(component.columns), Diagonal(np.ones(size), scale=float(values[0]))
    if isinstance(component, TemporalProcess):
        moments = np.stack([component.group.astype("f8"), component.hours])
        unique, index = np.unique(moments, axis=1, return_inverse=True)
        row, profile = np.arange(component.hours.size), component.profile(values) / values[0]
        seen = sp.csr_array((profile, (row, index.ravel())), shape=(row.size, unique.shape[1]))
        return seen, Exponential(float(values[1]), unique[1], groups=unique[0], scale=float(values[0]))
    raise InputError(f"'{component.name}' is no part of the state", found=type(component).__name__)


def as_errors(component: Component, values: np.ndarray) -> Covariance:
    """A part of R as a covariance of the observations (n, n); a combination of correlated errors is dense."""
    if isinstance(component, Independent):
        return Diagonal(component.variance(values) / values[0] ** 2, scale=float(values[0]))
    if isinstance(component, TemporalProcess):
        profile = component.profile(values) / values[0]
        scale = float(values[0])
        return Exponential(
            float(values[1]), component.hours, std=profile, groups=component.group, scale=scale
        )
    if isinstance(component, Combined):
        unit = values.copy()
        unit[0] = 1.0
        matrix = component.covariance(unit)
        variance = matrix.diagonal()
        if np.array_equal(matrix, np.diag(variance)):
            return Diagonal(variance, scale=float(values[0]))
        return Dense(matrix, scale=float(values[0]))
    raise InputError(f"'{component.name}' is no part of the errors", found=type(component).__name__)


def is_independent(component: Component) -> bool:
    """Whether a part of R is one of independent errors."""
    if isinstance(component, Combined):
        unit = np.array([p.start for p in component.parameters])
        return is_independent(component.part) and isinstance(as_errors(component, unit), Diagonal)
    return isinstance(component, Independent)
