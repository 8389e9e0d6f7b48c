"""`monitor sources`: the search for sources beyond the inventory, over the same path as `monitor run`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from monitor.cli import options as opt
from monitor.cli.output import dates, number, print_json, print_table, progress, span
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from monitor.service.run import RunOutcome


@click.command()
@opt.of_a_run
@opt.SPEECH
def sources(asked: opt.Asked, as_json: bool) -> int:
    """Look for sources beyond the inventory, and say what would have been found.

    A strength is what a place emits more than the inventory has there.

    The run is that of `monitor run`; a step that was done before is not done again.
    """
    from monitor.config import load_city
    from monitor.service.pipeline import run_interval

    if not load_city(asked.city).scan:
        raise ConfigError(
            "the city file asks for no search for sources",
            expected="a [[scan]] table with the species to look at",
            found="none",
            where=str(asked.city),
            remedy='add [[scan]] and species = "ch4"',
        )
    with progress() as watch:
        outcome = run_interval(asked.city, asked.interval, asked.data, asked.workdir, asked.options(watch))
    if as_json:
        print_json(_as_json(outcome))
    else:
        _print(outcome)
    return outcome.exit_code


def _as_json(outcome: RunOutcome) -> dict[str, Any]:
    shown = outcome.as_json()
    kept = {key: shown[key] for key in ("city", "interval", "sources", "warnings", "failures", "report")}
    return kept | {"searches": shown["figures"].get("searches", {})}


def _print(outcome: RunOutcome) -> None:
    searches: Mapping[str, Mapping[str, Any]] = outcome.figures.get("searches", {})
    print_table(
        f"Sources beyond the inventory, {outcome.city} {outcome.interval}",
        (
            "status",
            "lon",
            "lat",
            "± km",
            "began (95 %)",
            "ended (95 %)",
            "strength",
            "95 % interval",
            "unit",
            "false alarm",
            "a year",
        ),
        [_row(source) for source in outcome.sources],
    )
    for source in outcome.sources:
        for note in source["notes"]:
            click.echo(f"{number(source['lon'])}, {number(source['lat'])}: {note}")
    for species, search in searches.items():
        if not any(source["species"] == species for source in outcome.sources):
            click.echo(f"{species}: nothing found")
        click.echo(f"{species}: {search_text(search)}")
    click.echo(f"report: {outcome.report}")


def _row(source: Mapping[str, Any]) -> tuple[str, ...]:
    from monitor.publish.numbers import chance_bound

    place = [number(source[key]) for key in ("lon", "lat", "place_km")]
    began, ended = dates(source)
    ended += f" ({source['recurring']})" if source["recurring"] else ""
    strength = (number(source["strength"]), span(source["interval"]), str(source["unit"]))
    less = chance_bound(source["false_alarm"], source.get("draws"))
    chance = [less + number(source[key]) for key in ("false_alarm", "false_alarms_a_year")]
    return (str(source["status"]), *place, began, ended, *strength, *chance)


def search_text(search: Mapping[str, Any]) -> str:
    """How much was looked at, and what would have been found."""
    limits = search["detectable"]
    low, median, high = (_strength(x) for x in (limits["range"][0], limits["median"], limits["range"][1]))
    return (
        f"{search['places']} places × {search['windows']} windows searched; with no source there it alarms "
        f"{number(search['false_alarms_a_year'])} times a year. A source of {number(limits['days'])} days is "
        f"found in 80 of 100 cases from {median} {limits['unit']} on (median of the places; the best {low}, "
        f"the worst {high}; {limits['unseen_places']} places are not seen)"
    )


def _strength(value: object) -> str:
    return "∞" if value is None else number(value)
