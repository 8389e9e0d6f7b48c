"""Verdicts as they are published: made whole and sealed, found again, and held against the archive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from monitor.archive import Archive
from monitor.compare.document import ensure_sealed, ensure_verdict, sealed
from monitor.compare.verdict import NOT_COMPARABLE, REASONS, TAKEN, UNDECIDED
from monitor.domain import Interval
from monitor.errors import InputError, MonitorError, StorageError
from monitor.service.entries import as_document
from monitor.service.evaluation import FINAL, REVISION


class UnsealedError(InputError):
    """A report carries no seal; in its release, with the right checksum, it is from before there were any."""


def verdict_document(
    city: str, claim: str, data: Interval, verdict: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    """The sealed document of a verdict; `about` holds its `family` and what it was `made_from`."""
    from monitor.publish.content import clean

    whole = {
        "schema_version": 1,
        "city": city,
        "claim": claim,
        "data_interval": data.as_json(),
        **verdict,
        **about,
    }
    return sealed(clean(whole))


def verdict_key(city: str, claim: str, at: str = "") -> str:
    """The archive key of a verdict; without `at` the beginning of all keys of the claim."""
    return f"verdict/{city}/{claim}/{at}"


def first_answer(
    earlier: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The verdict that took the same look before a final one, from other inputs; None where none did.

    `earlier` are the claim's archived verdicts, oldest first (`monitor.service.declared`).  What was not
    comparable told nobody a number, and took no look.
    """
    day = verdict["evaluation"]["as_of"]
    if verdict["evaluation"]["status"] != FINAL:
        return None
    taken = (v for v in earlier if v["evaluation"]["as_of"] == day and v["evaluation"]["status"] == FINAL)
    first = next((v for v in taken if v["verdict"] != NOT_COMPARABLE), None)
    return None if first is None or _made_from(first) == _made_from(verdict) else first


def _made_from(verdict: Mapping[str, Any]) -> tuple[object, ...]:
    """What a verdict follows from; the day may be named or not."""
    origin = verdict["made_from"]
    return (verdict["data_interval"], *(origin[k] for k in ("inputs", "config_digest", "code_version")))


def as_revision(verdict: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict of a look that `first` took: it may take the first answer back, and gives no other.

    One look at 5 % stays one look, however often its data are revised.
    """
    about = {"verdict": first["verdict"], "digest": first["digest"], "data_interval": first["data_interval"]}
    revised = {**verdict, "evaluation": {**verdict["evaluation"], "status": REVISION, "first": about}}
    if verdict["verdict"] not in (first["verdict"], UNDECIDED, NOT_COMPARABLE):
        revised |= {"verdict": UNDECIDED, "reasons": [TAKEN], "reason_texts": [REASONS[TAKEN]]}
    return sealed(revised)


def last_verdict(archive: Archive, city: str, claim: str) -> tuple[dict[str, Any], bool] | None:
    """The verdict from the latest data, and if these have changed; a preview only if there is no other."""
    found = []
    for record in archive.find(kind="verdict", prefix=verdict_key(city, claim)):
        document: dict[str, Any] = json.loads(archive.load_document(record.digest))
        is_due = document["evaluation"]["status"] != "preview"
        found.append((is_due, document["data_interval"][1], record.recorded_at, document, record.stale))
    if not found:
        return None
    *_, document, stale = max(found, key=lambda row: row[:3])
    return document, stale


def verify_file(path: Path, archive: Archive | None) -> int:
    """Check every verdict in a file: by its schema, its seal, and the archive if there is one; how many.

    The file is a verdict, or holds them under `verdicts`, as a report and what a run prints do.  These carry
    a seal over all that they say, beside those of their verdicts, and must say what the archived run says,
    with nothing left out; so must the checksums beside the file, if any, which count every byte.

    Raises
    ------
    InputError
        When the file is no JSON, holds no verdict, one does not follow the schema, or a seal is missing.
    StorageError
        When a verdict or the whole is not as it was sealed, the archive does not know it, or the file leaves
        out or changes what was published with it.
    """
    from monitor.publish.site import ensure_listed

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        found = f"bytes that are no text in UTF-8, from byte {error.start} on"
        raise _not_a_verdict("the file is not JSON", found, path) from error
    except ValueError as error:
        raise _not_a_verdict("the file is not JSON", str(error), path) from error
    if _is_report(content) and "digest" not in content:
        ensure_listed(path)
        raise _without_seal(content, path)
    number = 0
    for name, document in _verdicts_in(content):
        where = f"{path}, claim '{name}'" if name else str(path)
        known = ensure_verdict(document, where)
        if archive is not None and not archive.holds(sha256(as_document(known)).hexdigest()):
            raise StorageError(
                "the archive does not know this verdict",
                expected="a verdict that this archive has recorded",
                found=f"digest {known['digest']}",
                where=where,
                remedy="name the archive it comes from with --workdir, or do not use it",
            )
        number += 1
    if number == 0 and not _is_report(content):
        keys = ", ".join(content) if isinstance(content, dict) else ""
        raise _not_a_verdict("the file holds no verdict", f"the keys {keys}" if keys else "no keys", path)
    if _is_report(content):
        if archive is not None:
            _ensure_whole(content, archive, str(path))
        ensure_sealed(content, "report", str(path))
    ensure_listed(path)
    return number


def _not_a_verdict(what: str, found: str, path: Path) -> InputError:
    return InputError(
        what,
        expected="a verdict, a report.json, or what `monitor run --json` prints",
        found=found[:400],
        where=str(path),
        remedy="name such a file; `monitor verify` alone checks all that is archived and published",
    )


def _without_seal(report: Mapping[str, Any], path: Path) -> UnsealedError:
    """What is said of a report without a seal, whose checksums beside it, if any, are right."""
    from monitor.publish.site import SUMS

    start, end = report.get("interval") or ("…", "…")
    what, found = "the report carries no seal", "none: an earlier version wrote it, or somebody took it out"
    if (path.parent / SUMS).is_file():
        what, found = "the release is older than the sealing of reports", "none; its checksum is right"
    return UnsealedError(
        what,
        expected="`digest`, the SHA-256 of the canonical JSON of all other keys",
        found=found,
        where=str(path),
        remedy=f"`monitor publish CITY.toml --from {start} --to {end} --workdir …` writes it again, sealed",
    )


# --- a report against the archived run ----------------------------------------------------------------


def _ensure_whole(content: Mapping[str, Any], archive: Archive, where: str) -> None:
    """Raise `StorageError` unless one archived run of the city and interval says the same."""
    city, interval = content.get("city"), content.get("interval")
    city = city.get("id") if isinstance(city, dict) else city
    runs = [
        json.loads(archive.load_document(record.digest))
        for current in archive.find(kind="results", prefix=f"results/{city}/")
        if current.valid is not None and current.valid.as_json() == interval
        for record in reversed(archive.history(current.key))
    ]
    departures = [list(_departures(content, run)) for run in runs]
    least = min(departures, key=len, default=["a city or an interval of which it has no run"])
    if least:
        raise StorageError(
            "the file does not say what the archived run says",
            expected="all verdicts, inventories, sources and warnings of the run, as published",
            found="; ".join(least),
            where=where,
            remedy="do not use it; `monitor publish` writes the archived report again",
        )


def _departures(content: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[str]:
    """Where a report, or what a run prints, differs from the archived results; a report holds every part."""
    for claim in run["verdicts"].keys() - content["verdicts"].keys():
        yield f"no verdict on claim '{claim}'"
    for claim, verdict in content["verdicts"].items():
        if run["verdicts"].get(claim) != verdict:
            yield f"another verdict on claim '{claim}'"
    is_report = "schema_version" in content
    for part in ("inventories", "sources", "ledgers", "family", "figures"):
        if (is_report or part in content) and _timeless(content.get(part)) != _timeless(run.get(part)):
            yield f"other {part}"
    if lost := [text for text in run["warnings"] if text not in content.get("warnings", ())]:
        yield f"{len(lost)} of its warnings left out"


def _timeless(part: object) -> object:
    """`part` without the seconds that a run took; nothing and an empty part are the same."""
    rest = {k: v for k, v in part.items() if k != "seconds"} if isinstance(part, dict) else part
    return rest or None


# --- files ----------------------------------------------------------------------------------------------


def check_files(paths: Sequence[Path], archive: Archive | None) -> tuple[dict[str, int], list[MonitorError]]:
    """How many verdicts each good file holds, and what is wrong with the others."""
    counts, faults = {}, []
    for path in paths:
        try:
            counts[str(path)] = verify_file(path, archive)
        except MonitorError as error:
            faults.append(error)
        except OSError as error:
            faults.append(StorageError("the file cannot be read", found=str(error.strerror), where=str(path)))
    return counts, faults


def _verdicts_in(content: object) -> Iterator[tuple[str, object]]:
    if not isinstance(content, dict):
        return
    if _is_report(content):
        yield from content["verdicts"].items()
    elif "verdict" in content:
        yield "", content


def _is_report(content: object) -> bool:
    """Whether it is a report or a run, of a city without claims."""
    return isinstance(content, dict) and isinstance(content.get("verdicts"), dict)


def check_site(workdir: Path, archive: Archive) -> tuple[dict[str, int], list[MonitorError]]:
    """As `check_files`, for the report of every release of the site, and the checksums of its files.

    A superseded release from before there were seals has its checksums alone.
    """
    from monitor.publish.site import current_release, verify_release

    reports = sorted((workdir / "site").glob("*/*/releases/*/report.json"))
    current = {str(r) for r in reports if current_release(r.parents[2]) == r.parent.resolve()}
    counts, faults = check_files(reports, archive)
    faults = [f for f in faults if not isinstance(f, UnsealedError) or f.where in current]
    for report in reports:
        try:
            verify_release(report.parent)
        except StorageError as error:
            faults.append(error)
    return counts, faults
