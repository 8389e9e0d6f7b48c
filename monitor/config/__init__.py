"""The configuration: TOML files, read here and nowhere else.

A city is one file ``cities/<id>.toml``; its claims are ``claims/<id>.toml`` beside it; the service as
a whole is ``monitor.toml``.  Every field says its unit in its name or description; unknown keys are
errors; all errors of a file are reported at once, each with its key.  Secrets never stand here.
"""

from __future__ import annotations

from pathlib import Path

from monitor.config.base import Model, config_digest, listed, load
from monitor.config.candidates import CandidatesConfig, CandidateSection, load_candidates
from monitor.config.city import (
    BackgroundSection,
    CityConfig,
    CitySection,
    DesignSection,
    EnsembleSection,
    EpochSection,
    FluxBlockSection,
    GridSection,
    InventorySection,
    InversionSection,
    LedgerSection,
    MismatchSection,
    RegionSection,
    ScanSection,
    SelectionSection,
    SourceSection,
    StationSection,
    TableSection,
)
from monitor.config.claims import ClaimsConfig, ClaimSection
from monitor.config.service import ServiceConfig

__all__ = [
    "BackgroundSection",
    "CandidateSection",
    "CandidatesConfig",
    "CityConfig",
    "CitySection",
    "ClaimSection",
    "ClaimsConfig",
    "DesignSection",
    "EnsembleSection",
    "EpochSection",
    "FluxBlockSection",
    "GridSection",
    "InventorySection",
    "InversionSection",
    "LedgerSection",
    "MismatchSection",
    "Model",
    "RegionSection",
    "ScanSection",
    "SelectionSection",
    "ServiceConfig",
    "SourceSection",
    "StationSection",
    "TableSection",
    "claims_path",
    "config_digest",
    "listed",
    "load_candidates",
    "load_city",
    "load_claims",
    "load_service",
]


def load_city(path: Path) -> CityConfig:
    """Read and check a city file; `ConfigError` lists every fault."""
    return load(path, CityConfig)


def load_claims(path: Path) -> ClaimsConfig:
    """Read and check a claims file; `ConfigError` lists every fault."""
    return load(path, ClaimsConfig)


def load_service(path: Path) -> ServiceConfig:
    """Read and check ``monitor.toml``; `ConfigError` lists every fault."""
    return load(path, ServiceConfig)


def claims_path(city_path: Path) -> Path:
    """Where the claims of ``…/cities/<id>.toml`` stand: ``…/claims/<id>.toml``."""
    return city_path.parent.parent / "claims" / city_path.name
