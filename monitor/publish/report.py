"""One report per run: a self-contained page and the same content as JSON, CSV and NetCDF."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from monitor.domain import Interval, Region, Station
from monitor.errors import StorageError
from monitor.publish.content import content_of
from monitor.publish.exports import write_exports
from monitor.publish.page import render_page
from monitor.publish.site import SUMS, verify_release, write_sums

PAGE = "index.html"


@dataclass(frozen=True)
class ReportInput:
    """All that a report is made from; nothing else is read, not even the clock.

    Parameters
    ----------
    posteriors
        Species id → posterior dataset as the inversion returns it.
    verdicts
        Claim id → verdict, in the order of the claims file.
    inventories
        Inventory id → its total and the estimate along its pattern.
    sources
        Sources that the scan found: lon, lat, start, end, strength, interval, unit, false_alarm, status.
    ledgers
        Rows of the two ledgers (`monitor.compare.reconcile.Row.as_json`).
    family
        How often at least one of the claims is answered wrongly.
    figures
        Of the run as a whole: n_observations, excluded {reason: count}, loo_coverage, seconds …;
        `sources_searched` (places, or true) lets an empty `sources` mean that a search found none.
    warnings
        Sentences for whoever relies on the result.
    provenance
        config_digest, code_version, inputs (kind, key, digest, source files), assumptions.
    """

    city_id: str
    city_name: str
    interval: Interval
    stations: tuple[Station, ...]
    regions: tuple[Region, ...]
    posteriors: Mapping[str, xr.Dataset]
    verdicts: Mapping[str, Mapping[str, object]]
    inventories: Mapping[str, Mapping[str, object]]
    sources: Sequence[Mapping[str, object]]
    figures: Mapping[str, object]
    warnings: Sequence[str]
    provenance: Mapping[str, object]
    ledgers: Sequence[Mapping[str, object]] = ()
    family: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportPaths:
    """Where the report lies: the page, the JSON object, the folder of tables, one NetCDF a species."""

    html: Path
    json: Path
    csv: Path
    netcdf: Mapping[str, Path]


def write_report(report: ReportInput, out_dir: Path) -> ReportPaths:
    """Write the page and its data files into `out_dir`, and checksums of them all.

    The report is built aside, verified and moved file by file, the page last, so that a page never
    links to a file that is not there.  Files of an earlier report that the new one lacks are removed;
    files that no report wrote are left alone.  The same input gives the same page.

    Raises
    ------
    ContractError
        When a posterior lacks what a report needs.
    StorageError
        When the folder cannot be written; an earlier report stays.
    """
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".report-", dir=out_dir.parent))
        try:
            _build(report, aside)
            verify_release(aside)
            _move_in(aside, out_dir)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            "the report could not be written",
            found=str(error),
            where=str(out_dir),
            remedy="free space or choose another folder",
        ) from error
    netcdf = {name: out_dir / path.name for name, path in _netcdf_paths(report, out_dir).items()}
    return ReportPaths(out_dir / PAGE, out_dir / "report.json", out_dir / "csv", netcdf)


def _netcdf_paths(report: ReportInput, folder: Path) -> dict[str, Path]:
    from monitor.publish.exports import file_name

    return {name: folder / f"posterior-{file_name(name)}.nc" for name in report.posteriors}


def _build(report: ReportInput, folder: Path) -> None:
    content = content_of(report)
    write_exports(report, folder, content=content)
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / PAGE).write_text(render_page(report, content, sizes), encoding="utf-8")
    write_sums(folder)


def _move_in(aside: Path, out_dir: Path) -> None:
    """Replace file by file, the page and then the checksums last; drop what the old checksums list alone."""
    old = _listed(out_dir)
    new = _listed(aside)
    last = [PAGE, SUMS]
    for name in [*sorted(new - {PAGE}), *last]:
        (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside / name, out_dir / name)
    for name in old - new:
        (out_dir / name).unlink(missing_ok=True)


def _listed(folder: Path) -> set[str]:
    """Names in the folder's checksum file that lie inside the folder."""
    listing = folder / SUMS
    if not listing.is_file():
        return set()
    names = {row.partition("  ")[2] for row in listing.read_text(encoding="utf-8").splitlines()}
    return {name for name in names if name and (folder / name).resolve().is_relative_to(folder.resolve())}
