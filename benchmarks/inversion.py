"""Evidence, totals and the search for sources."""

from __future__ import annotations

import numpy as np

from benchmarks import city
from monitor.compare.sources import Candidates, prepare
from monitor.compare.windows import Windows, bin_runs
from monitor.inversion import FixedEffect, Total
from monitor.inversion.hyper import Hyperparameters, log_evidence
from monitor.inversion.posterior import Posterior, solve_problem
from monitor.inversion.problem import InverseProblem


def solved(problem: InverseProblem) -> Posterior:
    """The posterior at the prior medians, with every free scale uncertain by a fifth."""
    parameters = problem.model.parameters
    spread = np.diag([0.04 if p.log_sd > 0 else 0.0 for p in parameters])
    found = Hyperparameters(parameters, problem.model.starts, spread, 0.0, 0)
    return solve_problem(problem, fitted=found)


class Evidence:
    """One evaluation of the evidence with its gradient; a fit takes 30 to 100 of them.

    Below 1,000 observations the form of a city (five stations, 36 × 36 cells, daily values), above it that
    of a tower (one station, 12 × 12 cells, hourly values, inflow by side, transport by hour of the day).
    """

    params = (120, 910, 1200)
    param_names = ("observations",)

    def setup(self, n: int) -> None:
        shape = {"cells": 36, "stations": 5} if n < 1000 else {"cells": 12, "stations": 1, "hours_apart": 1}
        self.problem = city.problem(n, **shape)
        self.order = self.problem.table.n
        self.residual = self.problem.residual
        self.fixed = np.zeros((self.order, 0))
        self.calls = 0

    def time_evidence(self, n: int) -> None:
        # the projection through the correlation in space is kept by its length: each call has its own
        self.calls += 1
        names = [p.name for p in self.problem.model.parameters]
        values = self.problem.model.starts.copy()
        values[names.index("fossil length")] *= 1.0 + 0.01 * self.calls
        log_evidence(self.problem.model, values, self.residual, self.fixed)


class Totals:
    """Two totals flat along a pattern inside and outside a region and in each epoch, as a claim asks."""

    params = (120, 910)
    param_names = ("observations",)

    def setup(self, n: int) -> None:
        problem = city.problem(n, cells=36, stations=5)
        self.order, self.posterior = problem.table.n, solved(problem)
        area, field = problem.grid.cell_area_m2().ravel(), problem.block("fossil").prior[0]
        part = np.tile(np.abs(problem.grid.lon_deg - 10.0) < 0.2, problem.grid.shape[0]).astype(float)
        epochs = problem.epochs.items()
        self.totals = [Total(name, "fossil", part * area, e) for name, e in epochs]
        self.effects = [
            FixedEffect(f"{name} {k}", "fossil", field * share, e)
            for name, e in epochs
            for k, share in enumerate((part, 1.0 - part))
        ]

    def time_totals_with_fixed_effects(self, n: int) -> None:
        self.posterior.totals(self.totals, self.effects)


class Scan:
    """All cells of a coarse grid and all windows of 3 to 28 days, against 200 worlds without a source."""

    params = (60, 546)
    param_names = ("observations",)

    def setup(self, n: int) -> None:
        problem = city.problem(n, cells=12, stations=3)
        self.order, self.posterior = problem.table.n, solved(problem)
        date = problem.table.start.astype("datetime64[D]")
        dates = np.unique(date)
        place = np.stack(np.unravel_index(np.arange(144), problem.grid.shape), axis=1)
        effect = problem.block("fossil").footprints()
        windows = Windows.of_runs(dates.size, bin_runs(dates.size, 3, 28))
        self.candidates = Candidates(effect, np.searchsorted(dates, date), windows, place)

    def time_scan_of_sources(self, n: int) -> None:
        search = prepare(self.posterior.solution.lower, self.candidates, draws=200, seed=1)
        search.look(self.posterior.problem.residual)
