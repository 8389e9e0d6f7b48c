"""How far a contestant's outputs are from the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np


def compare(found: Any, reference: Any, prior: np.ndarray | None) -> dict[str, float]:
    """Largest differences of what both have.

    totals, totals_sigma, sigma
        max |Δ| / |reference| of the totals, of their σ, and of the map of σ.
    totals_in_sigma
        max |ΔT| / σ_T.
    covariance
        max |ΔC_ij| / √(C_ii C_jj).
    field
        ‖Δx̂‖ / ‖x̂ − x_a‖ of the reference: relative to what the observations changed.
    """
    out: dict[str, float] = {}
    if "totals" in found and "totals" in reference:
        totals, covariance = reference["totals"], reference["covariance"]
        deviation, own = np.sqrt(np.diagonal(covariance)), np.sqrt(np.diagonal(found["covariance"]))
        apart = np.abs(found["totals"] - totals)
        out["totals"] = float(np.max(apart / np.abs(totals)))
        out["totals_in_sigma"] = float(np.max(apart / deviation))
        out["totals_sigma"] = float(np.max(np.abs(own / deviation - 1.0)))
        scaled = np.abs(found["covariance"] - covariance) / np.outer(deviation, deviation)
        out["covariance"] = float(np.max(scaled))
    if "sigma" in found and "sigma" in reference:
        out["sigma"] = float(np.max(np.abs(found["sigma"] / reference["sigma"] - 1.0)))
    if "field" in found and "field" in reference and prior is not None:
        change = np.linalg.norm(reference["field"] - prior)
        out["field"] = float(np.linalg.norm(found["field"] - reference["field"]) / change)
    return out
