"""Sites that a network may get: TOML, or a CSV with a line a site."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from monitor.config.base import Identifier, Model, NonNegative, Positive, load, validated
from monitor.errors import ConfigError


class CandidateSection(Model):
    """A site where a station could stand."""

    id: Identifier
    name: str = ""
    lon_deg: float = Field(ge=-180, le=180)
    lat_deg: float = Field(ge=-90, le=90)
    inlet_m: Positive
    uncertainty_ppm: NonNegative | None = Field(
        None, description="1σ of an hourly mean [µmol mol-1]; the floor of the instrument if absent"
    )


class CandidatesConfig(Model):
    """Sites to choose from; a CSV has the same keys as columns, and no `schema_version`."""

    schema_version: Literal[1]
    candidate: tuple[CandidateSection, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> CandidatesConfig:
        ids = [c.id for c in self.candidate]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"candidate ids appear twice: {', '.join(twice)}")
        return self


def load_candidates(path: Path) -> CandidatesConfig:
    """Read and check a file of candidate sites, CSV by its ending; `ConfigError` lists every fault."""
    if path.suffix.lower() != ".csv":
        return load(path, CandidatesConfig)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [{k.strip(): v.strip() for k, v in row.items() if k and v} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise ConfigError("the candidates cannot be read", found=str(error), where=str(path)) from error
    return validated({"schema_version": 1, "candidate": rows}, CandidatesConfig, path)
