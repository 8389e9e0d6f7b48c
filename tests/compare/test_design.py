"""What a network would see: equal to refits, to closed forms, and never worse for one more site."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.compare.design import Design, alone, greedy
from monitor.inversion.solution import estimate_totals, solve

SITES, EACH, K, Q, C = 5, 6, 2, 3, 4


def moments(seed=0, q=Q, sites=SITES):
    """Ψ, C, V, X, G and sources of one small linear model: y = H x + ε, totals A x, patterns Δ."""
    rng = np.random.default_rng(seed)
    n, m = sites * EACH, 12
    h = rng.gamma(1.0, 1.0, (n, m)) * (rng.random((n, m)) < 0.6)
    root = rng.standard_normal((m, m)) / 3
    prior, rows, patterns = root @ root.T + 0.1 * np.eye(m), rng.gamma(1, 1, (K, m)), rng.gamma(1, 1, (m, q))
    noise = np.exp(-np.abs(np.subtract.outer(np.arange(n) % EACH, np.arange(n) % EACH)) / 2) * 0.3
    psi = h @ prior @ h.T + noise + 0.2 * np.eye(n)
    sources = h @ rng.gamma(1, 1, (m, C))
    site = np.repeat(np.arange(sites), EACH)
    design = Design.empty(
        psi,
        h @ prior @ rows.T,
        rows @ prior @ rows.T,
        site,
        fixed=h @ patterns,
        loading=rows @ patterns,
        sources=sources,
    )
    return design


def refit(design: Design, sites) -> tuple[np.ndarray, np.ndarray]:
    """The slow twin: all rows of the sites at once, by the solver of the inversion."""
    rows = np.flatnonzero(np.isin(design.site, sites))
    solution = solve(design.noise[np.ix_(rows, rows)], np.zeros(rows.size), design.fixed[rows])
    covariance = estimate_totals(solution, design.cross[rows], design.prior, design.loading).covariance
    h = design.sources[rows]
    return covariance, 1 / np.sqrt(
        np.einsum("nc,nc->c", h, np.linalg.solve(design.noise[np.ix_(rows, rows)], h))
    )


@given(st.integers(0, 10_000), st.permutations(range(SITES)), st.integers(1, SITES))
@settings(max_examples=25)
def test_a_network_grown_site_by_site_is_the_refit_of_all_of_them(seed, order, count):
    design = moments(seed)
    grown = design.take(*order[:count])
    covariance, sigma = refit(design, order[:count])
    np.testing.assert_allclose(grown.covariance, covariance, rtol=1e-7)
    np.testing.assert_allclose(grown.source_sigma, sigma, rtol=1e-9)
    assert grown.taken == tuple(order[:count]) and set(grown.sites) == set(order[count:])


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_looking_at_one_more_site_is_taking_it(seed):
    design = moments(seed).take(0, 3)
    for site in design.sites:
        quick, whole = design.seen_with(site), design.take(site)
        np.testing.assert_allclose(quick.covariance, whole.covariance, rtol=1e-10)
        np.testing.assert_allclose(quick.source_sigma, whole.source_sigma, rtol=1e-12)


@given(st.integers(0, 10_000), st.permutations(range(SITES)))
@settings(max_examples=25)
def test_one_more_site_never_raises_a_variance(seed, order):
    design, before = moments(seed), None
    for site in order:
        design = design.take(site)
        after = design.covariance
        if before is not None:
            # in the sense of matrices: no combination of the totals is known less well
            assert np.linalg.eigvalsh(before - after)[0] > -1e-9 * np.trace(before)
        before = after


def test_one_station_and_one_total_is_the_scalar_of_the_textbook():
    """Prior 2, observation 3 of equal variances 1: posterior variance 0.5; flat: that of the observation."""
    one = np.ones((1, 1))
    informative = Design.empty(2 * one, one, one, np.zeros(1, dtype=int)).take(0)
    assert informative.covariance[0, 0] == pytest.approx(0.5)
    # a flat pattern of response h = 4 and total 3 in noise 0.5²: σ = 3 · 0.5 / 4
    flat = Design.empty(
        0.25 * one, 0 * one, 0 * one, np.zeros(1, dtype=int), fixed=4 * one, loading=3 * one, sources=4 * one
    )
    assert flat.covariance[0, 0] == np.inf and flat.source_sigma[0] == np.inf
    assert np.sqrt(flat.take(0).covariance[0, 0]) == pytest.approx(3 * 0.5 / 4)
    assert flat.take(0).source_sigma[0] == pytest.approx(0.5 / 4)


def test_n_independent_stations_are_one_over_root_n():
    n = 7
    design = Design.empty(
        0.25 * np.eye(n),
        np.zeros((n, 1)),
        np.zeros((1, 1)),
        np.arange(n),
        fixed=np.full((n, 1), 4.0),
        loading=np.ones((1, 1)),
    )
    for count in range(1, n + 1):
        sigma = np.sqrt(design.take(*range(count)).covariance[0, 0])
        assert sigma == pytest.approx(0.5 / 4 / np.sqrt(count))


def test_what_nobody_sees_has_no_finite_variance():
    """Two patterns, a station that sees their sum only: neither is known, what rests on the sum is."""
    fixed, loading = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    design = Design.empty(
        np.eye(2), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2, dtype=int), fixed=fixed, loading=loading
    )
    known = design.take(0).covariance
    assert known[0, 0] == np.inf and known[1, 1] == pytest.approx(0.5)


def contrast(design: Design) -> float:
    a = np.array([-1.0, 1.0])
    return float(np.sqrt(a @ design.covariance @ a))


@pytest.mark.parametrize("seed", range(4))
def test_the_ranking_is_that_of_brute_force(seed):
    design = moments(seed).take(0)
    steps = alone(design, contrast)
    slow = sorted(
        design.sites,
        key=lambda s: contrast(
            replace(design, prior=refit(moments(seed), [0, s])[0], loading=0 * design.loading)
        ),
    )
    assert [s.site for s in steps] == slow
    assert all(s.before >= s.after for s in steps)
    assert [s.after for s in steps] == sorted(s.after for s in steps)


@pytest.mark.parametrize("seed", range(4))
def test_the_greedy_sequence_refits_to_its_own_figures(seed):
    whole = moments(seed)
    steps = greedy(whole.take(0), contrast, SITES)
    taken, a = [0], np.array([-1.0, 1.0])
    for step in steps:
        others = [s for s in range(SITES) if s not in taken]
        figures = {s: np.sqrt(a @ refit(whole, [*taken, s])[0] @ a) for s in others}
        assert step.site == min(figures, key=figures.get)
        assert step.after == pytest.approx(figures[step.site], rel=1e-8)
        taken.append(step.site)
    assert len(steps) == SITES - 1
    assert [s.before for s in steps[1:]] == [s.after for s in steps[:-1]]


def test_the_order_in_which_sites_come_does_not_matter():
    design = moments(9, sites=3)
    found = [design.take(*order).covariance for order in permutations(range(3))]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-8)
