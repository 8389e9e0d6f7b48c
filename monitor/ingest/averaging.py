"""Averages over hours and over the windows of days, with count, spread and uncertainty.

A row belongs to the bin that holds the **midpoint** of its bounds; only rows with a usable flag are
averaged, each with the same weight.  With the rows' means xᵢ, spreads sᵢ and uncertainties uᵢ (n of them):

- mean       x̄ = Σ xᵢ / n
- spread     s² = Σ sᵢ² / n + Σ (xᵢ − x̄)² / n   (law of total variance; an unknown sᵢ counts as 0)
- uncertainty u² = Σ uᵢ² / n + (1 − f) s² / n

The first term of u² takes the instrument's error as common to all rows of a bin: calibration does not
average out.  The second is the sampling error of a bin of which the rows cover only the fraction f (finite
population correction); each row counts as one independent sample, because samples within a row are not
independent.  Both are NaN where nothing is known.

Bins without a usable row stay in the result, with NaN, and say why in `flag` and `flag_reason`:
no row (missing, gap), no number (missing), or the flags of the rows that were there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import xarray as xr

from monitor.contracts import (
    USABLE,
    Flag,
    ObservationColumns,
    Reason,
    ensure_observations,
    observations_dataset,
)
from monitor.domain import Interval
from monitor.errors import UsageError

_HOUR = np.timedelta64(3600, "s").astype("timedelta64[ns]")
#: Keys of `hour_accounting` beside "flagged …".
USED, NO_ROW, NOT_A_NUMBER = "used", "no row", "not a number"


@dataclass(frozen=True)
class _Rows:
    """The usable rows of a dataset, each array (row,)."""

    bin: np.ndarray
    value: np.ndarray
    stdev: np.ndarray
    uncertainty: np.ndarray
    count: np.ndarray
    seconds: np.ndarray


def hourly_mean(observations: xr.Dataset, hours: Interval | None = None) -> xr.Dataset:
    """Means over whole UTC hours.

    Parameters
    ----------
    observations : xr.Dataset
        The observations contract; rows of any length up to an hour.
    hours : Interval, optional
        Whole hours to cover; every one of them is a row of the result.  Without it, the hours from the first
        to the last row.

    Returns
    -------
    xr.Dataset
        The observations contract on hours.  `count` is the number of samples (one for a row that
        states none).

    Raises
    ------
    UsageError
        When `hours` does not begin and end on whole hours, or there is neither row nor `hours`.
    """
    ensure_observations(observations)
    start = _hour_starts(observations, hours)
    middle = _midpoints(observations)
    bins = np.floor_divide((middle - start[0]).astype("i8"), int(_HOUR.astype("i8")))
    bins = np.where((bins >= 0) & (bins < start.size), bins, -1)
    columns = _average(observations, bins, start, start + _HOUR)
    return observations_dataset(columns, _stepped(observations, "hourly_mean"))


def period_mean(
    observations: xr.Dataset,
    *,
    local_hours: tuple[int, int] = (12, 17),
    utc_offset_h: float = 0.0,
    min_hours: int = 3,
    days: Interval | None = None,
) -> xr.Dataset:
    """Means over the same window of local hours on every day, such as well-mixed afternoons.

    Parameters
    ----------
    observations : xr.Dataset
        The observations contract; averaged to hours first, so that each hour weighs the same.
    local_hours : (first, last)
        The window [first, last) in local hours, 0 ≤ first < last ≤ 24.
    utc_offset_h : float
        Local time minus UTC, fixed (standard time all year).
    min_hours : int
        Days with fewer usable hours keep their mean but are flagged suspect, reason FEW_SAMPLES.
    days : Interval, optional
        Windows wholly inside are covered; without it, all that touch the data.

    Returns
    -------
    xr.Dataset
        The observations contract, one row a day, `time_bnds` the window in UTC, and a variable
        `hours` with the number of usable hours.

    Raises
    ------
    UsageError
        When the window or `min_hours` makes no sense.
    """
    first, last = local_hours
    if not 0 <= first < last <= 24 or not 1 <= min_hours <= last - first:
        raise UsageError(
            "the window of local hours makes no sense",
            expected="0 ≤ first < last ≤ 24 and 1 ≤ min_hours ≤ last − first",
            found=f"local_hours {local_hours}, min_hours {min_hours}",
        )
    hourly = hourly_mean(observations)
    start, end = _windows(hourly, local_hours, utc_offset_h, days)
    middle = _midpoints(hourly)
    bins = np.searchsorted(start, middle, side="right") - 1
    bins = np.where((bins >= 0) & (middle < end[np.maximum(bins, 0)]), bins, -1)
    columns = _average(hourly, bins, start, end)
    usable = _usable(hourly) & (bins >= 0)
    n_hours = np.bincount(bins[usable], minlength=start.size)
    few = (n_hours > 0) & (n_hours < min_hours)
    columns.flag[few] = Flag.SUSPECT
    assert columns.flag_reason is not None
    columns.flag_reason[few] |= Reason.FEW_SAMPLES
    detail = f"period_mean: local hours {first}–{last}, UTC{utc_offset_h:+g} h, at least {min_hours} h"
    result = observations_dataset(columns, _stepped(hourly, detail))
    return result.assign(hours=("time", n_hours.astype("i4"), {"units": "h", "long_name": "usable hours"}))


def hour_accounting(observations: xr.Dataset, hours: Interval) -> dict[str, int]:
    """What became of every hour of an interval: ``{"used": …, reason: count, …}``.

    Reasons are "no row", "not a number" and "flagged bad: range" and the like (flag and test names); the
    counts add up to the hours of the interval.  An hour with several rows is used if one of them is.
    """
    hourly = hourly_mean(observations, hours)
    flags, reasons = hourly["flag"].values, hourly["flag_reason"].values
    counts = Counter(
        describe_flag(int(flag), int(reason)) for flag, reason in zip(flags, reasons, strict=True)
    )
    return {USED: counts.pop(USED, 0), **dict(sorted(counts.items()))}


def describe_flag(flag: int, reason: int) -> str:
    """One flag with its reason in words: "used", "no row", "not a number", "flagged bad: range+spike"."""
    if flag in USABLE:
        return USED
    if flag == Flag.MISSING:
        return NO_ROW if reason & Reason.GAP else NOT_A_NUMBER
    tests = "+".join(str(r.name).lower().replace("_", " ") for r in Reason if r and reason & r)
    return f"flagged {Flag(flag).name.lower()}" + (f": {tests}" if tests else "")


def _hour_starts(observations: xr.Dataset, hours: Interval | None) -> np.ndarray:
    if hours is None:
        if observations.sizes["time"] == 0:
            raise UsageError("an average of nothing needs the hours to cover", expected="hours=Interval(…)")
        middle = _midpoints(observations)
        first, last = (
            moment.astype("datetime64[h]").astype("datetime64[ns]") for moment in (middle.min(), middle.max())
        )
        return np.arange(first, last + _HOUR, _HOUR)
    for moment in (hours.start, hours.end):
        if moment.replace(minute=0, second=0, microsecond=0) != moment:
            raise UsageError("hourly means need whole hours", found=str(hours))
    return np.arange(hours.start64, hours.end64, _HOUR)


def _midpoints(observations: xr.Dataset) -> np.ndarray:
    bounds = observations["time_bnds"].values
    middle: np.ndarray = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) // 2
    return middle


def _usable(observations: xr.Dataset) -> np.ndarray:
    return np.isin(observations["flag"].values, USABLE)


def _windows(
    hourly: xr.Dataset, local_hours: tuple[int, int], utc_offset_h: float, days: Interval | None
) -> tuple[np.ndarray, np.ndarray]:
    """Beginning and end, in UTC, of the window of each day."""
    span = days or _span(hourly)
    offset = timedelta(hours=utc_offset_h)
    day = (span.start + offset).replace(hour=0, minute=0, second=0, microsecond=0) - offset
    windows = []
    while day < span.end:
        window = Interval(day + timedelta(hours=local_hours[0]), day + timedelta(hours=local_hours[1]))
        if span.contains(window) if days else span.overlaps(window):
            windows.append((window.start64, window.end64))
        day += timedelta(days=1)
    if not windows:
        raise UsageError("no window of local hours lies in the interval", found=str(span))
    bounds = np.array(windows, dtype="datetime64[ns]")
    return bounds[:, 0], bounds[:, 1]


def _span(hourly: xr.Dataset) -> Interval:
    bounds = hourly["time_bnds"].values.astype("datetime64[s]").astype("i8")
    first, last = (
        datetime.fromtimestamp(int(b), UTC).replace(tzinfo=None) for b in (bounds[0, 0], bounds[-1, 1])
    )
    return Interval(first, last)


def _average(
    observations: xr.Dataset, bins: np.ndarray, start: np.ndarray, end: np.ndarray
) -> ObservationColumns:
    """Means of the usable rows over `bins` (row,), −1 for none; bin b is [start[b], end[b])."""
    usable = _usable(observations) & (bins >= 0)
    bounds = observations["time_bnds"].values[usable]
    rows = _Rows(
        bin=bins[usable],
        value=observations["mole_fraction"].values[usable],
        stdev=observations["stdev"].values[usable],
        uncertainty=observations["uncertainty"].values[usable],
        count=np.maximum(observations["count"].values[usable], 1),
        seconds=(bounds[:, 1] - bounds[:, 0]).astype("i8") / 1e9,
    )
    n_rows = np.bincount(rows.bin, minlength=start.size)
    mean = _sum(rows.bin, rows.value, start.size) / _some(n_rows)
    spread = _spread(rows, mean, n_rows)
    covered = np.minimum(1.0, _sum(rows.bin, rows.seconds, start.size) / ((end - start).astype("i8") / 1e9))
    flag, reason = _bin_flags(observations, bins, n_rows)
    return ObservationColumns(
        start=start,
        end=end,
        mole_fraction=mean,
        flag=flag,
        flag_reason=reason,
        uncertainty=_uncertainty(rows, spread, n_rows, covered),
        stdev=spread,
        count=_sum(rows.bin, rows.count, start.size),
    )


def _sum(bins: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(bins, weights=values, minlength=n)


def _some(count: np.ndarray) -> np.ndarray:
    """Counts as divisors: NaN where there is nothing to divide by."""
    return np.where(count > 0, count, np.nan)


def _spread(rows: _Rows, mean: np.ndarray, n_rows: np.ndarray) -> np.ndarray:
    """Spread of each bin; NaN for a single row that states none."""
    known = np.isfinite(rows.stdev)
    within = _sum(rows.bin, np.where(known, rows.stdev, 0.0) ** 2, mean.size)
    between = _sum(rows.bin, (rows.value - mean[rows.bin]) ** 2, mean.size)
    n_known = _sum(rows.bin, known.astype("f8"), mean.size)
    return np.where((n_known > 0) | (n_rows > 1), np.sqrt((within + between) / _some(n_rows)), np.nan)


def _uncertainty(rows: _Rows, spread: np.ndarray, n_rows: np.ndarray, covered: np.ndarray) -> np.ndarray:
    known = np.isfinite(rows.uncertainty)
    n_known = _sum(rows.bin, known.astype("f8"), spread.size)
    common = _sum(rows.bin, np.where(known, rows.uncertainty, 0.0) ** 2, spread.size) / _some(n_known)
    sampling = (1.0 - covered) * spread**2 / _some(n_rows)
    total = np.nansum([common, sampling], axis=0)
    return np.where(np.isnan(common) & np.isnan(spread), np.nan, np.sqrt(total))


def _bin_flags(
    observations: xr.Dataset, bins: np.ndarray, n_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flag and reason of each bin.

    With usable rows: good if all of them are, else not evaluated.  Without: suspect or bad as the best of its
    rows, missing if none holds a number, missing with reason GAP if there is no row.
    """
    inside, row_flag = bins >= 0, observations["flag"].values
    row_reason = observations["flag_reason"].values
    flag, reason = np.full(n_rows.size, int(Flag.MISSING)), np.full(n_rows.size, int(Reason.GAP))
    for kind in (Flag.MISSING, Flag.BAD, Flag.SUSPECT, Flag.GOOD, Flag.NOT_EVALUATED):
        chosen = inside & (row_flag == kind)
        at = np.unique(bins[chosen])
        flag[at], reason[at] = kind, 0
        if kind not in USABLE:
            kept = ~np.int32(0 if kind == Flag.MISSING else Reason.GAP)
            np.bitwise_or.at(reason, bins[chosen], row_reason[chosen] & kept)
    return flag, reason


def _stepped(observations: xr.Dataset, step: str) -> dict[str, object]:
    history = str(observations.attrs.get("history", ""))
    return {**observations.attrs, "history": f"{history}\n{step}".strip()}
