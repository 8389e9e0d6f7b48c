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
#: Draws the Jacobian of each block under another transport: block name -> (n, p·s).
OtherTransport = Callable[[np.random.Generator], Mapping[str, sp.csr_array]]


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
    """

    name: str
    problem: InverseProblem
    quantity: Quantity
    declared: TransportScale
    other_transport: OtherTransport | None

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
