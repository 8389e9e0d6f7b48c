"""A whole synthetic city, written as the files a real one would have."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from monitor.domain import iso_z
from monitor.transport.plume import plume_footprints
from monitor.twin import air, configuration, emissions, formats, sensors, weather
from monitor.twin.geography import Geography, Site, make_geography
from monitor.twin.settings import TwinSettings
from monitor.units import level_unit, strength_unit

_PARTS = ("co2", "ch4", "biosphere", "inventories", "weather", "inflow", "transport", "festival", "sensors")


@dataclass(frozen=True)
class Truth:
    """What is so, kept to check answers with and nowhere in between.

    `totals` per gas, epoch and region [t a⁻¹], means over the epoch; `change` per region, signed fractions of
    fossil CO₂; `festival` position, times, strength [kg CH₄ h⁻¹]; `transport` the errors drawn.
    """

    seed: int
    totals: dict[str, dict[str, dict[str, float]]]
    units: dict[str, str]
    change: dict[str, float]
    festival: dict[str, object]
    transport: dict[str, object]

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True)
class _City:
    """Everything drawn for one seed."""

    settings: TwinSettings
    geography: Geography
    random: dict[str, np.random.Generator]
    gases: dict[str, emissions.Emissions]
    cycles: dict[str, dict[str, np.ndarray]]
    vegetation: np.ndarray
    epochs: dict[str, air.Epoch]
    error: weather.TransportError
    festival: air.Festival


def write_city(out: Path, seed: int, settings: TwinSettings | None = None) -> Truth:
    """Draw a city and write it below `out`.

    ``data/observations`` and ``data/footprints`` hold one file per station (and gas) and month,
    ``data/inventories`` the bottom-up maps, ``config/cities/twin.toml`` and ``config/claims/twin.toml`` the
    configuration, ``truth.json`` the truth.  The same seed and settings give the same city.

    The data are made by another transport than that of the footprints written: wind turned and scaled, other
    dispersion curves, a mixing height biased differently in each epoch, errors of the day and of the hour,
    and a multiplicative mismatch correlated over hours to a day.

    Parameters
    ----------
    out : Path
        Made if it is not there; files of the same names are replaced.
    seed : int
        Not negative.
    settings : TwinSettings, optional
        The demonstration's when absent.

    Returns
    -------
    Truth
        Also in ``truth.json``.
    """
    city = _draw(seed, settings or TwinSettings())
    for folder in (
        "data/observations",
        "data/footprints",
        "data/inventories",
        "config/cities",
        "config/claims",
    ):
        (out / folder).mkdir(parents=True, exist_ok=True)
    _write_inventories(out / "data" / "inventories", city)
    _write_stations(out / "data", city)
    for kind, text in (
        ("cities", configuration.city_toml(city.geography, city.settings)),
        ("claims", configuration.claims_toml(city.geography, city.settings)),
    ):
        (out / "config" / kind / "twin.toml").write_text(text, encoding="utf-8")
    truth = _truth(seed, city)
    (out / "truth.json").write_text(truth.as_json() + "\n", encoding="utf-8")
    return truth


def _draw(seed: int, settings: TwinSettings) -> _City:
    # A stream of random numbers for each part: a change to one leaves the others as they were.
    streams = np.random.SeedSequence(seed).spawn(len(_PARTS))
    random = {part: np.random.default_rng(s) for part, s in zip(_PARTS, streams, strict=True)}
    geography = make_geography(settings)
    error = weather.draw_transport_error(random["transport"], settings)
    epochs = {}
    for name in settings.starts:
        time = settings.hours(name)
        analysed = weather.analysed_weather(random["weather"], settings, name)
        true = weather.true_weather(random["transport"], analysed, error, name)
        epochs[name] = air.Epoch(name, time, settings.sampled(time), analysed, true)
    gases = {g: emissions.true_emissions(random[g], geography, settings, g) for g in emissions.SECTORS}
    sectors = [s for gas in emissions.SECTORS.values() for s in gas]
    return _City(
        settings=settings,
        geography=geography,
        random=random,
        gases=gases,
        cycles={s: emissions.true_cycle(random["co2"], settings, s) for s in sectors},
        vegetation=emissions.vegetation(random["biosphere"], geography),
        epochs=epochs,
        error=error,
        festival=air.draw_festival(random["festival"], geography, settings),
    )


def _write_inventories(folder: Path, city: _City) -> None:
    random, geography, settings = city.random["inventories"], city.geography, city.settings
    year = int(settings.base_start[:4])
    start = np.array([f"{year}-01-01"], dtype="datetime64[ns]")
    for gas, truth in city.gases.items():
        for sector, field in truth.fields["base"].items():
            flux = emissions.inventory_field(random, geography, field)[None]
            notes = {"species": gas, "source": sector, "title": f"Cadastre {year}, {sector}"}
            path = folder / configuration.cadastre_name(gas, sector, year)
            formats.write_openghg_flux(path, geography.grid, start, flux, notes)
    for sector, field in city.gases["co2"].fields["base"].items():
        flux = emissions.proxy_inventory(random, geography, field)
        path = folder / configuration.proxy_name("co2", sector, year)
        formats.write_edgar_flux(
            path, geography.grid, flux, "co2", f"Annual Mean Emissions of CO2 - {sector}"
        )
    scale = emissions.biosphere_scale(random)
    green = np.clip(city.vegetation + 0.12 * emissions.smooth_field(random, geography, 5.0), 0.05, 1.0)
    for epoch, first in settings.starts.items():
        times, cycle = emissions.inventory_biosphere(scale, settings, epoch)
        notes = {"species": "co2", "source": "biosphere", "title": f"Net ecosystem exchange {str(first)[:4]}"}
        path = folder / configuration.biosphere_name(int(str(first)[:4]))
        formats.write_openghg_flux(path, geography.grid, times, cycle[:, None, None] * green, notes)


def _write_stations(data: Path, city: _City) -> None:
    sites = city.geography.sites
    for epoch in city.epochs.values():
        place = np.array([_km_of(city, site) for site in sites])
        incoming = {g: weather.inflow(city.random["inflow"], epoch.time, g, place) for g in city.gases}
        for i, site in enumerate(sites):
            _write_footprints(data / "footprints", city, site, epoch)
            influence = air.true_footprints(city.geography, site, epoch)
            records = []
            for gas in configuration.gases_of(site):
                local = _local_air(city, influence, gas, epoch)
                day = air.whole_day(city.random["transport"], local, epoch, city.settings, gas)
                series = incoming[gas][i] + day
                records.append(sensors.observe(city.random["sensors"], site, gas, epoch.time, series))
            _write_records(data / "observations", site, records)


def _local_air(city: _City, influence: np.ndarray, gas: str, epoch: air.Epoch) -> np.ndarray:
    """What the city, its plants and its festival add at the sampled hours (sampled hour,) [ppm]."""
    added = air.local_enhancement(influence, city.gases[gas], city.cycles, epoch)
    hours = epoch.time[epoch.sampled]
    if gas == "co2":
        solar = epoch.true["solar"].values
        cycle = emissions.biosphere_cycle(epoch.time, solar, city.settings, (1.0, 1.0))[epoch.sampled]
        added += (influence * city.vegetation).sum(axis=(1, 2)) * cycle
    else:
        added += air.festival_enhancement(influence, city.geography, city.festival, hours)
    factor = air.mismatch_factor(city.random["transport"], epoch, city.error, city.settings)
    return np.asarray(added * factor)


def _km_of(city: _City, site: Site) -> tuple[float, float]:
    grid = city.geography.grid
    x = np.interp(site.station.lon_deg, grid.lon_deg, city.geography.x_km[0])
    return float(x), float(np.interp(site.station.lat_deg, grid.lat_deg, city.geography.y_km[:, 0]))


def _write_footprints(folder: Path, city: _City, site: Site, epoch: air.Epoch) -> None:
    hours = epoch.analysed.isel(time=epoch.sampled)
    for month, index in sensors.months_of(hours["time"].values):
        part = plume_footprints(
            city.geography.grid,
            site.station,
            site.station.inlets_m[0],
            hours.isel(time=index),
            curves=weather.ANALYSED_CURVES,
        )
        path = folder / configuration.footprint_name(site, month)
        formats.write_name_footprints(path, part, site.station)


def _write_records(folder: Path, site: Site, records: list[sensors.Record]) -> None:
    for month, index in sensors.months_of(records[0].time):
        parts = [sensors.part_of(record, index) for record in records]
        if site.kind == "gcwerks":
            formats.write_gcwerks(folder / configuration.observation_name(site, "", month), parts)
            continue
        for part in parts:
            path = folder / configuration.observation_name(site, part.gas, month)
            if site.kind == "icos":
                formats.write_icos(path, site.station, part)
            else:
                formats.write_openghg_observations(path, site.station, part)


def _truth(seed: int, city: _City) -> Truth:
    geography, festival, error = city.geography, city.festival, city.error
    totals = {
        gas: {
            epoch: {
                region.id: emissions.region_total(truth.total(epoch), geography, region.id, gas)
                for region in geography.regions
            }
            for epoch in city.epochs
        }
        for gas, truth in city.gases.items()
    }
    co2 = totals["co2"]
    return Truth(
        seed=seed,
        totals=totals,
        units={gas: level_unit(gas) for gas in totals},
        change={r: co2["target"][r] / co2["base"][r] - 1.0 for r in co2["base"]},
        festival={
            "lon": festival.lon_deg,
            "lat": festival.lat_deg,
            "start": iso_z(festival.interval.start),
            "end": iso_z(festival.interval.end),
            "strength": festival.kg_h,
            "unit": strength_unit("ch4"),
        },
        transport=asdict(error),
    )
