"""Transactions against a real PostgreSQL, and what becomes of its errors."""

import asyncio
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from common import pg
from common.errors import Conflict, DomainError
from common.pg import (
    DatabaseUnavailable,
    Pool,
    borrowed,
    create_pool,
    retry_serialization,
    transaction,
    translate,
)
from prometheus_client import REGISTRY


class Twice(Conflict):
    """The effect has happened."""

    slug = "twice"
    title = "Twice"


def twice() -> DomainError:
    return Twice("it has happened")


async def do(pool: Pool, *statements: str) -> None:
    """All of them in one transaction, with the effect's constraint translated."""
    async with transaction(pool) as conn:
        with translate({"effect_happens_once": twice}):
            for statement in statements:
                await conn.execute(statement)


async def count(pool: Pool) -> int:
    total: int = await pool.fetchval("SELECT count(*) FROM effect")
    return total


async def test_a_transaction_commits_on_exit_and_rolls_back_on_raise(pool: Pool) -> None:
    await do(pool, "INSERT INTO effect VALUES (1)")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await do(pool, "INSERT INTO effect VALUES (2)", "SELECT 1 / 0")
    assert await count(pool) == 1


async def test_the_isolation_asked_for_is_the_one_given(pool: Pool) -> None:
    for isolation, shown in (("read_committed", "read committed"), ("serializable", "serializable")):
        async with transaction(pool, isolation=isolation) as conn:  # type: ignore[arg-type]  # both are literals
            assert await conn.fetchval("SHOW transaction_isolation") == shown
    async with transaction(pool, readonly=True) as conn:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await conn.execute("INSERT INTO effect VALUES (1)")


async def test_the_server_keeps_the_time_limits(dsn: str) -> None:
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="limits")
    wanted = {
        "statement_timeout": "5s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "10s",
        "application_name": "limits",
        "TimeZone": "UTC",
    }
    shown = {name: await pool.fetchval(f"SHOW {name}") for name in wanted}
    await pool.close()
    assert shown == wanted


async def test_a_slow_statement_is_unavailability(dsn: str) -> None:
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="slow", statement_timeout_ms=1_000)
    with pytest.raises(DatabaseUnavailable) as slow:
        async with transaction(pool) as conn:
            await conn.execute("SELECT pg_sleep(9)")
    assert slow.value.retry_after == 1
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


async def test_waiting_too_long_for_a_lock_is_unavailability(dsn: str, pool: Pool) -> None:
    hasty = await create_pool(dsn, min_size=1, max_size=1, application_name="hasty", lock_timeout_ms=50)
    async with transaction(pool) as holder:
        await holder.execute("LOCK TABLE effect")
        with pytest.raises(DatabaseUnavailable):
            async with transaction(hasty) as conn:
                await conn.execute("LOCK TABLE effect")
    await hasty.close()


async def test_waiting_too_long_for_a_connection_is_unavailability(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg, "ACQUIRE_TIMEOUT_SECONDS", 1.0)
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="small")
    async with transaction(pool):
        with pytest.raises(DatabaseUnavailable):
            async with transaction(pool):
                pytest.fail("there is only one connection")
    async with transaction(pool) as conn:
        assert await conn.fetchval("SELECT 1") == 1
    await pool.close()


async def test_a_cancelled_transaction_keeps_neither_its_lock_nor_its_connection(dsn: str) -> None:
    """A request that is given up in the middle: the next one finds lock and connection free."""
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="small")
    holding = asyncio.Event()

    async def hold() -> None:
        async with transaction(pool) as conn:
            await conn.execute("LOCK TABLE effect")
            holding.set()
            await conn.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hold())
    await holding.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with transaction(pool) as conn:
        await conn.execute("LOCK TABLE effect NOWAIT")
    await pool.close()


async def test_nobody_waits_for_a_connection_to_go_back_and_it_does(dsn: str) -> None:
    """Leaving does not give the event loop a turn; whoever needs the one connection there is gets it all the same."""
    small = await create_pool(dsn, min_size=1, max_size=1, application_name="test")
    for _ in range(3):
        borrowing = borrowed(small)
        connection = await borrowing.__aenter__()
        assert await connection.fetchval("SELECT 1") == 1
        with pytest.raises(StopIteration):
            borrowing.__aexit__(None, None, None).send(None)  # a coroutine, stepped by hand
    async with asyncio.timeout(10):
        while not small.get_idle_size():
            await asyncio.sleep(0.01)
    await small.close()


async def test_a_killed_connection_is_unavailability_once(pool: Pool) -> None:
    with pytest.raises(DatabaseUnavailable):
        await do(pool, "INSERT INTO effect VALUES (1)", "SELECT pg_terminate_backend(pg_backend_pid())")
    await do(pool, "INSERT INTO effect VALUES (1)")
    assert await count(pool) == 1


async def test_no_server_is_unavailability(dsn: str) -> None:
    elsewhere = dsn.rsplit("@", 1)[0] + "@127.0.0.1:1/nothing"
    with pytest.raises(DatabaseUnavailable):
        await create_pool(elsewhere, application_name="lost")


async def test_a_named_constraint_becomes_its_domain_error(pool: Pool) -> None:
    await do(pool, "INSERT INTO effect VALUES (1)")
    with pytest.raises(Twice):
        await do(pool, "INSERT INTO effect VALUES (1)")


async def test_any_other_violation_stays_a_defect(pool: Pool) -> None:
    another = "ALTER TABLE effect RENAME CONSTRAINT effect_happens_once TO another_rule"
    with pytest.raises(asyncpg.UniqueViolationError):
        await do(pool, another, "INSERT INTO effect VALUES (1), (1)")


async def test_a_trigger_that_names_a_constraint_is_translated_too(pool: Pool) -> None:
    with pytest.raises(Twice):
        await do(pool, "DO $$ BEGIN RAISE EXCEPTION 'no' USING CONSTRAINT = 'effect_happens_once'; END $$")


async def test_serialization_failures_are_tried_again_and_both_effects_stand(pool: Pool) -> None:
    tries = 0

    async def add_one_row() -> None:
        nonlocal tries
        tries += 1
        async with transaction(pool, isolation="serializable") as conn:
            rows = await conn.fetchval("SELECT count(*) FROM effect")
            await asyncio.sleep(0.05)
            await conn.execute("INSERT INTO effect VALUES ($1)", rows)

    await asyncio.gather(*(retry_serialization(add_one_row, attempts=8) for _ in range(4)))
    assert await count(pool) == 4
    assert tries > 4


async def test_serialization_failures_without_end_are_unavailability() -> None:
    tries = 0

    async def lose() -> None:
        nonlocal tries
        tries += 1
        raise asyncpg.SerializationError

    with pytest.raises(DatabaseUnavailable):
        await retry_serialization(lose, attempts=3)
    assert tries == 3


async def test_a_database_without_room_for_us_is_named_by_one_probe_and_says_why(
    pool: Pool, dsn: str
) -> None:
    """With its connections used up by others, `migrations` was named: the second probe had none to ask by."""
    async with pool.acquire() as admin:
        role, database = f"guest_{uuid4().hex[:12]}", await admin.fetchval("SELECT current_database()")
        await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'guest' CONNECTION LIMIT 1")
        await admin.execute(f'GRANT CONNECT ON DATABASE "{database}" TO {role}')
    where = urlsplit(dsn)
    theirs = where._replace(netloc=f"{role}:guest@{where.hostname}:{where.port}").geturl()
    refused = partial(
        REGISTRY.get_sample_value, "database_unavailable_total", {"why": "TooManyConnectionsError"}
    )
    before = refused() or 0
    try:
        guests = await create_pool(theirs, min_size=0, max_size=4, application_name="tests")
        async with guests.acquire():
            with pytest.raises(DatabaseUnavailable):
                await pg.answers(guests)
            await pg.migrated(guests, "20260101000000")
        await guests.close()
        assert refused() == before + 2
    finally:
        await pool.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_readiness_probes(pool: Pool) -> None:
    await pg.answers(pool)
    await pool.execute("CREATE TABLE schema_migrations (version text)")
    with pytest.raises(DatabaseUnavailable):
        await pg.migrated(pool, "20260101000000")
    await pool.execute("INSERT INTO schema_migrations VALUES ('20260101000000')")
    await pg.migrated(pool, "20260101000000")
