"""A city of one station and 5 × 6 cells, written in real file formats, a file at a time, in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np

LON = np.round(1.0 + 0.1 * np.arange(6), 3)
LAT = np.round(52.0 + 0.1 * np.arange(5), 3)

CITY = """\
schema_version = 1
[city]
id = "mini"
species = ["ch4"]
[[station]]
id = "ONE"
lon_deg = 1.25
lat_deg = 52.2
inlets_m = [100]
[[source]]
id = "one"
path = "observations"
pattern = "*.dat"
reader = "gcwerks"
station = "ONE"
inlet_m = 100
scale = "WMO-CH4-X2004A"
[[source]]
id = "one-check"
path = "check"
pattern = "*.nc"
reader = "openghg-obs"
station = "ONE"
inlet_m = 100
species = "ch4"
role = "check"
[[source]]
id = "one-fp"
path = "footprints"
pattern = "*.nc"
reader = "name-footprint"
station = "ONE"
inlet_m = 100
[[inventory]]
id = "map"
path = "inventories/map.nc"
reader = "openghg-flux"
species = "ch4"
[[region]]
id = "window"
whole_grid = true
[[block]]
name = "surface"
species = "ch4"
relative_sd = 1.0
[[inversion]]
species = "ch4"
background = { sd_ppm = 0.02, offset_sd_ppm = 0.03 }
mismatch = { representation_ppm = 0.005 }
[ledger]
adjustments = ["months: a winter for the year"]
"""

CLAIMS = """\
schema_version = 1
[[claim]]
id = "map"
kind = "level"
scope = "territorial"
statement = "The map is right"
region = "window"
species = "ch4"
period = ["2020-01-01", "2020-02-01"]
value = 1.0e5
unit = "t CH4 a-1"
reading = "equal"
tolerance = 0.25
where = "inventory map"
adjustments = [{ item = "biogenic part", text = "a town without wetlands" }]
"""

#: Of the two days from 2020-01-06; both claims declare when they are judged.
JUDGED_CLAIMS = """\
schema_version = 1
[[claim]]
id = "level"
kind = "level"
scope = "territorial"
statement = "The map is right"
region = "window"
species = "ch4"
period = ["2020-01-06", "2020-01-08"]
value = 1.0e5
unit = "t CH4 a-1"
tolerance = 0.25
evaluate_on = ["2020-02-01", "2021-02-01"]
adjustments = ["months: a winter for the year", { item = "biogenic part", text = "a town without wetlands" }]
[[claim]]
id = "leak"
kind = "source"
statement = "It leaks"
species = "ch4"
lon_deg = 1.2
lat_deg = 52.1
value = 500.0
spending = { rule = "pocock", looks = ["2020-01-07", "2020-01-08", "2020-01-09"] }
period = ["2020-01-06", "2020-01-09"]
"""

SERVICE = """\
schema_version = 1
cities = ["cities/mini.toml"]
data = "../data"
workdir = "../workdir"
every_minutes = 0.01
first_interval = 2020-01-06
interval_days = 2
latency_hours = 6
step_timeout_s = 60
step_memory_mib = 8192
"""


@dataclass(frozen=True)
class MiniCity:
    """Where the city lies; its methods write the files of given days."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config" / "cities" / "mini.toml"

    @property
    def claims(self) -> Path:
        return self.root / "config" / "claims" / "mini.toml"

    @property
    def service(self) -> Path:
        return self.root / "config" / "monitor.toml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def workdir(self) -> Path:
        return self.root / "workdir"

    def observations(
        self, day: str, days: int = 2, *, add_ppb: float = 0.0, created: str = "1 Feb 20"
    ) -> Path:
        """A GCWERKS file of hourly rows."""
        start = datetime.fromisoformat(day)
        lines = [
            f"Created:  {created} 00:00 GMT",
            "     -      -         -    -       ch4     ch4   ch4",
            "  date   time      type port         C   stdev     N",
        ]
        for hour in range(24 * days):
            middle = start + timedelta(hours=hour, minutes=30)
            value = 1950.0 + 20.0 * np.sin(hour / 4.0) + 3.0 * np.cos(hour * 1.7) + add_ppb
            lines.append(f"{middle:%y%m%d %H%M%S}       air    9 {value:10.3f}   0.700    17")
        path = self.data / "observations" / f"one.{day}.{created.replace(' ', '')}.dat"
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return path

    def check(self, day: str, days: int = 2, *, unit: str = "1e-9", factor: float = 1.0) -> Path:
        """An OpenGHG file of hourly rows at the same inlet."""
        path = self.data / "check" / f"one_{day}.nc"
        hours = 24 * days
        with netCDF4.Dataset(path, "w") as file:
            _time(file, day, hours, {"label": "left", "sampling_period_seconds": 3600.0})
            values = file.createVariable("ch4", "f4", ("time",))
            values[:] = (1950.0 + 20.0 * np.sin(np.arange(hours) / 4.0)) * factor
            values.units = unit
            file.setncatts({"species": "ch4", "site": "one", "inlet": "100m", "scale": "WMOX2004A"})
            file.setncatts({"station_longitude": 1.25, "station_latitude": 52.2})
        return path

    def footprints(self, day: str, days: int = 2, *, lon: np.ndarray = LON) -> Path:
        """A file of hourly footprints in the old OpenGHG form."""
        path = self.data / "footprints" / f"one_{day}.nc"
        hours = 24 * days
        with netCDF4.Dataset(path, "w") as file:
            _axes(file, lon)
            _time(file, day, hours, {"label": "left", "period": "1.0 hours"})
            fp = file.createVariable("fp", "f4", ("lat", "lon", "time"))
            cells = np.arange(LAT.size * lon.size).reshape(LAT.size, lon.size, 1)
            fp[:] = 0.01 * (1.0 + np.sin(cells + np.arange(hours) / 3.0) ** 2)
            fp.units = "(mol/mol)/(mol/m2/s)"
            for name, value in (("release_lon", 1.25), ("release_lat", 52.2)):
                file.createVariable(name, "f4", ("time",))[:] = np.full(hours, value)
            file.setncatts({"species": "inert", "model": "TEST", "site": "ONE", "inlet_height": "100magl"})
        return path

    def inventory(self, flux: float = 1e-8, *, hours: int = 1) -> Path:
        """An OpenGHG flux file: of one time, or hour by hour from the beginning of 2020."""
        path = self.data / "inventories" / "map.nc"
        with netCDF4.Dataset(path, "w") as file:
            _axes(file, LON)
            _time(file, "2020-01-01", hours, {"notes": "Start of time period"})
            field = file.createVariable("flux", "f4", ("lat", "lon", "time"))
            field[:] = np.full((LAT.size, LON.size, hours), flux)
            field.units = "mol/m2/s"
            file.setncatts({"species": "ch4", "source": "all", "title": "A map"})
        return path


def write_mini_city(root: Path) -> MiniCity:
    """The configuration and the inventory; no observations yet."""
    for folder in ("config/cities", "config/claims", "data/observations", "data/check"):
        (root / folder).mkdir(parents=True)
    for folder in ("data/footprints", "data/inventories"):
        (root / folder).mkdir(parents=True)
    city = MiniCity(root)
    city.config.write_text(CITY)
    city.claims.write_text(CLAIMS)
    city.service.write_text(SERVICE)
    city.inventory()
    return city


def write_judged_city(root: Path) -> MiniCity:
    """The city with two days of data, and two claims about them."""
    city = write_mini_city(root)
    city.observations("2020-01-06")
    city.footprints("2020-01-06")
    city.claims.write_text(JUDGED_CLAIMS)
    return city


def _axes(file: netCDF4.Dataset, lon: np.ndarray) -> None:
    for name, values in (("lat", LAT), ("lon", lon)):
        file.createDimension(name, values.size)
        file.createVariable(name, "f8", (name,))[:] = values


def _time(file: netCDF4.Dataset, day: str, hours: int, attributes: dict) -> None:
    file.createDimension("time", hours)
    axis = file.createVariable("time", "i8", ("time",))
    axis[:] = np.datetime64(day, "s").astype("i8") + 3600 * np.arange(hours)
    axis.units = "seconds since 1970-01-01"
    axis.setncatts(attributes)
