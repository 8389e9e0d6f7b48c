"""The small city in memory is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.contracts import ensure_flux, ensure_footprints, ensure_observations, ensure_regions
from monitor.twin import example_city
from monitor.units import tonnes_per_year


@pytest.fixture(scope="module")
def city():
    return example_city(5, n_cells=12, days=6)


def test_its_datasets_keep_their_contracts(city):
    assert set(city.observations) == set(city.footprints) == set(city.stations)
    for inlet in city.observations:
        ensure_observations(city.observations[inlet])
        ensure_footprints(city.footprints[inlet])
    ensure_flux(city.prior)
    ensure_regions(city.regions)


def test_the_landfill_is_in_the_truth_and_in_no_inventory(city):
    where = {"lon": city.landfill[0], "lat": city.landfill[1]}
    t_a = tonnes_per_year("ch4") * float(city.prior["cell_area"].sel(where))
    true, known = float(city.truth.sel(where)), float(city.prior["flux"].sum("sector").sel(where).squeeze())
    # all sectors of an inventory cell are within some 40 % of the truth's, which are a few hundred t a⁻¹
    assert true * t_a > 3000.0
    assert known * t_a < 1000.0


def test_the_same_seed_is_the_same_city_and_another_is_not(city):
    again, other = example_city(5, n_cells=12, days=6), example_city(6, n_cells=12, days=6)
    for inlet, data in city.observations.items():
        assert data.identical(again.observations[inlet])
        assert not np.allclose(data["mole_fraction"], other.observations[inlet]["mole_fraction"])


def test_the_air_holds_what_the_city_adds_to_the_inflow(city):
    for inlet, data in city.observations.items():
        added = data["mole_fraction"].values - city.inflow.sel(inlet=inlet).values
        # instrument noise is 3 ppb at most, and nothing takes methane out of the air
        assert added.min() > -4 * 0.003
        assert added.mean() > 0
