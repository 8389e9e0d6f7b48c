"""How the command line speaks: JSON and tables on stdout, errors and progress on stderr."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from monitor.errors import MonitorError, StorageError, UsageError
from monitor.service.logs import redact, redact_values

if TYPE_CHECKING:
    from monitor.service.run import RunOutcome

#: The conventional exit status of a process ended by SIGINT.
_INTERRUPTED = 130


def print_json(value: Any, *, lines: bool = False) -> None:
    """One JSON object on stdout; on one line with `lines` (JSON Lines)."""
    text = json.dumps(redact_values(value), ensure_ascii=False, allow_nan=False, indent=None if lines else 2)
    click.echo(text)


def print_sealed(value: Mapping[str, Any], *, lines: bool = False) -> None:
    """As `print_json`, with the digest of all that is printed: `monitor verify` finds an edit."""
    from monitor.compare.document import sealed

    print_json(sealed(redact_values(value)), lines=lines)


def say_error(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong, once, and give the exit code."""
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return _INTERRUPTED
    if isinstance(error, click.ClickException):
        error = _as_usage_error(error)
    elif isinstance(error, OSError):
        found = error.strerror or str(error)
        error = StorageError("the system refused", found=found, where=str(error.filename or ""))
    if isinstance(error, MonitorError):
        if as_json:
            print_json({"error": error.as_dict()})
        click.echo(redact(error_text(error)), err=True)
        return error.exit_code
    if as_json:
        print_json({"error": {"error": type(error).__name__, "what": str(error), "exit_code": 1}})
    click.echo(redact("".join(traceback.format_exception(error))), err=True)
    click.echo("This is a bug of ours: please report it with the lines above.", err=True)
    return 1


def _as_usage_error(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    remedy = f"see `{context.command_path} --help`" if context is not None else ""
    return UsageError(error.format_message(), remedy=remedy)


def error_text(error: MonitorError) -> str:
    """The error as lines: what, then what was expected, found, where, and what to do."""
    parts = (
        ("expected", error.expected),
        ("found", error.found),
        ("where", error.where),
        ("what to do", error.remedy),
    )
    return "\n".join([f"error: {error.what}", *(f"  {name}: {text}" for name, text in parts if text)])


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; nothing when there are no rows."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    # the last column speaks in words, which are not to break in the middle
    table.columns[-1].min_width = min(max(len(word) for row in rows for word in f"{row[-1]} –".split()), 24)
    for row in rows:
        table.add_row(*(redact(cell) for cell in row))
    Console(file=sys.stdout, markup=False, width=None if sys.stdout.isatty() else 140).print(table)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Something that shows what is being done: on a terminal in place, else a line on stderr a stage."""
    if not sys.stderr.isatty():
        yield lambda text: click.echo(text, err=True)
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda text: status.update(text)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar of how many of how many are done, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def number(value: object) -> str:
    """A number to four significant digits, with signs and thousands as a reader expects; "–" for none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "–"
    return f"{float(f'{value:.4g}'):,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def span(value: object) -> str:
    """An interval of two numbers."""
    if not isinstance(value, Sequence) or len(value) != 2:
        return "–"
    return f"{number(value[0])} … {number(value[1])}"


def print_outcome(outcome: RunOutcome) -> None:
    """The tables of a run and its failures; the report's path is the caller's to say last."""
    from monitor.compare.statistics import LEVEL

    # the looks at a claim have levels of their own
    usual = all(v.get("level") in (None, LEVEL) for v in outcome.verdicts.values())
    print_table(
        f"{outcome.city} {outcome.interval}",
        ("claim", "verdict", "estimate", "95 % interval" if usual else "interval", "unit", "reasons"),
        [_verdict_row(name, verdict, usual) for name, verdict in outcome.verdicts.items()],
    )
    print_table(
        "Inventories against the air",
        ("inventory", "of", "air of", "stated", "estimate", "95 % interval", "unit", "comparable"),
        [_inventory_row(name, row) for name, row in outcome.inventories.items()],
    )
    print_table(
        "Sources that the scan found",
        ("lon", "lat", "began (95 %)", "ended (95 %)", "strength", "95 % interval", "unit", "false alarm"),
        [_source_row(source) for source in outcome.sources],
    )
    used, excluded = outcome.figures.get("n_observations"), outcome.figures.get("excluded")
    if used is not None:
        reasons = excluded if isinstance(excluded, Mapping) else {}
        left_out = ", ".join(f"{n} {why}" for why, n in reasons.items())
        click.echo(f"observations used: {used}" + (f"; left out: {left_out}" if left_out else ""))
    for warning in outcome.warnings:
        click.echo(redact(f"warning: {warning}"), err=True)
    for failure in outcome.failures:
        click.echo(redact(error_text(failure.error)), err=True)


def _verdict_row(name: str, verdict: Mapping[str, Any], usual: bool) -> tuple[str, ...]:
    from monitor.publish.numbers import show_level

    reasons = ", ".join(map(str, verdict.get("reasons") or ()))
    estimate, interval = number(verdict.get("estimate")), span(verdict.get("interval"))
    interval += "" if usual or verdict.get("level") is None else f" ({show_level(verdict['level'])})"
    return (name, str(verdict.get("verdict")), estimate, interval, str(verdict.get("unit") or ""), reasons)


def _inventory_row(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """What cannot be compared says why, and the air's numbers do not stand beside it."""
    years = ", ".join(map(str, row.get("inventory_years") or ()))
    period = " … ".join(str(moment)[:10] for moment in row.get("period") or ())
    air, says = (number(row.get("estimate")), span(row.get("interval"))), "yes"
    if row.get("not_comparable"):
        air, says = ("–", "–"), f"not comparable: {'; '.join(row['not_comparable'])}"
    stated = number(row.get("prior_total"))
    return (name, years, period, stated, *air, str(row.get("unit") or ""), says)


def dates(source: Mapping[str, Any]) -> tuple[str, str]:
    """Days between which a source began, and between which it ended."""
    ranges = [
        [str(moment)[:10] for moment in source.get(f"{key}_interval") or ()] for key in ("start", "end")
    ]
    began, ended = (" … ".join(dict.fromkeys(days)) for days in ranges)
    return began, ended


def _source_row(source: Mapping[str, Any]) -> tuple[str, ...]:
    from monitor.publish.numbers import chance_bound

    place = [number(source.get(key)) for key in ("lon", "lat")]
    chance = chance_bound(source.get("false_alarm"), source.get("draws")) + number(source.get("false_alarm"))
    tail = (str(source.get("unit") or ""), chance)
    return (*place, *dates(source), number(source.get("strength")), span(source.get("interval")), *tail)
