"""A claim of a tenth of what another inventory counts is not held against the air before somebody looks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from small_worlds import CELLS, GRID, flux
from test_analysis import BARE, CITY, LEVEL, WHOLE, city, claims, data  # noqa: F401 - the fixture

from monitor import units
from monitor.service.analysis import analyse
from monitor.service.case import CityData

FIELD = np.random.default_rng(5).gamma(2, 1, CELLS)
THIRD = {"id": "three", "path": "x", "reader": "openghg-flux", "species": "co2", "year": 2023}
#: Mean flux of the cells [µmol m⁻² s⁻¹] over the whole grid, in t a⁻¹.
TOTAL = float((FIELD * GRID.cell_area_m2().ravel()).sum()) * units.tonnes_per_year("co2")


@pytest.fixture(scope="module")
def items(data):  # noqa: F811
    """Status of each item of the gate, by claim, with the map `three` in a role."""

    @cache
    def ask(role):
        more = CityData(
            data.observations,
            data.footprints,
            dict(data.inventories) | {"three": flux(FIELD, "three", ["all"])},
        )
        asked = claims(
            LEVEL | {"id": "tenth", "value": TOTAL / 10},
            LEVEL | {"id": "half", "value": TOTAL / 2},
            LEVEL | {"id": "quoted", "value": TOTAL / 10, "where": "inventory three"},
            LEVEL
            | {"id": "said", "value": TOTAL / 10, "adjustments": ["magnitude: the city insists", *BARE]},
        )
        made = analyse(city(inventory=[*CITY["inventory"], THIRD | {"role": role}]), asked, WHOLE, more)
        return {
            name: {item["item"]: (item["status"], item["detail"]) for item in verdict["comparability"]}
            for name, verdict in made.verdicts.items()
        }

    return ask


def test_a_tenth_of_another_inventory_is_a_mismatch_unless_declared(items):
    found = items("compare")
    status, detail = found["tenth"]["magnitude"]
    assert status == "mismatch"
    assert f"{TOTAL / 10:,.0f} t a-1 claimed, {TOTAL:,.0f} t a-1 in inventory 'three'" in detail
    assert found["half"]["magnitude"][0] == "equal"
    assert found["said"]["magnitude"][0] == "declared"


def test_an_inventory_is_no_witness_for_the_claim_that_quotes_it(items):
    assert "magnitude" not in items("compare")["quoted"]


def test_a_candidate_map_is_not_asked(items):
    assert all("magnitude" not in found for found in items("prior").values())
