"""Logs to stderr, quiet by default, and nothing secret in them.

A secret comes from the environment (a variable whose name says TOKEN, SECRET, PASSWORD, KEY or
CREDENTIAL) or from the address of a source (``user:password@``, ``?token=``).  Both are masked in every
text that leaves the process: logs, errors, the ledger.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

_SECRET_NAME: Final = re.compile(r"token|secret|passw|api_?key|credential|authorization", re.IGNORECASE)
_IN_ADDRESS: Final = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_IN_QUERY: Final = re.compile(r"(?i)\b((?:access_)?token|api_?key|secret|passw(?:or)?d|signature)=[^&\s\"']+")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")
_MASK: Final = "***"


def redact(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """`text` with every secret we can recognise replaced by ``***``."""
    for name, value in environment.items():
        if len(value) >= 6 and _SECRET_NAME.search(name):
            text = text.replace(value, _MASK)
    text = _IN_ADDRESS.sub(_MASK, text)
    text = _IN_QUERY.sub(rf"\1={_MASK}", text)
    return _BEARER.sub(rf"\1 {_MASK}", text)


def redact_values(value: Any) -> Any:
    """Texts in nested lists and mappings, redacted; values under secret names are masked whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            key: _MASK if _SECRET_NAME.search(str(key)) and isinstance(item, str) else redact_values(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_values(item) for item in value]
    return value


def _redact_event(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    redacted: MutableMapping[str, Any] = redact_values(event)
    return redacted


def configure_logs(*, verbose: bool = False) -> None:
    """Logs to stderr, one line each: warnings, and with `verbose` what is being done."""
    import logging

    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_event,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("apscheduler").setLevel(logging.INFO if verbose else logging.ERROR)
