"""Footprints."""

from __future__ import annotations

import numpy as np

from benchmarks import city
from monitor.domain import Station
from monitor.transport.forward import modelled_enhancement
from monitor.transport.plume import plume_footprints


class Plume:
    """Gaussian-plume footprints of one receptor on 36 × 36 cells."""

    params = (24, 546)
    param_names = ("hours",)
    order = 500

    def setup(self, hours: int) -> None:
        self.grid = city.grid(36)
        self.station = Station("S0", 10.05, 50.03, (80.0,))
        self.weather = city.weather(np.datetime64("2023-03-01", "ns") + np.arange(hours) * city.HOUR)

    def time_plume_footprints(self, hours: int) -> None:
        plume_footprints(self.grid, self.station, 80.0, self.weather)


class Forward:
    """A flux map seen through a season of footprints."""

    params = (24, 546)
    param_names = ("hours",)
    order = 500

    def setup(self, hours: int) -> None:
        plume = Plume()
        plume.setup(hours)
        self.footprints = plume_footprints(plume.grid, plume.station, 80.0, plume.weather)
        self.flux = city.flux(plume.grid)

    def time_modelled_enhancement(self, hours: int) -> None:
        modelled_enhancement(self.footprints, self.flux)
