"""Numbers and sentences: nothing is shown more exactly than it is known, nor without its interval."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_inputs import verdict, verdicts

from monitor.publish.numbers import pretty_unit, show, show_claimed, show_estimate, show_plain
from monitor.publish.wording import answer, diagnostics_in_words, plain_amount, reasons_of, why

INTERVAL_WITH_LEVEL = re.compile(r"\(\d+ % interval: .+ to .+\)")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2212", "-")


def number_of(text: str) -> float:
    return float(text.replace("\u202f", "").replace("\u2212", "-"))


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e8))
def test_rounding_moves_a_value_by_at_most_a_twentieth_of_its_half_width(value, half_width):
    shown = show_estimate(value, [value - half_width, value + half_width], "t CH4 a-1")
    assert shown is not None
    spacing = math.ulp(value) * 4  # nothing finer exists
    assert abs(number_of(shown.value) - value) <= 0.05 * half_width * 1.01 + spacing


@pytest.mark.parametrize("interval", [None, [1.0, None], [math.nan, 2.0], [1.0], "12"])
def test_no_interval_no_number(interval):
    assert show_estimate(1.0, interval, "1") is None
    said = answer(verdict("undecided", interval=interval))
    assert "24" not in said and "no number with an interval" in said


def test_numbers_are_written_as_a_reader_expects():
    assert plain(show(-1234567.0, -3)) == "-1 235 000"
    assert show(-0.001, 1) == "0.0"
    assert pretty_unit("t CO2 a-1") == "t CO₂ a⁻¹"
    assert plain(show_claimed(-0.25, "1")) == "-25 %"
    assert plain(show_claimed(2.1e4, "t CH4 a-1")) == "21 000 t CH₄ a⁻¹"
    assert plain(show_plain(1.3e-9)) == "1.30 × 10⁻⁹"
    assert plain(plain_amount(0.9e6, (0.7e6, 1.1e6), "t CO2 a-1")) == (
        "0.90 million tonnes of CO₂ a year (95 % interval: 0.70 to 1.10 million)"
    )
    assert plain(plain_amount(0.31, (0.25, 0.37), "1")) == "31.0 % (95 % interval: 25.0 to 37.0 %)"


def test_changes_fall_rise_or_stay_open():
    said = {
        ends: plain(answer(verdict("supported", estimate=sum(ends) / 2, interval=list(ends)), "X"))
        for ends in ((-0.3, -0.2), (0.1, 0.3), (-0.1, 0.2))
    }
    assert "from X fell by 25.0 % (95 % interval: 20.0 % to 30.0 %)" in said[-0.3, -0.2]
    assert "from X rose by 20 % (95 % interval: 10 % to 30 %)" in said[0.1, 0.3]
    assert "from X changed by +5 % (95 % interval: -10 % to +20 %)" in said[-0.1, 0.2]


@pytest.mark.parametrize("claim", verdicts())
def test_every_answer_with_a_number_has_interval_and_level_and_every_verdict_a_reason(claim):
    row = verdicts()[claim]
    said = plain(answer(row, "Musterstadt"))
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
