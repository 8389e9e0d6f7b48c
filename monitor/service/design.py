"""`monitor design`: what a proposed network would see, and what each candidate site would add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from monitor import units
from monitor.compare.design import Design, Figure, Step, alone, detectable_share, greedy
from monitor.compare.forms import Level
from monitor.compare.quantity import Quantity
from monitor.compare.regions import region_fractions
from monitor.compare.trends import UNDERLYING, Planned, epochs_to_detect, years_each
from monitor.compare.verdict import number
from monitor.config import CityConfig, load_candidates, load_city
from monitor.domain import Interval, Region
from monitor.errors import InputError, UsageError
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.posterior import second_moments
from monitor.inversion.problem import InverseProblem
from monitor.inversion.totals import FixedEffect, Total
from monitor.service.sites import Proposal, climate_of, propose

#: Observations of all sites together above which a design is refused: Ψ of 8,000 takes half a GB.
_MOST_OBSERVATIONS = 8_000
#: The map that the flat direction follows: the mean of the candidate maps.
_REFERENCE = "reference"
_YEARS = (5, 10)
_CLIMATOLOGY = (
    "DECLARED CLIMATOLOGY, no measured weather: {}. Gaussian plumes on flat ground. The figures hold for "
    "such a season; make them again with footprints of a transport model."
)
_TWO_TRANSPORTS = (
    "TWO TRANSPORT MODELS side by side: candidates are seen by Gaussian plumes in the weather of a station "
    "that stands, stations by their footprint files."
)
_ASSUMED = (
    "The scales of all errors are those that the city file states; what left-out days will show is not known "
    "yet, and it only ever widens intervals.",
    "No outages, and nothing lost to quality control: every sampled hour of both epochs counts.",
    "Emissions are those of the mean of the candidate maps, the same in both epochs; estimates are flat "
    "along that map, inside and outside each region and in each epoch.",
    "One error model for all sites: the least transport error is a fraction of the mean enhancement over all "
    "of them, candidates included.",
)
_HOURS_PER_YEAR = 365.25 * 24.0


@dataclass(frozen=True)
class DesignRequest:
    """What is asked of a network.

    Parameters
    ----------
    target
        "change:REGION", "total:REGION" or "source:REGION"; the first region where none is named.
    species
        The city's first gas if absent.
    interval
        Where the city has fewer than two epochs: the first one; the second is a year later.
    add
        Most sites that the sequence adds.
    picture
        File for a map of the sites, SVG.
    """

    target: str = "change"
    species: str | None = None
    interval: Interval | None = None
    add: int = 5
    picture: Path | None = None


Progress = Callable[[str], None]


def design_network(
    config_path: Path,
    candidates_path: Path | None,
    data_root: Path,
    request: DesignRequest,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures of the network as it stands or is proposed, and the ranking; one JSON-ready object.

    Raises
    ------
    MonitorError
        When the target names what is not there, or inputs are missing.
    """
    say = progress or (lambda _: None)
    city = load_city(config_path)
    candidates = load_candidates(candidates_path) if candidates_path else None
    species = request.species or city.city.species[0]
    if species not in city.city.species:
        raise UsageError(
            "the city does not have this gas", expected=", ".join(city.city.species), found=species
        )
    say("making footprints")
    proposal = propose(city, candidates, species, epochs_of(city, request.interval), data_root)
    say("looking at the network")
    return Study(proposal, request).as_json()


def epochs_of(city: CityConfig, interval: Interval | None) -> dict[str, Interval]:
    """Two epochs to compare: the city's first and last, else `interval` and the same a year later."""
    declared = {e.id: e.interval() for e in city.epoch}
    if interval is None and len(declared) >= 2:
        names = sorted(declared, key=lambda name: declared[name])
        return {name: declared[name] for name in (names[0], names[-1])}
    if interval is None:
        raise UsageError(
            "a change needs two epochs",
            expected="two [[epoch]] in the city file, or --from and --to",
            found=f"{len(declared)} epochs",
        )
    later = Interval(_a_year_later(interval.start), _a_year_later(interval.end))
    if interval.overlaps(later):
        raise UsageError("an epoch of a design is a year at most", found=str(interval))
    return {"first": interval, "a-year-later": later}


def _a_year_later(moment: datetime) -> datetime:
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return moment.replace(year=moment.year + 1, day=day)


@dataclass(frozen=True, eq=False)
class Study:
    """One proposal under one request; every figure is of second moments, none of data."""

    proposal: Proposal
    request: DesignRequest

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
    def quantities(self) -> dict[str, Quantity]:
        """The change of each region's total between the two epochs, of the first block of cells."""
        case = self.proposal.case
        block = next((b.name for b in self.problem.blocks if b.fields is None), None)
        if block is None:
            raise InputError('a design needs a block with resolution = "cells"')
        regions = [r.as_domain() for r in self.city.region] or [Region("window", ())]
        fractions = region_fractions(regions, case.grid)["fraction"].values
        flux = case.reference[block]["flux"].sum("sector").mean("time").values.ravel()
        section = case.inversion
        return {
            region.id: Quantity(
                species=case.species,
                region=region.id,
                block=block,
                fraction=fraction.ravel(),
                area_m2=case.grid.cell_area_m2().ravel(),
                epochs=tuple(sorted(case.epochs.values())),
                patterns={_REFERENCE: flux},
                alternatives={},
                transport=TransportScale(section.transport_scale_sd, section.transport_epoch_sd),
            )
            for region, fraction in zip(regions, fractions, strict=True)
        }

    @cached_property
    def _asked(self) -> tuple[list[Total], list[FixedEffect], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Totals and patterns of all regions, and which of them are each region's."""
        totals: list[Total] = []
        effects: list[FixedEffect] = []
        where = {}
        for name, quantity in self.quantities.items():
            own, patterns = quantity.totals(), quantity.effects(_REFERENCE)
            where[name] = (
                len(totals) + np.arange(len(own)),
                len(effects) + np.arange(len(patterns)),
            )
            totals += own
            effects += patterns
        return totals, effects, where

    @cached_property
    def all_sites(self) -> Design:
        """Every site, none taken."""
        problem, values = self.problem, self.problem.model.starts
        totals, effects, _ = self._asked
        cross, prior, loading = second_moments(problem, values, totals, effects)
        fixed = np.column_stack([problem.effect(e.block, e.field, e.interval) for e in effects])
        order = [problem.table.inlets.index(site.name) for site in self.proposal.sites]
        number = np.argsort(order)  # of the site of each inlet
        return Design.empty(
            problem.model.covariance(values),
            cross,
            prior,
            number[problem.table.station],
            fixed=fixed,
            loading=loading,
        )

    @cached_property
    def network(self) -> Design:
        """The sites that stand."""
        return self.all_sites.take(*range(len(self.proposal.standing)))

    def covariance(self, design: Design, region: str) -> np.ndarray:
        """Of the region's two totals, flat along their own pattern."""
        return design.covariance_of(*self._asked[2][region])

    def detectable(self, design: Design, kind: str, region: str) -> tuple[float, float]:
        """The smallest relative change, or departure of the last total, told from none; and its floor.

        In 80 of 100 cases.  The floor is what the transport's scale alone leaves, whatever the network.
        """
        quantity, covariance = self.quantities[region], self.covariance(design, region)
        if kind == "total":
            quantity = replace(quantity, epochs=quantity.epochs[-1:], form=Level())
            covariance = covariance[-1:, -1:]
        scale = float(quantity.expected(_REFERENCE)[0]) if kind == "total" else 1.0
        found, floor = (
            detectable_share(quantity, _REFERENCE, c) / scale for c in (covariance, np.zeros_like(covariance))
        )
        return found, floor

    @cached_property
    def target(self) -> tuple[str, str]:
        """What is to be seen better, and where."""
        kind, _, region = self.request.target.partition(":")
        region = region or next(iter(self.quantities))
        if kind not in ("change", "total"):
            raise UsageError("no such target", expected="change:REGION, total:REGION", found=kind)
        if region not in self.quantities:
            raise UsageError(
                "the target is a region that the city file does not have",
                expected=", ".join(self.quantities),
                found=region,
            )
        return kind, region

    @property
    def figure(self) -> Figure:
        """What a better network makes smaller: the detectable change (or total) without its floor."""

        def from_data(design: Design) -> float:
            found, floor = self.detectable(design, *self.target)
            return float(np.sqrt(max(found**2 - floor**2, 0.0)))

        return from_data

    def as_json(self) -> dict[str, Any]:
        """Everything that is said, JSON-ready."""
        case, (kind, region) = self.proposal.case, self.target
        sequence = greedy(self.network, self.figure, self.request.add)
        grown = self.network.take(*(step.site for step in sequence))
        return {
            "city": self.city.city.id,
            "species": case.species,
            "epochs": {name: epoch.as_json() for name, epoch in case.epochs.items()},
            "target": {"kind": kind, "region": region, "unit": "1"},
            "assumptions": self.assumptions(),
            "sites": [self._site(k) for k in range(len(self.proposal.sites))],
            "before": self._figures(self.network),
            "after": self._figures(grown),
            "alone": [self._step(step) for step in alone(self.network, self.figure)],
            "sequence": [self._step(step) for step in sequence],
        }

    def assumptions(self) -> list[str]:
        """What the figures rest on, loudest first."""
        how = self.proposal.transport.values()
        if any("declared climatology" in text for text in how):
            return [_CLIMATOLOGY.format(climate_of(self.city.design).describe()), *_ASSUMED]
        return [_TWO_TRANSPORTS, *_ASSUMED] if any("plume" in text for text in how) else list(_ASSUMED)

    def _site(self, k: int) -> dict[str, Any]:
        site = self.proposal.sites[k]
        return {
            "id": site.station.id,
            "lon": site.station.lon_deg,
            "lat": site.station.lat_deg,
            "inlet_m": site.inlet_m,
            "stands": not site.is_candidate,
            "footprints": self.proposal.transport[site.name],
            "observations": int(np.sum(self.all_sites.site == k)),
        }

    def _step(self, step: Step) -> dict[str, Any]:
        _, floor = self.detectable(self.network, *self.target)
        return {
            "id": self.proposal.sites[step.site].station.id,
            "before": number(float(np.hypot(step.before, floor))),
            "after": number(float(np.hypot(step.after, floor))),
            "from_data_before": number(step.before),
            "from_data_after": number(step.after),
            "variance_reduction": number(1.0 - (step.after / step.before) ** 2)
            if np.isfinite(step.before)
            else None,
        }

    def _figures(self, design: Design) -> dict[str, Any]:
        return {
            "sites": [self.proposal.sites[k].station.id for k in design.taken],
            "dofs": number(self._dofs(design)),
            "regions": [self._region(design, name) for name in self.quantities],
        }

    def _dofs(self, design: Design) -> float:
        """tr(Ψ⁻¹ H Q Hᵀ) of the sites taken."""
        rows = np.flatnonzero(np.isin(self.all_sites.site, design.taken))
        if not rows.size:
            return 0.0
        model, values = self.problem.model, self.problem.model.starts
        signal = model.covariance(values, tuple(b.name for b in self.problem.blocks))[np.ix_(rows, rows)]
        return float(np.trace(np.linalg.solve(self.all_sites.noise[np.ix_(rows, rows)], signal)))

    def _region(self, design: Design, region: str) -> dict[str, Any]:
        quantity, section = self.quantities[region], self.city.design
        total = float(quantity.expected(_REFERENCE)[0])
        change, floor = self.detectable(design, "change", region)
        length = float(np.mean([e.hours for e in quantity.epochs])) / _HOURS_PER_YEAR
        planned = self._planned(design, region)
        return {
            "region": region,
            "total": number(total),
            "unit": units.level_unit(quantity.species),
            "detectable_change": number(change),
            "detectable_change_floor": number(floor),
            "detectable_total": number(self.detectable(design, "total", region)[0]),
            "years_each_epoch": [
                {
                    "change": -c,
                    "years": number(years_each(length, change, floor, c)) if np.isfinite(change) else None,
                }
                for c in section.changes
            ],
            "detectable_trend": [{"years": n, "slope": _slope(planned, n)} for n in _YEARS],
            "years_to_detect": [
                {"slope": -s, "years": epochs_to_detect(planned, s, UNDERLYING) if planned else None}
                for s in section.trends
            ],
        }

    def _planned(self, design: Design, region: str) -> Planned | None:
        """An epoch like these every year: its variance, and what two of them share."""
        quantity = self.quantities[region]
        totals, covariance = quantity.expected(_REFERENCE), self.covariance(design, region)
        if not np.isfinite(covariance).all():
            return None
        relative = quantity.transport.inflate(totals, covariance) / totals[0] ** 2
        planned = Planned.like(np.array([0.0, 1.0]), relative)
        # a transport error that is common may yet differ from year to year
        shared = 0.0 if quantity.transport.common_sd > 0 else planned.correlation
        return replace(planned, correlation=shared)


def _slope(planned: Planned | None, count: int) -> float | None:
    """The detectable slope per year of `count` yearly epochs."""
    from monitor.compare.statistics import detectable_sigmas

    if planned is None:
        return None
    return number(detectable_sigmas(degrees=float(count - 2)) * planned.sigma(count))


def summary(found: Mapping[str, Any]) -> list[str]:
    """The assumptions as lines for a terminal."""
    return [f"assumed: {text}" for text in found["assumptions"]]
