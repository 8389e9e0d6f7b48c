"""What the catalogue promises, on every kind of database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings

from monitor.archive import Archive, ObjectRecord, content_digest
from monitor.domain import Interval
from monitor.errors import InputError, SourceFormatError, StorageError

JULY = Interval.parse("2016-07-01", "2016-08-01")
AUGUST = Interval.parse("2016-08-01", "2016-09-01")
OBS, POSTERIOR, VERDICT = "observations/tac/ch4/2016-07", "posterior/tac/2016-07", "verdict/tac/edgar5"
Series = Callable[..., xr.Dataset]


def put(archive: Archive, dataset: xr.Dataset, key: str, **given: object) -> ObjectRecord:
    stored = archive.store(dataset)
    with archive.transaction() as tx:
        return tx.record(stored, kind=key.split("/")[0], key=key, **given)  # type: ignore[arg-type]


def put_chain(
    archive: Archive, series: Series, value: float
) -> tuple[ObjectRecord, ObjectRecord, ObjectRecord]:
    """Observations, a posterior made from them, a verdict made from that."""
    obs = put(archive, series(value), OBS, valid=JULY)
    posterior = put(archive, series(value + 0.5), POSTERIOR, valid=JULY, made_from=[obs.digest])
    document = archive.store_document(f'{{"verdict": {value}}}'.encode(), ".json")
    with archive.transaction() as tx:
        verdict = tx.record(document, kind="verdict", key=VERDICT, made_from=[posterior.digest])
    return obs, posterior, verdict


def test_what_was_stored_is_loaded(any_archive: Archive, series: Series) -> None:
    record = put(any_archive, series(), OBS, valid=JULY, config_digest="c" * 64, code_version="0.1.0")
    assert any_archive.current(OBS) == record
    assert (record.valid, record.status, record.suffix) == (JULY, "current", ".nc")
    assert (record.config_digest, record.code_version) == ("c" * 64, "0.1.0")
    xr.testing.assert_identical(any_archive.load(record.digest), series())


def test_recording_the_same_content_again_changes_nothing(any_archive: Archive, series: Series) -> None:
    first = put(any_archive, series(), OBS, valid=JULY)
    assert put(any_archive, series(), OBS, valid=JULY) == first
    assert any_archive.history(OBS) == [first]


def test_a_revision_supersedes_and_keeps_the_old_one(any_archive: Archive, series: Series) -> None:
    old = put(any_archive, series(1.0), OBS, valid=JULY)
    new = put(any_archive, series(2.0), OBS, valid=JULY)
    assert any_archive.current(OBS) == new
    was, now = any_archive.history(OBS)
    assert (was.digest, was.status, was.superseded_at) == (old.digest, "superseded", new.recorded_at)
    assert now == new
    xr.testing.assert_identical(any_archive.load(old.digest), series(1.0))


def test_what_was_made_from_a_superseded_object_is_marked(any_archive: Archive, series: Series) -> None:
    _, posterior, verdict = put_chain(any_archive, series, 1.0)
    put(any_archive, series(2.0), OBS, valid=JULY)
    for record in (posterior, verdict):
        marked = any_archive.current(record.key)
        assert marked is not None
        assert marked.digest == record.digest
        assert marked.status == "superseded-upstream"
        assert marked.stale_because is not None and OBS in marked.stale_because


def test_a_rerun_on_the_revision_is_current_again(any_archive: Archive, series: Series) -> None:
    put_chain(any_archive, series, 1.0)
    put_chain(any_archive, series, 2.0)
    assert [r.status for r in any_archive.find()] == ["current"] * 3
    assert [r.status for r in any_archive.history(VERDICT)] == ["superseded", "current"]


def test_a_stale_record_is_confirmed_by_recording_the_same_content(
    any_archive: Archive, series: Series
) -> None:
    _, posterior, _ = put_chain(any_archive, series, 1.0)
    revised = put(any_archive, series(2.0), OBS, valid=JULY)
    again = put(any_archive, series(1.5), POSTERIOR, valid=JULY, made_from=[revised.digest])
    assert (again.digest, again.status) == (posterior.digest, "current")
    assert [r.made_from for r in any_archive.history(POSTERIOR)] == [posterior.made_from, (revised.digest,)]


def test_a_record_made_from_superseded_data_is_born_stale(any_archive: Archive, series: Series) -> None:
    old = put(any_archive, series(1.0), OBS, valid=JULY)
    put(any_archive, series(2.0), OBS, valid=JULY)
    for _ in range(2):
        late = put(any_archive, series(1.5), POSTERIOR, valid=JULY, made_from=[old.digest])
        assert late.status == "superseded-upstream"
    assert len(any_archive.history(POSTERIOR)) == 1


@pytest.mark.parametrize("revision_first", [True, False])
def test_a_verdict_on_old_data_ends_marked_whatever_came_first(
    any_archive: Archive, series: Series, revision_first: bool
) -> None:
    old = put(any_archive, series(1.0), OBS, valid=JULY)
    jobs = [
        lambda: put(any_archive, series(2.0), OBS, valid=JULY),
        lambda: put(any_archive, series(1.5), POSTERIOR, made_from=[old.digest]),
    ]
    for job in jobs if revision_first else reversed(jobs):
        job()
    assert [(r.key, r.status) for r in any_archive.find()] == [
        (OBS, "current"),
        (POSTERIOR, "superseded-upstream"),
    ]


def test_as_of_gives_back_what_was_known_then_bit_for_bit(any_archive: Archive, series: Series) -> None:
    _, _, verdict = put_chain(any_archive, series, 1.0)
    then, known = verdict.recorded_at, any_archive.find()
    files = {r.digest: any_archive.object_path(r.digest, r.suffix).read_bytes() for r in known}
    put_chain(any_archive, series, 2.0)
    put(any_archive, series(3.0), OBS, valid=JULY)
    assert any_archive.find(as_of=then) == known
    assert any_archive.current(VERDICT, as_of=then) == verdict
    assert {r.digest: any_archive.object_path(r.digest, r.suffix).read_bytes() for r in known} == files
    assert any_archive.find(as_of=known[0].recorded_at - timedelta(seconds=1)) == []


def test_a_clock_that_steps_back_cannot_change_the_past(any_archive: Archive, clock, series: Series) -> None:  # type: ignore[no-untyped-def]
    first = put(any_archive, series(1.0), OBS)
    clock.now -= timedelta(days=1)
    second = put(any_archive, series(2.0), OBS)
    other = put(any_archive, series(2.0), POSTERIOR)
    assert first.recorded_at <= second.recorded_at <= other.recorded_at


def test_find_by_kind_prefix_and_valid_time(any_archive: Archive, series: Series) -> None:
    july = put(any_archive, series(1.0), "observations/TAC/07", valid=JULY)
    august = put(any_archive, series(2.0), "observations/TAC/08", valid=AUGUST)
    lower = put(any_archive, series(3.0), "observations/tac/07", valid=JULY)
    static = put(any_archive, series(4.0), "regions/TAC")
    assert any_archive.find() == [july, august, lower, static]
    assert any_archive.find(kind="regions") == [static]
    assert any_archive.find(prefix="observations/TAC/") == [july, august]
    assert any_archive.find(prefix="observations/%") == []
    assert any_archive.find(valid_overlaps=JULY) == [july, lower]
    assert any_archive.find(valid_overlaps=Interval.parse("2016-07-31", "2016-08-02")) == [
        july,
        august,
        lower,
    ]
    assert any_archive.find("observations", "observations/TAC", AUGUST) == [august]


def test_a_transaction_keeps_all_or_nothing(any_archive: Archive, series: Series) -> None:
    stored = any_archive.store(series())

    def fail() -> None:
        with any_archive.transaction() as tx:
            tx.record(stored, kind="observations", key=OBS)
            tx.note_file("tac", "a.dat", "a" * 64, 3, "ingested", [stored.digest])
            assert tx.current(OBS) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert any_archive.current(OBS) is None
    assert not any_archive.seen_file("tac", "a" * 64)


def test_a_transaction_in_a_transaction_is_a_bug_not_a_deadlock(any_archive: Archive) -> None:
    with (
        any_archive.transaction(),
        pytest.raises(RuntimeError, match="open already"),
        any_archive.transaction(),
    ):
        pass


def test_a_file_is_seen_once_per_source_and_content(any_archive: Archive) -> None:
    for _ in range(2):
        with any_archive.transaction() as tx:
            tx.note_file("tac", "a.dat", "a" * 64, 3, "quarantined")
    with any_archive.transaction() as tx:
        tx.note_file("tac", "again.dat", "a" * 64, 3, "ingested", ["b" * 64])
    assert any_archive.seen_file("tac", "a" * 64)
    assert any_archive.seen_file("tac", "a" * 64, "ingested")
    assert not any_archive.seen_file("mhd", "a" * 64)
    assert not any_archive.seen_file("tac", "b" * 64)
    with any_archive.transaction() as tx, pytest.raises(ValueError, match="outcome"):
        tx.note_file("tac", "a.dat", "a" * 64, 3, "lost")


def test_a_bad_file_is_kept_with_its_reason(any_archive: Archive, tmp_path: Path) -> None:
    bad = tmp_path / "half.nc"
    bad.write_bytes(b"\x89HDF half")
    error = SourceFormatError(
        "truncated", expected="120 bytes", found="9 bytes", where="half.nc", remedy="again"
    )
    kept = any_archive.quarantine(bad, error)
    assert any_archive.quarantine(bad, error) == kept
    assert any_archive.quarantined() == [kept]
    assert kept.path.read_bytes() == bad.read_bytes()
    assert kept.reason == error.as_dict()
    bad.write_bytes(b"another")
    any_archive.quarantine(bad, error)
    assert [r.name for r in any_archive.quarantined()] == ["half.nc", "half.nc"]
    assert any_archive.find() == []
    with pytest.raises(StorageError, match="refused.*absent"):
        any_archive.quarantine(tmp_path / "absent", error)


def test_documents_are_kept_by_their_bytes(any_archive: Archive, series: Series) -> None:
    stored = any_archive.store_document(b'{"a": 1}', ".json")
    assert any_archive.load_document(stored.digest) == b'{"a": 1}'
    with any_archive.transaction() as tx:
        tx.record(stored, kind="verdict", key=VERDICT)
    assert any_archive.load_document(stored.digest) == b'{"a": 1}'
    with pytest.raises(StorageError, match="another sort.*expected: dataset"):
        any_archive.load(stored.digest)
    data = put(any_archive, series(), OBS)
    with pytest.raises(StorageError, match="another sort.*expected: document"):
        any_archive.load_document(data.digest)
    with pytest.raises(ValueError, match="suffix"):
        any_archive.store_document(b"", "../x")


def test_malformed_digests_and_times_are_refused(any_archive: Archive, series: Series) -> None:
    stored = any_archive.store(series())
    with any_archive.transaction() as tx:
        with pytest.raises(InputError, match="not a digest"):
            tx.record(stored, kind="observations", key=OBS, made_from=["abc"])
        with pytest.raises(InputError, match="not in the future"):
            tx.record(stored, kind="observations", key=OBS, recorded_at=datetime(2030, 1, 1))
        tx.record(stored, kind="observations", key=OBS)
        with pytest.raises(InputError, match="became known later"):
            tx.record(stored, kind="observations", key=OBS, recorded_at=datetime(2016, 1, 1))
    with pytest.raises(InputError, match="not a digest"):
        any_archive.load("../../etc/passwd")
    with pytest.raises(StorageError, match="no such object"):
        any_archive.load("0" * 64)


def test_an_object_that_was_collected_before_it_was_recorded_is_refused(
    any_archive: Archive, series: Series
) -> None:
    stored = any_archive.store(series())
    assert any_archive.collect_orphans(timedelta(0)) == [stored.path]
    with any_archive.transaction() as tx, pytest.raises(StorageError, match="is gone"):
        tx.record(stored, kind="observations", key=OBS)


def test_the_archive_can_be_opened_again(archive: Archive, series: Series) -> None:
    record = put(archive, series(), OBS, valid=JULY)
    with Archive.open(archive.root) as again:
        assert again.find() == [record]
        assert again.find()[0].as_dict()["valid"] == ["2016-07-01T00:00:00Z", "2016-08-01T00:00:00Z"]
        assert again.verify().ok


@given(st.permutations([*range(6), 0, 3]))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_ingest_and_repeats_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, series: Series, order: list[int]
) -> None:
    with Archive.open(tmp_path_factory.mktemp("archive")) as archive:
        for month in order:
            put(archive, series(float(month)), f"observations/{month}", valid=JULY)
        found = [(r.key, r.digest, r.status) for r in archive.find()]
        assert found == [
            (f"observations/{month}", content_digest(series(float(month))), "current") for month in range(6)
        ]
        assert all(len(archive.history(key)) == 1 for key, _, _ in found)
