"""The published form of a verdict: its JSON schema, its seal, and the check of both.

The models are the schema: ``verdict.schema.json`` beside this file is what they say, and a document is
checked against them.  A sealed document carries the SHA-256 of all the rest of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.errors import InputError, StorageError

#: The schema as package data.
SCHEMA_FILE: Final = Path(__file__).with_name("verdict.schema.json")

Answer = Literal["supported", "contradicted", "undecided", "not comparable"]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
Span = Annotated[list[Time], Field(min_length=2, max_length=2, description="half-open, [from, to)")]
Dates = Annotated[list[Time], Field(min_length=2, max_length=2)]
Bounds = Annotated[list[float | None], Field(min_length=2, max_length=2)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Claimed(_Part):
    """What is claimed; changes are signed fractions, a margin is in the unit, a tolerance relative."""

    value: float | None
    unit: str
    reading: Literal["at least", "equal", "present"]
    margin: Spread | None = None
    tolerance: Spread | None = None


class Item(_Part):
    """One item of the comparability gate."""

    item: str
    status: Literal["equal", "declared", "mismatch"]
    detail: str
    relative_sd: Spread | None = Field(description="1σ that a declared difference adds, as a fraction")


class Choice(_Part):
    """One member of the ensemble, and what it would say alone."""

    member: str
    estimate: float | None
    sigma: float | None
    interval: Bounds
    verdict: Answer
    choice: str


class EpochOf(_Part):
    """The total of one epoch as a level of its own; the epochs are correlated."""

    period: Span
    estimate: float | None
    sigma: float | None
    interval: Bounds
    level: Probability


class Flip(_Part):
    """A member that alone would say otherwise."""

    member: str
    choice: str
    verdict: Answer


class First(_Part):
    """The verdict that took a look first, from other data than these."""

    verdict: Answer
    digest: Digest
    data_interval: Span


class Worth(_Part):
    """What the verdict is worth on its day: final on a declared date, a preview between them.

    A revision is about a look that was taken before: it may take that answer back, and gives no other.
    """

    status: Literal["final", "preview", "undeclared", "revision"]
    as_of: Day
    rule: Literal["obrien-fleming", "pocock", "bonferroni"] | None
    look: int | None
    looks: int | None
    time: Probability | None = Field(description="gone by then, of that until the last look")
    information: Probability | None = Field(
        description="gathered by the look before, of that of this one; null where the level needs none"
    )
    next: Day | None
    declared: list[Day] = Field([], description="all dates that count, ascending")
    late: list[Day] = Field([], description="dates of the file that were declared after the first look")
    known_as: str | None = Field(None, description="the id under which the claim was first looked at")
    first: First | None = Field(None, description="revision: the verdict that took the look")


class Family(_Part):
    """How often at least one of the city's claims is answered wrongly."""

    claims: int
    error_each: Probability
    at_most: Probability
    if_independent: Probability
    undeclared: int = Field(description="claims without declared dates: the rate holds if looked at once")


class Input(_Part):
    """An archived object that the verdict was made from, with the names of its source files."""

    kind: str
    key: str
    digest: Digest
    source_files: list[str]


class Origin(_Part):
    """Everything the verdict was made from."""

    inputs: list[Input]
    input_digest: Digest
    config_digest: Digest
    code_version: str


class VerdictDocument(_Part):
    """The answer of the air to one claim, with everything it stands on."""

    schema_version: Literal[1]
    city: str
    claim: str = Field(description="id in the claims file")
    data_interval: Span = Field(description="the data that were used")
    verdict: Answer
    reasons: list[str] = Field(description="codes; of a claim that is not comparable the mismatches")
    reason_texts: list[str]
    kind: Literal["level", "change", "trend", "source", "share"]
    statement: str
    species: str
    region: str | None
    scope: str | None
    sectors: list[str]
    of_region: str | None = Field(None, description="share: the region it is a share of")
    of_sectors: list[str] = Field([], description="share: the sectors it is a share of")
    periods: list[Span] = Field(description="what the claim is about, as far as the data hold it")
    claimed: Claimed
    claimed_by: str
    where: str
    adjustments: list[str] = Field(description="declared differences")
    place: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        None, description="source: [lon, lat] [degrees]"
    )
    start: Time | None = Field(None, description="source: begin of the best window")
    end: Time | None = None
    start_interval: Dates | None = Field(None, description="source: when it began, 95 %")
    end_interval: Dates | None = Field(None, description="source: when it ended, 95 %")
    estimate: float | None
    interval: Bounds | None = Field(description="[low, high] at `level`; null where unbounded")
    level: Probability | None
    unit: str
    sigma: float | None
    degrees_of_freedom: float | None = Field(description="of Student's t; null where σ is modelled")
    sigma_within: Spread | None
    sigma_between: Spread | None
    sigma_by_choice: dict[str, float | None]
    sign_confirmed: bool | None = Field(description="whether zero is outside the interval")
    probability: Probability | None = Field(description="of at least the claim, or of its tolerance")
    bayes_factor: float | None = Field(description="against no change, under N(0, claim²)")
    detectable: float | None = Field(description="80 % power at the interval's level")
    detectable_before: float | None
    years_to_detect: float | None
    share_from_data: float | None = Field(description="1 − posterior over prior variance")
    response: float | None = Field(description="the smallest of `responses`")
    responses: dict[str, float | None] = Field(description="per layout, along the map that shows least")
    responses_most: dict[str, float | None] = Field({}, description="along the map that shows most")
    false_alarm: Probability | None = Field(
        description="source: of the whole search; at most this where it is 1 / (draws + 1)"
    )
    draws: int | None = Field(None, description="source: simulated worlds behind `false_alarm`")
    comparability: list[Item]
    ensemble: list[Choice]
    flips: list[Flip]
    flips_text: str
    least_favourable_correlation: float | None
    correlations: dict[str, float | None]
    epochs: list[EpochOf] = Field(description="of a claim about several, in the unit of a level")
    uncertainty_rule: str
    evaluation: Worth
    family: Family
    made_from: Origin
    digest: Digest = Field(description="SHA-256 of the canonical JSON of all other keys")


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a verdict."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **VerdictDocument.model_json_schema(),
        "title": "Verdict",
    }


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with its digest."""
    return {**document, "digest": digest_of(document)}


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON (UTF-8, sorted keys, no spaces) without the key `digest`."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()


def ensure_sealed(document: Mapping[str, Any], what: str, where: str) -> None:
    """Check the seal of a verdict or of what holds several.

    Raises
    ------
    InputError
        When it has none.
    StorageError
        When it does not fit: somebody changed the document after it was sealed.
    """
    stated, found = document.get("digest"), digest_of(document)
    if not isinstance(stated, str):
        raise InputError(
            f"the {what} carries no seal",
            expected="`digest`, the SHA-256 of the canonical JSON of all other keys",
            found="no `digest`: an earlier version wrote it, or somebody took it out",
            where=where,
            remedy="`monitor publish` writes the archived one again, sealed",
        )
    if stated != found:
        raise StorageError(
            f"the {what} is not as it was sealed",
            expected=stated,
            found=found,
            where=where,
            remedy="do not use it; `monitor publish` writes the archived one again",
        )


def ensure_verdict(document: object, where: str) -> dict[str, Any]:
    """`document` itself if it is a verdict as it was sealed.

    Raises
    ------
    InputError
        When it carries no seal, or does not follow the schema; every fault with its key.
    StorageError
        When the seal does not fit: somebody changed it.
    """
    if not isinstance(document, dict):
        raise InputError("a verdict is a JSON object", found=type(document).__name__, where=where)
    ensure_sealed(document, "verdict", where)
    try:
        VerdictDocument.model_validate(document)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise InputError(
            f"the verdict does not follow its schema: {len(faults)} faults",
            expected="`monitor claims schema`",
            found=" | ".join(faults[:10]),
            where=where,
        ) from error
    return document
