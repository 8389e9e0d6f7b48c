"""`monitor design`: what a network would see before it stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from monitor.cli import options as opt
from monitor.cli.output import number, print_json, print_table, progress
from monitor.errors import UsageError


@click.command()
@opt.CITY
@click.option(
    "--data",
    type=opt.PATH,
    required=True,
    help="Folder of the inventories, and of footprints where there are any.",
)
@click.option("--candidates", type=opt.PATH, default=None, help="Sites to choose from, TOML or CSV.")
@click.option(
    "--target",
    default="change",
    show_default=True,
    metavar="KIND[:REGION]",
    help="What to see better: change, total or source, and of which region.",
)
@click.option("--species", default=None, help="The gas; the city's first if absent.")
@click.option("--from", "start", type=opt.Moment(), default=None, help="Beginning of the first epoch (UTC).")
@click.option("--to", "end", type=opt.Moment(), default=None, help="End of the first epoch, not included.")
@click.option("--add", type=click.IntRange(min=0), default=5, show_default=True, help="Most sites to add.")
@click.option("--picture", type=opt.PATH, default=None, help="Draw the map into this SVG file.")
@opt.SPEECH
def design(
    city: Path,
    data: Path,
    candidates: Path | None,
    target: str,
    species: str | None,
    start: datetime | None,
    end: datetime | None,
    add: int,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Say what a network would see, and rank the sites that it may get.

    No observation is needed.  Stations of the city file stand; footprints are read below --data where there
    are files, and made by plumes in a declared weather where there are none.
    """
    from monitor.service.design import DesignRequest, design_network

    if (start is None) != (end is None):
        raise UsageError("--from and --to come together")
    interval = opt.as_interval(start, end) if start is not None and end is not None else None
    request = DesignRequest(target=target, species=species, interval=interval, add=add, picture=picture)
    with progress() as watch:
        found = design_network(city, candidates, data, request, watch)
    if as_json:
        print_json(found)
        return 0
    for text in found["assumptions"]:
        click.echo(f"assumed: {text}")
    for when in ("before", "after"):
        _print_network(when, found)
    _print_ranking(found)
    return 0


def _print_network(when: str, found: Mapping[str, Any]) -> None:
    network = found[when]
    if when == "after" and not found["sequence"]:
        return
    title = (
        f"{when}: {', '.join(network['sites']) or 'no site'}; {number(network['dofs'])} pieces of information"
    )
    print_table(
        title,
        (
            "region",
            "detectable change",
            "its floor",
            "detectable total",
            "response",
            "years each for",
            "trend in 10 a",
            "years for",
        ),
        [_region_row(row) for row in network["regions"]],
    )
    if network["source"] is not None:
        s = network["source"]
        click.echo(
            f"a source of {number(s['days'])} days in {s['region']} would be seen from {_short(s['least'])}, "
            f"in the middle cell {_short(s['middle'])}, at worst {_short(s['largest'])} {s['unit']}"
        )


def _region_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    trend = next(t for t in row["detectable_trend"] if t["years"] == 10)
    each = ", ".join(f"{abs(y['change']):.0%}: {_short(y['years'])}" for y in row["years_each_epoch"])
    slopes = ", ".join(f"{abs(y['slope']):.0%} a⁻¹: {_short(y['years'])}" for y in row["years_to_detect"])
    return (
        row["region"],
        _percent(row["detectable_change"]),
        _percent(row["detectable_change_floor"]),
        _percent(row["detectable_total"]),
        "–" if row["response"] is None else f"{row['response']:.2f}",
        each,
        f"{_percent(trend['slope'])} a⁻¹",
        slopes,
    )


def _print_ranking(found: Mapping[str, Any]) -> None:
    show = _percent if found["target"]["unit"] == "1" else lambda v: f"{_short(v)} {found['target']['unit']}"
    for name, title in (("alone", "each candidate alone"), ("sequence", "one after the other")):
        rows = [
            (str(k), s["id"], show(s["before"]), show(s["after"]), _percent(s["variance_reduction"]))
            for k, s in enumerate(found[name], 1)
        ]
        kind, region = found["target"]["kind"], found["target"]["region"]
        print_table(
            f"{title}: detectable {kind} of {region}",
            ("", "site", "before", "after", "variance of the data saved"),
            rows,
        )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def _short(value: float | None) -> str:
    return "never" if value is None else number(float(f"{value:.2g}"))
