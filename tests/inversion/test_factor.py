"""Large matrices are factored block by block, in their own memory, as small ones are at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import NumericalError
from monitor.inversion import factor


@given(n=st.integers(1, 40), block=st.integers(1, 13), seed=st.integers(0, 99))
def test_block_by_block_is_the_cholesky_factor(n, block, seed):
    root = np.random.default_rng(seed).normal(size=(n, n))
    matrix = root @ root.T + np.eye(n)
    expected, place = np.linalg.cholesky(matrix), matrix.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factor, "_LARGE", 0)
        patch.setattr(factor, "_BLOCK", block)
        lower, condition = factor.factored(place, "a matrix")
    assert np.shares_memory(lower, place)
    np.testing.assert_allclose(lower, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert condition == pytest.approx(factor.factored(matrix.copy(), "a matrix")[1], rel=1e-6)


def test_what_is_not_positive_definite_is_found_at_its_index(monkeypatch):
    matrix = np.eye(30)
    matrix[20, 20] = -1.0
    monkeypatch.setattr(factor, "_LARGE", 0)
    monkeypatch.setattr(factor, "_BLOCK", 8)
    with pytest.raises(NumericalError, match="it fails at index 20, whose variance is -1"):
        factor.factored(matrix, "a matrix")
