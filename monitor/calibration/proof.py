"""From the records of all cities to the rows of the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from monitor.calibration.network import KINDS
from monitor.calibration.reliability import reliability_parts
from monitor.calibration.rows import (
    CITIES,
    NO_TARGET,
    Part,
    Records,
    Row,
    Rule,
    bootstrap_ratio,
    column,
    counted,
    covered,
    measured,
    rows_of,
)
from monitor.compare.sources import alarms_a_year
from monitor.compare.verdict import CONTRADICTED, SUPPORTED

#: A perfect system covers this many of 400.
COVERED: Final = (368, 390)
#: And one whose model is wrong this many at least.
WRONG_COVERED: Final = 350
_WIDEST, _STILL = 2.5, 1e-8
ALARMS: Final = "false_alarms"


def proof(records: Records, refused: Mapping[str, str]) -> list[Row]:
    """All rows; what a network cannot be put to is null with the reason (`refused`, by experiment)."""
    return rows_of(_RULES, records, refused)


def _right(records: Records) -> list[Part]:
    return covering(records, "right model")


def covering(records: Records, model: str) -> list[Part]:
    """How many intervals of each kind hold the truth."""
    return [counted(kind, _hits(records, model, kind), *COVERED) for kind in kinds_of(records)]


def _wrong(records: Records) -> list[Part]:
    parts = [counted(kind, _hits(records, "wrong model", kind), WRONG_COVERED) for kind in kinds_of(records)]
    for kind in kinds_of(records):
        wide, narrow = (widths(records, model, kind) for model in ("wrong model", "right model"))
        ratio = float(np.median(wide) / np.median(narrow))
        interval = bootstrap_ratio(wide, narrow)
        parts.append(
            measured(f"{kind}, median width ÷ right model's", ratio, interval, _WIDEST, "≤ 2.5", len(records))
        )
    return parts


def _hits(records: Records, model: str, kind: str) -> list[bool]:
    return [covered(said) for said in column(records, model, kind)]


def kinds_of(records: Records, *path: str) -> list[str]:
    """The kinds of claims that the network's epochs allowed, as they were asked in an experiment."""
    asked = column(records[:1], *(path or ("right model",)))[0]
    return [kind for kind in KINDS if kind in asked]


def widths(records: Records, *path: str) -> np.ndarray:
    """Of the intervals of all cities."""
    return np.array([said["high"] - said["low"] for said in column(records, *path)])


def _false(records: Records) -> list[Part]:
    at, half, none = (answers(records, "margins", share) for share in ("1", "0.5", "0"))
    supported = [answer == SUPPORTED for answer in at]
    most = round(CITIES * sum(supported) / len(at))
    return [
        counted("truth exactly the margin", supported, 0, 18),
        counted("truth half the margin", [a == SUPPORTED for a in half], 0, most),
        counted("truth zero", [a == SUPPORTED for a in none], 0, most),
    ]


def _true(records: Records) -> list[Part]:
    contradicted = {m: [a == CONTRADICTED for a in answers(records, "power", m)] for m in ("1", "2", "3")}
    return [counted(f"{m} × detectable", hits, 0, 18) for m, hits in contradicted.items()]


def _power(records: Records) -> list[Part]:
    excluded = [said["low"] > 0 or said["high"] < 0 for said in column(records, "power", "1")]
    twice, thrice = ([a == SUPPORTED for a in answers(records, "power", m)] for m in ("2", "3"))
    return [
        counted("zero excluded at 1 ×", excluded, 300, 340),
        counted("supported at 2 ×", twice, 300, 340),
        counted("supported at 3 ×", thrice, 372),
    ]


def _looks(records: Records) -> list[Part]:
    return [counted("supported at some look, truth the margin", column(records, "looks", "rule"), 0, 18)]


def _alarms(records: Records) -> list[Part]:
    return [counted("alarm without a source", column(records, "sources", "none", "alarm"), 0, 31)]


def _sources(records: Records) -> list[Part]:
    found = {m: column(records, "sources", m, "found") for m in ("1", "2")}
    thrice = column(records, "sources", "3")
    placed = [said["found"] and said["cells"] <= 1 and said["days"] <= 2 for said in thrice]
    held = [said["found"] and said["low"] <= said["truth"] <= said["high"] for said in thrice]
    return [
        counted("found at 1 ×", found["1"], 300, 340),
        counted("found at 2 ×", found["2"], 394),
        counted("place within a cell and dates within two days at 3 ×", placed, 360),
        counted("strength interval covers at 3 ×", held, *COVERED),
    ]


def _prior(records: Records) -> list[Part]:
    parts = []
    for name in ("doubled", "holds the claim"):
        moves = np.array(column(records, "prior", name))
        span = (float(moves.min()), float(moves.max()))
        parts.append(measured(name, span[1], span, _STILL, "≤ 1e-8 in every city", moves.size))
    return parts


def answers(records: Records, experiment: str, *case: str) -> list[str]:
    """What was answered to the claim of one case."""
    return [said["verdict"] for said in column(records, experiment, *case)]


def _reliable(records: Records) -> list[Part]:
    return reliability_parts(records, "reliability", kinds_of(records, "reliability"))


def with_yearly_rate(rows: Sequence[Row], days: float) -> list[Row]:
    """The rows, that of false alarms also per year of operation, where one search covers so many `days`."""
    return [replace(r, parts=(*r.parts, *_yearly(r.parts[0], days))) if r.key == ALARMS else r for r in rows]


def _yearly(part: Part, days: float) -> list[Part]:
    if part.estimate is None or part.interval is None:
        return []
    rate, low, high = (alarms_a_year(share, days) for share in (part.estimate, *part.interval))
    return [Part("per year of operation", NO_TARGET, rate, (low, high), n=part.n)]


_RULES: Final = (
    Rule("right_model", "Right model: 95 % intervals that cover the truth", "right model", _right),
    Rule("wrong_model", "Wrong model: the ensemble's intervals that cover the truth", "wrong model", _wrong),
    Rule("false_claims", "Claims beyond the truth that are supported", "margins", _false),
    Rule("true_claims", "True claims that are contradicted", "power", _true),
    Rule("power", "True changes in units of the detectable change", "power", _power),
    Rule("daily_looks", "False claims supported by daily looks", "looks", _looks),
    Rule("moved_prior", "Move of the estimate with the prior [σ]", "prior", _prior),
    Rule(ALARMS, "False alarms of the search for sources", "sources", _alarms),
    Rule("sources", "Sources in units of the detectable strength", "sources", _sources),
    Rule("reliability", "Stated probabilities: largest departure ÷ band", "reliability", _reliable),
)
