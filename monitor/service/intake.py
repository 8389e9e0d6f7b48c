"""Files to archived months: read what is new, flag it, merge it, and remember what came from where.

Two kinds of archive entries are made here: the months themselves
(``observations/<city>/<source>/<gas>/<yyyy-mm>``, ``footprints/<city>/<source>/<yyyy-mm>``,
``flux/<city>/<inventory>``, ``table/<city>/<table>``) and, per source and month, an intake sheet
(``intake/<city>/<source>/<yyyy-mm>``): the files that speak about the month, and a digest of the rows of
each day.  From the sheets alone one can tell what an interval's answer stands on.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sqlalchemy import func, select

from monitor.archive import Archive, ObjectRecord, Transaction, utcnow
from monitor.archive.models import SourceFileRow
from monitor.config import CityConfig, SourceSection, config_digest
from monitor.errors import ConfigError, InputError, MissingInputError, UsageError
from monitor.ingest import SourceFile, apply_quality, list_files
from monitor.plugins import ReadContext, Reader, get_reader
from monitor.service import months as calendar
from monitor.service.entries import (
    FOOTPRINTS,
    Entry,
    as_document,
    data_key,
    read_sheet,
    record_entries,
    sheet_key,
    store_entries,
)
from monitor.service.ledger import Claim
from monitor.service.taken import Failure, FileNote, Intake, scope_of
from monitor.service.whole_files import take_inventory, take_table

_BAD = "bad"


@dataclass(frozen=True)
class IntakeOptions:
    """`months` to take in, None for all; `now` judges rows from the future.

    With `skip_known_bad`, as a scheduler works, a file that failed before is not read again; those in
    `skip` are not read now.
    """

    months: tuple[str, ...] | None
    now: datetime
    skip_known_bad: bool = False
    skip: frozenset[Path] = frozenset()


def prepare_intake(archive: Archive, city: CityConfig, data_root: Path, options: IntakeOptions) -> Intake:
    """Read every file that has not been read for these months, and merge it in memory.

    A bad file becomes a `Failure`; the other files go on.  Only a wrong configuration raises.
    """
    parts = [_take_source(archive, city, source, data_root, options) for source in city.source]
    parts += [take_inventory(archive, city, inventory, data_root) for inventory in city.inventory]
    parts += [take_table(archive, city, table, data_root) for table in city.table]
    return Intake(
        entries=tuple(entry for part in parts for entry in part.entries),
        notes=tuple(note for part in parts for note in part.notes),
        failures=tuple(failure for part in parts for failure in part.failures),
        refused=tuple(note for part in parts for note in part.refused),
        warnings=tuple(warning for part in parts for warning in part.warnings),
        sheets={key: sheet for part in parts for key, sheet in part.sheets.items()},
    )


def note_files(tx: Transaction, intake: Intake, records: dict[str, ObjectRecord]) -> None:
    """Note the files of `intake` as read, in the transaction that records what came of them."""
    for note in intake.notes:
        digests = [records[key].digest for key in note.keys]
        tx.note_file(note.scope, note.file.path.name, note.file.sha256, note.file.size, "ingested", digests)


def quarantine_failures(archive: Archive, intake: Intake) -> None:
    """Keep the bytes of every bad file with its reason, in a transaction apart from all else."""
    present = [failure for failure in intake.failures if failure.path.is_file()]
    if not present:
        return
    with archive.transaction() as tx:
        for failure in present:
            tx.quarantine(failure.path, failure.error)
        for note in intake.refused:
            tx.note_file(note.scope, note.file.path.name, note.file.sha256, note.file.size, "quarantined")


def commit_intake(
    archive: Archive,
    intake: Intake,
    *,
    config: str,
    manifest: Entry | None = None,
    claim: Claim | None = None,
) -> None:
    """Store what `intake` holds, then record all of it in one transaction, with the step's end."""
    if intake.is_empty and claim is None:
        return
    entries = [*intake.entries, *([manifest] if manifest is not None and claim is not None else [])]
    stored = store_entries(archive, entries)
    with archive.transaction() as tx:
        records = record_entries(tx, stored, config=config)
        note_files(tx, intake, records)
        if claim is not None:
            claim.done(tx, [records[manifest.key].digest] if manifest is not None else [])


def keep_file(archive: Archive, city: CityConfig, source_id: str, path: Path) -> dict[str, Any]:
    """Take one file of a source into the archive, all months of it; what was kept, JSON-ready.

    Raises
    ------
    UsageError
        When the city has no such source.
    InputError
        When the file cannot be used; it is in the quarantine then.
    """
    source = next((source for source in city.source if source.id == source_id), None)
    if source is None:
        raise UsageError(
            f"the city has no source '{source_id}'", expected=", ".join(s.id for s in city.source)
        )
    found = list_files(path.absolute().parent, glob.escape(path.name))
    if not found:
        raise MissingInputError("there is no such file", where=str(path))
    intake = take_files(archive, city, source, found, IntakeOptions(None, utcnow()))
    quarantine_failures(archive, intake)
    if intake.failures:
        raise intake.failures[0].error
    commit_intake(archive, intake, config=config_digest(city))
    return {
        "sha256": found[0].sha256,
        "new": not intake.is_empty,
        "archived": [entry.key for entry in intake.entries if entry.kind != "intake"],
    }


# --- sources -----------------------------------------------------------------------------------------


def _take_source(
    archive: Archive, city: CityConfig, source: SourceSection, data_root: Path, options: IntakeOptions
) -> Intake:
    try:
        found = list_files(data_root / source.path, source.pattern)
    except MissingInputError as error:
        return Intake(failures=(Failure(source.id, data_root / source.path, error),))
    taken = take_files(archive, city, source, found, options)
    if found:
        return taken
    missing = f"source '{source.id}': no file matches '{source.pattern}' in '{source.path or '.'}'"
    return replace(taken, warnings=(missing,))


def take_files(
    archive: Archive,
    city: CityConfig,
    source: SourceSection,
    found: Sequence[SourceFile],
    options: IntakeOptions,
) -> Intake:
    """Read those files of one source that were not read before, and merge them in memory."""
    reader = get_reader(source.reader)
    if reader.kind in ("flux", "table"):
        raise ConfigError(
            f"source '{source.id}' uses reader '{source.reader}', which reads inventories",
            expected="a reader of observations or footprints",
            remedy="declare a map as an [[inventory]], a table as a [[table]]",
        )
    scope = scope_of(city, source)
    batch = _Batch(_any_footprints(archive, city, source) if reader.kind == FOOTPRINTS else None)
    noted = _noted(archive, scope)
    for file in found:
        known = noted.get(file.sha256, set())
        todo = _months_to_read(known, options.months)
        skipped = file.path in options.skip or (options.skip_known_bad and _BAD in known)
        if todo != [] and not skipped:
            try:
                batch.add(file, _read_groups(city, source, reader, file, options.now), todo, scope)
            except InputError as error:
                batch.failures.append(Failure(source.id, file.path, error))
                batch.refused.append(FileNote(f"{scope}/{_BAD}", file))
    return _merged(archive, city, source, batch.as_intake(), batch.parts)


def _noted(archive: Archive, scope: str) -> dict[str, set[str]]:
    """What was noted about the files of a source: SHA-256 → months read, "span/first..last", "bad"."""
    begins = func.substr(SourceFileRow.source_id, 1, len(scope) + 1) == f"{scope}/"
    found: dict[str, set[str]] = {}
    with archive.database.reading() as session:
        for name, sha256 in session.execute(
            select(SourceFileRow.source_id, SourceFileRow.sha256).where(begins)
        ):
            found.setdefault(sha256, set()).add(name[len(scope) + 1 :])
    return found


def _months_to_read(known: set[str], months: Sequence[str] | None) -> list[str] | None:
    """Those of `months` for which a file must be read: not read yet, and not known to be outside its span.

    With None as `months`, all that the file has: None until it is known which those are.
    """
    spans = [text.removeprefix("span/").split("..") for text in known if text.startswith("span/")]
    if months is None:
        if not spans:
            return None
        months = calendar.months_between(*spans[0])
    return [m for m in months if m not in known and (not spans or any(a <= m <= b for a, b in spans))]


def _month_span(datasets: Sequence[xr.Dataset]) -> tuple[str, str]:
    """The first and the last month that a file has rows in; an empty file spans nothing."""
    middle = np.concatenate([calendar.middles(dataset) for dataset in datasets])
    if not middle.size:
        return "9999-99", "0000-00"
    months = middle.astype("datetime64[M]")
    return str(months.min()), str(months.max())


def _read_groups(
    city: CityConfig, source: SourceSection, reader: Reader, file: SourceFile, now: datetime
) -> dict[str, xr.Dataset]:
    """The datasets in one file, by gas, or under "footprints"."""
    station = city.station_named(source.station).as_domain() if source.station else None
    context = ReadContext(station=station, inlet_m=source.inlet_m, scale=source.scale, species=source.species)
    if reader.kind == FOOTPRINTS:
        return {FOOTPRINTS: reader.read(file.path, context)}
    gases = (source.species,) if source.species else city.city.species
    read = {gas: reader.read(file.path, replace(context, species=gas)) for gas in gases}
    return {gas: apply_quality(dataset, now=now) for gas, dataset in read.items()}


def _any_footprints(archive: Archive, city: CityConfig, source: SourceSection) -> xr.Dataset | None:
    """An archived month of this source, whose grid the new ones must have."""
    known = archive.find(kind=FOOTPRINTS, prefix=f"footprints/{city.city.id}/{source.id}/")
    return archive.load(known[0].digest) if known else None


class _Batch:
    """The months cut from the files of one source."""

    def __init__(self, reference: xr.Dataset | None) -> None:
        self.reference = reference
        self.parts: dict[tuple[str, str], list[calendar.Part]] = {}
        self.notes: list[FileNote] = []
        self.refused: list[FileNote] = []
        self.failures: list[Failure] = []

    def add(
        self, file: SourceFile, groups: dict[str, xr.Dataset], months: Sequence[str] | None, scope: str
    ) -> None:
        """Add one file; nothing of it is kept when it raises."""
        cut = {}
        first, last = _month_span(list(groups.values()))
        months = calendar.months_between(first, last) if months is None else months
        for group, dataset in groups.items():
            if group == FOOTPRINTS and self.reference is not None:
                calendar.ensure_same_grid(dataset, self.reference, where=str(file.path))
            self.reference = dataset if self.reference is None and group == FOOTPRINTS else self.reference
            version = _version(file, dataset)
            for month, rows in calendar.split_months(dataset, months).items():
                cut[group, month] = calendar.Part(rows, version)
        for at, part in cut.items():
            self.parts.setdefault(at, []).append(part)
        self.notes.append(FileNote(f"{scope}/span/{first}..{last}", file))
        self.notes += [FileNote(f"{scope}/{month}", file) for month in months if first <= month <= last]

    def as_intake(self) -> Intake:
        return Intake(notes=tuple(self.notes), failures=tuple(self.failures), refused=tuple(self.refused))


def _version(file: SourceFile, dataset: xr.Dataset) -> calendar.FileVersion:
    modified = datetime.fromtimestamp(file.mtime_ns // 10**9, UTC).replace(tzinfo=None)
    return calendar.FileVersion(
        level=calendar.product_level(dataset.attrs),
        created=calendar.created_at(dataset.attrs, modified),
        sha256=file.sha256,
        name=file.path.name,
        size=file.size,
    )


def _merged(
    archive: Archive,
    city: CityConfig,
    source: SourceSection,
    intake: Intake,
    parts: dict[tuple[str, str], list[calendar.Part]],
) -> Intake:
    """`intake` with the months merged and their sheets written."""
    sheets: dict[str, dict[str, Any]] = {}
    entries = []
    for (group, month), pieces in sorted(parts.items()):
        key, at = data_key(city.city.id, source.id, group, month), sheet_key(city.city.id, source.id, month)
        sheet = sheets.setdefault(at, read_sheet(archive, at))
        record = archive.current(key)
        known = {sha: calendar.FileVersion(sha256=sha, **said) for sha, said in sheet["files"].items()}
        merged = calendar.merge_parts(pieces, archive.load(record.digest) if record else None, known)
        sheet["files"] |= {part.version.sha256: part.version.as_json() for part in pieces}
        sheet["days"][group] = calendar.day_digests(merged)
        origins = tuple(json.loads(merged.attrs["origins"]))
        kind = group if group == FOOTPRINTS else "observations"
        entries.append(Entry(key, kind, merged, calendar.month_interval(month), origins))
    entries += list(_sheet_entries(sheets))
    return replace(intake, entries=tuple(entries), sheets=sheets)


def _sheet_entries(sheets: dict[str, dict[str, Any]]) -> Iterator[Entry]:
    for key, sheet in sheets.items():
        valid = calendar.month_interval(key.rsplit("/", 1)[1])
        yield Entry(key, "intake", as_document(sheet), valid, tuple(sheet["files"]))
