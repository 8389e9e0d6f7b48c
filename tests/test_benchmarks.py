"""The benchmarks: worlds are what they say, every contestant agrees with its reference at a small size."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from benchmarks import cases, contestants, memory, report, scaling, scan, worlds
from benchmarks.errors import compare
from benchmarks.profiles import traced
from benchmarks.race import Settings, race
from benchmarks.yardstick import factorisation_s, positive_definite
from monitor import inversion as inv

SMALL = worlds.City("small", hours=30, side=10, stations=2, first=6, hours_back=12, share=0.15)
DENSE = worlds.City(
    "dense", hours=6, side=8, stations=3, first=5, last=11, hours_back=11, share=1.0, narrow_km=2.0
)
SMALLEST = {name: what for name, what in cases.timed() if what.smallest}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return worlds.make(SMALL, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return worlds.make(DENSE, tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module")
def true(small):
    return textbook(small)


def written_out(world):
    jacobian = world.jacobian
    if isinstance(jacobian, np.ndarray):
        return jacobian
    return jacobian.rows(0, world.city.n).toarray()


def textbook(world):
    """Totals, field and map of σ by the dense formula."""
    problem, jacobian = world.problem(), written_out(world)
    prior, rows = problem.prior_covariance.dense(), world.totals().rows(0, world.totals().shape[0])
    inner = jacobian @ prior @ jacobian.T + problem.mismatch_covariance.dense()
    gain = np.linalg.solve(inner, jacobian @ prior).T
    field = problem.prior_mean + gain @ (problem.observations - jacobian @ problem.prior_mean)
    covariance = prior - gain @ jacobian @ prior
    means = np.kron(np.full((1, world.city.hours), 1.0 / world.city.hours), np.eye(world.city.cells))
    return {
        "field": field,
        "totals": rows @ field,
        "covariance": rows @ covariance @ rows.T,
        "sigma": np.sqrt(np.einsum("cm,mk,ck->c", means, covariance, means, optimize=True)),
    }


@pytest.mark.parametrize("name", SMALLEST)
def test_every_timed_method_runs_at_its_smallest_size(name):
    what = SMALLEST[name]
    instance = what.ready()
    what.run(instance)
    assert instance.order > 0


def test_the_cities_have_the_sizes_of_the_table():
    assert (worlds.PEER.n, worlds.PEER.m) == (720, 10_240)
    assert (worlds.MONTH.n, worlds.MONTH.m) == (2_736, 2_592_000)
    assert (worlds.YEAR.n, worlds.YEAR.m) == (21_900, 87_600_000)
    assert worlds.PEER.dense
    assert worlds.MONTH.share == worlds.YEAR.share == 0.05


def test_equal_cities_make_equal_worlds_and_another_seed_another(small, tmp_path):
    again = worlds.make(SMALL, tmp_path / "again")
    other = worlds.make(replace(SMALL, seed=2), tmp_path / "other")
    for name in ("offsets", "columns", "values", "truth", "observations"):
        np.testing.assert_array_equal(again.array(name), small.array(name))
    assert not np.array_equal(other.observations, small.observations)


def test_a_world_that_lies_there_is_opened_and_not_made_again(small):
    before = (small.folder / "values.npy").stat().st_mtime_ns
    assert worlds.make(SMALL, small.folder).share == small.share
    assert (small.folder / "values.npy").stat().st_mtime_ns == before


def test_the_asked_share_of_cell_hour_pairs_is_non_zero(small):
    jacobian = written_out(small).reshape(SMALL.n, SMALL.hours, SMALL.cells)
    counted = np.count_nonzero(jacobian) / (SMALL.n * SMALL.hours_back * SMALL.cells)
    assert counted == pytest.approx(small.share)
    # the growth is found by bisection over all 48 rows: what is left are the first rows, cut at hour 0
    assert counted == pytest.approx(SMALL.share, abs=0.002)


def test_a_share_that_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match=r"shares from .* can be had"):
        worlds.spread_for(replace(SMALL, share=0.9))


def test_no_observation_sees_the_future_or_beyond_the_hours_back(small):
    row, column = np.nonzero(written_out(small))
    back = small.time[row] - column // SMALL.cells
    assert back.min() == 0
    assert back.max() == SMALL.hours_back - 1


def test_rows_of_the_store_are_ascending_and_within_the_grid(small):
    stored = small.jacobian
    step = np.diff(stored.columns.astype("i8"))
    inside = np.ones(step.size, dtype=bool)
    inside[stored.offsets[1:-1] - 1] = False
    assert (step[inside] > 0).all()
    assert stored.columns.min() >= 0 and stored.columns.max() < SMALL.m
    assert stored.values.dtype == np.float32


def test_a_streamed_store_holds_what_the_mapped_one_holds(small):
    mapped, streamed = small.jacobian, replace(small, streamed=True).jacobian
    for start, stop in ((0, 5), (7, 7), (20, SMALL.n)):
        a, b = mapped.part(start, stop), streamed.part(start, stop)
        np.testing.assert_array_equal(a.columns, b.columns)
        np.testing.assert_array_equal(a.values, b.values)


def test_footprints_widen_with_the_hours_back(small):
    row, column = np.nonzero(written_out(small))
    cells = np.bincount(small.time[row] - column // SMALL.cells, minlength=SMALL.hours_back)
    assert cells[0] < cells[3] < cells[6]


def test_an_hour_of_footprint_is_the_share_of_the_air_that_is_over_the_city(small):
    mass = worlds.masses(SMALL)
    hours = written_out(small).reshape(SMALL.n, SMALL.hours, SMALL.cells).sum(axis=2)
    assert (hours <= mass * (1 + 1e-6)).all()
    # the station is well inside the city: in its first hour only what is below the cut is missing
    newest = hours[np.arange(SMALL.n), small.time]
    assert (newest > 0.9 * mass[small.time]).all()


def test_footprints_are_the_mean_of_four_gaussian_puffs_along_the_wind(dense):
    """Against the same in plain NumPy with the normal distribution's own function."""
    city, path = DENSE, worlds.wind_path(DENSE)
    site, mass = worlds.stations(city), worlds.masses(city)
    edges = np.arange(city.side + 1)
    for i in (0, 7, 17):
        station, time = dense.station[i], dense.time[i]
        for t in (0, 5):
            expected = np.zeros((city.side, city.side))
            for part in (0.125, 0.375, 0.625, 0.875):
                way = path[time + 1 + city.hours_back] - (
                    (1 - part) * path[t + city.hours_back] + part * path[t + 1 + city.hours_back]
                )
                sigma = city.narrow_km + dense.spread * (time + 1 - t - part)
                y, x = (np.diff(ndtr((edges - c) / sigma)) for c in site[station] - way)
                expected += 0.25 * mass[t] * np.outer(y, x)
            found = dense.jacobian[i].reshape(city.hours, city.side, city.side)[t]
            # differences of distribution functions near 1 lose digits in the tails
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-15)


def test_a_dense_city_has_no_zero_in_its_jacobian(dense):
    assert (dense.jacobian > 0).all()
    assert dense.share == 1.0


def test_districts_share_out_the_cells_and_totals_are_means_of_days(small):
    assert (worlds.districts(SMALL).sum(axis=0) == 1).all()
    assert worlds.districts(SMALL).any(axis=1).sum() == worlds.DISTRICTS
    totals = small.totals()
    assert totals.shape == (2 * worlds.DISTRICTS, SMALL.m)
    np.testing.assert_allclose(totals.time.sum(axis=1), 1.0, rtol=1e-12)


def test_months_of_a_year_are_twelve():
    edges = worlds.month_edges(8760)
    assert edges.size == 13 and edges[-1] == 8760
    assert list(np.diff(edges)[:3] / 24) == [31, 28, 31]


def test_the_truth_has_the_priors_variance_and_correlations(tmp_path):
    world = worlds.make(
        worlds.City("long", hours=4000, side=6, stations=1, first=3999, hours_back=4, share=0.3), tmp_path
    )
    mean = world.prior_mean().reshape(world.truth.shape)
    z = (world.truth - mean) / worlds.sigma_map(world.city)
    # 4,000 h of 48 h memory and 36 cells of 5 km memory hold some 50 independent draws: σ of a variance 0.2
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.6)
    in_time = np.mean(z[1:] * z[:-1]) / np.mean(z**2)
    assert in_time == pytest.approx(np.exp(-1 / 48), abs=0.005)
    grid = z.reshape(-1, 6, 6)
    in_space = np.mean(grid[:, 1:] * grid[:, :-1]) / np.mean(z**2)
    assert in_space == pytest.approx(np.exp(-1 / 5), abs=0.05)


def test_observations_are_what_the_model_says(small):
    """χ² of 48 observations under the model is 1 ± 0.2."""
    posterior = inv.solve(small.problem(), method="observations")
    assert posterior.chi2 == pytest.approx(1.0, abs=5 * np.sqrt(2 / SMALL.n))


@pytest.mark.parametrize(("method", "tolerance"), [("observations", 1e-9), ("auto", 1e-3), ("reduced", 1e-3)])
def test_a_months_contestants_agree_with_the_textbook(small, true, method, tolerance):
    """The exact way to rounding, the reduced one to the target of its case."""
    errors = compare(contestants.month(small, method), true, small.prior_mean())
    assert errors["totals"] < tolerance
    assert errors["totals_sigma"] < tolerance
    assert errors["sigma"] < tolerance
    # the field of single hours and cells has no target; it is good to some hundredths of the change
    assert errors["field"] < max(tolerance, 0.03)


def test_the_peers_contestant_agrees_with_the_textbook(dense):
    errors = compare(contestants.whole(dense, "auto"), textbook(dense), dense.prior_mean())
    # both are sums of some hundred products in float64, with a condition number of some thousand
    assert max(errors.values()) < 1e-8


def test_fips_agrees_with_the_textbook(dense):
    pytest.importorskip("fips", reason="fips is installed by `make bench` only")
    inputs = contestants.fips_inputs(dense.folder)
    errors = compare(contestants.fips_mean_and_covariance(inputs), textbook(dense), dense.prior_mean())
    assert max(errors.values()) < 1e-8


def test_a_years_outputs_are_those_of_its_months(small, true):
    found = contestants.year(small)
    mean = true["field"].reshape(SMALL.hours, SMALL.cells).mean(axis=0)
    change = np.abs(mean - contestants.prior_field(small, SMALL.cells)).max()
    np.testing.assert_allclose(found["field"], mean, atol=1e-3 * change)
    rows = small.totals(months=True).rows(0, worlds.DISTRICTS)
    np.testing.assert_allclose(found["totals"], rows @ true["field"], rtol=1e-3)


def test_windows_whose_overlap_reaches_the_beginning_are_exact(small, true):
    found = contestants.year_in_windows(contestants.streamed(small.folder), window=10.0, overlap=30.0)
    rows = small.totals(months=True).rows(0, worlds.DISTRICTS)
    # the same sums in another order, with a condition number below a thousand
    np.testing.assert_allclose(found["totals"], rows @ true["field"], rtol=1e-9)


def test_the_evidence_is_the_same_whoever_is_asked(small):
    value = contestants.solution(small)["log_evidence"]
    prepared = contestants.prepared(small.folder)
    # the same formula in another order of sums, over n = 48
    for found in (
        contestants.gradient(small),
        contestants.next_value(prepared),
        contestants.next_gradient(prepared),
    ):
        assert found["log_evidence"] == pytest.approx(value, rel=1e-9)


def test_differences_are_relative_to_the_reference():
    true = {"totals": np.array([1.0, -2.0]), "covariance": np.diag([4.0, 1.0]), "field": np.array([3.0, 4.0])}
    found = {
        "totals": np.array([1.1, -2.0]),
        "covariance": np.diag([4.0, 1.21]),
        "field": np.array([3.0, 4.5]),
    }
    errors = compare(found, true, np.zeros(2))
    assert errors == pytest.approx(
        {"totals": 0.1, "totals_in_sigma": 0.05, "totals_sigma": 0.1, "covariance": 0.21, "field": 0.1}
    )


def test_the_peak_of_memory_is_seen_and_forgotten():
    memory.reset_peak()
    before = memory.resident()
    block = np.ones(20_000_000)
    assert memory.peak() - before > 0.9 * block.nbytes
    del block
    memory.reset_peak()
    # what the allocator keeps of other blocks is less than half of this one
    assert memory.peak() - before < 80_000_000


def test_the_yardstick_factors_a_positive_definite_matrix():
    matrix = positive_definite(50)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix)[0] > 0.9
    assert min(factorisation_s(50)) >= 0


def test_time_counts_for_the_innermost_stage_and_operations_are_counted(small):
    _, stages = traced(lambda world: contestants.month(world, "observations"), small)
    assert {"sweep over time", "factorisation", "totals", "map of σ", "field"} <= set(stages)
    assert all(stage["s"] >= 0 for stage in stages.values())
    counted = stages["factorisation"]["gflops"] * stages["factorisation"]["s"]
    assert counted == pytest.approx(1e-9 * SMALL.n**3 / 3)
    assert stages["sweep over time"]["gflops"] > 0


def test_exponents_are_those_of_a_power_law():
    assert scaling.exponent([1.0, 4.0, 16.0], [3.0, 6.0, 12.0]) == pytest.approx(0.5)


def test_targets_say_whether_they_are_met():
    assert cases.Target("speed", 20.0, 20.0, at_least=True).met
    assert not cases.Target("memory", 1.6, 1.5).met
    text = report.markdown([example("race")])
    assert "| memory | 1.6 | ≤ 1.5 | **missed** |" in text


def example(name):
    row = {"cold_s": 3.0, "warm_s": 1.0, "warm_runs_s": [1.0], "ratio": 2.0, "yardstick_s": 0.5}
    target = cases.Target("memory", 1.6, 1.5).as_json()
    return {"case": name, "about": "", "sizes": {}, "threads": 1, "rows": {"a": row}, "targets": [target]}


def test_the_terminals_table_holds_rows_and_verdicts():
    text = report.terminal(example("race"))
    assert "memory: 1.6 (target ≤ 1.5): MISSED" in text
    assert "peak [GB]" in text


def test_cases_are_found_by_name_and_by_parts_of_names():
    assert cases.chosen(["city-month"]) == ["city-month"]
    assert cases.chosen(["evidence"]) == ["inversion.evidence[910]", "inversion.evidence[1200]"]
    assert cases.chosen(["no such case"]) == []


@pytest.mark.slow
def test_a_race_measures_children_and_compares_them(tmp_path):
    """Whole, with a small city: some 20 s of compilation in three children."""
    case = replace(cases.find("city-month"), city=SMALL, runs=2, sticks=1)
    result = race(case, Settings(tmp_path, threads=1, profile=True))
    assert json.loads(json.dumps(result))["sizes"]["n"] == SMALL.n
    reduced = result["rows"]["reduced"]
    assert len(reduced["warm_runs_s"]) == 2 and len(reduced["yardsticks_s"]) == 1
    # the first run compiles
    assert reduced["cold_s"] > reduced["warm_s"] > 0
    assert 0 < reduced["peak_gb"] < 1
    assert reduced["errors"]["totals"] < 1e-3
    assert result["rows"]["exact"]["errors"] == {}
    assert len(result["targets"]) == 8


def test_the_month_of_the_search_has_the_size_it_says_and_a_null_distribution():
    small = scan.month(side=3)
    assert small.order == 2736 and small.candidates.windows.count == 1859
    found = scan.search(small, 20)
    assert found["z"] == pytest.approx(scan.search(small, 0)["z"]) and 0 < found["p"] <= 1
