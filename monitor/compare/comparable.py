"""Is a claim about the thing we estimate? Asked before any number is compared.

Each item is *equal*, a *declared* adjustment (named in the claim file, carried to the page, with its own
uncertainty if it has one), or a *mismatch*; one mismatch ends in "not comparable" with the whole list.
An item about which neither side says anything is left out: it was not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import hypot, isfinite

from monitor import units
from monitor.compare.adjustments import Adjustment, adjustments_of, declares, remedy
from monitor.compare.terms import breath_terms
from monitor.compare.verdict import Comparison
from monitor.domain import Interval
from monitor.errors import UnitError

EQUAL, DECLARED, MISMATCH = "equal", "declared", "mismatch"
#: Areas within this fraction of each other are the same place.
AREA_TOLERANCE = 0.1
#: Masks that share at least this part of their union are the same place.
LEAST_OVERLAP = 0.9
#: Two inventories of one thing that are further apart than this factor count different things: of 172 totals
#: of scope 1 that C40 and CDP state for one city and year, 170 are within a factor of 2.8.
MAGNITUDE_FACTOR = 5.0
#: Coverage of one standard deviation of a normal distribution.
ONE_SIGMA = 0.6827


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
    scope: str
    region: str
    area_km2: float | None
    includes_biogenic: bool
    basis: str
    inventory_year: int | None
    adjustments: tuple[str | Adjustment, ...]
    gwp: str | None = None
    includes_respiration: bool = False
    months: tuple[int, ...] | None = None
    uncertainty: float | None = None
    coverage: float | None = None
    denominator: str = "total"
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
        Years of the air, empty when they are those of whatever the claim is about; months sampled (1 … 12),
        empty when they are all there or not known.
    biogenic_in_block, respiration_in_block
        Whether these are in the total.  `None`: nothing in the state tells them apart; they are a difference
        then that somebody must declare.  Respiration is asked of gases that it matters to.
    hours, day_factors
        Hours used; whether the hours not sampled follow declared factors.
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
    gwp: str | None = None
    respiration_in_block: bool | None = None
    months: tuple[int, ...] = ()
    base_years: tuple[int, ...] = ()
    scales: tuple[str, ...] = ()
    denominator: str = "total"
    reference_level: float | None = None
    reference: str = ""
    terms_listed: bool = False


def compare_definitions(statement: Statement, estimand: Estimand) -> tuple[Comparison, ...]:
    """The list of items, each with its status."""
    items = [item for ask in _QUESTIONS if (item := ask(statement, estimand)) is not None]
    used = [item.detail for item in items if item.status == DECLARED]
    extra = [a for a in adjustments_of(statement.adjustments) if not any(a.text in detail for detail in used)]
    return (*items, *(Comparison("other", DECLARED, _with_sd(a), a.relative_sd) for a in extra))


def compare_source(
    species: str, ours: str, cell: str, period: Interval | None, seen: Interval
) -> tuple[Comparison, ...]:
    """The same of a source, which has a gas, a place and perhaps a period.

    Parameters
    ----------
    species, ours
        Gas claimed, and estimated.
    cell
        What the claimed place lies in.
    seen
        What the data hold.
    """
    same = species == ours
    detail = f"{ours} on both sides" if same else f"{species} against {ours}"
    items = [Comparison("gas", EQUAL if same else MISMATCH, detail), Comparison("place", EQUAL, cell)]
    if period is None:
        items.append(Comparison("period", EQUAL, f"none is claimed; any time of {seen}"))
    elif seen.contains(period):
        items.append(Comparison("period", EQUAL, str(period)))
    elif seen.overlaps(period):
        items.append(Comparison("period", DECLARED, f"of {period} only what lies in {seen}"))
    else:
        items.append(Comparison("period", MISMATCH, f"{period} claimed, the data are of {seen}"))
    return tuple(items)


def is_comparable(items: Iterable[Comparison]) -> bool:
    """Whether no item is a mismatch."""
    return all(item.status != MISMATCH for item in items)


def declared_sd(items: Iterable[Comparison]) -> float:
    """Relative 1σ of all declared adjustments together, added as independent errors."""
    return hypot(*(item.relative_sd for item in items if item.status == DECLARED))


def _with_sd(adjustment: Adjustment) -> str:
    return (
        f"{adjustment.text} (± {adjustment.relative_sd:.1%}, 1σ)"
        if adjustment.relative_sd
        else adjustment.text
    )


def difference(statement: Statement, item: str, detail: str) -> Comparison:
    """One item that differs: declared if an adjustment is about it, else a mismatch."""
    stated = adjustments_of(statement.adjustments)
    named = [a for a in stated if declares(a, item)]
    if not named:
        why = remedy(stated, item)
        return Comparison(item, MISMATCH, f"{detail}; {why}" if why else detail)
    return Comparison(item, DECLARED, f"{detail}; {_with_sd(named[0])}", named[0].relative_sd)


def _gas(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.species == estimand.species:
        return Comparison("gas", EQUAL, f"{statement.species} on both sides")
    detail = f"{statement.species} against {estimand.species}"
    if statement.species == "co2e":
        return difference(statement, "gas", f"{detail}: a sum of several gases against one of them")
    return Comparison("gas", MISMATCH, detail)


def _gwp(statement: Statement, estimand: Estimand) -> Comparison | None:
    if statement.species != "co2e" and "CO2e" not in (statement.unit or ""):
        return None
    if statement.gwp is None:
        return difference(statement, "gwp", "the claim does not say whose warming potentials it used")
    if estimand.gwp not in (None, statement.gwp):
        return difference(statement, "gwp", f"{statement.gwp} against {estimand.gwp}")
    return Comparison("gwp", EQUAL, statement.gwp)


def _scope(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.scope in ("territorial", "scope-1"):
        return Comparison("scope", EQUAL, "territorial emissions (scope 1)")
    detail = f"the claim counts {statement.scope}; the air sees what is emitted inside the region"
    return difference(statement, "scope", detail)


def _untold(statement: Statement, item: str, included: bool, estimand: Estimand, what: str) -> Comparison:
    """An item of fluxes that no block holds: a claim says why they do not count, or a ledger lists them."""
    detail = f"no block holds {what} in the estimate"
    if estimand.terms_listed and not included:
        return Comparison(item, DECLARED, f"{detail}, and listed among the terms")
    found = difference(statement, item, detail)
    remedy = f'give them a [[block]], or declare adjustments = [{{ item = "{item}", text = "…" }}]'
    return found if found.status == DECLARED else replace(found, detail=f"{found.detail}; {remedy}")


def _biogenic(statement: Statement, estimand: Estimand) -> Comparison:
    if estimand.biogenic_in_block is None:
        what = "natural and biogenic fluxes, so what there are of them is"
        return _untold(statement, "biogenic part", statement.includes_biogenic, estimand, what)
    if statement.includes_biogenic == estimand.biogenic_in_block:
        word = "included" if statement.includes_biogenic else "excluded"
        return Comparison("biogenic part", EQUAL, f"{word} on both sides")
    return difference(statement, "biogenic part", "natural and biogenic fluxes are on one side only")


def _respiration(statement: Statement, estimand: Estimand) -> Comparison | None:
    if not breath_terms(estimand.species):
        return None
    if estimand.respiration_in_block is None:
        what = "the breath of people and livestock, so what there is of it is"
        return _untold(statement, "respiration", statement.includes_respiration, estimand, what)
    if statement.includes_respiration == estimand.respiration_in_block:
        word = "included" if statement.includes_respiration else "excluded"
        return Comparison("respiration", EQUAL, f"breath of people and livestock {word} on both sides")
    side = "the estimate" if estimand.respiration_in_block else "the claim"
    return difference(statement, "respiration", f"breath of people and livestock is in {side} only")


def _basis(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.unit == "t C a-1":
        return Comparison("basis", EQUAL, "mass of carbon, as the unit says")
    if statement.basis == "gas":
        return Comparison("basis", EQUAL, "mass of the gas")
    return Comparison("basis", MISMATCH, "the claim counts carbon, its unit does not say so")


def _region(statement: Statement, estimand: Estimand) -> Comparison:
    if estimand.region_area_km2 is None:
        return Comparison("region", EQUAL, f"the region is drawn to the boundary of '{statement.region}'")
    if statement.overlap is not None and statement.overlap < LEAST_OVERLAP:
        return difference(statement, "region", f"{statement.overlap:.0%} of both areas is shared")
    if statement.area_km2 is None and statement.names_our_region:
        return Comparison("region", EQUAL, f"the claim names our region '{statement.region}'")
    if statement.area_km2 is None:
        detail = f"no area is stated for '{statement.region}', {estimand.region_area_km2:,.0f} km² estimated"
        return difference(statement, "region", detail)
    detail = f"{statement.area_km2:,.0f} km² claimed, {estimand.region_area_km2:,.0f} km² estimated"
    if abs(statement.area_km2 / estimand.region_area_km2 - 1) <= AREA_TOLERANCE:
        return Comparison("region", EQUAL, detail)
    return difference(statement, "region", detail)


def _unit(statement: Statement, estimand: Estimand) -> Comparison | None:
    if not estimand.is_level or estimand.denominator != "total":
        return None
    try:
        units.total_factor(statement.unit or "", statement.species)
    except UnitError as error:
        return Comparison("unit", MISMATCH, error.what)
    return Comparison("unit", EQUAL, str(statement.unit))


def _period(statement: Statement, estimand: Estimand) -> Comparison | None:
    if not estimand.is_level:
        return None
    if statement.inventory_year is None:
        return None
    if statement.inventory_year in estimand.years:
        return Comparison("period", EQUAL, ", ".join(map(str, estimand.years)))
    if not estimand.years:
        return Comparison("period", EQUAL, f"the air is that of {statement.inventory_year}")
    detail = f"inventory of {statement.inventory_year}, air of {', '.join(map(str, estimand.years))}"
    return difference(statement, "period", detail)


def _months(statement: Statement, estimand: Estimand) -> Comparison | None:
    """Months matter for a level; in a change both epochs are held to the same ones elsewhere."""
    if not estimand.is_level or not (estimand.months or statement.months):
        return None
    whole = tuple(range(1, 13))
    claimed, sampled = set(statement.months or whole), set(estimand.months or whole)
    if claimed == sampled:
        return Comparison("months", EQUAL, _month_text(sampled))
    detail = f"{_month_text(claimed)} claimed, {_month_text(sampled)} in the air"
    return difference(statement, "months", detail)


def _month_text(months: set[int]) -> str:
    return "whole years" if len(months) == 12 else "months " + ", ".join(map(str, sorted(months)))


def _hours(statement: Statement, estimand: Estimand) -> Comparison:
    if estimand.hours == "all hours":
        return Comparison("hours", EQUAL, "all hours of the day")
    if not estimand.is_level:
        text = f"{estimand.hours} in both epochs; the cycle of the day is taken as unchanged"
        return Comparison("hours", EQUAL, text)
    if estimand.day_factors:
        text = f"{estimand.hours}; carried to the whole day by the declared factors of the hour"
        return Comparison("hours", DECLARED, text)
    detail = f"{estimand.hours} against the whole day, without factors of the hour"
    return difference(statement, "hours", detail)


def _coverage(statement: Statement, estimand: Estimand) -> Comparison | None:
    if statement.uncertainty is None:
        return None
    if statement.coverage is None:
        detail = f"± {statement.uncertainty:.0%} is stated without its level (1σ or 95 %)"
        return difference(statement, "coverage", detail)
    detail = f"± {statement.uncertainty:.0%} at a level of {statement.coverage:.1%}"
    if abs(statement.coverage - 0.95) < 0.005:
        return Comparison("coverage", EQUAL, detail)
    if 0 < statement.coverage < 1:
        return Comparison("coverage", DECLARED, f"{detail}, carried to 95 % as a normal error")
    return Comparison("coverage", MISMATCH, f"{detail}, which is no probability")


def _denominator(statement: Statement, estimand: Estimand) -> Comparison | None:
    if statement.denominator == estimand.denominator:
        return (
            None
            if statement.denominator == "total"
            else Comparison("denominator", EQUAL, f"per {statement.denominator}")
        )
    names = [
        ("a total" if d == "total" else f"per {d}") for d in (statement.denominator, estimand.denominator)
    ]
    return difference(statement, "denominator", f"{names[0]} claimed, {names[1]} estimated")


def _base(statement: Statement, estimand: Estimand) -> Comparison | None:
    if estimand.is_level or statement.base_year is None:
        return None
    if statement.base_year in estimand.base_years:
        return Comparison("base", EQUAL, f"per cent of {statement.base_year}")
    found = ", ".join(map(str, estimand.base_years)) or "another epoch"
    return difference(statement, "base", f"per cent of {statement.base_year} claimed, of {found} estimated")


def _scale(statement: Statement, estimand: Estimand) -> Comparison | None:
    """A mixture is ours, not the claim's: it warns, and is carried to the page."""
    scales = sorted(set(estimand.scales))
    if not scales:
        return None
    if len(scales) == 1 and scales[0] != "unknown":
        return Comparison("calibration scale", EQUAL, scales[0])
    detail = f"observations and background are on {' and '.join(scales)}"
    item = difference(statement, "calibration scale", detail)
    if item.status == DECLARED:
        return item
    return Comparison("calibration scale", DECLARED, f"warning: {detail}; nothing was converted")


def _magnitude(statement: Statement, estimand: Estimand) -> Comparison | None:
    """Orders of magnitude that no inventory of the same thing could differ by."""
    claimed, known = statement.level, estimand.reference_level
    if claimed is None or known is None or not (isfinite(claimed) and known > 0):
        return None
    detail = (
        f"{claimed:,.0f} t a-1 claimed, {known:,.0f} t a-1 in {estimand.reference or 'another inventory'}"
    )
    if known / MAGNITUDE_FACTOR <= claimed <= known * MAGNITUDE_FACTOR:
        return Comparison("magnitude", EQUAL, detail)
    return difference(statement, "magnitude", f"{detail}: they cannot count the same")


_QUESTIONS: tuple[Callable[[Statement, Estimand], Comparison | None], ...] = (
    *(_gas, _gwp, _scope, _biogenic, _respiration, _basis, _region, _unit, _period, _months, _hours),
    *(_coverage, _denominator, _base, _scale, _magnitude),
)
