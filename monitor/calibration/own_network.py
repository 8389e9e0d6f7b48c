"""A city's own network, from its files, with the transport turned about its stations.

The observations give the times at which the network sees; their values are replaced.  A transport model
cannot be run again here, so other transport is made of the footprints at hand: turned about their station,
and scaled as another wind speed and mixing height would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from monitor.calibration.inventories import scaled
from monitor.calibration.network import MIXING, SPEED, TURN_DEG, Network, mixed
from monitor.compare.claims import Quantity
from monitor.compare.regions import region_fractions
from monitor.domain import Grid, Interval, Region
from monitor.errors import UsageError
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.problem import InverseProblem
from monitor.inversion.state import StateBlock
from monitor.service.case import Case, build_case
from monitor.service.claims import flat, layouts, transport_of
from monitor.service.inputs import load_data
from monitor.service.ledger import Ledger, process_owner
from monitor.service.pipeline import ingest_inputs
from monitor.service.run import Run, RunOptions, load_configuration, open_archive


def take_in(config: Path, interval: Interval, data: Path, workdir: Path, options: RunOptions) -> None:
    """Read the city's files into the archive, from which every process then makes the network."""
    city, claims = load_configuration(config)
    with open_archive(workdir, options.clock) as archive:
        owner = Ledger(archive, process_owner(), options.clock)
        ingest_inputs(Run(archive, owner, city, claims, interval, data, workdir, options))


def archived_network(config: Path, interval: Interval, workdir: Path, species: str | None) -> Network:
    """The network of a city whose files are archived, for one gas (the first if none is named)."""
    city, _ = load_configuration(config)
    gas, known = species or city.city.species[0], city.city.species
    if gas not in known:
        raise UsageError("the city does not observe this gas", expected=", ".join(known), found=gas)
    with open_archive(workdir) as archive:
        data, _ = load_data(archive, city, interval)
    return network_of(build_case(city, gas, interval, data))


def network_of(case: Case) -> Network:
    """The network of a case: its first block of cells in its first region, in all epochs that are seen."""
    problem = case.problem(case.city.selection.local_hours)
    block = next((b for b in problem.blocks if b.fields is None), None)
    if block is None:
        raise UsageError("a calibration needs a block with a flux per cell", where=case.city.city.id)
    region = next((r.as_domain() for r in case.city.region), Region("window", ()))
    fraction = region_fractions([region], case.grid)["fraction"].values[0].ravel()
    maps = {name: flat(dataset) for name, dataset in case.maps[block.name].items()}
    if len(maps) > 1:
        maps = {"mean of the maps": flat(case.reference[block.name]), **maps}
    start = problem.table.start
    seen = [e for e in sorted(problem.epochs.values()) if np.any((start >= e.start64) & (start < e.end64))]
    quantity = Quantity(
        species=case.species,
        region=region.id,
        block=block.name,
        fraction=fraction,
        area_m2=case.grid.cell_area_m2().ravel(),
        epochs=tuple(seen),
        patterns=maps,
        alternatives=layouts(case, block.name),
        transport=TransportScale(),
    )
    places = {name: place for name in problem.table.inlets if (place := _place(case, name))}
    lost = len(places) < len(problem.table.inlets)
    turned = None if lost else partial(other_transport, problem, places)

    def with_inventory(factors: Sequence[float]) -> InverseProblem:
        wrong = {name: scaled(flux, seen, factors) for name, flux in case.reference.items()}
        return replace(case, reference=wrong).problem(case.city.selection.local_hours)

    name, declared = case.city.city.id, transport_of(case)
    return Network(name, problem, quantity, declared, turned, with_inventory=with_inventory)


def _place(case: Case, inlet: str) -> tuple[float, float] | None:
    """Longitude and latitude of an inlet; ``None`` of a difference or a column of levels."""
    footprints = case.footprints.get(inlet)
    if footprints is None:
        return None
    about = footprints.attrs
    return float(about["station_longitude_deg"]), float(about["station_latitude_deg"])


def other_transport(
    problem: InverseProblem, places: dict[str, tuple[float, float]], rng: np.random.Generator
) -> dict[str, sp.csr_array]:
    """The Jacobians with footprints turned and scaled: one wind for all, a mixing height for each epoch.

    Of a block that is no flux per cell the footprints are not at hand: it is scaled only.
    """
    turn, speed = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG)), 1 + rng.uniform(-SPEED, SPEED)
    scale = mixed(problem, speed * (1 + rng.uniform(-MIXING, MIXING, len(problem.epochs))))
    turns = [turning(problem.grid, places[name], float(turn)) for name in problem.table.inlets]
    moved = {b.name: _turned(b, problem, turns) if b.fields is None else b.jacobian for b in problem.blocks}
    return {name: sp.csr_array(scale @ jacobian) for name, jacobian in moved.items()}


def _turned(block: StateBlock, problem: InverseProblem, turns: list[sp.csr_array]) -> sp.csr_array:
    steps = sp.eye_array(block.shape[0])
    rows, parts = [], []
    for station, turn in enumerate(turns):
        own = np.flatnonzero(problem.table.station == station)
        rows.append(own)
        parts.append(block.jacobian[own] @ sp.kron(steps, turn.T, format="csr"))
    back = np.argsort(np.concatenate(rows))
    return sp.csr_array(sp.csr_array(sp.vstack(parts, format="csr"))[back])


def turning(grid: Grid, place: tuple[float, float], angle: float) -> sp.csr_array:
    """The operator (s, s) that turns a field clockwise about a place, bilinear between cell centres.

    A footprint comes to lie where a wind turned by `angle` [rad] would put it; what leaves the grid is lost.
    """
    lon, lat = np.meshgrid(grid.lon_deg, grid.lat_deg)
    across = float(np.cos(np.deg2rad(place[1])))
    x, y = (lon.ravel() - place[0]) * across, lat.ravel() - place[1]
    # where each cell's value comes from: back by the angle
    from_x = x * np.cos(angle) - y * np.sin(angle)
    from_y = x * np.sin(angle) + y * np.cos(angle)
    column = (from_x / across + place[0] - grid.lon_deg[0]) / grid.lon_step_deg
    row = (from_y + place[1] - grid.lat_deg[0]) / grid.lat_step_deg
    left, low = np.floor(column).astype(int), np.floor(row).astype(int)
    n_lat, n_lon = grid.shape
    parts = []
    for d_row, d_column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        i, j = low + d_row, left + d_column
        weight = (1 - np.abs(row - i)) * (1 - np.abs(column - j))
        inside = (i >= 0) & (i < n_lat) & (j >= 0) & (j < n_lon)
        at = np.flatnonzero(inside)
        parts.append(sp.csr_array((weight[at], (at, i[at] * n_lon + j[at])), shape=(x.size, x.size)))
    return sp.csr_array(sum(parts[1:], start=parts[0]))
