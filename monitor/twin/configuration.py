"""The city and claims files of a synthetic city, as an operator would write them: no word of the truth."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from monitor.domain import Region
from monitor.twin.emissions import SECTORS, hour_factors
from monitor.twin.formats import SCALES
from monitor.twin.geography import Geography, Site
from monitor.twin.settings import TwinSettings

FOSSIL: Final = tuple(SECTORS["co2"])
METHANE: Final = tuple(SECTORS["ch4"])
_READERS: Final = {
    "icos": "icos-atc",
    "gcwerks": "gcwerks",
    "openghg": "openghg-obs",
    "lowcost": "openghg-obs",
}


def gases_of(site: Site) -> tuple[str, ...]:
    """What the site measures."""
    return ("co2",) if site.ch4_noise_ppb is None else ("co2", "ch4")


def observation_name(site: Site, gas: str, month: str) -> str:
    """File name of a station's month, below ``data/observations``; `month` may be "*"."""
    station, inlet = site.station, f"{site.station.inlets_m[0]:g}"
    if site.kind == "icos":
        return f"ICOS_ATC_L2_L2-2024.1_{station.id}_{site.station.inlets_m[0]:.1f}_CTS_{month}.{gas.upper()}"
    if site.kind == "gcwerks":
        return f"{station.id.lower()}.picarro.hourly.{inlet}m.{month}.dat"
    return f"obs_{station.id.lower()}_{gas}_{inlet}m_{month}.nc"


def footprint_name(site: Site, month: str) -> str:
    """File name of a station's month, below ``data/footprints``."""
    return f"{site.station.id}-{site.station.inlets_m[0]:g}magl_PLUME_TWIN_{month}.nc"


def city_toml(geography: Geography, settings: TwinSettings) -> str:
    """The text of ``config/cities/twin.toml``."""
    parts = [
        "schema_version = 1\n",
        _table(
            "city", id="twin", name="Twin city", species=["co2", "ch4"], utc_offset_h=settings.utc_offset_h
        ),
    ]
    parts += [_station(site) for site in geography.sites]
    parts += [source for site in geography.sites for source in _sources(site)]
    parts += _inventories(settings)
    parts += [_region(region) for region in geography.regions]
    for epoch, start in settings.starts.items():
        end = start + settings.days * np.timedelta64(1, "D")
        parts.append(_table("[epoch]", id=epoch, start=str(start)[:10], end=str(end)[:10]))
    # The last sampled hours of the day: by noon the night's air has gone.
    hours = [settings.local_hours[0] + 1, settings.local_hours[1]]
    parts.append(_table("selection", average="daily", local_hours=hours, min_hours=3))
    return "\n".join([*parts, *_blocks(), *_inversions(settings), _ensemble(settings), _scan(), _ledger()])


def claims_toml(geography: Geography, settings: TwinSettings) -> str:
    """The text of ``config/claims/twin.toml``."""
    breath = "respiration: the twin's people do not breathe, none of it was put into its air"
    counted = {"scope": "territorial", "includes_biogenic": False, "includes_respiration": False}
    fossil = {
        "species": "co2",
        "sectors": list(FOSSIL),
        "epochs": ["base", "target"],
        **counted,
        "denominator": "total",
        "months": _months(settings),
        "claimed_by": "City council",
        "adjustments": [breath, "hours: the cycle of the day is taken to be the same in both epochs"],
    }

    def change(id_: str, region: str, value: float, statement: str) -> str:
        fields = {"id": id_, "kind": "change", "statement": statement, "region": region, "value": value}
        return _table("[claim]", **fields, unit="1", margin=abs(value) / 2, **fossil)

    start = settings.starts["target"]
    end = start + settings.days * np.timedelta64(1, "D")
    lon, lat = geography.festival_lonlat
    metro_km2 = float((geography.fraction["metro"] * geography.grid.cell_area_m2()).sum() * 1e-6)
    return "\n".join(
        [
            "schema_version = 1\n",
            change("cut-25", "metro", -0.25, "The region cut its fossil CO2 by at least 25 %"),
            change("cut-45", "metro", -0.45, "The region cut its fossil CO2 by at least 45 %"),
            change("cut-2", "control", -0.02, "The control district cut its fossil CO2 by at least 2 %"),
            _table(
                "[claim]",
                id="festival",
                kind="source",
                statement="There is a methane source at the festival ground",
                species="ch4",
                lon_deg=round(lon, 5),
                lat_deg=round(lat, 5),
                claimed_by="A newspaper",
            ),
            _table(
                "[claim]",
                id="commune",
                kind="level",
                statement="The city emits 1.5 Mt of CO2 a year",
                region="metro",
                species="co2",
                sectors=list(FOSSIL),
                period=[str(start)[:10], str(end)[:10]],
                value=1.5e6,
                unit="t CO2 a-1",
                **counted,
                reading="equal",
                tolerance=0.25,
                region_area_km2=round(metro_km2 / 10.0, 1),
                claimed_by="The commune's own inventory",
                adjustments=[breath],
            ),
        ]
    )


def _months(settings: TwinSettings) -> list[int]:
    """The calendar months of an epoch: a cut between two autumns is a cut of autumns."""
    days = settings.starts["target"] + np.arange(settings.days) * np.timedelta64(1, "D")
    return sorted({int(month) % 12 + 1 for month in days.astype("M8[M]").astype(int)})


def _station(site: Site) -> str:
    station = site.station
    return _table(
        "[station]",
        id=station.id,
        name=station.name,
        lon_deg=station.lon_deg,
        lat_deg=station.lat_deg,
        inlets_m=list(station.inlets_m),
    )


def _sources(site: Site) -> list[str]:
    common: dict[str, Any] = {"station": site.station.id, "inlet_m": site.station.inlets_m[0]}
    tables = [
        _table(
            "[source]",
            id=f"{site.station.id}-{gas}",
            kind="folder",
            path="observations",
            pattern=observation_name(site, gas, "*"),
            reader=_READERS[site.kind],
            species=gas,
            scale=SCALES[gas],
            **common,
        )
        for gas in gases_of(site)
    ]
    footprints = _table(
        "[source]",
        id=f"{site.station.id}-footprints",
        kind="folder",
        path="footprints",
        pattern=footprint_name(site, "*"),
        reader="name-footprint",
        **common,
    )
    return [*tables, footprints]


def _inventories(settings: TwinSettings) -> list[str]:
    years = {epoch: int(str(start)[:4]) for epoch, start in settings.starts.items()}

    def table(id_: str, map_: str, path: str, reader: str, species: str, sector: str, year: int) -> str:
        fields = {"reader": reader, "species": species, "sector": sector, "year": year}
        return _table("[inventory]", id=id_, map=map_, path=f"inventories/{path}", **fields)

    base = years["base"]
    tables = []
    for gas, sectors in (("co2", FOSSIL), ("ch4", METHANE)):
        tables += [
            table(
                f"cadastre-{gas}-{s}",
                f"cadastre-{gas}",
                cadastre_name(gas, s, base),
                "openghg-flux",
                gas,
                s,
                base,
            )
            for s in sectors
        ]
    tables += [
        table(f"proxy-co2-{s}", "proxy-co2", proxy_name("co2", s, base), "edgar-flux", "co2", s, base)
        for s in FOSSIL
    ]
    tables += [
        table(f"biosphere-{y}", "biosphere", biosphere_name(y), "openghg-flux", "co2", "biosphere", y)
        for y in years.values()
    ]
    return tables


def cadastre_name(gas: str, sector: str, year: int) -> str:
    """File name of the first inventory's sector, below ``data/inventories``."""
    return f"cadastre_{gas}_{sector}_{year}.nc"


def proxy_name(gas: str, sector: str, year: int) -> str:
    """File name of the second inventory's sector, below ``data/inventories``."""
    return f"proxy_{gas.upper()}_{year}_{sector.upper()}.nc"


def biosphere_name(year: int) -> str:
    """File name of a season's biosphere, below ``data/inventories``."""
    return f"biosphere_co2_{year}.nc"


def _region(region: Region) -> str:
    polygons = [[list(point) for point in ring] for ring in region.polygons_lonlat]
    return _table("[region]", id=region.id, name=region.name, polygons=polygons)


def _blocks() -> list[str]:
    shares = SECTORS["co2"]
    cycle = np.round(sum(shares[s] * hour_factors(s) for s in FOSSIL), 4)
    fossil = {"species": "co2", "sectors": list(FOSSIL), "hour_factors": cycle.tolist()}
    # the sectors' shares, known to a third, move the day's total by 3 %, their cycles by as much again
    fossil["hour_factors_sd"] = 0.05
    return [
        _table(
            "[block]",
            name="fossil",
            resolution="cells",
            relative_sd=0.3,
            length_km=8.0,
            length_log_sd=0.0,
            time_days=7000.0,
            **fossil,
        ),
        _table(
            "[block]",
            name="biosphere",
            species="co2",
            sectors=["biosphere"],
            resolution="pattern",
            step_days=5.0,
            relative_sd=0.5,
            time_days=30.0,
        ),
        _table(
            "[block]",
            name="methane",
            species="ch4",
            sectors=list(METHANE),
            resolution="cells",
            relative_sd=0.4,
            length_km=6.0,
            length_log_sd=0.0,
            time_days=400.0,
        ),
    ]


def _inversions(settings: TwinSettings) -> list[str]:
    # towers within the city feel a wrong mixing height little: 20 % change what they see by 1 % (1σ)
    transport = {"transport_epoch_sd": settings.mixing_bias / 20, "transport_correlations": [1.0]}

    def inversion(species: str, background: dict[str, Any], mismatch: dict[str, Any], **rest: Any) -> str:
        return "".join(
            [
                # one model errs in both seasons: its error is shared but for what differs between epochs
                _table("[inversion]", species=species, **rest, **transport),
                _table("inversion.background", per="network", **background),
                _table("inversion.mismatch", **mismatch),
            ]
        )

    co2 = inversion(
        "co2",
        {"sd_ppm": 3.0, "correlation_hours": 60.0, "offset_sd_ppm": 30.0},
        {
            "instrument_floor_ppm": 0.1,
            "representation_ppm": 0.5,
            "least_fraction": 0.2,
            "correlation_hours": 12.0,
            "transport_fraction": 0.3,
        },
        transport_scale_sd=0.15,
    )
    # a methane claim is about one plume, which a few degrees of wind move off a station
    ch4 = inversion(
        "ch4",
        {"sd_ppm": 0.02, "correlation_hours": 60.0, "offset_sd_ppm": 0.2},
        {
            "instrument_floor_ppm": 0.0005,
            "representation_ppm": 0.002,
            "least_fraction": 0.2,
            "correlation_hours": 12.0,
            "transport_fraction": 0.3,
        },
        transport_scale_sd=0.25,
    )
    return [co2, ch4]


def _ensemble(settings: TwinSettings) -> str:
    later = [settings.local_hours[0] + 2, settings.local_hours[1]]
    return _table("ensemble", local_hours=[later], leave_one_station_out=True, length_factors=[0.5, 2.0])


def _scan() -> str:
    return _table("[scan]", species="ch4", min_days=3, max_days=28, false_alarm=0.05, draws=500)


def _ledger() -> str:
    text = "months: the twin's sectors emit alike in all seasons"
    return _table("ledger", adjustments=[text])


def _table(table: str, /, **fields: Any) -> str:
    """One TOML table; numbers, text and nested lists read in TOML as in JSON."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join([f"[{table}]", *lines, ""])
