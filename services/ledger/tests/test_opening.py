"""Accounts open with their first posting: whoever is refused leaves none behind, through whichever door."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from common.testing import Database
from ledger.domain.commands import Command, linked

from services.ledger.tests.shop import CASH, Desk, Shop, open_shop, slug, transfer_body
from services.ledger.tests.vocabulary import Bank, a_key, connected, hold, posted, refused

ANA, BETO, NEW = "liabilities/ana", "liabilities/beto", "liabilities/new"


async def accounts(database: Database, ledger: int) -> set[str]:
    async with connected(database, "ledger_reader") as connection:
        rows = await connection.fetch("SELECT path FROM account WHERE ledger_id = $1", ledger)
    return {row["path"] for row in rows}


async def test_who_is_refused_opens_no_account(desk: Desk) -> None:
    """Whatever the reason: what the books hold, the kind's template, a sum, a hold that is over."""
    for body in (
        transfer_body(NEW, "liabilities/other", "5.00"),
        transfer_body("assets/new", "held/liabilities/new", "5.00"),
        transfer_body("equity/new", "income/new", "5.001"),
        transfer_body("equity/new", "income/new", "5.00", "XXX"),
        {**transfer_body("equity/new", "income/new", "5.00"), "kind": "hold.capture"},
    ):
        status, told = await desk.post("/v1/entries", body)
        assert status == 422, told
        assert (await desk.get("/v1/accounts"))[1]["accounts"] == [], told
    status, told = await desk.get("/v1/account", account=NEW, currency="USD")
    assert (status, slug(told)) == (404, "account-not-found")


async def test_of_linked_entries_that_are_refused_none_opens_an_account(desk: Desk) -> None:
    good, bad = transfer_body("equity/a", "income/a", "5.00"), transfer_body(NEW, "income/b", "5.00")
    group = [{**each, "idempotency_key": a_key()} for each in (good, bad)]
    status, told = await desk.post("/v1/entries/batch", {"groups": [group]})
    assert (status, [each["status"] for each in told["groups"][0]]) == (200, [422, 422])
    assert (await desk.get("/v1/accounts"))[1]["accounts"] == []


async def test_an_account_is_open_for_those_behind_who_opens_it(database: Database) -> None:
    """One batch: the first pays into a new account, the second out of it, the third more than there is."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        for effective_at in (None, datetime.now(UTC)):  # decided from memory, and under the lock
            one, two = f"liabilities/{uuid4()}", f"liabilities/{uuid4()}"
            commands = [
                shop.transfer(CASH, one, "10.00", effective_at=effective_at),
                shop.transfer(one, two, "4.00", effective_at=effective_at),
                shop.transfer(one, "income/never", "7.00", effective_at=effective_at),
                shop.transfer(two, "income/fees", "4.00", effective_at=effective_at),
            ]
            answers = await shop.engine.post_groups([(each,) for each in commands])
            assert [posted(answers[place][0]) for place in (0, 1, 3)]
            assert refused(answers[2][0]) == "insufficient-funds"
            balances = await shop.balances()
            assert (balances[one, "USD"], balances[two, "USD"]) == (Decimal(6), Decimal(0))
            assert ("income/never", "USD") not in balances


async def test_a_hold_may_open_its_account_and_be_drawn_in_one_batch(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        id = uuid4()
        first = shop.transfer(CASH, ANA, "10.00")
        opening, capture = shop.hold(ANA, "8.00", id), shop.capture(ANA, "3.00", id, BETO)
        group: tuple[Command, ...] = linked([first, opening, capture])
        answers = await shop.engine.post_groups([group, (shop.release(id),)])
        assert all(posted(answer) for told in answers for answer in told)
        balances = await shop.balances()
        assert balances == {
            (CASH, "USD"): Decimal(10), (ANA, "USD"): Decimal(7), (BETO, "USD"): Decimal(3),
            (f"held/{ANA}", "USD"): Decimal(0),
        }  # fmt: skip


async def test_a_player_without_a_deposit_has_no_account_for_trying(bank: Bank) -> None:
    player = str(uuid4())
    answer = await bank.engine.post(hold(player, Decimal("1.00"), str(uuid4()), uuid4()))
    assert refused(answer) == "insufficient-funds"
    assert not {path for path in await accounts(bank.database, 1) if player in path}


async def test_what_an_engine_remembers_wrongly_opens_no_account(database: Database) -> None:
    """The other engine has spent what this one believes to be there."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        other = await open_shop(database, stack, shop.ledger)
        assert posted(await shop.engine.post(shop.transfer(CASH, ANA, "10.00")))
        assert posted(await other.engine.post(other.transfer(ANA, BETO, "10.00")))
        assert refused(await shop.engine.post(shop.transfer(ANA, NEW, "10.00"))) == "insufficient-funds"
        assert NEW not in await accounts(database, shop.ledger)


async def test_two_engines_open_the_same_accounts_at_once(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        other = await open_shop(database, stack, shop.ledger)

        async def pay(one: Shop, at: int) -> None:
            answer = await one.engine.post(one.transfer(CASH, f"liabilities/c-{at}", "1.00"))
            assert posted(answer)

        await asyncio.gather(*(pay(each, at % 20) for at in range(60) for each in (shop, other)))
        balances = await shop.balances()
        assert {balances[f"liabilities/c-{at}", "USD"] for at in range(20)} == {Decimal(6)}
