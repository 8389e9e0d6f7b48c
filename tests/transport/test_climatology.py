"""The declared weather has the numbers that were declared."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import InputError
from monitor.transport.climatology import Climatology, declared_weather

TIME = np.datetime64("2023-01-01", "h") + np.arange(40_000)


def directions(**changes):
    return declared_weather(Climatology(memory_hours=3.0, **changes), TIME)["wind_direction"].values


def test_without_a_prevailing_wind_all_directions_are_alike():
    counts = np.histogram(directions(prevailing_strength=0.0), bins=8, range=(0, 360))[0] / TIME.size
    # 40,000 hours with a memory of 3 h are some 7,000 independent ones: ± 0.4 %
    np.testing.assert_allclose(counts, 1 / 8, atol=0.016)


def test_a_strength_of_one_is_nine_hours_in_ten_from_that_half():
    """P(N(√(π/2), 1) > 0) = 0.895."""
    away = np.abs((directions(prevailing_deg=300.0, prevailing_strength=1.0) - 300.0 + 180.0) % 360.0 - 180.0)
    assert np.mean(away < 90.0) == pytest.approx(0.895, abs=0.015)


def test_the_speed_has_its_median_spread_and_memory():
    found = declared_weather(Climatology(wind_speed_m_s=5.0, wind_log_sd=0.3, memory_hours=6.0), TIME)
    log = np.log(found["wind_speed"].values)
    assert np.exp(np.median(log)) == pytest.approx(5.0, rel=0.03)
    assert log.std() == pytest.approx(0.3, rel=0.05)
    lag = np.corrcoef(log[:-6], log[6:])[0, 1]
    assert lag == pytest.approx(np.exp(-1), abs=0.04)


def test_hours_of_the_afternoon_alone_are_those_of_the_whole_series():
    whole = declared_weather(Climatology(), TIME[:240])
    some = declared_weather(Climatology(), TIME[:240:6])
    np.testing.assert_array_equal(
        whole["wind_direction"].values[::6][:10], some["wind_direction"].values[:10]
    )
    assert set(some) == {"wind_speed", "wind_direction", "boundary_layer_height", "stability_class"}


@pytest.mark.parametrize(
    "change", [{"boundary_layer_m": 0.0}, {"stability_class": 7}, {"wind_speed_m_s": 0.0}]
)
def test_a_climate_that_cannot_be_is_refused(change):
    with pytest.raises(InputError, match=f"climatology's {next(iter(change))} cannot be"):
        declared_weather(Climatology(**change), TIME[:10])
