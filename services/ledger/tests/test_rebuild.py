"""`rebuild --check`: silent on sound books, and it sees whatever a superuser changes behind the triggers' back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from common.pg import create_pool
from common.testing import Database
from ledger.domain.commands import Command, Leg, SettlementPart
from ledger.service.rebuilding import Checked, recompute
from ledger.store.rebuild import Drift

from services.ledger.tests.commands import Operator
from services.ledger.tests.history import age
from services.ledger.tests.test_closes import close_all
from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    a_key,
    connected,
    hold,
    match,
    posted,
    release,
    settle,
)


async def drifts(database: Database) -> list[Drift]:
    pool = await create_pool(
        database.dsn("ledger_reader"), min_size=1, max_size=1, application_name="test-rebuild"
    )
    try:
        steps = [step async for step in recompute(pool, 1)]
    finally:
        await pool.close()
    return [drift for step in steps if isinstance(step, Checked) for drift in step.found]


async def rebuild(operator: Operator, database: Database) -> tuple[int, str]:
    """The operator's own command: its exit status, and what it says."""
    status, told, complaints = await operator.run(
        database, "ledger_reader", "rebuild", "--check", "--ledger", "el-carril"
    )
    return status, told + complaints


async def settle_again(bank: Bank, market: str, winner: str, other: str) -> None:
    """A corrected result: the 40 come back from who had them and go to the other."""
    escrow = f"markets/{market}/escrow"
    part = SettlementPart(UUID(market), 2, Decimal(40), 1, 2)
    legs = (
        Leg(f"players/{winner}/available", "MXN", Decimal(40)),
        Leg(escrow, "MXN", Decimal(-40)),
    )
    back = Command(1, PRINCIPAL, a_key(), "bet.resettle", legs, f"markets/{market}", settlement=part)
    assert posted(await bank.engine.post(back))
    pay = settle(market, {f"players/{other}/available": Decimal(40)}, version=2, chunk=2, chunks=2)
    assert posted(await bank.engine.post(pay))


async def a_full_life(bank: Bank) -> None:
    """Deposits, holds, a release, a match, a settlement, a void, metadata; closed, and more on the open day."""
    one, other = await bank.fund("100.00"), await bank.fund("100.00")
    for settled, kind in ((Decimal(40), "bet.settle"), (Decimal(0), "bet.void")):
        market, offers = str(uuid4()), (uuid4(), uuid4())
        for player, offer in zip((one, other), offers, strict=True):
            wanted = hold(player, Decimal(25), market, offer)
            assert posted(await bank.engine.post(replace(wanted, metadata={"source": "test", "kind": kind})))
            assert posted(await bank.engine.post(release(player, Decimal(5), market, offer)))
        pair = match(market, (one, offers[0], Decimal(20)), (other, offers[1], Decimal(20)))
        assert posted(await bank.engine.post(pair))
        back = {
            f"players/{one}/available": settled or Decimal(20),
            f"players/{other}/available": Decimal(40) - (settled or Decimal(20)),
        }
        pay = settle(market, {path: amount for path, amount in back.items() if amount}, kind=kind)
        assert posted(await bank.engine.post(pay))
        if kind == "bet.settle":
            await settle_again(bank, market, one, other)
    await age(bank.database, timedelta(days=2))
    await close_all(bank.database)
    assert posted(await bank.engine.post(hold(one, Decimal(7), str(uuid4()), uuid4())))
    await bank.check()


async def test_sound_books_do_not_drift(bank: Bank, operator: Operator) -> None:
    await a_full_life(bank)
    status, told = await rebuild(operator, bank.database)
    assert (status, "no drift" in told) == (0, True), told
    async with connected(bank.database, "superuser") as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("UPDATE balance SET amount = amount - 1 WHERE account_id = 1")
    status, told = await rebuild(operator, bank.database)
    assert status == 2, told
    assert any("bank/spei" in line and "199" in line and "200" in line for line in told.splitlines()), told


TAMPERED = {
    "balance": ("UPDATE balance SET amount = amount - 1 WHERE account_id = 1", "bank/spei"),
    "number of postings": ("UPDATE balance SET sequence = sequence + 1 WHERE account_id = 2", "available"),
    "balance after": (
        "UPDATE posting SET balance = balance + 1 WHERE account_id = 1 AND account_sequence = 2",
        "posting 2",
    ),
    "account sequence": (
        "UPDATE posting SET account_sequence = -account_sequence WHERE account_id = 1",
        "entry 2",
    ),
    "account as its class says": ("UPDATE account SET side = -side WHERE id = 1", "bank/spei"),
    "number of legs": ("DELETE FROM posting WHERE sequence = 3 AND leg = 2", "entry 3"),
    "debits equal credits": (
        "UPDATE posting SET amount = amount + 1 WHERE sequence = 3 AND leg = 1",
        "entry 3",
    ),
    "posted in order": (
        "UPDATE entry SET posted_at = posted_at - interval '5 minutes' WHERE sequence = 4",
        "entry 4",
    ),
    "metadata as rows": (
        "UPDATE entry_tag SET value = 'forged' WHERE key = 'source' AND sequence = 3",
        "forged",
    ),
    "head": ("UPDATE head SET sequence = sequence + 1 WHERE ledger_id = 1", "ledger"),
    "moments": (
        "UPDATE head SET closed_until = closed_until + interval '1 day' WHERE ledger_id = 1",
        "closed until",
    ),
    "hold": (
        "UPDATE hold SET remaining = remaining - 1, captured = captured + 1 WHERE remaining > 1",
        "hold",
    ),
    "stake": ("UPDATE stake SET contributed = contributed + 1", "player"),
    "settlement": ("UPDATE settlement SET total = total + 1, paid = paid + 1 WHERE version = 1", "version 1"),
    "receipt spent": ("UPDATE receipt_use SET sequence = 3 WHERE sequence = 1", "receipt"),
    "closed balance": ("UPDATE close_balance SET balance = balance + 1 WHERE account_id = 1", "bank/spei"),
    "close": ("UPDATE period_close SET late = late + 1, entries = entries + 1", "day"),
    "closed trial balance": (
        "UPDATE close_total SET debit_balance = debit_balance + 1, opening = opening + 1 WHERE class = 'bank'",
        "bank MXN",
    ),
    "closed proof": ("UPDATE close_proof SET money = money + 1", "MXN on"),
    "a whole entry dropped": ("DELETE FROM entry WHERE sequence = 5", "entry 5"),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_drift_is_seen_and_named(bank: Bank, what: str) -> None:
    await a_full_life(bank)
    attack, where = TAMPERED[what]
    async with connected(bank.database, "superuser") as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        assert not (await connection.execute(attack)).endswith(" 0")
    found = await drifts(bank.database)
    named = "number of legs" if what == "a whole entry dropped" else what
    assert any(drift.check == named and where in f"{drift.subject} {drift.stored}" for drift in found), found
