"""Many sets of fixed effects from one factor give what each gives alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import NumericalError
from monitor.inversion.flat import prepare
from monitor.inversion.solution import estimate_totals, solve


def problem(seed, n=12, m=8, k=2, c=4):
    rng = np.random.default_rng(seed)
    h, root = rng.standard_normal((n, m)), rng.standard_normal((m, m))
    q = root @ root.T + np.eye(m)
    a, deltas = rng.standard_normal((k, m)), rng.standard_normal((m, c))
    psi = h @ q @ h.T + np.diag(rng.uniform(0.5, 2, n))
    return psi, rng.standard_normal(n), h @ q @ a.T, a @ q @ a.T, h @ deltas, a @ deltas


@given(seed=st.integers(0, 500), free=st.sets(st.integers(0, 3)))
def test_each_set_of_columns_gives_the_solution_of_its_own(seed, free):
    psi, residual, cross, prior, columns, loading = problem(seed)
    chosen = sorted(free)
    found = prepare(np.linalg.cholesky(psi), residual, cross, prior, columns).estimate(
        chosen, loading[:, chosen]
    )
    alone = estimate_totals(solve(psi, residual, columns[:, chosen]), cross, prior, loading[:, chosen])
    for name in ("shift", "covariance", "prior_covariance", "gain"):
        np.testing.assert_allclose(getattr(found, name), getattr(alone, name), rtol=1e-8, atol=1e-9)


def test_what_leaves_no_trace_is_an_error_only_where_it_is_free():
    psi, residual, cross, prior, columns, loading = problem(0)
    columns[:, 2] = 0.0
    ready = prepare(np.linalg.cholesky(psi), residual, cross, prior, columns)
    assert np.isfinite(ready.estimate([0, 1], loading[:, :2]).covariance).all()
    with pytest.raises(NumericalError, match="leaves no trace"):
        ready.estimate([0, 2], loading[:, [0, 2]])
    columns[3, 1] = np.nan
    with pytest.raises(NumericalError, match=r"not finite.*column 2, row 3"):
        prepare(np.linalg.cholesky(psi), residual, cross, prior, columns)
