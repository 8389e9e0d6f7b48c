"""Archives to test with: on SQLite, and on PostgreSQL where a server is at hand."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from monitor.archive import Archive

SERVER = "MONITOR_TEST_POSTGRES_URL"


class Clock:
    """A clock that moves one minute each time it is read."""

    def __init__(self, start: str = "2016-09-01") -> None:
        self.now = datetime.fromisoformat(start)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive", clock=clock) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def any_archive(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Archive]:
    """An archive on each kind of database."""
    with ExitStack() as stack:
        url = None if request.param == "sqlite" else stack.enter_context(_new_database())
        yield stack.enter_context(Archive.open(tmp_path / "archive", url, clock=clock, lock_timeout_s=20))


def _new_database() -> ExitStack:  # type: ignore[type-arg]
    from contextlib import contextmanager

    from sqlalchemy import create_engine, make_url

    if not os.environ.get(SERVER):
        pytest.skip(f"{SERVER} is not set; it names a PostgreSQL server on which databases may be made")

    @contextmanager
    def made() -> Iterator[str]:
        server = make_url(os.environ[SERVER])
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        name = f"monitor_test_{secrets.token_hex(6)}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
            engine.dispose()

    return made()


@pytest.fixture
def series() -> Callable[..., xr.Dataset]:
    """A maker of small datasets that differ in one number."""

    def make(value: float = 1.0, n: int = 24) -> xr.Dataset:
        time = np.datetime64("2016-07-01", "ns") + np.arange(n) * np.timedelta64(3600, "s")
        flag = {"flag_values": np.array([1, 2, 3, 4, 9], "i1"), "flag_meanings": "good not_evaluated"}
        return xr.Dataset(
            {
                "mole_fraction": ("time", np.append(np.arange(n - 1.0), value), {"units": "umol mol-1"}),
                "flag": ("time", np.ones(n, "i1"), flag),
            },
            coords={
                "time": ("time", time, {"bounds": "time_bnds"}),
                "time_bnds": (("time", "bnds"), np.stack([time, time + np.timedelta64(3600, "s")], axis=1)),
            },
            attrs={"station": "TAC", "inlet_height_m": 100.0, "dry": True},
        )

    return make
