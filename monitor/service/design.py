"""`monitor design`: what a proposed network would see, and what each candidate site would add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from monitor import units
from monitor.compare.design import Design, Figure, Step, alone, greedy
from monitor.compare.statistics import detectable_sigmas
from monitor.compare.trends import UNDERLYING, Planned, epochs_to_detect, years_each
from monitor.compare.verdict import number
from monitor.config import CityConfig, load_candidates, load_city
from monitor.domain import Interval
from monitor.errors import UsageError
from monitor.service.seeing import middle_strength, region_summary
from monitor.service.sites import climate_of, propose
from monitor.service.study import REFERENCE, Study

KINDS = ("change", "total", "source")
#: Lengths of a yearly series whose detectable trend is stated [a].
_YEARS = (5, 10)
_HOURS_PER_YEAR = 365.25 * 24.0
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

_SOURCES = (
    "Sources are ranked by what one needs in its own cell, in the middle one of the windows, to pass the "
    "threshold of the standing network in 80 of 100 cases; the strengths of whole networks are simulated, "
    "over all of these windows, and somewhat higher."
)


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
    found = Report(Study(proposal), request)
    answer = found.as_json()
    if request.picture is not None:
        say("drawing the map")
        request.picture.write_text(found.picture(answer), encoding="utf-8")
    return answer


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
class Report:
    """A study under one request, as it is said."""

    study: Study
    request: DesignRequest
    strengths: dict[frozenset[int], np.ndarray] = field(default_factory=dict)

    @cached_property
    def target(self) -> tuple[str, str]:
        """What is to be seen better, and where."""
        kind, _, region = self.request.target.partition(":")
        regions = self.study.quantities
        region = region or next(iter(regions))
        for what, known, found in (("kind", KINDS, kind), ("region", tuple(regions), region)):
            if found not in known:
                raise UsageError(
                    f"the target names no {what} that there is", expected=", ".join(known), found=found
                )
        return kind, region

    @cached_property
    def network(self) -> Design:
        """The sites that stand."""
        return self.start.take(*range(len(self.study.proposal.standing)))

    @cached_property
    def start(self) -> Design:
        """All sites, none taken; with the sources of the region where these are the target."""
        design = self.study.all_sites
        if self.target[0] != "source":
            return design
        sources = self.study.lookout.responses(np.flatnonzero(self._inside))
        return Design.empty(
            design.noise, design.cross, design.prior, design.site,
            fixed=design.fixed, loading=design.loading, sources=sources,
        )  # fmt: skip

    @property
    def _inside(self) -> np.ndarray:
        """Cells with their middle, or most of their area, in the target region (c,) bool."""
        fraction = self.study.quantities[self.target[1]].fraction
        return np.asarray(fraction >= 0.5 if (fraction >= 0.5).any() else fraction > 0)

    @cached_property
    def threshold(self) -> float:
        """The z that a source must pass: of the network that stands, or of all sites where none does."""
        rows = self.study.rows(self.network)
        if not rows.size:
            rows = np.arange(self.study.all_sites.site.size)
        return self.study.lookout.search(self.study.all_sites.noise, rows).threshold

    @property
    def figure(self) -> Figure:
        """What a better network makes smaller: the detectable source, or change (total) without its floor."""
        if self.target[0] == "source":
            windows = self.study.lookout.placed.size
            return lambda design: middle_strength(design.source_sigma, windows, self.threshold)

        def from_data(design: Design) -> float:
            found, floor = self.study.detectable(design, *self.target)
            return float(np.sqrt(max(found**2 - floor**2, 0.0)))

        return from_data

    @property
    def unit(self) -> str:
        return units.strength_unit(self.study.proposal.case.species) if self.target[0] == "source" else "1"

    def as_json(self) -> dict[str, Any]:
        """Everything that is said, JSON-ready."""
        case, (kind, region) = self.study.proposal.case, self.target
        sequence = greedy(self.network, self.figure, self.request.add)
        grown = self.network.take(*(step.site for step in sequence))
        with_sources = kind == "source" or self.request.picture is not None
        return {
            "city": self.study.city.city.id,
            "species": case.species,
            "epochs": {name: epoch.as_json() for name, epoch in case.epochs.items()},
            "target": {"kind": kind, "region": region, "unit": self.unit},
            "assumptions": self.assumptions(),
            "sites": [self._site(k) for k in range(len(self.study.proposal.sites))],
            "before": self._figures(self.network, with_sources),
            "after": self._figures(grown, with_sources),
            "alone": [self._step(step) for step in alone(self.network, self.figure)],
            "sequence": [self._step(step) for step in sequence],
        }

    def assumptions(self) -> list[str]:
        """What the figures rest on, loudest first."""
        how = self.study.proposal.transport.values()
        rest = [*_ASSUMED, *([_SOURCES] if self.target[0] == "source" else [])]
        if any("declared climatology" in text for text in how):
            return [_CLIMATOLOGY.format(climate_of(self.study.city.design).describe()), *rest]
        return [_TWO_TRANSPORTS, *rest] if any("plume" in text for text in how) else rest

    def picture(self, answer: dict[str, Any]) -> str:
        """The map of what the network sees, and the sites in their order, as SVG."""
        from monitor.publish.design_picture import design_picture

        city, grid = self.study.city, self.study.proposal.case.grid
        shown = answer["before"]["sites"] or answer["after"]["sites"]
        if not shown:
            raise UsageError("there is no site to draw", remedy="let --add be at least 1")
        number_of = {s.station.id: k for k, s in enumerate(self.study.proposal.sites)}
        strengths = self._strengths(self.study.all_sites.take(*(number_of[name] for name in shown)))
        return design_picture(
            answer, strengths.reshape(grid.shape), grid, [r.as_domain() for r in city.region]
        )

    def _strengths(self, design: Design) -> np.ndarray:
        """Detectable strength of a source in every cell (c,); each network's once."""
        sites = frozenset(design.taken)
        if sites not in self.strengths:
            look = self.study.lookout
            search = look.search(self.study.all_sites.noise, self.study.rows(design))
            self.strengths[sites] = look.strengths(search)
        return self.strengths[sites]

    def _site(self, k: int) -> dict[str, Any]:
        site = self.study.proposal.sites[k]
        return {
            "id": site.station.id,
            "lon": site.station.lon_deg,
            "lat": site.station.lat_deg,
            "inlet_m": site.inlet_m,
            "stands": not site.is_candidate,
            "footprints": self.study.proposal.transport[site.name],
            "observations": int(np.sum(self.study.all_sites.site == k)),
        }

    def _step(self, step: Step) -> dict[str, Any]:
        floor = 0.0 if self.target[0] == "source" else self.study.detectable(self.network, *self.target)[1]
        known = np.isfinite(step.before)
        return {
            "id": self.study.proposal.sites[step.site].station.id,
            "before": number(float(np.hypot(step.before, floor))),
            "after": number(float(np.hypot(step.after, floor))),
            "from_data_before": number(step.before),
            "from_data_after": number(step.after),
            "variance_reduction": number(1.0 - (step.after / step.before) ** 2) if known else None,
        }

    def _figures(self, design: Design, with_sources: bool) -> dict[str, Any]:
        seen = self._sources(design) if with_sources and design.taken else None
        return {
            "sites": [self.study.proposal.sites[k].station.id for k in design.taken],
            "dofs": number(self.study.dofs(design)),
            "regions": [self._region(design, name) for name in self.study.quantities],
            "source": seen,
        }

    def _sources(self, design: Design) -> dict[str, Any]:
        """The strength that a source needs in the cells of the target's region."""
        found = region_summary(self._strengths(design), self._inside)
        return {
            "region": self.target[1],
            "days": self.study.scan.source_days,
            "unit": units.strength_unit(self.study.proposal.case.species),
            **{name: number(value) for name, value in found.items()},
        }

    def _region(self, design: Design, region: str) -> dict[str, Any]:
        study, section = self.study, self.study.city.design
        quantity = study.quantities[region]
        change, floor = study.detectable(design, "change", region)
        length = float(np.mean([e.hours for e in quantity.epochs])) / _HOURS_PER_YEAR
        planned, responses = study.planned(design, region), study.responses(design, region)
        return {
            "region": region,
            "total": number(float(quantity.expected(REFERENCE)[0])),
            "unit": units.level_unit(quantity.species),
            "detectable_change": number(change),
            "detectable_change_floor": number(floor),
            "detectable_total": number(study.detectable(design, "total", region)[0]),
            "response": number(min(responses.values(), default=None)),
            "responses": {name: number(value) for name, value in responses.items()},
            "years_each_epoch": [
                {"change": -c, "years": _years_each(length, change, floor, c)} for c in section.changes
            ],
            "detectable_trend": [{"years": n, "slope": _slope(planned, n)} for n in _YEARS],
            "years_to_detect": [
                {"slope": -s, "years": epochs_to_detect(planned, s, UNDERLYING) if planned else None}
                for s in section.trends
            ],
        }


def _years_each(length: float, detectable: float, floor: float, change: float) -> float | None:
    return number(years_each(length, detectable, floor, change)) if np.isfinite(detectable) else None


def _slope(planned: Planned | None, count: int) -> float | None:
    """The detectable slope per year of `count` yearly epochs."""
    return number(detectable_sigmas(degrees=float(count - 2)) * planned.sigma(count)) if planned else None
