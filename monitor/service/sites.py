"""The sites of a network that may not stand yet: who they are, what air they see, and no observation.

Observations are stand-ins with a time, a place and an error: variances need no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from monitor.config import (
    CandidatesConfig,
    CityConfig,
    DesignSection,
    EpochSection,
    SourceSection,
    StationSection,
)
from monitor.contracts import Flag, ObservationColumns, grid_of, observations_dataset
from monitor.domain import Grid, Interval
from monitor.errors import GridError, InputError, MissingInputError, UsageError
from monitor.ingest import list_files
from monitor.plugins import ReadContext, get_reader
from monitor.service import months as calendar
from monitor.service.case import Case, CityData, build_case
from monitor.transport.climatology import Climatology, declared_weather
from monitor.transport.plume import plume_footprints

_HOUR = np.timedelta64(3600, "s").astype("timedelta64[ns]")
#: Room around regions and sites when the grid is cut out of an inventory, as a part of their extent.
_MARGIN = 0.25
#: Cells of the grid above which a design is refused.
_MOST_CELLS = 15_000
_MET = ("wind_speed", "wind_direction", "boundary_layer_height")


@dataclass(frozen=True)
class Site:
    """One inlet that measures, or might."""

    station: StationSection
    inlet_m: float
    is_candidate: bool

    @property
    def name(self) -> str:
        """As inlets are called in the inversion."""
        return f"{self.station.id}-{self.inlet_m:g}m"


@dataclass(frozen=True, eq=False)
class Proposal:
    """A network and its candidates, ready to be looked at before any data.

    Attributes
    ----------
    sites
        Those that stand first, then the candidates.
    transport : mapping of site -> how its footprints were made
    """

    case: Case
    sites: tuple[Site, ...]
    transport: Mapping[str, str]

    @property
    def standing(self) -> tuple[Site, ...]:
        return tuple(s for s in self.sites if not s.is_candidate)

    @property
    def candidates(self) -> tuple[Site, ...]:
        return tuple(s for s in self.sites if s.is_candidate)


def propose(
    city: CityConfig,
    candidates: CandidatesConfig | None,
    species: str,
    epochs: Mapping[str, Interval],
    data_root: Path,
) -> Proposal:
    """Footprints of all sites, from files below `data_root` or of a plume, and stand-ins for observations.

    Raises
    ------
    UsageError
        When there is no site at all, or two have one name.
    MissingInputError, InputError
        When no inventory gives a map, or files do not fit together.
    """
    sites = _sites(city, candidates, species)
    maps = _inventories(city, species, data_root)
    filed = _filed_footprints(city, sites, epochs, data_root)
    grid = grid_of(next(iter(filed.values()))) if filed else _cut_grid(city, sites, maps)
    transport, footprints = _footprints(city, sites, filed, grid, epochs)
    made = city.model_copy(
        update={
            "station": tuple({s.station.id: s.station for s in sites}.values()),
            "source": tuple(x for s in sites for x in _sources(s)),
            "inventory": tuple(i for i in city.inventory if i.id in maps),
            "epoch": tuple(EpochSection(id=k, start=str(e.start), end=str(e.end)) for k, e in epochs.items()),
        }
    )
    observations = {f"{n}.seen": _stand_in(f, species) for n, f in footprints.items()}
    data = CityData(observations, {f"{n}.footprints": f for n, f in footprints.items()}, maps)
    whole = Interval(min(e.start for e in epochs.values()), max(e.end for e in epochs.values()))
    return Proposal(build_case(made, species, whole, data), sites, transport)


def _sites(city: CityConfig, candidates: CandidatesConfig | None, species: str) -> tuple[Site, ...]:
    """The inlets whose series the inversion uses; of a station without any source its highest one."""
    series = [s for s in city.source if get_reader(s.reader).kind == "observations"]
    inlets: dict[tuple[str, float], None] = {}
    for source in series:
        if source.role == "inversion" and source.species in (None, species) and source.station:
            heights = city.station_named(source.station).inlets_m
            inlets[source.station, source.inlet_m or max(heights)] = None
    with_source = {s.station for s in city.source}
    for station in city.station:
        if station.id not in with_source:
            inlets[station.id, max(station.inlets_m)] = None
    sites = [Site(city.station_named(name), inlet, False) for name, inlet in inlets]
    for c in candidates.candidate if candidates else ():
        station = StationSection(
            id=c.id,
            name=c.name,
            lon_deg=c.lon_deg,
            lat_deg=c.lat_deg,
            inlets_m=(c.inlet_m,),
            uncertainty_ppm=c.uncertainty_ppm,
        )
        sites.append(Site(station, c.inlet_m, True))
    ids = [s.station.id for s in sites if s.is_candidate]
    twice = sorted(set(ids) & {s.id for s in city.station})
    if twice or not sites:
        raise UsageError(
            f"candidate '{twice[0]}' stands already" if twice else "there is no site to look at",
            expected="ids that no [[station]] has" if twice else "a [[station]] or a candidate",
            remedy="rename the candidate" if twice else "state candidates",
        )
    return tuple(sites)


def _sources(site: Site) -> tuple[SourceSection, SourceSection]:
    common = {"station": site.station.id, "inlet_m": site.inlet_m, "pattern": "*"}
    seen = SourceSection(id=f"{site.name}.seen", reader="openghg-obs", **common)
    return seen, SourceSection(id=f"{site.name}.footprints", reader="name-footprint", **common)


def _inventories(city: CityConfig, species: str, data_root: Path) -> dict[str, xr.Dataset]:
    only = city.city.species[0] if len(city.city.species) == 1 else None
    found = {}
    for section in city.inventory:
        if section.role != "prior" or (section.species or only) != species:
            continue
        path = data_root / section.path
        if not path.is_file():
            raise MissingInputError(
                f"inventory '{section.id}' is not there",
                expected=f"the file '{section.path}' below the data folder",
                found="no such file",
                where=str(path),
                remedy="footprints may be missing, a map of where emissions may be not",
            )
        context = ReadContext(species=section.species or only, year=section.year, sector=section.sector)
        found[section.id] = get_reader(section.reader).read(path, context)
    return found


def _filed_footprints(
    city: CityConfig, sites: Sequence[Site], epochs: Mapping[str, Interval], data_root: Path
) -> dict[str, xr.Dataset]:
    """Footprints of the sites that stand, by name, from files; of those that have some in every epoch."""
    found = {}
    for source in city.source:
        reader, folder = get_reader(source.reader), data_root / source.path
        site = next((s for s in sites if _is_of(source, s)), None)
        if reader.kind != "footprints" or site is None or not folder.is_dir():
            continue
        context = ReadContext(station=site.station.as_domain(), inlet_m=source.inlet_m)
        parts = []
        for file in list_files(folder, source.pattern):
            read = reader.read(file.path, context)
            parts += [calendar.within(read, e) for e in epochs.values()]
        parts = [p for p in parts if p.sizes["receptor"]]
        if parts:
            joined = calendar.concatenated(sorted(parts, key=lambda p: p["time"].values[0]))
            joined.attrs = dict(parts[0].attrs)
            if all(calendar.within(joined, e).sizes["receptor"] for e in epochs.values()):
                found[site.name] = joined
    return found


def _is_of(source: SourceSection, site: Site) -> bool:
    return source.station == site.station.id and source.inlet_m in (None, site.inlet_m)


def _footprints(
    city: CityConfig,
    sites: Sequence[Site],
    filed: Mapping[str, xr.Dataset],
    grid: Grid,
    epochs: Mapping[str, Interval],
) -> tuple[dict[str, str], dict[str, xr.Dataset]]:
    """How the footprints of each site were made, and the footprints."""
    weather, origin = _weather(city, filed, epochs)
    transport: dict[str, str] = {}
    footprints: dict[str, xr.Dataset] = {}
    for site in sites:
        if site.name in filed:
            transport[site.name], footprints[site.name] = "files", filed[site.name]
            continue
        _ensure_on(site, grid)
        transport[site.name] = f"Gaussian plume, {origin}"
        station = site.station.as_domain()
        footprints[site.name] = plume_footprints(grid, station, site.inlet_m, weather, curves="urban")
    return transport, footprints


def _weather(
    city: CityConfig, filed: Mapping[str, xr.Dataset], epochs: Mapping[str, Interval]
) -> tuple[xr.Dataset, str]:
    """Hourly weather of sites without footprint files: that of a site with some, else the declared one."""
    for name, dataset in filed.items():
        if all(m in dataset for m in _MET):
            columns = {m: ("time", dataset[m].values) for m in _MET}
            columns["stability_class"] = (
                "time",
                np.full(dataset.sizes["receptor"], city.design.stability_class),
            )
            weather = xr.Dataset(columns, coords={"time": dataset["time"].values})
            known = np.all([np.isfinite(weather[m].values) for m in _MET], axis=0)
            return weather.isel(time=np.flatnonzero(known)), f"weather of {name}"
    local_hours, offset = city.selection.local_hours, np.timedelta64(round(city.city.utc_offset_h), "h")
    time = np.concatenate([np.arange(e.start64, e.end64, _HOUR) for e in sorted(epochs.values())])
    local = (time + offset - (time + offset).astype("datetime64[D]")) // _HOUR
    sampled = time[(local >= local_hours[0]) & (local < local_hours[1])]
    if not sampled.size:
        raise InputError("no hour of the epochs is sampled", found=f"local hours {local_hours}")
    return declared_weather(climate_of(city.design), sampled), "declared climatology"


def climate_of(section: DesignSection) -> Climatology:
    """The weather that the city file declares."""
    names = Climatology.__dataclass_fields__
    return Climatology(**{name: getattr(section, name) for name in names})


def _ensure_on(site: Site, grid: Grid) -> None:
    lon, lat = grid.lon_edges_deg, grid.lat_edges_deg
    if not (lon[0] <= site.station.lon_deg <= lon[-1] and lat[0] <= site.station.lat_deg <= lat[-1]):
        raise GridError(
            f"site '{site.station.id}' lies outside the grid",
            expected=grid.describe(),
            found=f"lon {site.station.lon_deg}, lat {site.station.lat_deg}",
            remedy="check the order of longitude and latitude",
        )


def _cut_grid(city: CityConfig, sites: Sequence[Site], maps: Mapping[str, xr.Dataset]) -> Grid:
    """The cells of the first inventory around the regions and the sites."""
    if not maps:
        raise MissingInputError("no inventory of this gas", expected="an [[inventory]] with role prior")
    whole = grid_of(next(iter(maps.values())))
    if any(r.whole_grid for r in city.region) or not city.region:
        cut = whole
    else:
        points = [p for r in city.region for ring in r.polygons for p in ring]
        points += [(s.station.lon_deg, s.station.lat_deg) for s in sites]
        lon, lat = np.array(points).T
        cut = Grid(_around(whole.lon_deg, lon), _around(whole.lat_deg, lat))
    if cut.shape[0] * cut.shape[1] > _MOST_CELLS:
        raise InputError(
            "the grid is too large for a design",
            expected=f"at most {_MOST_CELLS} cells",
            found=cut.describe(),
            remedy="state [[region]] polygons, or cut the inventory",
        )
    return cut


def _around(axis: np.ndarray, points: np.ndarray) -> np.ndarray:
    room = _MARGIN * float(np.ptp(points)) + float(axis[1] - axis[0])
    return np.asarray(axis[(axis >= points.min() - room) & (axis <= points.max() + room)])


def _stand_in(footprints: xr.Dataset, species: str) -> xr.Dataset:
    """An hourly value at every footprint: its number is of no matter, its error is the station's."""
    start = footprints["time"].values.astype("datetime64[ns]")
    columns = ObservationColumns(
        start=start,
        end=start + _HOUR,
        mole_fraction=np.zeros(start.size),
        flag=np.full(start.size, Flag.GOOD, dtype="i1"),
        uncertainty=np.full(start.size, np.nan),
    )
    attributes = {"species": species, "calibration_scale": "", "source_digest": ""}
    names = ("station", "inlet_height_m", "station_longitude_deg", "station_latitude_deg")
    return observations_dataset(columns, attributes | {n: footprints.attrs[n] for n in names})
