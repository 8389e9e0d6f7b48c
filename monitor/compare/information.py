"""How much was known of a claim at each of its looks, from when its observations were made.

At an early look an epoch is known by its first days, and the epochs before it by the same part of their
season.  With the observations in that order, the triangular factor of Ψ holds the estimates of all beginnings
at once: what the first m rows know is what the first m rows of the halves say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from scipy.linalg import solve_triangular

from monitor.compare.estimator import Variant
from monitor.compare.quantity import Quantity, fixed_effects, free_problem
from monitor.domain import Interval
from monitor.errors import NumericalError
from monitor.inversion.components import cholesky_or_error
from monitor.inversion.posterior import cross_of, loading_of
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import least_squares


def information_at(quantity: Quantity, main: Variant, elapsed: Sequence[timedelta]) -> tuple[float, ...]:
    """1/σ² of what is claimed, from the observations of the first `elapsed` of each epoch, ascending.

    At the hyperparameters of all of them, flat along the first map.  Errors that more data do not lessen (of
    the transport, between the maps) are left out: they make looks more alike than this says.  0 where the
    observations do not see the claim yet.
    """
    problem, posterior = free_problem(quantity, main.posterior.problem), main.posterior
    effects = fixed_effects(quantity, problem, next(iter(quantity.patterns)))
    columns = [problem.effect(e.block, e.field, e.interval) for e in effects]
    cross, prior = cross_of(problem, posterior.values, quantity.totals())
    loading = loading_of(problem, quantity.totals(), effects)
    since = _since(problem, quantity.epochs)
    order = np.argsort(since, kind="stable")
    rows = posterior.solution.lower[order]
    lower = cholesky_or_error(rows @ rows.T, "the covariance of the observations")
    everything = np.column_stack([problem.residual, *columns, cross])[order]
    half = solve_triangular(lower, everything, lower=True, check_finite=False)
    own, free, seen = np.split(half, [1, 1 + len(columns)], axis=1)

    def totals(m: int) -> tuple[np.ndarray, np.ndarray]:
        beta, spread = least_squares(free[:m], own[:m, 0])
        extra = loading - seen[:m].T @ free[:m]
        covariance = prior - seen[:m].T @ seen[:m] + extra @ spread @ extra.T
        return seen[:m].T @ own[:m, 0] + extra @ beta, covariance

    try:
        contrast = quantity.made.contrast(*totals(problem.table.n))
    except NumericalError:
        return (0.0,) * len(elapsed)
    known = []
    for m in np.searchsorted(since[order], [e / timedelta(seconds=1) for e in elapsed], side="left"):
        try:
            known.append(1.0 / float(contrast @ totals(int(m))[1] @ contrast))
        except NumericalError:  # some part of the claim has left no trace yet
            known.append(0.0)
    return tuple(np.maximum.accumulate(known).tolist())


def _since(problem: InverseProblem, epochs: Sequence[Interval]) -> np.ndarray:
    """Seconds (n,) of each observation since its own epoch began; outside of all since the last began."""
    start = problem.table.start
    since = (start - epochs[-1].start64) / np.timedelta64(1, "s")
    for epoch in epochs[:-1]:
        inside = (start >= epoch.start64) & (start < epoch.end64)
        since[inside] = (start[inside] - epoch.start64) / np.timedelta64(1, "s")
    return np.asarray(since)
