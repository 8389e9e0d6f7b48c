"""``monitor.toml``: the service as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from monitor.config.base import Model, Moment, NonNegative, Positive


class ServiceConfig(Model):
    """``monitor.toml``: the service as a whole. Relative paths are relative to this file."""

    schema_version: Literal[1]
    cities: tuple[str, ...] = Field(min_length=1, description="city files")
    data: str = Field(description="folder below which the sources lie")
    workdir: str = Field(description="archive, reports, ledger")
    every_minutes: Positive = Field(60.0, description="a tick of the clock [min]")
    interval_days: Positive = Field(1.0, description="length of a scheduled interval [d]")
    first_interval: Moment = Field(description="beginning of the first scheduled interval")
    window_days: Positive | None = Field(
        None, description="data used to answer for an interval, back from its end [d]; the interval if absent"
    )
    latency_hours: NonNegative = Field(24.0, description="wait after an interval's end before it is due [h]")
    step_timeout_s: Positive = 1800.0
    step_memory_mib: Positive = 8192.0
