"""From datasets to one linear problem: state blocks, background, mismatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor.contracts import ensure_flux, grid_of
from monitor.domain import Grid, Interval
from monitor.errors import GridError, InputError
from monitor.inversion.assumptions import Assumptions
from monitor.inversion.components import Component, ObservationModel, Parameter
from monitor.inversion.mismatch import LOOSE, background_components, mismatch_components
from monitor.inversion.state import FluxBlock, StateBlock, distance_km, time_steps
from monitor.inversion.table import ObservationTable, join
from monitor.transport.footprints import select_receptors
from monitor.transport.forward import jacobian, modelled_enhancement


@dataclass(frozen=True, eq=False)
class InverseProblem:
    """y = H x + B b + ε with everything in place.

    Attributes
    ----------
    table : ObservationTable
    blocks : tuple of StateBlock
    baseline : (n,)
        Prior background b_a at each observation [µmol mol⁻¹].
    reference : (n,)
        Reference enhancement, the same for all priors [µmol mol⁻¹].
    model : ObservationModel
        Ψ as a function of the hyperparameters.
    """

    species: str
    grid: Grid
    epochs: Mapping[str, Interval]
    table: ObservationTable
    blocks: tuple[StateBlock, ...]
    baseline: np.ndarray
    reference: np.ndarray
    model: ObservationModel
    assumptions: Assumptions

    @classmethod
    def from_datasets(
        cls,
        observations: Mapping[str, xr.Dataset],
        footprints: Mapping[str, xr.Dataset],
        prior: Mapping[str, xr.Dataset],
        *,
        epochs: Mapping[str, Interval],
        assumptions: Assumptions,
        baseline: xr.DataArray | None = None,
    ) -> InverseProblem:
        """Assemble the problem.

        Parameters
        ----------
        observations, footprints
            By inlet: hourly observations and hourly footprints (their contracts).
        prior
            Flux datasets by block name, on the footprints' grid.
        epochs
            Named periods; observations outside are not used.
        baseline
            Background over time [µmol mol⁻¹]; the mean observation if absent.

        Raises
        ------
        GridError, InputError, NumericalError
        """
        table = join(observations, footprints, list(epochs.values()), assumptions.selection)
        grid = _common_grid(footprints)
        blocks = tuple(
            _block(b, prior, footprints, table, grid, epochs, assumptions) for b in assumptions.state
        )
        reference = np.sum([b.predicted() for b in blocks if b.fields is None], axis=0)
        reference = np.maximum(np.broadcast_to(reference, (table.n,)), 0.0)
        return cls(
            species=str(next(iter(observations.values())).attrs["species"]),
            grid=grid,
            epochs=dict(epochs),
            table=table,
            blocks=blocks,
            baseline=_baseline_at(baseline, table),
            reference=reference,
            model=_model(blocks, table, reference, assumptions, epochs),
            assumptions=assumptions,
        )

    @property
    def residual(self) -> np.ndarray:
        """Y − H x_a − b_a (n,)."""
        return np.asarray(self.table.value - self.baseline - self.predicted)

    @property
    def predicted(self) -> np.ndarray:
        """H x_a (n,)."""
        return np.asarray(np.sum([b.predicted() for b in self.blocks], axis=0))

    def block(self, name: str) -> StateBlock:
        return next(b for b in self.blocks if b.name == name)

    def values_of(self, name: str, values: np.ndarray) -> np.ndarray:
        """The parameters of component `name` among all `values`."""
        names = [c.name for c in self.model.components]
        return self.model.split(values)[names.index(name)]

    def effect(self, name: str, field: np.ndarray, interval: Interval) -> np.ndarray:
        """H Δ (n,) of a flux `field` (n_cells) in block `name` during `interval`."""
        block = self.block(name)
        if block.fields is not None:
            raise InputError(f"block '{name}' is a pattern; it has no cells to set")
        inside = (block.steps[:, 0] < interval.end64) & (block.steps[:, 1] > interval.start64)
        return np.asarray(np.sum([block.jacobian[k] @ field for k in np.flatnonzero(inside)], axis=0))

    @property
    def reference_effects(self) -> np.ndarray:
        """H times the prior mean of each block of cells in each epoch (n, q), where it is seen."""
        columns = [
            block.predicted() * ((self.table.start >= e.start64) & (self.table.start < e.end64))
            for block in self.blocks
            if block.fields is None
            for e in self.epochs.values()
        ]
        return np.column_stack([c for c in columns if np.any(c)] or [np.zeros((self.table.n, 0))])

    def without_prior_mean(self, name: str) -> InverseProblem:
        """The same problem with a prior mean of zero in block `name`, for patterns that are flat there."""
        blocks = tuple(replace(b, prior=np.zeros_like(b.prior)) if b.name == name else b for b in self.blocks)
        return replace(self, blocks=blocks)

    def select(self, keep: np.ndarray) -> InverseProblem:
        """The same problem with the observations `keep` (indices) only."""
        table = replace(
            self.table,
            **{
                name: getattr(self.table, name)[keep]
                for name in ("start", "end", "station", "value", "uncertainty", "spread", "wind_from_deg")
            },
        )
        return replace(
            self,
            table=table,
            blocks=tuple(b.select(keep) for b in self.blocks),
            baseline=self.baseline[keep],
            reference=self.reference[keep],
            model=self.model.select(keep),
        )


def _common_grid(footprints: Mapping[str, xr.Dataset]) -> Grid:
    (first_name, first), *others = footprints.items()
    grid = grid_of(first)
    for name, dataset in others:
        if not grid.same_as(grid_of(dataset)):
            raise GridError(
                f"footprints of {first_name} and {name} are on different grids",
                expected=grid.describe(),
                found=grid_of(dataset).describe(),
                remedy="aggregate the finer one, or run the transport model on one grid",
            )
    return grid


def _baseline_at(baseline: xr.DataArray | None, table: ObservationTable) -> np.ndarray:
    if baseline is None:
        return np.full(table.n, table.value.mean())
    middle = table.start + (table.end - table.start) / 2
    at = baseline.interp(time=xr.DataArray(middle, dims="observation"))
    values = np.asarray(at.values, dtype="f8")
    if not np.isfinite(values).all():
        lost = middle[~np.isfinite(values)]
        raise InputError(
            "the background does not cover all observations",
            expected=f"{middle.min()} … {middle.max()}",
            found=f"{lost.size} observations without, the first at {lost.min()}",
        )
    return values


def _block(
    block: FluxBlock,
    prior: Mapping[str, xr.Dataset],
    footprints: Mapping[str, xr.Dataset],
    table: ObservationTable,
    grid: Grid,
    epochs: Mapping[str, Interval],
    assumptions: Assumptions,
) -> StateBlock:
    if block.name not in prior:
        raise InputError(f"no prior flux for block '{block.name}'", found=", ".join(prior) or "none")
    flux = _sum_of_sectors(prior[block.name], block.sectors)
    if not grid.same_as(grid_of(flux)):
        raise GridError(
            f"the prior of block '{block.name}' is on another grid than the footprints",
            expected=grid.describe(),
            found=grid_of(flux).describe(),
            remedy="cut or regrid the inventory to the footprints' grid",
        )
    steps = time_steps(list(epochs.values()), block.step_days)
    mean = _step_means(flux, steps)
    parameters = (
        Parameter(f"{block.name} scale", block.relative_sd, LOOSE * assumptions.estimate_scales),
        Parameter(
            f"{block.name} length", block.length_km, block.length_log_sd * assumptions.estimate_scales, "km"
        ),
        Parameter(f"{block.name} time", block.time_days * 24.0, 0.0, "h"),
    )
    if block.resolution == "pattern":
        columns = _pattern_jacobian(block, flux, footprints, table, steps, assumptions)
        ones = np.ones((steps.shape[0], 1))
        return StateBlock(block.name, steps, columns, ones, ones, mean, np.zeros((1, 1)), parameters)
    columns = _cell_jacobian(block, footprints, table, steps, grid, assumptions)
    sigma = np.abs(mean) + block.floor * np.abs(mean).mean(axis=1, keepdims=True)
    return StateBlock(block.name, steps, columns, mean, sigma, None, distance_km(grid), parameters)


def _sum_of_sectors(flux: xr.Dataset, sectors: tuple[str, ...]) -> xr.Dataset:
    ensure_flux(flux)
    known = [str(s) for s in flux["sector"].values]
    wanted = known if sectors == ("*",) else [s for s in sectors if s in known]
    if not wanted:
        raise InputError(
            "the prior has none of the block's sectors", expected=", ".join(sectors), found=", ".join(known)
        )
    chosen = flux.sel(sector=wanted)
    total = chosen["flux"].sum("sector", keep_attrs=True).expand_dims(sector=["sum"])
    return flux.drop_vars(["flux", "sector"]).assign(flux=total)


def _step_means(flux: xr.Dataset, steps: np.ndarray) -> np.ndarray:
    """Mean flux in each step (p, n_cells); a flux of one time step is constant."""
    values = flux["flux"].values[0].reshape(flux.sizes["time"], -1)
    if values.shape[0] == 1:
        return np.repeat(values, steps.shape[0], axis=0)
    bounds = flux["time_bnds"].values
    out = np.zeros((steps.shape[0], values.shape[1]))
    for k, (start, end) in enumerate(steps):
        part = np.minimum(bounds[:, 1], end) - np.maximum(bounds[:, 0], start)
        weight = np.maximum(part / np.timedelta64(1, "s"), 0.0)
        if weight.sum() == 0:
            raise InputError("the prior does not cover a time step", expected=f"{start} … {end}")
        out[k] = weight @ values / weight.sum()
    return out


def _hour_weights(block: FluxBlock, dataset: xr.Dataset, utc_offset_h: float) -> np.ndarray:
    if not block.hour_factors:
        return np.ones(dataset.sizes["receptor"])
    local = dataset["time"].values + np.timedelta64(round(utc_offset_h * 3600), "s")
    hour = ((local - local.astype("datetime64[D]")) / np.timedelta64(3600, "s")).astype(int)
    return np.asarray(np.asarray(block.hour_factors)[hour])


def _cell_jacobian(
    block: FluxBlock,
    footprints: Mapping[str, xr.Dataset],
    table: ObservationTable,
    steps: np.ndarray,
    grid: Grid,
    assumptions: Assumptions,
) -> tuple[np.ndarray, ...]:
    n_cells = grid.shape[0] * grid.shape[1]
    rows = []
    for inlet in table.inlets:
        average, dataset = table.averaging[inlet], footprints[inlet]
        used = np.unique(average.indices)
        part = select_receptors(dataset, used)
        weights = _hour_weights(block, part, assumptions.selection.utc_offset_h)
        operator = sp.diags_array(weights) @ jacobian(part, steps, early="first")
        rows.append((average[:, used] @ operator).tocsr())
    stacked = sp.vstack(rows).tocsc()
    return tuple(
        np.ascontiguousarray(stacked[:, k * n_cells : (k + 1) * n_cells].toarray())
        for k in range(steps.shape[0])
    )


def _pattern_jacobian(
    block: FluxBlock,
    flux: xr.Dataset,
    footprints: Mapping[str, xr.Dataset],
    table: ObservationTable,
    steps: np.ndarray,
    assumptions: Assumptions,
) -> tuple[np.ndarray, ...]:
    """Modelled enhancement of the field, in the column of the step that holds the observation."""
    parts = []
    for inlet in table.inlets:
        average, dataset = table.averaging[inlet], footprints[inlet]
        used = np.unique(average.indices)
        part = select_receptors(dataset, used)
        weights = _hour_weights(block, part, assumptions.selection.utc_offset_h)
        modelled = modelled_enhancement(part, flux).values[0] * weights
        parts.append(average[:, used] @ modelled)
    enhancement = np.concatenate(parts)
    index = np.searchsorted(steps[:, 0], table.start, side="right") - 1
    return tuple(np.where(index == k, enhancement, 0.0)[:, None] for k in range(steps.shape[0]))


def _model(
    blocks: tuple[StateBlock, ...],
    table: ObservationTable,
    reference: np.ndarray,
    assumptions: Assumptions,
    epochs: Mapping[str, Interval],
) -> ObservationModel:
    freedom = 1.0 if assumptions.estimate_scales else 0.0
    state: list[Component] = [b.component() for b in blocks]
    background = background_components(assumptions.background, table, epochs, freedom)
    mismatch = mismatch_components(assumptions, table, reference, freedom)
    return ObservationModel((*state, *background, *mismatch))
