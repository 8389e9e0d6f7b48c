"""Small drawings as inline SVG: every text and attribute escaped, colours left to the style sheet."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup, escape

from monitor.publish.numbers import decimals_for, show


def tag(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """One element; children that are no Markup are escaped, a trailing ``_`` of a name is dropped.

    Inner underscores of attribute names become hyphens (``text_anchor``).
    """
    opened = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{opened}>{inner}</{name}>" if inner else f"<{name}{opened}/>")


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def drawing(
    width: float, height: float, children: Iterable[Markup], *, title: str, class_: str = ""
) -> Markup:
    """A whole picture that scales with the page; `title` is what a screen reader says."""
    return tag(
        "svg",
        tag("title", title),
        *children,
        viewBox=f"0 0 {_text(float(width))} {_text(float(height))}",
        role="img",
        aria_label=title,
        class_=f"drawing {class_}".strip(),
    )


def label(x: float, y: float, text: str, *, class_: str = "", anchor: str = "start") -> Markup:
    """One line of text."""
    return tag("text", text, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path_through(x: np.ndarray, y: np.ndarray, breaks: np.ndarray | None = None) -> str:
    """Path data through finite points; a new stroke starts after a gap and where `breaks` is true."""
    parts: list[str] = []
    pen_down = False
    start = np.zeros(x.size, dtype=bool) if breaks is None else breaks
    for xi, yi, broken in zip(x.tolist(), y.tolist(), start.tolist(), strict=True):
        if not (math.isfinite(xi) and math.isfinite(yi)):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down and not broken else 'M'}{xi:.1f} {yi:.1f}")
        pen_down = True
    return "".join(parts)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values inside [low, high], about `count` of them, steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [(first + i) * step for i in range(math.floor(high / step + 1e-9) - first + 1)]


def tick_text(values: Sequence[float], *, signed: bool = False) -> list[str]:
    """Labels of equally spaced ticks with just enough decimals."""
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0])
    decimals = max(decimals_for(step, 1), 0) if step else 0
    if step and abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    return [show(value, decimals, signed=signed) for value in values]


def png_data_uri(rgb: np.ndarray) -> str:
    """An image (rows, columns, 3) uint8 as a PNG data URI."""
    rows, columns, _ = rgb.shape
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(rgb, dtype=np.uint8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode("ascii")
