"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from monitor.domain import parse_utc
from monitor.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


class Moment(click.ParamType[datetime]):
    """A UTC moment, ISO-8601; a date is its midnight."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, or click's own complaint."""
        try:
            return parse_utc(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def _chain(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def _log_option(context: click.Context, _: click.Parameter, verbose: bool) -> bool:
    from monitor.service.logs import configure_logs

    configure_logs(verbose=verbose)
    return verbose


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
VERBOSE = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_log_option, help="Log what is being done."
)
SPEECH = _chain(AS_JSON, VERBOSE)
CITY = click.argument("city", type=click.Path(path_type=Path, dir_okay=False), metavar="CITY.toml")
DATES = _chain(
    click.option("--from", "start", type=Moment(), required=True, help="Beginning, included (UTC)."),
    click.option("--to", "end", type=Moment(), required=True, help="End, not included (UTC)."),
)
WORKDIR = click.option(
    "--workdir",
    type=PATH,
    default=Path("workdir"),
    show_default=True,
    help="Folder of the archive and the reports.",
)
FOLDERS = _chain(
    click.option("--data", type=PATH, required=True, help="Folder below which the sources lie."), WORKDIR
)
HOW = _chain(
    click.option(
        "--window-days",
        type=float,
        default=None,
        help="Data used back from the interval's end [d].",
    ),
    click.option(
        "--keep-going", is_flag=True, help="Go on without bad files as long as the required inputs are there."
    ),
    click.option("--again", is_flag=True, help="Do every step again, even a done one."),
)
