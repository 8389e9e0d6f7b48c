"""One proposed network in second moments: what of each region, and of a source, it would see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve

from monitor.compare.design import Design, detectable_share
from monitor.compare.ensemble import shared
from monitor.compare.forms import Level
from monitor.compare.quantity import Quantity
from monitor.compare.regions import region_fractions
from monitor.compare.trends import Planned
from monitor.config import CityConfig, ScanSection
from monitor.domain import Region
from monitor.errors import InputError
from monitor.inversion.components import cholesky_or_error
from monitor.inversion.posterior import cross_of, loading_of
from monitor.inversion.problem import InverseProblem
from monitor.inversion.solution import estimate_totals, solve_factored
from monitor.inversion.totals import FixedEffect, Total
from monitor.service.claims import flat, layouts, transport_of
from monitor.service.seeing import Lookout, lookout
from monitor.service.sites import Proposal

#: Observations of all sites together above which a design is refused: Ψ of 8,000 takes half a GB.
_MOST_OBSERVATIONS = 8_000
#: The map that the flat direction follows: the mean of the candidate maps.
REFERENCE = "reference"


@dataclass(frozen=True, eq=False)
class Study:
    """One proposal; every figure is of second moments at the stated scales, none of data."""

    proposal: Proposal

    @property
    def city(self) -> CityConfig:
        return self.proposal.case.city

    @cached_property
    def problem(self) -> InverseProblem:
        """All sites in one problem; its prior mean does not matter to variances."""
        problem = self.proposal.case.problem(self.city.selection.local_hours)
        if problem.table.n > _MOST_OBSERVATIONS:
            raise InputError(
                "there are too many observations for a design",
                expected=f"at most {_MOST_OBSERVATIONS} of all sites together",
                found=f"{problem.table.n} of {len(self.proposal.sites)} sites",
                remedy='state [selection] average = "daily", shorter epochs, or fewer candidates',
            )
        return problem

    @cached_property
    def block(self) -> str:
        """The first block of cells: what the totals are of."""
        found = next((b.name for b in self.problem.blocks if b.fields is None), None)
        if found is None:
            raise InputError('a design needs a block with resolution = "cells"')
        return found

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """The change of each region's total between the two epochs."""
        case = self.proposal.case
        regions = [r.as_domain() for r in self.city.region] or [Region("window", ())]
        fractions = region_fractions(regions, case.grid)["fraction"].values
        maps = {name: flat(m) for name, m in case.maps[self.block].items()}
        return {
            region.id: Quantity(
                species=case.species,
                region=region.id,
                block=self.block,
                fraction=fraction.ravel(),
                area_m2=case.grid.cell_area_m2().ravel(),
                epochs=tuple(sorted(case.epochs.values())),
                patterns={REFERENCE: flat(case.reference[self.block])},
                alternatives=maps | layouts(case, self.block),
                transport=transport_of(case),
                correlations=case.inversion.transport_correlations,
            )
            for region, fraction in zip(regions, fractions, strict=True)
        }

    @cached_property
    def asked(self) -> tuple[list[Total], list[FixedEffect], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Totals and patterns of all regions, and which of them (indices) are each region's."""
        totals: list[Total] = []
        effects: list[FixedEffect] = []
        where = {}
        for name, quantity in self.quantities.items():
            own, patterns = quantity.totals(), quantity.effects(REFERENCE)
            where[name] = (len(totals) + np.arange(len(own)), len(effects) + np.arange(len(patterns)))
            totals += own
            effects += patterns
        return totals, effects, where

    @cached_property
    def all_sites(self) -> Design:
        """Every site, none taken."""
        problem, values = self.problem, self.problem.model.starts
        totals, effects, _ = self.asked
        cross, prior = cross_of(problem, values, totals)
        loading = loading_of(problem, totals, effects)
        fixed = np.column_stack([problem.effect(e.block, e.field, e.interval) for e in effects])
        inlets = [problem.table.inlets.index(site.name) for site in self.proposal.sites]
        number = np.argsort(inlets)  # of the site of each inlet
        psi = problem.model.covariance(values)
        return Design.empty(psi, cross, prior, number[problem.table.station], fixed=fixed, loading=loading)

    @cached_property
    def scan(self) -> ScanSection:
        """The search for sources: as `[[scan]]` says, or with its defaults."""
        species = self.proposal.case.species
        own = next((s for s in self.city.scan if s.species == species), None)
        return own or ScanSection.model_validate({"species": species})

    @cached_property
    def lookout(self) -> Lookout:
        """Where and when the search looks."""
        return lookout(self.problem, self.scan)

    def rows(self, design: Design) -> np.ndarray:
        """The observations of the sites taken (indices)."""
        return np.flatnonzero(np.isin(self.all_sites.site, design.taken))

    def covariance(self, design: Design, region: str) -> np.ndarray:
        """Of the region's two totals, flat along their own pattern."""
        return design.covariance_of(*self.asked[2][region])

    def detectable(self, design: Design, kind: str, region: str) -> tuple[float, float]:
        """The smallest relative change, or departure of the last total, told from none; and its floor.

        In 80 of 100 cases.  The floor is what the transport's scale alone leaves, whatever the network.
        """
        quantity, covariance = self.quantities[region], self.covariance(design, region)
        if kind == "total":
            quantity = replace(quantity, epochs=quantity.epochs[-1:], form=Level())
            covariance = covariance[-1:, -1:]
        scale = float(quantity.expected(REFERENCE)[0]) if kind == "total" else 1.0
        found, floor = (
            detectable_share(quantity, REFERENCE, c) / scale for c in (covariance, np.zeros_like(covariance))
        )
        return found, floor

    def responses(self, design: Design, region: str) -> dict[str, float]:
        """How much of a true change in another layout of the same total the change would show."""
        rows, (own, patterns) = self.rows(design), self.asked[2][region]
        if not rows.size or not np.isfinite(self.covariance(design, region)).all():
            return {}
        whole, quantity = self.all_sites, self.quantities[region]
        lower = cholesky_or_error(whole.noise[np.ix_(rows, rows)], "the covariance of the network")
        solution = solve_factored(lower, np.zeros(rows.size), whole.fixed[np.ix_(rows, patterns)])
        gain = estimate_totals(
            solution,
            whole.cross[np.ix_(rows, own)],
            whole.prior[np.ix_(own, own)],
            whole.loading[np.ix_(own, patterns)],
        ).gain
        shown = {}
        for name, layout in quantity.alternatives.items():
            size = float(quantity.weight @ layout)
            if size > 0:
                field = layout * quantity.fraction / size
                effect = self.problem.effect(quantity.block, field, quantity.epochs[-1])[rows]
                shown[name] = float((gain[1] - gain[0]) @ effect)
        return shown

    def dofs(self, design: Design) -> float:
        """tr(Ψ⁻¹ H Q Hᵀ) of the sites taken: pieces of information on the fluxes."""
        rows = self.rows(design)
        if not rows.size:
            return 0.0
        model, values = self.problem.model, self.problem.model.starts
        signal = model.covariance(values, tuple(b.name for b in self.problem.blocks))[np.ix_(rows, rows)]
        lower = cholesky_or_error(self.all_sites.noise[np.ix_(rows, rows)], "the covariance of the network")
        return float(np.trace(cho_solve((lower, True), signal)))

    def planned(self, design: Design, region: str) -> Planned | None:
        """An epoch like these every year, relative to the total; ``None`` where the region is not seen."""
        quantity = self.quantities[region]
        totals, covariance = quantity.expected(REFERENCE), self.covariance(design, region)
        if not np.isfinite(covariance).all():
            return None
        # what of a shared error of the transport differs from year to year, at its least favourable
        transport = shared(quantity.transport, min(quantity.correlations))
        relative = transport.inflate(totals, covariance) / totals[0] ** 2
        return Planned.like(np.array([0.0, 1.0]), relative)
