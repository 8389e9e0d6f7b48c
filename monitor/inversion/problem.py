"""From datasets to one linear problem: state blocks, background, mismatch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, cast

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor.contracts import ensure_observations, grid_of
from monitor.domain import Grid, Interval
from monitor.errors import GridError, InputError, UnitError
from monitor.inversion.assumptions import Assumptions
from monitor.inversion.blocks import Sight, build_block, in_order
from monitor.inversion.components import Combined, Component, ObservationModel
from monitor.inversion.ensure import ensure_baseline, ensure_datasets, ensure_kind
from monitor.inversion.linear_problem import LinearProblem
from monitor.inversion.mismatch import background_components, mismatch_components
from monitor.inversion.state import FluxBlock, StateBlock
from monitor.inversion.table import Footprints, ObservationTable, join, levels_of, take_differences
from monitor.inversion.totals import Total, ensure_regions_fit, region_totals, whole_grid

if TYPE_CHECKING:
    from monitor.inversion.preview import Preview


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
        Reference enhancement, of one size for all priors and epochs [µmol mol⁻¹].
    model : ObservationModel
        Ψ as a function of the hyperparameters.
    regions : xr.Dataset
        Area fractions (region, lat, lon), of which the totals are made.
    weights : (n,)
        Of the observations: 1, unless a likelihood with heavy tails trusts some of them less.
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
    regions: xr.Dataset
    weights: np.ndarray

    @classmethod
    def from_datasets(
        cls,
        observations: xr.Dataset | Mapping[str, xr.Dataset],
        footprints: Footprints | Mapping[str, Footprints],
        prior: xr.Dataset | Mapping[str, xr.Dataset],
        *,
        regions: xr.Dataset | None = None,
        assumptions: Assumptions | None = None,
        epochs: Mapping[str, Interval] | None = None,
        baseline: xr.DataArray | None = None,
    ) -> InverseProblem:
        """Assemble the problem.

        Parameters
        ----------
        observations, footprints
            Hourly observations and hourly footprints (their contracts), by inlet; a dataset alone is that of
            one inlet.  An inlet with an averaging kernel (`Column`) has a footprint for each level.
        prior
            Flux datasets on the footprints' grid, by block name; a dataset alone serves every block, each
            with its own sectors.  One of several times must cover the steps; one of a single time is constant
            in time, whatever its year.
        regions
            Area fractions on the footprints' grid; all cells together if absent.
        assumptions
            What is assumed, all of it with a default.
        epochs
            Named periods; observations outside are not used.  One that spans all observations if absent.
        baseline
            Background (time,), with its units [µmol mol⁻¹]; the mean observation if absent.

        Raises
        ------
        ContractError, GridError, InputError, NumericalError, UnitError
        """
        assumed = Assumptions() if assumptions is None else assumptions
        ensure_kind("assumptions", assumed, Assumptions, "Assumptions(background=Background(…), …)")
        _ensure_given(observations, footprints, prior, epochs)
        ensure_baseline(baseline)
        observed, seen = _by_inlet(observations, footprints)
        elements = join(observed, seen, list((epochs or {}).values()), assumed.selection)
        periods = dict(epochs) if epochs else {"all": _span(elements)}
        grid = _common_grid(seen)
        flux_blocks, maps = _by_block(prior, assumed.state)
        assumed = replace(assumed, state=flux_blocks)
        sight = Sight(seen, elements)
        blocks = [build_block(b, maps[b.name], sight, periods.values(), assumed) for b in flux_blocks]
        plain = np.sum([b.jacobian @ b.reference.ravel() for b in blocks if not b.is_pattern], axis=0)
        reference = np.maximum(np.broadcast_to(plain, (elements.n,)), 0.0)
        rest = _other_components(assumed, elements, periods, reference)
        at = _baseline_at(baseline, elements)
        table, operator = take_differences(elements, assumed.selection.differences)
        if operator is not None:
            blocks = [replace(b, jacobian=in_order(operator @ b.jacobian)) for b in blocks]
            rest = tuple(Combined(part, operator) for part in rest)
            at, reference = operator @ at, operator @ reference
        return cls(
            species=_common_species(observed, maps),
            grid=grid,
            epochs=periods,
            table=table,
            blocks=tuple(blocks),
            baseline=at,
            reference=reference,
            model=ObservationModel(_named_apart((*(b.component for b in blocks), *rest))),
            assumptions=assumed,
            regions=ensure_regions_fit(whole_grid(grid) if regions is None else regions, grid),
            weights=np.ones(table.n),
        )

    @property
    def residual(self) -> np.ndarray:
        """Y − H x_a − b_a (n,)."""
        return np.asarray(self.table.value - self.baseline - self.predicted)

    @property
    def predicted(self) -> np.ndarray:
        """H x_a (n,)."""
        return np.asarray(np.sum([b.predicted() for b in self.blocks], axis=0))

    @property
    def totals(self) -> list[Total]:
        """One per region, block and epoch [t of the gas per year]."""
        return region_totals(
            self.regions, self.species, self.grid, [b.name for b in self.blocks], self.epochs
        )

    @cached_property
    def columns(self) -> Mapping[str, slice]:
        """Where the unknowns of each block, and of each part of the background, lie in `linear()`."""
        from monitor.inversion.arrays import columns_of

        return columns_of(self)

    def mask(self, names: Collection[str] = ()) -> np.ndarray:
        """Which unknowns of `linear()` are of the blocks called `names`, or of any block of fluxes (m,)."""
        chosen = (names,) if isinstance(names, str) else tuple(names) or tuple(b.name for b in self.blocks)
        out = np.zeros(max(c.stop for c in self.columns.values()), dtype=bool)
        for name in chosen:
            if name not in self.columns:
                raise InputError(f"no unknowns are called '{name}'", expected=", ".join(self.columns))
            out[self.columns[name]] = True
        return out

    def linear(self, values: np.ndarray | None = None) -> LinearProblem:
        """The same problem in plain arrays, at hyperparameters `values` (those stated if absent).

        The background's unknowns are departures from the baseline, and the observations those above it.
        """
        from monitor.inversion.arrays import linear_problem

        return linear_problem(self, values)

    def preview(self) -> Preview:
        """Sizes, memory, time, χ² and DOFS to expect, before any solve."""
        from monitor.inversion.preview import preview

        return preview(self)

    def block(self, name: str) -> StateBlock:
        """The block called `name`.

        Raises
        ------
        InputError
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise InputError(
            f"no block '{name}'", expected=", ".join(b.name for b in self.blocks), found=f"'{name}'"
        )

    def values_of(self, name: str, values: np.ndarray) -> np.ndarray:
        """The parameters of component `name` among all `values`."""
        names = [c.name for c in self.model.components]
        return self.model.split(values)[names.index(name)]

    def effect(self, name: str, field: np.ndarray, interval: Interval) -> np.ndarray:
        """H Δ (n,) of a flux `field` (n_cells) in block `name` during `interval`."""
        block = self.block(name)
        if block.fields is not None:
            raise InputError(f"block '{name}' scales its prior; it has no fluxes to set")
        inside = (block.steps[:, 0] < interval.end64) & (block.steps[:, 1] > interval.start64)
        return np.asarray(block.jacobian @ (inside[:, None] * field[None, :]).ravel())

    @property
    def reference_effects(self) -> np.ndarray:
        """H times the prior mean of each block of cells in each epoch (n, q), where it is seen."""
        columns = [
            block.predicted() * ((self.table.start >= e.start64) & (self.table.start < e.end64))
            for block in self.blocks
            if not block.is_pattern
            for e in self.epochs.values()
        ]
        return np.column_stack([c for c in columns if np.any(c)] or [np.zeros((self.table.n, 0))])

    def without_prior_mean(self, name: str) -> InverseProblem:
        """The same problem with a prior mean of zero in block `name`, for patterns that are flat there."""
        blocks = tuple(replace(b, prior=np.zeros_like(b.prior)) if b.name == name else b for b in self.blocks)
        return replace(self, blocks=blocks)

    def select(self, keep: np.ndarray) -> InverseProblem:
        """The same problem with the observations `keep` (indices) only."""
        return replace(
            self,
            table=self.table.select(keep),
            blocks=tuple(b.select(keep) for b in self.blocks),
            baseline=self.baseline[keep],
            reference=self.reference[keep],
            model=self.model.select(keep),
            weights=self.weights[keep],
        )

    def reweighted(self, weights: np.ndarray) -> InverseProblem:
        """The same problem with the variances of independent errors divided by `weights` (n,)."""
        from monitor.inversion.arrays import is_independent

        root = sp.csr_array(sp.diags_array(1.0 / np.sqrt(weights)))
        blocks = {b.name for b in self.blocks}
        components: list[Component] = [
            Combined(c, root) if c.name not in blocks and is_independent(c) else c
            for c in self.model.components
        ]
        return replace(self, model=ObservationModel(tuple(components)), weights=self.weights * weights)


def _ensure_given(observations: object, footprints: object, prior: object, epochs: object) -> None:
    """Refuse arguments of a wrong kind."""
    ensure_datasets("observations", observations)
    ensure_datasets("footprints", footprints, levels=True)
    ensure_datasets("prior fluxes", prior)
    if epochs is not None:
        parse = 'Interval.parse("2023-01-01", "2024-01-01")'
        ensure_kind("epochs", epochs, Mapping, f'{{"a": {parse}}}')
        for name, epoch in cast("Mapping[str, object]", epochs).items():
            ensure_kind(f"epoch '{name}'", epoch, Interval, parse)


def _by_inlet(
    observations: xr.Dataset | Mapping[str, xr.Dataset], footprints: Footprints | Mapping[str, Footprints]
) -> tuple[Mapping[str, xr.Dataset], Mapping[str, Footprints]]:
    """Both by inlet; datasets alone are those of the observations' station."""
    alone = isinstance(observations, xr.Dataset)
    if alone == (isinstance(footprints, Mapping) and not isinstance(footprints, xr.Dataset)):
        raise InputError(
            "observations and footprints are not given in the same way",
            expected="both as {inlet: dataset}, or both of one inlet alone",
            found=f"observations {'alone' if alone else 'by inlet'}, footprints "
            f"{'by inlet' if alone else 'alone'}",
        )
    if not isinstance(observations, xr.Dataset):
        for dataset in observations.values():
            ensure_observations(dataset)
        return observations, cast("Mapping[str, Footprints]", footprints)
    ensure_observations(observations)
    name = str(observations.attrs["station"])
    return {name: observations}, {name: cast("Footprints", footprints)}


def _by_block(
    prior: xr.Dataset | Mapping[str, xr.Dataset], state: tuple[FluxBlock, ...]
) -> tuple[tuple[FluxBlock, ...], Mapping[str, xr.Dataset]]:
    """The blocks, and a flux dataset for each by its name."""
    alone = isinstance(prior, xr.Dataset)
    blocks = state or ((FluxBlock("total"),) if alone else tuple(FluxBlock(str(name)) for name in prior))
    names = [b.name for b in blocks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two blocks of the state are called '{twice[0]}'", remedy="rename one of them")
    maps = dict.fromkeys(names, prior) if isinstance(prior, xr.Dataset) else prior
    for block in blocks:
        if block.name not in maps:
            raise InputError(
                f"no prior flux for block '{block.name}'",
                expected=", ".join(names),
                found=", ".join(map(str, maps)) or "none",
            )
    for first, second in combinations(blocks, 2):
        if maps[first.name] is maps[second.name]:
            _ensure_apart(first, second)
    return blocks, maps


def _ensure_apart(first: FluxBlock, second: FluxBlock) -> None:
    """Refuse two blocks of one prior that count a sector twice."""
    if "*" in (*first.sectors, *second.sectors):
        twice = [s for s in (*first.sectors, *second.sectors) if s != "*"] or ["*"]
    else:
        twice = [s for s in first.sectors if s in second.sectors]
    if twice:
        raise InputError(
            f"blocks '{first.name}' and '{second.name}' both count sector '{twice[0]}' of one prior",
            expected="each sector in one block",
            found=f"{first.sectors} and {second.sectors}",
            remedy="state the sectors of each block",
        )


def _other_components(
    assumed: Assumptions, table: ObservationTable, epochs: Mapping[str, Interval], reference: np.ndarray
) -> tuple[Component, ...]:
    """Background and errors."""
    freedom = 1.0 if assumed.estimate_scales else 0.0
    return (
        *background_components(assumed.background, table, epochs, freedom),
        *mismatch_components(assumed, table, reference, freedom),
    )


def _named_apart(components: tuple[Component, ...]) -> tuple[Component, ...]:
    """The components themselves, if no two have one name."""
    names = [c.name for c in components]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(
            f"'{twice[0]}' names a block of the state and a part of the background or the errors",
            expected=f"none of {', '.join(names[names.index(twice[0]) + 1 :])}",
            remedy="rename the block",
        )
    return components


def _span(table: ObservationTable) -> Interval:
    """From the first observation to the end of the last."""
    start, end = table.start.min(), table.end.max()
    return Interval.parse(str(start.astype("datetime64[s]")), str(end.astype("datetime64[s]")))


def _common_species(observations: Mapping[str, xr.Dataset], prior: Mapping[str, xr.Dataset]) -> str:
    found = {f"observations {k}": str(o.attrs["species"]) for k, o in observations.items()}
    found |= {f"prior {k}": str(p.attrs["species"]) for k, p in prior.items()}
    species = next(iter(found.values()))
    others = {name: gas for name, gas in found.items() if gas != species}
    if others:
        name, gas = next(iter(others.items()))
        raise UnitError(
            f"{name} is of another gas",
            expected=f"{species}, as {next(iter(found))}",
            found=gas,
            remedy="invert one gas at a time",
        )
    return species


def _common_grid(footprints: Mapping[str, Footprints]) -> Grid:
    named = [(name, level) for name, found in footprints.items() for level in levels_of(found)]
    first_name, first = named[0]
    grid = grid_of(first)
    for name, dataset in named[1:]:
        if not grid.same_as(grid_of(dataset)):
            raise GridError(
                f"footprints of {first_name} and {name} are on different grids",
                expected=grid.describe(),
                found=grid_of(dataset).describe(),
                remedy="aggregate the finer one, or run the transport model on one grid",
            )
    return grid


def _baseline_at(baseline: xr.DataArray | None, table: ObservationTable) -> np.ndarray:
    """What each observation sees of the baseline (n,)."""
    if baseline is None:
        mean = float(table.exposure @ table.value / (table.exposure @ table.exposure))
        return np.asarray(mean * table.exposure)
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
    return np.asarray(values * table.exposure)
