"""The proof in short: few cities and the quick rows, held to the bounds of their number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from monitor.calibration.bench import RULE, Bench, information
from monitor.calibration.campaign import calibrate
from monitor.calibration.experiments import EXPERIMENTS
from monitor.calibration.proof import proof
from monitor.calibration.reference_network import reference_network
from monitor.calibration.runner import run
from monitor.cli import group
from monitor.compare.looks import plan

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


def test_looks_are_as_alike_as_what_is_known_at_them(bench: Bench) -> None:
    days = len(bench.looks)
    gathered = [information(members) for _, _, members in bench.looks]
    # at the last look all of the pair is seen: the σ of the contrast is that of the detectable change
    relative = gathered[-1] * bench.size**2
    assert relative == pytest.approx(bench.pair_inflation / bench.change_sigma(0.0) ** 2, rel=1e-9)
    assert np.all(np.diff(gathered) >= 0)
    # here it comes ahead of the calendar, and is not counted as more
    assert all(known / gathered[-1] > (k + 1) / days for k, known in enumerate(gathered[:-1]))
    calendar = plan(RULE, [(k + 1) / days for k in range(days)])
    for (look, _, _), by_calendar in zip(bench.looks, calendar, strict=True):
        assert look.z == pytest.approx(by_calendar.z, abs=0.005)


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
