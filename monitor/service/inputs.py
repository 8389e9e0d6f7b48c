"""What an interval's answer stands on: its digest, whether it suffices, and the data themselves.

The input digest is taken over the days of the window (from the intake sheets), the inventories and the
configuration.  A file that brings nothing new for the window leaves it as it was; a late or revised one
changes it, and the interval becomes due again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import xarray as xr

from monitor.archive import Archive, ObjectRecord
from monitor.config import CityConfig, ClaimsConfig, config_digest
from monitor.domain import Interval, iso_z
from monitor.errors import MissingInputError
from monitor.plugins import get_reader
from monitor.service import months as calendar
from monitor.service.entries import FOOTPRINTS, as_document, flux_key, read_sheets, sheet_key, table_key

if TYPE_CHECKING:
    from monitor.service.analysis import CityData


@dataclass(frozen=True)
class Inputs:
    """The inputs of one interval.

    `days` is source → gas (or "footprints") → day → digest of its rows; `inventories` is id → digest of
    the archived flux, and `tables` of the rows of a table; `window` is the time whose data are used; `as_of`
    is the day of the evaluation, where it is not that of the data.
    """

    interval: Interval
    window: Interval
    days: Mapping[str, Mapping[str, Mapping[str, str]]]
    inventories: Mapping[str, str]
    config: str
    as_of: str | None = None
    tables: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The inputs as one JSON-ready object."""
        return {
            "interval": self.interval.as_json(),
            "window": self.window.as_json(),
            "days": self.days,
            "inventories": self.inventories,
            "configuration": self.config,
            **({"tables": self.tables} if self.tables else {}),
            **({"as_of": self.as_of} if self.as_of else {}),
        }

    @property
    def whole_digests(self) -> tuple[str, ...]:
        """The digests of the inventories and the tables."""
        return (*self.inventories.values(), *self.tables.values())

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(as_document(self.as_json())).hexdigest()


def window_of(interval: Interval, window_days: float | None) -> Interval:
    """The time whose data answer for `interval`: back from its end, and at least the interval itself."""
    if window_days is None:
        return interval
    return Interval(min(interval.start, interval.end - timedelta(days=window_days)), interval.end)


def inputs_key(city: str, interval: Interval, as_of: date | None = None) -> str:
    """The archive key of an interval's inputs."""
    return f"inputs/{city}/{span(interval, as_of)}"


def span(interval: Interval, as_of: date | None = None) -> str:
    """The interval as a part of a key; an evaluation on a day of its own stands beside that of the data."""
    when = f"_as-of_{as_of.isoformat()}" if as_of is not None else ""
    return f"{iso_z(interval.start)}_{iso_z(interval.end)}{when}"


def find_inputs(
    archive: Archive,
    city: CityConfig,
    claims: ClaimsConfig | None,
    interval: Interval,
    window: Interval,
    *,
    sheets: Mapping[str, dict[str, Any]] | None = None,
    whole: Mapping[str, str] | None = None,
) -> Inputs:
    """The inputs of `interval` as the archive has them.

    `sheets` and `whole` (digests of inventories and tables), both by key, stand before the archive's: what an
    intake is about to record, or what the caller has read already.
    """
    sheets = read_sheets(archive, city.city.id) | dict(sheets or {})
    days: dict[str, dict[str, dict[str, str]]] = {}
    first, last = str(window.start.date()), str((window.end - timedelta(microseconds=1)).date())
    for source in city.source:
        for month in calendar.months_touched(window):
            key = sheet_key(city.city.id, source.id, month)
            for group, digests in sheets.get(key, {"days": {}})["days"].items():
                known = days.setdefault(source.id, {}).setdefault(group, {})
                known |= {day: digest for day, digest in digests.items() if first <= day <= last}
    inventories = {i.id: flux_key(city.city.id, i.id) for i in city.inventory}
    tables = {t.id: table_key(city.city.id, t.id) for t in city.table}
    found = _digests(archive, [*inventories.values(), *tables.values()], whole or {})
    models = [city] if claims is None else [city, claims]
    return Inputs(
        interval,
        window,
        days,
        {name: found[key] for name, key in inventories.items() if key in found},
        config_digest(*models),
        tables={name: found[key] for name, key in tables.items() if key in found},
    )


def _digests(archive: Archive, keys: list[str], read: Mapping[str, str]) -> dict[str, str]:
    """The digest of what is under each key, of those that there are."""
    records = {key: archive.current(key) for key in keys if key not in read}
    return {**read, **{key: record.digest for key, record in records.items() if record is not None}}


def ensure_sufficient(city: CityConfig, inputs: Inputs) -> list[str]:
    """Warnings about sources without data in the window.

    Raises
    ------
    MissingInputError
        When an inventory is missing, or a gas has no observations, or there are no footprints.
    """
    lacking = [inventory.id for inventory in city.inventory if inventory.id not in inputs.inventories]
    if lacking:
        raise MissingInputError(
            f"inventories are missing: {', '.join(lacking)}",
            expected="every [[inventory]] of the city file",
            where=city.city.id,
            remedy="put the files below the data folder and run again",
        )
    have = {(s, group) for s, groups in inputs.days.items() for group, days in groups.items() if days}
    used = [source for source in city.source if source.role == "inversion"]
    series = [source for source in used if get_reader(source.reader).kind == "observations"]
    maps = [source for source in used if get_reader(source.reader).kind == FOOTPRINTS]
    for gas in city.city.species:
        if not any((source.id, gas) in have for source in series):
            raise _nothing(f"observations of {gas}", [source.id for source in series], inputs.window)
    if not any((source.id, FOOTPRINTS) in have for source in maps):
        raise _nothing("footprints", [source.id for source in maps], inputs.window)
    with_data = {source for source, _ in have}
    return [f"source '{s.id}' has no data in {inputs.window}" for s in city.source if s.id not in with_data]


def ensure_maps_reach(archive: Archive, city: CityConfig, inputs: Inputs) -> None:
    """Raise `MissingInputError` when a map of several times ends before the last day that is to be inverted.

    Files of one map follow each other in time, so it ends with the last of them.
    """
    last = max((_last_day(city, inputs, gas) for gas in city.city.species), default="")
    for section in city.inventory:
        same = [i for i in city.inventory if (i.map_id, i.sector) == (section.map_id, section.sector)]
        records = [archive.current(flux_key(city.city.id, i.id)) for i in same]
        ends = [record.valid.end for record in records if record is not None and record.valid is not None]
        if section.role != "prior" or len(ends) < len(same) or not last:
            continue  # a single time is taken as constant
        if max(ends) <= datetime.fromisoformat(last):
            paths = ", ".join(i.path for i in same)
            raise MissingInputError(
                f"the map of inventory '{section.id}' has run out",
                expected=f"fluxes of {last}, the last day with data",
                found=f"none after {iso_z(max(ends))} in {paths}",
                where=city.city.id,
                remedy="put a file that goes on at that path, or add an [[inventory]] of the same `map`",
            )


def _last_day(city: CityConfig, inputs: Inputs, gas: str) -> str:
    """The last day with observations of the gas and footprints, that an inversion uses; empty without any."""
    used = [inputs.days.get(source.id, {}) for source in city.source if source.role == "inversion"]
    seen, mapped = (frozenset[str]().union(*(days.get(g, ()) for days in used)) for g in (gas, FOOTPRINTS))
    return max(seen & mapped, default="")


def _nothing(what: str, sources: list[str], window: Interval) -> MissingInputError:
    return MissingInputError(
        f"there are no {what} for the interval",
        expected=f"rows of {', '.join(sources) or 'a source with role inversion'} in {window}",
        found="none",
        remedy="check the interval, the data folder, and `path` and `pattern` of these sources;"
        " `monitor status` lists quarantined files",
    )


def load_data(archive: Archive, city: CityConfig, window: Interval) -> tuple[CityData, list[dict[str, Any]]]:
    """The data of the window, and what they come from: kind, key, digest and source files of each object."""
    from monitor.service.analysis import CityData

    observations: dict[str, xr.Dataset] = {}
    footprints: dict[str, xr.Dataset] = {}
    inventories: dict[str, xr.Dataset] = {}
    tables: dict[str, xr.Dataset] = {}
    objects: list[dict[str, Any]] = []
    single = len(city.city.species) == 1
    sheets = read_sheets(archive, city.city.id)
    months = _month_records(archive, city.city.id, window)
    for source in city.source:
        for group in (FOOTPRINTS, *city.city.species):
            records = months.get((source.id, group), [])
            rows = _rows_of(archive, records, window)
            if rows is None:
                continue
            objects += [_provenance(sheets, city.city.id, source.id, record) for record in records]
            if group == FOOTPRINTS:
                footprints[source.id] = rows
            else:
                observations[source.id if single or source.species else f"{source.id}.{group}"] = rows
    for inventory in city.inventory:
        record = archive.current(flux_key(city.city.id, inventory.id))
        if record is not None:
            inventories[inventory.id] = archive.load(record.digest)
            objects.append(_described(record, [inventory.path]))
    for table in city.table:
        record = archive.current(table_key(city.city.id, table.id))
        if record is not None:
            tables[table.id] = archive.load(record.digest)
            objects.append(_described(record, [table.path]))
    return CityData(observations, footprints, inventories, tables), objects


def _month_records(
    archive: Archive, city: str, window: Interval
) -> dict[tuple[str, str], list[ObjectRecord]]:
    """The archived months that the window touches, ascending, by source and gas (or "footprints")."""
    found: dict[tuple[str, str], list[ObjectRecord]] = {}
    for record in archive.find(prefix=f"observations/{city}/", valid_overlaps=window):
        _, _, source, group, _ = record.key.split("/")
        found.setdefault((source, group), []).append(record)
    for record in archive.find(prefix=f"footprints/{city}/", valid_overlaps=window):
        _, _, source, _ = record.key.split("/")
        found.setdefault((source, FOOTPRINTS), []).append(record)
    return found


def _rows_of(archive: Archive, records: list[ObjectRecord], window: Interval) -> xr.Dataset | None:
    """The rows of the window in these months, None when there are none."""
    if not records:
        return None
    rows = calendar.within(calendar.joined_months([archive.load(r.digest) for r in records]), window)
    return rows if rows.sizes[calendar.row_dim(rows)] else None


def _provenance(
    sheets: Mapping[str, dict[str, Any]], city: str, source: str, record: ObjectRecord
) -> dict[str, Any]:
    """An archived month with the names of the files it was made from."""
    files = sheets[sheet_key(city, source, record.key.rsplit("/", 1)[1])]["files"]
    return _described(
        record, sorted({files[sha256]["name"] for sha256 in record.made_from if sha256 in files})
    )


def _described(record: ObjectRecord, names: list[str]) -> dict[str, Any]:
    return {"kind": record.kind, "key": record.key, "digest": record.digest, "source_files": names}
