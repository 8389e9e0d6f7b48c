"""The real job: Tacolneston, July and August 2016, from raw files to three verdicts.

What is asserted of the answer is that it is honest, not what it is: the counts add up, days left out are
predicted as well as claimed, the prior's size does not vote, and each verdict follows from its numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.archive import Archive
from monitor.domain import Interval
from monitor.service.analysis import analyse
from monitor.service.inputs import load_data
from monitor.service.pipeline import run_interval
from monitor.service.run import load_configuration

pytestmark = pytest.mark.real_data

CONFIG = Path(__file__).resolve().parents[1] / "config" / "cities" / "tacolneston.toml"
SUMMER = Interval.parse("2016-07-01", "2016-09-01")
#: Totals of the maps over the window [t CH4 a⁻¹], as their publishers' files give them.
MAPS = {"edgar5-2012": 0.92e6, "naei-edgar-2013": 0.43e6, "edgar7-ukghg-2019": 0.21e6}
ADJUSTMENTS = {
    "edgar5-2012": ["inventory year 2012 for 2016", "natural sources are not in the map"],
    "naei-edgar-2013": ["inventory year 2013 for 2016"],
    "edgar7-ukghg-2019": ["inventory year 2019 for 2016"],
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tacolneston")


@pytest.fixture(scope="module")
def outcome(real_data, workdir):
    return run_interval(CONFIG, SUMMER, real_data / "tacolneston-2016", workdir)


@pytest.fixture(scope="module")
def figures(outcome):
    return outcome.figures


def test_every_footprint_hour_is_used_or_left_out_with_a_reason(figures):
    assert figures["footprint_hours"] == 1488
    assert figures["used_hours"] + sum(figures["excluded"].values()) == 1488
    assert figures["excluded"] == {"no row": 272, "not a number": 5}
    assert figures["n_observations"] == 1211


def test_days_left_out_are_predicted_as_well_as_claimed(figures):
    assert 0.8 <= figures["loo_variance"] <= 1.2
    assert 0.92 <= figures["loo_coverage"] <= 0.98
    by_class = figures["loo_coverage_by_class"]
    assert len(by_class) == 8
    assert all(0.88 <= coverage <= 0.99 for coverage in by_class.values()), by_class


def test_another_calibration_scale_of_the_background_is_said(outcome):
    (warning,) = [text for text in outcome.warnings if "scale" in text]
    assert "WMO-CH4-X2004A" in warning and "TU1987" in warning


def test_each_map_has_the_total_that_is_known_of_it(outcome):
    assert list(outcome.inventories) == list(MAPS)
    for name, total in MAPS.items():
        row = outcome.inventories[name]
        assert row["prior_total"] == pytest.approx(total, abs=0.005e6)  # stated to two digits
        assert row["unit"] == "t CH4 a-1"
        assert row["interval"][0] < row["estimate"] < row["interval"][1]
        assert row["sigma"] > 0
        assert 0 < row["response"]
        assert 0 < row["background_share"] < 1


@pytest.mark.parametrize("name", MAPS)
def test_a_verdict_follows_from_its_numbers(outcome, name):
    verdict = outcome.verdicts[name]
    low, high = verdict["interval"]
    value, tolerance = verdict["claimed"]["value"], verdict["claimed"]["tolerance"]
    claimed = (value * (1 - tolerance), value * (1 + tolerance))
    assert value == pytest.approx(MAPS[name])
    assert tolerance == 0.25
    if verdict["verdict"] == "supported":
        assert claimed[0] <= low and high <= claimed[1]
    elif verdict["verdict"] == "contradicted":
        assert high < claimed[0] or low > claimed[1]
    else:
        assert verdict["verdict"] == "undecided"
    assert bool(verdict["reasons"]) == (verdict["verdict"] == "undecided")
    assert low < verdict["estimate"] < high


@pytest.mark.parametrize("name", MAPS)
def test_a_verdict_rests_on_three_patterns_and_two_choices_of_hours(outcome, name):
    members = {row["member"] for row in outcome.verdicts[name]["ensemble"]}
    assert members >= {f"{pattern}, {hours}" for pattern in MAPS for hours in ("all hours", "12-17 h")}
    estimates = [row["estimate"] for row in outcome.verdicts[name]["ensemble"]]
    within = min(row["sigma"] for row in outcome.verdicts[name]["ensemble"])
    assert outcome.verdicts[name]["sigma"] > within  # the spread between the members is in it
    assert min(estimates) <= outcome.verdicts[name]["estimate"] <= max(estimates)


@pytest.mark.parametrize("name", MAPS)
def test_declared_adjustments_are_carried_to_the_page(outcome, name):
    verdict = outcome.verdicts[name]
    assert verdict["adjustments"] == ADJUSTMENTS[name]
    declared = [item["item"] for item in verdict["comparability"] if item["status"] == "declared"]
    assert "period" in declared
    page = outcome.report.read_text(encoding="utf-8")
    assert all(text in page for text in ADJUSTMENTS[name])


def test_the_report_is_whole_and_holds_the_same_numbers(outcome):
    said = json.loads((outcome.report.parent / "report.json").read_text(encoding="utf-8"))
    assert said["verdicts"] == outcome.as_json()["verdicts"]
    assert said["inventories"] == outcome.as_json()["inventories"]


def test_a_second_run_does_nothing(outcome, real_data, workdir):
    again = run_interval(CONFIG, SUMMER, real_data / "tacolneston-2016", workdir)
    assert set(again.steps.values()) == {"done before"}
    assert again.verdicts == outcome.verdicts


@pytest.fixture(scope="module")
def afternoons(outcome, workdir):
    """Give what the air says of each map from the afternoons alone, all maps scaled by a factor."""
    city, claims = load_configuration(CONFIG)
    city = city.model_copy(
        update={
            "selection": city.selection.model_copy(update={"local_hours": (12, 17)}),
            "ensemble": city.ensemble.model_copy(update={"local_hours": ()}),
        }
    )
    with Archive.open(workdir / "archive") as archive:
        data, _ = load_data(archive, city, SUMMER)

    def answer(factor: float):
        scaled = {
            name: flux.assign(flux=(flux["flux"] * factor).assign_attrs(flux["flux"].attrs))
            for name, flux in data.inventories.items()
        }
        kept = type(data)(data.observations, data.footprints, scaled)
        return analyse(city, claims, SUMMER, kept).inventories

    return answer, answer(1.0)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_size_of_the_prior_does_not_vote(afternoons, factor):
    answer, plain = afternoons
    for name, row in answer(factor).items():
        assert row["prior_total"] == pytest.approx(factor * plain[name]["prior_total"])
        moved = abs(row["estimate"] - plain[name]["estimate"])
        assert moved < 0.2 * plain[name]["sigma"], name
