"""When a source may have been at work: bins of time, unbroken runs of them, and recurring sets.

A weekly market or a nightly venting fills no unbroken stretch of time: its window is the union of the bins
of some weekdays and some hours of the local day over the whole period.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitor.errors import InputError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_S = 86_400
#: Day of the week (Monday is 0) of 1970-01-01.
_FIRST_WEEKDAY = 3


@dataclass(frozen=True, eq=False)
class TimeBins:
    """Bins of one length, counted from a local midnight.

    Attributes
    ----------
    start : (b,) datetime64[s]
        UTC, ascending; a gap between two bins is a time that is not searched.
    hours : float
    utc_offset_h : float
        Local time minus UTC.
    """

    start: np.ndarray
    hours: float
    utc_offset_h: float = 0.0

    @classmethod
    def covering(
        cls, periods: Sequence[tuple[np.datetime64, np.datetime64]], hours: float, utc_offset_h: float = 0.0
    ) -> TimeBins:
        """The bins that hold some part of the periods [start, end)."""
        empty = cls(np.zeros(0, "datetime64[s]"), hours, utc_offset_h)
        width = empty._width_s
        parts = []
        for start, end in periods:
            first, last = empty._number(np.array([start])), empty._number(np.array([end]), ends=True)
            parts.append(np.arange(first[0], last[0] + 1))
        numbers = np.unique(np.concatenate(parts)) if parts else np.zeros(0, "i8")
        seconds = numbers * width - round(utc_offset_h * 3600)
        return cls(seconds.astype("datetime64[s]"), hours, utc_offset_h)

    @property
    def size(self) -> int:
        return int(self.start.size)

    @property
    def _width_s(self) -> int:
        return round(self.hours * 3600)

    @property
    def _local_s(self) -> np.ndarray:
        return np.asarray(self.start.astype("i8") + round(self.utc_offset_h * 3600))

    def _number(self, time: np.ndarray, ends: bool = False) -> np.ndarray:
        """Bins since 1970 in local time that hold the moments, or those that end there."""
        local = time.astype("datetime64[s]").astype("i8") + round(self.utc_offset_h * 3600)
        return np.asarray((local - int(ends)) // self._width_s)

    def index(self, time: np.ndarray) -> np.ndarray:
        """The bin of each moment (n,).

        Raises
        ------
        InputError
            When a moment is in none.
        """
        own = self._number(self.start)
        wanted = self._number(time)
        at = np.minimum(np.searchsorted(own, wanted), self.size - 1)
        lost = np.flatnonzero(own[at] != wanted)
        if lost.size:
            raise InputError(
                "an observation is in none of the bins of the search",
                expected=f"{self.start[0]} … {self.end[-1]}, without gaps",
                found=str(time[lost[0]]),
            )
        return np.asarray(at)

    @property
    def end(self) -> np.ndarray:
        """(b,) datetime64[s]."""
        return np.asarray(self.start + np.timedelta64(self._width_s, "s"))

    @property
    def weekday(self) -> np.ndarray:
        """Local day of the week on which each bin begins, Monday is 0 (b,)."""
        return np.asarray((self._local_s // _DAY_S + _FIRST_WEEKDAY) % 7)

    @property
    def part_of_day(self) -> np.ndarray:
        """Which bin of its local day each one is (b,)."""
        return np.asarray(self._local_s % _DAY_S // self._width_s)

    @property
    def parts_a_day(self) -> int:
        """Bins in a day; 0 where they do not divide it."""
        return _DAY_S // self._width_s if _DAY_S % self._width_s == 0 else 0

    def runs(self, shortest_days: float, longest_days: float) -> np.ndarray:
        """All unbroken runs (w, 2), first bin and bin after the last, of a length between the two.

        Lengths are rounded to whole bins, one at least.
        """
        shortest, longest = (max(1, round(d * 24 / self.hours)) for d in (shortest_days, longest_days))
        found = bin_runs(self.size, shortest, longest)
        number = self._number(self.start)
        span = number[found[:, 1] - 1] - number[found[:, 0]]
        return np.asarray(found[span == found[:, 1] - found[:, 0] - 1])

    def recurring(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Sets of bins that come again: (v, b) bool, and their names.

        Weekdays (each, Monday to Friday, the weekend) × parts of the day (each unbroken arc of bins), where
        the set is neither everything nor one unbroken run; of equal sets the first.
        """
        found: dict[bytes, tuple[np.ndarray, str]] = {}
        for day_name, days in _day_sets():
            for part_name, parts in self._arcs():
                inside = np.isin(self.weekday, days) & np.isin(self.part_of_day, parts)
                if self._pieces(inside) > 1:
                    found.setdefault(inside.tobytes(), (inside, f"{day_name}{part_name}"))
        masks = [mask for mask, _ in found.values()]
        names = tuple(name for _, name in found.values())
        return np.array(masks, dtype=bool).reshape(-1, self.size), names

    def _pieces(self, inside: np.ndarray) -> int:
        """Unbroken stretches of a set of bins."""
        number = self._number(self.start)[inside]
        return int(np.sum(np.diff(number) > 1)) + int(number.size > 0)

    def _arcs(self) -> Iterator[tuple[str, np.ndarray]]:
        count = self.parts_a_day
        yield "", np.arange(max(count, 1))
        if not count:
            return
        for length in range(1, count):
            for first in range(count):
                hours = [f"{k * self.hours % 24:02.0f}" for k in (first, first + length)]
                yield f", {hours[0]}-{hours[1]} h", (first + np.arange(length)) % count


def _day_sets() -> Iterator[tuple[str, list[int]]]:
    yield "every day", list(range(7))
    for k, name in enumerate(WEEKDAYS):
        yield f"every {name}", [k]
    yield "Monday to Friday", [0, 1, 2, 3, 4]
    yield "every weekend", [5, 6]


def bin_runs(bins: int, shortest: int, longest: int) -> np.ndarray:
    """All runs of `shortest` … `longest` consecutive bins (w, 2): first, and the one after the last."""
    pairs = [(a, a + k) for k in range(shortest, longest + 1) for a in range(bins - k + 1)]
    return np.array(pairs, dtype="i8").reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Windows:
    """Sets of bins that are searched together: first the runs, then the recurring ones.

    Attributes
    ----------
    bins : int
    runs : (r, 2) int
        First bin and bin after the last.
    recurring : (v, bins) bool
    names : v of str
    """

    bins: int
    runs: np.ndarray
    recurring: np.ndarray
    names: tuple[str, ...] = ()

    @classmethod
    def of_runs(cls, bins: int, runs: np.ndarray) -> Windows:
        """Runs alone."""
        return cls(bins, np.asarray(runs, dtype="i8").reshape(-1, 2), np.zeros((0, bins), dtype=bool))

    @property
    def count(self) -> int:
        return int(self.runs.shape[0] + self.recurring.shape[0])

    @cached_property
    def inside(self) -> np.ndarray:
        """Which bins each window holds (count, bins) bool."""
        bin_ = np.arange(self.bins)
        runs = (bin_ >= self.runs[:, :1]) & (bin_ < self.runs[:, 1:])
        return np.concatenate([runs, self.recurring])

    @cached_property
    def spans(self) -> np.ndarray:
        """First bin, and bin after the last, of each window (count, 2)."""
        last = self.bins - np.argmax(self.recurring[:, ::-1], axis=1)
        return np.concatenate([self.runs, np.stack([np.argmax(self.recurring, axis=1), last], axis=1)])

    def name(self, window: int) -> str:
        """What a recurring window is called; empty for a run."""
        number = window - self.runs.shape[0]
        return self.names[number] if number >= 0 else ""

    def totals(self, binned: np.ndarray) -> np.ndarray:
        """Sums over the windows (count, …) of values by bin (bins, …)."""
        running = np.concatenate([np.zeros_like(binned[:1]), np.cumsum(binned, axis=0)])
        runs = running[self.runs[:, 1]] - running[self.runs[:, 0]]
        return np.concatenate([runs, np.tensordot(self.recurring.astype("f8"), binned, 1)])

    def both(self, gram: np.ndarray) -> np.ndarray:
        """Σ over b and b' of each window of symmetric matrices (k, bins, bins): (k, count)."""
        k = gram.shape[0]
        running = np.zeros((k, self.bins + 1, self.bins + 1))
        np.cumsum(np.cumsum(gram, axis=1), axis=2, out=running[:, 1:, 1:])
        a, b = self.runs.T
        runs = running[:, b, b] - 2.0 * running[:, a, b] + running[:, a, a]
        masks = self.recurring.astype("f8")
        again = np.einsum("vb,kbv->kv", masks, gram @ masks.T)
        return np.concatenate([runs, again], axis=1)
