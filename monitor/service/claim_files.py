"""A claims file beside its city: every fault, how far the data reach, and what is known of each claim."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from monitor.archive import Archive, utcnow
from monitor.compare.adjustments import WORDS, adjustments_of, declares
from monitor.config import CityConfig, ClaimsConfig, ClaimSection, claims_path, listed, load_city, load_claims
from monitor.domain import Interval
from monitor.errors import ConfigError, MonitorError, UsageError
from monitor.plugins import get_reader
from monitor.service.evaluation import declared_dates, look_dates, period_of

Days = Mapping[str, frozenset[date]]


@dataclass(frozen=True)
class ClaimFiles:
    """A claims file and the city file beside it, if there is one."""

    path: Path
    claims: ClaimsConfig
    city_path: Path | None
    city: CityConfig | None

    def named(self, claim_id: str) -> ClaimSection:
        """The claim of that id; `UsageError` when there is none."""
        found = {claim.id: claim for claim in self.claims.claim}
        if claim_id not in found:
            raise UsageError(
                f"no claim is called '{claim_id}'", expected=", ".join(found), where=str(self.path)
            )
        return found[claim_id]


def load_claim_files(path: Path) -> ClaimFiles:
    """From ``claims/<id>.toml`` or ``cities/<id>.toml``.

    Raises
    ------
    ConfigError
        Listing every fault of the file that is wrong.
    """
    is_city = path.absolute().parent.name == "cities"
    city_path = path if is_city else path.absolute().parent.parent / "cities" / path.name
    city = load_city(city_path) if city_path.exists() else None
    own = claims_path(path.absolute()) if is_city else path
    return ClaimFiles(own, load_claims(own), city_path if city else None, city)


# --- faults ---------------------------------------------------------------------------------------------


def faults_beside(files: ClaimFiles) -> list[str]:
    """What the claims name that the city file does not have; nothing without a city file."""
    return [fault for claim in files.claims.claim for fault in _faults_of(claim, files)]


def ensure_beside(files: ClaimFiles, more: Sequence[str] = ()) -> None:
    """Raise one `ConfigError` that lists what the claims name and the city lacks, and what `more` says."""
    if faults := [*faults_beside(files), *more]:
        raise ConfigError(
            listed("in the claims", faults),
            where=str(files.path),
            remedy="correct each; `monitor config schema claims` prints what is allowed",
        )


def _faults_of(claim: ClaimSection, files: ClaimFiles) -> Iterator[str]:
    city = files.city
    if city is None or files.city_path is None:
        return
    where, name = files.city_path.name, f"claim '{claim.id}'"
    regions, epochs = {r.id for r in city.region} or {"window"}, {e.id: e.interval() for e in city.epoch}
    for key in ("region", "of_region"):
        region = getattr(claim, key)
        if region is not None and region not in regions:
            yield f"{name}: {key} '{region}' is not declared in {where}"
    if claim.species not in (*city.city.species, "co2e"):
        yield f"{name}: the city does not follow {claim.species}"
    lost = [epoch for epoch in claim.epochs if epoch not in epochs]
    for epoch in lost:
        yield f"{name}: epoch '{epoch}' is not declared in {where}"
    if claim.period is not None and epochs:
        period = Interval.parse(*claim.period)
        if not any(epoch.contains(period) for epoch in epochs.values()):
            yield f"{name}: period {period} lies in no epoch of {where}"
    inventories = {i.id for i in city.inventory}
    if claim.where.startswith("inventory ") and claim.where.removeprefix("inventory ") not in inventories:
        yield f"{name}: where names '{claim.where}', which {where} does not have"
    if not lost:
        try:
            look_dates(claim, city)
        except MonitorError as error:
            yield str(error)


# --- the data -------------------------------------------------------------------------------------------


def days_of_data(city: CityConfig, archive: Archive) -> Days:
    """The days with observations that an inversion uses, by gas, of what the archive has taken in."""
    from monitor.service.entries import read_sheets

    return _days(city, read_sheets(archive, city.city.id))


def days_of_files(city: CityConfig, data_root: Path) -> Days:
    """The same of files below a data folder; they are read into an archive that is thrown away."""
    from monitor.service.intake import IntakeOptions, prepare_intake

    observed = tuple(s for s in _used(city) if get_reader(s.reader).kind == "observations")
    part = city.model_copy(update={"source": observed, "inventory": ()})
    with tempfile.TemporaryDirectory(prefix="claims-") as folder, Archive.open(Path(folder)) as archive:
        found = prepare_intake(archive, part, data_root, IntakeOptions(None, utcnow()))
    return _days(city, found.sheets)


def _used(city: CityConfig) -> list[Any]:
    return [source for source in city.source if source.role == "inversion"]


def _days(city: CityConfig, sheets: Mapping[str, dict[str, Any]]) -> Days:
    used = {source.id for source in _used(city)}
    days: dict[str, set[date]] = {gas: set() for gas in city.city.species}
    for key, sheet in sheets.items():
        if key.split("/")[2] in used:
            for group, digests in sheet["days"].items():
                days.get(group, set()).update(date.fromisoformat(day) for day in digests)
    return {gas: frozenset(found) for gas, found in days.items()}


@dataclass(frozen=True)
class Reach:
    """How many days of one period of a claim have data."""

    claim: str
    period: Interval
    seen: int
    days: int

    def as_json(self) -> dict[str, Any]:
        return {
            "claim": self.claim,
            "period": self.period.as_json(),
            "days_with_data": self.seen,
            "days": self.days,
        }


def reach_of(claim: ClaimSection, city: CityConfig, days: Days) -> list[Reach]:
    """Of each epoch, or of the period, of a claim."""
    declared = {epoch.id: epoch.interval() for epoch in city.epoch}
    periods = [declared[name] for name in claim.epochs if name in declared]
    if not claim.epochs and (period := period_of(claim, city)) is not None:
        periods = [period]
    seen = days.get(claim.species, frozenset().union(*days.values()))
    return [Reach(claim.id, p, len(_days_in(p) & seen), len(_days_in(p))) for p in periods]


def faults_of_reach(reaches: Sequence[Reach], days: Days) -> list[str]:
    """The periods that have no data at all."""
    seen = sorted(frozenset().union(*days.values()))
    span = f"{seen[0]} … {seen[-1]}" if seen else "there are none"
    return [
        f"claim '{r.claim}': period {r.period} lies outside the data ({span})" for r in reaches if not r.seen
    ]


def _days_in(period: Interval) -> frozenset[date]:
    first, last = period.start.date(), (period.end - timedelta(microseconds=1)).date()
    return frozenset(first + timedelta(days=k) for k in range((last - first).days + 1))


# --- one claim ------------------------------------------------------------------------------------------


def next_date(claim: ClaimSection, city: CityConfig | None, today: date) -> date | None:
    """The next declared date from `today` on; None without one, or where it takes a city file to tell."""
    if city is None and claim.spending is not None:
        return None
    dates = look_dates(claim, city) if city is not None else declared_dates(claim)
    return next((d for d in dates if d >= today), None)


def gate_rows(claim: ClaimSection) -> list[dict[str, Any]]:
    """What the gate asks: each item, what the claim says of it, and what declares a difference."""
    stated = adjustments_of(claim.adjustments)
    return [
        {
            "item": item,
            "claim_says": says,
            "declared_by_the_word": list(WORDS.get(item, ())),
            "declared": [a.text for a in stated if declares(a, item)],
        }
        for item, says in _said(claim)
    ]


_INCLUDED = {True: "included", False: "excluded", None: None}


def _said(claim: ClaimSection) -> Iterator[tuple[str, Any]]:
    yield "gas", claim.species
    yield "gwp", claim.gwp
    yield "scope", claim.scope
    yield "biogenic part", _INCLUDED[claim.includes_biogenic]
    yield "respiration", _INCLUDED[claim.includes_respiration]
    yield "basis", claim.basis
    yield "region", claim.region_area_km2
    yield "unit", claim.unit
    yield "period", list(claim.epochs) or list(claim.period or ())
    yield "months", list(claim.months)
    yield "coverage", claim.coverage
    yield "denominator", claim.divided_by
    yield "base", claim.base_year
