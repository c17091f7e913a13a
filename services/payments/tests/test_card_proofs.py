"""The attestor's word for captures: what it finds, and nothing that payments says."""

from decimal import Decimal
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from payments.domain.accounts import uncleared
from payments.domain.cards import Act, OperationState

from services.payments.tests.card_scene import captured, found, pay
from services.payments.tests.railhouse import PSP_KEY, PSP_READ_KEY
from services.payments.tests.world import World, new_player


async def test_the_attestor_attests_nothing_but_what_it_finds(here: World) -> None:
    """Somebody past the database's own rule asks for twice the amount of a real capture, and for objects that are
    none."""
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    _, operations = await found(here, payment_id)
    capture = operations[Act.CAPTURE]
    await here.owner.execute(
        "SET session_replication_role = replica; DELETE FROM proof_word; DELETE FROM proof;"
    )
    ask = """
        INSERT INTO proof (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, reference, asked_at,
                           due_at) VALUES ($1, 'card.capture', 'chaos', $2, $3, $4, $5, 'MXN', 'x', now(), now())
    """
    key = f"CAPTURE:{(capture.psp_id or '').upper()}"
    for subject, tracking_key, amount in (
        (capture.id, key, Decimal("200.00")),
        (uuid4(), key, Decimal("100.00")),
        (operations[Act.AUTHORIZE].id, "CAPTURE:OP_NOWHERE", Decimal("100.00")),
    ):
        await here.owner.execute(ask, uuid4(), tracking_key, subject, uncleared(player), amount)
    for proof in await here.witness.lease(16):
        await here.witness.attest(proof)
    states = await here.owner.fetch("SELECT state, reason FROM proof")
    assert {row["state"] for row in states} == {"CONFLICTED"}, [tuple(row) for row in states]
    assert sorted(row["reason"] for row in states) == ["amount-differs", "another-object", "another-object"]
    assert await here.owner.fetchval("SELECT count(*) FROM proof_word") == 0


async def settle(here: World) -> asyncpg.Record:
    """A settlement file that was imported, and the proof that is asked for; it has not been attested yet."""
    await here.psp.ask("POST", "/control/payout")
    assert await here.settlements.import_new() == 1
    (proof,) = await here.owner.fetch("SELECT * FROM proof WHERE purpose = 'card.settle' AND state = 'ASKED'")
    return proof


async def attested(
    here: World, proof: asyncpg.Record, *, amount: str = "100.00", fee: str = "3.60", **otherwise: str
) -> tuple[str, str | None]:
    """What the attestor makes of this proof instead of the one that was asked for: somebody past the database's own rule
    asks for it before payments does."""
    await here.owner.execute("SET session_replication_role = replica")
    for table in ("proof_word", "proof"):
        await here.owner.execute(f"DELETE FROM {table} WHERE purpose = 'card.settle'")
    forged = {**proof, **otherwise}
    await here.owner.execute(
        """
        INSERT INTO proof (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, fee, reference,
                           asked_at, due_at) VALUES ($1, 'card.settle', 'chaos', $2, $3, $4, $5, 'MXN', $6, 'x', now(), now())
        """,
        uuid4(),
        forged["tracking_key"],
        forged["subject_id"],
        forged["account"],
        Decimal(amount),
        Decimal(fee),
    )
    await here.owner.execute("SET session_replication_role = origin")
    for asked in await here.witness.lease(16):
        await here.witness.attest(asked)
    (row,) = await here.owner.fetch("SELECT state, reason FROM proof WHERE purpose = 'card.settle'")
    return row["state"], row["reason"]


async def test_the_attestor_adds_up_a_settlement_file_itself(here: World) -> None:
    """Whoever holds payments' own role asks for more than the file pays, for less of a fee, and to another account."""
    for amount in ("70.00", "30.00"):
        await captured(here, new_player(), amount)
    honest = await settle(here)
    assert (honest["amount"], honest["fee"]) == (Decimal("100.00"), Decimal("3.60"))
    assert await attested(here, honest, amount="170.00") == ("CONFLICTED", "amount-differs")
    assert await attested(here, honest, amount="99.99") == ("CONFLICTED", "amount-differs")
    assert await attested(here, honest, fee="3.59") == ("CONFLICTED", "fee-differs")
    assert await attested(here, honest, tracking_key="PAYOUT:ANOTHER") == ("CONFLICTED", "another-file")
    another = uncleared(new_player())
    assert await attested(here, honest, account=another) == ("CONFLICTED", "another-file")
    assert await here.owner.fetchval("SELECT count(*) FROM proof_word WHERE purpose = 'card.settle'") == 0
    assert (await attested(here, honest))[0] == "ATTESTED"


async def test_the_attestor_counts_no_line_that_the_file_does_not_have(here: World) -> None:
    """Whoever holds payments' own role adds a line to a file, and asks for what the lines make then."""
    await captured(here, new_player(), "70.00")
    honest = await settle(here)
    _, operations = await found(here, await captured(here, new_player(), "30.00"))
    capture = operations[Act.CAPTURE]
    async with here.pool.acquire() as conn:
        line = "INSERT INTO payout_line VALUES ($1, 99, $2, 'capture', 30.00, 0, $3, NULL)"
        await conn.execute(line, honest["subject_id"], capture.psp_id, capture.id)
    fee = str(honest["fee"])
    assert await attested(here, honest, amount="100.00", fee=fee) == ("CONFLICTED", "line-differs")
    assert await here.owner.fetchval("SELECT count(*) FROM proof_word WHERE purpose = 'card.settle'") == 0


async def test_payments_itself_cannot_attest_and_the_attestor_cannot_book(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00")
    while not await here.owner.fetchval("SELECT count(*) FROM proof"):
        for operation in await here.cards.lease(4):
            await here.cards.advance(operation)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CONFIRMED
    for role, state in (
        ("payments_app", "ATTESTED"), ("payments_app", "BOOKED"), ("payments_attestor", "BOOKED"),
        ("payments_attestor", "ATTESTED"),
    ):  # fmt: skip
        connection = await asyncpg.connect(here.database.dsn(role))
        try:
            with pytest.raises(asyncpg.PostgresError) as refusal:
                await connection.execute("UPDATE proof SET state = $1", state)
            assert isinstance(refusal.value, asyncpg.IntegrityConstraintViolationError), refusal.value
        finally:
            await connection.close()


async def test_the_attestors_key_orders_nothing_at_the_provider(here: World) -> None:
    """It shares no credential with payments: whoever steals it can look, and move no money."""
    wish = {"key": "k", "act": "authorize", "amount": "1.00", "currency": "MXN", "card_token": "tok_1_ok"}
    url = f"{here.psp.url}/v1/operations"
    for key, asked, looked in ((PSP_READ_KEY, 403, 404), (PSP_KEY, 201, 200), ("another", 401, 401)):
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
            async with http.post(url, json=wish) as answer:
                assert answer.status == asked, key
            async with http.get(url, params={"key": "k"}) as answer:
                assert answer.status == looked, key
