"""The scan for sources in no inventory, and claims about a source, from a solved gas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor import units
from monitor.compare.sources import (
    Candidates,
    Hit,
    Search,
    detectable_strength,
    prepare,
    upper_limit,
)
from monitor.compare.statistics import LEVEL, Estimate
from monitor.compare.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict
from monitor.compare.windows import TimeBins, Windows
from monitor.config import ClaimSection, InversionSection, ScanSection
from monitor.domain import Interval, iso_z
from monitor.errors import InputError
from monitor.inversion.posterior import Posterior
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import solve_factored

#: Most sources a scan reports; each found one is held fixed while the next is looked for.
_MOST = 3
_CLAIM = {"bin_hours": 24.0, "min_days": 3.0, "max_days": 28.0, "recurring": False, "draws": 500}
_ALARM = "alarm"
#: A p-value of 0.05 is at most 1 − 0.95, whatever the last digit says.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Scope:
    """Candidates with what their indices mean."""

    candidates: Candidates
    lonlat: np.ndarray
    bins: TimeBins


def find_sources(
    section: ScanSection, posterior: Posterior, inversion: InversionSection, seed: int
) -> list[dict[str, object]]:
    """Events below the declared false-alarm probability: alarms first, each kind from the strongest on."""
    scope = scope_of(section, posterior)
    search = prepared(scope, posterior, section.draws, seed)
    known = np.zeros((posterior.problem.table.n, 0))
    events: list[dict[str, object]] = []
    for _ in range(_MOST):
        hit = (search.given(known) if known.size else search).look(posterior.problem.residual)
        if hit.p_value > section.false_alarm:
            break
        events.append(_event(hit, scope, posterior, inversion, seed))
        known = np.column_stack([known, scope.candidates.response(hit.cell, hit.window)])
    return sorted(events, key=lambda event: event["status"] != _ALARM)


def prepared(scope: Scope, posterior: Posterior, draws: int, seed: int) -> Search:
    """The search of a solved network, for any residual of it."""
    return prepare(
        posterior.solution.lower, scope.candidates, draws=draws, seed=seed, inflation=posterior.inflation
    )


def judge_source(
    claim: ClaimSection,
    posterior: Posterior,
    inversion: InversionSection,
    seed: int,
    level: float = LEVEL,
) -> dict[str, object]:
    """ "There is a source at this place": supported when its family-wise p is at most 1 − `level`.

    Contradicted only when a strength is claimed and the 95 % upper limit is below it.
    """
    cell = _nearest_cell(posterior, float(claim.lon_deg or 0.0), float(claim.lat_deg or 0.0), claim.id)
    section = ScanSection.model_validate(_CLAIM | {"species": claim.species})
    scope = _scope(section, posterior, np.array([cell]))
    if claim.period is not None:
        scope = _within(scope, Interval.parse(*claim.period))
    hit = prepared(scope, posterior, section.draws, seed).look(posterior.problem.residual)
    scale_sd = inversion.transport_scale_sd
    value, sigma, low, high = hit.interval(scale_sd, np.random.default_rng(seed))
    status = _status(hit, scope, posterior)
    answer, reasons = _answer(claim, hit, scale_sd, status, 1 - level)
    return Verdict(
        answer=answer,
        reasons=reasons,
        claim=_claim_json(claim, _dates(hit, scope)),
        unit=units.strength_unit(claim.species),
        estimate=Estimate(value, sigma, low, high),
        detectable=detectable_strength(hit),
        share_from_data=1.0,
        responses={"the source itself": 1.0},
        uncertainty_rule=(
            "Flat prior on the strength; mixture over start and end weighted by their likelihood; a "
            f"transport error of {scale_sd:.0%} (1σ) is multiplied in; the false-alarm probability covers "
            f"all {scope.candidates.windows.count} windows together."
        ),
        false_alarm=hit.p_value,
    ).as_json()


def _claim_json(claim: ClaimSection, dates: tuple[str, str]) -> dict[str, object]:
    return {
        "kind": "source",
        "statement": claim.statement,
        "species": claim.species,
        "region": claim.region,
        "claimed": {"value": claim.value, "unit": units.strength_unit(claim.species), "reading": "present"},
        "claimed_by": claim.claimed_by,
        "where": claim.where,
        "adjustments": [a if isinstance(a, str) else a.text for a in claim.adjustments],
        "place": [claim.lon_deg, claim.lat_deg],
        "start": dates[0],
        "end": dates[1],
    }


def _answer(
    claim: ClaimSection, hit: Hit, scale_sd: float, status: str, false_alarm: float
) -> tuple[str, tuple[str, ...]]:
    """The answer and its reasons, by the rules for sources."""
    if hit.p_value <= false_alarm + _ROUNDING:
        # one instrument and a sample or two are a suspicion, whatever their significance
        return (SUPPORTED, ()) if status == _ALARM else (UNDECIDED, ("too-little-data",))
    if claim.value is None:
        return UNDECIDED, ("too-little-data",)
    if upper_limit(hit, scale_sd) < claim.value:
        return CONTRADICTED, ()
    blind = not detectable_strength(hit) <= claim.value
    return UNDECIDED, ("below-detectable-change",) if blind else ("too-little-data",)


def _within(scope: Scope, period: Interval) -> Scope:
    """The scope of the one window that a claim states; `InputError` when the data do not reach it."""
    inside = (scope.bins.start < period.end64) & (scope.bins.end > period.start64)
    if not inside.any():
        raise InputError(
            "the data do not reach the period of a claimed source",
            expected=str(period),
            found=f"{scope.bins.start[0]} … {scope.bins.end[-1]}",
        )
    first, last = np.flatnonzero(inside)[[0, -1]]
    windows = Windows.of_runs(scope.bins.size, np.array([[first, last + 1]]))
    return replace(scope, candidates=replace(scope.candidates, windows=windows))


def scope_of(section: ScanSection, posterior: Posterior) -> Scope:
    """Where and when a city's search looks: its places, or every cell, and all windows."""
    return _scope(section, posterior, _cells_of(section.places, posterior))


def _scope(section: ScanSection, posterior: Posterior, cells: np.ndarray) -> Scope:
    problem = posterior.problem
    bins = _bins(section.bin_hours, posterior)
    runs = bins.runs(section.min_days, section.max_days)
    if runs.shape[0] == 0:  # no epoch is as long as the shortest window
        runs = bins.runs(0.0, section.max_days)
    again, names = bins.recurring() if section.recurring else (np.zeros((0, bins.size), dtype=bool), ())
    lon, lat = np.meshgrid(problem.grid.lon_deg, problem.grid.lat_deg)
    candidates = Candidates(
        effect=_effect(problem)[:, cells],
        bin=bins.index(problem.table.start),
        windows=Windows(bins.size, runs, again, names),
        place=np.stack(np.unravel_index(cells, problem.grid.shape), axis=1),
    )
    return Scope(candidates, np.stack([lon.ravel()[cells], lat.ravel()[cells]], axis=1), bins)


def _effect(problem: InverseProblem) -> np.ndarray:
    """Enhancement (n, cells) per kg h⁻¹ in each cell."""
    block = next((b for b in problem.blocks if b.fields is None), None)
    if block is None:
        raise InputError(
            "a search for sources needs a block with a flux per cell",
            expected='[[block]] with resolution = "cells"',
            found=", ".join(b.name for b in problem.blocks),
        )
    area = problem.grid.cell_area_m2().ravel()
    return np.asarray(block.footprints() / (units.kilograms_per_hour(problem.species) * area))


def _bins(hours: float | None, posterior: Posterior) -> TimeBins:
    """Bins of the epochs and the observations: half days, days where the observations are means of days."""
    problem = posterior.problem
    selection = problem.assumptions.selection
    if hours is None:
        hours = 24.0 if selection.average == "day" else 12.0
    periods = [(e.start64, e.end64) for e in problem.epochs.values()]
    seen = problem.table.start
    periods += [(t, t + np.timedelta64(1, "s")) for t in np.unique(seen)]
    return TimeBins.covering(periods, hours, selection.utc_offset_h)


def _cells_of(places: tuple[tuple[float, float], ...], posterior: Posterior) -> np.ndarray:
    if not places:
        return np.arange(posterior.problem.grid.shape[0] * posterior.problem.grid.shape[1])
    return np.array([_nearest_cell(posterior, lon, lat, f"{lon}, {lat}") for lon, lat in places])


def _nearest_cell(posterior: Posterior, lon_deg: float, lat_deg: float, name: str) -> int:
    grid = posterior.problem.grid
    column, row = int(np.abs(grid.lon_deg - lon_deg).argmin()), int(np.abs(grid.lat_deg - lat_deg).argmin())
    if (
        abs(grid.lon_deg[column] - lon_deg) > grid.lon_step_deg
        or abs(grid.lat_deg[row] - lat_deg) > grid.lat_step_deg
    ):
        raise InputError(
            f"the place of '{name}' lies outside the grid",
            expected=grid.describe(),
            found=f"lon {lon_deg}, lat {lat_deg}",
            remedy="check the order of longitude and latitude",
        )
    return row * grid.shape[1] + column


def _dates(hit: Hit, scope: Scope) -> tuple[str, str]:
    """Weighted medians of first and last bin, as a half-open interval."""
    spans = scope.candidates.windows.spans[hit.windows]
    first, last = (_weighted_median(spans[:, k], hit.weights) for k in (0, 1))
    return iso_z(scope.bins.start[first]), iso_z(scope.bins.end[last - 1])


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> int:
    order = np.argsort(values, kind="stable")
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return int(values[order][min(half, values.size - 1)])


def _event(
    hit: Hit, scope: Scope, posterior: Posterior, inversion: InversionSection, seed: int
) -> dict[str, object]:
    value, sigma, low, high = hit.interval(inversion.transport_scale_sd, np.random.default_rng(seed))
    lon, lat = scope.lonlat[hit.cell]
    start, end = _dates(hit, scope)
    return {
        "species": posterior.problem.species,
        "lon": float(lon),
        "lat": float(lat),
        "start": start,
        "end": end,
        "strength": value,
        "sigma": sigma,
        "interval": [low, high],
        "level": LEVEL,
        "unit": units.strength_unit(posterior.problem.species),
        "false_alarm": hit.p_value,
        "z": hit.z,
        "status": _status(hit, scope, posterior),
    }


def _status(hit: Hit, scope: Scope, posterior: Posterior) -> str:
    """ "unconfirmed" when one instrument and fewer than three samples carry the hit.

    z² is the sum over samples of f̂ hᵢ (P r)ᵢ; a sample carries the hit when its own part is above 1.
    """
    response = scope.candidates.response(hit.cell, hit.window)
    score = response * solve_factored(posterior.solution.lower, posterior.problem.residual).alpha
    best = int(np.argmax(hit.weights))
    strong = hit.strengths[best] * score / posterior.inflation > 1.0
    stations = np.unique(posterior.problem.table.station[strong])
    return "unconfirmed" if stations.size < 2 and int(strong.sum()) < 3 else _ALARM
