"""Correlation between days times correlation between hours of the day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from monitor.errors import InputError
from monitor.inversion.components import Parameter
from monitor.inversion.covariance.base import LOG_SD, Dense, chosen, finite, positive, sandwiched, sized
from monitor.inversion.numeric import numbers


@dataclass(frozen=True, eq=False)
class HourOfDay:
    """Correlation between days times correlation between hours of the day::

        k(t, t') = exp(−|day − day'| / days) · W[hour, hour']

    Attributes
    ----------
    days
        e-folding of the correlation between days.
    within : (24, 24) or a number
        W, or the e-folding in hours of the circular distance between hours.
    hours : (p,)
        Times in hours; the day is ⌊h/24⌋.  The matrix (p, p) is written out.
    """

    days: float
    within: Any
    hours: Any
    scale: float = 1.0

    def __post_init__(self) -> None:
        hours = np.atleast_1d(numbers(self.hours, "hours"))
        finite(hours, "hours")
        if hours.ndim != 1:
            raise InputError("hours need one dimension", expected="(p,)", found=str(hours.shape))
        positive(self.days, "days")
        positive(self.scale, "scale")
        matrix = numbers(self.within, "within")
        if matrix.ndim == 0:
            positive(float(matrix), "within")
            apart = np.abs(np.arange(24)[:, None] - np.arange(24)[None, :])
            matrix = np.exp(-np.minimum(apart, 24 - apart) / float(matrix))
        if matrix.shape != (24, 24):
            raise InputError(
                "within is a number, or a matrix of hours", expected="(24, 24)", found=str(matrix.shape)
            )
        if not np.allclose(np.diagonal(matrix), 1.0):
            raise InputError("within is a correlation: its diagonal is 1", found=str(np.diagonal(matrix)[0]))
        object.__setattr__(self, "hours", hours)
        object.__setattr__(self, "within", Dense(matrix).dense())

    @property
    def size(self) -> int:
        return int(self.hours.size)

    def unit(self) -> HourOfDay:
        """The correlation alone: scale = 1."""
        return replace(self, scale=1.0)

    @property
    def sqrt_size(self) -> int:
        return self.size

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("scale", self.scale, LOG_SD), Parameter("days", self.days, LOG_SD, "d"))

    def with_values(self, values: np.ndarray) -> HourOfDay:
        return replace(self, scale=float(values[0]), days=float(values[1]))

    @cached_property
    def _day_lag(self) -> np.ndarray:
        day = np.floor(self.hours / 24.0)
        return np.asarray(np.abs(day[:, None] - day[None, :]))

    @cached_property
    def _matrix(self) -> np.ndarray:
        hour = (self.hours % 24.0).astype("i8")
        out = np.exp(-self._day_lag / self.days) * self.within[hour[:, None], hour[None, :]]
        return np.asarray(self.scale**2 * out)

    @cached_property
    def _root(self) -> np.ndarray:
        return Dense(self._matrix)._root

    def diagonal(self) -> np.ndarray:
        return np.full(self.size, self.scale**2)

    def dense(self) -> np.ndarray:
        return self._matrix.copy()

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(self._matrix @ sized(vector, self.size))

    def slope_matvec(self, vector: np.ndarray) -> np.ndarray:
        """(∂Q/∂ln days) v."""
        return np.asarray((self._matrix * self._day_lag / self.days) @ vector)

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(self._root @ sized(vector, self.size))

    def observe(self, jacobian: Any) -> np.ndarray:
        return sandwiched(self._matrix, jacobian)

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        yield 2.0 * self.observe(jacobian)
        yield sandwiched(self.slope_matvec(np.eye(self.size)), jacobian)

    def select(self, rows: np.ndarray) -> HourOfDay:
        return replace(self, hours=self.hours[chosen(rows, self.size)])
