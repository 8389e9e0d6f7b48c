"""Is a claim about the thing we estimate? Asked before any number is compared.

Each item is *equal*, a *declared* adjustment (named in the claim file, carried to the page, with its own
uncertainty if it has one), or a *mismatch*; one mismatch ends in "not comparable" with the whole list.
What a claim does not say, and neither its unit nor its gas decides, is a mismatch until it is said.  An item
that nobody can ask (no inventory quoted, no uncertainty stated) is left out: it was not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import hypot, isfinite

from monitor import units
from monitor.compare.adjustments import Adjustment, adjustments_of, declares, remedy
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.terms import breath_terms, natural_terms
from monitor.compare.verdict import Comparison
from monitor.config.base import AdjustmentSection
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
_YEAR = tuple(range(1, 13))


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
    return difference_of(statement.adjustments, item, detail)


def difference_of(
    adjustments: Iterable[str | Adjustment | AdjustmentSection], item: str, detail: str
) -> Comparison:
    """The same by what is declared alone."""
    stated = adjustments_of(adjustments)
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


def _unsaid(statement: Statement, item: str, what: str, write: str) -> Comparison:
    """An item that the claim says nothing of, which is no agreement."""
    return difference(statement, item, f"the claim does not say {what}; write {write}")


def _scope(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.scope is None:
        write = 'scope = "territorial", "scope-1", "scope-1-2" or "consumption"'
        return _unsaid(statement, "scope", "which scope it counts", write)
    if statement.scope in ("territorial", "scope-1"):
        return Comparison("scope", EQUAL, "territorial emissions (scope 1)")
    detail = f"the claim counts {statement.scope}; the air sees what is emitted inside the region"
    return difference(statement, "scope", detail)


def _untold(
    statement: Statement, item: str, included: bool | None, estimand: Estimand, what: str
) -> Comparison:
    """An item of fluxes that no block holds: a claim says why they do not count, or a ledger lists them."""
    detail = f"no block holds {what} in the estimate"
    if estimand.terms_listed and included is False:
        return Comparison(item, DECLARED, f"{detail}, and listed among the terms")
    return _or_declare(difference(statement, item, detail), "give them a [[block]], or ")


def _or_declare(found: Comparison, instead: str = "") -> Comparison:
    """A mismatch with what may be written for it."""
    remedy = f'{instead}declare adjustments = [{{ item = "{found.item}", text = "…" }}]'
    return found if found.status == DECLARED else replace(found, detail=f"{found.detail}; {remedy}")


def _biogenic(statement: Statement, estimand: Estimand) -> Comparison | None:
    if not (natural_terms(estimand.species) or statement.includes_biogenic):
        return None
    if estimand.biogenic_in_block is None:
        what = "natural and biogenic fluxes, so what there are of them is"
        return _untold(statement, "biogenic part", statement.includes_biogenic, estimand, what)
    if statement.includes_biogenic is None:
        what = "whether natural and biogenic fluxes are in its number"
        return _unsaid(statement, "biogenic part", what, "includes_biogenic = false or true")
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
    if statement.includes_respiration is None:
        what = "whether the breath of people and livestock is in its number"
        return _unsaid(statement, "respiration", what, "includes_respiration = false or true")
    if statement.includes_respiration == estimand.respiration_in_block:
        word = "included" if statement.includes_respiration else "excluded"
        return Comparison("respiration", EQUAL, f"breath of people and livestock {word} on both sides")
    side = "the estimate" if estimand.respiration_in_block else "the claim"
    return difference(statement, "respiration", f"breath of people and livestock is in {side} only")


def _basis(statement: Statement, estimand: Estimand) -> Comparison:
    """The unit decides, where it is one of mass; in a ratio the basis drops out."""
    unit, stated = statement.unit or "", statement.basis
    of_unit = "carbon" if unit == "t C a-1" else "gas" if _names_gas(unit) else None
    if of_unit is None and not estimand.is_level:
        return Comparison("basis", EQUAL, "a ratio, the same of the gas and of its carbon")
    if of_unit is None and stated is None:
        return _unsaid(statement, "basis", "mass of what it counts", 'basis = "gas" or "carbon"')
    if of_unit is not None and stated in (None, of_unit):
        return Comparison(
            "basis", EQUAL, f"mass of {'the gas' if of_unit == 'gas' else of_unit}, by the unit"
        )
    if stated == "carbon":
        return Comparison("basis", MISMATCH, "the claim counts carbon, its unit does not say so")
    if of_unit == "carbon":
        return Comparison("basis", MISMATCH, "the claim counts the gas, its unit says carbon")
    return Comparison("basis", EQUAL, "mass of the gas, as stated")


def _names_gas(unit: str) -> bool:
    return any(word in {"CO2", "CO2e", "CH4", "CO"} for word in unit.split())


def _region(statement: Statement, estimand: Estimand) -> Comparison:
    if estimand.region_area_km2 is None:
        return Comparison("region", EQUAL, f"the region is drawn to the boundary of '{statement.region}'")
    if statement.overlap is not None and statement.overlap < LEAST_OVERLAP:
        return difference(statement, "region", f"{statement.overlap:.0%} of both areas is shared")
    if statement.area_km2 is None and statement.names_our_region:
        detail = f"the claim names our region '{statement.region}', and no area of its own"
        return Comparison("region", EQUAL, detail)
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
    """Every epoch must have seen the months that the claim speaks of: an autumn is not the year."""
    if not (estimand.months or statement.months):
        return None
    claimed = _month_text(statement.months or _YEAR)
    sampled = list(dict.fromkeys(map(_month_text, estimand.months or (_YEAR,))))
    if sampled == [claimed]:
        return Comparison("months", EQUAL, claimed)
    detail = f"{claimed} claimed, {', or '.join(sampled)} in the air"
    return difference(statement, "months", detail)


def _month_text(months: Iterable[int]) -> str:
    found = sorted(set(months))
    return "whole years" if len(found) == 12 else "months " + ", ".join(map(str, found))


def _hours(statement: Statement, estimand: Estimand) -> Comparison:
    """Some hours speak for the day through its cycle: a level needs its size, a ratio that it is the same."""
    if estimand.hours == "all hours":
        return Comparison("hours", EQUAL, "all hours of the day")
    if not estimand.is_level:
        detail = (
            f"{estimand.hours} only, which do not see whether the cycle of the day is the same throughout"
        )
        return _or_declare(difference(statement, "hours", detail))
    if estimand.day_factors and estimand.day_factors_sd:
        carried = Adjustment("carried to the whole day by the factors of the hour", estimand.day_factors_sd)
        text = f"{estimand.hours}; {_with_sd(carried)}"
        return Comparison("hours", DECLARED, text, carried.relative_sd)
    why = (
        "which do not say how uncertain they are: hour_factors_sd"
        if estimand.day_factors
        else "of which none"
    )
    found = difference(
        statement, "hours", f"{estimand.hours} against the whole day by factors of the hour, {why}"
    )
    if found.status == DECLARED and not found.relative_sd:
        unsized = f"{found.detail}, which does not say how uncertain it is (relative_sd)"
        return Comparison("hours", MISMATCH, unsized)
    return found


def _coverage(statement: Statement, estimand: Estimand) -> Comparison | None:
    """What is judged is the claimed number, with the width that the claim itself grants it."""
    if statement.uncertainty is None:
        return None
    if statement.coverage is None:
        detail = f"± {statement.uncertainty:.0%} is stated without its level (1σ or 95 %)"
        return difference(statement, "coverage", detail)
    detail = f"± {statement.uncertainty:.0%} at a level of {statement.coverage:.1%}"
    if not 0 < statement.coverage < 1:
        return Comparison("coverage", MISMATCH, f"{detail}, which is no probability")
    same = abs(statement.coverage - 0.95) < 0.005
    text = f"{detail}, as stated; it does not enter: the number is what is judged"
    return Comparison("coverage", EQUAL if same else DECLARED, text)


def _denominator(statement: Statement, estimand: Estimand) -> Comparison | None:
    if statement.denominator is None:
        what = "what its number is of, a total or an amount per head"
        return _unsaid(statement, "denominator", what, 'denominator = "total", "m2", "head" or "gdp"')
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
