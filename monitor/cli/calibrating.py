"""`monitor calibrate`: how often the verdicts of a network are right."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli import options as opt
from monitor.cli.output import bar, number, print_json, print_table, span
from monitor.errors import UsageError

if TYPE_CHECKING:
    from monitor.calibration.rows import Part, Row
    from monitor.calibration.runner import Maker


@click.command()
@click.argument(
    "city", type=click.Path(path_type=Path, dir_okay=False), metavar="[CITY.toml]", required=False
)
@click.option("--data", type=opt.PATH, default=None, help="Folder below which the city's sources lie.")
@click.option("--from", "start", type=opt.Moment(), default=None, help="Beginning, included (UTC).")
@click.option("--to", "end", type=opt.Moment(), default=None, help="End, not included (UTC).")
@click.option("--species", default=None, help="One gas of the city; the first if absent.")
@click.option("--twins", type=click.IntRange(1), default=400, show_default=True, help="Number of cities.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the truths.")
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True, help="At work at once.")
@click.option(
    "--results",
    type=opt.PATH,
    default=None,
    help="Results of an earlier run, by other code, that are not done again; the page tells them apart.",
)
@click.option(
    "--release",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Table of a controlled release that is evaluated instead, with its drawings in the workdir.",
)
@click.option("--page", type=opt.PATH, default=None, help="Also write the page, with images/ beside it.")
@opt.WORKDIR
@opt.SPEECH
def calibrate(
    city: Path | None,
    data: Path | None,
    start: datetime | None,
    end: datetime | None,
    species: str | None,
    results: Path | None,
    release: Path | None,
    page: Path | None,
    workdir: Path,
    as_json: bool,
    **how: int,
) -> int:
    """Prove how often verdicts are right, on synthetic cities whose truth is known.

    Without CITY.toml the reference network is tried; with it, --data, --from and --to your own: how far can
    its verdicts be trusted?  A run that was cut off goes on where it was.  The exit code is 0 when all cities
    ran, whether or not the targets are met.
    """
    if release is not None:
        if city is not None or page is not None:
            raise UsageError("--release is a proof of its own", expected="neither CITY.toml nor --page")
        _evaluate_release(release, workdir / "calibration" / "release", as_json, how)
        return 0
    from monitor.calibration.campaign import calibrate as run_all

    maker = _maker(city, data, start, end, species, workdir)
    with bar("synthetic cities") as watch:
        found = run_all(maker, folder=workdir / "calibration", results=results, progress=watch, **how)
    if page is not None:
        from monitor.calibration.page import write_page

        write_page(found, page, page.parent / "images")
    if as_json:
        print_json(found.as_json())
        return 0
    for title, rows in (("The proof", found.rows), ("Beside it", found.also)):
        lines = [cells for row in rows for cells in _cells(row)]
        print_table(title, ("row", "figure", "target", "met?"), lines)
    return 0


def _evaluate_release(table: Path, folder: Path, as_json: bool, how: dict[str, int]) -> None:
    """Posteriors and drawings into the folder, the outcome to stdout."""
    from monitor.calibration.release import report
    from monitor.calibration.release.evaluation import evaluate_release

    with bar("posteriors") as watch:
        found = evaluate_release(
            table, folder=folder, seed=how["seed"], processes=how["processes"], progress=watch
        )
    (folder / "release-plan.svg").write_text(report.plan(found) + "\n", "utf-8")
    (folder / "release-rates.svg").write_text(report.intervals(found) + "\n", "utf-8")
    if as_json:
        print_json(report.as_json(found))
    else:
        click.echo(report.markdown(found), nl=False)


def _maker(
    city: Path | None,
    data: Path | None,
    start: datetime | None,
    end: datetime | None,
    species: str | None,
    workdir: Path,
) -> Maker:
    """What makes the network; a city's files are read first."""
    if city is None:
        from monitor.calibration.reference_network import reference_network

        return reference_network
    if data is None or start is None or end is None:
        raise UsageError("a city of your own needs its data", expected="--data, --from and --to")
    from monitor.calibration.own_network import archived_network, take_in
    from monitor.service.run import RunOptions

    interval = opt.as_interval(start, end)
    take_in(city, interval, data, workdir, RunOptions())
    return partial(archived_network, city, interval, workdir, species)


def _cells(row: Row) -> list[tuple[str, str, str, str]]:
    """The row's title, and a line for each of its parts."""
    lines = [(row.title, "", "", _word(row.met))]
    return lines + [(f"  {part.name}", _figure(part), part.target, _word(part.met)) for part in row.parts]


def _figure(part: Part) -> str:
    if part.estimate is None:
        return part.reason
    shown = f"{part.count} of {part.n}" if part.count is not None else number(part.estimate)
    return f"{shown} ({span(part.interval)})" if part.interval else shown


def _word(met: bool | None) -> str:
    return "–" if met is None else "yes" if met else "NO"
