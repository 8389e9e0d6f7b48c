"""One claim after the solve: a month of hourly observations at four stations, two maps, all variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import city
from benchmarks.inversion import solved
from monitor.calibration.asking import Claim, panel, variants
from monitor.calibration.network import Network
from monitor.compare.claims import Quantity, Variant
from monitor.inversion.assumptions import TransportScale


@dataclass(frozen=True, eq=False)
class Solved:
    """A network with all variants of its posterior factorised."""

    network: Network
    variants: Sequence[Variant]

    @property
    def order(self) -> int:
        return int(self.variants[0].posterior.problem.table.n)


def month(folder: Path | None = None, *, cells: int = 60, hours: int = 684, stations: int = 4) -> Solved:
    """3,600 cells, 2,736 hourly observations, the month in two halves; each station is left out as well."""
    problem = city.problem(hours * stations, cells, stations, hours_apart=1)
    flux = problem.block("fossil").prior[0]
    lon, lat = np.meshgrid(problem.grid.lon_deg - 10.0, problem.grid.lat_deg - 50.0)
    inside = ((np.abs(lon) < 0.3) & (np.abs(lat) < 0.2)).astype(float).ravel()
    quantity = Quantity(
        species="co2",
        region="city",
        block="fossil",
        fraction=inside,
        area_m2=problem.grid.cell_area_m2().ravel(),
        epochs=tuple(problem.epochs.values()),
        patterns={"bright": flux, "even": np.full_like(flux, flux.mean())},
        alternatives={"core": np.where(flux > np.median(flux), flux, 0.0)},
    )
    network = Network("month", problem, quantity, TransportScale(0.1, 0.05), None)
    found = variants(solved(problem), ensemble=True)
    for variant in found:
        _ = variant.posterior.solution.lower, variant.posterior.diagnostics
    return Solved(network, found)


def judge(inputs: Solved, claim: Claim) -> dict[str, float]:
    """All members of the ensemble for what the claim is about, and its verdict."""
    posterior = inputs.variants[0].posterior
    asked = panel(inputs.network, claim.kind, posterior, ensemble=True, found=inputs.variants)
    estimate = asked.judge(claim, posterior).estimate
    assert estimate is not None
    return {"value": estimate.value, "sigma": estimate.sigma}
