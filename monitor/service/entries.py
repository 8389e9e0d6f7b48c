"""What is put into the archive, under which keys: entries, months, inventories and intake sheets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

import monitor
from monitor.archive import Archive, ObjectRecord, StoredObject, Transaction
from monitor.domain import Interval

FOOTPRINTS = "footprints"


@dataclass(frozen=True)
class Entry:
    """Something to record: a dataset or a document, under its key."""

    key: str
    kind: str
    content: xr.Dataset | bytes
    valid: Interval | None
    made_from: tuple[str, ...]

    @property
    def dataset(self) -> xr.Dataset:
        """The content of an entry that is a dataset."""
        if isinstance(self.content, bytes):
            raise TypeError(f"{self.key} is a document")
        return self.content


def store_entries(archive: Archive, entries: Sequence[Entry]) -> list[tuple[Entry, StoredObject]]:
    """Put the entries' objects on the disk; they mean nothing until `record_entries`."""
    return [
        (
            entry,
            archive.store_document(entry.content, ".json")
            if isinstance(entry.content, bytes)
            else archive.store(entry.content),
        )
        for entry in entries
    ]


def record_entries(
    tx: Transaction, stored: Sequence[tuple[Entry, StoredObject]], *, config: str
) -> dict[str, ObjectRecord]:
    """Record stored entries in the transaction; the records by key."""
    return {
        entry.key: tx.record(
            thing,
            kind=entry.kind,
            key=entry.key,
            valid=entry.valid,
            made_from=entry.made_from,
            config_digest=config,
            code_version=monitor.__version__,
        )
        for entry, thing in stored
    }


def data_key(city: str, source: str, group: str, month: str) -> str:
    """The archive key of a month; `group` is a gas, or "footprints"."""
    if group == FOOTPRINTS:
        return f"footprints/{city}/{source}/{month}"
    return f"observations/{city}/{source}/{group}/{month}"


def sheet_key(city: str, source: str, month: str) -> str:
    """The archive key of an intake sheet."""
    return f"intake/{city}/{source}/{month}"


def flux_key(city: str, inventory: str) -> str:
    """The archive key of an inventory."""
    return f"flux/{city}/{inventory}"


def table_key(city: str, table: str) -> str:
    """The archive key of a city's table."""
    return f"table/{city}/{table}"


def read_sheet(archive: Archive, key: str) -> dict[str, Any]:
    """The intake sheet under `key`; an empty one if there is none."""
    record = archive.current(key)
    if record is None:
        return {"files": {}, "days": {}}
    sheet: dict[str, Any] = json.loads(archive.load_document(record.digest))
    return sheet


def read_sheets(archive: Archive, city: str) -> dict[str, dict[str, Any]]:
    """Every intake sheet of a city, by key."""
    return {
        record.key: json.loads(archive.load_document(record.digest))
        for record in archive.find(kind="intake", prefix=f"intake/{city}/")
    }


def as_document(content: Any) -> bytes:
    """Canonical JSON: equal content gives equal bytes."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False).encode()
