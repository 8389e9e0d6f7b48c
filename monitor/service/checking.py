"""Checking configuration files: which kind each is, and whether what it names exists."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from monitor.config import (
    CityConfig,
    ClaimsConfig,
    ServiceConfig,
    claims_path,
    listed,
    load_city,
    load_service,
)
from monitor.errors import ConfigError, MonitorError
from monitor.plugins import get_reader
from monitor.service.claim_files import faults_beside, load_claim_files

#: The models by the name of their kind.
MODELS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {"city": CityConfig, "claims": ClaimsConfig, "service": ServiceConfig}
)


def kind_of(path: Path) -> str:
    """ "city", "claims" or "service", by what the file holds; by its folder when it cannot be read."""
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).keys()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        keys = {path.parent.name: None}.keys()
    if "claim" in keys or "claims" in keys:
        return "claims"
    return "service" if {"cities", "workdir"} & set(keys) and "city" not in keys else "city"


def check_file(path: Path) -> str:
    """The kind of a configuration file that is right; `ConfigError` lists every fault of one that is not."""
    kind = kind_of(path)
    check: Callable[[Path], None] = {"city": _check_city, "claims": _check_claims, "service": _check_service}[
        kind
    ]
    check(path)
    return kind


def _check_city(path: Path) -> None:
    city = load_city(path)
    faults = []
    named: list[tuple[str, str, tuple[str, ...]]] = [
        (f"source '{s.id}'", s.reader, ("observations", "footprints")) for s in city.source
    ]
    named += [(f"inventory '{i.id}'", i.reader, ("flux",)) for i in city.inventory]
    named += [(f"table '{t.id}'", t.reader, ("table",)) for t in city.table]
    for owner, name, kinds in named:
        try:
            kind = get_reader(name).kind
        except MonitorError as error:
            faults.append(f"{owner}: {error}")
            continue
        if kind not in kinds:
            faults.append(f"{owner}: reader '{name}' reads {kind}, not {' or '.join(kinds)}")
    _raise(faults, path)


def _check_claims(path: Path) -> None:
    _raise(faults_beside(load_claim_files(path)), path)


def _check_service(path: Path) -> None:
    faults = {}  # by the file that holds them: claims name the faults of their city again
    for name in load_service(path).cities:
        city_path = path.absolute().parent / name
        for part, check in ((city_path, _check_city), (claims_path(city_path), _check_claims)):
            try:
                if part == city_path or part.exists():
                    check(part)
            except ConfigError as error:
                found = f" ({error.found})" if error.found else ""
                faults[error.where or str(part)] = f"{error.what}{found}"
    _raise([f"{name}: {what}".replace("\n", "\n  ") for name, what in faults.items()], path)


def _raise(faults: list[str], path: Path) -> None:
    if faults:
        raise ConfigError(
            listed("in the configuration", faults),
            where=str(path),
            remedy="correct each; `monitor config schema` prints what is allowed",
        )
