"""``cities/<id>.toml``: a city, its stations, data, inventories and regions, and how it is inverted."""

from __future__ import annotations

from math import hypot
from typing import Literal

from pydantic import Field, model_validator

from monitor import sectors
from monitor.config.base import (
    AdjustmentSection,
    Fraction,
    Identifier,
    Model,
    Moment,
    NonNegative,
    Positive,
    Ring,
    SpeciesId,
    refuse,
    ring_fault,
)
from monitor.domain import Interval, Region, Station
from monitor.errors import InputError


class CitySection(Model):
    """Who and what."""

    id: Identifier
    name: str = ""
    species: tuple[SpeciesId, ...] = Field(min_length=1)
    utc_offset_h: float = Field(0.0, ge=-14, le=14, description="local standard time minus UTC [h]")


class GridSection(Model):
    """The grid of the inversion: that of the footprints."""

    from_: Literal["footprints"] = Field("footprints", alias="from")


class StationSection(Model):
    """A measuring site."""

    id: Identifier
    name: str = ""
    lon_deg: float = Field(ge=-180, le=180)
    lat_deg: float = Field(ge=-90, le=90)
    inlets_m: tuple[Positive, ...] = Field(min_length=1, description="heights above ground [m]")
    uncertainty_ppm: NonNegative | None = Field(
        None, description="1σ of an hourly mean where the file gives none [µmol mol-1]"
    )

    def as_domain(self) -> Station:
        return Station(self.id, self.lon_deg, self.lat_deg, self.inlets_m, self.name)


class SourceSection(Model):
    """A stream of files. Which kind of data they hold is the reader's to say."""

    id: Identifier
    kind: Literal["folder"] = "folder"
    path: str = Field("", description="folder below --data")
    pattern: str = Field(description="file name pattern (glob)")
    reader: str
    species: SpeciesId | None = None
    station: str | None = None
    inlet_m: Positive | None = None
    scale: str | None = Field(None, description="calibration scale, where the file does not say")
    role: Literal["inversion", "background", "check"] = Field(
        "inversion", description="used in the inversion, as a remote baseline, or only shown beside it"
    )


class InventorySection(Model):
    """A gridded bottom-up inventory: one file, one or more sectors."""

    id: Identifier
    path: str = Field(description="file below --data")
    reader: str
    species: SpeciesId | None = None
    year: int | None = Field(None, ge=1970, le=2100)
    sector: str | None = None
    map: Identifier | None = Field(
        None, description="files of one map (its sectors, its years) share this name; the id if absent"
    )
    role: Literal["prior", "compare"] = Field(
        "prior", description="prior: a candidate prior field; compare: only compared with"
    )

    @property
    def map_id(self) -> str:
        return self.map or self.id


class TableSection(Model):
    """A city's own inventory as a table, held against the air row by row."""

    id: Identifier
    path: str = Field(description="file below --data")
    reader: str
    place: str = Field(description="name or code of the city in the table")
    region: str = Field(description="id of the `[[region]]` that the city is")
    relative_sd: Positive | None = Field(
        None, description="assigned 1σ of its amounts; that of `[ledger]` if absent"
    )
    in_prior: bool = Field(
        False,
        description="whether a candidate map was made from it, so that it is no second witness",
    )
    adjustments: tuple[str | AdjustmentSection, ...] = Field(
        (), description="declared differences of this table's rows, as a claim declares them"
    )


class RegionSection(Model):
    """A district: rings of [lon, lat] pairs [degrees], or "window" for the whole grid."""

    id: Identifier
    name: str = ""
    polygons: tuple[Ring, ...] = ()
    whole_grid: bool = False
    population: NonNegative | None = Field(
        None, description="people in the region; what they breathe out is in no inventory"
    )

    @model_validator(mode="after")
    def _one_of(self) -> RegionSection:
        if self.whole_grid == bool(self.polygons):
            raise ValueError("a region has either polygons or whole_grid = true")
        refuse(
            type(self).__name__,
            [
                (f"polygons.{number}", f"region '{self.id}' is no polygon: {fault}")
                for number, ring in enumerate(self.polygons)
                if (fault := ring_fault(ring))
            ],
        )
        return self

    def as_domain(self) -> Region:
        return Region(self.id, self.polygons, self.name)


class EpochSection(Model):
    """A period whose totals are asked for."""

    id: Identifier
    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _ordered(self) -> EpochSection:
        self.interval()
        return self

    def interval(self) -> Interval:
        return Interval.parse(self.start, self.end)


class SelectionSection(Model):
    """Which observations the inversion uses."""

    average: Literal["hourly", "daily"] = "hourly"
    local_hours: tuple[int, int] = Field((0, 24), description="[from, to) local standard time [h]")
    min_hours: int = Field(3, ge=1, description="hours a daily mean needs")

    @model_validator(mode="after")
    def _ordered(self) -> SelectionSection:
        if not 0 <= self.local_hours[0] < self.local_hours[1] <= 24:
            raise ValueError("local_hours must be 0 ≤ from < to ≤ 24")
        return self


class FluxBlockSection(Model):
    """A block of fluxes in the state vector."""

    name: Identifier
    species: SpeciesId
    sectors: tuple[str, ...] = Field(("*",), description='sectors of the inventories it sums; "*" is all')
    resolution: Literal["cells", "pattern"] = Field(
        "cells", description="a flux per cell, or one scaling of the whole field"
    )
    step_days: Positive | None = Field(None, description="length of a time step [d]; one per epoch if absent")
    relative_sd: Positive = Field(
        description="1σ of a cell (or of the scaling) relative to the reference field"
    )
    length_km: Positive = Field(10.0, description="e-folding length of the prior correlation [km]")
    time_days: Positive = Field(30.0, description="e-folding time of the prior correlation [d]")
    hour_factors: tuple[NonNegative, ...] = Field(
        (), description="24 factors of the local hour, mean 1; absent: constant or as in the file"
    )
    hour_factors_sd: Positive | None = Field(
        None,
        description="1σ of a day's total carried from the hours used by the factors, as a fraction of it;"
        " a level that rests on some hours needs it",
    )
    length_log_sd: NonNegative = Field(
        0.3, description="how far the data may move the length (1σ of its logarithm); 0 holds it fixed"
    )
    floor: NonNegative = Field(
        0.3, description="least 1σ of a cell, relative to relative_sd times the mean reference flux"
    )


class BackgroundSection(Model):
    """The inflow, part of the state: a constant and an AR(1) process."""

    per: Literal["network", "station"] = "network"
    sd_ppm: Positive = Field(description="1σ of the varying part [µmol mol-1]")
    correlation_hours: Positive = Field(48.0, description="e-folding time [h]")
    offset_sd_ppm: Positive = Field(description="1σ of the constant [µmol mol-1]")
    station_offset_sd_ppm: NonNegative = Field(0.0, description="1σ of a constant per station and epoch")
    by_side: bool = Field(
        False, description="a factor and a constant per inflow side (N, E, S, W by the wind), estimated"
    )
    baseline_quantile: Fraction = Field(
        0.2, description="quantile of the remote station taken as its baseline"
    )
    baseline_days: Positive = Field(10.0, description="width of the baseline's window [d]")


class MismatchSection(Model):
    """Model–data mismatch: named parts, standard deviations in µmol mol⁻¹."""

    instrument_floor_ppm: NonNegative = 0.0
    representation_ppm: Positive = Field(description="independent, every observation")
    least_fraction: Positive = Field(
        0.3,
        description="least transport error: that at this fraction of the mean reference enhancement",
    )
    correlation_hours: Positive = 6.0
    transport_fraction: Positive = Field(0.3, description="of the reference enhancement, correlated in time")
    common_fraction: NonNegative = Field(
        0.0, description="transport error that all stations share at a time, of the reference enhancement"
    )
    variability_factor: Positive | None = Field(
        None, description="error proportional to the spread within the hour, correlated in time"
    )
    by_hour: bool = Field(False, description="a factor per three-hour class of the day, estimated")


class InversionSection(Model):
    """The assumptions of one gas."""

    species: SpeciesId
    background: BackgroundSection
    mismatch: MismatchSection
    reference: tuple[str, ...] = Field(
        (), description="inventories whose mean is the reference field; all if empty"
    )
    estimate_scales: bool = Field(True, description="fit the scales by marginal likelihood")
    transport_scale_sd: NonNegative = Field(
        0.09,
        description="1σ of a multiplicative transport error that the epochs share; the default is that of "
        "winds within ±15 %",
    )
    transport_correlations: tuple[Fraction, ...] = Field(
        (0.0, 0.3, 0.6, 0.9),
        min_length=1,
        description="correlations of that error between epochs that are tried, the least favourable counts; "
        "one where it is known",
    )
    transport_epoch_sd: NonNegative = Field(
        0.12,
        description="1σ of a multiplicative transport error that differs between epochs; the default is that "
        "of mixing heights within ±20 %",
    )

    @property
    def transport_sd(self) -> float:
        """1σ of both multiplicative transport errors together, for one time."""
        return hypot(self.transport_scale_sd, self.transport_epoch_sd)


class EnsembleSection(Model):
    """Choices that are varied by default; a verdict that flips says which flips it."""

    local_hours: tuple[tuple[int, int], ...] = ()
    leave_one_station_out: bool = True
    length_factors: tuple[Positive, ...] = Field(
        (0.5, 2.0), description="factors on the fluxes' correlation length"
    )
    mismatch_time_factors: tuple[Positive, ...] = Field(
        (0.5, 3.0), description="factors on the mismatch's time"
    )
    mismatch_scale_factors: tuple[Positive, ...] = Field(
        (0.7, 1.5), description="factors on the mismatch's scales"
    )
    background_time_factors: tuple[Positive, ...] = Field(
        (0.5, 2.0), description="factors on the inflow's time"
    )
    epoch_factors: tuple[Positive, ...] = Field(
        (),
        description="how much stronger the transport may be in the last epoch of a claim than in the first "
        "(a mixing height); where that is not in transport_epoch_sd already",
    )
    backgrounds: tuple[Literal["network", "station", "side"], ...] = Field(
        ("station",), description="what else may share one inflow process"
    )


class ScanSection(Model):
    """The search for sources beyond the inventory: those that it does not hold, or holds too small."""

    species: SpeciesId
    places: tuple[tuple[float, float], ...] = Field(
        (), description="[lon, lat]; every cell of the grid if empty"
    )
    bin_hours: Positive | None = Field(
        None, description="time bins that windows are made of [h]; 12, or 24 for means of days, if absent"
    )
    min_days: Positive = Field(0.5, description="shortest window [d], one bin at least")
    max_days: Positive = Field(28.0, description="longest window [d]")
    recurring: bool = Field(True, description="also look for sources of certain weekdays or hours of the day")
    source_days: Positive = Field(
        7.0, description="length of the source whose detectable strength is stated [d]"
    )
    false_alarm: Fraction = Field(0.05, description="family-wise probability of a false alarm")
    draws: int = Field(1000, ge=100, description="simulations of the null distribution")


class LedgerSectorSection(Model):
    """What is known of an inventory's sector beyond its name: its uncertainty, and what it holds."""

    sector: str = Field(description="name of the sector, as the inventory has it")
    relative_sd: Positive | None = Field(
        None, description="1σ of its total, relative, where the inventory states none; the default if absent"
    )
    scheme: sectors.Scheme = Field("gnfr", description="what `codes` are of")
    codes: tuple[str, ...] = Field(
        (),
        description="what it holds, for rows of a table to be held against it; if absent as its name says, "
        "where that is a code of GNFR or EDGAR",
    )

    @model_validator(mode="after")
    def _known(self) -> LedgerSectorSection:
        for code in self.codes:
            try:
                sectors.matching(code, self.scheme)
            except InputError as error:
                raise ValueError(f"sector '{self.sector}': {error.what} (known: {error.expected})") from None
            if sectors.is_part(code, self.scheme):
                raise ValueError(f"sector '{self.sector}': '{code}' is a part of a sector of {self.scheme}")
        return self


class LedgerTermSection(Model):
    """A flux that the air sees and the inventory does not count."""

    name: Identifier
    species: SpeciesId
    region: str
    value_t_a: float = Field(description="size [t of the gas per year]; 0 where there is none")
    sd_t_a: NonNegative = Field(description="1σ of it [t of the gas per year]")
    adds_only: bool = Field(True, description="whether it can only emit; false where it may also take up")
    written_in: str = Field("", description="where the number is from")


class LedgerSection(Model):
    """How the inventory and the air are held against each other (`monitor compare`)."""

    default_relative_sd: Positive = Field(
        0.2,
        description="assigned 1σ of a sector's total where neither the inventory nor a table below has one",
    )
    between_sectors: Fraction = Field(
        1.0,
        description="correlation of the assigned errors of two sectors: 1 adds their σ, 0 their variances",
    )
    adjustments: tuple[str | AdjustmentSection, ...] = Field(
        (), description='declared differences ("year", "hours"), carried to every row'
    )
    sector: tuple[LedgerSectorSection, ...] = ()
    term: tuple[LedgerTermSection, ...] = ()


class DesignSection(Model):
    """What `monitor design` assumes; the weather is that of sites without footprint files."""

    wind_speed_m_s: Positive = Field(4.0, description="median wind [m s-1]")
    wind_log_sd: NonNegative = Field(0.4, description="1σ of its logarithm")
    prevailing_deg: float = Field(
        225.0, ge=0, le=360, description="where the wind mostly comes from [degrees from north]"
    )
    prevailing_strength: NonNegative = Field(
        0.5, description="0: all directions alike; 1: nine hours in ten from that half of the compass"
    )
    boundary_layer_m: Positive = Field(1000.0, description="depth of the mixed air [m]")
    stability_class: int = Field(4, ge=1, le=6, description="Pasquill class, 1 is A and 6 is F")
    memory_hours: Positive = Field(24.0, description="e-folding time of the wind [h]")
    changes: tuple[Fraction, ...] = Field((0.1, 0.25), description="changes whose years are stated")
    trends: tuple[Fraction, ...] = Field((0.02, 0.05), description="slopes per year whose years are stated")


class CityConfig(Model):
    """A whole city file."""

    schema_version: Literal[1]
    city: CitySection
    grid: GridSection = GridSection(**{"from": "footprints"})
    station: tuple[StationSection, ...] = Field(min_length=1)
    source: tuple[SourceSection, ...] = ()
    inventory: tuple[InventorySection, ...] = Field(min_length=1)
    table: tuple[TableSection, ...] = ()
    region: tuple[RegionSection, ...] = ()
    epoch: tuple[EpochSection, ...] = ()
    selection: SelectionSection = SelectionSection()
    block: tuple[FluxBlockSection, ...] = Field(min_length=1)
    inversion: tuple[InversionSection, ...] = Field(min_length=1)
    ensemble: EnsembleSection = EnsembleSection()
    scan: tuple[ScanSection, ...] = ()
    ledger: LedgerSection = LedgerSection()
    design: DesignSection = DesignSection()

    @model_validator(mode="after")
    def _consistent(self) -> CityConfig:
        faults = [
            f"{label}: id '{name}' appears twice"
            for label, names in (
                ("station", [s.id for s in self.station]),
                ("source", [s.id for s in self.source]),
                ("inventory", [i.id for i in self.inventory]),
                ("table", [t.id for t in self.table]),
                ("region", [r.id for r in self.region]),
                ("epoch", [e.id for e in self.epoch]),
                ("inversion", [str(i.species) for i in self.inversion]),
            )
            for name in sorted({n for n in names if names.count(n) > 1})
        ]
        stations = {s.id for s in self.station}
        faults += [
            f"source '{s.id}': station '{s.station}' is not declared (known: {', '.join(sorted(stations))})"
            for s in self.source
            if s.station is not None and s.station not in stations
        ]
        modelled = {i.species for i in self.inversion}
        faults += [
            f"city.species: '{s}' has no [[inversion]]" for s in self.city.species if s not in modelled
        ]
        faults += [
            f"block '{b.name}': hour_factors needs 24 values, found {len(b.hour_factors)}"
            for b in self.block
            if len(b.hour_factors) not in (0, 24)
        ]
        faults += [
            f"block '{b.name}': hour_factors_sd is of hour_factors, which it has not"
            for b in self.block
            if b.hour_factors_sd is not None and not b.hour_factors
        ]
        regions = {r.id for r in self.region}
        faults += [
            f"ledger.term '{t.name}': no region '{t.region}' (known: {', '.join(sorted(regions))})"
            for t in self.ledger.term
            if t.region not in regions
        ]
        faults += [
            f"table '{t.id}': no region '{t.region}' (known: {', '.join(sorted(regions))})"
            for t in self.table
            if t.region not in regions
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def station_named(self, station_id: str) -> StationSection:
        return next(s for s in self.station if s.id == station_id)

    def inversion_of(self, species: str) -> InversionSection:
        return next(i for i in self.inversion if i.species == species)

    def epochs_within(self, interval: Interval) -> dict[str, Interval]:
        """The declared epochs inside `interval`; without any declared, the interval itself."""
        if not self.epoch:
            return {"all": interval}
        return {e.id: e.interval() for e in self.epoch if interval.contains(e.interval())}
