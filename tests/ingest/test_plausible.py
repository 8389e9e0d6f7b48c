"""A map in a wrong unit is refused; real and ordinary ones pass."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.contracts import flux_dataset
from monitor.domain import Grid
from monitor.errors import UnitError
from monitor.ingest.plausible import ensure_plausible_flux
from monitor.ingest.readers.openghg_flux import READER
from monitor.plugins import ReadContext

#: mol of CH₄ read as kg: 1 kg is 62.3 mol.
MOL_AS_KG = 1e3 / 16.0425


def a_map(flux: float, species: str = "co2"):
    grid = Grid(lon_deg=np.linspace(2.0, 3.0, 11), lat_deg=np.linspace(48.0, 49.0, 11))
    bounds = np.array([["2020-01-01", "2021-01-01"]], dtype="datetime64[ns]")
    attributes = {"species": species, "title": "a map", "source_digest": ""}
    field = np.full((1, 1, 11, 11), flux)
    return flux_dataset(grid, field, sectors=["total"], time_bounds=bounds, attributes=attributes)


def test_a_dense_city_is_possible():
    dataset = a_map(60.0)
    assert ensure_plausible_flux(dataset) is dataset


@pytest.mark.parametrize("factor", [1e3, 1e6])
def test_a_city_a_thousand_times_too_dense_is_not(factor):
    with pytest.raises(UnitError, match=r"more co2 than is possible.*mol against kg"):
        ensure_plausible_flux(a_map(5.0 * factor))


def test_a_natural_sink_is_judged_by_its_size():
    ensure_plausible_flux(a_map(-15.0))
    with pytest.raises(UnitError):
        ensure_plausible_flux(a_map(-15.0e3))


@pytest.mark.parametrize(
    "name", ["ch4-anthro_EUROPE_2012.nc", "flux_total_ch4_europe_edgar7_2019-01-01_2019-12-31_data.nc"]
)
def test_a_real_map_passes_and_in_the_wrong_unit_does_not(real_data, name):
    path = real_data / "tacolneston-2016" / "inventories" / name
    dataset = READER.read(path, ReadContext(species="ch4"))
    ensure_plausible_flux(dataset)
    wrong = dataset.assign(flux=(dataset["flux"] * MOL_AS_KG).assign_attrs(dataset["flux"].attrs))
    with pytest.raises(UnitError, match="than is possible"):
        ensure_plausible_flux(wrong)
