"""What stands beside the proof: shares, strengths of sources, a mixing height in full, a prior refitted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from monitor.calibration import reference_network as reference
from monitor.calibration.bench import Bench
from monitor.calibration.beside import also
from monitor.calibration.experiments import EXPERIMENTS, refusals
from monitor.calibration.inventories import scaled
from monitor.calibration.mixing import claims_of, declarations, mixing_in_full
from monitor.calibration.network import MIXING
from monitor.calibration.refits import refitted_prior
from monitor.calibration.rows import Row
from monitor.calibration.runner import run
from monitor.calibration.shares import expected_share, share_claim, shared_truth, true_share
from monitor.calibration.source_strength import source_strength
from monitor.calibration.worlds import draw_truth, right_world, solve_stated, stream, with_values
from monitor.compare.statistics import Estimate
from monitor.compare.verdict import CONTRADICTED, SUPPORTED, change_answer, level_answer

QUICK = ("share claims", "source strength", "undated source strength")
OTHERS = {name: "not in the short version" for name in EXPERIMENTS if name not in QUICK}


@pytest.fixture(scope="module")
def short(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    file: Path = tmp_path_factory.mktemp("beside") / "x.jsonl"
    return run(lambda: bench.network, twins=8, seed=2, file=file, processes=1, experiments=QUICK)


def _row(records: list[dict[str, object]], key: str) -> Row:
    return {row.key: row for row in also(records, OTHERS)}[key]


# --- shares -------------------------------------------------------------------------------------------


def test_the_district_is_the_eastern_half_of_the_region(bench: Bench) -> None:
    network, quantity = bench.network, bench.network.quantity
    longitude = np.tile(network.problem.grid.lon_deg, network.problem.grid.shape[0])
    inside = network.district > 0
    assert np.all((network.district == quantity.fraction) | (network.district == 0))
    assert longitude[inside].min() > longitude[(quantity.fraction > 0) & ~inside].max()
    # the inventory is even about the middle of the city
    assert share_claim(bench).value == pytest.approx(0.5, abs=1e-6)


def test_a_true_share_is_that_of_the_fluxes_summed_cell_by_cell(bench: Bench) -> None:
    network = bench.network
    truth = draw_truth(network, np.random.default_rng(3))
    last = truth.flux[reference.BLOCK][-1] * network.quantity.area_m2
    expected = (last @ network.district) / (last @ network.quantity.fraction)
    assert true_share(bench, truth) == pytest.approx(expected, rel=1e-9)


def test_a_given_share_moves_what_is_lacking_along_the_claimed_pattern(bench: Bench) -> None:
    """Drawn total plus added pattern is the total that was given, in the district and in the rest of it."""
    network, quantity = bench.network, bench.share_panel.quantity
    plain = draw_truth(network, np.random.default_rng(4))
    truth = shared_truth(bench, np.random.default_rng(4), 0.3)
    added = (truth.flux[reference.BLOCK] - plain.flux[reference.BLOCK])[-1]
    pattern, totals = quantity.patterns["inventory"], []
    for part in quantity.parts:
        inside = part.fraction > 0
        ratio = (added / (pattern * part.fraction + ~inside))[inside]
        assert ratio == pytest.approx(np.full(ratio.size, ratio[0]))
        drawn = plain.flux[reference.BLOCK][-1] @ part.weight
        totals.append(drawn + ratio[0] * float(part.weight @ pattern))
    assert totals == pytest.approx([0.3 * bench.size, 0.7 * bench.size], rel=1e-9)
    assert np.all((truth.flux[reference.BLOCK] == plain.flux[reference.BLOCK])[:-1])


def test_four_of_five_true_claims_of_a_share_are_supported_in_theory(bench: Bench) -> None:
    claim, sigma = share_claim(bench), expected_share(bench).sigma
    room = claim.value * claim.width / sigma - norm.isf(0.025)
    assert 1 - 2 * norm.sf(room) == pytest.approx(0.8, abs=0.001)


def test_a_region_of_one_column_has_no_share_to_claim(bench: Bench) -> None:
    network = bench.network
    column = np.tile(np.arange(network.problem.grid.shape[1]), network.problem.grid.shape[0])
    narrow = replace(network, quantity=replace(network.quantity, fraction=(column == 5).astype("f8")))
    assert "one column" in refusals(narrow)["share claims"]
    assert "share claims" not in refusals(network)


def test_shares_in_short(short: list[dict[str, object]]) -> None:
    row = _row(short, "share_claims")
    assert row.met is not False
    bold = [_narrowed(record, "share claims", 4.0) for record in short]
    assert _row(bold, "share_claims").met is False


def _narrowed(record: dict[str, object], experiment: str, factor: float) -> dict[str, object]:
    """The record with intervals that claim to know `factor` times as well."""
    cases = {}
    for name, said in record[experiment].items():  # type: ignore[attr-defined]
        middle, half = (said["high"] + said["low"]) / 2, (said["high"] - said["low"]) / 2 / factor
        cases[name] = said | {"low": middle - half, "high": middle + half}
    return record | {experiment: cases}


# --- strength of a source ------------------------------------------------------------------------------


def test_a_dated_strength_is_estimated_as_dense_algebra_does(bench: Bench) -> None:
    streams = partial(stream, 3, 0)
    found = source_strength(bench, streams)["claim"]
    _, problem = right_world(bench.network, streams("source strength, claim"))
    search, draw = bench.search, streams("source strength, place")
    at, which = divmod(int(draw.integers(search.weeks.size * search.cells.size)), search.cells.size)
    h = search.scope.candidates.response(int(search.cells[which]), int(search.weeks[at]))
    posterior = solve_stated(with_values(problem, problem.table.value + found["truth"] * h))  # type: ignore[index]
    psi = problem.model.covariance(problem.model.starts)
    weighted = np.linalg.solve(psi, h)
    strength = float(weighted @ posterior.problem.residual / (weighted @ h))
    half = 1.96 * np.sqrt(posterior.inflation / (weighted @ h))
    # the interval is drawn, 40,000 times
    assert found["estimate"] == pytest.approx(strength, abs=0.03 * half)  # type: ignore[index]
    assert found["low"] == pytest.approx(strength - half, abs=0.05 * half)  # type: ignore[index]
    assert found["high"] == pytest.approx(strength + half, abs=0.05 * half)  # type: ignore[index]


@pytest.mark.parametrize("key", ["source_strength", "undated_source_strength"])
def test_strengths_in_short(short: list[dict[str, object]], key: str) -> None:
    row = _row(short, key)
    assert row.met is not False
    bold = [_narrowed(record, key.replace("_", " "), 6.0) for record in short]
    assert _row(bold, key).met is False


def test_what_a_claim_detects_is_twice_as_weak_as_what_it_claims(short: list[dict[str, object]]) -> None:
    for record in short:
        cases = record["source strength"]
        claimed = cases["claim"]["truth"]  # type: ignore[index]
        assert cases["half"]["truth"] == claimed / 2  # type: ignore[index]
        assert cases["none"]["truth"] == 0.0  # type: ignore[index]


# --- a mixing height in full ---------------------------------------------------------------------------


def test_what_is_declared_as_true_is_the_spread_of_the_worlds(bench: Bench) -> None:
    drawn = 1 + np.random.default_rng(1).uniform(-MIXING, MIXING, 200_000)
    assert declarations(bench.network)["true"].epoch_sd == pytest.approx(drawn.std(), rel=0.01)


@pytest.mark.slow
def test_declared_errors_widen_the_interval_and_leave_the_estimate(bench: Bench) -> None:
    found = mixing_in_full(bench, partial(stream, 4, 0))
    none, own, true = (found[name] for name in ("none", "own", "true"))
    for kind in ("level", "change", "trend"):
        width = [d[kind]["drawn"]["high"] - d[kind]["drawn"]["low"] for d in (none, own, true)]  # type: ignore[index]
        assert width == sorted(width)
        assert width[2] > 1.2 * width[0]
        # at each declaration the same answers are pooled
        assert {d[kind]["drawn"]["truth"] for d in (none, own, true)} == {none[kind]["drawn"]["truth"]}  # type: ignore[index]
    # a share has its transport error cancelled, whatever is declared
    assert none["share"] == own["share"] == true["share"]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["level", "change", "trend", "share"])
@pytest.mark.parametrize("half", [0.13, 0.19])
@pytest.mark.parametrize("upper", [True, False])
def test_a_claim_at_its_margin_is_supported_just_when_the_interval_leaves_the_truth(
    kind: str, half: float, upper: bool
) -> None:
    """Nothing but the side of the miss decides, however wide the interval (± `half` of the truth) is."""
    true = {"level": 1e7, "share": 0.5}.get(kind, -0.1)
    claims = claims_of(kind, true, upper)
    answer = level_answer if kind in ("level", "share") else change_answer
    for off in (-1.1, -0.9, 0.0, 0.9, 1.1):
        low, high = sorted(true * (1 + half * (off + end)) for end in (-1, 1))
        estimate = Estimate((low + high) / 2, (high - low) / 3.92, low, high)
        margin, claim = (answer(estimate, claims[c].value, claims[c].width) for c in ("margin", "claim"))
        # beyond the margin is further out, or towards the claimed level from the end that is tolerated
        beyond = (off < -1 if upper else off > 1) if kind in ("level", "share") else off > 1
        assert (margin == SUPPORTED) == beyond
        assert (claim == CONTRADICTED) == (kind in ("change", "trend") and off < -1)


def test_a_city_whose_whole_signal_is_a_fifth_lower_reads_a_fifth_lower(bench: Bench) -> None:
    """The same scaling of all epochs, and hardly any noise: the level moves by it, the change does not."""
    from monitor.calibration.asking import panel

    network = bench.network
    block = network.problem.block(reference.BLOCK)
    plain = network.problem.baseline + block.jacobian @ block.prior.ravel()
    estimates, noise = {}, 1e-6 * np.random.default_rng(1).standard_normal(plain.size)
    for factor in (1.0, 1.2):
        seen = network.problem.baseline + (plain - network.problem.baseline) / factor + noise
        posterior = solve_stated(with_values(network.problem, seen))
        for kind in ("level", "change"):
            verdict = panel(network, kind, posterior, ensemble=False).judge(bench.claim(kind), posterior)
            assert verdict.estimate is not None
            estimates[kind, factor] = verdict.estimate.value
    assert estimates["level", 1.2] == pytest.approx(estimates["level", 1.0] / 1.2, rel=1e-5)
    assert estimates["change", 1.2] == pytest.approx(estimates["change", 1.0], abs=1e-5)


# --- a prior refitted ------------------------------------------------------------------------------------


def test_an_inventory_that_is_handed_over_anew_makes_the_same_problem(bench: Bench) -> None:
    network, block = bench.network, bench.network.problem.block(reference.BLOCK)
    assert network.with_inventory is not None
    same = network.with_inventory([1.0] * 6)
    assert same.reference == pytest.approx(network.problem.reference, rel=1e-12)
    psi = [p.model.covariance(p.model.starts) for p in (same, network.problem)]
    assert psi[0] == pytest.approx(psi[1], rel=1e-9, abs=1e-12)
    held = network.with_inventory([1.0] * 5 + [0.6]).block(reference.BLOCK)
    assert held.prior[:-1] == pytest.approx(block.prior[:-1], rel=1e-12)
    assert held.prior[-1] == pytest.approx(0.6 * block.prior[-1], rel=1e-12)


@pytest.mark.parametrize("factor", [0.05, 0.526, 1.0])
def test_an_inventory_that_holds_the_claim_makes_the_same_q_and_r(bench: Bench, factor: float) -> None:
    """Bit for bit: what is small in the last epoch alone knows it no better."""
    network = bench.network
    assert network.with_inventory is not None
    held = network.with_inventory([1.0] * 5 + [factor])
    psi = [p.model.covariance(p.model.starts).tobytes() for p in (network.problem, held)]
    assert psi[0] == psi[1]


def test_a_doubled_inventory_doubles_prior_q_and_r(bench: Bench) -> None:
    network = bench.network
    assert network.with_inventory is not None
    doubled, plain = network.with_inventory([2.0] * 6), network.problem
    assert doubled.reference == pytest.approx(2 * plain.reference, rel=1e-12)
    for name in (reference.BLOCK, "transport"):
        parts = []
        for problem in (doubled, plain):
            component = next(c for c in problem.model.components if c.name == name)
            parts.append(component.covariance(problem.values_of(name, problem.model.starts)))
        assert parts[0] == pytest.approx(4 * parts[1], rel=1e-9)


@settings(max_examples=12, deadline=None)
@given(factors=st.lists(st.floats(0.01, 100.0), min_size=6, max_size=6))
def test_a_map_of_one_time_is_scaled_in_each_epoch_alone(factors: list[float]) -> None:
    epochs = tuple(reference._epochs().values())
    flux = reference._inventory(reference._grid())
    wrong = scaled(flux, epochs, factors)
    bounds = wrong["time_bnds"].values
    assert np.array_equal(bounds[1:, 0], bounds[:-1, 1])
    for epoch, factor in zip(epochs, factors, strict=True):
        inside = (bounds[:, 0] <= epoch.start64) & (bounds[:, 1] >= epoch.end64)
        assert inside.sum() == 1
        own = wrong["flux"].values[0, np.flatnonzero(inside)[0]]
        assert own == pytest.approx(factor * flux["flux"].values[0, 0], rel=1e-12)
    # and one of several times is scaled slice by slice
    again = scaled(wrong, epochs, [1.0 / f for f in factors])
    assert again["flux"].values == pytest.approx(np.repeat(flux["flux"].values, 6, axis=1), rel=1e-12)


def test_a_wrong_inventory_moves_the_estimate_little_when_everything_is_fitted_anew(bench: Bench) -> None:
    found = refitted_prior(bench, partial(stream, 5, 0))
    plain = found["as stated"]
    for case in ("doubled", "holds the claim"):
        for kind in ("level", "change"):
            one, other = plain[kind], found[case][kind]  # type: ignore[index]
            assert other["estimate"] == pytest.approx(one["estimate"], abs=0.05 * one["sigma"])
            # and no interval is narrowed by an inventory that is too small
            assert other["sigma"] == pytest.approx(one["sigma"], rel=0.02)


# --- dates of sources ---------------------------------------------------------------------------------


def test_dates_that_hold_in_too_few_cities_are_not_shown_to_be_honest() -> None:
    """Of 400, 368 are enough and 367 are not; a source that was not found is a miss."""
    found = [{"found": True, "alarm": True, "began": k < 368, "ended": k < 367} for k in range(380)]
    lost = [{"found": False, "alarm": False}] * 20
    records = [{"city": k, "sources": {"1": one, "2": one, "3": one}} for k, one in enumerate(found + lost)]
    refused = {name: "not tried" for name in EXPERIMENTS if name != "sources"}
    row = {row.key: row for row in also(records, refused)}["source_dates"]
    assert {p.name: (p.count, p.met) for p in row.parts} == {
        f"{end} at {m} ×": (count, met)
        for m in (2, 3)
        for end, count, met in (("began", 368, True), ("ended", 367, False))
    }
