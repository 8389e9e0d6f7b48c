"""A small city to run the service on."""

from __future__ import annotations

import os

import pytest
from mini_city import MiniCity, write_mini_city


@pytest.fixture
def mini(tmp_path) -> MiniCity:
    """Give the configuration and inventory of a small city, without data."""
    return write_mini_city(tmp_path / "city")


@pytest.fixture
def fed(mini: MiniCity) -> MiniCity:
    """Give a small city with two days of data."""
    mini.observations("2020-01-06")
    mini.footprints("2020-01-06")
    return mini


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Leave out the waiting for the disk: a killed process, unlike a power cut, loses nothing written."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("monitor.service.jobs.SETTLE_S", 0.01)
