"""`monitor serve`, `status`, `doctor`, `verify` and `db`: the service and its health."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli import options as opt
from monitor.cli.output import error_text, print_json, print_table
from monitor.errors import StorageError
from monitor.service.logs import redact

if TYPE_CHECKING:
    from monitor.archive import VerifyReport
    from monitor.domain import Interval
    from monitor.service.scheduler import Tick

CONFIG = Path("config/monitor.toml")


@click.command()
@click.option(
    "--config", type=opt.PATH, default=CONFIG, show_default=True, help="The service's configuration."
)
@click.option("--city", "cities", multiple=True, metavar="ID", help="Only this city; may be repeated.")
@click.option("--once", is_flag=True, help="Do what is due now, then end.")
@click.option("--ticks", type=click.IntRange(min=1), default=None, help="End after so many ticks.")
@opt.SPEECH
def serve(config: Path, cities: tuple[str, ...], once: bool, ticks: int | None, as_json: bool) -> int:
    """Run what is due, on a schedule, until told to stop.

    SIGTERM ends the service after the running step, a second one at once.  With --json, one line an event.
    With --once a summary is printed last: what was done, failed, waits for data, or is missing.  The exit
    code is that of the first failure; else, while the newest interval waits for its data, 65 if a source
    has no file and 75 if all have.
    """
    from monitor.service.scheduler import Tick, open_service
    from monitor.service.scheduler import serve as serve_until_stopped

    results = serve_until_stopped(
        open_service(config, cities), ticks=1 if once else ticks, report=_reporter(as_json)
    )
    if not once:
        return 0
    (tick,) = results or (Tick(),)
    if as_json:
        print_json({"event": "summary", **tick.as_json()}, lines=True)
    else:
        for line in _summary(tick):
            click.echo(redact(line))
    return tick.exit_code


def _summary(tick: Tick) -> list[str]:
    """What a single tick did, a line for each thing that is not as it should be."""
    counts = (("done", tick.done), ("failed", tick.failed), ("waiting", tick.waiting))
    lines = [", ".join(f"{len(found)} {word}" for word, found in counts) + " (intervals)"]
    lines += [f"{city}: {interval or 'plan'} failed: {reason}" for city, interval, reason in tick.failed]
    lines += [f"{city}: {error['source']}: {error['what']} ({error['file']})" for city, error in tick.refused]
    lines += [f"{city}: {text}" for city, text in tick.missing]
    reasons: dict[tuple[str, str], list[Interval]] = {}
    for city, interval, reason in tick.waiting:
        reasons.setdefault((city, reason.split(" (")[0]), []).append(interval)
    for (city, reason), intervals in reasons.items():
        more = f" and {len(intervals) - 1} more" if len(intervals) > 1 else ""
        lines.append(f"{city}: {intervals[-1]}{more} waiting: {reason}")
    return lines


def _reporter(as_json: bool) -> Any:
    import structlog

    log = structlog.get_logger()

    def report(event: str, facts: dict[str, Any]) -> None:
        if as_json:
            print_json({"event": event, **facts}, lines=True)
        (log.info if event in ("interval done", "lease recovered") else log.warning)(event, **facts)

    return report


@click.command()
@opt.WORKDIR
@opt.SPEECH
def status(workdir: Path, as_json: bool) -> int:
    """Show the ledger, the last answers, quarantined files, superseded verdicts and who is at work."""
    from monitor.service import health

    state = health.status(workdir)
    if as_json:
        print_json(state)
        return 0
    print_table(
        "Ledger",
        ("city", "step", "interval", "status", "attempts", "finished", "error"),
        [_ledger_row(row) for row in state["ledger"]],
    )
    print_table(
        "Quarantined files",
        ("file", "since", "reason"),
        [(f["name"], f["quarantined_at"], f["reason"]["what"]) for f in state["quarantined"]],
    )
    print_table(
        "Verdicts whose inputs changed since",
        ("verdict", "because"),
        [(verdict["key"], verdict["stale_because"]) for verdict in state["stale_verdicts"]],
    )
    for city, interval in state["last_done"].items():
        click.echo(f"{city}: last answer for {interval[0]} … {interval[1]}")
    for lock in state["locks"]:
        held = f"held by {lock['owner']}, last heartbeat {lock['heartbeat_at']}" if lock["held"] else "free"
        click.echo(f"lock '{lock['name']}': {held}")
    return 0


def _ledger_row(row: dict[str, Any]) -> tuple[str, ...]:
    interval = f"{row['interval'][0]} … {row['interval'][1]}"
    finished, error = row["finished_at"] or "", (row["error"] or "").split("\n")[0]
    return (row["city"], row["step"], interval, row["status"], str(row["attempts"]), finished, error)


@click.command()
@click.argument("configs", nargs=-1, type=opt.PATH)
@opt.WORKDIR
@opt.SPEECH
def doctor(configs: tuple[Path, ...], workdir: Path, as_json: bool) -> int:
    """Check Python, SQLite, the disk, the numba cache, the clock, the paths and CONFIGS."""
    from monitor.service import health

    checks = health.examine(workdir, configs or ((CONFIG,) if CONFIG.exists() else ()))
    if as_json:
        print_json({"ok": all(c.state != "bad" for c in checks), "checks": [c.as_dict() for c in checks]})
    else:
        print_table("", ("check", "state", "detail"), [(c.name, c.state, c.detail) for c in checks])
    bad = [check.name for check in checks if check.state == "bad"]
    if not bad:
        return 0
    return 78 if bad == ["configuration"] else 74


@click.command()
@click.argument("files", nargs=-1, type=opt.PATH)
@opt.WORKDIR
@opt.SPEECH
def verify(files: tuple[Path, ...], workdir: Path, as_json: bool) -> int:
    """Check verdict FILES, or else the whole archive and every published report.

    A verdict must be as it was sealed, follow its schema, and be known to the archive of the working folder,
    if there is one.  Without FILES every archived object and quarantined file is compared with its checksum.
    """
    if files:
        return _verify_files(files, workdir, as_json)
    from monitor.archive import Archive
    from monitor.service.health import existing_archive
    from monitor.service.verdicts import check_site

    with Archive.open(existing_archive(workdir)) as archive:
        report = archive.verify()
        counts, faults = check_site(workdir, archive)
    if as_json:
        said = report.as_dict() | {"reports": counts, "faults": [fault.as_dict() for fault in faults]}
        print_json(said | {"ok": report.ok and not faults})
    else:
        for label in ("missing", "corrupt", "catalogue_faults"):
            for item in getattr(report, label):
                click.echo(f"{label}: {item}{_sums(report, label, item)}")
        click.echo(f"{report.checked} objects read: {'all as stored' if report.ok else 'DAMAGED'}")
        click.echo(f"{len(counts)} reports with {sum(counts.values())} verdicts on the site, as published")
    for fault in faults:
        click.echo(redact(error_text(fault)), err=True)
    return 0 if report.ok and not faults else StorageError.exit_code


def _sums(report: VerifyReport, label: str, item: str) -> str:
    expected, found = report.checksums.get(item, ("", "")) if label == "corrupt" else ("", "")
    return f" (SHA-256 expected: {expected}; found: {found})" if found else ""


def _verify_files(files: tuple[Path, ...], workdir: Path, as_json: bool) -> int:
    from monitor.archive import Archive
    from monitor.service.verdicts import check_files

    root = workdir / "archive"
    with Archive.open(root) if root.is_dir() else nullcontext() as archive:
        counts, faults = check_files(files, archive)
    if as_json:
        print_json({"ok": not faults, "files": counts, "faults": [fault.as_dict() for fault in faults]})
    else:
        against = "and the archive" if archive is not None else "(no archive to hold them against)"
        for name, count in counts.items():
            click.echo(f"{name}: {count} verdict{'s' if count != 1 else ''} as sealed, by seal {against}")
    for fault in faults:
        click.echo(redact(error_text(fault)), err=True)
    return faults[0].exit_code if faults else 0


@click.group()
def db() -> None:
    """Show or upgrade the schema of the catalogue."""


@db.command()
@opt.WORKDIR
@opt.SPEECH
def current(workdir: Path, as_json: bool) -> int:
    """The schema's revision, and the one this version knows."""
    return _say_revision(workdir, as_json)


@db.command()
@opt.WORKDIR
@opt.SPEECH
def upgrade(workdir: Path, as_json: bool) -> int:
    """Bring the schema to this version; a copy of the old database is kept in archive/backups."""
    from monitor.archive import Archive
    from monitor.service.health import existing_archive

    Archive.open(existing_archive(workdir)).close()
    return _say_revision(workdir, as_json)


def _say_revision(workdir: Path, as_json: bool) -> int:
    from monitor.archive.database import REVISIONS
    from monitor.service.health import existing_archive, schema_revision

    found = schema_revision(existing_archive(workdir))
    if as_json:
        print_json({"revision": found, "known": REVISIONS[-1]})
    else:
        click.echo(f"schema {found or 'none'}; this version knows {REVISIONS[-1]}")
    return 0
