"""One network for all tests of the calibration: it takes some seconds to make."""

from __future__ import annotations

import pytest

from monitor.calibration.bench import Bench
from monitor.calibration.reference_network import reference_network


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench(reference_network())
