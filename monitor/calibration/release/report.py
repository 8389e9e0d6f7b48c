"""What came out of the release, as JSON, as text with tables, and as two drawings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import numpy as np
from markupsafe import Markup

from monitor.calibration.release.alarm import Hit
from monitor.calibration.release.evaluation import ALL, Estimate, ReleaseResult
from monitor.publish import svg

#: kg h⁻¹ in a gram a minute.
KG_H: Final = 0.06
#: Radius of a 95 % region in standard deviations of two dimensions, √χ²₂(0.95).
_ELLIPSE: Final = 2.4477
_BLUE, _ORANGE, _GREY, _INK = "#225ea8", "#b35806", "#999999", "#222222"


def as_json(result: ReleaseResult) -> dict[str, object]:
    """One object: strengths in kg CH4 h⁻¹, places in m on the experiment's axes."""
    return {
        "period": [f"{result.first_day}T00:00:00Z", f"{result.last_day}T00:00:00Z"],
        "seed": result.seed,
        "unit": "kg CH4 h-1",
        "truth": {"rate": result.true_rate * KG_H, "place_m": list(result.true_place)},
        "targets": result.targets,
        "ensembles": [_estimate(found, result) for found in result.ensembles],
        "members": [_estimate(found, result) for found in result.estimates],
        "off_hours": {
            f"{cut:g}": {
                "half_hours": found.half_hours,
                "threshold_z": found.threshold,
                "best_z": found.best_z,
                "p_value": found.best_p,
                "alarms": [_hit(hit) for hit in found.alarms],
                "unconfirmed": [_hit(hit) for hit in found.hits if not hit.confirmed],
            }
            for cut, found in result.off.items()
        },
        "control_with_release": {
            f"{cut:g}": {"best_z": found.best_z, "threshold_z": found.threshold, "hits": len(found.hits)}
            for cut, found in result.on.items()
        },
    }


def _estimate(found: Estimate, result: ReleaseResult) -> dict[str, object]:
    return {
        "instruments": found.instruments,
        "least_wind_m_s": found.least_wind_m_s,
        "half_hours": found.half_hours,
        "with_release": found.with_release,
        "rate": found.rate * KG_H,
        "interval": [found.low * KG_H, found.high * KG_H],
        "level": 0.95,
        "factor": found.factor,
        "covers": found.covers(result.true_rate),
        "log_sd_between_cuts": found.between_sd,
        "place_m": found.place.tolist(),
        "place_sd_m": np.sqrt(np.diagonal(found.place_covariance)).tolist(),
        "distance_m": found.away(result.true_place),
        **asdict(found.dispersion),
        "disagreement": found.posterior.disagreement,
    }


def _hit(hit: Hit) -> dict[str, object]:
    start, end = (np.datetime64(round(3600 * t), "s") for t in (hit.start_hours, hit.end_hours))
    return {
        "z": hit.z,
        "p_value": hit.p_value,
        "place_m": list(hit.place_m),
        "interval_local": [str(start), str(end)],
        "instruments": list(hit.instruments),
        "samples": hit.samples,
    }


def markdown(result: ReleaseResult) -> str:
    """The tables of the outcome, rates in g min⁻¹ as they were metered."""
    lines = [
        f"Dates {result.first_day} to {result.last_day}; truth {result.true_rate:g} g min⁻¹ at "
        f"({result.true_place[0]:g}, {result.true_place[1]:g}) m; seed {result.seed}.",
        "",
        "| target | met |",
        "|---|---|",
        *(f"| {name} | {'yes' if met else '**no**'} |" for name, met in result.targets.items()),
        "",
        "Ensembles over the wind cuts:",
        "",
        *_table(list(result.ensembles), result),
        "",
        "Each wind cut alone: rate [g min⁻¹] with 95 %; how far the place is off; R̂ between populations.",
        "",
        *_by_cut(result),
        "",
        "The search, family-wise at 5 %:",
        "",
        "| wind at least [m s⁻¹] | half hours off | largest z (threshold) | p | alarms | unconfirmed | "
        "control: largest z with release (threshold) |",
        "|---|---|---|---|---|---|---|",
    ]
    for cut, off in result.off.items():
        on = result.on[cut]
        lines.append(
            f"| {cut:g} | {off.half_hours} | {off.best_z:.1f} ({off.threshold:.1f}) | {off.best_p:.2f} | "
            f"{len(off.alarms)} | {len(off.hits) - len(off.alarms)} | {on.best_z:.1f} ({on.threshold:.1f}) |"
        )
    return "\n".join(lines) + "\n"


def _table(found: list[Estimate], result: ReleaseResult) -> list[str]:
    head = [
        "| instruments | wind at least [m s⁻¹] | half hours (with release) | rate [g min⁻¹], 95 % | factor | "
        "covers | place [m] ± 1σ | off by [m] | R̂ |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return head + [
        f"| {e.instruments} | {'1 … 2.5' if e.least_wind_m_s is None else f'{e.least_wind_m_s:g}'} | "
        f"{e.half_hours} ({e.with_release}) | {e.rate:.2f} ({e.low:.2f} … {e.high:.2f}) | {e.factor:.1f} | "
        f"{'yes' if e.covers(result.true_rate) else '**no**'} | "
        f"{e.place[0]:.0f} ± {np.sqrt(e.place_covariance[0, 0]):.0f}, "
        f"{e.place[1]:.0f} ± {np.sqrt(e.place_covariance[1, 1]):.0f} | {e.away(result.true_place):.1f} | "
        f"{e.posterior.disagreement:.2f} |"
        for e in found
    ]


def _by_cut(result: ReleaseResult) -> list[str]:
    """A row for each choice of instruments, a column for each wind cut."""
    lines = [
        "| instruments | " + " | ".join(f"{cut:g} m s⁻¹" for cut in result.off) + " |",
        "|---" * (len(result.off) + 1) + "|",
    ]
    for pooled in result.ensembles:
        own = [found for found in result.estimates if found.instruments == pooled.instruments]
        cells = [
            f"{e.rate:.2f} ({e.low:.2f} … {e.high:.2f}); {e.away(result.true_place):.1f} m, "
            f"R̂ {e.posterior.disagreement:.2f}"
            for e in own
        ]
        lines.append(f"| {pooled.instruments} | " + " | ".join(cells) + " |")
    return lines


def plan(result: ReleaseResult) -> Markup:
    """Instruments, the true place (cross) and the place found with its 95 % region."""
    size, reach = 460.0, 85.0

    def at(x: float, y: float) -> tuple[float, float]:
        return size / 2 * (1 + x / reach), size / 2 * (1 - y / reach)

    marks = []
    for name, (x1, y1, x2, y2) in result.inlets.items():
        a, b = at(x1, y1), at(x2, y2)
        marks.append(_line(a, b, _GREY, 1.0) if a != b else _disc(a, _GREY, 3.5))
        marks.append(_text(a[0] + 5, a[1] - 4, name, _GREY))
    found = result.together
    root = np.linalg.cholesky(found.place_covariance)
    angle = np.linspace(0, 2 * np.pi, 61)
    ring = found.place[:, None] + _ELLIPSE * root @ np.stack([np.cos(angle), np.sin(angle)])
    corners = np.array([at(*p) for p in ring.T.tolist()]).T
    path = svg.path_through(corners[0], corners[1])
    marks.append(svg.tag("path", d=path, fill="none", stroke=_BLUE, stroke_width=2.0))
    marks.append(_disc(at(*found.place.tolist()), _BLUE, 3.0))
    x, y = at(*result.true_place)
    marks += [_line((x - 7, y), (x + 7, y), _ORANGE, 2.0), _line((x, y - 7), (x, y + 7), _ORANGE, 2.0)]
    left, base = at(-80, -78)
    right = at(-60, -78)[0]
    marks += [_line((left, base), (right, base), _INK, 2.0), _text(left, base - 5, "20 m", _INK)]
    return _drawing(
        size, size, marks, "Plan: true place (cross), place found with its 95 % region, instruments"
    )


def intervals(result: ReleaseResult) -> Markup:
    """95 % intervals of the rate on a logarithmic axis: ensembles thick, wind cuts thin, truth a line."""
    names = [found.instruments for found in result.ensembles]
    row, left, right, top = 16.0, 150.0, 560.0, 20.0
    cuts = len(result.off)
    height = top + len(names) * (cuts + 2) * row + 34.0
    low, high = np.log(0.5), np.log(60.0)

    def x(rate: float) -> float:
        return float(left + (right - left) * np.clip((np.log(rate) - low) / (high - low), 0, 1))

    marks = [_line((x(result.true_rate), top), (x(result.true_rate), height - 30), _ORANGE, 2.0)]
    y = top
    for pooled in result.ensembles:
        own = [found for found in result.estimates if found.instruments == pooled.instruments]
        for found in (pooled, *own):
            y += row
            thick = found.least_wind_m_s is None
            text = found.instruments if thick else f"wind ≥ {found.least_wind_m_s:g} m s⁻¹"
            marks.append(_text(4.0 if thick else 24.0, y + 4, text, _INK if thick else _GREY))
            marks.append(_line((x(found.low), y), (x(found.high), y), _BLUE, 4.0 if thick else 1.5))
            marks.append(_disc((x(found.rate), y), _BLUE, 4.0 if thick else 2.5))
        y += row
    for tick in (0.5, 1, 2, 5, 10, 20, 50):
        marks.append(_line((x(tick), height - 30), (x(tick), height - 25), _INK, 1.0))
        marks.append(_text(x(tick) - 5, height - 12, f"{tick:g}", _INK))
    marks.append(_text(right - 40, height - 1, "g min⁻¹", _INK))
    title = f"Rates found, 95 % intervals, and the metered {result.true_rate:g} g min⁻¹ ({ALL} and groups)"
    return _drawing(600.0, height, marks, title)


def _drawing(width: float, height: float, marks: list[Markup], title: str) -> Markup:
    drawn = svg.drawing(width, height, marks, title=title)
    return Markup(str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def _line(a: tuple[float, float], b: tuple[float, float], colour: str, width: float) -> Markup:
    return svg.tag("line", x1=a[0], y1=a[1], x2=b[0], y2=b[1], stroke=colour, stroke_width=width)


def _disc(at: tuple[float, float], colour: str, radius: float) -> Markup:
    return svg.tag("circle", cx=at[0], cy=at[1], r=radius, fill=colour)


def _text(x: float, y: float, text: str, colour: str) -> Markup:
    return svg.tag("text", text, x=x, y=y, fill=colour, font_size=11, font_family="sans-serif")
