"""Random interleaved, partly failing postings at the real ledger, the books checked after every one."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from common.testing import Database, examples
from ledger.domain.commands import Command

from services.ledger.tests.vocabulary import Bank, deposit, hold, match, open_bank, refused, release, settle

EXPECTED = {
    "posted",
    "insufficient-funds",
    "hold-exhausted",
    "hold-mismatch",
    "hold-not-ready",
    "hold-exists",
    "receipt-spent",
    "receipt-mismatch",
    "receipt-not-ready",
    "escrow-not-ready",
    "escrow-frozen",
    "settlement-mismatch",
    "template-violation",
    "unbalanced-entry",
}
"""Every answer a random command may get. `refused-by-database` is not among them: the nets agree."""


class Dice:
    """Random commands over a small world, so that they meet often and half of them make no sense."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.players = [str(UUID(int=self.random.getrandbits(128), version=4)) for _ in range(4)]
        self.markets = [str(UUID(int=self.random.getrandbits(128), version=4)) for _ in range(2)]
        self.offers = [UUID(int=self.random.getrandbits(128), version=4) for _ in range(12)]
        self.receipts: list[UUID] = []

    def amount(self) -> Decimal:
        return Decimal(self.random.randint(1, 6_000)) / 100

    def command(self) -> Command:
        one, other = (
            self.random.sample(self.players, 2) if self.random.random() < 0.95 else [self.players[0]] * 2
        )
        market, offer = self.random.choice(self.markets), self.random.choice(self.offers)
        amount = self.amount()
        match self.random.randrange(7):
            case 0:
                receipt = self.random.choice(self.receipts) if self.receipts else uuid4()
                return deposit(one, Decimal(100) if self.random.random() < 0.7 else amount, receipt)
            case 1 | 2:
                return hold(one, amount, market, offer)
            case 3:
                return release(one, amount, market, offer)
            case 4 | 5:
                return match(
                    market, (one, offer, amount), (other, self.random.choice(self.offers), self.amount())
                )
            case _:
                pay = {f"players/{one}/available": amount}
                if self.random.random() < 0.5:
                    pay["house/commission"] = self.amount()
                kind = self.random.choice(["bet.settle", "bet.void"])
                return settle(market, pay, kind=kind, chunks=self.random.choice([1, 1, 2]))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_books_balance_after_every_one(database: Database, seed: int) -> None:
    dice = Dice(seed)
    async with AsyncExitStack() as stack:
        banks = [await open_bank(database, stack), await open_bank(database, stack)]
        seen: set[str] = set()
        for player in dice.players:
            dice.receipts.append(await banks[0].receipt(player, Decimal(100)))
            await banks[0].engine.post(deposit(player, Decimal(100), dice.receipts[0]))
            await banks[0].engine.post(deposit(player, Decimal(100), dice.receipts[-1]))
        for _ in range(examples(20)):
            dice.receipts.append(await banks[0].receipt(dice.random.choice(dice.players), Decimal(100)))
            burst = [dice.command() for _ in range(dice.random.randint(1, 8))]
            seen |= await _post_all(banks, burst)
            await banks[0].check()
        assert seen <= EXPECTED
        assert {"posted", "insufficient-funds"} <= seen


async def _post_all(banks: list[Bank], burst: list[Command]) -> set[str]:
    answers = await asyncio.gather(
        *(
            bank.engine.post(command)
            for command in burst
            for bank in banks
            if hash(command.key) % 2 or bank is banks[0]
        )
    )
    return {refused(answer) for answer in answers}
