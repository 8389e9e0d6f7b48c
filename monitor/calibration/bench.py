"""What of a calibration does not depend on the city: gains, and the changes that are stated as detectable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.optimize import brentq

from monitor.calibration.asking import CHANGE, LEVEL, Claim, Panel, panel
from monitor.calibration.network import Network
from monitor.calibration.worlds import right_world, solve_stated
from monitor.compare.statistics import DETECTABLE_SIGMAS
from monitor.inversion.posterior import Posterior

#: Tolerance of claims of a level.
TOLERANCE: Final = 0.25
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
    def panels(self) -> dict[str, Panel]:
        """Members at the stated hyperparameters, by kind of claim, on the whole network."""
        _, problem = right_world(self.network, np.random.default_rng(0))
        posterior = solve_stated(problem)
        return {k: panel(self.network, k, posterior, ensemble=False) for k in self.network.kinds}

    @cached_property
    def _drawn(self) -> list[Posterior]:
        return [solve_stated(right_world(self.pair, np.random.default_rng(k))[1]) for k in range(_WORLDS)]

    @cached_property
    def change_panel(self) -> Panel:
        """The same for claims of change on the pair."""
        return panel(self.pair, CHANGE, self._drawn[0], ensemble=False)

    @cached_property
    def size(self) -> float:
        """The total as the inventory has it [t a⁻¹]."""
        quantity = self.network.quantity
        return float(quantity.weight @ next(iter(quantity.patterns.values())))

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the totals of the pair relative to the inventory's, before there are data (2, 2).

        At the mean inflation of the variances: the σ that verdicts state is after it.
        """
        inflation = float(np.mean([p.inflation for p in self._drawn]))
        return np.asarray(inflation * self.change_panel.members[0].covariance / self.size**2)

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
