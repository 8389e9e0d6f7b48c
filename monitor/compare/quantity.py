"""What is claimed about: totals, and the patterns that have a flat prior in them.

The claimed quantity enters with a flat prior along its pattern, inside and outside the region and in each
epoch on its own, so that the prior does not vote; everything else keeps its covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from monitor import units
from monitor.compare.forms import Change, Form, Level, Share, Trend
from monitor.compare.trends import decimal_years
from monitor.domain import Interval
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.problem import InverseProblem
from monitor.inversion.totals import FixedEffect, Total

#: Fewer observations than these in an epoch are a handful.
_FEW = 20
#: Correlations between epochs of a transport error that they share, all of which a verdict must survive.
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)


@dataclass(frozen=True, eq=False)
class Quantity:
    """What is claimed about: a region's total of one block in one epoch or more.

    Attributes
    ----------
    fraction : (n_cells,)
        Coverage of each cell by the region.
    area_m2 : (n_cells,)
    patterns : mapping of map id -> flux (n_cells,)
        Candidate maps [µmol m⁻² s⁻¹]; each is one flat direction.
    alternatives : mapping of name -> flux (n_cells,)
        Other layouts of the same total, for the response.
    form : Form, optional
        What is made of the totals.  If absent: a level of one epoch, a change between two, an underlying
        relative trend of more; a share where there is a rest.
    correlations
        Between epochs, of the transport error they share, each of which is tried; one where it is known.
    declared_sd
        Relative 1σ of what a claim declares to differ, in each epoch on its own; of a share in the part.
    epoch_factors
        How much stronger the transport may be in the last epoch than in the first; each is a member.
    rest : tuple of Quantity
        Of a share: what is missing from the whole, in the same epoch, with maps of the same ids (those of the
        first map where an id is missing).
    """

    species: str
    region: str
    block: str
    fraction: np.ndarray
    area_m2: np.ndarray
    epochs: tuple[Interval, ...]
    patterns: Mapping[str, np.ndarray]
    alternatives: Mapping[str, np.ndarray]
    transport: TransportScale = field(default_factory=TransportScale)
    form: Form | None = None
    correlations: tuple[float, ...] = CORRELATIONS
    declared_sd: float = 0.0
    epoch_factors: tuple[float, ...] = ()
    rest: tuple[Quantity, ...] = ()

    @cached_property
    def made(self) -> Form:
        """The form, by default the one that the number of epochs suggests."""
        if self.form is not None:
            return self.form
        if self.rest:
            return Share()
        if len(self.epochs) > 2:
            return Trend(tuple(decimal_years(self.epochs).tolist()))
        return Change() if len(self.epochs) == 2 else Level()

    @property
    def parts(self) -> tuple[Quantity, ...]:
        return (self, *self.rest)

    @property
    def weight(self) -> np.ndarray:
        """Per cell: fraction × area × t a⁻¹ per µmol s⁻¹."""
        return np.asarray(self.fraction * self.area_m2 * units.tonnes_per_year(self.species))

    def totals(self) -> list[Total]:
        """One per epoch; of a share the part's, then those of the rest."""
        return [
            Total(_name(part, n, k), part.block, part.weight, epoch)
            for n, part in enumerate(self.parts)
            for k, epoch in enumerate(part.epochs)
        ]

    def map_of(self, pattern: str) -> np.ndarray:
        """The map called `pattern`, else the first."""
        return self.patterns.get(pattern, next(iter(self.patterns.values())))

    def expected(self, pattern: str) -> np.ndarray:
        """The totals as the map says (k,), for what is stated before there are data."""
        return np.array(
            [float(part.weight @ part.map_of(pattern)) for part in self.parts for _ in part.epochs]
        )

    def effects(self, pattern: str) -> list[FixedEffect]:
        """The pattern inside and outside the region, per block and epoch; an empty outside is left out.

        In a cell that the region's edge cuts, the part inside counts in full and the part outside not at
        all: weighing both by the cell's coverage would hide some of a change that ends at the edge.
        """
        nothing = dict.fromkeys((total.name for total in self.totals()), 0.0)
        out = []
        for k, epoch in enumerate(self.epochs):
            for n, block, flux in self.pieces(pattern):
                adds = nothing
                if n is not None:
                    size = float(self.parts[n].weight @ self.parts[n].map_of(pattern))
                    adds = nothing | {_name(self.parts[n], n, j): size for j in range(len(self.epochs))}
                where = "outside" if n is None else f"inside {n}"
                out.append(FixedEffect(f"{block} {k} {where}", block, flux, epoch, adds))
        return out

    def pieces(self, pattern: str) -> list[tuple[int | None, str, np.ndarray]]:
        """(part or None outside all of them, block, flux (n_cells,)) of the map, where there is any."""
        out: list[tuple[int | None, str, np.ndarray]] = []
        for block in dict.fromkeys(part.block for part in self.parts):
            mine = [(n, part) for n, part in enumerate(self.parts) if part.block == block]
            flux = mine[0][1].map_of(pattern)
            covered = np.clip(np.sum([part.fraction for _, part in mine], axis=0), 0.0, 1.0)
            out += [(n, block, flux * part.fraction) for n, part in mine]
            out.append((None, block, flux * (1.0 - covered)))
        return [(n, block, flux) for n, block, flux in out if float(np.abs(flux) @ self.area_m2) > 0]


def _name(part: Quantity, n: int, epoch: int) -> str:
    return f"{part.region} {epoch}" if n == 0 else f"{part.region} {epoch} rest {n}"


def free_problem(quantity: Quantity, problem: InverseProblem) -> InverseProblem:
    """The problem without a prior mean in the blocks asked about.

    The mean is the pattern times what the air says; any other would vote in the directions in which the
    candidate maps differ.
    """
    for block in dict.fromkeys(part.block for part in quantity.parts):
        problem = problem.without_prior_mean(block)
    return problem


def fixed_effects(quantity: Quantity, problem: InverseProblem, pattern: str) -> list[FixedEffect]:
    """All flat directions: the pattern in the epochs asked about, and in each other that is seen."""
    pieces = [(block, flux) for _, block, flux in quantity.pieces(pattern)]
    return [*quantity.effects(pattern), *other_epochs(problem, quantity.epochs, pieces)]


def other_epochs(
    problem: InverseProblem, asked: Sequence[Interval], pieces: Sequence[tuple[str, np.ndarray]]
) -> list[FixedEffect]:
    """Each piece (block, flux) of a map, free in each epoch that is not asked about and is seen.

    Fluxes are correlated in time: a prior mean wrong in all epochs, held in one, would pull at the others.
    An epoch of a handful of observations cannot tell the pieces of a block apart: there they are free as one.
    """
    start = problem.table.start
    effects = []
    for name, epoch in problem.epochs.items():
        if any(epoch.overlaps(other) for other in asked):
            continue
        free = list(pieces)
        if np.sum((start >= epoch.start64) & (start < epoch.end64)) < _FEW:
            blocks = dict.fromkeys(block for block, _ in pieces)
            free = [(b, np.sum([flux for own, flux in pieces if own == b], axis=0)) for b in blocks]
        effects += [FixedEffect(f"epoch {name} {n}", b, flux, epoch) for n, (b, flux) in enumerate(free)]
    return [e for e in effects if np.any(problem.effect(e.block, e.field, e.interval))]
