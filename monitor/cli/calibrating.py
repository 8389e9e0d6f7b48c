"""`monitor calibrate`: how often the verdicts of a network are right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli import options as opt
from monitor.cli.output import bar, number, print_json, print_table, span

if TYPE_CHECKING:
    from monitor.calibration.rows import Part, Row


@click.command()
@click.option("--twins", type=click.IntRange(1), default=400, show_default=True, help="Number of cities.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the truths.")
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True, help="At work at once.")
@opt.WORKDIR
@opt.SPEECH
def calibrate(twins: int, seed: int, processes: int, workdir: Path, as_json: bool) -> int:
    """Prove how often verdicts are right, on synthetic cities whose truth is known.

    Without CITY.toml the reference network is tried.  A run that was cut off goes on where it was.  The exit
    code is 0 when all cities ran, whether or not the targets are met.
    """
    from monitor.calibration.campaign import calibrate as run_all
    from monitor.calibration.reference_network import reference_network

    folder = workdir / "calibration"
    with bar("synthetic cities") as watch:
        found = run_all(
            reference_network, twins=twins, seed=seed, folder=folder, processes=processes, progress=watch
        )
    if as_json:
        print_json(found.as_json())
        return 0
    for title, rows in (("The proof", found.rows), ("Beside it", found.also)):
        print_table(
            title, ("row", "figure", "target", "met?"), [cells for row in rows for cells in _cells(row)]
        )
    return 0


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
