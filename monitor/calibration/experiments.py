"""What is tried on every synthetic city, and what is written down of it.

Each experiment takes the bench, on which everything lies that does not depend on the city, and a maker of
random generators; it gives plain numbers, from which the rows of the proof are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from monitor.calibration.asking import LEVEL, TREND, Panel, panel, truth_of, variants
from monitor.calibration.bench import TOLERANCE, Bench
from monitor.calibration.network import Network
from monitor.calibration.sources import MULTIPLES
from monitor.calibration.worlds import Truth, draw_truth, epoch_totals, observe, right_world, solve_stated
from monitor.compare.statistics import Estimate, probability_at_least, probability_within
from monitor.compare.verdict import SUPPORTED, Verdict
from monitor.inversion.posterior import Posterior, solve_problem

Streams = Callable[[str], np.random.Generator]
Record = dict[str, object]

#: Thresholds of the reliability diagram for each estimate, and how far from the truth they may lie [σ].
_THRESHOLDS, _REACH = 5, 4.0
#: Beyond every change and slope.
_FAR = 1e6
#: How much longer than stated the mismatch remembers in a world of another model.
STRETCH = 3.0
#: Truths of false claims in their margins, and of true ones in detectable changes.
SHARES = (0.0, 0.5, 1.0)
#: By how much the totals of the reliability diagram have fallen in the last epoch.
FALL = -0.4
#: Of the first year's total: the slope per year of the underlying trend, and how far single years are off.
UNDERLYING_SLOPE, SCATTER = -0.03, 0.05


def right_model(bench: Bench, streams: Streams) -> Record:
    """Intervals in a world drawn from the very model that inverts it, its scales known."""
    truth, problem = right_world(bench.network, streams("right model"))
    return _intervals(bench, bench.panels, solve_stated(problem), truth, streams)


def right_model_fitted(bench: Bench, streams: Streams) -> Record:
    """The same world with the scales found from its data, as in production."""
    truth, problem = right_world(bench.network, streams("right model"))
    return _fitted(bench, solve_problem(problem), truth, streams, ensemble=False)


def wrong_model(bench: Bench, streams: Streams) -> Record:
    """A world of another transport, inverted by the standard model with fitted scales and its ensemble."""
    network, rng = bench.network, streams("wrong model")
    assert network.other_transport is not None
    truth = draw_truth(network, rng)
    moved = network.other_transport(rng)
    problem = observe(network, truth, rng, jacobians=moved, stretch=STRETCH)
    return _fitted(bench, solve_problem(problem), truth, streams, ensemble=True)


def wrong_model_claims(bench: Bench, streams: Streams) -> Record:
    """A claim whose truth is its margin, and one that is true, put to worlds of another transport."""
    network, claim = bench.network, bench.claim_of(2)
    assert network.other_transport is not None
    found: Record = {}
    for name, change in (("margin", -claim.width), ("claim", claim.value)):
        rng = streams(f"wrong model, {name}")
        truth = draw_truth(network, rng, epoch_totals(network, change))
        moved = network.other_transport(rng)
        posterior = solve_problem(observe(network, truth, rng, jacobians=moved, stretch=STRETCH))
        found[name] = _said(panel(network, claim.kind, posterior, ensemble=True).judge(claim, posterior))
    return found


def reliability(bench: Bench, streams: Streams) -> Record:
    """Thresholds about the truth of a city that falls along a line, far enough from no change.

    The truth is fixed and the thresholds are drawn evenly about it: what is stated is flat along the claimed
    pattern, and truths from a prior would lie nearer to its middle than that says.
    """
    rng, years = streams("reliability"), bench.network.years
    totals = bench.size * (1.0 + FALL * years / max(float(years[-1]), 1.0))
    truth, problem = right_world(bench.network, rng, totals)
    return _intervals(bench, bench.panels, solve_stated(problem), truth, streams)


def margins(bench: Bench, streams: Streams) -> Record:
    """A claim of twice the detectable change whose truth is nothing, half of its margin, and the margin."""
    claim = bench.claim_of(2)
    found: Record = {}
    for share in SHARES:
        posterior = _pair_world(bench, -share * claim.width, streams(f"margin {share}"))
        found[f"{share:g}"] = _said(bench.change_panel.judge(claim, posterior))
    return found


def power(bench: Bench, streams: Streams) -> Record:
    """True claims of one, two and three times the detectable change."""
    found: Record = {}
    for multiple in MULTIPLES:
        claim = bench.claim_of(multiple)
        posterior = _pair_world(bench, claim.value, streams(f"power {multiple}"))
        found[str(multiple)] = _said(bench.change_panel.judge(claim, posterior))
    return found


def daily_looks(bench: Bench, streams: Streams) -> Record:
    """A claim whose truth is exactly its margin, looked at every day of the last epoch.

    Whether some look supports it by the declared rule, and would have at 95 % each time.
    """
    claim = bench.claim_of(2)
    _, problem = right_world(bench.pair, streams("looks"), epoch_totals(bench.pair, -claim.width))
    said: dict[str, list[str]] = {"rule": [], "plain": []}
    for look, rows, members in bench.looks:
        posterior = solve_stated(problem.select(rows))
        said["rule"].append(members.judge(claim, posterior, look.level).answer)
        said["plain"].append(members.judge(claim, posterior).answer)
    return {name: SUPPORTED in answers for name, answers in said.items()}


def source(bench: Bench, streams: Streams) -> Record:
    """Worlds without a source, and with one of one, two and three times the detectable strength."""
    found: Record = {"none": bench.search.without(streams("no source"))}
    return found | {str(m): bench.search.with_source(m, streams(f"source {m}")) for m in MULTIPLES}


def uneven_years(bench: Bench, streams: Streams) -> Record:
    """The underlying trend of a city whose years scatter about a line that falls by 3 % a year."""
    network, rng = bench.network, streams("uneven years")
    line = 1.0 + UNDERLYING_SLOPE * network.years
    totals = bench.size * (line + SCATTER * rng.standard_normal(line.size))
    _, problem = right_world(network, rng, totals)
    claim = bench.claim(TREND)
    return _said(bench.underlying.judge(claim, solve_stated(problem))) | {"truth": UNDERLYING_SLOPE}


def moved_prior(bench: Bench, streams: Streams) -> Record:
    """How far the estimate goes when the prior is doubled, and when it already holds the claim [σ].

    Everything is solved anew from the moved prior; only the hyperparameters stay.
    """
    network, claim = bench.pair, bench.claim_of(2)
    _, problem = right_world(network, streams("prior"))
    block = problem.block(network.quantity.block)
    last = (block.steps[:, 0] >= network.epochs[-1].start64)[:, None]
    factors = {"as stated": 1.0, "doubled": 2.0, "holds the claim": np.where(last, 1.0 + claim.value, 1.0)}
    estimates: dict[str, Estimate] = {}
    for name, factor in factors.items():
        blocks = tuple(replace(b, prior=factor * b.prior) if b is block else b for b in problem.blocks)
        posterior = solve_stated(replace(problem, blocks=blocks))
        verdict = panel(network, claim.kind, posterior, ensemble=False).judge(claim, posterior)
        assert verdict.estimate is not None
        estimates[name] = verdict.estimate
    plain = estimates.pop("as stated")
    return {name: abs(e.value - plain.value) / plain.sigma for name, e in estimates.items()}


def _pair_world(bench: Bench, change: float, rng: np.random.Generator) -> Posterior:
    """A world of the right model with a given true change between two epochs, solved."""
    _, problem = right_world(bench.pair, rng, epoch_totals(bench.pair, change))
    return solve_stated(problem)


def _fitted(bench: Bench, posterior: Posterior, truth: Truth, streams: Streams, *, ensemble: bool) -> Record:
    network = bench.network
    found = variants(posterior, ensemble=ensemble)
    panels = {k: panel(network, k, posterior, ensemble=ensemble, found=found) for k in network.kinds}
    return _intervals(bench, panels, posterior, truth, streams)


def _intervals(
    bench: Bench, panels: Mapping[str, Panel], posterior: Posterior, truth: Truth, streams: Streams
) -> Record:
    """Estimates of each kind with their truths, and stated probabilities with what was the case."""
    out: Record = {}
    for kind, members in panels.items():
        true = truth_of(kind, truth.totals, bench.network.years)
        verdict = members.judge(bench.claim(kind), posterior)
        assert verdict.estimate is not None
        stated = _stated(kind, verdict.estimate, true, bench, streams(f"thresholds {kind}"))
        out[kind] = _said(verdict) | {"truth": true, "stated": stated}
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


def _said(verdict: Verdict) -> Record:
    estimate = verdict.estimate
    assert estimate is not None
    return {
        "verdict": verdict.answer,
        "reasons": list(verdict.reasons),
        "estimate": estimate.value,
        "sigma": estimate.sigma,
        "low": estimate.low,
        "high": estimate.high,
    }


#: In the order in which they are done.
EXPERIMENTS: Mapping[str, Callable[[Bench, Streams], Record]] = {
    "right model": right_model,
    "right model, fitted": right_model_fitted,
    "wrong model": wrong_model,
    "wrong model, claims": wrong_model_claims,
    "reliability": reliability,
    "margins": margins,
    "power": power,
    "looks": daily_looks,
    "uneven years": uneven_years,
    "sources": source,
    "prior": moved_prior,
}


#: Experiments that are done on one city of so many only: they are slow, and have no target.
EVERY: Mapping[str, int] = {"right model, fitted": 4, "wrong model, claims": 4}


def refusals(network: Network) -> dict[str, str]:
    """Experiments that a network cannot be put to, with the reason."""
    out: dict[str, str] = {}
    if network.other_transport is None:
        why = "the footprints of this city cannot be made with another transport"
        out |= dict.fromkeys(("wrong model", "wrong model, claims"), why)
    if len(network.epochs) < 2:
        of_change = ("wrong model, claims", "margins", "power", "looks", "prior")
        out |= dict.fromkeys(of_change, "a change needs two epochs")
    if len(network.epochs) < 3:
        out["uneven years"] = "a trend needs three epochs"
    return out
