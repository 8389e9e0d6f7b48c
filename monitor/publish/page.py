"""The page: one self-contained HTML document, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor.publish.badges import BADGES
from monitor.publish.claim_view import claim_views
from monitor.publish.glossary import GLOSSARY
from monitor.publish.interval_picture import KEY
from monitor.publish.ledger_view import ledger_views
from monitor.publish.minute import family_line, minute_lines
from monitor.publish.numbers import NO_BREAK, show
from monitor.publish.periods import period_text
from monitor.publish.source_view import no_source, search_lines, source_rows
from monitor.publish.species_view import detectable_maps, species_views
from monitor.publish.table_view import (
    excluded_rows,
    figure_rows,
    input_rows,
    inventory_rows,
    pair_rows,
)
from monitor.publish.wording import mapping_of, text_of, tidy

if TYPE_CHECKING:
    from monitor.publish.report import ReportInput


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("monitor.publish"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_page(report: ReportInput, content: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """The page as text.

    Parameters
    ----------
    content
        The result of `content_of(report)`.
    sizes
        Bytes of each file that the page offers, by its path beside the page.
    """
    environment = _environment()
    style = environment.get_template("report.css").render(badges=BADGES.values())
    provenance = mapping_of(content["provenance"])
    return environment.get_template("report.html").render(
        style=Markup(style),
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        city=report.city_name or report.city_id,
        city_id=report.city_id,
        period=period_text(report.interval),
        interval=str(report.interval),
        minute=minute_lines(report, content),
        claims=claim_views(report, content),
        picture_key=KEY,
        species=species_views(report, content),
        inventories=inventory_rows(content["inventories"]),
        ledgers=ledger_views(
            content["ledgers"], {region.id: region.name or region.id for region in report.regions}
        ),
        family=family_line(content["family"]),
        detectable=detectable_maps(report),
        no_source=no_source(content["figures"]),
        searches=search_lines(content["figures"]),
        sources=source_rows(content["sources"]),
        excluded=excluded_rows(content["figures"]),
        figures=figure_rows(content["figures"]),
        warnings=[tidy(text_of(text)) for text in content["warnings"]],
        inputs=input_rows(provenance),
        assumptions=pair_rows(mapping_of(provenance.get("assumptions"))),
        provenance=pair_rows({k: v for k, v in provenance.items() if k not in {"inputs", "assumptions"}}),
        downloads=[(name, download_text(name), size_text(size)) for name, size in sizes.items()],
        glossary=GLOSSARY,
    )


def size_text(size: int) -> str:
    """A file size in kB or MB."""
    return (
        f"{show(size / 1e3, 0 if size >= 1e4 else 1)}{NO_BREAK}kB"
        if size < 1e6
        else f"{size / 1e6:.1f}{NO_BREAK}MB"
    )


_DOWNLOADS = {
    "report.json": "Everything on this page and the series and maps, for programs",
    "regions.geojson": "Outlines of the regions",
    "csv/verdicts.csv": "Claims and verdicts",
    "csv/totals.csv": "Totals with intervals",
    "csv/inventories.csv": "Inventories against the air",
    "csv/sources.csv": "Sources found by the search",
    "csv/ledgers.csv": "The two ledgers, row by row",
    "csv/ensemble.csv": "Each claim with other choices of method",
    "csv/comparability.csv": "What was asked before a claim was compared",
    "csv/epochs.csv": "Totals behind changes and trends",
    "csv/columns.csv": "What the columns of these tables hold, and their units",
    "csv/stations.csv": "Stations",
    "csv/diagnostics.csv": "Diagnostics of each inversion",
    "csv/figures.csv": "Figures of the run",
    "csv/hyperparameters.csv": "Fitted scales",
    "csv/warnings.csv": "Warnings",
    "csv/provenance.csv": "Inputs and assumptions",
}


def download_text(name: str) -> str:
    """What a file holds, in a few words."""
    if name in _DOWNLOADS:
        return _DOWNLOADS[name]
    for start, text in (
        ("posterior-", "Whole result with all covariances (NetCDF)"),
        ("paris-flux-", "Fluxes and totals, PARIS layout (NetCDF)"),
        ("paris-concentrations-", "Mole fractions, PARIS layout (NetCDF)"),
        ("csv/series-", "Observed and modelled series"),
        ("csv/flux-", "Flux maps, one row a cell"),
    ):
        if name.startswith(start):
            return text
    return "Data"
