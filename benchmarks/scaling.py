"""How the time of a solution grows with the number of unknowns, of observations and of non-zeros."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import SIZES, Case, Target
from benchmarks.race import Settings, race

AXES = {"m": "unknowns m", "n": "observations n", "footprints": "non-zeros of the footprints"}


def scaling(case: Case, settings: Settings, figure: Path | None = None) -> dict[str, Any]:
    """Three sizes along each axis, the exponents of time fitted to them, and a drawing."""
    found: dict[str, Any] = {}
    for cities in SIZES.values():
        for city in cities:
            key = city.digest
            if key not in found:
                found[key] = race(replace(case, city=city, play="race"), settings)
    lines = {axis: _line(axis, [found[city.digest] for city in cities]) for axis, cities in SIZES.items()}
    exponents = {axis: exponent(line["x"], line["s"]) for axis, line in lines.items()}
    stick = exponent(lines["n"]["x"], lines["n"]["yardstick_s"])
    if figure is not None:
        draw(lines, exponents, figure)
    return {
        "case": case.name,
        "about": case.about,
        "sizes": {},
        "threads": settings.threads,
        "rows": {_label(one): one["rows"]["reduced"] for one in found.values()},
        "lines": lines,
        "exponents": exponents | {"yardstick n": stick},
        "targets": [
            Target("time as m to the power of", exponents["m"], 1.1).as_json(),
            Target("time as n to the power of; limit: the factorisation's", exponents["n"], stick).as_json(),
        ],
    }


def _line(axis: str, results: list[dict[str, Any]]) -> dict[str, list[float]]:
    key = "non_zeros" if axis == "footprints" else axis
    rows = [one["rows"]["reduced"] for one in results]
    return {
        "x": [float(one["sizes"][key]) for one in results],
        "s": [row["warm_s"] for row in rows],
        "yardstick_s": [row["yardstick_s"] for row in rows],
    }


def _label(one: dict[str, Any]) -> str:
    sizes = one["sizes"]
    return f"n {sizes['n']}, m {sizes['m'] / 1e6:.2g} M, {sizes['share']:.1%}"


def exponent(x: list[float], seconds: list[float]) -> float:
    """Slope of ln s over ln x, by least squares."""
    return float(np.polyfit(np.log(x), np.log(seconds), 1)[0])


def draw(lines: dict[str, Any], exponents: dict[str, float], target: Path) -> None:
    """Seconds over each size on logarithmic axes, with the fitted power."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(1, len(lines), figsize=(11, 3.6), sharey=True, layout="constrained")
    for place, (axis, line) in zip(axes, lines.items(), strict=True):
        x, s = np.array(line["x"]), np.array(line["s"])
        middle = np.exp(np.mean(np.log(s))) * (x / np.exp(np.mean(np.log(x)))) ** exponents[axis]
        place.loglog(x, s, "o", color="#0b6fa4")
        place.loglog(x, middle, "-", color="#0b6fa4", label=f"solution: power {exponents[axis]:.2f}")
        if axis == "n":
            place.loglog(x, line["yardstick_s"], "s--", color="#888888", label="Cholesky factorisation")
        place.set_xlabel(AXES[axis])
        place.grid(visible=True, which="both", alpha=0.2)
        place.legend(frameon=False, fontsize=9)
    axes[0].set_ylabel("seconds")
    picture.savefig(target)
    pyplot.close(picture)
