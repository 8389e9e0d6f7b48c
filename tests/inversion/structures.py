"""Random covariances with their matrices element by element, and one Jacobian in all its forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator
from scipy.special import gamma, kv

from monitor.inversion import RaggedJacobian
from monitor.inversion import covariance as cov

#: Half-integer smoothness has closed forms in the code; the oracle takes Bessel functions for all.
SMOOTHNESS = (0.5, 1.5, 2.5, 0.8, 3.2)

Drawn = tuple[cov.Covariance, np.ndarray]


def matern(distance: float, length: float, smoothness: float) -> float:
    """Rasmussen & Williams 2006, eq. 4.14, with the Bessel function for every smoothness."""
    z = np.sqrt(2.0 * smoothness) * distance / length
    if z == 0:
        return 1.0
    return float(2.0 ** (1.0 - smoothness) / gamma(smoothness) * z**smoothness * kv(smoothness, z))


def matrix(size: int, element: Callable[[int, int], float]) -> np.ndarray:
    """An element after the other."""
    return np.array([[element(i, j) for j in range(size)] for i in range(size)]).reshape(size, size)


def _rng(draw: st.DrawFn) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**16)))


@st.composite
def stationary(draw: st.DrawFn, size: int) -> Drawn:
    """Exponential or Matérn along a line, on a grid or between points; with σ and groups or without."""
    rng = _rng(draw)
    nu, length = draw(st.sampled_from(SMOOTHNESS)), draw(st.floats(0.3, 20.0))
    rows = draw(st.sampled_from([k for k in range(1, size + 1) if size % k == 0]))
    kind = draw(st.sampled_from(["line", "grid of one", "grid of two", "points"]))
    at, spacing, points = {
        "line": lambda: _line(rng, size),
        "grid of one": lambda: (size, 0.7, 0.7 * np.arange(size)[:, None]),
        "grid of two": lambda: _grid(rows, size // rows),
        "points": lambda: _points(rng, size),
    }[kind]()
    std = draw(st.sampled_from([1.3, None]))
    std = rng.uniform(0.2, 2.0, size) if std is None else std
    # few groups, and more than a grid is transformed for one by one
    groups = draw(st.sampled_from([None, rng.integers(0, 3, size), rng.permutation(size) // 2]))
    scale = draw(st.floats(0.5, 2.0))
    choices = {"spacing": spacing, "std": std, "groups": groups, "scale": scale}
    if nu == 0.5 and draw(st.booleans()):
        made: cov.Matern = cov.Exponential(length, at, **choices)
    else:
        made = cov.Matern(length, nu, at, **choices)
    sigma = scale * np.broadcast_to(std, size)

    def element(i: int, j: int) -> float:
        together = groups is None or groups[i] == groups[j]
        apart = float(np.linalg.norm(points[i] - points[j]))
        return sigma[i] * sigma[j] * matern(apart, length, nu) if together else 0.0

    return made, matrix(size, element)


def _line(rng, size):
    """Irregular positions, unsorted, the last one twice."""
    at = rng.uniform(0, 30, size)
    at[-1] = at[0]
    return at, 1.0, at[:, None]


def _grid(rows, columns):
    y, x = np.divmod(np.arange(rows * columns), columns)
    return (rows, columns), (0.8, 1.7), np.stack([0.8 * y, 1.7 * x], axis=1)


def _points(rng, size):
    at = rng.uniform(0, 10, (size, 2))
    return at, 1.0, at


@st.composite
def hour_of_day(draw: st.DrawFn, size: int) -> Drawn:
    rng = _rng(draw)
    hours = np.sort(rng.integers(0, 24 * 6, size)).astype("f8")
    days, scale = draw(st.floats(0.5, 8.0)), draw(st.floats(0.5, 2.0))
    if draw(st.booleans()):
        folding = draw(st.floats(1.0, 12.0))

        def within(a: int, b: int) -> float:
            return float(np.exp(-min(abs(a - b), 24 - abs(a - b)) / folding))

        made = cov.HourOfDay(days, folding, hours, scale=scale)
    else:
        root = rng.normal(size=(24, 30))
        square = root @ root.T
        table = square / np.sqrt(np.outer(np.diagonal(square), np.diagonal(square)))

        def within(a: int, b: int) -> float:
            return float(table[a, b])

        made = cov.HourOfDay(days, table, hours, scale=scale)

    def element(i: int, j: int) -> float:
        apart = abs(hours[i] // 24 - hours[j] // 24)
        return scale**2 * float(np.exp(-apart / days)) * within(int(hours[i]) % 24, int(hours[j]) % 24)

    return made, matrix(size, element)


@st.composite
def diagonal(draw: st.DrawFn, size: int) -> Drawn:
    variance, scale = _rng(draw).uniform(0.1, 3.0, size), draw(st.floats(0.5, 2.0))
    return cov.Diagonal(variance, scale), matrix(size, lambda i, j: scale**2 * variance[i] * (i == j))


@st.composite
def dense(draw: st.DrawFn, size: int) -> Drawn:
    root = _rng(draw).normal(size=(size, size + 3))
    whole, scale = root @ root.T / size, draw(st.floats(0.5, 2.0))
    return cov.Dense(whole, scale), scale**2 * whole


@st.composite
def kronecker(draw: st.DrawFn, size: int) -> Drawn:
    """Times and cells, with σ in each of its forms."""
    rng = _rng(draw)
    p = draw(st.sampled_from([k for k in range(1, size + 1) if size % k == 0]))
    s = size // p
    time, in_time = draw(st.one_of(stationary(p), hour_of_day(p), _ascending(p)))
    space, in_space = draw(stationary(s))
    field = rng.uniform(0.3, 2.0, (p, s))
    hours, cells = rng.uniform(0.3, 2.0, p), rng.uniform(0.3, 2.0, s)
    forms = [
        (1.7, np.full((p, s), 1.7)),
        (field, field),
        (field.ravel(), field),
        ((hours, cells), np.outer(hours, cells)),
        (hours[:, None], np.outer(hours, np.ones(s))),
        (cells[None, :], np.outer(np.ones(p), cells)),
    ]
    if p != s:
        forms += [(hours, np.outer(hours, np.ones(s))), (cells, np.outer(np.ones(p), cells))]
    std, sigma = forms[draw(st.integers(0, len(forms) - 1))]
    scale = draw(st.floats(0.5, 2.0))

    def element(i: int, j: int) -> float:
        (t, c), (u, d) = divmod(i, s), divmod(j, s)
        return scale**2 * sigma[t, c] * sigma[u, d] * in_time[t, u] * in_space[c, d]

    return cov.Kronecker(time, space, std, scale), matrix(size, element)


@st.composite
def _ascending(draw: st.DrawFn, size: int) -> Drawn:
    """An exponential in time along ascending, irregular hours: the sweep over time applies."""
    at = np.cumsum(_rng(draw).integers(1, 5, size)).astype("f8")
    length = draw(st.floats(0.5, 40.0))
    return (
        cov.Exponential(length, at),
        matrix(size, lambda i, j: float(np.exp(-abs(at[i] - at[j]) / length))),
    )


def simple(size: int) -> st.SearchStrategy[Drawn]:
    """Any structure that is not made of others."""
    return st.one_of(stationary(size), kronecker(size), hour_of_day(size), diagonal(size), dense(size))


@st.composite
def added(draw: st.DrawFn, size: int) -> Drawn:
    parts = [draw(simple(size)) for _ in range(draw(st.integers(1, 3)))]
    return cov.Sum(tuple(c for c, _ in parts)), sum(d for _, d in parts)


@st.composite
def blocks(draw: st.DrawFn, size: int) -> Drawn:
    cut = draw(st.integers(0, size))
    sizes = [k for k in (cut, size - cut) if k]
    parts = [draw(simple(k)) for k in sizes]
    out = np.zeros((size, size))
    start = 0
    for part, written in parts:
        out[start : start + part.size, start : start + part.size] = written
        start += part.size
    return cov.Block(tuple(c for c, _ in parts)), out


@st.composite
def selected(draw: st.DrawFn, size: int) -> Drawn:
    whole, written = draw(st.one_of(kronecker(size + 3), blocks(size + 3)))
    rows = _rng(draw).permutation(size + 3)[:size]
    return whole.select(rows), written[np.ix_(rows, rows)]


def structures(size: int) -> st.SearchStrategy[Drawn]:
    """Every structure of `monitor.inversion.covariance`, of a given size, with its matrix."""
    return st.one_of(simple(size), added(size), blocks(size), selected(size))


seeds = st.integers(0, 2**16)
sizes = st.sampled_from([1, 2, 3, 4, 6, 12, 15, 24])
any_structure = sizes.flatmap(structures)


class Operator:
    """A Jacobian that multiplies single vectors and nothing else."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.shape = matrix, matrix.shape

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        assert vector.shape == (self.shape[1],)
        return self.matrix @ vector

    def rmatvec(self, vector: np.ndarray) -> np.ndarray:
        assert vector.shape == (self.shape[0],)
        return self.matrix.T @ vector


def footprints(rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """A Jacobian (n, m) with gaps: zeros, and now and then an empty row or an empty stretch of columns."""
    out = rng.gamma(1.0, 1.0, (n, m)) * (rng.random((n, m)) < 0.4)
    if n > 2:
        out[rng.integers(n)] = 0.0
    out[:, m // 3 : m // 2] = 0.0
    return out


def unsorted_csr(matrix: np.ndarray) -> sp.csr_array:
    """The same matrix with columns in descending order and every entry split into two."""
    rows = sp.csr_array(matrix)
    data, indices, offsets = [], [], [0]
    for i in range(rows.shape[0]):
        part = slice(rows.indptr[i], rows.indptr[i + 1])
        data += [*(0.25 * rows.data[part][::-1]), *(0.75 * rows.data[part][::-1])]
        indices += [*rows.indices[part][::-1], *rows.indices[part][::-1]]
        offsets.append(len(data))
    return sp.csr_array(
        (np.array(data), np.array(indices, dtype="i4"), np.array(offsets)), shape=matrix.shape
    )


#: One Jacobian in every form that is taken.
FORMS: dict[str, Callable[[np.ndarray], object]] = {
    "array": lambda h: h,
    "columns first": np.asfortranarray,
    "csr": sp.csr_array,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
    "unsorted csr": unsorted_csr,
    "operator": Operator,
    "scipy operator": lambda h: LinearOperator(
        h.shape, matvec=lambda v: h @ v, rmatvec=lambda w: h.T @ w, dtype="f8"
    ),
    "ragged": lambda h: RaggedJacobian.of(sp.csr_array(h)),
}
