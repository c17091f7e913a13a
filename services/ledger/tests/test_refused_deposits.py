"""A deposit that was refused goes to suspense by a second receipt: one transfer is one entry, this way or that."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from services.ledger.tests.forgery import Line, Scene
from services.ledger.tests.forgery import scene as scene
from services.ledger.tests.test_cards_and_suspense import available, command, post, receipt
from services.ledger.tests.vocabulary import Bank, open_bank, posted, refused

SUSPENSE = "suspense/spei"
TRANSFER = "20261121:40012:A1"


def deposit_lines(player: str) -> list[Line]:
    return [("bank/spei", "70.00", None), (available(player), "-70.00", None)]


DIVERTED: list[Line] = [("bank/spei", "70.00", None), (SUSPENSE, "-70.00", None)]


async def both_ways(bank: Bank, player: str, key: str = TRANSFER) -> tuple[UUID, UUID]:
    """The receipt of a deposit, and the one that takes the same transfer to suspense."""
    first = await receipt(bank, "deposit", available(player), "70.00", key=key)
    return first, await receipt(bank, "deposit.suspense", SUSPENSE, "70.00", key=key, origin=first)


async def test_what_went_to_suspense_is_no_deposit_any_more(scene: Scene) -> None:
    first, second = await both_ways(scene.bank, scene.poor)
    assert await post(scene.bank, "deposit", deposit_lines(scene.poor), receipt=first) == "receipt-spent"
    assert (
        await scene.forge("deposit", deposit_lines(scene.poor), receipt=first)
        == "receipt_or_its_replacement_is_spent"
    )
    assert await post(scene.bank, "deposit.suspense", DIVERTED, receipt=second) == "posted"
    assert (
        await scene.forge("deposit", deposit_lines(scene.poor), receipt=first)
        == "receipt_or_its_replacement_is_spent"
    )
    back = await receipt(scene.bank, "suspense.return", "bank/spei", "70.00", key=TRANSFER, origin=second)
    lines: list[Line] = [(SUSPENSE, "70.00", None), ("bank/spei", "-70.00", None)]
    assert await post(scene.bank, "suspense.return", lines, receipt=back) == "posted"
    await scene.bank.check()


async def test_what_was_deposited_does_not_go_to_suspense(scene: Scene) -> None:
    first = await receipt(scene.bank, "deposit", available(scene.poor), "70.00", key=TRANSFER)
    assert await post(scene.bank, "deposit", deposit_lines(scene.poor), receipt=first) == "posted"
    second = await receipt(scene.bank, "deposit.suspense", SUSPENSE, "70.00", key=TRANSFER, origin=first)
    assert await post(scene.bank, "deposit.suspense", DIVERTED, receipt=second) == "receipt-spent"
    assert (
        await scene.forge("deposit.suspense", DIVERTED, receipt=second)
        == "receipt_or_its_replacement_is_spent"
    )


async def test_the_second_receipt_is_about_the_same_transfer_and_comes_once(scene: Scene) -> None:
    first, _ = await both_ways(scene.bank, scene.poor)
    for amount, key, origin, rule in (
        ("70.00", TRANSFER, first, "receipt_origin_is_decided_once"),
        ("70.00", TRANSFER, None, "receipt_tracking_key_is_unique"),
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await receipt(scene.bank, "deposit.suspense", SUSPENSE, amount, key=key, origin=origin)
        assert refusal.value.constraint_name == rule
    other = await receipt(scene.bank, "deposit", available(scene.poor), "70.00", key="20261121:40012:B1")
    for purpose, amount, key in (
        ("deposit.suspense", "71.00", "20261121:40012:B1"),
        ("deposit.suspense", "70.00", "20261121:40012:C1"),
        ("suspense.return", "70.00", "20261121:40012:B1"),
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError) as unlike:
            await receipt(scene.bank, purpose, SUSPENSE, amount, key=key, origin=other)
        assert unlike.value.constraint_name == "receipt_origin_is_the_same_transfer"


async def test_two_engines_race_for_one_transfer_and_one_way_wins(bank: Bank) -> None:
    """The deposit is posted by one while the other posts its way to suspense: never both."""
    player = await bank.fund()
    async with AsyncExitStack() as stack:
        other = await open_bank(bank.database, stack)
        for number in range(12):
            key = f"20261121:40012:R{number}"
            first = await receipt(bank, "deposit", available(player), "70.00", key=key)

            async def divert(key: str = key, first: UUID = first) -> object:
                second = await receipt(bank, "deposit.suspense", SUSPENSE, "70.00", key=key, origin=first)
                return await other.engine.post(command("deposit.suspense", DIVERTED, receipt=second))

            deposit = command("deposit", deposit_lines(player), receipt=first)
            answers = await asyncio.gather(bank.engine.post(deposit), divert())
            won = [answer for answer in answers if posted(answer)]  # type: ignore[arg-type] # both are answers
            assert len(won) == 1, [refused(answer) for answer in answers]  # type: ignore[arg-type]
    balances = await bank.balances()
    assert balances["bank/spei"] == Decimal(100) + 12 * Decimal(70)
    await bank.check()
