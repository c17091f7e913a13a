"""Durable deadlines on a real PostgreSQL: never early, never twice, never lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from common.deadlines import (
    DUE,
    ENDED,
    OVERDUE_SECONDS,
    TABLE,
    Deadline,
    DeadlineWorker,
    Handler,
    arm,
    cancel,
)
from common.outbox import announce
from common.pg import Connection, Pool, create_pool, transaction
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[3]
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SOON = START + timedelta(minutes=1)
THINGS = """
    CREATE TABLE thing (subject text PRIMARY KEY, touched int NOT NULL DEFAULT 0);
    CREATE TABLE fired (subject text NOT NULL, generation int NOT NULL);
"""


class Expired(BaseModel):
    """What an effect tells."""

    id: UUID
    type: str = "tests.thing.expired.v1"


class Clock:
    """Time goes on when the test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def lock_thing(conn: Connection, deadline: Deadline) -> None:
    await conn.execute("SELECT FROM thing WHERE subject = $1 FOR UPDATE", deadline.subject)


async def fire(conn: Connection, deadline: Deadline) -> None:
    await conn.execute(
        "INSERT INTO fired (subject, generation) VALUES ($1, $2)", deadline.subject, deadline.generation
    )
    await announce(
        conn, aggregate=deadline.subject, version=deadline.generation, envelope=Expired(id=uuid4())
    )


HANDLERS = {"expiry": Handler(lock_thing, fire)}


@pytest.fixture
async def things(dsn: str) -> AsyncIterator[Pool]:
    """A database with deadlines, and a pool on it."""
    pool = await create_pool(dsn, min_size=1, max_size=8, application_name="tests")
    async with transaction(pool) as conn:
        await conn.execute(TABLE)
        await conn.execute(THINGS)
    yield pool
    await pool.close()


async def armed(pool: Pool, subject: str, due_at: datetime) -> Deadline:
    async with transaction(pool) as conn:
        await conn.execute("INSERT INTO thing (subject) VALUES ($1) ON CONFLICT DO NOTHING", subject)
        await conn.execute("SELECT FROM thing WHERE subject = $1 FOR UPDATE", subject)
        return await arm(conn, subject, "expiry", due_at)


async def fired(pool: Pool) -> list[tuple[str, int]]:
    rows = await pool.fetch("SELECT subject, generation FROM fired ORDER BY subject, generation")
    return [(row["subject"], row["generation"]) for row in rows]


async def states(pool: Pool) -> list[tuple[int, str]]:
    rows = await pool.fetch("SELECT generation, state FROM deadline ORDER BY subject, generation")
    return [(row["generation"], row["state"]) for row in rows]


async def test_it_fires_when_due_and_not_before(things: Pool) -> None:
    clock = Clock()
    worker = DeadlineWorker(things, HANDLERS, clock=clock)
    await armed(things, "holds/1", SOON)
    clock.now = SOON - timedelta(microseconds=1)
    assert await worker.turn() == 0
    assert await fired(things) == []
    clock.now = SOON
    assert await worker.turn() == 1
    assert await worker.turn() == 0
    assert await fired(things) == [("holds/1", 1)]
    assert await things.fetchval("SELECT count(*) FROM outbox") == 1


def wrong_by(offset: timedelta) -> type[datetime]:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a plain one, to compare with
            return datetime.now(tz) + offset

    return Wrong


async def test_a_worker_whose_clock_is_ahead_fires_nothing_early(
    things: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    await armed(things, "holds/1", now + timedelta(minutes=1))
    await armed(things, "holds/2", now - timedelta(minutes=1))
    monkeypatch.setattr("common.deadlines.datetime", wrong_by(timedelta(hours=1)))
    worker = DeadlineWorker(things, HANDLERS)
    assert await worker.turn() == 1
    assert await worker.turn() == 0
    assert await fired(things) == [("holds/2", 1)]


async def test_a_worker_whose_clock_is_behind_leaves_to_others_what_has_not_come_for_it(
    things: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its effects go by its own clock: they would find nothing to do yet, and the deadline would have ended."""
    await armed(things, "holds/1", datetime.now(UTC) - timedelta(minutes=1))
    with monkeypatch.context() as wrong:
        wrong.setattr("common.deadlines.datetime", wrong_by(-timedelta(hours=1)))
        assert await DeadlineWorker(things, HANDLERS).turn() == 0
    assert await DeadlineWorker(things, HANDLERS).turn() == 1


async def test_what_cannot_be_locked_waits_and_has_not_failed(things: Pool, dsn: str) -> None:
    """Whoever holds a lock for long has more deadlines given up by it than by any defect of theirs."""
    subjects = ("holds/1", "holds/2")
    for subject in subjects:
        await armed(things, subject, datetime.now(UTC) - timedelta(minutes=1))
    hurried = await create_pool(dsn, min_size=1, max_size=1, application_name="tests", lock_timeout_ms=50)
    try:
        worker = DeadlineWorker(hurried, HANDLERS, max_attempts=1)
        async with transaction(things) as conn:
            await conn.execute("SELECT FROM thing WHERE subject = 'holds/1' FOR UPDATE")
            assert await worker.turn() == 2
        assert await states(things) == [(1, "ARMED"), (1, "DONE")]
        row = await things.fetchrow("SELECT attempts, last_error FROM deadline WHERE subject = 'holds/1'")
        assert row is not None
        assert row["attempts"] == 0
        assert "LockNotAvailable" in row["last_error"]
        assert await worker.turn() == 0, "not again at once"
        await asyncio.sleep(1)
        assert await worker.turn() == 1
    finally:
        await hurried.close()
    assert await fired(things) == [(subject, 1) for subject in subjects]


async def test_armed_again_only_the_newest_counts(things: Pool) -> None:
    clock = Clock()
    worker = DeadlineWorker(things, HANDLERS, clock=clock)
    await armed(things, "holds/1", SOON)
    assert (await armed(things, "holds/1", SOON + timedelta(hours=1))).generation == 2
    clock.now = SOON
    assert await worker.turn() == 0
    clock.now = SOON + timedelta(hours=1)
    assert await worker.turn() == 1
    assert await fired(things) == [("holds/1", 2)]


async def test_cancelled_it_never_fires(things: Pool) -> None:
    clock = Clock()
    await armed(things, "holds/1", SOON)
    async with transaction(things) as conn:
        assert await cancel(conn, "holds/1", "expiry")
        assert not await cancel(conn, "holds/1", "expiry")
        assert not await cancel(conn, "holds/2", "expiry")
    clock.now = SOON
    assert await DeadlineWorker(things, HANDLERS, clock=clock).turn() == 0
    assert await states(things) == [(1, "CANCELLED")]


async def test_an_arming_that_rolls_back_arms_nothing(things: Pool) -> None:
    async def arm_and_fail() -> None:
        async with transaction(things) as conn:
            await arm(conn, "holds/1", "expiry", START)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await arm_and_fail()
    assert await states(things) == []


@pytest.mark.parametrize("change", ["cancel", "rearm"])
async def test_a_change_overtakes_a_worker_that_has_already_claimed(things: Pool, change: str) -> None:
    """The worker has claimed the row and waits for the subject's lock, which the change holds."""
    clock = Clock()
    clock.now = SOON
    await armed(things, "holds/1", SOON)
    claimed = asyncio.Event()

    async def lock(conn: Connection, deadline: Deadline) -> None:
        claimed.set()
        await lock_thing(conn, deadline)

    worker = DeadlineWorker(things, {"expiry": Handler(lock, fire)}, clock=clock)
    async with transaction(things) as conn:
        await conn.execute("SELECT FROM thing WHERE subject = 'holds/1' FOR UPDATE")
        turn = asyncio.create_task(worker.turn())
        await claimed.wait()
        if change == "cancel":
            assert await cancel(conn, "holds/1", "expiry")
        else:
            await arm(conn, "holds/1", "expiry", SOON + timedelta(hours=1))
    assert await turn == 1
    assert await fired(things) == []
    assert await states(things) == [(1, "CANCELLED"), (2, "CANCELLED" if change == "cancel" else "ARMED")]


async def test_arming_at_the_same_moment_without_a_lock_still_leaves_one(things: Pool) -> None:
    async def one() -> int:
        async with transaction(things) as conn:
            return (await arm(conn, "holds/1", "expiry", SOON)).generation

    generations = await asyncio.gather(*(one() for _ in range(4)))
    assert sorted(generations) == [1, 2, 3, 4]
    clock = Clock()
    clock.now = SOON
    worker = DeadlineWorker(things, HANDLERS, clock=clock)
    while await worker.turn():
        pass
    assert await fired(things) == [("holds/1", 4)]


async def test_one_that_fails_takes_no_other_with_it_and_is_tried_later(things: Pool) -> None:
    clock = Clock()
    broken = {"holds/2"}

    async def effect(conn: Connection, deadline: Deadline) -> None:
        await fire(conn, deadline)
        if deadline.subject in broken:
            await conn.execute("SELECT 1 / 0")

    worker = DeadlineWorker(things, {"expiry": Handler(lock_thing, effect)}, clock=clock)
    for number in (1, 2, 3):
        await armed(things, f"holds/{number}", START)
    assert await worker.turn() == 3
    assert await fired(things) == [("holds/1", 1), ("holds/3", 1)]
    assert await things.fetchval("SELECT count(*) FROM outbox") == 2
    assert await worker.turn() == 0
    clock.now += timedelta(seconds=1)
    broken.clear()
    assert await worker.turn() == 1
    assert await fired(things) == [("holds/1", 1), ("holds/2", 1), ("holds/3", 1)]


@pytest.mark.parametrize(("change", "left"), [("arm", "ARMED"), ("cancel", None)])
async def test_an_effect_may_change_its_own_deadline_and_holds_up_no_other(
    things: Pool, change: str, left: str | None
) -> None:
    async def again(conn: Connection, deadline: Deadline) -> None:
        await fire(conn, deadline)
        if change == "arm":
            await arm(conn, deadline.subject, deadline.kind, SOON + timedelta(hours=1))
        else:
            await cancel(conn, deadline.subject, deadline.kind)

    clock = Clock()
    clock.now = SOON
    for subject in ("holds/1", "holds/2"):
        await armed(things, subject, SOON)
    worker = DeadlineWorker(things, {"expiry": Handler(lock_thing, again)}, clock=clock)
    assert await worker.turn() == 2
    assert await fired(things) == [("holds/1", 1), ("holds/2", 1)]
    assert await worker.turn() == 0
    assert [state for generation, state in await states(things) if generation == 2] == [left] * 2 * (
        left is not None
    )


async def test_what_fails_again_and_again_is_given_up_and_told(things: Pool) -> None:
    clock = Clock()

    async def effect(_conn: Connection, deadline: Deadline) -> None:
        raise ValueError(deadline.subject)

    worker = DeadlineWorker(things, {"given_up": Handler(lock_thing, effect)}, clock=clock, max_attempts=3)
    async with transaction(things) as conn:
        await arm(conn, "holds/1", "given_up", START)
    before = ENDED.labels("given_up", "given up")._value.get()
    for _ in range(5):
        await worker.turn()
        clock.now += timedelta(minutes=10)
    row = await things.fetchrow("SELECT state, attempts, last_error FROM deadline")
    assert row is not None
    assert tuple(row) == ("FAILED", 3, "ValueError('holds/1')")
    assert ENDED.labels("given_up", "given up")._value.get() == before + 1


async def test_what_is_due_is_measured(things: Pool) -> None:
    clock = Clock()
    worker = DeadlineWorker(things, {"measured": HANDLERS["expiry"]}, clock=clock)
    async with transaction(things) as conn:
        for number in range(3):
            await arm(conn, f"holds/{number}", "measured", START + timedelta(seconds=number))
    clock.now = START + timedelta(seconds=1)
    await worker.measure()
    assert (DUE.labels("measured")._value.get(), OVERDUE_SECONDS.labels("measured")._value.get()) == (2, 1)
    await worker.turn()
    await worker.measure()
    assert (DUE.labels("measured")._value.get(), OVERDUE_SECONDS.labels("measured")._value.get()) == (0, 0)


async def test_an_ended_deadline_cannot_be_raised_from_the_dead(things: Pool) -> None:
    await armed(things, "holds/1", START)
    await DeadlineWorker(things, HANDLERS, clock=Clock()).turn()
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await things.execute("UPDATE deadline SET state = 'ARMED', ended_at = NULL")
    assert refusal.value.constraint_name == "deadline_ends_once"


async def test_running_workers_share_the_work_while_deadlines_move(things: Pool, dsn: str) -> None:
    """Four workers against callers that re-arm and cancel: each subject fires as its last change says."""
    clock, dice = Clock(), random.Random(7)
    clock.now = SOON
    last: dict[str, int | None] = {}

    async def change(number: int) -> None:
        subject = f"holds/{number}"
        for _ in range(4):
            async with transaction(things) as conn:
                await conn.execute("INSERT INTO thing (subject) VALUES ($1) ON CONFLICT DO NOTHING", subject)
                await conn.execute("SELECT FROM thing WHERE subject = $1 FOR UPDATE", subject)
                if dice.random() < 0.3:
                    cancelled = await cancel(conn, subject, "expiry")
                    last[subject] = None if cancelled else last.get(subject)
                else:
                    last[subject] = (await arm(conn, subject, "expiry", SOON)).generation
            await asyncio.sleep(dice.random() / 50)

    async with AsyncExitStack() as stack:
        for _ in range(4):
            pool = await create_pool(dsn, min_size=1, max_size=2, application_name="worker")
            stack.push_async_callback(pool.close)
            worker = DeadlineWorker(pool, HANDLERS, clock=clock, batch=5, idle_seconds=0.005)
            await stack.enter_async_context(worker.running())
        await asyncio.gather(*(change(number) for number in range(40)))
        while await things.fetchval("SELECT count(*) FROM deadline WHERE state = 'ARMED'"):
            await asyncio.sleep(0.02)
    happened = await fired(things)
    assert len(happened) == len(set(happened))
    newest = dict(happened)
    assert {subject for subject, generation in last.items() if generation} <= newest.keys()
    for subject, generation in last.items():
        if generation is not None:
            assert newest[subject] == generation


async def test_killed_before_commit_every_effect_happens_exactly_once(things: Pool, dsn: str) -> None:
    """Four processes at a time, each of which may die by SIGKILL between an effect and its commit."""
    subjects = [f"holds/{number}" for number in range(300)]
    async with transaction(things) as conn:
        for subject in subjects:
            await conn.execute("INSERT INTO thing (subject) VALUES ($1)", subject)
            await arm(conn, subject, "expiry", START - timedelta(days=365))
    crashes = 0

    async def keep_working(lane: int) -> None:
        nonlocal crashes
        for life in range(100):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "libs.common.tests.deadline_worker", dsn, str(lane * 1000 + life), "0.03",
                cwd=ROOT, env=dict(os.environ),
            )  # fmt: skip
            if await process.wait() == 0:
                return
            assert process.returncode == -signal.SIGKILL
            crashes += 1
        raise AssertionError("it never ended")

    await asyncio.gather(*(keep_working(lane) for lane in range(4)))
    assert crashes > 0
    assert await fired(things) == sorted((subject, 1) for subject in subjects)
    assert await things.fetchval("SELECT count(*) FROM deadline WHERE state <> 'DONE'") == 0


def test_every_service_has_the_same_table() -> None:
    for path in ROOT.glob("services/*/migrations/*.sql"):
        text = path.read_text(encoding="utf-8")
        if "CREATE TABLE deadline " in text:
            assert TABLE in text, f"{path}: copy common.deadlines.TABLE word for word"
