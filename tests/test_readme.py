"""What the README and the page of the inversion say to type works."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from monitor.twin import TwinSettings, write_city

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def blocks_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


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
