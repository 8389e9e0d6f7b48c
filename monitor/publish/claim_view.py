"""Claims as the page shows them: badge, sentence, picture, and everything behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from monitor.publish.answers import answer
from monitor.publish.badges import badge_of
from monitor.publish.epochs_picture import epochs_picture
from monitor.publish.interval_picture import interval_picture
from monitor.publish.marks import in_cell, in_full, other
from monitor.publish.numbers import (
    as_number,
    chance_bound,
    estimate_of,
    show_claimed,
    show_level,
    show_plain,
)
from monitor.publish.periods import name_of
from monitor.publish.wording import (
    REASONS,
    claimed_text,
    gas_name,
    is_at_least,
    is_signed,
    items_of,
    mapping_of,
    show_limit,
    signed_margin,
    text_of,
    tidy,
    tolerance_of,
    verdict_estimate,
    why,
)

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput

Rows = list[tuple[str, str]]

#: Items of the gate in the order of their weight, each with its sign.
_STATUS = {"mismatch": "≠", "declared": "±", "equal": "="}


def claim_views(report: ReportInput, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One card a claim, in the order of the claims file."""
    names = {region.id: region.name or region.id for region in report.regions}
    return [
        _claim_view(number, claim_id, verdict, names)
        for number, (claim_id, verdict) in enumerate(content["verdicts"].items(), 1)
    ]


def _claim_view(
    number: int, claim_id: str, verdict: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    estimate = verdict_estimate(verdict)
    return {
        "anchor": f"claim-{number}",
        "id": claim_id,
        "badge": badge_of(text_of(verdict.get("verdict"))),
        "statement": tidy(text_of(verdict.get("statement")) or claim_id),
        "claimed_by": text_of(verdict.get("claimed_by")),
        "where": text_of(verdict.get("where")),
        "answer": answer(verdict, names),
        "why": why(verdict),
        "look": look_text(verdict),
        "pictures": [p for p in (interval_picture(verdict), epochs_picture(verdict)) if p],
        "claim_rows": _claim_rows(claim_id, verdict, names),
        "result_rows": _result_rows(verdict),
        "spread_rows": _spread_rows(verdict),
        "comparability": _comparability(verdict),
        "adjustments": [text_of(item) for item in items_of(verdict.get("adjustments"))],
        "level": show_level(estimate.level) if estimate else "",
        "ensemble": _ensemble_rows(verdict),
        "flips": tidy(text_of(verdict.get("flips_text"))),
        "responses": _responses(verdict),
        "correlations": _numbers(verdict, "correlations"),
        "reasons": [
            (text_of(code), REASONS.get(text_of(code), "")) for code in items_of(verdict.get("reasons"))
        ],
        "inputs": [text_of(item) for item in items_of(verdict.get("inputs"))],
    }


_UNDECLARED = "on no declared date: the level holds for whoever looks once"
_RULES = {
    "obrien-fleming": "the rule of O’Brien and Fleming",
    "pocock": "the rule of Pocock",
    "bonferroni": "equal parts",
}


def look_text(verdict: Mapping[str, Any]) -> str:
    """What the day of the evaluation means: one of several looks, or a preview between them; else empty."""
    evaluation = mapping_of(verdict.get("evaluation"))
    looks, number = as_number(evaluation.get("looks")), as_number(evaluation.get("look"))
    following = text_of(evaluation.get("next"))
    tail = f" The next one is on {following}." if following else " None follows."
    late = [text_of(day) for day in items_of(evaluation.get("late"))]
    tail += (
        f" Declared after the claim had been looked at, and no dates of it: {', '.join(late)}."
        if late
        else ""
    )
    if evaluation.get("status") == "preview":
        return f"Between two declared dates: the numbers are shown, and nothing is answered yet.{tail}"
    if evaluation.get("status") == "revision":
        first = mapping_of(evaluation.get("first"))
        return (
            f"A revision: this look was taken before, from other data, and answered"
            f" {text_of(first.get('verdict'))}. The numbers are those of the revised data; they may take that"
            f" answer back, and give no other.{tail}"
        )
    if looks is None or number is None or looks < 2:
        return tail.strip() if late else ""
    rule = _RULES.get(text_of(evaluation.get("rule")), text_of(evaluation.get("rule")))
    return (
        f"Look {number:.0f} of {looks:.0f} that were declared beforehand; by {rule} all together err in at"
        f" most 5 of 100 cases, so this interval is wider than that of a single look.{tail}"
    )


def _claim_rows(claim_id: str, verdict: Mapping[str, Any], names: Mapping[str, str]) -> Rows:
    claimed = mapping_of(verdict.get("claimed"))
    region, whole = text_of(verdict.get("region")), text_of(verdict.get("of_region"))
    rows = [
        ("Identifier", claim_id),
        ("Kind", text_of(verdict.get("kind"))),
        ("Gas", gas_name(verdict.get("species"))),
        ("Region", names.get(region, region)),
        ("Sectors", _listed(verdict.get("sectors"))),
        (
            "A share of",
            ", ".join(filter(None, [names.get(whole, whole), _listed(verdict.get("of_sectors"))])),
        ),
        ("Periods", "; ".join(map(name_of, items_of(verdict.get("periods"))))),
        ("Claimed value", other("claimed", claimed_text(verdict, claimed.get("value")))),
        ("Read as", text_of(claimed.get("reading")).replace("_", " ")),
    ]
    if as_number(claimed.get("value")) is not None and verdict.get("kind") != "source":
        if is_at_least(verdict):
            margin = claimed_text(verdict, signed_margin(verdict))
            rows.append(("Margin the interval must pass", other("claimed", margin)))
        else:
            tolerance = show_claimed(tolerance_of(verdict), "1")
            rows.append(("Tolerance", other("claimed", f"± {tolerance}")))
    evaluation = mapping_of(verdict.get("evaluation"))
    rows += [
        (
            "Judged",
            _UNDECLARED if evaluation.get("status") == "undeclared" else text_of(evaluation.get("as_of")),
        ),
        ("Claimed by", text_of(verdict.get("claimed_by"))),
        ("Written in", text_of(verdict.get("where"))),
    ]
    return [(name, value) for name, value in rows if _says(value)]


def _says(value: str) -> bool:
    return bool(value.striptags() if isinstance(value, Markup) else value)


def _listed(value: object) -> str:
    sectors = [text_of(item) for item in items_of(value)]
    return "all" if sectors == ["*"] else ", ".join(sectors)


def _result_rows(verdict: Mapping[str, Any]) -> Rows:
    estimate = verdict_estimate(verdict)
    rows: Rows = []
    if estimate:
        rows.append(("Estimate", in_full(estimate)))
        degrees = as_number(verdict.get("degrees_of_freedom"))
        if degrees is not None:
            rows.append(("Degrees of freedom (Student’s t)", show_plain(degrees)))
        confirmed = verdict.get("sign_confirmed")
        if confirmed is not None:
            rows.append(
                (f"Zero outside the {show_level(estimate.level)} interval", "yes" if confirmed else "no")
            )
        seen = f"in 80 of 100 cases, at the {show_level(estimate.level)} level"
        for key, name in (
            ("detectable", f"Smallest seen {seen}"),
            ("detectable_before", "The same, expected before the data"),
        ):
            number = as_number(verdict.get(key))
            if number is not None:
                rows.append((name, other("limit", show_limit(number, estimate.unit))))
    years = as_number(verdict.get("years_to_detect"))
    if years is not None:
        rows.append(("Years of data until the claimed size would be seen", show_plain(years, 2)))
    equal = "Probability that the claim holds, tolerance included"
    for key, name in (
        ("probability", "Probability of at least the claim" if is_at_least(verdict) else equal),
        ("bayes_factor", "Bayes factor against no change"),
        ("share_from_data", "Share from the air (0 to 1)"),
        ("response", "Least response (1: all of a true change is seen)"),
        ("false_alarm", "Chance of a false alarm, whole search"),
        (
            "least_favourable_correlation",
            "Least favourable correlation of the transport error between periods",
        ),
    ):
        number = as_number(verdict.get(key))
        if number is not None:
            less = chance_bound(number, verdict.get("draws")) if key == "false_alarm" else ""
            rows.append((name, less + show_plain(number)))
    rule = text_of(verdict.get("uncertainty_rule"))
    return [*rows, ("How uncertainties were added", other("assumed", tidy(rule)))] if rule else rows


def _spread_rows(verdict: Mapping[str, Any]) -> Rows:
    """Where the uncertainty comes from, each part as 1σ."""
    parts = {
        "all together": verdict.get("sigma"),
        "within one choice of method": verdict.get("sigma_within"),
        "between choices": verdict.get("sigma_between"),
        **{f"of these, {name}": value for name, value in mapping_of(verdict.get("sigma_by_choice")).items()},
    }
    if verdict_estimate(verdict) is None:
        return []
    unit = text_of(verdict.get("unit"))
    return [
        (name, other("spread", show_claimed(value, unit)))
        for name, value in parts.items()
        if as_number(value) is not None
    ]


def _comparability(verdict: Mapping[str, Any]) -> list[dict[str, str]]:
    """Items of the gate: mismatches first, then what was declared, then what is equal."""
    rows = []
    for item in map(mapping_of, items_of(verdict.get("comparability"))):
        status, spread = text_of(item.get("status")), as_number(item.get("relative_sd"))
        added = f"; adds {show_claimed(spread, '1')} (1σ)" if spread else ""
        rows.append(
            {
                "item": text_of(item.get("item")),
                "status": status,
                "sign": _STATUS.get(status, ""),
                "detail": tidy(text_of(item.get("detail"))) + added,
            }
        )
    order = list(_STATUS)
    return sorted(rows, key=lambda row: order.index(row["status"]) if row["status"] in order else len(order))


def _numbers(verdict: Mapping[str, Any], key: str) -> Rows:
    return [
        (text_of(name), show_plain(number))
        for name, value in mapping_of(verdict.get(key)).items()
        if (number := as_number(value)) is not None
    ]


def _responses(verdict: Mapping[str, Any]) -> Rows:
    """Per layout what would show along the map of least, and of most where that is another number."""
    most = dict(_numbers(verdict, "responses_most"))
    return [
        (name, least if most.get(name, least) == least else f"{least} to {most[name]}")
        for name, least in _numbers(verdict, "responses")
    ]


def _ensemble_rows(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for item in map(mapping_of, items_of(verdict.get("ensemble"))):
        estimate = estimate_of(
            item.get("estimate"),
            item.get("interval"),
            verdict.get("level"),
            verdict.get("unit"),
            signed=is_signed(verdict),
        )
        word = text_of(item.get("verdict"))
        rows.append(
            {
                "member": text_of(item.get("member")),
                "choice": text_of(item.get("choice")),
                "estimate": in_cell(estimate),
                "verdict": word or "–",
                "flips": bool(word) and word != verdict.get("verdict"),
            }
        )
    return rows
