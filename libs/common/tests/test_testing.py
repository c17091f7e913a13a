"""A copied database is guarded like its original."""

import asyncpg
import pytest
from common.testing import fresh_database, stack


async def test_a_copy_has_the_tables_and_the_reference_data() -> None:
    async with fresh_database("betting") as made:
        conn = await asyncpg.connect(made.dsn("betting_relay"))
        assert await conn.fetchval("SELECT count(*) FROM outbox_shard") == 16
        assert await conn.fetchval("SELECT current_database()") == made.name
        await conn.close()


async def test_a_copy_admits_its_own_roles_only() -> None:
    async with fresh_database("betting") as made:
        stranger = stack().dsn["ledger_posting"].rpartition("/")[0] + f"/{made.name}"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(stranger)
        with pytest.raises(KeyError):
            made.dsn("ledger_posting")


async def test_a_copy_keeps_the_settings_and_the_owner_of_the_original() -> None:
    async with fresh_database("betting") as made:
        original, copy = [await _identity(name, made.superuser_dsn) for name in ("betting", made.name)]
        assert copy == original
        assert original["settings"]


async def test_copies_are_independent_and_gone_afterwards() -> None:
    async with fresh_database("betting") as first, fresh_database("betting") as second:
        assert first.name != second.name
    admin = await asyncpg.connect(stack().postgres.superuser_dsn)
    left = await admin.fetchval(
        "SELECT count(*) FROM pg_database WHERE datname IN ($1, $2)", first.name, second.name
    )
    await admin.close()
    assert left == 0


async def _identity(name: str, superuser_dsn: str) -> asyncpg.Record:
    """What belongs to a database besides its tables."""
    admin = await asyncpg.connect(superuser_dsn)
    row = await admin.fetchrow(_IDENTITY, name)
    await admin.close()
    assert row is not None
    return row


_IDENTITY = """
    SELECT pg_get_userbyid(datdba) AS owner,
           ARRAY(SELECT acl::text FROM unnest(datacl) AS acl ORDER BY acl::text) AS privileges,
           ARRAY(SELECT setrole::regrole::text || ' ' || setting FROM pg_db_role_setting, unnest(setconfig) AS setting
                 WHERE setdatabase = pg_database.oid ORDER BY 1) AS settings
    FROM pg_database WHERE datname = $1
"""
