"""An event held against what else could have made it: the inventory, an instrument, the inflow.

Another explanation is a column x with a flat prior, in the window of the event: a station reads high, or
drifts; the inflow of one side, or of all, is higher.  Its evidence is exp(z²/2) with z = xᵀP r / (xᵀPx)^½, as
that of the source.  The source was chosen among thousands of places and windows and the others were not, so
a source that is not clearly better is no alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import solve

from monitor.compare.events import Event
from monitor.inversion.table import ObservationTable

ALARM, UNCONFIRMED, EXPLAINED = "alarm", "unconfirmed", "explained"
#: Logarithm of the evidence by which a source must beat any other explanation: 20 to 1.
_CLEAR = float(np.log(20.0))
#: σ of the prior within which a strength is what the inventory allows.
_ALLOWED = 2.0
#: z that the other stations should have shown, and σ by which they miss it, before they contradict it.
_SHOULD_SEE, _MISSED = 3.0, 3.0
#: Fewest samples that are no mere suspicion when they are of one instrument.
_SAMPLES = 3
#: Share of its usual hour-to-hour change below which an instrument is stuck, and the fewest values for that.
_STUCK, _STUCK_VALUES = 0.02, 6
_SIDES = ("north", "east", "south", "west")


@dataclass(frozen=True)
class Without:
    """The event estimated without one station.

    Attributes
    ----------
    strength, sigma : float
        σ is infinite where the others see nothing of the place.
    z, expected_z : float
        What the others show, and would show of the strength found by all.
    contradicts : bool
        Whether the others should have seen the source and show less than half of it.
    """

    strength: float
    sigma: float
    z: float
    expected_z: float
    contradicts: bool


@dataclass(frozen=True)
class Checks:
    """What became of an event.

    Attributes
    ----------
    status
        "alarm", "unconfirmed" or "explained".
    reasons
        Why it is no alarm: "few-samples", "other-stations", "station-fault", "station-stuck", "inflow",
        "within-inventory".
    notes
        The reasons in words.
    explanation, log_evidence
        The best other explanation, and ln(evidence of the source / its evidence).
    prior_sigmas
        Strength over the prior's standard deviation of that cell's flux.
    without
        By station, the event estimated from the others.
    samples, stations
        Observations that carry the event, and of which stations they are.
    """

    status: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    explanation: str
    log_evidence: float
    prior_sigmas: float
    samples: int
    stations: tuple[str, ...]
    without: Mapping[str, Without] = field(default_factory=dict)


def check(event: Event, residual: np.ndarray, table: ObservationTable, prior_sd: float) -> Checks:
    """Hold an event against the inventory, the stations and the inflow.

    Parameters
    ----------
    residual : (n,)
        That in which the event was found.
    prior_sd : float
        Prior standard deviation of the flux of its cell over its window, in the unit of strength.
    """
    strong = carrying(event, residual)
    stations = tuple(str(name) for name in np.unique(table.names[strong]))
    other, z_other = _best_explanation(event, residual, table)
    better = 0.5 * (event.hit.z**2 - z_other**2)
    without = dict(_without_each(event, residual, table))
    sigmas = event.hit.strength / prior_sd if prior_sd > 0 else np.inf
    found: list[tuple[str, str, str]] = []
    if sigmas < _ALLOWED:
        note = f"The strength is {sigmas:.1f} σ of the prior there: within what the inventory allows."
        found.append((EXPLAINED, "within-inventory", note))
    for name in stations:
        if _stuck(event.inside & (table.names == name), table.names == name, table.value):
            found.append((EXPLAINED, "station-stuck", f"{name} reads the same value all that time."))
    if better < _CLEAR:
        code = "inflow" if other.startswith("inflow") else "station-fault"
        fits = "fits as well" if better <= 0 else "cannot be told from it"
        found.append(
            (EXPLAINED if better <= 0 else UNCONFIRMED, code, f"Another explanation {fits}: {other}.")
        )
    for name, rest in without.items():
        if rest.contradicts:
            note = f"should see it with z = {rest.expected_z:.1f} and show {rest.z:.1f}: it rests on {name}"
            found.append((UNCONFIRMED, "other-stations", f"The other stations {note}."))
    if len(stations) < 2 and int(strong.sum()) < _SAMPLES:
        found.append((UNCONFIRMED, "few-samples", "One instrument and fewer than three samples carry it."))
    worst = [status for status, _, _ in found]
    return Checks(
        status=EXPLAINED if EXPLAINED in worst else UNCONFIRMED if worst else ALARM,
        reasons=tuple(dict.fromkeys(code for _, code, _ in found)),
        notes=tuple(note for _, _, note in found),
        explanation=other,
        log_evidence=better,
        prior_sigmas=sigmas,
        samples=int(strong.sum()),
        stations=stations,
        without=without,
    )


def carrying(event: Event, residual: np.ndarray) -> np.ndarray:
    """Observations (n,) bool that carry the event.

    z² is the sum over samples of f̂ hᵢ (P r)ᵢ; a sample carries the event when its own part is above 1.
    """
    score = event.response * event.search.weigh(residual[:, None])[:, 0]
    return np.asarray(event.hit.strength * score / event.search.inflation > 1.0)


def _best_explanation(event: Event, residual: np.ndarray, table: ObservationTable) -> tuple[str, float]:
    """The other explanation with the largest |z|, and its z after inflation; empty and 0 without any."""
    names, columns = zip(*_explanations(event.inside, table), strict=True)
    x = np.column_stack(columns)
    weighted = event.search.weigh(x)
    norm = np.einsum("ij,ij->j", x, weighted)
    # a constant that is known already, but for rounding, is no explanation
    seen = norm > 1e-9 * np.einsum("ij,ij->j", x, event.search.network.weigh(x))
    z = np.where(seen, np.abs(weighted.T @ residual), 0.0) / np.sqrt(np.where(seen, norm, 1.0))
    best = int(np.argmax(z))
    return names[best], float(z[best] / np.sqrt(event.search.inflation))


def _explanations(inside: np.ndarray, table: ObservationTable) -> Iterator[tuple[str, np.ndarray]]:
    """What else may have happened in a window (n,) bool: its name and its column (n,)."""
    hours = table.hours
    begin, end = hours[inside].min(), hours[inside].max()
    yield "inflow higher from all sides", np.where(inside, table.exposure, 0.0)
    side = (table.wind_from_deg + 45.0) % 360.0 // 90.0
    for k, name in enumerate(_SIDES):
        if np.any(inside & (side == k)):
            yield f"inflow higher from the {name}", np.where(inside & (side == k), table.exposure, 0.0)
    for name in np.unique(table.names[inside]):
        own = table.names == name
        yield f"{name} reads high in that time", np.where(inside & own, 1.0, 0.0)
        yield f"{name} reads high from then on", np.where(own & (hours >= begin), 1.0, 0.0)
        if end > begin:
            ramp = (hours - begin) / (end - begin)
            yield f"{name} drifts in that time", np.where(inside & own, ramp, 0.0)
            yield f"{name} drifts from then on", np.where(own & (hours >= begin), ramp, 0.0)


def _without_each(
    event: Event, residual: np.ndarray, table: ObservationTable
) -> Iterator[tuple[str, Without]]:
    """The event without each station: P without the rows I is P − P_:I (P_II)⁻¹ P_I:, in closed form."""
    solution, hit = event.search.solution, event.hit
    names = np.unique(table.names)
    if names.size < 2:
        return
    h = event.response
    both = event.search.weigh(np.column_stack([h, residual]))
    norm = float(h @ both[:, 0])
    for name in names:
        rows = np.flatnonzero(table.names == name)
        taken = both[rows].T @ solve(solution.precision[np.ix_(rows, rows)], both[rows], assume_a="pos")
        left, score = norm - taken[0, 0], float(h @ both[:, 1]) - taken[0, 1]
        if left <= 1e-9 * norm:
            yield str(name), Without(np.nan, np.inf, 0.0, 0.0, False)
            continue
        sigma = np.sqrt(event.search.inflation / left)
        strength = score / left
        expected = hit.strength / sigma
        # the estimate of all and that of some differ by the variance that the rest would take away
        spread = np.sqrt(max(sigma**2 - hit.sigma**2, 0.0))
        missed = hit.strength - strength > _MISSED * spread and strength < 0.5 * hit.strength
        yield (
            str(name),
            Without(strength, sigma, strength / sigma, expected, missed and expected > _SHOULD_SEE),
        )


def _stuck(inside: np.ndarray, own: np.ndarray, value: np.ndarray) -> bool:
    """Whether an instrument changes far less from one value to the next in a window than it does else."""
    then, ever = (np.abs(np.diff(value[rows])) for rows in (inside, own))
    return then.size >= _STUCK_VALUES and float(np.median(then)) < _STUCK * float(np.median(ever))
