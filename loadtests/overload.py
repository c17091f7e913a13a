"""Twice as much as the ledger can take: what it still posts, and that everything it refused is posted later.

`python -m loadtests.overload` on a running stack. First a closed loop finds the rate at which the queue never fills,
client and ledger on the same cores. Then posts arrive at twice that rate, whatever the answers are, from clients that
do not come again: goodput is what is posted a second meanwhile. In the end all that was refused is sent once more
under the same keys, and the journal is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
import asyncpg

from loadtests.alone import Alone, analyze, api_key, ledger_alone
from loadtests.books import LEDGER, account, make_ledger, transfer

CONNECTIONS = 32
MAX_QUEUED = 128
TICK_SECONDS = 0.01


@dataclass
class Client:
    """Posts under keys of their own; counts the answers."""

    http: aiohttp.ClientSession
    url: str
    statuses: Counter[int] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    posted: set[str] = field(default_factory=set)
    times: list[float] = field(default_factory=list)

    async def post(self, key: str) -> None:
        began = time.perf_counter()
        body = transfer("equity/opening", account(hash(key) % 1_000), "1.00")
        async with self.http.post(
            f"{self.url}/v1/entries", json=body, headers={"Idempotency-Key": key}
        ) as answer:
            await answer.read()
            self.statuses[answer.status] += 1
            if answer.status == 201:
                self.posted.add(key)
                self.times.append((time.perf_counter() - began) * 1_000)
            elif answer.status in (429, 503) and int(answer.headers["Retry-After"]) > 0:
                self.refused.append(key)
            else:
                raise RuntimeError(f"{answer.status} {await answer.text()}")

    async def closed_loop(self, seconds: float) -> float:
        """Posts a second with `CONNECTIONS` that wait for their answers."""
        end = time.monotonic() + seconds

        async def one() -> None:
            while time.monotonic() < end:
                await self.post(str(uuid4()))

        before = len(self.posted)
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
        return (len(self.posted) - before) / seconds

    async def arriving(self, rate: float, seconds: float) -> float:
        """Posts a second while `rate` arrive, whoever still waits."""
        before, began, sent = len(self.posted), time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while (elapsed := time.monotonic() - began) < seconds:
                while sent < rate * elapsed:
                    group.create_task(self.post(str(uuid4())))
                    sent += 1
                await asyncio.sleep(TICK_SECONDS)
        print(f"{sent / seconds:.0f}/s arrived")
        return (len(self.posted) - before) / (time.monotonic() - began)

    async def settle_up(self) -> None:
        """Send what was refused once more, with the same keys, until nothing is left."""
        while self.refused:
            some = [self.refused.pop() for _ in range(min(MAX_QUEUED // 2, len(self.refused)))]
            await asyncio.gather(*map(self.post, some))


async def run(alone: Alone, seconds: float) -> None:
    key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0)
    ) as http:
        client = Client(http, alone.urls[0])
        await client.closed_loop(2)
        await analyze(alone.database)
        peak = await client.closed_loop(seconds)
        client.statuses.clear()
        client.times.clear()
        goodput = await client.arriving(2 * peak, seconds)
        waited = sorted(client.times)
        print(
            f"peak {peak:.0f}/s; asked twice that: {goodput:.0f}/s posted ({goodput / peak:.0%}) at p99 "
            f"{waited[int(len(waited) * 0.99)]:.0f} ms, answers {dict(client.statuses)}, each refusal with Retry-After"
        )
        await client.settle_up()
    connection = await asyncpg.connect(alone.database.dsn("ledger_reader"))
    try:
        entries = await connection.fetchval("SELECT count(*) FROM entry")
    finally:
        await connection.close()
    print(f"afterwards {len(client.posted)} keys, {entries} entries")
    if entries != len(client.posted):
        raise SystemExit("keys and entries differ")


async def main() -> None:
    """Print the rates and what came of the refused ones."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.overload")
    parser.add_argument("--seconds", type=float, default=10.0)
    wanted = parser.parse_args()
    async with ledger_alone(prepare=make_ledger, settings={"MAX_QUEUED": str(MAX_QUEUED)}) as alone:
        await run(alone, wanted.seconds)


if __name__ == "__main__":
    asyncio.run(main())
