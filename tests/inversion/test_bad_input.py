"""Bad input to linear problems: one error each, with the variable, the index, the values and the remedy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from structures import Operator

from monitor import inversion as inv
from monitor.errors import InputError, NumericalError, PrecisionWarning
from monitor.inversion import covariance as cov

N, M = 4, 6


def parts(**changes):
    rng = np.random.default_rng(0)
    good = {
        "jacobian": rng.uniform(0.1, 1.0, (N, M)),
        "observations": rng.normal(size=N),
        "prior_mean": np.ones(M),
        "prior_covariance": np.ones(M),
        "mismatch_covariance": np.ones(N),
        "totals": np.ones((1, M)),
    }
    return good | changes


def put(array, index, value):
    out = np.array(array, dtype="f8")
    out[index] = value
    return out


GOOD = parts()
NAN = float("nan")
LOPSIDED = put(np.eye(M), (1, 4), 0.5)
INDEFINITE = np.full((M, M), 2.0) - np.eye(M)
RAGGED = inv.RaggedJacobian.of(sp.csr_array(GOOD["jacobian"]))


def ragged(**changes):
    given = {"offsets": RAGGED.offsets, "columns": RAGGED.columns, "values": RAGGED.values, "shape": (N, M)}
    return inv.RaggedJacobian(**(given | changes))


#: What is given, and every word that the error must hold: variable, index, value, remedy.
WRONG = {
    "NaN in an observation": (
        {"observations": put(GOOD["observations"], 2, NAN)},
        ["observations has 1 values that are not finite", "nan at index 2", "leave that observation out"],
    ),
    "infinite observation": (
        {"observations": put(GOOD["observations"], 0, np.inf)},
        ["observations", "inf at index 0"],
    ),
    "NaN in the jacobian": (
        {"jacobian": put(GOOD["jacobian"], (1, 3), NAN)},
        ["jacobian has 1 values that are not finite", "nan at (1, 3)", "mend its footprint"],
    ),
    "NaN in a sparse jacobian": (
        {"jacobian": sp.csc_array(put(GOOD["jacobian"], (1, 3), NAN))},
        ["jacobian has 1 values", "nan at (1, 3)"],
    ),
    "NaN in a store of footprints": (
        {"jacobian": ragged(values=put(RAGGED.values, 9, NAN))},
        ["values that are not finite", "column 3, value nan in row 1", "leave the observation out"],
    ),
    "store in the wrong order": (
        {"jacobian": ragged(columns=RAGGED.columns[::-1].copy())},
        ["not in ascending order", "column 4", "in row 0", "RaggedJacobian.of"],
    ),
    "store that points beyond the state": (
        {"jacobian": ragged(columns=put(RAGGED.columns, 23, 7).astype("i4"))},
        ["columns beyond its 6 unknowns", "column 7", "in row 3"],
    ),
    "NaN in the prior": (
        {"prior_mean": put(GOOD["prior_mean"], 5, NAN)},
        ["prior_mean has 1 values", "nan at index 5"],
    ),
    "NaN prior for all": ({"prior_mean": NAN}, ["prior_mean", "nan at index 0"]),
    "NaN in a variance": (
        {"mismatch_covariance": put(GOOD["mismatch_covariance"], 1, NAN)},
        ["mismatch_covariance", "not finite", "nan at index 1"],
    ),
    "NaN in a covariance matrix": (
        {"prior_covariance": put(np.eye(M), (2, 2), NAN)},
        ["prior_covariance", "not finite", "nan at index (2, 2)"],
    ),
    "NaN in totals": (
        {"totals": put(np.ones((3, M)), (1, 2), NAN)},
        ["totals have a weight that is not finite", "total 1"],
    ),
    "negative variance of the prior": (
        {"prior_covariance": put(GOOD["prior_covariance"], 3, -0.25)},
        ["prior_covariance: 1 variances are negative", "-0.25 at index 3", "σ², not σ"],
    ),
    "negative variance of the mismatch": (
        {"mismatch_covariance": -1.0},
        ["mismatch_covariance: 4 variances are negative", "-1 at index 0"],
    ),
    "lopsided covariance": (
        {"prior_covariance": LOPSIDED},
        ["prior_covariance", "not symmetric", "0.5 at (1, 4) and 0 at (4, 1)", "½ (M + Mᵀ)"],
    ),
    "indefinite covariance": (
        {"prior_covariance": INDEFINITE},
        ["prior_covariance", "not positive definite", "smallest eigenvalue -1", "largest 11"],
    ),
    "negative variance in a matrix": (
        {"mismatch_covariance": np.diag([1.0, 1.0, -0.5, 1.0])},
        ["mismatch_covariance", "not positive definite", "eigenvalue -0.5, in which index 2 weighs most"],
    ),
    "observations of another shape": (
        {"observations": np.ones(N + 1)},
        ["observations has the wrong shape", "(4,), the rows of the jacobian", "(5,)"],
    ),
    "observations in a column": (
        {"observations": np.ones((N, 1))},
        ["observations has the wrong shape", "(4, 1)"],
    ),
    "prior of another shape": (
        {"prior_mean": np.ones(M - 1)},
        ["prior_mean has the wrong shape", "(6,), the columns of the jacobian", "(5,)"],
    ),
    "prior covariance of another size": (
        {"prior_covariance": cov.Exponential(2.0, 5)},
        ["prior_covariance has the wrong size", "6", "5"],
    ),
    "mismatch covariance of another size": (
        {"mismatch_covariance": np.eye(N + 2)},
        ["mismatch_covariance has the wrong size", "4", "6"],
    ),
    "covariance that is no square": (
        {"prior_covariance": np.ones((M, 2))},
        ["prior_covariance: a covariance matrix is square", "(6, 2)"],
    ),
    "covariance of three dimensions": (
        {"prior_covariance": np.ones((M, 2, 2))},
        ["prior_covariance: variances need one dimension", "(6, 2, 2)"],
    ),
    "covariance that is none": (
        {"prior_covariance": "broad"},
        ["prior_covariance: this is no covariance", "str", "inv.covariance"],
    ),
    "jacobian of one dimension": (
        {"jacobian": np.ones(M)},
        ["jacobian needs two dimensions", "(n, m)", "(6,)"],
    ),
    "operator without a shape": (
        {"jacobian": type("Bare", (), {"matvec": None, "rmatvec": None})()},
        ["operator without a shape"],
    ),
    "no observations": (
        {"jacobian": np.ones((0, M)), "observations": np.ones(0), "mismatch_covariance": np.ones(0)},
        ["the problem is empty", "(0, 6)"],
    ),
    "totals of another shape": (
        {"totals": np.ones((2, M + 1))},
        ["totals do not fit the state", "(k, 6)", "(2, 7)"],
    ),
    "separable totals of another shape": (
        {"totals": inv.SeparableTotals(np.ones((1, 3)), np.ones((1, 3)))},
        ["totals do not fit the state", "(k, 6)", "(1, 9)"],
    ),
    "total of no region": (
        {"totals": put(np.ones((3, M)), 1, 0.0)},
        ["total 1 names no region", "weights are all zero", "polygon"],
    ),
    "separable total of no region": (
        {"totals": inv.SeparableTotals(np.ones((1, 2)), put(np.ones((2, 3)), 1, 0.0))},
        ["total 1 names no region"],
    ),
    "fixed effect of another shape": (
        {"fixed_effects": {"road": np.ones(M + 1)}},
        ["fixed effect 'road' has the wrong shape", "(6,)", "(7,)"],
    ),
    "NaN in a fixed effect": (
        {"fixed_effects": {"road": put(np.ones(M), 2, NAN)}},
        ["fixed effect 'road' has 1 values", "nan at index 2"],
    ),
}


def masked(array, index):
    out = np.ma.array(array, dtype="f8")
    out[index] = np.ma.masked
    return out


WRONG |= {
    f"masked values in {field}": (
        {field: masked(GOOD[field], (0, 2) if np.ndim(GOOD[field]) == 2 else 2)},
        [field, "1 masked values", "the first at index", "2"],
    )
    for field in GOOD
}
WRONG |= {
    f"{kind} in {field}": ({field: values}, [field.split("_")[-1], words])
    for field in GOOD
    for kind, values, words in (
        ("complex numbers", GOOD[field].astype("c16"), "no real numbers"),
        ("text", np.full(GOOD[field].shape, "1.0"), "no real numbers"),
        ("objects", np.full(GOOD[field].shape, object()), "holds no numbers"),
        ("dates", np.full(GOOD[field].shape, "2024-01-01", dtype="datetime64[h]"), "holds dates"),
    )
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_refused_by_name_index_and_value(name):
    changes, words = WRONG[name]
    with pytest.raises(InputError) as caught:
        inv.LinearProblem(**parts(**changes))
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"


@pytest.mark.parametrize("field", GOOD)
def test_good_input_is_taken_in_any_container(field):
    listed = parts(**{field: GOOD[field].tolist()})
    np.testing.assert_array_equal(
        inv.solve(inv.LinearProblem(**listed)).mean, inv.solve(inv.LinearProblem(**GOOD)).mean
    )


def test_sparse_covariances_are_taken():
    given = parts(prior_covariance=sp.csr_array(2 * np.eye(M)))
    plain = parts(prior_covariance=2 * np.eye(M))
    np.testing.assert_array_equal(
        inv.solve(inv.LinearProblem(**given)).mean, inv.solve(inv.LinearProblem(**plain)).mean
    )


def test_fixed_effects_are_taken_by_name_in_columns_and_sparse():
    columns = np.random.default_rng(1).uniform(size=(M, 2))
    forms = [columns, sp.csr_array(columns), {"a": columns[:, 0], "b": columns[:, 1]}]
    found = [inv.solve(inv.LinearProblem(**parts(fixed_effects=form))) for form in forms]
    for posterior in found[1:]:
        np.testing.assert_array_equal(posterior.mean, found[0].mean)
    assert found[0].fixed_effects.names == ("effect 0", "effect 1")
    assert found[2].fixed_effects.names == ("a", "b")


def test_an_operator_that_gives_nan_is_found_out():
    problem = inv.LinearProblem(**parts(jacobian=Operator(put(GOOD["jacobian"], (2, 0), NAN))))
    with pytest.raises(InputError, match="jacobian times the prior mean is not finite.*first at index 2"):
        inv.solve(problem)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="no method 'kalman'.*observations"):
        inv.solve(inv.LinearProblem(**GOOD), method="kalman")


def test_the_state_way_refuses_correlated_errors():
    problem = inv.LinearProblem(**parts(mismatch_covariance=np.eye(N) + 0.5))
    with pytest.raises(InputError, match='"state" needs independent errors.*Dense.*"observations"'):
        inv.solve(problem, method="state")


def test_an_observation_without_error_cannot_be_solved_for_in_state_space():
    problem = inv.LinearProblem(**parts(mismatch_covariance=[1.0, 0.0, 1.0, 1.0]))
    with pytest.raises(NumericalError, match="mismatch_covariance is not positive definite.*0 at index 1"):
        inv.solve(problem, method="state")


def test_totals_that_were_never_named_are_refused():
    posterior = inv.solve(inv.LinearProblem(**parts(totals=None)))
    with pytest.raises(InputError, match=r"names no totals.*estimate"):
        _ = posterior.totals


def test_collinear_fixed_effects_are_named():
    road = np.arange(1.0, M + 1)
    effects = {"road": road, "ships": np.ones(M), "double road": 2 * road}
    with pytest.raises(NumericalError) as caught:
        inv.solve(inv.LinearProblem(**parts(fixed_effects=effects)))
    message = str(caught.value)
    assert "cannot be told apart" in message and "'road', 'double road' are one" in message
    assert "ships" not in message and "condition number" in message and "leave one of them out" in message


def test_a_fixed_effect_that_nobody_sees_is_named():
    blind = put(GOOD["jacobian"], (slice(None), 0), 0.0)
    effects = {"road": np.ones(M), "quarry": put(np.zeros(M), 0, 1.0)}
    with pytest.raises(NumericalError, match="'quarry' is zero at all of them.*does not see"):
        inv.solve(inv.LinearProblem(**parts(jacobian=blind, fixed_effects=effects)))


def test_more_fixed_effects_than_observations_are_refused():
    with pytest.raises(NumericalError, match="more fixed effects than observations.*at most 4.*6: effect 0"):
        inv.solve(inv.LinearProblem(**parts(fixed_effects=np.eye(M))))


def test_as_many_fixed_effects_as_observations_leave_no_chi2():
    posterior = inv.solve(inv.LinearProblem(**parts(fixed_effects=np.eye(M)[:, :N])))
    assert np.isnan(posterior.chi2)
    # the fit is exact: what is left is rounding
    np.testing.assert_allclose(posterior.innovations, 0.0, atol=1e-12)


def test_labels_of_another_number_than_the_observations_are_refused():
    with pytest.raises(InputError, match=r"a label per observation.*\(4,\).*\(3,\)"):
        inv.solve(inv.LinearProblem(**GOOD)).leave_out(np.arange(3))


def test_values_of_another_number_than_the_parameters_are_refused():
    with pytest.raises(InputError, match=r"values has the wrong shape.*\(2,\), the parameters.*\(3,\)"):
        inv.LinearProblem(**GOOD).with_values([1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="scale must be a positive number.*-1"):
        inv.LinearProblem(**GOOD).with_values([1.0, -1.0])


def test_two_equal_observations_without_error_are_refused():
    same = np.repeat(GOOD["jacobian"][:1], N, axis=0)
    with pytest.raises(NumericalError, match="not positive definite|singular to the last digit"):
        inv.solve(inv.LinearProblem(**parts(jacobian=same, mismatch_covariance=0.0)), method="observations")


def test_lost_digits_are_said_with_their_number_and_nothing_is_regularised():
    """Two observations of one unknown: Ψ = [[1 + ε, 1], [1, 1 + ε]] of condition (2 + ε) / ε."""
    for error, digits in ((4e-13, 2), (1e-5, None)):
        problem = inv.LinearProblem(np.ones((2, 1)), [1.0, 1.0], 0.0, 1.0, error)
        if digits is None:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                posterior = inv.solve(problem, method="observations")
        else:
            with pytest.warns(PrecisionWarning, match=f"condition number 5.0e[+]12, about {digits} digits"):
                posterior = inv.solve(problem, method="observations")
        # dpocon estimates it in the 1-norm; for two rows that is exact but for rounding times itself
        assert posterior.condition == pytest.approx((2 + error) / error, rel=1e-2)
        # x̂ = 2 / (2 + ε), no more and no less: a jitter of 1e-10 would show here in the first case
        assert posterior.mean[0] == pytest.approx(2 / (2 + error), rel=1e-3 if digits else 1e-10)


@pytest.mark.parametrize("method", ["observations", "state"])
def test_observations_in_different_units_are_no_loss_of_digits(method):
    """y₂ in units of 1e9: Ψ is diagonal, and each unknown is half way between prior and observation."""
    h = np.diag([1.0, 1e-9])
    problem = inv.LinearProblem(h, np.array([1.0, 1e-9]), 0.0, 1.0, np.array([1.0, 1e-18]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior = inv.solve(problem, method)
    np.testing.assert_allclose(posterior.mean, 0.5, rtol=1e-15)
    np.testing.assert_allclose(posterior.std, np.sqrt(0.5), rtol=1e-15)


def test_the_condition_number_has_no_unit():
    rng = np.random.default_rng(2)
    h, unit = rng.normal(size=(8, 3)), 10.0 ** rng.integers(-9, 9, 8)
    plain = inv.LinearProblem(h[:5], np.ones(5), 0.0, 1.0, np.full(5, 0.1))
    other = inv.LinearProblem(unit[:5, None] * h[:5], unit[:5], 0.0, 1.0, 0.1 * unit[:5] ** 2)
    found, same = (inv.solve(p, "observations") for p in (plain, other))
    # the scaled matrices differ by rounding, 1e-16 times the condition of 1e2
    assert same.condition == pytest.approx(found.condition, rel=1e-10)
    later = [
        inv.update(p, inv.NewObservations(u[:, None] * h[5:], u, 0.1 * u**2))
        for p, u in ((found, np.ones(3)), (same, unit[5:]))
    ]
    # estimated from random vectors of signs, within a factor of three (Higham & Tisseur 2000)
    assert later[1].condition == pytest.approx(later[0].condition, rel=3.0)
    np.testing.assert_allclose(later[1].mean, later[0].mean, rtol=1e-10)


def test_variances_of_which_nothing_is_left_are_said():
    """y₁ sees x₁ at 1e9 σ: its variance is 1 − (1 − 1e-18), of which no digit is left; that of x₂ is ½."""
    problem = inv.LinearProblem(np.diag([1e9, 1.0]), [1e9, 1.0], 0.0, 1.0, 1.0, totals=np.eye(2))
    posterior = inv.solve(problem, "observations")
    for ask in (lambda: posterior.std, lambda: posterior.totals.std):
        with pytest.warns(PrecisionWarning, match="1 posterior variances fewer than four digits.*index 0"):
            assert ask()[1] == pytest.approx(np.sqrt(0.5), rel=1e-15)


def test_a_matrix_that_does_not_fit_into_memory_is_not_begun():
    m = 30_000
    problem = inv.LinearProblem(sp.csr_array((np.ones(1), ([0], [0])), shape=(1, m)), [1.0], 0.0, 1.0, 1.0)
    posterior = inv.solve(problem)
    for ask in (posterior.covariance, posterior.averaging_kernel):
        with pytest.raises(InputError, match=r"30000 unknowns does not fit into memory.*7 GiB.*totals"):
            ask()


COVARIANCES = {
    "length of zero": (lambda: cov.Exponential(0.0, 5), "length must be a positive number.*0.0"),
    "NaN length": (lambda: cov.Matern(NAN, 1.5, 5), "length must be a positive number.*nan"),
    "negative smoothness": (lambda: cov.Matern(1.0, -0.5, 5), "smoothness must be a positive number.*-0.5"),
    "no positions": (lambda: cov.Exponential(1.0, np.zeros(0)), "at has no positions"),
    "positions left out": (lambda: cov.Exponential(1.0), r"at has no positions.*hours \(p,\).*at=hours"),
    "NaN position": (lambda: cov.Exponential(1.0, [0.0, NAN]), "at has 1 values.*nan at index 1"),
    "positions in a tuple": (
        lambda: cov.Exponential(1.0, (0.5, 1.5)),
        r"at is no shape of a grid.*\(0.5, 1.5\).*a list or an array",
    ),
    "positions of three dimensions": (
        lambda: cov.Exponential(1.0, np.zeros((2, 2, 2))),
        r"at does not fit.*\(p,\) or \(s, d\).*\(2, 2, 2\)",
    ),
    "dates for positions": (
        lambda: cov.Exponential(48.0, np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[h]")),
        r"at holds dates.*datetime64\[h\].*gives hours",
    ),
    "dates for hours of the day": (
        lambda: cov.HourOfDay(3.0, 5.0, np.array(["2024-01-01"], dtype="datetime64[h]")),
        "hours holds dates.*gives hours",
    ),
    "three spacings for two axes": (
        lambda: cov.Matern(1.0, 1.5, (2, 2), spacing=(1.0, 2.0, 3.0)),
        "spacing does not fit",
    ),
    "σ of another size": (
        lambda: cov.Exponential(1.0, 3, std=np.ones(2)),
        r"std does not fit.*\(3,\).*\(2,\)",
    ),
    "negative σ": (lambda: cov.Exponential(1.0, 2, std=[1.0, -2.0]), "std is negative.*-2 at index 1"),
    "groups of another size": (
        lambda: cov.Exponential(1.0, 3, groups=[1, 2]),
        r"groups do not fit.*\(3,\).*\(2,\)",
    ),
    "a product with independent times": (
        lambda: cov.Kronecker(cov.Diagonal(np.ones(3)), cov.Exponential(1.0, (2, 2))),
        "time is no correlation.*Exponential or Matern or HourOfDay.*Diagonal.*Dense",
    ),
    "a product with hours of the day for space": (
        lambda: cov.Kronecker(cov.Exponential(1.0, 3), cov.HourOfDay(1.0, 3.0, np.arange(3.0))),
        "space is no correlation.*Exponential or Matern.*HourOfDay",
    ),
    "σ of a product of another size": (
        lambda: cov.Kronecker(cov.Exponential(1.0, 3), cov.Exponential(1.0, (2, 2)), np.ones(5)),
        r"std does not fit.*\(3,\), \(4,\), \(3, 4\) or \(12,\).*\(5,\)",
    ),
    "σ that may be of times or cells": (
        lambda: cov.Kronecker(cov.Exponential(1.0, 4), cov.Exponential(1.0, (2, 2)), np.ones(4)),
        r"may be of times or of cells.*\(4, 1\).*\(1, 4\)",
    ),
    "negative σ of a product": (
        lambda: cov.Kronecker(cov.Exponential(1.0, 3), cov.Exponential(1.0, (2, 2)), -1.0),
        "std is negative.*-1 at index",
    ),
    "NaN σ of a product": (
        lambda: cov.Kronecker(cov.Exponential(1.0, 1), cov.Exponential(1.0, (1, 2)), [[1.0, NAN]]),
        r"std has 1 values that are not finite.*nan at index \(0, 1\)",
    ),
    "a table of hours of another size": (
        lambda: cov.HourOfDay(1.0, np.eye(23), np.arange(3.0)),
        r"\(24, 24\).*\(23, 23\)",
    ),
    "a table of hours that is no correlation": (
        lambda: cov.HourOfDay(1.0, 2 * np.eye(24), np.arange(3.0)),
        "its diagonal is 1.*2.0",
    ),
    "no days": (lambda: cov.HourOfDay(0.0, 3.0, np.arange(3.0)), "days must be a positive number.*0.0"),
    "a sum of different sizes": (
        lambda: cov.Sum((cov.Diagonal(np.ones(2)), cov.Diagonal(np.ones(3)))),
        "parts of a sum differ in size.*2, 3",
    ),
    "a sum of nothing": (lambda: cov.Sum(()), "at least one part"),
    "a block of bare numbers": (
        lambda: cov.Block((np.ones(3),)),
        "part 0 is no covariance.*ndarray.*Diagonal",
    ),
    "a selection beyond the end": (
        lambda: cov.Diagonal(np.ones(3)).select(np.array([0, 3])),
        "beyond the unknowns.*0 … 2.*3 at index 1",
    ),
    "a selection of one thing twice": (
        lambda: cov.Diagonal(np.ones(3)).select(np.array([1, 1])),
        "names an unknown twice",
    ),
    "a selection by fractions": (
        lambda: cov.Diagonal(np.ones(3)).select(np.array([0.5])),
        "needs indices, or a mask.*float64",
    ),
    "a scale of zero": (lambda: cov.Diagonal(np.ones(3), scale=0.0), "scale must be a positive number.*0.0"),
}


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_covariance_that_cannot_be_is_refused(name):
    make, words = COVARIANCES[name]
    with pytest.raises(InputError, match=words):
        make()


def test_separable_totals_of_other_times_and_cells_are_refused_though_their_product_fits():
    prior = cov.Kronecker(cov.Exponential(1.0, 2), cov.Exponential(1.0, (1, 3)))
    turned = inv.SeparableTotals(np.ones((1, 3)), np.ones((1, 2)))
    words = "2 times and 3 cells.*3 times and 2 cells"
    with pytest.raises(InputError, match=words):
        inv.LinearProblem(**parts(prior_covariance=prior, totals=turned))
    posterior = inv.solve(inv.LinearProblem(**parts(prior_covariance=prior)))
    for ask in (posterior.estimate, posterior.mean_of, posterior.variance_of):
        with pytest.raises(InputError, match=words):
            ask(turned)


UPDATES = {
    "a number of an observation": ((np.ones((1, M)), 1.0, 1.0), r"observations has the wrong shape.*\(1,\)"),
    "observations in a column": ((np.ones((2, M)), np.ones((2, 1)), 1.0), r"observations.*\(2, 1\)"),
    "no observations": ((np.ones((0, M)), np.ones(0), 1.0), "no new observations.*k = 0"),
    "a masked observation": ((np.ones((1, M)), masked([1.0], 0), 1.0), "observations has 1 masked values"),
}


@pytest.mark.parametrize("name", UPDATES)
def test_new_observations_that_cannot_be_are_refused(name):
    given, words = UPDATES[name]
    with pytest.raises(InputError, match=words):
        inv.update(inv.solve(inv.LinearProblem(**GOOD)), inv.NewObservations(*given))


@pytest.mark.parametrize("new", [{"jacobian": np.ones((1, M))}, (np.ones((1, M)), [1.0], 1.0), None])
def test_what_are_no_new_observations_is_refused(new):
    with pytest.raises(InputError, match="update takes new observations.*NewObservations"):
        inv.update(inv.solve(inv.LinearProblem(**GOOD)), new)


def test_what_is_no_problem_is_not_solved():
    problem = inv.LinearProblem(**GOOD)
    with pytest.raises(InputError, match="solve takes a problem.*NoneType.*LinearProblem"):
        inv.solve(None)
    with pytest.raises(InputError, match=r"LinearPosterior.*posterior\.problem"):
        inv.solve(inv.solve(problem))
    with pytest.raises(InputError, match=r"plain arrays.*problem\.linear\(\)"):
        inv.hyper.sample(object())


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (np.ones(3), r"start does not fit.*\(2,\), the parameters.*\(3,\)"),
        ([1.0, -1.0], "start has values that are not positive.*-1.0 at index 1"),
        ([NAN, 1.0], "start has values that are not positive.*nan at index 0"),
        (["a", "b"], "start holds no real numbers"),
    ],
)
def test_a_search_cannot_start_anywhere(start, words):
    with pytest.raises(InputError, match=words):
        inv.hyper.maximise_evidence(inv.LinearProblem(**GOOD), start=start)
