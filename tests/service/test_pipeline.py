"""One interval, from files to a published answer: once, again, killed, revised, and with bad files."""

from __future__ import annotations

import json
import os
from datetime import datetime

import numpy as np
import pytest
from fake_analysis import analyse
from mini_city import LON, MiniCity, write_mini_city

from monitor.archive import Archive
from monitor.domain import Interval
from monitor.errors import ConfigError, GridError, InputError, MissingInputError, SourceFormatError, UnitError
from monitor.service.ledger import Ledger
from monitor.service.pipeline import run_interval
from monitor.service.run import RunOptions

TWO_DAYS = Interval.parse("2020-01-06", "2020-01-08")
NOW = datetime(2020, 4, 1)
OPTIONS = RunOptions(analyse=analyse, clock=lambda: NOW)


def run(city: MiniCity, interval: Interval = TWO_DAYS, **changes):
    return run_interval(
        city.config, interval, city.data, city.workdir, RunOptions(**(OPTIONS.__dict__ | changes))
    )


def state(city: MiniCity) -> dict[str, str]:
    """What the archive says now: the digest of every key, with a mark on stale ones."""
    with Archive.open(city.workdir / "archive") as archive:
        return {record.key: record.digest + ("!" if record.stale else "") for record in archive.find()}


def ledger_rows(city: MiniCity):
    with Archive.open(city.workdir / "archive") as archive:
        return Ledger(archive, "test").rows()


def test_a_run_leaves_months_results_and_a_report(fed):
    outcome = run(fed)
    assert outcome.steps == {"ingest": "done", "invert": "done", "publish": "done"}
    assert outcome.figures["n_observations"] == 48
    assert outcome.report.is_file()
    assert outcome.exit_code == 0
    keys = {key.split("/")[0] for key in state(fed)}
    assert keys == {
        "observations",
        "footprints",
        "flux",
        "intake",
        "inputs",
        "posterior",
        "verdict",
        "results",
        "release",
    }
    assert "source 'one-check': no file matches '*.nc' in 'check'" in outcome.warnings


def test_the_verdict_document_names_what_it_stands_on(fed):
    run(fed)
    with Archive.open(fed.workdir / "archive") as archive:
        (record,) = archive.find(kind="verdict")
        verdict = json.loads(archive.load_document(record.digest))
        current = {each.digest: each.key for each in archive.find()}
    assert {current[row["digest"]] for row in verdict["made_from"]["inputs"]} == {
        "observations/mini/one/ch4/2020-01",
        "footprints/mini/one-fp/2020-01",
        "flux/mini/map",
    }
    assert {name for row in verdict["made_from"]["inputs"] for name in row["source_files"]} >= {
        "one.2020-01-06.1Feb20.dat",
        "one_2020-01-06.nc",
    }
    assert "inputs/mini/2020-01-06T00:00:00Z_2020-01-08T00:00:00Z" in {
        current.get(d) for d in record.made_from
    }


def test_a_second_run_does_nothing_and_says_the_same(fed):
    first, before = run(fed), state(fed)
    again = run(fed)
    assert set(again.steps.values()) == {"done before"}
    assert again.as_json()["verdicts"] == first.as_json()["verdicts"]
    assert again.report == first.report
    assert state(fed) == before
    assert all(row.attempts == 1 for row in ledger_rows(fed))


def test_again_does_every_step_again_and_changes_nothing(fed):
    run(fed)
    before = state(fed)
    assert set(run(fed, again=True).steps.values()) == {"done"}
    assert state(fed) == before


def test_a_deleted_report_is_written_again(fed):
    report = run(fed).report
    for path in sorted(report.parent.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    report.parent.rmdir()
    outcome = run(fed)
    assert outcome.report.is_file()
    assert outcome.steps["invert"] == "done before"


def test_a_revised_file_supersedes_and_marks_the_old_verdict(fed):
    first = run(fed)
    fed.observations("2020-01-06", add_ppb=5.0, created="3 Feb 20")
    second = run(fed)
    assert set(second.steps.values()) == {"done"}
    assert second.verdicts["map"]["estimate"] == pytest.approx(first.verdicts["map"]["estimate"] + 0.005)
    with Archive.open(fed.workdir / "archive") as archive:
        old, new = archive.history("verdict/mini/map/2020-01-06T00:00:00Z_2020-01-08T00:00:00Z")
        assert old.superseded_at is not None and old.stale
        assert new.status == "current"


def test_an_older_version_that_comes_late_changes_nothing(fed):
    fed.observations("2020-01-06", add_ppb=5.0, created="3 Feb 20")
    first = run(fed)
    fed.observations("2020-01-06", add_ppb=9.0, created="5 Jan 20")
    second = run(fed)
    assert second.verdicts == first.verdicts
    assert set(second.steps.values()) == {"done before"}


def test_data_of_another_day_leave_the_answer_as_it_is(fed):
    run(fed)
    before = state(fed)
    fed.observations("2020-01-10")
    fed.footprints("2020-01-10")
    assert set(run(fed).steps.values()) == {"done before"}
    after = state(fed)
    changed = {key for key in before if before[key] != after[key]}
    assert {key.split("/")[0] for key in changed} <= {"observations", "footprints", "intake"}


def test_the_order_of_arrival_does_not_matter(tmp_path):
    def fill(city: MiniCity, order: list[int]):
        makers = [
            lambda: city.observations("2020-01-06", created="1 Feb 20"),
            lambda: city.observations("2020-01-07", add_ppb=5.0, created="2 Feb 20"),
            lambda: city.observations("2020-01-05", 4, add_ppb=9.0, created="31 Jan 20"),
        ]
        city.footprints("2020-01-06")
        for i in order:
            makers[i]()
            outcome = run(city)
        months = {k: d for k, d in state(city).items() if k.startswith(("observations", "intake/mini/one/"))}
        # the months that the answer was made from may hold other days, which came before or after it
        made_from = outcome.verdicts["map"]["made_from"]
        answer = {k: v for k, v in outcome.verdicts["map"].items() if k not in ("made_from", "digest")}
        return months, answer, made_from["input_digest"], outcome.figures["n_observations"]

    orders = ([0, 1, 2], [2, 0, 1], [1, 2, 0])
    ends = [fill(write_mini_city(tmp_path / "".join(map(str, order))), order) for order in orders]
    assert ends[0] == ends[1] == ends[2]


def test_a_month_end_is_cut_by_the_middle_of_the_row(mini):
    mini.observations("2020-01-30", 4)
    mini.footprints("2020-01-30", 4)
    outcome = run(mini, Interval.parse("2020-01-31", "2020-02-02"))
    assert outcome.figures["n_observations"] == 48
    assert {key.rsplit("/", 1)[1] for key in state(mini) if key.startswith("observations")} == {
        "2020-01",
        "2020-02",
    }


def test_the_window_reaches_back_from_the_intervals_end(mini):
    mini.observations("2020-01-06", 4)
    mini.footprints("2020-01-06", 4)
    last = Interval.parse("2020-01-09", "2020-01-10")
    assert run(mini, last).figures["n_observations"] == 24
    assert run(mini, last, window_days=3.0).figures["n_observations"] == 72


# --- killed ------------------------------------------------------------------------------------------


def in_a_process_that_dies_at(point: str, work) -> bool:
    """Whether `work`, done in a child, was killed at the crash point."""
    child = os.fork()
    if child == 0:
        os.environ["MONITOR_CRASH_AT"] = point
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 137), f"{point}: the child ended with {code}"
    return code == 137


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Give a fed city, copied for each kill, and the archive of an unbroken run."""
    city = write_mini_city(tmp_path_factory.mktemp("unbroken") / "city")
    city.observations("2020-01-06")
    city.footprints("2020-01-06")
    run(city)
    return city, state(city)


# Every point; the visits at which another step or kind of object begins.
KILLS = [
    *[f"after-claim:{n}" for n in (1, 2, 3)],
    *[f"during-write:{n}" for n in (1, 8)],
    *[f"before-rename:{n}" for n in (2, 10)],
    *[f"after-rename:{n}" for n in (4, 9)],
    *[f"before-done:{n}" for n in (1, 2, 3)],
    *[f"before-commit:{n}" for n in (2, 4, 6)],
    *[f"after-commit:{n}" for n in (2, 5)],
]


@pytest.mark.parametrize("point", KILLS)
def test_a_killed_run_ends_like_an_unbroken_one(unbroken, tmp_path, point):
    city, expected = unbroken
    broken = MiniCity(tmp_path)
    (tmp_path / "config").symlink_to(city.root / "config")
    (tmp_path / "data").symlink_to(city.root / "data")
    assert in_a_process_that_dies_at(point, lambda: run(broken)), "the point was not reached"
    outcome = run(broken)
    assert state(broken) == expected
    assert outcome.report.is_file()
    assert {(row.key.step, row.status) for row in ledger_rows(broken)} == {
        ("ingest", "done"),
        ("invert", "done"),
        ("publish", "done"),
    }
    with Archive.open(broken.workdir / "archive") as archive:
        assert archive.verify().ok


def test_a_kill_while_quarantining_loses_neither_file_nor_reason(fed):
    bad = fed.data / "footprints" / "bad.nc"
    bad.write_bytes(b"not netCDF")

    def refused():
        with pytest.raises(InputError):
            run(fed)

    assert in_a_process_that_dies_at("before-quarantine-row", refused)
    refused()
    with Archive.open(fed.workdir / "archive") as archive:
        (kept,) = archive.quarantined()
        assert kept.path.read_bytes() == b"not netCDF"
        assert archive.verify().ok


# --- bad input ---------------------------------------------------------------------------------------


def truncated_netcdf(city: MiniCity):
    path = city.footprints("2020-01-08")
    path.write_bytes(path.read_bytes()[:2000])
    return path


def broken_row(city: MiniCity):
    path = city.observations("2020-01-08")
    lines = path.read_text().splitlines()
    lines[10] = lines[10][:25]
    path.write_text("\n".join(lines) + "\n")
    return path


def wrong_unit(city: MiniCity):
    path = city.observations("2020-01-08")
    text = path.read_text().splitlines()
    path.write_text(
        "\n".join(text[:3] + [line.replace(" 19", " 19000").replace("000.", ".") for line in text[3:]])
    )
    return path


def other_grid(city: MiniCity):
    return city.footprints("2020-01-08", lon=LON + 0.05)


BAD_FILES = [
    (truncated_netcdf, SourceFormatError, "netCDF"),
    (broken_row, SourceFormatError, "line 11"),
    (other_grid, GridError, "another grid"),
]


@pytest.mark.parametrize(("make", "kind", "words"), BAD_FILES)
def test_a_bad_file_is_one_clear_error_and_nothing_else_changes(fed, make, kind, words):
    run(fed)
    before = state(fed)
    path = make(fed)
    with pytest.raises(kind, match=words) as caught:
        run(fed)
    assert caught.value.exit_code == 65
    assert path.name in str(caught.value)
    assert state(fed) == before
    with Archive.open(fed.workdir / "archive") as archive:
        (kept,) = archive.quarantined()
    assert kept.path.read_bytes() == path.read_bytes()
    assert kept.reason["what"] == caught.value.what


def test_a_bad_file_in_a_fresh_archive_leaves_it_empty(fed):
    truncated_netcdf(fed)
    with pytest.raises(SourceFormatError):
        run(fed)
    assert state(fed) == {}


def test_a_bad_file_stays_an_error_until_it_is_mended(fed):
    path = truncated_netcdf(fed)
    for _ in range(2):
        with pytest.raises(SourceFormatError):
            run(fed)
    path.unlink()
    assert run(fed).exit_code == 0


def test_a_wrong_unit_in_a_netcdf_is_named(fed):
    fed.check("2020-01-06", unit="ppX")
    outcome = run(fed)  # the source is only a check: the run goes on, and says so
    assert outcome.exit_code == 65
    (failure,) = outcome.failures
    assert isinstance(failure.error, UnitError)
    assert "ppX" in str(failure.error)


def test_numbers_that_cannot_be_the_stated_unit_are_refused(fed):
    fed.check("2020-01-06", unit="1e-6")  # ppb called ppm
    (failure,) = run(fed).failures
    assert isinstance(failure.error, UnitError)


def test_with_keep_going_other_files_are_used(fed):
    truncated_netcdf(fed)
    outcome = run(fed, keep_going=True)
    assert outcome.exit_code == 65
    assert outcome.figures["n_observations"] == 48


def test_with_keep_going_a_missing_input_still_stops_the_run(mini):
    mini.observations("2020-01-06")
    path = mini.footprints("2020-01-06")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SourceFormatError):
        run(mini, keep_going=True)
    assert state(mini) == {}


def test_a_missing_inventory_is_named(fed):
    (fed.data / "inventories" / "map.nc").unlink()
    with pytest.raises(MissingInputError, match="inventory 'map' is not there") as caught:
        run(fed)
    assert caught.value.exit_code == 65
    assert state(fed) == {}


TABLE = """
[[table]]
id = "city"
path = "tables/c40.csv"
reader = "c40-tidy"
place = "Exampel"
region = "window"
"""
C40 = "City,Country,Region,Boundary,Year_calendar,gpc_refno,emissions,units,gas,Variable_name,Variable_value"


def with_table(city: MiniCity, kg: str = "250000000.0"):
    """Give the city a table of its own, beside that of another."""
    if "[[table]]" not in city.config.read_text():
        city.config.write_text(city.config.read_text() + TABLE)
    path = city.data / "tables" / "c40.csv"
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"{place},Nowhere,Nowhere,City,2019,II.1.1,{kg},kg,CO2e,Area,105.5" for place in ("Exampel", "Else")
    ]
    path.write_text("\n".join([C40, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_table_is_archived_with_the_rows_of_its_place_and_a_new_one_makes_a_new_answer(fed):
    with_table(fed)
    assert run(fed).steps["invert"] == "done"
    before = state(fed)
    with Archive.open(fed.workdir / "archive") as archive:
        table = archive.load(archive.current("table/mini/city").digest)
        inputs = json.loads(archive.load_document(archive.current(inputs_of(before)).digest))
        (made,) = [o for o in results_of(archive)["made_from"]["inputs"] if o["kind"] == "table"]
    assert table["place"].values.tolist() == ["Exampel"] and table["value"].values.tolist() == [250_000.0]
    assert inputs["tables"] == {"city": before["table/mini/city"]}
    assert made["source_files"] == ["tables/c40.csv"]
    assert set(run(fed).steps.values()) == {"done before"}
    with_table(fed, "260000000.0")
    assert run(fed).steps["invert"] == "done"
    assert state(fed)["table/mini/city"] != before["table/mini/city"]


def inputs_of(keys):
    return next(key for key in keys if key.startswith("inputs/"))


def results_of(archive):
    (record,) = archive.find(kind="results")
    return json.loads(archive.load_document(record.digest))


def test_a_missing_table_is_named_and_kept_going_without(fed):
    with_table(fed).unlink()
    with pytest.raises(MissingInputError, match="table 'city' is not there"):
        run(fed)
    outcome = run(fed, keep_going=True)
    assert outcome.exit_code == 65 and [f.owner for f in outcome.failures] == ["city"]


def test_the_rows_of_a_table_are_in_the_report(fed):
    with_table(fed)
    outcome = run(fed, analyse=None)
    rows = json.loads((outcome.report.parent / "report.json").read_text())["ledgers"]
    (row,) = [row for row in rows if row["inventory"] == "city"]
    assert row["counted"] == ["On-road transport: fuel"] and row["lines"] == [2]
    assert row["status"] == "not comparable" and row["not_comparable"][0].startswith("gas: co2e")
    assert "On-road transport: fuel" in outcome.report.read_text()


def test_an_interval_without_data_is_named(fed):
    with pytest.raises(MissingInputError, match="no observations of ch4"):
        run(fed, Interval.parse("2020-03-01", "2020-03-03"))


def test_an_unknown_key_is_an_error_of_configuration(fed):
    fed.config.write_text(fed.config.read_text().replace("inlet_m = 100\nscale", "inlet_metres = 100\nscale"))
    with pytest.raises(ConfigError, match="inlet_metres: unknown key") as caught:
        run(fed)
    assert caught.value.exit_code == 78


def test_files_are_read_again_when_their_source_is_configured_anew(fed):
    run(fed)
    fed.config.write_text(fed.config.read_text().replace("WMO-CH4-X2004A", "TU1987"))
    run(fed)
    with Archive.open(fed.workdir / "archive") as archive:
        month = archive.load(archive.current("observations/mini/one/ch4/2020-01").digest)
    assert month.attrs["calibration_scale"] == "TU1987"
    assert np.isfinite(month["mole_fraction"]).all()


def test_a_failing_analysis_leaves_its_reason_in_the_ledger(fed):
    def broken(*_, **__):
        raise InputError("the matrix is not positive definite")

    with pytest.raises(InputError, match="positive definite"):
        run(fed, analyse=broken)
    rows = {row.key.step: row for row in ledger_rows(fed)}
    assert rows["ingest"].status == "done"
    assert rows["invert"].status == "failed"
    assert "positive definite" in rows["invert"].error
    assert set(run(fed).steps.values()) == {"done before", "done"}
