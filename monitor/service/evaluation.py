"""When a claim is judged for good, and at which level: its declared dates, or its spending rule.

A verdict is final on a declared date alone, and from the data up to that date: one look, one set of data.
Between the dates the estimate is shown, but nothing is answered: who looks every day and believes the first
yes is misled sooner or later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Any

from monitor.compare.looks import ALPHA, ONCE, Look, family_rate, plan, plan_apart
from monitor.compare.statistics import LEVEL
from monitor.config import CityConfig, ClaimsConfig, ClaimSection
from monitor.domain import Interval, parse_utc
from monitor.errors import UsageError

#: Nothing was declared: the level holds for whoever looks once.
UNDECLARED = "undeclared"
FINAL, PREVIEW = "final", "preview"
#: Of a look that was taken before, from other data.
REVISION = "revision"


@dataclass(frozen=True)
class Evaluation:
    """What a verdict reached on a day is worth.

    Attributes
    ----------
    status : str
        "final" on a declared date from the data up to it, "preview" otherwise, "undeclared" when the claim
        has no dates.
    rule : str or None
        How several looks share the error.
    look : Look or None
        The look that the day is; None for a preview.
    following : date or None
        The next date after this one.
    information : float or None
        Gathered by the look before, of that of this one; None where the level does not depend on it.
    dates : tuple of date
        All that are declared, by which a later evaluation knows them (`monitor.service.declared`).
    """

    status: str
    as_of: date
    rule: str | None
    look: Look | None
    following: date | None
    information: float | None = None
    dates: tuple[date, ...] = ()

    @property
    def level(self) -> float:
        """Of the interval: what the look is granted, else 95 %."""
        return LEVEL if self.look is None or self.look.of == 1 else self.look.level

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "as_of": self.as_of.isoformat(),
            "rule": self.rule,
            "look": self.look.number if self.look else None,
            "looks": self.look.of if self.look else None,
            "time": self.look.time if self.look else None,
            "information": self.information,
            "next": self.following.isoformat() if self.following else None,
            "declared": [day.isoformat() for day in self.dates],
        }


def evaluation_of(claim: ClaimSection, city: CityConfig, data: Interval, as_of: date | None) -> Evaluation:
    """What a verdict from the data of an interval is worth.

    Parameters
    ----------
    as_of
        The day of the evaluation.  If absent it is the end of the data; and where these end with the claim's
        period, so that no more of it can come, the first declared date after it.  A date is final only for
        the data that it waits for: those that end on it, unless they hold the whole period.
    """
    dates = look_dates(claim, city)
    day = as_of or _day_served(dates, claim, city, data)
    following = next((d for d in dates if d > day), None)
    if not dates:
        return Evaluation(UNDECLARED, day, None, ONCE, None)
    if day not in dates or not _is_of(day, claim, city, data):
        return Evaluation(PREVIEW, day, rule_of(claim), None, following, dates=dates)
    # how a search depends on an earlier one of fewer windows is not known
    planned = plan_apart if claim.kind == "source" else plan
    looks = planned(rule_of(claim), _times(claim, city, dates))
    return Evaluation(FINAL, day, rule_of(claim), looks[dates.index(day)], following, dates=dates)


def elapsed_at_looks(evaluation: Evaluation, claim: ClaimSection, city: CityConfig) -> list[timedelta]:
    """How much of the period was over at each look until this one, where its level depends on that."""
    period, number = period_of(claim, city), evaluation.look.number if evaluation.look else 1
    if period is None or claim.kind == "source" or number == 1 or rule_of(claim) == "bonferroni":
        return []
    return [min(_midnight(d), period.end) - period.start for d in look_dates(claim, city)[:number]]


def with_information(
    evaluation: Evaluation, claim: ClaimSection, city: CityConfig, gathered: Sequence[float]
) -> Evaluation:
    """At the level that the look is granted by what was known at each look until this one (1/σ²).

    Information that came earlier than the calendar says is not counted: what was observed early may have been
    read late, and then that look did not have it.
    """
    if not gathered:
        return evaluation
    times = _times(claim, city, look_dates(claim, city))
    last, now = times[len(gathered) - 1], gathered[-1] or 1.0
    known = [min(own / now, t / last) for own, t in zip(gathered, times, strict=False)]
    return replace(evaluation, look=plan(rule_of(claim), times, known)[-1], information=known[-2])


def look_dates(claim: ClaimSection, city: CityConfig) -> tuple[date, ...]:
    """The declared dates of a claim, ascending; none where it declares nothing.

    A number of looks is spread evenly over the claim's period, each at the end of a day.

    Raises
    ------
    UsageError
        When a number of looks has no period to be spread over, or a look comes before the period.
    """
    if claim.spending is None:
        return declared_dates(claim)
    looks, period = claim.spending.looks, period_of(claim, city)
    if period is None:
        raise UsageError(
            f"claim '{claim.id}': looks need a period that they share",
            expected="`period`, or epochs that the city file declares",
            remedy="give the claim a period, or dates to `evaluate_on`",
        )
    if isinstance(looks, int):
        length = (period.end - period.start) / looks
        ends = [period.start + (k + 1) * length for k in range(looks)]
        days = tuple(dict.fromkeys(_day_after(end) for end in ends))
    else:
        days = tuple(_day(text) for text in looks)
    if days[0] <= period.start.date():
        raise UsageError(
            f"claim '{claim.id}': a look comes before its period",
            expected=f"after {period.start.date()}",
            found=days[0].isoformat(),
        )
    return days


def declared_dates(claim: ClaimSection) -> tuple[date, ...]:
    """The dates of `evaluate_on`."""
    return tuple(_day(text) for text in claim.evaluate_on)


def period_of(claim: ClaimSection, city: CityConfig) -> Interval | None:
    """The time over which what is claimed is still being observed: its period, or its last epoch."""
    if claim.period is not None:
        return Interval.parse(*claim.period)
    return next((e.interval() for e in city.epoch if claim.epochs and e.id == claim.epochs[-1]), None)


def looks_early(claim: ClaimSection, city: CityConfig) -> bool:
    """Whether a declared look comes before the claim's period has ended."""
    period, dates = period_of(claim, city), look_dates(claim, city)
    return period is not None and bool(dates) and _midnight(dates[0]) < period.end


def cut_epochs(city: CityConfig, claims: Sequence[ClaimSection], data: Interval) -> CityConfig:
    """The city with the epochs cut at the end of the data that some claim looks at before they end.

    The epochs that a change or a trend is measured from are cut to the same part of their season: half an
    autumn is compared with the same half of another.  One that another claim is about stays whole.
    """
    ends: dict[str, datetime] = {}
    for claim in claims:
        period = period_of(claim, city)
        if period is None or data.end >= period.end or not looks_early(claim, city):
            continue
        ends |= {e.id: data.end for e in city.epoch if e.interval().contains(period)}
        for epoch in city.epoch:
            if epoch.id in (claim.epochs or ())[:-1] and not _is_claimed(epoch.interval(), claims):
                ends[epoch.id] = epoch.interval().start + (data.end - period.start)
    epochs = tuple(
        e.model_copy(update={"end": ends[e.id].isoformat()})
        if e.id in ends and e.interval().start < ends[e.id] < e.interval().end
        else e
        for e in city.epoch
    )
    return city.model_copy(update={"epoch": epochs})


def _is_claimed(epoch: Interval, claims: Sequence[ClaimSection]) -> bool:
    """Whether the period of a claim lies in the epoch."""
    return any(c.period is not None and epoch.contains(Interval.parse(*c.period)) for c in claims)


def family_of(claims: ClaimsConfig | None, city: CityConfig) -> dict[str, Any]:
    """How often at least one of a city's claims is answered wrongly, if each errs as often as it says."""
    listed = claims.claim if claims else ()
    at_most, independent = family_rate(len(listed))
    undeclared = sum(not look_dates(claim, city) for claim in listed)
    return {
        "claims": len(listed),
        "error_each": ALPHA,
        "at_most": at_most,
        "if_independent": independent,
        "undeclared": undeclared,
    }


def family_text(family: dict[str, Any]) -> str:
    """The family-wise rate in words."""
    n = family["claims"]
    if n == 0:
        return ""
    text = (
        f"{n} claim{'s' if n > 1 else ''}, each with an error of at most {family['error_each']:.0%}: at "
        f"least one interval misses in at most {family['at_most']:.0%} of such cities"
    )
    text += f" ({family['if_independent']:.0%} if they are independent)" if n > 1 else ""
    if family["undeclared"]:
        text += f"; {family['undeclared']} without declared dates, for which it holds if looked at once"
    return text + "."


def rule_of(claim: ClaimSection) -> Any:
    """How its looks share the error."""
    return claim.spending.rule if claim.spending is not None else "bonferroni"


def _times(claim: ClaimSection, city: CityConfig, dates: tuple[date, ...]) -> list[float]:
    """When each look is, of the time from the period's beginning to the last look."""
    period = period_of(claim, city)
    if claim.spending is None or period is None:
        return [(k + 1) / len(dates) for k in range(len(dates))]
    whole = _midnight(dates[-1]) - period.start
    return [(_midnight(d) - period.start) / whole for d in dates]


def _day_served(dates: tuple[date, ...], claim: ClaimSection, city: CityConfig, data: Interval) -> date:
    end, period = _day_after(data.end), period_of(claim, city)
    following = next((d for d in dates if d >= end), None)
    if following is None or period is None or period.end != data.end:
        return end
    first = next(d for d in dates if _midnight(d) >= period.end)
    return following if following == first else end


def _is_of(day: date, claim: ClaimSection, city: CityConfig, data: Interval) -> bool:
    """Whether the data are those of the look: they end on its day, or no more of the period can come."""
    period = period_of(claim, city)
    return day == _day_after(data.end) or (period is not None and data.end >= period.end)


def _day(text: str) -> date:
    return parse_utc(text).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _day_after(moment: datetime) -> date:
    """The day at whose beginning all before `moment` is known."""
    return moment.date() + timedelta(days=ceil((moment - _midnight(moment.date())) / timedelta(days=1)))
