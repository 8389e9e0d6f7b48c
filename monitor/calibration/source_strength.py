"""Claims that a source of a stated strength is at a place, judged as a city's own are.

Claimed is twice what the judging of such a claim says to be detectable; the source is not there, is half as
strong, or is what is claimed: all that the cell emits, the inventory's flux included.  The claim names the
place, and the week or no dates at all.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from monitor import units
from monitor.calibration.bench import Bench
from monitor.calibration.recording import Record, Streams
from monitor.calibration.worlds import Truth, right_world, solve_stated, with_values
from monitor.config import ClaimSection
from monitor.config.city import BackgroundSection, InversionSection, MismatchSection
from monitor.domain import Interval
from monitor.inversion.posterior import Posterior
from monitor.service.source_claims import judge_source

#: True strengths in units of the claimed one, and the claimed one in detectable ones.
TRUTHS: Final = {"none": 0.0, "half": 0.5, "claim": 1.0}
_MULTIPLE: Final = 2.0
_SEED: Final = 1


def source_strength(bench: Bench, streams: Streams) -> Record:
    """Claims that name the week of the source."""
    return _claims(bench, streams, "source strength", dated=True)


def undated_source_strength(bench: Bench, streams: Streams) -> Record:
    """Claims that name no dates: all runs of days are looked at, and the interval is over all that fit."""
    return _claims(bench, streams, "undated source strength", dated=False)


def _claims(bench: Bench, streams: Streams, name: str, *, dated: bool) -> Record:
    search, draw = bench.search, streams(f"{name}, place")
    at, which = divmod(int(draw.integers(search.weeks.size * search.cells.size)), search.cells.size)
    window, cell = int(search.weeks[at]), int(search.cells[which])
    claim = claim_at(bench, cell, search.week_of(window), 1.0)
    detectable = judged(bench, claim, bench.posterior)["detectable"]
    claim = claim.model_copy(update={"value": _MULTIPLE * float(detectable)})
    if not dated:
        claim = claim.model_copy(update={"period": None})
    found: Record = {}
    for case, part in TRUTHS.items():
        world, problem = right_world(bench.network, streams(f"{name}, {case}"))
        truth = part * float(claim.value or 0.0)
        # a strength is that of the whole cell: what the world has there already is a part of it
        beyond = truth - strength_there(bench, world, cell, search.week_of(window))
        seen = problem.table.value + beyond * search.scope.candidates.response(cell, window)
        said = judged(bench, claim, solve_stated(with_values(problem, seen)))
        low, high = said["interval"]
        known = {key: said[key] for key in ("verdict", "reasons", "false_alarm", "estimate")}
        found[case] = known | {"low": low, "high": high, "truth": truth}
    return found


def claim_at(bench: Bench, cell: int, period: tuple[str, str], strength: float) -> ClaimSection:
    """That a source of some strength [kg h⁻¹] is in a cell, as a claim file would say it."""
    grid = bench.network.problem.grid
    row, column = bench.search.scope.candidates.place[cell]
    return ClaimSection(
        id="calibration",
        kind="source",
        statement="",
        species=bench.network.quantity.species,
        lon_deg=float(grid.lon_deg[column]),
        lat_deg=float(grid.lat_deg[row]),
        value=strength,
        period=period,
        adjustments=("strength: the inventory's flux there is the claimed source",),
    )


def strength_there(bench: Bench, world: Truth, cell: int, period: tuple[str, str]) -> float:
    """What a cell emits in a world, averaged over a period [kg h⁻¹]."""
    problem = bench.network.problem
    weight = np.zeros(problem.grid.shape[0] * problem.grid.shape[1])
    weight[cell] = problem.grid.cell_area_m2().ravel()[cell] * units.kilograms_per_hour(problem.species)
    interval = Interval.parse(*period)
    return sum(float(np.sum(b.loading(weight, interval) * world.flux[b.name])) for b in problem.blocks)


def judged(bench: Bench, claim: ClaimSection, posterior: Posterior) -> dict[str, Any]:
    """The verdict on it as JSON, of a model without errors of transport but those in R."""
    assumed = bench.network.problem.assumptions
    section = InversionSection(
        species=claim.species,
        background=BackgroundSection(
            sd_ppm=assumed.background.sd_ppm, offset_sd_ppm=assumed.background.offset_sd_ppm
        ),
        mismatch=MismatchSection(representation_ppm=assumed.mismatch.representation_ppm),
        transport_scale_sd=0.0,
        transport_epoch_sd=0.0,
    )
    return judge_source(claim, posterior, section, _SEED)
