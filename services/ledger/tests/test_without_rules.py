"""The experiment that tells what the database's rules cost: it still fits the rules there are."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from services.ledger.tests.vocabulary import Bank, connected, hold, posted

WITHOUT_RULES = Path(__file__).parents[3] / "loadtests" / "without_rules.sql"


async def test_without_rules_an_entry_is_written_as_with_them(bank: Bank) -> None:
    player = await bank.fund("100.00")
    async with connected(bank.database, "superuser") as connection:
        await connection.execute(WITHOUT_RULES.read_text(encoding="utf-8"))
        before = await connection.fetchval("SELECT count(*) FROM outbox")
    assert posted(await bank.engine.post(hold(player, Decimal(30), str(uuid4()), uuid4())))
    async with connected(bank.database, "superuser") as connection:
        told = await connection.fetchrow(
            "SELECT b.amount, b.sequence FROM balance b JOIN account a ON a.id = b.account_id WHERE a.path = $1",
            f"players/{player}/available",
        )
        assert told is not None
        assert tuple(told) == (Decimal(-70), 2)
        assert await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = 1") == 2
        assert await connection.fetchval("SELECT count(*) FROM outbox") > before
