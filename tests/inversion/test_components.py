"""Every covariance is the dense matrix, its derivative the slope of it, its selection the sub-block."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from dense import process, space_time
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import NumericalError
from monitor.inversion import kernels
from monitor.inversion.components import (
    Independent,
    LowRank,
    ObservationModel,
    Parameter,
    TemporalProcess,
    cholesky_or_error,
    inverse_from_cholesky,
)
from monitor.inversion.covariance import Exponential, Kronecker
from monitor.inversion.spacetime import SpaceTimeBlock

N, CELLS, STEPS = 9, 5, 3
SCALE, LENGTH, TIME = Parameter("s", 0.7, 0.5), Parameter("l", 6.0, 0.3, "km"), Parameter("t", 40.0, 0.3, "h")
FACTORS = (Parameter("g0", 1.0, 0.5), Parameter("g1", 1.3, 0.5))
VALUES = {3: np.array([0.7, 6.0, 40.0]), 1: np.array([0.7])}


def places(rng):
    return rng.uniform(0, 20, (CELLS, 2))


def distance(where):
    return np.hypot(*(where[:, None] - where[None]).transpose(2, 0, 1))


def several_steps(seed=1):
    """Footprints that touch several steps; one observation touches none, and one row is out of order."""
    rng = np.random.default_rng(seed)
    jacobian = tuple(rng.gamma(1, 1, (N, CELLS)) * (rng.uniform(size=(N, 1)) < 0.6) for _ in range(STEPS))
    for part in jacobian:
        part[4] = 0.0
    return jacobian, places(rng), np.array([0.0, 24.0, 400.0])


def one_step_each(seed=2):
    rng = np.random.default_rng(seed)
    step = rng.permutation(np.arange(N) % STEPS)
    full = rng.gamma(1, 1, (N, CELLS))
    return tuple(full * (step == k)[:, None] for k in range(STEPS)), places(rng), np.array([0.0, 24.0, 400.0])


def space_time_block(jacobian, where, hours, parameters=(SCALE, LENGTH, TIME)):
    """One σ of 0.5 and twice the footprints, so that σ matters and the product is the same."""
    unit = Kronecker(Exponential(40.0, hours), Exponential(6.0, where), 0.5)
    return SpaceTimeBlock("x", sp.csr_array(2.0 * np.hstack(jacobian)), unit, parameters)


def swept(block, monkeypatch):
    monkeypatch.setattr("monitor.inversion.spacetime._QUICK_ELEMENTS", 0)
    assert not block.quick
    return block


def columns(seed=3):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 60, N), rng.integers(0, 2, N), rng.gamma(2, 1, N), rng.integers(0, 2, N)


def components():
    hours, group, amplitude, classes = columns()
    return {
        "several steps": (space_time_block(*several_steps()), VALUES[3]),
        "one step each": (space_time_block(*one_step_each()), VALUES[3]),
        "process": (TemporalProcess("p", hours, group, amplitude, SCALE, TIME), np.array([0.7, 9.0])),
        "process with classes": (
            TemporalProcess("p", hours, group, amplitude, SCALE, TIME, classes, FACTORS),
            np.array([0.7, 9.0, 0.8, 1.4]),
        ),
        "independent": (Independent("i", amplitude, SCALE), VALUES[1]),
        "independent with classes": (
            Independent("i", amplitude, SCALE, classes, FACTORS),
            np.array([0.7, 0.8, 1.4]),
        ),
        "low rank": (LowRank("b", np.eye(3)[np.arange(N) % 3], SCALE), VALUES[1]),
    }


ALL = components()


@pytest.mark.parametrize("make", [several_steps, one_step_each])
def test_the_flux_covariance_is_the_dense_triple_product(make, monkeypatch):
    jacobian, where, hours = make()
    block = space_time_block(jacobian, where, hours)
    dense = space_time(jacobian, distance(where), hours, *VALUES[3])
    assert block.quick
    np.testing.assert_allclose(block.covariance(VALUES[3]), dense, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(swept(block, monkeypatch).covariance(VALUES[3]), dense, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [several_steps, one_step_each])
def test_the_sweep_has_the_slopes_of_the_quick_way(make, monkeypatch):
    block, weight = space_time_block(*make()), np.random.default_rng(0).normal(size=(N, N))
    weight = weight + weight.T
    quick = block.contract(VALUES[3], weight)
    np.testing.assert_allclose(swept(block, monkeypatch).contract(VALUES[3], weight), quick, rtol=1e-10)


def test_processes_and_diagonals_are_what_they_say_element_by_element():
    hours, group, amplitude, classes = columns()
    g = np.array([0.8, 1.4])[classes]
    found, values = ALL["process"]
    np.testing.assert_allclose(found.covariance(values), process(hours, group, 0.7 * amplitude, 9.0))
    found, values = ALL["process with classes"]
    np.testing.assert_allclose(found.covariance(values), process(hours, group, 0.7 * amplitude * g, 9.0))
    found, values = ALL["independent with classes"]
    np.testing.assert_allclose(found.covariance(values), np.diag((0.7 * amplitude * g) ** 2))
    found, values = ALL["low rank"]
    same = (np.arange(N)[:, None] % 3) == (np.arange(N)[None] % 3)
    np.testing.assert_allclose(found.covariance(values), 0.49 * same)


@pytest.mark.parametrize("name", ALL)
def test_a_covariance_is_symmetric_and_positive_semidefinite(name):
    component, values = ALL[name]
    matrix = component.covariance(values)
    np.testing.assert_array_equal(matrix.shape, (N, N))
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-13, atol=1e-14)
    assert np.linalg.eigvalsh(matrix)[0] > -1e-12 * np.trace(matrix)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_contraction_is_the_slope_of_the_contracted_covariance(name, seed):
    component, values = ALL[name]
    weight = np.random.default_rng(seed).normal(size=(N, N))
    weight = weight + weight.T
    step, slopes = 1e-5, []
    for k in range(values.size):
        up, down = values.copy(), values.copy()
        up[k] *= np.exp(step)
        down[k] *= np.exp(-step)
        difference = component.covariance(up) - component.covariance(down)
        slopes.append(np.sum(weight * difference) / (2 * step))
    found = component.contract(values, weight)
    scale = np.abs(weight * component.covariance(values)).sum()
    # central differences at 1e-5 are good to about 1e-10 of the terms that are added
    np.testing.assert_allclose(found, slopes, atol=1e-6 * scale, rtol=1e-6)


def test_the_contraction_of_a_parameter_held_fixed_is_not_computed(monkeypatch):
    held = (SCALE, Parameter("l", 6.0, 0.0, "km"), Parameter("t", 40.0, 0.0, "h"))
    block = space_time_block(*several_steps(), held)
    for _ in range(2):
        found = block.contract(VALUES[3], np.eye(N))
        assert found[0] == pytest.approx(2 * np.trace(block.covariance(VALUES[3])))
        np.testing.assert_array_equal(found[1:], 0.0)
        block = swept(block, monkeypatch)


@pytest.mark.parametrize("name", ALL)
def test_selection_gives_the_sub_block(name):
    component, values = ALL[name]
    keep = np.array([0, 2, 3, 4, 7])
    part = component.select(keep)
    np.testing.assert_allclose(part.covariance(values), component.covariance(values)[np.ix_(keep, keep)])
    assert part.parameters == component.parameters


def test_the_model_is_the_sum_of_its_components_and_names_choose_among_them():
    hours, group, amplitude, _ = columns()
    parts = (
        space_time_block(*several_steps()),
        TemporalProcess("inflow", hours, group, amplitude, SCALE, TIME),
        Independent("noise", amplitude, SCALE),
    )
    model = ObservationModel(parts)
    values = np.array([0.7, 6.0, 40.0, 0.5, 9.0, 0.2])
    split = [values[:3], values[3:5], values[5:]]
    dense = [c.covariance(v) for c, v in zip(parts, split, strict=True)]
    np.testing.assert_allclose(model.covariance(values), sum(dense))
    np.testing.assert_allclose(model.covariance(values, ("x", "noise")), dense[0] + dense[2])
    assert model.starts.size == len(model.parameters) == 6
    assert model.contract(values, np.eye(N)).size == 6


@given(seed=st.integers(0, 1000), n=st.integers(1, 12), groups=st.integers(1, 3))
def test_compiled_kernels_do_what_plain_numpy_does(seed, n, groups):
    rng = np.random.default_rng(seed)
    hours, group = rng.uniform(0, 100, n), rng.integers(0, groups, n)
    profile, weight = rng.normal(size=n), rng.normal(size=(n, n))
    weight = weight + weight.T
    plain = process(hours, group, profile, 7.0)
    np.testing.assert_allclose(
        kernels.markov_covariance(hours, group, profile, 7.0), plain, rtol=1e-12, atol=1e-15
    )
    rows, slope = kernels.markov_contract(hours, group, profile, 7.0, weight)
    np.testing.assert_allclose(rows, (weight * plain).sum(axis=1), rtol=1e-9, atol=1e-11)
    lag = np.abs(hours[:, None] - hours[None]) / 7.0
    assert slope == pytest.approx(float(np.sum(weight * plain * lag)), rel=1e-9, abs=1e-10)


WITHOUT_COMPILER = """
import numpy as np
from monitor.inversion.kernels import markov_contract, markov_covariance
hours, group, profile = np.array([0.0, 3.0, 4.0]), np.array([0, 0, 1]), np.array([1.0, 2.0, 3.0])
print(repr(markov_covariance(hours, group, profile, 6.0).tolist()))
print(repr(markov_contract(hours, group, profile, 6.0, np.ones((3, 3)))[0].tolist()))
"""


def test_kernels_give_the_same_without_the_compiler():
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True, check=True
    )
    covariance, rows = (np.array(json.loads(line)) for line in done.stdout.splitlines())
    hours, group, profile = np.array([0.0, 3.0, 4.0]), np.array([0, 0, 1]), np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(covariance, kernels.markov_covariance(hours, group, profile, 6.0), rtol=1e-14)
    found = kernels.markov_contract(hours, group, profile, 6.0, np.ones((3, 3)))[0]
    np.testing.assert_allclose(rows, found, rtol=1e-14)


def test_the_inverse_is_that_of_the_matrix():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix = root @ root.T + np.eye(6)
    inverse = inverse_from_cholesky(cholesky_or_error(matrix, "it"))
    np.testing.assert_allclose(inverse @ matrix, np.eye(6), atol=1e-12)
    np.testing.assert_array_equal(inverse, inverse.T)


def test_a_covariance_that_is_none_is_refused_with_its_eigenvalue():
    with pytest.raises(NumericalError, match=r"smallest eigenvalue -1\.000e\+00, largest diagonal 1\.000"):
        cholesky_or_error(np.array([[1.0, 2.0], [2.0, 1.0]]), "the covariance")


@pytest.mark.parametrize(("start", "log_sd"), [(0.0, 1.0), (-1.0, 1.0), (np.nan, 1.0), (1.0, -0.1)])
def test_a_hyperparameter_is_positive(start, log_sd):
    with pytest.raises(NumericalError, match=f"found: start {start}, log_sd {log_sd}"):
        Parameter("v", start, log_sd)
