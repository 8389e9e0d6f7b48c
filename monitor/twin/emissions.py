"""What the city emits, what its inventories say, and what nobody wrote down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter

from monitor import units
from monitor.twin.geography import Geography
from monitor.twin.settings import TwinSettings
from monitor.twin.weather import clear_sky_w_m2

#: Share of the region's total by sector, per gas.
SECTORS: Final = {
    "co2": {"traffic": 0.35, "heating": 0.40, "industry": 0.25},
    "ch4": {"gas": 0.55, "waste": 0.30, "agriculture": 0.15},
}
#: Industrial sites and the weight of each: x, y from the centre [km].
_INDUSTRY_KM: Final = (
    (8.2, -3.1, 3.0),
    (11.3, 4.6, 2.0),
    (-2.2, 9.8, 1.5),
    (5.1, 8.4, 1.2),
    (-8.8, -6.9, 0.8),
    (1.7, -9.4, 1.5),
    (-22.0, 12.0, 0.6),
    (20.0, -18.0, 0.8),
)
_WASTE_KM: Final = ((10.4, -8.2, 1.5), (-9.5, 9.6, 0.8), (22.0, 9.0, 1.0))
_TOWNS_KM: Final = ((-24.0, -16.0), (25.0, 14.0), (-16.0, 25.0), (18.0, -26.0), (-27.0, 6.0))
#: Hour-of-day factors by sector, local time, before they are scaled to mean 1.
_HOURS: Final = {
    "traffic": np.interp(np.arange(24), [0, 4, 8, 12, 17, 20, 24], [0.4, 0.2, 1.6, 1.25, 1.7, 1.0, 0.4]),
    "heating": np.interp(np.arange(24), [0, 4, 7, 13, 19, 22, 24], [0.7, 0.7, 1.5, 0.95, 1.4, 1.0, 0.7]),
    "industry": np.interp(np.arange(24), [0, 5, 9, 16, 20, 24], [0.8, 0.8, 1.2, 1.2, 0.9, 0.8]),
}
_WEEKEND: Final = {"traffic": 0.72, "heating": 1.02, "industry": 0.78}


@dataclass(frozen=True)
class Emissions:
    """The truth of one gas: mean fields by epoch and sector, (lat, lon) [µmol m⁻² s⁻¹]."""

    gas: str
    fields: dict[str, dict[str, np.ndarray]]

    def total(self, epoch: str) -> np.ndarray:
        return np.asarray(sum(self.fields[epoch].values()))


def smooth_field(rng: np.random.Generator, geography: Geography, length_km: float) -> np.ndarray:
    """A Gaussian random field of unit variance, (lat, lon), correlated over about `length_km`."""
    step_km = abs(float(geography.x_km[0, 1] - geography.x_km[0, 0]))
    # Drawn on a margin wider than the filter, so that the variance is that of the middle everywhere.
    margin = 3 * max(1, round(length_km / step_km))
    noise = rng.standard_normal([n + 2 * margin for n in geography.grid.shape])
    field = gaussian_filter(noise, length_km / step_km / np.sqrt(2.0), mode="wrap")
    return np.asarray((field / field.std())[margin:-margin, margin:-margin])


def true_emissions(
    rng: np.random.Generator, geography: Geography, settings: TwinSettings, gas: str
) -> Emissions:
    """Fields of both epochs: CO₂ changes by exactly the settings' fractions, CH₄ does not change."""
    total = {"co2": settings.co2_total_t_a, "ch4": settings.ch4_total_t_a}[gas]
    base = {
        sector: _scaled(pattern, geography, gas, share * total)
        for (sector, share), pattern in zip(
            SECTORS[gas].items(), _patterns(rng, geography, gas).values(), strict=True
        )
    }
    if gas != "co2":
        return Emissions(gas, {"base": base, "target": base})
    kept = 1.0 + change_field(geography, sum(base.values()), settings)
    return Emissions(gas, {"base": base, "target": {s: f * kept for s, f in base.items()}})


def change_field(geography: Geography, total: np.ndarray | float, settings: TwinSettings) -> np.ndarray:
    """Signed change per cell (lat, lon): exact for the metropolitan region and for the control district.

    A cell changes by the shares of the control district and of the rest of the region in it; the two rates
    solve the two equations ∫ change · flux over each region = its stated change.
    """
    metro, control = geography.fraction["metro"], geography.fraction["control"]
    rest = np.clip(metro - control, 0.0, 1.0)
    weight = np.asarray(total) * geography.grid.cell_area_m2()
    matrix = [[(w * weight * part).sum() for part in (control, rest)] for w in (control, metro)]
    stated = [
        settings.control_change * (control * weight).sum(),
        settings.change * (metro * weight).sum(),
    ]
    rates = np.linalg.solve(np.array(matrix), np.array(stated))
    return np.asarray(rates[0] * control + rates[1] * rest)


def _points(geography: Geography, places: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    field = np.zeros(geography.grid.shape)
    for x, y, weight in places:
        row = int(np.argmin(np.abs(geography.y_km[:, 0] - y)))
        column = int(np.argmin(np.abs(geography.x_km[0] - x)))
        field[row, column] += weight
    return field


def _people(rng: np.random.Generator, geography: Geography) -> np.ndarray:
    radius = np.hypot(geography.x_km, geography.y_km)
    city = np.exp(-radius / 7.0) * np.exp(0.35 * smooth_field(rng, geography, 3.0))
    towns = sum(
        0.25 * np.exp(-(((geography.x_km - x) ** 2 + (geography.y_km - y) ** 2) / (2 * 2.0**2)))
        for x, y in _TOWNS_KM
    )
    inside = 0.25 + 0.75 * geography.fraction["metro"]
    return np.asarray(city * inside + towns + 0.004)


def _roads(geography: Geography) -> np.ndarray:
    """Six radial roads and a ring, as distances to their axes."""
    x, y = geography.x_km, geography.y_km
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    ring = np.exp(-(((radius - 10.0) / 1.3) ** 2))
    radial = sum(
        np.exp(-((np.maximum(radius, 0.5) * np.sin((angle - a) / 1.0) / 1.2) ** 2)) * (np.cos(angle - a) > 0)
        for a in np.deg2rad([10, 75, 130, 190, 250, 310])
    )
    return np.asarray(ring + 0.6 * radial * np.exp(-radius / 20.0))


def _patterns(rng: np.random.Generator, geography: Geography, gas: str) -> dict[str, np.ndarray]:
    people = _people(rng, geography)
    if gas == "co2":
        return {
            "traffic": 0.6 * people**0.7 + 0.25 * _roads(geography) * (0.3 + geography.fraction["metro"]),
            "heating": people,
            "industry": _points(geography, _INDUSTRY_KM) + 0.02 * people,
        }
    rural = 1.0 - people / people.max()
    return {
        "gas": people,
        "waste": _points(geography, _WASTE_KM) + 0.02 * people,
        "agriculture": rural * np.exp(0.4 * smooth_field(rng, geography, 6.0)),
    }


def _scaled(pattern: np.ndarray, geography: Geography, gas: str, metro_t_a: float) -> np.ndarray:
    """`pattern` scaled so that the metropolitan region emits `metro_t_a` [t a⁻¹]."""
    weight = geography.fraction["metro"] * geography.grid.cell_area_m2()
    return np.asarray(pattern * metro_t_a / ((pattern * weight).sum() * units.tonnes_per_year(gas)))


def region_total(field: np.ndarray, geography: Geography, region: str, gas: str) -> float:
    """Total of a field over a region [t a⁻¹]."""
    weight = geography.fraction[region] * geography.grid.cell_area_m2()
    return float((field * weight).sum() * units.tonnes_per_year(gas))


def inventory_field(rng: np.random.Generator, geography: Geography, truth: np.ndarray) -> np.ndarray:
    """What an inventory says of a sector: 40 % wrong per cell over 5 km, some 12 % wrong in total."""
    sigma = 0.4
    error = np.exp(sigma * smooth_field(rng, geography, 5.0) - sigma**2 / 2)
    return np.asarray(truth * error * (1 + 0.12 * rng.standard_normal()))


def proxy_inventory(rng: np.random.Generator, geography: Geography, truth: np.ndarray) -> np.ndarray:
    """A second opinion: the sector spread by a smooth proxy, without its points and roads, 15 % off."""
    step_km = abs(float(geography.x_km[0, 1] - geography.x_km[0, 0]))
    spread = gaussian_filter(truth, 3.0 / step_km, mode="nearest")
    error = np.exp(0.35 * smooth_field(rng, geography, 8.0) - 0.35**2 / 2)
    return np.asarray(spread * error * (1 + 0.15 * rng.standard_normal()))


def hour_factors(sector: str) -> np.ndarray:
    """The inventory's hour-of-day factors (24,), mean 1; ones for sectors without a cycle."""
    cycle = _HOURS.get(sector, np.ones(24))
    return np.asarray(cycle / cycle.mean())


def true_cycle(rng: np.random.Generator, settings: TwinSettings, sector: str) -> dict[str, np.ndarray]:
    """The truth's factor of every hour of each epoch, mean exactly 1: hour, weekday, season.

    The hours differ from the inventory's by some 6 %, alike in both epochs.
    """
    cycle = hour_factors(sector)
    if sector in _HOURS:
        cycle = cycle * np.exp(0.06 * gaussian_filter(rng.standard_normal(24), 1.5, mode="wrap") / 0.43)
    result = {}
    for epoch in settings.starts:
        time = settings.hours(epoch)
        local = time + np.timedelta64(settings.utc_offset_h, "h")
        weekday = (local.astype("datetime64[D]").astype("i8") + 3) % 7
        factor = cycle[settings.local_hour(time)] * np.where(weekday >= 5, _WEEKEND.get(sector, 1.0), 1.0)
        if sector == "heating":
            factor = factor * np.linspace(0.75, 1.25, time.size)
        result[epoch] = factor / factor.mean()
    return result


def vegetation(rng: np.random.Generator, geography: Geography) -> np.ndarray:
    """Share of each cell that is green, (lat, lon), 0.1 to 1."""
    built = np.exp(-np.hypot(geography.x_km, geography.y_km) / 9.0)
    return np.asarray(np.clip((1 - 0.85 * built) * (1 + 0.2 * smooth_field(rng, geography, 5.0)), 0.1, 1.0))


def biosphere_cycle(
    time: np.ndarray, solar: np.ndarray, settings: TwinSettings, scale: tuple[float, float]
) -> np.ndarray:
    """Net exchange of a wholly green cell (time,) [µmol m⁻² s⁻¹]: respiration less uptake by light.

    `scale` multiplies uptake and respiration; both weaken through the autumn.
    """
    since = (time - time[0]) / np.timedelta64(1, "D")
    season = np.clip(1.0 - 0.8 * since / max(settings.days, 60), 0.1, 1.0)
    uptake = 14.0 * season * solar / (solar + 350.0)
    respiration = 2.2 * (0.5 + 0.5 * season)
    return np.asarray(scale[1] * respiration - scale[0] * uptake)


def inventory_biosphere(
    scale: tuple[float, float], settings: TwinSettings, epoch: str
) -> tuple[np.ndarray, np.ndarray]:
    """The service's biosphere of an epoch: 3-hourly times (k,) and exchange of a green cell (k,).

    Wrong in amplitude by `scale`, and blind to the day's clouds.
    """
    hours = settings.hours(epoch)
    cycle = biosphere_cycle(hours, 0.6 * clear_sky_w_m2(hours, settings), settings, scale)
    return hours[::3], cycle.reshape(-1, 3).mean(axis=1)


def biosphere_scale(rng: np.random.Generator) -> tuple[float, float]:
    """Error of the inventory's uptake and respiration: some 25 % and 20 %, the same in both epochs."""
    return float(np.exp(0.25 * rng.standard_normal())), float(np.exp(0.2 * rng.standard_normal()))
