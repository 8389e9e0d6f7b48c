"""A small network, what its inventory holds at one cell, and a source there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_worlds import GRID, interval, make_world

from monitor import units
from monitor.config import ClaimSection, InversionSection
from monitor.inversion import FluxBlock, Posterior, solve

DAYS, CELL = 14, 7
INVERSION = InversionSection.model_validate(
    {
        "species": "co2",
        "background": {"sd_ppm": 1.0, "offset_sd_ppm": 3.0},
        "mismatch": {"representation_ppm": 0.5},
        "transport_scale_sd": 0.05,
        "transport_epoch_sd": 0.0,
    }
)
LON, LAT = float(GRID.lon_deg[CELL % 5]), float(GRID.lat_deg[CELL // 5])


def network(stations=3, every_hours=6) -> Posterior:
    """Of a city whose inventory has nothing at the cell."""
    block = FluxBlock("total", relative_sd=0.2)
    world = make_world(
        3, stations=stations, every_hours=every_hours, epochs={"only": interval(0, DAYS)}, block=block
    )
    return holding(replace(solve(world.problem()), inflation=1.0), 0.0)


def holding(posterior: Posterior, strength: float) -> Posterior:
    """With `strength` kg h⁻¹ of the inventory at the cell; how far the inventory is trusted stays."""
    (block,) = posterior.problem.blocks
    flux = strength / (units.kilograms_per_hour("co2") * GRID.cell_area_m2().ravel()[CELL])
    prior = np.where(np.arange(block.shape[1]) == CELL, flux, block.prior)
    return replace(posterior, problem=replace(posterior.problem, blocks=(replace(block, prior=prior),)))


def with_source(posterior: Posterior, strength: float, days=(4, 9), seed=0) -> Posterior:
    """Noise from Ψ and a source of `strength` kg h⁻¹ at the cell."""
    problem = posterior.problem
    day = np.floor(problem.table.hours / 24).astype(int)
    day -= day.min()
    area = GRID.cell_area_m2().ravel()[CELL]
    flux = strength / (units.kilograms_per_hour("co2") * area)
    rng = np.random.default_rng(seed)
    residual = posterior.solution.lower @ rng.standard_normal(problem.table.n)
    inside = (day >= days[0]) & (day < days[1])
    residual += flux * np.where(inside, problem.blocks[0].footprints()[:, CELL], 0.0)
    values = problem.baseline + problem.predicted + residual
    return replace(posterior, problem=replace(problem, table=replace(problem.table, value=values)))


def claim(**changes) -> ClaimSection:
    fields = {"id": "s", "kind": "source", "statement": "", "species": "co2", "lon_deg": LON, "lat_deg": LAT}
    return ClaimSection.model_validate(fields | changes)
