"""The calibration as a page: what was tried, the table, the pictures, and how to run it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Template

from monitor.calibration.campaign import Campaign
from monitor.calibration.figures import counts_picture, reliability_picture
from monitor.calibration.network import KINDS
from monitor.calibration.reliability import diagrams
from monitor.calibration.rows import Part, Row

#: Where the page leaves what others have written between these lines as it is.
KEPT: Final = ("<!-- begin: kept -->", "<!-- end: kept -->")
_RELEASE: Final = "## A controlled release"


def write_page(campaign: Campaign, page: Path, pictures: Path) -> None:
    """Write the page and its pictures; what stands between the lines of `KEPT` stays."""
    pictures.mkdir(parents=True, exist_ok=True)
    relative = pictures.relative_to(page.parent) if pictures.is_relative_to(page.parent) else pictures
    (pictures / "calibration-counts.svg").write_text(counts_picture(campaign.rows), encoding="utf-8")
    kinds = [kind for kind in KINDS if kind in campaign.records[0].get("reliability", ())]
    found = diagrams(campaign.records, "reliability", kinds) if kinds else []
    if found:
        picture = reliability_picture(found)
        (pictures / "calibration-reliability.svg").write_text(picture, encoding="utf-8")
    kept = _kept(page)
    page.write_text(_text(campaign, str(relative), bool(found), kept), encoding="utf-8")


def _kept(page: Path) -> str:
    if not page.exists():
        return ""
    text = page.read_text(encoding="utf-8")
    begin, end = (text.find(mark) for mark in KEPT)
    return text[begin + len(KEPT[0]) : end].strip("\n") if 0 <= begin < end else ""


def _text(campaign: Campaign, pictures: str, reliability: bool, kept: str) -> str:
    template = Path(__file__).with_name("page.md.j2").read_text(encoding="utf-8")
    # a page of Markdown, all of it our own words and numbers
    filled: str = Template(template, keep_trailing_newline=True, autoescape=False).render(
        run=campaign.about,
        verdict=_verdict(campaign.rows),
        release=_release(kept),
        proof=_table(campaign.rows, "target", "met"),
        beside=_table(campaign.also, "an honest system shows", "shown"),
        code=_code(campaign.about),
        pictures=pictures,
        reliability=reliability,
        kept="\n".join([KEPT[0], *([kept] if kept else []), KEPT[1]]),
    )
    return filled


def _verdict(rows: Sequence[Row]) -> str:
    missed = [
        f"{row.title}, {part.name}: {figure(part)}, to be {part.target}"
        for row in rows
        for part in row.parts
        if part.met is False
    ]
    if missed:
        return f"Missed: {'; '.join(missed)}."
    if any(row.met is None for row in rows):
        return "No target is missed; open ones need more cities, or do not apply to this network."
    return f"All targets of the {len(rows)} rows of the proof, of synthetic cities, are met."


def _release(kept: str) -> str:
    """How many targets of the controlled release are met, by the table in what others wrote."""
    _, _, after = kept.partition("| target | met |\n")
    met = [line.rstrip("| ").endswith("yes") for line in after.split("\n\n")[0].splitlines()[1:]]
    if _RELEASE not in kept or not met:
        return ""
    return (
        "The [controlled release](#a-controlled-release) below, whose truth was metered, has targets of its "
        f"own: {sum(met)} of {len(met)} are met."
    )


def _code(about: Mapping[str, Any]) -> str:
    """By which code the experiments were done, where it was not one."""
    found: dict[str, list[str]] = about["experiments_by_code"]
    if len(found) < 2:
        return f"code `{next(iter(found), about['code_digest'][:12])}`"
    return "code " + "; ".join(f"`{code}` ({', '.join(names)})" for code, names in found.items())


def _table(rows: Sequence[Row], target: str, met: str) -> str:
    lines = [f"| what | figure | 95 % interval | {target} | {met} |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| **{row.title}** | | | | {word(row.met)} |")
        for part in row.parts:
            lines.append(
                f"| {part.name} | {figure(part)} | {interval(part)} | {part.target} | {word(part.met)} |"
            )
    return "\n".join(lines)


def figure(part: Part) -> str:
    """The figure as a page shows it."""
    if part.estimate is None:
        return part.reason
    return f"{part.count} of {part.n}" if part.count is not None else f"{part.estimate:.3g}"


def interval(part: Part) -> str:
    """The 95 % interval as a page shows it."""
    if part.interval is None:
        return "–"
    if part.count is None:
        return f"{part.interval[0]:.3g} … {part.interval[1]:.3g}"
    low, high = (100 * share for share in part.interval)
    return f"{low:.1f} … {high:.1f} %"


def word(met: bool | None) -> str:
    """Whether a target is met."""
    return "–" if met is None else "yes" if met else "**no**"
