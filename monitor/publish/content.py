"""What a report says, as plain JSON-ready values: the one content behind page, JSON and CSV.

Conventions: times ISO-8601 with Z, intervals half-open, changes signed fractions, ``null`` where a
value is absent; NaN never appears.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from monitor.domain import SPECIES, Inlet, Interval, Region, Species, Station, iso_z
from monitor.errors import ContractError
from monitor.publish.numbers import LEVEL, Z95
from monitor.units import level_unit

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput

SCHEMA_VERSION = 1
_TOTALS = ("prior_total", "posterior_total", "prior_covariance", "posterior_covariance")
_MAPS = ("flux_prior", "flux_posterior")
_SERIES = ("time", "station", "observed", "modelled_posterior")


def clean(value: object) -> Any:
    """`value` as JSON can hold it: numpy and times converted, what is not finite as None."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, Interval):
        return value.as_json()
    if isinstance(value, np.ndarray):
        return [clean(item) for item in value] if value.ndim else clean(value[()])
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else iso_z(value)
    if isinstance(value, np.generic):
        return clean(value.item())
    if isinstance(value, datetime):
        return iso_z(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if isinstance(value, date | Path):
        return str(value)
    if isinstance(value, Sequence | set | frozenset):
        return [clean(item) for item in value]
    return str(value)


def species_of(name: str) -> Species:
    """The gas of that id, shown in ppm under its own name where we do not know it."""
    return SPECIES.get(name.lower(), Species(name, name, "ppm", 1.0))


def station_of(stations: Sequence[Station]) -> dict[str, Station]:
    """Stations by what a series may call them: their own id, or that of one of their inlets."""
    by_inlet = {Inlet(station, height).id: station for station in stations for height in station.inlets_m}
    return by_inlet | {station.id: station for station in stations}


def ensure_posterior(name: str, posterior: xr.Dataset) -> xr.Dataset:
    """`posterior` itself if it holds what a report needs, else `ContractError` naming what is missing."""
    missing = [key for key in (*_TOTALS, *_MAPS, *_SERIES) if key not in posterior.variables]
    if missing:
        raise ContractError(
            f"the posterior of {name} lacks {', '.join(missing)}",
            expected=", ".join((*_TOTALS, *_MAPS, *_SERIES)),
            found=", ".join(map(str, posterior.variables)),
            where=f"report, species {name}",
            remedy="hand over the dataset that the inversion returns, whole",
        )
    return posterior


def content_of(report: ReportInput) -> dict[str, Any]:
    """Everything a report says as one JSON-ready object.

    Series and maps are left to `series_columns` and `map_columns`, because only files need them.

    Raises
    ------
    ContractError
        When a posterior lacks what a report needs.
    """
    for name, posterior in report.posteriors.items():
        ensure_posterior(name, posterior)
    return {
        "schema_version": SCHEMA_VERSION,
        "city": {"id": report.city_id, "name": report.city_name},
        "interval": report.interval.as_json(),
        "verdicts": clean(report.verdicts),
        "inventories": clean(report.inventories),
        "sources": clean(report.sources),
        "ledgers": clean(report.ledgers),
        "family": clean(report.family),
        "figures": clean(report.figures),
        "warnings": clean(report.warnings),
        "totals": [row for name, ds in report.posteriors.items() for row in total_rows(name, ds)],
        "diagnostics": {name: clean(ds.attrs) for name, ds in report.posteriors.items()},
        "hyperparameters": [
            row for name, ds in report.posteriors.items() for row in hyperparameter_rows(name, ds)
        ],
        "stations": [_station(station) for station in report.stations],
        "regions": [{"id": region.id, "name": region.name} for region in report.regions],
        "provenance": clean(report.provenance),
    }


def _station(station: Station) -> dict[str, Any]:
    return {
        "id": station.id,
        "name": station.name,
        "lon_deg": station.lon_deg,
        "lat_deg": station.lat_deg,
        "inlets_m": list(station.inlets_m),
        "ground_m_asl": station.ground_m_asl,
    }


def total_rows(species: str, posterior: xr.Dataset) -> list[dict[str, Any]]:
    """One row a total: prior and posterior with σ and 95 % interval, from the diagonal of the covariances."""
    unit = str(posterior["posterior_total"].attrs.get("units") or level_unit(species))
    prior, estimate = posterior["prior_total"].values, posterior["posterior_total"].values
    prior_sd, sigma = (
        np.sqrt(np.maximum(np.diagonal(posterior[key].values), 0.0))
        for key in ("prior_covariance", "posterior_covariance")
    )
    share = posterior["share_from_data"].values if "share_from_data" in posterior else None
    names = {
        key: posterior[f"total_{key}"].values if f"total_{key}" in posterior.variables else None
        for key in ("region", "block", "epoch")
    }
    return [
        {
            "species": species,
            **{key: "" if column is None else str(column[i]) for key, column in names.items()},
            "prior": clean(prior[i]),
            "prior_sigma": clean(prior_sd[i]),
            "prior_interval": clean([prior[i] - Z95 * prior_sd[i], prior[i] + Z95 * prior_sd[i]]),
            "estimate": clean(estimate[i]),
            "sigma": clean(sigma[i]),
            "interval": clean([estimate[i] - Z95 * sigma[i], estimate[i] + Z95 * sigma[i]]),
            "level": LEVEL,
            "unit": unit,
            "share_from_data": None if share is None else clean(share[i]),
        }
        for i in range(estimate.size)
    ]


def hyperparameter_rows(species: str, posterior: xr.Dataset) -> list[dict[str, Any]]:
    """One row a fitted scale: name, value, 1σ (0 when it was held fixed) and unit."""
    if "hyperparameter_value" not in posterior:
        return []
    values = posterior["hyperparameter_value"].values
    names = (
        posterior["hyperparameter"].values if "hyperparameter" in posterior.variables else range(values.size)
    )
    has_sd = "hyperparameter_sd" in posterior
    sds = posterior["hyperparameter_sd"].values if has_sd else np.full(values.size, np.nan)
    has_unit = "hyperparameter_unit" in posterior
    units = posterior["hyperparameter_unit"].values if has_unit else [None] * values.size
    return [
        {
            "species": species,
            "name": str(name),
            "value": clean(value),
            "sigma": clean(sd),
            "unit": clean(unit),
        }
        for name, value, sd, unit in zip(names, values, sds, units, strict=True)
    ]


#: Series columns and whether they are mole fractions (shown in the gas's display unit).
_COLUMNS = {
    "time": False,
    "time_end": False,
    "station": False,
    "inlet_height_m": False,
    "observed": True,
    "uncertainty": True,
    "modelled_prior": True,
    "modelled_posterior": True,
    "background_prior": True,
    "background_posterior": True,
    "loo_standardised": False,
}


def series_columns(species: str, posterior: xr.Dataset) -> dict[str, list[Any]]:
    """The observation series by column; mole fractions in the display unit, which ends their names."""
    gas, columns = species_of(species), dict[str, list[Any]]()
    for name, is_mole_fraction in _COLUMNS.items():
        if name not in posterior.variables:
            continue
        values = posterior[name].values
        if name in {"time", "time_end"}:
            columns[name] = [clean(moment) for moment in values.astype("datetime64[s]")]
        elif is_mole_fraction:
            columns[f"{name}_{gas.display_unit}"] = round_columns(values * gas.display_factor)
        elif values.dtype.kind in "fiu":
            columns[name] = round_columns(values)
        else:
            columns[name] = [str(value) for value in values]
    return columns


def map_columns(posterior: xr.Dataset) -> dict[str, list[Any]]:
    """The flux maps as long columns: block, epoch, lat, lon, then one column a map [µmol m⁻² s⁻¹]."""
    maps = [n for n in (*_MAPS, "flux_prior_sd", "flux_posterior_sd") if n in posterior.variables]
    dims = ("block", "epoch", "lat", "lon")
    axes = [posterior[d].values if d in posterior.variables else np.arange(posterior.sizes[d]) for d in dims]
    grid = np.meshgrid(*(np.arange(axis.size) for axis in axes), indexing="ij")
    columns: dict[str, list[Any]] = {}
    for name, axis, index in zip(dims, axes, grid, strict=True):
        values = axis[index.ravel()]
        columns[name] = (
            round_columns(values, 8) if values.dtype.kind in "fiu" else [str(value) for value in values]
        )
    for name in maps:
        columns[f"{name}_umol_m-2_s-1"] = round_columns(posterior[name].transpose(*dims).values.ravel())
    return columns


def round_columns(values: np.ndarray, digits: int = 7) -> list[Any]:
    """Numbers to `digits` significant digits, None where not finite."""
    return [
        float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values.ravel().tolist()
    ]


def regions_geojson(regions: Sequence[Region]) -> dict[str, Any]:
    """Districts as GeoJSON (RFC 7946); each ring is a polygon of its own, a whole window has no geometry."""
    features = []
    for region in regions:
        rings = [[[lon, lat] for lon, lat in ring] for ring in region.polygons_lonlat]
        closed = [[ring if ring[0] == ring[-1] else [*ring, ring[0]]] for ring in rings if ring]
        features.append(
            {
                "type": "Feature",
                "id": region.id,
                "properties": {"id": region.id, "name": region.name},
                "geometry": {"type": "MultiPolygon", "coordinates": closed} if closed else None,
            }
        )
    return {"type": "FeatureCollection", "features": features}
