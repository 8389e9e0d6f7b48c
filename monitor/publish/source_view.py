"""Sources beyond the inventory as the page shows them: found or not, and what could have been found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from monitor.publish.marks import in_cell, other
from monitor.publish.numbers import Estimate, as_number, chance_bound, estimate_of, scale_of, show_plain
from monitor.publish.table_view import day_text, place_text, plain_or_dash
from monitor.publish.wording import few, gas_name, items_of, mapping_of, plain_amount, text_of, tidy

#: Figure of the run that says a search was made: the number of places searched, or true.
SEARCHED = "sources_searched"

#: Status → sign and style of its tag; words and signs carry it, not the colour.
_STATUS = {"alarm": ("!", "alarm"), "unconfirmed": ("?", "unconfirmed"), "explained": ("=", "explained")}


def strength_of(source: Mapping[str, Any]) -> Estimate | None:
    """The strength with interval and level, None where one is missing."""
    return estimate_of(*(source.get(key) for key in ("strength", "interval", "level", "unit")))


def source_rows(sources: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each event of the search: where, when, how strong, how often by chance, and what became of it."""
    rows = []
    for number, row in enumerate(sources, 1):
        status = text_of(row.get("status"))
        sign, style = _STATUS.get(status, ("", "unconfirmed"))
        reach = as_number(row.get("place_km"))
        again = text_of(row.get("recurring"))
        less = chance_bound(row.get("false_alarm"), row.get("draws"))
        rows.append(
            {
                "number": str(number),
                "place": other(
                    "place", place_text(row) + (f", ± {show_plain(reach, 2)} km" if reach else "")
                ),
                "when": when_text(row) + (f"; {again}" if again else ""),
                "strength": in_cell(strength_of(row)),
                "false_alarm": less + plain_or_dash(row.get("false_alarm")),
                "a_year": less + plain_or_dash(row.get("false_alarms_a_year")),
                "status": status or "–",
                "sign": sign,
                "style": style,
                "notes": [tidy(text_of(note)) for note in items_of(row.get("notes"))]
                or [text_of(code) for code in items_of(row.get("reasons"))],
            }
        )
    return rows


def sources_line(sources: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str | Markup:
    """What the search found, in a sentence; events that are no alarm are counted apart."""
    if not sources:
        return no_source(figures) if figures.get(SEARCHED) else ""
    alarms = [row for row in sources if row.get("status") not in {"unconfirmed", "explained"}]
    doubtful = len(sources) - len(alarms)
    apart = ""
    if doubtful:
        verb = "was" if doubtful == 1 else "were"
        apart = f" {few(doubtful).capitalize()} more {verb} seen, but not confirmed."
        if not alarms:
            return (
                f"The search for sources beyond the inventory found nothing that it can confirm;"
                f" {few(doubtful)} suspicion{'s are' if doubtful > 1 else ' is'} listed below."
            )
    best = max(alarms, key=lambda row: as_number(row.get("strength")) or 0.0)
    found = "one" if len(alarms) == 1 else f"{few(len(alarms))}; the strongest is"
    text = Markup("The search for sources beyond the inventory found {}{} {}.{}")
    return text.format(found, ":" if len(alarms) == 1 else "", source_sentence(best), apart)


def source_sentence(source: Mapping[str, Any]) -> Markup:
    """One source in words, its strength only with its interval."""
    estimate = strength_of(source)
    strength = Markup("of {}").format(plain_amount(estimate)) if estimate else "of unknown strength"
    place = other("place", place_text(source))
    return Markup("a source {} at {}, {}").format(strength, place, when_text(source))


def when_text(source: Mapping[str, Any]) -> Markup:
    """Between which days a source began and ended; 95 of 100 such statements hold."""
    began, ended = (
        _days_text([text_of(moment) for moment in items_of(source.get(f"{key}_interval"))])
        for key in ("start", "end")
    )
    if not (began and ended):
        return Markup("from {} to {}").format(day_text(source.get("start")), day_text(source.get("end")))
    return Markup("began {}, ended {} {}").format(began, ended, other("rule", "(95 % each)"))


def _days_text(moments: Sequence[str]) -> str:
    days = list(dict.fromkeys(day_text(moment[:10]) for moment in moments))
    return f"on {days[0]}" if len(days) == 1 else f"between {' and '.join(days)}"


def no_source(figures: Mapping[str, Any]) -> str:
    """What an empty list of sources means: a search found none, or none was made as far as we know."""
    if figures.get(SEARCHED):
        return "The search for sources beyond the inventory found none that stands out from chance."
    return "This run reports no source beyond the inventory; it does not say that it searched for any."


def search_lines(figures: Mapping[str, Any]) -> list[Markup]:
    """How much was looked at, how often a search is wrong, and what it would have found; one a gas."""
    return [
        other("limit", text)
        for species, search in mapping_of(figures.get("searches")).items()
        if (text := _search_text(species, mapping_of(search)))
    ]


def _search_text(species: str, search: Mapping[str, Any]) -> str:
    places, windows = as_number(search.get("places")), as_number(search.get("windows"))
    if places is None or windows is None:
        return ""
    searched = f"{show_plain(places, 6)} places in {show_plain(windows, 6)} spans of time were searched"
    text = f"{gas_name(species)}: {searched}."
    chance, a_year = as_number(search.get("false_alarm")), as_number(search.get("false_alarms_a_year"))
    if chance is not None and a_year is not None:
        text += (
            f" Where there is no source, such a search raises an alarm in {show_plain(100 * chance)} of 100"
            f" cases: {show_plain(a_year, 2)} false alarms in a year of operation."
        )
    found = mapping_of(search.get("detectable"))
    median, days = as_number(found.get("median")), as_number(found.get("days"))
    if median is not None and days is not None:
        scale = scale_of(text_of(found.get("unit")))
        power = as_number(found.get("power")) or 0.8
        strength = scale.with_unit(show_plain(median, 2), plain=True)
        text += (
            f" Half of the places would have shown a source of {strength}"
            f" that lasts {show_plain(days, 2)} days, in {show_plain(100 * power)} of 100 cases"
        )
        unseen = as_number(found.get("unseen_places"))
        text += f"; in {show_plain(unseen, 6)} places no source would show." if unseen else "."
    return text
