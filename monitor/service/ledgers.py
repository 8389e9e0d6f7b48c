"""`monitor compare`: the inventory and the air side by side, from the path and the solve of `monitor run`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.compare import reconcile as ledger
from monitor.compare.statistics import LEVEL, Z
from monitor.config import CityConfig, TableSection
from monitor.domain import Interval
from monitor.errors import UsageError
from monitor.service.analysis import solve_case
from monitor.service.case import build_case
from monitor.service.inputs import load_data
from monitor.service.ledger import Ledger, process_owner
from monitor.service.ledger_rows import reconcile
from monitor.service.ledger_tables import reconcile_tables
from monitor.service.pipeline import ingest_inputs
from monitor.service.run import Run, RunOptions, load_configuration, open_archive
from monitor.service.whole_files import read_table


def compare_ledgers(
    config_path: Path,
    interval: Interval,
    data_root: Path,
    workdir: Path,
    options: RunOptions | None = None,
    *,
    tables: Sequence[TableSection] = (),
) -> dict[str, Any]:
    """Both ledgers of a city over `interval`, as one JSON-ready object.

    `tables` come beside those of the city file, for this once: the archive does not keep them.

    Raises
    ------
    MonitorError
        As `monitor.service.pipeline.run_interval`.
    """
    started = time.monotonic()
    options = options or RunOptions()
    city, claims = load_configuration(config_path)
    given = {section.id: read_table(section, data_root / section.path) for section in tables}
    with open_archive(workdir, options.clock) as archive:
        owner = Ledger(archive, process_owner(), options.clock)
        run = Run(archive, owner, city, claims, interval, data_root, workdir, options)
        _, inputs, warnings = ingest_inputs(run)
        data, objects = load_data(archive, city, run.window)
    city = city.model_copy(update={"table": (*city.table, *tables)})
    read = {**data.tables, **given}
    rows: list[ledger.Row] = []
    for species in city.city.species:
        run.say(f"{species}: solving")
        solved = solve_case(build_case(city, species, run.window, data))
        run.say(f"{species}: comparing")
        rows += reconcile(solved)
        rows += reconcile_tables(solved, read)
        warnings += solved.case.warnings
    return {
        "city": city.city.id,
        "interval": interval.as_json(),
        "rows": [row.as_json() for row in rows],
        "by_chance": by_chance(rows),
        "rules": rules(city),
        "warnings": list(dict.fromkeys(warnings)),
        "tables": {name: str(table.attrs["source_digest"]) for name, table in read.items()},
        "made_from": {"inputs": objects, "input_digest": inputs.digest, "config_digest": inputs.config},
        "figures": {"seconds": round(time.monotonic() - started, 2)},
    }


def by_chance(rows: Sequence[ledger.Row]) -> dict[str, Any]:
    """How many of the tested differences lie outside 95 % where every inventory is right.

    It is a mean, which holds however the rows depend on each other; their words are not corrected for it.
    """
    gaps = [row.gap for row in rows if row.gap is not None]
    outside = sum(abs(gap.value) > Z * gap.sigma for gap in gaps)
    expected = len(gaps) * (1.0 - LEVEL)
    text = (
        f"differences tested at {LEVEL:.0%}: {len(gaps)}; outside by chance, were every inventory right: "
        f"{expected:.3g} expected; found outside: {outside}"
    )
    return {"tested": len(gaps), "level": LEVEL, "expected": expected, "outside": outside, "text": text}


def rules(city: CityConfig) -> dict[str, str]:
    """How the numbers of the rows are to be read."""
    section = city.ledger
    between = f"the errors of two sectors correlated {section.between_sectors:g}"
    return {
        "bottom_up": f"where assigned: {section.default_relative_sd:.0%} (1σ) of a sector's total, or the "
        f"sector's own number in the city file; {between}",
        "estimate": "flat prior along the inventory's pattern, inside and outside the region; of sectors, "
        "the size of each free at once; pooled over the ensemble by the law of total variance",
        "difference": "estimate minus inventory, taken as independent: the flat estimate holds no error of "
        "the inventory's total",
        "posterior_difference": "posterior minus inventory, with their covariance: a candidate map is part "
        "of the prior (correlation 1), any other inventory is not (0)",
    }


def given_table(config_path: Path, path: str, reader: str, place: str, region: str | None) -> TableSection:
    """A table that the city file does not have, of its first region if none is named.

    Raises
    ------
    UsageError
        When the city file has no such region.
    """
    city, _ = load_configuration(config_path)
    known = [r.id for r in city.region]
    chosen = region or next(iter(known), None)
    if chosen not in known:
        raise UsageError("the city file has no such region", expected=", ".join(known), found=str(region))
    return TableSection(id="table", path=path, reader=reader, place=place, region=str(chosen))
