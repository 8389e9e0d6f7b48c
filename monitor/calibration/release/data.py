"""The table of a controlled release: five-minute samples, the air they were taken in, and half-hour means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from monitor.errors import SourceFormatError
from monitor.transport.surface_plume import Air, Inlets

#: Models are chosen on what was measured before, and judged once on the rest.
DEVELOPMENT_ENDS: Final = np.datetime64("2015-05-27")
#: The release was shut, at its main setting, or at another setting or changing.
OFF, MAIN, OTHER = 0, 1, 2
#: Length of the means that the model is held against; 5-minute wind directions are too noisy for a plume.
BLOCK_MINUTES: Final = 30
#: Height of the anemometer [m]: that of the eddy-covariance tower whose wind is in the table.
ANEMOMETER_M: Final = 2.3
#: σ_θ of the plume [rad] before its factor.  On the development dates a constant has the evidence of
#: (σ_u/u)^½ and 40 nats more than σ_u/u.
_SPREAD: Final = 0.2
#: Rates within this of the main setting belong to it [g min⁻¹].
_SETTING_G_MIN: Final = 0.05
_NUMBERS: Final = [
    *("release_rate", "air_temp", "air_pressure", "wind_speed", "wind_dir", "L"),
    *("source_x", "source_y", "z", "x1", "y1", "Concentration"),
]
_ALL: Final = ("Time", "inst_name", "inst_group", "x2", "y2", *_NUMBERS)


@dataclass(frozen=True, eq=False)
class Samples:
    """Five-minute samples (n,) and the air of their intervals (t,).

    Attributes
    ----------
    time : (n,) datetime64[s]
        As in the file: local standard time, because the release kept working hours.
    instrument, group : (n,) str
    inlets : Inlets
        Its `interval` is the row of `air`.
    mole_fraction : (n,) [µmol mol⁻¹]
    state : (n,) int
        `OFF`, `MAIN` or `OTHER`.
    setting_g_min, source_m
        The truth; nothing but the judgement reads it.
    """

    time: np.ndarray
    instrument: np.ndarray
    group: np.ndarray
    inlets: Inlets
    air: Air
    mole_fraction: np.ndarray
    state: np.ndarray
    setting_g_min: float
    source_m: tuple[float, float]

    def select(self, rows: np.ndarray) -> Samples:
        """The rows of a mask (n,)."""
        own = {name: getattr(self, name)[rows] for name in ("time", "instrument", "group", "mole_fraction")}
        return replace(self, inlets=self.inlets.select(rows), state=self.state[rows], **own)

    def windy(self, least_m_s: float) -> np.ndarray:
        """Samples with at least this wind, the release off or at its main setting (n,)."""
        speed = self.air.speed_m_s[self.inlets.interval]
        return np.asarray((speed >= least_m_s) & (self.state != OTHER))


@dataclass(frozen=True, eq=False)
class Blocks:
    """Means of the samples of one instrument within one half hour, the release on or off throughout (b,).

    Attributes
    ----------
    of : (n,)
        Block of each sample.
    count, mole_fraction, hours : (b,)
        Samples in it, their mean, and the hours since 1970 of their mean time.
    instrument : (b,)
        Index into `names`.
    group, day : (b,)
    on : (b,) bool
    names : (i,)
    """

    samples: Samples
    of: np.ndarray
    count: np.ndarray
    mole_fraction: np.ndarray
    hours: np.ndarray
    instrument: np.ndarray
    names: np.ndarray
    group: np.ndarray
    day: np.ndarray
    on: np.ndarray

    @cached_property
    def lag_h(self) -> np.ndarray:
        """Hours between any two (b, b)."""
        return np.asarray(np.abs(np.subtract.outer(self.hours, self.hours)))

    @cached_property
    def same(self) -> np.ndarray:
        """1.0 where two are of one instrument (b, b)."""
        return np.asarray(self.instrument[:, None] == self.instrument, dtype="f8")

    @cached_property
    def speed_m_s(self) -> np.ndarray:
        """Mean wind (b,)."""
        return self.mean(self.samples.air.speed_m_s[self.samples.inlets.interval])

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Block means (b,) of values per sample (n,)."""
        return np.asarray(np.bincount(self.of, values, minlength=self.count.size) / self.count)


def read_release(path: Path) -> Samples:
    """The table of the release experiment; every row is kept.

    Raises
    ------
    SourceFormatError
        When a column is missing, a number is none, or an instrument has no place.
    """
    try:
        table = pd.read_csv(path, parse_dates=["Time"])
    except (ValueError, pd.errors.ParserError) as error:
        raise SourceFormatError(f"no table of a release: {error}", where=str(path)) from error
    missing = [name for name in _ALL if name not in table]
    if missing:
        raise SourceFormatError(
            f"the table of the release lacks {', '.join(missing)}",
            expected=", ".join(_ALL),
            found=", ".join(table.columns),
            where=str(path),
        )
    numbers = table[_NUMBERS].apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy("f8")).all(axis=1) | (table["L"] == 0) | (table["wind_speed"] <= 0)
    if bad.any() or table.empty:
        line = int(np.argmax(bad.to_numpy())) + 2 if bad.any() else 1
        raise SourceFormatError(
            "a row of the release cannot be used",
            expected="numbers, a wind above 0 and an Obukhov length other than 0",
            found=f"{int(bad.sum())} such rows of {len(table)}",
            where=f"{path}, line {line}",
        )
    return _samples(table.sort_values(["inst_no", "Time"], kind="stable").reset_index(drop=True))


def _samples(table: pd.DataFrame) -> Samples:
    air = table.drop_duplicates("Time").sort_values("Time")
    interval = np.searchsorted(air["Time"].to_numpy(), table["Time"].to_numpy())
    rate = table["release_rate"].to_numpy("f8")
    setting = float(pd.Series(rate[rate > 0]).round(1).mode().iloc[0])
    main = np.abs(rate - setting) <= _SETTING_G_MIN
    speed = air["wind_speed"].to_numpy("f8")
    x1, y1 = table["x1"].to_numpy("f8"), table["y1"].to_numpy("f8")
    x2, y2 = table["x2"].fillna(table["x1"]).to_numpy("f8"), table["y2"].fillna(table["y1"]).to_numpy("f8")
    return Samples(
        time=table["Time"].to_numpy().astype("datetime64[s]"),
        instrument=table["inst_name"].to_numpy(str),
        group=table["inst_group"].to_numpy(str),
        inlets=Inlets(x1, y1, x2, y2, table["z"].to_numpy("f8"), interval),
        air=Air(
            speed_m_s=speed,
            from_deg=air["wind_dir"].to_numpy("f8"),
            obukhov_m=air["L"].to_numpy("f8"),
            spread=np.full(speed.size, _SPREAD),
            temperature_k=air["air_temp"].to_numpy("f8"),
            pressure_pa=air["air_pressure"].to_numpy("f8"),
            anemometer_m=ANEMOMETER_M,
        ),
        mole_fraction=table["Concentration"].to_numpy("f8"),
        state=np.where(rate == 0, OFF, np.where(main, MAIN, OTHER)),
        setting_g_min=setting,
        source_m=(float(table["source_x"].iloc[0]), float(table["source_y"].iloc[0])),
    )


def blocks_of(samples: Samples) -> Blocks:
    """Half-hour means by instrument and state of the release, in that order."""
    names, instrument = np.unique(samples.instrument, return_inverse=True)
    seconds = samples.time.astype("i8")
    key = np.stack([instrument, seconds // (60 * BLOCK_MINUTES), samples.state], axis=1)
    _, first, of = np.unique(key, axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)
    count = np.bincount(of).astype("f8")
    return Blocks(
        samples=samples,
        of=of,
        count=count,
        mole_fraction=np.bincount(of, samples.mole_fraction) / count,
        hours=np.bincount(of, seconds / 3600.0) / count,
        instrument=instrument[first],
        names=names,
        group=samples.group[first],
        day=samples.time[first].astype("datetime64[D]"),
        on=samples.state[first] == MAIN,
    )
