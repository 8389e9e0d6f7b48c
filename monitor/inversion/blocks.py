"""A block of the state vector from its prior flux and the footprints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor.contracts import ensure_flux, grid_of
from monitor.domain import Grid, Interval
from monitor.errors import GridError, InputError
from monitor.inversion.assumptions import Assumptions
from monitor.inversion.components import Parameter
from monitor.inversion.covariance import Exponential, Kronecker
from monitor.inversion.mismatch import LOOSE
from monitor.inversion.receptors import stacked
from monitor.inversion.state import Correlation, FluxBlock, StateBlock, middle_hours, time_steps
from monitor.inversion.table import Footprints, ObservationTable, levels_of
from monitor.transport.footprints import is_time_integrated, select_receptors
from monitor.transport.forward import jacobian

_Jacobian = Callable[[xr.Dataset, int], sp.csr_array]


def build_block(
    block: FluxBlock,
    prior: xr.Dataset,
    sight: Sight,
    epochs: Collection[Interval],
    assumptions: Assumptions,
) -> StateBlock:
    """The block with its Jacobian, prior mean, reference and covariance.

    A prior of several times covers every step wholly; one of a single time is constant, whatever its year.

    Raises
    ------
    ContractError, GridError, InputError
    """
    flux = _on_grid(block, _sum_of_sectors(block, prior), sight.grid)
    steps = time_steps(list(epochs), block.step_days, sight.reach_hours)
    seen_in = _reaching(steps, sight.reach_hours)
    mean = _step_means(block, flux, steps)
    reference = _of_one_size(mean, steps, epochs)
    correlation = block.correlation or assumptions.correlation
    weights = _hour_weights(block, assumptions.selection.utc_offset_h)
    if block.resolution == "cells":
        seen = sight(lambda part, hours: jacobian(part, seen_in, hours_resolved=hours), weights)
        sigma = np.abs(reference) + block.floor * np.abs(reference).mean(axis=1, keepdims=True)
        fields, prior_mean = None, mean
    else:
        seen = sight(_scaled(block, flux, seen_in), weights)
        fields = mean
        width = 1 if block.resolution == "pattern" else mean.shape[1]
        prior_mean = np.ones((steps.shape[0], width))
        # a factor of the same flux; a pattern, which no claim is about, stays relative to its own
        sigma = reference = prior_mean if width == 1 else _ratio(reference, mean)
    return StateBlock(
        block.name,
        steps,
        seen,
        prior_mean,
        reference,
        sigma,
        fields,
        _unit(block, correlation, steps, sigma, sight.grid),
        _parameters(block, correlation, assumptions.estimate_scales),
    )


def _unit(
    block: FluxBlock, correlation: Correlation, steps: np.ndarray, sigma: np.ndarray, grid: Grid
) -> Kronecker:
    """The prior covariance at scale 1; σ as a product of times and cells where it is one."""
    time = correlation.in_time(middle_hours(steps))
    # a pattern is one place
    space = Exponential(1.0, 1) if block.resolution == "pattern" else correlation.in_space(grid)
    constant = bool((sigma == sigma[0]).all())
    return Kronecker(time, space, (np.ones(sigma.shape[0]), sigma[0]) if constant else sigma)


def _parameters(block: FluxBlock, correlation: Correlation, estimate: bool) -> tuple[Parameter, ...]:
    by_day = correlation.hours_of_day is not None
    scale = Parameter(f"{block.name} scale", block.relative_sd, LOOSE * estimate)
    length = Parameter(
        f"{block.name} length", correlation.length_km, correlation.length_log_sd * estimate, "km"
    )
    time = (
        Parameter(f"{block.name} time", correlation.time_days, 0.0, "d")
        if by_day
        else Parameter(f"{block.name} time", correlation.time_days * 24.0, 0.0, "h")
    )
    return (scale, time) if block.resolution == "pattern" else (scale, length, time)


def _sum_of_sectors(block: FluxBlock, flux: xr.Dataset) -> xr.Dataset:
    ensure_flux(flux)
    known = [str(s) for s in flux["sector"].values]
    wanted = known if block.sectors == ("*",) else list(block.sectors)
    unknown = [s for s in wanted if s not in known]
    if unknown:
        raise InputError(
            f"block '{block.name}' names sectors that its prior does not have: {', '.join(unknown)}",
            expected=", ".join(known),
            found=", ".join(wanted),
        )
    chosen = flux.sel(sector=wanted)
    total = chosen["flux"].sum("sector", keep_attrs=True).expand_dims(sector=["sum"])
    return flux.drop_vars(["flux", "sector"]).assign(flux=total)


def _on_grid(block: FluxBlock, flux: xr.Dataset, grid: Grid) -> xr.Dataset:
    if not grid.same_as(grid_of(flux)):
        raise GridError(
            f"the prior of block '{block.name}' is on another grid than the footprints",
            expected=grid.describe(),
            found=grid_of(flux).describe(),
            remedy="cut or regrid the inventory to the footprints' grid",
        )
    return flux


def _step_means(block: FluxBlock, flux: xr.Dataset, steps: np.ndarray) -> np.ndarray:
    """Mean flux in each step (p, n_cells); a flux of one time is constant, whatever its year.

    Raises
    ------
    InputError
        When a flux of several times does not cover a step wholly.
    """
    values = flux["flux"].values[0].reshape(flux.sizes["time"], -1)
    if values.shape[0] == 1:
        return np.repeat(values, steps.shape[0], axis=0)
    bounds = flux["time_bnds"].values
    start = np.maximum(bounds[None, :, 0], steps[:, None, 0])
    end = np.minimum(bounds[None, :, 1], steps[:, None, 1])
    covered = np.maximum((end - start).astype("i8"), 0)
    total, length = covered.sum(axis=1), (steps[:, 1] - steps[:, 0]).astype("i8")
    lost = np.flatnonzero(total < length)
    if lost.size:
        first, hours = steps[lost[0]], (length - total)[lost[0]] / 3.6e12
        raise InputError(
            f"the prior of block '{block.name}' does not cover the time of the footprints",
            expected=f"{str(steps[0, 0])[:16]} … {str(steps[-1, 1])[:16]}",
            found=f"{str(bounds[0, 0])[:16]} … {str(bounds[-1, 1])[:16]}; {hours:g} hours are missing in "
            f"step {int(lost[0])} ({str(first[0])[:16]} … {str(first[1])[:16]}), and {lost.size - 1} other "
            "steps are not covered wholly",
            remedy="give a prior that begins as many hours earlier as the footprints reach back, or one of a "
            "single time, which is taken as constant",
        )
    return np.asarray(sp.csr_array(covered / total[:, None]) @ values)


def _of_one_size(mean: np.ndarray, steps: np.ndarray, epochs: Collection[Interval]) -> np.ndarray:
    """The prior mean (p, s) with every epoch at the size of the largest, cell by cell: what Q and R are of.

    The size of a cell in an epoch is its largest flux there.  An inventory that is small in one epoch must
    not say by that how well the epoch is known; what it says of a course within epochs is kept.
    """
    owner = np.searchsorted(np.array(sorted(e.end64 for e in epochs)), steps[:, 1])
    largest = np.take_along_axis(mean, np.abs(mean).argmax(axis=0)[None, :], axis=0)
    out = np.empty_like(mean)
    for part in (owner == k for k in np.unique(owner)):
        own = np.abs(mean[part]).max(axis=0)
        # where an epoch has nothing, it may have what another has
        shape = np.divide(mean[part], own, out=np.repeat(np.sign(largest), part.sum(), axis=0), where=own > 0)
        # no rounding where the epochs are equal
        out[part] = np.where(own == np.abs(largest), mean[part], shape * np.abs(largest))
    return out


def _ratio(reference: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """What to multiply the mean by, 1 where it is nothing."""
    return np.asarray(np.divide(reference, mean, out=np.ones_like(mean), where=mean != 0))


def _hours_resolved(footprints: xr.Dataset) -> int:
    """Hours back with an age of their own; older influence sees the hour before (0: its own hour)."""
    return 0 if is_time_integrated(footprints) else int(footprints["hours_back"].values.max()) + 1


def _hour_weights(block: FluxBlock, utc_offset_h: float) -> Callable[[xr.Dataset], np.ndarray]:
    """Factors of the local hour of the receptors."""

    def weights(part: xr.Dataset) -> np.ndarray:
        if not block.hour_factors:
            return np.ones(part.sizes["receptor"])
        local = part["time"].values + np.timedelta64(round(utc_offset_h * 3600), "s")
        hour = ((local - local.astype("datetime64[D]")) / np.timedelta64(3600, "s")).astype(int)
        return np.asarray(np.asarray(block.hour_factors)[hour])

    return weights


@dataclass(frozen=True, eq=False)
class Sight:
    """What the observations see, from footprints of receptors: averages of them, and columns over levels.

    Attributes
    ----------
    footprints
        By inlet.
    table : ObservationTable
        Before differences are taken.
    """

    footprints: Mapping[str, Footprints]
    table: ObservationTable

    @property
    def grid(self) -> Grid:
        return grid_of(levels_of(self.footprints[self.table.inlets[0]])[0])

    @property
    def reach_hours(self) -> float:
        """How far the footprints reach back [h]."""
        levels = [level for inlet in self.table.inlets for level in levels_of(self.footprints[inlet])]
        return float(max(_hours_resolved(level) for level in levels))

    def __call__(self, of_receptors: _Jacobian, weights: Callable[[xr.Dataset], np.ndarray]) -> sp.csr_array:
        """H (n, m), given what H is at some receptors of a dataset with so many resolved hours."""
        rows = []
        for inlet in self.table.inlets:
            parts = []
            for average, level in zip(
                self.table.averaging[inlet], levels_of(self.footprints[inlet]), strict=True
            ):
                used = np.unique(average.indices)
                part = select_receptors(level, used)
                operator = average[:, used] @ sp.diags_array(weights(part))
                parts.append(sp.csr_array(operator @ of_receptors(part, _hours_resolved(level))))
            rows.append(sum(parts[1:], start=parts[0]))
        return in_order(stacked(rows))


def in_order(matrix: sp.sparray) -> sp.csr_array:
    """As csr with ascending columns, and short indices where they suffice."""
    found = sp.csr_array(matrix)
    found.sort_indices()
    if max(found.nnz, found.shape[1]) >= 2**31:
        return found
    small = (found.data, found.indices.astype("i4"), found.indptr.astype("i4"))
    return sp.csr_array(small, shape=found.shape)


def _reaching(steps: np.ndarray, reach_hours: float) -> np.ndarray:
    """The time (p, 2) that each step stands for: the first of an epoch also for the hours seen before it."""
    wide = steps.copy()
    reach = np.timedelta64(round(reach_hours * 3600), "s")
    for k in range(steps.shape[0]):
        before = steps[k, 0] - reach
        wide[k, 0] = before if k == 0 else min(steps[k, 0], max(before, steps[k - 1, 1]))
    return wide


def _scaled(block: FluxBlock, flux: xr.Dataset, seen_in: np.ndarray) -> _Jacobian:
    """H of the scalings of `flux`: footprints times the flux of their own hour, summed within steps."""
    fine, step = _fine_steps(flux, seen_in)
    field = _step_means(block, flux, fine)
    n_cells = field.shape[1]
    width = 1 if block.resolution == "pattern" else n_cells
    cell = np.arange(field.size) % n_cells
    column = np.repeat(step, n_cells) * width + (cell if width > 1 else 0)
    onto = sp.csr_array(
        (field.ravel(), (np.arange(field.size), column)), shape=(field.size, seen_in.shape[0] * width)
    )

    def of_receptors(part: xr.Dataset, hours: int) -> sp.csr_array:
        try:
            return sp.csr_array(jacobian(part, fine, hours_resolved=hours) @ onto)
        except InputError as error:
            raise InputError(
                f"the prior of block '{block.name}' does not cover the time of the footprints: {error.what}",
                expected=f"a flux at every hour that is seen, within {error.expected}",
                found=error.found,
                remedy="give a prior that begins as many hours earlier as the footprints reach back",
            ) from None

    return of_receptors


def _fine_steps(flux: xr.Dataset, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps within which the flux does not change, (f, 2), and the step of the block each belongs to (f,).

    There is none where the flux has a gap.
    """
    if flux.sizes["time"] == 1:
        return steps, np.arange(steps.shape[0])
    bounds = flux["time_bnds"].values
    start = np.maximum(steps[:, None, 0], bounds[None, :, 0])
    end = np.minimum(steps[:, None, 1], bounds[None, :, 1])
    owner, field = np.nonzero(start < end)
    return np.stack([start[owner, field], end[owner, field]], axis=1), owner
