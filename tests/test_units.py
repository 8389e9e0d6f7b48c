"""Claims about units: a closed list, exact factors, the gas always named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import units
from monitor.errors import UnitError


@pytest.mark.parametrize("unit", ["nmol mol-1", "ppb", "1e-9", "nmol.mol-¹", "nanomol mol-1"])
def test_every_spelling_of_ppb_is_a_thousandth_of_ppm(unit: str) -> None:
    assert units.mole_fraction_factor(unit) == 1e-3


@pytest.mark.parametrize("unit", ["umol.mol-¹", "µmol mol-1", "µmol/mol", "ppm", "1e-6"])
def test_every_spelling_of_ppm_is_ours(unit: str) -> None:
    assert units.mole_fraction_factor(unit) == 1.0


@pytest.mark.parametrize("unit", ["kt", "ton", "", "percent", "mol m-2 s-1", "PPM"])
def test_an_unknown_mole_fraction_unit_is_refused_by_name(unit: str) -> None:
    with pytest.raises(UnitError, match="is not a unit of mole fraction") as caught:
        units.mole_fraction_factor(unit, where="file.nc")
    assert repr(unit) in str(caught.value) and "file.nc" in str(caught.value)


def test_a_unit_of_another_quantity_is_refused() -> None:
    with pytest.raises(UnitError, match="footprint"):
        units.footprint_factor("ppm")
    with pytest.raises(UnitError, match="flux"):
        units.flux_factor("kg m-2", "co2")


def test_mass_and_molar_fluxes_of_a_gas_agree() -> None:
    for species, mass in (("co2", 44.0095), ("ch4", 16.0425), ("co", 28.0101)):
        kilograms = units.flux_factor("kg m-2 s-1", species)
        moles = units.flux_factor("mol m-2 s-1", species)
        assert kilograms == pytest.approx(moles * 1000.0 / mass, rel=1e-12)


def test_a_mass_flux_needs_a_gas_we_know() -> None:
    with pytest.raises(UnitError, match="species"):
        units.flux_factor("kg m-2 s-1", "n2o")


@given(st.floats(1e-6, 1e6), st.sampled_from(["co2", "ch4", "co"]))
def test_yearly_and_hourly_totals_of_one_source_agree(umol_s: float, species: str) -> None:
    yearly = umol_s * units.tonnes_per_year(species)
    hourly = umol_s * units.kilograms_per_hour(species)
    factor = units.total_factor(units.strength_unit(species), species)
    assert hourly * factor == pytest.approx(yearly, rel=1e-12)


def test_carbon_is_converted_only_when_the_unit_says_carbon() -> None:
    assert units.total_factor("t C a-1", "co2") == pytest.approx(44.0095 / 12.011)
    assert units.total_factor("t CO2 a-1", "co2") == 1.0


def test_a_total_of_another_gas_is_refused() -> None:
    with pytest.raises(UnitError, match="CH4"):
        units.total_factor("t CO2 a-1", "ch4")


@given(st.sampled_from(["ppm", "mol mol-1", "nmol mol-1"]), st.integers(0, 3))
def test_spaces_in_a_unit_do_not_matter(unit: str, n: int) -> None:
    spaced = unit.replace(" ", " " * (n + 1)) + " " * n
    assert units.mole_fraction_factor(spaced) == units.mole_fraction_factor(unit)
