"""What the claimed quantity could be mistaken for: inflow and biosphere that vary with it.

For a part of the model with prior covariance S among the observations (inflow: B C Bᵀ, another block:
H Q Hᵀ) take what it adds to the mean observation of an epoch, z = vᵀ s, contrasted between epochs as the
claim contrasts its totals.  After the data, with T̂ = K r and P as in `monitor.inversion.solution`::

    cov(T̂ − T, ẑ − z) = −K S v        var(ẑ − z) = vᵀ (S − S P S) v

The correlation of the two errors says how far a doubt about that part is a doubt about the claim: near ±1
the air tells only their sum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitor.compare.estimator import Estimator, Variant
from monitor.compare.forms import Change, Trend
from monitor.compare.quantity import Quantity, fixed_effects, free_problem
from monitor.inversion.mismatch import BACKGROUND
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import solve_factored

#: What the background is called among the parts.
INFLOW = "inflow"


def correlations(quantity: Quantity, main: Variant, found: Estimator) -> Mapping[str, float]:
    """Correlation of the claimed contrast's error with that of the inflow and of each other block.

    At the hyperparameters of `main`, whose estimator along one map is `found`; empty where it is blind.
    """
    if found.is_blind:
        return {}
    problem = free_problem(quantity, main.posterior.problem)
    values = main.posterior.values
    effects = fixed_effects(quantity, problem, found.pattern)
    columns = np.stack([problem.effect(e.block, e.field, e.interval) for e in effects], axis=1)
    solution = solve_factored(main.posterior.solution.lower, problem.residual, columns)
    totals = found.gain @ found.residual
    contrast = found.form.contrast(totals, found.covariance)
    spread = float(contrast @ found.covariance @ contrast)
    mean = _contrast_of_means(quantity, problem)
    asked = {part.block for part in quantity.parts}
    parts = {INFLOW: BACKGROUND} | {b.name: (b.name,) for b in problem.blocks if b.name not in asked}
    out = {}
    for name, components in parts.items():
        signal = problem.model.covariance(values, components) @ mean
        weighted = solution.weigh(signal)
        free = solution.fixed.T @ weighted
        told = float(signal @ weighted - free @ solution.beta_covariance @ free)
        variance = float(mean @ signal) - told
        if variance > 0 and spread > 0:
            out[name] = float(-(contrast @ found.gain @ signal) / np.sqrt(spread * variance))
    return out


def _contrast_of_means(quantity: Quantity, problem: InverseProblem) -> np.ndarray:
    """V (n,): weights of the observations whose sum is the contrast of the epochs' means."""
    start = problem.table.start
    rows = [(start >= e.start64) & (start < e.end64) for e in quantity.epochs]
    means = np.array([r / max(int(r.sum()), 1) for r in rows])
    form = quantity.made
    if isinstance(form, Change):
        return np.asarray(means[1] - means[0])
    if isinstance(form, Trend):
        years = np.array(form.years)
        return np.asarray((years - years.mean()) @ means)
    return np.asarray(means[0])
