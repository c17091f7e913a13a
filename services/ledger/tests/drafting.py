"""While one batch cannot be written: what comes meanwhile, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import uuid4

from ledger.domain.commands import Command
from ledger.engine.batch import Answer
from ledger.engine.flight import Answers

from services.ledger.tests.vocabulary import (
    Bank,
    connected,
    hold,
    locked,
    posted,
    release,
)

ONE, TWO = Decimal("1.00"), Decimal("2.00")
Posts = list[asyncio.Task[Answer]]
WAITING = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND usename = 'ledger_posting' AND wait_event_type = 'Lock'
"""


def post(bank: Bank, *commands: Command) -> Posts:
    return [asyncio.create_task(bank.engine.post(command)) for command in commands]


async def drafted(bank: Bank, number: int) -> None:
    """Wait until that many are drafted."""
    async with asyncio.timeout(5):
        while len(bank.engine._drafted) != number:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def being_written(bank: Bank, *first: Command) -> AsyncIterator[Posts]:
    """While `first` cannot be written: somebody else holds the ledger's head."""
    async with locked(bank.database, 1, asyncio.Event()):
        posts = post(bank, *first)
        await waiting_for_the_head(bank, 1)
        yield posts


async def answers(posts: Iterable[asyncio.Task[Answer]]) -> list[Answer]:
    async with asyncio.timeout(10):
        return await asyncio.gather(*posts)


async def known(bank: Bank, amount: str) -> tuple[str, str]:
    """A player and a market whose accounts the engine remembers."""
    player, market = await bank.fund(amount), str(uuid4())
    offer = uuid4()
    assert posted(await bank.engine.post(hold(player, ONE, market, offer)))
    assert posted(await bank.engine.post(release(player, ONE, market, offer)))
    return player, market


async def waiting_for_the_head(bank: Bank, number: int) -> None:
    async with connected(bank.database, "superuser") as connection, asyncio.timeout(5):
        while number != await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)


async def sent_ahead(bank: Bank, *commands: Command) -> Posts:
    """These were decided on the batch that is being written, and wait for it in PostgreSQL."""
    posts = together(bank, *commands)
    await waiting_for_the_head(bank, 2)
    assert not bank.engine._drafted
    return posts


def together(bank: Bank, *commands: Command) -> Posts:
    """In one request."""
    party = asyncio.create_task(bank.engine.post_groups([(command,) for command in commands]))
    return [asyncio.create_task(_answer(party, number)) for number in range(len(commands))]


async def _answer(party: asyncio.Task[list[Answers]], number: int) -> Answer:
    (answer,) = (await asyncio.shield(party))[number]
    return answer
