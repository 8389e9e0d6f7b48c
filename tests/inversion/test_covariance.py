"""Covariances with structure against their matrices, element by element."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gamma
from structures import FORMS, any_structure, footprints

from monitor.errors import InputError
from monitor.inversion import covariance as cov
from monitor.inversion import operators, sweep
from monitor.inversion.covariance import combined, stationary
from monitor.inversion.operators import as_jacobian

seeds = st.integers(0, 2**16)


def close(found, expected, rel=1e-10):
    """Equal to 1e-10 of the largest element: products of some tens of numbers lose at most 1e-13."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rel * max(largest, 1e-300))


@given(any_structure)
def test_a_structure_is_its_matrix_element_by_element(drawn):
    covariance, written = drawn
    assert covariance.size == written.shape[0]
    close(covariance.dense(), written)
    close(covariance.diagonal(), np.diagonal(written))


@given(any_structure, seeds)
def test_a_structure_multiplies_vectors_and_matrices(drawn, seed):
    covariance, written = drawn
    vectors = np.random.default_rng(seed).normal(size=(covariance.size, 3))
    close(covariance.matvec(vectors), written @ vectors)
    close(covariance.matvec(vectors[:, 0]), written @ vectors[:, 0])
    close(covariance.matvec(np.asfortranarray(vectors)), written @ vectors)


@given(any_structure, seeds)
def test_a_structure_is_symmetric(drawn, seed):
    covariance, written = drawn
    u, v = np.random.default_rng(seed).normal(size=(2, covariance.size))
    # both sides round by at most 1e-13 of |Q| |u| |v|
    scale = np.abs(written).sum() * np.abs(u).max() * np.abs(v).max()
    assert covariance.matvec(u) @ v == pytest.approx(u @ covariance.matvec(v), rel=0, abs=1e-12 * scale)


@given(any_structure)
def test_the_square_root_times_its_transposed_is_the_matrix(drawn):
    covariance, written = drawn
    root = covariance.sqrt_matvec(np.eye(covariance.sqrt_size))
    close(root @ root.T, written)
    one = np.arange(covariance.sqrt_size, dtype="f8")
    close(covariance.sqrt_matvec(one), root @ one)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)  # nine times
@given(any_structure, st.integers(1, 9), seeds)
def test_h_q_ht_in_every_form_of_the_jacobian(form, drawn, n, seed):
    covariance, written = drawn
    h = footprints(np.random.default_rng(seed), n, covariance.size)
    found = covariance.observe(as_jacobian(FORMS[form](h)))
    close(found, h @ written @ h.T)
    assert (found == found.T).all()


@pytest.mark.parametrize("form", ["array", "csr", "ragged", "operator"])
@settings(max_examples=25)  # four times
@given(any_structure, st.integers(1, 6), seeds)
def test_slopes_are_the_finite_differences_of_h_q_ht(form, drawn, n, seed):
    covariance, _ = drawn
    h = footprints(np.random.default_rng(seed), n, covariance.size)
    jacobian = as_jacobian(FORMS[form](h))
    starts = np.array([p.start for p in covariance.parameters])
    slopes = list(covariance.slopes(jacobian))
    assert len(slopes) == starts.size
    step = 1e-5
    for k, slope in enumerate(slopes):
        up, down = (
            covariance.with_values(starts * np.exp(sign * step * (np.arange(starts.size) == k))).observe(h)
            for sign in (1, -1)
        )
        # a central difference is good to step² and to rounding/step, both 1e-10 of H Q Hᵀ
        scale = max(np.abs(covariance.observe(h)).max(), 1e-300)
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=0, atol=1e-7 * scale)


@given(any_structure)
def test_a_structure_at_its_own_values_is_itself(drawn):
    covariance, written = drawn
    starts = np.array([p.start for p in covariance.parameters])
    close(covariance.with_values(starts).dense(), written)
    names = [p.name for p in covariance.parameters]
    assert len(set(names)) == len(names)


@given(any_structure, seeds)
def test_a_selection_holds_the_rows_and_columns_of_the_whole(drawn, seed):
    covariance, written = drawn
    rng = np.random.default_rng(seed)
    rows = rng.permutation(covariance.size)[: rng.integers(1, covariance.size + 1)]
    part, expected = covariance.select(rows), written[np.ix_(rows, rows)]
    h = footprints(rng, 4, rows.size)
    close(part.dense(), expected)
    close(part.diagonal(), np.diagonal(expected))
    close(part.matvec(h.T), expected @ h.T)
    root = part.sqrt_matvec(np.eye(part.sqrt_size))
    close(root @ root.T, expected)
    close(part.observe(h), h @ expected @ h.T)
    assert [p.name for p in part.parameters] == [p.name for p in covariance.parameters]
    mask = np.zeros(covariance.size, dtype=bool)
    mask[rows] = True
    close(covariance.select(mask).dense(), written[np.ix_(np.sort(rows), np.sort(rows))])


@given(any_structure)
def test_adding_a_covariance_to_a_matrix_adds_it_once(drawn):
    covariance, written = drawn
    start = np.arange(written.size, dtype="f8").reshape(written.shape)
    out = start.copy()
    combined.add_to(out, covariance)
    # the sum rounds by 1e-16 of its largest element
    close(out - start, written, rel=1e-10 + 1e-15 * start.max() / max(np.abs(written).max(), 1e-3))


@st.composite
def records(draw):
    """A month in small: footprints that reach back some hours, observations in any order, gaps in time."""
    rng = np.random.default_rng(draw(seeds))
    p, n, back = draw(st.integers(10, 50)), draw(st.integers(5, 60)), draw(st.integers(1, 12))
    shape = draw(st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 3), (3, 3)]))
    s = shape[0] * shape[1]
    at = np.cumsum(rng.integers(1, 3, p) + 30 * (rng.random(p) < 0.1)).astype("f8")
    length = draw(st.floats(0.2, 60.0))
    q = cov.Kronecker(cov.Exponential(length, at), cov.Matern(1.5, 1.5, shape), rng.uniform(0.5, 2.0, (p, s)))
    # some observations have a longer memory than the others, some have holes in it, one sees nothing
    reach = np.where(rng.random(n) < 0.1, 2 * back, back)
    age = rng.integers(0, p, n)[:, None] - np.arange(p)[None, :]
    seen = (age >= 0) & (age < reach[:, None]) & (rng.random((n, p)) < 0.8)
    h = rng.gamma(1.0, 1.0, (n, p, s)) * seen[:, :, None] * (rng.random((n, p, s)) < 0.7)
    h[rng.integers(n)] = 0.0
    return q, h.reshape(n, -1)


@pytest.mark.parametrize("form", ["array", "csr", "ragged"])
@pytest.mark.parametrize("rows", [512, 7])
@settings(max_examples=20)  # six times
@given(drawn=records())
def test_records_in_which_footprints_lie_apart_in_time(form, rows, drawn):
    """The sweep, its far part and both of its slopes, with one block of rows and with many."""
    q, h = drawn
    jacobian = as_jacobian(FORMS[form](h))
    sigma = np.sqrt(q.diagonal())
    scaled = h * sigma
    lag = np.abs(q.time.positions[:, None] - q.time.positions[None, :]) / q.time.length
    in_time, in_space = np.exp(-lag), q.space.dense()
    y, x = q.space.positions.T
    slope = q.space.correlation_slope(np.hypot(y[:, None] - y[None, :], x[:, None] - x[None, :]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_ROWS", rows)
        close(q.observe(jacobian), scaled @ np.kron(in_time, in_space) @ scaled.T)
        _, by_time, by_space = q.slopes(jacobian)
        close(by_time, scaled @ np.kron(lag * in_time, in_space) @ scaled.T)
        close(by_space, scaled @ np.kron(in_time, slope) @ scaled.T)


def test_the_borders_of_chunks_do_not_show(monkeypatch):
    rng = np.random.default_rng(3)
    time = cov.Exponential(7.0, np.cumsum(rng.integers(1, 4, 12)).astype("f8"))
    q = cov.Kronecker(time, cov.Matern(2.0, 1.5, (3, 4)), rng.uniform(0.5, 2.0, (12, 12)))
    h = footprints(rng, 23, 144)
    h[:, :] *= np.repeat(np.abs(np.arange(12)[None, :] - np.linspace(0, 11, 23)[:, None]) < 3, 12, axis=1)
    expected = h @ q.dense() @ h.T
    monkeypatch.setattr(sweep, "_ROWS", 4)
    monkeypatch.setattr(operators, "_ROWS", 3)
    monkeypatch.setattr(stationary, "_BATCH", 2)
    for form in ("array", "csr", "ragged", "operator"):
        close(q.observe(as_jacobian(FORMS[form](h))), expected)


def test_large_grids_take_fourier_transforms_and_agree_with_the_matrix(monkeypatch):
    rng = np.random.default_rng(4)
    q = cov.Kronecker(cov.Exponential(5.0, 6), cov.Matern(2.0, 1.5, (4, 5), spacing=(1.0, 2.0)), 1.4)
    h = footprints(rng, 8, 120)
    expected = h @ q.dense() @ h.T
    monkeypatch.setattr(stationary, "_FOLDED", 0)
    close(q.observe(h), expected)


@pytest.mark.parametrize("smoothness", [0.5, 0.8, 1.5, 2.5])
@pytest.mark.parametrize("at", [37, (6, 7)])
@pytest.mark.parametrize("cut", [False, True])
def test_the_circulant_square_root_is_a_square_root(monkeypatch, smoothness, at, cut):
    monkeypatch.setattr(stationary, "_DENSE", 0)
    size = int(np.prod(at))
    groups = np.arange(size) % 3 if cut else None
    q = cov.Matern(2.5, smoothness, at, std=np.linspace(0.5, 2.0, size), groups=groups)
    root = q.sqrt_matvec(np.eye(q.sqrt_size))
    close(root @ root.T, q.dense())


@pytest.mark.parametrize("smoothness", [0.5, 0.8, 1.5, 2.5, 4.1])
def test_the_matern_correlation_is_its_integral(smoothness):
    """With K_ν(z) = ∫₀^∞ exp(−z cosh t) cosh(νt) dt: no Bessel function of a library."""
    q = cov.Matern(1.7, smoothness, 1)
    for distance in (0.01, 0.3, 1.0, 4.0):
        z = np.sqrt(2 * smoothness) * distance / 1.7

        def integrand(t, z=z):
            return np.exp(-z * np.cosh(t)) * np.cosh(smoothness * t)

        bessel, _ = quad(integrand, 0, 15, epsabs=0, epsrel=1e-12, limit=500)
        expected = 2 ** (1 - smoothness) / gamma(smoothness) * z**smoothness * bessel
        # the quadrature is asked for 1e-12
        assert q.correlation(np.array(distance)) == pytest.approx(expected, rel=1e-10)


def test_cells_on_both_sides_of_a_mask_are_uncorrelated():
    city = np.array([[0, 0, 1], [0, 1, 1]]).ravel()
    cut = cov.Exponential(5.0, (2, 3), groups=city).dense()
    free = cov.Exponential(5.0, (2, 3)).dense()
    close(cut, np.where(city[:, None] == city[None, :], free, 0.0))


@pytest.mark.parametrize("kind", [cov.Sum, cov.Block])
def test_parts_are_given_one_by_one_or_as_a_sequence(kind):
    a, b = cov.Diagonal(np.ones(3)), cov.Exponential(2.0, 3)
    for made in (kind(a, b), kind((a, b)), kind([a, b]), kind(iter((a, b))), kind(parts=(a, b))):
        assert made.parts == (a, b)
    assert kind(a).parts == (a,)
    assert replace(kind(a, b), parts=(b,)).parts == (b,)
    with pytest.raises(FrozenInstanceError):
        kind(a).parts = ()
    with pytest.raises(InputError, match="part 1 is no covariance.*float"):
        kind(a, 2.0)
    with pytest.raises(InputError, match="part 0 is no covariance.*float"):
        kind(2.0)


LENGTHS = {
    "Diagonal": cov.Diagonal(np.ones(4)),
    "one variance": cov.Diagonal(np.ones(1)),
    "Dense": cov.Dense(np.eye(4)),
    "Exponential": cov.Exponential(2.0, 4),
    "Matern on a grid": cov.Matern(2.0, 1.5, (70, 70)),
    "HourOfDay": cov.HourOfDay(2.0, 3.0, np.arange(4.0)),
    "Kronecker": cov.Kronecker(cov.Exponential(2.0, 2), cov.Exponential(2.0, (1, 3))),
    "Sum": cov.Sum(cov.Diagonal(np.ones(4)), cov.Exponential(2.0, 4)),
    "Block": cov.Block(cov.Diagonal(np.ones(2)), cov.Exponential(2.0, 3)),
    "Selected": cov.Block(cov.Diagonal(np.ones(2)), cov.Exponential(2.0, 3)).select(np.array([0, 4])),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_vector_of_another_length_is_not_multiplied(name):
    covariance = LENGTHS[name]
    for size, product in (
        (covariance.size, covariance.matvec),
        (covariance.sqrt_size, covariance.sqrt_matvec),
    ):
        assert product(np.ones(size)).shape == (covariance.size,)
        for wrong in (np.ones(size + 1), np.ones(2 * size), np.ones((size + 1, 2)), np.float64(1.0)):
            with pytest.raises(InputError, match=rf"does not fit the covariance.*\({size},\)"):
                product(wrong)


@pytest.mark.parametrize("smoothness", [0.7, 7.5, 50.0])
def test_matern_is_finite_from_nearby_to_far_away(smoothness):
    """Near zero k = 1 − z²/4(ν − 1), far away 0 (Rasmussen & Williams 2006, §4.2)."""
    found = cov.Matern(1.0, smoothness, at=np.r_[0.0, 1e-300, 1e-12, 1e-8, 1e-4, 1.0, 1e4])
    row = found.dense()[0]
    # at ν = 0.7 the correlation falls as z^1.4 first: 1e-11 at a distance of 1e-8
    np.testing.assert_allclose(row[:4], 1.0, atol=1e-10)
    assert (np.diff(row) <= 1e-12).all() and 0 <= row[-1] < 1e-12
    assert np.isfinite(found.slope_matvec(np.eye(7))).all()


def test_a_smooth_matern_is_nearly_the_gaussian_and_beyond_that_it_is_refused():
    d = np.linspace(0.0, 3.0, 7)
    # the difference falls as 1/ν
    np.testing.assert_allclose(cov.Matern(1.0, 50.0, at=d).dense()[0], np.exp(-(d**2) / 2), atol=0.01)
    with pytest.raises(InputError, match=r"smoothness.*at most 50.*1e\+06.*Dense"):
        cov.Matern(1.0, 1e6, at=d)
