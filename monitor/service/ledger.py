"""The run ledger: each (city, step, interval, input digest) is done once, whoever tries and however often.

A claim is a lease with a fencing token.  A worker whose lease ran out and was taken over cannot finish:
its token is stale, and the transaction with its records is undone.  Execution is at least once,
effects are exactly once per key.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from monitor.archive import Archive, Transaction, crash_point, utcnow
from monitor.archive.models import LockRow, RunRow
from monitor.domain import Interval, iso_z
from monitor.errors import LockedError

LEASED, DONE, FAILED = "leased", "done", "failed"


#: Tells this process from an earlier one with the same id, as in a restarted container.
_BIRTH = secrets.token_hex(4)


def process_owner() -> str:
    """The name of this process as an owner; others on this host can tell whether it still lives."""
    return f"{socket.gethostname()}/{os.getpid()}/{_BIRTH}"


#: How the reason begins when a process ended with a lease in its hand.
ABANDONED: Final = "abandoned by"
#: Stands for the inputs of a worker that died before it knew them.
UNKNOWN_DIGEST: Final = "0" * 64


@dataclass(frozen=True)
class StepKey:
    """What is done once: a city's step over an interval, from inputs with this digest."""

    city: str
    step: str
    interval: Interval
    input_digest: str

    def __str__(self) -> str:
        return f"{self.city}: {self.step} {self.interval}"


@dataclass(frozen=True)
class LedgerRow:
    """One key's state: `status` is "leased", "done" or "failed"; `error` is the last attempt's."""

    key: StepKey
    status: str
    owner: str
    token: int
    attempts: int
    lease_until: datetime | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    outputs: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The row as one JSON-ready object."""
        return {
            "city": self.key.city,
            "step": self.key.step,
            "interval": self.key.interval.as_json(),
            "input_digest": self.key.input_digest,
            "status": self.status,
            "owner": self.owner,
            "attempts": self.attempts,
            "lease_until": iso_z(self.lease_until) if self.lease_until else None,
            "started_at": iso_z(self.started_at),
            "finished_at": iso_z(self.finished_at) if self.finished_at else None,
            "error": self.error,
            "outputs": list(self.outputs),
        }


@dataclass(frozen=True)
class LockState:
    """A named lock and its holder's last heartbeat."""

    name: str
    owner: str
    acquired_at: datetime
    heartbeat_at: datetime
    lease_until: datetime | None


class Ledger:
    """The ledger in `archive`, on behalf of `owner`; `clock` gives UTC, timezone-free."""

    def __init__(self, archive: Archive, owner: str, clock: Callable[[], datetime] = utcnow) -> None:
        self.archive = archive
        self.owner = owner
        self.clock = clock

    def claim(self, key: StepKey, lease: timedelta, *, redo: bool = False) -> Claim | None:
        """The right to do `key` for as long as `lease`; None when it is done already.

        `redo` claims a done key too, for an operator who wants the step again, or when inputs went back
        to an earlier state after the outputs had been superseded.

        A failed key, an expired lease, and the lease of a process of this host that is gone are taken
        over with a higher token.

        Raises
        ------
        LockedError
            When another owner holds a live lease.
        """
        now = self.clock()
        with self.archive.transaction() as tx:
            row = tx.session.scalars(_select(key)).one_or_none()
            if row is None:
                row = _new_run(key)
                tx.session.add(row)
            elif row.status == DONE and not redo:
                return None
            elif row.status == LEASED and not _is_orphaned(row.owner, row.lease_until, now):
                raise _held(str(key), row.owner, row.lease_until)
            elif row.status == LEASED:
                row.error = f"lease of {row.owner} ran out"
            row.status, row.owner = LEASED, self.owner
            row.token, row.attempts = row.token + 1, row.attempts + 1
            row.started_at, row.finished_at, row.lease_until = now, None, now + lease
            tx.session.flush()
            claim = Claim(self, key, row.id, row.token, row.attempts)
        crash_point("after-claim")
        return claim

    def give_up(self, key: StepKey, reason: str) -> None:
        """Mark `key`, which a dead worker held or never came to hold, as failed with the reason."""
        now = self.clock()
        with self.archive.transaction() as tx:
            row = tx.session.scalars(_select(key)).one_or_none()
            if row is None:
                row = _new_run(key)
                tx.session.add(row)
            if row.status != LEASED:  # this attempt was not counted by a claim
                row.attempts, row.started_at = row.attempts + 1, now
            row.status, row.owner, row.token = FAILED, self.owner, row.token + 1
            row.error, row.finished_at, row.lease_until = reason, now, None

    def rows(self, city: str | None = None) -> list[LedgerRow]:
        """Every row, or a city's, by city, interval and step."""
        query = select(RunRow).order_by(RunRow.city, RunRow.interval_start, RunRow.step, RunRow.id)
        if city is not None:
            query = query.filter_by(city=city)
        with self.archive.database.reading() as session:
            return [_ledger_row(row) for row in session.scalars(query)]

    def find(self, key: StepKey) -> LedgerRow | None:
        """The row of `key`, if it was ever claimed."""
        with self.archive.database.reading() as session:
            row = session.scalars(_select(key)).one_or_none()
        return _ledger_row(row) if row else None

    def last_done(self, city: str, step: str) -> LedgerRow | None:
        """The done row whose interval ends last."""
        query = (
            select(RunRow)
            .filter_by(city=city, step=step, status=DONE)
            .order_by(RunRow.interval_end.desc(), RunRow.finished_at.desc(), RunRow.id.desc())
            .limit(1)
        )
        with self.archive.database.reading() as session:
            row = session.scalars(query).one_or_none()
        return _ledger_row(row) if row else None

    def recover_orphans(self) -> list[LedgerRow]:
        """Mark leases that ran out, or whose process is gone, as failed; returns those rows.

        For the start of a scheduler: what it returns can be claimed again at once.
        """
        now = self.clock()
        orphans = []
        with self.archive.transaction() as tx:
            for row in tx.session.scalars(select(RunRow).filter_by(status=LEASED).order_by(RunRow.id)):
                if _is_orphaned(row.owner, row.lease_until, now):
                    row.status, row.token = FAILED, row.token + 1
                    row.error, row.finished_at = f"{ABANDONED} {row.owner}", now
                    row.lease_until = None
                    orphans.append(row)
            tx.session.flush()
            return [_ledger_row(row) for row in orphans]

    @contextlib.contextmanager
    def scheduler_lock(self, name: str, lease: timedelta) -> Iterator[SchedulerLock]:
        """Hold the lock `name` in the block; call its `heartbeat` well within each `lease`.

        Raises
        ------
        LockedError
            When another owner holds it and its last heartbeat is younger than its lease.
        """
        now = self.clock()
        with self.archive.transaction() as tx:
            row = tx.session.get(LockRow, name)
            if row is None:
                row = LockRow(name=name, token=0)
                tx.session.add(row)
            elif row.lease_until is not None and not _is_orphaned(row.owner, row.lease_until, now):
                raise _held(f"scheduler lock '{name}'", row.owner, row.lease_until)
            row.owner, row.token = self.owner, row.token + 1
            row.acquired_at, row.heartbeat_at, row.lease_until = now, now, now + lease
            tx.session.flush()
            lock = SchedulerLock(self, name, row.token, lease)
        try:
            yield lock
        finally:
            lock.release()

    def locks(self) -> list[LockState]:
        """Every named lock, free ones with `lease_until` None."""
        with self.archive.database.reading() as session:
            rows = session.scalars(select(LockRow).order_by(LockRow.name)).all()
        return [LockState(r.name, r.owner, r.acquired_at, r.heartbeat_at, r.lease_until) for r in rows]


@dataclass(frozen=True)
class Claim:
    """A lease on a key; `attempt` counts from 1."""

    ledger: Ledger
    key: StepKey
    run_id: int
    token: int
    attempt: int

    def done(self, tx: Transaction, outputs: Sequence[str] = ()) -> None:
        """Mark the key done in the transaction that records its objects.

        Raises
        ------
        LockedError
            When somebody else has taken over; let it pass, so that `tx` is undone.
        """
        crash_point("before-done")
        row = self._held_row(tx)
        row.status, row.outputs, row.error = DONE, list(outputs), None
        row.lease_until, row.finished_at = None, self.ledger.clock()
        tx.session.flush()

    def failed(self, reason: str) -> None:
        """Give the key back with the reason; nothing happens when somebody else has taken over."""
        with contextlib.suppress(LockedError), self.ledger.archive.transaction() as tx:
            row = self._held_row(tx)
            row.status, row.error = FAILED, reason
            row.lease_until, row.finished_at = None, self.ledger.clock()

    def renew(self, lease: timedelta) -> None:
        """Extend the lease to `lease` from now; `LockedError` when somebody else has taken over."""
        with self.ledger.archive.transaction() as tx:
            self._held_row(tx).lease_until = self.ledger.clock() + lease

    def _held_row(self, tx: Transaction) -> RunRow:
        """The row, while our token is the newest; the transaction's write lock keeps it so."""
        row = tx.session.get_one(RunRow, self.run_id, populate_existing=True)
        if row.token != self.token or row.status != LEASED:
            raise LockedError(
                "the lease was lost",
                expected=f"token {self.token} of {self.ledger.owner}, {LEASED}",
                found=f"token {row.token} of {row.owner}, {row.status}",
                where=str(self.key),
                remedy="nothing was written; the later claim does the step",
            )
        return row


@dataclass(frozen=True)
class SchedulerLock:
    """The right to be the only scheduler of this name."""

    ledger: Ledger
    name: str
    token: int
    lease: timedelta

    def heartbeat(self) -> None:
        """Say that we live, and extend the lease; `LockedError` when somebody else has taken over."""
        now = self.ledger.clock()
        with self.ledger.archive.transaction() as tx:
            row = tx.session.get_one(LockRow, self.name)
            if row.token != self.token:
                raise LockedError(
                    "the scheduler's lock was lost",
                    expected=f"token {self.token} of {self.ledger.owner}",
                    found=f"token {row.token} of {row.owner}",
                    where=self.name,
                    remedy="stop this scheduler; it did not renew its lease in time",
                )
            row.heartbeat_at, row.lease_until = now, now + self.lease

    def release(self) -> None:
        """Give the lock back; nothing happens when somebody else has it."""
        with self.ledger.archive.transaction() as tx:
            row = tx.session.get_one(LockRow, self.name)
            if row.token == self.token:
                row.lease_until = None


def _select(key: StepKey) -> Any:
    return select(RunRow).filter_by(
        city=key.city,
        step=key.step,
        interval_start=key.interval.start,
        interval_end=key.interval.end,
        input_digest=key.input_digest,
    )


def _new_run(key: StepKey) -> RunRow:
    return RunRow(
        city=key.city,
        step=key.step,
        interval_start=key.interval.start,
        interval_end=key.interval.end,
        input_digest=key.input_digest,
        token=0,
        attempts=0,
        outputs=[],
    )


def _ledger_row(row: RunRow) -> LedgerRow:
    return LedgerRow(
        key=StepKey(row.city, row.step, Interval(row.interval_start, row.interval_end), row.input_digest),
        status=row.status,
        owner=row.owner,
        token=row.token,
        attempts=row.attempts,
        lease_until=row.lease_until,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        outputs=tuple(row.outputs),
    )


def _is_orphaned(owner: str, lease_until: datetime | None, now: datetime) -> bool:
    return lease_until is None or lease_until <= now or _is_gone(owner)


def _is_gone(owner: str) -> bool:
    """Whether `owner` is a process of this host that no longer runs; False when we cannot know."""
    host, _, rest = owner.partition("/")
    pid, _, birth = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit() or not birth:
        return False
    if int(pid) == os.getpid():
        return birth != _BIRTH
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _held(what: str, owner: str, until: datetime | None) -> LockedError:
    return LockedError(
        "somebody else is at work",
        found=f"held by {owner} until {iso_z(until) if until else 'further notice'}",
        where=what,
        remedy="wait for it to end, or for its lease to run out, and try again",
    )
