"""A city's own network: its footprints turned about the stations, and a calibration from its files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "service"))

from mini_city import write_mini_city

from monitor.calibration import reference_network as reference
from monitor.calibration.bench import Bench
from monitor.calibration.own_network import archived_network, other_transport, turning
from monitor.cli import run
from monitor.domain import Grid, Interval

GRID = Grid(lon_deg=10.0 + 0.02 * np.arange(11), lat_deg=50.0 + 0.02 * np.arange(9))


def test_turning_by_nothing_changes_nothing() -> None:
    field = np.random.default_rng(1).uniform(size=99)
    assert turning(GRID, (10.1, 50.08), 0.0) @ field == pytest.approx(field)


def test_a_wind_from_the_north_that_turns_clockwise_comes_from_the_east() -> None:
    # on a grid of square cells about the station a quarter turn hits cell centres
    across = np.cos(np.deg2rad(50.0))
    grid = Grid(lon_deg=10.0 + 0.02 * np.arange(-4, 5) / across, lat_deg=50.0 + 0.02 * np.arange(-4, 5))
    north = np.zeros(grid.shape)
    north[7, 4] = 1.0
    east = (turning(grid, (10.0, 50.0), np.pi / 2) @ north.ravel()).reshape(grid.shape)
    expected = np.zeros(grid.shape)
    expected[4, 7] = 1.0
    assert east == pytest.approx(expected, abs=1e-9)


def test_footprints_turned_on_the_grid_are_those_of_a_turned_wind(bench: Bench) -> None:
    weather = [reference._weather(str(reference.FIRST_YEAR + k)) for k in range(reference.YEARS)]
    angle = 8.0
    moved = [w.assign(wind_direction=(w["wind_direction"] + angle) % 360.0) for w in weather]
    again = reference._problem(moved).block(reference.BLOCK)
    block = bench.network.problem.block(reference.BLOCK)
    field = np.random.default_rng(2).uniform(0.5, 1.5, block.shape).ravel()
    plain, exact = block.jacobian @ field, again.jacobian @ field
    station = reference._stations()
    rows = bench.network.problem.table.station
    turned = np.zeros(plain.size)
    for k, name in enumerate(bench.network.problem.table.inlets):
        place = (station[name].lon_deg, station[name].lat_deg)
        turn = turning(bench.network.problem.grid, place, np.deg2rad(angle))
        spread = np.concatenate([turn.T @ step for step in field.reshape(block.shape)])
        turned[rows == k] = (block.jacobian @ spread)[rows == k]
    # bilinear on cells of 2.5 km is coarse next to the tower, so a tenth of the difference may stay
    left = np.linalg.norm(turned / plain.mean() - exact / exact.mean())
    assert left < np.linalg.norm(plain / plain.mean() - exact / exact.mean())
    assert np.corrcoef(turned, exact)[0, 1] > 0.97


def test_other_transport_is_the_same_for_the_same_seed_and_scales_each_epoch(bench: Bench) -> None:
    problem = bench.network.problem
    places = {n: (s.lon_deg, s.lat_deg) for n, s in reference._stations().items()}
    first, second = (other_transport(problem, places, np.random.default_rng(3)) for _ in range(2))
    assert (first[reference.BLOCK] != second[reference.BLOCK]).nnz == 0
    assert (first[reference.BLOCK] != problem.block(reference.BLOCK).jacobian).nnz > 0


@pytest.mark.slow
def test_a_citys_own_network_is_tried_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mini = write_mini_city(tmp_path / "city")
    mini.observations("2020-01-06", 6)
    mini.footprints("2020-01-06", 6)
    arguments = ["calibrate", str(mini.config), "--data", str(mini.data), "--from", "2020-01-06"]
    arguments += ["--to", "2020-01-12", "--twins", "2", "--processes", "1", "--json"]
    assert run([*arguments, "--workdir", str(tmp_path / "work")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"]["network"] == "mini"
    assert found["right_model"]["n"] == 2
    assert found["also"]["share_claims"]["n"] == 2
    assert found["also"]["source_strength"]["n"] == 2
    assert "in full already" in found["also"]["mixing_in_full"]["reason"]
    assert "two epochs" in found["also"]["refitted_prior"]["reason"]
    assert found["power"]["estimate"] is None
    assert found["power"]["reason"] == "a change needs two epochs"
    interval = Interval.parse("2020-01-06", "2020-01-12")
    network = archived_network(mini.config, interval, tmp_path / "work", None)
    assert network.with_inventory is not None
    same, doubled = (network.with_inventory([factor]) for factor in (1.0, 2.0))
    assert same.reference == pytest.approx(network.problem.reference, rel=1e-9)
    assert doubled.reference == pytest.approx(2 * network.problem.reference, rel=1e-9)


def test_a_city_without_its_data_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "city.toml"]) == 2
    assert "--data, --from and --to" in capsys.readouterr().err
