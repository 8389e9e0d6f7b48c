"""What is asked of an inversion: totals of regions, and patterns whose strength has a flat prior."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as default

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import ensure_regions, grid_of
from monitor.domain import Grid, Interval
from monitor.errors import GridError, InputError


@dataclass(frozen=True, eq=False)
class Total:
    """A quantity Σ weight · flux of one block, averaged over an interval.

    `weight` (n_cells,) is area fraction × cell area × unit factor, so the total has the unit of the
    factor: `monitor.units.tonnes_per_year` gives t of the gas per year.  `region` and `epoch` say what it is
    the total of, where it has such names.
    """

    name: str
    block: str
    weight: np.ndarray
    interval: Interval
    region: str = ""
    epoch: str = ""


@dataclass(frozen=True, eq=False)
class FixedEffect:
    """A flux pattern [µmol m⁻² s⁻¹] in one block and interval whose strength has a flat prior.

    Attributes
    ----------
    adds : mapping of total's name -> value
        What the pattern adds to a total where that is not its weight times `field`: an emission known to
        lie inside a region counts there in full, although the region's edge cuts its cell.
    """

    name: str
    block: str
    field: np.ndarray
    interval: Interval
    adds: Mapping[str, float] = default(default_factory=dict)


def region_totals(
    regions: xr.Dataset, species: str, grid: Grid, blocks: Iterable[str], epochs: Mapping[str, Interval]
) -> list[Total]:
    """One total [t of the gas per year] per region, block and epoch, in that order."""
    area = grid.cell_area_m2().ravel() * units.tonnes_per_year(species)
    names = list(blocks)
    return [
        Total(f"{region} {block} {epoch}", block, weight, interval, str(region), epoch)
        for region in regions["region"].values
        for weight in [regions["fraction"].sel(region=region).values.ravel() * area]
        for block in names
        for epoch, interval in epochs.items()
    ]


def whole_grid(grid: Grid) -> xr.Dataset:
    """The region that is used where none is given: all cells."""
    return xr.Dataset(
        {"fraction": (("region", "lat", "lon"), np.ones((1, *grid.shape)), {"units": "1"})},
        coords={"region": ["all cells"], "lat": grid.lat_deg, "lon": grid.lon_deg},
    )


def ensure_regions_fit(regions: xr.Dataset, grid: Grid) -> xr.Dataset:
    """`regions` itself if it keeps its contract, lies on the grid, and every region has a name and a cell.

    Raises
    ------
    ContractError, GridError, InputError
    """
    ensure_regions(regions)
    if not grid.same_as(grid_of(regions)):
        raise GridError(
            "the regions are on another grid than the footprints",
            expected=grid.describe(),
            found=grid_of(regions).describe(),
            remedy="compute the area fractions on the footprints' grid",
        )
    if "region" not in regions.coords:
        raise InputError(
            "the regions have no names",
            expected="a coordinate 'region' with a name for each",
            found=f"{regions.sizes['region']} regions without",
            remedy='regions.assign_coords(region=["inner city", …])',
        )
    names = [str(name) for name in regions["region"].values]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or "" in names:
        raise InputError(
            "every region needs a name of its own",
            found=f"'{repeated[0]}' more than once" if repeated else f"no name at index {names.index('')}",
        )
    inside = regions["fraction"].values.reshape(len(names), -1).sum(axis=1)
    if (inside == 0).any():
        raise InputError(
            f"region '{names[int(np.argmin(inside))]}' has no cell on the grid",
            expected=grid.describe(),
            found=f"area fractions that are all zero at index {int(np.argmin(inside))}",
            remedy="check the order of longitude and latitude in its polygon, or leave it out",
        )
    return regions
