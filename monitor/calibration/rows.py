"""The proof as rows: what was counted, what it should be, and whether it is.

Targets are stated for 400 cities.  With that many or more they are held to the letter, as rates; with fewer,
a row is met when its 95 % interval (Clopper & Pearson 1934) lies inside the target's range of rates, missed
when it lies outside, and open else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scipy.stats import beta

Records = Sequence[Mapping[str, Any]]
#: Cities that the targets are stated for.
CITIES: Final = 400
#: In place of a target, of what is only told.
NO_TARGET: Final = "–"


@dataclass(frozen=True)
class Part:
    """One figure of a row.

    Attributes
    ----------
    estimate, interval
        A share of cities, or another number, with its 95 % interval; `None` where it does not apply.
    count, n
        Cities for which it was so, and of how many; `None` for what is no count.
    target
        In words.
    slack
        How far inside the target, relative to its size; negative outside.
    bounds
        Of a count, the least and the most of 400.
    reason
        Why there is no figure.
    """

    name: str
    target: str
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    met: bool | None = None
    count: int | None = None
    n: int | None = None
    slack: float = np.inf
    bounds: tuple[int, int] | None = None
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "estimate": self.estimate,
            "interval": list(self.interval) if self.interval else None,
            "target": self.target,
            "met": self.met,
            "count": self.count,
            "n": self.n,
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class Row:
    """A row of the proof; its figure is that of the part that is nearest to its limit."""

    key: str
    title: str
    parts: tuple[Part, ...]

    @property
    def deciding(self) -> Part:
        """The part with the least slack."""
        return min(self.parts, key=lambda part: part.slack)

    @property
    def met(self) -> bool | None:
        """Whether all parts that apply are met; `None` when none applies, or one is open and none missed."""
        known = [part.met for part in self.parts if part.met is not None]
        is_open = any(p.met is None and p.n is not None and p.target != NO_TARGET for p in self.parts)
        return None if not known or (is_open and all(known)) else all(known)

    def as_json(self) -> dict[str, object]:
        return {
            "title": self.title,
            **self.deciding.as_json(),
            "met": self.met,
            "deciding": self.deciding.name,
            "parts": {part.name: part.as_json() for part in self.parts},
        }


def clopper_pearson(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, n - count)) if count < n else 1.0
    return low, high


def counted(name: str, hits: Sequence[bool], least: int, most: int = CITIES) -> Part:
    """A count of cities, to lie in [`least`, `most`] of 400."""
    n, count = len(hits), int(sum(hits))
    limits = f"≤ {most}" if least == 0 else f"≥ {least}" if most == CITIES else f"{least}–{most}"
    interval = clopper_pearson(count, n)
    low, high = least / CITIES, most / CITIES
    share = count / n
    room = min(share - low if least else np.inf, high - share if most < CITIES else np.inf)
    met: bool | None = low <= share <= high
    if n < CITIES:
        apart = interval[1] < low or interval[0] > high
        met = False if apart else True if low <= interval[0] and interval[1] <= high else None
    return Part(name, f"{limits} of {CITIES}", share, interval, met, count, n, float(room), (least, most))


def told(name: str, hits: Sequence[bool]) -> Part:
    """A count of cities that nothing is asked of."""
    return replace(counted(name, hits, 0), target=NO_TARGET, met=None, bounds=None)


def measured(
    name: str, estimate: float, interval: tuple[float, float], most: float, target: str, n: int
) -> Part:
    """A number that may be `most` at most."""
    return Part(name, target, estimate, interval, estimate <= most, None, n, (most - estimate) / most)


def absent(name: str, target: str, reason: str) -> Part:
    """A figure that does not apply."""
    return Part(name, target, reason=reason)


def bootstrap_ratio(above: np.ndarray, below: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the ratio of two medians over the same cities (n,), by drawing cities anew."""
    pick = np.random.default_rng(0).integers(above.size, size=(draws, above.size))
    ratios = np.median(above[pick], axis=1) / np.median(below[pick], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def bootstrap_median(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the median of values (n,), by drawing them anew."""
    pick = np.random.default_rng(0).integers(values.size, size=(draws, values.size))
    low, high = np.quantile(np.median(values[pick], axis=1), [0.025, 0.975])
    return float(low), float(high)


def covered(said: Mapping[str, Any]) -> bool:
    """Whether an interval holds the truth."""
    return bool(said["low"] <= said["truth"] <= said["high"])


def column(records: Records, *path: str) -> list[Any]:
    """One entry of every record."""
    out = []
    for record in records:
        found: Any = record
        for key in path:
            found = found[key]
        out.append(found)
    return out


@dataclass(frozen=True)
class Rule:
    """How a row is made: from which experiment, and its parts."""

    key: str
    title: str
    experiment: str
    parts: Callable[[Records], list[Part]]


def rows_of(rules: Sequence[Rule], records: Records, refused: Mapping[str, str]) -> list[Row]:
    """The rows; what a network cannot be put to is null with the reason (`refused`, by experiment)."""
    return [_row(rule, records, refused) for rule in rules]


def _row(rule: Rule, records: Records, refused: Mapping[str, str]) -> Row:
    mine = [record for record in records if rule.experiment in record]
    if mine and rule.experiment not in refused:
        return Row(rule.key, rule.title, tuple(rule.parts(mine)))
    reason = refused.get(rule.experiment, "not among these records")
    return Row(rule.key, rule.title, (absent(NO_TARGET, NO_TARGET, reason),))
