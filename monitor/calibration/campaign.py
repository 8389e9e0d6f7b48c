"""A calibration from the network to the finished proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monitor
from monitor.calibration.beside import also
from monitor.calibration.experiments import EXPERIMENTS, refusals
from monitor.calibration.proof import proof, with_yearly_rate
from monitor.calibration.rows import Row
from monitor.calibration.runner import (
    PROCESSES,
    Maker,
    Progress,
    code_digest,
    earlier_records,
    label,
    results_file,
    run,
)


@dataclass(frozen=True)
class Campaign:
    """A finished calibration.

    Attributes
    ----------
    about
        What was run: network, seed, cities, version.
    rows
        The proof.
    also
        Figures beside it that have no target.
    records
        Of the cities, in their order.
    """

    about: dict[str, object]
    rows: list[Row]
    also: list[Row]
    records: list[dict[str, Any]]

    def as_json(self) -> dict[str, object]:
        """One key per row; `run` says of what, and `also` holds figures without a target."""
        return {
            "run": self.about,
            **{row.key: row.as_json() for row in self.rows},
            "also": {row.key: row.as_json() for row in self.also},
        }


def calibrate(
    maker: Maker,
    *,
    twins: int,
    seed: int,
    folder: Path,
    results: Path | None = None,
    processes: int = PROCESSES,
    progress: Progress | None = None,
) -> Campaign:
    """Try a network on `twins` synthetic cities; what is done is kept in `folder` and not done again.

    Nor is what the `results` of an earlier run hold, by whatever code.
    """
    network = maker()
    digest, refused = network.digest, refusals(network)
    file, of = results_file(folder, digest, seed), label(digest, seed)
    records = run(
        maker,
        twins=twins,
        seed=seed,
        file=file,
        of=of,
        known=None if results is None else earlier_records(results, of),
        processes=processes,
        progress=progress,
        experiments=[name for name in EXPERIMENTS if name not in refused],
    )
    about: dict[str, object] = {
        "network": network.name,
        "network_digest": digest,
        "observations": network.problem.table.n,
        "epochs": [epoch.as_json() for epoch in network.epochs],
        "twins": twins,
        "seed": seed,
        "version": monitor.__version__,
        "code_digest": code_digest(),
        "experiments_by_code": experiments_by_code(records),
    }
    days = sum(epoch.hours for epoch in network.epochs) / 24.0
    rows = with_yearly_rate(proof(records, refused), days)
    return Campaign(about, rows, also(records, refused), records)


def experiments_by_code(records: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The code that results are of, by the first digits of its digest, with the experiments it did."""
    pairs = {(code, name) for record in records for name, code in record["code"].items()}
    return {code: [name for name in EXPERIMENTS if (code, name) in pairs] for code, _ in sorted(pairs)}
