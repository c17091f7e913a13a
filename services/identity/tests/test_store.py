"""The second net: what the database refuses, whatever the code above it believes, and to whom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from common.testing import Database

from services.identity.tests.people import Owner

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"
ADD = """
    WITH person AS (
        INSERT INTO users (id, email, full_name, birth_date, role, password_hash, registered_at)
        VALUES (gen_random_uuid(), {email}, 'Wanda', {born}, {role}, {hash}, '2026-03-01 05:59:59+00')
        RETURNING id)
    SELECT id FROM person
"""
DOCUMENT = (
    "INSERT INTO holder_document (user_id, kind, value, added_at) VALUES ({id}, {kind}, {value}, now())"
)


def add(**changes: str) -> str:
    good = {"email": "'wanda@example.mx'", "born": "'1931-08-20'", "role": "'bettor'", "hash": f"'{HASH}'"}
    return ADD.format(**(good | changes))


def document(user: object, kind: str = "curp", value: str = "BOXW310820HNERXN09") -> str:
    return DOCUMENT.format(id=f"'{user}'", kind=f"'{kind}'", value=f"'{value}'")


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
        user = await app.fetchval(add())
        await app.execute(document(user))


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (add(email="'Wanda@example.mx'"), "users_email_is_canonical"),
        (add(email="'wánda@example.mx'"), "users_email_is_canonical"),
        (add(email="'=?utf-8?q?a=40b.mx?=@example.mx'"), "users_email_is_read_in_one_way"),
        # Born on 29 February 2008 and registering in the last second before 1 March 2026 in Mexico.
        (add(born="'2008-02-29'"), "users_are_adults"),
        (add(role="'service'"), "users_staff_takes_four_eyes"),
        (add(hash="'un caballo colorado'"), "users_password_is_argon2id"),
        (add(hash="'$argon2i$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA'"), "users_password_is_argon2id"),
    ],
)
async def test_an_unsound_user_is_refused(database: Database, statement: str, constraint: str) -> None:
    async with connected(database, "identity_app") as app:
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(statement)
    assert refusal.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("kind", "value", "constraint"),
    [
        ("curp", "BOXW310820HNERXN0", "holder_document_has_its_form"),
        ("curp", "BOXW310821HNERXN09", "holder_document_is_the_persons"),
        # The 17th character says that this CURP is of this century.
        ("curp", "BOXW310820HNERXNA9", "holder_document_is_the_persons"),
        ("rfc", "BOXW3108201H", "holder_document_has_its_form"),
        ("rfc", "BOXW310821AB1", "holder_document_is_the_persons"),
        ("cpf", "1234567890", "holder_document_has_its_form"),
        ("cpf", "11111111111", "holder_document_is_somebodys"),
        ("cnpj", "1122233300018", "holder_document_has_its_form"),
        ("passport", "G1234", "holder_document_kind_is_known"),
    ],
)
async def test_an_unsound_document_is_refused(
    database: Database, kind: str, value: str, constraint: str
) -> None:
    async with connected(database, "identity_app") as app:
        user = await app.fetchval(add())
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(document(user, kind, value))
    assert refusal.value.constraint_name == constraint


async def test_a_document_is_one_persons(database: Database) -> None:
    async with connected(database, "identity_app") as app:
        first, second = await app.fetchval(add()), await app.fetchval(add(email="'other@example.mx'"))
        await app.execute(document(first))
        with pytest.raises(asyncpg.UniqueViolationError) as refusal:
            await app.execute(document(second))
    assert refusal.value.constraint_name == "holder_document_is_unique"


async def test_an_address_is_one_persons(database: Database) -> None:
    async with connected(database, "identity_app") as app:
        await app.execute(add())
        with pytest.raises(asyncpg.UniqueViolationError) as refusal:
            await app.execute(add())
    assert refusal.value.constraint_name == "users_email_is_unique"


UNTOLD = {
    "a user without an event": ("", "users_change_is_told"),
    "a change without its version": ("UPDATE users SET full_name = 'Other'", "users_change_is_counted"),
    "a version too far": ("UPDATE users SET full_name = 'Other', version = 3", "users_change_is_counted"),
    "a code used again": (
        "UPDATE users SET totp_last_step = 7; UPDATE users SET totp_last_step = 6",
        "users_totp_code_is_used_once",
    ),
    "an account opened again": (
        "UPDATE users SET closed_at = now(), version = 2; UPDATE users SET closed_at = NULL, version = 3",
        "users_closed_stays_closed",
    ),
}


@pytest.mark.parametrize("what", UNTOLD)
async def test_nobody_changes_uncounted_or_untold(database: Database, what: str) -> None:
    statements, constraint = UNTOLD[what]
    async with connected(database, "identity_app") as app:
        await app.execute(document(await app.fetchval(add())))
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(f"{statements}; SET CONSTRAINTS ALL IMMEDIATE")
    assert refusal.value.constraint_name == constraint


async def test_somebody_without_a_document_is_refused(database: Database) -> None:
    async with connected(database, "identity_app") as app:
        user = await app.fetchval(add())
        await app.execute(
            "INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)"
            " SELECT (hashtextextended(a, 0) & 15)::smallint, gen_random_uuid(), 'events', 'x', a, 1, '{}'"
            " FROM (SELECT 'users/' || $1::text) AS told (a)",
            str(user),
        )
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert refusal.value.constraint_name == "users_have_a_document"


async def test_the_past_is_kept_by_the_database(database: Database) -> None:
    async with connected(database, "identity_app") as app:
        await app.execute(add())
        await app.execute("UPDATE users SET full_name = 'Other', version = 2")
        assert await app.fetchval("SELECT full_name FROM user_history") == "Wanda"


async def test_a_revoked_device_stays_revoked(database: Database) -> None:
    async with connected(database, "identity_app") as app:
        user = await app.fetchval(add())
        await app.execute(
            "INSERT INTO device (id, user_id, name, enrolled_at) VALUES (gen_random_uuid(), $1, 'x', now())",
            user,
        )
        await app.execute("UPDATE device SET revoked_at = now()")
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute("UPDATE device SET revoked_at = NULL")
    assert refusal.value.constraint_name == "device_revoked_stays_revoked"


APP_MAY_NOT = [
    "UPDATE users SET birth_date = birth_date",
    "UPDATE holder_document SET value = value",
    "DELETE FROM holder_document",
    "INSERT INTO user_history SELECT * FROM user_history",
    "UPDATE user_history SET full_name = full_name",
    "DELETE FROM user_history",
    "UPDATE device SET user_id = user_id",
    "DELETE FROM device",
    "DELETE FROM users",
    "DELETE FROM approval",
    "UPDATE approval SET requested_by = requested_by",
    "DELETE FROM verification",
    "UPDATE outbound_message SET recipient = recipient",
    "UPDATE kyc_case SET user_id = user_id",
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
    "SELECT * FROM holder_document",
    "SELECT * FROM user_history",
    "SELECT * FROM device",
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
