"""The last step: the results as a report, put before the readers as a release of the site.

Every interval has its own place, ``site/<city>/<interval>/current``; a revised answer is a new release
there, and the earlier ones stay beside it.
"""

from __future__ import annotations

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.archive import Archive
from monitor.config import CityConfig
from monitor.domain import Interval
from monitor.service.inputs import span

if TYPE_CHECKING:
    from monitor.service.run import Run


def release_key(city: str, interval: Interval, as_of: date | None = None) -> str:
    """The archive key of what says where an interval's report lies."""
    return f"release/{city}/{span(interval, as_of)}"


def released(archive: Archive, workdir: Path, key: str) -> Path | None:
    """The report that the release document under `key` names, if it is still there."""
    record = archive.current(key)
    if record is None:
        return None
    path: Path = workdir.absolute() / json.loads(archive.load_document(record.digest))["report"]
    return path if path.is_file() else None


def write_release(run: Run, results: dict[str, Any]) -> Path:
    """Write the report beside the site, put it in as a new release, and return the page's path."""
    from monitor.publish import ReportInput, publish_release, write_report

    posteriors = {name: run.archive.load(digest) for name, digest in results["posteriors"].items()}
    report = ReportInput(
        city_id=run.city_id,
        city_name=run.city.city.name or run.city_id,
        interval=run.interval,
        posteriors=posteriors,
        verdicts=results["verdicts"],
        inventories=results["inventories"],
        sources=results["sources"],
        ledgers=results.get("ledgers", []),
        family=results.get("family", {}),
        figures=results["figures"],
        warnings=results["warnings"],
        stations=tuple(station.as_domain() for station in run.city.station),
        regions=tuple(region.as_domain() for region in run.city.region),
        provenance=results["made_from"] | {"assumptions": _assumptions(run.city)},
    )
    site = run.workdir.absolute() / "site" / run.city_id
    with tempfile.TemporaryDirectory(prefix="report-", dir=_made(run.workdir / "tmp")) as private:
        build = Path(private) / "report"  # a folder with the usual mode: a release keeps it, for all readers
        write_report(report, build)
        release = publish_release(build, site / span(run.interval, run.options.as_of).replace(":", ""))
    return release / "index.html"


def _assumptions(city: CityConfig) -> dict[str, Any]:
    """What the configuration assumes, one name a value."""
    sections: dict[str, Any] = {"selection": city.selection.model_dump(mode="json", exclude_none=True)}
    sections |= {f"block {b.name}": b.model_dump(mode="json", exclude_none=True) for b in city.block}
    sections |= {
        f"inversion {i.species}": i.model_dump(mode="json", exclude_none=True) for i in city.inversion
    }
    return sections


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
