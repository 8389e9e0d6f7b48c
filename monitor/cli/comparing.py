"""`monitor compare`: the inventory and the air side by side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from monitor.cli import options as opt
from monitor.cli.output import number, print_json, print_table, progress
from monitor.cli.running import as_interval, as_options
from monitor.service.logs import redact


@click.command()
@opt.CITY
@opt.DATES
@opt.FOLDERS
@opt.HOW
@opt.SPEECH
def compare(
    city: Path,
    start: datetime,
    end: datetime,
    data: Path,
    workdir: Path,
    window_days: float | None,
    keep_going: bool,
    again: bool,
    as_json: bool,
) -> int:
    """Hold the inventories of a city against the air: per region, sector and period.

    A row that is not about the same thing says why, and no numbers are compared.  Before a difference is
    called a gap, what the air sees and the inventory does not count is listed.
    """
    from monitor.service.ledgers import compare_ledgers

    interval = as_interval(start, end)
    with progress() as watch:
        found = compare_ledgers(
            city, interval, data, workdir, as_options(window_days, keep_going, again, watch)
        )
    if as_json:
        print_json(found)
        return 0
    print_table(
        f"{found['city']} {interval}: two ledgers",
        (
            "region",
            "sector",
            "period",
            "inventory",
            "bottom-up",
            "posterior",
            "estimate",
            "difference",
            "says",
        ),
        # the sectors of what is not comparable would say the same again
        [_row(row) for row in found["rows"] if row["sector"] == "*" or not row["not_comparable"]],
    )
    for name, rule in found["rules"].items():
        click.echo(f"{name.replace('_', ' ')}: {rule}")
    for line in _notes(found["rows"]):
        click.echo(line)
    for warning in found["warnings"]:
        click.echo(redact(f"warning: {warning}"), err=True)
    return 0


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    assigned = (row["bottom_up"] or {}).get("uncertainty") == "assigned"
    difference = (row["difference"] or {}).get("in_sigmas")
    return (
        row["region"],
        f"{row['block']}: {'all' if row['sector'] == '*' else row['sector']}",
        row["period"],
        row["inventory"],
        _amount(row["bottom_up"]),
        _amount(row["posterior"]),
        _amount(row["estimate"]),
        "–" if difference is None else f"{difference:+.1f} σ",
        ", ".join(dict.fromkeys([row["status"], *row["marks"], *(["assigned"] if assigned else [])])),
    )


def _amount(amount: Mapping[str, Any] | None) -> str:
    return "–" if amount is None else f"{_short(amount['value'])} ± {_short(amount['sigma'])}"


def _short(value: float | None) -> str:
    """Three digits are more than any of these numbers holds."""
    return number(None if value is None else float(f"{value:.3g}"))


def _notes(rows: list[Mapping[str, Any]]) -> list[str]:
    """What is missing per region, and why rows are not comparable; each once."""
    lines = []
    for row in rows:
        for reason in row["not_comparable"]:
            lines.append(f"{row['inventory']}, {row['period']}: not comparable: {reason}")
        if row["sector"] == "*" and row["missing_terms"]:
            terms = ", ".join(
                f"{t['name']} {number(t['value'])} ± {number(t['sigma'])}"
                if t["value"] is not None
                else f"{t['name']} (size not stated)"
                for t in row["missing_terms"]
            )
            lines.append(
                f"{row['region']}, {row['block']}: in the air and not in the inventory: {terms} {row['unit']}"
            )
    return list(dict.fromkeys(lines))
