"""The page held to its rule: no number without interval, no interval without level."""

from __future__ import annotations

import math
import re
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from pages import Node, Tree, estimates, plain, stray_numbers
from report_inputs import ledger_row, posterior, report_input, verdict, verdicts

from monitor.publish import write_report
from monitor.publish.badges import BADGES
from monitor.publish.marks import KINDS
from monitor.publish.numbers import show_level


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return write_report(report_input(days=4), tmp_path_factory.mktemp("r") / "out").html.read_text("utf-8")


@pytest.fixture(scope="module")
def tree(page) -> Node:
    return Tree(page).root


def test_no_number_with_a_unit_stands_alone(tree):
    assert stray_numbers(tree) == []
    kinds = {n.attributes["data-number"] for n in tree.all() if "data-number" in n.attributes}
    assert kinds <= set(KINDS)


def test_the_walk_sees_a_number_that_stands_alone(page):
    for stray in (
        "<p>It fell by 24 %.</p>",
        "<td>9 300 000\u00a0t CO₂ a⁻¹</td>",
        "<li>−3.1\u202f% a year</li>",
    ):
        assert stray_numbers(Tree(page.replace("</main>", f"{stray}</main>")).root)


def test_every_estimate_shows_its_interval_and_the_level_of_it(tree):
    assert len(estimates(tree)) > 40
    for node in estimates(tree):
        low, value, high, level = (
            float(node.attributes[key]) for key in ("data-low", "value", "data-high", "data-level")
        )
        assert low <= value <= high and 0 < level < 1
        said = plain(node.text)
        if level == 0.6827:
            assert "(1σ)" in said
            continue
        assert re.search(r"\d.* to .*\d", said), said
        table = node.within(tag="table")
        heads = plain(table.text) if table else ""
        assert (
            plain(show_level(level)) in said or plain(show_level(level)) in heads.split("interval")[0] + heads
        ), said


def test_a_level_that_is_not_95_per_cent_is_said_beside_its_interval(tree):
    looked = [n for n in estimates(tree) if n.attributes["data-level"] == "0.9714"]
    assert looked
    for node in looked:
        if not node.within(tag="table") or node.within(class_="pairs"):
            assert "97.1 % interval" in plain(node.text)
        else:
            head = next(n for n in node.within(tag="table").all() if n.tag == "thead")
            assert "97.1 % interval" in plain(head.text)


def test_every_drawn_estimate_has_its_bar_and_its_level(tree):
    drawings = [
        n for n in tree.all() if n.tag == "svg" and "interval" in n.attributes.get("class", "").split()
    ]
    assert len(drawings) > 6
    for drawing in drawings:
        classes = " ".join(n.attributes.get("class", "") for n in drawing.all())
        assert "estimate" in classes and "interval-bar" in classes
        level = re.search(r"([\d.]+ %) interval", plain(drawing.text.split("</title>")[0]))
        assert level
        labels = [plain(n.text) for n in drawing.all() if n.tag == "text"]
        assert any(f"{level[1]} interval" in label for label in labels), labels


def bare(value: object) -> object:
    """An input with every interval (and every σ that makes one) taken away."""
    if isinstance(value, dict):
        gone = {"interval", "sigma", "range"}
        return {k: None if k in gone else bare(v) for k, v in value.items()}
    return [bare(v) for v in value] if isinstance(value, list) else value


def test_estimates_that_have_no_interval_are_nowhere_on_the_page(tmp_path):
    """Digits that occur nowhere else, in place of every estimate."""
    signature = 7.1234e6

    def signed(value: Any) -> Any:
        if isinstance(value, dict):
            own = {"estimate", "strength"}
            return {
                k: signature if k in own and isinstance(v, float) else signed(v) for k, v in value.items()
            }
        return [signed(v) for v in value] if isinstance(value, list) else value

    report = report_input(days=4)
    marked = {k: signed(getattr(report, k)) for k in ("verdicts", "inventories", "sources")}
    marked["ledgers"] = [
        ledger_row("*", signature, signature, "gap", prior=None, posterior=None, difference=None)
    ]
    dataset = posterior("co2", days=4)
    dataset["posterior_total"] = dataset["posterior_total"] * 0 + signature
    shown = write_report(report_input(posteriors={"co2": dataset}, **marked), tmp_path / "a").html.read_text(
        "utf-8"
    )
    signs = re.compile(r"7[. ]?1[. ]?2|712 ?3|7\.1 million")
    assert signs.search(plain(shown.replace("\u202f", "")))
    dataset["posterior_covariance"] = dataset["posterior_covariance"] * np.nan
    hidden = report_input(posteriors={"co2": dataset}, **{k: bare(v) for k, v in marked.items()})
    root = Tree(write_report(hidden, tmp_path / "b").html.read_text("utf-8")).root
    text = " ".join(
        plain(n.text.replace("\u202f", "")) for n in root.all() if n.tag in {"p", "td", "text", "title"}
    )
    assert not signs.search(text), signs.search(text)


@pytest.mark.parametrize("claim", verdicts())
def test_every_verdict_says_what_carried_it_or_what_stopped_it(tree, claim):
    card = next(n for n in tree.all() if n.attributes.get("data-claim") == claim)
    why = next(n for n in card.all() if n.attributes.get("class") == "why")
    row = verdicts()[claim]
    said = plain(why.text).removeprefix("Why: ")
    assert len(said) > 20 and "not recorded" not in said
    if row["verdict"] in {"supported", "contradicted"}:
        assert re.search(r"(gives|give) the same answer|Alone,|would show|choice of method was tried", said)
        assert "interval" in said or row["kind"] == "source"
    for code in row["reasons"]:
        assert code in plain(card.text)


def test_a_verdict_whose_reasons_are_lost_says_so(tmp_path):
    lost = report_input(days=2, species=("ch4",), verdicts={"x": verdict("not comparable", comparability=[])})
    assert "The reason was not recorded." in write_report(lost, tmp_path / "out").html.read_text("utf-8")


def test_a_citys_own_table_says_what_is_compared_and_of_every_other_row_why_not(tree):
    section = next(n for n in tree.all() if n.attributes.get("id") == "ledgers")
    text = plain(section.text)
    assert "Table “c40”. Two comparisons with the air: two with no difference seen" in text
    assert "Two rows are not compared, most often for: gas, period." in text
    compared, refused = (
        [plain(row.text) for row in table.all() if row.tag == "tr"][1:]
        for table in section.all()
        if table.tag == "table" and "rows of c40" in plain(table.text)
    )
    assert len(compared) == 2 and "total, Territorial (line 2)" in compared[0]
    assert "heating" in compared[1] and "Commercial buildings: fuel (lines 2, 5)" in compared[1]
    assert "split rests on the prior" in compared[1] and "assigned" in compared[1]
    # a row that is refused for the same reasons in two periods stands once
    assert len(refused) == 3
    grid, earlier, land = refused
    assert "2.2 million" not in grid and "2 200 000" in grid and "t CO₂e a⁻¹" in grid
    assert "Sep to Nov 2023" in grid and "period: inventory of 2019, air of 2023" in grid
    assert "Sep to Nov 2019" in earlier and "period" not in earlier
    assert "Sep to Nov 2023; Sep to Nov 2019" in land and "–" in land
    maps = plain(next(n for n in section.all() if n.tag == "p" and "whole inventory" in n.text).text)
    assert maps.startswith("Of four comparisons of a whole inventory")


def test_a_row_of_the_ledgers_says_what_is_assigned_prior_driven_or_missing(tree):
    section = next(n for n in tree.all() if n.attributes.get("id") == "ledgers")
    said = plain(section.text)
    for words in (
        "assigned",
        "split rests on the prior",
        "sectors not told apart",
        "not comparable: period: inventory of 2012, air of 2023",
        "human respiration (440 000 t CO₂ a⁻¹, 95 % interval 270 000 to 610 000)",
        "biofuels (size not known)",
        "a gap: everything looked for is counted",
        "+3.8 σ",
    ):
        assert words in said, words


def test_what_a_search_would_have_found_is_a_map_and_a_sentence(tmp_path):
    dataset = posterior("ch4", days=2)
    strength = np.full((dataset.sizes["lat"], dataset.sizes["lon"]), 8.4)
    strength[0, 0], strength[1, 1] = np.inf, np.nan
    found = dataset.assign(detectable_strength=(("lat", "lon"), strength, {"units": "kg CH4 h-1"}))
    report = report_input(posteriors={"ch4": found}, sources=[])
    root = Tree(write_report(report, tmp_path / "out").html.read_text("utf-8")).root
    section = next(n for n in root.all() if n.attributes.get("id") == "sources")
    said = plain(section.text)
    assert "found none that stands out from chance" in said and "0.1 false alarms in a year" in said
    assert "8.4 kg of CH₄ an hour that lasts 7 days, in 80 of 100 cases" in said
    assert "weakest source that would be found" in said


# --- badges and colours --------------------------------------------------------------------------------


def linear(code: str) -> np.ndarray:
    """Linear RGB of ``#rrggbb``."""
    channels = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2: (L₁ + 0.05) / (L₂ + 0.05)."""
    light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_badges_differ_by_word_shape_and_lightness():
    assert len({b.word for b in BADGES.values()}) == len({b.shape for b in BADGES.values()}) == 4
    assert len({b.mark for b in BADGES.values()}) == 4
    for one, other in combinations(BADGES.values(), 2):
        assert contrast(one.ground, other.ground) >= 1.4, (one.word, other.word)


@pytest.mark.parametrize("badge", BADGES.values(), ids=lambda b: b.style)
def test_the_word_of_a_badge_is_legible(badge):
    assert contrast(badge.ink, badge.ground) >= 4.5


#: Linear RGB as seen without long- and without middle-wave cones (Machado, Oliveira and Fernandes 2009).
BLIND = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}


@pytest.mark.parametrize("kind", BLIND)
def test_badges_differ_for_colour_blind_readers(kind):
    seen = {b.word: np.clip(np.array(BLIND[kind]) @ linear(b.ground), 0, 1) for b in BADGES.values()}
    light = {word: float(rgb @ [0.2126, 0.7152, 0.0722]) + 0.05 for word, rgb in seen.items()}
    for one, other in combinations(light.values(), 2):
        assert max(one, other) / min(one, other) >= 1.3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_by_day_and_by_night(page, scheme):
    roots = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", roots[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", roots[1]))
    for text, grounds in {
        "ink": ("paper", "sheet", "warn"),
        "soft": ("paper", "sheet", "warn"),
        "link": ("paper", "sheet"),
        "accent": ("paper",),
        "prior": ("paper",),
    }.items():
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, (scheme, text, ground)


# --- for readers who do not see it ----------------------------------------------------------------------


def test_headings_descend_one_by_one(tree):
    levels = [int(n.tag[1]) for n in tree.all() if re.fullmatch(r"h[1-6]", n.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_every_table_has_a_caption_and_every_head_a_scope(tree):
    for table in (n for n in tree.all() if n.tag == "table"):
        tags = [n.tag for n in table.all()]
        assert tags.count("caption") == 1
        assert all(n.attributes.get("scope") in {"row", "col"} for n in table.all() if n.tag == "th")
        head = [n for n in table.all() if n.tag == "th" and n.within(tag="thead")]
        for row in (n for n in table.all() if n.tag == "tr" and n.within(tag="tbody") and head):
            cells = [c for c in row.children if isinstance(c, Node)]
            assert sum(int(c.attributes.get("colspan", "1")) for c in cells) == len(head)


def test_every_picture_says_in_words_what_it_shows(tree):
    pictures = [n for n in tree.all() if n.tag == "svg" and n.attributes.get("aria-hidden") != "true"]
    assert len(pictures) > 15
    for picture in pictures:
        assert picture.attributes["role"] == "img" and len(picture.attributes["aria-label"]) > 20
        assert not math.isnan(float(picture.attributes["viewbox"].split()[2]))
