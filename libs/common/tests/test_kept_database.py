"""A kept copy is as new for whoever asks for it next."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from common.kept_database import KeptDatabase
from common.testing import Database


@pytest.fixture
async def kept() -> AsyncIterator[KeptDatabase]:
    made = KeptDatabase("ledger")
    yield made
    await made.drop()


async def everything(database: Database) -> dict[str, object]:
    """Every row of every table, and every sequence."""
    owner = await asyncpg.connect(database.superuser_dsn)
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    found: dict[str, object] = {
        name: await owner.fetchval(f'SELECT json_agg(t ORDER BY t::text)::text FROM "{name}" AS t')
        for (name,) in tables
    }
    found["sequences"] = await owner.fetch("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
    await owner.close()
    return found


async def test_rows_come_and_go_and_the_copy_stays(kept: KeptDatabase) -> None:
    database = await kept.as_new()
    first = await everything(database)
    assert first["chart"]
    assert first["kind"]
    assert first["entry"] is None
    owner = await asyncpg.connect(database.superuser_dsn)
    await owner.execute("""
        SET session_replication_role = replica;
        INSERT INTO ledger (id, name, chart) VALUES (77, 'stranger', 'el-carril');
        DELETE FROM kind; UPDATE currency SET exponent = 5;
    """)
    assert await everything(database) != first
    again = await kept.as_new()
    assert again == database
    assert await everything(again) == first
    with pytest.raises(asyncpg.InterfaceError):
        assert await owner.fetchval("SELECT 1"), "whoever was connected is not any more"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE posting DISABLE TRIGGER ALL",
        "GRANT INSERT ON posting TO ledger_reader",
        "GRANT UPDATE (amount) ON posting TO ledger_reader",
        "ALTER TABLE balance DROP CONSTRAINT balance_pkey CASCADE",
        "ALTER TABLE entry ALTER COLUMN kind DROP NOT NULL",
        "CREATE INDEX ON posting (amount)",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT CREATE ON SCHEMA public TO ledger_reader",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE ledger_reader IN DATABASE %I SET jit = on', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO ledger_reader', current_database()); END $$",
        "CREATE TABLE heap AS SELECT generate_series(1, 300000)",
        "TRUNCATE api_key CASCADE",
    ],
)
async def test_a_schema_that_was_changed_is_not_kept(kept: KeptDatabase, change: str) -> None:
    database = await kept.as_new()
    owner = await asyncpg.connect(database.superuser_dsn)
    await owner.execute(change)
    await owner.close()
    assert (await kept.as_new()).name != database.name


async def test_a_copy_that_was_filled_is_not_kept(kept: KeptDatabase) -> None:
    database = await kept.as_new()
    owner = await asyncpg.connect(database.superuser_dsn)
    await owner.execute("""
        SET session_replication_role = replica;
        INSERT INTO principal (ledger_id, name, kinds) SELECT 1, repeat('n', 500) || n, '{}' FROM generate_series(1, 20000) AS n
    """)
    await owner.close()
    assert (await kept.as_new()).name != database.name
