"""`monitor init`, `config` and `claims`: writing, checking and reading the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli import options as opt
from monitor.cli.output import error_text, number, print_json, print_table
from monitor.errors import ConfigError, MonitorError, UsageError
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


@click.group()
def claims() -> None:
    """List the claims of a file, or show one."""


@claims.command("list")
@click.argument("file", type=opt.PATH, metavar="CLAIMS.toml")
@opt.SPEECH
def list_claims(file: Path, as_json: bool) -> int:
    """List the claims of a file."""
    from monitor.config import load_claims

    found = load_claims(file).claim
    if as_json:
        print_json({"claims": [claim.model_dump(mode="json") for claim in found]})
    else:
        print_table(
            "",
            ("claim", "kind", "statement", "value", "unit"),
            [(c.id, c.kind, c.statement, number(c.value), c.unit or "") for c in found],
        )
    return 0


@claims.command()
@click.argument("file", type=opt.PATH, metavar="CLAIMS.toml")
@click.argument("claim_id", metavar="ID")
@opt.SPEECH
def show(file: Path, claim_id: str, as_json: bool) -> int:
    """Show one claim of a file."""
    from monitor.config import load_claims

    found = {claim.id: claim for claim in load_claims(file).claim}
    if claim_id not in found:
        raise UsageError(f"no claim is called '{claim_id}'", expected=", ".join(found), where=str(file))
    said = found[claim_id].model_dump(mode="json")
    if as_json:
        print_json(said)
    else:
        for key, value in said.items():
            if value not in (None, [], ""):
                click.echo(f"{key}: {value}")
    return 0
