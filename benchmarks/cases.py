"""All cases by name: worlds with contestants and targets, and classes that are timed as they are.

A target stands beside the figure it is for, with whether it is met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import claims, scan
from benchmarks import contestants as who
from benchmarks.contestants import Contestant, ours
from benchmarks.worlds import MONTH, PEER, YEAR, City
from monitor.calibration.asking import Claim

#: Modules with classes that are timed.
MODULES = ("inversion", "transport", "ingest", "archive")
Row = dict[str, Any]
Rows = dict[str, Row]


@dataclass(frozen=True)
class Target:
    """What was asked and what was found; without a limit only the figure."""

    what: str
    found: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return bool(self.found >= self.limit if self.at_least else self.found <= self.limit)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


@dataclass(frozen=True)
class Case:
    """What `python -m benchmarks NAME` runs.

    Attributes
    ----------
    reference
        The contestant whose outputs the others are compared with; it comes first.
    once
        Contestants that are run cold only: references whose time is another case's.
    judge : rows by contestant -> targets
    runs, sticks
        Warm runs of each contestant, and yardsticks taken in turn with them.
    play
        For cases that are no race of contestants in one world: "scaling", "import"; else "race".
    """

    name: str
    about: str
    contestants: tuple[Contestant, ...] = ()
    city: City | None = None
    judge: Callable[[Rows], list[Target]] = lambda rows: []
    reference: str = ""
    once: tuple[str, ...] = ()
    runs: int = 5
    sticks: int = 5
    play: str = "race"

    def contestant(self, name: str) -> Contestant:
        return next(c for c in self.contestants if c.name == name)


def peer_targets(rows: Rows) -> list[Target]:
    mine, theirs = rows["monitor"], rows["fips"]
    return [
        Target("mean of totals, relative difference", mine["errors"]["totals"], 1e-8),
        Target("covariance of totals, relative difference", mine["errors"]["covariance"], 1e-8),
        Target("times faster than fips", theirs["warm_s"] / mine["warm_s"], 20.0, at_least=True),
        Target("times less memory than fips", theirs["peak_gb"] / mine["peak_gb"], 20.0, at_least=True),
    ]


def cost(name: str, row: Row, yardsticks: float, gigabytes: float) -> list[Target]:
    return [
        Target(f"{name}: yardsticks", row["ratio"], yardsticks),
        Target(f"{name}: peak memory [GB]", row["peak_gb"], gigabytes),
    ]


def month_targets(rows: Rows) -> list[Target]:
    found = []
    for name in [name for name in ("reduced", "auto") if name in rows]:
        errors = rows[name]["errors"]
        found += cost(name, rows[name], 20.0, 1.5)
        if not errors:
            continue
        found += [
            Target(f"{name}: totals, relative error", errors["totals"], 1e-3),
            Target(f"{name}: σ of totals, relative error", errors["totals_sigma"], 1e-3),
        ]
    return found


def exact_targets(rows: Rows) -> list[Target]:
    return cost("exact", rows["exact"], 200.0, 4.0)


def year_targets(rows: Rows) -> list[Target]:
    found = cost("batch", rows["batch"], 6.0, 10.0) if "batch" in rows else []
    if "windowed" in rows:
        found += cost("windowed", rows["windowed"], 1.0, 2.0)
    if rows.keys() >= {"batch", "windowed"}:
        errors = rows["windowed"]["errors"]
        found += [
            Target("windowed: totals from batch, in σ", errors["totals_in_sigma"], 0.01),
            Target("windowed: σ from batch, relative", errors["totals_sigma"], 0.01),
        ]
    return found


def hyper_targets(rows: Rows) -> list[Target]:
    def ratio(over: str, under: str) -> float:
        return float(rows[over]["warm_s"] / rows[under]["warm_s"])

    return [
        Target("with gradient / a solution", ratio("gradient", "solution"), 4.0),
        Target("with gradient / without, within a fit", ratio("next gradient", "next value"), 4.0),
    ]


def scan_targets(rows: Rows) -> list[Target]:
    looked, drawn = (rows[name]["warm_s"] for name in ("search", "with null"))
    return [
        Target("search of a month [s]", looked, 60.0),
        Target("its null distribution of 1,000 draws [s]", drawn - looked, 120.0),
    ]


def claim_targets(rows: Rows) -> list[Target]:
    return [Target(f"one claim of a {kind} [s]", row["warm_s"], 1.0) for kind, row in rows.items()]


_EXACT = ours("exact", partial(who.month, method="observations"))
_REDUCED = ours("reduced", partial(who.month, method="reduced"))
_FIPS = Contestant(
    "fips",
    who.fips_mean_and_covariance,
    who.fips_inputs,
    ("fips", "fips.covariance", "pandas", "monitor.inversion.linear"),
    order=lambda inputs: int(inputs["n"]),
)
_HYPER = "monitor.inversion.hyper"
_SEARCH = ("monitor.compare.sources",)
_CLAIM = ("monitor.calibration.asking",)

WORLDS = (
    Case(
        "peer",
        "a small city with dense footprints, against fips",
        (_FIPS, ours("monitor", partial(who.whole, method="auto"))),
        PEER,
        peer_targets,
        reference="fips",
    ),
    Case(
        "city-month",
        "a month of hourly observations, 2.6 million unknowns, in a basis of smooth fields",
        (
            ours("exact", partial(who.month, method="observations")),
            _REDUCED,
            ours("auto", partial(who.month, method="auto")),
        ),
        MONTH,
        month_targets,
        reference="exact",
        once=("exact",),
    ),
    Case(
        "city-month-exact",
        "the same without any truncation",
        (_EXACT,),
        MONTH,
        exact_targets,
    ),
    Case(
        "city-year",
        "a year of afternoons at ten stations, 87.6 million unknowns: batch and in windows",
        (
            Contestant("batch", who.year, who.streamed),
            Contestant(
                "windowed", who.year_in_windows, who.streamed, (*who.OURS, "monitor.inversion.windows")
            ),
        ),
        YEAR,
        year_targets,
        reference="batch",
        sticks=3,
    ),
    Case(
        "hyper",
        "the evidence with its gradient, a month",
        (
            ours("solution", who.solution, _HYPER),
            ours("gradient", who.gradient, _HYPER),
            Contestant(
                "next value", who.next_value, who.prepared, (*who.OURS, _HYPER), who.order_of_evidence
            ),
            Contestant(
                "next gradient", who.next_gradient, who.prepared, (*who.OURS, _HYPER), who.order_of_evidence
            ),
        ),
        MONTH,
        hyper_targets,
    ),
    Case(
        "scan",
        "a search for sources: 3,600 cells, 1,859 windows of half days, 1,000 worlds without a source",
        tuple(
            Contestant(name, partial(scan.search, draws=draws), scan.month, _SEARCH, lambda one: one.order)
            for name, draws in (("search", 0), ("with null", 1000))
        ),
        judge=scan_targets,
        runs=3,
        sticks=3,
    ),
    Case(
        "claim",
        "one claim after the solve: a month of hourly observations, 3,600 cells, the whole ensemble",
        tuple(
            Contestant(
                claim.kind, partial(claims.judge, claim=claim), claims.month, _CLAIM, lambda one: one.order
            )
            for claim in (Claim("level", 1e6, 0.2), Claim("change", -0.2, 0.1))
        ),
        judge=claim_targets,
        runs=3,
        sticks=3,
    ),
)
#: The city whose size is changed, and the changes: cells by 4, stations and share of footprints by 2.
SCALED = replace(MONTH, name="scaling", stations=2)
SIZES = {
    "m": tuple(replace(SCALED, side=side) for side in (30, 60, 120)),
    "n": tuple(replace(SCALED, stations=k) for k in (1, 2, 4)),
    "footprints": tuple(replace(SCALED, share=share) for share in (0.025, 0.05, 0.1)),
}
PLAYS = (
    Case(
        "scaling",
        "how time grows with m, n and the footprints' non-zeros",
        (_REDUCED,),
        runs=3,
        sticks=3,
        play="scaling",
    ),
    Case("import", "importing the package, and the first solution of a tiny problem", play="import"),
)


@dataclass(frozen=True)
class Timed:
    """One method of one class at one size."""

    kind: type
    method: str
    size: int

    def ready(self, folder: Path | None = None) -> Any:
        """An instance, set up."""
        instance = self.kind()
        instance.setup(self.size)
        return instance

    def run(self, instance: Any) -> dict[str, Any]:
        getattr(instance, self.method)(self.size)
        return {}

    @property
    def smallest(self) -> bool:
        return bool(self.size == self.kind.params[0])  # type: ignore[attr-defined]


def timed() -> Iterator[tuple[str, Timed]]:
    """Methods `time_…(size)` of classes with `params` (sizes, the smallest first) and `setup(size)`.

    `order` of an instance is the size of its yardstick.
    """
    for module in MODULES:
        for kind in vars(import_module(f"benchmarks.{module}")).values():
            if not (isinstance(kind, type) and hasattr(kind, "params") and kind.__module__.endswith(module)):
                continue
            for method in [name for name in vars(kind) if name.startswith("time_")]:
                for size in kind.params:
                    yield f"{module}.{method.removeprefix('time_')}[{size}]", Timed(kind, method, size)


def _of_class(name: str, what: Timed) -> Case:
    about = (what.kind.__doc__ or "").strip().splitlines()[0]
    one = Contestant("monitor", what.run, what.ready, (), order=lambda instance: int(instance.order))
    return Case(name, about, (one,))


#: Cases that need none of the classes, whose imports would count as those of a small case.
OWN = {case.name: case for case in (*WORLDS, *PLAYS)}


@cache
def named() -> dict[str, Case]:
    """All cases."""
    return OWN | {name: _of_class(name, what) for name, what in timed()}


def find(name: str) -> Case:
    """The case of this name.

    Raises
    ------
    KeyError
    """
    return OWN[name] if name in OWN else named()[name]


def chosen(wanted: list[str]) -> list[str]:
    """Cases by name, else by a part of the name; classes at all sizes but the smallest."""
    out: list[str] = []
    for part in wanted:
        if part in OWN or part in named():
            out.append(part)
        else:
            smallest = {name for name, what in timed() if what.smallest}
            out += [name for name in named() if part in name and name not in smallest]
    return list(dict.fromkeys(out))
