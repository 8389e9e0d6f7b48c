"""Real observations: methane at Mace Head and Tacolneston in March 2013, and a published Jacobian.

Sixty daily means y, their σ, and `h_v_all` (60, 6508): four sides of the boundary, four outer regions and
65 × 100 cells, all as scalings of a prior, so that the prior prediction is the sum of each row.

A fit proves nothing here: 156 of the 160 ppb of prior misfit are the boundary's, and 6,508 scalings can
follow 60 numbers.  So models are compared by what they predict of observations they have not seen::

    without     the boundary alone: y = B b + ε
    inventory   the boundary, and the fluxes as the inventory has them
    estimated   the boundary, and every outer region and cell

under the same rules.  The level of the boundary is free (flat), its sides depart from it by about 1 %; the
errors are independent (the file's σ, and a size per station) and correlated in time within a station.  The
latter are stated in two ways: "transport", a fraction of the enhancement that the inventory predicts (one
reference for all models), and "constant".  Scales, correlation time and length have maximum evidence.

What was found (figures printed with -s; ± is 1σ, from the spread between days or blocks of five):

- Left out one by one the estimated fluxes predict with an RMS of 21.9 ppb and a standardised variance of
  0.96; days 21.8 ppb and 0.96, five days 30.2 ppb and 0.90, one station from the other 32.1 ppb and 0.82.
- **Estimating the fluxes adds no skill to the inventory.**  With the scales fitted anew without each day, the
  squared errors fall by 1 ± 5 % (RMS 22.7 against 22.8 ppb) and the ln of the predictive density by 2.8 ± 2.2
  over the month; by five days it rises by 1.3 ± 2.2, by stations by 1.9 ± 3.2 (squares lower by 11 ± 11 %).
  The evidences are alike to 0.1.  Eight pieces of information come from 60 observations, three of them about
  the boundary.
- The inventory itself has skill: without it one station is predicted from the other at 96 ppb, not 33, and
  the ln of the density is lower by 71 ± 13.  From day to day it hardly shows, because correlated errors in
  proportion to it stand in for it.
- With constant errors the fluxes seem to help (ln density + 15 ± 15), because they take up errors of
  transport on the still days of 5 to 8 March.  Those errors describe the data worse: ln evidence is lower by
  12 with estimated fluxes, by 28 with the inventory's, and days left out are missed with a standardised
  variance of 1.6.  Student-t errors find those days by themselves, and bring the flux back to what the better
  errors say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pytest
import xarray as xr

from monitor import inversion as inv
from monitor.inversion import covariance as cov
from monitor.inversion.robust import independent_variance, reweighted

pytestmark = pytest.mark.real_data

FILE = "inversions/uk-ch4-march-2013/output_AGAGE_CH4_2013-03-01.nc"
SIDES, OUTER, GRID = 4, 4, (65, 100)
#: Cells of 0.234° × 0.352° [km], at the latitude of Tacolneston.
SPACING = (26.0, 23.8)
MODELS = ("without", "inventory", "estimated")
ERRORS = ("transport", "constant")
#: The instrument's σ stand as they are given: the size per station is added to them.
HELD = ("mismatch 0 scale",)
LENGTH = "prior 2 length"


@dataclass(frozen=True, eq=False)
class March:
    """The file: mole fractions [ppb], scalings as unknowns."""

    data: xr.Dataset

    @cached_property
    def jacobian(self) -> np.ndarray:
        return self.data["h_v_all"].values

    @cached_property
    def y(self) -> np.ndarray:
        return self.data["y"].values

    @cached_property
    def station(self) -> np.ndarray:
        return self.data["y_site"].values.astype(str)

    @cached_property
    def day(self) -> np.ndarray:
        return (self.data["y_time"].values - np.datetime64("2013-03-01")) // np.timedelta64(1, "D")

    @cached_property
    def boundary(self) -> np.ndarray:
        return self.jacobian[:, :SIDES]

    @cached_property
    def enhancement(self) -> np.ndarray:
        """What the inventory adds to the boundary (n,): the reference of the transport's errors."""
        return self.jacobian[:, SIDES:].sum(axis=1)

    @cached_property
    def totals(self) -> np.ndarray:
        """The flux of the domain and of a box around the islands, as scalings of the inventory's (2, m)."""
        lat, lon = (self.data[name].values for name in ("lat", "lon"))
        flux = self.data["q_ap"].values * np.cos(np.deg2rad(lat))[:, None]
        islands = ((lat > 49.8) & (lat < 59.0))[:, None] & (lon > -8.3) & (lon < 1.8)
        rows = np.zeros((2, self.jacobian.shape[1]))
        for row, weight in zip(rows, (flux, flux * islands), strict=True):
            row[SIDES + OUTER :] = (weight / weight.sum()).ravel()
        return rows

    def groups(self, name: str) -> np.ndarray:
        """Labels (n,) of what is left out together."""
        return {
            "observation": np.arange(self.y.size),
            "day": self.day,
            "5 days": self.day // 5,
            "station": self.station,
        }[name]


def mismatch(march: March, errors: str) -> cov.Sum:
    """Instrument, a size per station, and errors correlated in time [d] within a station; prior medians."""
    size = 0.3 * march.enhancement if errors == "transport" else 10.0
    return cov.Sum(
        (
            cov.Diagonal(march.data["sigma_measure"].values ** 2),
            *(cov.Diagonal(np.where(march.station == name, 10.0**2, 0.0)) for name in ("MHD", "TAC")),
            cov.Exponential(2.0, march.day.astype("f8"), std=size, groups=march.station),
        )
    )


def sides() -> cov.Diagonal:
    return cov.Diagonal(np.full(SIDES, 0.01**2))


def stated(march: March, model: str, errors: str) -> inv.LinearProblem:
    """A model with all its unknowns; the level of the boundary is a fixed effect."""
    jacobian, prior, known = march.boundary, sides(), 0.0
    if model == "inventory":
        known = march.enhancement
    if model == "estimated":
        jacobian = march.jacobian
        cells = cov.Exponential(200.0, GRID, spacing=SPACING)
        prior = cov.Block((sides(), cov.Diagonal(np.full(OUTER, 0.5**2)), cells))
    level = np.zeros(jacobian.shape[1])
    level[:SIDES] = 1.0
    return inv.LinearProblem(
        jacobian,
        march.y - known,
        1.0,
        prior,
        mismatch(march, errors),
        totals=march.totals if model == "estimated" else None,
        fixed_effects={"level": level},
    )


def in_observations(march: March, errors: str, length: float) -> inv.LinearProblem:
    """The estimated fluxes at a held length, with what the observations see of the cells as unknowns.

    (60, 68) in place of (60, 6508), and the same answer: for the many fits.
    """
    cells = march.jacobian[:, SIDES + OUTER :]
    seen = cov.Dense(cov.Exponential(length, GRID, spacing=SPACING).observe(cells))
    n = march.y.size
    jacobian = np.column_stack([march.jacobian[:, : SIDES + OUTER], np.eye(n)])
    mean, level = np.zeros((2, jacobian.shape[1]))
    mean[: SIDES + OUTER] = 1.0
    level[:SIDES] = 1.0
    prior = cov.Block((sides(), cov.Diagonal(np.full(OUTER, 0.5**2)), seen))
    return inv.LinearProblem(
        jacobian,
        march.y - cells.sum(axis=1),
        mean,
        prior,
        mismatch(march, errors),
        fixed_effects={"level": level},
    )


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of observations left out: errors and their 1σ [ppb]."""

    residual: np.ndarray
    std: np.ndarray

    @property
    def rms(self) -> float:
        return float(np.sqrt(np.mean(self.residual**2)))

    @property
    def variance(self) -> float:
        return float(np.mean((self.residual / self.std) ** 2))

    @property
    def coverage(self) -> float:
        return float(np.mean(np.abs(self.residual) < 1.96 * self.std))

    @property
    def log_density(self) -> np.ndarray:
        """(n,)."""
        return -0.5 * ((self.residual / self.std) ** 2 + np.log(2 * np.pi * self.std**2))

    def __str__(self) -> str:
        return (
            f"RMS {self.rms:5.1f} ppb, variance {self.variance:.2f}, coverage {self.coverage:.3f}, "
            f"ln density {self.log_density.sum():.1f}"
        )


def left_out(problem: inv.LinearProblem, groups: np.ndarray) -> Prediction:
    found = inv.solve(problem).leave_out(groups)
    return Prediction(found.residual, found.std)


def refitted(problem: inv.LinearProblem, groups: np.ndarray, start: np.ndarray) -> Prediction:
    """Each group from the others, with the scales fitted to the others too.

    `problem` is as it was stated: the prior of the scales must not be about values that have seen the group.
    """
    residual, std = np.empty(problem.n), np.empty(problem.n)
    for group in np.unique(groups):
        rows, keep = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
        others = inv.LinearProblem(
            problem.jacobian[keep],
            problem.observations[keep],
            problem.prior_mean,
            problem.prior_covariance,
            problem.mismatch_covariance.select(keep),
            fixed_effects=problem.fixed_effects,
        )
        fit = inv.hyper.maximise_evidence(others, fixed=HELD, start=start)
        found = inv.solve(problem.with_values(fit.values)).leave_out(groups)
        residual[rows], std[rows] = found.residual[rows], found.std[rows]
    return Prediction(residual, std)


def as_if_new(posterior: inv.LinearPosterior, groups: np.ndarray, likelihood: str) -> Prediction:
    """Groups left out, as if nothing were known of their own weights.

    A Student-t error of scale σ has the variance σ² ν/(ν − 2); an observation's own weight, σ²/w, is found
    from the observation, and would make every outlier foreseen.
    """
    found = posterior.leave_out(groups)
    if likelihood == "gaussian":
        return Prediction(found.residual, found.std)
    nu = 4.0  # what solve_student_t takes
    weighted = independent_variance(posterior.problem.mismatch_covariance)
    new = posterior.weights * weighted * nu / (nu - 2.0)
    return Prediction(found.residual, np.sqrt(found.std**2 - weighted + new))


def gained(march: March, gain: np.ndarray) -> tuple[float, float]:
    """The sum over the month of what was gained at each observation, and its 1σ from days or blocks of five.

    Whichever is the larger: neighbouring days are not independent, and there are only seven blocks.
    """
    spreads = []
    for width in (1, 5):
        label = march.day // width
        blocks = np.array([gain[label == k].sum() for k in np.unique(label)])
        spreads.append(float(blocks.std(ddof=1) * np.sqrt(blocks.size)))
    return float(gain.sum()), max(spreads)


@pytest.fixture(scope="module")
def march(real_data) -> March:
    with xr.open_dataset(real_data / FILE) as data:
        return March(data.load())


@pytest.fixture(scope="module")
def fit(march):
    """The estimated fluxes at full resolution, errors of transport: every scale, time and length free."""
    return inv.hyper.maximise_evidence(stated(march, "estimated", "transport"), fixed=HELD)


@pytest.fixture(scope="module")
def problems(march, fit):
    """Each model with each kind of errors as it was stated; the cells at the length found above."""
    plain = {(model, errors): stated(march, model, errors) for model, errors in product(MODELS[:2], ERRORS)}
    cells = {("estimated", errors): in_observations(march, errors, fit[LENGTH]) for errors in ERRORS}
    return plain | cells


@pytest.fixture(scope="module")
def fits(problems):
    return {key: inv.hyper.maximise_evidence(problem, fixed=HELD) for key, problem in problems.items()}


@pytest.fixture(scope="module")
def blind(march, problems, fits):
    """Predictions with the scales fitted without what is predicted: of days, five days, and stations."""
    transport = list(product(MODELS, ("transport",), ("day", "5 days", "station")))
    constant = list(product(MODELS[1:], ("constant",), ("day",)))
    return {
        (model, errors, name): refitted(
            problems[model, errors], march.groups(name), fits[model, errors].values
        )
        for model, errors, name in transport + constant
    }


def test_the_file_is_what_it_is_taken_for(march):
    assert march.jacobian.shape == (60, SIDES + OUTER + GRID[0] * GRID[1])
    assert int(march.data["nIC"]) == SIDES + OUTER
    # its own prior prediction, to the rounding of a sum of 6,508 numbers
    np.testing.assert_allclose(march.jacobian.sum(axis=1), march.data["y_prior"], rtol=1e-12)
    assert dict(zip(*np.unique(march.station, return_counts=True), strict=True)) == {"MHD": 31, "TAC": 29}


@pytest.mark.parametrize(("columns", "known"), [(SIDES, 22.6), (SIDES + OUTER, 17.3)])
def test_the_boundary_alone_takes_156_of_160_ppb_of_misfit(march, columns, known):
    """Four free columns reach 22.6 ppb, the south at 8.6 times its prior; with the outer regions 17.3."""
    residual = march.y - march.jacobian.sum(axis=1)
    before = np.sqrt(np.mean(residual**2))
    assert before == pytest.approx(159.9, abs=0.05)  # figures known to the digits given
    assert residual.mean() == pytest.approx(-156.3, abs=0.05)
    free = march.jacobian[:, :columns]
    problem = inv.LinearProblem(free, residual, 0.0, 1.0, 20.0**2, fixed_effects=np.eye(columns))
    posterior = inv.solve(problem)
    after = np.sqrt(np.mean(posterior.innovations**2))
    one_by_one = left_out(problem, march.groups("observation"))
    print(
        f"\n{columns} free columns: RMS {before:.1f} -> {after:.1f} ppb, left out one by one "
        f"{one_by_one.rms:.1f} ppb, factors {np.round(1 + posterior.mean, 3)}"
    )
    assert after == pytest.approx(known, abs=0.05)
    # least squares, and its residuals left out by the diagonal of the hat matrix; columns of condition 1e3
    strength = np.linalg.lstsq(free, residual, rcond=None)[0]
    q = np.linalg.qr(free)[0]
    rest = (residual - free @ strength) / (1.0 - np.sum(q**2, axis=1))
    np.testing.assert_allclose(posterior.beta, strength, rtol=1e-8)
    np.testing.assert_allclose(one_by_one.residual, rest, rtol=0, atol=1e-8 * np.abs(rest).max())


def test_6508_scalings_are_68_to_the_observations(march, fit):
    """The answer at full resolution is that of the unknowns which the observations see."""
    full = inv.solve(fit.problem)
    small = in_observations(march, "transport", fit[LENGTH])
    at = [fit.parameters[k].name != LENGTH for k in range(len(fit.parameters))]
    other = inv.solve(small.with_values(fit.values[at]))
    # the same covariance, summed in another order
    assert other.log_evidence == pytest.approx(full.log_evidence, abs=1e-8)
    for name in ("observation", "day", "station"):
        a, b = (left_out(p, march.groups(name)) for p in (full.problem, other.problem))
        np.testing.assert_allclose(a.residual, b.residual, rtol=0, atol=1e-8 * np.abs(a.residual).max())
        np.testing.assert_allclose(a.std, b.std, rtol=1e-8)


def test_left_out_observations_are_predicted_within_31_ppb_and_calibrated(march, fit, fits):
    posterior, fixed_fluxes = inv.solve(fit.problem), fits["inventory", "transport"].problem
    print(f"\nln evidence {fit.log_evidence:.1f}, chi2 {posterior.chi2:.2f}, DOFS {posterior.dofs:.1f}")
    for parameter, value, (low, high) in zip(fit.parameters, fit.values, fit.interval(), strict=True):
        print(f"  {parameter.name}: {value:.3g} ({low:.3g} … {high:.3g})")
    found = {}
    for name in ("observation", "day", "5 days", "station"):
        found[name] = left_out(fit.problem, march.groups(name))
        print(f"  without each {name}: {found[name]}")
        print(f"    with the inventory's fluxes: {left_out(fixed_fluxes, march.groups(name))}")
    assert found["observation"].rms <= 31.0
    for name in ("observation", "day"):
        assert 0.8 <= found[name].variance <= 1.2
        # 60 draws at 95 %: 53 or more in 97 of 100 cases
        assert found[name].coverage >= 53 / 60
    # near 1 by construction, as the scales were fitted: it is the rows above that say something
    assert 0.8 <= posterior.chi2 <= 1.2
    # an answer, not a copy of the data: far fewer pieces of information than observations
    assert posterior.dofs < 15


def test_scales_fitted_without_the_day_leave_it_calibrated(blind):
    """The figures above, with nothing of the day in the scales either."""
    found = blind["estimated", "transport", "day"]
    print(f"\nestimated, scales without the day: {found}")
    assert found.rms <= 31.0
    # 60 squares of independent normal numbers have a mean of 1 ± 0.18: 0.68 … 1.39 in 95 of 100 cases
    assert 0.68 <= found.variance <= 1.39
    assert found.coverage >= 53 / 60


def test_the_estimated_fluxes_add_no_skill_to_the_inventory(march, fits, blind):
    """Neither squared errors, nor the predictive density, nor the evidence tell them apart."""
    evidence = {model: fits[model, "transport"].log_evidence for model in MODELS}
    print(f"\nln evidence: {', '.join(f'{model} {value:.1f}' for model, value in evidence.items())}")
    assert abs(evidence["estimated"] - evidence["inventory"]) < 2.0  # weak by any scale of Bayes factors
    for name in ("day", "5 days", "station"):
        one, other = (blind[model, "transport", name] for model in ("inventory", "estimated"))
        squares, spread = gained(march, one.residual**2 - other.residual**2)
        density, width = gained(march, other.log_density - one.log_density)
        print(f"  without each {name}, inventory: {one}\n  without each {name}, estimated: {other}")
        share = 100 / np.sum(one.residual**2)
        print(f"    gain: {squares * share:.0f} ± {spread * share:.0f} % of squares")
        print(f"    ln density {density:+.1f} ± {width:.1f}")
        assert abs(squares) < 2 * spread
        assert abs(density) < 2 * width


def test_the_inventory_has_skill_between_stations(march, blind):
    """Without fluxes the other station's methane is no guide; the days before and after at home are."""
    for name in ("day", "5 days", "station"):
        one, other = (blind[model, "transport", name] for model in ("without", "inventory"))
        gain, width = gained(march, other.log_density - one.log_density)
        print(f"\n  without each {name}, no fluxes: {one}\n  without each {name}, inventory: {other}")
        print(f"    ln density {gain:+.1f} ± {width:.1f}")
    assert gain > 3 * width
    assert other.rms < 0.5 * one.rms


def test_constant_errors_make_fluxes_look_useful_and_are_worse(march, fits, blind):
    for model in MODELS[1:]:
        found = blind[model, "constant", "day"]
        print(f"\n{model}, ln evidence {fits[model, 'constant'].log_evidence:.1f}, {found}")
        # a Bayes factor of 150 is decisive (Kass & Raftery 1995)
        assert fits[model, "constant"].log_evidence < fits[model, "transport"].log_evidence - 5.0
        assert found.variance > 1.39  # beyond 95 % of right models
    one, other = (blind[model, "constant", "day"] for model in MODELS[1:])
    gain, width = gained(march, other.log_density - one.log_density)
    print(f"ln density {gain:+.1f} ± {width:.1f}")
    assert 0 < gain < 2 * width


def with_student_t(
    march: March, errors: str, length: float, normal: inv.hyper.Fit
) -> tuple[inv.LinearPosterior, inv.LinearPosterior]:
    """The fluxes at full resolution with normal errors, and with scales and weights found in turn."""
    problem, heavy = in_observations(march, errors, length), normal
    for _ in range(5):
        weights = inv.solve(problem.with_values(heavy.values), likelihood="student-t").weights
        heavy = inv.hyper.maximise_evidence(reweighted(problem, weights), fixed=HELD, start=heavy.values)
    whole = stated(march, "estimated", errors)
    at = [p.name for p in whole.parameters].index(LENGTH)
    plain, tailed = (whole.with_values(np.insert(found.values, at, length)) for found in (normal, heavy))
    return inv.solve(plain), inv.solve(tailed, likelihood="student-t")


@pytest.fixture(scope="module")
def robust(march, fit, fits):
    found = {
        errors: with_student_t(march, errors, fit[LENGTH], fits["estimated", errors]) for errors in ERRORS
    }
    for (errors, pair), likelihood in product(found.items(), ("gaussian", "student-t")):
        posterior = pair[likelihood == "student-t"]
        totals = posterior.totals
        print(f"\n{errors}, {likelihood}: domain, islands {totals.mean.round(3)} ± {totals.std.round(3)}")
        print(f"  of the inventory; share from data {totals.share_from_data.round(2)}")
        print(f"  without each day: {as_if_new(posterior, march.day, likelihood)}")
        low = np.argsort(posterior.weights)[: np.sum(posterior.weights < 0.5)]
        named = (f"{march.station[i]} {march.day[i] + 1} March {posterior.weights[i]:.2f}" for i in low)
        print(f"  weights below 0.5: {', '.join(named) or 'none'}")
    return found


def test_student_t_changes_nothing_where_the_errors_are_right(march, robust):
    normal, heavy = robust["transport"]
    assert np.sum(heavy.weights < 0.5) <= 3  # one in twenty
    assert (np.abs(heavy.totals.mean - normal.totals.mean) < 0.5 * normal.totals.std).all()
    # as for the refits above: the mean of 60 squares
    assert 0.68 <= as_if_new(heavy, march.day, "student-t").variance <= 1.39


def test_student_t_finds_the_still_days_where_the_errors_are_too_plain(march, robust):
    """With constant errors the still days at Tacolneston lose their weight, and their hold on the flux."""
    normal, heavy = robust["constant"]
    at = {(name, day + 1): k for k, (name, day) in enumerate(zip(march.station, march.day, strict=True))}
    assert heavy.weights[[at["TAC", 6], at["TAC", 7]]].max() < 0.5
    right = robust["transport"][0].totals
    assert abs(heavy.totals.mean[0] - right.mean[0]) < 0.5 * abs(normal.totals.mean[0] - right.mean[0])
