"""The books' last question: does what receipts say add up to the money that was booked by them?"""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.ledger.tests.forgery import Line
from services.ledger.tests.test_cards_and_suspense import available, post, receipt, uncleared
from services.ledger.tests.vocabulary import Bank, connected
from tools.raceday.books import UnsoundBooks, check_ledger

SUSPENSE = "suspense/spei"
RECEIVABLE = "psp/chaos/receivable"


async def book_one_of_each(bank: Bank) -> None:
    """An entry by a receipt of each sort that brings money from another place."""
    player = await bank.fund("100.00")
    put = await receipt(bank, "deposit.suspense", SUSPENSE, "7.00", key="20261121:40012:A")
    lines: list[Line] = [("bank/spei", "7.00", None), (SUSPENSE, "-7.00", None)]
    assert await post(bank, "deposit.suspense", lines, receipt=put) == "posted"
    taken = await receipt(
        bank, "suspense.assign", available(player), "7.00", key="20261121:40012:A", origin=put
    )
    lines = [(SUSPENSE, "7.00", None), (available(player), "-7.00", None)]
    assert await post(bank, "suspense.assign", lines, receipt=taken) == "posted"
    captured = await receipt(bank, "card.capture", uncleared(player), "50.00", rail="chaos")
    lines = [(RECEIVABLE, "50.00", None), (uncleared(player), "-50.00", None)]
    assert await post(bank, "card.capture", lines, receipt=captured) == "posted"
    settled = await receipt(bank, "card.settle", RECEIVABLE, "50.00", rail="chaos")
    lines = [("bank/spei", "48.20", None), ("fees/chaos", "1.80", None), (RECEIVABLE, "-50.00", None)]
    assert await post(bank, "card.settle", lines, receipt=settled) == "posted"
    await receipt(bank, "house.fund", "house/reserve", "9.00")  # one that nobody has spent counts nothing


async def checked(bank: Bank) -> None:
    async with connected(bank.database, "ledger_reader") as connection:
        await check_ledger(connection, [])


async def test_receipts_add_up_to_the_money_booked_by_them(bank: Bank) -> None:
    await book_one_of_each(bank)
    await checked(bank)


@pytest.mark.parametrize(
    "purpose", ["deposit", "deposit.suspense", "suspense.assign", "card.capture", "card.settle"]
)
async def test_a_receipt_of_another_amount_is_found(bank: Bank, purpose: str) -> None:
    """Nothing in the database lets this happen; who goes around all of it is found out by the sum."""
    await book_one_of_each(bank)
    async with connected(bank.database, "superuser") as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            "UPDATE receipt SET amount = amount + $2 WHERE purpose = $1", purpose, Decimal("0.01")
        )
    with pytest.raises(UnsoundBooks, match=rf"do not add up .*'{purpose} MXN'"):
        await checked(bank)


async def test_money_from_nowhere_is_found(bank: Bank) -> None:
    """A posting more on the bank than the receipt says, and as much less on the player: it balances all the same."""
    player = await bank.fund("100.00")
    async with connected(bank.database, "superuser") as connection:
        await connection.execute("SET session_replication_role = replica")
        for amount, path in ((1, "bank/spei"), (-1, available(player))):
            await connection.execute(
                "UPDATE posting SET amount = amount + $1 WHERE account_id = (SELECT id FROM account WHERE path = $2)",
                amount, path,
            )  # fmt: skip
            await connection.execute(
                "UPDATE balance SET amount = amount + $1 WHERE account_id = (SELECT id FROM account WHERE path = $2)",
                amount, path,
            )  # fmt: skip
    with pytest.raises(UnsoundBooks, match="do not add up"):
        await checked(bank)
