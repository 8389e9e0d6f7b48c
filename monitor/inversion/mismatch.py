"""The inflow and the model–data mismatch as covariances of the observations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitor.domain import Interval
from monitor.errors import InputError
from monitor.inversion.assumptions import Assumptions, Background
from monitor.inversion.components import Component, Independent, LowRank, Parameter, TemporalProcess
from monitor.inversion.state import middle_hours
from monitor.inversion.table import ObservationTable

#: Names of the background's components (the part B C Bᵀ of Ψ).
BACKGROUND = ("inflow offset", "side offset", "station offset", "station drift", "inflow")
#: Those of the transport's error, in proportion to a signal; the second is common to all stations.
COMMON_TRANSPORT = "common transport"
TRANSPORT = ("transport", COMMON_TRANSPORT)
#: 1σ of the logarithm of a scale that multiplies a map: the size of the map must not vote.
LOOSE = 2.0
_HOURS_PER_MONTH = 30.0 * 24.0


def background_components(
    background: Background, table: ObservationTable, epochs: Mapping[str, Interval], freedom: float
) -> list[Component]:
    """B C Bᵀ: constants per epoch, side and station, drifts, and the AR(1) inflow.

    `freedom` is 1 where the scales are estimated, 0 where they are held.
    """
    epoch = np.zeros(table.n, dtype="i8")
    for k, interval in enumerate(epochs.values()):
        epoch[(table.start >= interval.start64) & (table.start < interval.end64)] = k
    seen = table.exposure[:, None]
    parts: list[Component] = [
        LowRank(
            "inflow offset",
            seen * np.eye(len(epochs))[epoch],
            Parameter("inflow offset", background.offset_sd_ppm, 0.0, "ppm"),
        )
    ]
    side: np.ndarray | None = None
    factors: tuple[Parameter, ...] = ()
    if background.by_side:
        side = _sides(table)
        scale = Parameter("side offset", background.sd_ppm, 0.7 * freedom, "ppm")
        parts.append(LowRank("side offset", seen * np.eye(4)[side], scale))
        factors = tuple(Parameter(f"inflow {name}", 1.0, 0.5 * freedom) for name in "NESW")
    parts += _station_components(background, table, epochs, epoch)
    parts.append(
        TemporalProcess(
            "inflow",
            table.hours,
            _inflow_group(background, table),
            table.exposure,
            Parameter("inflow sd", background.sd_ppm, freedom, "ppm"),
            Parameter("inflow time", background.correlation_hours, 0.7 * freedom, "h"),
            side,
            factors,
        )
    )
    return parts


def _station_components(
    background: Background, table: ObservationTable, epochs: Mapping[str, Interval], epoch: np.ndarray
) -> list[Component]:
    """A constant, and a drift about the middle of the epoch, per station and epoch."""
    columns = np.eye(len(table.inlets) * len(epochs))[table.station * len(epochs) + epoch]
    parts: list[Component] = []
    # the constant of a station alone is that of the inflow
    if background.station_offset_sd_ppm > 0 and len(table.inlets) > 1:
        scale = Parameter("station offset", background.station_offset_sd_ppm, 0.0, "ppm")
        parts.append(LowRank("station offset", columns, scale))
    if background.station_drift_sd_ppm > 0:
        middle = middle_hours(np.array([[e.start64, e.end64] for e in epochs.values()]))
        months = (table.hours - middle[epoch]) / _HOURS_PER_MONTH
        scale = Parameter("station drift", background.station_drift_sd_ppm, 0.0, "ppm (30 d)-1")
        parts.append(LowRank("station drift", months[:, None] * columns, scale))
    return parts


def _inflow_group(background: Background, table: ObservationTable) -> np.ndarray:
    """The process that each observation belongs to (n,)."""
    if background.per == "network":
        return np.zeros(table.n, dtype="i8")
    return table.station.astype("i8") if background.per == "station" else _sides(table)


def _sides(table: ObservationTable) -> np.ndarray:
    """Side of the inflow at each observation (n,): 0 N, 1 E, 2 S, 3 W."""
    unknown = np.flatnonzero(~np.isfinite(table.wind_from_deg))
    if unknown.size:
        raise InputError(
            "inflow by side needs the wind at the receptor",
            expected="footprints with wind_direction",
            found=f"{unknown.size} observations without, the first of {table.names[unknown[0]]}",
            remedy='set background.by_side = false and per = "network" or "station", or use footprints '
            "that carry the wind",
        )
    return np.asarray(((table.wind_from_deg + 45.0) % 360.0 // 90.0).astype("i8"))


def mismatch_components(
    assumptions: Assumptions, table: ObservationTable, reference: np.ndarray, freedom: float
) -> list[Component]:
    """R: instrument, representation, variability, transport and transport common to all stations."""
    mismatch, n = assumptions.mismatch, table.n
    instrument = _instrument(table, mismatch.instrument_floor_ppm)
    station = table.station.astype("i8")
    several = len(table.inlets) > 1
    parts: list[Component] = [
        Independent("instrument", instrument, Parameter("instrument", 1.0, 0.0)),
        Independent(
            "representation",
            np.ones(n),
            Parameter("representation", mismatch.representation_ppm, freedom, "ppm"),
            station if several else None,
            tuple(Parameter(f"representation {i}", 1.0, 0.5 * freedom) for i in table.inlets)
            if several
            else (),
        ),
    ]
    if mismatch.variability_factor is not None:
        parts.append(
            TemporalProcess(
                "variability",
                table.hours,
                station,
                _known_spread(table),
                Parameter("variability", mismatch.variability_factor, freedom),
                Parameter("variability time", 3.0, 0.7 * freedom, "h"),
            )
        )
    return parts + _transport_components(assumptions, table, reference, freedom)


def _transport_components(
    assumptions: Assumptions, table: ObservationTable, reference: np.ndarray, freedom: float
) -> list[Component]:
    """Errors of the transport, in proportion to the reference enhancement."""
    mismatch = assumptions.mismatch
    # relative to the reference itself, so that a map of half the size means the same model
    least = mismatch.least_fraction * float(reference.mean())
    classes, factors = _hour_classes(table, assumptions, freedom) if mismatch.by_hour else (None, ())
    parts: list[Component] = [
        TemporalProcess(
            "transport",
            table.hours,
            table.station.astype("i8"),
            np.hypot(reference, least),
            Parameter("transport fraction", mismatch.transport_fraction, LOOSE * freedom),
            Parameter("transport time", mismatch.correlation_hours, 0.7 * freedom, "h"),
            classes,
            factors,
        )
    ]
    if mismatch.common_fraction > 0 and len(table.inlets) > 1:
        parts.append(
            TemporalProcess(
                COMMON_TRANSPORT,
                table.hours,
                np.zeros(table.n, dtype="i8"),
                reference,
                Parameter("common fraction", mismatch.common_fraction, freedom),
                Parameter("common time", mismatch.correlation_hours, 0.7 * freedom, "h"),
            )
        )
    return parts


def _instrument(table: ObservationTable, floor: float) -> np.ndarray:
    """1σ of the instrument (n,), `floor` at least; where it is not known, the median of the station's."""
    sigma = table.uncertainty.copy()
    for k, inlet in enumerate(table.inlets):
        own = table.station == k
        lost = own & np.isnan(sigma)
        if not lost.any():
            continue
        known = sigma[own & ~lost]
        if not known.size and floor == 0:
            raise InputError(
                f"the uncertainty of {inlet} is not known",
                expected="an 'uncertainty' in some observation, or mismatch.instrument_floor_ppm > 0",
                found=f"NaN in all {int(lost.sum())} observations, and a floor of 0",
                remedy="state mismatch.instrument_floor_ppm",
            )
        sigma[lost] = np.median(known) if known.size else floor
    return np.asarray(np.maximum(sigma, floor))


def _known_spread(table: ObservationTable) -> np.ndarray:
    """Spread within the hour, the median of the known ones where it is not known (n,)."""
    known = np.isfinite(table.spread)
    if not known.any():
        raise InputError(
            "an error by variability needs the spread within the hour",
            expected="a 'stdev' in some observation",
            found=f"none in {table.n} observations of {', '.join(table.inlets)}",
            remedy="leave out mismatch.variability_factor",
        )
    return np.where(known, table.spread, np.median(table.spread[known]))


def hour_class(table: ObservationTable, utc_offset_h: float) -> np.ndarray:
    """Three-hour class of the local day of each observation, 0 … 7 (n,)."""
    return np.asarray(((table.hours + utc_offset_h) % 24.0 // 3.0).astype("i8"))


def _hour_classes(
    table: ObservationTable, assumptions: Assumptions, freedom: float
) -> tuple[np.ndarray, tuple[Parameter, ...]]:
    label = hour_class(table, assumptions.selection.utc_offset_h)
    present, index = np.unique(label, return_inverse=True)
    names = [f"transport {3 * int(k):02d}-{3 * int(k) + 3:02d} h" for k in present]
    return index.astype("i8"), tuple(Parameter(name, 1.0, 0.5 * freedom) for name in names)
