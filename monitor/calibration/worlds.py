"""Truths, and what a network sees of them.

A truth is drawn from the model's prior: its fluxes in space and time, its inflow and its errors.  Where a
total must be known beforehand, a multiple of the claimed pattern inside the region is added until it is: the
estimate is flat along that pattern, so its error stays the one the model states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

import numpy as np
import scipy.sparse as sp

from monitor.calibration.network import Network
from monitor.compare.claims import Quantity
from monitor.domain import Interval
from monitor.inversion.components import cholesky_or_error
from monitor.inversion.hyper import Hyperparameters
from monitor.inversion.mismatch import BACKGROUND
from monitor.inversion.posterior import Posterior, solve_problem
from monitor.inversion.problem import InverseProblem
from monitor.inversion.state import StateBlock, overlap_share

#: How much longer than stated the mismatch remembers in a world of another model.
STRETCH: Final = 3.0
#: By how much the totals of a city that falls along a line have fallen in the last epoch.
FALL: Final = -0.4


@dataclass(frozen=True, eq=False)
class Truth:
    """Fluxes by block (p, s) in the block's own unknowns, and the claimed totals they make (k,)."""

    flux: Mapping[str, np.ndarray]
    totals: np.ndarray

    @property
    def changes(self) -> np.ndarray:
        """Of each epoch against the first (k − 1,)."""
        return np.asarray(self.totals[1:] / self.totals[0] - 1.0)


def draw_truth(network: Network, rng: np.random.Generator, totals: np.ndarray | None = None) -> Truth:
    """Fluxes from the prior at the stated hyperparameters; with the given totals (k,) if there are any."""
    problem, quantity = network.problem, network.quantity
    flux = {}
    for block in problem.blocks:
        covariance = block.covariance(problem.values_of(block.name, problem.model.starts))
        noise = covariance.sqrt_matvec(rng.standard_normal(covariance.sqrt_size))
        flux[block.name] = block.prior + noise.reshape(block.shape)
    block = problem.block(quantity.block)
    if totals is None:
        own = flux[block.name]
        return Truth(flux, np.array([total_of(block, own, quantity, e) for e in quantity.epochs]))
    for epoch, total in zip(quantity.epochs, totals, strict=True):
        flux[block.name] = with_total(block, flux[block.name], quantity, epoch, float(total))
    return Truth(flux, np.asarray(totals, dtype="f8"))


def total_of(block: StateBlock, flux: np.ndarray, quantity: Quantity, epoch: Interval) -> float:
    """What a flux (p, s) makes over a quantity's region in an epoch [t a⁻¹]."""
    return float(np.sum(block.loading(quantity.weight, epoch) * flux))


def with_total(
    block: StateBlock, flux: np.ndarray, quantity: Quantity, epoch: Interval, total: float
) -> np.ndarray:
    """The flux (p, s) with as much of the claimed pattern added within the region as makes the total."""
    pattern = next(iter(quantity.patterns.values()))
    lacking = (total - total_of(block, flux, quantity, epoch)) / float(quantity.weight @ pattern)
    # the steps of the epoch, each by its share: a step is inside one epoch
    inside = overlap_share(block.steps, epoch)[:, None] > 0
    return np.asarray(flux + inside * (lacking * pattern * quantity.fraction)[None, :])


def observe(
    network: Network,
    truth: Truth,
    rng: np.random.Generator,
    *,
    jacobians: Mapping[str, sp.csr_array] | None = None,
    stretch: float = 1.0,
) -> InverseProblem:
    """The network's problem with what its instruments would have measured.

    Parameters
    ----------
    jacobians : block name -> (n, p·s)
        Of the transport that moved the air; that of the model if absent.
    stretch
        Factor on the correlation times of the mismatch.
    """
    problem = network.problem
    value = problem.baseline + errors_factor(problem, stretch) @ rng.standard_normal(problem.table.n)
    for block in problem.blocks:
        seen = block.jacobian if jacobians is None else jacobians[block.name]
        value = value + seen @ truth.flux[block.name].ravel()
    return with_values(problem, value)


def right_world(
    network: Network, rng: np.random.Generator, totals: np.ndarray | None = None
) -> tuple[Truth, InverseProblem]:
    """A truth and its observations by the very model that inverts them."""
    truth = draw_truth(network, rng, totals)
    return truth, observe(network, truth, rng)


def with_values(problem: InverseProblem, value: np.ndarray) -> InverseProblem:
    """The problem with other observed mole fractions (n,)."""
    return replace(problem, table=replace(problem.table, value=value))


def errors_factor(problem: InverseProblem, stretch: float = 1.0) -> np.ndarray:
    """Cholesky factor (n, n) of the covariance of inflow and errors, at the stated hyperparameters."""
    values = problem.model.starts
    blocks = {b.name for b in problem.blocks}
    total = np.zeros((problem.table.n, problem.table.n))
    for component, own in zip(problem.model.components, problem.model.split(values), strict=True):
        if component.name in blocks:
            continue
        times = [p.name.endswith(" time") and component.name not in BACKGROUND for p in component.parameters]
        total += component.covariance(np.where(times, stretch, 1.0) * own)
    return cholesky_or_error(total, "the covariance of inflow and errors")


def stated(problem: InverseProblem) -> Hyperparameters:
    """The stated hyperparameters, as certain."""
    parameters = problem.model.parameters
    return Hyperparameters(
        parameters, problem.model.starts, np.zeros((len(parameters), len(parameters))), float("nan"), 0
    )


def solve_stated(problem: InverseProblem) -> Posterior:
    """The posterior of a model that is known to be right."""
    return solve_problem(problem, fitted=stated(problem))


def epoch_totals(network: Network, change: float) -> np.ndarray:
    """Totals (k,) of a city whose inventory holds but in the last epoch, which is `change` away from it."""
    size = float(network.quantity.weight @ next(iter(network.quantity.patterns.values())))
    totals = np.full(len(network.epochs), size)
    totals[-1] *= 1.0 + change
    return totals


def falling_totals(network: Network) -> np.ndarray:
    """Totals (k,) of a city that falls along a line from its inventory's, by `FALL` in the last epoch."""
    size = float(network.quantity.weight @ next(iter(network.quantity.patterns.values())))
    years = network.years
    return np.asarray(size * (1.0 + FALL * years / max(float(years[-1]), 1.0)))


def stream(seed: int, city: int, name: str) -> np.random.Generator:
    """A generator for one experiment of one city: the same whichever others are done, and in which order."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(city, crc32(name.encode()))))
