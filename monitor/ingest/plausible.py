"""Can a flux map be what its unit says? A wrong unit is wrong by factors that no city emits."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import ensure_flux
from monitor.errors import UnitError

#: More than the whole world emits [t a⁻¹], natural sources included (Global Carbon Budget 2023: 41 Gt CO₂;
#: Global Methane Budget 2000–2020: 0.6–0.7 Gt CH₄; CO: 2.5 Gt), with a margin of about a half.
WORLD_T_A: Final = MappingProxyType({"co2": 6e10, "ch4": 1e9, "co": 4e9})
#: More than the mean over any grid of city size [µmol m⁻² s⁻¹]; Manhattan emits about 60 of CO₂.
DENSEST: Final = MappingProxyType({"co2": 500.0, "ch4": 20.0, "co": 50.0})


def ensure_plausible_flux(flux: xr.Dataset) -> xr.Dataset:
    """`flux` itself, or `UnitError` when its total or its mean cannot be that of its gas.

    Parameters
    ----------
    flux : xr.Dataset
        The flux contract.

    Raises
    ------
    ContractError
        When it is no flux dataset.
    UnitError
        When the map emits more than the world, or more densely than any city.
    """
    species = str(ensure_flux(flux).attrs["species"])
    if species not in WORLD_T_A:
        return flux
    area = flux["cell_area"].values
    per_step = np.abs((flux["flux"].values * area).sum(axis=(0, 2, 3)))
    total, mean = float(per_step.max()) * units.tonnes_per_year(species), float(per_step.max() / area.sum())
    if total <= WORLD_T_A[species] and mean <= DENSEST[species]:
        return flux
    raise UnitError(
        f"the map holds more {species} than is possible",
        expected=f"at most {WORLD_T_A[species]:g} t a-1 and {DENSEST[species]:g} umol m-2 s-1 in the mean",
        found=f"{total:.4g} t a-1 and {mean:.4g} umol m-2 s-1",
        where=str(flux.attrs["title"]),
        remedy="check the unit that the file states: mol against kg, per second against per year",
    )
