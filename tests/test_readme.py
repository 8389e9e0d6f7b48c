"""What the README and the page of the inversion say to type works."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from monitor import cli
from monitor.twin import TwinSettings, write_city

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def blocks_of(page: Path, language: str = "python") -> list[str]:
    blocks = rf"^```{language}\n(.*?)^```"
    return re.findall(blocks, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_epochs_and_the_claim_it_shows_fit_the_city_that_init_writes(tmp_path, capsys):
    assert cli.run(["init", str(tmp_path), "--id", "paris"]) == 0
    _, epochs, claim = blocks_of(README, "toml")
    for folder, block in (("cities", epochs), ("claims", claim)):
        with (tmp_path / folder / "paris.toml").open("a", encoding="utf-8") as file:
            file.write(block)
    assert cli.run(["config", "check", str(tmp_path / "monitor.toml")]) == 0
    assert cli.run(["claims", "check", str(tmp_path / "claims" / "paris.toml")]) == 0
    assert "2 good claims, beside" in capsys.readouterr().out


def test_the_python_block_runs_on_a_small_city(tmp_path, monkeypatch, capsys):
    write_city(tmp_path / "demo-output", 7, TwinSettings(n_cells=18, days=10, festival_days=4))
    (block,) = blocks_of(README)
    (tmp_path / "block.py").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("block.py")
    printed = capsys.readouterr().out
    assert re.search(r"flat along the map: [\d,]+ ± [\d,]+ t CH4 a-1", printed)


def test_the_blocks_of_the_inversion_page_run_one_after_the_other(tmp_path, capsys):
    blocks = blocks_of(ROOT / "docs" / "inversion.md")
    assert len(blocks) > 5
    (tmp_path / "page.py").write_text("".join(blocks), encoding="utf-8")
    names = runpy.run_path(str(tmp_path / "page.py"))
    assert "χ² of the prior" in capsys.readouterr().out
    # what the page says of them: the exact answer is in the updated one, and the windows come near
    exact, record, flat = names["posterior"].totals, names["record"].totals, names["flat"].totals
    assert abs(record.mean - exact.mean) < exact.std
    assert flat.response(names["pattern"]) == pytest.approx(1.0, abs=1e-8)  # rounding of n = 80
    assert names["more"].problem.n == names["problem"].n
    assert names["positive"].draws.min() >= 0
