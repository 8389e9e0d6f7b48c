"""Stated probabilities against what was the case, with the band in which an honest system stays.

The band is simulated: were the stated distributions right, the truth of a city would be a draw from them.
All thresholds held against one estimate then fall with the same draw, so that their dependence is in the band
(consistency resampling, Bröcker & Smith 2007, Wea. Forecasting 22, 651).  Kinds are drawn independently,
which makes the band over all of them no narrower than it should be (Šidák 1967).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.calibration.rows import Part, Records, absent, column

BINS: Final = 10
_DRAWS: Final = 2000
#: A bin with less expected variance of its count than this says nothing.
_LEAST_VARIANCE: Final = 1.0


@dataclass(frozen=True, eq=False)
class Diagram:
    """One kind of claims in bins of stated probability, each (b,).

    Attributes
    ----------
    stated, seen : mean stated probability, and share of cases that were so
    half : half-width of the band about `stated`, simultaneous over all bins of all kinds at 95 %
    cases : number of thresholds
    """

    kind: str
    stated: np.ndarray
    seen: np.ndarray
    half: np.ndarray
    cases: np.ndarray

    @property
    def worst(self) -> float:
        """Largest departure in half-widths of the band: inside it when at most 1."""
        return float(np.max(np.abs(self.seen - self.stated) / self.half))


def reliability_parts(records: Records, model: str, kinds: Sequence[str]) -> list[Part]:
    """One figure per kind."""
    found = diagrams(records, model, kinds)
    return (
        [absent("all kinds", "inside the band", "too few cities")]
        if not found
        else [
            Part(
                diagram.kind,
                "≤ 1: inside the simultaneous 95 % band",
                diagram.worst,
                (0.0, diagram.worst),
                diagram.worst <= 1.0,
                None,
                int(diagram.cases.sum()),
                1.0 - diagram.worst,
            )
            for diagram in found
        ]
    )


def diagrams(records: Records, model: str, kinds: Sequence[str]) -> list[Diagram]:
    """The diagrams of all kinds, with one band for all of them; none where the cities are too few for one."""
    rng = np.random.default_rng(0)
    counts = [_counts(records, model, kind, rng) for kind in kinds]
    if not all(c.cases.size for c in counts):
        return []
    largest = np.max([np.max(c.departures, axis=1) for c in counts], axis=0)
    reach = float(np.quantile(largest, 0.95))
    return [
        Diagram(kind, c.stated / c.cases, c.seen / c.cases, reach * c.spread / c.cases, c.cases)
        for kind, c in zip(kinds, counts, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Counts:
    """Sums over the thresholds of each bin (b,), and |departure| / spread of the simulations (draws, b)."""

    cases: np.ndarray
    stated: np.ndarray
    seen: np.ndarray
    spread: np.ndarray
    departures: np.ndarray


def _counts(records: Records, model: str, kind: str, rng: np.random.Generator) -> _Counts:
    said = column(records, model, kind)
    estimate, sigma = (np.array([s[name] for s in said])[:, None] for name in ("estimate", "sigma"))
    low, high, stated, so = np.moveaxis(np.array([s["stated"] for s in said], dtype="f8"), 2, 0)
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    member = (bins.ravel()[:, None] == np.arange(BINS)).astype("f8")
    draws = np.empty((_DRAWS, BINS))
    for k in range(_DRAWS):
        truth = estimate + sigma * rng.standard_normal(estimate.shape)
        draws[k] = ((low <= truth) & (truth <= high)).ravel() @ member
    expected = stated.ravel() @ member
    keep = draws.var(axis=0) >= _LEAST_VARIANCE
    spread = draws.std(axis=0)[keep]
    departures = np.abs(draws[:, keep] - expected[keep]) / spread
    return _Counts(member.sum(axis=0)[keep], expected[keep], (so.ravel() @ member)[keep], spread, departures)
