"""Observations joined with their footprints: one row per value that enters the inversion.

A row is an hourly mean, the mean of a day's selected hours, a column, or a difference of two of them; its
footprint is made in the same way from those of the receptors (`monitor.inversion.receptors`).  Every
footprint hour is either used or excluded with a reason, and the counts add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor.contracts import USABLE, Flag, Reason, ensure_footprints, ensure_observations
from monitor.domain import Interval
from monitor.errors import InputError
from monitor.inversion.assumptions import Selection
from monitor.inversion.ensure import ensure_known, ensure_uncertainty
from monitor.inversion.receptors import Average, Column, Difference, stacked

_HOUR = np.timedelta64(3600, "s").astype("timedelta64[ns]")
OUTSIDE_PERIOD, OUTSIDE_HOURS, TOO_FEW, ALONE = (
    "outside the epochs",
    "outside the selected hours",
    "too few hours in the day",
    "no simultaneous value of the other station",
)
#: Footprints of an inlet: one dataset, or one per level of a column, lowest first.
Footprints = xr.Dataset | Sequence[xr.Dataset]


@dataclass(frozen=True, eq=False)
class ObservationTable:
    """n observations.

    Attributes
    ----------
    inlets
        Names of the stations' inlets, and of the differences.
    start, end : (n,) datetime64[ns]
    station : (n,) int
        Index into `inlets`.
    value, uncertainty, spread : (n,)
        Mole fraction (of a column less its prior term), its instrument 1σ and its spread within the interval
        [µmol mol⁻¹]; NaN unknown.
    exposure : (n,)
        Part of the background that is seen: 1, Σ a w for a column, what is left of it in a difference.
    wind_from_deg : (n,)
        At the receptor; NaN unknown.
    averaging : dict of inlet -> one (n_inlet, receptor) csr per level
        Rows average the receptors (hours) of that inlet's footprints; before differences are taken.
    excluded : dict of reason -> hours
    """

    inlets: tuple[str, ...]
    start: np.ndarray
    end: np.ndarray
    station: np.ndarray
    value: np.ndarray
    uncertainty: np.ndarray
    spread: np.ndarray
    exposure: np.ndarray
    wind_from_deg: np.ndarray
    averaging: Mapping[str, tuple[sp.csr_array, ...]]
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

    @property
    def names(self) -> np.ndarray:
        """Name of the inlet or difference of each row (n,)."""
        return np.asarray(np.array(self.inlets)[self.station])

    def select(self, keep: np.ndarray) -> ObservationTable:
        """The rows `keep` (indices)."""
        rows = ("start", "end", "station", "value", "uncertainty", "spread", "exposure", "wind_from_deg")
        return replace(self, **{name: getattr(self, name)[keep] for name in rows})


def join(
    observations: Mapping[str, xr.Dataset],
    footprints: Mapping[str, Footprints],
    epochs: Sequence[Interval],
    selection: Selection,
) -> ObservationTable:
    """Join hourly observations and hourly footprints per inlet.

    Parameters
    ----------
    observations, footprints
        By inlet; observations are hourly means of the observations contract.
    epochs
        Periods that are used; empty for all.

    Raises
    ------
    InputError
        When an inlet has observations but no footprints, or nothing at all is left.
    """
    ensure_known(observations, footprints, selection.differences)
    inlets = tuple(sorted(observations))
    hours = [_hours_of(i, observations[i], footprints[i], epochs, selection) for i in inlets]
    hours = _simultaneous(hours, selection)
    parts = [_part(h, selection) for h in hours]
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
        exposure=np.concatenate([p.exposure for p in parts]),
        wind_from_deg=np.concatenate([p.wind for p in parts]),
        averaging={inlet: p.averaging for inlet, p in zip(inlets, parts, strict=True)},
        excluded=dict(sorted(excluded.items())),
        footprint_hours=sum(h.time.size for h in hours),
    )


def take_differences(
    table: ObservationTable, differences: Sequence[Difference]
) -> tuple[ObservationTable, sp.csr_array | None]:
    """The table with the stations of `differences` replaced by these, and D (n, n₀); ``None`` without any.

    Stations in no difference keep their values.
    """
    if not differences:
        return table, None
    involved = {name for d in differences for name in (d.downwind, d.upwind)}
    singles = tuple(i for i in table.inlets if i not in involved)
    rows = np.flatnonzero(np.isin(table.names, singles))
    operators = [sp.eye_array(table.n, format="csr")[rows]]
    operators += [d.operator(table.names, table.start) for d in differences]
    operator = stacked(operators)
    inlets = (*singles, *(d.name for d in differences))
    counts = [o.shape[0] for o in operators[1:]]
    station = np.concatenate(
        [
            [singles.index(name) for name in table.names[rows]],
            np.repeat(len(singles) + np.arange(len(counts)), counts),
        ]
    )
    positive = operator.maximum(0).tocoo()
    first = positive.coords[1][np.argsort(positive.coords[0], kind="stable")]
    return (
        replace(
            table.select(first),
            inlets=inlets,
            station=station.astype("i8"),
            value=operator @ table.value,
            uncertainty=np.sqrt(abs(operator) @ table.uncertainty**2),
            spread=np.sqrt(abs(operator) @ table.spread**2),
            exposure=operator @ table.exposure,
        ),
        operator,
    )


def levels_of(footprints: Footprints) -> tuple[xr.Dataset, ...]:
    """The datasets of an inlet: one, or one per level."""
    return (footprints,) if isinstance(footprints, xr.Dataset) else tuple(footprints)


@dataclass(frozen=True, eq=False)
class _Hours:
    """Footprint hours of an inlet: the row of observations of each, and why it cannot be used, or ""."""

    inlet: str
    observations: xr.Dataset
    levels: tuple[xr.Dataset, ...]
    column: Column | None
    time: np.ndarray
    row: np.ndarray
    reason: np.ndarray


@dataclass(frozen=True, eq=False)
class _Part:
    start: np.ndarray
    end: np.ndarray
    value: np.ndarray
    uncertainty: np.ndarray
    spread: np.ndarray
    exposure: np.ndarray
    wind: np.ndarray
    averaging: tuple[sp.csr_array, ...]
    excluded: Counter[str]


def _hours_of(
    inlet: str,
    observations: xr.Dataset,
    footprints: Footprints,
    epochs: Sequence[Interval],
    selection: Selection,
) -> _Hours:
    ensure_observations(observations)
    levels = levels_of(footprints)
    for level in levels:
        ensure_footprints(level)
    column = Column.of(observations)
    _ensure_levels(inlet, levels, column)
    time = levels[0]["time"].values
    row = _row_of(observations["time"].values, time)
    reason = _reasons(observations, row)
    hour = (_local(time, selection) - _local(time, selection).astype("datetime64[D]")) / _HOUR
    chosen = (hour >= selection.local_hours[0]) & (hour < selection.local_hours[1])
    reason = np.where(~chosen, OUTSIDE_HOURS, reason)
    if epochs:
        inside = np.zeros(time.size, dtype=bool)
        for epoch in epochs:
            inside |= (time >= epoch.start64) & (time < epoch.end64)
        reason = np.where(~inside, OUTSIDE_PERIOD, reason)
    return _Hours(inlet, observations, levels, column, time, row, reason)


def _ensure_levels(inlet: str, levels: tuple[xr.Dataset, ...], column: Column | None) -> None:
    wanted = 1 if column is None else column.weights.shape[1]
    if len(levels) != wanted:
        raise InputError(
            f"the footprints of '{inlet}' do not fit its observations",
            expected="one dataset" if column is None else f"one dataset per level: {wanted}",
            found=f"{len(levels)} datasets",
            remedy="a column needs 'averaging_kernel' in its observations, and a footprint for each level",
        )
    for k, level in enumerate(levels):
        if not np.array_equal(level["time"].values, levels[0]["time"].values):
            raise InputError(
                f"level {k} of '{inlet}' has other receptor times than level 0",
                expected=f"{levels[0].sizes['receptor']} receptors from {levels[0]['time'].values[:1]}",
                found=f"{level.sizes['receptor']} receptors from {level['time'].values[:1]}",
            )


def _local(time: np.ndarray, selection: Selection) -> np.ndarray:
    return np.asarray(time + np.timedelta64(round(selection.utc_offset_h * 3600), "s"))


def _simultaneous(hours: list[_Hours], selection: Selection) -> list[_Hours]:
    """Without the hours at which a station of a difference is alone.

    Daily differences take the hours that all stations of the differences have: both means are of the same.
    """
    partners: dict[str, set[str]] = {}
    for d in selection.differences:
        partners.setdefault(d.downwind, set()).add(d.upwind)
        partners.setdefault(d.upwind, set()).add(d.downwind)
    usable = {h.inlet: h.time[h.reason == ""] for h in hours}
    out = []
    for one in hours:
        if one.inlet not in partners:
            out.append(one)
            continue
        if selection.average == "daily":
            met = np.all([np.isin(one.time, usable[name]) for name in partners], axis=0)
        else:
            met = np.any([np.isin(one.time, usable[name]) for name in partners[one.inlet]], axis=0)
        out.append(replace(one, reason=np.where(~met & (one.reason == ""), ALONE, one.reason)))
    return out


def _part(hours: _Hours, selection: Selection) -> _Part:
    time, reason = hours.time, hours.reason
    day = _local(time, selection).astype("datetime64[D]")
    if selection.average == "daily":
        used = np.flatnonzero(reason == "")
        days, count = np.unique(day[used], return_counts=True)
        poor = np.isin(day, days[count < selection.min_hours]) & (reason == "")
        reason = np.where(poor, TOO_FEW, reason)
    used = np.flatnonzero(reason == "")
    ensure_uncertainty(hours.inlet, hours.observations["uncertainty"].values, hours.row[used])
    label = day[used] if selection.average == "daily" else time[used]
    average = Average(used, np.unique(label, return_inverse=True)[1])
    n, group = average.n, average.group
    columns = _averaged(hours, used, group, n)
    excluded = Counter(
        {str(k): int(v) for k, v in zip(*np.unique(reason[reason != ""], return_counts=True), strict=True)}
    )
    mean = average.operator(time.size)
    weights = _level_weights(hours)
    return _Part(
        start=_reduce(np.minimum, time[used], group, n),
        end=_reduce(np.maximum, time[used] + _HOUR, group, n),
        value=columns["mole_fraction"],
        uncertainty=columns["uncertainty"],
        spread=columns["stdev"],
        exposure=mean @ weights.sum(axis=1),
        wind=_mean_direction(hours.levels[0], mean),
        averaging=tuple(sp.csr_array(mean @ sp.diags_array(w)) for w in weights.T),
        excluded=excluded,
    )


def _level_weights(hours: _Hours) -> np.ndarray:
    """What each level counts at each receptor (receptor, level); 1 in situ."""
    if hours.column is None:
        return np.ones((hours.time.size, 1))
    return np.asarray(hours.column.weights[np.maximum(hours.row, 0)])


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


def _averaged(hours: _Hours, used: np.ndarray, group: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Group means; of uncertainties too, because calibration errors do not average out.

    An uncertainty or spread unknown for some hours is the mean of the others, NaN when none is known.
    """
    out = {}
    for name in ("mole_fraction", "uncertainty", "stdev"):
        column = hours.observations[name].values
        if name == "mole_fraction" and hours.column is not None:
            column = hours.column.observed(column)
        values = column[hours.row[used]]
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
