"""Looking more than once: how wide an interval must be at each look, so that all looks together err as one.

A claim that is judged again whenever data arrive is found true by chance sooner or later.  Its looks are
therefore declared beforehand, and each spends a part of the error that all together may make.  How much may
be spent is a function of the calendar (Lan and DeMets 1983, Biometrika 70, 659; by the calendar 1989, Stat.
Med. 8, 1191).  The boundary of a look follows from the looks before it: Z at the looks is a Brownian motion
over the square root of the information that was really gathered by then, and the probability to pass the
boundary now for the first time is what the function still leaves.
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
    time : float
        Gone by then, of that until the last look.
    z : float
        Two-sided boundary: the interval is the estimate ± z σ.
    """

    number: int
    of: int
    time: float
    z: float

    @property
    def level(self) -> float:
        """Level of the interval at this look."""
        return float(1 - 2 * norm.sf(self.z))


#: A look is taken to know at least so much more than the last, relatively: less is not resolved, and taking
#: more makes its interval wider.
LEAST_GAIN: Final = 1e-4

#: A claim that is looked at once.
ONCE: Final = Look(1, 1, 1.0, float(norm.isf(ALPHA / 2)))


def spent(rule: Rule, time: float, alpha: float = ALPHA) -> float:
    """Two-sided error that may be spent when this part of the time is gone; `alpha` at 1.

    The functions of Lan and DeMets (1983), each side with half of `alpha`: 2 − 2Φ(z_{α/4} / √t) per side
    resembles the boundaries of O'Brien and Fleming, α/2 ln(1 + (e − 1) t) those of Pocock.  "bonferroni"
    spends evenly, and is meant for looks whose dependence is not known.
    """
    if rule == "obrien-fleming":
        return float(4 * norm.sf(norm.isf(alpha / 4) / sqrt(time)))
    return alpha * (log1p((e - 1) * time) if rule == "pocock" else time)


def plan(
    rule: Rule, times: Sequence[float], information: Sequence[float] | None = None, alpha: float = ALPHA
) -> tuple[Look, ...]:
    """The looks of a claim with their boundaries, as far as their information is known.

    Parameters
    ----------
    times : sequence of float
        When each look is, of the time until the last, ascending in (0, 1]: what may have been spent by then.
    information : sequence of float, optional
        1/σ² of the estimate at each look so far, in any unit, not descending; if absent it grows with time.
        It must not be chosen by what the estimate says.  "bonferroni" gives every look the same level
        whatever it is.

    Raises
    ------
    UsageError
        When the times do not ascend to 1, or the information descends.
    """
    _ensure_ascending(times)
    gathered = np.asarray(times if information is None else information, dtype=float)
    if gathered.size > len(times) or not (np.diff(gathered, prepend=0.0) >= 0).all():
        raise UsageError(
            "the information at the looks must not descend", found=", ".join(f"{i:g}" for i in gathered)
        )
    if rule == "bonferroni":
        boundaries = [float(norm.isf(alpha / (2 * len(times))))] * gathered.size
    else:
        boundaries = _boundaries(gathered, [spent(rule, t, alpha) for t in times[: gathered.size]])
    return tuple(
        Look(k + 1, len(times), float(t), z)
        for k, (t, z) in enumerate(zip(times[: gathered.size], boundaries, strict=True))
    )


def plan_apart(rule: Rule, times: Sequence[float], alpha: float = ALPHA) -> tuple[Look, ...]:
    """The same for looks of which nobody knows how they depend: each errs by what is spent since the last.

    Raises
    ------
    UsageError
        When the times do not ascend to 1.
    """
    if rule == "bonferroni":
        return plan(rule, times, alpha=alpha)
    _ensure_ascending(times)
    errors = np.diff([spent(rule, t, alpha) for t in times], prepend=0.0)
    return tuple(
        Look(k + 1, len(times), float(t), min(float(norm.isf(error / 2)), WIDEST_Z))
        for k, (t, error) in enumerate(zip(times, errors, strict=True))
    )


def _ensure_ascending(times: Sequence[float]) -> None:
    steps = np.diff(times, prepend=0.0)
    if len(times) == 0 or (steps <= 0).any() or abs(times[-1] - 1) > 1e-9:
        raise UsageError(
            "the looks at a claim must ascend to the whole of its time",
            expected="fractions in (0, 1], the last 1",
            found=", ".join(f"{t:g}" for t in times) or "no look",
        )


def _boundaries(information: np.ndarray, allowed: Sequence[float]) -> list[float]:
    """Boundary of |B(t)|/√t at each information t: passed by then with the probability `allowed`.

    The density of a Brownian motion that has stayed within all boundaries so far is carried from look to
    look (Armitage, McPherson and Rowe 1969), on Gauss-Legendre nodes between the boundaries.  What a look
    cannot spend, because nothing is known yet, is left to the next.
    """
    clock = _clock(information)
    steps = np.sqrt(np.diff(clock, prepend=0.0))
    # each density is integrated over the step to the next look: the nodes must resolve both
    finest = np.minimum(steps, np.append(steps[1:], np.inf))
    boundaries = [WIDEST_Z] * (information.size - clock.size)
    nodes, mass, gone = np.zeros(1), np.ones(1), 0.0
    for time, step, fine, limit in zip(clock, steps, finest, allowed[len(boundaries) :], strict=True):
        passing = partial(_passing, root_time=sqrt(time), step=step, nodes=nodes, mass=mass)
        z, error = WIDEST_Z, limit - gone
        if passing(z) < error:
            z = float(brentq(lambda z: passing(z) - error, 0.0, WIDEST_Z, xtol=1e-10))  # noqa: B023
        boundaries.append(z)
        gone = limit
        edge = z * sqrt(time)
        # in the middle, where they are widest, the nodes are one step apart: an error of 1e-8
        unit, weight = _gauss_nodes(16 * ceil(max(48, np.pi * edge / fine) / 16))
        fresh = edge * unit
        density = np.exp(-0.5 * ((fresh[:, None] - nodes) / step) ** 2) / (step * sqrt(2 * pi))
        mass = edge * weight * (density @ mass)
        nodes = fresh
    return boundaries


def _clock(information: np.ndarray) -> np.ndarray:
    """The time of the Brownian motion at each look that knows something, ascending to about 1."""
    known = information[information > 0.0]
    clock, before = [], 0.0
    for gathered in known / known[-1] if known.size else known:
        before = max(float(gathered), before * (1.0 + LEAST_GAIN))
        clock.append(before)
    return np.array(clock)


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
