"""What every test may rely on: real measurements when there are some, and the same random cases each time."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("MPLBACKEND", "Agg")
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # as the command line does; numpy is not loaded yet

# The same examples on every machine: a failure in CI is a failure on the desk. `HYPOTHESIS_PROFILE=search`
# looks for new ones.
settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,  # the first call of a jitted kernel compiles it
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

DATA_VARIABLE = "MONITOR_REAL_DATA"
REQUIRE_VARIABLE = "MONITOR_REQUIRE_REAL_DATA"
NO_DATA = f"{DATA_VARIABLE} is not set; it names the folder of real measurements"

ran_on_real_data = pytest.StashKey[int]()


def real_data_required() -> bool:
    """Whether a real-data test that does not run is a failure (it is in CI)."""
    return os.environ.get(REQUIRE_VARIABLE, "") not in ("", "0")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Give the folder of real measurements, read in place; skip where the machine has none."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        pytest.skip(NO_DATA)
    folder = Path(value)
    if not folder.is_absolute() or not folder.is_dir():
        pytest.fail(f"{DATA_VARIABLE} must be the absolute path of a folder, found '{value}'", pytrace=False)
    return folder


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", [])
        if "real_data" in names and not item.get_closest_marker("real_data"):
            item.add_marker("real_data")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real_data") and not os.environ.get(DATA_VARIABLE):
        pytest.skip(NO_DATA)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("real_data"):
        if call.when == "call" and not report.skipped:
            item.config.stash[ran_on_real_data] = item.config.stash.get(ran_on_real_data, 0) + 1
        if real_data_required() and report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            report.longrepr = f"a real-data test must not skip where {REQUIRE_VARIABLE} is set: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse a whole module that skips itself, as `pytest.importorskip` does, and real-data tests with it."""
    report = yield
    if report.skipped and real_data_required() and "real_data" in collector.path.read_text(encoding="utf-8"):
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.path.name} skips itself and the real-data tests in it: {report.longrepr}"
        )
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"real-data tests run: {config.stash.get(ran_on_real_data, 0)}")
