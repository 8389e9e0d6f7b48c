"""Flux maps as inline SVG: cells as a small image, outlines, stations and sources drawn over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from monitor.domain import Region, Station
from monitor.publish import svg
from monitor.publish.colours import paint
from monitor.publish.numbers import as_number

WIDTH, LEFT, RIGHT, TOP = 360.0, 38.0, 352.0, 6.0
TALLEST = 420.0
#: Room below the map for its axis and colours.
HEIGHT_BELOW = TOP + 66.0


@dataclass(frozen=True)
class MapFrame:
    """What all panels of one species share: edges of the window [degrees] and what is drawn over it."""

    lon_edges: tuple[float, float]
    lat_edges: tuple[float, float]
    regions: Sequence[Region] = ()
    stations: Sequence[Station] = ()
    sources: Sequence[Mapping[str, object]] = ()

    @property
    def height(self) -> float:
        """Height of the map so that a kilometre is as long north as east at the middle latitude."""
        middle = np.cos(np.deg2rad(sum(self.lat_edges) / 2))
        ratio = (self.lat_edges[1] - self.lat_edges[0]) / ((self.lon_edges[1] - self.lon_edges[0]) * middle)
        return float(np.clip((RIGHT - LEFT) * ratio, 60.0, TALLEST))

    def x(self, lon: float) -> float:
        return LEFT + (RIGHT - LEFT) * (lon - self.lon_edges[0]) / (self.lon_edges[1] - self.lon_edges[0])

    def y(self, lat: float) -> float:
        return TOP + self.height * (self.lat_edges[1] - lat) / (self.lat_edges[1] - self.lat_edges[0])

    def holds(self, lon: float, lat: float) -> bool:
        return self.lon_edges[0] <= lon <= self.lon_edges[1] and self.lat_edges[0] <= lat <= self.lat_edges[1]


@dataclass(frozen=True)
class ColourScale:
    """From which value to which the colours run, and their unit."""

    low: float
    high: float
    diverging: bool
    unit: str


def colour_scale(fields: Sequence[np.ndarray], unit: str, *, difference: bool = False) -> ColourScale:
    """One scale for all `fields`: from zero to the 99th percentile, symmetric where signs differ."""
    values = np.concatenate([field[np.isfinite(field)].ravel() for field in fields] or [np.zeros(1)])
    if not values.size:
        return ColourScale(0.0, 1.0, difference, unit)
    top = float(np.percentile(np.abs(values), 99)) or float(np.abs(values).max()) or 1.0
    diverging = difference or bool((values < -0.01 * top).any())
    return ColourScale(-top if diverging else 0.0, top, diverging, unit)


def map_picture(field: np.ndarray, frame: MapFrame, scale: ColourScale, *, title: str) -> Markup:
    """One panel: `field` (lat, lon), south first, painted on `scale`."""
    image = svg.tag(
        "image",
        href=svg.png_data_uri(paint(field[::-1], scale.low, scale.high, diverging=scale.diverging)),
        x=LEFT,
        y=TOP,
        width=RIGHT - LEFT,
        height=frame.height,
        preserveAspectRatio="none",
        class_="cells",
    )
    border = svg.tag("rect", x=LEFT, y=TOP, width=RIGHT - LEFT, height=frame.height, class_="frame")
    bottom = TOP + frame.height
    children = [
        image,
        *_outlines(frame),
        border,
        *_axes(frame),
        *_marks(frame),
        *_colour_bar(scale, field, bottom + 26),
    ]
    return svg.drawing(WIDTH, frame.height + HEIGHT_BELOW, children, title=title, class_="map")


def _outlines(frame: MapFrame) -> list[Markup]:
    drawn = []
    for region in frame.regions:
        for ring in region.polygons_lonlat:
            # kept inside the frame: what lies beyond is drawn along its edge
            x = np.clip([frame.x(lon) for lon, _ in ring], LEFT, RIGHT)
            y = np.clip([frame.y(lat) for _, lat in ring], TOP, TOP + frame.height)
            outline = svg.path_through(x, y) + "Z"
            drawn.append(svg.tag("path", d=outline, class_="outline-halo"))
            drawn.append(
                svg.tag("path", svg.tag("title", region.name or region.id), d=outline, class_="outline")
            )
    return drawn


def _axes(frame: MapFrame) -> list[Markup]:
    bottom, drawn = TOP + frame.height, []
    lons, lats = svg.ticks(*frame.lon_edges, 4), svg.ticks(*frame.lat_edges, 4)
    for lon, text in zip(lons, svg.tick_text(lons), strict=True):
        drawn.append(svg.line(frame.x(lon), bottom, frame.x(lon), bottom + 4, "axis"))
        if LEFT + 8 < frame.x(lon) < RIGHT - 8:
            drawn.append(svg.label(frame.x(lon), bottom + 16, f"{text}°", anchor="middle"))
    for lat, text in zip(lats, svg.tick_text(lats), strict=True):
        drawn.append(svg.line(LEFT - 4, frame.y(lat), LEFT, frame.y(lat), "axis"))
        drawn.append(svg.label(LEFT - 6, frame.y(lat) + 4, f"{text}°", anchor="end"))
    return drawn


def _marks(frame: MapFrame) -> list[Markup]:
    drawn = []
    for station in frame.stations:
        if not frame.holds(station.lon_deg, station.lat_deg):
            continue
        x, y = frame.x(station.lon_deg), frame.y(station.lat_deg)
        triangle = f"M{x:.1f} {y - 6:.1f}l5.5 9.5h-11z"
        drawn.append(
            svg.tag("path", svg.tag("title", station.name or station.id), d=triangle, class_="station")
        )
        at, anchor = (x - 7, "end") if x > RIGHT - 60 else (x + 7, "start")
        drawn.append(svg.label(at, y + 4, station.id[:14], class_="station-text", anchor=anchor))
    for number, source in enumerate(frame.sources, 1):
        lon, lat = as_number(source.get("lon")), as_number(source.get("lat"))
        if lon is None or lat is None or not frame.holds(lon, lat):
            continue
        x, y = frame.x(lon), frame.y(lat)
        drawn.append(
            svg.tag("circle", svg.tag("title", f"source {number}"), cx=x, cy=y, r=8.0, class_="source")
        )
        drawn.append(svg.label(x, y + 4, str(number), class_="source-text", anchor="middle"))
    return drawn


def _colour_bar(scale: ColourScale, field: np.ndarray, top: float) -> list[Markup]:
    gradient = paint(
        np.linspace(scale.low, scale.high, 128)[None, :], scale.low, scale.high, diverging=scale.diverging
    )
    box = {"x": LEFT, "y": top, "width": RIGHT - LEFT, "height": 9.0}
    drawn = [
        svg.tag("image", href=svg.png_data_uri(gradient), preserveAspectRatio="none", **box),
        svg.tag("rect", class_="frame", **box),
    ]
    values = svg.ticks(scale.low, scale.high, 4)
    for value, text in zip(values, svg.tick_text(values), strict=True):
        x = LEFT + (RIGHT - LEFT) * (value - scale.low) / (scale.high - scale.low)
        drawn.append(svg.line(x, top + 9, x, top + 12, "axis"))
        drawn.append(svg.label(x, top + 22, text, anchor="middle"))
    beyond = np.isfinite(field) & ((field > scale.high) | (field < scale.low))
    more = " (some cells lie beyond the scale)" if beyond.any() else ""
    drawn.append(
        svg.label((LEFT + RIGHT) / 2, top + 36, f"{scale.unit}{more}", class_="unit", anchor="middle")
    )
    return drawn
