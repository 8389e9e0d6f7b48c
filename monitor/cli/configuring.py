"""`monitor init` and `config`: writing and checking the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli import options as opt
from monitor.cli.output import error_text, print_json
from monitor.errors import ConfigError, MonitorError
from monitor.service.logs import redact


@click.command()
@click.argument("folder", type=opt.PATH)
@click.option("--id", "city_id", required=True, help="Name of the city in files and keys, such as 'paris'.")
@opt.SPEECH
def init(folder: Path, city_id: str, as_json: bool) -> int:
    """Write monitor.toml, a city and its claims below FOLDER, to be filled in; never over existing files."""
    from monitor.cli.templates import written_files

    made = written_files(folder, city_id)
    if as_json:
        print_json({"written": [str(path) for path in made]})
    else:
        for path in made:
            click.echo(f"wrote {path}")
        click.echo(f"next: fill them in, then `monitor config check {made[0]}`")
    return 0


@click.group()
def config() -> None:
    """Check configuration files, or print their schema."""


@config.command()
@click.argument("files", nargs=-1, required=True, type=opt.PATH)
@opt.SPEECH
def check(files: tuple[Path, ...], as_json: bool) -> int:
    """Check FILES (monitor.toml, cities, claims) and list every fault, each with its file and key."""
    from monitor.service.checking import check_file

    faults: list[MonitorError] = []
    kinds = {}
    for path in files:
        try:
            kinds[str(path)] = check_file(path)
        except ConfigError as error:
            faults.append(error)
    if as_json:
        print_json({"ok": not faults, "files": kinds, "faults": [fault.as_dict() for fault in faults]})
    else:
        for name, kind in kinds.items():
            click.echo(f"{name}: a good {kind} file")
    for fault in faults:
        click.echo(redact(error_text(fault)), err=True)
    return faults[0].exit_code if faults else 0


@config.command()
@click.argument("kind", type=click.Choice(["city", "claims", "service"]), default="city")
def schema(kind: str) -> int:
    """Print the JSON schema of a city, claims or service file."""
    from monitor.service.checking import MODELS

    print_json(MODELS[kind].model_json_schema(by_alias=True))
    return 0
