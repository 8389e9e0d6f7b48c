"""A Jacobian in all its forms against its matrix."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from structures import FORMS, footprints, seeds

from monitor import inversion as inv
from monitor.errors import InputError
from monitor.inversion import covariance as cov
from monitor.inversion import operators
from monitor.inversion.operators import (
    adjoint,
    as_columns,
    as_jacobian,
    cut_columns,
    forward,
    row_chunk,
    select_rows,
)


def written(matrix):
    """As a plain array."""
    if isinstance(matrix, inv.RaggedJacobian):
        return matrix.rows(0, matrix.shape[0]).toarray()
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def same(found, expected):
    # sums of some tens of numbers
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=1e-13 * max(np.abs(expected).max(initial=0), 1.0)
    )


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)  # nine times
@given(st.integers(1, 9), st.integers(1, 12), seeds)
def test_a_jacobian_and_its_adjoint_are_the_matrix_and_its_transposed(form, n, m, seed):
    rng = np.random.default_rng(seed)
    h = footprints(rng, n, m)
    jacobian = as_jacobian(FORMS[form](h))
    u, w = rng.normal(size=(m, 3)), rng.normal(size=(n, 3))
    same(forward(jacobian, u), h @ u)
    same(forward(jacobian, u[:, 0]), h @ u[:, 0])
    same(adjoint(jacobian, w), h.T @ w)
    same(adjoint(jacobian, w[:, 0]), h.T @ w[:, 0])
    assert forward(jacobian, u[:, 0]) @ w[:, 0] == pytest.approx(
        u[:, 0] @ adjoint(jacobian, w[:, 0]), abs=1e-12
    )


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)  # nine times
@given(st.integers(1, 9), st.integers(2, 12), seeds)
def test_parts_of_a_jacobian_are_parts_of_the_matrix(form, n, m, seed):
    rng = np.random.default_rng(seed)
    h = footprints(rng, n, m)
    jacobian = as_jacobian(FORMS[form](h))
    same(written(as_columns(jacobian)), h)
    first = int(rng.integers(n))
    same(written(row_chunk(jacobian, first, n)), h[first:])
    rows = rng.permutation(n)[: rng.integers(1, n + 1)]
    same(written(select_rows(jacobian, rows)), h[rows])
    edge = int(rng.integers(1, m))
    left, right = cut_columns(jacobian, np.array([0, edge, m]))
    same(written(left), h[:, :edge])
    same(written(right), h[:, edge:])


def test_a_store_is_read_in_parts_that_do_not_show(monkeypatch):
    rng = np.random.default_rng(3)
    h = footprints(rng, 40, 30)
    h[10:14] = 0.0
    store = inv.RaggedJacobian.of(sp.csr_array(h))
    monkeypatch.setattr(operators, "_ENTRIES", 25)
    monkeypatch.setattr(operators, "_ROWS", 7)
    assert len(list(store.chunks(25))) > 10
    assert [a for a, _ in store.chunks(25)][1:] == [b for _, b in store.chunks(25)][:-1]
    same(store.matvec(np.arange(30.0)), h @ np.arange(30.0))
    same(store.rmatvec(np.arange(40.0)), h.T @ np.arange(40.0))
    same(written(store.between(4, 19)), h[:, 4:19])
    bad = inv.RaggedJacobian(store.offsets, store.columns, np.append(store.values[:-1], np.nan), store.shape)
    last = int(np.flatnonzero(h.any(axis=1))[-1])
    with pytest.raises(InputError, match=f"not finite.*in row {last}"):
        as_jacobian(bad)


def test_a_store_with_no_footprint_at_all_sees_nothing():
    store = inv.RaggedJacobian(np.zeros(4, dtype="i8"), np.zeros(0, dtype="i4"), np.zeros(0), (3, 8))
    prior = cov.Kronecker(cov.Exponential(2.0, 2), cov.Exponential(1.0, (2, 2)))
    for q in (prior, cov.Block((cov.Diagonal(np.ones(3)), cov.Diagonal(np.ones(5))))):
        posterior = inv.solve(inv.LinearProblem(store, np.ones(3), 2.0, q, 1.0))
        assert (posterior.mean == 2.0).all()
        assert posterior.dofs == 0.0


def test_footprints_in_single_precision_are_multiplied_in_double():
    rng = np.random.default_rng(5)
    h = footprints(rng, 12, 24)
    single = sp.csr_array(h.astype("f4"))
    rounded = single.toarray().astype("f8")
    q = cov.Kronecker(cov.Exponential(3.0, 4), cov.Matern(1.5, 1.5, (2, 3)), rng.uniform(0.5, 2, (4, 6)))
    exact, whole = h @ q.dense() @ h.T, rounded @ q.dense() @ rounded.T
    for store in (single, inv.RaggedJacobian.of(single)):
        found = q.observe(as_jacobian(store))
        # what the rounded footprints give, to double precision
        same(found / np.abs(whole).max(), whole / np.abs(whole).max())
        # and what the documentation says of the rounding: 1.2e-7 of H Q Hᵀ, where nothing is negative
        assert (np.abs(found - exact) <= 1.2e-7 * exact).all()
