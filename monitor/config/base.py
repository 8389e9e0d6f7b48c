"""What the models of all TOML files share: types of their values, reading, and faults with their keys."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from monitor.errors import ConfigError

SpeciesId = Literal["co2", "ch4", "co"]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


def _as_text(value: object) -> object:
    return value.isoformat() if isinstance(value, date | datetime) else value


Moment = Annotated[str, BeforeValidator(_as_text)]
#: Corners of a polygon as [lon, lat] [degrees].
Ring = tuple[tuple[float, float], ...]
#: A key, dotted, and what is wrong with its value.
Fault = tuple[str, str]


class Model(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


#: What an adjustment may be about: the items of the gate (`monitor.compare.adjustments`).
GateItem = Literal[
    "gas",
    "gwp",
    "scope",
    "biogenic part",
    "respiration",
    "region",
    "period",
    "months",
    "hours",
    "coverage",
    "denominator",
    "base",
    "calibration scale",
    "magnitude",
    "strength",
    "epochs: months",
    "epochs: hours",
    "epochs: network",
    "sector",
    "protocol",
    "arithmetic",
    "accounts",
]


class AdjustmentSection(Model):
    """A declared difference between what is claimed and what is estimated; a plain text is one, too."""

    text: str
    item: GateItem | None = Field(
        None, description="item of the gate it is about (see verdicts); if absent the text must name it"
    )
    relative_sd: NonNegative = Field(
        0.0,
        description="1σ that it adds to the estimate, as a fraction of the quantity; a region needs one",
    )


M = TypeVar("M", bound=BaseModel)


def load(path: Path, model: type[M]) -> M:
    """Read a TOML file as `model`; `ConfigError` lists every fault."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            "the configuration file is not there",
            found=str(path),
            remedy="check the path, or run `monitor init`",
        ) from None
    except IsADirectoryError:
        raise ConfigError(
            "the configuration is a folder", expected="a TOML file", where=str(path), remedy="name the file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            "the file is not TOML",
            expected="text in UTF-8",
            found=f"other bytes, from byte {error.start} on",
            where=str(path),
            remedy="name the configuration file, or save it as UTF-8",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "the file is not TOML",
            expected='tables and lines such as `name = "value"`',
            found=str(error),
            where=str(path),
            remedy="mend that line; `monitor config schema` prints what is allowed",
        ) from error
    return validated(raw, model, path)


def validated(raw: Any, model: type[M], path: Path) -> M:
    """What was read from `path` as `model`; `ConfigError` lists every fault."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [f"{key or '(whole file)'}: {text}" for key, text in faults_in(error)]
        raise ConfigError(
            listed("in the configuration", lines),
            where=str(path),
            remedy="correct each key; `monitor config schema` prints what is allowed",
        ) from error


def listed(where: str, faults: Iterable[str]) -> str:
    """How many different faults there are, and each once, on a line of its own."""
    once = list(dict.fromkeys(faults))
    head = f"{len(once)} fault{'s' if len(once) > 1 else ''} {where}:"
    return "\n".join([head, *(f"  - {fault}" for fault in once)])


def faults_in(error: ValidationError) -> list[Fault]:
    """Every fault with its key."""
    items = error.errors()
    # a list whose every entry is faulty is not too short as well
    found = [i for i in items if i["type"] != "too_short" or len(items) == 1]
    return [(".".join(str(part) for part in item["loc"]), _text(item)) for item in found]


def _text(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    shown = f" (found {item['input']!r})" if not isinstance(item["input"], dict | list) else ""
    return f"{item['msg']}{shown}"


def refuse(title: str, faults: Iterable[Fault]) -> None:
    """Raise all `faults` of a model at once, each at its key; nothing without faults."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("fault", "{text}", {"text": text}), loc=tuple(key.split(".")), input={}
        )
        for key, text in faults
    ]
    if details:
        raise ValidationError.from_exception_data(title, details)


def ring_fault(ring: Ring) -> str:
    """Why a ring is no polygon; empty when it is one."""
    import shapely

    if any(abs(lat) > 90 or abs(lon) > 180 for lon, lat in ring):
        return "a corner is [lon, lat] within ±180 and ±90 degrees; check their order"
    if len(set(ring)) < 3:
        return f"a polygon needs at least three different [lon, lat] corners, found {len(set(ring))}"
    shape = shapely.Polygon(ring)
    if not shape.is_valid:
        return f"its edges must not cross or touch: {shapely.is_valid_reason(shape)}"
    return "" if shape.area > 0 else "its corners lie on one line"


def config_digest(*models: BaseModel) -> str:
    """SHA-256 of the configuration's meaning: key order and comments do not matter."""
    text = json.dumps([m.model_dump(mode="json", by_alias=True) for m in models], sort_keys=True)
    return sha256(text.encode()).hexdigest()
