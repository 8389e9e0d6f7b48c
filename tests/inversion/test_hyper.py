"""The evidence is the density of the data, its gradient is its slope, its maximum is where it should be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from monitor.inversion import hyper
from monitor.inversion.components import Independent, ObservationModel, Parameter, TemporalProcess


def model(n=40, *, widths=(1.0, 0.7, 1.0), starts=(1.0, 10.0, 0.5)):
    hours = np.arange(n) * 3.0
    process = TemporalProcess(
        "process",
        hours,
        np.zeros(n, dtype="i8"),
        np.ones(n),
        Parameter("sd", starts[0], widths[0], "ppm"),
        Parameter("time", starts[1], widths[1], "h"),
    )
    return ObservationModel(
        (process, Independent("noise", np.ones(n), Parameter("noise", starts[2], widths[2], "ppm")))
    )


def fixed_columns(n, q):
    return np.column_stack([np.ones(n), np.arange(n) / n])[:, :q]


def draw(built, values, seed):
    rng = np.random.default_rng(seed)
    covariance = built.covariance(np.array(values))
    return np.linalg.cholesky(covariance) @ rng.standard_normal(covariance.shape[0])


def test_without_fixed_effects_the_evidence_is_the_density_of_the_data():
    built, values = model(12), np.array([0.8, 7.0, 0.4])
    y = draw(built, values, 0)
    value, _ = hyper.log_evidence(built, values, y, np.zeros((12, 0)))
    assert value == pytest.approx(multivariate_normal.logpdf(y, cov=built.covariance(values)), rel=1e-12)


def test_with_fixed_effects_it_is_the_density_of_what_they_leave_over():
    """Restricted likelihood = density of the contrasts that no fixed effect touches, less ½ ln|XᵀX|."""
    built, values, x = model(12), np.array([0.8, 7.0, 0.4]), fixed_columns(12, 2)
    y = draw(built, values, 0)
    value, _ = hyper.log_evidence(built, values, y, x)
    basis = np.linalg.qr(x, mode="complete")[0][:, 2:]
    contrasts = multivariate_normal.logpdf(basis.T @ y, cov=basis.T @ built.covariance(values) @ basis)
    assert value == pytest.approx(contrasts - 0.5 * np.linalg.slogdet(x.T @ x)[1], rel=1e-10)


@pytest.mark.parametrize("q", [0, 1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_the_slope_of_the_evidence(q, seed):
    built, values, x = model(15), np.array([0.8, 7.0, 0.4]), fixed_columns(15, q)
    y = draw(built, values, seed) + x.sum(axis=1)
    _, gradient = hyper.log_evidence(built, values, y, x)
    step = 1e-5
    for k in range(3):
        up, down = values.copy(), values.copy()
        up[k] *= np.exp(step)
        down[k] *= np.exp(-step)
        slope = hyper.log_evidence(built, up, y, x)[0] - hyper.log_evidence(built, down, y, x)[0]
        assert gradient[k] == pytest.approx(slope / (2 * step), rel=1e-6, abs=1e-7)


def test_the_evidence_does_not_see_fixed_effects_in_the_data():
    built, values, x = model(15), np.array([0.8, 7.0, 0.4]), fixed_columns(15, 2)
    y = draw(built, values, 1)
    plain, _ = hyper.log_evidence(built, values, y, x)
    shifted, _ = hyper.log_evidence(built, values, y + 100 * x[:, 0] - 30 * x[:, 1], x)
    assert shifted == pytest.approx(plain, abs=1e-6)


def test_a_change_of_units_moves_the_evidence_by_the_known_constant():
    n, factor = 15, 1e3  # ppm to ppb
    values, scale = np.array([0.8, 7.0, 0.4]), np.array([factor, 1.0, factor])
    built, y = model(n), draw(model(n), values, 2)
    for q in (0, 2):
        x = fixed_columns(n, q)
        one, slope = hyper.log_evidence(built, values, y, x)
        other, same_slope = hyper.log_evidence(built, values * scale, y * factor, x)
        # the fixed effects' weights are rescaled with the data, so n − q densities change their unit
        assert other == pytest.approx(one - (n - q) * np.log(factor), rel=1e-10)
        np.testing.assert_allclose(same_slope, slope, rtol=1e-8)


def test_the_maximum_finds_the_scales_that_made_the_data():
    truth = np.array([2.0, 20.0, 0.3])
    found = np.array([hyper.maximise(model(150), draw(model(150), truth, seed)).values for seed in range(6)])
    # 150 values hold about ten independent times of the process: its sd is known to a quarter, six times over
    np.testing.assert_allclose(np.exp(np.log(found).mean(axis=0)), truth, rtol=0.3)


def test_the_laplace_width_is_the_spread_of_the_estimates():
    truth = np.array([1.0, 10.0, 0.5])
    fits = [hyper.maximise(model(100), draw(model(100), truth, seed)) for seed in range(40)]
    error = np.array([np.log(f.values / truth) for f in fits])
    stated = np.array([np.diagonal(f.log_covariance) for f in fits])
    ratio = (error**2).mean(axis=0) / stated.mean(axis=0)
    # mean square of 40 standardised errors is 1 ± 0.22; the prior pulls a little
    assert (ratio > 0.4).all() and (ratio < 1.7).all()


def test_a_parameter_without_freedom_stays_and_has_no_variance():
    built = model(60, widths=(1.0, 0.0, 1.0))
    found = hyper.maximise(built, draw(built, (2.0, 10.0, 0.3), 3))
    assert found["time"] == pytest.approx(10.0)
    np.testing.assert_array_equal(found.log_covariance[1], 0.0)
    assert found.log_covariance[0, 0] > 0


def test_without_any_freedom_nothing_is_fitted():
    built = model(20, widths=(0.0, 0.0, 0.0))
    y = draw(built, (1.0, 10.0, 0.5), 0)
    found = hyper.maximise(built, y)
    np.testing.assert_allclose(found.values, built.starts)
    assert found.log_evidence == pytest.approx(
        hyper.log_evidence(built, built.starts, y, np.zeros((20, 0)))[0]
    )


def test_data_that_say_nothing_leave_the_prior_and_its_width():
    """A process without amplitude cannot tell its time: the prior's median and 1σ come back."""
    n = 30
    built = ObservationModel(
        (
            TemporalProcess(
                "p", np.arange(n) * 1.0, np.zeros(n, dtype="i8"), np.zeros(n),
                Parameter("sd", 1.0, 0.4), Parameter("time", 8.0, 0.6),
            ),
            Independent("noise", np.ones(n), Parameter("noise", 1.0, 0.0)),
        )
    )  # fmt: skip
    found = hyper.maximise(built, np.random.default_rng(0).standard_normal(n))
    np.testing.assert_allclose(found.values[:2], [1.0, 8.0])
    np.testing.assert_allclose(np.diagonal(found.log_covariance)[:2], [0.16, 0.36], rtol=1e-6)


def test_the_maximum_is_one():
    built, y = model(60), draw(model(60), (1.5, 12.0, 0.4), 5)
    found = hyper.maximise(built, y)
    width = np.array([1.0, 0.7, 1.0])

    def penalised(values):
        step = np.log(values / built.starts) / width
        return hyper.log_evidence(built, values, y, np.zeros((60, 0)))[0] - 0.5 * step @ step

    best = penalised(found.values)
    for k in range(3):
        for factor in (0.8, 1.25):
            values = found.values.copy()
            values[k] *= factor
            assert penalised(values) < best
