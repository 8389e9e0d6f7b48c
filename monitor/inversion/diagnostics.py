"""What an inversion must say of itself.

After the scales are fitted by evidence χ² is 1 by construction and proves nothing.  The test is
predictive: each day is left out and predicted from all others, and the standardised errors must have
the spread they claim.  Where they do not, all variances are inflated by what was found; the reported
figures are then cross-fitted: each week is judged with the inflation found on the other weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from monitor.inversion.mismatch import BACKGROUND, hour_class
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import Solution, leave_out

_Z95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Figures of one inversion.

    Attributes
    ----------
    chi2 : float
        rᵀPr / (n − q) at the fitted scales, before inflation; q sizes of prior means are free.
    dofs : float
        tr(Ψ⁻¹ H Q Hᵀ): pieces of information about the fluxes.
    background_share : float
        tr(Ψ⁻¹ B C Bᵀ) / tr(Ψ⁻¹ (H Q Hᵀ + B C Bᵀ)).
    raw_loo_variance : float
        Mean square of the standardised leave-one-day-out errors as the model states them; NaN for one day.
    standardised : (n,)
        The same errors after inflation, cross-fitted by week.
    loo_variance, loo_coverage : float
        Their mean square, and the share inside ±1.96.
    loo_coverage_by_class : mapping of "00-03 h" -> share
    lag1 : float
        Correlation of neighbouring whitened residuals; near 0 when time is modelled well.
    """

    chi2: float
    dofs: float
    background_share: float
    raw_loo_variance: float
    standardised: np.ndarray = field(repr=False)
    loo_variance: float
    loo_coverage: float
    loo_coverage_by_class: Mapping[str, float]
    lag1: float


def diagnose(problem: InverseProblem, solution: Solution, values: np.ndarray) -> Diagnostics:
    """All diagnostics of a solution at hyperparameters `values`."""
    names = tuple(b.name for b in problem.blocks)
    flux_part = problem.model.covariance(values, names)
    background_part = problem.model.covariance(values, BACKGROUND)
    precision = solution.precision
    dofs = float(np.sum(precision * flux_part))
    share = float(np.sum(precision * background_part))
    offset = problem.assumptions.selection.utc_offset_h
    day = local_day(problem)
    raw = _standardised(solution, day)
    standardised = raw / np.sqrt(cross_fitted_inflation(raw, np.floor(day / 7.0)))
    label = hour_class(problem.table, offset)
    known = np.isfinite(standardised)
    inside = np.abs(standardised) < _Z95
    whitened = np.linalg.solve(solution.lower, solution.residual)
    free = problem.table.n - solution.fixed.shape[1]
    return Diagnostics(
        chi2=float(solution.residual @ solution.alpha) / free,
        dofs=dofs,
        background_share=share / (share + dofs),
        raw_loo_variance=_mean(raw[known] ** 2),
        standardised=standardised,
        loo_variance=_mean(standardised[known] ** 2),
        loo_coverage=_mean(inside[known]),
        loo_coverage_by_class={
            f"{3 * int(k):02d}-{3 * int(k) + 3:02d} h": _mean(inside[known & (label == k)])
            for k in np.unique(label)
        },
        lag1=_lag1(whitened, problem),
    )


def local_day(problem: InverseProblem) -> np.ndarray:
    """Local day of each observation since 1970 (n,)."""
    return np.asarray(np.floor((problem.table.hours + problem.assumptions.selection.utc_offset_h) / 24.0))


def left_out_variance(problem: InverseProblem, solution: Solution) -> float:
    """Mean square of the standardised leave-one-day-out errors of any residual; NaN for one day."""
    raw = _standardised(solution, local_day(problem))
    return _mean(raw[np.isfinite(raw)] ** 2)


def left_out_coverage(problem: InverseProblem, solution: Solution) -> float:
    """Share of the same errors inside ±1.96, after inflation, cross-fitted by week; NaN for one day."""
    day = local_day(problem)
    raw = _standardised(solution, day)
    standardised = raw / np.sqrt(cross_fitted_inflation(raw, np.floor(day / 7.0)))
    return _mean(np.abs(standardised[np.isfinite(standardised)]) < _Z95)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _standardised(solution: Solution, day: np.ndarray) -> np.ndarray:
    """Errors of each day's prediction from the others (n,); NaN where the others do not predict it.

    They do not where there are none, or where it alone sees a fixed effect: the first day of an epoch.
    """
    seen = np.abs(solution.fixed) > 0
    alone = [np.unique(day[column]) for column in seen.T]
    lost = [days[0] for days in alone if days.size == 1]
    others = np.setdiff1d(day, lost) if np.unique(day).size > 1 else np.zeros(0)
    out = np.full(day.size, np.nan)
    error, sigma = leave_out(solution, day, others)
    predicted = np.isin(day, others)
    out[predicted] = error[predicted] / sigma[predicted]
    return out


def cross_fitted_inflation(raw: np.ndarray, group: np.ndarray) -> np.ndarray:
    """For each observation the inflation (≥ 1) found on the groups other than its own (n,)."""
    out = np.ones(raw.size)
    for label in np.unique(group):
        others = raw[(group != label) & np.isfinite(raw)]
        if others.size:
            out[group == label] = max(1.0, float(np.mean(others**2)))
    return out


def _lag1(whitened: np.ndarray, problem: InverseProblem) -> float:
    order = np.lexsort((problem.table.hours, problem.table.station))
    z, station = whitened[order], problem.table.station[order]
    pair = station[1:] == station[:-1]
    if pair.sum() < 3:
        return float("nan")
    return float(np.corrcoef(z[1:][pair], z[:-1][pair])[0, 1])
