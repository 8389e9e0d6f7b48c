"""What reading files gave: what to record of them, and which could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import monitor
from monitor.config import CityConfig, InventorySection, SourceSection, TableSection, config_digest
from monitor.errors import MonitorError
from monitor.ingest import SourceFile
from monitor.service.entries import Entry


@dataclass(frozen=True)
class Failure:
    """A file that could not be used, and why."""

    owner: str
    path: Path
    error: MonitorError

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.owner, "file": str(self.path), **self.error.as_dict()}


@dataclass(frozen=True)
class FileNote:
    """That a file was read: `scope` is the source (with its configuration) and the month."""

    scope: str
    file: SourceFile
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intake:
    """What reading the new files gave; nothing of it is in the archive yet."""

    entries: tuple[Entry, ...] = ()
    notes: tuple[FileNote, ...] = ()
    failures: tuple[Failure, ...] = ()
    refused: tuple[FileNote, ...] = ()
    warnings: tuple[str, ...] = ()
    sheets: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.entries or self.notes)


def scope_of(city: CityConfig, source: SourceSection | InventorySection | TableSection) -> str:
    """Names the source as configured: with another reader, scale or place, its files are read again."""
    parts = [source]
    station = getattr(source, "station", None)
    models = parts if station is None else [*parts, city.station_named(station)]
    return f"{city.city.id}/{source.id}@{config_digest(*models)[:12]}+{monitor.__version__}"
