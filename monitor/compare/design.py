"""What a network would see before it stands, and what each further site would add.

Variances of a linear Gaussian model need no data.  With Ψ the covariance of all sites' observations, C
their covariance with the totals asked for, V the prior covariance of these, X the responses to the patterns
that are flat and G what these patterns add to the totals, everything about a network is in one matrix::

        ⎡ Ψ   C   X ⎤
        ⎢ Cᵀ  V   G ⎥
        ⎣ Xᵀ  Gᵀ  0 ⎦

Observing a site takes its rows out by one step of block elimination, and what is left is again such a matrix
(the Schur complement): V is then the posterior covariance given the patterns' strengths, G − CᵀΨ⁻¹X what
these still add, and the last block −XᵀΨ⁻¹X minus the information on them.  Adding a site to a network costs
one Cholesky factor of the site's own rows, never a refit (Golub and Van Loan 2013, §4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from monitor.compare.ensemble import estimate_at
from monitor.compare.estimator import Answer
from monitor.compare.quantity import Quantity
from monitor.compare.statistics import LEVEL
from monitor.inversion.components import cholesky_or_error

#: Eigenvalue, relative to the largest, below which a pattern's strength is not seen.
_UNSEEN = 1e-12
#: Part of a total's pattern that may lie along what is not seen, as rounding.
_ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class Design:
    """A network, and the sites that may be added to it.

    Attributes
    ----------
    noise : (n, n)
        Covariance of the observations of the sites not taken yet, given those taken.
    cross : (n, k)
        Their covariance with the totals.
    prior : (k, k)
        Covariance of the totals, given the observations taken and the patterns' strengths.
    fixed : (n, q)
        Their response to the patterns, beyond what the observations taken foretell.
    loading : (k, q)
        What the patterns add to the totals beyond that.
    information : (q, q)
        On the patterns' strengths, from the observations taken.
    sources : (n, c)
        Their response to a unit source at each place (and time), as `fixed`.
    strength : (c,)
        Information on the strength of each source alone, from the observations taken.
    site : (n,) int
        Which site each observation belongs to.
    taken : tuple of int
        Sites of the network, in the order they were taken.
    """

    noise: np.ndarray
    cross: np.ndarray
    prior: np.ndarray
    fixed: np.ndarray
    loading: np.ndarray
    information: np.ndarray
    sources: np.ndarray
    strength: np.ndarray
    site: np.ndarray
    taken: tuple[int, ...] = ()

    @classmethod
    def empty(
        cls,
        covariance: np.ndarray,
        cross: np.ndarray,
        prior: np.ndarray,
        site: np.ndarray,
        *,
        fixed: np.ndarray | None = None,
        loading: np.ndarray | None = None,
        sources: np.ndarray | None = None,
    ) -> Design:
        """The network of no site yet; arrays as in the class, of all sites."""
        n, k = cross.shape
        columns = np.zeros((n, 0)) if fixed is None else fixed
        q = columns.shape[1]
        return cls(
            noise=covariance,
            cross=cross,
            prior=prior,
            fixed=columns,
            loading=np.zeros((k, q)) if loading is None else loading,
            information=np.zeros((q, q)),
            sources=np.zeros((n, 0)) if sources is None else sources,
            strength=np.zeros(0 if sources is None else sources.shape[1]),
            site=site,
        )

    @property
    def sites(self) -> tuple[int, ...]:
        """Sites that are not taken yet."""
        return tuple(int(s) for s in np.unique(self.site))

    @property
    def covariance(self) -> np.ndarray:
        """Of the totals, the patterns flat (k, k); infinite where a total rests on what nobody sees."""
        return _with_flat(self.prior, self.loading, self.information)

    def covariance_of(self, totals: np.ndarray, patterns: np.ndarray) -> np.ndarray:
        """Of some totals (indices), with only some of the patterns flat and the others at zero."""
        return _with_flat(
            self.prior[np.ix_(totals, totals)],
            self.loading[np.ix_(totals, patterns)],
            self.information[np.ix_(patterns, patterns)],
        )

    @property
    def source_sigma(self) -> np.ndarray:
        """1σ of the strength of each source, known in place and time (c,); infinite where nothing is seen."""
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / np.sqrt(self.strength))

    def take(self, *sites: int) -> Design:
        """The network with these sites, one after the other."""
        out = self
        for site in sites:
            out = out._take(site)
        return out

    def seen_with(self, site: int) -> Design:
        """The network with one more site, as far as totals and sources are concerned.

        Exact, and cheap: what the site does to the others' observations is left out (`sites` is empty).
        """
        cut = self._cut(site)
        none = np.zeros(0, dtype=self.site.dtype)
        return replace(
            self,
            noise=np.zeros((0, 0)),
            cross=self.cross[:0],
            fixed=self.fixed[:0],
            sources=self.sources[:0],
            site=none,
            prior=self.prior - cut.cross.T @ cut.cross,
            loading=self.loading - cut.cross.T @ cut.fixed,
            information=self.information + cut.fixed.T @ cut.fixed,
            strength=self.strength + np.einsum("nc,nc->c", cut.sources, cut.sources),
            taken=(*self.taken, site),
        )

    def _take(self, site: int) -> Design:
        cut, rest = self._cut(site), np.flatnonzero(self.site != site)
        half = solve_triangular(cut.lower, self.noise[np.ix_(cut.rows, rest)], lower=True, check_finite=False)
        return replace(
            self.seen_with(site),
            noise=self.noise[np.ix_(rest, rest)] - half.T @ half,
            cross=self.cross[rest] - half.T @ cut.cross,
            fixed=self.fixed[rest] - half.T @ cut.fixed,
            sources=self.sources[rest] - half.T @ cut.sources,
            site=self.site[rest],
        )

    def _cut(self, site: int) -> _Cut:
        rows = np.flatnonzero(self.site == site)
        lower = cholesky_or_error(self.noise[np.ix_(rows, rows)], f"the covariance of site {site}")
        columns = np.hstack([self.cross[rows], self.fixed[rows], self.sources[rows]])
        half = solve_triangular(lower, columns, lower=True, check_finite=False)
        k, q = self.cross.shape[1], self.fixed.shape[1]
        return _Cut(rows, lower, half[:, :k], half[:, k : k + q], half[:, k + q :])


@dataclass(frozen=True, eq=False)
class _Cut:
    """The rows of a site, its Cholesky factor L, and L⁻¹ times its columns."""

    rows: np.ndarray
    lower: np.ndarray
    cross: np.ndarray
    fixed: np.ndarray
    sources: np.ndarray


def _with_flat(prior: np.ndarray, loading: np.ndarray, information: np.ndarray) -> np.ndarray:
    """V + E M⁻¹ Eᵀ for information M (q, q); rows and columns infinite where E meets what M does not see."""
    size = np.abs(loading).max(axis=0, initial=0.0)
    asked = np.flatnonzero(size > 0)
    if not asked.size:
        return prior
    scale = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    scale = np.where(scale > 0, scale, 1.0)
    value, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    seen = value > _UNSEEN * max(float(value[-1]), 0.0)
    extra = (loading / scale) @ vectors
    blind = (np.abs(extra[:, ~seen]) > _ROUNDING * np.abs(extra).max(axis=1, keepdims=True)).any(axis=1)
    out = prior + (extra[:, seen] / value[seen]) @ extra[:, seen].T
    out[blind, :] = out[:, blind] = 0.0
    out[blind, blind] = np.inf
    return np.asarray(0.5 * (out + out.T))


@dataclass(frozen=True)
class Step:
    """One site added to a network: the figure asked for (smaller is better), before and after."""

    site: int
    before: float
    after: float


Figure = Callable[[Design], float]


def detectable_share(quantity: Quantity, pattern: str, covariance: np.ndarray, level: float = LEVEL) -> float:
    """What a claim of this form must at least say to be told from nothing, for totals as the map has them.

    The transport's shared error is at its least favourable correlation between epochs, as in a verdict.
    Infinite where the network does not see it.

    Parameters
    ----------
    covariance : (k, k)
        Of the totals, without the transport's error.
    """
    if not np.isfinite(covariance).all():
        return float("inf")
    totals = quantity.expected(pattern)
    stated = Answer(pattern, totals, covariance, {}, False)
    found = [estimate_at(quantity.made, stated, quantity.transport, c, level) for c in quantity.correlations]
    return max(estimate.detectable for estimate in found)


def alone(network: Design, figure: Figure, sites: Sequence[int] | None = None) -> list[Step]:
    """What each site would do if it were the only one added, the best first."""
    before = figure(network)
    chosen = network.sites if sites is None else sites
    steps = [Step(site, before, figure(network.seen_with(site))) for site in chosen]
    return sorted(steps, key=lambda step: (step.after, step.site))


def greedy(network: Design, figure: Figure, count: int) -> list[Step]:
    """The best site, then the best beside it, and so on: up to `count` steps.

    Each step is exact; the sequence need not be the best set of that size.
    """
    steps: list[Step] = []
    while len(steps) < count and network.sites:
        best = alone(network, figure)[0]
        steps.append(best)
        network = network.take(best.site)
    return steps
