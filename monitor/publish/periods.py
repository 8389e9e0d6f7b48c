"""Periods as pages write them: by their dates, as short as these can be said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from monitor.domain import Interval
from monitor.errors import InputError, UsageError
from monitor.publish.wording import items_of, mapping_of, text_of


def period_text(interval: Interval) -> str:
    """The period of a whole page; a last midnight counts to the day before."""
    end = interval.end - timedelta(seconds=1)
    whole = interval.start.hour == 0 and interval.end.hour == 0
    form = "{0.day} {0:%B %Y}" if whole else "{0.day} {0:%B %Y %H:%M}"
    return f"{form.format(interval.start)} to {form.format(end if whole else interval.end)} (UTC)"


def period_name(interval: Interval) -> str:
    """ "2019", "Sep to Nov 2023", "1 to 12 Mar 2023": years or months where they are whole, else days."""
    first, end = interval.start, interval.end
    if any(moment.time() != datetime.min.time() for moment in (first, end)):
        return f"{first.day} {first:%b %Y %H:%M} to {end.day} {end:%b %Y %H:%M}"
    last = end - timedelta(days=1)
    if first.day == end.day == 1:
        if first.month == end.month == 1:
            return _joined([f"{first:%Y}"], [f"{last:%Y}"])
        return _joined([f"{first:%b}", f"{first:%Y}"], [f"{last:%b}", f"{last:%Y}"])
    return _joined(
        [str(first.day), f"{first:%b}", f"{first:%Y}"], [str(last.day), f"{last:%b}", f"{last:%Y}"]
    )


def _joined(first: Sequence[str], last: Sequence[str]) -> str:
    """Both ends, without what the first has in common with the last."""
    if first == last:
        return " ".join(first)
    common = next(n for n in range(len(first), -1, -1) if first[len(first) - n :] == last[len(last) - n :])
    return f"{' '.join(first[: len(first) - common])} to {' '.join(last)}"


def name_of(ends: object) -> str:
    """The name of a period of the JSON, a pair of moments; empty where it is none."""
    try:
        start, end = map(text_of, items_of(ends))
        return period_name(Interval.parse(start, end))
    except (ValueError, InputError, UsageError):
        return ""


def names_of_epochs(attributes: Mapping[str, object]) -> dict[str, str]:
    """Key → name of a posterior's epochs, from its attributes; keys that say no dates are left out."""
    stated = attributes.get("configuration")
    try:
        configuration = json.loads(stated) if isinstance(stated, str) else stated
    except json.JSONDecodeError:
        return {}
    epochs = mapping_of(mapping_of(configuration).get("epochs"))
    return {key: name for key, ends in epochs.items() if (name := name_of(ends))}
