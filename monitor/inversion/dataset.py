"""A posterior as a dataset: the contract that the later stages and the reader's notebook share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import xarray as xr

from monitor import units
from monitor.contracts import ensure_posterior
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.mismatch import BACKGROUND
from monitor.inversion.posterior import Posterior, flux_map, prior_totals
from monitor.inversion.totals import Total, ensure_regions_fit, region_totals


def posterior_dataset(
    posterior: Posterior, regions: xr.Dataset | None = None, transport: TransportScale | None = None
) -> xr.Dataset:
    """Maps, totals with full covariance and averaging kernels, series, hyperparameters and diagnostics.

    See `Posterior.to_dataset`.
    """
    problem, d = posterior.problem, posterior.diagnostics
    chosen = problem.regions if regions is None else ensure_regions_fit(regions, problem.grid)
    parts = [
        _maps(posterior),
        _totals(posterior, chosen, transport or TransportScale()),
        _series(posterior),
        _hyperparameters(posterior),
    ]
    dataset = xr.merge(parts, combine_attrs="override", join="exact")
    dataset.attrs = {
        "Conventions": "CF-1.8",
        "species": problem.species,
        "n_observations": problem.table.n,
        "chi2": d.chi2,
        "dofs": d.dofs,
        "background_share": d.background_share,
        "raw_loo_variance": d.raw_loo_variance,
        "inflation": posterior.inflation,
        "loo_variance": d.loo_variance,
        "loo_coverage": d.loo_coverage,
        "innovation_lag1": d.lag1,
        "log_evidence": posterior.hyperparameters.log_evidence,
        "configuration": json.dumps(
            _configuration(posterior, transport or TransportScale()), ensure_ascii=False
        ),
    }
    return ensure_posterior(dataset)


def _configuration(posterior: Posterior, transport: TransportScale) -> dict[str, object]:
    """What made this posterior: assumptions, epochs, what was left out."""
    problem = posterior.problem
    return {
        "assumptions": asdict(problem.assumptions),
        "transport": asdict(transport),
        "epochs": {name: epoch.as_json() for name, epoch in problem.epochs.items()},
        "inlets": list(problem.table.inlets),
        "excluded": dict(problem.table.excluded),
        "grid": problem.grid.describe(),
    }


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


def _totals(posterior: Posterior, regions: xr.Dataset, transport: TransportScale) -> xr.Dataset:
    problem = posterior.problem
    totals = region_totals(
        regions, problem.species, problem.grid, [b.name for b in problem.blocks], problem.epochs
    )
    found, prior = posterior.totals(totals), prior_totals(problem, totals)
    estimate = prior + found.shift
    covariance = transport.inflate(estimate, found.covariance, np.array([t.epoch for t in totals]))
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
            "averaging_kernel": (
                ("total", "block", "lat", "lon"),
                _averaging_kernels(posterior, totals, found.gain),
                {
                    "units": f"{unit['units']} / ({units.FLUX})",
                    "long_name": "change of the total by a true change of one cell in the total's epoch",
                },
            ),
        },
        coords={
            "total_region": ("total", [t.region for t in totals]),
            "total_block": ("total", [t.block for t in totals]),
            "total_epoch": ("total", [t.epoch for t in totals]),
        },
    )


def _averaging_kernels(posterior: Posterior, totals: list[Total], gain: np.ndarray) -> np.ndarray:
    """∂T̂/∂(flux of a cell in the total's epoch) = K H, (total, block, lat, lon).

    NaN for a block whose unknowns scale its prior: its cells cannot change on their own.
    """
    problem = posterior.problem
    out = np.full(
        (len(totals), len(problem.blocks), problem.grid.lat_deg.size * problem.grid.lon_deg.size), np.nan
    )
    for k, block in enumerate(problem.blocks):
        if block.fields is not None:
            continue
        shown = (block.jacobian.T @ gain.T).T.reshape(len(totals), *block.shape)
        for i, total in enumerate(totals):
            inside = (block.steps[:, 0] < total.interval.end64) & (block.steps[:, 1] > total.interval.start64)
            out[i, k] = inside @ shown[i]
    return out.reshape(len(totals), len(problem.blocks), *problem.grid.shape)


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
            "weight": (
                "observation",
                problem.weights,
                {"units": "1", "long_name": "trust in the observation; 1 unless errors have heavy tails"},
            ),
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
