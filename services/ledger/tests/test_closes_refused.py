"""A close is for ever, so the database adds it up once more before it stands: figures that do not hold stay open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.ledger.tests.history import age
from services.ledger.tests.test_closes import DAY, ROOMS, close_all, local_day, three_days
from services.ledger.tests.vocabulary import Bank, connected

DEPOSIT = "account_id = (SELECT id FROM account WHERE path = format('players/%s/available', '{player}')) AND account_sequence = 1"
TAMPERED = {
    "close_balance_is_true": f"UPDATE posting SET balance = balance - 1 WHERE {DEPOSIT}",
    "close_is_balanced": f"UPDATE posting SET amount = amount - 1, balance = balance - 1 WHERE {DEPOSIT}",
    "close_opens_where_last_closed": "UPDATE close_total SET credit_balance = credit_balance + 1, credit = credit + 1 "
    "WHERE class = 'player.available'",
}
"""What somebody with a superuser's powers did, by the rule that finds it."""


async def stored(bank: Bank) -> dict[str, int]:
    async with connected(bank.database, "superuser") as connection:
        return {room: await connection.fetchval(f"SELECT count(*) FROM {room}") for room in ROOMS}


@pytest.mark.parametrize("rule", TAMPERED)
async def test_a_day_whose_figures_do_not_hold_stays_open(bank: Bank, rule: str) -> None:
    player, _ = await three_days(bank)
    if rule == "close_opens_where_last_closed":
        today = await local_day(bank.database, datetime.now(UTC))
        assert len(await close_all(bank.database, today - 3 * DAY)) == 1
    async with connected(bank.database, "superuser") as connection:
        await connection.execute("SET session_replication_role = replica")
        assert await connection.execute(TAMPERED[rule].replace("{player}", player)) == "UPDATE 1"
    before = await stored(bank)
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await close_all(bank.database)
    assert refusal.value.constraint_name == rule
    assert await stored(bank) == before, "nothing is half closed"


async def test_a_month_waits_for_its_days(bank: Bank) -> None:
    """Whoever calls the function itself is told so, too."""
    await bank.fund("100.00")
    await age(bank.database, timedelta(days=40))
    await bank.fund("1.00")
    async with connected(bank.database, "ledger_closer") as connection:
        close = (
            "SELECT close_period(1::smallint, 'month', (next_close(1::smallint, 'month')).starts_on::date)"
        )
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await connection.fetchval(close)
        assert refusal.value.constraint_name == "month_has_all_days"
    assert set((await stored(bank)).values()) == {0}
    assert ("month" in {period for period, _, _ in await close_all(bank.database)}) is True
