"""The map of a proposed network: where a source would be seen, and which site comes first. One SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from monitor.domain import Grid, Region, Station
from monitor.publish import svg
from monitor.publish.map_picture import HEIGHT_BELOW, WIDTH, ColourScale, MapFrame, map_picture
from monitor.publish.numbers import show

#: The report's style sheet, as far as a map needs it: the file stands alone.
_STYLE = """
text { font: 10.5px system-ui, sans-serif; fill: #17202a; } .unit, .note { fill: #4d5863; }
.note { font-size: 10px; } .axis, .frame { stroke: #4d5863; stroke-width: 1; fill: none; }
.cells { image-rendering: pixelated; } .outline { fill: none; stroke: #111; stroke-width: 1.3; }
.outline-halo { fill: none; stroke: #fff; stroke-width: 3; stroke-opacity: 0.7; }
.station { fill: #111; stroke: #fff; stroke-width: 1.3; }
.station-text { stroke: #fff; stroke-width: 3; paint-order: stroke; font-weight: 650; font-size: 11px; }
.source { fill: #fff; fill-opacity: 0.85; stroke: #d55e00; stroke-width: 2.5; }
.source-text { font-weight: 700; font-size: 11px; }
"""
#: Strengths from this many times that of the region's middle cell on are one colour.
_SPAN = 4.0
_LINE = 15.0


def design_picture(
    answer: Mapping[str, Any], strengths: np.ndarray, grid: Grid, regions: Sequence[Region]
) -> str:
    """The picture of an answer of `monitor design`, with its own style.

    Parameters
    ----------
    answer
        With sources: of a target that is one, or of a request with a picture.
    strengths : (lat, lon)
        Detectable strength in each cell [kg h⁻¹]; infinite where nothing is seen.
    """
    sites = {site["id"]: site for site in answer["sites"]}
    order = [step["id"] for step in answer["sequence"]]
    idle = [s["id"] for s in answer["sites"] if not s["stands"] and s["id"] not in order]
    frame = MapFrame(
        lon_edges=(float(grid.lon_edges_deg[0]), float(grid.lon_edges_deg[-1])),
        lat_edges=(float(grid.lat_edges_deg[0]), float(grid.lat_edges_deg[-1])),
        regions=regions,
        stations=[Station(s["id"], s["lon"], s["lat"]) for s in answer["sites"] if s["stands"]],
        sources=[sites[name] for name in order],
    )
    shown = answer["before"]["source"] or answer["after"]["source"]
    top = _SPAN * (shown["middle"] or shown["least"] or 1.0)
    unit = shown["unit"]
    field = np.where(np.isfinite(strengths), strengths, np.nan)
    title = f"{answer['city']}: the source that the network would see, and sites to add in their order"
    drawn = map_picture(field, frame, ColourScale(0.0, top, False, unit), title=title)
    below = frame.height + HEIGHT_BELOW
    lines = [*_legend(answer, float(shown["days"])), *_ranking(answer)]
    lines += [f"not taken: {', '.join(idle)}"] if idle else []
    lines = [part for text in [*lines, answer["assumptions"][0]] for part in _wrapped(text, 62)]
    texts = [svg.label(8.0, below + _LINE * (k + 1), t, class_="note") for k, t in enumerate(lines)]
    height = below + _LINE * (len(lines) + 1)
    return _alone(drawn, texts, height)


def _legend(answer: Mapping[str, Any], days: float) -> list[str]:
    now = "the sites that stand" if answer["before"]["source"] else "the sites that the sequence adds"
    return [
        f"colours: the source of {days:g} days that {now} would find in 80 of 100 cases; grey: never",
        "triangles stand; numbers are sites to add, in their order",
    ]


def _ranking(answer: Mapping[str, Any]) -> list[str]:
    target, percent = answer["target"], answer["target"]["unit"] == "1"
    lines = [f"detectable {target['kind']} of {target['region']}:"]
    for k, step in enumerate(answer["sequence"], 1):
        before, after = (_figure(step[name], percent) for name in ("before", "after"))
        lines.append(f"{k}  {step['id']}: {before} → {after}{'' if percent else ' ' + target['unit']}")
    return lines if len(lines) > 1 else []


def _figure(value: float | None, percent: bool) -> str:
    if value is None:
        return "not seen"
    return f"{show(100 * value, 1)} %" if percent else f"{value:.3g}"


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _alone(drawn: Markup, texts: Sequence[Markup], height: float) -> str:
    """The drawing as a file of its own: a name space, a size, the style, and lines below."""
    opened, inner = str(drawn).split(">", 1)
    body = inner.removesuffix("</svg>")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" role="img">'
    paper = svg.tag("rect", x=0.0, y=0.0, width=WIDTH, height=height, fill="#fff")
    assert opened.startswith("<svg")
    return f"{head}<style>{_STYLE}</style>{paper}{body}{''.join(map(str, texts))}</svg>\n"
