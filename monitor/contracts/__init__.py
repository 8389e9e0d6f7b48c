"""What each dataset between stages holds, and the checks at the stage borders.

============  ==========================================  ============================================
dataset       dims                                        holds
============  ==========================================  ============================================
observations  time                                        mole_fraction, uncertainty (1σ), stdev
                                                          [µmol mol⁻¹], count, flag, flag_reason
footprints    receptor; entry; residual_entry; lat; lon   ragged influence [ppm / (µmol m⁻² s⁻¹)]
flux          sector, time, lat, lon                      flux [µmol m⁻² s⁻¹], cell_area [m²]
regions       region, lat, lon                            fraction of each cell, 0 to 1
posterior     block, epoch, lat, lon; total; observation  flux and its 1σ before and after, totals with their
                                                          covariance, averaging kernels, series, diagnostics
table         row; refused                                an inventory table, see monitor.inventory
============  ==========================================  ============================================

Build datasets with the ``*_dataset`` functions and check them with ``ensure_*``, which return their
argument unchanged or raise `ContractError` naming variable, index and value.  Time is
``datetime64[ns]``, UTC, labelled at the *beginning* of the interval, bounds always written.

The ragged footprints follow the CF contiguous ragged array: receptor *r* owns ``entry_count[r]``
consecutive rows of ``cell`` (flat index ``ilat * n_lon + ilon``), ``hours_back`` (0 = the hour of the
receptor's own interval) and ``value``; likewise ``residual_count``, ``residual_cell``,
``residual_value`` for influence without a resolved age: older than the last hour back, or, in a
time-integrated footprint, all of it.
"""

from __future__ import annotations

from monitor.contracts.flags import USABLE, Flag, Reason, flag_attributes, reason_attributes
from monitor.contracts.footprints import ensure_footprints, footprints_dataset
from monitor.contracts.maps import ensure_flux, ensure_regions, flux_dataset, grid_of
from monitor.contracts.observations import ObservationColumns, ensure_observations, observations_dataset
from monitor.contracts.posterior import ensure_posterior

__all__ = [
    "USABLE",
    "Flag",
    "ObservationColumns",
    "Reason",
    "ensure_flux",
    "ensure_footprints",
    "ensure_observations",
    "ensure_posterior",
    "ensure_regions",
    "flag_attributes",
    "flux_dataset",
    "footprints_dataset",
    "grid_of",
    "observations_dataset",
    "reason_attributes",
]
