"""A ledger process, or its PostgreSQL, killed in mid-batch: every answer that was given is durable, every key
counts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from common.testing import Stack

from loadtests.bank import fund_players, hold_body, ledger_key
from tests.e2e.control import order
from tools.stack.described import running_stack

KILLS = {"ledger-2": 3, "postgres": 1}
PEOPLE = 32
ANSWERED_BETWEEN_KILLS = 150
PATIENCE_SECONDS = 60.0

Json = dict[str, Any]


@pytest.fixture
async def second(running: Stack) -> AsyncIterator[str]:
    await order(running, "start", "ledger-2")
    yield running.urls["ledger-2"]
    await order(running, "stop", "ledger-2")


@dataclass
class Traffic:
    """Holds under keys of their own. `answered` are those that got their 201, by key."""

    http: aiohttp.ClientSession
    url: str
    players: list[str]
    market: str
    sent: dict[str, Json] = field(default_factory=dict)
    answered: dict[str, Json] = field(default_factory=dict)
    broken: int = 0

    async def post(self, key: str) -> None:
        """Send one hold once; an answer that does not come is a question left open."""
        try:
            async with self.http.post(
                self.url, json=self.sent[key], headers={"Idempotency-Key": key}
            ) as answer:
                if answer.status == 201:
                    self.answered[key] = await answer.json()
                else:
                    assert answer.status == 503, await answer.text()
                    assert answer.headers["Retry-After"]
                    self.broken += 1
                    await asyncio.sleep(0.1)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            self.broken += 1
            await asyncio.sleep(0.05)

    async def person(self, number: int, stop: asyncio.Event) -> None:
        """Hold after hold, each asked for under its key until there is an answer."""
        while not stop.is_set():
            key = str(uuid4())
            self.sent[key] = hold_body(self.players[number], self.market, str(uuid4()))
            while key not in self.answered and not stop.is_set():
                await self.post(key)

    async def until_answered(self, more: int) -> None:
        wanted = len(self.answered) + more
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.answered) < wanted:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("victim", KILLS)
async def test_kill_9_loses_no_answer_and_doubles_no_key(running: Stack, second: str, victim: str) -> None:
    key = await ledger_key(running_stack(), "tester", "deposit", "bet.hold", "bet.release")
    players = await fund_players(running_stack(), key, PEOPLE)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
        traffic = Traffic(http, f"{second}/v1/entries", players, str(uuid4()))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(PEOPLE):
                group.create_task(traffic.person(number, stop))
            for _ in range(KILLS[victim]):
                await traffic.until_answered(ANSWERED_BETWEEN_KILLS)
                await order(running, "kill", victim, signal="KILL")
            await traffic.until_answered(ANSWERED_BETWEEN_KILLS)
            stop.set()
        # A killed ledger breaks requests. A killed PostgreSQL need not: the engine tries its batch again for
        # longer than the restart takes, and finds what had committed by its id.
        assert traffic.broken > 0 or victim == "postgres", "no kill hit a request"

        given = dict(traffic.answered)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while open_questions := traffic.sent.keys() - traffic.answered.keys():
                for open_question in open_questions:
                    await traffic.post(open_question)
        for asked in list(given)[:50]:
            await traffic.post(asked)
            assert traffic.answered[asked] == given[asked]
    assert traffic.answered.keys() == traffic.sent.keys()
    assert len({view["id"] for view in traffic.answered.values()}) == len(traffic.sent)
    await _in_the_journal(running, traffic)


async def _in_the_journal(running: Stack, traffic: Traffic) -> None:
    """Every key is an entry, once, and the held balances are exactly what was asked for."""
    connection = await asyncpg.connect(running.dsn["ledger_reader"])
    try:
        stored = await connection.fetch(
            "SELECT idempotency_key, count(*) AS n FROM entry WHERE reference = $1 GROUP BY idempotency_key",
            f"markets/{traffic.market}",
        )
        held = await connection.fetchval(
            "SELECT sum(remaining) FROM hold WHERE reference = $1", f"markets/{traffic.market}"
        )
    finally:
        await connection.close()
    assert {row["idempotency_key"] for row in stored} == traffic.sent.keys()
    assert all(row["n"] == 1 for row in stored)
    assert held == len(traffic.sent)
