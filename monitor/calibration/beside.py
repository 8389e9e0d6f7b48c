"""Figures beside the proof: worlds and rules that its targets are not stated for.

Of some it is known what an honest system shows; they say so, and whether it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from monitor.calibration.network import KINDS
from monitor.calibration.proof import COVERED, WRONG_COVERED, answers, covering, kinds_of, widths
from monitor.calibration.reliability import reliability_parts
from monitor.calibration.rows import (
    NO_TARGET,
    Part,
    Records,
    Row,
    Rule,
    bootstrap_median,
    bootstrap_ratio,
    column,
    counted,
    covered,
    measured,
    rows_of,
    told,
)
from monitor.compare.verdict import CONTRADICTED, SUPPORTED

#: A verdict of 95 % is wrong in so many of 400 at most, by chance as well (as the proof has it).
WRONG: Final = 18
_ERRED: Final = (0, WRONG)
#: Four of five, with the error of 400 cities.
_POWER: Final = (300, 340)
_LARGEST_MOVE: Final = 1.0


def also(records: Records, refused: Mapping[str, str]) -> list[Row]:
    """The rows; what an honest system shows stands in place of a target."""
    plain = [_without_target(row) for row in rows_of(_PLAIN, records, refused)]
    return [*rows_of(_HONEST, records, refused), *plain]


def _without_target(row: Row) -> Row:
    parts = (replace(p, target=NO_TARGET, met=None, bounds=None) for p in row.parts)
    return replace(row, parts=tuple(parts))


def _said(records: Records, what: str, experiment: str, *case: str) -> list[bool]:
    return [answer == what for answer in answers(records, experiment, *case)]


def _held(records: Records, *path: str) -> list[bool]:
    return [covered(said) for said in column(records, *path)]


def _shares(records: Records) -> list[Part]:
    name = "share claims"
    return [
        counted("interval covers", _held(records, name, "drawn"), *COVERED),
        counted("supported, truth exactly the margin", _said(records, SUPPORTED, name, "margin"), *_ERRED),
        counted(
            "contradicted, truth exactly the margin", _said(records, CONTRADICTED, name, "margin"), *_ERRED
        ),
        counted("contradicted, truth as claimed", _said(records, CONTRADICTED, name, "claim"), *_ERRED),
        counted("supported, truth as claimed", _said(records, SUPPORTED, name, "claim"), *_POWER),
    ]


def _strengths(name: str) -> Callable[[Records], list[Part]]:
    def parts(records: Records) -> list[Part]:
        claimed = column(records, name, "claim")
        return [
            counted("interval of the strength covers", [_holds(said) for said in claimed], *COVERED),
            counted("supported, no source there", _said(records, SUPPORTED, name, "none"), *_ERRED),
            counted(
                "contradicted, as strong as claimed", _said(records, CONTRADICTED, name, "claim"), *_ERRED
            ),
            told("supported, as strong as claimed", _said(records, SUPPORTED, name, "claim")),
            told("supported, half as strong as claimed", _said(records, SUPPORTED, name, "half")),
            told("contradicted, half as strong as claimed", _said(records, CONTRADICTED, name, "half")),
        ]

    return parts


def _holds(said: Mapping[str, float | None]) -> bool:
    """Whether the interval of a strength holds the true one; an end that is null is far away."""
    low, high, truth = said["low"], said["high"], said["truth"]
    assert truth is not None
    return (low is None or low <= truth) and (high is None or truth <= high)


def _mixing(declared: str) -> Callable[[Records], list[Part]]:
    name = "mixing in full"

    def parts(records: Records) -> list[Part]:
        asked = records[0][name][declared]
        kinds = [kind for kind in KINDS if kind in asked]
        found = [
            counted(kind, _held(records, name, declared, kind, "drawn"), WRONG_COVERED) for kind in asked
        ]
        found += [_wider(records, kind, (name, declared, kind, "drawn")) for kind in kinds]
        for kind in asked:
            margin, claim = ((name, declared, kind, case) for case in ("margin", "claim"))
            found += [
                counted(
                    f"{kind} supported, truth exactly the margin", _said(records, SUPPORTED, *margin), *_ERRED
                ),
                counted(
                    f"{kind} contradicted, truth as claimed", _said(records, CONTRADICTED, *claim), *_ERRED
                ),
            ]
        return found

    return parts


def _wider(records: Records, kind: str, path: tuple[str, ...]) -> Part:
    """How much wider an interval is than that of the right model in the same cities."""
    wide, narrow = widths(records, *path), widths(records, "right model", kind)
    ratio = float(np.median(wide) / np.median(narrow))
    name = f"{kind}, median width ÷ right model's"
    return Part(name, NO_TARGET, ratio, bootstrap_ratio(wide, narrow), n=len(records))


def _refitted(records: Records) -> list[Part]:
    name = "prior, refitted"
    found = [
        counted(f"as stated, {kind}: interval covers", _held(records, name, "as stated", kind), *COVERED)
        for kind in kinds_of(records, name, "as stated")
    ]
    for case in ("doubled", "holds the claim"):
        for kind in kinds_of(records, name, "as stated"):
            before, after = (column(records, name, c, kind) for c in ("as stated", case))
            pairs = list(zip(before, after, strict=True))
            moves = np.array([abs(b["estimate"] - a["estimate"]) / b["sigma"] for b, a in pairs])
            span, about = (float(moves.min()), float(moves.max())), f"{case}, {kind}"
            turned = [{b["verdict"], a["verdict"]} == {SUPPORTED, CONTRADICTED} for b, a in pairs]
            found += [
                _median(f"{about}: median move [σ]", moves),
                measured(
                    f"{about}: largest move [σ]",
                    span[1],
                    span,
                    _LARGEST_MOVE,
                    "≤ 1 in every city",
                    moves.size,
                ),
                counted(f"{about}: interval covers", [covered(a) for a in after], *COVERED),
                told(f"{about}: a yes that became a no, or a no a yes", turned),
            ]
    return found


def _median(name: str, values: np.ndarray) -> Part:
    return Part(name, NO_TARGET, float(np.median(values)), bootstrap_median(values), n=values.size)


def _wrong_claims(records: Records) -> list[Part]:
    name = "wrong model, claims"
    return [
        counted("supported, truth exactly the margin", _said(records, SUPPORTED, name, "margin"), *_ERRED),
        counted(
            "contradicted, truth as claimed (2 × detectable)",
            _said(records, CONTRADICTED, name, "claim"),
            *_ERRED,
        ),
        told("supported, truth as claimed", _said(records, SUPPORTED, name, "claim")),
    ]


def _uneven(records: Records) -> list[Part]:
    return [counted("interval covers", _held(records, "uneven years"), COVERED[0])]


def _checked(records: Records) -> list[Part]:
    """What is found but could be something else is shown as such."""
    return [told(f"alarm at {m} ×", column(records, "sources", m, "alarm")) for m in ("1", "2", "3")]


def _dates(records: Records) -> list[Part]:
    """Half a bin is added to either end, so that more than 95 of 100 are no fault."""
    return [
        counted(f"{end} at {m} ×", [bool(said.get(end)) for said in found], COVERED[0])
        for m, found in ((m, column(records, "sources", m)) for m in ("2", "3"))
        for end in ("began", "ended")
    ]


_HONEST: Final = (
    Rule("share_claims", "Claims of a district's share", "share claims", _shares),
    Rule(
        "source_strength",
        "Claims of a source of 2 × the detectable strength, its week named",
        "source strength",
        _strengths("source strength"),
    ),
    Rule(
        "undated_source_strength",
        "The same claims without dates",
        "undated source strength",
        _strengths("undated source strength"),
    ),
    Rule("source_dates", "Sources found: intervals that hold when they began and ended", "sources", _dates),
    Rule(
        "mixing_in_full",
        "Mixing height in full, transport errors declared as in the wrong model",
        "mixing in full",
        _mixing("own"),
    ),
    Rule(
        "mixing_in_full_declared",
        "Mixing height in full, transport errors declared as large as they are",
        "mixing in full",
        _mixing("true"),
    ),
    Rule(
        "mixing_in_full_undeclared",
        "Mixing height in full, no transport error declared",
        "mixing in full",
        _mixing("none"),
    ),
    Rule(
        "refitted_prior",
        "Move of the estimate with the prior, everything fitted anew",
        "prior, refitted",
        _refitted,
    ),
)
_PLAIN: Final = (
    Rule(
        "plain_looks",
        "False claims supported by daily looks at 95 % each, without a rule",
        "looks",
        lambda records: [counted("supported at some look", column(records, "looks", "plain"), 0, 18)],
    ),
    Rule("uneven_years", "Underlying trend of years that scatter by 5 %", "uneven years", _uneven),
    Rule("checked_sources", "Sources that pass every cross-check as well", "sources", _checked),
    Rule(
        "wrong_claims",
        "Claims of change under the wrong model, by the ensemble",
        "wrong model, claims",
        _wrong_claims,
    ),
    Rule(
        "right_model_fitted",
        "Right model, its scales found from the data: intervals that cover the truth",
        "right model, fitted",
        lambda records: covering(records, "right model, fitted"),
    ),
    Rule(
        "reliability_fitted",
        "Stated probabilities, scales found from the data: largest departure ÷ band",
        "right model, fitted",
        lambda records: reliability_parts(records, "right model, fitted", kinds_of(records)),
    ),
    Rule(
        "reliability_wrong",
        "Stated probabilities under the wrong model: largest departure ÷ band",
        "wrong model",
        lambda records: reliability_parts(records, "wrong model", kinds_of(records)),
    ),
)
