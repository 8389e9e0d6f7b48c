"""Quality control: flags and reasons, never a changed value.

Precedence, from strongest to weakest: MISSING (no number) > BAD > SUSPECT > GOOD > NOT_EVALUATED.  A test
can only make a flag worse; a row that no test objects to becomes GOOD.  All reasons that apply are kept in
the bit mask, whichever decided the flag, in this order of tests:

===========  =======  =====================================================================================
test         flag     objects to
===========  =======  =====================================================================================
SOURCE       as read  what the source itself flagged; kept
MANUAL       as told  intervals in a list kept by people
FUTURE       BAD      rows that end later than `now` plus a tolerance
RANGE        BAD      values outside the plausible range of the gas
FLAT_LINE    BAD      the same value, to the last digit, for hours
FEW_SAMPLES  SUSPECT  a mean of fewer samples than asked for
SPIKE        SUSPECT  one row far from both neighbours, by the file's own robust spread
GAP          —        marks the first row after a gap; the flag stays
===========  =======  =====================================================================================

A whole series whose median is no possible mole fraction of its gas is in a wrong unit: `UnitError`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import numpy as np
import xarray as xr

from monitor.contracts import USABLE, Flag, Reason, ensure_observations
from monitor.domain import Interval, parse_utc
from monitor.errors import InputError, SourceFormatError, UnitError, UsageError

_MIX_UPS = MappingProxyType(
    {"×1000": 1e3, "÷1000": 1e-3, "×10⁶": 1e6, "÷10⁶": 1e-6, "×44/12": 44 / 12, "÷44/12": 12 / 44}
)
#: A row's standing in the order of precedence.
_RANK = {Flag.NOT_EVALUATED: 0, Flag.GOOD: 1, Flag.SUSPECT: 2, Flag.BAD: 3, Flag.MISSING: 4}
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class GasLimits:
    """What one gas can be in air: a row within `plausible`, the median of a series within `median`."""

    plausible_low_ppm: float
    plausible_high_ppm: float
    median_low_ppm: float
    median_high_ppm: float
    spike_least_ppm: float


@dataclass(frozen=True)
class QualitySettings:
    """Thresholds of the tests; every field says its unit.

    The spike test is meant for electronics, not for plumes: a city's sources make short, strong, real peaks.
    It needs a return within one row on both sides, 25 robust sigmas, and the gas's `spike_least_ppm`.
    """

    co2: GasLimits = GasLimits(300.0, 1000.0, 330.0, 700.0, 20.0)
    ch4: GasLimits = GasLimits(1.6, 20.0, 1.65, 6.0, 0.3)
    co: GasLimits = GasLimits(0.02, 20.0, 0.03, 5.0, 0.3)
    median_least_rows: int = 5
    spike_robust_sigmas: float = 25.0
    spike_neighbour_h: float = 3.0
    flat_line_h: float = 6.0
    flat_line_least_rows: int = 4
    least_samples: int = 0
    gap_h: float = 3.0
    future_tolerance_h: float = 1.0

    def limits(self, species: str) -> GasLimits:
        """The limits of a gas; `UsageError` for one without."""
        limits = getattr(self, species, None)
        if not isinstance(limits, GasLimits):
            raise UsageError(
                f"no plausible range is set for '{species}'", expected="co2, ch4 or co", found=species
            )
        return limits


@dataclass(frozen=True)
class ManualFlag:
    """An interval that a person judged: who, when and why stay with it."""

    instrument: str
    interval: Interval
    flag: Flag
    who: str
    when: str
    why: str


def apply_quality(
    observations: xr.Dataset,
    settings: QualitySettings | None = None,
    *,
    now: datetime | None = None,
    manual: tuple[ManualFlag, ...] = (),
) -> xr.Dataset:
    """`observations` with `flag` and `flag_reason` updated; nothing else is touched.

    Parameters
    ----------
    observations : xr.Dataset
        The observations contract.
    settings : QualitySettings, optional
        Thresholds; the defaults without it.
    now : datetime, optional
        The moment of judgement, UTC, timezone-free; without it nothing is called future.
    manual : tuple of ManualFlag
        Judgements of people about this station; `instrument` is a station or station-inlet id, or ``*``.

    Raises
    ------
    UnitError
        When the median is no possible mole fraction of the gas: a wrong unit.
    UsageError
        When the settings know no range for the gas, or `now` has a timezone.
    """
    ensure_observations(observations)
    settings = settings or QualitySettings()
    limits = settings.limits(str(observations.attrs["species"]))
    ensure_plausible_unit(observations, settings)
    rank = np.vectorize(_RANK.__getitem__, otypes=["i1"])(observations["flag"].values)
    reason = observations["flag_reason"].values.copy()
    tests = [
        *_manual_tests(observations, manual),
        (Reason.FUTURE, Flag.BAD, _future(observations, now, settings.future_tolerance_h)),
        (Reason.RANGE, Flag.BAD, _out_of_range(observations, limits)),
        (Reason.FLAT_LINE, Flag.BAD, _flat(observations, settings)),
        (Reason.FEW_SAMPLES, Flag.SUSPECT, _few(observations, settings.least_samples)),
        (
            Reason.SPIKE,
            Flag.SUSPECT,
            _spikes(observations, settings, limits.spike_least_ppm),
        ),
        (Reason.GAP, Flag.NOT_EVALUATED, _after_gap(observations, settings.gap_h)),
    ]
    for why, flag, hit in tests:
        reason[hit] |= why
        rank[hit] = np.maximum(rank[hit], _RANK[flag])
    rank = np.maximum(rank, _RANK[Flag.GOOD])
    ladder = np.array([flag.value for flag in sorted(_RANK, key=_RANK.__getitem__)], dtype="i1")
    result = observations.copy(deep=True)
    result["flag"].values[:] = ladder[rank]
    result["flag_reason"].values[:] = reason
    return ensure_observations(result)


def ensure_plausible_unit(observations: xr.Dataset, settings: QualitySettings | None = None) -> xr.Dataset:
    """`observations` itself, or `UnitError` when its median cannot be a mole fraction of its gas in ppm.

    Series with fewer usable rows than `median_least_rows` pass.
    """
    settings = settings or QualitySettings()
    species = str(observations.attrs["species"])
    usable = np.isin(observations["flag"].values, USABLE)
    values = observations["mole_fraction"].values[usable]
    if values.size < settings.median_least_rows:
        return observations
    low, high = settings.limits(species).median_low_ppm, settings.limits(species).median_high_ppm
    median = float(np.median(values))
    if low <= median <= high:
        return observations
    guesses = [name for name, factor in _MIX_UPS.items() if low <= median / factor <= high]
    raise UnitError(
        f"the median {species} of the series is not possible in air",
        expected=f"{low:g} … {high:g} ppm",
        found=f"{median:.6g} ppm" + (f", as if {guesses[0]}" if guesses else ""),
        where=f"{observations.attrs['station']}, {observations.attrs['inlet_height_m']} m",
        remedy="check the unit in the file and the `species` of the source",
    )


def parse_manual_flags(text: str) -> tuple[ManualFlag, ...]:
    """Judgements of people from CSV text with columns instrument, start, end, flag, who, when, why.

    Times are ISO-8601 in UTC; the flag is ``good``, ``suspect`` or ``bad``.  Every row must say who and why.

    Raises
    ------
    SourceFormatError
        Naming the line that cannot be used.
    """
    wanted = ["instrument", "start", "end", "flag", "who", "when", "why"]
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != wanted:
        raise SourceFormatError(
            "manual flags need these columns",
            expected=",".join(wanted),
            found=",".join(reader.fieldnames or []),
        )
    return tuple(_manual_flag(row, reader.line_num) for row in reader)


def _manual_flag(row: dict[str | None, str | None], line: int) -> ManualFlag:
    text = {key: (value or "").strip() for key, value in row.items() if key is not None}
    try:
        interval = Interval(parse_utc(text["start"]), parse_utc(text["end"]))
        flag = {"good": Flag.GOOD, "suspect": Flag.SUSPECT, "bad": Flag.BAD}[text["flag"].lower()]
        if None in row or not (text["instrument"] and text["who"] and text["why"]):
            raise KeyError
    except (KeyError, InputError, UsageError) as error:
        raise SourceFormatError(
            "a manual flag cannot be read",
            expected="seven fields: an ISO-8601 interval; flag good, suspect or bad; who and why not empty",
            found=repr(list(row.values())),
            where=f"line {line}",
        ) from error
    return ManualFlag(text["instrument"], interval, flag, text["who"], text["when"], text["why"])


def _manual_tests(
    observations: xr.Dataset, manual: tuple[ManualFlag, ...]
) -> list[tuple[Reason, Flag, np.ndarray]]:
    station, height = observations.attrs["station"], observations.attrs["inlet_height_m"]
    names = {"*", str(station), f"{station}-{height:g}m"}
    bounds = observations["time_bnds"].values
    return [
        (
            Reason.MANUAL,
            judged.flag,
            (bounds[:, 0] < judged.interval.end64) & (bounds[:, 1] > judged.interval.start64),
        )
        for judged in manual
        if judged.instrument in names
    ]


def _future(observations: xr.Dataset, now: datetime | None, tolerance_h: float) -> np.ndarray:
    ends = observations["time_bnds"].values[:, 1]
    if now is None:
        return np.zeros(ends.size, bool)
    if now.tzinfo is not None:
        raise UsageError(
            "`now` must be UTC and timezone-free", found=now.isoformat(), remedy="use parse_utc()"
        )
    latest = np.datetime64(now, "ns") + np.timedelta64(round(tolerance_h * 3600e9), "ns")
    return np.asarray(ends > latest)


def _out_of_range(observations: xr.Dataset, limits: GasLimits) -> np.ndarray:
    values: np.ndarray = observations["mole_fraction"].values
    return (values < limits.plausible_low_ppm) | (values > limits.plausible_high_ppm)


def _few(observations: xr.Dataset, least: int) -> np.ndarray:
    """Rows that state a count below `least`; rows that state none (0) are not judged."""
    count = observations["count"].values
    return np.asarray((count > 0) & (count < least))


def _flat(observations: xr.Dataset, settings: QualitySettings) -> np.ndarray:
    """Rows within a run of equal values that lasts at least `flat_line_h` and `flat_line_least_rows` rows."""
    values: np.ndarray = observations["mole_fraction"].values
    bounds = observations["time_bnds"].values
    finite = np.flatnonzero(np.isfinite(values))
    hit = np.zeros(values.size, bool)
    if not finite.size:
        return hit
    first = np.append(0, np.flatnonzero(np.diff(values[finite]) != 0) + 1)
    rows = np.diff(np.append(first, finite.size))
    lasts_h = (bounds[finite[first + rows - 1], 1] - bounds[finite[first], 0]).astype("i8") / 3600e9
    long = (rows >= settings.flat_line_least_rows) & (lasts_h >= settings.flat_line_h)
    hit[finite] = np.repeat(long, rows)
    return hit


def _spikes(observations: xr.Dataset, settings: QualitySettings, least_ppm: float) -> np.ndarray:
    """Rows that stick out from both neighbours by more than `spike_robust_sigmas` of the usual excursion.

    The excursion of a row is the smaller of its distances to its two neighbours, if both are on the same
    side, else 0; its usual size is 1.4826 times the median absolute one-step difference.
    """
    values, middle = observations["mole_fraction"].values, observations["time_bnds"].values[:, 0]
    rows = np.flatnonzero(np.isin(observations["flag"].values, USABLE))
    hit = np.zeros(values.size, bool)
    if rows.size < 10:
        return hit
    step = np.diff(values[rows])
    near = np.diff(middle[rows]).astype("i8") / 3600e9 <= settings.spike_neighbour_h
    usual = _MAD_TO_SIGMA * float(np.median(np.abs(step[near]))) if near.any() else np.inf
    returns = (step[:-1] * step[1:] < 0) & near[:-1] & near[1:]
    excursion = np.where(returns, np.minimum(np.abs(step[:-1]), np.abs(step[1:])), 0.0)
    hit[rows[1:-1]] = excursion > max(settings.spike_robust_sigmas * usual, least_ppm)
    return hit


def _after_gap(observations: xr.Dataset, gap_h: float) -> np.ndarray:
    """First rows after a gap that hold a number; missing with reason GAP is kept for "no row at all"."""
    bounds = observations["time_bnds"].values
    hit = np.zeros(bounds.shape[0], bool)
    hit[1:] = (bounds[1:, 0] - bounds[:-1, 1]).astype("i8") / 3600e9 > gap_h
    return np.asarray(hit & (observations["flag"].values != Flag.MISSING))
