"""What is given as numbers is numbers: no dates, nothing masked, nothing complex, no text."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.errors import InputError


def numbers(values: Any, name: str) -> np.ndarray:
    """An array in float64, of any shape; dates have a unit that nobody said, and are refused.

    Raises
    ------
    InputError
        Naming `name`: with the first index that is masked, or the type that is no number.
    """
    if isinstance(values, np.ma.MaskedArray):
        _ensure_unmasked(values, name)
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biufO":
            return array.astype("f8", copy=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} holds no numbers",
            expected="numbers, in rows of one length",
            found=f"{type(values).__name__}: {error}",
            remedy="convert it to an array of float64",
        ) from None
    if array.dtype.kind in "mM":
        raise InputError(
            f"{name} holds dates",
            expected="numbers, in a unit that is known",
            found=f"{array.dtype}",
            remedy="(times - times[0]) / np.timedelta64(1, 'h') gives hours",
        )
    raise InputError(
        f"{name} holds no real numbers",
        expected="numbers that can be float64",
        found=f"{array.dtype}",
        remedy="take the real part" if array.dtype.kind == "c" else "convert it to an array of float64",
    )


def _ensure_unmasked(values: np.ma.MaskedArray[Any, Any], name: str) -> None:
    masked = np.argwhere(np.ma.getmaskarray(values))
    if masked.shape[0]:
        at = tuple(int(i) for i in masked[0])
        raise InputError(
            f"{name} has {masked.shape[0]} masked values",
            expected="a number for every entry",
            found=f"the first at index {at[0] if len(at) == 1 else at}",
            remedy="leave what is masked out, in all arrays alike",
        )
