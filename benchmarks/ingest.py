"""Reading."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from monitor.domain import Station
from monitor.plugins import ReadContext, get_reader


def gcwerks_text(rows: int) -> str:
    """A file as the instrument's program writes it: hourly, methane, labels in the middle of a segment."""
    time = np.datetime64("2023-01-01T00:19:30", "s") + np.arange(rows) * np.timedelta64(1, "h")
    value = 1950.0 + 20.0 * np.sin(np.arange(rows) / 40.0)
    lines = [
        "Created:  1 Jan 24 00:00 GMT",
        "     -      -         -    -       ch4     ch4   ch4",
        "  date   time      type port         C   stdev     N",
    ]
    for moment, methane in zip(time, value, strict=True):
        stamp = str(moment).replace("-", "").replace(":", "")
        lines.append(f"{stamp[2:8]} {stamp[9:]}       air    9{methane:10.2f}{1.5:8.3f}{290:6d}")
    return "\n".join(lines) + "\n"


class Gcwerks:
    """A year of hourly rows takes 8,760."""

    params = (200, 8760)
    param_names = ("rows",)
    order = 500

    def setup(self, rows: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "exa.picarro.hourly.50m.dat"
        self.path.write_text(gcwerks_text(rows), encoding="ascii")
        station = Station("EXA", 11.5, 48.1, (50.0,))
        self.context = ReadContext(species="ch4", station=station, inlet_m=50.0, scale="WMO-CH4-X2004A")
        self.reader = get_reader("gcwerks")

    def time_read_gcwerks(self, rows: int) -> None:
        self.reader.read(self.path, self.context)
