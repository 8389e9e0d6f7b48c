"""The scan for sources in no inventory, and claims about a source, from a solved gas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monitor import units
from monitor.compare.sources import (
    FALSE_ALARM,
    Candidates,
    Hit,
    day_windows,
    detectable_strength,
    scan,
    upper_limit,
)
from monitor.compare.statistics import LEVEL, Estimate
from monitor.compare.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict
from monitor.config import ClaimSection, InversionSection, ScanSection
from monitor.domain import Interval, iso_z
from monitor.errors import InputError
from monitor.inversion.posterior import Posterior
from monitor.inversion.solution import solve_factored

#: Most sources a scan reports; each found one is held fixed while the next is looked for.
_MOST = 3
_WINDOW_DAYS = (3, 28)
_DRAWS = 500
_ALARM = "alarm"


@dataclass(frozen=True, eq=False)
class _Search:
    """Candidates with what their indices mean."""

    candidates: Candidates
    lonlat: np.ndarray
    dates: np.ndarray


def find_sources(
    section: ScanSection, posterior: Posterior, inversion: InversionSection, seed: int
) -> list[dict[str, object]]:
    """Events below the declared false-alarm probability: alarms first, each kind from the strongest on."""
    search = _search(posterior, _cells_of(section.places, posterior), section.min_days, section.max_days)
    known = np.zeros((posterior.problem.table.n, 0))
    events: list[dict[str, object]] = []
    for number in range(_MOST):
        hit = scan(posterior, search.candidates, draws=section.draws, seed=seed + number, known=known)
        if hit.p_value > section.false_alarm:
            break
        events.append(_event(hit, search, posterior, inversion, seed))
        known = np.column_stack([known, _response(hit, search)])
    return sorted(events, key=lambda event: event["status"] != _ALARM)


def judge_source(
    claim: ClaimSection, posterior: Posterior, inversion: InversionSection, seed: int
) -> dict[str, object]:
    """ "There is a source at this place": supported when its family-wise p is at most 0.05.

    Contradicted only when a strength is claimed and the 95 % upper limit is below it.
    """
    cell = _nearest_cell(posterior, float(claim.lon_deg or 0.0), float(claim.lat_deg or 0.0), claim.id)
    search = _search(posterior, np.array([cell]), *_WINDOW_DAYS)
    if claim.period is not None:
        search = _within(search, Interval.parse(*claim.period), posterior)
    hit = scan(posterior, search.candidates, draws=_DRAWS, seed=seed)
    scale_sd = inversion.transport_scale_sd
    value, sigma, low, high = hit.interval(scale_sd, np.random.default_rng(seed))
    answer, reasons = _answer(claim, hit, scale_sd, _status(hit, search, posterior))
    return Verdict(
        answer=answer,
        reasons=reasons,
        claim=_claim_json(claim, _dates(hit, search)),
        unit=units.strength_unit(claim.species),
        estimate=Estimate(value, sigma, low, high),
        detectable=detectable_strength(hit),
        share_from_data=1.0,
        responses={"the source itself": 1.0},
        uncertainty_rule=(
            "Flat prior on the strength; mixture over start and end weighted by their likelihood; a "
            f"transport error of {scale_sd:.0%} (1σ) is multiplied in; the false-alarm probability covers "
            f"all {search.candidates.windows.shape[0]} windows together."
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
        "adjustments": list(claim.adjustments),
        "place": [claim.lon_deg, claim.lat_deg],
        "start": dates[0],
        "end": dates[1],
    }


def _answer(claim: ClaimSection, hit: Hit, scale_sd: float, status: str) -> tuple[str, tuple[str, ...]]:
    """The answer and its reasons, by the rules for sources."""
    if hit.p_value <= FALSE_ALARM:
        # one instrument and a sample or two are a suspicion, whatever their significance
        return (SUPPORTED, ()) if status == _ALARM else (UNDECIDED, ("too-little-data",))
    if claim.value is None:
        return UNDECIDED, ("too-little-data",)
    if upper_limit(hit, scale_sd) < claim.value:
        return CONTRADICTED, ()
    blind = not detectable_strength(hit) <= claim.value
    return UNDECIDED, ("below-detectable-change",) if blind else ("too-little-data",)


def _within(search: _Search, period: Interval, posterior: Posterior) -> _Search:
    """The search in the one window that a claim states; `InputError` when the data do not reach it."""
    offset = np.timedelta64(round(posterior.problem.assumptions.selection.utc_offset_h * 3600), "s")
    start, end = ((t + offset).astype("datetime64[D]") for t in (period.start64, period.end64))
    first, last = np.searchsorted(search.dates, [start, max(end, start + np.timedelta64(1, "D"))])
    if first == last:
        raise InputError(
            "the data do not reach the period of a claimed source",
            expected=str(period),
            found=f"{search.dates[0]} … {search.dates[-1]}",
        )
    return replace(search, candidates=replace(search.candidates, windows=np.array([[first, last]])))


def _search(posterior: Posterior, cells: np.ndarray, min_days: int, max_days: int) -> _Search:
    problem = posterior.problem
    block = next(b for b in problem.blocks if b.fields is None)
    area = problem.grid.cell_area_m2().ravel()
    per_source = 1.0 / (units.kilograms_per_hour(problem.species) * area)
    effect = (block.footprints() * per_source)[:, cells]
    offset = np.timedelta64(round(problem.assumptions.selection.utc_offset_h * 3600), "s")
    date = (problem.table.start + offset).astype("datetime64[D]")
    dates = np.concatenate(
        [
            np.arange(
                (e.start64 + offset).astype("datetime64[D]"), (e.end64 + offset).astype("datetime64[D]")
            )
            for e in sorted(problem.epochs.values())
        ]
    )
    dates = np.unique(np.concatenate([dates, date]))
    windows = _unbroken(day_windows(dates.size, min_days, max_days), dates)
    if windows.shape[0] == 0:  # no epoch is as long as the shortest window
        windows = _unbroken(day_windows(dates.size, 1, max_days), dates)
    place = np.stack(np.unravel_index(cells, problem.grid.shape), axis=1)
    lon, lat = np.meshgrid(problem.grid.lon_deg, problem.grid.lat_deg)
    lonlat = np.stack([lon.ravel()[cells], lat.ravel()[cells]], axis=1)
    return _Search(
        Candidates(effect, np.searchsorted(dates, date), dates.size, windows, place), lonlat, dates
    )


def _unbroken(windows: np.ndarray, dates: np.ndarray) -> np.ndarray:
    """The windows without a gap in their dates."""
    span = (dates[windows[:, 1] - 1] - dates[windows[:, 0]]).astype(int)
    return np.asarray(windows[span == windows[:, 1] - windows[:, 0] - 1])


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


def _response(hit: Hit, search: _Search) -> np.ndarray:
    first, last = hit.window
    inside = (search.candidates.day >= first) & (search.candidates.day < last)
    return np.asarray(np.where(inside, search.candidates.effect[:, hit.cell], 0.0))


def _dates(hit: Hit, search: _Search) -> tuple[str, str]:
    """Weighted medians of first and last day, as a half-open interval."""
    first = _weighted_median(hit.windows[:, 0], hit.weights)
    last = _weighted_median(hit.windows[:, 1], hit.weights)
    start = search.dates[first].astype("datetime64[s]")
    end = (search.dates[last - 1] + np.timedelta64(1, "D")).astype("datetime64[s]")
    return iso_z(start), iso_z(end)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> int:
    order = np.argsort(values, kind="stable")
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return int(values[order][min(half, values.size - 1)])


def _event(
    hit: Hit, search: _Search, posterior: Posterior, inversion: InversionSection, seed: int
) -> dict[str, object]:
    value, sigma, low, high = hit.interval(inversion.transport_scale_sd, np.random.default_rng(seed))
    lon, lat = search.lonlat[hit.cell]
    start, end = _dates(hit, search)
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
        "status": _status(hit, search, posterior),
    }


def _status(hit: Hit, search: _Search, posterior: Posterior) -> str:
    """ "unconfirmed" when one instrument and fewer than three samples carry the hit.

    z² is the sum over samples of f̂ hᵢ (P r)ᵢ; a sample carries the hit when its own part is above 1.
    """
    response = _response(hit, search)
    score = response * solve_factored(posterior.solution.lower, posterior.problem.residual).alpha
    best = int(np.argmax(hit.weights))
    strong = hit.strengths[best] * score / posterior.inflation > 1.0
    stations = np.unique(posterior.problem.table.station[strong])
    return "unconfirmed" if stations.size < 2 and int(strong.sum()) < 3 else _ALARM
