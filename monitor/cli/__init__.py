"""The command line: ``monitor --help`` names the commands, and loads none of them.

Data go to stdout, logs and errors to stderr.  With ``--json`` stdout carries one object (JSON Lines where
there are several inputs), an error included: ``{"error": {…}}``; the message stands on stderr as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NamedTuple, NoReturn

import click

import monitor

# Our matrices are small and many: BLAS threads wait for each other, the longer the busier the machine is.
# They are counted when numpy is loaded, so this stands before anything that loads it.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


class _Place(NamedTuple):
    module: str
    name: str
    help: str


_COMMANDS: Final = {
    "demo": _Place("running", "demo", "Make a synthetic city and judge its claims, from raw files on."),
    "init": _Place("configuring", "init", "Write the configuration of a new city."),
    "config": _Place("configuring", "config", "Check configuration files, or print their schema."),
    "run": _Place("running", "run", "Answer for one city and one interval, in the foreground."),
    "backfill": _Place("running", "backfill", "Run the consecutive intervals of a longer time."),
    "serve": _Place("serving", "serve", "Run what is due, on a schedule, until told to stop."),
    "status": _Place("serving", "status", "Show what was done, what is quarantined, and who is at work."),
    "doctor": _Place("serving", "doctor", "Check the machine, the working folder and the configuration."),
    "ingest": _Place("ingesting", "ingest", "Read files, and keep them in the archive of a city."),
    "compare": _Place("comparing", "compare", "Hold the inventories against the air, sector by sector."),
    "design": _Place("designing", "design", "Say what a network would see, and rank sites to add."),
    "claims": _Place("claiming", "claims", "List, check and show claims, and evaluate them."),
    "calibrate": _Place("calibrating", "calibrate", "Try verdicts on synthetic cities whose truth is known."),
    "sources": _Place("searching", "sources", "Look for sources beyond the inventory."),
    "publish": _Place("running", "publish", "Write the report of an archived answer again."),
    "verify": _Place("serving", "verify", "Check verdict files, or the whole archive and the site."),
    "db": _Place("serving", "db", "Show or upgrade the schema of the catalogue."),
}


class _Lazy(click.Group):
    """A group that knows its commands' names and help, and imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        command = getattr(import_module(f"monitor.cli.{place.module}"), place.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(monitor.__version__, prog_name="monitor")
def group() -> None:
    """Estimate a city's greenhouse-gas emissions from the air, and test its claims against them.

    \b
    Exit codes: 0 done · 2 usage · 3 done, but quality control withheld a publication · 65 bad input ·
    69 upstream unavailable · 74 I/O or disk · 75 try again / lock held · 78 configuration · 1 our bug
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = group.main(given, prog_name="monitor", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where a failure can be said
        from monitor.cli.output import say_error

        return say_error(error, as_json="--json" in given)
