"""How strong a source may be that was not seen, or seen weaker than is claimed."""

from __future__ import annotations

import numpy as np

from monitor.compare.sources import Hit
from monitor.compare.statistics import LEVEL, quantile


def upper_limit(hit: Hit, scale_sd: float, level: float = LEVEL) -> float:
    """The strength that a source at the best cell stays below, whichever of the windows it filled.

    The largest of the windows' upper limits: the limit in the window that happened to fit best says nothing
    of a shorter source at another time.  Infinite when a window would show nothing.
    """
    return float(np.max(upper_limits(hit, scale_sd, level)))


def upper_limits(hit: Hit, scale_sd: float, level: float = LEVEL) -> np.ndarray:
    """Upper limits (w,) at the best cell in each window, of two-sided intervals at `level`.

    The transport's error scales the source that is there, not its estimate f ± σ, so the limit solves
    L = f + z √(σ² + (sd L)²); with q = 1 − (z sd)² it is L = (f + z √(q σ² + (sd f)²)) / q, and there is none
    when z sd ≥ 1 (Fieller 1954).
    """
    value, sigma = hit.limits.T
    z = quantile(level)
    left = 1.0 - (z * scale_sd) ** 2
    if not left > 0.0:  # z is infinite where a look is granted nothing
        return np.full(value.size, np.inf)
    return np.asarray((value + z * np.hypot(np.sqrt(left) * sigma, scale_sd * value)) / left)
