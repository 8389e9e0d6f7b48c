"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.domain import Interval, parse_utc
from monitor.errors import UsageError

if TYPE_CHECKING:
    from monitor.service.run import RunOptions

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
_HOW = _chain(
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


def as_interval(start: datetime, end: datetime) -> Interval:
    """[start, end); `UsageError` when it is empty."""
    if not start < end:
        raise UsageError("--to must come after --from", found=f"{start.isoformat()} … {end.isoformat()}")
    return Interval(start, end)


@dataclass(frozen=True)
class Asked:
    """A city, an interval and how it is to be run, as the command line has them."""

    city: Path
    interval: Interval
    data: Path
    workdir: Path
    window_days: float | None
    keep_going: bool
    again: bool

    def options(self, watch: Callable[[str], None] | None, *, as_of: date | None = None) -> RunOptions:
        """The options of a run."""
        from monitor.service.run import RunOptions

        return RunOptions(self.window_days, self.keep_going, self.again, as_of=as_of, progress=watch)


def of_a_run(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the arguments and options of a run, as one `Asked` before its own."""

    @wraps(command)
    def call(*, city: Path, start: datetime, end: datetime, data: Path, workdir: Path, **more: Any) -> int:
        how = {field.name: more.pop(field.name) for field in fields(Asked)[4:]}
        return command(Asked(city, as_interval(start, end), data, workdir, **how), **more)

    return _chain(CITY, DATES, FOLDERS, _HOW)(call)
