"""Publishing: one self-contained page per run, the same content as JSON, CSV and NetCDF, and the site.

`write_report` makes a report from a `ReportInput`, `write_exports` its data files alone, and
`publish_release` puts a finished folder before the readers in one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.publish.exports import write_exports
    from monitor.publish.report import ReportInput, ReportPaths, write_report
    from monitor.publish.site import publish_release

__all__ = ["ReportInput", "ReportPaths", "publish_release", "write_exports", "write_report"]

_HOMES = {
    "ReportInput": "report",
    "ReportPaths": "report",
    "write_report": "report",
    "write_exports": "exports",
    "publish_release": "site",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
