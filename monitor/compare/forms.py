"""What a claim makes of totals: a level, a change, a slope, a share.

A form turns estimated totals and their covariance into one `Estimate`, and says along which contrast of the
totals its error lies.  Pure functions of small arrays: whoever has totals can judge them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from monitor.compare.statistics import LEVEL, Estimate, gaussian, ratio, relative_change
from monitor.compare.trends import UNDERLYING, Line, realised_line, underlying_line


class Form(Protocol):
    """Of totals (k,) and their covariance (k, k)."""

    @property
    def is_ratio(self) -> bool:
        """Whether an error that multiplies all totals alike drops out."""
        ...

    @property
    def from_none(self) -> bool:
        """Whether it is measured from zero, "nothing has changed"."""
        ...

    def estimate(self, totals: np.ndarray, covariance: np.ndarray, level: float = LEVEL) -> Estimate: ...

    def contrast(self, totals: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """The direction (k,) along which the estimate's error lies."""
        ...

    def direction(self, count: int) -> np.ndarray:
        """How the true change that is spoken of is spread over the epochs (j,)."""
        ...


@dataclass(frozen=True)
class Level:
    """A total."""

    is_ratio = False
    from_none = False

    def estimate(self, totals: np.ndarray, covariance: np.ndarray, level: float = LEVEL) -> Estimate:
        return gaussian(float(totals[0]), float(np.sqrt(covariance[0, 0])), level)

    def contrast(self, totals: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        return np.ones(1)

    def direction(self, count: int) -> np.ndarray:
        return np.ones(1)


@dataclass(frozen=True)
class Change:
    """T₂/T₁ − 1, by Fieller."""

    is_ratio = True
    from_none = True

    def estimate(self, totals: np.ndarray, covariance: np.ndarray, level: float = LEVEL) -> Estimate:
        return relative_change(totals, covariance, level)

    def contrast(self, totals: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        return np.array([-totals[1] / totals[0], 1.0])

    def direction(self, count: int) -> np.ndarray:
        return np.array([0.0, 1.0])


@dataclass(frozen=True)
class Trend:
    """A slope over three epochs or more.

    Attributes
    ----------
    years : (k,)
        Middles of the epochs [a].
    reading
        "realised" or "underlying" (`monitor.compare.trends`).
    relative
        In fractions of the first epoch's total per year (of the line's value there where it is underlying);
        else in the totals' unit per year.
    """

    years: tuple[float, ...]
    reading: str = UNDERLYING
    relative: bool = True

    from_none = True

    @property
    def is_ratio(self) -> bool:
        return self.relative

    def line(self, totals: np.ndarray, covariance: np.ndarray) -> Line:
        """Slope and base with their weights."""
        years = np.array(self.years)
        if self.reading == UNDERLYING:
            return underlying_line(years, totals, covariance)
        return realised_line(years, covariance)

    def estimate(self, totals: np.ndarray, covariance: np.ndarray, level: float = LEVEL) -> Estimate:
        line = self.line(totals, covariance)
        slope, base = line.weights @ totals
        if not self.relative:
            return gaussian(float(slope), float(np.sqrt(line.covariance[0, 0])), level, line.degrees)
        order = np.array([1, 0])
        return ratio(np.array([base, slope]), line.covariance[np.ix_(order, order)], level, line.degrees)

    def contrast(self, totals: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        slope, base = self.line(totals, covariance).weights
        return np.asarray(slope - (slope @ totals) / (base @ totals) * base if self.relative else slope)

    def direction(self, count: int) -> np.ndarray:
        years = np.array(self.years)
        return np.asarray(years - years[0])


@dataclass(frozen=True)
class Share:
    """The first total over the sum of all: a sector or a district in a larger whole, by Fieller."""

    is_ratio = True
    from_none = False

    def estimate(self, totals: np.ndarray, covariance: np.ndarray, level: float = LEVEL) -> Estimate:
        make = np.stack([np.ones(totals.size), np.eye(totals.size)[0]])
        return ratio(make @ totals, make @ covariance @ make.T, level)

    def contrast(self, totals: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        return np.asarray(np.eye(totals.size)[0] - totals[0] / totals.sum())

    def direction(self, count: int) -> np.ndarray:
        return np.ones(1)
