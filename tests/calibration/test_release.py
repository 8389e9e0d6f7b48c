"""A controlled release: in a made world the source is found, and of the real one what was claimed holds."""

import numpy as np
import pandas as pd
import pytest

from monitor.calibration.release.alarm import search
from monitor.calibration.release.data import MAIN, OFF, OTHER, blocks_of, read_release
from monitor.calibration.release.model import (
    LARGEST_G_MIN,
    PRIOR_MEAN,
    Errors,
    frozen_errors,
    log_mass,
    model_of,
    unpack,
)
from monitor.calibration.release.sampling import Posterior, pooled, sample_release
from monitor.errors import SourceFormatError

TABLE = "inversions/ginninderra-release-1/GA-inversion-data-1.csv"
TRUTH = np.concatenate([[np.log(6.0), -10.0, 12.0], PRIOR_MEAN])


def made_table(hours: int = 12) -> pd.DataFrame:
    """Four points and two paths around a source, the wind going round, the release on by turns."""
    rng = np.random.default_rng(3)
    time = pd.date_range("2020-06-01", periods=12 * hours, freq="5min")
    air = pd.DataFrame(
        {
            "Time": time,
            "release_rate": np.where(np.arange(time.size) // 24 % 3 != 1, 6.0, 0.0),
            "air_temp": 285.0,
            "air_pressure": 95_000.0,
            "wind_speed": 3.0 + rng.random(time.size),
            "wind_dir": np.round(np.linspace(0, 1440, time.size) % 360 + rng.normal(0, 5, time.size)),
            "L": -30.0,
            "source_x": -10.0,
            "source_y": 12.0,
        }
    )
    where = [
        ("a", "EC", 2.0, 20, 0, None, None),
        ("b", "EC", 2.0, -30, 30, None, None),
        ("c", "Picarro", 2.0, 0, -20, None, None),
        ("d", "Picarro", 2.0, 10, 45, None, None),
        ("e", "FTIR", 1.5, -50, -30, 40, -20),
        ("f", "FTIR", 1.5, 30, -40, 30, 50),
    ]
    parts = [
        air.assign(inst_name=n, inst_no=i, inst_group=g, z=z, x1=x1, y1=y1, x2=x2, y2=y2, Concentration=1.8)
        for i, (n, g, z, x1, y1, x2, y2) in enumerate(where)
    ]
    return pd.concat(parts, ignore_index=True).astype({"x2": "f8", "y2": "f8"})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model of half hours whose data are made of the truth and a draw of its own mismatch."""
    path = tmp_path_factory.mktemp("release") / "made.csv"
    made_table().to_csv(path, index=False)
    model = model_of(blocks_of(read_release(path)), Errors()).at(TRUTH)
    rng = np.random.default_rng(8)
    data = 1.8 + model.enhancement(TRUTH) + model.lower @ rng.standard_normal(model.blocks.count.size)
    object.__setattr__(model.blocks, "mole_fraction", data)
    return model_of(model.blocks, Errors())


@pytest.mark.slow
def test_the_source_of_a_made_world_is_found_and_its_rate_covered(world):
    found = sample_release(world, seed=1)
    low, high = found.rate_quantiles(np.array([0.025, 0.975]))
    place = found.weights @ found.draws[:, :2]
    assert found.effective_draws > 100
    assert low < 6.0 < high
    assert np.hypot(*(place - TRUTH[1:3])) < 10


def test_the_same_seed_gives_the_same_draws(world):
    part = world.blocks.samples.select(world.blocks.samples.group == "EC")
    model = model_of(blocks_of(part), Errors()).at(TRUTH)
    one, two = sample_release(model, seed=4, rounds=1), sample_release(model, seed=4, rounds=1)
    np.testing.assert_array_equal(one.draws, two.draws)


def test_the_rate_is_that_of_generalised_least_squares_with_a_background_per_instrument(world):
    model = world.at(TRUTH)
    independent, correlated = model.mismatch
    psi = correlated + np.diag(independent)
    shape = TRUTH[1:] + np.array([2.0, -1.0, 0.1, 0.0, 0.1, 3.0])
    column = model.response(*unpack(np.concatenate([[0.0], shape]))) * model.blocks.on
    design = np.column_stack([column, model.offsets])
    inverse = np.linalg.inv(design.T @ np.linalg.solve(psi, design))
    expected = inverse @ design.T @ np.linalg.solve(psi, model.blocks.mole_fraction)
    rate, sd, _ = model.rate(shape)
    assert rate == pytest.approx(expected[0], rel=1e-8)
    assert sd == pytest.approx(np.sqrt(inverse[0, 0]), rel=1e-8)


@pytest.mark.slow
def test_the_search_is_silent_without_release_and_finds_it_with_one(world):
    samples = world.blocks.samples
    data = world.blocks.mole_fraction[world.blocks.of]
    object.__setattr__(samples, "mole_fraction", data)
    dispersion = unpack(TRUTH)[1]
    shut = model_of(blocks_of(samples.select(samples.state == OFF)), Errors())
    running = model_of(blocks_of(samples.select(samples.state == MAIN)), Errors())
    assert search(shut, dispersion, draws=200, seed=1).alarms == ()
    hit = search(running, dispersion, draws=200, seed=1, most_hits=1).alarms[0]
    assert np.hypot(hit.place_m[0] + 10, hit.place_m[1] - 12) < 25


def test_pooling_is_a_mixture_in_equal_parts():
    one = Posterior(np.zeros((1, 6)), np.ones(1), np.array([2.0]), np.array([0.1]))
    two = Posterior(np.zeros((3, 6)), np.full(3, 1 / 3), np.full(3, 8.0), np.full(3, 0.1))
    low, high = pooled([one, two]).rate_quantiles(np.array([0.25, 0.75]))
    # halves of each are their medians
    assert (low, high) == (pytest.approx(2.0, abs=0.02), pytest.approx(8.0, abs=0.02))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda t: t.drop(columns="L"), "lacks L"),
        (lambda t: t.assign(L=0.0), "cannot be used"),
        (lambda t: t.assign(Concentration="high"), "cannot be used"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, spoil, match):
    spoil(made_table(1)).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(SourceFormatError, match=match):
        read_release(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("rate", "sd"), [(5.0, 1.0), (-3.0, 1.0), (-1e5, 1e4), (2e3, 3e2), (4.0, 1e5), (4.0, 1e9), (0.0, np.inf)]
)
def test_no_rate_beyond_the_largest_that_is_thought_of_has_weight(rate, sd):
    share = (np.arange(400_000) + 0.5) / 400_000
    expected = np.exp(-0.5 * ((LARGEST_G_MIN * share - rate) / sd) ** 2).mean() * LARGEST_G_MIN
    assert log_mass(rate, sd) == pytest.approx(np.log(expected), abs=1e-4)


def test_scales_survive_their_logarithms():
    for errors in frozen_errors().values():
        np.testing.assert_allclose(Errors.from_logs(errors.as_logs()).as_logs(), errors.as_logs())


def test_every_row_of_the_real_table_is_read_and_its_state_told(real_data):
    samples = read_release(real_data / TABLE)
    assert samples.time.size == 15_938
    assert (samples.setting_g_min, samples.source_m) == (5.8, (-21.78, 21.09))
    # 27 May ran at 20 g min⁻¹ for hours: another setting
    loud = samples.state[samples.time.astype("datetime64[D]") == np.datetime64("2015-05-27")]
    assert set(loud.tolist()) == {OFF, MAIN, OTHER}
