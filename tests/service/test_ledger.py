"""The ledger: every step once, whoever dies, and one scheduler at a time."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.archive import Archive
from monitor.domain import Interval
from monitor.errors import LockedError
from monitor.service.ledger import Claim, Ledger, StepKey, process_owner

fork = multiprocessing.get_context("fork")
MINUTE = timedelta(minutes=1)


def key(day: int = 1, step: str = "ingest", digest: str = "a" * 64) -> StepKey:
    return StepKey("tac", step, Interval(datetime(2016, 7, day), datetime(2016, 7, day + 1)), digest)


class Clock:
    """A clock that stands until it is moved."""

    now = datetime(2016, 9, 1)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive") as opened:
        yield opened


@pytest.fixture
def ours(archive: Archive, clock: Clock) -> Ledger:
    return Ledger(archive, "ours", clock)


@pytest.fixture
def theirs(archive: Archive, clock: Clock) -> Ledger:
    return Ledger(archive, "theirs", clock)


def claimed(ledger: Ledger, wanted: StepKey, **given: bool) -> Claim:
    claim = ledger.claim(wanted, MINUTE, **given)
    assert claim is not None
    return claim


def finish(claim: Claim, *outputs: str) -> None:
    with claim.ledger.archive.transaction() as tx:
        claim.done(tx, outputs)


def test_a_done_step_is_not_done_again(ours: Ledger, theirs: Ledger) -> None:
    finish(claimed(ours, key()), "b" * 64)
    assert ours.claim(key(), MINUTE) is None
    assert theirs.claim(key(), MINUTE) is None
    (row,) = ours.rows("tac")
    assert (row.status, row.outputs, row.attempts, row.error) == ("done", ("b" * 64,), 1, None)
    assert row.as_dict()["interval"] == ["2016-07-01T00:00:00Z", "2016-07-02T00:00:00Z"]


def test_another_interval_step_or_input_is_another_key(ours: Ledger) -> None:
    for wanted in (key(), key(day=2), key(step="invert"), key(digest="c" * 64)):
        finish(claimed(ours, wanted))
    assert len(ours.rows()) == 4
    assert ours.rows("elsewhere") == []


def test_a_live_lease_keeps_others_out(ours: Ledger, theirs: Ledger, clock: Clock) -> None:
    claimed(ours, key())
    for ledger in (ours, theirs):
        with pytest.raises(LockedError, match=r"held by ours until 2016-09-01T00:01:00Z.*tac: ingest"):
            ledger.claim(key(), MINUTE)
    clock.now += 0.9 * MINUTE
    assert theirs.recover_orphans() == []


def test_an_expired_lease_is_taken_over_and_the_first_holder_is_fenced_off(
    ours: Ledger, theirs: Ledger, clock: Clock, archive: Archive
) -> None:
    first = claimed(ours, key())
    clock.now += MINUTE
    second = claimed(theirs, key())
    assert (second.token, second.attempt) == (first.token + 1, 2)
    page = archive.store_document(b"{}", ".json")

    def write_late() -> None:
        with archive.transaction() as tx:
            tx.record(page, kind="verdict", key="v")
            first.done(tx, [page.digest])

    with pytest.raises(LockedError, match=r"lease was lost.*token 1 of ours.*token 2 of theirs"):
        write_late()
    assert archive.current("v") is None
    with pytest.raises(LockedError, match="lease was lost"):
        first.renew(MINUTE)
    first.failed("too late")  # says nothing, changes nothing
    finish(second)
    with pytest.raises(LockedError, match="theirs, done"):
        finish(first)


def test_a_lease_that_ran_out_but_was_not_taken_may_finish(ours: Ledger, clock: Clock) -> None:
    claim = claimed(ours, key())
    clock.now += 2 * MINUTE
    finish(claim)
    assert ours.claim(key(), MINUTE) is None


def test_a_renewed_lease_lives_on(ours: Ledger, theirs: Ledger, clock: Clock) -> None:
    claim = claimed(ours, key())
    clock.now += 0.9 * MINUTE
    claim.renew(MINUTE)
    clock.now += 0.9 * MINUTE
    with pytest.raises(LockedError):
        theirs.claim(key(), MINUTE)


def test_a_failed_step_keeps_its_reason_and_may_be_tried_again(ours: Ledger, theirs: Ledger) -> None:
    claimed(ours, key()).failed("no footprint of July")
    (row,) = ours.rows()
    assert (row.status, row.error, row.attempts) == ("failed", "no footprint of July", 1)
    again = claimed(theirs, key())
    assert again.attempt == 2
    finish(again)
    (row,) = ours.rows()
    assert (row.status, row.error, row.attempts, row.owner) == ("done", None, 2, "theirs")


def test_a_done_step_is_redone_on_request_only(ours: Ledger) -> None:
    finish(claimed(ours, key()))
    finish(claimed(ours, key(), redo=True))
    assert [row.attempts for row in ours.rows()] == [2]


def test_done_and_the_records_are_one_commit(ours: Ledger, archive: Archive) -> None:
    claim = claimed(ours, key())

    def die() -> None:
        with archive.transaction() as tx:
            claim.done(tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die()
    assert [row.status for row in ours.rows()] == ["leased"]


def test_last_done_is_the_latest_interval(ours: Ledger) -> None:
    assert ours.last_done("tac", "ingest") is None
    for day in (3, 1, 2):
        finish(claimed(ours, key(day)))
    claimed(ours, key(4))
    row = ours.last_done("tac", "ingest")
    assert row is not None
    assert row.key == key(3)
    assert ours.find(key(4)) in ours.rows()
    assert ours.find(key(5)) is None


def test_orphans_are_recovered_at_the_start(ours: Ledger, theirs: Ledger, clock: Clock) -> None:
    first = claimed(ours, key())
    clock.now += MINUTE
    claimed(ours, key(2))
    (row,) = theirs.recover_orphans()
    assert (row.key, row.status, row.error) == (key(), "failed", "abandoned by ours")
    with pytest.raises(LockedError, match="lease was lost"):
        finish(first)
    finish(claimed(theirs, key()))


def _claim_and_die(root: Path) -> None:
    with Archive.open(root) as archive:
        Ledger(archive, process_owner()).claim(key(), timedelta(days=1))
    os._exit(137)


def test_the_lease_of_a_dead_process_of_this_host_need_not_run_out(archive: Archive) -> None:
    child = fork.Process(target=_claim_and_die, args=(archive.root,))
    child.start()
    child.join()
    ledger = Ledger(archive, process_owner())
    assert [row.status for row in ledger.rows()] == ["leased"]
    assert claimed(ledger, key()).attempt == 2
    with pytest.raises(LockedError):  # we live
        ledger.claim(key(), MINUTE)


@pytest.mark.parametrize(
    ("owner", "gone"),
    [
        (f"{socket.gethostname()}/{os.getpid()}/an-earlier-process-with-our-id", True),
        (f"{socket.gethostname()}/1/elsewhere-born", False),
        (f"another-host/{2**22 + 1}/x", False),
        (f"{socket.gethostname()}/not-a-number/x", False),
    ],
)
def test_an_owner_is_gone_only_where_we_can_know(
    ours: Ledger, archive: Archive, owner: str, gone: bool
) -> None:
    Ledger(archive, owner, ours.clock).claim(key(), MINUTE)
    assert bool(ours.recover_orphans()) is gone


def test_a_second_scheduler_is_turned_away_until_the_first_ends(
    ours: Ledger, theirs: Ledger, clock: Clock
) -> None:
    with ours.scheduler_lock("serve", MINUTE) as lock:
        for _ in range(3):
            clock.now += 0.9 * MINUTE
            lock.heartbeat()
            with (
                pytest.raises(LockedError, match="held by ours") as caught,
                theirs.scheduler_lock("serve", MINUTE),
            ):
                pass
            assert caught.value.exit_code == 75
        with theirs.scheduler_lock("another", MINUTE):
            pass
    with theirs.scheduler_lock("serve", MINUTE):
        (_, state) = ours.locks()
        assert (state.name, state.owner, state.heartbeat_at) == ("serve", "theirs", clock.now)


def test_a_scheduler_that_missed_its_heartbeats_is_replaced_and_told(
    ours: Ledger, theirs: Ledger, clock: Clock
) -> None:
    with ours.scheduler_lock("serve", MINUTE) as lock:
        clock.now += MINUTE
        with theirs.scheduler_lock("serve", MINUTE):
            with pytest.raises(LockedError, match=r"lock was lost.*token 1 of ours.*token 2 of theirs"):
                lock.heartbeat()
            lock.release()  # must not free what is theirs now
            assert [state.lease_until is None for state in ours.locks()] == [False]


def _race(root: Path, results: multiprocessing.Queue[tuple[int, int]]) -> None:
    done = refused = 0
    with Archive.open(root) as archive:
        ledger = Ledger(archive, process_owner())
        for day in range(1, 9):
            try:
                claim = ledger.claim(key(day), MINUTE)
            except LockedError:
                refused += 1
                continue
            if claim:
                page = archive.store_document(f'"{day}"'.encode(), ".json")
                with archive.transaction() as tx:
                    tx.record(page, kind="verdict", key=f"v/{day}")
                    claim.done(tx, [page.digest])
                done += 1
    results.put((done, refused))


def test_workers_that_race_do_each_step_once(archive: Archive) -> None:
    results: multiprocessing.Queue[tuple[int, int]] = fork.Queue()
    children = [fork.Process(target=_race, args=(archive.root, results)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert sum(results.get()[0] for _ in children) == 8
    rows = Ledger(archive, "test").rows()
    assert [(row.status, row.attempts) for row in rows] == [("done", 1)] * 8
    assert [len(archive.history(f"v/{day}")) for day in range(1, 9)] == [1] * 8
