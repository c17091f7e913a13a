"""Two engines on one database, as two ledger processes are: every race has exactly one right ending."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from uuid import uuid4

from common.testing import Database

from services.ledger.tests.vocabulary import (
    Bank,
    a_key,
    deposit,
    hold,
    match,
    open_bank,
    posted,
    refused,
    settle,
)


async def two(database: Database, stack: AsyncExitStack) -> tuple[Bank, Bank]:
    return await open_bank(database, stack), await open_bank(database, stack)


async def test_one_key_two_hundred_times_posts_once(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        player = await banks[0].fund()
        wanted = hold(player, Decimal(10), str(uuid4()), uuid4(), key="the-one")
        answers = await asyncio.gather(*(banks[n % 2].engine.post(wanted) for n in range(200)))
        assert len({answer.outcome.id for answer in answers}) == 1  # type: ignore[union-attr] # posted
        assert len({answer.outcome.sequence for answer in answers}) == 1  # type: ignore[union-attr] # posted
        assert sum(not answer.replayed for answer in answers) == 1
        await banks[0].check()


async def test_two_hundred_holds_on_a_balance_for_seven(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        player = await banks[0].fund("70.00")
        market = str(uuid4())
        answers = await asyncio.gather(
            *(banks[n % 2].engine.post(hold(player, Decimal(10), market, uuid4())) for n in range(200))
        )
        assert sum(posted(answer) for answer in answers) == 7
        assert {refused(answer) for answer in answers if not posted(answer)} == {"insufficient-funds"}
        assert (await banks[0].balances())[f"players/{player}/available"] == 0
        await banks[0].check()


async def test_sixteen_racers_on_one_receipt(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        player = str(uuid4())
        receipt = await banks[0].receipt(player, Decimal(100))
        answers = await asyncio.gather(
            *(banks[n % 2].engine.post(deposit(player, Decimal(100), receipt)) for n in range(16))
        )
        assert sum(posted(answer) for answer in answers) == 1
        assert {refused(answer) for answer in answers if not posted(answer)} == {"receipt-spent"}
        await banks[0].check()


async def test_both_engines_settle_one_market(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        one, other = await banks[0].fund(), await banks[1].fund()
        market, offers = str(uuid4()), (uuid4(), uuid4())
        for player, offer in zip((one, other), offers, strict=True):
            assert posted(await banks[0].engine.post(hold(player, Decimal(50), market, offer)))
        pair = match(market, (one, offers[0], Decimal(50)), (other, offers[1], Decimal(50)))
        assert posted(await banks[1].engine.post(pair))
        pay = settle(market, {f"players/{one}/available": Decimal(100)})
        answers = await asyncio.gather(
            *(
                banks[n % 2].engine.post(
                    settle(market, {f"players/{one}/available": Decimal(100)}, key=f"{pay.key}-{n}")
                )
                for n in range(20)
            )
        )
        assert sum(posted(answer) for answer in answers) == 1
        balances = await banks[0].balances()
        assert balances[f"markets/{market}/escrow"] == 0
        assert balances[f"players/{one}/available"] == -150
        await banks[0].check()


async def test_the_same_key_for_another_request_is_refused(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        player, market, key = await banks[0].fund(), str(uuid4()), a_key()
        first = await banks[0].engine.post(hold(player, Decimal("1.50"), market, (offer := uuid4()), key))
        same = await banks[1].engine.post(hold(player, Decimal("1.5"), market, offer, key))
        other = await banks[1].engine.post(hold(player, Decimal("1.51"), market, offer, key))
        assert posted(first)
        assert posted(same)
        assert same.replayed
        assert refused(other) == "idempotency-key-reused"
        await banks[0].check()


async def test_a_stored_refusal_is_replayed_even_when_money_has_come(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        player, market = await banks[0].fund("5.00"), str(uuid4())
        wanted = hold(player, Decimal(10), market, uuid4())
        assert refused(await banks[0].engine.post(wanted)) == "insufficient-funds"
        receipt = await banks[0].receipt(player, Decimal(100))
        assert posted(await banks[0].engine.post(deposit(player, Decimal(100), receipt)))
        again = await banks[1].engine.post(wanted)
        assert refused(again) == "insufficient-funds"
        assert again.replayed
        await banks[0].check()


async def test_not_ready_is_not_an_answer(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = await two(database, stack)
        player, receipt = str(uuid4()), uuid4()
        early = deposit(player, Decimal(100), receipt, key="early")
        assert refused(await banks[0].engine.post(early)) == "receipt-not-ready"
        stored = await banks[0].receipt(player, Decimal(100))
        ready = deposit(player, Decimal(100), stored, key="early")
        assert posted(await banks[1].engine.post(ready))
        await banks[0].check()
