"""`monitor claims`: list, check, show and evaluate the claims of a city; the schema of a verdict."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli import options as opt
from monitor.cli.output import number, print_json, print_outcome, print_sealed, print_table, progress
from monitor.errors import InputError, MissingInputError, UsageError

if TYPE_CHECKING:
    from monitor.service.claim_files import ClaimFiles, Reach

FILE = click.argument("file", type=opt.PATH, metavar="FILE.toml")
AS_OF = click.option("--as-of", type=opt.Moment(), default=None, help="Day of the evaluation (UTC).")


@click.group()
def claims() -> None:
    """List, check and show the claims of a city, and evaluate them.

    FILE.toml is the claims file, or the city file beside it.
    """


@claims.command("list")
@FILE
@AS_OF
@opt.SPEECH
def list_claims(file: Path, as_of: datetime | None, as_json: bool) -> int:
    """List the claims with their next date of evaluation, and how often one of them errs.

    The next date is from today on, or from --as-of.
    """
    from monitor.service.claim_files import load_claim_files, next_date
    from monitor.service.evaluation import family_of, family_text

    files, day = load_claim_files(file), _day(as_of) or datetime.now(UTC).date()
    nexts = {claim.id: next_date(claim, files.city, day) for claim in files.claims.claim}
    family = family_of(files.claims, files.city) if files.city is not None else None
    if as_json:
        listed = [
            claim.model_dump(mode="json") | {"next_evaluation": _iso(nexts[claim.id])}
            for claim in files.claims.claim
        ]
        print_json({"claims": listed, "family": family})
        return 0
    print_table(
        "",
        ("claim", "kind", "statement", "value", "unit", "next evaluation"),
        [
            (c.id, c.kind, c.statement, number(c.value), c.unit or "", _iso(nexts[c.id]) or "–")
            for c in files.claims.claim
        ],
    )
    if family is not None:
        click.echo(family_text(family))
    return 0


@claims.command()
@FILE
@click.option("--data", type=opt.PATH, default=None, help="Also read the observations below this folder.")
@click.option("--workdir", type=opt.PATH, default=None, help="Also ask the archive of this working folder.")
@opt.SPEECH
def check(file: Path, data: Path | None, workdir: Path | None, as_json: bool) -> int:
    """List every fault of the claims: in the file, beside the city's, and against the data.

    A period without any data is a fault; of the others the days with data are counted.
    """
    from monitor.service.claim_files import ensure_beside, load_claim_files

    files = load_claim_files(file)
    reaches: list[Reach] = []
    outside: list[str] = []
    if data is not None or workdir is not None:
        reaches, outside = _reaches(files, data, workdir)
    ensure_beside(files, outside)
    if as_json:
        print_json({"ok": True, "claims": len(files.claims.claim), "data": [r.as_json() for r in reaches]})
        return 0
    for reach in reaches:
        click.echo(f"{reach.claim}: data on {reach.seen} of the {reach.days} days of {reach.period}")
    beside = f", beside {files.city_path}" if files.city_path else "; there is no city file beside it"
    count = len(files.claims.claim)
    click.echo(f"{files.path}: {count} good claim{'' if count == 1 else 's'}{beside}")
    return 0


def _reaches(files: ClaimFiles, data: Path | None, workdir: Path | None) -> tuple[list[Reach], list[str]]:
    from monitor.archive import Archive
    from monitor.service.claim_files import days_of_data, days_of_files, faults_of_reach, reach_of
    from monitor.service.health import existing_archive

    if files.city is None:
        raise MissingInputError(
            "there is no city file beside the claims",
            expected="cities/<id>.toml beside claims/<id>.toml",
            where=str(files.path),
        )
    if data is not None:
        days = days_of_files(files.city, data)
    else:
        assert workdir is not None
        with Archive.open(existing_archive(workdir)) as archive:
            days = days_of_data(files.city, archive)
    reaches = [reach for claim in files.claims.claim for reach in reach_of(claim, files.city, days)]
    return reaches, faults_of_reach(reaches, days)


@claims.command()
@FILE
@click.argument("claim_id", metavar="ID")
@click.option("--workdir", type=opt.PATH, default=None, help="Also show the last verdict in its archive.")
@opt.SPEECH
def show(file: Path, claim_id: str, workdir: Path | None, as_json: bool) -> int:
    """Show all of one claim, what the gate asks of it, and its last verdict."""
    from monitor.service.claim_files import gate_rows, load_claim_files

    files = load_claim_files(file)
    claim = files.named(claim_id)
    said, gate = claim.model_dump(mode="json"), gate_rows(claim)
    verdict = _last_verdict(files, claim_id, workdir)
    if as_json:
        print_json(said | {"gate": gate, "last_verdict": verdict})
        return 0
    for key, value in said.items():
        if value not in (None, [], ""):
            click.echo(f"{key}: {value}")
    print_table(
        "What the gate asks",
        ("item", "the claim says", "a difference is declared by the word", "declared"),
        [
            (
                row["item"],
                _text(row["claim_says"]),
                ", ".join(row["declared_by_the_word"]),
                "; ".join(row["declared"]),
            )
            for row in gate
        ],
    )
    if verdict is not None:
        stale = ", but its inputs have changed since" if verdict["stale"] else ""
        found = verdict["document"]
        click.echo(
            f"last verdict: {found['verdict']} from the data of {found['data_interval'][0]} … "
            f"{found['data_interval'][1]}, {found['evaluation']['status']}{stale}"
        )
    return 0


def _last_verdict(files: ClaimFiles, claim_id: str, workdir: Path | None) -> dict[str, Any] | None:
    if workdir is None or files.city is None:
        return None
    from monitor.archive import Archive
    from monitor.service.health import existing_archive
    from monitor.service.verdicts import last_verdict

    with Archive.open(existing_archive(workdir)) as archive:
        found = last_verdict(archive, files.city.city.id, claim_id)
    return None if found is None else {"document": found[0], "stale": found[1]}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


@claims.command()
@opt.of_a_run
@AS_OF
@opt.SPEECH
def evaluate(asked: opt.Asked, as_of: datetime | None, as_json: bool) -> int:
    """Judge the claims of a city from the data of one interval, as `monitor run` does.

    A verdict is final on a declared date of its claim: the day is the end of the interval, or --as-of.
    """
    from monitor.service.claim_files import ensure_beside, load_claim_files
    from monitor.service.evaluation import family_text
    from monitor.service.pipeline import run_interval

    ensure_beside(load_claim_files(asked.city))  # before hours are spent on claims that cannot be judged
    with progress() as watch:
        options = asked.options(watch, as_of=_day(as_of))
        outcome = run_interval(asked.city, asked.interval, asked.data, asked.workdir, options)
    if not outcome.verdicts:
        raise InputError(
            "no claim is about a time that these data hold",
            expected="an interval that holds the period or the epochs of a claim",
            found=" ".join(outcome.warnings),
            where=str(outcome.interval),
            remedy="`monitor claims check --data` counts the days with data of each claim",
        )
    if as_json:
        shown = outcome.as_json()
        print_sealed({key: shown[key] for key in ("city", "interval", "family", "verdicts", "warnings")})
        return outcome.exit_code
    print_outcome(outcome)
    print_table(
        "Evaluation",
        ("claim", "status", "as of", "look", "level", "next"),
        [_evaluation_row(name, verdict) for name, verdict in outcome.verdicts.items()],
    )
    click.echo(family_text(dict(outcome.family)))
    return outcome.exit_code


def _evaluation_row(name: str, verdict: Any) -> tuple[str, ...]:
    from monitor.publish.numbers import show_level

    worth = verdict["evaluation"]
    look = f"{worth['look']} of {worth['looks']}" if worth["look"] else "–"
    level = show_level(verdict["level"]) if verdict["level"] else "–"
    return (name, worth["status"], worth["as_of"], look, level, worth["next"] or "–")


@claims.command()
def schema() -> int:
    """Print the JSON schema of a verdict."""
    from monitor.compare.document import SCHEMA_FILE

    click.echo(SCHEMA_FILE.read_text(encoding="utf-8"), nl=False)
    return 0


def _day(moment: datetime | None) -> date | None:
    if moment is not None and moment.time() != datetime.min.time():
        raise UsageError("an evaluation is of a day", found=moment.isoformat(), expected="a date")
    return None if moment is None else moment.date()


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None
