"""Storing and loading an object."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import city
from monitor.archive import Archive
from monitor.domain import Station


class Objects:
    """A station-month of hourly values has 744 rows."""

    params = (48, 744)
    param_names = ("rows",)
    order = 500

    def setup(self, rows: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.archive = Archive.open(Path(self.folder.name))
        time = np.datetime64("2023-01-01", "ns") + np.arange(rows) * city.HOUR
        values = 420.0 + np.random.default_rng(3).random(rows)
        self.dataset = city.series(values, time, Station("S", 10.0, 50.0, (80.0,)))
        self.digest = self.archive.store(self.dataset).digest
        self.calls = 0

    def time_store_object(self, rows: int) -> None:
        # equal content is stored once: each call has its own
        self.calls += 1
        self.archive.store(self.dataset.assign_attrs(call=self.calls))

    def time_load_object(self, rows: int) -> None:
        self.archive.load(self.digest)
