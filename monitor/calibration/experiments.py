"""What is tried on every synthetic city, and what is written down of it.

Each experiment takes the bench, on which everything lies that does not depend on the city, and a maker of
random generators; it gives plain numbers, from which the rows of the proof are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from monitor.calibration.asking import TREND, panel
from monitor.calibration.bench import Bench
from monitor.calibration.mixing import mixing_in_full
from monitor.calibration.network import Network
from monitor.calibration.recording import Record, Streams, fitted, intervals, said
from monitor.calibration.refits import refitted_prior
from monitor.calibration.shares import share_claims
from monitor.calibration.source_strength import source_strength, undated_source_strength
from monitor.calibration.sources import MULTIPLES
from monitor.calibration.worlds import (
    STRETCH,
    draw_truth,
    epoch_totals,
    falling_totals,
    observe,
    right_world,
    solve_stated,
)
from monitor.compare.statistics import Estimate
from monitor.compare.verdict import SUPPORTED
from monitor.inversion.posterior import Posterior, solve_problem

#: Truths of false claims in their margins, and of true ones in detectable changes.
SHARES = (0.0, 0.5, 1.0)
#: Of the first year's total: the slope per year of the underlying trend, and how far single years are off.
UNDERLYING_SLOPE, SCATTER = -0.03, 0.05


def right_model(bench: Bench, streams: Streams) -> Record:
    """Intervals in a world drawn from the very model that inverts it, its scales known."""
    truth, problem = right_world(bench.network, streams("right model"))
    return intervals(bench, bench.panels, solve_stated(problem), truth, streams)


def right_model_fitted(bench: Bench, streams: Streams) -> Record:
    """The same world with the scales found from its data, as in production."""
    truth, problem = right_world(bench.network, streams("right model"))
    return fitted(bench, solve_problem(problem), truth, streams, ensemble=False)


def wrong_model(bench: Bench, streams: Streams) -> Record:
    """A world of another transport, inverted by the standard model with fitted scales and its ensemble."""
    network, rng = bench.network, streams("wrong model")
    assert network.other_transport is not None
    truth = draw_truth(network, rng)
    moved = network.other_transport(rng)
    problem = observe(network, truth, rng, jacobians=moved, stretch=STRETCH)
    return fitted(bench, solve_problem(problem), truth, streams, ensemble=True)


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
        found[name] = said(panel(network, claim.kind, posterior, ensemble=True).judge(claim, posterior))
    return found


def reliability(bench: Bench, streams: Streams) -> Record:
    """Thresholds about the truth of a city that falls along a line, far enough from no change.

    The truth is fixed and the thresholds are drawn evenly about it: what is stated is flat along the claimed
    pattern, and truths from a prior would lie nearer to its middle than that says.
    """
    truth, problem = right_world(bench.network, streams("reliability"), falling_totals(bench.network))
    return intervals(bench, bench.panels, solve_stated(problem), truth, streams)


def margins(bench: Bench, streams: Streams) -> Record:
    """A claim of twice the detectable change whose truth is nothing, half of its margin, and the margin."""
    claim = bench.claim_of(2)
    found: Record = {}
    for share in SHARES:
        posterior = _pair_world(bench, -share * claim.width, streams(f"margin {share}"))
        found[f"{share:g}"] = said(bench.change_panel.judge(claim, posterior))
    return found


def power(bench: Bench, streams: Streams) -> Record:
    """True claims of one, two and three times the detectable change."""
    found: Record = {}
    for multiple in MULTIPLES:
        claim = bench.claim_of(multiple)
        posterior = _pair_world(bench, claim.value, streams(f"power {multiple}"))
        found[str(multiple)] = said(bench.change_panel.judge(claim, posterior))
    return found


def daily_looks(bench: Bench, streams: Streams) -> Record:
    """A claim whose truth is exactly its margin, looked at every day of the last epoch.

    Whether some look supports it by the declared rule, and would have at 95 % each time.
    """
    claim = bench.claim_of(2)
    _, problem = right_world(bench.pair, streams("looks"), epoch_totals(bench.pair, -claim.width))
    answers: dict[str, list[str]] = {"rule": [], "plain": []}
    for look, rows, members in bench.looks:
        posterior = solve_stated(problem.select(rows))
        answers["rule"].append(members.judge(claim, posterior, look.level).answer)
        answers["plain"].append(members.judge(claim, posterior).answer)
    return {name: SUPPORTED in found for name, found in answers.items()}


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
    return said(bench.underlying.judge(claim, solve_stated(problem))) | {"truth": UNDERLYING_SLOPE}


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
    "share claims": share_claims,
    "source strength": source_strength,
    "undated source strength": undated_source_strength,
    "mixing in full": mixing_in_full,
    "prior, refitted": refitted_prior,
}


#: Experiments that are done on one city of so many only: they are slow, and have no target.
EVERY: Mapping[str, int] = {"right model, fitted": 4, "wrong model, claims": 4}


def refusals(network: Network) -> dict[str, str]:
    """Experiments that a network cannot be put to, with the reason."""
    out: dict[str, str] = {}
    if network.other_transport is None:
        why = "the footprints of this city cannot be made with another transport"
        out |= dict.fromkeys(("wrong model", "wrong model, claims", "mixing in full"), why)
    elif network.well_mixed is None:
        out["mixing in full"] = "in this network's wrong model the mixing height acts in full already"
    if np.array_equal(network.district, network.quantity.fraction):
        out["share claims"] = "the region lies in one column of cells, of which no district is made"
    if len(network.epochs) < 2:
        of_change = ("wrong model, claims", "margins", "power", "looks", "prior", "prior, refitted")
        out |= dict.fromkeys(of_change, "a change needs two epochs")
    if len(network.epochs) < 3:
        out["uneven years"] = "a trend needs three epochs"
    return out
