"""The attacks on the receipt invariant, by name: no money without a receipt, no receipt twice, no way around.

Each runs as a role that really exists, on a ledger in use, and must be refused. Afterwards the books are sound and
the players have exactly what they had.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from common.testing import Database
from contracts.receipts import Attestation, Purpose, Statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger.attestation import verified
from ledger.domain import refusals

from services.ledger.tests.forgery import ROLES, Line, Scene, available, held, open_scene
from services.ledger.tests.vocabulary import (
    connected,
    deposit,
    hold,
    match,
    open_bank,
    posted,
    refused,
    settle,
)

Attack = Callable[[Scene], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}


def attack(name: str) -> Callable[[Attack], Attack]:
    def named(function: Attack) -> Attack:
        ATTACKS[name] = function
        return function

    return named


def credit(player: str, amount: str = "100", bank: str = "bank/spei") -> list[Line]:
    return [(bank, amount, None), (available(player), f"-{amount}", None)]


async def sql_refused(scene: Scene, statement: str, *roles: str) -> None:
    """The statement fails as each of these roles."""
    for role in roles or ROLES:
        with pytest.raises(asyncpg.PostgresError):
            await scene.at[role].execute(statement)


COPY = (
    "INSERT INTO receipt (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency, occurred_at, "
    "key_id, attestation, signature) SELECT gen_random_uuid(), ledger_id, rail, {key}, {document}, purpose, account, amount, "
    "currency, occurred_at, key_id, attestation, signature FROM receipt LIMIT 1"
)


async def receipt_refused(scene: Scene, rule: str, *, key: str, document: str = "sha256('other')") -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        await scene.at["ledger_receipts"].execute(COPY.format(key=key, document=document))
    assert refusal.value.constraint_name == rule


@attack("spending a receipt twice")
async def _(scene: Scene) -> None:
    spent = await scene.at["ledger_reader"].fetchrow(
        "SELECT receipt_id, account, amount FROM receipt_use LIMIT 1"
    )
    assert spent is not None
    player = spent["account"].split("/")[1]
    lines = credit(player, str(spent["amount"]))
    assert await scene.forge("deposit", lines, receipt=spent["receipt_id"]) == "receipt_is_spent_once"
    again = await scene.bank.engine.post(deposit(player, spent["amount"], spent["receipt_id"]))
    assert refused(again) == "receipt-spent"


@attack("the same tracking key")
async def _(scene: Scene) -> None:
    await receipt_refused(scene, "receipt_tracking_key_is_unique", key="tracking_key")


@attack("a case variant of the key")
async def _(scene: Scene) -> None:
    await receipt_refused(scene, "receipt_tracking_key_is_canonical", key="lower(tracking_key)")
    await receipt_refused(scene, "receipt_tracking_key_is_canonical", key="tracking_key || ' '")


@attack("the same cadena under another clave")
async def _(scene: Scene) -> None:
    await receipt_refused(scene, "receipt_document_is_unique", key="'ANOTHER'", document="document_sha256")


def _statement(player: str, key_id: str = "attestor-1") -> Statement:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Statement(
        receipt_id=uuid4(),
        rail="spei",
        tracking_key="20261121:40002:ABC",
        document_sha256="0" * 64,
        purpose=Purpose.DEPOSIT,
        account=available(player),
        amount="100.00",
        currency="MXN",
        occurred_at=now,
        issued_at=now,
        key_id=key_id,
    )


@attack("an invented or a forged receipt")
async def _(scene: Scene) -> None:
    assert await scene.forge("deposit", credit(scene.poor), receipt=uuid4()) == "receipt_matches_entry"
    assert await scene.forge("deposit", credit(scene.poor)) == "entry_receipt_as_kind_says"
    ours, theirs = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    trusted = {"attestor-1": ours.public_key()}
    honest = _statement(scene.poor).signed(ours.sign)
    assert verified(honest, trusted, 1).amount == 100
    forgeries: list[Attestation] = [
        _statement(scene.poor).signed(theirs.sign),
        _statement(scene.poor, "attestor-2").signed(ours.sign),
        honest.model_copy(update={"amount": "1000.00"}),
        honest.model_copy(update={"account": available(scene.rich)}),
        honest.model_copy(update={"tracking_key": "20261121:40002:ABD"}),
        honest.model_copy(update={"document_sha256": "1" * 64}),
        honest.model_copy(update={"purpose": Purpose.HOUSE_FUND}),
        honest.model_copy(update={"signature": base64.b64encode(bytes(64)).decode()}),
    ]
    for forged in forgeries:
        with pytest.raises(refusals.BadAttestation):
            verified(forged, trusted, 1)


@attack("crediting another player")
async def _(scene: Scene) -> None:
    receipt = await scene.bank.receipt(scene.poor, Decimal(100))
    assert await scene.forge("deposit", credit(scene.rich), receipt=receipt) == "receipt_matches_entry"


@attack("above the receipt, and split in two")
async def _(scene: Scene) -> None:
    receipt = await scene.bank.receipt(scene.poor, Decimal(100))
    for amount in ("100.01", "200", "50"):
        forged = await scene.forge("deposit", credit(scene.poor, amount), receipt=receipt)
        assert forged == "receipt_matches_entry"
    for _ in range(2):
        assert (
            await scene.forge("deposit", credit(scene.poor, "50"), receipt=receipt) == "receipt_matches_entry"
        )


@attack("through a bet's kind")
async def _(scene: Scene) -> None:
    for kind in ("bet.release", "bet.hold", "bet.match", "bet.void"):
        assert await scene.forge(kind, credit(scene.poor)) == "posting_fits_template"


@attack("from clearing")
async def _(scene: Scene) -> None:
    refund: list[Line] = [("refunds/chaos/clearing", "100", uuid4()), (available(scene.poor), "-100", None)]
    assert await scene.forge("refund.fail", refund) in {"hold_is_bound", "balance_not_below_floor"}
    suspense: list[Line] = [("suspense/spei", "100", None), (available(scene.poor), "-100", None)]
    assert await scene.forge("suspense.assign", suspense) == "entry_receipt_as_kind_says"
    owed: list[Line] = [("psp/chaos/receivable", "100", None), (available(scene.poor), "-100", None)]
    assert await scene.forge("refund.returned", owed) == "entry_receipt_as_kind_says"


@attack("an admin's insert")
async def _(scene: Scene) -> None:
    """The back office reads; it has no statement that writes money."""
    for table in ("entry", "posting", "balance", "receipt", "receipt_use"):
        await sql_refused(
            scene,
            f"INSERT INTO {table} SELECT * FROM {table}",
            "ledger_reader",
            "ledger_keys",
            "ledger_relay",
        )


@attack("an unbalanced entry")
async def _(scene: Scene) -> None:
    lines: list[Line] = [(available(scene.rich), "10", None), (held(scene.rich), "-11", uuid4())]
    assert await scene.forge("bet.hold", lines) == "entry_balances"


LATE = """
    INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance)
    SELECT 1, {sequence}, 2 + row_number() OVER (), a.id, b.sequence + 1, wanted.side * 5, b.amount + wanted.side * 5
      FROM (VALUES ('{debit}', 1), ('{credit}', -1)) AS wanted (path, side)
      JOIN account a USING (path) JOIN balance b ON b.account_id = a.id
"""


@attack("a late append to a deposit")
async def _(scene: Scene) -> None:
    statement = LATE.format(sequence=1, debit="bank/spei", credit=available(scene.poor))
    with pytest.raises(asyncpg.CheckViolationError):
        await scene.at["ledger_posting"].execute(statement)


@attack("a new kind")
async def _(scene: Scene) -> None:
    await sql_refused(scene, "INSERT INTO kind (chart, name) VALUES ('el-carril', 'grant')")
    await sql_refused(scene, "INSERT INTO kind_leg VALUES ('el-carril', 'bet.release', 'debit', 'bank')")
    assert await scene.forge("grant", credit(scene.poor)) in {
        "posting_fits_template",
        "principal_may_post_kind",
    }


@attack("UPDATE")
async def _(scene: Scene) -> None:
    for table, column in {"posting": "amount", "entry": "kind", "balance": "amount", "receipt": "amount",
                          "receipt_use": "amount", "hold": "remaining"}.items():  # fmt: skip
        await sql_refused(scene, f"UPDATE {table} SET {column} = {column}")


@attack("TRUNCATE")
async def _(scene: Scene) -> None:
    for table in ("posting", "entry", "receipt_use", "receipt"):
        await sql_refused(scene, f"TRUNCATE {table} CASCADE")
        await sql_refused(scene, f"DELETE FROM {table}")


@attack("disabling a trigger")
async def _(scene: Scene) -> None:
    for statement in (
        "ALTER TABLE posting DISABLE TRIGGER ALL",
        "ALTER TABLE posting DISABLE TRIGGER posting_added",
        "DROP TRIGGER posting_added ON posting",
        "CREATE OR REPLACE FUNCTION refuse(rule text, message text) RETURNS void LANGUAGE sql AS ''",
    ):
        await sql_refused(scene, statement)


@attack("the replica role")
async def _(scene: Scene) -> None:
    await sql_refused(scene, "SET session_replication_role = replica")


@attack("relabelling an account")
async def _(scene: Scene) -> None:
    await sql_refused(scene, "UPDATE account SET class = 'bank', floored = false")
    await sql_refused(scene, "UPDATE account SET path = 'bank/mine' WHERE path LIKE 'players/%'")
    await sql_refused(
        scene, "INSERT INTO account (ledger_id, path, currency, class) VALUES (1, 'x', 'MXN', 'bank')"
    )


@attack("SET ROLE to the owner")
async def _(scene: Scene) -> None:
    for owner in ("ledger_owner", "ledger_migrator", "postgres"):
        await sql_refused(scene, f"SET ROLE {owner}")
        await sql_refused(scene, f"SET SESSION AUTHORIZATION {owner}")


@attack("a house account that never received money pays out")
async def _(scene: Scene) -> None:
    for house, kind in (
        ("house/capital", "bet.settle"),
        ("house/commission", "bet.settle"),
        ("house/reserve", "deposit"),
    ):
        lines: list[Line] = [(house, "10", None), (available(scene.poor), "-10", None)]
        assert await scene.forge(kind, lines) == "posting_fits_template"
    empty: list[Line] = [(f"markets/{uuid4()}/escrow", "10", None), (available(scene.poor), "-10", None)]
    assert await scene.forge("bet.settle", empty) != "posted"


async def _settled(scene: Scene) -> None:
    """The market of the scene, matched and settled in favour of whoever was rich."""
    bank, offer = scene.bank, uuid4()
    assert posted(await bank.engine.post(hold(scene.poor, Decimal(50), scene.market, offer)))
    stakes = match(scene.market, (scene.rich, scene.offer, Decimal(40)), (scene.poor, offer, Decimal(50)))
    assert posted(await bank.engine.post(stakes))
    assert posted(await bank.engine.post(settle(scene.market, {available(scene.rich): Decimal(90)})))


@attack("settling the same bet twice")
async def _(scene: Scene) -> None:
    await _settled(scene)
    for version in (1, 2):
        again = settle(scene.market, {available(scene.rich): Decimal(90)}, version=version)
        assert not posted(await scene.bank.engine.post(again))
    lines: list[Line] = [(f"markets/{scene.market}/escrow", "90", None), (available(scene.rich), "-90", None)]
    columns = {
        "settlement_version": 1,
        "settlement_total": Decimal(90),
        "settlement_chunk": 1,
        "settlement_chunks": 1,
    }
    assert await scene.forge("bet.settle", lines, **columns) in {
        "balance_not_below_floor", "entry_settlement_chunk_is_unique", "settlement_matches_header",
    }  # fmt: skip


@attack("a late append to a settled bet")
async def _(scene: Scene) -> None:
    await _settled(scene)
    last = await scene.next_sequence() - 1
    statement = LATE.format(sequence=last, debit="bank/spei", credit=available(scene.poor))
    with pytest.raises(asyncpg.PostgresError):
        await scene.at["ledger_posting"].execute(statement)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    """Whatever happens, the players have exactly what receipts say."""
    async with open_scene(database) as opened:
        yield opened
        async with connected(database, "superuser") as connection:
            players = await connection.fetchval(
                "SELECT -sum(amount) FROM balance JOIN account ON id = account_id WHERE owner_kind IS NOT NULL"
            )
            receipts = await connection.fetchval("SELECT sum(amount) FROM receipt_use")
            assert players == receipts


@pytest.mark.parametrize("name", ATTACKS)
async def test_refused(scene: Scene, name: str) -> None:
    await ATTACKS[name](scene)


def test_the_list_is_whole() -> None:
    assert len(ATTACKS) == 22


async def test_of_sixteen_racers_for_one_receipt_one_wins(scene: Scene) -> None:
    """Two engines, sixteen keys, one receipt. What is won is a receipt's worth, once."""
    receipt = await scene.bank.receipt(scene.poor, Decimal(100))
    async with AsyncExitStack() as stack:
        other = await open_bank(scene.bank.database, stack)
        answers = await asyncio.gather(
            *(
                engine.post(deposit(scene.poor, Decimal(100), receipt))
                for _ in range(8)
                for engine in (scene.bank.engine, other.engine)
            )
        )
    assert [posted(answer) for answer in answers].count(True) == 1
    async with connected(scene.bank.database, "superuser") as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM receipt_use WHERE receipt_id = $1", receipt) == 1
        )


def test_a_new_key_of_the_attestors_does_not_make_old_receipts_unverifiable() -> None:
    """Rotation adds a public key; the old one stays. A key that was taken away verifies nothing any more."""
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    trusted = {"attestor-1": old.public_key(), "attestor-2": new.public_key()}
    player = str(uuid4())
    before, after = _statement(player).signed(old.sign), _statement(player, "attestor-2").signed(new.sign)
    for attestation in (before, after):
        assert verified(attestation, trusted, 1).key_id == attestation.key_id
    with pytest.raises(refusals.BadAttestation):
        verified(before, {"attestor-2": new.public_key()}, 1)
