"""The report: self-contained, safe against hostile names, and one content in all its forms."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from report_inputs import posterior, report_input, verdict, verdicts

from monitor.domain import Region, Station
from monitor.errors import ContractError, StorageError
from monitor.publish import write_report
from monitor.publish.report import ReportPaths
from monitor.publish.wording import withstood

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "</title></style><b>",
    "{{ 7*7 }}{% for %}",
    "javascript:alert(1)",
    "../../etc/passwd",
)


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.badges: dict[str, str] = {}
        self._claim, self._in_badge = "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._claim = attributes.get("data-claim") or self._claim
        self._in_badge |= tag == "span" and (attributes.get("class") or "").startswith("badge")

    def handle_endtag(self, tag):
        if tag == "span":
            self._in_badge = False

    def handle_data(self, data):
        if self._in_badge and self._claim and len(data.strip()) > 1 and self._claim not in self.badges:
            self.badges[self._claim] = data.strip()


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> ReportPaths:
    return write_report(report_input(), tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="module")
def page(paths) -> str:
    return paths.html.read_text(encoding="utf-8")


def attributes_of(page: str) -> list[tuple[str, str, str]]:
    return [(tag, name, value or "") for tag, attrs in Page(page).tags for name, value in attrs.items()]


def assert_self_contained(page: str) -> None:
    parsed = Page(page)
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "img", "b"}
    for tag, name, value in attributes_of(page):
        assert not name.startswith("on") and name not in {"style", "srcset", "srcdoc", "formaction"}, (
            tag,
            name,
        )
        if name in {"src", "href", "xlink:href"}:
            local = value.startswith(("#", "data:")) or re.fullmatch(r"[\w./-]+", value)
            assert local and ".." not in value and not value.startswith("/"), (tag, value[:80])
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(a["content"] for t, a in parsed.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'") and f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_the_page_needs_nothing_from_elsewhere_and_runs_no_script(page):
    assert_self_contained(page)
    assert not re.search(r"https?://", page)
    assert len(page.encode()) < 1.5e6


def test_every_picture_has_a_text_and_every_table_a_caption(page):
    parsed = Page(page)
    drawings = [a for t, a in parsed.tags if t == "svg" and a.get("role") == "img"]
    assert len(drawings) > 15 and all(len(a["aria-label"]) > 10 for a in drawings)
    assert page.count("<table") == page.count("<caption") > 10
    assert 'lang="en"' in page and "<h1>" in page
    ids = [value for _, name, value in attributes_of(page) if name == "id"]
    assert len(ids) == len(set(ids))


def test_page_json_and_csv_say_the_same(page, paths):
    said = json.loads(paths.json.read_text(encoding="utf-8"))
    with (paths.csv / "verdicts.csv").open(encoding="utf-8", newline="") as stream:
        table = {row["claim"]: row for row in csv.DictReader(stream)}
    assert list(said["verdicts"]) == list(verdicts()) == list(table)
    assert Page(page).badges == {key: row["verdict"] for key, row in said["verdicts"].items()}
    for key, row in said["verdicts"].items():
        assert table[key]["verdict"] == row["verdict"]
        assert table[key]["estimate"] == ("" if row["estimate"] is None else str(row["estimate"]))
    assert said["verdicts"]["cut-25"]["interval"] == [-0.2956, -0.1868]
    assert said["interval"] == ["2019-09-01T00:00:00Z", "2023-12-01T00:00:00Z"]
    assert len(said["series"]["ch4"]["observed_ppb"]) == 910


def test_gases_in_ppb_and_changes_in_per_cent(page):
    assert "ppb" in page and "ppm" in page and "nmol m⁻² s⁻¹" in page
    assert "18.7\u00a0% to 29.6\u00a0%" in page
    assert "umol" not in page


def hostile_report():
    """Every free text of a report replaced by something hostile."""
    names = iter(HOSTILE * 40)
    stations = tuple(
        Station(next(names), 11.5 + 0.05 * i, 48.1, (10.0,), next(names)) for i in range(len(HOSTILE))
    )
    ring = ((11.4, 48.1), (11.6, 48.1), (11.5, 48.2))
    regions = tuple(Region(name, (ring,), name) for name in HOSTILE)
    dataset = posterior("ch4", days=4)
    dataset["station"] = (
        "observation",
        np.array([HOSTILE[i % 8] for i in range(dataset.sizes["observation"])]),
    )
    dataset = dataset.assign_coords(
        epoch=list(HOSTILE[:2]),
        block=list(HOSTILE[2:3]),
        total_region=("total", list(HOSTILE[:4])),
        total_block=("total", list(HOSTILE[2:6])),
        total_epoch=("total", list(HOSTILE[4:8])),
        hyperparameter=list(HOSTILE[:3]),
    )
    dataset.attrs |= {name: name for name in HOSTILE}
    claims = {
        name: verdict(
            "undecided" if i % 2 else "not comparable",
            statement=name,
            reasons=[name],
            reason_texts=[name] if i % 3 else [],
            region=name,
            species=name,
            kind=name,
            claimed={"value": 1.0, "unit": name, "reading": name},
            claimed_by=name,
            where=name,
            adjustments=[name],
            comparability=[{"item": name, "status": name, "detail": name}],
            unit=name,
            responses={name: 1.0},
            ensemble=[{"member": name, "estimate": 1.0, "sigma": 1.0, "verdict": name}],
            uncertainty_rule=name,
            inputs=[name],
        )
        for i, name in enumerate(HOSTILE)
    }
    claims["odd"] = verdict(HOSTILE[0])
    return report_input(
        city_id=HOSTILE[1],
        city_name=HOSTILE[0],
        stations=stations,
        regions=regions,
        posteriors={HOSTILE[7]: dataset},
        verdicts=claims,
        inventories={name: {"prior_total": 1.0, "unit": name, "species": name} for name in HOSTILE},
        sources=[{"lon": 11.5, "lat": 48.1, "start": n, "end": n, "unit": n, "status": n} for n in HOSTILE],
        figures={"excluded": dict.fromkeys(HOSTILE, 3), **dict.fromkeys(HOSTILE, "=1")},
        warnings=list(HOSTILE),
        provenance={
            "config_digest": HOSTILE[0],
            "inputs": [{"kind": n, "key": n, "digest": n, "source_files": [n]} for n in HOSTILE],
            "assumptions": dict(zip(HOSTILE, HOSTILE, strict=True)),
        },
    )


def test_hostile_names_stay_text_in_every_corner(tmp_path):
    written = write_report(hostile_report(), tmp_path / "out")
    page = written.html.read_text(encoding="utf-8")
    assert_self_contained(page)
    assert "<script" not in page and "onerror='" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page and "49" not in re.findall(r"<h1>.*?</h1>", page)[0]
    assert all(p.resolve().is_relative_to(tmp_path / "out") for p in written.netcdf.values())
    assert {p.name for p in tmp_path.iterdir()} == {"out"}
    for table in written.csv.glob("*.csv"):
        with table.open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream):
                assert not [cell for cell in row if cell[:1] in "=+@" and cell], table.name
                assert not [c for c in row if c[:1] == "-" and not re.fullmatch(r"-[\d.e+-]+", c)]
    assert HOSTILE[0] in json.loads(written.json.read_text(encoding="utf-8"))["verdicts"]


def test_what_is_optional_may_be_missing(tmp_path):
    optional = ["loo_standardised", "flux_prior_sd", "flux_posterior_sd", "share_from_data"]
    optional += ["hyperparameter_value", "hyperparameter_sd", "background_prior", "background_posterior"]
    bare = posterior("ch4", days=5).drop_vars([*optional, "inlet_height_m"])
    bare.attrs = {
        "species": "ch4",
        "note": None,
        "passed": True,
        "nested": {"a": [1]},
        "loo_coverage": np.nan,
    }
    bare["observed"][3] = np.nan
    report = report_input(
        posteriors={"ch4": bare},
        verdicts={"x": {"verdict": "undecided"}},
        inventories={},
        sources=[],
        figures={},
        warnings=[],
        provenance={},
    )
    written = write_report(report, tmp_path / "out")
    assert "nan" not in re.sub(r"<[^>]+>", " ", written.html.read_text(encoding="utf-8")).lower().split()
    json.loads(written.json.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    empty = replace(report, posteriors={}, verdicts={}, stations=(), regions=())
    assert "No claim was tested" in write_report(empty, tmp_path / "empty").html.read_text(encoding="utf-8")


def test_no_source_is_not_said_to_be_searched_for_unless_it_was(tmp_path):
    quiet = report_input(days=2, species=("ch4",), sources=[], figures={})
    assert "found none" not in write_report(quiet, tmp_path / "a").html.read_text()
    searched = replace(quiet, figures={"sources_searched": 120})
    assert "found none that stands out from chance" in write_report(searched, tmp_path / "b").html.read_text()


def test_a_posterior_that_lacks_its_totals_is_refused_and_the_old_report_stays(tmp_path):
    out = tmp_path / "out"
    write_report(report_input(days=3, species=("ch4",)), out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    broken = report_input(days=3, species=("ch4",))
    broken = replace(broken, posteriors={"ch4": broken.posteriors["ch4"].drop_vars("posterior_total")})
    with pytest.raises(ContractError, match="posterior of ch4 lacks posterior_total"):
        write_report(broken, out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        write_report(report_input(days=2, species=("ch4",)), tmp_path / "file" / "out")


def test_the_same_input_gives_the_same_page_and_a_new_report_leaves_no_old_file(tmp_path):
    both, one = report_input(days=3), report_input(days=3, species=("ch4",))
    first = write_report(both, tmp_path / "a")
    (tmp_path / "a" / "mine.txt").write_text("not from a report")
    assert write_report(both, tmp_path / "b").html.read_bytes() == first.html.read_bytes()
    write_report(one, tmp_path / "a")
    names = {p.name for p in (tmp_path / "a").rglob("*")}
    assert "posterior-ch4.nc" in names and "mine.txt" in names
    assert not {name for name in names if "co2" in name}


def test_netcdf_holds_the_posterior_whole(paths):
    expected = posterior("co2")
    with xr.open_dataset(paths.netcdf["co2"]) as found:
        xr.testing.assert_allclose(found.load()[list(expected.data_vars)], expected)
        assert found.attrs["Conventions"] == "CF-1.8" and found.attrs["dofs"] == 23.4
        assert str(found["total_region"].values[0]) == "city"


def test_series_that_name_inlets_are_shown_under_their_station(tmp_path):
    dataset = posterior("ch4", days=4)
    heights = {"NRD": 50, "SUD": 30, "OST": 20, "WST": 45, "MIT": 60}
    inlets = [f"{name}-{heights[name]}m" for name in dataset["station"].values.tolist()]
    dataset = dataset.drop_vars("inlet_height_m").assign(station=("observation", inlets))
    dataset["hyperparameter_unit"] = ("hyperparameter", ["1", "km", "umol mol-1"])
    dataset.attrs["inflation"] = 1.44
    page = write_report(report_input(posteriors={"ch4": dataset}), tmp_path / "out").html.read_text()
    assert "North tower, 50 m above ground" in page and "at five stations" in page
    assert "widened by the factor 1.2," in page and "11 km ± 2.5 (1σ)" in page


def test_the_picture_shows_what_the_rule_says():
    from monitor.publish.interval_picture import interval_picture

    def bar_and_band(row):
        drawn = str(interval_picture(row))
        bar = re.search(
            r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="interval-bar"', drawn
        )
        band = re.search(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
        left, width = map(float, band.groups())
        return float(bar[1]), float(bar[2]), left, left + width

    low, _, _, right = bar_and_band(verdicts()["cut-25"])
    assert low < right  # reaches the claim
    low, _, _, right = bar_and_band(verdicts()["cut-45"])
    assert low > right  # does not
    assert interval_picture(verdicts()["commune"]) is None


def test_paths_are_those_that_were_written(paths):
    assert isinstance(paths.html, Path) and paths.html.is_file() and paths.json.is_file()
    assert paths.csv.is_dir() and set(paths.netcdf) == {"co2", "ch4"}
    assert all(path.is_file() for path in paths.netcdf.values())


def test_where_the_tables_stand_as_cards_every_number_says_what_it_is(page):
    """On a phone the heads of the columns are out of sight, and the air's answer is the first number."""
    tables = re.findall(r'<table class="[^"]*stacked">.*?</table>', page, re.DOTALL)
    assert len(tables) >= 3
    for table in tables:
        rows = re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)
        for cell in re.findall(r'<td class="number[^>]*>', "".join(rows)):
            assert "data-label=" in cell
    (totals, *_) = [table for table in tables if "Totals of" in table]
    assert re.findall(r'data-label="([^"]*)"', totals)[0] == "From the air (posterior)"


def test_a_small_picture_of_a_series_shows_every_second_day(page):
    """Labels that stay in a narrow picture are further apart, also beside a cut, so that larger text fits."""
    picture = re.search(r'<svg[^>]*class="drawing series".*?</svg>', page, re.DOTALL).group()
    days = re.findall(r'<text x="([\d.]+)"([^>]*)>\d+ [A-Z][a-z]{2}</text>', picture)
    kept = [float(x) for x, rest in days if "dense" not in rest]
    assert len(days) > len(kept) > 1
    assert np.diff(kept).min() >= 86


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [(1.0, 1.0, "show in full"), (0.92, 1.0, "to at least 92"), (0.92, 1.12, "as 92 to 112")],
)
def test_what_would_show_of_a_difference_is_bounded_on_both_sides(least, most, said):
    shown = {"verdict": "supported", "response": least, "responses_most": {"core": most}}
    assert said in withstood(shown)[-1]
