"""Q = D (T ⊗ S) D: a correlation in time, one in space, and a standard deviation for every hour and cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError
from monitor.inversion.components import Parameter
from monitor.inversion.covariance.base import LOG_SD, finite, positive, scaled_rows, sized, symmetric
from monitor.inversion.covariance.combined import Selected
from monitor.inversion.covariance.hours import HourOfDay
from monitor.inversion.covariance.stationary import Matern
from monitor.inversion.numeric import numbers


@dataclass(frozen=True, eq=False)
class Kronecker:
    """Unknowns of p times and s cells, ordered t·s + c.

    Attributes
    ----------
    time, space : Exponential, Matern or HourOfDay, of sizes p and s
    std : scalar, (p,), (s,), (p, 1), (1, s), (p, s), (m,), or a pair ((p,), (s,))
        σ(t, c); a pair is their product, and takes the least memory.
    """

    time: Matern | HourOfDay
    space: Matern
    std: Any = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        positive(self.scale, "scale")
        for name, kinds in (("time", (Matern, HourOfDay)), ("space", (Matern,))):
            if not isinstance(getattr(self, name), kinds):
                raise InputError(
                    f"{name} is no correlation that a product can be made of",
                    expected=" or ".join(["Exponential", *(kind.__name__ for kind in kinds)]),
                    found=type(getattr(self, name)).__name__,
                    remedy="a length far below the spacing is no correlation; other matrices go into Dense",
                )
        _ = self.deviation

    @property
    def shape(self) -> tuple[int, int]:
        """(p, s)."""
        return self.time.size, self.space.size

    @property
    def size(self) -> int:
        return self.time.size * self.space.size

    @property
    def sqrt_size(self) -> int:
        return self.time.sqrt_size * self.space.sqrt_size

    @cached_property
    def deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """σ as a product of (p, 1) and (1, s), or (1, 1) and (p, s) where it is none."""
        p, s = self.shape
        if isinstance(self.std, tuple):
            time, space = (numbers(part, "std") for part in self.std)
            if time.shape != (p,) or space.shape != (s,):
                raise InputError(
                    "std does not fit", expected=f"(({p},), ({s},))", found=f"({time.shape}, {space.shape})"
                )
            pair = time[:, None], space[None, :]
        else:
            pair = _as_product(numbers(self.std, "std"), p, s)
        for part in pair:
            finite(part, "std")
            if (part < 0).any():
                at = tuple(int(i) for i in np.unravel_index(int(part.argmin()), part.shape))
                raise InputError("std is negative", found=f"{part.min():.6g} at index {at}")
        return pair[0] * self.scale, pair[1]

    @property
    def separable(self) -> bool:
        """Whether σ(t, c) is a product of a factor per time and one per cell."""
        return bool(self.deviation[1].shape[0] == 1)

    def _field(self) -> np.ndarray:
        """σ (m,)."""
        a, b = self.deviation
        return np.asarray(np.broadcast_to(a * b, self.shape).reshape(-1))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        names = [("time", p) for p in self.time.parameters[1:]]
        names += [("space", p) for p in self.space.parameters[1:]]
        inner = tuple(replace(p, name=f"{axis} {p.name}") for axis, p in names)
        return (Parameter("scale", self.scale, LOG_SD), *inner)

    def with_values(self, values: np.ndarray) -> Kronecker:
        return replace(
            self,
            scale=float(values[0]),
            time=self.time.with_values(np.array([self.time.scale, values[1]])),
            space=self.space.with_values(np.array([self.space.scale, values[2]])),
        )

    def diagonal(self) -> np.ndarray:
        inner = self.time.diagonal()[:, None] * self.space.diagonal()[None, :]
        return np.asarray(self._field() ** 2 * inner.reshape(-1))

    def _apply(self, vector: np.ndarray, in_time: Any, in_space: Any) -> np.ndarray:
        p, s = self.shape
        sigma = self._field()
        states = scaled_rows(sigma, vector).reshape(p, -1)
        states = in_time(states).reshape(p, s, -1)
        states = in_space(np.ascontiguousarray(states.transpose(1, 0, 2)).reshape(s, -1))
        back = states.reshape(s, p, -1).transpose(1, 0, 2)
        return scaled_rows(sigma, np.ascontiguousarray(back).reshape(vector.shape))

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return self._apply(sized(vector, self.size), self.time.matvec, self.space.matvec)

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        p, s = self.shape
        vector = sized(vector, self.sqrt_size)
        states = self.time.sqrt_matvec(vector.reshape(self.time.sqrt_size, -1))
        states = states.reshape(p, self.space.sqrt_size, -1).transpose(1, 0, 2)
        states = self.space.sqrt_matvec(np.ascontiguousarray(states).reshape(self.space.sqrt_size, -1))
        back = states.reshape(s, p, -1).transpose(1, 0, 2)
        return scaled_rows(self._field(), np.ascontiguousarray(back).reshape(self.size, *vector.shape[1:]))

    def dense(self) -> np.ndarray:
        sigma = self._field()
        return np.asarray(np.kron(self.time.dense(), self.space.dense()) * np.outer(sigma, sigma))

    def observe(self, jacobian: Any) -> np.ndarray:
        from monitor.inversion.sweep import markov, observe

        if markov(self):
            return observe(self, jacobian)
        return self._observe(jacobian, self.time.dense(), self.space.matvec)

    def _observe(self, jacobian: Any, time: np.ndarray, in_space: Any) -> np.ndarray:
        """Σ_t (Σ_t' T_tt' G_t') S G_tᵀ with any T (p, p): G is kept sparse, and only its rows are spread."""
        from monitor.inversion.operators import as_columns

        _, s = self.shape
        rows = sp.csr_array(as_columns(jacobian), dtype="f8")
        rows.data = rows.data * self._field()[rows.indices]
        hour, cell = np.divmod(rows.indices, s)
        columns = rows.tocsc()
        n = rows.shape[0]
        out = np.zeros((n, n))
        for t in np.unique(hour):
            present = columns[:, t * s : (t + 1) * s].tocsr()
            seen = np.flatnonzero(np.diff(present.indptr))
            spread = in_space(present[seen].toarray().T)
            mixed = sp.csr_array((rows.data * time[t, hour], cell, rows.indptr), shape=(n, s)).toarray()
            out[:, seen] += mixed @ spread
        return symmetric(out)

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        from monitor.inversion.sweep import length_slopes, markov

        yield 2.0 * self.observe(jacobian)
        if markov(self):
            yield from length_slopes(self, jacobian)
            return
        time = self.time.dense()
        yield self._observe(jacobian, self.time.slope_matvec(np.eye(self.time.size)), self.space.matvec)
        yield self._observe(jacobian, time, self.space.slope_matvec)

    def select(self, rows: np.ndarray) -> Selected:
        return Selected(self, rows)


def _as_product(std: np.ndarray, p: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    one = np.ones((1, 1))
    if std.ndim == 0:
        return np.full((p, 1), float(std)), np.ones((1, s))
    if p == s > 1 and std.shape == (p,):
        raise InputError(
            f"std of {p} values may be of times or of cells",
            remedy=f"give it as ({p}, 1) for times or (1, {s}) for cells",
        )
    if std.shape in ((p,), (p, 1)):
        return std.reshape(p, 1), np.ones((1, s))
    if std.shape in ((s,), (1, s)):
        return np.ones((p, 1)), std.reshape(1, s)
    if std.shape in ((p, s), (p * s,)):
        return one, std.reshape(p, s)
    raise InputError(
        "std does not fit",
        expected=f"a number, ({p},), ({s},), ({p}, {s}) or ({p * s},)",
        found=str(std.shape),
    )
