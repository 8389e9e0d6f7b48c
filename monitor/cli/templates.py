"""What `monitor init` writes: files that pass `monitor config check` and say what to fill in."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.errors import UsageError

_SERVICE = """\
# The service. Relative paths are relative to this file.
schema_version = 1
cities = ["cities/{id}.toml"]
data = "../data"             # sources lie below this folder
workdir = "../workdir"       # gets archive/ and site/
every_minutes = 60           # a tick of the clock
first_interval = 2025-01-01  # beginning of the first scheduled interval (UTC)
interval_days = 7            # length of a scheduled interval
window_days = 56             # data used back from an interval's end
latency_hours = 24           # wait after an interval's end before it is due
"""

_CITY = """\
# `monitor config schema city` lists every key with its unit.
schema_version = 1

[city]
id = "{id}"
name = "{id}"
species = ["co2"]
utc_offset_h = 0             # local standard time minus UTC

[[station]]
id = "ONE"
name = "First station"
lon_deg = 0.0
lat_deg = 0.0
inlets_m = [100]             # above ground

[[source]]                   # one per stream of observation files
id = "one-co2"
path = "observations"        # below --data
pattern = "one_co2_*.nc"
reader = "openghg-obs"
station = "ONE"
inlet_m = 100
species = "co2"
scale = "WMO-CO2-X2019"

[[source]]                   # one per receptor of footprints
id = "one-footprints"
path = "footprints"
pattern = "ONE-100magl_*.nc"
reader = "name-footprint"
station = "ONE"
inlet_m = 100

[[inventory]]
id = "inventory"
path = "inventories/co2.nc"
reader = "openghg-flux"
species = "co2"

[[region]]
id = "{id}"
whole_grid = true            # or polygons = [[[lon, lat], …]]

[[block]]                    # a block of fluxes to estimate
name = "surface"
species = "co2"
relative_sd = 0.5            # 1 sigma of a cell, relative to the inventory
length_km = 10.0             # correlation length of its errors
time_days = 30.0

[[inversion]]
species = "co2"
background = {{ sd_ppm = 2.0, offset_sd_ppm = 2.0, correlation_hours = 48.0 }}
mismatch = {{ representation_ppm = 1.0, correlation_hours = 6.0 }}
# Errors (1 sigma) that multiply all the transport.  With these, the defaults, no change below some 60 % is
# told from none.  To declare less asserts that the transport is known better; every verdict rests on that.
transport_scale_sd = 0.09    # the part epochs share; less asserts winds known better than within 15 %
transport_epoch_sd = 0.12    # differs between epochs; less asserts mixing heights better than within 20 %
"""

_CLAIMS = """\
# `monitor config schema claims` lists every key with its unit.
schema_version = 1

[[claim]]
id = "inventory"
kind = "level"
statement = "The inventory's total is right to a quarter"
region = "{id}"
species = "co2"
period = [2025-01-01, 2025-03-01]
# months = [1, 2]            # if the number is of these months; without it, it is of whole years
value = 1.0e6
unit = "t CO2 a-1"
scope = "territorial"        # what it counts; the air sees what is emitted inside the region, scope 1
includes_biogenic = false    # whether vegetation is in the number
includes_respiration = false # whether the breath of people and livestock is
reading = "equal"
tolerance = 0.25             # of the value: within a quarter
evaluate_on = [2025-03-01]   # when the verdict is final
where = "inventory inventory"
# No block of the city file holds vegetation, or breath. Give it one, or say why it does not count:
# adjustments = [{{ item = "biogenic part", text = "…" }}, {{ item = "respiration", text = "…" }}]
"""


def written_files(folder: Path, city_id: str) -> list[Path]:
    """Write the three files of a new city below `folder`; `UsageError` when one of them is there already."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", city_id):
        raise UsageError("an id is letters, digits, '-', '_' and '.'", found=repr(city_id))
    texts = {
        folder / "monitor.toml": _SERVICE,
        folder / "cities" / f"{city_id}.toml": _CITY,
        folder / "claims" / f"{city_id}.toml": _CLAIMS,
    }
    if there := [str(path) for path in texts if path.exists()]:
        raise UsageError(
            "files are there already", found=", ".join(there), remedy="name another folder or --id"
        )
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(id=city_id), encoding="utf-8")
    return list(texts)
