"""Is a claim about the thing we estimate? Asked before any number is compared.

Each item is *equal*, a *declared* adjustment (named in the claim file, carried to the page), or a
*mismatch*; one mismatch ends in "not comparable" with the whole list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitor import units
from monitor.compare.verdict import Comparison
from monitor.errors import UnitError

EQUAL, DECLARED, MISMATCH = "equal", "declared", "mismatch"
#: Areas within this fraction of each other are the same place.
AREA_TOLERANCE = 0.1


@dataclass(frozen=True)
class Statement:
    """What a claim says it is about; `None` where it does not say."""

    species: str
    unit: str | None
    scope: str
    region: str
    area_km2: float | None
    includes_biogenic: bool
    basis: str
    inventory_year: int | None
    adjustments: tuple[str, ...]


@dataclass(frozen=True)
class Estimand:
    """What the inversion estimates; `day_factors`: the hours not sampled follow declared factors."""

    species: str
    region_area_km2: float
    years: tuple[int, ...]
    biogenic_in_block: bool
    hours: str
    is_level: bool
    day_factors: bool = False


def compare_definitions(statement: Statement, estimand: Estimand) -> tuple[Comparison, ...]:
    """The list of items, each with its status."""
    items = [_gas(statement, estimand), _scope(statement), _biogenic(statement, estimand), _basis(statement)]
    items.append(_area(statement, estimand))
    if estimand.is_level:
        items.append(_unit(statement))
        items.append(_year(statement, estimand))
    items.append(_hours(statement, estimand))
    known = ("year", "area", "scope", "biogenic", "hour")
    extra = [a for a in statement.adjustments if not any(_names(a, word) for word in known)]
    return (*items, *(Comparison("other", DECLARED, text) for text in extra))


def is_comparable(items: tuple[Comparison, ...]) -> bool:
    """Whether no item is a mismatch."""
    return all(item.status != MISMATCH for item in items)


def _declared(statement: Statement, word: str) -> str | None:
    return next((a for a in statement.adjustments if _names(a, word)), None)


def _names(adjustment: str, word: str) -> bool:
    """Whether the text holds the word itself: "yearly" does not declare a difference of years."""
    return re.search(rf"\b{word}s?\b", adjustment.lower()) is not None


def _or_declared(statement: Statement, item: str, word: str, detail: str) -> Comparison:
    declared = _declared(statement, word)
    return (
        Comparison(item, DECLARED, f"{detail}; {declared}")
        if declared
        else Comparison(item, MISMATCH, detail)
    )


def _gas(statement: Statement, estimand: Estimand) -> Comparison:
    same = statement.species == estimand.species
    return Comparison("gas", EQUAL if same else MISMATCH, f"{statement.species} against {estimand.species}")


def _scope(statement: Statement) -> Comparison:
    if statement.scope in ("territorial", "scope-1"):
        return Comparison("scope", EQUAL, "territorial emissions (scope 1)")
    detail = f"the claim counts {statement.scope}; the air sees what is emitted inside the region"
    return _or_declared(statement, "scope", "scope", detail)


def _biogenic(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.includes_biogenic == estimand.biogenic_in_block:
        word = "included" if statement.includes_biogenic else "excluded"
        return Comparison("biogenic part", EQUAL, f"{word} on both sides")
    detail = "natural and biogenic fluxes are on one side only"
    return _or_declared(statement, "biogenic part", "biogenic", detail)


def _basis(statement: Statement) -> Comparison:
    if statement.basis == "gas" or statement.unit == "t C a-1":
        return Comparison("basis", EQUAL, "mass of the gas" if statement.basis == "gas" else "mass of carbon")
    return Comparison("basis", MISMATCH, "the claim counts carbon, its unit does not say so")


def _area(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.area_km2 is None:
        return Comparison("region", EQUAL, f"the claim names our region '{statement.region}'")
    ratio = statement.area_km2 / estimand.region_area_km2
    detail = f"{statement.area_km2:,.0f} km² claimed, {estimand.region_area_km2:,.0f} km² estimated"
    if abs(ratio - 1) <= AREA_TOLERANCE:
        return Comparison("region", EQUAL, detail)
    return _or_declared(statement, "region", "area", detail)


def _unit(statement: Statement) -> Comparison:
    try:
        units.total_factor(statement.unit or "", statement.species)
    except UnitError as error:
        return Comparison("unit", MISMATCH, error.what)
    return Comparison("unit", EQUAL, str(statement.unit))


def _year(statement: Statement, estimand: Estimand) -> Comparison:
    if statement.inventory_year is None or statement.inventory_year in estimand.years:
        return Comparison("period", EQUAL, ", ".join(map(str, estimand.years)))
    detail = f"inventory of {statement.inventory_year}, air of {', '.join(map(str, estimand.years))}"
    return _or_declared(statement, "period", "year", detail)


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
    return _or_declared(statement, "hours", "hour", detail)
