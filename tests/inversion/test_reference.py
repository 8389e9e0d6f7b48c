"""The flux that errors are fractions of: a size that no epoch's own inventory has a say in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_worlds import CELLS, GRID, START, interval, make_world

from monitor.contracts import flux_dataset
from monitor.inversion import FluxBlock
from monitor.inversion.blocks import _of_one_size

EPOCHS = {"one": interval(0, 3), "two": interval(5, 3)}
#: Days from the start that the prior covers; those of an epoch include what its first hours see.
DAYS = np.arange(-5, 10)
SECOND = DAYS >= 3
#: The same course in both epochs, five days apart.
COURSE = np.array([1.0, 1.3, 0.8, 1.1, 0.7])[DAYS % 5]


def daily(factors: np.ndarray, seed: int = 3):
    """A prior of one map, of both signs, times a factor for each day, or each day and cell."""
    field = np.random.default_rng(seed).normal(1.0, 1.0, CELLS)
    bounds = START + np.stack([DAYS, DAYS + 1], axis=1) * np.timedelta64(1, "D")
    values = np.broadcast_to(factors.reshape(DAYS.size, -1), (DAYS.size, CELLS)) * field
    attributes = {"species": "co2", "title": "prior", "source_digest": ""}
    field = values.reshape(1, DAYS.size, *GRID.shape)
    return flux_dataset(GRID, field, sectors=["all"], time_bounds=bounds, attributes=attributes)


def problem(factors: np.ndarray, resolution: str = "cells", step_days: float | None = 1.0):
    block = FluxBlock("total", resolution=resolution, step_days=step_days)
    return replace(make_world(3, epochs=EPOCHS, block=block), prior={"total": daily(factors)}).problem()


def parts(made) -> dict[str, np.ndarray]:
    """What the observations see of Q, and R's transport error."""
    values = made.model.starts
    return {name: made.model.covariance(values, (name,)) for name in ("total", "transport")}


@pytest.mark.parametrize("resolution", ["cells", "scalings"])
@pytest.mark.parametrize("step_days", [None, 1.0])
@pytest.mark.parametrize("factor", [0.5, 0.01])
def test_an_inventory_too_small_in_one_epoch_narrows_nothing(resolution, step_days, factor):
    plain = problem(COURSE, resolution, step_days)
    small = problem(np.where(SECOND, factor, 1.0) * COURSE, resolution, step_days)
    np.testing.assert_allclose(small.reference, plain.reference, rtol=1e-12)
    for name, covariance in parts(plain).items():
        np.testing.assert_allclose(parts(small)[name], covariance, rtol=1e-11, atol=1e-14)
    # while the prior mean is what it says
    late = small.table.start >= EPOCHS["two"].start64
    expected = np.where(late, factor, 1.0) * plain.predicted
    np.testing.assert_allclose(small.predicted, expected, rtol=1e-12)


@pytest.mark.parametrize("resolution", ["cells", "scalings"])
def test_an_inventory_raised_in_one_epoch_is_one_raised_in_all(resolution):
    """A factor that all epochs share is what the scales are fitted for."""
    raised = problem(np.where(SECOND, 3.0, 1.0) * COURSE, resolution)
    everywhere = problem(3.0 * COURSE, resolution)
    np.testing.assert_allclose(raised.reference, everywhere.reference, rtol=1e-12)
    for name, covariance in parts(everywhere).items():
        np.testing.assert_allclose(parts(raised)[name], covariance, rtol=1e-11, atol=1e-14)


def test_a_plant_that_is_closed_in_one_epoch_may_still_be_there():
    closed = np.ones((DAYS.size, CELLS))
    closed[SECOND, 7] = 0.0
    with_plant, without = problem(np.ones(DAYS.size)), problem(closed)
    assert np.all(without.blocks[0].prior[-1, 7] == 0)
    np.testing.assert_array_equal(without.blocks[0].sigma, with_plant.blocks[0].sigma)
    np.testing.assert_array_equal(without.reference, with_plant.reference)


@pytest.mark.parametrize("step_days", [None, 1.0, 1 / 24])
def test_equal_epochs_have_q_and_r_of_the_map_itself_to_the_last_bit(step_days):
    made = problem(COURSE, "cells", step_days)
    (block,) = made.blocks
    floor = made.assumptions.state[0].floor
    sigma = np.abs(block.prior) + floor * np.abs(block.prior).mean(axis=1, keepdims=True)
    assert block.sigma.tobytes() == sigma.tobytes()
    assert made.reference.tobytes() == np.maximum(block.jacobian @ block.prior.ravel(), 0.0).tobytes()
    scaled = problem(COURSE, "scalings", step_days)
    assert (scaled.blocks[0].sigma == 1.0).all()
    assert scaled.reference.tobytes() == np.maximum(scaled.blocks[0].predicted(), 0.0).tobytes()


fluxes = arrays("f8", (6, 3), elements=st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6)))


@settings(max_examples=60)
@given(mean=fluxes)
def test_a_cell_has_its_largest_flux_in_every_epoch_and_keeps_its_course(mean):
    """Cell by cell and step by step, written out."""
    starts = EPOCHS["one"].start64, EPOCHS["two"].start64
    days = np.timedelta64(1, "D") * np.arange(3)
    steps = np.concatenate([np.stack([s + days, s + days + days[1]], axis=1) for s in starts])
    found = _of_one_size(mean, steps, EPOCHS.values())
    for cell in range(3):
        largest = max(mean[:, cell], key=abs)
        for epoch in (range(3), range(3, 6)):
            own = max(abs(mean[step, cell]) for step in epoch)
            for step in epoch:
                expected = mean[step, cell] * (abs(largest) / own) if own else largest
                assert found[step, cell] == pytest.approx(expected, rel=1e-12)
