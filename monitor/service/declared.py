"""What was declared of a claim before anybody looked: the dates and the rule that its first verdict carries.

A date counts because it was named before the numbers were seen.  What the claims file says now does not show
when it was written; the archive does: every verdict in it, previews too, carries the dates that were declared
by then.  The first one that showed a number settles them for good.  A date named since is no look, one that
was taken out or moved stays a look, and so no error is ever given back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from math import isclose
from typing import Any, NamedTuple

from monitor import units
from monitor.archive import Archive
from monitor.compare.verdict import LATE, NOT_COMPARABLE, REASONS, UNDECIDED
from monitor.config import CityConfig, ClaimsConfig, ClaimSection
from monitor.config.claims import SpendingSection
from monitor.domain import Interval
from monitor.errors import UnitError
from monitor.service.evaluation import PREVIEW, UNDECLARED, look_dates, period_of, rule_of

Document = Mapping[str, Any]


class Archived(NamedTuple):
    """A verdict, when it was recorded, and its digest."""

    recorded_at: datetime
    document: dict[str, Any]
    digest: str = ""


@dataclass(frozen=True)
class Declaration:
    """The dates and the rule of a claim that count.

    Attributes
    ----------
    claim : ClaimSection
        The claim with them.
    late : tuple of date
        Dates that its file names since; they are no looks.
    known_as : str
        The id under which the claim was first looked at.
    note : str
        How the file departs from what counts, in words; empty where it does not.
    """

    claim: ClaimSection
    late: tuple[date, ...]
    known_as: str
    note: str

    def about(self, verdict: Document) -> dict[str, Any]:
        """The verdict, saying what came too late; on such a date without an answer."""
        worth = dict(verdict["evaluation"])
        if self.late:
            worth["late"] = [day.isoformat() for day in self.late]
        if self.known_as != self.claim.id:
            worth["known_as"] = self.known_as
        found = {**verdict, "evaluation": worth}
        is_late = worth["status"] == PREVIEW and worth["as_of"] in worth.get("late", ())
        if is_late and found["verdict"] != NOT_COMPARABLE:
            found |= {"verdict": UNDECIDED, "reasons": [LATE], "reason_texts": [REASONS[LATE]]}
        return found


def declarations_of(
    claims: ClaimsConfig | None, city: CityConfig, archived: Sequence[Archived]
) -> dict[str, Declaration]:
    """Of each claim the dates and the rule that count, from the city's archived verdicts, oldest first."""
    listed = claims.claim if claims else ()
    return {claim.id: _declaration(claim, city, earlier(claim, city, archived)) for claim in listed}


def as_declared(claims: ClaimsConfig | None, declarations: Mapping[str, Declaration]) -> ClaimsConfig | None:
    """The claims with the dates and the rules that count."""
    if claims is None:
        return None
    return claims.model_copy(update={"claim": tuple(declarations[c.id].claim for c in claims.claim)})


def archived_verdicts(archive: Archive, city: str, read: Sequence[Archived] = ()) -> list[Archived]:
    """All verdicts ever recorded of a city, oldest first; those `read` before are not read again."""
    known = {one.digest: one.document for one in read}
    current = archive.find(kind="verdict", prefix=f"verdict/{city}/")
    records = [record for one in current for record in archive.history(one.key)]
    return [
        Archived(
            record.recorded_at,
            known.get(record.digest) or json.loads(archive.load_document(record.digest)),
            record.digest,
        )
        for record in sorted(records, key=lambda record: (record.recorded_at, record.key))
    ]


def earlier(claim: ClaimSection, city: CityConfig, archived: Sequence[Archived]) -> list[dict[str, Any]]:
    """The archived verdicts of a claim, oldest first, under whatever id.

    A claim is the same under its own id, or under another with the same content, as long as it is about the
    same time: its period, or its last epoch, overlaps.  Claims that were first looked at in one run were
    declared beside each other, and are two.
    """
    own_time = period_of(claim, city)
    alike = [a for a in archived if _same_time(own_time, a.document) and _same_content(claim, a.document)]
    since: dict[str, datetime] = {}
    for one in alike:
        since.setdefault(one.document["claim"], one.recorded_at)
    mine = [
        a
        for a in alike
        if a.document["claim"] == claim.id or since[a.document["claim"]] != since.get(claim.id)
    ]
    return [a.document for a in sorted(mine, key=lambda a: (a.recorded_at, a.document["claim"] != claim.id))]


def stated_value(claim: ClaimSection) -> float:
    """What is claimed; of a level in t a⁻¹, unless its unit is none of a total of its gas."""
    value = float(claim.value or 0.0)
    if claim.kind == "level":
        with suppress(UnitError):  # the gate says so
            value *= units.total_factor(str(claim.unit), claim.species)
    return value


def _declaration(claim: ClaimSection, city: CityConfig, verdicts: Sequence[Document]) -> Declaration:
    first = next((v for v in verdicts if _declares(v)), None)
    now = look_dates(claim, city)
    if first is None:
        return Declaration(claim, (), claim.id, "")
    worth = first["evaluation"]
    then = tuple(date.fromisoformat(day) for day in worth.get("declared", ()))
    alias = "" if first["claim"] == claim.id else f", which was '{first['claim']}' then,"
    note = f"Claim '{claim.id}'{alias} was first looked at on {worth['as_of']}, with {_listed(then)} declared"
    if then == now and worth["rule"] == (rule_of(claim) if now else None):
        return Declaration(claim, (), first["claim"], f"{note}: one claim, one error." if alias else "")
    late = tuple(day for day in now if day not in then)
    lost = tuple(day for day in then if day not in now)
    note += f" ({worth['rule']})" if then else ""
    note += ". That counts; its file has changed since"
    note += f", and {_listed(late)} came too late to be final" if late else ""
    note += f", and {_listed(lost)} stays a look" if lost else ""
    return Declaration(claim.model_copy(update=_times(then, worth["rule"])), late, first["claim"], f"{note}.")


def _declares(verdict: Document) -> bool:
    """Whether it showed a number, and says what was declared by then (an older version did not)."""
    worth = verdict["evaluation"]
    return verdict["verdict"] != NOT_COMPARABLE and ("declared" in worth or worth["status"] == UNDECLARED)


def _times(dates: tuple[date, ...], rule: str | None) -> dict[str, Any]:
    """The keys of a claims file that declare the dates."""
    days = tuple(day.isoformat() for day in dates)
    if rule in (None, "bonferroni"):
        return {"evaluate_on": days, "spending": None}
    return {"evaluate_on": (), "spending": SpendingSection(rule=rule, looks=days)}


def _same_time(period: Interval | None, verdict: Document) -> bool:
    return period is None or any(period.overlaps(Interval.parse(*p)) for p in verdict["periods"][-1:])


def _same_content(claim: ClaimSection, verdict: Document) -> bool:
    """Whether it is about the same quantity and number; or has the same id, whatever else was edited.

    The margin is not asked: what counts as much is agreed before anybody looks.
    """
    if verdict["claim"] == claim.id:
        return True
    claimed = verdict["claimed"]
    return (
        _subject(claim.model_dump()) == _subject(verdict)
        and (claim.kind == "source" or claimed["reading"] == claim.read_as)
        and (verdict.get("place") or [None, None]) == [claim.lon_deg, claim.lat_deg]
        and isclose(claimed["value"] or 0.0, stated_value(claim), rel_tol=1e-6)
    )


def _subject(stated: Document) -> tuple[object, ...]:
    lists = (tuple(stated.get(key) or ()) for key in ("sectors", "of_sectors"))
    return (*(stated.get(key) for key in ("kind", "species", "region", "scope", "of_region")), *lists)


def _listed(days: Sequence[date]) -> str:
    return ", ".join(day.isoformat() for day in days) or "no date"
