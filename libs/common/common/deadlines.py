"""Durable deadlines: something must happen at a moment, exactly once, whatever dies in between.

A deadline is a row beside the thing it is about. `arm` writes it in the transaction that makes it
necessary; a `DeadlineWorker` claims what is due with SKIP LOCKED and runs its effect, and the outbox rows
the effect writes, in the very transaction that ends the deadline: all of it commits, or nothing did.

Neither `arm` nor `cancel` ever waits for a worker, so a caller that holds its subject's lock cannot
deadlock with a worker that wants it. Whoever changes a deadline holds its subject's lock; a worker that has
claimed a row takes that lock and then looks whether a later generation overtook it.

A deadline is due when it is past by the database's clock, which is one for all, and by the clock of the process whose
effect it is, which must not be told of a moment that has not come for it: so no clock that is wrong fires one early.

Every service that uses deadlines copies `TABLE` word for word into a migration (a test compares), and
grants its runtime role SELECT, INSERT and UPDATE (state, attempts, retry_at, last_error, ended_at).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
from prometheus_client import Counter, Gauge

from common.errors import Unavailable
from common.pg import Connection, Pool, transaction
from common.progress import Progress

log = logging.getLogger(__name__)

TABLE: Final = """\
-- Durable deadlines (libs/common/common/deadlines.py). A deadline ends once, and for ever.
CREATE TABLE deadline (
    subject text NOT NULL CONSTRAINT deadline_subject_is_bounded CHECK (length(subject) BETWEEN 1 AND 200),
    kind text NOT NULL CONSTRAINT deadline_kind_is_bounded CHECK (length(kind) BETWEEN 1 AND 64),
    generation integer NOT NULL CONSTRAINT deadline_generation_from_one CHECK (generation >= 1),
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'ARMED'
        CONSTRAINT deadline_state_is_known CHECK (state IN ('ARMED', 'DONE', 'CANCELLED', 'FAILED')),
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL,
    last_error text,
    armed_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT deadline_generation_is_unique PRIMARY KEY (subject, kind, generation),
    CONSTRAINT deadline_ends_with_its_state CHECK ((state = 'ARMED') = (ended_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX deadline_armed ON deadline (retry_at) WHERE state = 'ARMED';

CREATE FUNCTION deadline_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'ARMED' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_ends_once',
            MESSAGE = format('deadline %s of %s has ended', OLD.kind, OLD.subject);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deadline_ends_once BEFORE UPDATE ON deadline
    FOR EACH ROW EXECUTE FUNCTION deadline_ends_once();
"""
"""What a migration copies."""

DUE: Final = Gauge("deadlines_due", "Armed deadlines whose time has come.", ("kind",))
OVERDUE_SECONDS: Final = Gauge(
    "deadlines_overdue_seconds", "How long the oldest of them has waited.", ("kind",)
)
ENDED: Final = Counter("deadlines_ended", "Deadlines by how an attempt ended.", ("kind", "outcome"))

Clock = Callable[[], datetime]

LOCKED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, Unavailable)
"""What befalls an effect that others are in the way of: no failure of its own, and no reason ever to give it up."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment at which something is to happen to `subject`. Of one subject and kind the newest
    `generation` counts; `attempts` tells how often its effect has failed."""

    subject: str
    kind: str
    generation: int
    due_at: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Handler:
    """What to do when a deadline of one kind is due.

    lock    takes the subject's lock: the one held by whoever arms or cancels its deadlines
    effect  changes what is to be changed, on the same connection; it makes no network call. It may arm the next
            deadline of its own subject and kind
    """

    lock: Callable[[Connection, Deadline], Awaitable[None]]
    effect: Callable[[Connection, Deadline], Awaitable[None]]


async def arm(conn: Connection, subject: str, kind: str, due_at: datetime) -> Deadline:
    """Arm a deadline, in place of the one of this subject and kind that may be armed.

    Call it under the subject's lock, in the transaction of whatever makes it necessary.
    Raises `Unavailable` when others arm it at the same moment again and again.
    """
    for _ in range(_RACES):
        generation = await conn.fetchval(_ARM, subject, kind, due_at)
        if generation is not None:
            return Deadline(subject, kind, generation, due_at)
    raise Unavailable(f"too many arm {kind} of {subject} at once", retry_after=1)


async def cancel(conn: Connection, subject: str, kind: str) -> bool:
    """Make sure that what is armed has no effect; False when nothing was armed.

    Call it under the subject's lock. A deadline that a worker has claimed at this moment is overtaken by
    a cancelled generation, which the worker finds once it has the lock.
    """
    for _ in range(_RACES):
        cancelled, claimed, overtaken = await _row(conn, _CANCEL, subject, kind)
        if cancelled or overtaken or not claimed:
            return bool(cancelled or overtaken)
    raise Unavailable(f"too many change {kind} of {subject} at once", retry_after=1)


async def _row(conn: Connection, query: str, *arguments: object) -> tuple[int, int, int]:
    row = await conn.fetchrow(query, *arguments)
    if row is None:
        raise RuntimeError("an aggregate without GROUP BY always has a row")
    return row[0], row[1], row[2]


class DeadlineWorker:
    """Runs the effects of due deadlines. Any number of workers and processes may run at once.

    batch           deadlines in one transaction; each effect has its own savepoint, and they go in the
                    order of their subjects so that two batches cannot lock crosswise
    max_attempts    failures after which a deadline is FAILED and left to people; a lock that was not to be had is none
    idle_seconds    between looks while nothing is due
    clock           tests' own time, which then decides alone
    """

    def __init__(
        self,
        pool: Pool,
        handlers: Mapping[str, Handler],
        *,
        clock: Clock | None = None,
        batch: int = 20,
        max_attempts: int = 20,
        idle_seconds: float = 0.5,
    ) -> None:
        self._pool = pool
        self._handlers = handlers
        self._clock = clock
        self._batch = batch
        self._max_attempts = max_attempts
        self._idle_seconds = idle_seconds
        self._progress = Progress("deadlines", every_seconds=idle_seconds)
        for kind in handlers:
            ENDED.labels(kind, "given up")  # else the first one would be no increase of anything
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs; on leaving it the batch in hand is finished."""
        running = asyncio.create_task(self._run(), name="deadlines")
        try:
            yield
        finally:
            self._stopping.set()
            await running

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                handled = await self.turn()
                if handled < self._batch:
                    await self.measure()
                self._progress.done()
            except Unavailable as error:
                log.warning("deadlines wait: %s", error.detail)
                handled = 0
            except Exception:
                log.exception("a turn of deadlines failed; trying again")
                handled = 0
            if handled < self._batch:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._idle_seconds)

    async def turn(self) -> int:
        """Claim at most one batch and handle it in one transaction; returns how many were claimed.

        Raises `Unavailable` when the database does not answer: nothing was done, or all of it was.
        """
        now = self._clock() if self._clock else None
        async with transaction(self._pool) as conn:
            rows = await conn.fetch(_CLAIM, now, list(self._handlers), self._batch, datetime.now(UTC))
            claimed = [Deadline(*row) for row in rows]
            ended = [
                (deadline, await self._handle(conn, deadline, now))
                for deadline in sorted(claimed, key=lambda each: (each.subject, each.kind))
            ]
        for deadline, outcome in ended:
            ENDED.labels(deadline.kind, outcome).inc()
        return len(claimed)

    async def _handle(self, conn: Connection, deadline: Deadline, now: datetime | None) -> str:
        handler = self._handlers[deadline.kind]
        key = deadline.subject, deadline.kind, deadline.generation
        try:
            async with conn.transaction():  # a savepoint: one that fails takes no other with it
                await handler.lock(conn, deadline)
                stands = not await conn.fetchval(_OVERTAKEN, *key)
                if stands:
                    await handler.effect(conn, deadline)
        except LOCKED as error:
            log.warning("deadline %s of %s waits: %r", deadline.kind, deadline.subject, error)
            await conn.execute(_POSTPONE, *key, now, _pause(1), deadline.attempts, repr(error))
            return "waits"
        except Exception as error:
            log.exception("deadline %s of %s failed", deadline.kind, deadline.subject)
            attempts = deadline.attempts + 1
            if attempts >= self._max_attempts:
                await conn.execute(_END, *key, "FAILED", now, attempts, repr(error))
                return "given up"
            await conn.execute(_POSTPONE, *key, now, _pause(attempts), attempts, repr(error))
            return "failed"
        await conn.execute(_END, *key, "DONE" if stands else "CANCELLED", now, deadline.attempts, None)
        return "done" if stands else "overtaken"

    async def measure(self) -> None:
        """Tell Prometheus what is due and for how long."""
        now = self._clock() if self._clock else None
        async with transaction(self._pool, readonly=True) as conn:
            rows = await conn.fetch(_DUE, now, list(self._handlers))
        found = {row["kind"]: row for row in rows}
        for kind in self._handlers:
            row = found.get(kind)
            DUE.labels(kind).set(row["due"] if row else 0)
            OVERDUE_SECONDS.labels(kind).set(row["overdue"].total_seconds() if row else 0)


def _pause(attempts: int) -> timedelta:
    """One second after the first failure, then twice as long each time, at most ten minutes."""
    return timedelta(seconds=min(2.0 ** min(attempts - 1, 10), 600.0))


_RACES: Final = 5

# What a worker has claimed is left to it: the new generation tells it that it was overtaken.
_ARM = """
    WITH newest AS (
        SELECT coalesce(max(generation), 0) AS generation FROM deadline WHERE subject = $1 AND kind = $2
    ), replaced AS (
        UPDATE deadline d SET state = 'CANCELLED', ended_at = now()
          FROM (SELECT generation FROM deadline WHERE subject = $1 AND kind = $2 AND state = 'ARMED'
                   FOR UPDATE SKIP LOCKED) old
         WHERE d.subject = $1 AND d.kind = $2 AND d.generation = old.generation
    )
    INSERT INTO deadline (subject, kind, generation, due_at, retry_at)
    SELECT $1, $2, generation + 1, $3, $3 FROM newest
    ON CONFLICT DO NOTHING
    RETURNING generation
"""
_CANCEL = """
    WITH newest AS (
        SELECT generation, state, due_at FROM deadline WHERE subject = $1 AND kind = $2
         ORDER BY generation DESC LIMIT 1
    ), cancelled AS (
        UPDATE deadline d SET state = 'CANCELLED', ended_at = now()
          FROM (SELECT generation FROM deadline WHERE subject = $1 AND kind = $2 AND state = 'ARMED'
                   FOR UPDATE SKIP LOCKED) free
         WHERE d.subject = $1 AND d.kind = $2 AND d.generation = free.generation
        RETURNING d.generation
    ), claimed AS (
        SELECT generation, due_at FROM newest
         WHERE state = 'ARMED' AND generation NOT IN (SELECT generation FROM cancelled)
    ), overtaking AS (
        INSERT INTO deadline (subject, kind, generation, due_at, retry_at, state, ended_at)
        SELECT $1, $2, generation + 1, due_at, due_at, 'CANCELLED', now() FROM claimed
        ON CONFLICT DO NOTHING
        RETURNING generation
    )
    SELECT (SELECT count(*) FROM cancelled), (SELECT count(*) FROM claimed), (SELECT count(*) FROM overtaking)
"""
# What time it was when the transaction began is never too late a moment, and an index can be searched by it.
_CLAIM = """
    SELECT subject, kind, generation, due_at, attempts FROM deadline
     WHERE state = 'ARMED' AND retry_at <= coalesce($1, least(now(), $4)) AND kind = ANY ($2::text[])
     ORDER BY retry_at LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_OVERTAKEN = (
    "SELECT EXISTS (SELECT FROM deadline WHERE subject = $1 AND kind = $2 AND generation > $3::integer)"
)
# An effect may have armed its own successor, or cancelled what it is the effect of: then it has ended by that.
_END = """
    UPDATE deadline
       SET state = $4, ended_at = coalesce($5, clock_timestamp()), attempts = $6, last_error = coalesce($7, last_error)
     WHERE subject = $1 AND kind = $2 AND generation = $3 AND state = 'ARMED'
"""
_POSTPONE = """
    UPDATE deadline SET retry_at = coalesce($4, clock_timestamp()) + $5::interval, attempts = $6, last_error = $7
     WHERE subject = $1 AND kind = $2 AND generation = $3
"""
_DUE = """
    SELECT kind, count(*) AS due, coalesce($1, now()) - min(due_at) AS overdue FROM deadline
     WHERE state = 'ARMED' AND due_at <= coalesce($1, now()) AND kind = ANY ($2::text[]) GROUP BY kind
"""
