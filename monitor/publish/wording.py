"""Sentences made from numbers: what a verdict says, and why, for a reader without statistics.

Every sentence that gives a number gives its interval and the level; every verdict says its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from monitor.domain import SPECIES
from monitor.publish.marks import marked, other
from monitor.publish.numbers import (
    NO_BREAK,
    THIN,
    Estimate,
    as_number,
    decimals_for,
    estimate_of,
    scale_of,
    show,
    show_claimed,
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
    "stronger-than-claimed": "there is a source, and it is stronger than the claim says",
    "beyond-simulation": "this look is granted less error than simulations show: it cannot find a source",
    "not-an-evaluation-date": "the claim is judged on its declared dates, each from the data up to it",
    "declared-late": "this date was declared when the claim had been looked at already, and does not count",
    "look-taken": "this look was taken before: revised data may take its answer back, and give no other",
    "not-comparable": "the claim and the measurement are not about the same thing",
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


def few(count: int) -> str:
    """A small number as a word."""
    words = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)


def is_at_least(verdict: Verdict) -> bool:
    """Whether a change or trend is claimed as "at least" (the default reading), not as "equal"."""
    reading = text_of(mapping_of(verdict.get("claimed")).get("reading")).replace("_", " ")
    return text_of(verdict.get("kind")) in {"change", "trend"} and reading != "equal"


def is_signed(verdict: Verdict) -> bool:
    """Whether its numbers are rises and falls."""
    return text_of(verdict.get("kind")) in {"change", "trend"}


def claimed_text(verdict: Verdict, value: object) -> str:
    """A number of the claim (its value, its margin) in the claim's unit."""
    unit = text_of(mapping_of(verdict.get("claimed")).get("unit")) or text_of(verdict.get("unit"))
    return show_claimed(value, unit, signed=is_signed(verdict))


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


def why(verdict: Verdict) -> Markup:
    """What carried the verdict: the rule it passed and what it withstood; or what kept it from passing."""
    word, kind = text_of(verdict.get("verdict")), text_of(verdict.get("kind"))
    parts = [other("rule", tidy(_sentence(reason.rstrip(". ")))) for reason in reasons_of(verdict)]
    if word in {"supported", "contradicted"}:
        parts.insert(0, _source_rule(word) if kind == "source" else _number_rule(word, verdict))
        parts += [other("check", text) for text in withstood(verdict)]
    elif word == "undecided":
        flips = text_of(verdict.get("flips_text"))
        if "unstable" in items_of(verdict.get("reasons")) and flips:
            parts.append(other("check", tidy(flips)))
        if not parts:
            parts = [Markup("The interval neither confirms the claim nor rules it out.")]
    return Markup(" ").join(parts or [Markup("The reason was not recorded.")])


def withstood(verdict: Verdict) -> list[str]:
    """What could have overturned a yes or a no, and did not; one sentence each."""
    sentences = []
    is_source = verdict.get("kind") == "source"
    if is_source and verdict.get("verdict") == "supported":
        sentences.append("No fault of one instrument and no higher inflow explains as well what is seen.")
    elif is_source and verdict.get("verdict") == "contradicted":
        sentences.append("It stays below the claimed strength without any one of the instruments.")
    others = [mapping_of(member) for member in items_of(verdict.get("ensemble"))][1:]
    if any(member.get("verdict") != verdict.get("verdict") for member in others):
        sentences.append(tidy(text_of(verdict.get("flips_text"))))
    elif others:
        which = "The other choice" if len(others) == 1 else f"Each of the {len(others)} other choices"
        sentences.append(
            f"{which} of method that {'was' if len(others) == 1 else 'were'} tried gives the same answer."
        )
    elif is_source:
        sentences.append("No other choice of method was tried.")
    response = as_number(verdict.get("response"))
    if response is not None and not is_source:
        largest = map(as_number, mapping_of(verdict.get("responses_most")).values())
        most = max((shown for shown in largest if shown is not None), default=response)
        part = "in full" if response > 0.995 else f"to at least {show_plain(100 * response, 2)}{NO_BREAK}%"
        if most > 1.005:
            part = f"as {show_plain(100 * response, 2)} to {show_plain(100 * most, 3)}{NO_BREAK}% of itself"
        sentences.append(f"A true difference would show {part}, however it is laid out in the region.")
    return [sentence for sentence in sentences if sentence]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _source_rule(word: str) -> Markup:
    if word == "supported":
        text = "Where there is no source, chance alone would show one in at most 5 of 100 such searches."
    else:
        text = "Even the upper end of the interval lies below the claimed strength."
    return other("rule", text)


def _number_rule(word: str, verdict: Verdict) -> Markup:
    value = claimed_text(verdict, mapping_of(verdict.get("claimed")).get("value"))
    level = as_number(verdict.get("level"))
    interval = f"{show_level(level)} interval" if level is not None else "interval"
    if is_at_least(verdict):
        if word == "contradicted":
            said = f"Even the end of the {interval} that is nearest to the claim falls short of {value}."
            return other("claimed", said)
        margin = claimed_text(verdict, signed_margin(verdict))
        beyond = f"beyond {margin}, the margin this claim must pass" if margin else "clear of no change"
        return other("claimed", f"The whole {interval} lies {beyond}, and it does not rule {value} out.")
    band = f"{value} ± {show_claimed(tolerance_of(verdict), '1')}"
    if word == "contradicted":
        return other("claimed", f"The {interval} and the claimed {band} do not touch.")
    return other("claimed", f"The whole {interval} lies inside the claimed {band}.")


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


def verdict_estimate(verdict: Verdict) -> Estimate | None:
    """The estimate of a verdict with interval and level, None where one of them is missing."""
    value, interval, level, unit = (verdict.get(key) for key in ("estimate", "interval", "level", "unit"))
    return estimate_of(value, interval, level, unit, signed=is_signed(verdict))


def show_limit(detectable: float, unit: str) -> str:
    """A detectable change, departure or strength in prose."""
    scale = scale_of(unit)
    size = abs(detectable) * scale.factor
    if not scale.is_fraction and size >= 1e6:
        return f"{show_plain(size * 1e-6)} million {scale.plain}"
    return scale.with_unit(show_plain(size), plain=True)


def plain_change(estimate: Estimate) -> Markup:
    """A signed change in words: "fell by 24 % (95 % interval: 18 % to 30 %)"."""
    scale = scale_of(estimate.unit)
    ends = (estimate.low, estimate.high)
    number, low, high = (x * scale.factor for x in (estimate.value, *ends))
    decimals = decimals_for((high - low) / 2 or abs(number))
    open_ended = low <= 0 <= high
    verb = "changed by" if open_ended else "fell by" if high < 0 else "rose by"
    if not open_ended:
        number, (low, high) = abs(number), sorted((abs(low), abs(high)))
    texts = [show(x, decimals, signed=open_ended) for x in (number, low, high)]
    if scale.is_fraction:
        texts[1:] = [f"{text}{NO_BREAK}%" for text in texts[1:]]
    said = f"{verb} {scale.with_unit(texts[0], plain=True)}"
    return marked(estimate, f"{said} ({show_level(estimate.level)} interval: {texts[1]} to {texts[2]})")


def plain_amount(estimate: Estimate) -> Markup:
    """A level in words, in millions where it is that large, its interval behind it."""
    scale = scale_of(estimate.unit)
    factor, word = scale.factor, ""
    values = (estimate.value, estimate.low, estimate.high)
    if max(map(abs, values)) * factor >= 1e6:
        factor, word = factor * 1e-6, "million"
    decimals = decimals_for((values[2] - values[1]) * factor / 2 or abs(values[0] * factor))
    number, low, high = (show(x * factor, decimals) for x in values)
    ending = f"{NO_BREAK}{word or scale.plain}" if word or scale.is_fraction else ""
    amount = f"{number} {word} {scale.plain}" if word else f"{number}{NO_BREAK}{scale.plain}"
    return marked(estimate, f"{amount} ({show_level(estimate.level)} interval: {low} to {high}{ending})")


def inventory_sentence(prior: float | None, estimate: Estimate | None) -> str:
    """How an inventory's total compares with the estimate from the air, in words."""
    if prior is None or estimate is None:
        return "no estimate with an interval"
    if prior < estimate.low:
        return "the inventory is below the interval"
    above = prior > estimate.high
    return "the inventory is above the interval" if above else "the inventory lies inside the interval"
