"""The Bayesian inversion: state, covariances, evidence, exact posterior.

Public names are loaded on first use, so that ``import monitor.inversion`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.inversion import covariance, hyper, robust
    from monitor.inversion.assumptions import Assumptions, Background, Mismatch, Selection
    from monitor.inversion.linear import LinearPosterior, LinearProblem
    from monitor.inversion.operators import RaggedJacobian, SeparableTotals
    from monitor.inversion.positivity import PositivePosterior
    from monitor.inversion.posterior import Posterior, prior_totals
    from monitor.inversion.preview import Preview
    from monitor.inversion.problem import InverseProblem
    from monitor.inversion.receptors import Difference
    from monitor.inversion.solving import solve
    from monitor.inversion.state import Correlation, FluxBlock
    from monitor.inversion.totals import FixedEffect, Total
    from monitor.inversion.updating import NewObservations, update
    from monitor.inversion.windows import windowed

_HOMES = {
    "Assumptions": "assumptions",
    "Background": "assumptions",
    "Mismatch": "assumptions",
    "Selection": "assumptions",
    "Correlation": "state",
    "Difference": "receptors",
    "FluxBlock": "state",
    "InverseProblem": "problem",
    "PositivePosterior": "positivity",
    "Posterior": "posterior",
    "Preview": "preview",
    "Total": "totals",
    "FixedEffect": "totals",
    "prior_totals": "posterior",
    "LinearProblem": "linear",
    "LinearPosterior": "linear",
    "RaggedJacobian": "operators",
    "SeparableTotals": "operators",
    "solve": "solving",
    "NewObservations": "updating",
    "update": "updating",
    "windowed": "windows",
}
_MODULES = ("covariance", "hyper", "robust")

__all__ = [
    "Assumptions",
    "Background",
    "Correlation",
    "Difference",
    "FixedEffect",
    "FluxBlock",
    "InverseProblem",
    "LinearPosterior",
    "LinearProblem",
    "Mismatch",
    "NewObservations",
    "PositivePosterior",
    "Posterior",
    "Preview",
    "RaggedJacobian",
    "Selection",
    "SeparableTotals",
    "Total",
    "covariance",
    "hyper",
    "prior_totals",
    "robust",
    "solve",
    "update",
    "windowed",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"monitor.inversion.{name}")
    if name in _HOMES:
        return getattr(import_module(f"monitor.inversion.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'monitor.inversion' has no attribute '{name}'")
