"""Sentences made from numbers: what a verdict says, and why, for a reader without statistics.

Every sentence that gives a number gives its interval and the level; every verdict says its reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from monitor.domain import SPECIES
from monitor.publish.numbers import (
    LEVEL,
    NO_BREAK,
    THIN,
    as_interval,
    as_number,
    decimals_for,
    scale_of,
    show,
    show_claimed,
    show_estimate,
    show_level,
    show_plain,
)

Verdict = Mapping[str, object]

VERDICTS = ("supported", "contradicted", "undecided", "not comparable")

#: What each reason code means, for verdicts that bring no text of their own.
REASONS = {
    "below-detectable-change": "the claimed change is smaller than this network can see",
    "prior-driven": "the answer would come from the first guess, not from the air",
    "unstable": "the answer hangs on one choice of method: other reasonable choices give another verdict",
    "too-little-data": "there are too few usable measurements",
    "poor-fit": "the model does not reproduce the measurements well enough to be trusted",
    "pattern-dependent": "the answer depends on where inside the region the emissions are assumed to be",
    "not-an-evaluation-date": "the claim is judged on its declared dates, and this is none of them",
    "not-comparable": "the claim and the measurement are not about the same thing",
}

_OPENING = {
    "supported": "The air supports this claim",
    "contradicted": "The air contradicts this claim",
    "undecided": "The air cannot decide this claim",
    "not comparable": "This claim cannot be held against the air",
}


def text_of(value: object) -> str:
    """`value` as text, empty where it is absent."""
    return "" if value is None else str(value)


def tidy(text: str) -> str:
    """`text` with its numbers kept in one line: no break before a per cent sign or between thousands."""
    kept = re.sub(r"(?<=\d) (?=\d{3}\b)", THIN, text)
    return re.sub(r"(?<=\d) (?=[%°])", NO_BREAK, kept)


def items_of(value: object) -> list[object]:
    """A list of the items of a sequence, empty where it is absent."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else []


def mapping_of(value: object) -> Mapping[str, object]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def gas_name(species: object) -> str:
    """The gas as pages write it; the given id where we do not know it."""
    known = SPECIES.get(text_of(species).lower())
    return known.name if known else text_of(species)


def is_at_least(verdict: Verdict) -> bool:
    """Whether a change or trend is claimed as "at least" (the default reading), not as "equal"."""
    reading = text_of(mapping_of(verdict.get("claimed")).get("reading")).replace("_", " ")
    return text_of(verdict.get("kind")) in {"change", "trend"} and reading != "equal"


def reasons_of(verdict: Verdict) -> list[str]:
    """Reasons in words: the verdict's own texts, else its codes explained, else what is not comparable."""
    texts = [text_of(item) for item in items_of(verdict.get("reason_texts")) if text_of(item)]
    if not texts:
        texts = [REASONS.get(text_of(code), text_of(code)) for code in items_of(verdict.get("reasons"))]
    if not texts and text_of(verdict.get("verdict")) == "not comparable":
        rows = [mapping_of(row) for row in items_of(verdict.get("comparability"))]
        texts = [
            f"{text_of(row.get('item'))}: {text_of(row.get('detail')) or 'differs'}"
            for row in rows
            if row.get("status") == "mismatch"
        ]
    return texts


def why(verdict: Verdict) -> str:
    """The rule that led to the verdict, or the reasons that kept one from being given."""
    word, kind = text_of(verdict.get("verdict")), text_of(verdict.get("kind"))
    reasons = " ".join(_sentence(reason.rstrip(". ")) for reason in reasons_of(verdict))
    if word in {"supported", "contradicted"}:
        rule = _source_rule(word) if kind == "source" else _number_rule(word, verdict)
        return f"{rule} {reasons}".strip()
    if word == "undecided" and not reasons:
        return "The interval neither confirms the claim nor rules it out."
    return reasons or "The reason was not recorded."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _source_rule(word: str) -> str:
    if word == "supported":
        return "Where there is no source, chance alone would show one in at most 5 of 100 such searches."
    return "Even the upper end of the interval lies below the claimed strength."


def _number_rule(word: str, verdict: Verdict) -> str:
    claimed = mapping_of(verdict.get("claimed"))
    unit = text_of(claimed.get("unit")) or text_of(verdict.get("unit"))
    value = show_claimed(claimed.get("value"), unit)
    level = show_level(verdict.get("level"))
    if is_at_least(verdict):
        if word == "contradicted":
            return (
                f"Even the end of the {level} interval that is nearest to the claim falls short of {value}."
            )
        margin = show_claimed(signed_margin(verdict), unit)
        beyond = f"beyond {margin}, the margin this claim must pass" if margin else "clear of no change"
        return f"The whole {level} interval lies {beyond}, and it does not rule {value} out."
    band = f"{value} ± {show_claimed(tolerance_of(verdict), '1').lstrip('+')}"
    if word == "contradicted":
        return f"The {level} interval and the claimed {band} do not touch."
    return f"The whole {level} interval lies inside the claimed {band}."


def signed_margin(verdict: Verdict) -> float | None:
    """The margin of an "at least" claim in the claimed direction; by default half the claimed value."""
    claimed = mapping_of(verdict.get("claimed"))
    value, margin = as_number(claimed.get("value")), as_number(claimed.get("margin"))
    if value is None:
        return None
    return value / 2 if margin is None else abs(margin) * (1 if value >= 0 else -1)


def tolerance_of(verdict: Verdict) -> float:
    """The tolerance of an "equal" claim as a fraction of its value; by default a quarter."""
    tolerance = as_number(mapping_of(verdict.get("claimed")).get("tolerance"))
    return 0.25 if tolerance is None else abs(tolerance)


def answer(verdict: Verdict, region_name: str = "") -> str:
    """One plain sentence: the verdict, the number behind it and its interval.

    A number is given only with its interval; where there is none the sentence says so.
    """
    word = text_of(verdict.get("verdict"))
    opening = _OPENING.get(word, f"Verdict: {word}")
    if word == "not comparable":
        return f"{opening}, because the two are not about the same thing."
    measured = _measured(verdict, region_name)
    if not measured:
        return f"{opening}: no number with an interval could be given."
    tail = ""
    detectable = as_number(verdict.get("detectable"))
    if word == "undecided" and detectable is not None:
        noun = "source" if verdict.get("kind") == "source" else "difference"
        if verdict.get("kind") in {"change", "trend"}:
            noun = "change"
        scale = scale_of(text_of(verdict.get("unit")))
        shown = scale.with_unit(show_plain(abs(detectable) * scale.factor), plain=True)
        tail = f"; the smallest {noun} this network would reliably have seen is {shown}"
    return f"{opening}: {measured}{tail}."


def _measured(verdict: Verdict, region_name: str) -> str:
    value, ends = as_number(verdict.get("estimate")), as_interval(verdict.get("interval"))
    if value is None or ends is None:
        return ""
    kind, unit = text_of(verdict.get("kind")), text_of(verdict.get("unit"))
    gas = gas_name(verdict.get("species")) or "the gas"
    place = f" from {region_name}" if region_name else ""
    if kind == "source":
        amount = plain_amount(value, ends, unit, verdict.get("level"))
        return f"seen from the air, {gas} escapes{place} at {amount}"
    if kind in {"change", "trend"}:
        change = plain_change(value, ends, unit, verdict.get("level"))
        return f"seen from the air, emissions of {gas}{place} {change}"
    shown = plain_amount(value, ends, unit, verdict.get("level"))
    if kind == "share":
        return f"seen from the air, the share of {gas}{place} is {shown}"
    return f"seen from the air, {gas} emissions{place} are {shown}"


def plain_change(value: float, ends: tuple[float, float], unit: str, level: object = LEVEL) -> str:
    """A signed change in words: "fell by 24 % (95 % interval: 18 % to 30 %)"."""
    scale = scale_of(unit)
    low, high = ends[0] * scale.factor, ends[1] * scale.factor
    decimals = decimals_for((high - low) / 2 or abs(value))
    number = value * scale.factor
    if low <= 0 <= high:
        texts = [scale.with_unit(show(x, decimals, signed=True), plain=True) for x in (number, low, high)]
        verb = "changed by"
    else:
        near, far = sorted((abs(low), abs(high)))
        texts = [scale.with_unit(show(x, decimals), plain=True) for x in (abs(number), near, far)]
        verb = "fell by" if high < 0 else "rose by"
    return f"{verb} {texts[0]} ({show_level(level)} interval: {texts[1]} to {texts[2]})"


def plain_amount(value: float, ends: tuple[float, float], unit: str, level: object = LEVEL) -> str:
    """A level in words, in millions where it is that large, its interval behind it."""
    scale = scale_of(unit)
    factor, word = scale.factor, ""
    if max(abs(value), abs(ends[0]), abs(ends[1])) * factor >= 1e6:
        factor, word = factor * 1e-6, "million"
    decimals = decimals_for((ends[1] - ends[0]) * factor / 2 or abs(value * factor))
    number, low, high = (show(x * factor, decimals) for x in (value, *ends))
    ending = f"{NO_BREAK}{word or scale.plain}" if word or scale.is_fraction else ""
    amount = f"{number} {word} {scale.plain}" if word else f"{number}{NO_BREAK}{scale.plain}"
    return f"{amount} ({show_level(level)} interval: {low} to {high}{ending})"


def inventory_sentence(row: Mapping[str, object]) -> str:
    """How an inventory's total compares with the estimate from the air, in words."""
    prior, shown = (
        as_number(row.get("prior_total")),
        show_estimate(row.get("estimate"), row.get("interval"), text_of(row.get("unit"))),
    )
    ends = as_interval(row.get("interval"))
    if prior is None or shown is None or ends is None:
        return "no estimate with an interval"
    if prior < ends[0]:
        return "the inventory is below the interval"
    return (
        "the inventory is above the interval" if prior > ends[1] else "the inventory lies inside the interval"
    )


def diagnostics_in_words(figures: Mapping[str, object]) -> list[str]:
    """What the diagnostics mean, one sentence each, for those that are known."""
    sentences: list[str] = []
    coverage, variance = as_number(figures.get("loo_coverage")), as_number(figures.get("loo_variance"))
    if coverage is not None:
        good = "as it should" if 0.92 <= coverage <= 0.98 else "which is not what an honest 95 % should give"
        sentences.append(
            "Each day was hidden in turn and predicted from the others:"
            f" {show_plain(100 * coverage)} % of the hidden values fell inside their 95 % interval, {good}"
            " (92 % to 98 % is what we ask for)."
        )
    if variance is not None:
        good = (
            "as large as" if 0.8 <= variance <= 1.2 else "smaller than" if variance < 0.8 else "larger than"
        )
        sentences.append(
            f"The errors of those predictions were {good} stated: their variance is {show_plain(variance)}"
            " times the stated one (0.8 to 1.2 is what we ask for)."
        )
    sentences += _fit_in_words(figures)
    return sentences


def _fit_in_words(figures: Mapping[str, object]) -> list[str]:
    sentences: list[str] = []
    dofs, n = as_number(figures.get("dofs")), as_number(figures.get("n_observations"))
    if dofs is not None:
        among = f" {show(n, 0)}" if n is not None else ""
        sentences.append(
            f"The{among} measurements told us about {show_plain(dofs, 2)} independent things about emissions"
            " (degrees of freedom for signal); the rest they spent on noise and inflow."
        )
    share = as_number(figures.get("background_share"))
    if share is not None:
        sentences.append(
            f"Of the variation expected in the measurements, {show_plain(100 * share, 2)} % comes from air"
            " that flows in from outside; it is estimated together with the emissions."
        )
    inflation = as_number(figures.get("inflation"))
    if inflation is not None and inflation > 1.0005:
        sentences.append(
            f"All intervals were widened by the factor {show_plain(math.sqrt(inflation))}, because the"
            " predictions of hidden days missed by more than first stated."
        )
    chi2 = as_number(figures.get("chi2"))
    if chi2 is not None:
        sentences.append(
            f"χ² per measurement is {show_plain(chi2)}; tuning brings it near 1, so it proves nothing alone."
        )
    return sentences
