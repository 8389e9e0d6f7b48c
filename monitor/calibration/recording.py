"""What is written down of a synthetic city: plain numbers, from which the rows of the proof are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from monitor.calibration.asking import LEVEL, Panel, panel, truth_of, variants
from monitor.calibration.bench import TOLERANCE, Bench
from monitor.calibration.worlds import Truth
from monitor.compare.statistics import Estimate, probability_at_least, probability_within
from monitor.compare.verdict import Verdict
from monitor.inversion.posterior import Posterior

#: Makes the generator of one part of an experiment.
Streams = Callable[[str], np.random.Generator]
Record = dict[str, object]

#: Thresholds of the reliability diagram for each estimate, and how far from the truth they may lie [σ].
_THRESHOLDS, _REACH = 5, 4.0
#: Beyond every change and slope, and beyond everything: JSON has no infinity.
_FAR, _FARTHEST = 1e6, 1e300


def fitted(bench: Bench, posterior: Posterior, truth: Truth, streams: Streams, *, ensemble: bool) -> Record:
    """`intervals` by members at the hyperparameters of a posterior of its own."""
    network = bench.network
    found = variants(posterior, ensemble=ensemble)
    panels = {k: panel(network, k, posterior, ensemble=ensemble, found=found) for k in network.kinds}
    return intervals(bench, panels, posterior, truth, streams)


def intervals(
    bench: Bench, panels: Mapping[str, Panel], posterior: Posterior, truth: Truth, streams: Streams
) -> Record:
    """Estimates of each kind with their truths, and stated probabilities with what was the case."""
    out: Record = {}
    for kind, members in panels.items():
        true = truth_of(kind, truth.totals, bench.network.years)
        verdict = members.judge(bench.claim(kind), posterior)
        assert verdict.estimate is not None
        stated = _stated(kind, verdict.estimate, true, bench, streams(f"thresholds {kind}"))
        out[kind] = said(verdict) | {"truth": true, "stated": stated}
    return out | {"inflation": posterior.inflation}


def _stated(
    kind: str, estimate: Estimate, truth: float, bench: Bench, rng: np.random.Generator
) -> list[list[float]]:
    """[low, high, stated probability of the truth between, 1 if it is], thresholds evenly about the truth."""
    reach = _REACH * bench.sigma(kind)
    # of a level both ends of what is tolerated pass over the truth
    below, above = (0.6 * truth, truth) if kind == LEVEL else (reach, reach)
    out = []
    for claimed in truth + rng.uniform(-below, above, _THRESHOLDS):
        if kind == LEVEL:
            low, high = claimed * (1 - TOLERANCE), claimed * (1 + TOLERANCE)
            probability = probability_within(estimate, low, high)
        else:
            low, high = (claimed, _FAR) if claimed >= 0 else (-_FAR, claimed)
            probability = probability_at_least(estimate, claimed)
        out.append([low, high, probability, float(low <= truth <= high)])
    return out


def said(verdict: Verdict) -> Record:
    """A verdict's answer, reasons, and estimate with its interval."""
    estimate = verdict.estimate
    assert estimate is not None
    return {
        "verdict": verdict.answer,
        "reasons": list(verdict.reasons),
        "estimate": estimate.value,
        "sigma": estimate.sigma,
        "low": max(estimate.low, -_FARTHEST),
        "high": min(estimate.high, _FARTHEST),
    }
