"""An analysis that costs nothing: it stands in for the inversion where only the service is tested."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import xarray as xr

from monitor.compare.statistics import gaussian
from monitor.compare.verdict import Verdict
from monitor.contracts import USABLE
from monitor.errors import NumericalError
from monitor.service.analysis import Analysis
from monitor.service.evaluation import evaluation_of


def analyse(city, claims, interval, data, *, as_of=None, progress=None):
    """Totals that are sums of the inputs, so that every change of the data changes the answer."""
    if progress is not None:
        progress("pretending")
    n = {name: int(np.isin(ds["flag"], USABLE).sum()) for name, ds in data.observations.items()}
    mean = {name: float(np.nanmean(ds["mole_fraction"])) for name, ds in data.observations.items()}
    influence = sum(float(ds["value"].sum() + ds["residual_value"].sum()) for ds in data.footprints.values())
    estimate = gaussian(sum(mean.values()) + influence, 1.0)
    verdicts = {
        claim.id: _verdict(claim, city, interval, as_of, estimate)
        for claim in (claims.claim if claims else ())
    }
    return Analysis(
        posteriors={city.city.species[0]: _posterior(data, influence)},
        verdicts=verdicts,
        inventories={name: {"prior_total": float(ds["flux"].sum())} for name, ds in data.inventories.items()},
        sources=[],
        figures={"n_observations": sum(n.values()), "per_source": n, "excluded": {}, "seconds": time.time()},
        warnings=["this analysis is a stand-in"],
    )


def _verdict(claim, city, interval, as_of, estimate):
    """An answer to nothing, in the form of one."""
    said = {
        "kind": claim.kind,
        "statement": claim.statement,
        "species": claim.species,
        "region": claim.region,
        "claimed": {"value": claim.value, "unit": "t CH4 a-1", "reading": "equal", "tolerance": 0.25},
        "claimed_by": claim.claimed_by,
        "where": claim.where,
        "adjustments": [],
    }
    found = Verdict("undecided", ("too-little-data",), said, "t CH4 a-1", estimate).as_json()
    worth = evaluation_of(claim, city, interval, as_of).as_json()
    about = {"scope": claim.scope, "sectors": list(claim.sectors), "periods": [interval.as_json()]}
    return found | about | {"evaluation": worth}


_MAP = ("block", "epoch", "lat", "lon")


def _posterior(data, influence):
    """What a report needs, and no more."""
    footprints = next(iter(data.footprints.values()))
    observations = next(iter(data.observations.values()))
    shape = (1, 1, footprints.sizes["lat"], footprints.sizes["lon"])
    umol = {"units": "umol m-2 s-1"}
    total = {"units": "t CH4 a-1"}
    values = observations["mole_fraction"].values
    return xr.Dataset(
        {
            "flux_prior": (_MAP, np.ones(shape), umol),
            "flux_posterior": (_MAP, np.full(shape, 2.0), umol),
            "prior_total": ("total", [1.0], total),
            "posterior_total": ("total", [influence], total),
            "prior_covariance": (("total", "total_2"), [[1.0]]),
            "posterior_covariance": (("total", "total_2"), [[0.5]]),
            "observed": ("obs", values, {"units": "umol mol-1"}),
            "modelled_posterior": ("obs", values, {"units": "umol mol-1"}),
        },
        coords={
            "block": ["all"],
            "epoch": ["all"],
            "lat": footprints["lat"].values,
            "lon": footprints["lon"].values,
            "time": ("obs", observations["time"].values),
            "station": ("obs", np.full(values.size, str(observations.attrs["station"]))),
            "total_region": ("total", ["window"]),
            "total_block": ("total", ["all"]),
            "total_epoch": ("total", ["all"]),
        },
        attrs={"species": str(observations.attrs["species"])},
    )


def hang(*_, **__):
    """Never ends."""
    time.sleep(600)


def devour(*_, **__):
    """Takes all the memory there is."""
    hoard = []
    while True:
        hoard.append(np.empty(50_000_000))


def refuse(*_, **__):
    """Finds fault with the data."""
    raise NumericalError("not positive definite")


def die(*_, **__):
    """Ends the process as a crash of a library would."""
    sys.stderr.write("segmentation fault, more or less\n")
    sys.stderr.flush()
    os._exit(139)
