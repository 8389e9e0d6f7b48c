"""Chosen unknowns whose logarithm is Gaussian, by Hamiltonian Monte Carlo about Laplace's posterior.

The prior is stated in x, as for a Gaussian: `prior_mean` is its mean or its **median**, which must be said,
and `prior_covariance` holds σ² of x.  For each unknown, with ln x ~ N(μ, s²) (Crow & Shimizu 1988, ch. 1)::

    stated mean m       s² = ln(1 + σ²/m²)                  μ = ln m − s²/2
    stated median p     s² = ln[(1 + √(1 + 4σ²/p²)) / 2]    μ = ln p

so that draws of the prior have the stated mean or median and the stated σ.  The correlation that is stated is
that of the logarithms; that of x is lower, [exp(ρ s₁s₂) − 1] / √{[exp(s₁²) − 1] [exp(s₂²) − 1]}.  So Q keeps
its structure: x = exp(μ + (s/σ) ζ) with ζ ~ N(0, Q), and x = x_a + ζ for the unknowns that were not chosen.

The most probable ζ is found by Gauss–Newton, each step a linear problem with the Jacobian J = H ∂x/∂ζ.  At it
the linear problem's posterior N(ζ̂, C) is Laplace's; its mean of a total is biased, so it only guides draws.
The target is N(ζ̂, C) times exp φ, with δ = ζ − ζ̂ and ζ̂ = Q g::

    φ = −½ |y − H x|²_R + ½ |J δ|²_R − gᵀδ

exactly, whether ζ̂ is the maximum or not.  Paths turn about ζ̂ as if φ were 0 and are kicked by C∇φ, so that
neither C⁻¹ nor Q⁻¹ is needed and steps need not shrink with m (Beskos et al. 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_solve

from monitor.errors import InputError, NumericalError
from monitor.inversion.covariance import Covariance, Diagonal
from monitor.inversion.factor import factored
from monitor.inversion.linear import LinearPosterior, LinearProblem
from monitor.inversion.operators import RaggedJacobian, adjoint, forward
from monitor.inversion.positivity import (
    PositivePosterior,
    covariance_product,
    ensure_drawable,
    posterior_noise,
)
from monitor.inversion.progress import tracked

Stated = Literal["mean", "median"]
Solver = Callable[[LinearProblem], LinearPosterior]

#: Chains that are run side by side, as columns.
CHAINS = 16
#: Paths before the first that counts, in which the step is fitted.
BURN_IN = 60
#: Share of proposals to accept (Beskos et al. 2013).
_ACCEPT = 0.8
#: Time between kicks.
_LONGEST, _SHORTEST = np.pi / 6.0, np.pi / 128.0
#: By chance, paths take steps up to this much shorter than the fitted one: in a bent tail only those move;
#: without them the tail is missed, and the Monte-Carlo error with it.
_SHORTER = 16.0
_STEPS = 100
#: Unknowns up to which the covariance of Laplace's posterior is written out.
_DENSE = 1000


def log_parameters(
    stated: np.ndarray, variance: np.ndarray, meaning: Stated
) -> tuple[np.ndarray, np.ndarray]:
    """μ and s of ln x from the stated mean or median and the variance of x; all (m,)."""
    ratio = variance / stated**2
    if meaning == "mean":
        square = np.log1p(ratio)
        return np.log(stated) - 0.5 * square, np.sqrt(square)
    # ½(√(1 + 4q) − 1) without cancellation
    square = np.log1p(2.0 * ratio / (1.0 + np.sqrt(1.0 + 4.0 * ratio)))
    return np.log(stated), np.sqrt(square)


@dataclass(frozen=True, eq=False)
class LogScale:
    """x as a function of ζ ~ N(0, Q): exp(location + slope ζ) where `positive`, else prior mean + ζ.

    Attributes
    ----------
    positive, location, slope : (m,)
    """

    positive: np.ndarray
    location: np.ndarray
    slope: np.ndarray

    @classmethod
    def of(cls, problem: LinearProblem, positive: np.ndarray, stated: Stated) -> LogScale:
        """From what is stated of x.

        Raises
        ------
        InputError
            When a stated mean or median of a chosen unknown is not positive.
        """
        bad = np.flatnonzero(positive & (problem.prior_mean <= 0))
        if bad.size:
            raise InputError(
                f"a log-normal unknown needs a positive {stated}; {bad.size} have none",
                found=f"prior_mean {problem.prior_mean[bad[0]]:.6g} at index {int(bad[0])}",
                remedy='give it one, leave it out of positive, or take positivity="truncated"',
            )
        value = np.where(positive, problem.prior_mean, 1.0)
        variance = problem.prior_covariance.diagonal()
        location, spread = log_parameters(value, variance, stated)
        # where σ is zero ζ is zero too, and the slope of no account
        slope = np.where(variance > 0, spread / np.sqrt(np.where(variance > 0, variance, 1.0)), 1.0)
        return cls(positive, np.where(positive, location, problem.prior_mean), np.where(positive, slope, 1.0))

    def state(self, zeta: np.ndarray) -> np.ndarray:
        """X for ζ (m,) or (m, k)."""
        shape = (-1,) + (1,) * (zeta.ndim - 1)
        line = self.location.reshape(shape) + self.slope.reshape(shape) * zeta
        with np.errstate(over="ignore"):
            return np.asarray(np.where(self.positive.reshape(shape), np.exp(line), line))

    def derivative(self, state: np.ndarray) -> np.ndarray:
        """∂x/∂ζ at x (m,) or (m, k)."""
        shape = (-1,) + (1,) * (state.ndim - 1)
        return np.asarray(np.where(self.positive.reshape(shape), self.slope.reshape(shape) * state, 1.0))


@dataclass(frozen=True, eq=False)
class Target:
    """N(ζ̂, C) times exp φ.

    Attributes
    ----------
    laplace : LinearPosterior
        Of ζ, with the Jacobian J.
    weight : (m,)
        g of ζ̂ = Q g.
    precise : callable
        R⁻¹ times (n, k).
    """

    problem: LinearProblem
    scale: LogScale
    laplace: LinearPosterior
    centre: np.ndarray
    weight: np.ndarray
    precise: Callable[[np.ndarray], np.ndarray]

    @cached_property
    def spread(self) -> Callable[[np.ndarray], np.ndarray]:
        """C times (m, k); written out where that is the cheaper."""
        if self.problem.m > _DENSE:
            return lambda columns: covariance_product(self.laplace, columns)
        matrix = self.laplace.covariance()
        return lambda columns: np.asarray(matrix @ columns)

    def tilt(self, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """φ (k,) and ∇φ (m, k) at δ (m, k)."""
        state = self.scale.state(self.centre[:, None] + offset)
        misfit = self.problem.observations[:, None] - forward(self.problem.jacobian, state)
        linear = forward(self.laplace.problem.jacobian, offset)
        weighted, straight = self.precise(misfit), self.precise(linear)
        value = 0.5 * (linear * straight - misfit * weighted).sum(axis=0) - self.weight @ offset
        slope = self.scale.derivative(state) * adjoint(self.problem.jacobian, weighted)
        return value, slope + adjoint(self.laplace.problem.jacobian, straight) - self.weight[:, None]


def solve_lognormal(
    problem: LinearProblem, positive: np.ndarray, stated: Stated, solver: Solver, sampling: tuple[int, int]
) -> PositivePosterior:
    """Draws of the posterior with log-normal unknowns where `positive` (m,).

    Parameters
    ----------
    stated : "mean" or "median"
        What `problem.prior_mean` is of the chosen unknowns.
    solver
        Of linear problems with the same covariances.
    sampling : (draws, seed)

    Raises
    ------
    InputError
        When there are fixed effects, a stated value is not positive, or memory does not suffice.
    NumericalError
        When Gauss–Newton or the draws fail: with the number.
    """
    draws, seed = sampling
    if problem.fixed_effects:
        raise InputError(
            "a fixed effect has no meaning beside unknowns whose logarithm is Gaussian",
            found=", ".join(problem.fixed_effects),
            remedy='give it a broad prior as an unknown of its own, or take positivity="truncated"',
        )
    ensure_drawable(draws * problem.m, f"{draws} draws of {problem.m} unknowns")
    target = most_probable(problem, LogScale.of(problem, positive, stated), solver)
    length = -(-draws // CHAINS)
    states, acceptance = sample(target, length, np.random.default_rng(seed))
    kept = states.reshape(-1, problem.m)
    return PositivePosterior(kept, CHAINS, problem, "lognormal", positive, target.laplace, acceptance)


def most_probable(problem: LinearProblem, scale: LogScale, solver: Solver) -> Target:
    """ζ̂ by Gauss–Newton with halved steps, and Laplace's posterior there."""
    precise = mismatch_solver(problem.mismatch_covariance)
    prior, m = problem.prior_covariance, problem.m
    unit = np.sqrt(np.where(prior.diagonal() > 0, prior.diagonal(), 1.0))

    def objective(zeta: np.ndarray, weight: np.ndarray) -> float:
        misfit = problem.observations - forward(problem.jacobian, scale.state(zeta))
        return float(misfit @ precise(misfit) + weight @ zeta) if np.isfinite(misfit).all() else np.inf

    zeta, weight = np.zeros(m), np.zeros(m)
    change = np.inf
    for _ in range(_STEPS):
        linear = linearised(problem, scale, zeta)
        posterior = solver(linear)
        if change < 1e-3:
            return Target(problem, scale, posterior, zeta, weight, precise)
        ahead = adjoint(linear.jacobian, posterior.alpha)
        towards = prior.matvec(ahead) - zeta
        step, before = 1.0, objective(zeta, weight)
        while objective(zeta + step * towards, weight + step * (ahead - weight)) > before and step > 1e-6:
            step *= 0.5
        zeta, weight = zeta + step * towards, weight + step * (ahead - weight)
        change = float(np.max(np.abs(step * towards) / unit))
    raise NumericalError(
        "the most probable log-normal state is not found",
        expected="a last step of at most 0.001 σ",
        found=f"{change:.2g} σ after {_STEPS} steps",
        remedy="look for observations that no positive state explains",
    )


def linearised(problem: LinearProblem, scale: LogScale, zeta: np.ndarray) -> LinearProblem:
    """The linear problem for ζ about a value of it."""
    state = scale.state(zeta)
    jacobian = scaled_columns(problem.jacobian, scale.derivative(state))
    seen = problem.observations - forward(problem.jacobian, state) + forward(jacobian, zeta)
    return replace(problem, jacobian=jacobian, observations=seen, prior_mean=np.zeros(problem.m), totals=None)


@dataclass(frozen=True, eq=False)
class _Scaled:
    """An operator H D with D = diag(factor)."""

    jacobian: Any
    factor: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.jacobian.shape[0]), int(self.jacobian.shape[1])

    def matvec(self, vector: np.ndarray) -> np.ndarray:
        return forward(self.jacobian, self.factor * vector)

    def rmatvec(self, vector: np.ndarray) -> np.ndarray:
        return np.asarray(self.factor * adjoint(self.jacobian, vector))


def scaled_columns(jacobian: Any, factor: np.ndarray) -> Any:
    """H diag(factor), in the form that H has."""
    if isinstance(jacobian, np.ndarray):
        return jacobian * factor
    if sp.issparse(jacobian):
        return jacobian @ sp.diags_array(factor)
    if isinstance(jacobian, RaggedJacobian):
        return replace(jacobian, values=jacobian.values * factor[jacobian.columns])
    return _Scaled(jacobian, factor)


def mismatch_solver(covariance: Covariance) -> Callable[[np.ndarray], np.ndarray]:
    """R⁻¹ times (n,) or (n, k).

    Raises
    ------
    NumericalError
        When R is not positive definite.
    """
    if isinstance(covariance, Diagonal) and (covariance.diagonal() > 0).all():
        variance = covariance.diagonal()
        return lambda columns: np.asarray((columns.T / variance).T)
    lower, _ = factored(np.ascontiguousarray(covariance.dense()), "mismatch_covariance")
    return lambda columns: np.asarray(cho_solve((lower, True), columns, check_finite=False))


def sample(target: Target, length: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draws of x (chains, length, m), and the share of proposals that was accepted.

    Raises
    ------
    NumericalError
        When fewer than a fifth are accepted.
    """
    offset = posterior_noise(target.laplace, CHAINS, rng)
    tilt = target.tilt(offset)
    step, accepted = _LONGEST, []
    out = np.empty((CHAINS, length, target.problem.m))
    for k in tracked("draws", range(-BURN_IN, length)):
        velocity = posterior_noise(target.laplace, CHAINS, rng)
        shorter = float(_SHORTER ** -rng.random())
        ahead, tilt_ahead, log_ratio = _path(target, offset, tilt, velocity, step * shorter)
        probability = np.exp(np.minimum(np.where(np.isfinite(log_ratio), log_ratio, -np.inf), 0.0))
        take = rng.random(CHAINS) < probability
        offset = np.where(take, ahead, offset)
        tilt = (np.where(take, tilt_ahead[0], tilt[0]), np.where(take, tilt_ahead[1], tilt[1]))
        if k < 0:
            step = min(max(step * np.exp(probability.mean() - _ACCEPT), _SHORTEST), _LONGEST)
        else:
            accepted.append(probability.mean())
            out[:, k] = target.scale.state(target.centre[:, None] + offset).T
    share = float(np.mean(accepted))
    if share < 0.2:
        raise NumericalError(
            "the draws of the log-normal posterior hardly move",
            expected="at least 20 % of the proposals accepted",
            found=f"{100 * share:.1f} %, with {0.5 * np.pi / step:.0f} kicks a path",
            remedy="look for σ of the mismatch that are far too small, or priors far wider than their mean",
        )
    return out, share


def _path(
    target: Target, offset: np.ndarray, tilt: tuple[np.ndarray, np.ndarray], velocity: np.ndarray, step: float
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Where a path of time π/2 leads, with φ and ∇φ there, and the logarithm of its acceptance (chains,).

    Turns conserve ½|δ|² + ½|v|² in the metric C⁻¹; a kick by h C∇φ adds h ∇φᵀv + ½h² ∇φᵀC∇φ.
    """
    count = int(np.ceil(0.5 * np.pi / step))
    half = 0.25 * np.pi / count
    cosine, sine = np.cos(2.0 * half), np.sin(2.0 * half)
    gained = np.zeros(offset.shape[1])
    value, slope = tilt
    kick = target.spread(slope)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(count):
            gained += half * (slope * (velocity + 0.5 * half * kick)).sum(axis=0)
            velocity = velocity + half * kick
            offset, velocity = offset * cosine + velocity * sine, velocity * cosine - offset * sine
            value, slope = target.tilt(offset)
            kick = target.spread(slope)
            gained += half * (slope * (velocity + 0.5 * half * kick)).sum(axis=0)
            velocity = velocity + half * kick
        return offset, (value, slope), value - tilt[0] - gained
