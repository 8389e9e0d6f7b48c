"""What of a calibration does not depend on the city: gains, and the changes that are stated as detectable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Final

import numpy as np
from scipy.optimize import brentq

from monitor.calibration.asking import CHANGE, LEVEL, SHARE, TREND, Claim, Panel, panel
from monitor.calibration.network import Network
from monitor.calibration.sources import SourceBench
from monitor.calibration.worlds import right_world, solve_stated
from monitor.compare.forms import Trend
from monitor.compare.looks import Look, Rule, plan
from monitor.compare.statistics import DETECTABLE_SIGMAS
from monitor.domain import Interval
from monitor.inversion.posterior import Posterior

#: Tolerance of claims of a level.
TOLERANCE: Final = 0.25
#: How daily looks spend the error.
RULE: Final[Rule] = "obrien-fleming"
#: Worlds over which the inflation is averaged.
_WORLDS: Final = 50


@dataclass(frozen=True, eq=False)
class Bench:
    """A network with what every city needs of it."""

    network: Network

    @cached_property
    def pair(self) -> Network:
        """The first and the last epoch alone, for claims of change."""
        return self.network.during((self.network.epochs[0], self.network.epochs[-1]))

    @cached_property
    def posterior(self) -> Posterior:
        """Of one world at the stated hyperparameters, for what the observations do not matter to."""
        return solve_stated(right_world(self.network, np.random.default_rng(0))[1])

    @cached_property
    def inflation(self) -> float:
        """Mean inflation of the variances on the whole network: the σ that verdicts state is after it."""
        worlds = (right_world(self.network, np.random.default_rng(k))[1] for k in range(_WORLDS))
        return float(np.mean([solve_stated(world).inflation for world in worlds]))

    @cached_property
    def panels(self) -> dict[str, Panel]:
        """Members at the stated hyperparameters, by kind of claim, on the whole network."""
        return {k: panel(self.network, k, self.posterior, ensemble=False) for k in self.network.kinds}

    @cached_property
    def share_panel(self) -> Panel:
        """The same for the share of a district."""
        return panel(self.network, SHARE, self.posterior, ensemble=False)

    @cached_property
    def underlying(self) -> Panel:
        """The same for the underlying trend, of which each year is one uneven sample."""
        found = self.panels[TREND]
        form = Trend(tuple(self.network.years.tolist()))
        members = [replace(m, form=form) for m in found.members]
        return replace(found, quantity=replace(found.quantity, form=form), members=members)

    @cached_property
    def search(self) -> SourceBench:
        """The search for sources, prepared."""
        return SourceBench(self.network)

    @cached_property
    def _drawn(self) -> list[Posterior]:
        return [solve_stated(right_world(self.pair, np.random.default_rng(k))[1]) for k in range(_WORLDS)]

    @cached_property
    def change_panel(self) -> Panel:
        """The same for claims of change on the pair."""
        return panel(self.pair, CHANGE, self._drawn[0], ensemble=False)

    @cached_property
    def looks(self) -> list[tuple[Look, np.ndarray, Panel]]:
        """Looks at the pair at the end of each day of its last epoch, by the declared rule.

        Each with its observations (rows of the pair's) and the members that answer from them.  As with a
        city's own, the calendar says how much error may be spent, and what is known at each look (never taken
        as more than by the calendar) how alike the looks are.
        """
        last, table = self.pair.epochs[-1], self.pair.problem.table
        seen = replace(self.pair, problem=right_world(self.pair, np.random.default_rng(0))[1])
        days = round((last.end - last.start) / timedelta(days=1))
        times = [(k + 1) / days for k in range(days)]
        found: list[tuple[Look, np.ndarray, Panel]] = []
        gathered: list[float] = []
        for number, time in enumerate(times, 1):
            end = last.start + timedelta(days=number)
            rows = np.flatnonzero(table.start < Interval(last.start, end).end64)
            part = seen.until(end)
            members = panel(part, CHANGE, solve_stated(part.problem), ensemble=False)
            gathered.append(max([information(members), *gathered[-1:]]))
            known = [
                min(own / (gathered[-1] or 1.0), t / time) for own, t in zip(gathered, times, strict=False)
            ]
            found.append((plan(RULE, times, known)[-1], rows, members))
        return found

    @cached_property
    def size(self) -> float:
        """The total as the inventory has it [t a⁻¹]."""
        quantity = self.network.quantity
        return float(quantity.weight @ next(iter(quantity.patterns.values())))

    @cached_property
    def pair_inflation(self) -> float:
        """Mean inflation of the variances on the pair."""
        return float(np.mean([p.inflation for p in self._drawn]))

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the totals of the pair relative to the inventory's, before there are data (2, 2).

        At the mean inflation of the variances: the σ that verdicts state is after it.
        """
        return np.asarray(self.pair_inflation * self.change_panel.members[0].covariance / self.size**2)

    def change_sigma(self, change: float) -> float:
        """1σ of the contrast T₂ − (1 + δ) T₁ at a change δ, relative to T₁."""
        (v11, v12), (_, v22) = self.covariance
        return float(np.sqrt(v22 - 2 * (1 + change) * v12 + (1 + change) ** 2 * v11))

    def detectable(self, margin: float = 0.0) -> float:
        """The detectable change beyond a margin: 2.8 σ of the contrast at the hypothesis that is tested."""
        return DETECTABLE_SIGMAS * self.change_sigma(-margin)

    def claim_of(self, multiple: int) -> Claim:
        """A cut by `multiple` detectable changes; its margin is half of it.

        What excludes zero is tested at no change, what is supported at the margin, so that is where the
        detectable change is stated.
        """
        if multiple == 1:
            cut = self.detectable()
        else:
            cut = float(brentq(lambda c: c - multiple * self.detectable(c / 2), 0.0, 0.999))
        return Claim(CHANGE, -cut, cut / 2)

    def claim(self, kind: str) -> Claim:
        """A claim to ask of a world drawn from the prior: the inventory's total, or twice the detectable."""
        if kind == LEVEL:
            return Claim(LEVEL, self.size, TOLERANCE)
        cut = (
            self.claim_of(2).value
            if kind == CHANGE
            else self.claim_of(2).value / float(self.network.years[-1])
        )
        return Claim(kind, cut, abs(cut) / 2)

    def sigma(self, kind: str) -> float:
        """1σ of an estimate before there are data, in the unit of the kind."""
        members = self.panels[kind]
        totals = np.full(len(members.quantity.epochs), self.size)
        return members.quantity.made.estimate(totals, members.members[0].covariance).sigma


def information(members: Panel) -> float:
    """1/σ² of the contrast of totals that is claimed, where the inventory holds; 0 where it is not seen."""
    member = members.members[0]
    if member.is_blind:
        return 0.0
    totals = members.quantity.expected(member.pattern)
    contrast = members.quantity.made.contrast(totals, member.covariance)
    return 1.0 / float(contrast @ member.covariance @ contrast)
