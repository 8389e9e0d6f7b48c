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

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
import xarray as xr

from monitor import units
from monitor.domain import Grid
from monitor.errors import ContractError


class Flag(IntEnum):
    """Quality of one observation (QARTOD codes)."""

    GOOD = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    BAD = 4
    MISSING = 9


class Reason(IntFlag):
    """Why an observation carries its flag: a bit mask, one bit a test."""

    NONE = 0
    SOURCE = 1
    RANGE = 2
    SPIKE = 4
    FLAT_LINE = 8
    GAP = 16
    FUTURE = 32
    FEW_SAMPLES = 64
    MANUAL = 128
    UNITS = 256


#: Flags whose values may be used.
USABLE = (Flag.GOOD, Flag.NOT_EVALUATED)

_OBSERVATION_ATTRIBUTES = (
    "species",
    "station",
    "inlet_height_m",
    "station_longitude_deg",
    "station_latitude_deg",
    "calibration_scale",
    "source_digest",
)


@dataclass(frozen=True)
class ObservationColumns:
    """The columns of one observation series, each of shape (n,); see `observations_dataset`."""

    start: np.ndarray
    end: np.ndarray
    mole_fraction: np.ndarray
    flag: np.ndarray
    flag_reason: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    stdev: np.ndarray | None = None
    count: np.ndarray | None = None


def observations_dataset(columns: ObservationColumns, attributes: Mapping[str, object]) -> xr.Dataset:
    """An observations dataset, sorted by time.

    Parameters
    ----------
    columns : ObservationColumns
        `start`, `end` datetime64; mole fractions, `uncertainty` (1σ) and `stdev` [µmol mol⁻¹], NaN
        where unknown; `count` of samples (0 unknown); `flag` of `Flag`; `flag_reason` of `Reason`.
    attributes
        Must hold species, station, inlet_height_m, station_longitude_deg, station_latitude_deg,
        calibration_scale ("unknown" if so) and source_digest (SHA-256 of the file, or "" when made).

    Raises
    ------
    ContractError
        When the result breaks the contract.
    """
    n = columns.mole_fraction.size
    nan = np.full(n, np.nan)
    order = np.argsort(columns.start, kind="stable")

    def column(values: np.ndarray | None, default: np.ndarray, dtype: str) -> np.ndarray:
        return np.asarray(default if values is None else values)[order].astype(dtype)

    start = columns.start.astype("datetime64[ns]")[order]
    end = columns.end.astype("datetime64[ns]")[order]
    ppm = {"units": units.MOLE_FRACTION}
    dataset = xr.Dataset(
        {
            "mole_fraction": (
                "time",
                column(columns.mole_fraction, nan, "f8"),
                ppm | {"long_name": "mole fraction in dry air", "ancillary_variables": "flag flag_reason"},
            ),
            "uncertainty": ("time", column(columns.uncertainty, nan, "f8"), ppm | {"long_name": "1 sigma"}),
            "stdev": (
                "time",
                column(columns.stdev, nan, "f8"),
                ppm | {"long_name": "spread in the interval"},
            ),
            "count": ("time", column(columns.count, np.zeros(n), "i4"), {"units": "1"}),
            "flag": ("time", column(columns.flag, nan, "i1"), flag_attributes()),
            "flag_reason": ("time", column(columns.flag_reason, np.zeros(n), "i4"), reason_attributes()),
        },
        coords={"time": ("time", start, {"bounds": "time_bnds"})},
        attrs={"Conventions": "CF-1.8", **attributes},
    )
    dataset.coords["time_bnds"] = (("time", "bnds"), np.stack([start, end], axis=1))
    return ensure_observations(dataset)


def flag_attributes() -> dict[str, object]:
    """CF attributes of the flag variable."""
    return {
        "flag_values": np.array([f.value for f in Flag], dtype="i1"),
        "flag_meanings": " ".join(f.name.lower() for f in Flag),
    }


def reason_attributes() -> dict[str, object]:
    """CF attributes of the reason bit mask."""
    members = [r for r in Reason if r]
    return {
        "flag_masks": np.array([r.value for r in members], dtype="i4"),
        "flag_meanings": " ".join(str(r.name).lower() for r in members),
    }


def _fail(name: str, what: str, **parts: str) -> ContractError:
    return ContractError(f"{name}: {what}", **parts)


def _ensure_dataset(given: object, name: str) -> None:
    if not isinstance(given, xr.Dataset):
        raise _fail(name, "no dataset", expected="xarray.Dataset", found=type(given).__name__)


def _ensure_variables(dataset: xr.Dataset, name: str, expected: Mapping[str, tuple[str, ...]]) -> None:
    for variable, dims in expected.items():
        if variable not in dataset.variables:
            raise _fail(
                name, f"variable '{variable}' is missing", found=", ".join(map(str, dataset.variables))
            )
        if dataset[variable].dims != dims:
            raise _fail(
                name, f"'{variable}' has wrong dims", expected=str(dims), found=str(dataset[variable].dims)
            )


def _ensure_time(dataset: xr.Dataset, name: str, *, bounds: str = "time_bnds", unique: bool) -> None:
    time, bnds = dataset["time"].values, dataset[bounds].values
    for variable, values in (("time", time), (bounds, bnds)):
        if values.dtype != np.dtype("datetime64[ns]"):
            raise _fail(
                name, f"'{variable}' has a wrong type", expected="datetime64[ns]", found=str(values.dtype)
            )
        if np.isnat(values).any():
            raise _fail(name, f"'{variable}' holds NaT at index {int(np.argmax(np.isnat(values)))}")
    steps = np.diff(time).astype("i8")
    if (steps < 0).any() or (unique and (steps == 0).any()):
        at = int(np.argmax(steps <= 0 if unique else steps < 0))
        raise _fail(name, "time must ascend", found=f"{time[at]} then {time[at + 1]} at index {at}")
    wrong = (bnds[:, 0] != time) | (bnds[:, 1] <= bnds[:, 0])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise _fail(
            name,
            "time must be the beginning of its bounds, and bounds must not be empty",
            found=f"time {time[at]}, bounds {bnds[at, 0]} … {bnds[at, 1]} at index {at}",
        )


def _ensure_attributes(dataset: xr.Dataset, name: str, required: tuple[str, ...]) -> None:
    missing = [key for key in required if key not in dataset.attrs]
    if missing:
        raise _fail(
            name, f"attributes missing: {', '.join(missing)}", found=", ".join(map(str, dataset.attrs))
        )


def _ensure_units(dataset: xr.Dataset, name: str, variable: str, expected: str) -> None:
    found = dataset[variable].attrs.get("units")
    if found != expected:
        raise _fail(
            name,
            f"'{variable}' is in a wrong unit",
            expected=expected,
            found=repr(found),
            remedy=f"convert it (monitor.units), and set attrs['units'] = '{expected}'",
        )


def _ensure_finite(dataset: xr.Dataset, name: str, variable: str) -> None:
    values = dataset[variable].values
    if not np.isfinite(values).all():
        at = np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape)
        raise _fail(name, f"'{variable}' is not finite at {tuple(map(int, at))}", found=str(values[at]))


def _ensure_not_negative(dataset: xr.Dataset, name: str, variable: str) -> None:
    values = dataset[variable].values
    if values.size and values.min() < 0:
        at = int(np.argmax(values < 0))
        raise _fail(name, f"'{variable}' is negative at index {at}", expected="≥ 0", found=str(values[at]))


def ensure_observations(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the observations contract, else `ContractError`."""
    _ensure_dataset(dataset, "observations")
    name = f"observations {dataset.attrs.get('station', '?')}"
    columns = ("mole_fraction", "uncertainty", "stdev", "count", "flag", "flag_reason")
    _ensure_variables(dataset, name, dict.fromkeys(columns, ("time",)) | {"time_bnds": ("time", "bnds")})
    _ensure_attributes(dataset, name, _OBSERVATION_ATTRIBUTES)
    _ensure_time(dataset, name, unique=False)
    for variable in ("mole_fraction", "uncertainty", "stdev"):
        _ensure_units(dataset, name, variable, units.MOLE_FRACTION)
    flag, value = dataset["flag"].values, dataset["mole_fraction"].values
    unknown = ~np.isin(flag, [f.value for f in Flag])
    if unknown.any():
        at = int(np.argmax(unknown))
        raise _fail(name, f"unknown flag at index {at}", expected="1, 2, 3, 4 or 9", found=str(flag[at]))
    lost = np.isin(flag, USABLE) & ~np.isfinite(value)
    if lost.any():
        at = int(np.argmax(lost))
        raise _fail(name, f"a usable flag on a value that is not finite at index {at}", found=str(value[at]))
    return dataset


def footprints_dataset(
    grid: Grid,
    receptors: xr.Dataset,
    resolved: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    residual: tuple[np.ndarray, np.ndarray, np.ndarray],
    attributes: Mapping[str, object],
) -> xr.Dataset:
    """A ragged footprints dataset.

    Parameters
    ----------
    grid : Grid
        The surface grid.
    receptors : xr.Dataset
        dim `receptor`: `time` (beginning) and `time_bnds` (receptor, bnds); optional per-receptor
        meteorology (`wind_speed` m s⁻¹, `wind_direction` deg, `boundary_layer_height` m, …) is carried.
    resolved : (count, cell, hours_back, value)
        shapes (receptor,), (entry,), (entry,), (entry,).
    residual : (count, cell, value)
        shapes (receptor,), (residual_entry,), (residual_entry,).
    attributes
        Must hold station, inlet_height_m, station_longitude_deg, station_latitude_deg, model, source_digest.
    """
    fp = {"units": units.FOOTPRINT}
    dataset = receptors.assign_coords(
        {
            "lat": ("lat", grid.lat_deg.astype("f8"), {"units": "degrees_north", "long_name": "cell centre"}),
            "lon": ("lon", grid.lon_deg.astype("f8"), {"units": "degrees_east", "long_name": "cell centre"}),
        }
    ).assign(
        {
            "entry_count": ("receptor", resolved[0].astype("i8"), {"sample_dimension": "entry"}),
            "cell": (
                "entry",
                resolved[1].astype("i4"),
                {"long_name": "flat cell index, ilat * n_lon + ilon"},
            ),
            "hours_back": ("entry", resolved[2].astype("i2"), {"units": "h"}),
            "value": ("entry", resolved[3].astype("f4"), fp),
            "residual_count": ("receptor", residual[0].astype("i8"), {"sample_dimension": "residual_entry"}),
            "residual_cell": ("residual_entry", residual[1].astype("i4"), {}),
            "residual_value": ("residual_entry", residual[2].astype("f4"), fp),
        }
    )
    dataset.attrs = {"Conventions": "CF-1.8", **attributes}
    return ensure_footprints(dataset)


def ensure_footprints(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the footprints contract, else `ContractError`."""
    _ensure_dataset(dataset, "footprints")
    name = f"footprints {dataset.attrs.get('station', '?')}"
    _ensure_variables(
        dataset,
        name,
        {
            "time": ("receptor",),
            "time_bnds": ("receptor", "bnds"),
            "lat": ("lat",),
            "lon": ("lon",),
            "entry_count": ("receptor",),
            "cell": ("entry",),
            "hours_back": ("entry",),
            "value": ("entry",),
            "residual_count": ("receptor",),
            "residual_cell": ("residual_entry",),
            "residual_value": ("residual_entry",),
        },
    )
    required = (
        "station",
        "inlet_height_m",
        "station_longitude_deg",
        "station_latitude_deg",
        "model",
        "source_digest",
    )
    _ensure_attributes(dataset, name, required)
    _ensure_time(dataset, name, unique=True)
    n_cells = dataset.sizes["lat"] * dataset.sizes["lon"]
    for count, cell, value in (
        ("entry_count", "cell", "value"),
        ("residual_count", "residual_cell", "residual_value"),
    ):
        _ensure_units(dataset, name, value, units.FOOTPRINT)
        _ensure_finite(dataset, name, value)
        _ensure_not_negative(dataset, name, count)
        total = int(dataset[count].sum())
        if total != dataset[cell].size:
            raise _fail(
                name, f"'{count}' does not add up", expected=str(dataset[cell].size), found=str(total)
            )
        cells = dataset[cell].values
        if cells.size and not (0 <= cells.min() and cells.max() < n_cells):
            at = int(np.argmax((cells < 0) | (cells >= n_cells)))
            raise _fail(
                name,
                f"'{cell}' out of the grid at index {at}",
                expected=f"0 … {n_cells - 1}",
                found=str(cells[at]),
            )
    _ensure_not_negative(dataset, name, "hours_back")
    # archives hold small negative values, kept because sums are conserved; a whole influence is not negative
    influence = float(dataset["value"].sum(dtype="f8") + dataset["residual_value"].sum(dtype="f8"))
    if influence < 0:
        raise _fail(name, "the influence is negative in sum", expected="≥ 0", found=f"{influence:g}")
    return dataset


def flux_dataset(
    grid: Grid,
    flux: np.ndarray,
    *,
    sectors: list[str],
    time_bounds: np.ndarray,
    attributes: Mapping[str, object],
) -> xr.Dataset:
    """A flux dataset.

    Parameters
    ----------
    flux : (sector, time, lat, lon)
        µmol m⁻² s⁻¹, positive upward (into the air).
    time_bounds : (time, 2) datetime64
        The period each field is the mean of.
    attributes
        Must hold species, title and source_digest.
    """
    bounds = time_bounds.astype("datetime64[ns]")
    dataset = xr.Dataset(
        {
            "flux": (("sector", "time", "lat", "lon"), flux.astype("f8"), {"units": units.FLUX}),
            "cell_area": (("lat", "lon"), grid.cell_area_m2(), {"units": "m2"}),
        },
        coords={
            "sector": ("sector", np.asarray(sectors, dtype=str)),
            "time": ("time", bounds[:, 0], {"bounds": "time_bnds"}),
            "lat": ("lat", grid.lat_deg.astype("f8"), {"units": "degrees_north"}),
            "lon": ("lon", grid.lon_deg.astype("f8"), {"units": "degrees_east"}),
            "time_bnds": (("time", "bnds"), bounds),
        },
        attrs={"Conventions": "CF-1.8", **attributes},
    )
    return ensure_flux(dataset)


def ensure_flux(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the flux contract, else `ContractError`."""
    _ensure_dataset(dataset, "flux")
    name = f"flux {dataset.attrs.get('title', '?')}"
    _ensure_variables(
        dataset,
        name,
        {
            "flux": ("sector", "time", "lat", "lon"),
            "cell_area": ("lat", "lon"),
            "time_bnds": ("time", "bnds"),
        },
    )
    _ensure_attributes(dataset, name, ("species", "title", "source_digest"))
    _ensure_units(dataset, name, "flux", units.FLUX)
    _ensure_time(dataset, name, unique=True)
    start, end = dataset["time_bnds"].values.T
    over = end[:-1] > start[1:]
    if over.any():
        at = int(np.argmax(over))
        raise _fail(
            name,
            f"the times at index {at} and {at + 1} overlap",
            expected="an end that is not after the next start",
            found=f"{end[at]} and {start[at + 1]}",
        )
    _ensure_finite(dataset, name, "flux")
    return dataset


def ensure_regions(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the regions contract (fractions in [0, 1]), else `ContractError`."""
    _ensure_dataset(dataset, "regions")
    _ensure_variables(dataset, "regions", {"fraction": ("region", "lat", "lon")})
    values = dataset["fraction"].values
    wrong = ~((values >= 0) & (values <= 1 + 1e-9))
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), values.shape)
        raise _fail("regions", f"fraction outside 0…1 at {tuple(map(int, at))}", found=str(values[at]))
    return dataset


_MAPS = ("flux_prior", "flux_posterior", "flux_prior_sd", "flux_posterior_sd")
_TOTALS = (
    *("prior_total", "posterior_total", "share_from_data"),
    *("total_region", "total_block", "total_epoch"),
)
_COVARIANCES = ("prior_covariance", "posterior_covariance")
_SERIES = ("time", "time_end", "station", "observed", "modelled_posterior")
_POSTERIOR: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_MAPS, ("block", "epoch", "lat", "lon")),
    **dict.fromkeys(_TOTALS, ("total",)),
    **dict.fromkeys(_COVARIANCES, ("total", "total_")),
    **dict.fromkeys(_SERIES, ("observation",)),
    "averaging_kernel": ("total", "block", "lat", "lon"),
    "gain": ("total", "observation"),
    "hyperparameter_value": ("hyperparameter",),
}


def ensure_posterior(dataset: xr.Dataset) -> xr.Dataset:
    """`dataset` itself if it keeps the posterior contract, else `ContractError`.

    Totals are in t of the gas per year, and their covariances are symmetric with variances of zero or more.
    """
    _ensure_dataset(dataset, "posterior")
    _ensure_variables(dataset, "posterior", _POSTERIOR)
    _ensure_attributes(dataset, "posterior", ("species", "chi2", "dofs", "inflation", "configuration"))
    for variable in _MAPS:
        _ensure_units(dataset, "posterior", variable, units.FLUX)
        _ensure_finite(dataset, "posterior", variable)
    for variable in ("prior_total", "posterior_total"):
        _ensure_units(dataset, "posterior", variable, units.level_unit(str(dataset.attrs["species"])))
    for variable in _COVARIANCES:
        _ensure_finite(dataset, "posterior", variable)
        values = dataset[variable].values
        if not np.array_equal(values, values.T):
            at = np.unravel_index(int(np.argmax(np.abs(values - values.T))), values.shape)
            raise _fail(
                "posterior",
                f"'{variable}' is not symmetric at {tuple(map(int, at))}",
                found=f"{values[at]} and {values.T[at]}",
            )
        if (values.diagonal() < 0).any():
            at0 = int(np.argmin(values.diagonal()))
            raise _fail(
                "posterior", f"'{variable}' has a negative variance at {at0}", found=str(values[at0, at0])
            )
    return dataset


def grid_of(dataset: xr.Dataset) -> Grid:
    """The grid of a dataset with `lat` and `lon` cell centres."""
    return Grid(lon_deg=dataset["lon"].values.astype("f8"), lat_deg=dataset["lat"].values.astype("f8"))
