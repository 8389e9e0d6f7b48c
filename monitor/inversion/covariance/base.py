"""The protocol, and the covariances without geometry: diagonal and dense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

from monitor.errors import InputError, NumericalError
from monitor.inversion.components import Parameter
from monitor.inversion.numeric import numbers

#: 1σ of the logarithm of a parameter that is estimated: within a factor of 2.7.
LOG_SD = 1.0


@runtime_checkable
class Covariance(Protocol):
    """A symmetric, positive (semi-)definite matrix (m, m) with structure."""

    @property
    def size(self) -> int: ...

    @property
    def sqrt_size(self) -> int:
        """Length of z in `sqrt_matvec`."""
        ...

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    def with_values(self, values: np.ndarray) -> Covariance:
        """The same structure at other parameter values, in the order of `parameters`."""
        ...

    def diagonal(self) -> np.ndarray:
        """Variances (m,)."""
        ...

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        """Q v for (m,) or (m, k)."""
        ...

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        """L z with L Lᵀ = Q, for (sqrt_size,) or (sqrt_size, k)."""
        ...

    def dense(self) -> np.ndarray:
        """(m, m)."""
        ...

    def observe(self, jacobian: Any) -> np.ndarray:
        """H Q Hᵀ (n, n), symmetric to the last bit."""
        ...

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        """H (∂Q/∂ln v) Hᵀ (n, n) for each parameter v in turn."""
        ...

    def select(self, rows: np.ndarray) -> Covariance:
        """Q[rows, rows]: the covariance of some of the unknowns (indices or a mask), in that order."""
        ...


def through(matvec: Callable[[np.ndarray], np.ndarray], jacobian: Any) -> np.ndarray:
    """H Q Hᵀ by the product Q Hᵀ, a few hundred observations at a time; `matvec` is v ↦ Q v."""
    from monitor.inversion.operators import forward, row_chunk

    n = jacobian.shape[0]
    out = np.empty((n, n))
    for start in range(0, n, 256):
        stop = min(start + 256, n)
        rows = row_chunk(jacobian, start, stop)
        spread = matvec(np.asarray(rows.toarray() if sp.issparse(rows) else rows).T)
        out[:, start:stop] = forward(jacobian, spread)
    return symmetric(out)


def sandwiched(matrix: np.ndarray, jacobian: Any) -> np.ndarray:
    """H M Hᵀ for a symmetric M (m, m) that is written out."""
    if isinstance(jacobian, np.ndarray) or sp.issparse(jacobian):
        return symmetric(np.asarray(jacobian @ np.asarray(jacobian @ matrix).T))
    return through(lambda vector: np.asarray(matrix @ vector), jacobian)


def symmetric(matrix: np.ndarray) -> np.ndarray:
    """½ (M + Mᵀ), symmetric to the last bit."""
    return np.asarray(0.5 * (matrix + matrix.T))


def scaled_rows(weight: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Weight (m,) times the rows of (m,) or (m, k)."""
    return np.asarray(weight * vector if vector.ndim == 1 else weight[:, None] * vector)


def sized(vector: np.ndarray, size: int) -> np.ndarray:
    """Columns (size,) or (size, k) that a covariance can multiply.

    Raises
    ------
    InputError
    """
    array = np.asarray(vector)
    if array.ndim not in (1, 2) or array.shape[0] != size:
        raise InputError(
            "what is multiplied does not fit the covariance",
            expected=f"({size},) or ({size}, k)",
            found=str(array.shape),
        )
    return array


def chosen(rows: np.ndarray, size: int) -> np.ndarray:
    """Different indices into `size` unknowns, from indices or a mask.

    Raises
    ------
    InputError
    """
    array = np.asarray(rows)
    if array.dtype == bool and array.shape == (size,):
        array = np.flatnonzero(array)
    array = array.astype("i8") if array.size == 0 else array
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            "a selection needs indices, or a mask",
            expected=f"integers (k,), or booleans ({size},)",
            found=f"{array.dtype} {array.shape}",
        )
    bad = np.flatnonzero((array < 0) | (array >= size))
    if bad.size:
        raise InputError(
            "a selection points beyond the unknowns",
            expected=f"0 … {size - 1}",
            found=f"{array[bad[0]]} at index {bad[0]}",
        )
    if np.unique(array).size != array.size:
        raise InputError("a selection names an unknown twice", remedy="name each unknown once")
    return array.astype("i8")


def positive(value: float, name: str) -> None:
    """Raise `InputError` where a parameter is not a positive number."""
    array = numbers(value, name)
    if array.ndim or not (np.isfinite(array) and array > 0):
        raise InputError(f"{name} must be a positive number", found=f"{value}")


def is_covariance(value: Any) -> bool:
    """Whether something has the methods of a `Covariance`; without calling any of them."""
    return all(hasattr(type(value), name) for name in ("matvec", "sqrt_matvec", "dense", "observe", "select"))


def finite(values: np.ndarray, name: str) -> None:
    """Raise `InputError` naming the first entry that is not a finite number."""
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        at = tuple(int(i) for i in bad[0])
        raise InputError(
            f"{name} has {bad.shape[0]} values that are not finite",
            found=f"{values[at]} at index {at[0] if len(at) == 1 else at}",
            remedy="give a number for every entry",
        )


@dataclass(frozen=True, eq=False)
class Diagonal:
    """Independent errors: `variance` (m,), times scale²."""

    variance: np.ndarray
    scale: float = 1.0

    def __post_init__(self) -> None:
        positive(self.scale, "scale")
        variance = np.atleast_1d(numbers(self.variance, "variance"))
        if variance.ndim != 1:
            raise InputError("variances need one dimension", expected="(m,)", found=str(variance.shape))
        finite(variance, "variance")
        negative = np.flatnonzero(variance < 0)
        if negative.size:
            raise InputError(
                f"{negative.size} variances are negative",
                expected="variances (σ², not σ) of zero or more",
                found=f"{variance[negative[0]]:.6g} at index {int(negative[0])}",
                remedy="square the standard deviation",
            )
        object.__setattr__(self, "variance", variance)

    @property
    def size(self) -> int:
        return int(self.variance.size)

    @property
    def sqrt_size(self) -> int:
        return self.size

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("scale", self.scale, LOG_SD),)

    def with_values(self, values: np.ndarray) -> Diagonal:
        return replace(self, scale=float(values[0]))

    def diagonal(self) -> np.ndarray:
        return np.asarray(self.scale**2 * self.variance)

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return scaled_rows(self.diagonal(), sized(vector, self.size))

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        return scaled_rows(np.sqrt(self.diagonal()), sized(vector, self.size))

    def dense(self) -> np.ndarray:
        return np.diag(self.diagonal())

    def observe(self, jacobian: Any) -> np.ndarray:
        if isinstance(jacobian, np.ndarray):
            return symmetric((jacobian * self.diagonal()) @ jacobian.T)
        if sp.issparse(jacobian):
            return symmetric((jacobian @ sp.diags_array(self.diagonal()) @ jacobian.T).toarray())
        return through(self.matvec, jacobian)

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        yield 2.0 * self.observe(jacobian)

    def select(self, rows: np.ndarray) -> Diagonal:
        return replace(self, variance=self.variance[chosen(rows, self.size)])


@dataclass(frozen=True, eq=False)
class Dense:
    """A matrix (m, m) as it is, times scale²; checked for symmetry and positive definiteness."""

    matrix: np.ndarray
    scale: float = 1.0

    def __post_init__(self) -> None:
        positive(self.scale, "scale")
        matrix = numbers(self.matrix, "the covariance matrix")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError("a covariance matrix is square", expected="(m, m)", found=str(matrix.shape))
        finite(matrix, "the covariance matrix")
        apart = np.abs(matrix - matrix.T)
        if apart.max(initial=0.0) > 1e-9 * np.abs(matrix).max(initial=0.0):
            at = tuple(int(i) for i in np.unravel_index(np.argmax(apart), apart.shape))
            raise InputError(
                "the covariance matrix is not symmetric",
                found=f"{matrix[at]:.6g} at {at} and {matrix[at[::-1]]:.6g} at {at[::-1]}",
                remedy="take ½ (M + Mᵀ) if the difference is rounding",
            )
        object.__setattr__(self, "matrix", symmetric(matrix))
        _ = self._root

    @cached_property
    def _root(self) -> np.ndarray:
        try:
            return np.linalg.cholesky(self.matrix)
        except np.linalg.LinAlgError:
            pass
        eigenvalue, vectors = np.linalg.eigh(self.matrix)
        # zero and rounding below it are a variance of nothing; the matrix itself is used as it was given
        if eigenvalue[0] < -1e-10 * max(eigenvalue[-1], 0.0):
            heaviest = int(np.argmax(np.abs(vectors[:, 0])))
            raise NumericalError(
                "the covariance matrix is not positive definite",
                expected="no negative eigenvalue",
                found=f"smallest eigenvalue {eigenvalue[0]:.6g}, in which index {heaviest} weighs most; "
                f"largest {eigenvalue[-1]:.6g}",
                remedy="check that it is a covariance; correlations cannot be put together freely",
            )
        return np.asarray(vectors * np.sqrt(np.maximum(eigenvalue, 0.0)))

    @property
    def size(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def sqrt_size(self) -> int:
        return self.size

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("scale", self.scale, LOG_SD),)

    def with_values(self, values: np.ndarray) -> Dense:
        return replace(self, scale=float(values[0]))

    def diagonal(self) -> np.ndarray:
        return np.asarray(self.scale**2 * np.diagonal(self.matrix))

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(self.scale**2 * (self.matrix @ sized(vector, self.size)))

    def sqrt_matvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(self.scale * (self._root @ sized(vector, self.size)))

    def dense(self) -> np.ndarray:
        return np.asarray(self.scale**2 * self.matrix)

    def observe(self, jacobian: Any) -> np.ndarray:
        return sandwiched(self.dense(), jacobian)

    def slopes(self, jacobian: Any) -> Iterator[np.ndarray]:
        yield 2.0 * self.observe(jacobian)

    def select(self, rows: np.ndarray) -> Dense:
        index = chosen(rows, self.size)
        return replace(self, matrix=self.matrix[np.ix_(index, index)])


def as_covariance(value: Any, size: int, name: str) -> Covariance:
    """A variance, variances (size,), a matrix (size, size) or a `Covariance`, as a `Covariance`.

    Raises
    ------
    InputError, NumericalError
        Naming `name`.
    """
    if is_covariance(value):
        found: Covariance = value
    else:
        try:
            found = _plain(value, size)
        except (InputError, NumericalError) as error:
            raise type(error)(
                f"{name}: {error.what}", expected=error.expected, found=error.found, remedy=error.remedy
            ) from None
    if found.size != size:
        raise InputError(f"{name} has the wrong size", expected=f"{size} unknowns", found=f"{found.size}")
    return found


def _plain(value: Any, size: int) -> Covariance:
    """From numbers: a variance, variances (size,), a matrix (size, size)."""
    given = value.toarray() if sp.issparse(value) else value
    if isinstance(given, (str, dict)) or (not np.isscalar(given) and not hasattr(given, "__len__")):
        raise InputError(
            "this is no covariance",
            expected="a variance, variances, a matrix, or an object of inv.covariance",
            found=type(value).__name__,
        )
    array = numbers(given, "the variance")
    if array.ndim == 2:
        return Dense(array)
    return Diagonal(np.full(size, float(array)) if array.ndim == 0 else array)
