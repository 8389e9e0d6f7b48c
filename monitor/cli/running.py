"""`monitor run`, `backfill`, `publish` and `demo`: the pipeline in the foreground."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli import options as opt
from monitor.cli.output import error_text, print_json, print_outcome, print_sealed, print_table, progress
from monitor.errors import MonitorError
from monitor.service.logs import redact

if TYPE_CHECKING:
    pass


@click.command()
@opt.of_a_run
@opt.SPEECH
def run(asked: opt.Asked, as_json: bool) -> int:
    """Answer for one city and one interval: ingest, invert, publish.

    A step that was done before from the same inputs is not done again.
    """
    from monitor.service.pipeline import run_interval

    with progress() as watch:
        outcome = run_interval(asked.city, asked.interval, asked.data, asked.workdir, asked.options(watch))
    if as_json:
        print_sealed(outcome.as_json())
    else:
        print_outcome(outcome)
        click.echo(f"report: {outcome.report}")
    return outcome.exit_code


@click.command()
@opt.of_a_run
@click.option("--every", "every_days", type=float, required=True, help="Length of an interval [d].")
@opt.SPEECH
def backfill(asked: opt.Asked, every_days: float, as_json: bool) -> int:
    """Run the consecutive whole intervals from --from to --to, oldest first.

    An interval that fails does not stop the later ones; the exit code is that of the first failure.
    With --json, one line an interval.
    """
    from monitor.service.jobs import scheduled_intervals
    from monitor.service.pipeline import run_interval

    whole, code = asked.interval, 0
    for interval in scheduled_intervals(whole.start, every_days, whole.end):
        try:
            with progress() as watch:
                outcome = run_interval(asked.city, interval, asked.data, asked.workdir, asked.options(watch))
            code = code or outcome.exit_code
            if as_json:
                print_sealed(outcome.as_json(), lines=True)
            else:
                click.echo(f"{interval}: {', '.join(outcome.steps.values())}; report: {outcome.report}")
        except MonitorError as error:
            code = code or error.exit_code
            if as_json:
                print_json({"interval": interval.as_json(), "error": error.as_dict()}, lines=True)
            click.echo(redact(f"{interval}: {error_text(error)}"), err=True)
    return code


@click.command()
@opt.CITY
@opt.DATES
@opt.WORKDIR
@opt.SPEECH
def publish(city: Path, start: datetime, end: datetime, workdir: Path, as_json: bool) -> int:
    """Write the report of an archived answer again and put it before the readers."""
    from monitor.service.pipeline import republish

    report = republish(city, opt.as_interval(start, end), workdir)
    if as_json:
        print_json({"report": str(report)})
    else:
        click.echo(f"report: {report}")
    return 0


@click.command()
@click.option("--out", type=opt.PATH, required=True, help="Folder for the city, its archive and its report.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Which city.")
@opt.SPEECH
def demo(out: Path, seed: int, as_json: bool) -> int:
    """Make a synthetic city and judge its claims, from raw files to verdicts.

    Its fossil CO2 falls by 25 % between two autumns, a control district by 2 %, and a festival emits
    methane that no inventory holds.  The last table holds the verdicts against that truth.
    """
    from monitor.service.demo import run_demo
    from monitor.service.run import RunOptions

    with progress() as watch:
        outcome, checks = run_demo(out, seed, RunOptions(progress=watch))
    if as_json:
        shown = outcome.as_json()
        print_sealed({key: shown[key] for key in ("verdicts", "sources", "figures", "report")})
        return outcome.exit_code
    print_outcome(outcome)
    print_table(
        "Verdicts against the truth",
        ("claim", "verdict", "truth", "right?"),
        [(check.name, check.answer, check.truth, "yes" if check.right else "NO") for check in checks],
    )
    click.echo(f"report: {outcome.report}")
    return outcome.exit_code
