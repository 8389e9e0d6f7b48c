"""The two sides of the gate: what a claim says it is about, and what the inversion estimates."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.compare.adjustments import Adjustment


@dataclass(frozen=True)
class Statement:
    """What a claim says it is about; `None` where it does not say.

    Attributes
    ----------
    species, unit, scope, basis
        "co2", "ch4", or "co2e" for a sum of gases; unit of a level; "territorial", "scope-1", …; "gas" or
        "carbon".
    region, area_km2, overlap, names_our_region
        Name and area [km²] of the place; share of the union of both masks that lies in both, where the
        claim has a polygon of its own; false for a row of a table, whose place is its own, not ours.
    includes_biogenic, includes_respiration
        Whether natural and biogenic fluxes, and the breath of people and livestock, are in the number.
    inventory_year, months
        Year of the number; calendar months (1 … 12) it is about, `None` for whole years.
    gwp
        "AR4", "AR5" or "AR6" where gases are summed.
    uncertainty, coverage
        Half-width stated for the number, as a fraction of it, and its coverage (0.95, or 0.6827 for 1σ).
    denominator
        What the number is divided by: "total" for nothing, "m2", "head", "gdp".
    base_year
        Year that a percentage is of.
    level
        The number in t of the gas per year, where it is a level.
    adjustments
        Declared differences, plain texts or `Adjustment` with an uncertainty.
    """

    species: str
    unit: str | None
    scope: str | None
    region: str
    area_km2: float | None
    includes_biogenic: bool | None
    basis: str | None
    inventory_year: int | None
    adjustments: tuple[str | Adjustment, ...]
    gwp: str | None = None
    includes_respiration: bool | None = None
    months: tuple[int, ...] | None = None
    uncertainty: float | None = None
    coverage: float | None = None
    denominator: str | None = None
    base_year: int | None = None
    level: float | None = None
    overlap: float | None = None
    names_our_region: bool = True


@dataclass(frozen=True)
class Estimand:
    """What the inversion estimates.

    Attributes
    ----------
    region_area_km2
        Area of the region; `None` when the region is drawn to whatever the claim is about.
    years, months
        Years of the air, empty when they are those of whatever the claim is about; months sampled (1 … 12) in
        each epoch, empty when they are all there or not known.
    biogenic_in_block, respiration_in_block
        Whether these are in the total.  `None`: nothing in the state tells them apart; they are a difference
        then that somebody must declare.  Respiration is asked of gases that it matters to.
    hours, day_factors, day_factors_sd
        Hours used; whether the hours not sampled follow declared factors, and the relative 1σ of the day's
        total so carried; `None` where it is not stated.
    is_level
        A total, or (false) a change.
    base_years
        Years of the epoch that a change is relative to.
    scales
        Calibration scales of the observations and of the background, each once.
    denominator
        "total", or what the estimate is divided by ("m2", "head").
    reference_level, reference
        Total of another inventory of the same thing [t a⁻¹] and its name; `None` when there is none.
        The prior should not serve: a claim far from it is what the air is asked about.
    terms_listed
        Whether natural fluxes and breath that nothing tells apart are listed beside the estimate, as a ledger
        does.
    """

    species: str
    region_area_km2: float | None
    years: tuple[int, ...]
    biogenic_in_block: bool | None
    hours: str
    is_level: bool
    day_factors: bool = False
    day_factors_sd: float | None = None
    gwp: str | None = None
    respiration_in_block: bool | None = None
    months: tuple[tuple[int, ...], ...] = ()
    base_years: tuple[int, ...] = ()
    scales: tuple[str, ...] = ()
    denominator: str = "total"
    reference_level: float | None = None
    reference: str = ""
    terms_listed: bool = False
