"""The data files of a report: JSON, CSV tables, NetCDF, GeoJSON, and the PARIS inversion layout."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from monitor.compare.document import sealed
from monitor.publish.content import (
    content_of,
    map_columns,
    regions_geojson,
    series_columns,
)
from monitor.publish.csv_tables import column_rows, tables_of
from monitor.publish.paris import paris_concentrations, paris_fluxes

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class ExportPaths:
    """Where the data files lie."""

    json: Path
    csv: Path
    netcdf: dict[str, Path]
    geojson: Path


def write_exports(
    report: ReportInput, folder: Path, *, content: Mapping[str, Any] | None = None
) -> ExportPaths:
    """Write all data files of `report` into `folder`, which is made when it is missing.

    Parameters
    ----------
    content
        The result of `content_of(report)`, when the caller has it already.

    Raises
    ------
    ContractError
        When a posterior lacks what a report needs.
    """
    content = content_of(report) if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    paths = ExportPaths(
        folder / "report.json",
        folder / "csv",
        {name: folder / f"posterior-{file_name(name)}.nc" for name in report.posteriors},
        folder / "regions.geojson",
    )
    _write_json(paths.geojson, regions_geojson(report.regions))
    files = {
        name: (series_columns(name, posterior), map_columns(posterior))
        for name, posterior in report.posteriors.items()
    }
    bulk = {
        "series": {name: series for name, (series, _) in files.items()},
        "maps": {name: maps for name, (_, maps) in files.items()},
    }
    _write_json(paths.json, sealed({**content, **bulk}))
    for claim, verdict in content["verdicts"].items():
        _write_json(_made(folder / "verdicts") / f"{file_name(claim)}.json", verdict)
    _write_tables(paths.csv, content, files)
    for name, posterior in report.posteriors.items():
        _write_netcdf(posterior, paths.netcdf[name], f"Posterior of {name}, {report.city_name}")
        where = f"{file_name(name)}.nc"
        _write_netcdf(paris_fluxes(name, posterior), folder / f"paris-flux-{where}")
        _write_netcdf(paris_concentrations(posterior), folder / f"paris-concentrations-{where}")
    return paths


def file_name(text: str) -> str:
    """`text` as a part of a file name: letters, digits, dots, hyphens and underscores, never leading dots."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80] or "unnamed"


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _write_json(path: Path, value: object) -> None:
    # long columns of numbers are not worth a line each
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def guard(cell: object) -> object:
    """`cell` safe in a spreadsheet: text that would be run as a formula gets a leading apostrophe.

    Numbers are untouched.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return cell
    return f"'{cell}" if cell.startswith(_RISKY) else cell


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One table in UTF-8, RFC 4180, every text cell guarded."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([guard(name) for name in header])
        writer.writerows([guard(cell) for cell in row] for row in rows)


def _write_tables(
    folder: Path, content: Mapping[str, Any], files: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    folder.mkdir(exist_ok=True)
    tables = tables_of(content)
    tables["columns"] = column_rows(tables)
    for name, rows in tables.items():
        header = list(dict.fromkeys(key for row in rows for key in row)) or ["empty"]
        write_csv(folder / f"{name}.csv", header, ([row.get(key) for key in header] for row in rows))
    for species, columns in files.items():
        for kind, table in zip(("series", "flux"), columns, strict=True):
            path = folder / f"{kind}-{file_name(species)}.csv"
            write_csv(path, list(table), zip(*table.values(), strict=True))


def _write_netcdf(dataset: xr.Dataset, path: Path, title: str = "") -> None:
    """One NetCDF-4 file with compression and checksums; attributes that netCDF cannot hold as JSON text."""
    plain = dataset.copy()
    plain.attrs = {
        "Conventions": "CF-1.8",
        **({"title": title} if title else {}),
        **_attributes(dataset.attrs),
    }
    encoding: dict[str, dict[str, Any]] = {}
    for key in plain.variables:
        variable = plain[key]
        variable.attrs = _attributes(variable.attrs)
        variable.encoding = {}
        if variable.dtype.kind in "fiu":
            encoding[str(key)] = {"zlib": variable.ndim > 0, "fletcher32": variable.ndim > 0}
        elif variable.dtype.kind == "M":
            encoding[str(key)] = {"units": "seconds since 1970-01-01", "dtype": "i8"}
    plain.encoding = {}
    plain.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)


def _attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        key = re.sub(r"[^\w.@+-]+|^[^A-Za-z_]", "_", str(name))
        if value is None:
            continue
        if isinstance(value, bool | np.bool_):
            kept[key] = int(value)
        elif isinstance(value, str | int | float | np.number | np.ndarray):
            kept[key] = value
        else:
            kept[key] = json.dumps(value, default=str, ensure_ascii=False)
    return kept
