"""The outbox (and the inbox) is the same table in every service, whatever its migrations did to get there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files
from uuid import uuid4

import asyncpg
import pytest
from common.forgetting import INDEXES, TABLES
from common.testing import Stack, in_database, stack

from tools.stack.postgres import SERVICES

EVERYWHERE = ("outbox", "outbox_shard", "outbox_sent")
WHERE_CONSUMED = ("inbox", "inbox_version")

SHAPE = """
    SELECT 'column' AS what, to_char(attnum, '000') AS at,
           concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
                     pg_get_expr(adbin, adrelid)) AS is
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', conname, conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE conrelid = to_regclass($1)
    UNION ALL
    SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index WHERE indrelid = to_regclass($1)
    UNION ALL
    SELECT 'option', option, option FROM pg_class, unnest(reloptions) AS option WHERE oid = to_regclass($1)
    ORDER BY what, at
"""
GRANTS = """
    SELECT relname || ' ' || privilege_type FROM pg_class, aclexplode(relacl)
    WHERE relname = ANY ($2) AND grantee = $1::text::regrole
    UNION ALL
    SELECT attrelid::regclass || '.' || attname || ' ' || privilege_type FROM pg_attribute, aclexplode(attacl)
    WHERE attrelid::regclass::text = ANY ($2) AND grantee = $1::text::regrole
"""
DELETERS = """
    SELECT relname, grantee::regrole FROM pg_class, aclexplode(relacl)
    WHERE relname = ANY ($1) AND privilege_type IN ('DELETE', 'TRUNCATE') AND grantee <> relowner
"""
FORGETTERS = """
    SELECT proname::text, CASE grantee WHEN 0 THEN 'everybody' ELSE grantee::regrole::text END
    FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
    WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'forget\\_%' AND grantee <> proowner
"""
RELAY_MAY = {
    "outbox SELECT",
    "outbox DELETE",
    "outbox_shard SELECT",
    "outbox_shard.claim UPDATE",
    "outbox_sent SELECT",
    "outbox_sent.until UPDATE",
    "schema_migrations SELECT",
}


@pytest.fixture(scope="module")
def running() -> Stack:
    return stack()


async def shape(dsn: str, table: str) -> list[tuple[str, str]]:
    """Columns, constraints, indexes and storage options of a table; empty when there is none."""
    connection = await asyncpg.connect(dsn)
    try:
        return [(row["what"], row["is"]) for row in await connection.fetch(SHAPE, f"public.{table}")]
    finally:
        await connection.close()


@pytest.fixture
async def model(running: Stack) -> AsyncIterator[str]:
    """A database made from the file that says how the tables are."""
    name = f"messages_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(running.postgres.superuser_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    dsn = in_database(running.postgres.superuser_dsn, name)
    connection = await asyncpg.connect(dsn)
    await connection.execute((files("common") / "messages.sql").read_text(encoding="utf-8"))
    await connection.execute(f"CREATE INDEX {INDEXES['inbox']}")
    await connection.close()
    yield dsn
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_outbox_is_the_same_in_every_service(running: Stack, model: str, service: str) -> None:
    database = in_database(running.postgres.superuser_dsn, service)
    for table in EVERYWHERE:
        assert await shape(database, table) == await shape(model, table), f"{service}.{table}"
    for table in WHERE_CONSUMED:
        assert await shape(database, table) in ([], await shape(model, table)), f"{service}.{table}"


@pytest.mark.parametrize("service", SERVICES)
async def test_a_relay_may_do_its_work_and_nothing_else(running: Stack, service: str) -> None:
    connection = await asyncpg.connect(in_database(running.postgres.superuser_dsn, service))
    try:
        tables = [
            row[0]
            for row in await connection.fetch("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")
        ]
        granted = {row[0] for row in await connection.fetch(GRANTS, f"{service}_relay", tables)}
        sixteen = [
            await connection.fetchval(f"SELECT array_agg(shard ORDER BY shard) FROM {table}")
            for table in ("outbox_shard", "outbox_sent")
        ]
    finally:
        await connection.close()
    assert granted == RELAY_MAY
    assert sixteen == [list(range(16))] * 2


@pytest.mark.parametrize("service", SERVICES)
async def test_only_the_relay_forgets_and_only_by_the_function(running: Stack, service: str) -> None:
    """No login may delete a row of these tables; the relay's may have the database do it."""
    connection = await asyncpg.connect(in_database(running.postgres.superuser_dsn, service))
    try:
        deleters = await connection.fetch(DELETERS, [*TABLES, "idempotency"])
        forgetters = await connection.fetch(FORGETTERS)
        there = await connection.fetch("SELECT relname FROM pg_class WHERE relname = ANY ($1)", list(TABLES))
    finally:
        await connection.close()
    assert [tuple(row) for row in deleters] == []
    assert {tuple(row) for row in forgetters} == {
        (f"forget_{row['relname']}", f"{service}_relay") for row in there
    }


async def test_a_difference_would_be_seen(model: str) -> None:
    """The comparison can fail: a default, an option, a nullable column each change the shape."""
    before = await shape(model, "outbox")
    connection = await asyncpg.connect(model)
    for change in (
        "ALTER TABLE outbox ALTER version DROP NOT NULL",
        "ALTER TABLE outbox RESET (autovacuum_vacuum_threshold)",
        "CREATE INDEX extra ON outbox (created_at)",
    ):
        was = await shape(model, "outbox")
        await connection.execute(change)
        assert await shape(model, "outbox") != was
    await connection.close()
    assert {what for what, _ in before} == {"column", "constraint", "index", "option"}
