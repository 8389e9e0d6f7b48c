"""Covariances made of others: sums, blocks, and some of the unknowns of a larger one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.components import Parameter
from monitor.inversion.covariance.base import Covariance, Diagonal, chosen, is_covariance, sized, symmetric
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.kernels import add_exponential
from monitor.inversion.threads import in_parts


@dataclass(frozen=True, eq=False, init=False)
class Sum:
    """The sum of independent parts over the same unknowns: ``Sum(a, b)`` or ``Sum((a, b))``."""

    parts: tuple[Covariance, ...]

    def __init__(self, parts: Covariance | Iterable[Covariance], *others: Covariance) -> None:
        object.__setattr__(self, "parts", _parts(parts, others))
        sizes = [p.size for p in self.parts]
        if len(set(sizes)) > 1:
            raise InputError("the parts of a sum differ in size", found=", ".join(map(str, sizes)))

    @property
    def size(self) -> int:
        return self.parts[0].size

    @property
    def sqrt_size(self) -> int:
        return sum(p.sqrt_size for p in self.parts)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return _numbered(self.parts)

    def with_values(self, values: np.ndarray) -> Sum:
        return Sum(_each_with(self.parts, values))

    def diagonal(self) -> np.ndarray:
        return np.asarray(np.sum([p.diagonal() for p in self.parts], axis=0))

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(np.sum([p.matvec(vector) for p in self.parts], axis=0))

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        cut = _cut(self.parts, sized(vector, self.sqrt_size), "sqrt_size")
        return np.asarray(np.sum([p.sqrt_matvec(z) for p, z in zip(self.parts, cut, strict=True)], axis=0))

    def dense(self) -> np.ndarray:
        return np.asarray(np.sum([p.dense() for p in self.parts], axis=0))

    def observe(self, jacobian: Any) -> np.ndarray:
        return np.asarray(np.sum([p.observe(jacobian) for p in self.parts], axis=0))

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        for part in self.parts:
            yield from part.slopes(jacobian)

    def select(self, rows: np.ndarray) -> Sum:
        return Sum(tuple(part.select(rows) for part in self.parts))


@dataclass(frozen=True, eq=False, init=False)
class Block:
    """Independent blocks of unknowns one after another: fluxes of sectors, inflow, offsets.

    ``Block(a, b)`` or ``Block((a, b))``.
    """

    parts: tuple[Covariance, ...]

    def __init__(self, parts: Covariance | Iterable[Covariance], *others: Covariance) -> None:
        object.__setattr__(self, "parts", _parts(parts, others))

    @property
    def size(self) -> int:
        return sum(p.size for p in self.parts)

    @property
    def sqrt_size(self) -> int:
        return sum(p.sqrt_size for p in self.parts)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return _numbered(self.parts)

    def with_values(self, values: np.ndarray) -> Block:
        return Block(_each_with(self.parts, values))

    def diagonal(self) -> np.ndarray:
        return np.concatenate([p.diagonal() for p in self.parts])

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        cut = _cut(self.parts, sized(vector, self.size), "size")
        return np.concatenate([p.matvec(v) for p, v in zip(self.parts, cut, strict=True)])

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        cut = _cut(self.parts, sized(vector, self.sqrt_size), "sqrt_size")
        return np.concatenate([p.sqrt_matvec(z) for p, z in zip(self.parts, cut, strict=True)])

    def dense(self) -> np.ndarray:
        out = np.zeros((self.size, self.size))
        start = 0
        for part in self.parts:
            out[start : start + part.size, start : start + part.size] = part.dense()
            start += part.size
        return out

    def observe(self, jacobian: Any) -> np.ndarray:
        return np.asarray(
            np.sum([p.observe(h) for p, h in zip(self.parts, self._columns(jacobian), strict=True)], axis=0)
        )

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        for part, columns in zip(self.parts, self._columns(jacobian), strict=True):
            yield from part.slopes(columns)

    def select(self, rows: np.ndarray) -> Selected:
        return Selected(self, rows)

    def _columns(self, jacobian: Any) -> list[Any]:
        """The Jacobian of each block."""
        from monitor.inversion.operators import cut_columns

        return cut_columns(jacobian, np.cumsum([0, *(p.size for p in self.parts)]))


@dataclass(frozen=True, eq=False)
class Selected:
    """Some of the unknowns of another covariance: Q[rows, rows], with its structure and its parameters."""

    whole: Covariance
    rows: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", chosen(self.rows, self.whole.size))

    @property
    def size(self) -> int:
        return int(self.rows.size)

    @property
    def sqrt_size(self) -> int:
        return self.whole.sqrt_size

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.whole.parameters

    def with_values(self, values: np.ndarray) -> Selected:
        return Selected(self.whole.with_values(values), self.rows)

    def diagonal(self) -> np.ndarray:
        return np.asarray(self.whole.diagonal()[self.rows])

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        columns = sized(vector, self.size)
        spread = np.zeros((self.whole.size, *columns.shape[1:]))
        spread[self.rows] = columns
        return np.asarray(self.whole.matvec(spread)[self.rows])

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(self.whole.sqrt_matvec(vector)[self.rows])

    def dense(self) -> np.ndarray:
        return symmetric(self.matvec(np.eye(self.size)))

    def observe(self, jacobian: Any) -> np.ndarray:
        return self.whole.observe(self._spread(jacobian))

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        yield from self.whole.slopes(self._spread(jacobian))

    def select(self, rows: np.ndarray) -> Selected:
        return Selected(self.whole, self.rows[chosen(rows, self.size)])

    def _spread(self, jacobian: Any) -> Any:
        """The Jacobian with a column for every unknown of the whole."""
        from monitor.inversion.operators import as_columns

        k = np.arange(self.size)
        places = sp.csr_array((np.ones(self.size), (k, self.rows)), shape=(self.size, self.whole.size))
        return as_columns(jacobian) @ places


def add_to(matrix: np.ndarray, covariance: Covariance) -> None:
    """Add a covariance to a matrix (m, m) in its place; one along a line without writing it out first."""
    if isinstance(covariance, Sum):
        for part in covariance.parts:
            add_to(matrix, part)
    elif isinstance(covariance, Diagonal):
        matrix[np.diag_indices_from(matrix)] += covariance.diagonal()
    elif isinstance(covariance, Matern) and covariance.smoothness == 0.5 and covariance.positions.ndim == 1:
        groups = np.zeros(covariance.size) if covariance.groups is None else covariance.groups
        label = np.unique(groups, return_inverse=True)[1]
        at, sigma = covariance.positions, np.ascontiguousarray(covariance.deviation)
        in_parts(
            lambda a, b: add_exponential(matrix, at, label, sigma, covariance.length, a, b), covariance.size
        )
    else:
        matrix += covariance.dense()


def _parts(parts: Any, others: tuple[Any, ...]) -> tuple[Covariance, ...]:
    one = others or is_covariance(parts) or not isinstance(parts, Iterable)
    found = (parts, *others) if one else tuple(parts)
    if not found:
        raise InputError("a sum or a block needs at least one part")
    for k, part in enumerate(found):
        if not is_covariance(part):
            raise InputError(
                f"part {k} is no covariance",
                expected="an object of inv.covariance",
                found=type(part).__name__,
                remedy="wrap variances in Diagonal and a matrix in Dense",
            )
    return found


def _numbered(parts: tuple[Covariance, ...]) -> tuple[Parameter, ...]:
    return tuple(replace(p, name=f"{k} {p.name}") for k, part in enumerate(parts) for p in part.parameters)


def _each_with(parts: tuple[Covariance, ...], values: np.ndarray) -> tuple[Covariance, ...]:
    ends = np.cumsum([len(p.parameters) for p in parts])
    return tuple(p.with_values(v) for p, v in zip(parts, np.split(values, ends[:-1]), strict=True))


def _cut(parts: tuple[Covariance, ...], vector: np.ndarray, by: str) -> list[np.ndarray]:
    ends = np.cumsum([getattr(p, by) for p in parts])
    return np.split(vector, ends[:-1])
