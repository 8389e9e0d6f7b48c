"""What is said before a solve is what the solve gives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_worlds import interval, make_world
from test_arrays import mixed

from monitor.inversion import Correlation, FluxBlock, solve


def test_chi_square_and_dofs_are_those_of_the_posterior():
    problem = mixed(3).problem()
    found, posterior = problem.preview(), solve(problem.linear())
    assert found.sampled == found.observations == problem.table.n
    # the same sums by another factorisation of Ψ, of condition 1e4
    assert found.chi2 == pytest.approx(posterior.chi2, rel=1e-9)
    assert found.dofs + found.background_dofs == pytest.approx(posterior.dofs, rel=1e-9)


def test_dofs_of_the_fluxes_are_those_of_the_diagnostics():
    """With no prior mean to be left free in size the restricted likelihood is the plain one."""
    problem = make_world(1).problem().without_prior_mean("total")
    found, diagnostics = problem.preview(), solve(problem).diagnostics
    assert found.dofs == pytest.approx(diagnostics.dofs, rel=1e-9)
    share = found.background_dofs / (found.dofs + found.background_dofs)
    assert share == pytest.approx(diagnostics.background_share, rel=1e-9)
    assert found.chi2 == pytest.approx(diagnostics.chi2, rel=1e-9)


def test_sizes_are_counted():
    problem = mixed(1).problem()
    found, linear = problem.preview(), problem.linear()
    assert sum(found.unknowns.values()) == linear.m
    assert found.unknowns == {name: c.stop - c.start for name, c in problem.columns.items()}
    assert found.non_zeros == sum(b.jacobian.nnz for b in problem.blocks)
    assert found.evaluations == 1  # nothing is fitted
    fitted = make_world(0, estimate_scales=True).problem().preview()
    assert fitted.evaluations > 25 and fitted.seconds > 0
    text = str(found)
    assert "biosphere 126, traffic 120, industry 20" in text
    assert "evaluations" not in text and "evaluations" in str(fitted)
    assert f"χ² of the prior {found.chi2:.3g}\n" in text


def test_a_large_problem_is_looked_at_in_part_and_says_so(monkeypatch):
    monkeypatch.setattr("monitor.inversion.preview._ROWS", 30)
    problem = make_world(0, stations=3, days=6).problem()
    found = problem.preview()
    assert found.sampled == 30 < problem.table.n
    rows = np.unique(np.linspace(0, problem.table.n - 1, 30).round().astype(int))
    assert set(problem.table.station[rows]) == {0, 1, 2}
    assert found.chi2 == pytest.approx(solve(problem.select(rows).linear()).chi2, rel=1e-9)
    assert "(of 30 observations spread over all)" in str(found)
    assert "at least" in str(found)
    assert found.dofs < replace(problem).linear().m


def test_the_matrices_that_are_predicted_grow_as_the_square_of_the_observations():
    few = make_world(0, days=6, every_hours=6).problem().preview()
    many = make_world(0, days=24, every_hours=6).problem().preview()
    assert many.observations == 4 * few.observations
    assert 6 < many.memory_bytes / few.memory_bytes < 20


MEASURED = """
import sys
sys.path.insert(0, {tests!r})
from small_worlds import make_world
from monitor.inversion import Correlation, FluxBlock, solve

def world(days):
    block = FluxBlock("total", step_days={step}, correlation=Correlation(8.0, 2.0))
    return make_world(0, stations=3, every_hours=1, days=days, block=block)

def peak():
    # of this process alone: ru_maxrss would count the one that began it
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

solve(world(2).problem()).to_dataset()  # imports, compiled loops
data = world({days})
before = peak()
problem = data.problem()
expected = problem.preview().memory_bytes
solve(problem)
print((peak() - before) / expected)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("step", [1 / 24, None], ids=["swept", "quick"])
def test_the_memory_that_is_predicted_is_needed_within_a_factor_of_two(step):
    """In a process of its own, at 2,160 observations."""
    code = MEASURED.format(tests=str(Path(__file__).parents[1]), step=step, days=30)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.5 < float(done.stdout) < 2.0


def test_the_world_of_the_measurement_takes_the_sweep():
    block = FluxBlock("total", step_days=1 / 24, correlation=Correlation(8.0, 2.0))
    world = make_world(0, stations=3, every_hours=1, epochs={"one": interval(0, 30)}, block=block)
    assert not world.problem().blocks[0].component.quick
