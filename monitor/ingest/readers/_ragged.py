"""From dense footprints to the ragged form: only what is not zero is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Rows of a contiguous ragged array: `count` (receptor,), `cell`, `age`, `value` (entry,)."""

    count: np.ndarray
    cell: np.ndarray
    age: np.ndarray
    value: np.ndarray

    @classmethod
    def empty(cls, n_receptors: int) -> Ragged:
        """No influence at all for `n_receptors`."""
        none = np.zeros(0, "i8")
        return cls(np.zeros(n_receptors, "i8"), none, none, np.zeros(0, "f4"))


def from_dense(dense: np.ndarray) -> Ragged:
    """The ragged form of `dense` (receptor, age, cell); the sum over each receptor is kept exactly.

    Zeros are left out; small negative values stay, as they are part of the sum.
    """
    receptor, age, cell = np.nonzero(dense)
    count = np.bincount(receptor, minlength=dense.shape[0])
    return Ragged(count, cell, age, dense[receptor, age, cell])


def concatenated(parts: list[Ragged]) -> Ragged:
    """One ragged array of all receptors, in the order of `parts`."""
    return Ragged(
        np.concatenate([p.count for p in parts]),
        np.concatenate([p.cell for p in parts]),
        np.concatenate([p.age for p in parts]),
        np.concatenate([p.value for p in parts]),
    )


def selected(ragged: Ragged, receptors: np.ndarray) -> Ragged:
    """The rows of `receptors` (indices), in that order."""
    first = np.cumsum(ragged.count) - ragged.count
    count = ragged.count[receptors]
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    rows = np.repeat(first[receptors], count) + offset
    return Ragged(count, ragged.cell[rows], ragged.age[rows], ragged.value[rows])
