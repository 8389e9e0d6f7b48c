"""The command line as its users meet it: what it prints where, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "service"))

from fake_analysis import analyse
from mini_city import MiniCity, write_mini_city

from monitor import cli
from monitor.cli.output import _inventory_row, print_table
from monitor.config import InversionSection, load_city
from monitor.service import analysis
from monitor.service.logs import redact, redact_values

ROOT = Path(__file__).resolve().parents[1]
DATES = ("--from", "2020-01-06", "--to", "2020-01-08")
COMMANDS = list(cli._COMMANDS)


@pytest.fixture
def city(tmp_path, monkeypatch) -> MiniCity:
    """Give a small city with two days of data, and an analysis that costs nothing."""
    monkeypatch.setattr(analysis, "analyse", analyse)
    made = write_mini_city(tmp_path / "city")
    made.observations("2020-01-06")
    made.footprints("2020-01-06")
    return made


def folders(city: MiniCity) -> tuple[str, ...]:
    return ("--data", str(city.data), "--workdir", str(city.workdir))


def run_args(city: MiniCity) -> list[str]:
    return ["run", str(city.config), *DATES, *folders(city)]


def test_help_loads_nothing_heavy():
    heavy = "('numpy', 'xarray', 'pandas', 'scipy', 'numba', 'sqlalchemy', 'pydantic', 'rich', 'structlog')"
    code = (
        "import sys; from monitor.cli import run; code = run(['--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0"
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert cli.run([command, "--help"]) == 0
    assert "Usage: monitor" in capsys.readouterr().out


def test_every_exit_code_is_in_the_help(capsys):
    from monitor import errors

    cli.run(["--help"])
    said = capsys.readouterr().out
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.MonitorError)]
    for code in {c.exit_code for c in classes} | {errors.EXIT_WITHHELD, 0}:
        assert f" {code} " in said


def test_run_prints_tables_on_stdout_and_warnings_on_stderr(city, capsys):
    assert cli.run(run_args(city)) == 0
    out, err = capsys.readouterr()
    assert "undecided" in out
    assert "report: " in out
    assert "warning: this analysis is a stand-in" in err
    assert Path(out.rsplit("report: ", 1)[1].strip()).is_file()


def test_run_json_is_one_object_of_the_stated_shape(city, capsys):
    assert cli.run([*run_args(city), "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert {"verdicts", "sources", "inventories", "figures", "report"} <= set(said)
    assert set(said["verdicts"]["map"]) >= {"verdict", "reasons", "estimate", "interval", "level", "unit"}
    assert said["figures"]["seconds"] > 0
    assert said["interval"] == ["2020-01-06T00:00:00Z", "2020-01-08T00:00:00Z"]
    # where nobody sees a bar: a line a stage, and none of it among the data
    stages = ["reading files", "estimating emissions", "pretending", "writing the report"]
    assert err.splitlines() == stages


def test_an_error_is_four_lines_on_stderr_and_an_object_on_stdout(city, capsys):
    (city.data / "inventories" / "map.nc").unlink()
    assert cli.run([*run_args(city), "--json"]) == 65
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (error["error"], error["exit_code"]) == ("MissingInputError", 65)
    assert err.startswith("reading files\nerror: inventory 'map' is not there\n")
    for label in ("expected:", "found:", "where:", "what to do:"):
        assert f"\n  {label} " in err


def test_an_unknown_key_ends_with_78(city, capsys):
    city.config.write_text(city.config.read_text() + "\n[colour]\nhue = 1\n")
    assert cli.run(run_args(city)) == 78
    assert "colour: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["run"], ["run", "x.toml", "--from", "soon", "--to", "2020-01-01", "--data", "."]],
)
def test_a_wrong_call_ends_with_2(arguments, capsys):
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_interval_that_ends_before_it_begins_is_a_usage_error(city, capsys):
    args = ["run", str(city.config), "--from", "2020-01-08", "--to", "2020-01-06", *folders(city)]
    assert cli.run(args) == 2
    assert "--to must come after --from" in capsys.readouterr().err


def test_a_bug_is_called_a_bug(city, capsys, monkeypatch):
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: 1 / 0)
    assert cli.run(run_args(city)) == 1
    assert "a bug of ours" in capsys.readouterr().err


def test_backfill_goes_on_after_a_failure_and_keeps_its_code(city, capsys):
    city.observations("2020-01-10")
    city.footprints("2020-01-10")
    args = ["backfill", str(city.config), "--from", "2020-01-06", "--to", "2020-01-12", "--every", "2"]
    assert cli.run([*args, *folders(city), "--json"]) == 65
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["error" in line for line in lines] == [False, True, False]


def test_status_verify_and_db_speak_of_a_working_folder(city, capsys):
    cli.run(run_args(city))
    capsys.readouterr()
    workdir = ("--workdir", str(city.workdir))
    assert cli.run(["status", *workdir, "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in state["ledger"]] == ["done"] * 3
    assert state["last_done"] == {"mini": ["2020-01-06T00:00:00Z", "2020-01-08T00:00:00Z"]}
    assert cli.run(["status", *workdir]) == 0
    assert "mini: last answer for 2020-01-06" in capsys.readouterr().out
    assert cli.run(["verify", *workdir, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    assert cli.run(["db", "current", *workdir, "--json"]) == 0
    revision = json.loads(capsys.readouterr().out)
    assert revision["revision"] == revision["known"]
    assert cli.run(["db", "upgrade", *workdir]) == 0


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("command", "content", "code", "what"),
    [
        (["config", "check"], b"id = ", 78, "the file is not TOML"),
        (["config", "check"], PNG, 78, "the file is not TOML"),
        (["verify"], b"{", 65, "the file is not JSON"),
        (["verify"], PNG, 65, "the file is not JSON"),
        (["verify"], b"{}", 65, "the file holds no verdict"),
        (["ingest"], None, 65, "this is a folder"),
        (["config", "check"], None, 78, "the configuration is a folder"),
    ],
)
def test_a_wrong_file_is_told_with_where_it_is_and_what_to_do(command, content, code, what, tmp_path, capsys):
    path = tmp_path / "named"
    path.mkdir() if content is None else path.write_bytes(content)
    assert cli.run([*command, str(path)]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"error: {what}\n") and str(path) in said and "\n  what to do: " in said
    assert "\n  expected: " in said and "codec" not in said


def test_verify_ends_with_74_when_a_bit_has_flipped(city, capsys):
    cli.run(run_args(city))
    victim = next((city.workdir / "archive" / "objects").rglob("*.nc"))
    raw = bytearray(victim.read_bytes())
    raw[len(raw) // 2] ^= 1
    victim.write_bytes(raw)
    capsys.readouterr()
    assert cli.run(["verify", "--workdir", str(city.workdir)]) == 74
    assert str(victim) in capsys.readouterr().out


def test_status_without_an_archive_says_where_it_looked(tmp_path, capsys):
    assert cli.run(["status", "--workdir", str(tmp_path)]) == 65
    assert str(tmp_path) in capsys.readouterr().err


def test_quarantined_and_stale_things_are_in_the_status(city, capsys):
    cli.run(run_args(city))
    city.observations("2020-01-06", add_ppb=5.0, created="3 Feb 20")
    (city.data / "footprints" / "bad.nc").write_bytes(b"<html>")
    assert cli.run([*run_args(city), "--keep-going"]) == 65
    capsys.readouterr()
    cli.run(["status", "--workdir", str(city.workdir), "--json"])
    state = json.loads(capsys.readouterr().out)
    assert [kept["name"] for kept in state["quarantined"]] == ["bad.nc"]
    assert state["stale_verdicts"] == []


def test_publish_writes_the_archived_report_again(city, capsys):
    args = ["publish", str(city.config), *DATES, "--workdir", str(city.workdir)]
    assert cli.run(args) == 65
    cli.run(run_args(city))
    capsys.readouterr()
    assert cli.run([*args, "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["report"]).is_file()


def test_ingest_keeps_a_file_once_and_prints_its_line_after(city, capsys):
    path = next((city.data / "observations").iterdir())
    args = [
        "ingest",
        str(path),
        "--city",
        str(city.config),
        "--source",
        "one",
        "--workdir",
        str(city.workdir),
    ]
    for new in (True, False):
        assert cli.run([*args, "--json"]) == 0
        line = json.loads(capsys.readouterr().out)
        assert line["new"] is new
    assert cli.run(run_args(city)) == 0


def test_ingest_of_several_files_keeps_the_order_and_the_first_failure(city, tmp_path, capsys):
    good = next((city.data / "observations").iterdir())
    bad = tmp_path / "bad.dat"
    bad.write_text("no data")
    args = ["ingest", str(bad), str(good), "--reader", "gcwerks", "--species", "ch4"]
    args += ["--station", "ONE,1.25,52.2", "--inlet-m", "100", "--scale", "WMO-CH4-X2004A", "--json"]
    assert cli.run(args) == 65
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["error"]["error"] == "SourceFormatError"
    assert (second["rows"], second["usable"]) == (48, 48)


def test_doctor_looks_at_the_machine_and_the_configuration(city, capsys):
    args = ["doctor", str(city.service), "--workdir", str(city.workdir), "--json"]
    assert cli.run(args) == 0
    checks = {check["check"]: check["state"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["configuration"] == "ok"
    assert {"python", "sqlite", "disk", "clock", "numba cache", "working folder"} <= set(checks)
    city.config.write_text("schema_version = 2")
    assert cli.run(args) == 78


def test_what_init_writes_passes_its_own_check(tmp_path, capsys):
    assert cli.run(["init", str(tmp_path / "config"), "--id", "paris"]) == 0
    files = sorted(str(path) for path in (tmp_path / "config").rglob("*.toml"))
    assert len(files) == 3
    assert cli.run(["config", "check", *files]) == 0
    assert cli.run(["init", str(tmp_path / "config"), "--id", "paris"]) == 2


def test_a_new_city_is_told_its_transport_errors_and_the_change_they_hide(tmp_path):
    assert cli.run(["init", str(tmp_path), "--id", "paris"]) == 0
    path = tmp_path / "cities" / "paris.toml"
    (written,) = tomllib.loads(path.read_text())["inversion"]
    (inversion,) = load_city(path).inversion
    names = ("transport_scale_sd", "transport_epoch_sd")
    fields = InversionSection.model_fields
    assert [written[name] for name in names] == [fields[name].default for name in names]
    # two epochs, uncorrelated at the least favourable: 2.8 sigma of the difference of two equal totals
    assert 2.8 * 2**0.5 * inversion.transport_sd == pytest.approx(0.60, abs=0.01)
    assert "no change below some 60 %" in path.read_text()


def test_config_check_lists_the_faults_of_all_files(city, tmp_path, capsys):
    other = tmp_path / "claims" / "mini.toml"
    other.parent.mkdir()
    other.write_text('schema_version = 1\n[[claim]]\nid = "x"\nkind = "level"\n')
    city.config.write_text(
        city.config.read_text().replace('"gcwerks"', '"gcworks"').replace("lat_deg", "lat")
    )
    assert cli.run(["config", "check", str(city.config), str(other), "--json"]) == 78
    out, err = capsys.readouterr()
    assert len(json.loads(out)["faults"]) == 2
    assert "station.0.lat: unknown key" in err
    assert "claim.0.statement" in err


def test_config_check_of_the_service_gives_each_fault_once_on_a_line_of_its_own(tmp_path, capsys):
    assert cli.run(["init", str(tmp_path), "--id", "paris"]) == 0
    city = tmp_path / "cities" / "paris.toml"
    city.write_text(
        city.read_text().replace("lat_deg = 0.0", "lat_deg = 99.0").replace("length_km", "length")
    )
    capsys.readouterr()
    assert cli.run(["config", "check", str(tmp_path / "monitor.toml")]) == 78
    lines = capsys.readouterr().err.splitlines()
    for fault in ("station.0.lat_deg: ", "block.0.length: ", str(city)):
        (line,) = [line for line in lines if fault in line]
        assert line.count(": ") <= 2


def test_an_unknown_reader_is_a_fault_of_the_configuration(city, capsys):
    city.config.write_text(city.config.read_text().replace('"gcwerks"', '"gcworks"'))
    assert cli.run(["config", "check", str(city.config)]) == 78
    assert "no reader is called 'gcworks'" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.toml")), ids=lambda path: path.stem)
def test_the_configuration_in_the_repository_is_right(path, capsys):
    assert cli.run(["config", "check", str(path)]) == 0


@pytest.mark.parametrize("kind", ["city", "claims", "service"])
def test_the_schema_is_json(kind, capsys):
    assert cli.run(["config", "schema", kind]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_claims_are_listed_and_shown(city, capsys):
    claims = str(city.claims)
    assert cli.run(["claims", "list", claims]) == 0
    assert "The map is right" in capsys.readouterr().out
    assert cli.run(["claims", "show", claims, "map", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == 1.0e5
    assert cli.run(["claims", "show", claims, "nothing"]) == 2


def test_a_secret_is_in_no_output(city, capsys, monkeypatch):
    sentinel = "s3ntinel-of-mine"
    monkeypatch.setenv("MONITOR_UPLOAD_TOKEN", sentinel)

    def leak(*_, **__):
        raise RuntimeError(f"https://user:pass@host/?token=abcdefgh&x=1 {sentinel}")

    monkeypatch.setattr(analysis, "analyse", leak)
    assert cli.run([*run_args(city), "--json"]) == 1
    cli.run(["status", "--workdir", str(city.workdir), "--json"])
    out, err = capsys.readouterr()
    for secret in (sentinel, "user:pass", "abcdefgh"):
        assert secret not in out + err
    kept = [path for path in city.workdir.rglob("*") if path.is_file()]
    assert all(sentinel.encode() not in path.read_bytes() for path in kept)


def test_redaction_leaves_the_rest_alone():
    assert redact("see https://host/a?b=1", {}) == "see https://host/a?b=1"
    assert redact("Authorization: Bearer abcdefghijkl", {}) == "Authorization: Bearer ***"
    assert redact_values({"password": "x", "n": [1, "y"]}) == {"password": "***", "n": [1, "y"]}


def test_an_inventory_of_another_year_is_not_held_against_the_air(capsys):
    row = {"inventory_years": [2021], "period": ["2023-01-01T00:00:00Z", "2024-01-01T00:00:00Z"]}
    row |= {"prior_total": 5.0, "estimate": 7.0, "interval": [6.0, 8.0], "unit": "t CO2 a-1"}
    same = _inventory_row("map", row | {"not_comparable": []})
    assert same[1:] == ("2021", "2023-01-01 … 2024-01-01", "5", "7", "6 … 8", "t CO2 a-1", "yes")
    apart = _inventory_row("map", row | {"not_comparable": ["period: inventory of 2021, air of 2023"]})
    assert apart[4:6] == ("–", "–")
    assert apart[-1] == "not comparable: period: inventory of 2021, air of 2023"


def test_the_words_of_the_last_column_are_not_broken(capsys):
    print_table(
        "t", ("a", "b", "c", "says"), [["x" * 80, "y" * 80, "z" * 80, "prior-driven, pattern-dependent"]]
    )
    out = capsys.readouterr().out
    assert "pattern-dependent" in out and "prior-driven" in out
