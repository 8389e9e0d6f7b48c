"""A look at the place of a claimed source: all that its cell emits, or what it emits beyond the inventory.

A strength that is claimed is the whole source.  The residual is what is left of the inventory, so what the
prior has the cell emit is put back within the window: with p its enhancement there, ŝ = hᵀP(r + p)/hᵀPh.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor import units
from monitor.compare.limits import upper_limits
from monitor.compare.sources import Hit, Search
from monitor.compare.windows import Windows
from monitor.config import ClaimSection, ScanSection
from monitor.domain import Interval, iso_z
from monitor.inversion.posterior import Posterior
from monitor.inversion.problem import InverseProblem
from monitor.inversion.state import StateBlock, overlap_share
from monitor.service.search import Scope, nearest_cell, scope_at

_CLAIM = {"bin_hours": 24.0, "min_days": 3.0, "max_days": 28.0, "recurring": False}


@dataclass(frozen=True, eq=False)
class SourceLook:
    """What was seen at one cell.

    Attributes
    ----------
    scope : Scope
        Of this cell alone.
    held : (n,)
        Enhancement of what the inventory holds in the cell, where that is a part of the source; else 0.
    residual : (n,)
        Y − H x_a − b_a.
    scale_sd, level : float
        Error that multiplies the source (1σ), and level of interval and limit.
    """

    scope: Scope
    search: Search
    held: np.ndarray
    residual: np.ndarray
    scale_sd: float
    level: float
    hit: Hit

    def whole(self, window: int) -> np.ndarray:
        """The residual (n,) with what the inventory holds in the cell put back within a window."""
        return with_held(self.search, self.residual, self.held, window)

    @property
    def limits(self) -> np.ndarray:
        """Strength that a source in each window stays below (w,)."""
        return upper_limits(self.hit, self.scale_sd, self.level)

    @property
    def weakest(self) -> int:
        """The window that leaves room for the strongest source."""
        return int(np.argmax(self.limits))

    def interval(self, window: int) -> Interval:
        """When a window begins and ends."""
        first, last = self.search.windows.spans[window]
        return Interval.parse(iso_z(self.scope.bins.start[first]), iso_z(self.scope.bins.end[last - 1]))

    def among(self, keep: np.ndarray) -> SourceLook:
        """The same by the observations `keep` (indices) alone; nothing is simulated anew, p is 1."""
        search, held, residual = self.search.among(keep), self.held[keep], self.residual[keep]
        hit = hit_of(search, residual, held)
        return replace(self, search=search, held=held, residual=residual, hit=hit)


def with_held(search: Search, residual: np.ndarray, held: np.ndarray, window: int) -> np.ndarray:
    """A residual (n,) with an enhancement (n,) put back within a window."""
    return np.asarray(residual + np.where(search.windows.inside[window][search.candidates.bin], held, 0.0))


def hit_of(search: Search, residual: np.ndarray, held: np.ndarray) -> Hit:
    """What is seen, what the inventory holds in the cell included.

    In the one window that is named, all that the cell emits counts as seen.  Of many windows one must stand
    out from the inventory, which goes on in the others; what the inventory holds is added to the strength.
    """
    if search.windows.count == 1:
        return search.look(with_held(search, residual, held, 0))
    return search.look(residual).raised(search.shown(held))


def look_at(
    scope: Scope, search: Search, posterior: Posterior, held: np.ndarray, *, scale_sd: float, level: float
) -> SourceLook:
    """A look by a search that is prepared for the one cell of the scope."""
    residual = posterior.problem.residual
    hit = hit_of(search, residual, held)
    return SourceLook(scope, search, held, residual, scale_sd, level, hit)


def cell_of(claim: ClaimSection, posterior: Posterior) -> int:
    """The cell that a claim's place lies in."""
    return nearest_cell(posterior, float(claim.lon_deg or 0.0), float(claim.lat_deg or 0.0), claim.id)


def scope_of_claim(claim: ClaimSection, posterior: Posterior) -> Scope:
    """Its cell, and all runs of days that a source without dates may fill."""
    section = ScanSection.model_validate(_CLAIM | {"species": claim.species})
    return scope_at(section, posterior, np.array([cell_of(claim, posterior)]))


def within(scope: Scope, period: Interval) -> Scope:
    """The scope of the one window that a period is."""
    inside = (scope.bins.start < period.end64) & (scope.bins.end > period.start64)
    first, last = np.flatnonzero(inside)[[0, -1]]
    windows = Windows.of_runs(scope.bins.size, np.array([[first, last + 1]]))
    return replace(scope, candidates=replace(scope.candidates, windows=windows))


# --- what the inventory holds ---------------------------------------------------------------------------


def strength_held(problem: InverseProblem, cell: int, interval: Interval) -> float:
    """What the prior has a cell emit, averaged over an interval, of all blocks [kg h⁻¹].

    What a block takes up is no source, and is not counted.
    """
    flux = sum(float(overlap_share(b.steps, interval) @ _emitted(b, cell)) for b in problem.blocks)
    area = float(problem.grid.cell_area_m2().ravel()[cell])
    return flux * area * units.kilograms_per_hour(problem.species)


def enhancement_held(problem: InverseProblem, cell: int) -> np.ndarray:
    """H x_a (n,) of the same: of one cell, where it emits."""
    return np.asarray(np.sum([_enhancement(b, cell, problem) for b in problem.blocks], axis=0))


def _emitted(block: StateBlock, cell: int) -> np.ndarray:
    """Prior flux of a cell by step (p,), where it is above zero [µmol m⁻² s⁻¹]."""
    factor = block.prior[:, 0 if block.is_pattern else cell]
    flux = factor if block.fields is None else factor * block.fields[:, cell]
    return np.asarray(np.maximum(flux, 0.0))


def _enhancement(block: StateBlock, cell: int, problem: InverseProblem) -> np.ndarray:
    flux = _emitted(block, cell)
    if not block.is_pattern:
        columns = block.jacobian.tocsc()[:, cell :: block.shape[1]]
        return np.asarray(columns @ np.where(flux > 0, block.prior[:, cell], 0.0))
    # a factor on the whole field does not tell the cells apart: the footprint of the cell does, with the flux
    # of the step in which the air was seen
    cells = next(b for b in problem.blocks if b.fields is None)
    seen = cells.jacobian.tocsc()[:, cell :: cells.shape[1]].sum(axis=1)
    at = np.searchsorted(block.steps[:, 0], problem.table.start, side="right") - 1
    return np.asarray(np.ravel(seen) * flux[np.maximum(at, 0)])
