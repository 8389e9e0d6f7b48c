"""``claims/<id>.toml``: what is said of a city's emissions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from monitor.config.base import Identifier, Model, Moment, Positive, SpeciesId


class ClaimSection(Model):
    """A statement about emissions that the air is asked to judge."""

    id: Identifier
    kind: Literal["level", "change", "source"]
    statement: str
    region: str | None = None
    species: SpeciesId
    sectors: tuple[str, ...] = ("*",)
    scope: Literal["territorial", "scope-1", "scope-1-2", "consumption"] = "territorial"
    period: tuple[Moment, Moment] | None = None
    epochs: tuple[str, str] | None = Field(None, description="change: [from, to]")
    value: float | None = Field(
        None, description="level: a total; change: signed fraction, -0.25 is a 25 % cut"
    )
    unit: str | None = None
    reading: Literal["at least", "equal"] = "at least"
    tolerance: Positive | None = Field(None, description="level, equal: half-width relative to the value")
    margin: Positive | None = Field(
        None, description="change: smallest cut that counts; half the claim if absent"
    )
    lon_deg: float | None = None
    lat_deg: float | None = None
    evaluate_on: tuple[Moment, ...] = ()
    claimed_by: str = ""
    where: str = Field("", description='where it is written; "inventory <id>" ties it to that map')
    region_area_km2: Positive | None = Field(None, description="area the claimed number is about [km2]")
    includes_biogenic: bool = False
    basis: Literal["gas", "carbon"] = "gas"
    adjustments: tuple[str, ...] = Field((), description="declared differences, carried to the page")

    @model_validator(mode="after")
    def _complete(self) -> ClaimSection:
        needs = {
            "level": ("region", "value", "unit", "period"),
            "change": ("region", "value", "epochs"),
            "source": ("lon_deg", "lat_deg"),
        }[self.kind]
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"claim '{self.id}' of kind '{self.kind}' needs {', '.join(missing)}")
        if self.kind == "change" and self.value is not None:
            if self.value == 0 or abs(self.value) >= 1:
                raise ValueError(f"claim '{self.id}': a change is a signed fraction between -1 and 1, not 0")
            if self.margin is not None and self.margin > abs(self.value):
                raise ValueError(f"claim '{self.id}': margin {self.margin} is larger than the claim itself")
        return self


class ClaimsConfig(Model):
    """A whole claims file."""

    schema_version: Literal[1]
    claim: tuple[ClaimSection, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> ClaimsConfig:
        ids = [c.id for c in self.claim]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"claim ids appear twice: {', '.join(twice)}")
        return self
