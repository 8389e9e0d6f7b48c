"""The baseline is low, slow and blind to pollution."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.contracts import Flag, ObservationColumns, observations_dataset
from monitor.errors import InputError
from monitor.transport.background import remote_baseline


def remote(values: np.ndarray, flags: np.ndarray | None = None):
    start = np.datetime64("2021-09-01", "ns") + np.arange(values.size) * np.timedelta64(1, "h")
    columns = ObservationColumns(
        start,
        start + np.timedelta64(1, "h"),
        values,
        np.full(values.size, Flag.GOOD) if flags is None else flags,
    )
    attributes = {
        "species": "ch4",
        "station": "SEA",
        "inlet_height_m": 10.0,
        "station_longitude_deg": -9.9,
        "station_latitude_deg": 53.3,
        "calibration_scale": "TU1987",
        "source_digest": "",
    }
    return observations_dataset(columns, attributes)


def test_a_constant_series_is_its_own_baseline_and_keeps_its_scale():
    baseline = remote_baseline(remote(np.full(24 * 20, 1.9)), 0.2, 10.0)
    np.testing.assert_allclose(baseline, 1.9)
    assert baseline.attrs["calibration_scale"] == "TU1987"


def test_pollution_does_not_raise_the_baseline_and_a_trend_does():
    hours = np.arange(24 * 40)
    clean = 1.9 + 1e-5 * hours
    polluted = clean + np.where(hours % 5 == 0, 0.5, 0.0)
    a, b = remote_baseline(remote(clean), 0.2, 6.0), remote_baseline(remote(polluted), 0.2, 6.0)
    assert float(abs(a - b).max()) < 5e-4
    middle = slice(10, 30)
    slope = np.diff(b.values[middle]).mean()
    assert slope == pytest.approx(24e-5, rel=0.05)


def test_it_can_be_read_at_every_hour_of_the_data():
    data = remote(np.random.default_rng(0).normal(1.9, 0.01, 24 * 15))
    assert not np.isnan(remote_baseline(data).interp(time=data["time"])).any()


def test_bad_values_do_not_count_and_too_few_is_an_error():
    flags = np.full(24 * 10, Flag.BAD)
    with pytest.raises(InputError, match="no usable value"):
        remote_baseline(remote(np.full(24 * 10, 9.9), flags))
    flags[:5] = Flag.GOOD
    with pytest.raises(InputError, match="12 usable values within 10 d.*at most 5"):
        remote_baseline(remote(np.full(24 * 10, 1.9), flags))
