"""What a caller states is checked where it comes in, and refused by the caller's own names."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Real

import numpy as np

from monitor.errors import InputError
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
            if not np.isfinite(number) or number < 0 or (number == 0 and names is positive):
                raise InputError(
                    f"{type(owner).__name__}.{name} is out of range",
                    expected=f"a finite number {least}",
                    found=repr(value),
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
