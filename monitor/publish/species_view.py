"""One gas as the page shows it: maps, series, totals and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from monitor.domain import Grid, Species, Station
from monitor.publish.content import species_of, station_of
from monitor.publish.diagnostics import diagnostics_in_words
from monitor.publish.map_picture import ColourScale, MapFrame, colour_scale, map_picture
from monitor.publish.marks import in_cell, marked, other
from monitor.publish.numbers import (
    LEVEL,
    ONE_SIGMA,
    as_number,
    estimate_of,
    millions,
    pretty_unit,
    show_plain,
)
from monitor.publish.periods import names_of_epochs
from monitor.publish.series_picture import Series, series_picture
from monitor.publish.table_view import Rows, pair_rows

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput

Panel = tuple[str, Markup]


def species_views(report: ReportInput, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One section a gas."""
    return [
        _species_view(number, name, posterior, report, content)
        for number, (name, posterior) in enumerate(report.posteriors.items(), 1)
    ]


def _species_view(
    number: int, name: str, posterior: xr.Dataset, report: ReportInput, content: Mapping[str, Any]
) -> dict[str, Any]:
    gas = species_of(name)
    frame = _frame(name, posterior, report)
    regions = {region.id: region.name or region.id for region in report.regions}
    attributes = content["diagnostics"][name]
    return {
        "anchor": f"gas-{number}",
        "name": gas.name,
        "maps": _main_maps(posterior, frame, gas),
        "epoch_maps": _epoch_maps(posterior, frame, gas),
        "part_maps": _part_maps(posterior, frame, gas),
        "marks_sources": bool(frame.sources),
        "series": _series(posterior, gas, report),
        "totals": _totals(
            [row for row in content["totals"] if row["species"] == name], regions, names_of_epochs(attributes)
        ),
        "diagnostics": diagnostics_in_words(attributes),
        "attributes": pair_rows(attributes),
        "hyperparameters": _hyperparameters(content, name),
    }


def _frame(name: str, posterior: xr.Dataset, report: ReportInput) -> MapFrame:
    grid = Grid(posterior["lon"].values.astype(float), posterior["lat"].values.astype(float))
    lon, lat = grid.lon_edges_deg, grid.lat_edges_deg
    mine = [
        row
        for row in report.sources
        if len(report.posteriors) == 1 or f" {name.upper()} " in f" {row.get('unit', '')} "
    ]
    return MapFrame(
        (float(lon[0]), float(lon[-1])),
        (float(lat[0]), float(lat[-1])),
        report.regions,
        report.stations,
        mine,
    )


def _flux_unit(gas: Species) -> tuple[float, str]:
    """Factor and unit of fluxes on pages: a thousandth of ours for gases shown in ppb."""
    return (1e3, "nmol m⁻² s⁻¹") if gas.display_unit == "ppb" else (1.0, "µmol m⁻² s⁻¹")


def _field(posterior: xr.Dataset, name: str, gas: Species) -> xr.DataArray:
    factor, _ = _flux_unit(gas)
    return posterior[name].transpose("block", "epoch", "lat", "lon") * factor


def _panels(fields: Mapping[str, np.ndarray], frame: MapFrame, scale: ColourScale, what: str) -> list[Panel]:
    return [
        (title, map_picture(field, frame, scale, title=_alt_text(f"{what}: {title}", field, frame, scale)))
        for title, field in fields.items()
    ]


def _alt_text(title: str, field: np.ndarray, frame: MapFrame, scale: ColourScale) -> str:
    """What the map shows, for those who do not see it: the strongest cell and where it is."""
    if not np.isfinite(field).any():
        return f"Map, {title}: no values."
    row, column = np.unravel_index(int(np.nanargmax(np.abs(field))), field.shape)
    lat = np.linspace(*frame.lat_edges, 2 * field.shape[0] + 1)[1::2][row]
    lon = np.linspace(*frame.lon_edges, 2 * field.shape[1] + 1)[1::2][column]
    ends = " to ".join(show_plain(end, 2) for end in (scale.low, scale.high))
    return (
        f"Map, {title}. The colours run from {ends} {scale.unit};"
        f" the strongest cell is at {lat:.2f}° north, {lon:.2f}° east."
    )


def _main_maps(posterior: xr.Dataset, frame: MapFrame, gas: Species) -> list[Panel]:
    """Prior, posterior and difference: sum over blocks, mean over epochs."""
    prior, estimate = (
        _field(posterior, name, gas).sum("block").mean("epoch").values
        for name in ("flux_prior", "flux_posterior")
    )
    unit = _flux_unit(gas)[1]
    scale = colour_scale([prior, estimate], unit)
    change = colour_scale([estimate - prior], unit, difference=True)
    both = {"Before the measurements (prior)": prior, "After them (posterior)": estimate}
    return [
        *_panels(both, frame, scale, f"{gas.name} flux"),
        *_panels({"Difference, posterior minus prior": estimate - prior}, frame, change, f"{gas.name} flux"),
    ]


def _epoch_maps(posterior: xr.Dataset, frame: MapFrame, gas: Species) -> list[Panel]:
    """First and last epoch and the change between them, where there are two or more."""
    field = _field(posterior, "flux_posterior", gas).sum("block")
    if field.sizes["epoch"] < 2:
        return []
    periods = names_of_epochs(posterior.attrs)
    names = [periods.get(name, name) for name in _names(posterior, "epoch")]
    first, last = field.isel(epoch=0).values, field.isel(epoch=-1).values
    unit = _flux_unit(gas)[1]
    change = colour_scale([last - first], unit, difference=True)
    return [
        *_panels(
            {names[0]: first, names[-1]: last}, frame, colour_scale([first, last], unit), "Posterior flux"
        ),
        *_panels({f"Change, {names[-1]} minus {names[0]}": last - first}, frame, change, "Posterior flux"),
    ]


def _part_maps(posterior: xr.Dataset, frame: MapFrame, gas: Species) -> list[Panel]:
    """Posterior of each block and how uncertain it is, mean over epochs."""
    unit, panels = _flux_unit(gas)[1], list[Panel]()
    for i, block in enumerate(_names(posterior, "block")):
        for name, text in (("flux_posterior", "posterior"), ("flux_posterior_sd", "1σ of the posterior")):
            if name not in posterior or (name == "flux_posterior" and posterior.sizes["block"] == 1):
                continue
            field = _field(posterior, name, gas).isel(block=i).mean("epoch").values
            panels += _panels({f"{block}: {text}": field}, frame, colour_scale([field], unit), gas.name)
    return panels


def detectable_maps(report: ReportInput) -> list[Panel]:
    """Of each gas that was searched, the strength of a source that the search would have found, by place."""
    panels: list[Panel] = []
    for name, posterior in report.posteriors.items():
        if "detectable_strength" not in posterior:
            continue
        field = posterior["detectable_strength"].transpose("lat", "lon").values
        field = np.where(np.isfinite(field), field, np.nan)
        unit = pretty_unit(str(posterior["detectable_strength"].attrs.get("units", "")))
        gas, frame = species_of(name).name, _frame(name, posterior, report)
        title = f"{gas}: weakest source that would be found"
        # at the edges of what is seen limits grow without bounds, and would take all colours
        typical = float(np.nanmedian(field)) if np.isfinite(field).any() else 1.0
        panels += _panels(
            {title: field}, frame, ColourScale(0.0, 4 * typical, False, unit), "Detection limit"
        )
    return panels


def _names(posterior: xr.Dataset, dim: str) -> list[str]:
    if dim in posterior.variables:
        return [str(name) for name in posterior[dim].values]
    return [str(i + 1) for i in range(posterior.sizes[dim])]


#: Lines of a series picture: style name → variable.
_LINES = {
    "background": "background_posterior",
    "prior": "modelled_prior",
    "posterior": "modelled_posterior",
}


def _series(posterior: xr.Dataset, gas: Species, report: ReportInput) -> list[tuple[str, Markup]]:
    known = station_of(report.stations)
    stations = posterior["station"].values.astype(str)
    inlets = posterior["inlet_height_m"].values if "inlet_height_m" in posterior.variables else None
    pictures = []
    for station in dict.fromkeys(stations.tolist()):
        heights = [None] if inlets is None else sorted(set(inlets[stations == station].tolist()))
        for height in heights:
            chosen = stations == station
            if inlets is not None:
                chosen &= inlets == height
            at = "" if height is None else f", {show_plain(float(height))} m above ground"
            title = f"{_station_title(station, known)}{at}"
            pictures.append((title, _one_series(posterior, chosen, gas, title)))
    return pictures


def _station_title(station: str, known: Mapping[str, Station]) -> str:
    """A station's name, and the height where the series names an inlet ("TAC-100m")."""
    if station not in known:
        return station
    name = known[station].name or known[station].id
    height = station.removeprefix(f"{known[station].id}-").removesuffix("m")
    return name if station == known[station].id else f"{name}, {height} m above ground"


def _one_series(posterior: xr.Dataset, chosen: np.ndarray, gas: Species, title: str) -> Markup:
    time = posterior["time"].values[chosen]
    order = np.argsort(time, kind="stable")

    def column(name: str) -> np.ndarray:
        if name not in posterior:
            return np.full(time.size, np.nan)
        return np.asarray(posterior[name].values[chosen][order] * gas.display_factor)

    series = Series(
        time[order],
        column("observed"),
        column("uncertainty"),
        {name: column(key) for name, key in _LINES.items() if key in posterior},
    )
    alt = f"{gas.name} at {title}: {time.size} measured values against the model, in {gas.display_unit}."
    return series_picture(series, gas.display_unit, title=alt)


def _totals(
    rows: list[dict[str, Any]], regions: Mapping[str, str], periods: Mapping[str, str]
) -> list[dict[str, Any]]:
    divisor, prefix = millions([row["estimate"] for row in rows])
    shown = []
    for row in rows:
        prior = estimate_of(row["prior"], row["prior_interval"], LEVEL, row["unit"])
        estimate = estimate_of(row["estimate"], row["interval"], row["level"], row["unit"])
        share = as_number(row["share_from_data"])
        shown.append(
            {
                "region": regions.get(row["region"], row["region"]),
                "block": row["block"],
                "epoch": periods.get(row["epoch"], row["epoch"]),
                "prior": in_cell(prior, with_unit=False, divisor=divisor),
                "estimate": in_cell(estimate, with_unit=False, divisor=divisor),
                "unit": f"{prefix}{pretty_unit(row['unit'])}",
                "share": "–" if share is None else show_plain(share, 2),
            }
        )
    return shown


def _hyperparameters(content: Mapping[str, Any], name: str) -> Rows:
    rows: Rows = []
    for row in content["hyperparameters"]:
        if row["species"] != name or row["value"] is None:
            continue
        unit = f" {pretty_unit(row['unit'])}" if row["unit"] not in (None, "", "1") else ""
        value = f"{show_plain(row['value'], 3)}{unit}"
        text: str
        if row["sigma"] is None:
            text = other("record", f"{value} (its uncertainty is not known)")
        elif row["sigma"] == 0:
            text = other("assumed", f"{value} (held fixed)")
        else:
            ends = [row["value"] - row["sigma"], row["value"] + row["sigma"]]
            estimate = estimate_of(row["value"], ends, ONE_SIGMA, row["unit"])
            text = marked(estimate, f"{value} ± {show_plain(row['sigma'], 2)} (1σ)") if estimate else "–"
        rows.append((row["name"], text))
    return rows
