"""Choosing the mismatch on the development dates: run once, its result committed as `errors.json`.

    python -m monitor.calibration.release.develop FILE

For each wind cut and all instruments at once, the scales of the mismatch climb to the highest evidence, in
turn with the unknowns and the Student-t weights; the metered rate and the place are not looked at.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from scipy.optimize import minimize

from monitor.calibration.release.climbing import climb, starts
from monitor.calibration.release.data import DEVELOPMENT_ENDS, Samples, blocks_of, read_release
from monitor.calibration.release.errors import Errors
from monitor.calibration.release.model import ReleaseModel, model_of

#: Prior σ of the logarithm of each scale about the defaults of `Errors`.
LOG_SD: Final = 1.0
#: Least winds of the ensemble [m s⁻¹].
WIND_CUTS: Final = (1.0, 1.5, 2.0, 2.5)


def development(samples: Samples, least_wind_m_s: float) -> Samples:
    """The samples that may be learned from."""
    return samples.select(samples.windy(least_wind_m_s) & (samples.time < DEVELOPMENT_ENDS))


def fit_errors(
    model: ReleaseModel, start: np.ndarray | None = None, rounds: int = 3
) -> tuple[Errors, np.ndarray, float]:
    """The scales of the mismatch, the unknowns (8,) of their reference, and the bound of the evidence.

    In turn: the unknowns at fixed scales, then the scales at these unknowns, by evidence.  `start` (8,) are
    unknowns to begin at; without it the places are scanned.
    """
    centre = Errors().as_logs()
    unknowns = starts(model)[0] if start is None else start
    for _ in range(rounds):
        model, unknowns, _ = climb(model, unknowns)

        def falling(logs: np.ndarray, now: ReleaseModel = model) -> float:
            prior = -0.5 * float(np.sum(((logs - centre) / LOG_SD) ** 2))
            return -prior - now.with_errors(Errors.from_logs(logs)).log_evidence()

        found = minimize(falling, model.mismatch.errors.as_logs(), method="L-BFGS-B", options={"maxiter": 15})
        model = model.with_errors(Errors.from_logs(found.x))
    model, unknowns, bound = climb(model, unknowns)
    return model.mismatch.errors, unknowns, bound


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def main(path: str, *cuts: str) -> None:
    """Scales by wind cut to stdout."""
    samples = read_release(Path(path))
    fitted = {}
    errors, unknowns = Errors(), None
    for cut in [float(text) for text in cuts] or WIND_CUTS:
        model = model_of(blocks_of(development(samples, cut)), errors)
        # the next cut begins where this one ended
        errors, unknowns, bound = fit_errors(model, unknowns)
        sys.stderr.write(f"wind at least {cut:g} m s-1: evidence {bound:.1f}\n")
        fitted[str(cut)] = {
            name: np.vectorize(_rounded)(value).tolist() for name, value in asdict(errors).items()
        }
    sys.stdout.write(json.dumps(fitted, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
