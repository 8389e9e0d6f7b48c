"""What a caller states is checked where it comes in, and refused by the caller's own names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Real

import numpy as np
import xarray as xr

from monitor import units
from monitor.errors import InputError, UnitError
from monitor.inversion.receptors import Difference


def ensure_numbers(
    owner: object, *, positive: Collection[str] = (), non_negative: Collection[str] = ()
) -> None:
    """Refuse attributes of `owner` that are no finite numbers, or too small; ``None`` is not looked at."""
    for names, least in ((positive, "> 0"), (non_negative, "≥ 0")):
        for name in names:
            value = getattr(owner, name)
            if value is None:
                continue
            number = float(value) if isinstance(value, Real) else np.nan
            if not np.isfinite(number) or number < 0 or (number == 0 and least == "> 0"):
                raise InputError(
                    f"{type(owner).__name__}.{name} is out of range",
                    expected=f"a finite number {least}",
                    found=repr(value),
                    remedy="it cannot be left out: state a small one" if value == 0 else "",
                )


def ensure_uncertainty(inlet: str, sigma: np.ndarray, row: np.ndarray) -> None:
    """Refuse a σ, among those of the used rows (q,), that is no size of an error; NaN is not known."""
    used = sigma[row]
    bad = np.flatnonzero((used < 0) | np.isinf(used))
    if bad.size:
        raise InputError(
            f"the uncertainty of {inlet} cannot be a 1σ at index {int(row[bad[0]])}",
            expected="a finite number ≥ 0 [µmol mol⁻¹], or NaN where it is not known",
            found=f"{used[bad[0]]}; {bad.size} such values",
            remedy="correct it, or flag the observation",
        )


def ensure_known(
    observed: Collection[str], seen: Collection[str], differences: Collection[Difference]
) -> None:
    """Refuse inlets without footprints, and differences of inlets without observations."""
    missing = sorted(set(observed) - set(seen))
    if missing:
        raise InputError(
            f"no footprints for {', '.join(missing)}",
            expected="one footprint source per inlet used",
            found=", ".join(sorted(seen)) or "none",
        )
    named = {name for d in differences for name in (d.downwind, d.upwind)}
    unknown = sorted(named - set(observed))
    if unknown:
        raise InputError(
            f"a difference names stations without observations: {', '.join(unknown)}",
            expected=", ".join(sorted(observed)),
        )


def ensure_baseline(baseline: xr.DataArray | None) -> None:
    """Refuse a background that is no series over time in µmol mol⁻¹."""
    if baseline is None:
        return
    if not isinstance(baseline, xr.DataArray) or baseline.dims != ("time",) or "time" not in baseline.coords:
        raise InputError(
            "the baseline is no series over time",
            expected="an xarray.DataArray with dims ('time',) and its coordinate",
            found=_described(baseline),
            remedy="a constant is xr.DataArray([c, c], coords={'time': [first, last]}, dims='time', "
            f"attrs={{'units': '{units.MOLE_FRACTION}'}})",
        )
    if baseline.attrs.get("units") != units.MOLE_FRACTION:
        raise UnitError(
            "the baseline is in a wrong unit",
            expected=f"{units.MOLE_FRACTION}, as the observations",
            found=repr(baseline.attrs.get("units")),
            remedy=f"convert it (monitor.units), and set attrs['units'] = '{units.MOLE_FRACTION}'",
        )


def ensure_datasets(name: str, given: object, *, levels: bool = False) -> None:
    """Refuse what is no dataset, and no mapping of names to datasets; with `levels`, one may be several."""

    def fits(one: object) -> bool:
        if levels and isinstance(one, Sequence):
            return len(one) > 0 and all(isinstance(level, xr.Dataset) for level in one)
        return isinstance(one, xr.Dataset)

    if fits(given):
        return
    expected = "an xarray.Dataset, or a dict of names and datasets" + (" (one, or one per level)" * levels)
    if not isinstance(given, Mapping):
        raise InputError(f"the {name} are no dataset", expected=expected, found=_described(given))
    if not given:
        raise InputError(f"there are no {name}", expected=expected, found=f"an empty {_described(given)}")
    for key, one in given.items():
        if not fits(one):
            raise InputError(f"the {name} '{key}' are no dataset", expected=expected, found=_described(one))


def ensure_kind(name: str, given: object, kind: type, remedy: str = "") -> None:
    """Refuse an argument that is not of its class."""
    if not isinstance(given, kind):
        raise InputError(
            f"{name} has a wrong type",
            expected=kind.__name__,
            found=_described(given),
            remedy=remedy,
        )


def _described(given: object) -> str:
    """Its type, and the dims where it has some: never its values."""
    kind = type(given).__name__
    return f"{kind} with dims {given.dims}" if isinstance(given, xr.DataArray) else kind
