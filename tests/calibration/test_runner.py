"""A run that is cut off goes on where it was, and its numbers depend on the seed alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.calibration.bench import Bench
from monitor.calibration.campaign import experiments_by_code
from monitor.calibration.runner import (
    as_line,
    code_name,
    earlier_records,
    label,
    read_records,
    results_file,
    run,
)
from monitor.errors import InputError

FEW = ("prior", "margins")


def test_a_run_that_was_cut_off_gives_the_same_bytes_as_one_that_was_not(
    bench: Bench, tmp_path: Path
) -> None:
    def maker():  # type: ignore[no-untyped-def]
        return bench.network

    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    expected = run(maker, twins=3, seed=5, file=whole, processes=1, experiments=FEW)
    run(maker, twins=2, seed=5, file=cut, processes=1, experiments=FEW)
    text = cut.read_bytes()
    cut.write_bytes(text[:-40])  # killed while the second city was written
    found = run(maker, twins=3, seed=5, file=cut, processes=1, experiments=FEW)
    assert "".join(map(as_line, found)) == "".join(map(as_line, expected))
    assert cut.read_bytes() == whole.read_bytes()
    assert run(maker, twins=1, seed=6, file=tmp_path / "x", processes=1, experiments=FEW) != expected[:1]


def test_only_what_is_missing_is_done(tmp_path: Path) -> None:
    file = tmp_path / "done.jsonl"
    file.write_text("".join(as_line({"city": k, "prior": {}, "margins": {}}) for k in (2, 0, 1)))

    def maker():  # type: ignore[no-untyped-def]
        pytest.fail("nothing is left to do")

    seen: list[tuple[int, int]] = []
    found = run(maker, twins=2, seed=1, file=file, progress=lambda *done: seen.append(done), experiments=FEW)
    assert [record["city"] for record in found] == [0, 1]
    assert seen == [(2, 2)]


def test_an_experiment_that_came_later_is_done_without_the_others(bench: Bench, tmp_path: Path) -> None:
    def maker():  # type: ignore[no-untyped-def]
        return bench.network

    both, apart = tmp_path / "both", tmp_path / "apart"
    expected = run(maker, twins=2, seed=5, file=both, processes=1, experiments=FEW)
    run(maker, twins=2, seed=5, file=apart, processes=1, experiments=FEW[:1])
    found = run(maker, twins=2, seed=5, file=apart, processes=1, experiments=FEW)
    assert found == expected
    assert len(apart.read_text().splitlines()) == 4


def test_results_of_other_code_are_taken_over_and_told_apart(bench: Bench, tmp_path: Path) -> None:
    def maker():  # type: ignore[no-untyped-def]
        return bench.network

    network = bench.network.digest
    old, new, of = tmp_path / "old", tmp_path / "new", label(network, 5)
    run(maker, twins=2, seed=5, file=old, of=of, processes=1, experiments=FEW[:1])
    old.write_text(old.read_text().replace(code_name(), "0123456789ab"))
    known = earlier_records(old, of)
    records = run(maker, twins=3, seed=5, file=new, of=of, known=known, processes=1, experiments=FEW)
    assert experiments_by_code(records) == {"0123456789ab": ["prior"], code_name(): ["margins", "prior"]}
    assert records[0]["code"] == {"prior": "0123456789ab", "margins": code_name()}
    assert records[2]["code"] == {"prior": code_name(), "margins": code_name()}
    assert [sorted(json.loads(line)["code"]) for line in new.read_text().splitlines()] == [
        ["margins"],
        ["margins"],
        ["margins", "prior"],
    ]
    with pytest.raises(InputError, match="another network or seed"):
        earlier_records(old, label(network, 6))


def test_a_line_that_was_cut_off_is_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl"
    file.write_text(as_line({"city": 0}) + '{"city": 1, "le')
    assert read_records(file) == {0: {"city": 0, "code": {}}}
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"city": 0}]


def test_results_of_another_seed_or_network_are_another_file(tmp_path: Path) -> None:
    names = {results_file(tmp_path, network, seed) for network in ("a", "b") for seed in (1, 2)}
    assert len(names) == 4
