"""Worlds with and without a source that is in no inventory, searched as a city's are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from monitor.calibration.network import Network
from monitor.calibration.worlds import right_world, solve_stated, with_values
from monitor.compare.crosschecks import ALARM, check
from monitor.compare.detectable import detectable_strengths, reference_windows
from monitor.compare.events import Event, find_events
from monitor.compare.sources import FALSE_ALARM, Search
from monitor.config import ScanSection
from monitor.domain import iso_z
from monitor.inversion.posterior import Posterior
from monitor.service.search import Scope, dates_of, prepared, prior_sd, scope_of

#: Length of the sources that are tried [d], and how long a source may be that is looked for.
SOURCE_DAYS: Final = 7
_LONGEST_DAYS = 14
_DRAWS = 1000
#: Correlation of its response with that of the true source from which on an event is that source, as in D.
_SAME = 0.5
MULTIPLES: Final = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class SourceBench:
    """The search of a network at its stated hyperparameters, prepared once."""

    network: Network

    @cached_property
    def _posterior(self) -> Posterior:
        return solve_stated(right_world(self.network, np.random.default_rng(0))[1])

    @cached_property
    def scope(self) -> Scope:
        """Every cell, runs of half a day or a day up to two weeks, and recurring windows."""
        section = ScanSection(species=self.network.quantity.species, max_days=_LONGEST_DAYS)
        return scope_of(section, self._posterior)

    @cached_property
    def search(self) -> Search:
        """With the mean inflation of the variances; a city's own takes its place."""
        found = prepared(self.scope, self._posterior, _DRAWS, 1)
        worlds = (right_world(self.network, np.random.default_rng(k))[1] for k in range(20))
        return replace(found, inflation=float(np.mean([solve_stated(w).inflation for w in worlds])))

    @property
    def days(self) -> float:
        """How much of operation one search covers [d]."""
        return self.scope.bins.size * self.scope.bins.hours / 24.0

    @cached_property
    def choices(self) -> list[tuple[int, int, float]]:
        """Cells within the region and windows of a source, each with its detectable strength [kg h⁻¹]."""
        found = []
        for window in self.weeks:
            strength = detectable_strengths(self.search, np.array([window]), draws=_DRAWS)
            found += [(int(c), int(window), float(strength[c])) for c in self.cells]
        return [choice for choice in found if np.isfinite(choice[2])]

    @property
    def cells(self) -> np.ndarray:
        """Cells (c,) that lie wholly within the region."""
        return np.flatnonzero(self.network.quantity.fraction > 0.99)

    @property
    def weeks(self) -> np.ndarray:
        """Windows (w,) of a source's length, spread over the period."""
        bins = round(SOURCE_DAYS * 24.0 / self.scope.bins.hours)
        return reference_windows(self.scope.candidates.windows, bins)

    def week_of(self, window: int) -> tuple[str, str]:
        """When a window begins and ends."""
        first, last = self.scope.candidates.windows.spans[window]
        bins = self.scope.bins
        return iso_z(bins.start[first]), iso_z(bins.end[last - 1])

    def without(self, rng: np.random.Generator) -> dict[str, object]:
        """Whether something is found in a world without a source."""
        posterior = solve_stated(right_world(self.network, rng)[1])
        return {"alarm": bool(self._events(posterior))}

    def with_source(self, multiple: int, rng: np.random.Generator) -> dict[str, object]:
        """A world with a source of some multiple of the strength that is stated as detectable there."""
        cell, window, detectable = self.choices[int(rng.integers(len(self.choices)))]
        truth = multiple * detectable
        _, problem = right_world(self.network, rng)
        seen = problem.table.value + truth * self.search.candidates.response(cell, window)
        posterior = solve_stated(with_values(problem, seen))
        record: dict[str, object] = {"found": False, "alarm": False, "truth": truth}
        for event in self._events(posterior):
            if self._is_same(event, cell, window):
                return record | self._compared(event, posterior, cell, window, rng)
        return record

    def _events(self, posterior: Posterior) -> list[Event]:
        residual = posterior.problem.residual
        return find_events(
            self.search,
            residual,
            FALSE_ALARM,
            inflate=posterior.inflation_of,
            error=posterior.transport_error,
        )

    def _is_same(self, event: Event, cell: int, window: int) -> bool:
        """Whether the network would take an event for the source: half of the one is the other."""
        own = self.search.candidates.response(cell, window)
        weighted = self.search.weigh(np.column_stack([own, event.response]))
        gram = np.column_stack([own, event.response]).T @ weighted
        return bool(gram[0, 1] >= _SAME * np.sqrt(gram[0, 0] * gram[1, 1]))

    def _compared(
        self, event: Event, posterior: Posterior, cell: int, window: int, rng: np.random.Generator
    ) -> dict[str, object]:
        """An event held against the true cell and window."""
        problem, candidates = posterior.problem, event.search.candidates
        checks = check(event, problem.residual, problem.table, prior_sd(event, self.scope, posterior))
        apart = int(np.abs(candidates.place[event.hit.cell] - self.search.candidates.place[cell]).max())
        first, last = self.search.windows.spans[window]
        bins = self.scope.bins
        found = dates_of(event.hit, candidates.windows, bins)
        start, end = bins.start[first], bins.end[last - 1]
        off = np.array([_moment(found.start) - start, _moment(found.end) - end]) / np.timedelta64(1, "D")
        _, _, low, high = event.hit.interval(0.0, rng)
        return {
            "found": True,
            "alarm": checks.status == ALARM,
            "reasons": list(checks.reasons),
            "cells": apart,
            "days": float(np.abs(off).max()),
            "began": _between(start, found.start_interval),
            "ended": _between(end, found.end_interval),
            "low": low,
            "high": high,
        }


def _moment(text: str) -> np.datetime64:
    return np.datetime64(text.rstrip("Z"))


def _between(moment: np.datetime64, interval: tuple[str, str]) -> bool:
    low, high = interval
    return bool(_moment(low) <= moment <= _moment(high))
