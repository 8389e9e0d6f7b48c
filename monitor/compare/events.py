"""From hits to events: each found with the earlier ones held fixed, neighbouring ones merged.

A source that changes its strength, or that lies between two cells, leaves a second hit beside the first.
The two are one event: its strength is estimated again over the time that both cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.compare.sources import Candidates, Hit, Search
from monitor.compare.windows import Windows

#: Most events that are looked for, and most hits, of which several may be one event.
MOST, _MOST_HITS = 3, 6
#: Cells between two hits that are one event, at most.
_REACH = 2


@dataclass(frozen=True, eq=False)
class Event:
    """A source: place, start, end and strength.

    Attributes
    ----------
    search : Search
        The one that `hit` is of, with the other events held fixed.
    hit : Hit
        Estimated over all parts together; its p-value is the least of theirs.
    parts : tuple of (cell, window)
        Hits that were merged, as numbered in the search of the whole.
    p_value : float
    """

    search: Search
    hit: Hit
    parts: tuple[tuple[int, int], ...]
    p_value: float

    @property
    def response(self) -> np.ndarray:
        """H·1 of its best cell and window (n,)."""
        return self.search.candidates.response(self.hit.cell, self.hit.window)

    @property
    def inside(self) -> np.ndarray:
        """The observations of its best window (n,) bool."""
        candidates = self.search.candidates
        return np.asarray(candidates.windows.inside[self.hit.window][candidates.bin])

    @property
    def name(self) -> str:
        """Of a recurring window; empty for a run."""
        return self.search.windows.name(self.hit.window)


def find_events(
    search: Search,
    residual: np.ndarray,
    false_alarm: float,
    most: int = MOST,
    inflate: Callable[[np.ndarray], float] | None = None,
    error: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[Event]:
    """Up to `most` events whose family-wise false-alarm probability is at most `false_alarm`.

    Of the second and later ones it is that of a search which holds the earlier ones fixed.

    Parameters
    ----------
    inflate
        The inflation of the variances that a residual (n,) asks for; that of the search, always, if absent.
        Days on which an unknown source was at work are predicted badly from the others, so a source would
        blur itself: each hit is judged at the inflation that is left without it.
    error
        Covariance (n, n) of the transport's error on a signal (n,), by which what is left of a source that is
        held fixed differs from nothing; none if absent.
    """
    found: list[Event] = []
    held = search
    for _ in range(_MOST_HITS):
        held, hit = _look(held, residual, found, inflate)
        if hit.p_value > false_alarm:
            break
        part = (hit.cell, hit.window)
        beside = [e for e in found if any(_touch(search.candidates, part, p) for p in e.parts)]
        if not beside and len(found) == most:
            break
        if beside:
            others = [e for e in found if e is not beside[0]]
            near, parts = _around(search, beside[0], part)
            one = _holding(near, others, error, search.candidates)
            event = Event(one, one.look(residual), parts, beside[0].p_value)
            found[found.index(beside[0])] = event
        else:
            found.append(Event(held, hit, (part,), hit.p_value))
        held = _holding(search, found, error, search.candidates)
    return found if inflate is None else [_at(e, residual, inflate(_left(found, residual))) for e in found]


def _holding(
    search: Search,
    events: Sequence[Event],
    error: Callable[[np.ndarray], np.ndarray] | None,
    candidates: Candidates,
) -> Search:
    """The search with events held fixed, each with the error of its own transport.

    Their parts are numbered as `candidates` are.
    """
    if not events:
        return search
    blur = None if error is None else np.sum([error(e.hit.strength * e.response) for e in events], axis=0)
    return search.given(_responses(candidates, events), blur)


def _look(
    search: Search,
    residual: np.ndarray,
    events: Sequence[Event],
    inflate: Callable[[np.ndarray], float] | None,
) -> tuple[Search, Hit]:
    """The best hit, and the search at the inflation without it."""
    hit = search.look(residual)
    if inflate is None:
        return search, hit
    left = _left(events, residual) - hit.strength * search.candidates.response(hit.cell, hit.window)
    search = replace(search, inflation=inflate(left))
    return search, search.look(residual)


def _left(events: Sequence[Event], residual: np.ndarray) -> np.ndarray:
    """What is left of a residual (n,) without the events."""
    return np.asarray(residual - sum(e.hit.strength * e.response for e in events))


def _at(event: Event, residual: np.ndarray, inflation: float) -> Event:
    """The event at another inflation; its significance stays the one it was found with."""
    search = replace(event.search, inflation=inflation)
    return replace(event, search=search, hit=search.look(residual))


def _responses(candidates: Candidates, events: Sequence[Event]) -> np.ndarray:
    columns = [candidates.response(*part) for event in events for part in event.parts]
    return np.column_stack([np.zeros((candidates.bin.size, 0)), *columns])


def _touch(candidates: Candidates, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two hits are near each other and without a bin between them."""
    spans = candidates.windows.spans
    (first, last), (begin, end) = spans[one[1]], spans[other[1]]
    near = np.abs(candidates.place[one[0]] - candidates.place[other[0]]).max() <= _REACH
    return bool(near and first <= end and begin <= last)


def _around(
    search: Search, event: Event, part: tuple[int, int]
) -> tuple[Search, tuple[tuple[int, int], ...]]:
    """The search over the time of an event and one more part, in the cells around them; and all its parts."""
    parts = (*event.parts, part)
    candidates = search.candidates
    near = np.stack([candidates.near(cell, _REACH) for cell, _ in parts]).any(axis=0)
    windows = _joint(candidates.windows, [window for _, window in parts])
    return search.narrowed(candidates.only(np.flatnonzero(near), windows)), parts


def _joint(windows: Windows, numbers: Sequence[int]) -> Windows:
    """The time that several windows cover: runs from the first part to the last, or a union."""
    runs = windows.runs.shape[0]
    recurring = [n for n in numbers if n >= runs]
    if recurring:
        union = windows.inside[list(numbers)].any(axis=0).reshape(1, -1)
        name = " and ".join(dict.fromkeys(windows.name(n) for n in recurring))
        return Windows(windows.bins, np.zeros((0, 2), dtype="i8"), union, (name,))
    spans = windows.runs[list(numbers)]
    first, last = spans[spans[:, 0].argmin()], spans[spans[:, 1].argmax()]
    starts = np.arange(first[0] - _slack(first), first[0] + _slack(first) + 1)
    ends = np.arange(last[1] - _slack(last), last[1] + _slack(last) + 1)
    found = [(a, b) for a in starts for b in ends if 0 <= a < b <= windows.bins]
    return Windows.of_runs(windows.bins, np.array(found))


def _slack(run: np.ndarray) -> int:
    """Bins by which the end of a part may be elsewhere: an eighth of its length, one at least."""
    return max(1, int(run[1] - run[0]) // 8)
