"""What could be seen: before the data, and with more of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.compare.ensemble import Pooled, estimate_at, shared
from monitor.compare.estimator import Answer, Estimator
from monitor.compare.forms import Change, Trend
from monitor.compare.quantity import Quantity
from monitor.compare.statistics import LEVEL, detectable_sigmas
from monitor.compare.trends import Planned, epochs_to_detect, years_each

_HOURS_PER_YEAR = 365.25 * 24.0


def detectable_before(quantity: Quantity, members: Sequence[Estimator], level: float = LEVEL) -> float:
    """The detectable change, trend or departure from H and Ψ: no observation but for fitted scales.

    The totals are those of each member's own map, the same in all epochs; the variance is the mean of the
    members', at the least favourable correlation of a shared transport error.  The scatter of years, which
    only data tell, is not in it.
    """
    form = quantity.made
    seen = [m for m in members if not (m.station_out or m.is_blind)]
    if not seen:
        return np.nan
    worst = 0.0
    for correlation in quantity.correlations:
        variance = []
        for member in seen:
            totals = quantity.expected(member.pattern)
            stated = Answer(member.name, totals, member.covariance, {}, False)
            found = estimate_at(form, stated, quantity.transport, correlation, level, quantity.declared_sd)
            variance.append(found.sigma**2)
        worst = max(worst, float(np.mean(variance)))
    degrees = float(len(quantity.epochs) - 2) if _is_underlying(quantity) else np.inf
    return detectable_sigmas(level, degrees) * float(np.sqrt(worst))


def years_to_detect(quantity: Quantity, main: Answer, pooled: Pooled, claimed: float) -> float | None:
    """Years of data until the claimed change or slope would be detectable; ``None`` if never.

    Of a change the length of each of two epochs, of a trend the span of the epochs needed.  What the data
    leave open shrinks with their number; a transport error that differs between epochs, and what the choices
    of method do, are taken not to.
    """
    form, t = quantity.made, quantity.transport
    sigmas = detectable_sigmas(pooled.estimate.level)
    if isinstance(form, Change):
        length = float(np.mean([e.hours for e in quantity.epochs])) / _HOURS_PER_YEAR
        ratio = 1.0 + pooled.estimate.value
        kept = 0.0 if np.isnan(pooled.correlation) else t.common_sd**2 * (1 - pooled.correlation)
        floor = float(
            np.sqrt(pooled.between**2 + 2 * ratio**2 * (t.epoch_sd**2 + quantity.declared_sd**2 + kept))
        )
        floor = min(sigmas * floor, pooled.estimate.detectable)
        return years_each(length, pooled.estimate.detectable, floor, claimed)
    if isinstance(form, Trend):
        return _years_of_trend(quantity, form, main, pooled, claimed)
    return None


def _years_of_trend(
    quantity: Quantity, form: Trend, main: Answer, pooled: Pooled, claimed: float
) -> float | None:
    """Errors of scale that each epoch has of its own shrink with the number of epochs, as others do."""
    years = np.array(form.years)
    correlation = 0.0 if np.isnan(pooled.correlation) else pooled.correlation
    error = shared(quantity.transport, correlation)
    seen = error.inflate(main.totals, main.covariance, ratio=form.is_ratio)
    seen = seen + np.diag((quantity.declared_sd * main.totals) ** 2)
    line = form.line(main.totals, seen)
    base = abs(float(line.weights[1] @ main.totals)) if form.relative else 1.0
    covariance = (seen + line.scatter * np.eye(years.size)) / base**2
    planned = Planned.like(years, covariance, pooled.between)
    count = epochs_to_detect(planned, claimed, form.reading, pooled.estimate.level)
    return None if count is None else count * planned.step_years


def _is_underlying(quantity: Quantity) -> bool:
    form = quantity.made
    return isinstance(form, Trend) and form.reading == "underlying"
