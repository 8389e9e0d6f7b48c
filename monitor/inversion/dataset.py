"""A posterior as a dataset: the contract that the later stages and the reader's notebook share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from monitor import units
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.mismatch import BACKGROUND
from monitor.inversion.posterior import Posterior, Total, flux_map, prior_totals


def posterior_dataset(
    posterior: Posterior, regions: xr.Dataset, transport: TransportScale | None = None
) -> xr.Dataset:
    """Maps, totals with full covariance, series, hyperparameters and diagnostics.

    Parameters
    ----------
    posterior : Posterior
    regions : xr.Dataset
        The regions contract on the problem's grid.
    transport : TransportScale, optional
        A multiplicative transport error to add to the covariance of the totals.

    Returns
    -------
    xr.Dataset
        dims `total` (coords total_region, total_block, total_epoch), (block, epoch, lat, lon),
        `observation`, `hyperparameter`.
    """
    parts = [
        _maps(posterior),
        _totals(posterior, regions, transport or TransportScale()),
        _series(posterior),
        _hyperparameters(posterior),
    ]
    dataset = xr.merge(parts, combine_attrs="override", join="exact")
    d = posterior.diagnostics
    dataset.attrs = {
        "Conventions": "CF-1.8",
        "species": posterior.problem.species,
        "n_observations": posterior.problem.table.n,
        "chi2": d.chi2,
        "dofs": d.dofs,
        "background_share": d.background_share,
        "raw_loo_variance": d.raw_loo_variance,
        "inflation": posterior.inflation,
        "loo_variance": d.loo_variance,
        "loo_coverage": d.loo_coverage,
        "innovation_lag1": d.lag1,
        "log_evidence": posterior.hyperparameters.log_evidence,
    }
    return dataset


def _maps(posterior: Posterior) -> xr.Dataset:
    problem = posterior.problem
    names = [b.name for b in problem.blocks]
    maps = [[flux_map(posterior, n, e) for e in problem.epochs.values()] for n in names]
    shape = (len(names), len(problem.epochs), *problem.grid.shape)

    def stack(field: str, text: str) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        values = np.array([[getattr(m, field) for m in row] for row in maps]).reshape(shape)
        return ("block", "epoch", "lat", "lon"), values, {"units": units.FLUX, "long_name": text}

    return xr.Dataset(
        {
            "flux_prior": stack("prior", "prior mean flux"),
            "flux_posterior": stack("posterior", "posterior mean flux"),
            "flux_prior_sd": stack("prior_sd", "1 sigma of the prior flux"),
            "flux_posterior_sd": stack("posterior_sd", "1 sigma of the posterior flux"),
            "cell_area": (("lat", "lon"), problem.grid.cell_area_m2(), {"units": "m2"}),
        },
        coords={
            "block": names,
            "epoch": list(problem.epochs),
            "lat": ("lat", problem.grid.lat_deg, {"units": "degrees_north"}),
            "lon": ("lon", problem.grid.lon_deg, {"units": "degrees_east"}),
        },
    )


def region_totals(posterior: Posterior, regions: xr.Dataset) -> list[tuple[str, str, str, Total]]:
    """(region, block, epoch, total) for all combinations."""
    problem = posterior.problem
    area = problem.grid.cell_area_m2().ravel() * units.tonnes_per_year(problem.species)
    return [
        (
            str(region),
            block.name,
            epoch,
            Total(f"{region} {block.name} {epoch}", block.name, weight, interval),
        )
        for region in regions["region"].values
        for weight in [regions["fraction"].sel(region=region).values.ravel() * area]
        for block in problem.blocks
        for epoch, interval in problem.epochs.items()
    ]


def _totals(posterior: Posterior, regions: xr.Dataset, transport: TransportScale) -> xr.Dataset:
    problem = posterior.problem
    rows = region_totals(posterior, regions)
    totals = [total for *_, total in rows]
    found, prior = posterior.totals(totals), prior_totals(problem, totals)
    estimate = prior + found.shift
    covariance = transport.inflate(estimate, found.covariance, np.array([r[2] for r in rows]))
    unit = {"units": units.level_unit(problem.species)}
    square = {"units": f"({unit['units']})2"}
    before, after = np.diagonal(found.prior_covariance), np.diagonal(found.covariance)
    share = np.where(before > 0, 1.0 - after / np.where(before > 0, before, 1.0), np.nan)
    return xr.Dataset(
        {
            "prior_total": ("total", prior, unit),
            "posterior_total": ("total", estimate, unit),
            "prior_covariance": (("total", "total_"), found.prior_covariance, square),
            "posterior_covariance": (("total", "total_"), covariance, square),
            "share_from_data": ("total", share, {"units": "1"}),
            "gain": (
                ("total", "observation"),
                found.gain,
                {"units": f"{unit['units']} / ({units.MOLE_FRACTION})"},
            ),
        },
        coords={
            "total_region": ("total", [r[0] for r in rows]),
            "total_block": ("total", [r[1] for r in rows]),
            "total_epoch": ("total", [r[2] for r in rows]),
        },
    )


def _series(posterior: Posterior) -> xr.Dataset:
    problem, table, values = posterior.problem, posterior.problem.table, posterior.values
    covariance = problem.model.covariance
    alpha = posterior.solution.alpha
    blocks = tuple(b.name for b in problem.blocks)
    names = tuple(c.name for c in problem.model.components)
    background = covariance(values, tuple(n for n in names if n in BACKGROUND)) @ alpha
    fluxes = covariance(values, blocks) @ alpha
    mismatch = covariance(values, tuple(n for n in names if n not in BACKGROUND and n not in blocks))
    ppm = {"units": units.MOLE_FRACTION}

    def row(data: np.ndarray, text: str) -> tuple[str, np.ndarray, dict[str, str]]:
        return "observation", data, {**ppm, "long_name": text}

    baseline = problem.baseline
    return xr.Dataset(
        {
            "time": ("observation", table.start),
            "time_end": ("observation", table.end),
            "station": ("observation", np.array(table.inlets)[table.station]),
            "observed": row(table.value, "observed mole fraction"),
            "uncertainty": row(np.sqrt(np.diagonal(mismatch)), "1 sigma of the model-data mismatch"),
            "background_prior": row(baseline, "prior inflow"),
            "background_posterior": row(baseline + background, "posterior inflow"),
            "modelled_prior": row(baseline + problem.predicted, "prior model"),
            "modelled_posterior": row(baseline + background + problem.predicted + fluxes, "posterior model"),
            "loo_standardised": (
                "observation",
                posterior.diagnostics.standardised,
                {"units": "1", "long_name": "standardised error of the prediction with the day left out"},
            ),
        }
    )


def _hyperparameters(posterior: Posterior) -> xr.Dataset:
    found: Mapping[str, object] = {p.name: p for p in posterior.hyperparameters.parameters}
    return xr.Dataset(
        {
            "hyperparameter_value": ("hyperparameter", posterior.values),
            "hyperparameter_log_sd": (
                "hyperparameter",
                np.sqrt(np.diagonal(posterior.hyperparameters.log_covariance)),
                {"long_name": "1 sigma of the logarithm; 0 when held fixed"},
            ),
            "hyperparameter_sd": (
                "hyperparameter",
                posterior.values * np.sqrt(np.diagonal(posterior.hyperparameters.log_covariance)),
            ),
            "hyperparameter_unit": (
                "hyperparameter",
                [p.unit for p in posterior.hyperparameters.parameters],
            ),
        },
        coords={"hyperparameter": list(found)},
    )
