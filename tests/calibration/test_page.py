"""The page of a calibration: every row with its figure, and what others have written stays."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from monitor.calibration.bench import Bench
from monitor.calibration.campaign import Campaign
from monitor.calibration.experiments import EXPERIMENTS
from monitor.calibration.page import KEPT, write_page
from monitor.calibration.proof import also, proof, with_yearly_rate
from monitor.calibration.rows import counted
from monitor.calibration.runner import run

FEW = ("right model", "reliability", "power")


def test_the_page_holds_every_row_and_keeps_what_others_wrote(bench: Bench, tmp_path: Path) -> None:
    records = run(lambda: bench.network, twins=12, seed=1, file=tmp_path / "x", processes=1, experiments=FEW)
    refused = {name: "not tried here" for name in EXPERIMENTS if name not in FEW}
    about: dict[str, object] = {"network": "reference", "observations": 360, "twins": 12, "seed": 1}
    about |= {"version": "0", "network_digest": "n" * 64, "code_digest": "c" * 64}
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


def test_false_alarms_are_also_told_per_year_of_operation() -> None:
    from monitor.calibration.rows import Row

    row = Row("false_alarms", "False alarms", (counted("alarm", [True] * 20 + [False] * 380, 0, 31),))
    yearly = with_yearly_rate([row], 90.0)[0].parts[1]
    assert yearly.estimate is not None
    assert abs(yearly.estimate - 0.05 * 365.25 / 90.0) < 1e-12
