"""`monitor ingest`: read files, and keep what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli import options as opt
from monitor.cli.output import error_text, print_json
from monitor.errors import MissingInputError, MonitorError, UsageError
from monitor.service.logs import redact

if TYPE_CHECKING:
    import xarray as xr


@click.command()
@click.argument("files", nargs=-1, required=True, type=opt.PATH)
@click.option("--reader", help="Only read and check, with this reader; nothing is kept.")
@click.option("--species", type=click.Choice(["co2", "ch4", "co"]), help="With --reader: the gas.")
@click.option("--station", help="With --reader: the station as ID,LON,LAT [degrees].")
@click.option("--inlet-m", type=float, help="With --reader: inlet height above ground [m].")
@click.option("--scale", help="With --reader: calibration scale.")
@click.option("--year", type=int, help="With --reader: year of an inventory.")
@click.option("--city", type=opt.PATH, metavar="CITY.toml", help="Keep the files, as of this city …")
@click.option("--source", metavar="ID", help="… and this source of it.")
@opt.WORKDIR
@opt.SPEECH
def ingest(
    files: tuple[Path, ...],
    reader: str | None,
    city: Path | None,
    source: str | None,
    workdir: Path,
    as_json: bool,
    **context: Any,
) -> int:
    """Read FILES, one line each in the order given.

    With --city and --source a line is printed after its file is safe in the archive; a bad file is
    quarantined.  With --reader the file is only read and checked; inventory tables are known without it.
    The exit code is that of the first failure.
    """
    if (reader is not None and city is not None) or (city is None) != (source is None):
        raise UsageError("name either --reader, or --city and --source")
    code = 0
    for path in files:
        try:
            if path.is_dir():
                raise MissingInputError(
                    "this is a folder",
                    expected="files, one after the other",
                    found=str(path),
                    remedy=f"name its files, such as {path}/*",
                )
            if not path.is_file():
                raise MissingInputError("there is no such file", found=str(path), remedy="check the path")
            line = _keep(path, city, source, workdir) if city else _read(path, reader, context)
        except MonitorError as error:
            code = code or error.exit_code
            line = {"file": str(path), "error": error.as_dict()}
            click.echo(redact(error_text(error)), err=True)
        if as_json:
            print_json(line, lines=True)
        elif "error" not in line:
            click.echo(redact(", ".join(f"{key} {value}" for key, value in line.items())))
    return code


def _read(path: Path, reader: str | None, context: dict[str, Any]) -> dict[str, Any]:
    from monitor.ingest.recognise import read_table
    from monitor.plugins import ReadContext, get_reader

    station = _station(context["station"]) if context["station"] else None
    given = ReadContext(station=station, **{key: value for key, value in context.items() if key != "station"})
    if reader is None:
        chosen, dataset = read_table(path, given)
    else:
        chosen = get_reader(reader)
        dataset = chosen.read(path, given)
    if chosen.kind == "table":
        about = {"file": str(path), "kind": chosen.kind, "reader": chosen.name}
        return about | _table_summary(dataset)
    if chosen.kind == "observations":
        from monitor.archive import utcnow
        from monitor.ingest import apply_quality

        dataset = apply_quality(dataset, now=utcnow())
    return {"file": str(path), "kind": chosen.kind, **_summary(dataset)}


def _station(text: str) -> Any:
    from monitor.domain import Station

    try:
        name, lon, lat = text.split(",")
        return Station(name, float(lon), float(lat))
    except ValueError:
        raise UsageError("--station is ID,LON,LAT", expected="TAC,1.139,52.518", found=text) from None


def _summary(dataset: xr.Dataset) -> dict[str, Any]:
    """Rows, usable rows and time span."""
    import numpy as np

    from monitor.contracts import USABLE
    from monitor.domain import iso_z

    bounds = dataset["time_bnds"].values
    summary: dict[str, Any] = {"rows": int(bounds.shape[0])}
    if "flag" in dataset:
        summary["usable"] = int(np.isin(dataset["flag"].values, USABLE).sum())
    if bounds.size:
        summary["from"], summary["to"] = iso_z(bounds[:, 0].min()), iso_z(bounds[:, 1].max())
    return summary


def _table_summary(dataset: xr.Dataset) -> dict[str, Any]:
    """Lines read, used and refused with their reasons, the rows made of them, and what is marked in these."""
    import numpy as np

    from monitor.domain import iso_z
    from monitor.inventory import refusal_counts

    bounds, reasons = dataset["time_bnds"].values, refusal_counts(dataset)
    read, refused = int(dataset.attrs["rows_read"]), sum(reasons.values())
    return {
        "rows_read": read,
        "rows_used": read - refused,
        "rows_refused": refused,
        "refused": reasons,
        "cells_refused": int((dataset["refused_column"].values != "").sum()),
        "rows": dataset.sizes["row"],
        "totals": int(dataset["is_total"].sum()),
        "notation_keys": int((dataset["notation"].values != "").sum()),
        "units": sorted(set(map(str, np.unique(dataset["unit"].values.astype(str))))),
        "from": iso_z(bounds[:, 0].min()) if bounds.size else None,
        "to": iso_z(bounds[:, 1].max()) if bounds.size else None,
    }


def _keep(path: Path, city: Path | None, source: str | None, workdir: Path) -> dict[str, Any]:
    from monitor.service.intake import keep_file
    from monitor.service.run import load_configuration, open_archive

    assert city is not None and source is not None
    configured, _ = load_configuration(city)
    with open_archive(workdir) as archive:
        return {"file": str(path), **keep_file(archive, configured, source, path)}
