"""Small inverse problems from datasets that keep the contracts: a few cells, stations, days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from monitor.contracts import Flag, ObservationColumns, flux_dataset, footprints_dataset, observations_dataset
from monitor.domain import Grid, Interval
from monitor.inversion.assumptions import Assumptions, Background, Mismatch, Selection
from monitor.inversion.problem import InverseProblem
from monitor.inversion.state import Correlation, FluxBlock
from monitor.inversion.totals import Total

HOUR = np.timedelta64(3600, "s").astype("timedelta64[ns]")
GRID = Grid(lon_deg=7.0 + 0.1 * np.arange(5), lat_deg=48.0 + 0.1 * np.arange(4))
CELLS = 20
START = np.datetime64("2023-03-01", "ns")


def interval(first_day: int, days: int) -> Interval:
    start = START + np.timedelta64(first_day, "D")
    return Interval.parse(str(start)[:10], str(start + np.timedelta64(days, "D"))[:10])


@dataclass(frozen=True)
class World:
    """Datasets and assumptions of a problem; change one thing with `dataclasses.replace`."""

    observations: Mapping[str, xr.Dataset]
    footprints: Mapping[str, xr.Dataset]
    prior: Mapping[str, xr.Dataset]
    epochs: Mapping[str, Interval]
    assumptions: Assumptions
    baseline: xr.DataArray | None = None

    def problem(self) -> InverseProblem:
        return InverseProblem.from_datasets(
            self.observations,
            self.footprints,
            self.prior,
            epochs=self.epochs,
            assumptions=self.assumptions,
            baseline=self.baseline,
        )

    def with_values(self, values: Mapping[str, np.ndarray]) -> World:
        """The same world, other mole fractions."""
        changed = {
            name: dataset.assign(mole_fraction=dataset["mole_fraction"].copy(data=values[name]))
            for name, dataset in self.observations.items()
        }
        return replace(self, observations=changed)


def times(epochs: Mapping[str, Interval], every_hours: int) -> np.ndarray:
    parts = [
        np.arange(e.start64, e.end64, every_hours * np.timedelta64(3600, "s").astype("timedelta64[ns]"))
        for e in epochs.values()
    ]
    return np.concatenate(parts)


def footprints(rng, time: np.ndarray, station: str, *, back: int = 30, entries: int = 6) -> xr.Dataset:
    """Ragged footprints with ages up to `back` hours, so that they reach over a daily step."""
    n = time.size
    receptors = xr.Dataset(
        {"wind_direction": ("receptor", rng.uniform(0, 360, n))},
        coords={
            "time": ("receptor", time, {"bounds": "time_bnds"}),
            "time_bnds": (("receptor", "bnds"), np.stack([time, time + HOUR], axis=1)),
        },
    )
    total = n * entries
    resolved = (
        np.full(n, entries),
        rng.integers(0, CELLS, total),
        rng.integers(0, back, total),
        rng.gamma(1.0, 0.5, total),
    )
    residual = (np.full(n, 2), rng.integers(0, CELLS, 2 * n), rng.gamma(1.0, 0.2, 2 * n))
    return footprints_dataset(GRID, receptors, resolved, residual, attributes(station) | {"model": "made up"})


def attributes(station: str) -> dict[str, object]:
    return {
        "species": "co2",
        "station": station,
        "inlet_height_m": 50.0,
        "station_longitude_deg": 7.2,
        "station_latitude_deg": 48.1,
        "calibration_scale": "X2019",
        "source_digest": "",
    }


def series(time: np.ndarray, values: np.ndarray, station: str, flag: np.ndarray | None = None) -> xr.Dataset:
    columns = ObservationColumns(
        start=time,
        end=time + HOUR,
        mole_fraction=values,
        flag=np.full(time.size, Flag.GOOD, dtype="i1") if flag is None else flag,
        uncertainty=np.full(time.size, 0.1),
        stdev=np.full(time.size, 0.2),
    )
    return observations_dataset(columns, attributes(station))


def flux(values: np.ndarray, title: str = "prior", sectors: list[str] | None = None) -> xr.Dataset:
    """A constant flux, (n_cells,) or (sector, n_cells)."""
    field = np.atleast_2d(values).reshape(-1, 1, *GRID.shape)
    names = sectors or [f"s{k}" for k in range(field.shape[0])]
    bounds = np.array([["2023-01-01", "2024-01-01"]], dtype="datetime64[ns]")
    return flux_dataset(
        GRID,
        field,
        sectors=names,
        time_bounds=bounds,
        attributes={"species": "co2", "title": title, "source_digest": ""},
    )


def make_world(
    seed: int = 0,
    *,
    stations: int = 2,
    days: int = 6,
    every_hours: int = 4,
    epochs: Mapping[str, Interval] | None = None,
    block: FluxBlock | None = None,
    estimate_scales: bool = False,
) -> World:
    rng = np.random.default_rng(seed)
    periods = epochs or {"only": interval(0, days)}
    time = times(periods, every_hours)
    names = [f"S{k}-50m" for k in range(stations)]
    return World(
        observations={n: series(time, 400 + 3 * rng.standard_normal(time.size), n) for n in names},
        footprints={n: footprints(rng, time, n) for n in names},
        prior={"total": flux(rng.gamma(2.0, 1.0, CELLS))},
        epochs=periods,
        assumptions=Assumptions(
            state=(block or FluxBlock("total", step_days=2.0),),
            correlation=Correlation(length_km=12.0, time_days=3.0) if block is None else Correlation(),
            background=Background(sd_ppm=1.0, offset_sd_ppm=3.0, station_offset_sd_ppm=0.5),
            mismatch=Mismatch(representation_ppm=0.5, transport_fraction=0.2),
            selection=Selection(),
            estimate_scales=estimate_scales,
        ),
    )


def whole(problem: InverseProblem, factor: float = 1.0) -> Total:
    """The total of the whole grid in the first epoch, in µmol s⁻¹ times `factor`."""
    return Total("all", "total", factor * GRID.cell_area_m2().ravel(), next(iter(problem.epochs.values())))


def distance_km(grid: Grid = GRID) -> np.ndarray:
    """Between all cell centres (s, s), on the tangent plane at the grid's middle."""
    lon, lat = np.meshgrid(grid.lon_deg, grid.lat_deg)
    per_degree = 2 * np.pi * 6371.0072 / 360.0
    east, north = (lon * per_degree * np.cos(np.deg2rad(lat.mean()))).ravel(), (lat * per_degree).ravel()
    return np.hypot(east[:, None] - east[None], north[:, None] - north[None])


def dense_q(block, values: np.ndarray) -> np.ndarray:
    """Q of a block of cells, (p·s, p·s), written out."""
    scale, length, tau = values
    lag = np.abs(block.step_hours[:, None] - block.step_hours[None])
    sigma = block.sigma.ravel()
    return scale**2 * np.outer(sigma, sigma) * np.kron(np.exp(-lag / tau), np.exp(-distance_km() / length))


def draw_observations(problem: InverseProblem, rng) -> tuple[np.ndarray, np.ndarray]:
    """A truth from the prior, and a residual y − Hx_a − b_a from it: (state (p·s,), residual (n,))."""
    (block,) = problem.blocks
    values = problem.model.starts
    q = dense_q(block, problem.values_of(block.name, values))
    state = np.linalg.cholesky(q + 1e-12 * np.trace(q) * np.eye(q.shape[0])) @ rng.standard_normal(q.shape[0])
    others = tuple(c.name for c in problem.model.components if c.name != block.name)
    rest = problem.model.covariance(values, others)
    noise = np.linalg.cholesky(rest) @ rng.standard_normal(rest.shape[0])
    return state, block.jacobian @ state + noise
