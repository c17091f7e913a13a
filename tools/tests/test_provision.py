"""The provisioned cluster: who may connect where, and what no runtime role may do."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from common.testing import Stack, fresh_database, stack

from tools.stack.layout import ROOT
from tools.stack.postgres import ROLES, SERVICES
from tools.stack.running import output

LOGINS = [(role, database) for database, roles in ROLES.items() for role in roles]
RUNTIME = [(role, database) for role, database in LOGINS if not role.endswith("_migrator")]


@pytest.fixture(scope="module")
def running() -> Stack:
    return stack()


async def connect(running: Stack, role: str, database: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(urlunsplit(urlsplit(running.dsn[role])._replace(path=f"/{database}")))


@pytest.mark.parametrize(("role", "own"), LOGINS)
async def test_a_role_reaches_its_own_database_and_no_other(running: Stack, role: str, own: str) -> None:
    connection = await connect(running, role, own)
    assert await connection.fetchval("SHOW timezone") == "UTC"
    await connection.close()
    for other in {*SERVICES, "postgres"} - {own}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await connect(running, role, other)


@pytest.mark.parametrize(("role", "database"), RUNTIME)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE outbox ADD COLUMN mine int",
        "DROP TABLE outbox",
        "TRUNCATE outbox",
        "ALTER TABLE outbox DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SET ROLE {database}_owner",
        "ALTER ROLE {role} SUPERUSER",
        "GRANT {database}_owner TO {role}",
        "ALTER DATABASE {database} SET jit = on",
    ],
)
async def test_a_runtime_role_defines_nothing_and_becomes_nobody_else(
    running: Stack, role: str, database: str, statement: str
) -> None:
    connection = await connect(running, role, database)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(role=role, database=database))
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_everything_in_a_database_belongs_to_its_owner_who_cannot_log_in(
    running: Stack, service: str
) -> None:
    connection = await connect(running, f"{service}_migrator", service)
    try:
        owners = await connection.fetch(
            "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace"
        )
        assert [row["owner"] for row in owners] == [f"{service}_owner"]
        assert not await connection.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = current_user")
    finally:
        await connection.close()


async def test_what_is_committed_is_on_disk(running: Stack) -> None:
    connection = await asyncpg.connect(running.postgres.superuser_dsn)
    try:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval(f"SHOW {setting}") == "on"
    finally:
        await connection.close()


async def test_the_password_is_wanted(running: Stack) -> None:
    wrong = re.sub(":[^:@]+@", ":guess@", running.postgres.superuser_dsn)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_exactly_the_badge_keys_that_are_given_are_good() -> None:
    """Two while identity changes over, the new one alone afterwards; and none of a list with something else in it."""
    script = ROOT / "deploy" / "postgres" / "badge_keys.sql"
    old, new = f"old:{b64encode(bytes(32)).decode()}", f"new:{b64encode(b'n' * 32).decode()}"
    async with fresh_database("betting") as database:
        migrator = database.dsn("betting_migrator")

        async def give(keys: str) -> None:
            await output(
                "psql",
                "-qX",
                "-v",
                "ON_ERROR_STOP=1",
                migrator,
                given=f"\\set badge_keys '{keys}'\n\\i '{script}'\n",
            )

        async def good() -> dict[str, bytes]:
            connection = await asyncpg.connect(migrator)
            try:
                rows = await connection.fetch("SELECT id, secret FROM badge_key")
                return {row["id"]: row["secret"] for row in rows}
            finally:
                await connection.close()

        await give(old)
        assert await good() == {"old": bytes(32)}
        await give(f"{old} {new}")
        assert await good() == {"old": bytes(32), "new": b"n" * 32}
        await give(new)
        assert await good() == {"new": b"n" * 32}
        for bad in ("", "short:AAAA", f"{old} {old}"):
            with pytest.raises(RuntimeError, match="badge_key"):
                await give(bad)
        assert await good() == {"new": b"n" * 32}
