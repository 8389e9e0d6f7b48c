"""From the records of all cities to the rows of the proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    absent,
    bootstrap_ratio,
    column,
    counted,
    covered,
    measured,
)
from monitor.compare.sources import alarms_a_year
from monitor.compare.verdict import CONTRADICTED, SUPPORTED

#: A perfect system covers this many of 400.
COVERED: Final = (368, 390)
_WIDEST, _STILL = 2.5, 1e-8
ALARMS: Final = "false_alarms"


@dataclass(frozen=True)
class _Rule:
    """How a row is made: from which experiment, and its parts."""

    key: str
    title: str
    experiment: str
    parts: Callable[[Records], list[Part]]


def proof(records: Records, refused: Mapping[str, str]) -> list[Row]:
    """All rows; what a network cannot be put to is null with the reason (`refused`, by experiment)."""
    return _rows(_RULES, records, refused)


def also(records: Records, refused: Mapping[str, str]) -> list[Row]:
    """Figures beside the proof, of worlds and rules that its targets are not stated for."""
    rows = _rows(_BESIDE, records, refused)
    return [
        replace(r, parts=tuple(replace(p, target=NO_TARGET, met=None, bounds=None) for p in r.parts))
        for r in rows
    ]


def _rows(rules: Sequence[_Rule], records: Records, refused: Mapping[str, str]) -> list[Row]:
    return [_row(rule, records, refused) for rule in rules]


def _row(rule: _Rule, records: Records, refused: Mapping[str, str]) -> Row:
    mine = [record for record in records if rule.experiment in record]
    if mine and rule.experiment not in refused:
        return Row(rule.key, rule.title, tuple(rule.parts(mine)))
    reason = refused.get(rule.experiment, "not among these records")
    return Row(rule.key, rule.title, (absent(NO_TARGET, NO_TARGET, reason),))


def _right(records: Records) -> list[Part]:
    return _covering(records, "right model")


def _covering(records: Records, model: str) -> list[Part]:
    return [counted(kind, _hits(records, model, kind), *COVERED) for kind in kinds_of(records)]


def _wrong(records: Records) -> list[Part]:
    parts = [counted(kind, _hits(records, "wrong model", kind), 350) for kind in kinds_of(records)]
    for kind in kinds_of(records):
        wide, narrow = (_widths(records, model, kind) for model in ("wrong model", "right model"))
        ratio = float(np.median(wide) / np.median(narrow))
        interval = bootstrap_ratio(wide, narrow)
        parts.append(
            measured(f"{kind}, median width ÷ right model's", ratio, interval, _WIDEST, "≤ 2.5", len(records))
        )
    return parts


def _hits(records: Records, model: str, kind: str) -> list[bool]:
    return [covered(said) for said in column(records, model, kind)]


def kinds_of(records: Records, experiment: str = "right model") -> list[str]:
    """The kinds of claims that the network's epochs allowed."""
    return [kind for kind in KINDS if kind in records[0][experiment]]


def _widths(records: Records, model: str, kind: str) -> np.ndarray:
    return np.array([said["high"] - said["low"] for said in column(records, model, kind)])


def _false(records: Records) -> list[Part]:
    at, half, none = (_answers(records, "margins", share) for share in ("1", "0.5", "0"))
    supported = [answer == SUPPORTED for answer in at]
    most = round(CITIES * sum(supported) / len(at))
    return [
        counted("truth exactly the margin", supported, 0, 18),
        counted("truth half the margin", [a == SUPPORTED for a in half], 0, most),
        counted("truth zero", [a == SUPPORTED for a in none], 0, most),
    ]


def _true(records: Records) -> list[Part]:
    contradicted = {m: [a == CONTRADICTED for a in _answers(records, "power", m)] for m in ("1", "2", "3")}
    return [counted(f"{m} × detectable", hits, 0, 18) for m, hits in contradicted.items()]


def _power(records: Records) -> list[Part]:
    excluded = [said["low"] > 0 or said["high"] < 0 for said in column(records, "power", "1")]
    twice, thrice = ([a == SUPPORTED for a in _answers(records, "power", m)] for m in ("2", "3"))
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


def _wrong_claims(records: Records) -> list[Part]:
    false, true = (_answers(records, "wrong model, claims", case) for case in ("margin", "claim"))
    return [
        counted("supported, truth exactly the margin", [a == SUPPORTED for a in false], 0, 18),
        counted("contradicted, truth as claimed (2 × detectable)", [a == CONTRADICTED for a in true], 0, 18),
        counted("supported, truth as claimed", [a == SUPPORTED for a in true], 0),
    ]


def _answers(records: Records, experiment: str, case: str) -> list[str]:
    return [said["verdict"] for said in column(records, experiment, case)]


def _reliable(records: Records) -> list[Part]:
    return reliability_parts(records, "reliability", kinds_of(records, "reliability"))


def _uneven(records: Records) -> list[Part]:
    return [counted("interval covers", [covered(said) for said in column(records, "uneven years")], 368)]


def with_yearly_rate(rows: Sequence[Row], days: float) -> list[Row]:
    """The rows, that of false alarms also per year of operation, where one search covers so many `days`."""
    return [replace(r, parts=(*r.parts, *_yearly(r.parts[0], days))) if r.key == ALARMS else r for r in rows]


def _yearly(part: Part, days: float) -> list[Part]:
    if part.estimate is None or part.interval is None:
        return []
    rate, low, high = (alarms_a_year(share, days) for share in (part.estimate, *part.interval))
    return [Part("per year of operation", NO_TARGET, rate, (low, high), n=part.n)]


def _checked(records: Records) -> list[Part]:
    """What is found but could be something else is shown as such."""
    return [counted(f"alarm at {m} ×", column(records, "sources", m, "alarm"), 0) for m in ("1", "2", "3")]


_RULES: Final = (
    _Rule("right_model", "Right model: 95 % intervals that cover the truth", "right model", _right),
    _Rule("wrong_model", "Wrong model: the ensemble's intervals that cover the truth", "wrong model", _wrong),
    _Rule("false_claims", "Claims beyond the truth that are supported", "margins", _false),
    _Rule("true_claims", "True claims that are contradicted", "power", _true),
    _Rule("power", "True changes in units of the detectable change", "power", _power),
    _Rule("daily_looks", "False claims supported by daily looks", "looks", _looks),
    _Rule("moved_prior", "Move of the estimate with the prior [σ]", "prior", _prior),
    _Rule(ALARMS, "False alarms of the search for sources", "sources", _alarms),
    _Rule("sources", "Sources in units of the detectable strength", "sources", _sources),
    _Rule("reliability", "Stated probabilities: largest departure ÷ band", "reliability", _reliable),
)
_BESIDE: Final = (
    _Rule(
        "plain_looks",
        "False claims supported by daily looks at 95 % each, without a rule",
        "looks",
        lambda records: [counted("supported at some look", column(records, "looks", "plain"), 0, 18)],
    ),
    _Rule("uneven_years", "Underlying trend of years that scatter by 5 %", "uneven years", _uneven),
    _Rule("checked_sources", "Sources that pass every cross-check as well", "sources", _checked),
    _Rule(
        "wrong_claims",
        "Claims of change under the wrong model, by the ensemble",
        "wrong model, claims",
        _wrong_claims,
    ),
    _Rule(
        "right_model_fitted",
        "Right model, its scales found from the data: intervals that cover the truth",
        "right model, fitted",
        lambda records: _covering(records, "right model, fitted"),
    ),
    _Rule(
        "reliability_fitted",
        "Stated probabilities, scales found from the data: largest departure ÷ band",
        "right model, fitted",
        lambda records: reliability_parts(records, "right model, fitted", kinds_of(records)),
    ),
    _Rule(
        "reliability_wrong",
        "Stated probabilities under the wrong model: largest departure ÷ band",
        "wrong model",
        lambda records: reliability_parts(records, "wrong model", kinds_of(records)),
    ),
)
