"""The configuration: TOML files, read here and nowhere else.

A city is one file ``cities/<id>.toml``; its claims are ``claims/<id>.toml`` beside it; the service as
a whole is ``monitor.toml``.  Every field says its unit in its name or description; unknown keys are
errors; all errors of a file are reported at once, each with its key.  Secrets never stand here.
"""

from __future__ import annotations

import json
import tomllib
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from monitor.domain import Interval, Region, Station
from monitor.errors import ConfigError

SpeciesId = Literal["co2", "ch4", "co"]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


def _as_text(value: object) -> object:
    return value.isoformat() if isinstance(value, date | datetime) else value


Moment = Annotated[str, BeforeValidator(_as_text)]


class Model(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class RegionSection(Model):
    """A district: rings of [lon, lat] pairs [degrees], or "window" for the whole grid."""

    id: Identifier
    name: str = ""
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    whole_grid: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> RegionSection:
        if self.whole_grid == bool(self.polygons):
            raise ValueError("a region has either polygons or whole_grid = true")
        if any(len(ring) < 3 for ring in self.polygons):
            raise ValueError("a polygon needs at least three [lon, lat] corners")
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
        0.0, description="1σ of a multiplicative transport error common to all epochs (cancels in ratios)"
    )
    transport_epoch_sd: NonNegative = Field(
        0.0, description="1σ of a multiplicative transport error that differs between epochs"
    )


class EnsembleSection(Model):
    """Choices that are varied by default; a verdict that flips says which flips it."""

    local_hours: tuple[tuple[int, int], ...] = ()
    leave_one_station_out: bool = True
    length_factors: tuple[Positive, ...] = Field((), description="factors on the fluxes' correlation length")
    mismatch_time_factors: tuple[Positive, ...] = Field((), description="factors on the mismatch's time")
    background_time_factors: tuple[Positive, ...] = Field((), description="factors on the inflow's time")


class ScanSection(Model):
    """The search for sources that are in no inventory."""

    species: SpeciesId
    places: tuple[tuple[float, float], ...] = Field(
        (), description="[lon, lat]; every cell of the grid if empty"
    )
    min_days: int = Field(3, ge=1)
    max_days: int = Field(28, ge=1)
    false_alarm: Fraction = Field(0.05, description="family-wise probability of a false alarm")
    draws: int = Field(500, ge=100, description="simulations of the null distribution")


class CityConfig(Model):
    """A whole city file."""

    schema_version: Literal[1]
    city: CitySection
    grid: GridSection = GridSection(**{"from": "footprints"})
    station: tuple[StationSection, ...] = Field(min_length=1)
    source: tuple[SourceSection, ...] = Field(min_length=1)
    inventory: tuple[InventorySection, ...] = Field(min_length=1)
    region: tuple[RegionSection, ...] = ()
    epoch: tuple[EpochSection, ...] = ()
    selection: SelectionSection = SelectionSection()
    block: tuple[FluxBlockSection, ...] = Field(min_length=1)
    inversion: tuple[InversionSection, ...] = Field(min_length=1)
    ensemble: EnsembleSection = EnsembleSection()
    scan: tuple[ScanSection, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> CityConfig:
        faults = [
            f"{label}: id '{name}' appears twice"
            for label, names in (
                ("station", [s.id for s in self.station]),
                ("source", [s.id for s in self.source]),
                ("inventory", [i.id for i in self.inventory]),
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


class ClaimSection(Model):
    """A statement about emissions that the air is asked to judge."""

    id: Identifier
    kind: Literal["level", "change", "source"]
    statement: str
    region: str | None = None
    species: SpeciesId
    sectors: tuple[str, ...] = ("*",)
    scope: Literal["territorial", "scope-1", "scope-1-2", "consumption"] = "territorial"
    period: tuple[Moment, Moment] | None = None
    epochs: tuple[str, str] | None = Field(None, description="change: [from, to]")
    value: float | None = Field(
        None, description="level: a total; change: signed fraction, -0.25 is a 25 % cut"
    )
    unit: str | None = None
    reading: Literal["at least", "equal"] = "at least"
    tolerance: Positive | None = Field(None, description="level, equal: half-width relative to the value")
    margin: Positive | None = Field(
        None, description="change: smallest cut that counts; half the claim if absent"
    )
    lon_deg: float | None = None
    lat_deg: float | None = None
    evaluate_on: tuple[Moment, ...] = ()
    claimed_by: str = ""
    where: str = Field("", description='where it is written; "inventory <id>" ties it to that map')
    region_area_km2: Positive | None = Field(None, description="area the claimed number is about [km2]")
    includes_biogenic: bool = False
    basis: Literal["gas", "carbon"] = "gas"
    adjustments: tuple[str, ...] = Field((), description="declared differences, carried to the page")

    @model_validator(mode="after")
    def _complete(self) -> ClaimSection:
        needs = {
            "level": ("region", "value", "unit", "period"),
            "change": ("region", "value", "epochs"),
            "source": ("lon_deg", "lat_deg"),
        }[self.kind]
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"claim '{self.id}' of kind '{self.kind}' needs {', '.join(missing)}")
        if self.kind == "change" and self.value is not None:
            if self.value == 0 or abs(self.value) >= 1:
                raise ValueError(f"claim '{self.id}': a change is a signed fraction between -1 and 1, not 0")
            if self.margin is not None and self.margin > abs(self.value):
                raise ValueError(f"claim '{self.id}': margin {self.margin} is larger than the claim itself")
        return self


class ClaimsConfig(Model):
    """A whole claims file."""

    schema_version: Literal[1]
    claim: tuple[ClaimSection, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> ClaimsConfig:
        ids = [c.id for c in self.claim]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"claim ids appear twice: {', '.join(twice)}")
        return self


class ServiceConfig(Model):
    """``monitor.toml``: the service as a whole. Relative paths are relative to this file."""

    schema_version: Literal[1]
    cities: tuple[str, ...] = Field(min_length=1, description="city files")
    data: str = Field(description="folder below which the sources lie")
    workdir: str = Field(description="archive, reports, ledger")
    every_minutes: Positive = Field(60.0, description="a tick of the clock [min]")
    interval_days: Positive = Field(1.0, description="length of a scheduled interval [d]")
    first_interval: Moment = Field(description="beginning of the first scheduled interval")
    window_days: Positive | None = Field(
        None, description="data used to answer for an interval, back from its end [d]; the interval if absent"
    )
    latency_hours: NonNegative = Field(24.0, description="wait after an interval's end before it is due [h]")
    step_timeout_s: Positive = 1800.0
    step_memory_mib: Positive = 8192.0


M = TypeVar("M", bound=BaseModel)


def load_city(path: Path) -> CityConfig:
    """Read and check a city file; `ConfigError` lists every fault."""
    return _load(path, CityConfig)


def load_claims(path: Path) -> ClaimsConfig:
    """Read and check a claims file; `ConfigError` lists every fault."""
    return _load(path, ClaimsConfig)


def load_service(path: Path) -> ServiceConfig:
    """Read and check ``monitor.toml``; `ConfigError` lists every fault."""
    return _load(path, ServiceConfig)


def claims_path(city_path: Path) -> Path:
    """Where the claims of ``…/cities/<id>.toml`` stand: ``…/claims/<id>.toml``."""
    return city_path.parent.parent / "claims" / city_path.name


def _load(path: Path, model: type[M]) -> M:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            "the configuration file is not there",
            found=str(path),
            remedy="check the path, or run `monitor init`",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("the file is not TOML", found=str(error), where=str(path)) from error
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_fault(item) for item in error.errors()]
        raise ConfigError(
            f"{len(lines)} fault{'s' if len(lines) > 1 else ''} in the configuration: " + " | ".join(lines),
            where=str(path),
            remedy="correct each key; `monitor config schema` prints what is allowed",
        ) from error


def _fault(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    shown = f" (found {item['input']!r})" if not isinstance(item["input"], dict | list) else ""
    return f"{key}: {item['msg']}{shown}"


def config_digest(*models: BaseModel) -> str:
    """SHA-256 of the configuration's meaning: key order and comments do not matter."""
    text = json.dumps([m.model_dump(mode="json", by_alias=True) for m in models], sort_keys=True)
    return sha256(text.encode()).hexdigest()
