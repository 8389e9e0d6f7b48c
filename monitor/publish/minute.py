"""The page in a few sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from monitor.publish.content import station_of
from monitor.publish.marks import other
from monitor.publish.numbers import as_number, estimate_of, show_plain
from monitor.publish.periods import names_of_epochs
from monitor.publish.source_view import sources_line
from monitor.publish.wording import few, gas_name, plain_amount, text_of, verdict_estimate

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput


def minute_lines(report: ReportInput, content: Mapping[str, Any]) -> list[str | Markup]:
    """The page in a few sentences: verdicts counted, sources, what it stands on, how far to trust it."""
    lines: list[str | Markup] = [_verdict_count(content["verdicts"])] if content["verdicts"] else []
    levels = {
        row.get("species")
        for row in content["verdicts"].values()
        if row.get("kind") == "level" and verdict_estimate(row)
    }
    lines += [
        _headline(report, rows, names_of_epochs(content["diagnostics"][rows[0]["species"]]))
        for rows in _rows_by_gas(content["totals"])
        if rows and rows[0]["species"] not in levels  # a tested level says more than a posterior
    ]
    lines.append(sources_line(content["sources"], content["figures"]))
    lines.append(_stands_on(report, content))
    trust = _trust(content)
    if trust:
        lines.append(trust)
    warned = len(content["warnings"])
    if warned:
        lines.append(f"There {'is one warning' if warned == 1 else f'are {few(warned)} warnings'} below.")
    return [line for line in lines if line]


def _rows_by_gas(totals: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    gases = dict.fromkeys(row["species"] for row in totals)
    return [[row for row in totals if row["species"] == gas and row["estimate"] is not None] for gas in gases]


def _headline(report: ReportInput, rows: list[Mapping[str, Any]], periods: Mapping[str, str]) -> str | Markup:
    """The largest total of the last epoch, in words."""
    last = [row for row in rows if row["epoch"] == rows[-1]["epoch"]]
    row = max(last, key=lambda row: abs(row["estimate"]))
    names = {region.id: region.name or region.id for region in report.regions}
    which = ", ".join(text for text in (row["block"], periods.get(row["epoch"], row["epoch"])) if text)
    estimate = estimate_of(row["estimate"], row["interval"], row["level"], row["unit"])
    if estimate is None:
        return ""
    place = names.get(row["region"], row["region"])
    text = Markup("Starting from the first guess, the air leads to emissions of {} from {}{} of {}.")
    return text.format(
        gas_name(row["species"]), place, f" ({which})" if which else "", plain_amount(estimate)
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
    tested = "One claim was tested" if total == 1 else f"{few(total).capitalize()} claims were tested"
    if len(counts) == 1:
        word = next(iter(counts))
        which = "it" if total == 1 else "none" if word == "undecided" else "all of them"
        said = "the air can decide none of them" if which == "none" else _ALL.get(word, "{}").format(which)
        return f"{tested}: {said}."
    said = ", ".join(_SOME[word].format(few(counts[word])) for word in _SOME if counts[word])
    apart = counts["not comparable"]
    tail = f"; {few(apart)} cannot be compared with it" if apart else ""
    return f"{tested}: the air {said}{tail}."


def _stands_on(report: ReportInput, content: Mapping[str, Any]) -> str:
    stated = as_number(content["figures"].get("n_observations"))
    used = (
        sum(ds.sizes.get("observation", 0) for ds in report.posteriors.values()) if stated is None else stated
    )
    places = station_of(report.stations)
    inlets = {str(name) for ds in report.posteriors.values() for name in set(ds["station"].values.tolist())}
    stations = {places[name].id if name in places else name for name in inlets}
    gases = " and ".join(gas_name(name) for name in report.posteriors)
    at = f"{few(len(stations))} station{'s' if len(stations) != 1 else ''}"
    return f"It stands on {show_plain(used, 9)} measurements of {gases} at {at}." if gases else ""


def family_line(family: Mapping[str, Any]) -> str | Markup:
    """How often at least one of the claims' intervals misses; empty for a single claim."""
    count, at_most = as_number(family.get("claims")), as_number(family.get("at_most"))
    if count is None or at_most is None or count < 2:
        return ""
    each, alone = as_number(family.get("error_each")), as_number(family.get("if_independent"))
    text = (
        f"Each of the {few(int(count))} claims errs in at most {show_plain(100 * (each or 0.05))} of 100"
        f" cases; at least one of them errs in at most {show_plain(100 * at_most)} of 100 such cities"
    )
    text += f" ({show_plain(100 * alone, 2)} if they are independent)." if alone is not None else "."
    return other("rule", text)


def _trust(content: Mapping[str, Any]) -> str | Markup:
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
    return other(
        "check",
        f"A check of its honesty: when days were hidden and predicted from the others, {said} of the hidden"
        " measurements fell inside their 95\u00a0% interval; 95\u00a0% would be perfect.",
    )
