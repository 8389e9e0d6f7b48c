"""The one picture of a claim: the estimate with its interval against what is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from monitor.publish import svg
from monitor.publish.numbers import Estimate, as_number, scale_of, show_claimed
from monitor.publish.wording import (
    claimed_text,
    is_at_least,
    mapping_of,
    signed_margin,
    text_of,
    tolerance_of,
    verdict_estimate,
)

WIDTH, HEIGHT, LEFT, RIGHT = 360.0, 132.0, 14.0, 346.0
BAND_TOP, BAR, AXIS = 24.0, 60.0, 98.0


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float

    def x(self, value: float) -> float:
        at = LEFT + (RIGHT - LEFT) * (value - self.low) / (self.high - self.low)
        return min(max(at, LEFT), RIGHT)


@dataclass(frozen=True)
class _Band:
    """What the claim says, between two values (an end None: open to that side).

    `margin` is what the whole interval of an "at least" claim must lie beyond.
    """

    low: float | None
    high: float | None
    claimed: float
    text: str
    margin: float | None = None


def interval_picture(verdict: Mapping[str, object]) -> Markup | None:
    """The estimate and interval over the claimed value or band, and zero for changes and sources.

    None when there is no estimate with an interval: then there is nothing to draw.
    """
    estimate = verdict_estimate(verdict)
    if estimate is None:
        return None
    shown, factor = estimate.shown, scale_of(estimate.unit).factor
    ends, value = (estimate.low, estimate.high), estimate.value
    band = _band(verdict)
    numbers = [*ends, value]
    numbers += [x for x in (band.low, band.high, band.claimed, band.margin) if x is not None] if band else []
    if text_of(verdict.get("kind")) in {"change", "trend", "source"} or min(numbers) < 0:
        numbers.append(0.0)
    axis = _axis([number * factor for number in numbers])
    label = f"{shown.value}\u00a0%" if shown.unit.startswith("%") else shown.value
    children = [
        *_draw_band(axis, band, factor),
        *_draw_zero(axis),
        *_draw_axis(axis, estimate),
        *_draw_estimate(axis, value * factor, (ends[0] * factor, ends[1] * factor), label),
    ]
    claim = f" Claimed: {band.text}." if band else ""
    title = f"Estimate from the air: {shown.text}.{claim}"
    return svg.drawing(WIDTH, HEIGHT, children, title=title, class_="interval")


def _axis(numbers: list[float]) -> _Axis:
    low, high = min(numbers), max(numbers)
    pad = 0.12 * (high - low) or abs(high) or 1.0
    return _Axis(low - pad, high + pad)


def _band(verdict: Mapping[str, object]) -> _Band | None:
    claimed = mapping_of(verdict.get("claimed"))
    value = as_number(claimed.get("value"))
    if value is None:
        return None
    if text_of(claimed.get("unit")) not in {"", text_of(verdict.get("unit"))}:
        return None  # another unit: nothing on this axis
    text = claimed_text(verdict, value)
    if is_at_least(verdict):
        low, high = (None, value) if value < 0 else (value, None)
        return _Band(low, high, value, f"{text} or more", signed_margin(verdict))
    if text_of(verdict.get("kind")) == "source":
        return _Band(value, value, value, text)
    spread = abs(value) * tolerance_of(verdict)
    tolerance = show_claimed(tolerance_of(verdict), "1")
    return _Band(value - spread, value + spread, value, f"{text} ± {tolerance}")


def _draw_band(axis: _Axis, band: _Band | None, factor: float) -> list[Markup]:
    if band is None:
        return []
    x1 = LEFT if band.low is None else axis.x(band.low * factor)
    x2 = RIGHT if band.high is None else axis.x(band.high * factor)
    at = axis.x(band.claimed * factor)
    margin = None if band.margin is None else axis.x(band.margin * factor)
    return [
        svg.tag("rect", x=x1, y=BAND_TOP, width=max(x2 - x1, 0.0), height=AXIS - BAND_TOP, class_="band"),
        svg.line(at, BAND_TOP - 4, at, AXIS, "claimed"),
        *([] if margin is None else [svg.line(margin, BAND_TOP, margin, AXIS, "margin")]),
        *([] if margin is None else [_centred(margin, AXIS - 6, "margin", "margin-text", 6.2)]),
        _centred(at, BAND_TOP - 9, f"claimed {band.text}", "claimed-text", 7.0),
    ]


def _draw_zero(axis: _Axis) -> list[Markup]:
    if not axis.low < 0 < axis.high:
        return []
    return [svg.line(axis.x(0), BAND_TOP - 2, axis.x(0), AXIS, "zero")]


def _draw_axis(axis: _Axis, estimate: Estimate) -> list[Markup]:
    scale = scale_of(estimate.unit)
    values = svg.ticks(axis.low, axis.high, 5)
    divisor, prefix = (1e6, "million ") if max(map(abs, values)) >= 2e6 else (1.0, "")
    texts = svg.tick_text([value / divisor for value in values], signed=estimate.signed)
    drawn = [svg.line(LEFT, AXIS, RIGHT, AXIS, "axis")]
    for value, text in zip(values, texts, strict=True):
        drawn.append(svg.line(axis.x(value), AXIS, axis.x(value), AXIS + 4, "axis"))
        half = 3.6 * len(text)  # a label at the end moves inward instead of leaving the picture
        inside = min(max(axis.x(value), half), WIDTH - half)
        drawn.append(svg.label(inside, AXIS + 16, text, anchor="middle"))
    drawn.append(
        svg.label(
            (LEFT + RIGHT) / 2,
            AXIS + 31,
            f"{prefix}{scale.unit} (bar: {estimate.shown.level} interval)",
            class_="unit",
            anchor="middle",
        )
    )
    return drawn


def _draw_estimate(axis: _Axis, value: float, ends: tuple[float, float], text: str) -> list[Markup]:
    low, high, at = axis.x(ends[0]), axis.x(ends[1]), axis.x(value)
    return [
        svg.line(low, BAR, high, BAR, "interval-bar"),
        svg.line(low, BAR - 6, low, BAR + 6, "interval-end"),
        svg.line(high, BAR - 6, high, BAR + 6, "interval-end"),
        svg.tag("circle", cx=at, cy=BAR, r=6.0, class_="estimate"),
        _centred(at, BAR - 12, text, "estimate-text", 9.0),
    ]


def _centred(x: float, y: float, text: str, class_: str, px_per_letter: float) -> Markup:
    """A label above `x`, moved inward as far as it needs to stay inside the picture."""
    half = min(len(text) * px_per_letter / 2, WIDTH / 2)
    return svg.label(min(max(x, half), WIDTH - half), y, text, class_=class_, anchor="middle")


#: What the parts of the picture mean, printed once on the page.
KEY = (
    "In the pictures, the blue dot is the estimate from the air and the bar its interval; the shaded part is"
    " what the claim says. A bar that does not touch that part contradicts the claim. A bar wholly inside it"
    " supports one of a total or a share; a bar that reaches it and lies wholly beyond the dotted margin"
    " supports one of “at least”. The reasons say where that was not enough. The thin upright line is zero."
)
