"""The city and network on which the verdicts are proved, declared once.

A city of CO₂ about 18 km across on a grid of 12 × 12 cells, four towers around it, the same weeks of six
autumns, means of the afternoon.  Weather, footprints and inventory are the same for every twin, so that Ψ is;
the truth, the inflow and the errors are drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor.calibration.inventories import scaled
from monitor.calibration.network import MIXING, SPEED, TURN_DEG, Network, mixed
from monitor.compare.claims import Quantity
from monitor.compare.regions import region_fractions
from monitor.contracts import Flag, ObservationColumns, flux_dataset, observations_dataset
from monitor.domain import Grid, Interval, Region, Station
from monitor.inversion.assumptions import Assumptions, Background, Mismatch, Selection, TransportScale
from monitor.inversion.problem import InverseProblem
from monitor.inversion.state import Correlation, FluxBlock
from monitor.transport.plume import pasquill_class, plume_footprints
from monitor.twin.settings import TwinSettings
from monitor.twin.weather import ANALYSED_CURVES, analysed_weather

#: Draws the weather: the network is one, whatever the seed of its twins.
WEATHER_SEED: Final = 20_240_917
FIRST_YEAR: Final = 2018
YEARS: Final = 6
DAYS: Final = 15
GAS: Final = "co2"
BLOCK: Final = "fossil"
REGION: Final = "city"
INSTRUMENT_PPM: Final = 0.1
_HOUR: Final = np.timedelta64(3600, "s").astype("timedelta64[ns]")
_KM_PER_DEGREE: Final = 111.195
_SETTINGS: Final = TwinSettings(n_cells=12, domain_km=30.0, days=DAYS, utc_offset_h=1, local_hours=(12, 16))
#: Towers: x, y from the centre [km].
_TOWERS: Final = {"E": (9.0, 0.6), "N": (0.6, 9.0), "S": (-0.6, -9.0), "W": (-9.0, -0.6)}
_HEIGHT_M: Final = 60.0
_FIRST_DAY: Final = "09-03"
_RADIUS_KM: Final = 9.0
#: Flux in the middle of the city, and far out [µmol m⁻² s⁻¹].
_CORE, _COUNTRY, _WIDTH_KM = 70.0, 1.5, 5.0

ASSUMPTIONS: Final = Assumptions(
    state=(
        FluxBlock(
            BLOCK,
            relative_sd=0.35,
            correlation=Correlation(length_km=5.0, time_days=300.0, length_log_sd=0.0),
        ),
    ),
    background=Background(sd_ppm=0.6, correlation_hours=48.0, offset_sd_ppm=10.0),
    mismatch=Mismatch(
        representation_ppm=0.2, transport_fraction=0.2, least_fraction=0.3, correlation_hours=12.0
    ),
    selection=Selection(average="daily", local_hours=_SETTINGS.local_hours, min_hours=3, utc_offset_h=1),
)
#: Multiplicative transport errors that the model declares: common to all epochs, and one for each.
TRANSPORT: Final = TransportScale(common_sd=0.06, epoch_sd=0.04)


def reference_network() -> Network:
    """The network with its footprints."""
    grid, epochs = _grid(), _epochs()
    weather = [_weather(year) for year in epochs]
    footprints, inventory, fields = _footprints(weather), _inventory(grid), _fields(grid)
    problem = _assembled(footprints, inventory)
    quantity = Quantity(
        species=GAS,
        region=REGION,
        block=BLOCK,
        fraction=problem.regions["fraction"].values[0].ravel(),
        area_m2=grid.cell_area_m2().ravel(),
        epochs=tuple(epochs.values()),
        patterns=fields,
        alternatives=_alternatives(fields["inventory"]),
        transport=TransportScale(),
    )

    def other_transport(rng: np.random.Generator) -> dict[str, sp.csr_array]:
        return {BLOCK: _problem(other_weather(rng, weather)).block(BLOCK).jacobian}

    def well_mixed(rng: np.random.Generator) -> dict[str, sp.csr_array]:
        turn, speed, mixing = _drawn(rng, len(weather))
        blown = _problem([_moved(w, turn, speed, 1.0) for w in weather])
        return {BLOCK: sp.csr_array(mixed(blown, mixing) @ blown.block(BLOCK).jacobian)}

    def with_inventory(factors: Sequence[float]) -> InverseProblem:
        return _assembled(footprints, scaled(inventory, tuple(epochs.values()), factors))

    return Network("reference", problem, quantity, TRANSPORT, other_transport, well_mixed, with_inventory)


def other_weather(rng: np.random.Generator, weather: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Weather that moved the air where `weather` is what the model knows of it, by epoch.

    One turn and one factor of the wind for all epochs, a factor of the mixing height for each.
    """
    turn, speed, mixing = _drawn(rng, len(weather))
    return [_moved(w, turn, speed, factor) for w, factor in zip(weather, mixing, strict=True)]


def _drawn(rng: np.random.Generator, epochs: int) -> tuple[float, float, np.ndarray]:
    """Turn [°] and factor of the wind, and factors (k,) of the mixing height."""
    turn = rng.uniform(-TURN_DEG, TURN_DEG)
    return turn, 1 + rng.uniform(-SPEED, SPEED), 1 + rng.uniform(-MIXING, MIXING, epochs)


def _moved(weather: xr.Dataset, turn_deg: float, speed: float, mixing: float) -> xr.Dataset:
    faster = weather["wind_speed"] * speed
    return weather.assign(
        wind_speed=faster,
        wind_direction=(weather["wind_direction"] + turn_deg) % 360.0,
        boundary_layer_height=weather["boundary_layer_height"] * mixing,
        stability_class=("time", pasquill_class(faster.values, weather["solar"].values)),
    )


def _problem(weather: Sequence[xr.Dataset]) -> InverseProblem:
    return _assembled(_footprints(weather), _inventory(_grid()))


def _footprints(weather: Sequence[xr.Dataset]) -> dict[str, xr.Dataset]:
    together, grid = xr.concat(list(weather), "time"), _grid()
    return {
        name: plume_footprints(grid, station, _HEIGHT_M, together, curves=ANALYSED_CURVES)
        for name, station in _stations().items()
    }


def _assembled(footprints: Mapping[str, xr.Dataset], inventory: xr.Dataset) -> InverseProblem:
    stations = _stations()
    return InverseProblem.from_datasets(
        {name: _observations(stations[name], f["time"].values) for name, f in footprints.items()},
        footprints,
        {BLOCK: inventory},
        epochs=_epochs(),
        assumptions=ASSUMPTIONS,
        regions=region_fractions([_region()], _grid()),
    )


def _alternatives(field: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "uniform": np.full(field.size, field.mean()),
        "core": np.where(field > np.median(field), field, 0.0),
    }


def _epochs() -> dict[str, Interval]:
    starts = {str(FIRST_YEAR + k): np.datetime64(f"{FIRST_YEAR + k}-{_FIRST_DAY}") for k in range(YEARS)}
    return {year: Interval.parse(str(s), str(s + np.timedelta64(DAYS, "D"))) for year, s in starts.items()}


def _weather(year: str) -> xr.Dataset:
    """The analysed weather of an epoch in the sampled hours."""
    settings = replace(_SETTINGS, base_start=f"{year}-{_FIRST_DAY}")
    weather = analysed_weather(np.random.default_rng([WEATHER_SEED, int(year)]), settings, "base")
    return weather.isel(time=settings.sampled(weather["time"].values))


def _grid() -> Grid:
    step = _SETTINGS.domain_km / _SETTINGS.n_cells
    offset = (np.arange(_SETTINGS.n_cells) - (_SETTINGS.n_cells - 1) / 2) * step
    return Grid(
        lon_deg=_SETTINGS.centre_lon_deg
        + offset / _KM_PER_DEGREE / np.cos(np.deg2rad(_SETTINGS.centre_lat_deg)),
        lat_deg=_SETTINGS.centre_lat_deg + offset / _KM_PER_DEGREE,
    )


def _lonlat(x_km: float, y_km: float) -> tuple[float, float]:
    across = _KM_PER_DEGREE * float(np.cos(np.deg2rad(_SETTINGS.centre_lat_deg)))
    return _SETTINGS.centre_lon_deg + x_km / across, _SETTINGS.centre_lat_deg + y_km / _KM_PER_DEGREE


def _stations() -> dict[str, Station]:
    return {name: Station(name, *_lonlat(x, y), (_HEIGHT_M,)) for name, (x, y) in _TOWERS.items()}


def _region() -> Region:
    angle = np.deg2rad(np.arange(0.0, 360.0, 5.0))
    ring = [_lonlat(_RADIUS_KM * float(np.cos(a)), _RADIUS_KM * float(np.sin(a))) for a in angle]
    return Region(REGION, (tuple(ring),), "City")


def _fields(grid: Grid) -> dict[str, np.ndarray]:
    """Candidate maps: the inventory, which is the reference, and one by population, flatter (n_cells,)."""
    x = (
        (grid.lon_deg - _SETTINGS.centre_lon_deg)
        * _KM_PER_DEGREE
        * np.cos(np.deg2rad(_SETTINGS.centre_lat_deg))
    )
    y = (grid.lat_deg - _SETTINGS.centre_lat_deg) * _KM_PER_DEGREE
    square = y[:, None] ** 2 + x[None, :] ** 2

    def bell(width_km: float) -> np.ndarray:
        return np.asarray(_COUNTRY + _CORE * np.exp(-square / (2 * width_km**2))).ravel()

    return {"inventory": bell(_WIDTH_KM), "population": bell(1.25 * _WIDTH_KM)}


def _inventory(grid: Grid) -> xr.Dataset:
    field = _fields(grid)["inventory"].reshape(1, 1, *grid.shape)
    bounds = np.array([[f"{FIRST_YEAR}-01-01", f"{FIRST_YEAR + 1}-01-01"]], dtype="datetime64[ns]")
    attributes = {"species": GAS, "title": "inventory", "source_digest": ""}
    return flux_dataset(grid, field, sectors=["all"], time_bounds=bounds, attributes=attributes)


def _observations(station: Station, time: np.ndarray) -> xr.Dataset:
    """Hours with nothing measured in them yet."""
    start = time.astype("datetime64[ns]")
    columns = ObservationColumns(
        start=start,
        end=start + _HOUR,
        mole_fraction=np.zeros(start.size),
        flag=np.full(start.size, Flag.GOOD, dtype="i1"),
        uncertainty=np.full(start.size, INSTRUMENT_PPM),
    )
    attributes = {
        "species": GAS,
        "station": station.id,
        "inlet_height_m": _HEIGHT_M,
        "station_longitude_deg": station.lon_deg,
        "station_latitude_deg": station.lat_deg,
        "calibration_scale": "WMO-CO2-X2019",
        "source_digest": "",
    }
    return observations_dataset(columns, attributes)
