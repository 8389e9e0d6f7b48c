"""Linear problems of milliseconds with hyperparameters to find, and their evidence the long way."""

from __future__ import annotations

import numpy as np
from scipy.stats import multivariate_normal

from monitor import inversion as inv
from monitor.inversion import covariance as cov


def starts(problem):
    return np.array([p.start for p in problem.parameters])


def dense_evidence(problem, values):
    """The density of the contrasts that no fixed effect touches, less ½ ln|XᵀX|, every matrix written out."""
    now = problem.with_values(values)
    jacobian = inv.operators.forward(problem.jacobian, np.eye(problem.m))
    psi = jacobian @ now.prior_covariance.dense() @ jacobian.T + now.mismatch_covariance.dense()
    residual = problem.observations - jacobian @ problem.prior_mean
    effects = np.column_stack([np.zeros((problem.m, 0)), *problem.fixed_effects.values()])
    x = jacobian @ effects
    q = x.shape[1]
    basis = np.linalg.qr(x, mode="complete")[0][:, q:] if q else np.eye(problem.n)
    contrasts = multivariate_normal.logpdf(basis.T @ residual, cov=basis.T @ psi @ basis)
    return contrasts - (0.5 * np.linalg.slogdet(x.T @ x)[1] if q else 0.0)


def small_problem(seed=0, n=80, *, effects=None):
    """Twelve hours of a 3 × 4 grid seen n times, noise and a process, with observations from their sum."""
    rng = np.random.default_rng(seed)
    jacobian = rng.gamma(0.5, 1.0, (n, 144)) * (rng.random((n, 144)) < 0.3)
    hours = np.arange(n) * 1.0
    problem = inv.LinearProblem(
        jacobian,
        np.zeros(n),
        1.0,
        cov.Kronecker(cov.Exponential(4.0, 12), cov.Exponential(2.0, (3, 4)), std=0.5),
        cov.Sum((cov.Diagonal(np.full(n, 0.5)), cov.Exponential(6.0, hours, std=0.8))),
        totals=np.kron(np.eye(2), np.full(72, 1.0 / 72)),
        fixed_effects=effects,
    )
    return with_observations(problem, state_and_observations(problem, rng)[1])


def line_problem(seed=0, n=30):
    """A line of 20 unknowns, each observation a sum over some: three parameters, and cheap."""
    rng = np.random.default_rng(seed)
    problem = inv.LinearProblem(
        rng.gamma(0.5, 1.0, (n, 20)) * (rng.random((n, 20)) < 0.3),
        np.zeros(n),
        1.0,
        cov.Exponential(3.0, 20),
        np.full(n, 0.3),
        totals=np.kron(np.eye(2), np.full(10, 0.1)),
    )
    return with_observations(problem, state_and_observations(problem, rng)[1])


def with_observations(problem, observations):
    """The same problem with other observations."""
    return inv.LinearProblem(
        problem.jacobian,
        observations,
        problem.prior_mean,
        problem.prior_covariance,
        problem.mismatch_covariance,
        totals=problem.totals,
        fixed_effects=problem.fixed_effects or None,
    )


def state_and_observations(problem, rng):
    """A state and what is observed of it, from the problem's own covariances."""
    prior, mismatch = problem.prior_covariance, problem.mismatch_covariance
    noise = mismatch.sqrt_matvec(rng.normal(size=mismatch.sqrt_size))
    state = problem.prior_mean + prior.sqrt_matvec(rng.normal(size=prior.sqrt_size))
    return state, problem.jacobian @ state + noise
