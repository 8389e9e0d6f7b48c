"""Claims of a share, put to worlds of the right model in which the true share is known.

A part of the region and the rest of it are estimated together, each flat along its own pattern, as the
share of a district is.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.calibration.asking import SHARE, Claim
from monitor.calibration.bench import Bench
from monitor.calibration.recording import Record, Streams, said
from monitor.calibration.worlds import Truth, draw_truth, observe, solve_stated, total_of, with_total
from monitor.compare.statistics import Estimate

#: Half-width of what a claim tolerates, in σ of the share: an interval of ± 1.96 σ about the estimate of a
#: true claim then lies within in 80 of 100 cases.
_TOLERANCE_SIGMAS: Final = 1.9600 + 1.2816
#: No share is claimed with a wider tolerance than this.
_WIDEST: Final = 0.95


def share_claims(bench: Bench, streams: Streams) -> Record:
    """The share's interval where truth is drawn; claims that are true, and that are off by their tolerance.

    The truth lies at either end of what is tolerated, as often at the one as at the other.
    """
    claim = share_claim(bench)
    end = claim.value * (1 + claim.width * (1 if streams("share end").uniform() < 0.5 else -1))
    found: Record = {}
    for name, share in (("drawn", None), ("margin", end), ("claim", claim.value)):
        rng = streams(f"share {name}")
        truth = draw_truth(bench.network, rng) if share is None else shared_truth(bench, rng, share)
        true = true_share(bench, truth) if share is None else share
        posterior = solve_stated(observe(bench.network, truth, rng))
        found[name] = said(bench.share_panel.judge(claim, posterior)) | {"truth": true}
    return found


def share_claim(bench: Bench) -> Claim:
    """That the district has the inventory's share; a true one is told from what is not tolerated in 80 %."""
    expected = expected_share(bench)
    return Claim(SHARE, expected.value, min(_TOLERANCE_SIGMAS * expected.sigma / expected.value, _WIDEST))


def expected_share(bench: Bench) -> Estimate:
    """The inventory's share as it would be estimated, before there are data."""
    members = bench.share_panel
    totals = members.quantity.expected(next(iter(members.quantity.patterns)))
    return members.quantity.made.estimate(totals, bench.inflation * members.members[0].covariance)


def true_share(bench: Bench, truth: Truth) -> float:
    """The district's share in the last epoch."""
    quantity = bench.share_panel.quantity
    block = bench.network.problem.block(quantity.block)
    flux, epoch = truth.flux[block.name], quantity.epochs[0]
    own, rest = (total_of(block, flux, part, epoch) for part in quantity.parts)
    return own / (own + rest)


def shared_truth(bench: Bench, rng: np.random.Generator, share: float) -> Truth:
    """Fluxes from the prior, but with the inventory's total and a given share in the last epoch."""
    network, quantity = bench.network, bench.share_panel.quantity
    truth = draw_truth(network, rng)
    block = network.problem.block(quantity.block)
    flux, size = truth.flux[block.name], bench.size
    for part, total in zip(quantity.parts, (share * size, (1.0 - share) * size), strict=True):
        flux = with_total(block, flux, part, quantity.epochs[0], total)
    return Truth({**truth.flux, block.name: flux}, np.array([*truth.totals[:-1], size]))
