"""What the models of all TOML files share: types of their values, reading, and faults with their keys."""

from __future__ import annotations

import json
import tomllib
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from monitor.errors import ConfigError

SpeciesId = Literal["co2", "ch4", "co"]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


def _as_text(value: object) -> object:
    return value.isoformat() if isinstance(value, date | datetime) else value


Moment = Annotated[str, BeforeValidator(_as_text)]


class Model(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("the file is not TOML", found=str(error), where=str(path)) from error
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_fault(item) for item in error.errors()]
        raise ConfigError(
            f"{len(lines)} fault{'s' if len(lines) > 1 else ''} in the configuration: " + " | ".join(lines),
            where=str(path),
            remedy="correct each key; `monitor config schema` prints what is allowed",
        ) from error


def _fault(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    shown = f" (found {item['input']!r})" if not isinstance(item["input"], dict | list) else ""
    return f"{key}: {item['msg']}{shown}"


def config_digest(*models: BaseModel) -> str:
    """SHA-256 of the configuration's meaning: key order and comments do not matter."""
    text = json.dumps([m.model_dump(mode="json", by_alias=True) for m in models], sort_keys=True)
    return sha256(text.encode()).hexdigest()
