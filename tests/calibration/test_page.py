"""The page of a calibration: every row with its figure, and what others have written stays."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from monitor.calibration.bench import Bench
from monitor.calibration.beside import also
from monitor.calibration.campaign import Campaign, experiments_by_code
from monitor.calibration.experiments import EXPERIMENTS
from monitor.calibration.page import KEPT, write_page
from monitor.calibration.proof import proof, with_yearly_rate
from monitor.calibration.rows import Row, counted
from monitor.calibration.runner import run

FEW = ("right model", "reliability", "power")


def test_the_page_holds_every_row_and_keeps_what_others_wrote(bench: Bench, tmp_path: Path) -> None:
    records = run(lambda: bench.network, twins=12, seed=1, file=tmp_path / "x", processes=1, experiments=FEW)
    refused = {name: "not tried here" for name in EXPERIMENTS if name not in FEW}
    about: dict[str, object] = {"network": "reference", "observations": 360, "twins": 12, "seed": 1}
    about |= {"version": "0", "network_digest": "n" * 64, "code_digest": "c" * 64}
    about |= {"experiments_by_code": experiments_by_code(records)}
    campaign = Campaign(about, proof(records, refused), also(records, refused), records)
    page = tmp_path / "docs" / "calibration.md"
    page.parent.mkdir()
    page.write_text(f"Once upon a time\n{KEPT[0]}\nA table of others.\n{KEPT[1]}\n", encoding="utf-8")
    write_page(campaign, page, page.parent / "images")
    text = page.read_text(encoding="utf-8")
    assert "Once upon a time" not in text
    assert f"{KEPT[0]}\nA table of others.\n{KEPT[1]}" in text
    assert all(f"**{row.title}**" in text for row in (*campaign.rows, *campaign.also))
    assert "12 synthetic cities" in text
    assert "not tried here" in text
    first = text
    write_page(campaign, page, page.parent / "images")
    assert page.read_text(encoding="utf-8") == first
    counts = ElementTree.parse(page.parent / "images" / "calibration-counts.svg")
    shown = [e.text for e in counts.iter("{http://www.w3.org/2000/svg}text")]
    power = next(row for row in campaign.rows if row.key == "power")
    assert all(part.name in shown for part in power.parts)


def _page(tmp_path: Path, about: dict[str, object], rows: list[Row], kept: str) -> str:
    page = tmp_path / "calibration.md"
    page.write_text(f"{KEPT[0]}\n{kept}\n{KEPT[1]}\n", encoding="utf-8")
    about = {"network_digest": "n" * 64, "code_digest": "c" * 64, "twins": 400} | about
    write_page(Campaign(about, rows, [], [{}]), page, tmp_path / "images")
    return page.read_text(encoding="utf-8")


def test_the_head_of_the_page_says_which_targets_are_met_and_which_are_not(tmp_path: Path) -> None:
    rows = [
        Row("a", "A", (counted("x", [True] * 400, 390),)),
        Row("b", "B", (counted("y", [True] * 400, 390),)),
    ]
    table = "| target | met |\n|---|---|\n| p | yes |\n| q | **no** |\n| r | yes |\n"
    release = f"## A controlled release\n\n{table}\ntext"
    about: dict[str, object] = {"experiments_by_code": {"abc": ["power"]}}
    text = _page(tmp_path, about, rows, release)
    assert "All targets of the 2 rows of the proof" in text
    assert "(#a-controlled-release)" in text
    assert "2 of 3 are met" in text
    assert "controlled release" not in _page(tmp_path, about, rows, "A table of others.")
    rows[1] = Row("b", "B", (counted("y", [False] * 400, 390),))
    assert "All targets" not in _page(tmp_path, about, rows, release)


def test_the_page_tells_apart_what_was_done_by_other_code(tmp_path: Path) -> None:
    rows = [Row("a", "A", (counted("x", [True] * 400, 390),))]
    one = _page(tmp_path, {"experiments_by_code": {"abc": ["power", "looks"]}}, rows, "")
    assert "code `abc`." in one
    two = _page(tmp_path, {"experiments_by_code": {"abc": ["power"], "def": ["looks"]}}, rows, "")
    assert "code `abc` (power); `def` (looks)." in two


def test_false_alarms_are_also_told_per_year_of_operation() -> None:
    row = Row("false_alarms", "False alarms", (counted("alarm", [True] * 20 + [False] * 380, 0, 31),))
    yearly = with_yearly_rate([row], 90.0)[0].parts[1]
    assert yearly.estimate is not None
    assert abs(yearly.estimate - 0.05 * 365.25 / 90.0) < 1e-12
