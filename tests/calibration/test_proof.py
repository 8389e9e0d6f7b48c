"""The proof in short: few cities and the quick rows, held to the bounds of their number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.calibration.bench import Bench
from monitor.calibration.campaign import calibrate
from monitor.calibration.experiments import EXPERIMENTS
from monitor.calibration.proof import proof
from monitor.calibration.reference_network import reference_network
from monitor.calibration.runner import run
from monitor.cli import group

QUICK = ("right model", "reliability", "margins", "power", "prior")
SLOW = {name: "not in the short version" for name in EXPERIMENTS if name not in QUICK}
TWINS = 40


def test_the_proof_in_short_holds(bench: Bench, tmp_path: Path) -> None:
    records = run(
        lambda: bench.network, twins=TWINS, seed=1, file=tmp_path / "x.jsonl", processes=1, experiments=QUICK
    )
    rows = {row.key: row for row in proof(records, SLOW)}
    assert rows["wrong_model"].met is None
    missed = {key: row.deciding for key, row in rows.items() if row.met is False}
    assert not missed


def test_a_detectable_change_is_found_by_four_of_five_in_theory(bench: Bench) -> None:
    from scipy.stats import norm

    for multiple, margin in ((1, 0.0), (2, bench.claim_of(2).width)):
        truth = -bench.claim_of(multiple).value
        above = (truth - margin) / bench.change_sigma(-margin)
        assert norm.sf(1.96 - above) == pytest.approx(0.8, abs=0.001)


@pytest.mark.slow
def test_the_whole_command_says_one_key_per_row(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(
        group, ["calibrate", "--twins", "2", "--json", "--workdir", str(tmp_path)], standalone_mode=False
    )
    found = json.loads(outcome.output)
    rows = [key for key in found if key not in ("run", "also")]
    assert all({"estimate", "interval", "target", "met", "n"} <= set(found[key]) for key in rows)
    assert found["run"]["twins"] == 2


@pytest.mark.slow
def test_the_whole_proof_holds(tmp_path: Path) -> None:
    found = calibrate(reference_network, twins=400, seed=1, folder=tmp_path)
    assert not [row.key for row in found.rows if row.met is False]
