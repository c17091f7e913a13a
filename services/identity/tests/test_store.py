"""The second net: what the database refuses, whatever the code above it believes, and to whom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from common.testing import Database

from services.identity.tests.people import Owner

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"
ADD = """
    INSERT INTO users (id, email, full_name, curp, birth_date, role, password_hash, registered_at)
    VALUES (gen_random_uuid(), {email}, 'Wanda', {curp}, {born}, {role}, {hash}, '2026-03-01 05:59:59+00')
"""


def add(**changes: str) -> str:
    good = {
        "email": "'wanda@example.mx'",
        "curp": "'BOXW310820HNERXN09'",
        "born": "'1931-08-20'",
        "role": "'bettor'",
        "hash": f"'{HASH}'",
    }
    return ADD.format(**(good | changes))


@asynccontextmanager
async def connected(database: Database, role: str) -> AsyncIterator[Owner]:
    """As that role, in a transaction that is rolled back."""
    connection = await asyncpg.connect(database.dsn(role))
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def test_a_sound_user_is_accepted(database: Database) -> None:
    async with connected(database, "identity_app") as app:
        await app.execute(add())


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (add(email="'Wanda@example.mx'"), "users_email_is_canonical"),
        (add(email="'wánda@example.mx'"), "users_email_is_canonical"),
        (add(curp="'BOXW310820HNERXN0'"), "users_curp_has_its_form"),
        (add(born="'1931-08-21'"), "users_birth_date_is_the_curps"),
        # The 17th character says that this CURP is of the last century.
        (add(curp="'BOXW050820HNERXN07'", born="'2005-08-20'"), "users_birth_date_is_the_curps"),
        # Born on 29 February 2008 and registering in the last second before 1 March 2026 in Mexico.
        (add(curp="'LOGA080229MDFPRNA6'", born="'2008-02-29'"), "users_are_adults"),
        (add(role="'service'"), "users_role_is_known"),
        (add(hash="'un caballo colorado'"), "users_password_is_argon2id"),
        (add(hash="'$argon2i$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA'"), "users_password_is_argon2id"),
    ],
)
async def test_an_unsound_user_is_refused(database: Database, statement: str, constraint: str) -> None:
    async with connected(database, "identity_app") as app:
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(statement)
    assert refusal.value.constraint_name == constraint


@pytest.mark.parametrize("constraint", ["users_email_is_unique", "users_curp_is_unique"])
async def test_nobody_is_added_twice(database: Database, constraint: str) -> None:
    other = {"users_email_is_unique": "curp", "users_curp_is_unique": "email"}[constraint]
    different = {"curp": "'BOXW310820HNERXN17'", "email": "'other@example.mx'"}[other]
    async with connected(database, "identity_app") as app:
        await app.execute(add())
        with pytest.raises(asyncpg.UniqueViolationError) as refusal:
            await app.execute(add(**{other: different}))
    assert refusal.value.constraint_name == constraint


APP_MAY_NOT = [
    "UPDATE users SET role = 'admin'",
    "UPDATE users SET curp = curp",
    "UPDATE users SET email = email",
    "DELETE FROM users",
    "TRUNCATE users",
    "ALTER TABLE users DISABLE TRIGGER ALL",
    "ALTER TABLE users DROP CONSTRAINT users_are_adults",
    "CREATE TABLE mine (x int)",
    "SELECT * FROM outbox",
    "DELETE FROM outbox",
    "UPDATE outbox SET body = '{}'",
    "DELETE FROM idempotency",
    "UPDATE idempotency SET fingerprint = fingerprint",
    "SET ROLE identity_owner",
]
RELAY_MAY_NOT = [
    "SELECT * FROM users",
    "SELECT * FROM idempotency",
    "INSERT INTO outbox (shard) VALUES (0)",
    "UPDATE outbox SET body = '{}'",
    "UPDATE outbox_shard SET shard = shard",
    "DELETE FROM outbox_shard",
    "CREATE TABLE mine (x int)",
    "SET ROLE identity_owner",
]


@pytest.mark.parametrize(
    ("role", "statement"),
    [("identity_app", each) for each in APP_MAY_NOT] + [("identity_relay", each) for each in RELAY_MAY_NOT],
)
async def test_a_role_can_do_its_work_and_nothing_else(database: Database, role: str, statement: str) -> None:
    async with connected(database, role) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_the_relay_can_do_its_work(database: Database) -> None:
    async with connected(database, "identity_relay") as relay:
        await relay.execute("SELECT shard FROM outbox_shard WHERE shard = 3 FOR UPDATE SKIP LOCKED")
        await relay.execute("SELECT body FROM outbox WHERE shard = 3 ORDER BY id LIMIT 200")
        await relay.execute("DELETE FROM outbox WHERE shard = 3 AND id = 1")
