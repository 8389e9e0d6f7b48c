"""The one sentence of a verdict: what was seen, of what, where and when, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from markupsafe import Markup

from monitor.publish.marks import other
from monitor.publish.numbers import Estimate, as_number
from monitor.publish.periods import name_of
from monitor.publish.source_view import when_text
from monitor.publish.table_view import place_text
from monitor.publish.wording import (
    Verdict,
    few,
    gas_name,
    items_of,
    mapping_of,
    plain_amount,
    plain_change,
    show_limit,
    text_of,
    verdict_estimate,
)

NO_NAMES: Mapping[str, str] = MappingProxyType({})

_OPENING = {
    "supported": "The air supports this claim",
    "contradicted": "The air contradicts this claim",
    "undecided": "The air cannot decide this claim",
    "not comparable": "This claim cannot be held against the air",
}

_NOUNS = {
    "source": "source",
    "change": "change",
    "trend": "trend",
    "share": "departure",
    "level": "departure",
}

#: Sectors that a sentence names one by one; of more it says how many there are.
_MOST_NAMED = 4


def answer(verdict: Verdict, names: Mapping[str, str] = NO_NAMES) -> Markup:
    """One plain sentence: the verdict, the number behind it and its interval, its place and its time.

    A number is given only with its interval; where there is none the sentence says so.

    Parameters
    ----------
    names
        Region id → its name.
    """
    word = text_of(verdict.get("verdict"))
    opening = _OPENING.get(word, f"Verdict: {word}")
    if word == "not comparable":
        return Markup("{}, because the two are not about the same thing.").format(opening)
    estimate = verdict_estimate(verdict)
    if estimate is None:
        return Markup("{}: no number with an interval could be given.").format(opening)
    tail: str | Markup = ""
    detectable = as_number(verdict.get("detectable"))
    if word == "undecided" and detectable is not None:
        noun = _NOUNS.get(text_of(verdict.get("kind")), "difference")
        limit = Markup("; the smallest {} this network would reliably have seen is {}")
        tail = limit.format(noun, other("limit", show_limit(detectable, estimate.unit)))
    return Markup("{}: seen from the air, {}{}.").format(opening, _measured(verdict, estimate, names), tail)


def _measured(verdict: Verdict, estimate: Estimate, names: Mapping[str, str]) -> Markup:
    kind, gas = text_of(verdict.get("kind")), gas_name(verdict.get("species")) or "the gas"
    region = _name_of(verdict.get("region"), names)
    place = f" from {region}" if region else ""
    if kind == "source":
        return _source(verdict, estimate, gas)
    if kind in {"change", "trend"}:
        said = Markup("emissions of {}{}{}{} {}{}")
        parts = (_emitters(verdict), place, _left_out(verdict), plain_change(estimate), _compared(verdict))
        return said.format(gas, *parts)
    if kind == "share":
        part, whole = _part_and_whole(verdict, region, names)
        return Markup("{} accounts for {} of the {} emissions{}{}").format(
            part, plain_amount(estimate), gas, f" from {whole}" if whole else "", _compared(verdict)
        )
    said = Markup("{} emissions{}{}{} come to {}{}")
    parts = (_emitters(verdict), place, _left_out(verdict), plain_amount(estimate), _compared(verdict))
    return said.format(gas, *parts)


def _source(verdict: Verdict, estimate: Estimate, gas: str) -> Markup:
    """Where a source is, its strength, and between which days it began and ended.

    That it was there is said by a yes alone; else the numbers are those of the source that fits best.  Where
    no strength is claimed they are of what lies beyond the inventory.
    """
    lon, lat = ([*items_of(verdict.get("place")), None, None])[:2]
    where = other("place", place_text({"lon": lon, "lat": lat}))
    claimed = as_number(mapping_of(verdict.get("claimed")).get("value"))
    beyond = " beyond the inventory" if claimed is None else ""
    if text_of(verdict.get("verdict")) == "supported":
        said = Markup("a source of {} at {} released {}{}").format(gas, where, plain_amount(estimate), beyond)
    else:
        said = Markup("the source of {} that fits best at {} would release {}{}").format(
            gas, where, plain_amount(estimate), beyond
        )
    if verdict.get("start") or verdict.get("start_interval"):
        return Markup("{}; it {}").format(said, when_text(verdict))
    return Markup("{}{}").format(said, _compared(verdict))


def _emitters(verdict: Verdict) -> str:
    """The sectors whose emissions they are, where they are not all."""
    sectors = [text_of(name) for name in items_of(verdict.get("sectors"))]
    if not sectors or sectors == ["*"]:
        return ""
    return f" by {_and(sectors)}" if len(sectors) <= _MOST_NAMED else f" by {few(len(sectors))} sectors"


def _left_out(verdict: Verdict) -> str:
    """That natural fluxes are no part of the estimate, where the gate found so."""
    rows = map(mapping_of, items_of(verdict.get("comparability")))
    said = (text_of(row.get("detail")) for row in rows if row.get("item") == "biogenic part")
    return ", natural and biogenic fluxes left out," if any(t.startswith("excluded") for t in said) else ""


def _compared(verdict: Verdict) -> str:
    """The period that the number is about, or those that it compares."""
    periods = [name for ends in items_of(verdict.get("periods")) if (name := name_of(ends))]
    if not periods:
        return ""
    if len(periods) == 1:
        return f", in {periods[0]}"
    if len(periods) == 2:
        return f", in {periods[1]} against {periods[0]}"
    return f", over {few(len(periods))} periods, the first {periods[0]}, the last {periods[-1]}"


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _name_of(region: object, names: Mapping[str, str]) -> str:
    return names.get(text_of(region), text_of(region))


def _part_and_whole(verdict: Verdict, region: str, names: Mapping[str, str]) -> tuple[str, str]:
    """What a share is of what: sectors of all sectors, or a region of a larger one."""
    sectors = [text_of(name) for name in items_of(verdict.get("sectors"))]
    part = region or "this part"
    if sectors and sectors != ["*"] and items_of(verdict.get("of_sectors")):
        part = " and ".join(sectors)
    return part, _name_of(verdict.get("of_region"), names) or (region if part != region else "the whole")
