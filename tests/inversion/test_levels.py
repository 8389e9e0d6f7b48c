"""What belongs to plain arrays is not silently taken of datasets: the error names the way to them."""

from __future__ import annotations

import numpy as np
import pytest
from small_worlds import make_world

from monitor import inversion as inv
from monitor.errors import InputError


@pytest.fixture(scope="module")
def problem():
    return make_world(3).problem()


@pytest.mark.parametrize("method", ["reduced", "state"])
def test_a_method_that_datasets_do_not_have_is_refused(problem, method):
    with pytest.raises(InputError, match=rf"problem\.linear\(\), \"{method}\""):
        inv.solve(problem, method)


def test_windows_of_a_problem_from_datasets_go_by_plain_arrays(problem):
    with pytest.raises(InputError, match=r"problem\.linear.*times=problem\.table\.hours"):
        inv.windowed(problem, 48.0, 48.0)
    linear = problem.linear()
    found = inv.windowed(linear, 48.0, 1000.0, times=problem.table.hours)
    # the overlap reaches the beginning, so that only rounding is between the two
    np.testing.assert_allclose(found.totals.mean, inv.solve(linear).totals.mean, rtol=1e-8)


def test_an_update_of_a_posterior_from_datasets_goes_by_plain_arrays(problem):
    linear = problem.linear()
    new = inv.NewObservations(linear.jacobian[:2], linear.observations[:2], 0.1)
    with pytest.raises(InputError, match=r"problem\.linear\(posterior\.values\)"):
        inv.update(inv.solve(problem), new)
    assert inv.update(inv.solve(linear), new).problem.n == linear.n + 2


def test_a_block_alone_is_no_state():
    with pytest.raises(InputError, match=r"state=\(FluxBlock"):
        inv.Assumptions(state=inv.FluxBlock("total"))


def test_diagnostics_are_read_at_a_glance(problem):
    assert len(repr(inv.solve(problem).diagnostics)) < 500
