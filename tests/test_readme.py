"""What the README says to type works."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from monitor.twin import TwinSettings, write_city

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_python_block_runs_on_a_small_city(tmp_path, monkeypatch, capsys):
    write_city(tmp_path / "demo-output", 7, TwinSettings(n_cells=18, days=10, festival_days=4))
    text = README.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "block.py").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("block.py")
    printed = capsys.readouterr().out
    assert re.search(r"flat along the map: [\d,]+ ± [\d,]+ t CH4 a-1", printed)
