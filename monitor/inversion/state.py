"""The fluxes in the state vector, as named blocks over time steps and cells.

A block is either a flux per (step, cell), correlated in space and time, or one scaling per step of a
whole field.  Both are linear, so both are a `StateBlock`: a Jacobian per step, a prior mean and a
reference standard deviation; the hyperparameters multiply the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.domain import Grid, Interval
from monitor.inversion.components import Component, Parameter, SpaceTimeBlock, TemporalProcess, exponential


@dataclass(frozen=True)
class FluxBlock:
    """What is assumed of a block of fluxes.

    Attributes
    ----------
    sectors
        Sectors of the prior it sums; ("*",) is all.
    resolution
        "cells": a flux per cell; "pattern": one scaling of the whole field.
    step_days
        Length of a time step; ``None`` is one step per epoch.
    relative_sd, length_km, time_days
        1σ relative to the reference field, e-folding length and time of its correlation.
    hour_factors
        24 factors of the local hour, mean 1; empty for none.
    floor
        Part of the mean reference that every cell's σ has at least: where a map has nothing, the
        truth may have something.
    length_log_sd
        How far the data may move the length (1σ of its logarithm); 0 holds it fixed.
    """

    name: str
    sectors: tuple[str, ...] = ("*",)
    resolution: str = "cells"
    step_days: float | None = None
    relative_sd: float = 0.5
    length_km: float = 10.0
    time_days: float = 30.0
    hour_factors: tuple[float, ...] = ()
    floor: float = 0.3
    length_log_sd: float = 0.3


@dataclass(frozen=True, eq=False)
class StateBlock:
    """A block with its numbers: p steps, s unknowns a step (cells, or 1), n observations.

    Attributes
    ----------
    steps : (p, 2) datetime64[ns]
    jacobian : p arrays (n, s)
        Enhancement per unit of the unknown [µmol mol⁻¹].
    prior, sigma : (p, s)
        Prior mean, and reference standard deviation at scale 1, of the unknown.
    fields : (p, n_cells) or None
        For a pattern: the flux that a scaling of 1 means; ``None`` for fluxes per cell.
    prior_flux : (p, n_cells)
        Prior mean flux [µmol m⁻² s⁻¹].
    distance_km : (s, s)
    parameters : scale, length_km, time_hours
        The length means nothing to a pattern, and is not a hyperparameter there.
    """

    name: str
    steps: np.ndarray
    jacobian: tuple[np.ndarray, ...]
    prior: np.ndarray
    sigma: np.ndarray
    fields: np.ndarray | None
    distance_km: np.ndarray
    parameters: tuple[Parameter, Parameter, Parameter]

    @property
    def step_hours(self) -> np.ndarray:
        """Middles of the steps, hours since 1970 (p,)."""
        middle = self.steps.astype("datetime64[s]").astype("f8").mean(axis=1)
        return np.asarray(middle / 3600.0)

    def predicted(self) -> np.ndarray:
        """H x_a (n,) [µmol mol⁻¹]."""
        return np.asarray(np.sum([h @ x for h, x in zip(self.jacobian, self.prior, strict=True)], axis=0))

    def component(self) -> Component:
        """Its covariance in observation space."""
        if self.fields is not None:
            return self._pattern_component()
        scaled = tuple(h * s[None, :] for h, s in zip(self.jacobian, self.sigma, strict=True))
        return SpaceTimeBlock.of(self.name, scaled, self.distance_km, self.step_hours, self.parameters)

    def _pattern_component(self) -> TemporalProcess:
        """Each observation sees the scaling of one step: a process in the middles of the steps."""
        columns = np.column_stack([h[:, 0] * s[0] for h, s in zip(self.jacobian, self.sigma, strict=True)])
        step = np.argmax(columns != 0, axis=1)
        scale, _, time = self.parameters
        amplitude = columns[np.arange(step.size), step]
        return TemporalProcess(
            self.name, self.step_hours[step], np.zeros(step.size, dtype="i8"), amplitude, scale, time
        )

    def loading(self, weight: np.ndarray, interval: Interval) -> np.ndarray:
        """Row a (p, s) of the total Σ_cells weight · flux, averaged over `interval`.

        Parameters
        ----------
        weight : (n_cells,)
            Area fraction × cell area × unit factor.
        """
        share = overlap_share(self.steps, interval)
        seen = weight[None, :] if self.fields is None else (self.fields @ weight)[:, None]
        return np.asarray(share[:, None] * seen)

    def covariance_times(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Q aᵀ for rows `rows` (k, p, s), as (k, p, s)."""
        scale, length, tau = values if values.size == 3 else (values[0], 1.0, values[1])
        space = exponential(self.distance_km, length)
        lag = np.abs(self.step_hours[:, None] - self.step_hours[None, :])
        mixed = np.einsum("pq,kqs->kps", exponential(lag, tau), rows * self.sigma)
        return np.asarray(scale**2 * self.sigma * (mixed @ space))

    def observe(self, states: np.ndarray) -> np.ndarray:
        """H x for states (k, p, s), as (n, k)."""
        return np.asarray(np.sum([h @ states[:, p, :].T for p, h in enumerate(self.jacobian)], axis=0))

    def select(self, keep: np.ndarray) -> StateBlock:
        return replace(self, jacobian=tuple(h[keep] for h in self.jacobian))


def overlap_share(steps: np.ndarray, interval: Interval) -> np.ndarray:
    """Share of `interval` that each step covers (p,); sums to 1 when the steps cover it."""
    start = np.maximum(steps[:, 0], interval.start64)
    end = np.minimum(steps[:, 1], interval.end64)
    seconds = np.maximum((end - start) / np.timedelta64(1, "s"), 0.0)
    total = float(seconds.sum())
    return np.asarray(seconds / total if total > 0 else seconds)


def time_steps(epochs: Sequence[Interval], step_days: float | None) -> np.ndarray:
    """Steps (p, 2) that tile the epochs: one each, or of `step_days`, the last one shorter."""
    bounds: list[tuple[np.datetime64, np.datetime64]] = []
    for epoch in sorted(epochs):
        if step_days is None:
            bounds.append((epoch.start64, epoch.end64))
            continue
        length = np.timedelta64(round(step_days * 86400), "s").astype("timedelta64[ns]")
        start = epoch.start64
        while start < epoch.end64:
            bounds.append((start, min(start + length, epoch.end64)))
            start = start + length
    return np.array(bounds, dtype="datetime64[ns]")


def distance_km(grid: Grid) -> np.ndarray:
    """Distances between all cell centres (s, s), on the tangent plane at the grid's middle.

    Good to 1 % over a few hundred kilometres, which correlation lengths never need.
    """
    lon, lat = np.meshgrid(grid.lon_deg, grid.lat_deg)
    per_degree = 2 * np.pi * 6371.0072 / 360.0
    east = (lon * per_degree * np.cos(np.deg2rad(lat.mean()))).ravel()
    north = (lat * per_degree).ravel()
    return np.asarray(np.hypot(east[:, None] - east[None, :], north[:, None] - north[None, :]))
