"""Numbers and sentences: nothing is shown more exactly than it is known, nor without its interval."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_inputs import evaluation, verdict, verdicts

from monitor.publish.answers import answer
from monitor.publish.claim_view import look_text
from monitor.publish.diagnostics import diagnostics_in_words
from monitor.publish.numbers import (
    chance_bound,
    estimate_of,
    pretty_unit,
    show,
    show_claimed,
    show_level,
    show_plain,
)
from monitor.publish.wording import plain_amount, reasons_of, why

INTERVAL_WITH_LEVEL = re.compile(r"\([\d.]+ % interval: .+ to .+\)")


def plain(text: str) -> str:
    text = re.sub(r"<[^>]+>", "", text)
    return text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2212", "-")


def number_of(text: str) -> float:
    return float(text.replace("\u202f", "").replace("\u2212", "-"))


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e8))
def test_rounding_moves_a_value_by_at_most_a_twentieth_of_its_half_width(value, half_width):
    found = estimate_of(value, [value - half_width, value + half_width], 0.95, "t CH4 a-1")
    assert found is not None
    shown = found.shown
    spacing = math.ulp(value) * 4  # nothing finer exists
    assert abs(number_of(shown.value) - value) <= 0.05 * half_width * 1.01 + spacing


@pytest.mark.parametrize("interval", [None, [1.0, None], [math.nan, 2.0], [1.0], "12"])
def test_no_interval_no_number(interval):
    assert estimate_of(1.0, interval, 0.95, "1") is None
    said = answer(verdict("undecided", interval=interval))
    assert "24" not in said and "no number with an interval" in said


@pytest.mark.parametrize("level", [None, math.nan, 0.0, 1.0, "0.95"])
def test_no_level_no_interval_no_number(level):
    assert estimate_of(1.0, [0.0, 2.0], level, "1") is None
    said = answer(verdict("undecided", level=level))
    assert "24" not in said and "no number with an interval" in said


@given(st.floats(0.5, 0.999_999_9))
def test_a_level_below_certainty_is_never_shown_as_certain(level):
    shown = float(plain(show_level(level)).removesuffix(" %"))
    assert shown < 100 and abs(shown - 100 * level) <= 0.051 * (100 - 100 * level)


def test_numbers_are_written_as_a_reader_expects():
    assert plain(show(-1234567.0, -3)) == "-1 235 000"
    assert show(-0.001, 1) == "0.0"
    assert pretty_unit("t CO2 a-1") == "t CO₂ a⁻¹"
    assert plain(show_claimed(-0.25, "1")) == "-25 %"
    assert plain(show_claimed(0.5, "1")) == "50 %" and plain(show_claimed(0.5, "1", signed=True)) == "+50 %"
    assert plain(show_claimed(2.1e4, "t CH4 a-1")) == "21 000 t CH₄ a⁻¹"
    assert plain(show_plain(1.3e-9)) == "1.30 × 10⁻⁹"
    assert plain(plain_amount(estimate_of(0.9e6, (0.7e6, 1.1e6), 0.95, "t CO2 a-1"))) == (
        "0.90 million tonnes of CO₂ a year (95 % interval: 0.70 to 1.10 million)"
    )
    assert (
        plain(plain_amount(estimate_of(0.31, (0.25, 0.37), 0.95, "1")))
        == "31.0 % (95 % interval: 25.0 to 37.0 %)"
    )


def test_changes_fall_rise_or_stay_open():
    said = {
        ends: plain(answer(verdict("supported", estimate=sum(ends) / 2, interval=list(ends)), {"city": "X"}))
        for ends in ((-0.3, -0.2), (0.1, 0.3), (-0.1, 0.2))
    }
    assert "from X fell by 25.0 % (95 % interval: 20.0 % to 30.0 %)" in said[-0.3, -0.2]
    assert "from X rose by 20 % (95 % interval: 10 % to 30 %)" in said[0.1, 0.3]
    assert "from X changed by +5 % (95 % interval: -10 % to +20 %)" in said[-0.1, 0.2]


def test_a_trend_is_said_per_year_and_a_share_of_its_whole():
    trend, share = (plain(answer(verdicts()[name], {"city": "X"})) for name in ("trend", "traffic"))
    assert "from X fell by 4.8 % a year (97.1 % interval: 1.8 % to 7.8 %)" in trend
    assert "traffic accounts for 31.2 % (95 % interval: 25.2 to 37.2 %) of the CO₂ emissions from X" in share
    absolute = verdict("supported", kind="trend", unit="t CO2 a-2", estimate=-3.1e5, interval=[-5e5, -1.2e5])
    assert "fell by 310 000 tonnes of CO₂ a year, every year (95 % interval: 120 000 to 500 000)" in plain(
        answer(absolute)
    )
    part = verdicts()["traffic"] | {"sectors": ["*"], "of_sectors": [], "region": "north"}
    assert "North accounts for 31.2 %" in plain(answer(part, {"north": "North", "city": "X"}))


def test_a_source_is_said_with_its_place_and_its_time_and_is_there_only_where_the_air_says_so():
    row = verdicts()["festival"]
    where = "at 48.131° N, 11.548° E"
    said = plain(answer(row))
    assert f"a source of CH₄ {where} released 11.7 kg of CH₄ an hour (95 % interval: 7.9 to 15.5)" in said
    assert "15.5) beyond the inventory; it began" in said
    assert "it began between 15 Sep 2023 and 17 Sep 2023, ended on 2 Oct 2023 (95 % each)." in plain(
        answer(row)
    )
    for word in ("undecided", "contradicted"):
        said = plain(answer(row | {"verdict": word}))
        assert f"the source of CH₄ that fits best {where} would release 11.7 kg" in said
    claimed = row | {"claimed": {"value": 12.0, "unit": row["unit"], "reading": "present"}}
    assert "beyond" not in plain(answer(claimed))
    undated = row | dict.fromkeys(("start", "end", "start_interval", "end_interval"))
    assert "15.5) beyond the inventory, in Sep to Nov 2023 against" in plain(answer(undated))


def test_a_change_is_said_of_the_part_that_is_estimated_and_of_the_periods_compared():
    part = verdict("supported", sectors=["traffic", "heating", "industry"])
    part["comparability"] = [{"item": "biogenic part", "status": "equal", "detail": "excluded on both sides"}]
    said = plain(answer(part, {"city": "X"}))
    assert (
        "emissions of CO₂ by traffic, heating and industry from X, natural and biogenic fluxes left out,"
        " fell by 24.1 %"
    ) in said
    assert said.endswith("to 29.6 %), in Sep to Nov 2023 against Sep to Nov 2019.")
    both = part | {"sectors": ["*"], "comparability": []}
    assert "emissions of CO₂ from X fell by" in plain(answer(both, {"city": "X"}))
    years = [[f"{y}-01-01T00:00:00Z", f"{y + 1}-01-01T00:00:00Z"] for y in range(2018, 2024)]
    assert ", over six periods, the first 2018, the last 2023." in plain(answer(part | {"periods": years}))


def test_a_yes_about_a_source_says_whether_stations_and_other_choices_turn_it():
    row = verdicts()["festival"]
    alone = plain(why(row))
    assert "No fault of one instrument and no higher inflow explains as well what is seen." in alone
    assert "No other choice of method was tried." in alone
    tried = row | {"ensemble": verdicts()["trend"]["ensemble"]}
    assert "Each of the 2 other choices of method that were tried gives the same answer." in plain(why(tried))
    no = plain(why(row | {"verdict": "contradicted", "claimed": row["claimed"] | {"value": 5000.0}}))
    assert "It stays below the claimed strength without any one of the instruments." in no


def test_what_turns_a_verdict_is_said_and_what_it_withstood():
    turned = plain(why(verdicts()["cut-25"]))
    assert "Alone, the answer would be undecided with another correlation length." in turned
    assert "Each of the 2 other choices of method that were tried gives the same answer." in plain(
        why(verdicts()["trend"])
    )
    unstable = verdict(
        "undecided", reasons=["unstable"], flips_text="Alone, it would be contradicted with another map."
    )
    assert "contradicted with another map" in plain(why(unstable))


@pytest.mark.parametrize("claim", verdicts())
def test_every_answer_with_a_number_has_interval_and_level_and_every_verdict_a_reason(claim):
    row = verdicts()[claim]
    said = plain(answer(row, {"city": "Musterstadt"}))
    if row["estimate"] is None:
        assert not re.search(r"\d", said)
    else:
        assert INTERVAL_WITH_LEVEL.search(said)
    assert why(row)


def test_another_level_is_named():
    assert "(90 % interval:" in plain(answer(verdict("supported", level=0.9)))


def test_a_verdict_that_is_not_comparable_names_what_differs_even_without_texts():
    row = verdicts()["commune"] | {"reasons": [], "reason_texts": []}
    assert reasons_of(row)[0] == "region: 105 km² claimed, 310 km² measured"


def test_an_unlucky_diagnostic_is_called_what_it_is():
    said = " ".join(diagnostics_in_words({"loo_coverage": 0.7, "loo_variance": 3.0}))
    assert "not what an honest 95 % should give" in said and "larger than stated" in said
    assert diagnostics_in_words({"loo_coverage": math.nan}) == []


def test_a_chance_that_no_draw_reached_is_a_bound():
    assert chance_bound(1 / 501, 500) == "< " and chance_bound(2 / 501, 500) == ""
    assert chance_bound(1 / 501, None) == "" == chance_bound(None, 500)


def test_a_revision_says_what_the_look_answered_first():
    first = {"verdict": "supported", "digest": 64 * "a", "data_interval": []}
    text = look_text({"evaluation": evaluation("revision", first=first, next="2025-01-01")})
    assert "taken before, from other data, and answered supported" in text and "2025-01-01" in text
