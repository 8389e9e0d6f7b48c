"""The search for sources beyond the inventory, from a solved gas: where, when, how strong, or what else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor import units
from monitor.compare.crosschecks import ALARM, Checks, Without, check
from monitor.compare.detectable import POWER, detectable_strengths, reference_windows
from monitor.compare.events import Event, find_events
from monitor.compare.sources import FALSE_ALARM, Candidates, Hit, Search, alarms_a_year, prepare
from monitor.compare.statistics import LEVEL
from monitor.compare.verdict import number
from monitor.compare.windows import TimeBins, Windows
from monitor.config import InversionSection, ScanSection
from monitor.domain import Grid, Interval, iso_z
from monitor.errors import InputError
from monitor.inversion.posterior import Posterior
from monitor.inversion.problem import InverseProblem

_KM_PER_DEGREE = 111.195
#: A place on the edge of the grid lies in it, whatever the last digit says.
_HALF = 0.5 + 1e-6


@dataclass(frozen=True, eq=False)
class Scope:
    """Where and when to look: candidates, and the time bins that their windows are made of."""

    candidates: Candidates
    bins: TimeBins


@dataclass(frozen=True, eq=False)
class Found:
    """What a search says.

    Attributes
    ----------
    events
        JSON-ready: alarms first, each kind from the strongest on.
    figures
        How much was looked at, how often it is wrong, and what it could have found; JSON-ready.
    detectable : (lat, lon)
        Strength found with 80 % at family-wise 5 % [kg h⁻¹]; infinite where no strength is, NaN where no
        search was made.
    """

    events: list[dict[str, object]]
    figures: dict[str, object]
    detectable: np.ndarray

    @property
    def places(self) -> int:
        """Cells that were searched."""
        return int(np.sum(~np.isnan(self.detectable)))


def find_sources(section: ScanSection, posterior: Posterior, inversion: InversionSection, seed: int) -> Found:
    """Events below the declared false-alarm probability, and the strengths that would have been found."""
    problem = posterior.problem
    scope = scope_of(section, posterior)
    search = prepared(scope, posterior, section.draws, seed)
    days = scope.bins.size * scope.bins.hours / 24.0
    events = []
    found = find_events(
        search,
        problem.residual,
        section.false_alarm,
        inflate=posterior.inflation_of,
        error=posterior.transport_error,
    )
    for event in found:
        checks = check(event, problem.residual, problem.table, prior_sd(event, scope, posterior))
        value = event.hit.interval(inversion.transport_sd, np.random.default_rng(seed))
        rate = {"false_alarms_a_year": alarms_a_year(event.p_value, days), "draws": section.draws}
        events.append(_event_json(event, value, scope, problem) | rate | _checks_json(checks))
    windows = reference_windows(search.windows, round(section.source_days * 24.0 / scope.bins.hours))
    strengths = detectable_strengths(search, windows)
    lengths = np.diff(search.windows.runs[windows], axis=1) * scope.bins.hours / 24.0
    figures = {
        "species": problem.species,
        "places": search.candidates.place.shape[0],
        "windows": search.windows.count,
        "bin_hours": scope.bins.hours,
        "days": days,
        "draws": section.draws,
        "threshold_z": number(search.threshold),
        "false_alarm": section.false_alarm,
        "false_alarms_a_year": alarms_a_year(section.false_alarm, days),
        "detectable": _summary(strengths, problem.species) | {"days": float(lengths[0, 0])},
    }
    field = np.full(problem.grid.shape, np.nan)
    field[tuple(search.candidates.place.T)] = strengths
    return Found(sorted(events, key=lambda event: event["status"] != ALARM), figures, field)


def _summary(strengths: np.ndarray, species: str) -> dict[str, object]:
    """Median and range over the places; ``None`` for a strength that does not exist."""
    low, median, high = np.quantile(strengths, [0.0, 0.5, 1.0], method="higher")
    return {
        "power": POWER,
        "false_alarm": FALSE_ALARM,
        "median": number(median),
        "range": [number(low), number(high)],
        "unseen_places": int(np.sum(~np.isfinite(strengths))),
        "unit": units.strength_unit(species),
    }


def prepared(scope: Scope, posterior: Posterior, draws: int, seed: int) -> Search:
    """The search of a solved network, for any residual of it."""
    return prepare(
        posterior.solution.lower, scope.candidates, draws=draws, seed=seed, inflation=posterior.inflation
    )


def prior_sd(event: Event, scope: Scope, posterior: Posterior) -> float:
    """Prior σ of the flux of the event's cell, averaged over its time, of all blocks [kg h⁻¹]."""
    problem = posterior.problem
    grid = problem.grid
    row, column = event.search.candidates.place[event.hit.cell]
    weight = np.zeros(grid.shape)
    weight[row, column] = grid.cell_area_m2()[row, column] * units.kilograms_per_hour(problem.species)
    first, last = event.search.windows.spans[event.hit.window]
    interval = Interval.parse(iso_z(scope.bins.start[first]), iso_z(scope.bins.end[last - 1]))
    variance = 0.0
    for block in problem.blocks:
        loading = block.loading(weight.ravel(), interval).ravel()
        spread = block.covariance(problem.values_of(block.name, posterior.values)).matvec(loading[:, None])
        variance += float(loading @ spread[:, 0])
    return float(np.sqrt(posterior.inflation * variance))


def scope_of(section: ScanSection, posterior: Posterior) -> Scope:
    """Where and when a city's search looks: its places, or every cell, and all windows."""
    return scope_at(section, posterior, _cells_of(section.places, posterior))


def scope_at(section: ScanSection, posterior: Posterior, cells: np.ndarray) -> Scope:
    """The same of other cells (indices)."""
    problem = posterior.problem
    bins = _bins(section.bin_hours, posterior)
    runs = bins.runs(section.min_days, section.max_days)
    if runs.shape[0] == 0:  # no epoch is as long as the shortest window
        runs = bins.runs(0.0, section.max_days)
    again, names = bins.recurring() if section.recurring else (np.zeros((0, bins.size), dtype=bool), ())
    candidates = Candidates(
        effect=_effect(problem, cells),
        bin=bins.index(problem.table.start),
        windows=Windows(bins.size, runs, again, names),
        place=np.stack(np.unravel_index(cells, problem.grid.shape), axis=1),
    )
    return Scope(candidates, bins)


def _effect(problem: InverseProblem, cells: np.ndarray) -> np.ndarray:
    """Enhancement (n, c) per kg h⁻¹ in each of some cells."""
    block = next((b for b in problem.blocks if b.fields is None), None)
    if block is None:
        raise InputError(
            "a search for sources needs a block with a flux per cell",
            expected='[[block]] with resolution = "cells"',
            found=", ".join(b.name for b in problem.blocks),
        )
    area = problem.grid.cell_area_m2().ravel()[cells]
    return np.asarray(block.footprints(cells) / (units.kilograms_per_hour(problem.species) * area))


def _bins(hours: float | None, posterior: Posterior) -> TimeBins:
    """Bins of the epochs and the observations: half days, days where the observations are means of days."""
    problem = posterior.problem
    selection = problem.assumptions.selection
    if hours is None:
        hours = 24.0 if selection.average == "daily" else 12.0
    periods = [(e.start64, e.end64) for e in problem.epochs.values()]
    seen = problem.table.start
    periods += [(t, t + np.timedelta64(1, "s")) for t in np.unique(seen)]
    return TimeBins.covering(periods, hours, selection.utc_offset_h)


def _cells_of(places: tuple[tuple[float, float], ...], posterior: Posterior) -> np.ndarray:
    if not places:
        return np.arange(posterior.problem.grid.shape[0] * posterior.problem.grid.shape[1])
    return np.array([nearest_cell(posterior, lon, lat, f"{lon}, {lat}") for lon, lat in places])


def nearest_cell(posterior: Posterior, lon_deg: float, lat_deg: float, name: str) -> int:
    """The cell that a place lies in; `InputError` when that is outside the grid."""
    grid = posterior.problem.grid
    column, row = int(np.abs(grid.lon_deg - lon_deg).argmin()), int(np.abs(grid.lat_deg - lat_deg).argmin())
    if (
        abs(grid.lon_deg[column] - lon_deg) > _HALF * grid.lon_step_deg
        or abs(grid.lat_deg[row] - lat_deg) > _HALF * grid.lat_step_deg
    ):
        raise InputError(
            f"the place of '{name}' lies outside the grid",
            expected=grid.describe(),
            found=f"lon {lon_deg}, lat {lat_deg}",
            remedy="check the order of longitude and latitude",
        )
    return row * grid.shape[1] + column


@dataclass(frozen=True)
class Dates:
    """When a source was at work, as a half-open interval, and how well each end is known.

    `start` and `end` are weighted medians over the windows of the event; the intervals are their central 95 %
    and half a bin to either side, because no bin is divided.
    """

    start: str
    end: str
    start_interval: tuple[str, str]
    end_interval: tuple[str, str]

    def as_json(self) -> dict[str, object]:
        return {
            "start": self.start,
            "end": self.end,
            "start_interval": list(self.start_interval),
            "end_interval": list(self.end_interval),
        }


def dates_of(hit: Hit, windows: Windows, bins: TimeBins) -> Dates:
    """Begin and end of a source over the mixture of its windows, weights ∝ exp(z²/2)."""
    spans = windows.spans[hit.windows]
    shares = np.array([0.5 - LEVEL / 2, 0.5, 0.5 + LEVEL / 2])
    half = np.timedelta64(round(bins.hours * 1800), "s") * np.array([-1, 0, 1])
    first, last = (_weighted_quantiles(spans[:, k], hit.weights, shares) for k in (0, 1))
    starts = [iso_z(moment) for moment in bins.start[first] + half]
    ends = [iso_z(moment) for moment in bins.end[last - 1] + half]
    return Dates(starts[1], ends[1], (starts[0], starts[2]), (ends[0], ends[2]))


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    at = np.searchsorted(running, shares * running[-1])
    return np.asarray(values[order][np.minimum(at, values.size - 1)])


def _event_json(
    event: Event, value: tuple[float, float, float, float], scope: Scope, problem: InverseProblem
) -> dict[str, object]:
    strength, sigma, low, high = value
    candidates = event.search.candidates
    places = _lonlat(candidates.place[event.hit.places()], problem.grid)
    lon, lat = _lonlat(candidates.place[[event.hit.cell]], problem.grid)[0]
    return {
        "species": problem.species,
        "lon": lon,
        "lat": lat,
        "places": places,
        "place_km": _reach_km((lon, lat), places, problem.grid),
        **dates_of(event.hit, candidates.windows, scope.bins).as_json(),
        "recurring": event.name or None,
        "strength": strength,
        "sigma": sigma,
        "interval": [low, high],
        "level": LEVEL,
        "unit": units.strength_unit(problem.species),
        "false_alarm": event.p_value,
        "z": event.hit.z,
        "hits": len(event.parts),
    }


def _checks_json(checks: Checks) -> dict[str, object]:
    def without(rest: Without) -> dict[str, object]:
        return {
            "strength": number(rest.strength),
            "sigma": number(rest.sigma),
            "z": number(rest.z),
            "expected_z": number(rest.expected_z),
        }

    return {
        "status": checks.status,
        "reasons": list(checks.reasons),
        "notes": list(checks.notes),
        "checks": {
            "samples": checks.samples,
            "stations": list(checks.stations),
            "other_explanation": checks.explanation,
            "log_evidence": number(checks.log_evidence),
            "prior_sigmas": number(checks.prior_sigmas),
            "without_station": {name: without(rest) for name, rest in checks.without.items()},
        },
    }


def _lonlat(place: np.ndarray, grid: Grid) -> list[tuple[float, float]]:
    return [(float(grid.lon_deg[column]), float(grid.lat_deg[row])) for row, column in place]


def _reach_km(centre: tuple[float, float], places: Sequence[tuple[float, float]], grid: Grid) -> float:
    """Distance from the best place to the furthest of the others [km]; at least half a cell's width."""
    lon, lat = np.array(places).T
    shrink = np.cos(np.deg2rad(centre[1]))
    half_cell = max(grid.lon_step_deg * shrink, grid.lat_step_deg) / 2
    apart = np.hypot((lon - centre[0]) * shrink, lat - centre[1]).max()
    return float(_KM_PER_DEGREE * max(apart, half_cell))
