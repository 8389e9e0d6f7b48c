"""Two colour maps that a colour-blind reader can read, interpolated between anchors in sRGB.

Anchors are ColorBrewer's YlGnBu (levels) and PuOr reversed (differences, purple below, orange above),
Cynthia Brewer, Apache-2.0.
"""

from __future__ import annotations

import numpy as np

_LEVELS = "ffffd9 edf8b1 c7e9b4 7fcdbb 41b6c4 1d91c0 225ea8 253494 081d58"
_DIFFERENCES = "2d004b 542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806 7f3b08"
#: Where a value is not known.
MISSING = (200, 200, 200)


def _anchors(codes: str) -> np.ndarray:
    return np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in codes.split()], dtype=float)


def paint(values: np.ndarray, low: float, high: float, *, diverging: bool) -> np.ndarray:
    """Colours (…, 3) uint8 of `values` on a scale from `low` to `high`; grey where not finite."""
    anchors = _anchors(_DIFFERENCES if diverging else _LEVELS)
    span = high - low if high > low else 1.0
    known = np.isfinite(values)
    position = np.clip((np.where(known, values, low) - low) / span, 0.0, 1.0)
    at = np.linspace(0.0, 1.0, len(anchors))
    colours = np.stack([np.interp(position, at, anchors[:, band]) for band in range(3)], axis=-1)
    painted = np.round(colours).astype(np.uint8)
    painted[~known] = MISSING
    return painted
