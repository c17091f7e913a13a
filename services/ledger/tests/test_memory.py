"""The engine's memory is never the authority: whatever it has wrong costs a second try, never an entry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from uuid import uuid4

import pytest
from common.testing import Database

from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    connected,
    hold,
    open_bank,
    posted,
    refused,
    release,
    wrong_memories,
)

ONE = Decimal("1.00")


async def transactions(bank: Bank) -> int:
    """How many transactions the database has committed by now, its statistics being up to date."""
    async with connected(bank.database, "superuser") as connection:
        return int(await connection.fetchval("SELECT txid_current()::text::bigint"))


@pytest.fixture
async def thrifty(database: Database) -> AsyncIterator[Bank]:
    """An engine with one connection: another would have to learn its statements first."""
    async with AsyncExitStack() as stack:
        yield await open_bank(database, stack, connections=1)


async def test_a_remembered_hold_is_one_statement_and_nothing_else(thrifty: Bank) -> None:
    bank = thrifty
    player, market = await bank.fund(), str(uuid4())
    assert posted(await bank.engine.post(hold(player, ONE, market, uuid4())))  # opens the account, reads
    before = await transactions(bank)
    for _ in range(5):
        assert posted(await bank.engine.post(hold(player, ONE, market, uuid4())))
    assert await transactions(bank) - before == 5 + 1  # one each, and this test's own question
    await bank.check()


async def test_what_another_engine_posted_is_seen_before_deciding(bank: Bank, other: Bank) -> None:
    player, market = await bank.fund("3.00"), str(uuid4())
    assert posted(await bank.engine.post(hold(player, ONE, market, uuid4())))
    moved = wrong_memories("moved")
    assert posted(await other.engine.post(hold(player, Decimal("2.00"), market, uuid4())))
    assert refused(await bank.engine.post(hold(player, ONE, market, uuid4()))) == "insufficient-funds"
    fresh = await bank.fund("3.00")
    assert posted(await other.engine.post(hold(fresh, ONE, market, uuid4())))
    assert posted(await bank.engine.post(hold(fresh, ONE, market, uuid4())))
    assert wrong_memories("moved") > moved
    await bank.check()


async def test_a_hold_drawn_by_another_engine_is_not_drawn_again(bank: Bank, other: Bank) -> None:
    player, market, offer = await bank.fund("5.00"), str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(player, ONE, market, offer)))
    assert posted(await other.engine.post(release(player, ONE, market, offer)))
    assert refused(await bank.engine.post(release(player, ONE, market, offer))) == "hold-exhausted"
    await bank.check()


async def test_a_taken_permission_counts_at_once(bank: Bank) -> None:
    """Memory still knows the permission; the database does not, and its word is stored."""
    player, market = await bank.fund(), str(uuid4())
    assert posted(await bank.engine.post(hold(player, ONE, market, uuid4())))
    async with connected(bank.database, "superuser") as connection:
        await connection.execute("UPDATE principal SET kinds = '{deposit}' WHERE name = $1", PRINCIPAL)
    command = hold(player, ONE, market, uuid4())
    assert refused(await bank.engine.post(command)) == "kind-not-permitted"
    assert refused(await bank.engine.post(command)) == "kind-not-permitted"
    await bank.check()


async def test_a_given_permission_counts_at_once(bank: Bank) -> None:
    player, market = await bank.fund(), str(uuid4())
    assert posted(await bank.engine.post(hold(player, ONE, market, uuid4())))
    async with connected(bank.database, "superuser") as connection:
        kinds = await connection.fetchval("SELECT kinds FROM principal WHERE name = $1", PRINCIPAL)
        await connection.execute("UPDATE principal SET kinds = '{deposit}' WHERE name = $1", PRINCIPAL)
        assert refused(await bank.engine.post(hold(player, ONE, market, uuid4()))) == "kind-not-permitted"
        await connection.execute("UPDATE principal SET kinds = $2 WHERE name = $1", PRINCIPAL, kinds)
    assert posted(await bank.engine.post(hold(player, ONE, market, uuid4())))


async def test_the_same_command_again_is_the_same_entry(bank: Bank, other: Bank) -> None:
    """Whether this engine posted it, or another one did and this one has no idea."""
    player, market = await bank.fund(), str(uuid4())
    mine, theirs = hold(player, ONE, market, uuid4()), hold(player, ONE, market, uuid4())
    first, second = await bank.engine.post(mine), await other.engine.post(theirs)
    again = [await bank.engine.post(mine), await bank.engine.post(theirs)]
    assert [answer.outcome for answer in again] == [first.outcome, second.outcome]
    assert all(answer.replayed for answer in again)
    await bank.check()


async def test_one_bad_command_costs_its_neighbours_nothing(bank: Bank) -> None:
    """A hold id used before passes memory and breaks the batch; everyone else is posted all the same."""
    player, market, offer = await bank.fund(), str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(player, ONE, market, offer)))
    assert posted(await bank.engine.post(release(player, ONE, market, offer)))
    good = [hold(player, ONE, market, uuid4()) for _ in range(20)]
    bad = hold(player, ONE, market, offer)
    answers = await asyncio.gather(*(bank.engine.post(each) for each in [*good[:10], bad, *good[10:]]))
    assert refused(answers.pop(10)) == "hold-exists"
    assert all(map(posted, answers))
    await bank.check()


async def test_a_hold_drawn_to_nothing_several_times_in_one_batch(bank: Bank) -> None:
    player, market, offer = await bank.fund(), str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(player, Decimal("3.00"), market, offer)))
    answers = await asyncio.gather(*(bank.engine.post(release(player, ONE, market, offer)) for _ in range(4)))
    assert [posted(answer) for answer in answers] == [True, True, True, False]
    assert refused(answers[3]) == "hold-exhausted"
    await bank.check()


async def test_two_engines_that_race_agree(bank: Bank, other: Bank) -> None:
    players, market = [await bank.fund("10.00") for _ in range(4)], str(uuid4())
    answers = await asyncio.gather(
        *((bank, other)[n % 2].engine.post(hold(players[n % 4], ONE, market, uuid4())) for n in range(200))
    )
    assert sum(map(posted, answers)) == 40
    await bank.check()
