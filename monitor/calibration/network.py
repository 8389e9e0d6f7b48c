"""A network as the calibration sees it: one inverse problem, what is asked of it, and other transport."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from monitor.compare.claims import Quantity
from monitor.compare.trends import decimal_years
from monitor.domain import Interval
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.problem import InverseProblem

#: Kinds of claims; the second needs two epochs, the third three.
KINDS = ("level", "change", "trend")
#: How far the wind (for all epochs) and the mixing height (for each) of the true air are from the model's.
TURN_DEG, SPEED, MIXING = 10.0, 0.15, 0.20
#: Draws the Jacobian of each block under another transport: block name -> (n, p·s).
OtherTransport = Callable[[np.random.Generator], Mapping[str, sp.csr_array]]
#: Makes the problem anew from an inventory that is a factor larger in each epoch.
Remaker = Callable[[Sequence[float]], InverseProblem]


@dataclass(frozen=True, eq=False)
class Network:
    """A city, its stations and its model; the values of the observations do not matter.

    Attributes
    ----------
    problem : InverseProblem
        With the hyperparameters that the truth of a right model has as their starts.
    quantity : Quantity
        The claimed total in all epochs, without transport error; its first pattern is the reference itself.
    declared : TransportScale
        The multiplicative transport error that the model declares.
    other_transport
        ``None`` where the footprints cannot be made anew.
    well_mixed
        The same where the mixing height acts in full; ``None`` where it does so in `other_transport`.
    with_inventory
        ``None`` where the inventory is not at hand.
    """

    name: str
    problem: InverseProblem
    quantity: Quantity
    declared: TransportScale
    other_transport: OtherTransport | None
    well_mixed: OtherTransport | None = None
    with_inventory: Remaker | None = None

    @property
    def epochs(self) -> tuple[Interval, ...]:
        return self.quantity.epochs

    @cached_property
    def years(self) -> np.ndarray:
        """Middles of the epochs in Julian years since the first (k,)."""
        return decimal_years(self.epochs)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of claims that its epochs allow."""
        return KINDS[: min(len(self.epochs), 3)]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the outcome of a city depends on beside its seed."""
        problem, quantity, found = self.problem, self.quantity, hashlib.sha256()
        arrays = [problem.table.start, problem.table.station, problem.table.uncertainty, problem.model.starts]
        arrays += [a for b in problem.blocks for a in (b.jacobian.data, b.jacobian.indices, b.prior, b.sigma)]
        arrays += [quantity.fraction, *quantity.patterns.values(), *quantity.alternatives.values()]
        arrays += [np.array([e.start64 for e in self.epochs]), problem.baseline, problem.reference]
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        names = [p.name for p in problem.model.parameters]
        found.update(repr((self.name, names, self.declared, problem.assumptions)).encode())
        return found.hexdigest()

    @cached_property
    def district(self) -> np.ndarray:
        """Coverage (n_cells,) of each cell by a part of the region, of which a share is asked.

        The eastern part, cut between two columns of cells where it comes nearest to half of the total.
        """
        quantity, grid = self.quantity, self.problem.grid
        column = np.tile(np.arange(grid.shape[1]), grid.shape[0])
        size = np.bincount(column, quantity.weight * next(iter(quantity.patterns.values())))
        shares = np.cumsum(size[::-1])[::-1] / size.sum()
        return np.asarray(np.where(column >= np.argmin(np.abs(shares - 0.5)), quantity.fraction, 0.0))

    def during(self, epochs: Sequence[Interval]) -> Network:
        """The network with the observations of some epochs only."""
        start = self.problem.table.start
        inside = np.zeros(start.size, dtype=bool)
        for epoch in epochs:
            inside |= (start >= epoch.start64) & (start < epoch.end64)
        names = {k: e for k, e in self.problem.epochs.items() if e in epochs}
        problem = replace(self.problem.select(np.flatnonzero(inside)), epochs=names)
        return replace(self, problem=problem, quantity=replace(self.quantity, epochs=tuple(epochs)))

    def until(self, end: datetime) -> Network:
        """The network with its last epoch, and the observations, cut at a moment in it."""
        cut = {e: Interval(e.start, min(e.end, end)) for e in self.epochs}
        rows = np.flatnonzero(self.problem.table.start < cut[self.epochs[-1]].end64)
        epochs = {name: cut[e] for name, e in self.problem.epochs.items()}
        problem = replace(self.problem.select(rows), epochs=epochs)
        return replace(self, problem=problem, quantity=replace(self.quantity, epochs=tuple(cut.values())))


def mixed(problem: InverseProblem, mixing: np.ndarray) -> sp.dia_array:
    """The operator (n, n) that divides what is seen in each epoch by its mixing height's factor (k,)."""
    factor, start = np.ones(problem.table.n), problem.table.start
    for epoch, own in zip(problem.epochs.values(), mixing, strict=True):
        factor[(start >= epoch.start64) & (start < epoch.end64)] /= own
    return sp.diags_array(factor)
