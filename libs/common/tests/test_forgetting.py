"""What is old goes, in small batches; what is young, unfinished or still needed is kept, whoever wants it gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from common.deadlines import TABLE, Deadline, DeadlineWorker, Handler, arm, cancel
from common.forgetting import INDEXES, OLDEST_EVENT, TABLES
from common.inbox import first_sight
from common.pg import Connection, Pool, create_pool, transaction

ROOT = Path(__file__).resolve().parents[3]
HEARD = "INSERT INTO inbox (consumer, event_id, received_at) SELECT 'c', gen_random_uuid(), now() - $1 * interval '1 day'"
ENDED = """
    INSERT INTO deadline (subject, kind, generation, due_at, retry_at, state, ended_at)
    SELECT gen_random_uuid()::text, 'k', 1, now(), now(), $2, now() - $1 * interval '1 day'
"""


@pytest.fixture
async def old(dsn: str) -> AsyncIterator[Pool]:
    """A database with both tables and their rules. The pool's login owns everything."""
    pool = await create_pool(dsn, min_size=1, max_size=8, application_name="tests")
    async with transaction(pool) as conn:
        for text in (TABLE, *(f"CREATE INDEX {index}" for index in INDEXES.values()), *TABLES.values()):
            await conn.execute(text)
    yield pool
    await pool.close()


async def test_the_oldest_go_first_so_many_at_a_time_and_the_young_stay(old: Pool) -> None:
    for days in (99, 101, 300, 102):
        await old.execute(HEARD, days)
    assert await old.fetchval("SELECT forget_inbox(2)") == 2
    ages = await old.fetch("SELECT extract(day FROM now() - received_at)::int FROM inbox ORDER BY 1")
    assert [row[0] for row in ages] == [99, 101]
    assert await old.fetchval("SELECT forget_inbox(2)") == 1
    assert await old.fetchval("SELECT forget_inbox(2)") == 0
    assert await old.fetchval("SELECT count(*) FROM inbox") == 1


async def test_of_deadlines_only_history_goes(old: Pool) -> None:
    for days, state in ((91, "DONE"), (91, "CANCELLED"), (89, "DONE"), (400, "FAILED")):
        await old.execute(ENDED, days, state)
    async with transaction(old) as conn:
        await arm(conn, "holds/1", "k", datetime(2020, 1, 1, tzinfo=UTC))
    assert await old.fetchval("SELECT forget_deadline(10)") == 2
    left = await old.fetch("SELECT state FROM deadline ORDER BY state")
    assert [row["state"] for row in left] == ["ARMED", "DONE", "FAILED"]


@pytest.mark.parametrize(
    ("write", "arguments", "delete", "rule"),
    [
        (HEARD, (99,), "DELETE FROM inbox", "inbox_is_kept"),
        (ENDED, (89, "DONE"), "DELETE FROM deadline", "deadline_is_kept"),
        (ENDED, (400, "FAILED"), "DELETE FROM deadline", "deadline_is_kept"),
    ],
)
async def test_nobody_deletes_what_must_be_kept(
    old: Pool, write: str, arguments: tuple[object, ...], delete: str, rule: str
) -> None:
    """Not even the owner, nor a function of the owner's that has another idea of how long."""
    await old.execute(write, *arguments)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await old.execute(delete)
    assert refused.value.constraint_name == rule


async def test_what_overtakes_a_claimed_deadline_is_kept_until_that_one_has_ended(old: Pool) -> None:
    """A worker claimed it, it was cancelled meanwhile, and then every worker was away for a hundred days."""
    fired: list[str] = []

    async def lock(_: Connection, __: Deadline) -> None: ...

    async def effect(_: Connection, deadline: Deadline) -> None:
        fired.append(deadline.subject)

    async with transaction(old) as conn:
        await arm(conn, "holds/1", "k", datetime(2020, 1, 1, tzinfo=UTC))
    async with transaction(old) as claiming:
        await claiming.execute("SELECT FROM deadline FOR UPDATE")
        async with transaction(old) as conn:
            assert await cancel(conn, "holds/1", "k")
    await old.execute("ALTER TABLE deadline DISABLE TRIGGER deadline_ends_once")
    await old.execute("UPDATE deadline SET ended_at = now() - interval '100 days' WHERE generation = 2")
    await old.execute("ALTER TABLE deadline ENABLE TRIGGER deadline_ends_once")
    assert await old.fetchval("SELECT forget_deadline(10)") == 0
    with pytest.raises(asyncpg.CheckViolationError):
        await old.execute("DELETE FROM deadline WHERE generation = 2")
    assert await DeadlineWorker(old, {"k": Handler(lock, effect)}).turn() == 1
    assert fired == []
    assert await old.fetchval("SELECT forget_deadline(10)") == 1, "now nothing armed needs it"


async def test_what_somebody_holds_is_passed_over(old: Pool) -> None:
    await old.execute(HEARD, 101)
    await old.execute(HEARD, 102)
    async with transaction(old) as conn:
        await conn.execute("SELECT FROM inbox ORDER BY received_at LIMIT 1 FOR UPDATE")
        assert await old.fetchval("SELECT forget_inbox(10)") == 1
    assert await old.fetchval("SELECT forget_inbox(10)") == 1


async def test_what_the_inbox_has_forgotten_no_consumer_handles_any_more(old: Pool) -> None:
    """Ten days lie between: more than two machines' clocks are apart."""
    event = uuid4()
    async with transaction(old) as conn:
        assert await first_sight(conn, "c", event)
    await old.execute(
        "UPDATE inbox SET received_at = now() - $1::interval", OLDEST_EVENT + timedelta(days=9, hours=23)
    )
    assert await old.fetchval("SELECT forget_inbox(10)") == 0
    async with transaction(old) as conn:
        assert not await first_sight(conn, "c", event)


@pytest.mark.parametrize("table", TABLES)
def test_every_service_that_has_the_table_forgets_in_the_same_way(table: str) -> None:
    seen = 0
    for service in sorted((ROOT / "services").iterdir()):
        texts = [path.read_text(encoding="utf-8") for path in service.glob("migrations/*.sql")]
        if any(f"CREATE TABLE {table} (" in text for text in texts):
            seen += 1
            index = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {INDEXES[table]};"
            for wanted in (TABLES[table], index):
                assert any(wanted in text for text in texts), f"{service.name}: copy common.forgetting"
    assert seen > 1
