"""Immutable objects with a catalogue: what was measured and computed, from what, and since when.

Names are loaded on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.archive.catalogue import Archive as Archive
    from monitor.archive.crash import CRASH_POINTS as CRASH_POINTS
    from monitor.archive.crash import crash_point as crash_point
    from monitor.archive.digest import content_digest as content_digest
    from monitor.archive.files import sha256_of as sha256_of
    from monitor.archive.records import ObjectRecord as ObjectRecord
    from monitor.archive.records import QuarantineRecord as QuarantineRecord
    from monitor.archive.records import StoredObject as StoredObject
    from monitor.archive.records import VerifyReport as VerifyReport
    from monitor.archive.records import utcnow as utcnow
    from monitor.archive.transaction import Transaction as Transaction

_HOMES = {
    "Archive": "catalogue",
    "CRASH_POINTS": "crash",
    "ObjectRecord": "records",
    "QuarantineRecord": "records",
    "StoredObject": "records",
    "Transaction": "transaction",
    "VerifyReport": "records",
    "content_digest": "digest",
    "crash_point": "crash",
    "sha256_of": "files",
    "utcnow": "records",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
