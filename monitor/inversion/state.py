"""The fluxes in the state vector, as named blocks over time steps and cells.

A block is a flux per (step, cell), a scaling of its prior per (step, cell), or one scaling of the whole field
per step.  All are linear, so all are a `StateBlock`: a sparse Jacobian, a prior mean and a reference standard
deviation per unknown; the hyperparameters multiply the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from monitor.domain import Grid, Interval
from monitor.errors import InputError
from monitor.inversion.components import Parameter
from monitor.inversion.covariance import Exponential, HourOfDay, Kronecker, Matern
from monitor.inversion.ensure import ensure_numbers
from monitor.inversion.spacetime import SpaceTimeBlock

if TYPE_CHECKING:
    from monitor.inversion.totals import Total

KERNELS = ("exponential", "matern")
RESOLUTIONS = ("cells", "scalings", "pattern")
#: Elements of the states that are multiplied by Q at once.
_CHUNK_ELEMENTS = 4_000_000
_KM_PER_DEGREE = 2 * np.pi * 6371.0072 / 360.0


@dataclass(frozen=True)
class Correlation:
    """How far an error of the prior flux reaches.

    Attributes
    ----------
    length_km, time_days
        e-folding length, and time, of the correlation.
    kernel
        In space: "exponential", or "matern" of `smoothness` with `length_km` as ℓ.
    hours_of_day
        e-folding [h] of the correlation between hours of the day; `time_days` is then that between days.
        ``None``: exponential in time.
    length_log_sd
        How far the data may move the length (1σ of its logarithm); 0 holds it fixed.
    """

    length_km: float = 10.0
    time_days: float = 30.0
    kernel: str = "exponential"
    smoothness: float = 1.5
    hours_of_day: float | None = None
    length_log_sd: float = 0.3

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise InputError(f"no kernel '{self.kernel}'", expected=", ".join(KERNELS))
        ensure_numbers(
            self,
            positive=("length_km", "time_days", "smoothness", "hours_of_day"),
            non_negative=("length_log_sd",),
        )

    def in_time(self, hours: np.ndarray) -> Matern | HourOfDay:
        """Correlation between moments (p,) [h]."""
        if self.hours_of_day is None:
            return Exponential(24.0 * self.time_days, hours)
        return HourOfDay(self.time_days, self.hours_of_day, hours)

    def in_space(self, grid: Grid) -> Matern:
        """Correlation between cell centres, on the tangent plane at the grid's middle.

        Good to 1 % of a distance over a few hundred kilometres.
        """
        north = grid.lat_step_deg * _KM_PER_DEGREE
        east = grid.lon_step_deg * _KM_PER_DEGREE * float(np.cos(np.deg2rad(grid.lat_deg.mean())))
        smoothness = 0.5 if self.kernel == "exponential" else self.smoothness
        return Matern(self.length_km, smoothness, grid.shape, (north, east))


@dataclass(frozen=True)
class FluxBlock:
    """What is assumed of a block of fluxes.

    Attributes
    ----------
    sectors
        Sectors of the prior it sums; ("*",) is all.
    resolution
        "cells": a flux per cell; "scalings": a factor on the prior per cell; "pattern": one factor on the
        whole field.
    step_days
        Length of a time step (1/24 is hourly); ``None`` is one step per epoch.
    relative_sd
        1σ relative to the reference field.
    correlation
        Of this block; ``None`` takes that of the `Assumptions`.
    hour_factors
        24 factors of the local hour, mean 1; empty for none.
    floor
        Part of the mean reference that the σ of every cell's flux has at least: where a map has nothing,
        the truth may have something.  Scalings have no floor.
    """

    name: str
    sectors: tuple[str, ...] = ("*",)
    resolution: str = "cells"
    step_days: float | None = None
    relative_sd: float = 0.5
    correlation: Correlation | None = None
    hour_factors: tuple[float, ...] = ()
    floor: float = 0.3

    def __post_init__(self) -> None:
        if not isinstance(self.sectors, tuple) or not 0 < len(self.sectors) == len(set(self.sectors)):
            raise InputError(
                f"the sectors of block '{self.name}' are no set of names",
                expected="a tuple of different names, or ('*',) for all",
                found=repr(self.sectors),
            )
        if self.resolution not in RESOLUTIONS:
            raise InputError(
                f"block '{self.name}' has no resolution '{self.resolution}'", expected=", ".join(RESOLUTIONS)
            )
        ensure_numbers(self, positive=("step_days", "relative_sd"), non_negative=("floor",))
        if self.step_days is not None and self.step_days * 86400.0 < 1.0:
            raise InputError(
                "FluxBlock.step_days is out of range",
                expected="a second at least",
                found=repr(self.step_days),
            )
        factors = np.asarray(self.hour_factors, dtype="f8")
        # a cycle rounded to three digits may be stated
        if factors.size and not (
            factors.shape == (24,) and (factors >= 0).all() and abs(factors.mean() - 1.0) <= 1e-3
        ):
            raise InputError(
                f"the hour_factors of block '{self.name}' are no cycle of a day",
                expected="24 numbers ≥ 0 of mean 1, or () for none",
                found=f"{factors.size} of mean {factors.mean():g}, the least {factors.min():g}",
                remedy="divide them by their mean",
            )


@dataclass(frozen=True, eq=False)
class StateBlock:
    """A block with its numbers: p steps, s unknowns a step (cells, or 1), n observations.

    Attributes
    ----------
    steps : (p, 2) datetime64[ns]
    jacobian : (n, p·s) csr
        Enhancement per unit of the unknown t·s + c [µmol mol⁻¹].
    prior, reference, sigma : (p, s)
        Of the unknown: its prior mean; the same with all epochs of one size, of which errors are fractions;
        and its standard deviation at scale 1.
    fields : (p, n_cells) or None
        For scalings and patterns: the flux that a factor of 1 means; ``None`` for fluxes per cell.
    unit : Kronecker
        Prior covariance at scale 1, and at the prior medians of length and time.
    parameters : scale, length, time
        A pattern has no length.
    """

    name: str
    steps: np.ndarray
    jacobian: sp.csr_array
    prior: np.ndarray
    reference: np.ndarray
    sigma: np.ndarray
    fields: np.ndarray | None
    unit: Kronecker
    parameters: tuple[Parameter, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(p, s)."""
        return self.unit.shape

    @property
    def is_pattern(self) -> bool:
        """Whether one factor scales the whole field."""
        return self.fields is not None and self.shape[1] != self.fields.shape[1]

    @property
    def step_hours(self) -> np.ndarray:
        """Middles of the steps, hours since 1970 (p,)."""
        return middle_hours(self.steps)

    def covariance(self, values: np.ndarray) -> Kronecker:
        """Q at `values` of the block's parameters."""
        return self.component.at(values)

    def predicted(self) -> np.ndarray:
        """H x_a (n,) [µmol mol⁻¹]."""
        return np.asarray(self.jacobian @ self.prior.ravel())

    @cached_property
    def component(self) -> SpaceTimeBlock:
        """Its covariance in observation space."""
        return SpaceTimeBlock(self.name, self.jacobian, self.unit, self.parameters)

    def footprints(self, unknowns: np.ndarray | None = None) -> np.ndarray:
        """Footprints summed over the steps (n, s), or those of some unknowns of a step (indices) alone."""
        p, s = self.shape
        one = sp.eye_array(s, format="csc")
        some = one if unknowns is None else one[:, unknowns]
        return np.asarray((self.jacobian @ sp.vstack([some] * p, format="csr")).toarray())

    def loading(self, weight: np.ndarray, interval: Interval) -> np.ndarray:
        """Row a (p, s) of the total Σ_cells weight · flux, averaged over `interval`.

        Parameters
        ----------
        weight : (n_cells,)
            Area fraction × cell area × unit factor.
        """
        share = overlap_share(self.steps, interval)[:, None]
        if self.fields is None:
            return np.asarray(share * weight[None, :])
        if self.is_pattern:
            return np.asarray(share * (self.fields @ weight)[:, None])
        return np.asarray(share * weight[None, :] * self.fields)

    def cross(self, values: np.ndarray, totals: Sequence[Total]) -> tuple[np.ndarray, np.ndarray]:
        """H Q aᵀ (n, k) and a Q aᵀ (k, k) of totals of this block."""
        q, m = self.covariance(values), self.jacobian.shape[1]
        cross = np.zeros((self.jacobian.shape[0], len(totals)))
        prior = np.zeros((len(totals), len(totals)))
        size = max(1, _CHUNK_ELEMENTS // m)
        for start in range(0, len(totals), size):
            part = slice(start, start + size)
            rows = np.stack([self.loading(t.weight, t.interval).ravel() for t in totals[part]])
            spread = q.matvec(np.ascontiguousarray(rows.T))
            cross[:, part] = self.jacobian @ spread
            prior[:, part] = [self.loading(t.weight, t.interval).ravel() @ spread for t in totals]
        return cross, 0.5 * (prior + prior.T)

    def select(self, keep: np.ndarray) -> StateBlock:
        return replace(self, jacobian=self.jacobian[keep])


def middle_hours(bounds: np.ndarray) -> np.ndarray:
    """Middles of (p, 2) datetime64, hours since 1970 (p,)."""
    return np.asarray(bounds.astype("datetime64[s]").astype("f8").mean(axis=1) / 3600.0)


def overlap_share(steps: np.ndarray, interval: Interval) -> np.ndarray:
    """Share of `interval` that each step covers (p,); sums to 1 when the steps cover it."""
    start = np.maximum(steps[:, 0], interval.start64)
    end = np.minimum(steps[:, 1], interval.end64)
    seconds = np.maximum((end - start) / np.timedelta64(1, "s"), 0.0)
    total = float(seconds.sum())
    return np.asarray(seconds / total if total > 0 else seconds)


def time_steps(epochs: Sequence[Interval], step_days: float | None, reach_hours: float = 0.0) -> np.ndarray:
    """Steps (p, 2) that tile the epochs: one each, or of `step_days`, the last one of an epoch shorter.

    Steps shorter than `reach_hours`, the reach of the footprints, begin that much before each epoch (not
    before the end of the one before), because the first observations see fluxes of that time.
    """
    bounds: list[tuple[np.datetime64, np.datetime64]] = []
    for epoch in sorted(epochs):
        if step_days is None:
            bounds.append((epoch.start64, epoch.end64))
            continue
        length = np.timedelta64(round(step_days * 86400), "s").astype("timedelta64[ns]")
        start = epoch.start64
        if step_days * 24.0 < reach_hours:
            earliest = bounds[-1][1] if bounds else None
            for _ in range(int(np.ceil(reach_hours / (step_days * 24.0)))):
                if earliest is not None and start - length < earliest:
                    break
                start = start - length
        while start < epoch.end64:
            bounds.append((start, min(start + length, epoch.end64)))
            start = start + length
    return np.array(bounds, dtype="datetime64[ns]")
