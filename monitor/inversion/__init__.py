"""The Bayesian inversion: state, covariances, evidence, exact posterior.

Public names are loaded on first use, so that ``import monitor.inversion`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.inversion import covariance, hyper
    from monitor.inversion.assumptions import Assumptions, Background, Mismatch, Selection
    from monitor.inversion.dataset import posterior_dataset
    from monitor.inversion.linear import LinearPosterior, LinearProblem
    from monitor.inversion.operators import RaggedJacobian, SeparableTotals
    from monitor.inversion.posterior import FixedEffect, Posterior, Total, prior_totals
    from monitor.inversion.problem import InverseProblem
    from monitor.inversion.solving import solve
    from monitor.inversion.state import FluxBlock

_HOMES = {
    "Assumptions": "assumptions",
    "Background": "assumptions",
    "Mismatch": "assumptions",
    "Selection": "assumptions",
    "FluxBlock": "state",
    "InverseProblem": "problem",
    "Posterior": "posterior",
    "Total": "posterior",
    "FixedEffect": "posterior",
    "prior_totals": "posterior",
    "posterior_dataset": "dataset",
    "LinearProblem": "linear",
    "LinearPosterior": "linear",
    "RaggedJacobian": "operators",
    "SeparableTotals": "operators",
    "solve": "solving",
}
_MODULES = ("covariance", "hyper")

__all__ = [
    "Assumptions",
    "Background",
    "FixedEffect",
    "FluxBlock",
    "InverseProblem",
    "LinearPosterior",
    "LinearProblem",
    "Mismatch",
    "Posterior",
    "RaggedJacobian",
    "Selection",
    "SeparableTotals",
    "Total",
    "covariance",
    "hyper",
    "posterior_dataset",
    "prior_totals",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"monitor.inversion.{name}")
    if name in _HOMES:
        return getattr(import_module(f"monitor.inversion.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'monitor.inversion' has no attribute '{name}'")
