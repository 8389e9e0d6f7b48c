"""Counting and the targets: bounds to the letter at 400 cities, by the exact interval otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from monitor.calibration.reliability import diagrams
from monitor.calibration.rows import bootstrap_ratio, clopper_pearson, counted


@pytest.mark.parametrize(("count", "n"), [(0, 12), (12, 12), (381, 400), (1, 3)])
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(count: int, n: int) -> None:
    exact = binomtest(count, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(count, n) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("count", "met"), [(367, False), (368, True), (390, True), (391, False)])
def test_with_400_cities_a_target_is_held_to_the_letter(count: int, met: bool) -> None:
    assert counted("x", [True] * count + [False] * (400 - count), 368, 390).met is met


def test_with_few_cities_a_target_is_missed_only_when_chance_does_not_explain_it() -> None:
    assert counted("x", [True] * 18 + [False] * 2, 368, 390).met is None
    assert counted("x", [True] * 14 + [False] * 6, 368, 390).met is False
    assert counted("x", [True] * 6 + [False] * 14, 0, 18).met is False
    assert counted("x", [False] * 120, 0, 18).met is True
    assert counted("x", [True] * 45 + [False] * 755, 0, 18).met is False


def test_the_interval_of_a_ratio_of_medians_shrinks_about_it() -> None:
    rng = np.random.default_rng(1)
    wide, narrow = 2.0 * rng.lognormal(0, 0.2, 400), rng.lognormal(0, 0.2, 400)
    low, high = bootstrap_ratio(wide, narrow)
    assert low < np.median(wide) / np.median(narrow) < high
    assert low < 2.0 < high
    assert high - low < 0.25


def _records(rng: np.random.Generator, stated_sigma: float) -> list[dict[str, object]]:
    """Cities whose estimate errs by N(0, 1) and states another σ; five thresholds each."""
    out = []
    for city in range(400):
        truth, estimate = 0.0, float(rng.standard_normal())
        thresholds = truth + rng.uniform(-4, 4, 5)
        from scipy.stats import norm

        stated = [
            [float(t), 1e6, float(norm.sf(t, estimate, stated_sigma)), float(t <= truth)] for t in thresholds
        ]
        said = {"estimate": estimate, "sigma": stated_sigma, "stated": stated}
        out.append({"city": city, "model": {"kind": said}})
    return out


def test_honest_probabilities_stay_inside_the_band_and_bold_ones_do_not() -> None:
    worst = [
        diagrams(_records(np.random.default_rng(seed), sigma), "model", ["kind"])[0].worst
        for sigma in (1.0, 0.5)
        for seed in range(10)
    ]
    # the band is simultaneous at 95 %: of ten honest sets more than two outside are one in 80
    assert sum(w > 1 for w in worst[:10]) <= 2
    assert all(w > 1 for w in worst[10:])
