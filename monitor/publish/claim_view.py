"""Claims as the page shows them: badge, sentence, picture, and everything behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from monitor.publish.content import station_of
from monitor.publish.interval_picture import interval_picture
from monitor.publish.numbers import (
    Z95,
    as_interval,
    as_number,
    scale_of,
    show_claimed,
    show_estimate,
    show_level,
    show_plain,
)
from monitor.publish.table_view import SEARCHED, no_source, source_sentence
from monitor.publish.wording import (
    REASONS,
    answer,
    gas_name,
    is_at_least,
    items_of,
    mapping_of,
    plain_amount,
    signed_margin,
    text_of,
    tidy,
    tolerance_of,
    why,
)

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput

Rows = list[tuple[str, str]]

#: Word → (symbol, style class): shape and word carry the meaning, the Okabe-Ito colour only helps.
BADGES = {
    "supported": ("✓", "supported"),
    "contradicted": ("✗", "contradicted"),
    "undecided": ("?", "undecided"),
    "not comparable": ("≠", "not-comparable"),
}


def badge(word: str) -> dict[str, str]:
    """Symbol, word and style class of a verdict."""
    symbol, style = BADGES.get(word, ("?", "not-comparable"))
    return {"word": word or "no verdict", "symbol": symbol, "style": style}


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
    region = text_of(verdict.get("region"))
    return {
        "anchor": f"claim-{number}",
        "id": claim_id,
        "badge": badge(text_of(verdict.get("verdict"))),
        "statement": tidy(text_of(verdict.get("statement")) or claim_id),
        "claimed_by": text_of(verdict.get("claimed_by")),
        "where": text_of(verdict.get("where")),
        "answer": answer(verdict, names.get(region, region)),
        "why": tidy(why(verdict)),
        "picture": interval_picture(verdict),
        "claim_rows": _claim_rows(claim_id, verdict, names.get(region, region)),
        "result_rows": _result_rows(verdict),
        "comparability": [
            {key: text_of(mapping_of(row).get(key)) for key in ("item", "status", "detail")}
            for row in items_of(verdict.get("comparability"))
        ],
        "adjustments": [text_of(item) for item in items_of(verdict.get("adjustments"))],
        "ensemble": _ensemble_rows(verdict),
        "responses": [
            (text_of(name), show_plain(response))
            for name, value in mapping_of(verdict.get("responses")).items()
            if (response := as_number(value)) is not None
        ],
        "reasons": [
            (text_of(code), REASONS.get(text_of(code), "")) for code in items_of(verdict.get("reasons"))
        ],
        "inputs": [text_of(item) for item in items_of(verdict.get("inputs"))],
    }


def _claim_rows(claim_id: str, verdict: Mapping[str, Any], region: str) -> Rows:
    claimed = mapping_of(verdict.get("claimed"))
    unit = text_of(claimed.get("unit")) or text_of(verdict.get("unit"))
    rows = [
        ("Identifier", claim_id),
        ("Kind", text_of(verdict.get("kind"))),
        ("Gas", gas_name(verdict.get("species"))),
        ("Region", region),
        ("Claimed value", show_claimed(claimed.get("value"), unit)),
        ("Read as", text_of(claimed.get("reading")).replace("_", " ")),
        ("Claimed by", text_of(verdict.get("claimed_by"))),
        ("Written in", text_of(verdict.get("where"))),
    ]
    if as_number(claimed.get("value")) is not None and verdict.get("kind") != "source":
        if is_at_least(verdict):
            rows.insert(6, ("Margin the interval must pass", show_claimed(signed_margin(verdict), unit)))
        else:
            rows.insert(6, ("Tolerance", f"± {show_claimed(tolerance_of(verdict), '1').lstrip('+')}"))
    return [(name, value) for name, value in rows if value]


def _result_rows(verdict: Mapping[str, Any]) -> Rows:
    unit = text_of(verdict.get("unit"))
    shown = show_estimate(verdict.get("estimate"), verdict.get("interval"), unit, verdict.get("level"))
    rows = []
    if shown:
        rows.append(("Estimate", f"{shown.text}"))
        rows.append(("Standard deviation (1σ)", show_claimed(verdict.get("sigma"), unit).lstrip("+")))
        confirmed = verdict.get("sign_confirmed")
        if confirmed is not None:
            rows.append(
                (
                    f"Zero outside the {show_level(verdict.get('level'))} interval",
                    "yes" if confirmed else "no",
                )
            )
    scale = scale_of(unit)
    detectable = as_number(verdict.get("detectable"))
    if detectable is not None:
        text = scale.with_unit(show_plain(abs(detectable) * scale.factor))
        rows.append(("Smallest detectable (80\u00a0% power, 95\u00a0% two-sided)", text))
    for key, name in (
        ("probability", "Probability of at least the claim"),
        ("bayes_factor", "Bayes factor against no change"),
        ("share_from_data", "Share from the air (0 to 1)"),
        ("response", "Response (1 = all of a true change is seen)"),
        ("false_alarm", "Chance of a false alarm"),
    ):
        number = as_number(verdict.get(key))
        if number is not None:
            rows.append((name, show_plain(number)))
    rows.append(("How uncertainties were added", text_of(verdict.get("uncertainty_rule"))))
    return [(name, value) for name, value in rows if value]


def _ensemble_rows(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for item in map(mapping_of, items_of(verdict.get("ensemble"))):
        estimate, sigma = as_number(item.get("estimate")), as_number(item.get("sigma"))
        ends = as_interval(item.get("interval"))
        if ends is None and estimate is not None and sigma is not None:
            ends = (estimate - Z95 * sigma, estimate + Z95 * sigma)
        shown = show_estimate(estimate, ends, text_of(verdict.get("unit")))
        word = text_of(item.get("verdict"))
        rows.append(
            {
                "member": text_of(item.get("member")),
                "estimate": f"{shown.value}\u00a0{shown.unit}" if shown else "–",
                "interval": f"{shown.interval}" if shown else "–",
                "verdict": word or "–",
                "flips": bool(word) and word != verdict.get("verdict"),
            }
        )
    return rows


def minute_lines(report: ReportInput, content: Mapping[str, Any]) -> list[str]:
    """The page in a few sentences: verdicts counted, sources, what it stands on, how far to trust it."""
    lines = [_verdict_count(content["verdicts"])] if content["verdicts"] else []
    levels = {
        row.get("species")
        for row in content["verdicts"].values()
        if row.get("kind") == "level" and as_number(row.get("estimate")) is not None
    }
    lines += [
        _headline(report, rows)
        for rows in _rows_by_gas(content["totals"])
        if rows and rows[0]["species"] not in levels  # a tested level says more than a posterior
    ]
    lines.append(_sources_line(content["sources"], content["figures"]))
    lines.append(_stands_on(report, content))
    trust = _trust(content)
    if trust:
        lines.append(trust)
    warned = len(content["warnings"])
    if warned:
        lines.append(f"There {'is one warning' if warned == 1 else f'are {_few(warned)} warnings'} below.")
    return [line for line in lines if line]


def _rows_by_gas(totals: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    gases = dict.fromkeys(row["species"] for row in totals)
    return [[row for row in totals if row["species"] == gas and row["estimate"] is not None] for gas in gases]


def _headline(report: ReportInput, rows: list[Mapping[str, Any]]) -> str:
    """The largest total of the last epoch, in words."""
    last = [row for row in rows if row["epoch"] == rows[-1]["epoch"]]
    row = max(last, key=lambda row: abs(row["estimate"]))
    names = {region.id: region.name or region.id for region in report.regions}
    which = ", ".join(text for text in (row["block"], row["epoch"]) if text)
    amount = plain_amount(row["estimate"], tuple(row["interval"]), row["unit"], row["level"])
    place = names.get(row["region"], row["region"])
    gas = gas_name(row["species"])
    return (
        f"Starting from the first guess, the air leads to emissions of {gas} from {place}"
        f"{f' ({which})' if which else ''} of {amount}."
    )


_ALL = {
    "supported": "the air supports {}",
    "contradicted": "the air contradicts {}",
    "undecided": "the air cannot decide {}",
    "not comparable": "{} cannot be compared with the air",
}
_SOME = {
    "supported": "supports {}",
    "contradicted": "contradicts {}",
    "undecided": "cannot decide {}",
}


def _verdict_count(verdicts: Mapping[str, Any]) -> str:
    counts = Counter(text_of(verdict.get("verdict")) for verdict in verdicts.values())
    total = len(verdicts)
    tested = "One claim was tested" if total == 1 else f"{_few(total).capitalize()} claims were tested"
    if len(counts) == 1:
        word = next(iter(counts))
        which = "it" if total == 1 else "none" if word == "undecided" else "all of them"
        said = "the air can decide none of them" if which == "none" else _ALL.get(word, "{}").format(which)
        return f"{tested}: {said}."
    said = ", ".join(_SOME[word].format(_few(counts[word])) for word in _SOME if counts[word])
    apart = counts["not comparable"]
    tail = f"; {_few(apart)} cannot be compared with it" if apart else ""
    return f"{tested}: the air {said}{tail}."


def _few(count: int) -> str:
    words = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)


def _sources_line(sources: list[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    if not sources:
        return no_source(figures) if figures.get(SEARCHED) else ""
    if len(sources) == 1:
        return f"The search for sources outside the inventory found one: {source_sentence(sources[0])}."
    strongest = max(sources, key=lambda row: as_number(row.get("strength")) or 0.0)
    return (
        f"The search for sources outside the inventory found {_few(len(sources))}; the strongest is"
        f" {source_sentence(strongest)}."
    )


def _stands_on(report: ReportInput, content: Mapping[str, Any]) -> str:
    stated = as_number(content["figures"].get("n_observations"))
    used = (
        sum(ds.sizes.get("observation", 0) for ds in report.posteriors.values()) if stated is None else stated
    )
    places = station_of(report.stations)
    inlets = {str(name) for ds in report.posteriors.values() for name in set(ds["station"].values.tolist())}
    stations = {places[name].id if name in places else name for name in inlets}
    gases = " and ".join(gas_name(name) for name in report.posteriors)
    at = f"{_few(len(stations))} station{'s' if len(stations) != 1 else ''}"
    return f"It stands on {show_plain(used, 9)} measurements of {gases} at {at}." if gases else ""


def _trust(content: Mapping[str, Any]) -> str:
    coverages = [
        (name, number)
        for name, attributes in content["diagnostics"].items()
        if (number := as_number(attributes.get("loo_coverage"))) is not None
    ]
    if not coverages:
        return ""
    said = " and ".join(
        f"{show_plain(100 * number, 3)}\u00a0%" + (f" ({gas_name(name)})" if len(coverages) > 1 else "")
        for name, number in coverages
    )
    return (
        f"A check of its honesty: when days were hidden and predicted from the others, {said} of the hidden"
        " measurements fell inside their 95\u00a0% interval; 95\u00a0% would be perfect."
    )
