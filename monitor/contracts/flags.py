"""Quality flags of observations and their reasons."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np


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
