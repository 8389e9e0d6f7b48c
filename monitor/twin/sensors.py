"""From the air to an instrument's record: noise, spikes, flat lines, gaps, flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.twin.geography import Site
from monitor.twin.weather import ar1

#: How an instrument fails, per kind: spikes a day, share of spikes that the file flags, flat lines and gaps
#: a season, longest gap [h].
_FAULTS: Final = {
    "icos": (0.02, 1.0, 0, 2, 20),
    "gcwerks": (0.03, 0.0, 0, 3, 30),
    "openghg": (0.10, 0.5, 1, 3, 48),
    "lowcost": (0.30, 0.3, 2, 5, 72),
}
_SPIKE: Final = {"co2": 25.0, "ch4": 0.30}


@dataclass(frozen=True)
class Record:
    """One gas at one station, all hours of an epoch: values, spread and 1σ [ppm], bad flags of the file."""

    gas: str
    time: np.ndarray
    value: np.ndarray
    stdev: np.ndarray
    sigma_ppm: float
    flagged: np.ndarray
    count: np.ndarray


def observe(rng: np.random.Generator, site: Site, gas: str, time: np.ndarray, air: np.ndarray) -> Record:
    """What the site's instrument writes down of `air` (hour,) [ppm]; NaN where it was silent."""
    ch4_ppm = (site.ch4_noise_ppb or 0.0) * 1e-3
    sigma = site.co2_noise_ppm if gas == "co2" else ch4_ppm
    n = time.size
    # Half of the noise variance stays for some hours: temperature, pressure, a drifting baseline.
    noise = sigma * (np.sqrt(0.5) * rng.standard_normal(n) + np.sqrt(0.5) * ar1(rng, n, 4.0)[0])
    value = air + noise
    spikes_a_day, share_flagged, flat_lines, gaps, longest = _FAULTS[site.kind]
    flagged = np.zeros(n, dtype=bool)
    for at in np.flatnonzero(rng.random(n) < spikes_a_day / 24.0).tolist():
        value[at] += _SPIKE[gas] * (1.0 + rng.exponential())
        flagged[at] = rng.random() < share_flagged
    for _ in range(flat_lines):
        at, length = int(rng.integers(0, n)), int(rng.integers(14, 26))
        value[at : at + length] = value[at]
    for _ in range(gaps):
        at, length = int(rng.integers(0, n)), int(rng.integers(2, longest))
        value[at : at + length] = np.nan
    spread = np.abs(sigma + 0.15 * _SPIKE[gas] * 0.1 * rng.gamma(2.0, 0.5, n))
    count = np.where(np.isnan(value), 0, rng.integers(12, 18, n))
    return Record(gas, time, value, np.where(np.isnan(value), np.nan, spread), sigma, flagged, count)


def months_of(time: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Each calendar month in `time` as ("yyyymm", indices)."""
    month = time.astype("datetime64[M]")
    return [(str(m).replace("-", ""), np.flatnonzero(month == m)) for m in np.unique(month)]


def part_of(record: Record, index: np.ndarray) -> Record:
    """The record at some hours."""
    return Record(
        record.gas,
        record.time[index],
        record.value[index],
        record.stdev[index],
        record.sigma_ppm,
        record.flagged[index],
        record.count[index],
    )
