"""`monitor compare`: the inventory and the air side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from monitor.cli import options as opt
from monitor.cli.output import number, print_json, print_table, progress
from monitor.errors import UsageError
from monitor.service.logs import redact


@click.command()
@opt.of_a_run
@click.option("--table", type=str, default=None, help="One more table, below --data.")
@click.option("--reader", default=None, help="Its reader, such as c40-tidy.")
@click.option("--place", default=None, help="Name or code of the city in it.")
@click.option("--region", default=None, help="The region that the city is; the first if absent.")
@opt.SPEECH
def compare(
    asked: opt.Asked,
    table: str | None,
    reader: str | None,
    place: str | None,
    region: str | None,
    as_json: bool,
) -> int:
    """Hold the inventories of a city against the air: per region, sector and period.

    A row that is not about the same thing says why, and no numbers are compared.  Before a difference is
    called a gap, what the air sees and the inventory does not count is listed.
    """
    from monitor.service.ledgers import compare_ledgers, given_table

    more = []
    if table is not None:
        if reader is None or place is None:
            raise UsageError("--table needs --reader and --place", remedy="see docs/tables.md")
        more.append(given_table(asked.city, table, reader, place, region))
    with progress() as watch:
        found = compare_ledgers(
            asked.city, asked.interval, asked.data, asked.workdir, asked.options(watch), tables=more
        )
    if as_json:
        print_json(found)
        return 0
    print_table(
        f"{found['city']} {asked.interval}: two ledgers",
        (
            "region",
            "sector",
            "period",
            "inventory",
            "bottom-up ± 1σ",
            "posterior, 95 %",
            "estimate, 95 %",
            "unit",
            "difference",
            "says",
        ),
        # the sectors of what is not comparable would say the same again
        [_row(row) for row in found["rows"] if row["sector"] == "*" or not row["not_comparable"]],
    )
    click.echo(found["by_chance"]["text"])
    for name, rule in found["rules"].items():
        click.echo(f"{name.replace('_', ' ')}: {rule}")
    for line in _notes(found["rows"]):
        click.echo(line)
    for warning in found["warnings"]:
        click.echo(redact(f"warning: {warning}"), err=True)
    return 0


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    assigned = (row["bottom_up"] or {}).get("uncertainty") == "assigned"
    declared = [f"declared ± {row['declared_sd']:.0%} (1σ)"] if row["declared_sd"] else []
    difference = (row["difference"] or {}).get("in_sigmas")
    return (
        row["region"],
        f"{row['block']}: {'all' if row['sector'] == '*' else row['sector']}",
        row["period"],
        row["inventory"],
        _amount(row["bottom_up"]),
        _interval(row["posterior"]),
        _interval(row["estimate"]),
        row["unit"],
        "–" if difference is None else f"{difference:+.1f} σ",
        ", ".join(
            dict.fromkeys([row["status"], *row["marks"], *(["assigned"] if assigned else []), *declared])
        ),
    )


def _amount(amount: Mapping[str, Any] | None) -> str:
    return "–" if amount is None else f"{_short(amount['value'])} ± {_short(amount['sigma'])}"


def _interval(amount: Mapping[str, Any] | None) -> str:
    """A number over its 95 % interval: its own where it states one, else that of a normal error."""
    from monitor.compare.statistics import gaussian

    if amount is None or amount["value"] is None or amount["sigma"] is None:
        return "–"
    usual = gaussian(amount["value"], amount["sigma"])
    low, high = amount.get("interval") or (usual.low, usual.high)
    return f"{_short(amount['value'])}\n({_short(low)} … {_short(high)})"


def _short(value: float | None) -> str:
    """Three digits are more than any of these numbers holds."""
    return number(None if value is None else float(f"{value:.3g}"))


def _notes(rows: list[Mapping[str, Any]]) -> list[str]:
    """What is missing per region, and why rows are not comparable; each once, and tables' rows counted."""
    lines, refused = [], Counter[str]()
    for row in rows:
        about = f"{row['inventory']}, {row['species']}, {row['period']}: not comparable"
        for reason in row["not_comparable"]:
            if not row["lines"]:
                lines.append(f"{about}: {reason}")
            else:
                refused[f"{about}: {reason.split(':')[0]}"] += 1
        if row["sector"] == "*" and row["missing_terms"]:
            terms = ", ".join(
                f"{t['name']} {number(t['value'])} ± {number(t['sigma'])} (1σ)"
                if t["value"] is not None
                else f"{t['name']} (size not stated)"
                for t in row["missing_terms"]
            )
            lines.append(
                f"{row['region']}, {row['block']}: in the air and not in the inventory: {terms} {row['unit']}"
            )
    return [*dict.fromkeys(lines), *(f"{text}: {count} rows" for text, count in refused.most_common())]
