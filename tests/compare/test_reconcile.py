"""The two ledgers: rows sum, the prior is no second witness, and missing terms come before the word gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_worlds import CELLS, GRID, dense_q, interval, make_world

from monitor import units
from monitor.compare.claims import Quantity, Variant, answer
from monitor.compare.reconcile import (
    Amount,
    assigned_covariance,
    difference_with_prior,
    free_sectors,
    is_prior_driven,
    sector_shares,
    split_by_sector,
)
from monitor.compare.terms import ADDS, EITHER, Term, human_respiration, missing_terms, weigh_gap
from monitor.errors import NumericalError
from monitor.inversion import Correlation, FluxBlock, solve
from monitor.inversion.assumptions import TransportScale

EPOCHS = {"before": interval(0, 12), "after": interval(40, 12)}
AREA = GRID.cell_area_m2().ravel()
FACTOR = units.tonnes_per_year("co2")
NO_SCALE = TransportScale()
WEST = np.where(np.arange(CELLS) % 5 < 2, 1.0, np.where(np.arange(CELLS) % 5 == 2, 0.4, 0.0))


@pytest.fixture(scope="module")
def posterior():
    block = FluxBlock("total", relative_sd=0.3, correlation=Correlation(time_days=400.0))
    world = make_world(3, stations=3, every_hours=6, epochs=EPOCHS, block=block)
    return replace(solve(world.problem()), inflation=1.0)


def fields(posterior) -> np.ndarray:
    """Two sectors that sum to the prior: one on the even cells mostly, the other the rest."""
    prior = posterior.problem.blocks[0].prior[0]
    share = np.where(np.arange(CELLS) % 2 == 0, 0.8, 0.1)
    return np.stack([share * prior, (1 - share) * prior])


def quantity(fraction=WEST, transport=NO_SCALE, patterns=None) -> Quantity:
    return Quantity("co2", "west", "total", fraction, AREA, (EPOCHS["after"],), patterns or {}, {}, transport)


# --- sectors ---------------------------------------------------------------------------------------------


def test_sectors_sum_to_their_block_with_covariance(posterior):
    split = split_by_sector(quantity(), posterior, fields(posterior))
    whole = split_by_sector(quantity(), posterior, fields(posterior).sum(axis=0)[None])
    assert split.prior.sum() == pytest.approx(whole.prior[0], rel=1e-12)
    assert split.posterior.sum() == pytest.approx(whole.posterior[0], rel=1e-10)
    assert split.covariance.sum() == pytest.approx(whole.covariance[0, 0], rel=1e-9)
    assert split.prior_covariance.sum() == pytest.approx(whole.prior_covariance[0, 0], rel=1e-9)
    assert split.whole_share == pytest.approx(whole.share[0], rel=1e-9)


def test_the_transport_scale_keeps_the_sum(posterior):
    """It is one factor for all sectors, so their σ add."""
    scale = TransportScale(common_sd=0.2)
    plain, scaled = (
        split_by_sector(quantity(transport=t), posterior, fields(posterior))
        for t in (TransportScale(), scale)
    )
    extra = scaled.covariance.sum() - plain.covariance.sum()
    assert extra == pytest.approx((0.2 * plain.posterior.sum()) ** 2, rel=1e-9)
    np.testing.assert_allclose(scaled.share, plain.share)


def test_sector_posteriors_are_those_of_the_dense_state(posterior):
    problem = posterior.problem
    (block,) = problem.blocks
    h, q = block.jacobian.toarray(), dense_q(block, problem.values_of("total", posterior.values))
    psi = problem.model.covariance(posterior.values)
    gain = q @ h.T @ np.linalg.inv(psi)
    state, spread = block.prior.ravel() + gain @ problem.residual, q - gain @ h @ q
    share = np.where(np.arange(CELLS) % 2 == 0, 0.8, 0.1)
    rows = FACTOR * np.stack([np.r_[np.zeros(CELLS), WEST * AREA * s] for s in (share, 1 - share)])
    found = split_by_sector(quantity(), posterior, fields(posterior))
    np.testing.assert_allclose(found.posterior, rows @ state, rtol=1e-8)
    np.testing.assert_allclose(found.covariance, rows @ spread @ rows.T, rtol=1e-7)
    change = np.r_[np.zeros(CELLS), WEST * fields(posterior)[0]]
    assert found.response[0] == pytest.approx(
        rows[0] @ gain @ h @ change / (rows[0] @ block.prior.ravel()), rel=1e-8
    )


def test_exact_data_give_each_free_sector_its_truth(posterior):
    """Traffic halved, heating doubled: the flat estimate finds both, whatever the prior says."""
    problem = posterior.problem
    (block,) = problem.blocks
    one, two = fields(posterior)
    before = 1.7 * (one + two)
    after = np.where(WEST > 0, WEST * (0.5 * one + 2.0 * two) + (1 - WEST) * (one + two), one + two)
    value = problem.baseline + block.jacobian @ np.concatenate([before, after])
    told = replace(posterior, problem=replace(problem, table=replace(problem.table, value=value)))
    totals, _ = free_sectors(quantity(), told, fields(posterior))
    inside = FACTOR * (AREA * WEST)
    np.testing.assert_allclose(totals, [0.5 * inside @ one, 2.0 * inside @ two], rtol=1e-7)


def test_one_free_sector_is_the_verdicts_own_estimate(posterior):
    whole = fields(posterior).sum(axis=0)
    totals, covariance = free_sectors(quantity(), posterior, whole[None])
    verdict = answer(quantity(patterns={"map": whole}), Variant("main", posterior), "map")
    assert totals[0] == pytest.approx(verdict.totals[0], rel=1e-9)
    # a cell that the edge cuts: the verdict's pattern counts in full, here the residual of its part too
    assert covariance[0, 0] == pytest.approx(verdict.covariance[0, 0], rel=1e-9)


def test_sectors_of_one_layout_cannot_be_told_apart(posterior):
    whole = fields(posterior).sum(axis=0)
    with pytest.raises(NumericalError, match="cannot be told apart"):
        free_sectors(quantity(), posterior, np.stack([0.3 * whole, 0.7 * whole]))


@given(st.integers(0, 10_000))
def test_shares_sum_to_one_in_every_cell(seed):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, 12)) * (rng.random((3, 12)) < 0.6)
    np.testing.assert_allclose(sector_shares(maps).sum(axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("share", "response", "driven"),
    [
        (0.9, (0.95, 1.1), False),
        (0.4, (0.95, 1.1), True),
        (0.9, (0.7, 1.1), True),
        (0.9, (0.95, 1.3), True),
        (0.9, None, False),
    ],
)
def test_a_number_is_the_priors_when_the_data_took_little_or_show_too_little_or_too_much(
    share, response, driven
):
    assert is_prior_driven(share, response) is driven


# --- uncertainties and differences -----------------------------------------------------------------------


def test_assigned_errors_add_as_declared():
    values, relative = np.array([30.0, 40.0]), np.array([0.1, 0.1])
    assert np.sqrt(assigned_covariance(values, relative, 0.0).sum()) == pytest.approx(5.0)  # 3, 4, 5
    assert np.sqrt(assigned_covariance(values, relative, 1.0).sum()) == pytest.approx(7.0)


def test_what_the_data_moved_has_the_variance_of_prior_less_posterior():
    """Scalar: prior variance 4, error variance 4, so posterior 2; the shift is half of y − x_a ~ N(0, 8)."""
    prior, posterior = Amount(10.0, 2.0), Amount(11.0, np.sqrt(2.0))
    same = difference_with_prior(prior, prior, posterior, 1.0)
    assert (same.value, same.sigma) == (pytest.approx(1.0), pytest.approx(np.sqrt(2.0)))
    apart = difference_with_prior(prior, prior, posterior, 0.0)
    assert apart.sigma == pytest.approx(np.sqrt(6.0))


def test_the_covariance_of_inventory_and_posterior_is_that_of_simulated_worlds():
    rng = np.random.default_rng(0)
    n, rho, sd_prior, sd_table, sd_data = 400_000, 0.6, 2.0, 3.0, 1.5
    e_prior = sd_prior * rng.standard_normal(n)
    e_table = sd_table * (rho * e_prior / sd_prior + np.sqrt(1 - rho**2) * rng.standard_normal(n))
    gain = sd_prior**2 / (sd_prior**2 + sd_data**2)
    e_post = (1 - gain) * e_prior + gain * sd_data * rng.standard_normal(n)
    found = difference_with_prior(
        Amount(0.0, sd_table), Amount(0.0, sd_prior), Amount(0.0, np.sqrt(1 - gain) * sd_prior), rho
    )
    # 400,000 draws know a σ to 0.11 %
    assert found.sigma == pytest.approx(np.std(e_post - e_table), rel=5e-3)


# --- terms and gaps --------------------------------------------------------------------------------------


def test_a_million_people_breathe_out_a_third_of_a_megatonne_a_year():
    term = human_respiration(1e6)
    assert term.value == pytest.approx(365_250.0) and term.sigma == pytest.approx(73_050.0)
    assert "Prairie" in term.source


def test_terms_are_listed_until_somebody_holds_them():
    names = [t.name for t in missing_terms("co2", ["road"], None)]
    assert names == ["human-respiration", "livestock-respiration", "biofuels", "biosphere"]
    held = missing_terms("co2", ["road", "Biosphere"], 1e6, [Term("biofuels", ADDS, 5.0, 1.0, "own count")])
    assert {t.name: t.value for t in held} == {
        "human-respiration": pytest.approx(365_250.0), "livestock-respiration": None, "biofuels": 5.0,
    }  # fmt: skip
    assert [t.name for t in missing_terms("ch4", [], None, [Term("sewers", ADDS, 1.0, 1.0)])] == [
        "waters-and-wetlands", "sewers",
    ]  # fmt: skip


class TestIndianapolis:
    """Gurney et al. (2017, Elementa 5, 44): the inversion 0.94 Mt C above 5.03 Mt C, 18.7 %, two σ.

    The difference, its significance and the largest term (respiration) are the paper's; the sizes of the
    single terms below are stand-ins that sum to it: what is tested is what may be said when.
    """

    bottom_up, difference, sigma = 5.03, 0.94, 0.46
    respiration = Term("biosphere", EITHER, 0.60, 0.15, "chamber and 14CO2 measurements")
    people = Term("human-respiration", ADDS, 0.15, 0.03, "population")
    biofuels = Term("biofuels", ADDS, 0.10, 0.03, "fuel sales")
    animals = Term("livestock-respiration", ADDS, 0.03, 0.01, "head count")

    def status(self, *terms: Term) -> str:
        return weigh_gap(self.difference, self.sigma, terms).status

    def test_the_difference_is_the_papers(self):
        assert self.difference / self.bottom_up == pytest.approx(0.187, abs=5e-4)
        assert self.difference / self.sigma > 1.96

    def test_while_a_term_has_no_size_nobody_says_gap(self):
        unknown = [replace(t, value=None, sigma=None) for t in (self.respiration, self.people)]
        assert self.status(*unknown) == "terms-missing"
        # and a small known term does not change that
        assert self.status(replace(self.respiration, value=None), self.animals) == "terms-missing"

    def test_counted_terms_close_it(self):
        gap = weigh_gap(
            self.difference, self.sigma, (self.respiration, self.people, self.biofuels, self.animals)
        )
        assert gap.status == "closed-by-terms"
        assert abs(gap.left) / self.bottom_up < 0.05
        assert gap.left_sigma > self.sigma  # the terms bring their own doubt

    def test_without_any_it_is_a_gap(self):
        nothing = [replace(t, value=0.0, sigma=0.0) for t in (self.respiration, self.people, self.biofuels)]
        assert self.status() == self.status(*nothing) == "gap"

    def test_air_below_the_inventory_is_not_explained_by_breathing(self):
        people = replace(self.people, value=None, sigma=None)
        assert weigh_gap(-self.difference, self.sigma, (people,)).status == "gap"
        uptake = replace(self.respiration, value=None, sigma=None)
        assert weigh_gap(-self.difference, self.sigma, (people, uptake)).status == "terms-missing"

    def test_what_the_data_do_not_carry_is_no_gap(self):
        assert weigh_gap(self.difference, self.sigma, (), prior_driven=True).status == "prior-driven"

    def test_an_agreement_that_leaves_no_room_for_people_is_a_difference(self):
        """Air equal to the fossil inventory, though people must be in it too."""
        many = Term("human-respiration", ADDS, 1.5, 0.1, "")
        assert weigh_gap(0.0, self.sigma, (many,)).status == "gap"


@given(st.floats(-5, 5), st.floats(0.1, 2), st.lists(st.floats(0, 1), max_size=3))
def test_an_unknown_term_never_makes_a_gap(value, sigma, sizes):
    known = [Term(f"t{k}", ADDS, v, 0.1) for k, v in enumerate(sizes)]
    with_unknown = weigh_gap(value, sigma, [*known, Term("u", EITHER)]).status
    assert with_unknown != "gap"
    if weigh_gap(value, sigma, known).status != "gap":
        assert with_unknown == weigh_gap(value, sigma, known).status
