"""A mixing height that acts in full: all of a city's enhancement is scaled, otherwise in each epoch.

Towers in a city see its plume before it is mixed up to the top of the boundary layer, so that a wrong mixing
height moves their signal little.  A network that sees further meets its error in full, and as one factor on
all that it sees in an epoch, which no residual shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from monitor.calibration.asking import LEVEL, SHARE, Claim, panel, truth_of, variants
from monitor.calibration.bench import TOLERANCE, Bench
from monitor.calibration.network import MIXING, SPEED, Network
from monitor.calibration.recording import Record, Streams, said
from monitor.calibration.shares import share_claim, true_share
from monitor.calibration.worlds import STRETCH, draw_truth, observe
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.posterior import solve_problem

#: 1σ of what lies evenly within ± 1.
_EVEN: Final = 3.0**-0.5


def declarations(network: Network) -> Mapping[str, TransportScale]:
    """Transport errors that may be declared: the network's own, those of these worlds, and none."""
    return {
        "own": network.declared,
        "true": TransportScale(common_sd=SPEED * _EVEN, epoch_sd=MIXING * _EVEN),
        "none": TransportScale(),
    }


def mixing_in_full(bench: Bench, streams: Streams) -> Record:
    """Intervals in a world whose truth is drawn, and claims about that truth, by declaration.

    Claims are made of the truth, so that one world serves them all: what is wrong in them is the side on
    which the interval leaves it.
    """
    network, rng = bench.network, streams("mixing in full")
    assert network.well_mixed is not None
    truth = draw_truth(network, rng)
    moved = network.well_mixed(rng)
    posterior = solve_problem(observe(network, truth, rng, jacobians=moved, stretch=STRETCH))
    models = variants(posterior, ensemble=True)
    upper = bool(streams("mixing in full, end").uniform() < 0.5)
    found: dict[str, dict[str, Record]] = {name: {} for name in declarations(network)}
    for kind in (*network.kinds, SHARE):
        members = panel(network, kind, posterior, ensemble=True, found=models)
        true = true_share(bench, truth) if kind == SHARE else truth_of(kind, truth.totals, network.years)
        claims = {"drawn": share_claim(bench) if kind == SHARE else bench.claim(kind)}
        claims |= claims_of(kind, true, upper)
        for name, transport in declarations(network).items():
            own = replace(members, quantity=replace(members.quantity, transport=transport))
            answers = {case: said(own.judge(claim, posterior)) for case, claim in claims.items()}
            found[name][kind] = {case: answer | {"truth": true} for case, answer in answers.items()}
    return dict(found)


def claims_of(kind: str, true: float, upper: bool) -> dict[str, Claim]:
    """A claim whose truth is exactly the margin, and one that is true.

    Of a level or share the truth is one end of what is tolerated.  A change or slope is claimed a quarter
    beyond its margin: further out, an interval that is too narrow would not reach the claim, and contradict
    it for its narrowness.
    """
    if kind in (LEVEL, SHARE):
        end = 1 + TOLERANCE if upper else 1 - TOLERANCE
        return {"margin": Claim(kind, true / end, TOLERANCE), "claim": Claim(kind, true, TOLERANCE)}
    return {"margin": Claim(kind, 1.25 * true, abs(true)), "claim": Claim(kind, true, abs(true) / 2)}
