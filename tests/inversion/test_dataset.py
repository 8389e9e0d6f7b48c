"""The posterior as a dataset: it keeps its contract, says what made it, and survives a file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from small_worlds import CELLS, GRID, interval, make_world
from test_arrays import mixed, textbook

from monitor.contracts import ensure_posterior
from monitor.errors import ContractError
from monitor.inversion import InverseProblem, solve
from monitor.inversion.assumptions import TransportScale


def two_regions() -> xr.Dataset:
    left = np.zeros(GRID.shape)
    left[:, :2], left[:, 2] = 1.0, 0.3
    return xr.Dataset(
        {"fraction": (("region", "lat", "lon"), np.stack([np.ones(GRID.shape), left]), {"units": "1"})},
        coords={"region": ["window", "left"], "lat": GRID.lat_deg, "lon": GRID.lon_deg},
    )


@pytest.fixture(scope="module")
def solved():
    world = mixed(6)
    epochs = {"first": interval(0, 2), "second": interval(2, 2)}
    problem = InverseProblem.from_datasets(
        world.observations, world.footprints, world.prior,
        regions=two_regions(), epochs=epochs, assumptions=world.assumptions,
    )  # fmt: skip
    return solve(problem)


def test_totals_are_by_region_block_and_epoch_with_the_textbook_covariance(solved):
    problem = solved.problem
    dataset = solved.to_dataset()
    where = list(zip(*(dataset[f"total_{c}"].values for c in ("region", "block", "epoch")), strict=True))
    blocks = ("biosphere", "traffic", "industry")
    epochs = ("first", "second")
    assert where == [(r, b, e) for r in ("window", "left") for b in blocks for e in epochs]
    mean, covariance = textbook(problem.linear())
    rows = problem.linear().totals.toarray()
    np.testing.assert_allclose(dataset["posterior_total"], rows @ mean, rtol=1e-8)
    expected = rows @ covariance @ rows.T
    scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    found = dataset["posterior_covariance"].values / solved.inflation
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-8)


def test_an_averaging_kernel_says_what_a_true_change_of_a_cell_does_to_a_total(solved):
    """Observations of a flux that is one higher in one cell, in one epoch: by a second solve."""
    problem, dataset = solved.problem, solved.to_dataset()
    before = dataset["posterior_total"].values
    for name, epoch, cell in (
        ("first", problem.epochs["first"], 3),
        ("second", problem.epochs["second"], 11),
    ):
        effect = problem.effect("industry", np.eye(CELLS)[cell], epoch)
        moved = replace(problem, table=replace(problem.table, value=problem.table.value + effect))
        change = (
            replace(solved, problem=moved).totals(problem.totals).shift - solved.totals(problem.totals).shift
        )
        kernel = dataset["averaging_kernel"].sel(block="industry").values.reshape(before.size, -1)[:, cell]
        rows = dataset["total_epoch"].values == name
        # the totals are large and their change small: rounding is of the former
        np.testing.assert_allclose(kernel[rows], change[rows], rtol=1e-8, atol=1e-9 * np.abs(before).max())
    assert np.isnan(dataset["averaging_kernel"].sel(block="traffic")).all()


def test_a_posterior_survives_a_file(solved, tmp_path):
    dataset = solved.to_dataset(transport=TransportScale(0.05, 0.02))
    dataset.to_netcdf(tmp_path / "posterior.nc")
    with xr.open_dataset(tmp_path / "posterior.nc") as back:
        back.load()
    ensure_posterior(back)
    xr.testing.assert_identical(back.drop_encoding(), dataset.drop_encoding())


def test_a_posterior_says_what_made_it(solved):
    made = json.loads(solved.to_dataset(transport=TransportScale(0.05, 0.02)).attrs["configuration"])
    assert made["assumptions"]["background"]["station_drift_sd_ppm"] == 0.4
    assert made["assumptions"]["state"][0]["correlation"]["time_days"] == 0.3
    assert made["assumptions"]["correlation"]["length_km"] == 12.0
    assert made["transport"] == {"common_sd": 0.05, "epoch_sd": 0.02}
    assert made["epochs"]["first"] == interval(0, 2).as_json()
    assert made["inlets"] == list(solved.problem.table.inlets)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda d: d.drop_vars("gain"), "variable 'gain' is missing"),
        (
            lambda d: d.assign(prior_total=d["prior_total"].assign_attrs(units="kt")),
            "'prior_total'.*wrong unit",
        ),
        (lambda d: d.assign_attrs(configuration=None).drop_attrs(), "attributes missing: species"),
        (
            lambda d: d.assign(posterior_covariance=d["posterior_covariance"] + np.tri(12)),
            r"'posterior_covariance' is not symmetric at \(",
        ),
        (
            lambda d: d.assign(posterior_covariance=-d["posterior_covariance"]),
            "'posterior_covariance' has a negative variance at",
        ),
    ],
)
def test_a_posterior_that_does_not_keep_its_contract(solved, spoil, text):
    with pytest.raises(ContractError, match=text):
        ensure_posterior(spoil(solved.to_dataset()))


def test_a_single_day_has_no_other_to_be_predicted_from():
    posterior = solve(make_world(0, days=1).problem())
    assert np.isnan(posterior.diagnostics.raw_loo_variance)
    assert posterior.inflation == 1.0
    assert np.isnan(posterior.to_dataset()["loo_standardised"]).all()
