"""Who takes part: small functions from a world to outputs, each run in a process of its own.

Outputs are arrays: ``field`` the mean (m,) or a map (s,), ``sigma`` 1σ of the map of means over the record
(s,), ``totals`` (k,) and ``covariance`` (k, k); and numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.worlds import World, flux_map, rhythm
from monitor import inversion as inv

Outputs = dict[str, Any]

OURS = ("monitor.inversion.linear", "monitor.inversion.solving", "monitor.inversion.reduced")
#: Hours of a window of the windowed solution, and those it shares with its neighbours.
WINDOW, OVERLAP = 14 * 24, 7 * 24


@dataclass(frozen=True)
class Contestant:
    """A way to the answer.

    Attributes
    ----------
    run : inputs -> outputs
        Timed; begins with the problem's arrays and keeps nothing for the next run.
    load : folder -> inputs
        Not timed, but its memory counts.
    modules
        Imported before the memory is read.
    order : inputs -> int
        Of the Cholesky factorisation that is the yardstick.
    """

    name: str
    run: Callable[[Any], Outputs]
    load: Callable[[Path | None], Any]
    modules: tuple[str, ...] = OURS
    order: Callable[[Any], int] = lambda world: world.city.n


def opened(folder: Path | None) -> World:
    """The world that was made into the folder, its Jacobian at hand."""
    assert folder is not None
    world = World.open(folder)
    _ = world.jacobian
    return world


def streamed(folder: Path | None) -> World:
    """The world with footprints that are read part by part."""
    world = replace(opened(folder), streamed=True)
    _ = world.jacobian
    return world


def ours(name: str, run: Callable[[World], Outputs], *modules: str) -> Contestant:
    return Contestant(name, run, opened, (*OURS, *modules))


def whole(world: World, method: str) -> Outputs:
    """The mean of every hour and cell, and the totals."""
    posterior = inv.solve(world.problem(), method=method)
    totals = posterior.totals
    return _with_error(posterior, field=posterior.mean, totals=totals.mean, covariance=totals.covariance)


def month(world: World, method: str) -> Outputs:
    """The mean of every hour and cell, 1σ of every cell's mean over the record, and the totals."""
    posterior = inv.solve(world.problem(), method=method)
    sigma = np.sqrt(posterior.variance_of(means_of_cells(world)))
    totals = posterior.totals
    return _with_error(
        posterior, field=posterior.mean, sigma=sigma, totals=totals.mean, covariance=totals.covariance
    )


def means_of_cells(world: World) -> inv.SeparableTotals:
    """Every cell's mean over the record."""
    hours, cells = world.city.hours, world.city.cells
    return inv.SeparableTotals(np.full((1, hours), 1.0 / hours), sp.eye_array(cells, format="csr"))


def year(world: World) -> Outputs:
    """The map of mean fluxes and the totals of months."""
    return _year(world, inv.solve(world.problem(months=True), method="reduced"))


def year_in_windows(world: World, window: float = WINDOW, overlap: float = OVERLAP) -> Outputs:
    """The same by windows of some weeks."""
    times = world.time.astype("f8")
    return _year(world, inv.windowed(world.problem(months=True), window, overlap, times=times))


def _year(world: World, posterior: inv.LinearPosterior) -> Outputs:
    totals = posterior.totals
    field = posterior.mean_of(means_of_cells(world))
    return _with_error(posterior, field=field, totals=totals.mean, covariance=totals.covariance)


def _with_error(posterior: inv.LinearPosterior, **outputs: Any) -> Outputs:
    return outputs | {"truncation": posterior.truncation, "chi2": posterior.chi2}


def prior_field(world: World, size: int) -> np.ndarray:
    """The prior mean of the field that a contestant gave: of every unknown, or as a map of means."""
    if size == world.city.m:
        return world.prior_mean()
    return np.asarray(rhythm(world.city.hours).mean() * flux_map(world.city))


def solution(world: World) -> Outputs:
    """A solution without gradient: the mean and the evidence's value."""
    posterior = inv.solve(world.problem(), method="reduced")
    return {"field": posterior.mean, "log_evidence": posterior.log_evidence}


def gradient(world: World) -> Outputs:
    """One evaluation of the evidence with its gradient from the problem's arrays."""
    value, slope = inv.hyper.log_evidence_of(world.problem(), "reduced")
    return {"log_evidence": value, "gradient": slope}


def prepared(folder: Path | None) -> tuple[Any, np.ndarray]:
    """The evidence as a fit holds it, with the footprints projected."""
    problem = opened(folder).problem()
    _ = problem.residual
    return inv.hyper.Evidence.of(problem, "reduced"), np.array([p.start for p in problem.parameters])


def order_of_evidence(inputs: tuple[Any, np.ndarray]) -> int:
    return int(inputs[0].problem.n)


def next_value(inputs: tuple[Any, np.ndarray]) -> Outputs:
    """A further evaluation within a fit, without gradient."""
    return {"log_evidence": inputs[0].value(inputs[1])}


def next_gradient(inputs: tuple[Any, np.ndarray]) -> Outputs:
    """A further evaluation within a fit, with gradient."""
    value, slope = inputs[0](inputs[1])
    return {"log_evidence": value, "gradient": slope}


def fips_inputs(folder: Path | None) -> dict[str, Any]:
    """What `fips.InverseProblem` takes: labelled tables, the prior covariance built by its own kernels."""
    import fips
    import pandas as pd
    from fips.covariance import KroneckerError

    world = opened(folder)
    city, prior = world.city, world.prior_covariance()
    line = np.arange(city.side, dtype="f8")
    state = pd.MultiIndex.from_product([np.arange(city.hours), line, line], names=["hour", "y", "x"])
    seen = pd.MultiIndex.from_arrays([world.time, world.station], names=["time", "station"])

    def in_time(at: pd.DataFrame) -> np.ndarray:
        hour = at["hour"].to_numpy(dtype="f8")
        return np.exp(-np.abs(hour[:, None] - hour) / prior.time.length)

    def in_space(at: pd.DataFrame) -> np.ndarray:
        y, x = at["y"].to_numpy(), at["x"].to_numpy()
        return np.exp(-np.hypot(y[:, None] - y, x[:, None] - x) / prior.space.length)

    variance = pd.Series(prior.diagonal(), index=state, name="variances")
    error = KroneckerError("prior", variance, [("hour", in_time), (["y", "x"], in_space)])
    mismatch = world.mismatch_covariance().dense()
    return {
        "obs": fips.Block(world.observations, name="concentration", index=seen),
        "prior": fips.Block(world.prior_mean(), name="flux", index=state),
        "forward_operator": pd.DataFrame(world.jacobian, index=seen, columns=state),
        "modeldata_mismatch": pd.DataFrame(mismatch, index=seen, columns=seen),
        "prior_error": error.build(state),
        "rows": world.totals().rows(0, world.totals().shape[0]),
        "n": city.n,
    }


def fips_mean_and_covariance(inputs: dict[str, Any]) -> Outputs:
    """Its mean and covariance of every unknown, summed to the totals."""
    import fips

    given = {k: v for k, v in inputs.items() if k not in ("rows", "n")}
    solved = fips.InverseProblem(**given).solve("bayesian")
    field, covariance = solved.posterior.values, solved.posterior_error.values
    rows = inputs["rows"]
    return {"field": field, "totals": rows @ field, "covariance": rows @ covariance @ rows.T}
