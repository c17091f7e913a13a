"""The database's own net: what each runtime role tries and may not, and what nobody may."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import product

import asyncpg
import pytest
from common.testing import Database
from payments.domain import deposits, withdrawals
from payments.domain.deposits import DepositState
from payments.domain.withdrawals import WithdrawalState

from services.payments.tests.world import World, new_player

APP, ATTESTOR, RELAY = "payments_app", "payments_attestor", "payments_relay"
REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.IntegrityConstraintViolationError)


@asynccontextmanager
async def connected(database: Database, role: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn(role))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def booked(here: World) -> World:
    """A world with a booked deposit, an attested one, an open claim and a requested withdrawal in it."""
    player = new_player()
    clabe = await here.requests.own_clabe(player)
    await here.deposited(player, "500.00")
    await here.claim(player, await here.rail.transfer(clabe, "70.00"), "70.00")
    await here.verify_all()
    await here.claim(player, await here.rail.transfer(clabe, "80.00"), "80.00")
    await here.withdraw(player, "50.00")
    return here


INVENT_ATTESTATION = """
    INSERT INTO attestation (receipt_id, deposit_id, player, rail, tracking_key, document_sha256, document, purpose,
        account, amount, currency, beneficiary_clabe, ordering_account, ordering_name, occurred_at, issued_at, key_id,
        signature)
    SELECT gen_random_uuid(), d.id, {player}, 'spei', d.tracking_key, sha256('x'), {document}, 'deposit', {account},
        {amount}, 'MXN', {clabe}, '002010077777777771', 'Ana', now(), now(), 'k', decode(repeat('00', 64), 'hex')
    FROM deposit AS d JOIN player_clabe AS c USING (player) WHERE d.state = 'CLAIMED'
"""
OUTBOX_ROW = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    VALUES (0, gen_random_uuid(), '{exchange}', 'ledger.commands.payments', 'x', 1, '{{}}')
"""
WITHDRAWAL = """
    INSERT INTO withdrawal (id, player, clabe, beneficiary_name, amount, currency)
    SELECT gen_random_uuid(), player, clabe, 'Ana', {amount}, 'MXN' FROM payout_clabe
"""
HONEST = {
    "player": "d.player",
    "document": "'x'",
    "account": "'players/' || d.player || '/available'",
    "amount": "d.amount",
    "clabe": "c.clabe",
}


APP_ATTACKS = (
    "INSERT INTO proof_word DEFAULT VALUES",
    "UPDATE proof SET amount = 1",
    "UPDATE proof SET account = 'players/x/available'",
    "UPDATE card_payment SET captured = 1",
    "UPDATE card_payment SET amount = 1",
    "UPDATE card_operation SET amount = 1",
    "UPDATE aml_rule SET threshold = 0",
    "INSERT INTO card_step VALUES ('capture', 'REQUESTED', 'BOOKED')",
    "DELETE FROM review_case",
    "UPDATE review_case SET four_eyes = false",
    "UPDATE webhook SET raw = ''",
    "UPDATE payout_file SET raw = ''",
    "DELETE FROM payout_line",
    "DELETE FROM deadline",
    INVENT_ATTESTATION.format(**HONEST),
    "UPDATE attestation SET amount = 9999",
    "DELETE FROM attestation",
    "TRUNCATE attestation",
    "UPDATE deposit SET state = 'ATTESTED' WHERE state = 'CLAIMED'",
    "UPDATE deposit SET state = 'BOOKED', entry_id = gen_random_uuid(), booked_at = now() WHERE state = 'CLAIMED'",
    "UPDATE deposit SET receipt_id = gen_random_uuid()",
    "UPDATE deposit SET amount = 9999",
    "UPDATE deposit SET amount = 9999 WHERE state = 'CLAIMED'",
    "UPDATE deposit SET player = gen_random_uuid()",
    "UPDATE deposit AS d SET player = c.player FROM player_clabe AS c WHERE d.state = 'CLAIMED'",
    "UPDATE deposit SET tracking_key = 'x'",
    "DELETE FROM deposit",
    (
        "INSERT INTO deposit (id, player, clave, operation_date, institution, tracking_key, amount, currency, state, "
        "window_ends_at) SELECT gen_random_uuid(), player, 'Z', '2026-01-01', '40002', '20260101:40002:Z', 5, 'MXN', "
        "'ATTESTED', now() FROM player_clabe"
    ),
    "INSERT INTO deposit_step VALUES ('CLAIMED', 'ATTESTED', 'payments_app')",
    "UPDATE player_clabe SET player = gen_random_uuid()",
    (
        "INSERT INTO payout_clabe (player, clabe, deposit_id) SELECT player, '012180015555555550', id FROM deposit "
        "WHERE state = 'BOOKED'"
    ),
    (
        "INSERT INTO payout_clabe (player, clabe, deposit_id) SELECT gen_random_uuid(), '002010077777777771', id "
        "FROM deposit WHERE state = 'BOOKED'"
    ),
    "UPDATE withdrawal SET amount = 9999",
    "UPDATE withdrawal SET clabe = '012180015555555550'",
    "UPDATE withdrawal SET state = 'LIQUIDATED', clave = 'X', sends = 1, sent_at = now()",
    "DELETE FROM withdrawal",
    "UPDATE history SET event = 'x'",
    "DELETE FROM history",
    "TRUNCATE history",
    "DELETE FROM outbox",
    "UPDATE outbox SET body = '{}'",
    "DELETE FROM idempotency",
    "DELETE FROM inbox",
    "ALTER TABLE deposit DISABLE TRIGGER ALL",
    "DROP TABLE history",
    "CREATE TABLE mine ()",
    "SET ROLE payments_owner",
    "SET ROLE payments_attestor",
    "SET session_replication_role = replica",
)

ATTESTOR_ATTACKS = (
    "INSERT INTO proof DEFAULT VALUES",
    "UPDATE proof SET entry_id = gen_random_uuid()",
    "UPDATE proof SET amount = 1",
    "UPDATE card_operation SET state = 'BOOKED'",
    "UPDATE arrival SET state = 'RETURNED'",
    "SELECT * FROM review_case",
    "SELECT * FROM webhook",
    "INSERT INTO holder DEFAULT VALUES",
    "UPDATE deposit SET amount = 9999",
    "UPDATE deposit SET amount = 9999 WHERE state = 'CLAIMED'",
    "UPDATE deposit SET player = gen_random_uuid()",
    "UPDATE deposit AS d SET player = c.player FROM player_clabe AS c WHERE d.state = 'CLAIMED'",
    "UPDATE deposit SET entry_id = gen_random_uuid()",
    "UPDATE deposit SET state = 'BOOKED' WHERE state = 'ATTESTED'",
    "UPDATE deposit SET state = 'CLAIMED' WHERE state = 'ATTESTED'",
    "UPDATE deposit SET state = 'REJECTED', reason = 'x' WHERE state = 'BOOKED'",
    "UPDATE deposit SET state = 'VERIFYING' WHERE state = 'BOOKED'",
    "UPDATE deposit SET state = 'ATTESTED' WHERE state = 'CLAIMED'",
    "UPDATE deposit AS d SET receipt_id = a.receipt_id FROM attestation AS a WHERE d.state = 'CLAIMED'",
    "INSERT INTO deposit (id) VALUES (gen_random_uuid())",
    "DELETE FROM deposit",
    "UPDATE attestation SET amount = 9999",
    "DELETE FROM attestation",
    "TRUNCATE attestation",
    INVENT_ATTESTATION.format(**HONEST | {"amount": "d.amount + 1"}),
    INVENT_ATTESTATION.format(**HONEST | {"player": "gen_random_uuid()"}),
    INVENT_ATTESTATION.format(**HONEST | {"clabe": "'002010077777777771'"}),
    INVENT_ATTESTATION.format(**HONEST | {"account": "'players/' || gen_random_uuid() || '/available'"}),
    INVENT_ATTESTATION.format(**HONEST | {"account": "'house/capital'"}),
    INVENT_ATTESTATION.format(**HONEST | {"document": "'another document'"}),
    OUTBOX_ROW.format(exchange="commands"),
    "SELECT * FROM withdrawal",
    "UPDATE withdrawal SET state = 'RESERVED'",
    "SELECT * FROM idempotency",
    "INSERT INTO player_clabe (player, clabe) VALUES (gen_random_uuid(), '646180157000000004')",
    "INSERT INTO payout_clabe (player, clabe, deposit_id) SELECT player, '002010077777777771', id FROM deposit",
    "DELETE FROM history",
    "ALTER TABLE attestation DISABLE TRIGGER ALL",
    "SET ROLE payments_app",
    "SET session_replication_role = replica",
)


async def accepted(database: Database, role: str, statements: Iterable[str]) -> list[str]:
    """The statements that the role could run. Nothing of them stays."""
    ran = []
    async with connected(database, role) as connection:
        for statement in statements:
            trial = connection.transaction()
            await trial.start()
            try:
                await connection.execute(statement)
            except REFUSED:
                continue
            else:
                ran.append(statement)
            finally:
                await trial.rollback()
    return ran


async def test_the_app_can_neither_attest_nor_rewrite(booked: World) -> None:
    """It takes claims, books what is attested and pays."""
    assert await accepted(booked.database, APP, APP_ATTACKS) == []


async def test_the_attestor_can_neither_book_nor_pay_nor_command(booked: World) -> None:
    """It decides claims and signs, for the claim as it was made."""
    assert await accepted(booked.database, ATTESTOR, ATTESTOR_ATTACKS) == []


async def test_the_attacks_fail_for_what_they_change(booked: World) -> None:
    """The honest forms of the same statements pass."""
    attesting = (
        INVENT_ATTESTATION.format(**HONEST),
        "UPDATE deposit SET state = 'VERIFYING' WHERE state = 'CLAIMED'",
        OUTBOX_ROW.format(exchange="events"),
    )
    assert await accepted(booked.database, ATTESTOR, attesting) == list(attesting)
    working = (
        "UPDATE withdrawal SET state = 'RESERVED' WHERE state = 'REQUESTED'",
        "UPDATE deposit SET state = 'BOOKED', entry_id = gen_random_uuid(), booked_at = now() WHERE state = 'ATTESTED'",
        OUTBOX_ROW.format(exchange="commands"),
        WITHDRAWAL.format(amount="1.99"),
    )
    assert await accepted(booked.database, APP, working) == list(working)


async def test_only_exact_positive_pesos_are_money(booked: World) -> None:
    amounts = ("0", "-1", "'NaN'", "'Infinity'", "1e15", "0.001", "1.999")
    statements = [WITHDRAWAL.format(amount=amount) for amount in amounts]
    assert await accepted(booked.database, APP, statements) == []


async def test_only_a_clabe_is_a_clabe(booked: World) -> None:
    clabes = ("646180157000000005", "64618015700000000", "x", "")
    statements = [
        f"INSERT INTO player_clabe (player, clabe) VALUES (gen_random_uuid(), '{clabe}')" for clabe in clabes
    ]
    assert await accepted(booked.database, APP, statements) == []


async def test_the_relay_sees_the_outbox_alone(booked: World) -> None:
    tables = ("deposit", "withdrawal", "attestation", "player_clabe", "history", "inbox", "idempotency")
    statements = [f"SELECT * FROM {table}" for table in tables]
    assert await accepted(booked.database, RELAY, statements) == []
    async with connected(booked.database, RELAY) as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") > 0


async def test_the_same_document_backs_one_deposit(booked: World) -> None:
    """One genuine CEP under a second clave: the cadena does not name the clave, so its hash must be unique."""
    async with connected(booked.database, ATTESTOR) as connection:
        with pytest.raises(asyncpg.UniqueViolationError) as refusal:
            await connection.execute(
                """
                INSERT INTO attestation SELECT gen_random_uuid(), d.id, d.player, 'spei', d.tracking_key,
                    a.document_sha256, a.document, 'deposit', a.account, d.amount, 'MXN', a.beneficiary_clabe,
                    a.ordering_account, a.ordering_name, now(), now(), 'k', a.signature
                FROM deposit AS d, attestation AS a WHERE d.state = 'CLAIMED' LIMIT 1
                """
            )
        assert refusal.value.constraint_name == "attestation_document_is_unique"


async def test_not_even_the_owner_rewrites_what_was_attested(booked: World) -> None:
    for statement in (
        "UPDATE attestation SET amount = 1",
        "DELETE FROM history",
        "TRUNCATE payout_clabe CASCADE",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await booked.owner.execute(statement)


async def test_domain_and_database_know_the_same_steps_of_a_deposit(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT before, after, actor FROM deposit_step WHERE before <> ''")
    known = {(DepositState(row["before"]), DepositState(row["after"])) for row in rows}
    assert known == {
        (before, after)
        for before, after in product(DepositState, DepositState)
        if deposits.may_step(before, after)
    }
    decided = {row["after"] for row in rows if row["actor"] == ATTESTOR}
    assert decided == {"VERIFYING", "NOT_FOUND_YET", "ATTESTED", "REJECTED", "QUARANTINED"}
    assert {row["after"] for row in rows if row["actor"] == APP} == {
        "BOOKED", "QUARANTINED", "SUSPENDED", "REJECTED", "ASSIGNED", "RETURNED",
    }  # fmt: skip


async def test_domain_and_database_know_the_same_steps_of_a_withdrawal(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT before, after FROM withdrawal_step WHERE before <> ''")
    known = {(WithdrawalState(row["before"]), WithdrawalState(row["after"])) for row in rows}
    assert known == {
        (before, after)
        for before, after in product(WithdrawalState, WithdrawalState)
        if withdrawals.may_step(before, after)
    }


async def test_no_step_but_these_can_be_written(booked: World) -> None:
    """Every pair of states, tried on the table itself as the app."""
    async with connected(booked.database, APP) as connection:
        for after in WithdrawalState:
            if after in withdrawals.STEPS[WithdrawalState.REQUESTED] | {WithdrawalState.REQUESTED}:
                continue
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
                await connection.execute("UPDATE withdrawal SET state = $1", after)
            assert refusal.value.constraint_name == "withdrawal_follows_its_states"


async def test_the_clave_stays_for_ever(booked: World) -> None:
    await booked.pay_all()
    async with connected(booked.database, APP) as connection:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await connection.execute("UPDATE withdrawal SET clave = 'ANOTHER' WHERE clave IS NOT NULL")
    assert refusal.value.constraint_name == "withdrawal_clave_stays"


async def test_the_attestors_role_is_of_no_use_elsewhere(booked: World) -> None:
    """CONNECT to another service's database is refused to payments' roles."""
    for role in (APP, ATTESTOR, RELAY):
        dsn = booked.database.dsn(role).replace(f"/{booked.database.name}", "/ledger")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(dsn)
