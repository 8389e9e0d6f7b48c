"""One gas of a city as an inverse problem: what the configuration says, applied to the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from monitor.config import CityConfig, FluxBlockSection, InversionSection, SourceSection
from monitor.contracts import ensure_flux, grid_of
from monitor.domain import Grid, Interval
from monitor.errors import GridError, MissingInputError
from monitor.ingest.averaging import hourly_mean
from monitor.inversion.assumptions import Assumptions, Background, Mismatch, Selection
from monitor.inversion.problem import InverseProblem
from monitor.inversion.state import Correlation, FluxBlock
from monitor.plugins import get_reader
from monitor.transport.background import remote_baseline

_CORRELATION = ("length_km", "time_days", "length_log_sd")


@dataclass(frozen=True)
class CityData:
    """What an analysis works on.

    Attributes
    ----------
    observations : source id (or "<source id>.<gas>") -> observations, flagged, not averaged
    footprints : source id -> footprints
    inventories : inventory id -> flux
    tables : table id -> rows of the city (`monitor.inventory`)
    """

    observations: Mapping[str, xr.Dataset]
    footprints: Mapping[str, xr.Dataset]
    inventories: Mapping[str, xr.Dataset]
    tables: Mapping[str, xr.Dataset] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Case:
    """The data of one gas, ready to be solved under any selection of hours.

    Attributes
    ----------
    maps : block name -> map id -> flux on the grid
    reference : block name -> flux
        The mean of the candidate maps: prior mean, and shape of all standard deviations.
    compared : block name -> map id -> flux on the grid
        Maps that are only compared with.
    scales : tuple of str
        Calibration scales of the observations and of the background, each once.
    """

    city: CityConfig
    species: str
    grid: Grid
    epochs: Mapping[str, Interval]
    observations: Mapping[str, xr.Dataset]
    footprints: Mapping[str, xr.Dataset]
    maps: Mapping[str, Mapping[str, xr.Dataset]]
    reference: Mapping[str, xr.Dataset]
    baseline: xr.DataArray | None
    warnings: tuple[str, ...]
    compared: Mapping[str, Mapping[str, xr.Dataset]]
    scales: tuple[str, ...]

    @property
    def inversion(self) -> InversionSection:
        return self.city.inversion_of(self.species)

    def problem(self, local_hours: tuple[int, int]) -> InverseProblem:
        """The problem for a selection of local hours."""
        return InverseProblem.from_datasets(
            self.observations,
            self.footprints,
            self.reference,
            epochs=self.epochs,
            assumptions=assumptions(self.city, self.species, local_hours),
            baseline=self.baseline,
        )


def assumptions(city: CityConfig, species: str, local_hours: tuple[int, int]) -> Assumptions:
    """The assumptions that the city file states for one gas."""
    section = city.inversion_of(species)
    background, mismatch = section.background, section.mismatch
    return Assumptions(
        state=tuple(_flux_block(b) for b in city.block if b.species == species),
        background=Background(
            **background.model_dump(exclude={"baseline_quantile", "baseline_days"}),
        ),
        mismatch=Mismatch(**mismatch.model_dump()),
        selection=Selection(
            average=city.selection.average,
            local_hours=local_hours,
            min_hours=min(city.selection.min_hours, local_hours[1] - local_hours[0]),
            utc_offset_h=city.city.utc_offset_h,
        ),
        estimate_scales=section.estimate_scales,
    )


def _flux_block(block: FluxBlockSection) -> FluxBlock:
    # the maps handed over hold the sectors of the block already, summed
    stated = block.model_dump(exclude={"species", "sectors", "hour_factors_sd"})
    correlation = Correlation(**{name: stated.pop(name) for name in _CORRELATION})
    return FluxBlock(**stated, correlation=correlation)


def build_case(city: CityConfig, species: str, interval: Interval, data: CityData) -> Case:
    """Everything of one gas, on one grid.

    Raises
    ------
    MissingInputError
        When there are no observations, footprints or maps for a block.
    GridError
        When grids cannot be reconciled.
    """
    series, footprints, baseline_source, warnings = _series(city, species, interval, data)
    grid = grid_of(next(iter(footprints.values())))
    maps = {b.name: _maps(city, b, data, grid) for b in city.block if b.species == species}
    section = city.inversion_of(species)
    # An interval of the schedule is rarely an epoch that a claim compares: it is then an epoch of its own.
    epochs = city.epochs_within(interval) or {"interval": interval}
    baseline = None
    if baseline_source is not None:
        background = section.background
        baseline = remote_baseline(baseline_source, background.baseline_quantile, background.baseline_days)
    return Case(
        city=city,
        species=species,
        grid=grid,
        epochs=epochs,
        observations=series,
        footprints=footprints,
        maps=maps,
        reference={name: _mean_map(found, section.reference) for name, found in maps.items()},
        baseline=baseline,
        warnings=tuple(warnings),
        compared={
            b.name: _grouped_maps(city, b, data, grid, "compare") for b in city.block if b.species == species
        },
        scales=tuple(sorted({_canonical(scale) for scale in scales_of(series, baseline_source).values()})),
    )


def _inlet(source: SourceSection) -> str:
    return f"{source.station}-{source.inlet_m:g}m" if source.inlet_m else str(source.station)


def _series(
    city: CityConfig, species: str, interval: Interval, data: CityData
) -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset], xr.Dataset | None, list[str]]:
    """Hourly series and footprints by inlet, the remote series, and warnings about scales."""
    series: dict[str, xr.Dataset] = {}
    footprints: dict[str, xr.Dataset] = {}
    background = None
    for source in city.source:
        if get_reader(source.reader).kind == "footprints":
            if source.id in data.footprints:
                footprints[_inlet(source)] = data.footprints[source.id]
            continue
        found = data.observations.get(source.id, data.observations.get(f"{source.id}.{species}"))
        if found is None or str(found.attrs["species"]) != species:
            continue
        if source.role == "background":
            background = found
        elif source.role == "inversion":
            series[_inlet(source)] = with_uncertainty(hourly_mean(found, interval), city, source)
    if not series:
        raise MissingInputError(f"no observations of {species} in {interval}", where=city.city.id)
    return series, footprints, background, _scale_warnings(series, background)


def with_uncertainty(observations: xr.Dataset, city: CityConfig, source: SourceSection) -> xr.Dataset:
    """The series with the station's declared 1σ where its file gives none."""
    declared = city.station_named(str(source.station)).uncertainty_ppm if source.station else None
    if declared is None:
        return observations
    known = observations["uncertainty"]
    return observations.assign(uncertainty=known.fillna(declared).assign_attrs(known.attrs))


def scales_of(series: Mapping[str, xr.Dataset], background: xr.Dataset | None) -> dict[str, str]:
    """The calibration scale of each inlet, and of the remote series."""
    scales = {name: str(s.attrs["calibration_scale"]) for name, s in series.items()}
    if background is not None:
        scales[f"background {background.attrs['station']}"] = str(background.attrs["calibration_scale"])
    return scales


def _scale_warnings(series: Mapping[str, xr.Dataset], background: xr.Dataset | None) -> list[str]:
    scales = scales_of(series, background)
    if len({_canonical(s) for s in scales.values()}) < 2:
        return []
    listed = ", ".join(f"{name}: {scale}" for name, scale in scales.items())
    return [f"Calibration scales differ ({listed}); the difference is left to the inflow's constant."]


def _canonical(scale: str) -> str:
    return "".join(c for c in scale.upper() if c.isalnum())


def _maps(city: CityConfig, block: FluxBlockSection, data: CityData, grid: Grid) -> dict[str, xr.Dataset]:
    """Candidate maps of a block: inventories of its gas that have one of its sectors."""
    found = _grouped_maps(city, block, data, grid, "prior")
    if not found:
        raise MissingInputError(
            f"no inventory has a sector of block '{block.name}'",
            expected=f"{block.species}: {', '.join(block.sectors)}",
            found=", ".join(i.id for i in city.inventory),
        )
    return found


def _grouped_maps(
    city: CityConfig, block: FluxBlockSection, data: CityData, grid: Grid, role: str
) -> dict[str, xr.Dataset]:
    """Inventories of one role by map id: those of the block's gas that have one of its sectors."""
    grouped: dict[str, list[xr.Dataset]] = {}
    for section in city.inventory:
        flux = data.inventories.get(section.id)
        if flux is None or section.role != role or str(flux.attrs["species"]) != block.species:
            continue
        sectors = [str(s) for s in flux["sector"].values]
        wanted = sectors if block.sectors == ("*",) else [s for s in sectors if s in block.sectors]
        if wanted:
            grouped.setdefault(section.map_id, []).append(on_grid(flux.sel(sector=wanted), grid))
    return {name: _joined(parts) for name, parts in grouped.items()}


def on_grid(flux: xr.Dataset, grid: Grid) -> xr.Dataset:
    """The flux on the cells of `grid`, which must be cells of its own; `GridError` otherwise."""
    ensure_flux(flux)
    theirs = grid_of(flux)
    if theirs.same_as(grid):
        return flux.assign_coords(lat=grid.lat_deg, lon=grid.lon_deg)
    rows = np.abs(theirs.lat_deg[:, None] - grid.lat_deg[None, :]).argmin(axis=0)
    columns = np.abs(theirs.lon_deg[:, None] - grid.lon_deg[None, :]).argmin(axis=0)
    cut = flux.isel(lat=rows, lon=columns)
    if (
        np.unique(rows).size < rows.size
        or np.unique(columns).size < columns.size
        or not grid_of(cut).same_as(grid)
    ):
        raise GridError(
            f"the cells of '{flux.attrs['title']}' are not those of the footprints",
            expected=grid.describe(),
            found=theirs.describe(),
            remedy="regrid the inventory conservatively to the footprints' grid",
        )
    return cut.assign_coords(lat=grid.lat_deg, lon=grid.lon_deg)


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """The files of one map as one dataset: years of a sector after each other, sectors side by side."""
    by_sector: dict[str, list[xr.Dataset]] = {}
    for part in parts:
        for sector in part["sector"].values:
            by_sector.setdefault(str(sector), []).append(part.sel(sector=[sector]))
    joined = [
        same[0]
        if len(same) == 1
        else xr.concat(same, "time", data_vars="minimal", coords="minimal", compat="override").sortby("time")
        for same in by_sector.values()
    ]
    if len(joined) == 1:
        return ensure_flux(joined[0])
    return ensure_flux(xr.concat(joined, "sector", data_vars="minimal", coords="minimal", compat="override"))


def _mean_map(maps: Mapping[str, xr.Dataset], chosen: tuple[str, ...]) -> xr.Dataset:
    """Mean of the candidate maps (those `chosen`, if any is named), sectors summed."""
    used = [m for name, m in maps.items() if name in chosen] or list(maps.values())
    first = used[0]
    total = sum(m["flux"].sum("sector").values for m in used) / len(used)
    field = xr.DataArray(
        np.asarray(total)[None], dims=("sector", "time", "lat", "lon"), attrs=first["flux"].attrs
    )
    return first.isel(sector=[0]).assign_coords(sector=["sum"]).assign(flux=field)
