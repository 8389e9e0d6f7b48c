"""The picture behind a trend: the total of each epoch with its interval, and the slope through them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from monitor.domain import parse_utc
from monitor.publish import svg
from monitor.publish.numbers import Estimate, estimate_of, pretty_unit, show_level
from monitor.publish.wording import gas_name, items_of, mapping_of, text_of, verdict_estimate
from monitor.units import level_unit

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360.0, 176.0, 46.0, 350.0, 26.0, 148.0
_YEAR_S = 365.25 * 86400.0


@dataclass(frozen=True)
class _Epochs:
    """Middles [a, since 1970] and totals of the epochs, in time order."""

    years: np.ndarray
    totals: tuple[Estimate, ...]

    @property
    def values(self) -> np.ndarray:
        return np.array([total.value for total in self.totals])

    @property
    def weights(self) -> np.ndarray:
        return np.array([(total.high - total.low) ** -2.0 for total in self.totals])


@dataclass(frozen=True)
class _Frame:
    """From which year to which, and from which total to which."""

    years: tuple[float, float]
    totals: tuple[float, float]

    def x(self, year: float) -> float:
        return LEFT + (RIGHT - LEFT) * (year - self.years[0]) / (self.years[1] - self.years[0])

    def y(self, total: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (total - self.totals[0]) / (self.totals[1] - self.totals[0])


def epochs_picture(verdict: Mapping[str, object]) -> Markup | None:
    """Dots and bars of the epochs, the estimated slope, and between which slopes its interval lies.

    None for other kinds than trends, and where totals and slope do not all have intervals of one level.
    """
    slope, epochs = verdict_estimate(verdict), _epochs(verdict)
    if verdict.get("kind") != "trend" or slope is None or epochs is None:
        return None
    if {slope.level} != {total.level for total in epochs.totals}:
        return None
    edges = (float(epochs.years[0]) - 0.3, float(epochs.years[-1]) + 0.3)
    (year, total), rates = _lines(epochs, slope)
    lines = [[total + rate * (edge - year) for edge in edges] for rate in rates]
    numbers = [x for one in epochs.totals for x in (one.low, one.high)] + [x for line in lines for x in line]
    pad = 0.06 * (max(numbers) - min(numbers))
    frame = _Frame(edges, (min(numbers) - pad, max(numbers) + pad))
    divisor, prefix = (1e6, "million ") if max(map(abs, numbers)) >= 2e6 else (1.0, "")
    unit, level = pretty_unit(epochs.totals[0].unit), show_level(epochs.totals[0].level)
    children = [
        svg.label(4, 12, f"{prefix}{unit} (bars and shade: {level} interval)", class_="unit"),
        *_axes(frame, epochs, divisor),
        *_slope(frame, lines),
        *(
            mark
            for at, one in zip(epochs.years.tolist(), epochs.totals, strict=True)
            for mark in _total(frame, at, one)
        ),
    ]
    said = "; ".join(
        f"{label} {one.shown.text}" for label, one in zip(_labels(epochs), epochs.totals, strict=True)
    )
    title = f"Totals of {gas_name(verdict.get('species'))} by period: {said}. Slope: {slope.shown.text}."
    return svg.drawing(WIDTH, HEIGHT, children, title=title, class_="interval epochs")


def _slope(frame: _Frame, lines: list[list[float]]) -> list[Markup]:
    """The estimated line, over the fan of its interval."""
    (best, low, high), (left, right) = lines, frame.years
    corners = [(left, low[0]), (right, low[1]), (right, high[1]), (left, high[0])]
    fan = "M" + "L".join(f"{frame.x(year):.1f} {frame.y(total):.1f}" for year, total in corners) + "Z"
    line = svg.line(frame.x(left), frame.y(best[0]), frame.x(right), frame.y(best[1]), "slope")
    return [svg.tag("path", d=fan, class_="fan"), line]


def _total(frame: _Frame, year: float, total: Estimate) -> list[Markup]:
    x = frame.x(year)
    return [
        svg.line(x, frame.y(total.low), x, frame.y(total.high), "interval-bar"),
        svg.tag("circle", cx=x, cy=frame.y(total.value), r=4.5, class_="estimate"),
    ]


def _epochs(verdict: Mapping[str, object]) -> _Epochs | None:
    rows = [mapping_of(row) for row in items_of(verdict.get("epochs"))]
    unit = level_unit(text_of(verdict.get("species")))
    totals = [estimate_of(row.get("estimate"), row.get("interval"), row.get("level"), unit) for row in rows]
    if len(rows) < 2 or any(total is None or total.high <= total.low for total in totals):
        return None
    middles = [
        np.mean([parse_utc(text_of(end)).timestamp() for end in items_of(row.get("period"))]) for row in rows
    ]
    return _Epochs(1970.0 + np.array(middles) / _YEAR_S, tuple(total for total in totals if total))


def _lines(epochs: _Epochs, slope: Estimate) -> tuple[tuple[float, float], list[float]]:
    """The point that all drawn slopes pass, and the slopes per year: estimate, lower and upper end.

    A relative slope is of the line's value in the first epoch, which is fitted to the totals.
    """
    since, weights = epochs.years - epochs.years[0], epochs.weights
    if slope.unit == "1 a-1":
        shape = 1.0 + slope.value * since
        first = float((weights * shape) @ epochs.values / ((weights * shape) @ shape))
    else:
        first = float(weights @ (epochs.values - slope.value * since) / weights.sum())
    factor = first if slope.unit == "1 a-1" else 1.0
    pivot = float(weights @ since / weights.sum())
    rates = [factor * rate for rate in (slope.value, slope.low, slope.high)]
    return (float(epochs.years[0]) + pivot, first + rates[0] * pivot), rates


def _labels(epochs: _Epochs) -> list[str]:
    """The year of each epoch's middle, with the month where two share a year."""
    years = [int(year) for year in epochs.years]
    if len(set(years)) == len(years):
        return [str(year) for year in years]
    return [f"{int(year)}-{int(12 * (year % 1)) + 1:02d}" for year in epochs.years.tolist()]


def _axes(frame: _Frame, epochs: _Epochs, divisor: float) -> list[Markup]:
    values = svg.ticks(frame.totals[0] / divisor, frame.totals[1] / divisor, 4)
    drawn = [svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")]
    for value, text in zip(values, svg.tick_text(values), strict=True):
        y = frame.y(value * divisor)
        drawn += [svg.line(LEFT, y, RIGHT, y, "grid"), svg.label(LEFT - 5, y + 4, text, anchor="end")]
    for year, text in zip(epochs.years.tolist(), _labels(epochs), strict=True):
        x = frame.x(year)
        drawn += [
            svg.line(x, BOTTOM, x, BOTTOM + 4, "axis"),
            svg.label(x, BOTTOM + 16, text, anchor="middle"),
        ]
    return drawn
