"""`monitor design`: figures that a solved problem confirms, from files, plumes or a declared weather."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from mini_city import MiniCity

from monitor.cli import run
from monitor.compare.estimator import Variant, estimator
from monitor.compare.plan import detectable_before
from monitor.config import load_candidates, load_city
from monitor.domain import Interval
from monitor.errors import ConfigError, InputError, UsageError
from monitor.inversion.hyper import Hyperparameters
from monitor.inversion.posterior import solve_problem
from monitor.service.design import DesignRequest, Report, design_network, epochs_of
from monitor.service.sites import propose
from monitor.service.study import REFERENCE, Study

SITES = """\
id,lon_deg,lat_deg,inlet_m,uncertainty_ppm
NORTH,1.3,52.35,60,0.001
SOUTH,1.2,52.05,60,0.001
TWIN,1.25,52.2,100,0.001
"""
INTERVAL = Interval.parse("2020-01-06", "2020-01-16")
DESIGN = """
[selection]
average = "daily"
[[scan]]
species = "ch4"
min_days = 1
max_days = 4
source_days = 2
draws = 100
"""


@pytest.fixture
def city(mini: MiniCity) -> MiniCity:
    """Give the mini city with a declared error, daily means and a file of candidates."""
    text = mini.config.read_text().replace("inlets_m = [100]", "inlets_m = [100]\nuncertainty_ppm = 0.001")
    mini.config.write_text(text + DESIGN)
    (mini.root / "sites.csv").write_text(SITES)
    return mini


def study(city: MiniCity, candidates: bool = True) -> Study:
    config = load_city(city.config)
    sites = load_candidates(city.root / "sites.csv") if candidates else None
    return Study(propose(config, sites, "ch4", epochs_of(config, INTERVAL), city.data))


def designed(city: MiniCity, **request):
    return design_network(
        city.config, city.root / "sites.csv", city.data, DesignRequest(interval=INTERVAL, **request)
    )


def declare(city, *lines):
    """The transport errors of the city's gas, in place of the defaults."""
    text = city.config.read_text().replace("background = {", "\n".join([*lines, "background = {"]), 1)
    city.config.write_text(text)


# --- figures ---------------------------------------------------------------------------------------------


def test_the_detectable_change_is_that_of_the_solved_problem(city):
    """The slow twin: the inversion of some of the sites alone, by the claims' own estimator."""
    whole = study(city)
    report = Report(whole, DesignRequest())
    for taken in ((0,), (0, 2), (0, 1, 2, 3)):
        network = whole.all_sites.take(*taken)
        part = whole.problem.select(whole.rows(network))
        model = part.model
        at_starts = Hyperparameters(
            model.parameters, model.starts, np.zeros((model.starts.size,) * 2), 0.0, 0
        )
        posterior = replace(solve_problem(part, fitted=at_starts), inflation=1.0)
        quantity = whole.quantities["window"]
        slow = estimator(quantity, Variant("main", posterior), REFERENCE)
        np.testing.assert_allclose(whole.covariance(network, "window"), slow.covariance, rtol=1e-7)
        assert whole.detectable(network, "change", "window")[0] == pytest.approx(
            detectable_before(quantity, [slow]), rel=1e-7
        )
        shown = {name: float((s[1] - s[0])[-1]) for name, s in slow.shows.items()}
        assert whole.responses(network, "window") == pytest.approx(
            {k: v for k, v in shown.items() if k in quantity.alternatives}
        )
    assert report.network.taken == (0,)


def test_degrees_of_freedom_are_those_of_the_diagnostics(city):
    whole = study(city)
    network = whole.all_sites.take(0, 1)
    rows, model, values = whole.rows(network), whole.problem.model, whole.problem.model.starts
    psi = model.covariance(values)[np.ix_(rows, rows)]
    signal = model.covariance(values, ("surface",))[np.ix_(rows, rows)]
    assert whole.dofs(network) == pytest.approx(np.trace(np.linalg.inv(psi) @ signal))


def test_a_second_inlet_at_the_same_place_adds_least(city):
    found = designed(city, target="change:window")
    assert [s["id"] for s in found["alone"]][-1] == "TWIN"
    assert all(s["after"] <= s["before"] for s in found["alone"] + found["sequence"])
    before, after = (found[k]["regions"][0]["detectable_change"] for k in ("before", "after"))
    assert after < before and found["after"]["dofs"] > found["before"]["dofs"]
    assert found["sequence"][-1]["after"] == pytest.approx(after)
    assert found["after"]["sites"] == ["ONE", *(s["id"] for s in found["sequence"])]


def test_a_transport_error_that_differs_between_epochs_is_a_floor(city):
    declare(city, "transport_scale_sd = 0.0", "transport_epoch_sd = 0.05")
    region = designed(city)["after"]["regions"][0]
    # T₂ − T₁ of two equal totals, each 5 % wrong on its own: 2.8 √2 · 5 %
    assert region["detectable_change_floor"] == pytest.approx(2.8016 * np.sqrt(2) * 0.05, rel=1e-4)
    assert region["detectable_change"] > region["detectable_change_floor"]
    assert region["years_each_epoch"][0] == {"change": -0.1, "years": None}  # never, below the floor


def test_a_shared_transport_error_counts_by_its_declared_correlations(city):
    """Of a factor that is the same in both epochs nothing is left in a change; free to differ, all of it."""
    plain = city.config.read_text()
    floors = []
    for declared in ("[1.0]", "[0.0, 1.0]"):
        city.config.write_text(plain)
        errors = ("transport_scale_sd = 0.1", "transport_epoch_sd = 0.0")
        declare(city, *errors, f"transport_correlations = {declared}")
        floors.append(designed(city)["before"]["regions"][0]["detectable_change_floor"])
    assert floors == pytest.approx([0.0, 2.8016 * np.sqrt(2) * 0.1], rel=1e-4)


def test_a_city_that_declares_no_transport_error_is_given_that_of_winds_and_mixing_heights(city):
    """Uniform within ±15 % and ±20 %: 9 % (1σ) that two epochs may not share, and 12 % of each on its own."""
    floor = designed(city)["before"]["regions"][0]["detectable_change_floor"]
    assert floor == pytest.approx(2.8016 * np.sqrt(2) * np.hypot(0.15, 0.20) / np.sqrt(3), rel=0.05)


def test_with_time_a_smaller_change_is_seen(city):
    declare(city, "transport_scale_sd = 0.0", "transport_epoch_sd = 0.0")
    region = designed(city)["before"]["regions"][0]
    small, large = region["years_each_epoch"]
    assert small["change"] == -0.1 and large["change"] == -0.25
    assert small["years"] == pytest.approx(large["years"] * 6.25)
    five, ten = region["detectable_trend"]
    assert ten["slope"] < five["slope"]


def test_sources_are_a_target(city):
    found = designed(city, target="source", add=2)
    assert found["target"]["unit"] == "kg CH4 h-1"
    assert len(found["sequence"]) == 2 and found["sequence"][0]["after"] < found["sequence"][0]["before"]
    assert found["after"]["source"]["middle"] < found["before"]["source"]["middle"]
    assert found["before"]["source"]["least"] <= found["before"]["source"]["middle"]


# --- transport and inputs --------------------------------------------------------------------------------


def test_without_footprints_the_weather_is_declared_and_said_first(city):
    found = designed(city)
    assert found["assumptions"][0].startswith("DECLARED CLIMATOLOGY") and "4 m s⁻¹" in found["assumptions"][0]
    assert {s["footprints"] for s in found["sites"]} == {"Gaussian plume, declared climatology"}
    assert [s["stands"] for s in found["sites"]] == [True, False, False, False]


def test_footprint_files_are_used_where_there_are_some(city):
    city.footprints("2020-01-06", 10)
    city.footprints("2021-01-06", 10)
    found = designed(city)
    by_id = {s["id"]: s["footprints"] for s in found["sites"]}
    # these files carry no weather, so the candidates' is declared
    assert by_id["ONE"] == "files" and by_id["NORTH"] == "Gaussian plume, declared climatology"


def test_a_network_of_nothing_yet_sees_nothing_and_gets_its_first_sites(city):
    config = load_city(city.config)
    none = config.model_copy(update={"station": (), "source": ()})
    proposal = propose(
        none, load_candidates(city.root / "sites.csv"), "ch4", epochs_of(config, INTERVAL), city.data
    )
    answer = Report(Study(proposal), DesignRequest(add=1)).as_json()
    assert answer["before"]["sites"] == [] and answer["before"]["regions"][0]["detectable_change"] is None
    assert answer["sequence"][0]["before"] is None and answer["sequence"][0]["after"] > 0


def test_the_second_epoch_is_a_year_later_where_the_city_declares_none(city):
    epochs = epochs_of(load_city(city.config), Interval.parse("2020-02-01", "2020-02-29"))
    assert [str(e.start)[:10] for e in epochs.values()] == ["2020-02-01", "2021-02-01"]
    assert epochs["a-year-later"].end.day == 28
    with pytest.raises(UsageError, match="needs two epochs"):
        epochs_of(load_city(city.config), None)


@pytest.mark.parametrize(
    ("target", "message"), [("change:moon", "no region.*window.*moon"), ("trend", "no kind.*source.*trend")]
)
def test_a_target_must_be_there(city, target, message):
    with pytest.raises(UsageError, match=message):
        designed(city, target=target)


def test_bad_candidates_are_listed_with_their_keys(city):
    path = city.root / "sites.csv"
    path.write_text(SITES + "NORTH,1.3,95,60,\n,1,52,50,\n")
    with pytest.raises(ConfigError, match=r"(?s)candidate\.3\.lat_deg.*candidate\.4\.id"):
        load_candidates(path)
    path.write_text(SITES + "NORTH,1.3,52.3,60,\n")
    with pytest.raises(ConfigError, match="candidate ids appear twice: NORTH"):
        load_candidates(path)
    path.write_text(SITES.replace("TWIN", "ONE"))
    with pytest.raises(UsageError, match="candidate 'ONE' stands already"):
        designed(city)
    path.write_text(SITES.replace("1.3,52.35", "52.35,1.3"))
    with pytest.raises(InputError, match="site 'NORTH' lies outside the grid"):
        designed(city)


def test_toml_and_csv_say_the_same(city, tmp_path):
    path = tmp_path / "sites.toml"
    path.write_text(
        'schema_version = 1\n[[candidate]]\nid = "NORTH"\nlon_deg = 1.3\nlat_deg = 52.35\ninlet_m = 60\n'
        "uncertainty_ppm = 0.001\n"
    )
    assert load_candidates(path).candidate[0] == load_candidates(city.root / "sites.csv").candidate[0]


def test_the_command_prints_json_tables_and_a_picture(city, capsys):
    arguments = [
        "design",
        str(city.config),
        "--data",
        str(city.data),
        "--candidates",
        str(city.root / "sites.csv"),
    ]
    arguments += ["--from", "2020-01-06", "--to", "2020-01-16", "--add", "1"]
    picture = city.root / "map.svg"
    assert run([*arguments, "--json", "--picture", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["sequence"]) == 1 and found["before"]["source"]["unit"] == "kg CH4 h-1"
    root = ElementTree.parse(picture).getroot()
    texts = " ".join("".join(e.itertext()) for e in root.iter())
    assert (
        root.tag.endswith("svg") and "DECLARED CLIMATOLOGY" in texts and found["sequence"][0]["id"] in texts
    )
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("assumed: DECLARED CLIMATOLOGY") and "variance of the data saved" in text
