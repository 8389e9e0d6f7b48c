"""Gains made once answer as a city that is solved by itself."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.calibration.asking import SHARE, asked, claim_text, panel, truth_of, variants
from monitor.calibration.bench import Bench
from monitor.calibration.network import KINDS
from monitor.calibration.shares import share_claim
from monitor.calibration.worlds import right_world, solve_stated
from monitor.compare.claims import judge
from monitor.compare.definitions import Estimand
from monitor.compare.trends import realised_line

DEFINITION = Estimand(
    species="co2",
    region_area_km2=254.0,
    years=(),
    biogenic_in_block=False,
    respiration_in_block=False,
    hours="all hours",
    is_level=False,
)


@pytest.mark.parametrize("kind", [*KINDS, SHARE])
def test_a_panel_says_what_a_city_solved_by_itself_is_told(bench: Bench, kind: str) -> None:
    network, claim = bench.network, share_claim(bench) if kind == SHARE else bench.claim(kind)
    _, problem = right_world(network, np.random.default_rng(11))
    posterior = solve_stated(problem)
    members = bench.share_panel if kind == SHARE else bench.panels[kind]
    quick = members.judge(claim, posterior)
    own = panel(network, kind, posterior, ensemble=False)
    slow = judge(claim_text(network, claim), DEFINITION, own.quantity, variants(posterior, ensemble=False))
    assert quick.answer == slow.answer
    assert quick.reasons == slow.reasons
    assert quick.estimate is not None
    assert slow.estimate is not None
    for name in ("value", "sigma", "low", "high"):
        assert getattr(quick.estimate, name) == pytest.approx(getattr(slow.estimate, name), rel=1e-9)
    assert quick.probability == pytest.approx(slow.probability, abs=1e-9)


def test_the_truth_of_a_trend_is_what_its_estimate_tends_to(bench: Bench) -> None:
    totals = np.array([5.0, 4.6, 4.9, 4.1, 4.0, 3.8])
    years = bench.network.years
    line = realised_line(years, np.eye(6)).weights @ totals
    assert truth_of("trend", totals, years) == pytest.approx(line[0] / line[1], rel=1e-12)
    slope = np.polyfit(years, totals, 1)[0]
    assert truth_of("trend", totals, years) == pytest.approx(slope / totals[0])
    assert truth_of("level", totals, years) == 3.8
    assert truth_of("change", totals, years) == pytest.approx(-0.24)


def test_each_kind_asks_for_its_epochs(bench: Bench) -> None:
    epochs = bench.network.epochs
    assert [asked(bench.network, kind).epochs for kind in KINDS] == [
        epochs[-1:],
        (epochs[0], epochs[-1]),
        epochs,
    ]
