"""Footprints of a Gaussian plume, for cities without a transport model and for synthetic ones.

By reciprocity the footprint of a cell is the plume density at the receptor of a unit source spread over the
cell.  Steady wind over the hour, flat ground, no memory: all influence is without an age (residual).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import footprints_dataset
from monitor.domain import Grid, Station
from monitor.errors import InputError
from monitor.transport.kernels import plume_cells

_EARTH_M: Final = 6_371_007.2
#: Dry air near the ground at 1013 hPa and 15 °C [kg m⁻³].
AIR_DENSITY_KG_M3: Final = 1.225
#: Below this speed a steady plume has no meaning; slower winds are raised to it [m s⁻¹].
CALM_M_S: Final = 0.5

#: Briggs' curves (Briggs 1973, ATDL-79; tabulated in Hanna, Briggs and Hosker 1982, tables 4.5 and 4.6), rows
#: Pasquill A … F, columns (a, b, p) of σy then σz: σ = a x (1 + b x)ᵖ, x and σ in m.
BRIGGS: Final = MappingProxyType(
    {
        "rural": np.array(
            [
                [0.22, 1e-4, -0.5, 0.20, 0.0, 0.0],
                [0.16, 1e-4, -0.5, 0.12, 0.0, 0.0],
                [0.11, 1e-4, -0.5, 0.08, 2e-4, -0.5],
                [0.08, 1e-4, -0.5, 0.06, 1.5e-3, -0.5],
                [0.06, 1e-4, -0.5, 0.03, 3e-4, -1.0],
                [0.04, 1e-4, -0.5, 0.016, 3e-4, -1.0],
            ]
        ),
        "urban": np.array(
            [
                [0.32, 4e-4, -0.5, 0.24, 1e-3, 0.5],
                [0.32, 4e-4, -0.5, 0.24, 1e-3, 0.5],
                [0.22, 4e-4, -0.5, 0.20, 0.0, 0.0],
                [0.16, 4e-4, -0.5, 0.14, 3e-4, -0.5],
                [0.11, 4e-4, -0.5, 0.08, 1.5e-3, -0.5],
                [0.11, 4e-4, -0.5, 0.08, 1.5e-3, -0.5],
            ]
        ),
    }
)

METEOROLOGY: Final = ("wind_speed", "wind_direction", "boundary_layer_height", "stability_class")


def plume_footprints(
    grid: Grid,
    station: Station,
    height_m: float,
    meteorology: xr.Dataset,
    *,
    curves: Literal["urban", "rural"] | np.ndarray = "urban",
    air_density_kg_m3: float = AIR_DENSITY_KG_M3,
) -> xr.Dataset:
    """Time-integrated Gaussian-plume footprints, one per hour of the meteorology.

    Identities: summed over an upwind strip the footprint is M_air/ρ ∫ V(x)/u dx with V the vertical density;
    far downwind, where V = 1/h, that is M_air t/(ρ h) with t = Δx/u, the well-mixed box.

    Parameters
    ----------
    grid : Grid
        Cells; each is the rectangle of its true width on the plane tangent at the receptor.
    station, height_m
        Receptor position and height above ground [m].
    meteorology : xr.Dataset, dim `time` (datetime64, beginning of each hour)
        `wind_speed` [m s⁻¹], `wind_direction` (from) [degrees clockwise from north],
        `boundary_layer_height` [m], `stability_class` 1 … 6 for Pasquill A … F.
    curves : "urban", "rural" or (6, 6) array
        A key of `BRIGGS`, or a table of the same layout.

    Returns
    -------
    xr.Dataset
        Of the footprints contract; the meteorology is carried per receptor.

    Raises
    ------
    InputError
        When the meteorology lacks a variable or holds a value that cannot be.
    """
    met = _ensure_meteorology(meteorology)
    west, east, south, north = cell_edges_m(grid, station)
    table = BRIGGS[curves] if isinstance(curves, str) else np.asarray(curves, dtype="f8")
    sigma = table[met["stability_class"].values.astype("i8") - 1]
    density = plume_cells(
        west,
        east,
        south,
        north,
        float(height_m),
        np.maximum(met["wind_speed"].values.astype("f8"), CALM_M_S),
        np.deg2rad(met["wind_direction"].values.astype("f8")),
        met["boundary_layer_height"].values.astype("f8"),
        np.ascontiguousarray(sigma),
    )
    molar_volume_m3 = units.MOLAR_MASS_AIR_G_MOL * 1e-3 / air_density_kg_m3
    return from_dense(
        grid, density * molar_volume_m3, _receptors(met), _attributes(station, height_m, curves)
    )


def cell_edges_m(grid: Grid, station: Station) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cell edges from the station [m]: west, east (lat, lon) and south, north (lat,).

    Each row has the width it has at its own latitude, so that every rectangle has its cell's true area.
    """
    lat, lon = (
        np.deg2rad(grid.lat_edges_deg - station.lat_deg),
        np.deg2rad(grid.lon_edges_deg - station.lon_deg),
    )
    edges_m = _EARTH_M * lat
    width = grid.cell_area_m2() / np.outer(np.diff(edges_m), np.diff(lon))
    west, east = width * lon[:-1], width * lon[1:]
    return west, east, edges_m[:-1].copy(), edges_m[1:].copy()


def from_dense(
    grid: Grid,
    dense: np.ndarray,
    receptors: xr.Dataset,
    attributes: dict[str, object],
    *,
    keep_above: float = 1e-7,
) -> xr.Dataset:
    """Ragged, time-integrated footprints from dense ones (receptor, lat, lon) [ppm / (µmol m⁻² s⁻¹)].

    Cells under `keep_above` times the receptor's largest are left out.
    """
    flat = dense.reshape(dense.shape[0], -1)
    kept = flat > keep_above * flat.max(axis=1, keepdims=True)
    cell = np.nonzero(kept)[1]
    none = np.zeros(0)
    return footprints_dataset(
        grid,
        receptors,
        (np.zeros(flat.shape[0]), none, none, none),
        (kept.sum(axis=1), cell, flat[kept]),
        attributes,
    )


def pasquill_class(wind_speed_m_s: np.ndarray, solar_w_m2: np.ndarray) -> np.ndarray:
    """Pasquill class 1 … 6 (A … F) from wind at 10 m and solar radiation, same shapes.

    The SRDT table of US EPA (2000), EPA-454/R-99-005, table 6-7, by day (above 25 W m⁻²); by night a clear
    sky is assumed: F under 2.5 m s⁻¹, E under 5, else D.
    """
    wind, solar = np.broadcast_arrays(wind_speed_m_s, solar_w_m2)
    row = np.searchsorted([2.0, 3.0, 5.0, 6.0], wind, side="right")
    column = np.searchsorted([175.0, 675.0, 925.0], solar, side="right")
    day = np.array([[4, 2, 1, 1], [4, 3, 2, 1], [4, 3, 2, 2], [4, 4, 3, 3], [4, 4, 4, 3]])[row, column]
    night = np.where(wind < 2.5, 6, np.where(wind < 5.0, 5, 4))
    return np.where(solar > 25.0, day, night)


def _ensure_meteorology(meteorology: xr.Dataset) -> xr.Dataset:
    missing = [name for name in METEOROLOGY if name not in meteorology]
    if missing:
        raise InputError(
            f"the meteorology lacks {', '.join(missing)}",
            expected=", ".join(METEOROLOGY),
            found=", ".join(map(str, meteorology.data_vars)),
        )
    limits = {
        "wind_speed": (0.0, 100.0),
        "wind_direction": (-360.0, 720.0),
        "boundary_layer_height": (1.0, 10_000.0),
        "stability_class": (1.0, 6.0),
    }
    for name, (low, high) in limits.items():
        value = meteorology[name].values
        wrong = ~((value >= low) & (value <= high))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise InputError(
                f"'{name}' cannot be {value[at]:g}",
                expected=f"{low:g} … {high:g}",
                found=f"{value[at]:g} at {str(meteorology['time'].values[at])[:16]}",
                remedy="correct the meteorology, or leave that hour out",
            )
    return meteorology


def _receptors(meteorology: xr.Dataset) -> xr.Dataset:
    start = meteorology["time"].values.astype("datetime64[ns]")
    columns = {
        str(name): ("receptor", variable.values, dict(variable.attrs))
        for name, variable in meteorology.data_vars.items()
        if variable.dims == ("time",)
    }
    return xr.Dataset(
        columns,
        coords={
            "time": ("receptor", start, {"bounds": "time_bnds"}),
            "time_bnds": (("receptor", "bnds"), np.stack([start, start + np.timedelta64(1, "h")], axis=1)),
        },
    )


def _attributes(station: Station, height_m: float, curves: str | np.ndarray) -> dict[str, object]:
    name = curves if isinstance(curves, str) else "own curves"
    return {
        "station": station.id,
        "inlet_height_m": float(height_m),
        "station_longitude_deg": station.lon_deg,
        "station_latitude_deg": station.lat_deg,
        "model": f"Gaussian plume, {name}",
        "source_digest": "",
    }
