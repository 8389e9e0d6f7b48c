"""A calibration from the network to the finished proof."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monitor
from monitor.calibration.experiments import refusals
from monitor.calibration.proof import also, proof, with_yearly_rate
from monitor.calibration.rows import Row
from monitor.calibration.runner import PROCESSES, Maker, Progress, code_digest, results_file, run


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
    processes: int = PROCESSES,
    progress: Progress | None = None,
) -> Campaign:
    """Try a network on `twins` synthetic cities; finished ones are kept in `folder` and not done again."""
    network = maker()
    digest = network.digest
    file = results_file(folder, digest, seed)
    records = run(maker, twins=twins, seed=seed, file=file, processes=processes, progress=progress)
    about: dict[str, object] = {
        "network": network.name,
        "network_digest": digest,
        "observations": network.problem.table.n,
        "epochs": [epoch.as_json() for epoch in network.epochs],
        "twins": twins,
        "seed": seed,
        "version": monitor.__version__,
        "code_digest": code_digest(),
    }
    refused = refusals(network)
    days = sum(epoch.hours for epoch in network.epochs) / 24.0
    rows = with_yearly_rate(proof(records, refused), days)
    return Campaign(about, rows, also(records, refused), records)
