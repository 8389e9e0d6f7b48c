"""Two pictures of a calibration, each an SVG file: the counts on their targets, and reliability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from monitor.calibration.reliability import Diagram
from monitor.calibration.rows import CITIES, Part, Row
from monitor.publish import svg

#: Okabe and Ito's blue and vermilion are told apart by everybody; missed targets carry another shape as well.
_STYLE: Final = """
text { font: 11px system-ui, sans-serif; fill: #17202a; } .head { font-weight: 650; }
.note { fill: #4d5863; font-size: 10px; } .axis { stroke: #4d5863; stroke-width: 1; fill: none; }
.grid { stroke: #dfe4e8; stroke-width: 1; } .target { fill: #9fd3c7; }
.range { stroke: #0072b2; stroke-width: 2.2; } .met { fill: #0072b2; } .missed { fill: #d55e00; }
.range-missed { stroke: #d55e00; stroke-width: 2.2; } .band { fill: #d9e6ef; }
.diagonal { stroke: #4d5863; stroke-width: 1; stroke-dasharray: 4 3; } .seen { stroke: #0072b2; fill: none;
stroke-width: 1.8; }
"""
_LINE, _LEFT, _RIGHT, _WIDTH = 19.0, 330.0, 820.0, 860.0


def counts_picture(rows: Sequence[Row]) -> str:
    """Shares of cities with their 95 % intervals, on the ranges that were to be met."""
    children: list[Markup] = []
    y = 34.0
    for row in rows:
        parts = [part for part in row.parts if part.count is not None]
        if not parts:
            continue
        children.append(svg.label(10.0, y, row.title, class_="head"))
        y += _LINE
        for part in parts:
            children += _count_line(part, y)
            y += _LINE
        y += 5.0
    axis = [*_share_axis(y)]
    return _alone(_WIDTH, y + 26.0, [*axis, *children], "Shares of synthetic cities on their targets")


def _share_axis(bottom: float) -> Iterator[Markup]:
    for k in range(0, 101, 10):
        x = _x(k / 100)
        yield svg.line(x, 18.0, x, bottom - 8.0, "grid")
        yield svg.label(x, bottom + 8.0, f"{k} %", class_="note", anchor="middle")


def _x(share: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * share


def _count_line(part: Part, y: float) -> Iterator[Markup]:
    assert part.estimate is not None
    assert part.interval is not None
    yield svg.label(_LEFT - 12.0, y, part.name, anchor="end")
    middle = y - 4.0
    if part.bounds is not None:
        low, high = (_x(bound / CITIES) for bound in part.bounds)
        yield svg.tag("rect", x=low, y=middle - 7.0, width=max(high - low, 1.5), height=14.0, class_="target")
    missed = part.met is False
    low, high = (_x(share) for share in part.interval)
    yield svg.line(low, middle, high, middle, "range-missed" if missed else "range")
    x = _x(part.estimate)
    if missed:
        path = f"M{x - 5:.1f} {middle - 5:.1f}h10v10h-10z"
        yield svg.tag("path", d=path, class_="missed")
    else:
        yield svg.tag("circle", cx=x, cy=middle, r=4.0, class_="met")
    yield svg.label(_RIGHT + 6.0, y, str(part.count), class_="note")


_SIDE, _GAP = 230.0, 58.0


def reliability_picture(found: Sequence[Diagram]) -> str:
    """What was the case against what was stated, by kind of claim, with the band of an honest system."""
    children: list[Markup] = []
    for number, diagram in enumerate(found):
        children += _diagram(diagram, 46.0 + number * (_SIDE + _GAP))
    width = 46.0 + len(found) * (_SIDE + _GAP)
    return _alone(width, _SIDE + 86.0, children, "Stated probabilities against what was the case")


def _diagram(diagram: Diagram, left: float) -> Iterator[Markup]:
    top = 34.0
    bottom = top + _SIDE

    def at(x: float, y: float) -> tuple[float, float]:
        return left + _SIDE * x, bottom - _SIDE * y

    yield svg.label(left, top - 12.0, diagram.kind, class_="head")
    upper = np.minimum(diagram.stated + diagram.half, 1.0)
    lower = np.maximum(diagram.stated - diagram.half, 0.0)
    edge = [at(*p) for p in zip(diagram.stated, upper, strict=True)]
    edge += [at(*p) for p in zip(diagram.stated[::-1], lower[::-1], strict=True)]
    yield svg.tag("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in edge) + "z", class_="band")
    yield svg.line(*at(0, 0), *at(1, 1), "diagonal")
    for k in range(0, 11, 2):
        x, y = at(k / 10, 0)
        yield svg.label(x, y + 15.0, f"{k / 10:g}", class_="note", anchor="middle")
        if k:
            x, y = at(0, k / 10)
            yield svg.label(x - 6.0, y + 4.0, f"{k / 10:g}", class_="note", anchor="end")
    points = [at(*p) for p in zip(diagram.stated, diagram.seen, strict=True)]
    xs, ys = np.array(points).T
    yield svg.tag("path", d=svg.path_through(xs, ys), class_="seen")
    for x, y in points:
        yield svg.tag("circle", cx=float(x), cy=float(y), r=3.2, class_="met")
    yield svg.tag("rect", x=left, y=top, width=_SIDE, height=_SIDE, class_="axis")
    yield svg.label(left + _SIDE / 2, bottom + 32.0, "stated probability", class_="note", anchor="middle")
    cases = f"share that was so; {int(diagram.cases.sum())} thresholds"
    yield svg.label(left + _SIDE / 2, bottom + 46.0, cases, class_="note", anchor="middle")


def _alone(width: float, height: float, children: Sequence[Markup], title: str) -> str:
    """A file of its own."""
    paper = svg.tag("rect", x=0.0, y=0.0, width=width, height=height, fill="#fff")
    body = "".join(map(str, [svg.tag("title", title), paper, *children]))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">'
    return f"{head}<style>{_STYLE}</style>{body}</svg>\n"
