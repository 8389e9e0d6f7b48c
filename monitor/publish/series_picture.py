"""Observed against modelled mole fractions at one station, as inline SVG.

Long pauses (between two epochs, say) are cut out of the time axis and marked as cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from monitor.publish import svg

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1000.0, 240.0, 48.0, 992.0, 20.0, 204.0
#: Pauses longer than this are cut out of the time axis [h].
PAUSE_H = 21 * 24.0
CUT = 22.0


@dataclass(frozen=True)
class Series:
    """One station's series [display unit], each of shape (n,), sorted by time."""

    time: np.ndarray
    observed: np.ndarray
    uncertainty: np.ndarray
    lines: dict[str, np.ndarray]


@dataclass(frozen=True)
class _TimeAxis:
    """Stretches of time (start, end in hours since 1970) side by side on the axis."""

    stretches: tuple[tuple[float, float], ...]

    @property
    def px_per_hour(self) -> float:
        room = RIGHT - LEFT - CUT * (len(self.stretches) - 1)
        return room / max(sum(end - start for start, end in self.stretches), 1.0)

    def edges(self) -> list[tuple[float, float]]:
        """Left and right border of each stretch."""
        at, found = LEFT, []
        for start, end in self.stretches:
            width = (end - start) * self.px_per_hour
            found.append((at, at + width))
            at += width + CUT
        return found

    def x(self, hours: np.ndarray) -> np.ndarray:
        """Positions of times; every time lies in one stretch."""
        at = np.searchsorted([start for start, _ in self.stretches], hours, side="right") - 1
        starts = np.array([start for start, _ in self.stretches])
        lefts = np.array([left for left, _ in self.edges()])
        return np.asarray(lefts[at] + (hours - starts[at]) * self.px_per_hour)


def series_picture(series: Series, unit: str, *, title: str) -> Markup:
    """Dots for what was measured, lines for what the model makes of prior, posterior and background."""
    hours = series.time.astype("datetime64[s]").astype("i8") / 3600.0
    axis = _time_axis(hours)
    low, high = _range(series)
    x = axis.x(hours)

    def y(values: np.ndarray) -> np.ndarray:
        return np.asarray(BOTTOM - (BOTTOM - TOP) * (values - low) / (high - low))

    broken = _breaks(hours)
    children = _frame(axis, low, high, unit)
    bars = "".join(
        f"M{xi:.1f} {yl:.1f}V{yh:.1f}"
        for xi, yl, yh in zip(
            x, y(series.observed - series.uncertainty), y(series.observed + series.uncertainty), strict=True
        )
        if np.isfinite(yl) and np.isfinite(yh)
    )
    children.append(svg.tag("path", d=bars or "M0 0", class_="error-bars"))
    for name, values in series.lines.items():
        drawn = svg.path_through(x, y(values), broken)
        children.append(svg.tag("path", d=drawn or "M0 0", class_=f"line-{name}"))
    dots = "".join(
        f"M{xi:.1f} {yi:.1f}h0" for xi, yi in zip(x, y(series.observed), strict=True) if np.isfinite(yi)
    )
    children.append(svg.tag("path", d=dots or "M0 0", class_="dots" if hours.size < 400 else "dots fine"))
    return svg.drawing(WIDTH, HEIGHT, children, title=title, class_="series")


def _range(series: Series) -> tuple[float, float]:
    arrays = [series.observed, *series.lines.values()]
    values = np.concatenate([array[np.isfinite(array)] for array in arrays])
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * (high - low) or abs(high) * 0.01 or 1.0
    return low - pad, high + pad


def _time_axis(hours: np.ndarray) -> _TimeAxis:
    cuts = np.flatnonzero(np.diff(hours) > PAUSE_H)
    starts = hours[np.concatenate([[0], cuts + 1])]
    ends = hours[np.concatenate([cuts, [hours.size - 1]])]
    return _TimeAxis(tuple((float(a) - 12, float(b) + 12) for a, b in zip(starts, ends, strict=True)))


def _breaks(hours: np.ndarray) -> np.ndarray:
    """True where a line must start anew: after a gap of over three usual steps and a day."""
    if hours.size < 2:
        return np.zeros(hours.size, dtype=bool)
    step = np.diff(hours)
    usual = float(np.median(step[step > 0])) if (step > 0).any() else 1.0
    return np.concatenate([[True], step > max(3 * usual, 6.0)])


def _frame(axis: _TimeAxis, low: float, high: float, unit: str) -> list[Markup]:
    drawn = [svg.label(4, 11, unit, class_="unit")]
    values = svg.ticks(low, high, 4)
    for value, text in zip(values, svg.tick_text(values), strict=True):
        y = BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)
        drawn.append(svg.line(LEFT, y, RIGHT, y, "grid"))
        drawn.append(svg.label(LEFT - 6, y + 4, text, anchor="end"))
    for (start, end), (left, right) in zip(axis.stretches, axis.edges(), strict=True):
        drawn.append(svg.line(left, BOTTOM, right, BOTTOM, "axis"))
        drawn += _days(axis, start, end, left, right)
    for _, right in axis.edges()[:-1]:
        middle = right + CUT / 2
        drawn.append(svg.line(middle - 5, BOTTOM + 5, middle - 1, BOTTOM - 5, "axis"))
        drawn.append(svg.line(middle + 1, BOTTOM + 5, middle + 5, BOTTOM - 5, "axis"))
    return drawn


def _days(axis: _TimeAxis, start: float, end: float, left: float, right: float) -> list[Markup]:
    """Date labels of one stretch, at least 64 units apart; the year stands below the first.

    Those of the class `dense` go where the picture is small and its text large (`report.css`).
    """
    steps = (24, 48, 96, 168, 336, 672, 1344, 2688, 8766)
    step = next((s for s in steps if s * axis.px_per_hour >= 64), steps[-1])
    days = np.arange(np.ceil(start / 24) * 24, end, step)
    drawn = []
    for number, hour in enumerate(days.tolist()):
        x = left + (hour - start) * axis.px_per_hour
        date = np.datetime64(round(hour * 3600), "s").item()
        drawn.append(svg.line(x, BOTTOM, x, BOTTOM + 4, "axis"))
        if x < right - 16:
            dense = "dense" if number % 2 or x > right - 64 else ""
            drawn.append(svg.label(x, BOTTOM + 16, f"{date.day} {date:%b}", class_=dense, anchor="middle"))
    year = np.datetime64(round(start * 3600 + 43200), "s").item().year
    drawn.append(svg.label((left + right) / 2, BOTTOM + 31, str(year), class_="unit", anchor="middle"))
    return drawn
