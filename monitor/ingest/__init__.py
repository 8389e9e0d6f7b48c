"""From files to checked observations, footprints and fluxes.

Public names, loaded on first use so that ``import monitor.ingest`` costs nothing:

- :func:`list_files`, :func:`is_settled`, :class:`SourceFile` — a folder as a source;
- :func:`apply_quality`, :class:`QualitySettings`, :func:`parse_manual_flags` — flags, never edits;
- :func:`hourly_mean`, :func:`period_mean`, :func:`hour_accounting` — averages with count and spread.

Readers are found by name through :func:`monitor.plugins.get_reader`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.ingest.averaging import hour_accounting, hourly_mean, period_mean
    from monitor.ingest.quality import (
        GasLimits,
        ManualFlag,
        QualitySettings,
        apply_quality,
        parse_manual_flags,
    )
    from monitor.ingest.sources import SourceFile, is_settled, list_files

_HOMES = {
    "hour_accounting": "averaging",
    "hourly_mean": "averaging",
    "period_mean": "averaging",
    "GasLimits": "quality",
    "ManualFlag": "quality",
    "QualitySettings": "quality",
    "apply_quality": "quality",
    "parse_manual_flags": "quality",
    "SourceFile": "sources",
    "is_settled": "sources",
    "list_files": "sources",
}

__all__ = [
    "GasLimits",
    "ManualFlag",
    "QualitySettings",
    "SourceFile",
    "apply_quality",
    "hour_accounting",
    "hourly_mean",
    "is_settled",
    "list_files",
    "parse_manual_flags",
    "period_mean",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
