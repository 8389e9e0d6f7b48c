"""Observations joined with their footprints: one row per value that enters the inversion.

A row is an hourly mean, or the mean of a day's selected hours; its footprint is the mean over the same
hours.  Every footprint hour is either used or excluded with a reason, and the counts add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor.contracts import USABLE, Flag, Reason, ensure_footprints, ensure_observations
from monitor.domain import Interval
from monitor.errors import InputError
from monitor.inversion.assumptions import Selection

_HOUR = np.timedelta64(3600, "s").astype("timedelta64[ns]")
OUTSIDE_PERIOD, OUTSIDE_HOURS, TOO_FEW = (
    "outside the epochs",
    "outside the selected hours",
    "too few hours in the day",
)


@dataclass(frozen=True, eq=False)
class ObservationTable:
    """n observations.

    Attributes
    ----------
    start, end : (n,) datetime64[ns]
    station : (n,) int
        Index into `inlets`.
    value, uncertainty, spread : (n,)
        Mole fraction, its instrument 1σ and its spread within the interval [µmol mol⁻¹]; NaN unknown.
    wind_from_deg : (n,)
        At the receptor; NaN unknown.
    averaging : dict of inlet -> (n_inlet, receptor) csr
        Rows average the receptors (hours) of that inlet's footprints.
    excluded : dict of reason -> hours
    """

    inlets: tuple[str, ...]
    start: np.ndarray
    end: np.ndarray
    station: np.ndarray
    value: np.ndarray
    uncertainty: np.ndarray
    spread: np.ndarray
    wind_from_deg: np.ndarray
    averaging: Mapping[str, sp.csr_array]
    excluded: Mapping[str, int]
    footprint_hours: int

    @property
    def n(self) -> int:
        return int(self.value.size)

    @property
    def hours(self) -> np.ndarray:
        """Middles, hours since 1970 (n,)."""
        middle = self.start + (self.end - self.start) / 2
        return np.asarray(middle.astype("datetime64[s]").astype("f8") / 3600.0)


def join(
    observations: Mapping[str, xr.Dataset],
    footprints: Mapping[str, xr.Dataset],
    epochs: list[Interval],
    selection: Selection,
) -> ObservationTable:
    """Join hourly observations and hourly footprints per inlet.

    Parameters
    ----------
    observations, footprints
        By inlet; observations are hourly means of the observations contract.

    Raises
    ------
    InputError
        When an inlet has observations but no footprints, or nothing at all is left.
    """
    missing = sorted(set(observations) - set(footprints))
    if missing:
        raise InputError(
            f"no footprints for {', '.join(missing)}",
            expected="one footprint source per inlet used",
            found=", ".join(sorted(footprints)) or "none",
        )
    inlets = tuple(sorted(observations))
    parts = [_join_inlet(observations[i], footprints[i], epochs, selection) for i in inlets]
    excluded: Counter[str] = Counter()
    for part in parts:
        excluded.update(part.excluded)
    if not sum(part.value.size for part in parts):
        reasons = ", ".join(f"{k}: {v}" for k, v in sorted(excluded.items()))
        raise InputError(
            "no observation is left for the inversion",
            found=reasons or "no common hour of observations and footprints",
            remedy="check the interval, the epochs, the selected hours and the quality flags",
        )
    return ObservationTable(
        inlets=inlets,
        start=np.concatenate([p.start for p in parts]),
        end=np.concatenate([p.end for p in parts]),
        station=np.concatenate([np.full(p.value.size, i) for i, p in enumerate(parts)]),
        value=np.concatenate([p.value for p in parts]),
        uncertainty=np.concatenate([p.uncertainty for p in parts]),
        spread=np.concatenate([p.spread for p in parts]),
        wind_from_deg=np.concatenate([p.wind for p in parts]),
        averaging={inlet: p.averaging for inlet, p in zip(inlets, parts, strict=True)},
        excluded=dict(sorted(excluded.items())),
        footprint_hours=sum(p.hours for p in parts),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    start: np.ndarray
    end: np.ndarray
    value: np.ndarray
    uncertainty: np.ndarray
    spread: np.ndarray
    wind: np.ndarray
    averaging: sp.csr_array
    excluded: Counter[str]
    hours: int


def _join_inlet(
    observations: xr.Dataset, footprints: xr.Dataset, epochs: list[Interval], selection: Selection
) -> _Part:
    ensure_observations(observations)
    ensure_footprints(footprints)
    time = footprints["time"].values
    row = _row_of(observations["time"].values, time)
    reason = _reasons(observations, row)
    local = time + np.timedelta64(round(selection.utc_offset_h * 3600), "s")
    hour = (local - local.astype("datetime64[D]")) / _HOUR
    chosen = (hour >= selection.local_hours[0]) & (hour < selection.local_hours[1])
    inside = np.zeros(time.size, dtype=bool)
    for epoch in epochs:
        inside |= (time >= epoch.start64) & (time < epoch.end64)
    reason = np.where(~chosen, OUTSIDE_HOURS, reason)
    reason = np.where(~inside, OUTSIDE_PERIOD, reason)
    day = local.astype("datetime64[D]")
    if selection.average == "daily":
        used = np.flatnonzero(reason == "")
        days, count = np.unique(day[used], return_counts=True)
        poor = np.isin(day, days[count < selection.min_hours]) & (reason == "")
        reason = np.where(poor, TOO_FEW, reason)
    used = np.flatnonzero(reason == "")
    label = day[used] if selection.average == "daily" else time[used]
    _, group = np.unique(label, return_inverse=True)
    n = int(group.max()) + 1 if used.size else 0
    weight = 1.0 / np.bincount(group, minlength=n)[group] if used.size else np.zeros(0)
    average = sp.csr_array((weight, (group, used)), shape=(n, time.size))
    columns = _averaged(observations, row, used, group, n)
    excluded = Counter(
        {str(k): int(v) for k, v in zip(*np.unique(reason[reason != ""], return_counts=True), strict=True)}
    )
    return _Part(
        start=_reduce(np.minimum, time[used], group, n),
        end=_reduce(np.maximum, time[used] + _HOUR, group, n),
        value=columns["mole_fraction"],
        uncertainty=columns["uncertainty"],
        spread=columns["stdev"],
        wind=_mean_direction(footprints, average),
        averaging=average,
        excluded=excluded,
        hours=time.size,
    )


def _row_of(observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of each wanted time among the observed ones, −1 where there is none."""
    index = np.clip(np.searchsorted(observed, wanted), 0, max(observed.size - 1, 0))
    if observed.size == 0:
        return np.full(wanted.size, -1)
    return np.where(observed[index] == wanted, index, -1)


def _reasons(observations: xr.Dataset, row: np.ndarray) -> np.ndarray:
    """Why each footprint hour cannot be used; "" where it can."""
    if observations.sizes["time"] == 0:
        return np.full(row.size, "no row", dtype=object)
    flag = np.where(row >= 0, observations["flag"].values[row], Flag.MISSING)
    mask = np.where(row >= 0, observations["flag_reason"].values[row], Reason.GAP)
    out = np.full(row.size, "", dtype=object)
    for i in np.flatnonzero(~np.isin(flag, USABLE)):
        if flag[i] == Flag.MISSING:
            out[i] = "no row" if mask[i] & Reason.GAP else "not a number"
        else:
            names = [str(r.name).lower().replace("_", " ") for r in Reason if r and mask[i] & r]
            out[i] = f"flagged {Flag(int(flag[i])).name.lower()}: {', '.join(names) or 'no reason given'}"
    return out


def _averaged(
    observations: xr.Dataset, row: np.ndarray, used: np.ndarray, group: np.ndarray, n: int
) -> dict[str, np.ndarray]:
    """Group means; of uncertainties too, because calibration errors do not average out.

    An uncertainty or spread unknown for some hours is the mean of the others, NaN when none is known.
    """
    out = {}
    for name in ("mole_fraction", "uncertainty", "stdev"):
        values = observations[name].values[row[used]]
        known = np.isfinite(values)
        count = np.bincount(group[known], minlength=n)
        total = np.bincount(group[known], weights=values[known], minlength=n)
        out[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def _reduce(ufunc: np.ufunc, values: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros(n, dtype="datetime64[ns]")
    if n:
        order = np.argsort(group, kind="stable")
        first = np.searchsorted(group[order], np.arange(n))
        out = ufunc.reduceat(values[order], first)
    return out


def _mean_direction(footprints: xr.Dataset, average: sp.csr_array) -> np.ndarray:
    """Vector mean of the wind's direction over each row's hours [deg]; NaN without wind."""
    if "wind_direction" not in footprints:
        return np.full(average.shape[0], np.nan)
    angle = np.deg2rad(footprints["wind_direction"].values.astype("f8"))
    east, north = average @ np.sin(angle), average @ np.cos(angle)
    return np.asarray(np.rad2deg(np.arctan2(east, north)) % 360.0)
