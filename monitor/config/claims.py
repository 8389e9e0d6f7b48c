"""``claims/<id>.toml``: what is said of a city's emissions, by whom, and when the air is asked about it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from monitor import units
from monitor.config.base import (
    AdjustmentSection,
    Fault,
    Fraction,
    Identifier,
    Model,
    Moment,
    Positive,
    Ring,
    faults_in,
    refuse,
    ring_fault,
)
from monitor.domain import Interval, parse_utc
from monitor.errors import MonitorError, UnitError

Kind = Literal["level", "change", "trend", "source", "share"]
_NEEDS: dict[str, tuple[str, ...]] = {
    "level": ("region", "value", "unit", "period"),
    "change": ("region", "value", "epochs"),
    "trend": ("region", "value", "epochs"),
    "share": ("region", "value", "period"),
    "source": ("lon_deg", "lat_deg"),
}
#: How many epochs a kind compares: fewest, most.
_EPOCHS = {"change": (2, 2), "trend": (3, 99)}
#: Tolerance to write where nothing better is agreed: a quarter.
_USUAL_TOLERANCE = 0.25


class SpendingSection(Model):
    """Looks at a claim before its data are whole, and how they share its error (Lan and DeMets 1983)."""

    rule: Literal["obrien-fleming", "pocock", "bonferroni"] = Field(
        description="how the error is spent over the looks: late, evenly, or by an equal split"
    )
    looks: int | tuple[Moment, ...] = Field(
        description="dates; or their number, evenly over the period (of a change: over its last epoch)"
    )


class ClaimSection(Model):
    """A statement about emissions that the air is asked to judge."""

    id: Identifier
    kind: Kind
    statement: str
    region: str | None = None
    polygons: tuple[Ring, ...] = Field(
        (), description="rings of [lon, lat] [degrees]: the area meant, where it is not that of the region"
    )
    lon_deg: float | None = Field(None, ge=-180, le=180)
    lat_deg: float | None = Field(None, ge=-90, le=90)
    species: Literal["co2", "ch4", "co", "co2e"]
    sectors: tuple[str, ...] = ("*",)
    of_region: str | None = Field(None, description="share: the region that it is a share of")
    of_sectors: tuple[str, ...] = Field((), description="share: the sectors that it is a share of")
    scope: Literal["territorial", "scope-1", "scope-1-2", "consumption"] | None = None
    period: tuple[Moment, Moment] | None = None
    epochs: tuple[str, ...] = Field(
        (), description="change: [from, to]; trend: three or more in order; a percentage is of the first"
    )
    value: float | None = Field(
        None,
        description="level: a total; change, share: a fraction, -0.25 is a 25 % cut; trend: a rate;"
        " source: a strength, if one is claimed",
    )
    unit: str | None = None
    reading: Literal["at least", "equal"] | None = Field(
        None, description='how the number is meant; absent: "at least" for change and trend, else "equal"'
    )
    slope: Literal["underlying", "realised"] = Field(
        "underlying",
        description="trend: of emissions beyond the scatter of years, or of these very years",
    )
    margin: Positive | None = Field(
        None, description="at least: the smallest change that counts, in the unit of the claim"
    )
    tolerance: Positive | None = Field(None, description="equal: half-width relative to the value")
    evaluate_on: tuple[Moment, ...] = Field(
        (), description="dates of the final verdict; several share the error evenly"
    )
    spending: SpendingSection | None = None
    claimed_by: str = ""
    where: str = Field("", description='where it is written; "inventory <id>" ties it to that map')
    region_area_km2: Positive | None = Field(None, description="area the claimed number is about [km2]")
    includes_biogenic: bool | None = None
    includes_respiration: bool | None = Field(
        None, description="whether the breath of people and livestock is in the number; asked of CO2"
    )
    basis: Literal["gas", "carbon"] | None = None
    gwp: Literal["AR4", "AR5", "AR6"] | None = Field(
        None, description="co2e: the report whose warming potentials were used"
    )
    months: tuple[int, ...] = Field(
        (), description="calendar months the number is about, of whatever kind it is; all if empty"
    )
    uncertainty: Positive | None = Field(
        None,
        description="half-width stated with the number, as a fraction of it; shown, not used",
    )
    coverage: Fraction | None = Field(
        None, description="level of the stated uncertainty: 0.95, or 0.6827 for 1σ"
    )
    denominator: Literal["total", "m2", "head", "gdp"] | None = Field(
        None,
        description="what the number is divided by; a percentage must say, of a level and an absolute trend"
        " the unit does, of a share its whole",
    )
    base_year: int | None = Field(
        None, ge=1970, le=2100, description="year the percentage is of, where it says"
    )
    adjustments: tuple[str | AdjustmentSection, ...] = Field(
        (), description="declared differences, carried to the page"
    )

    @property
    def read_as(self) -> str:
        """The reading, said or not."""
        return self.reading or ("at least" if self.kind in _EPOCHS else "equal")

    @property
    def divided_by(self) -> str | None:
        """The denominator, said or decided: by a unit of mass, or by what a share is a share of."""
        decided = self.kind in ("level", "share") or self.unit == units.slope_unit(self.species)
        return self.denominator or ("total" if decided else None)

    @model_validator(mode="after")
    def _complete(self) -> ClaimSection:
        questions = (_missing, _number, _unit, _margin, _place, _times)
        found = [fault for ask in questions for fault in ask(self)]
        refuse(type(self).__name__, [(key, f"claim '{self.id}': {text}") for key, text in found])
        return self


def _missing(claim: ClaimSection) -> Iterator[Fault]:
    for key in _NEEDS[claim.kind]:
        if getattr(claim, key) in (None, ()):
            yield (
                key,
                "a percentage without its base: name the epochs in order, the base first"
                if key == "epochs"
                else f"a claim of kind '{claim.kind}' needs it",
            )
    if claim.kind == "share" and claim.of_region is None and not claim.of_sectors:
        yield "of_region", "a percentage without its base: name the region (of_region) or of_sectors"
    if claim.kind in _EPOCHS and claim.epochs:
        fewest, most = _EPOCHS[claim.kind]
        if not fewest <= len(claim.epochs) <= most or len(set(claim.epochs)) < len(claim.epochs):
            count = "two" if most == fewest else "three or more"
            yield "epochs", f"a {claim.kind} compares {count} different epochs, found {len(claim.epochs)}"


def _number(claim: ClaimSection) -> Iterator[Fault]:
    value = claim.value
    if value is None:
        return
    if claim.kind == "share" and not 0 < value <= 1:
        yield "value", f"a share is a fraction above 0 and up to 1, found {value:g}"
    elif claim.kind in ("level", "source") and value <= 0:
        yield "value", f"a {claim.kind} is above 0, found {value:g}"
    elif claim.kind in _EPOCHS and value == 0:
        yield "value", f"a {claim.kind} of nothing cannot be claimed"
    elif claim.kind == "change" and abs(value) >= 1:
        yield "value", f"a change is a signed fraction between -1 and 1, found {value:g}"
    if claim.coverage is not None and claim.uncertainty is None:
        yield "uncertainty", "a coverage is stated, but no uncertainty that it is of"


def _unit(claim: ClaimSection) -> Iterator[Fault]:
    if claim.kind == "source" and claim.species == "co2e":
        yield "species", "a source is of one gas"
    if claim.unit is None or claim.denominator not in (None, "total"):
        return
    unit = claim.unit
    if claim.kind == "level":
        if not any(_is_total(unit, gas) for gas in ("co2", "ch4", "co", "co2e")):
            gas = units.level_unit(claim.species)
            yield "unit", f"'{unit}' is not a unit of a level that we know; write '{gas}' or the like"
        return
    allowed = {
        "change": ["1"],
        "share": ["1"],
        "trend": ["1 a-1", units.slope_unit(claim.species)],
        "source": [units.strength_unit(claim.species)],
    }[claim.kind]
    if unit not in allowed:
        words = " (fractions: 25 % is 0.25)" if "1" in allowed[0] else ""
        yield (
            "unit",
            f"the unit of a {claim.kind} is {' or '.join(map(repr, allowed))}{words}, found '{unit}'",
        )


def _is_total(unit: str, gas: str) -> bool:
    try:
        units.total_factor(unit, gas)
    except UnitError:
        return False
    return True


def _margin(claim: ClaimSection) -> Iterator[Fault]:
    if claim.kind == "source":
        if claim.reading == "at least":
            yield (
                "reading",
                "the strength of a source is read as 'equal': its interval must hold it; "
                "leave the strength out to claim that there is a source",
            )
        for key in ("margin", "tolerance"):
            if getattr(claim, key) is not None:
                yield key, f"a source has no {key}: the interval of its strength must hold the one claimed"
        return
    if claim.kind not in _EPOCHS and claim.read_as == "at least":
        yield "reading", f"a {claim.kind} is read as 'equal'"
        return
    wanted, other = ("margin", "tolerance") if claim.read_as == "at least" else ("tolerance", "margin")
    if getattr(claim, other) is not None:
        yield other, f"a {claim.kind} read as '{claim.read_as}' has a {wanted} instead"
    size = 1.0 if claim.value is None else abs(claim.value)
    if claim.margin is not None and wanted == "margin" and claim.margin > size:
        yield "margin", f"margin {claim.margin:g} is larger than the claim itself, {size:g}"
    elif claim.tolerance is not None and wanted == "tolerance" and claim.tolerance > 1:
        yield "tolerance", f"tolerance {claim.tolerance:g} is larger than the claim itself (it is relative)"
    elif getattr(claim, wanted) is None:
        usual = (
            f"{size / 2:g} is half of the claim, as materiality in an audit"
            if wanted == "margin"
            else f"{_USUAL_TOLERANCE:g} is the usual quarter"
        )
        yield wanted, f"a claim without a margin: say what counts as much; {wanted} = {usual}"


def _place(claim: ClaimSection) -> Iterator[Fault]:
    for number, ring in enumerate(claim.polygons):
        if fault := ring_fault(ring):
            yield f"polygons.{number}", fault


def _times(claim: ClaimSection) -> Iterator[Fault]:
    if claim.period is not None:
        try:
            Interval.parse(*claim.period)
        except MonitorError as error:
            yield "period", str(error)
    if any(not 1 <= month <= 12 for month in claim.months):
        yield "months", "months are numbers from 1 to 12"
    if claim.evaluate_on and claim.spending is not None:
        yield "spending", "a claim has dates (evaluate_on) or a spending rule, not both"
    yield from _dates("evaluate_on", claim.evaluate_on)
    looks = () if claim.spending is None else claim.spending.looks
    if isinstance(looks, tuple):
        yield from _dates("spending.looks", looks)
    elif not 2 <= looks <= 1000:
        yield "spending.looks", f"2 to 1000 looks can share an error, found {looks}"


def _dates(key: str, dates: tuple[str, ...]) -> Iterator[Fault]:
    try:
        days = [parse_utc(date).date() for date in dates]
    except MonitorError as error:
        yield key, str(error)
        return
    if any(later <= earlier for earlier, later in pairwise(days)):
        yield key, "the dates must ascend, one look a day"


class ClaimsConfig(Model):
    """A whole claims file."""

    schema_version: Literal[1]
    claim: tuple[ClaimSection, ...] = Field(min_length=1)

    @model_validator(mode="wrap")
    @classmethod
    def _unique(cls, data: Any, handler: ModelWrapValidatorHandler[ClaimsConfig]) -> ClaimsConfig:
        """Two claims with one id are a fault beside all others."""
        twice = list(_twice(data))
        try:
            made = handler(data)
        except ValidationError as error:
            refuse(cls.__name__, [*faults_in(error), *twice])
            raise
        refuse(cls.__name__, twice)
        return made


def _twice(data: Any) -> Iterator[Fault]:
    listed = data.get("claim") if isinstance(data, dict) else None
    ids = [claim.get("id") for claim in listed if isinstance(claim, dict)] if isinstance(listed, list) else []
    for number, name in enumerate(ids):
        if name is not None and name in ids[:number]:
            yield f"claim.{number}.id", f"two claims have the id '{name}'"
