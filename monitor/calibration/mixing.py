"""A mixing height that acts in full: all of a city's enhancement is scaled, otherwise in each epoch.

Towers in a city see its plume before it is mixed up to the top of the boundary layer, so that a wrong mixing
height moves their signal little.  A network that sees further meets its error in full, and as one factor on
all that it sees in an epoch, which no residual shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from monitor.calibration.asking import LEVEL, SHARE, Claim, Panel, panel, truth_of, variants
from monitor.calibration.bench import TOLERANCE, Bench
from monitor.calibration.network import MIXING, SPEED, Network
from monitor.calibration.recording import Record, Streams, said
from monitor.calibration.shares import share_claim, true_share
from monitor.calibration.worlds import STRETCH, Truth, draw_truth, falling_totals, observe
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.posterior import Posterior, solve_problem

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
    """Intervals where the truth is drawn, and claims about a city that falls along a line, by declaration."""
    network = bench.network
    found: dict[str, dict[str, Record]] = {name: {} for name in declarations(network)}

    def judge(members: Panel, posterior: Posterior, case: str, claim: Claim, true: float) -> None:
        for name, transport in declarations(network).items():
            own = replace(members, quantity=replace(members.quantity, transport=transport))
            answer = said(own.judge(claim, posterior)) | {"truth": true}
            found[name].setdefault(members.kind, {})[case] = answer

    posterior, truth = _world(network, streams, "mixing in full")
    for members in _panels(network, posterior, (*network.kinds, SHARE)):
        if members.kind == SHARE:
            judge(members, posterior, "drawn", share_claim(bench), true_share(bench, truth))
        else:
            true = truth_of(members.kind, truth.totals, network.years)
            judge(members, posterior, "drawn", bench.claim(members.kind), true)
    posterior, truth = _world(network, streams, "mixing in full, claims", fixed=True)
    upper = bool(streams("mixing in full, end").uniform() < 0.5)
    for members in _panels(network, posterior, network.kinds):
        true = truth_of(members.kind, truth.totals, network.years)
        for case, claim in _claims(members.kind, true, upper).items():
            judge(members, posterior, case, claim, true)
    return dict(found)


def _world(network: Network, streams: Streams, name: str, fixed: bool = False) -> tuple[Posterior, Truth]:
    """A world of this transport, solved by the standard model with fitted scales."""
    assert network.well_mixed is not None
    rng = streams(name)
    truth = draw_truth(network, rng, falling_totals(network) if fixed else None)
    moved = network.well_mixed(rng)
    return solve_problem(observe(network, truth, rng, jacobians=moved, stretch=STRETCH)), truth


def _panels(network: Network, posterior: Posterior, kinds: tuple[str, ...]) -> Iterator[Panel]:
    found = variants(posterior, ensemble=True)
    for kind in kinds:
        yield panel(network, kind, posterior, ensemble=True, found=found)


def _claims(kind: str, true: float, upper: bool) -> dict[str, Claim]:
    """One whose truth is exactly the margin (of a level one end of what is tolerated), and a true one."""
    if kind == LEVEL:
        end = 1 + TOLERANCE if upper else 1 - TOLERANCE
        return {"margin": Claim(kind, true / end, TOLERANCE), "claim": Claim(kind, true, TOLERANCE)}
    return {"margin": Claim(kind, 2 * true, abs(true)), "claim": Claim(kind, true, abs(true) / 2)}
