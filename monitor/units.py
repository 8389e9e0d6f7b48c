"""The closed list of units, and the conversions between them and our own.

Inside, one unit system for every gas: mole fraction in µmol mol⁻¹ (ppm), flux in µmol m⁻² s⁻¹,
footprint in ppm per (µmol m⁻² s⁻¹).  Readers convert on the way in, pages on the way out.
An unknown spelling is an error, never a guess: a lenient parser reads ``kt`` as knots.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from monitor.errors import UnitError

#: Molar masses [g mol⁻¹] (CIAAW abridged standard atomic weights, 2021).
MOLAR_MASS_G_MOL: Final = MappingProxyType({"co2": 44.0095, "ch4": 16.0425, "co": 28.0101, "c": 12.011})
#: Mean molar mass of dry air [g mol⁻¹].
MOLAR_MASS_AIR_G_MOL: Final = 28.9652
SECONDS_PER_HOUR: Final = 3600.0
#: The Julian year, 365.25 d, in which every "per year" here is meant [s].
SECONDS_PER_YEAR: Final = 365.25 * 86400.0

MOLE_FRACTION: Final = "umol mol-1"
FLUX: Final = "umol m-2 s-1"
FOOTPRINT: Final = "umol mol-1 (umol m-2 s-1)-1"

_MOLE_FRACTION_TO_PPM: Final = MappingProxyType(
    {
        **dict.fromkeys(
            ("umol mol-1", "µmol mol-1", "μmol mol-1", "umol.mol-¹", "µmol.mol-¹", "umol.mol-1"), 1.0
        ),
        **dict.fromkeys(("µmol/mol", "μmol/mol", "umol/mol", "ppm", "1e-6", "micromol mol-1"), 1.0),
        **dict.fromkeys(("nmol mol-1", "nmol.mol-¹", "nmol.mol-1", "nmol/mol", "ppb", "1e-9"), 1e-3),
        **dict.fromkeys(("nanomol mol-1", "nanomol/mol", "1e-09"), 1e-3),
        **dict.fromkeys(("pmol mol-1", "ppt", "1e-12"), 1e-6),
        **dict.fromkeys(("mol mol-1", "mol/mol", "1"), 1e6),
    }
)
_FOOTPRINT_TO_OURS: Final = MappingProxyType(
    dict.fromkeys(
        (
            FOOTPRINT,
            "(mol/mol)/(mol/m2/s)",
            "mol mol-1/(mol m-2 s-1)",
            "(mol mol-1)/(mol m-2 s-1)",
            "mol mol-1 / (mol m-2 s-1)",
            "m2 s mol-1",
            "mol-1 m2 s",
            "ppm (umol-1 m2 s)",
            "ppm/(umol m-2 s-1)",
            "ppm per (micromol m-2 s-1)",
        ),
        1.0,
    )
)
_MOLAR_FLUX_TO_OURS: Final = MappingProxyType(
    {
        **dict.fromkeys(("umol m-2 s-1", "µmol m-2 s-1", "umol/m2/s"), 1.0),
        **dict.fromkeys(("mol m-2 s-1", "mol/m2/s", "mol m**-2 s**-1"), 1e6),
        **dict.fromkeys(("nmol m-2 s-1", "nmol/m2/s"), 1e-3),
    }
)
_MASS_FLUX_TO_KG_M2_S: Final = MappingProxyType(
    {
        **dict.fromkeys(("kg m-2 s-1", "kg/m2/s", "kg m**-2 s**-1"), 1.0),
        **dict.fromkeys(("g m-2 s-1", "g/m2/s"), 1e-3),
        **dict.fromkeys(("kg m-2 h-1", "kg/m2/h"), 1.0 / SECONDS_PER_HOUR),
    }
)
#: Masses in inventory tables, in tonnes; spelled as found, because "MT" and "ton" mean several things.
_TABLE_MASSES: Final = MappingProxyType(
    {
        **{"kg": 1e-3, "t": 1.0, "tonnes": 1.0, "metric tonnes": 1.0},
        **{"kt": 1e3, "Gg": 1e3, "Mt": 1e6, "Tg": 1e6},
    }
)
_TABLE_GASES: Final = MappingProxyType(
    {"CO2e": "co2e", "CO2eq": "co2e", "CO2-eq": "co2e", "CO2": "co2", "CH4": "ch4", "N2O": "n2o"}
)


def _look_up(unit: str, table: MappingProxyType[str, float], quantity: str, where: str) -> float:
    try:
        return table[" ".join(unit.split())]
    except KeyError:
        raise UnitError(
            f"'{unit}' is not a unit of {quantity} that we know",
            expected=", ".join(sorted(table)),
            found=repr(unit),
            where=where,
            remedy="check the file's unit; if the spelling is right, add it to monitor/units.py",
        ) from None


def molar_mass_g_mol(species: str) -> float:
    """Molar mass of `species` ("co2", "ch4", "co") [g mol⁻¹]; `UnitError` for an unknown gas."""
    return _look_up(species.lower(), MOLAR_MASS_G_MOL, "molar mass (species)", "species")


def mole_fraction_factor(unit: str, *, where: str = "") -> float:
    """Factor that turns `unit` into µmol mol⁻¹; raises `UnitError` for an unknown unit."""
    return _look_up(unit, _MOLE_FRACTION_TO_PPM, "mole fraction", where)


def footprint_factor(unit: str, *, where: str = "") -> float:
    """Factor that turns `unit` into ppm per (µmol m⁻² s⁻¹); raises `UnitError` for an unknown unit."""
    return _look_up(unit, _FOOTPRINT_TO_OURS, "footprint", where)


def flux_factor(unit: str, species: str, *, where: str = "") -> float:
    """Factor that turns a flux in `unit` of `species` into µmol m⁻² s⁻¹.

    Molar units need no molar mass; mass units are taken as mass of the *gas* (not of carbon).
    """
    spelled = " ".join(unit.split())
    if spelled in _MASS_FLUX_TO_KG_M2_S:
        return _MASS_FLUX_TO_KG_M2_S[spelled] * 1e9 / molar_mass_g_mol(species)
    return _look_up(unit, _MOLAR_FLUX_TO_OURS, "flux", where)


def tonnes_per_year(species: str) -> float:
    """Factor from µmol s⁻¹ (flux times area) to t of the gas per Julian year."""
    return 1e-6 * molar_mass_g_mol(species) * 1e-6 * SECONDS_PER_YEAR


def kilograms_per_hour(species: str) -> float:
    """Factor from µmol s⁻¹ to kg of the gas per hour."""
    return 1e-6 * molar_mass_g_mol(species) * 1e-3 * SECONDS_PER_HOUR


def _symbol(species: str) -> str:
    """How a unit names the gas: CO2, CH4, CO, and CO2e for a sum of gases."""
    return "CO2e" if species.lower() == "co2e" else species.upper()


def level_unit(species: str) -> str:
    """The unit of a yearly total, the gas in its name: ``t CO2 a-1``, ``t CO2e a-1`` for a sum of gases."""
    return f"t {_symbol(species)} a-1"


def table_unit(text: str, *, where: str = "") -> tuple[float, str | None]:
    """Factor to tonnes, and the gas, of a unit in an inventory table: "kt CO2", "metric tonnes CO2e", "kg".

    Amounts of a table are per year.  The gas is "co2", "ch4", "n2o" or "co2e"; `None` where the unit names
    none.  A missing unit and an unknown one raise `UnitError`; "ton" and "MT" have several meanings.
    """
    spelled = " ".join(text.split())
    if not spelled:
        raise UnitError(
            "the table states no unit",
            expected=", ".join(_TABLE_MASSES) + ", with the gas",
            found="nothing",
            where=where,
            remedy="ask who made the table, and write the unit into it",
        )
    mass, gas = spelled, None
    for ending, meant in _TABLE_GASES.items():
        if spelled.endswith(ending):
            mass, gas = spelled.removesuffix(ending).strip(), meant
            break
    return _look_up(mass, _TABLE_MASSES, "an inventory table", where), gas


def strength_unit(species: str) -> str:
    """The unit of a source's strength, the gas in its name: ``kg CH4 h-1``."""
    return f"kg {_symbol(species)} h-1"


def slope_unit(species: str) -> str:
    """The unit of a yearly total's slope: ``t CO2 a-2``."""
    return f"t {_symbol(species)} a-2"


def total_factor(unit: str, species: str, *, where: str = "") -> float:
    """Factor that turns a stated total in `unit` into t of `species` per year.

    The gas must stand in the unit and be `species`; carbon (``t C a-1``) is converted by
    44.0095/12.011 (for CO₂) only because the unit says so.
    """
    gas = _symbol(species)
    table = {level_unit(species): 1.0, f"kg {gas} a-1": 1e-3, f"Mt {gas} a-1": 1e6}
    table[f"kg {gas} h-1"] = 1e-3 * 24 * 365.25
    if species.lower() in {"co2", "ch4", "co"}:
        table["t C a-1"] = molar_mass_g_mol(species) / MOLAR_MASS_G_MOL["c"]
    return _look_up(unit, MappingProxyType(table), f"a total of {gas}", where)
