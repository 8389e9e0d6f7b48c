"""`monitor claims` and `monitor verify` as their users meet them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "service"))

from fake_analysis import analyse
from mini_city import JUDGED_CLAIMS, MiniCity, write_judged_city

from monitor import cli
from monitor.compare.document import SCHEMA_FILE
from monitor.service import analysis

DATES = ("--from", "2020-01-06", "--to", "2020-01-08")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Leave out the waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def city(tmp_path) -> MiniCity:
    """Give a small city with two days of data and two claims that declare when they are judged."""
    return write_judged_city(tmp_path / "city")


@pytest.fixture
def quick(monkeypatch, city) -> MiniCity:
    """Give the small city with an analysis that costs nothing."""
    monkeypatch.setattr(analysis, "analyse", analyse)
    return city


def evaluate_args(city: MiniCity, *more: str) -> list[str]:
    folders = ("--data", str(city.data), "--workdir", str(city.workdir))
    return ["claims", "evaluate", str(city.config), *DATES, *folders, *more]


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("beside", [False, True], ids=["claims file", "city file"])
def test_the_list_says_when_each_claim_is_judged_next_and_how_often_one_errs(city, beside, capsys):
    file = str(city.config if beside else city.claims)
    assert cli.run(["claims", "list", file, "--as-of", "2020-01-08", "--json"]) == 0
    found = said(capsys)
    assert [c["next_evaluation"] for c in found["claims"]] == ["2020-02-01", "2020-01-08"]
    assert found["family"]["at_most"] == pytest.approx(0.1) and found["family"]["undeclared"] == 0
    assert cli.run(["claims", "list", file, "--as-of", "2021-02-02"]) == 0
    out = capsys.readouterr().out
    assert "at most 10%" in out and "2021-02-01" not in out


def test_a_file_of_good_claims_passes_its_check_and_the_days_with_data_are_counted(city, capsys):
    assert cli.run(["claims", "check", str(city.claims), "--data", str(city.data), "--json"]) == 0
    rows = {row["claim"]: (row["days_with_data"], row["days"]) for row in said(capsys)["data"]}
    assert rows == {"level": (2, 2), "leak": (2, 3)}


def test_a_period_outside_the_data_is_a_fault_of_the_archive_and_of_the_files(quick, capsys):
    assert cli.run(evaluate_args(quick)) == 0
    text = JUDGED_CLAIMS.replace('["2020-01-06", "2020-01-08"]', '["2021-01-06", "2021-01-08"]')
    quick.claims.write_text(text, encoding="utf-8")
    for where in (("--data", str(quick.data)), ("--workdir", str(quick.workdir))):
        capsys.readouterr()
        assert cli.run(["claims", "check", str(quick.claims), *where]) == 78
        err = capsys.readouterr().err
        assert "1 fault in the claims" in err
        assert "claim 'level': period [2021-01-06" in err
        assert "outside the data (2020-01-06 … 2020-01-07)" in err


def test_what_the_city_does_not_have_is_listed_at_once(city, capsys):
    text = JUDGED_CLAIMS.replace('"window"', '"suburb"').replace('"2020-01-07", "2020-01-08"', '"2020-01-01"')
    city.claims.write_text(text.replace('species = "ch4"', 'species = "co"', 1), encoding="utf-8")
    assert cli.run(["claims", "check", str(city.claims), "--json"]) == 78
    fault = said(capsys)["error"]
    assert fault["what"].startswith("3 faults") and fault["where"] == str(city.claims)
    for words in ("region 'suburb' is not declared", "does not follow co", "a look comes before its period"):
        assert words in fault["what"]
    assert cli.run(["config", "check", str(city.claims)]) == 78


def test_what_the_check_refuses_an_evaluation_refuses_alike_before_it_reads_anything(city, capsys):
    city.claims.write_text(JUDGED_CLAIMS.replace('"window"', '"suburb"'), encoding="utf-8")
    assert cli.run(["claims", "check", str(city.claims), "--json"]) == 78
    checked = said(capsys)
    assert cli.run(evaluate_args(city, "--json")) == 78
    assert said(capsys) == checked and "region 'suburb'" in checked["error"]["what"]
    assert not city.workdir.exists()


def test_one_good_claim_is_one_claim(city, capsys):
    assert cli.run(["claims", "check", str(city.claims)]) == 0
    assert "2 good claims" in capsys.readouterr().out
    first = JUDGED_CLAIMS[: JUDGED_CLAIMS.rindex("[[claim]]")]
    city.claims.write_text(first, encoding="utf-8")
    assert cli.run(["claims", "check", str(city.claims)]) == 0
    assert "1 good claim," in capsys.readouterr().out


def test_one_claim_is_shown_with_what_the_gate_asks_and_its_last_verdict(quick, capsys):
    assert cli.run(evaluate_args(quick)) == 0
    capsys.readouterr()
    show = ["claims", "show", str(quick.claims), "level", "--workdir", str(quick.workdir)]
    assert cli.run([*show, "--json"]) == 0
    found = said(capsys)
    gate = {row["item"]: row for row in found["gate"]}
    assert gate["months"]["declared"] == ["months: a winter for the year"]
    assert gate["period"]["declared"] == []
    assert gate["scope"] == {
        "item": "scope", "claim_says": "territorial", "declared_by_the_word": ["scope"], "declared": [],
    }  # fmt: skip
    assert found["last_verdict"]["document"]["claim"] == "level" and not found["last_verdict"]["stale"]
    quick.observations("2020-01-06", add_ppb=5.0, created="3 Feb 20")
    assert cli.run(["claims", "show", str(quick.claims), "nothing"]) == 2


def test_evaluating_says_what_each_verdict_is_worth(quick, capsys):
    assert cli.run(evaluate_args(quick, "--json")) == 0
    first = said(capsys)
    worth = {name: verdict["evaluation"] for name, verdict in first["verdicts"].items()}
    assert (worth["level"]["status"], worth["level"]["as_of"]) == ("final", "2020-02-01")
    assert (worth["leak"]["look"], worth["leak"]["looks"]) == (2, 3)
    assert first["family"] == first["verdicts"]["leak"]["family"]
    assert cli.run(evaluate_args(quick, "--as-of", "2020-06-01")) == 0
    out = capsys.readouterr().out
    assert "preview" in out and "2021-02-01" in out and "at most 10%" in out


def test_a_look_on_another_day_leaves_what_the_service_has_found(quick, capsys):
    """The final verdict stays current, and the service has nothing to do again."""
    assert cli.run(evaluate_args(quick, "--json")) == 0
    final = said(capsys)["verdicts"]["level"]
    assert cli.run(evaluate_args(quick, "--as-of", "2020-06-01", "--json")) == 0
    assert said(capsys)["verdicts"]["level"]["evaluation"]["status"] == "preview"
    show = ["claims", "show", str(quick.claims), "level", "--workdir", str(quick.workdir), "--json"]
    assert cli.run(show) == 0
    assert said(capsys)["last_verdict"] == {"document": final, "stale": False}
    assert cli.run(["run", *evaluate_args(quick)[2:], "--json"]) == 0
    again = said(capsys)
    assert set(again["steps"].values()) == {"done before"} and again["verdicts"]["level"] == final


def test_revised_data_are_a_revision_of_a_look_and_no_second_chance(quick, capsys):
    assert cli.run(evaluate_args(quick, "--json")) == 0
    first = said(capsys)["verdicts"]["level"]
    quick.observations("2020-01-06", add_ppb=5.0, created="3 Feb 20")
    assert cli.run(evaluate_args(quick, "--json")) == 0
    revised = said(capsys)["verdicts"]
    about = {"verdict": first["verdict"], "digest": first["digest"], "data_interval": first["data_interval"]}
    assert revised["level"]["evaluation"]["first"] == about
    assert {verdict["evaluation"]["status"] for verdict in revised.values()} == {"revision"}
    assert revised["level"]["estimate"] != first["estimate"]
    named = (
        "--as-of",
        first["evaluation"]["as_of"],
    )  # the same look with its day named, from the revised data
    assert cli.run(evaluate_args(quick, *named, "--json")) == 0
    assert said(capsys)["verdicts"]["level"]["evaluation"]["first"] == about
    assert cli.run(evaluate_args(quick, "--again", "--json")) == 0
    assert said(capsys)["verdicts"] == revised
    assert cli.run(["verify", "--workdir", str(quick.workdir)]) == 0


def test_a_look_that_is_asked_again_from_the_same_data_is_the_same_look(quick, capsys):
    assert cli.run(evaluate_args(quick, "--json")) == 0
    first = said(capsys)["verdicts"]["level"]
    for more in (("--again",), ("--as-of", first["evaluation"]["as_of"])):
        assert cli.run(evaluate_args(quick, *more, "--json")) == 0
        assert said(capsys)["verdicts"]["level"]["evaluation"] == first["evaluation"]


def test_data_that_hold_the_period_of_no_claim_are_an_error(city, capsys):
    text = JUDGED_CLAIMS[: JUDGED_CLAIMS.index('[[claim]]\nid = "leak"')]
    city.claims.write_text(text.replace('"2020-01-08"]', '"2020-01-09"]'), encoding="utf-8")
    assert cli.run(evaluate_args(city)) == 65
    err = capsys.readouterr().err
    assert (
        "no claim is about a time that these data hold" in err and "Claim 'level' is not judged here" in err
    )
    city.claims.unlink()
    assert cli.run(evaluate_args(city)) == 78
    assert "is not there" in capsys.readouterr().err


def test_an_evaluation_before_the_end_of_its_data_is_refused(quick, capsys):
    assert cli.run(evaluate_args(quick, "--as-of", "2020-01-07")) == 2
    assert "cannot use data from after its day" in capsys.readouterr().err
    assert cli.run(evaluate_args(quick, "--as-of", "2020-02-01T12:00:00Z")) == 2


def test_the_schema_is_the_one_in_the_package(capsys):
    assert cli.run(["claims", "schema"]) == 0
    assert capsys.readouterr().out == SCHEMA_FILE.read_text(encoding="utf-8")


@pytest.fixture
def published(quick, capsys) -> Path:
    """Give the data file of a published report."""
    assert cli.run(["run", *evaluate_args(quick)[2:], "--json"]) == 0
    return Path(said(capsys)["report"]).parent / "report.json"


def test_verdicts_as_published_pass(quick, published, capsys):
    workdir = ("--workdir", str(quick.workdir))
    assert cli.run(["verify", *workdir, "--json"]) == 0
    assert list(said(capsys)["reports"].values()) == [2]
    assert cli.run(["verify", str(published), *workdir]) == 0
    assert "2 verdicts" in capsys.readouterr().out
    alone = published.parent / "verdicts" / "level.json"
    assert cli.run(["verify", str(alone), "--workdir", str(quick.root / "nowhere")]) == 0
    assert "no archive" in capsys.readouterr().out


def test_a_verdict_edited_by_hand_fails_with_its_file_and_both_digests(quick, published, capsys):
    content = json.loads(published.read_text(encoding="utf-8"))
    sealed_with = content["verdicts"]["level"]["digest"]
    content["verdicts"]["level"]["verdict"] = "supported"
    published.write_text(json.dumps(content), encoding="utf-8")
    for args in (["verify", str(published)], ["verify"]):
        assert cli.run([*args, "--workdir", str(quick.workdir)]) == 74
        err = capsys.readouterr().err
        assert "not as it was sealed" in err and str(published) in err
        assert f"expected: {sealed_with}" in err and "found: " in err


def test_a_release_older_than_seals_says_so_once_and_how_to_write_it_again(
    quick, published, tmp_path, capsys
):
    from monitor.publish.site import publish_release, write_sums

    build = shutil.copytree(published.parent, tmp_path / "build")
    content = json.loads(published.read_text(encoding="utf-8"))
    del content["digest"], content["family"]  # the format of then had neither
    (build / "report.json").write_text(json.dumps(content), encoding="utf-8")
    workdir = ("--workdir", str(quick.workdir))
    assert cli.run(["verify", str(build / "report.json"), *workdir]) == 74  # another checksum: an edit
    assert "the file is not as it was published" in capsys.readouterr().err
    write_sums(build)
    old = publish_release(build, published.parents[2]) / "report.json"
    period = ["--from", content["interval"][0], "--to", content["interval"][1]]
    for args, code in ((["verify", str(old)], 65), (["verify"], 74)):
        assert cli.run([*args, *workdir]) == code
        err = capsys.readouterr().err
        assert err.startswith("error: the release is older than the sealing of reports")
        assert f"`monitor publish CITY.toml {' '.join(period)} --workdir" in err and err.count("error") == 1
    assert cli.run(["publish", str(quick.config), *period, *workdir]) == 0
    assert cli.run(["verify", *workdir]) == 0  # the superseded one stands by its checksums


def test_a_verdict_sealed_again_after_an_edit_is_not_known_to_the_archive(quick, published, capsys):
    from monitor.compare.document import sealed

    content = json.loads(published.read_text(encoding="utf-8"))
    content["verdicts"]["level"] = sealed(content["verdicts"]["level"] | {"verdict": "supported"})
    published.write_text(json.dumps(content), encoding="utf-8")
    assert cli.run(["verify", str(published), "--workdir", str(quick.workdir)]) == 74
    assert "the archive does not know this verdict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("verdicts", "no verdict on claim 'leak'"),
        ("inventories", "other inventories"),
        ("sources", "other sources"),
        ("warnings", "1 of its warnings left out"),
    ],
)
@pytest.mark.parametrize("downloaded", [False, True], ids=["in its release", "a copy elsewhere"])
def test_a_report_that_leaves_out_or_changes_a_part_of_its_run_fails(
    quick, published, tmp_path, part, fault, downloaded, capsys
):
    """Every verdict left in it is as it was sealed, and known to the archive."""
    content = json.loads(published.read_text(encoding="utf-8"))
    edited = {
        "verdicts": {"level": content["verdicts"]["level"]},
        "inventories": {"map": {"prior_total": 1.0}},
        "sources": [{"lon": 0.0}],
        "warnings": content["warnings"][:-1],
    }
    content[part] = edited[part]
    file = tmp_path / "copy.json" if downloaded else published
    file.write_text(json.dumps(content), encoding="utf-8")
    assert cli.run(["verify", str(file), "--workdir", str(quick.workdir)]) == 74
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize("part", ["totals", "inventories", "figures", "series", "city"])
def test_a_copy_elsewhere_fails_after_any_edit_without_an_archive_or_checksums(
    quick, published, tmp_path, part, capsys
):
    content = json.loads(published.read_text(encoding="utf-8"))
    elsewhere = ("--workdir", str(quick.root / "nowhere"))
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(content, indent=2), encoding="utf-8")  # the seal counts no spaces
    assert cli.run(["verify", str(copy), *elsewhere]) == 0
    edited = {"totals": [{"estimate": 1.0}], "city": {"id": "elsewhere", "name": ""}}
    copy.write_text(json.dumps(content | {part: edited.get(part, {})}), encoding="utf-8")
    assert cli.run(["verify", str(copy), *elsewhere]) == 74
    err = capsys.readouterr().err
    assert "the report is not as it was sealed" in err and f"expected: {content['digest']}" in err
    copy.write_text(json.dumps({k: v for k, v in content.items() if k != "digest"}), encoding="utf-8")
    assert cli.run(["verify", str(copy), *elsewhere]) == 65
    assert "carries no seal" in capsys.readouterr().err


def test_any_other_edit_of_a_published_report_fails_by_the_checksums_beside_it(quick, published, capsys):
    text = published.read_text(encoding="utf-8")
    published.write_text(text + "\n", encoding="utf-8")
    for workdir in (quick.workdir, quick.root / "nowhere"):
        assert cli.run(["verify", str(published), "--workdir", str(workdir)]) == 74
        assert "not as it was published" in capsys.readouterr().err
    published.write_text(text, encoding="utf-8")
    assert cli.run(["verify", str(published), "--workdir", str(quick.workdir)]) == 0


def test_what_a_run_prints_passes_as_well(quick, published, tmp_path, capsys):
    capsys.readouterr()
    for name, args in (("run", ["run", *evaluate_args(quick)[2:]]), ("claims", evaluate_args(quick))):
        assert cli.run([*args, "--json"]) == 0
        file = tmp_path / f"{name}.json"
        file.write_text(capsys.readouterr().out, encoding="utf-8")
        assert cli.run(["verify", str(file), "--workdir", str(quick.workdir)]) == 0
        file.write_text(file.read_text(encoding="utf-8").replace('"mini"', '"maxi"', 1), encoding="utf-8")
        assert cli.run(["verify", str(file), "--workdir", str(quick.root / "nowhere")]) == 74
        capsys.readouterr()


def test_a_release_can_be_read_by_whom_the_umask_lets(quick, capsys):
    """A web server runs as another user."""
    before = os.umask(0o022)
    try:
        assert cli.run(["run", *evaluate_args(quick)[2:], "--json"]) == 0
    finally:
        os.umask(before)
    release = Path(said(capsys)["report"]).parent
    for path in (release, *release.rglob("*"), *list(release.parents)[:4]):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_an_archived_verdict_edited_by_hand_is_named_with_both_checksums(quick, published, capsys):
    victim = next(
        path
        for path in (quick.workdir / "archive" / "objects").rglob("*.json")
        if '"verdict": "undecided"' in path.read_text() and '"claim": "level"' in path.read_text()
    )
    os.chmod(victim, 0o644)
    victim.write_text(victim.read_text().replace("undecided", "supported"))
    assert cli.run(["verify", "--workdir", str(quick.workdir)]) == 74
    out = capsys.readouterr().out
    assert f"corrupt: {victim} (SHA-256 expected: {victim.stem}; found: " in out


@pytest.mark.parametrize(
    ("text", "fault"), [("{", "not JSON"), ("{}", "holds no verdict"), ("[]", "holds no verdict")]
)
def test_what_is_no_verdict_fails(quick, tmp_path, text, fault, capsys):
    file = tmp_path / "x.json"
    file.write_text(text)
    assert cli.run(["verify", str(file), "--json"]) == 65
    assert fault in said(capsys)["faults"][0]["what"]
    assert cli.run(["verify", str(tmp_path / "none.json")]) == 74


def test_a_date_that_is_added_after_a_look_is_never_final_and_the_page_says_why(quick, capsys):
    """The dates that the first preview carries are those that count, whatever the file says since."""
    assert cli.run(evaluate_args(quick, "--as-of", "2020-01-20", "--json")) == 0
    seen = said(capsys)["verdicts"]["level"]["evaluation"]
    assert (seen["status"], seen["declared"]) == ("preview", ["2020-02-01", "2021-02-01"])
    text = quick.claims.read_text(encoding="utf-8")
    quick.claims.write_text(text.replace('["2020-02-01", "2021-02-01"]', '["2020-01-20"]'), encoding="utf-8")
    assert cli.run(evaluate_args(quick, "--as-of", "2020-01-20", "--json")) == 0
    late = said(capsys)
    assert late["verdicts"]["level"]["evaluation"] == seen | {"late": ["2020-01-20"]}
    assert late["verdicts"]["level"]["reasons"] == ["declared-late"]
    assert any("2020-01-20 came too late" in warning for warning in late["warnings"])
    assert cli.run(evaluate_args(quick, "--json")) == 0
    due = said(capsys)["verdicts"]["level"]
    assert (due["evaluation"]["status"], due["evaluation"]["look"], due["evaluation"]["looks"]) == (
        "final",
        1,
        2,
    )
    assert cli.run(["verify", "--workdir", str(quick.workdir)]) == 0
