"""Every assumption of an inversion, visible and changeable: plain frozen dataclasses.

Standard deviations are in µmol mol⁻¹, times in hours or days, lengths in km, as the names say.  The
values are prior medians where a scale is estimated from the data (`estimate_scales`).  They are positive;
only where it says "0 for none" can a part be left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monitor.errors import InputError
from monitor.inversion.ensure import ensure_kind, ensure_numbers
from monitor.inversion.receptors import Difference
from monitor.inversion.state import Correlation, FluxBlock


@dataclass(frozen=True)
class Background:
    """The inflow: a constant per epoch and an AR(1) process, on top of a given baseline.

    Attributes
    ----------
    per
        "network": one AR(1) process for all stations; "station": one each; "side": one per inflow side
        (N, E, S, W by the wind at the receptor).
    sd_ppm, correlation_hours
        Of the AR(1) process.
    offset_sd_ppm
        Of the constant, one per epoch.
    station_offset_sd_ppm
        Of a constant per station and epoch (scale differences); 0 for none.
    station_drift_sd_ppm
        Of a drift per station and epoch, linear in time, in ppm per 30 days; 0 for none.
    by_side
        A factor on the AR(1) process and a constant per inflow side, both estimated.
    """

    per: str = "network"
    sd_ppm: float = 2.0
    correlation_hours: float = 48.0
    offset_sd_ppm: float = 10.0
    station_offset_sd_ppm: float = 0.0
    station_drift_sd_ppm: float = 0.0
    by_side: bool = False

    def __post_init__(self) -> None:
        if self.per not in ("network", "station", "side"):
            raise InputError(f"no inflow per '{self.per}'", expected="network, station, side")
        ensure_numbers(
            self,
            positive=("sd_ppm", "correlation_hours", "offset_sd_ppm"),
            non_negative=("station_offset_sd_ppm", "station_drift_sd_ppm"),
        )


@dataclass(frozen=True)
class Mismatch:
    """R as named parts.

    Attributes
    ----------
    instrument_floor_ppm
        Least instrument error.  An error that is not known (NaN) is the median of the station's; where none
        is known it is this floor, which must then be positive.
    representation_ppm
        Independent, every observation; with several stations a factor each is estimated.
    variability_factor
        A part proportional to the spread within the hour, correlated in time; ``None`` for none.
    least_fraction
        The transport error is never smaller than at this fraction of the mean reference enhancement.
    transport_fraction
        Transport error as a fraction of the reference enhancement.
    correlation_hours
        Of the transport error, within a station.
    common_fraction
        A transport error that all stations share at a time, as a fraction; 0 for none.
    by_hour
        A factor per three-hour class of the local day on the transport error.
    """

    instrument_floor_ppm: float = 0.0
    representation_ppm: float = 0.5
    variability_factor: float | None = None
    least_fraction: float = 0.3
    transport_fraction: float = 0.3
    correlation_hours: float = 8.0
    common_fraction: float = 0.0
    by_hour: bool = False

    def __post_init__(self) -> None:
        ensure_numbers(
            self,
            positive=(
                *("representation_ppm", "variability_factor", "least_fraction"),
                *("transport_fraction", "correlation_hours"),
            ),
            non_negative=("instrument_floor_ppm", "common_fraction"),
        )


@dataclass(frozen=True)
class Selection:
    """Which hours are used, and what is made of them.

    Attributes
    ----------
    average
        "hourly" or "daily".
    local_hours
        First and last (exclusive) hour of the local day that is used.
    min_hours
        Least number of hours in a daily mean.
    differences
        Pairs of stations whose difference replaces their values; other stations keep theirs.
    """

    average: str = "hourly"
    local_hours: tuple[int, int] = (0, 24)
    min_hours: int = 1
    utc_offset_h: float = 0.0
    differences: tuple[Difference, ...] = ()

    def __post_init__(self) -> None:
        if self.average not in ("hourly", "daily"):
            raise InputError(f"no average '{self.average}'", expected="hourly, daily")
        first, last = self.local_hours
        if not 0 <= first < last <= 24:
            raise InputError(
                "Selection.local_hours is no part of a day: the start must be below the end",
                expected="0 ≤ start < end ≤ 24",
                found=f"{self.local_hours}",
                remedy="hours across midnight cannot be selected",
            )
        ensure_numbers(self, positive=("min_hours",))
        if not -24 <= self.utc_offset_h <= 24:
            raise InputError(
                "Selection.utc_offset_h is out of range",
                expected="hours, −24 to 24",
                found=f"{self.utc_offset_h}",
            )


@dataclass(frozen=True)
class TransportScale:
    """A multiplicative transport error [relative 1σ]: common to all epochs, and one per epoch.

    It is in no residual, because the fluxes absorb it; so it is added to the covariance of totals.
    """

    common_sd: float = 0.0
    epoch_sd: float = 0.0

    def __post_init__(self) -> None:
        ensure_numbers(self, non_negative=("common_sd", "epoch_sd"))

    def inflate(
        self,
        totals: np.ndarray,
        covariance: np.ndarray,
        epoch: np.ndarray | None = None,
        *,
        ratio: bool = False,
    ) -> np.ndarray:
        """Covariance (k, k) of totals (k,) with the error added.

        In a ratio of totals the common part cancels, and is left out: kept in the covariance it would
        cancel from the σ of the ratio but still widen Fieller's interval, by (1 − z² common_sd²)^-½.
        `epoch` (k,) labels each total's epoch; each is of its own epoch if absent.
        """
        label = np.arange(totals.size) if epoch is None else epoch
        same = label[:, None] == label[None, :]
        common = 0.0 if ratio else self.common_sd**2
        return np.asarray(covariance + (common + self.epoch_sd**2 * same) * np.outer(totals, totals))


_PARTS = {
    "background": Background,
    "mismatch": Mismatch,
    "correlation": Correlation,
    "selection": Selection,
}


@dataclass(frozen=True)
class Assumptions:
    """All of an inversion.

    Attributes
    ----------
    state
        The blocks of fluxes; empty for one block of cells for each prior.
    correlation
        Of the errors of the prior, for blocks that have none of their own.
    """

    state: tuple[FluxBlock, ...] = ()
    background: Background = field(default_factory=Background)
    mismatch: Mismatch = field(default_factory=Mismatch)
    correlation: Correlation = field(default_factory=Correlation)
    selection: Selection = field(default_factory=Selection)
    estimate_scales: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.state, FluxBlock):
            raise InputError(
                "state is a tuple of blocks", found="one FluxBlock", remedy="state=(FluxBlock(…),)"
            )
        ensure_kind("Assumptions.state", self.state, tuple)
        for k, block in enumerate(self.state):
            ensure_kind(f"Assumptions.state[{k}]", block, FluxBlock)
        for name, kind in _PARTS.items():
            ensure_kind(f"Assumptions.{name}", getattr(self, name), kind)
