"""What a synthetic city is like before its seed is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.errors import UsageError


@dataclass(frozen=True)
class TwinSettings:
    """Size, truth and difficulty of a synthetic city; the defaults are the demonstration's.

    Lengths in km on a plane whose origin is the city's centre; days count from the first of an epoch.
    """

    n_cells: int = 36
    domain_km: float = 64.8
    centre_lon_deg: float = 10.0
    centre_lat_deg: float = 50.0
    utc_offset_h: int = 1
    base_start: str = "2021-09-02"
    target_start: str = "2023-09-02"
    days: int = 91
    #: Local hours [from, to) that footprints cover.
    local_hours: tuple[int, int] = (11, 17)
    co2_total_t_a: float = 16.0e6
    ch4_total_t_a: float = 6.0e3
    #: Signed change of fossil CO₂ between the epochs: of the whole region, and of the control district.
    change: float = -0.25
    control_change: float = -0.02
    festival_days: int = 16
    festival_kg_h: tuple[float, float] = (400.0, 500.0)
    #: Errors of the transport that the service uses: drawn uniformly from ± these.
    wind_turn_deg: float = 10.0
    wind_scale: float = 0.15
    mixing_bias: float = 0.20
    #: Model–data mismatch: 1σ relative to the enhancement, and the range of its correlation time [h].
    mismatch: float = 0.12
    mismatch_hours: tuple[float, float] = (6.0, 24.0)

    def __post_init__(self) -> None:
        if self.n_cells < 6 or self.days < 6 or not 0 <= self.local_hours[0] < self.local_hours[1] <= 24:
            raise UsageError(
                "a synthetic city needs at least 6 × 6 cells, 6 days and an hour a day",
                found=f"{self.n_cells} cells, {self.days} days, local hours {self.local_hours}",
            )

    @property
    def starts(self) -> dict[str, np.datetime64]:
        """First midnight (UTC) of each epoch."""
        return {
            "base": np.datetime64(self.base_start, "ns"),
            "target": np.datetime64(self.target_start, "ns"),
        }

    @property
    def festival_span(self) -> int:
        """Days the festival lasts, shorter in short seasons."""
        return min(self.festival_days, max(3, self.days // 3))

    def hours(self, epoch: str) -> np.ndarray:
        """All hours of an epoch (24·days,), labels at the beginning, UTC."""
        return np.asarray(self.starts[epoch] + np.arange(24 * self.days) * np.timedelta64(1, "h"))

    def local_hour(self, time: np.ndarray) -> np.ndarray:
        """Hour of the day, local standard time, same shape."""
        local = time + np.timedelta64(self.utc_offset_h, "h")
        return np.asarray((local - local.astype("datetime64[D]")) // np.timedelta64(1, "h")).astype("i8")

    def sampled(self, time: np.ndarray) -> np.ndarray:
        """Whether footprints cover each hour, same shape."""
        local = self.local_hour(time)
        return np.asarray((local >= self.local_hours[0]) & (local < self.local_hours[1]))
