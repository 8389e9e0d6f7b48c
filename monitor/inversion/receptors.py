"""What an observation is: a row of a linear operator over receptors.

A single value sees one receptor, a time average the mean of several, a column the levels of the air above by
its averaging kernel, a difference two stations at the same time.  The same operator acts on everything the
observations are made of: y → D y, H → D H, B → D B, R → D R Dᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import xarray as xr

from monitor import units
from monitor.errors import InputError

_COLUMN = ("averaging_kernel", "pressure_weight", "prior_profile", "prior_column")


@dataclass(frozen=True, eq=False)
class Average:
    """Means of groups of receptors; a group of one is a single value.

    Attributes
    ----------
    receptor : (q,) int
        The receptors that are used.
    group : (q,) int
        The observation that each belongs to, 0 … n − 1.
    """

    receptor: np.ndarray
    group: np.ndarray

    @property
    def n(self) -> int:
        return int(self.group.max()) + 1 if self.group.size else 0

    def operator(self, receptors: int) -> sp.csr_array:
        """(n, receptors)."""
        weight = 1.0 / np.bincount(self.group, minlength=self.n)[self.group]
        return sp.csr_array((weight, (self.group, self.receptor)), shape=(self.n, receptors))


@dataclass(frozen=True)
class Difference:
    """Downwind minus upwind at the same time: what is common to both drops out (Bréon et al. 2015).

    Attributes
    ----------
    downwind, upwind
        Names of inlets.
    """

    downwind: str
    upwind: str

    def __post_init__(self) -> None:
        if self.downwind == self.upwind:
            raise InputError("a difference needs two stations", found=f"'{self.downwind}' twice")

    @property
    def name(self) -> str:
        return f"{self.downwind} − {self.upwind}"

    def operator(self, inlet: np.ndarray, start: np.ndarray) -> sp.csr_array:
        """D (pairs, n₀) over observations of the inlets named in `inlet` (n₀,), beginning at `start` (n₀,).

        Raises
        ------
        InputError
            When the two have no time in common.
        """
        down, up = (np.flatnonzero(inlet == name) for name in (self.downwind, self.upwind))
        _, i, j = np.intersect1d(start[down], start[up], return_indices=True)
        if not i.size:
            raise InputError(
                f"'{self.downwind}' and '{self.upwind}' have no hour in common",
                expected="simultaneous observations",
                found=f"{down.size} and {up.size} observations",
                remedy="leave this difference out",
            )
        pair = np.arange(i.size)
        one = np.ones(i.size)
        return sp.csr_array(
            (np.concatenate([one, -one]), (np.concatenate([pair, pair]), np.concatenate([down[i], up[j]]))),
            shape=(i.size, inlet.size),
        )


@dataclass(frozen=True, eq=False)
class Column:
    """How a column sees the levels of the air above it (Rodgers & Connor 2003, eq. 4)::

        y = c_a + Σ_l a_l w_l (x_l − x_a,l)

    so its footprint is Σ a_l w_l H_l, it sees Σ a_l w_l of the background, and y − c_a + Σ a_l w_l x_a,l is
    the observation of these.

    Attributes
    ----------
    averaging_kernel, pressure_weight : (time, level)
        a and w, lowest level first; w sums to 1.
    prior_profile : (time, level)
        x_a [µmol mol⁻¹].
    prior_column : (time,)
        c_a [µmol mol⁻¹].
    """

    averaging_kernel: np.ndarray
    pressure_weight: np.ndarray
    prior_profile: np.ndarray
    prior_column: np.ndarray

    @classmethod
    def of(cls, observations: xr.Dataset) -> Column | None:
        """The column of an observations dataset; ``None`` for one measured in situ.

        Raises
        ------
        InputError
            When one of the four variables is missing, has other dimensions, another unit or a value that is
            not finite.
        """
        if "averaging_kernel" not in observations:
            return None
        station = observations.attrs.get("station", "?")
        found = []
        for name in _COLUMN:
            if name not in observations:
                raise InputError(
                    f"the column of {station} has no '{name}'",
                    expected=", ".join(_COLUMN),
                    found=", ".join(map(str, observations.data_vars)),
                )
            found.append(_column_values(observations[name], name, station))
        return cls(*found)

    @property
    def weights(self) -> np.ndarray:
        """What each level counts, a_l w_l (time, level)."""
        return np.asarray(self.averaging_kernel * self.pressure_weight)

    def observed(self, value: np.ndarray) -> np.ndarray:
        """Σ a_l w_l x_l of a column `value` (time,): less the term of its prior."""
        return np.asarray(value - self.prior_column + np.sum(self.weights * self.prior_profile, axis=1))


def _column_values(variable: xr.DataArray, name: str, station: str) -> np.ndarray:
    dims = ("time",) if name == "prior_column" else ("time", "level")
    if variable.dims != dims:
        raise InputError(
            f"'{name}' of {station} has wrong dims", expected=str(dims), found=str(variable.dims)
        )
    unit = units.MOLE_FRACTION if name.startswith("prior") else "1"
    if variable.attrs.get("units") != unit:
        raise InputError(
            f"'{name}' of {station} is in a wrong unit",
            expected=unit,
            found=repr(variable.attrs.get("units")),
            remedy=f"convert it, and set attrs['units'] = '{unit}'",
        )
    values = variable.values.astype("f8")
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        at = tuple(int(i) for i in bad[0])
        raise InputError(
            f"'{name}' of {station} is not finite at {at}",
            found=f"{values[at]}; {bad.shape[0]} such values",
            remedy="leave that sounding out",
        )
    return values


def stacked(operators: Sequence[sp.csr_array]) -> sp.csr_array:
    """Rows of several operators, one below the other."""
    return sp.csr_array(sp.vstack(operators, format="csr"))
