"""An inventory that is wrong, and everything made of it anew: prior, Q, R and the scales that are fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.calibration.asking import panel, truth_of
from monitor.calibration.bench import Bench
from monitor.calibration.recording import Record, Streams, said
from monitor.calibration.worlds import right_world, with_values
from monitor.inversion.posterior import solve_problem


def refitted_prior(bench: Bench, streams: Streams) -> Record:
    """What the estimates become with an inventory of twice the size, and with one that holds the claim.

    The observations are those of one world; of the inventory nothing but its layout is right.
    """
    network, pair = bench.network, bench.pair
    assert network.with_inventory is not None
    truth, world = right_world(pair, streams("prior, refitted"))
    factors = np.ones(len(network.epochs))
    held = factors.copy()
    held[-1] += bench.claim_of(2).value
    found: dict[str, Record] = {}
    for name, scale in {"as stated": factors, "doubled": 2.0 * factors, "holds the claim": held}.items():
        made = replace(network, problem=network.with_inventory(scale.tolist())).during(pair.epochs)
        posterior = solve_problem(with_values(made.problem, world.table.value))
        found[name] = {
            kind: said(panel(made, kind, posterior, ensemble=False).judge(bench.claim(kind), posterior))
            | {"truth": truth_of(kind, truth.totals, made.years)}
            for kind in made.kinds
        }
    return dict(found)
