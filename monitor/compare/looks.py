"""Looking more than once: how wide an interval must be at each look, so that all looks together err as one.

A claim that is judged again whenever data arrive is found true by chance sooner or later.  Its looks are
therefore declared beforehand, and each spends a part of the error that all together may make.  With a
spending function (Lan and DeMets 1983, Biometrika 70, 659) the boundary of a look follows from the
looks before it: Z at the looks is a Brownian motion over the square root of the information gathered, and
the probability to pass the boundary now for the first time is what the function spends now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil, e, log1p, pi, sqrt
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from monitor.errors import UsageError

Rule = Literal["obrien-fleming", "pocock", "bonferroni"]
#: What all looks together may err, on both sides.
ALPHA: Final = 0.05
#: Widest boundary; a look that may spend less than 3e-12 stays behind it.
WIDEST_Z: Final = 7.0


@dataclass(frozen=True)
class Look:
    """One of several looks at a claim.

    Attributes
    ----------
    number, of : int
        The first is 1.
    fraction : float
        Information gathered by then, of that at the last look.
    z : float
        Two-sided boundary: the interval is the estimate ± z σ.
    """

    number: int
    of: int
    fraction: float
    z: float

    @property
    def level(self) -> float:
        """Level of the interval at this look."""
        return float(1 - 2 * norm.sf(self.z))


#: A claim that is looked at once.
ONCE: Final = Look(1, 1, 1.0, float(norm.isf(ALPHA / 2)))


def spent(rule: Rule, fraction: float, alpha: float = ALPHA) -> float:
    """Two-sided error that may be spent by `fraction` of the information; `alpha` at 1.

    The functions of Lan and DeMets (1983), each side with half of `alpha`: 2 − 2Φ(z_{α/4} / √t) per side
    resembles the boundaries of O'Brien and Fleming, α/2 ln(1 + (e − 1) t) those of Pocock.  "bonferroni"
    spends evenly, and is meant for looks whose dependence is not known.
    """
    if rule == "obrien-fleming":
        return float(4 * norm.sf(norm.isf(alpha / 4) / sqrt(fraction)))
    return alpha * (log1p((e - 1) * fraction) if rule == "pocock" else fraction)


def plan(rule: Rule, fractions: Sequence[float], alpha: float = ALPHA) -> tuple[Look, ...]:
    """The looks of a claim with their boundaries.

    Parameters
    ----------
    fractions : sequence of float
        Information at each look relative to the last, ascending in (0, 1]; it must not be chosen by what
        the estimate says.  "bonferroni" gives every look the same level whatever they are.

    Raises
    ------
    UsageError
        When the fractions do not ascend to 1.
    """
    times = np.asarray(fractions, dtype=float)
    if times.size == 0 or times[0] <= 0 or (np.diff(times) <= 0).any() or abs(times[-1] - 1) > 1e-9:
        raise UsageError(
            "the looks at a claim must ascend to the whole of its information",
            expected="fractions in (0, 1], the last 1",
            found=", ".join(f"{t:g}" for t in times) or "no look",
        )
    if rule == "bonferroni":
        boundaries = [float(norm.isf(alpha / (2 * times.size)))] * times.size
    else:
        boundaries = _boundaries(times, np.diff([spent(rule, t, alpha) for t in times], prepend=0.0))
    return tuple(
        Look(k + 1, times.size, float(t), z) for k, (t, z) in enumerate(zip(times, boundaries, strict=True))
    )


def _boundaries(times: np.ndarray, errors: np.ndarray) -> list[float]:
    """Boundary of |B(t)|/√t at each time that is passed there first with the probability `errors`.

    The density of a Brownian motion that has stayed within all boundaries so far is carried from look to
    look (Armitage, McPherson and Rowe 1969), on Gauss-Legendre nodes between the boundaries.
    """
    boundaries = []
    nodes, mass, before = np.zeros(1), np.ones(1), 0.0
    for time, error in zip(times, errors, strict=True):
        step = sqrt(time - before)

        passing = partial(_passing, root_time=sqrt(time), step=step, nodes=nodes, mass=mass)
        z = WIDEST_Z
        if passing(z) < error:
            z = float(brentq(lambda z: passing(z) - error, 0.0, WIDEST_Z, xtol=1e-10))  # noqa: B023
        boundaries.append(z)
        edge = z * sqrt(time)
        # in the middle, where they are widest, the nodes are one step apart: an error of 1e-8
        unit, weight = _gauss_nodes(16 * ceil(max(48, np.pi * edge / step) / 16))
        fresh = edge * unit
        density = np.exp(-0.5 * ((fresh[:, None] - nodes) / step) ** 2) / (step * sqrt(2 * pi))
        mass = edge * weight * (density @ mass)
        nodes, before = fresh, time
    return boundaries


def _passing(z: float, *, root_time: float, step: float, nodes: np.ndarray, mass: np.ndarray) -> float:
    """Probability to be beyond ± z after a step from the nodes, where the mass of what stayed lies."""
    edge = z * root_time
    return float(mass @ (ndtr((nodes - edge) / step) + ndtr(-(nodes + edge) / step)))


@lru_cache(maxsize=64)
def _gauss_nodes(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(n)


def family_rate(n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """Probability that at least one of `n` statements errs, each with `alpha`: (at most, if independent).

    The first is Bonferroni's and holds however they depend on each other.
    """
    return min(1.0, n * alpha), float(1 - (1 - alpha) ** n)
