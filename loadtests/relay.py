"""How fast the relay is: events per second through one and two, and from commit to consumer.

`python -m loadtests.relay` on a throw-away stack's servers (`tools.stack with --infra-only`). Relays are processes
as an operator runs them, on a copy of a service's database with that service's relay role; the consumer is
a process too, and everything shares the machine's cores. Events are about as long as the ledger's.

- throughput: a backlog is written first, then the relays start; the time from the first message's arrival
  to the last one's, and what the consumer counted twice.
- latency: events are committed one transaction each at a constant rate; the time from just before the
  commit was asked for until the consumer has the event.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage
from common.testing import fresh_database, stack

AGGREGATES = 200
FILLER = "x" * 600
PREFETCH = 1_000
STARTING_SECONDS = 2.0
PATIENCE_SECONDS = 60.0

WRITE = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body, headers)
    SELECT (hashtextextended(aggregate, 0) & 15)::smallint, gen_random_uuid(), $1, 'it', aggregate, number,
           jsonb_build_object('number', number, 'at', $2::float8, 'filler', $3::text),
           '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}'
    FROM (SELECT number, 'markets/' || number % $4 AS aggregate FROM generate_series($5::bigint, $6::bigint) AS number) AS n
    ORDER BY number
"""


@dataclass(slots=True)
class Bench:
    """One outbox, and a queue at the other end."""

    dsn: str
    writer: asyncpg.Pool[asyncpg.Record]
    exchange: str
    amqp_url: str

    async def write(self, first: int, last: int) -> None:
        """Commit events with these numbers in one transaction."""
        await self.writer.execute(WRITE, self.exchange, time.time(), FILLER, AGGREGATES, first, last)

    async def rows(self) -> int:
        left: int = await self.writer.fetchval("SELECT count(*) FROM outbox")
        return left

    @asynccontextmanager
    async def relays(self, count: int) -> AsyncIterator[None]:
        """That many relay processes, ready."""
        async with AsyncExitStack() as running:
            for number in range(count):
                await running.enter_async_context(self._relay(number))
            await asyncio.sleep(STARTING_SECONDS)
            yield

    @asynccontextmanager
    async def _relay(self, number: int) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay", stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | {
                "SERVICE": f"relay-load-{number}", "PORT": str(stack().base + 80 + number),
                "DATABASE_DSN": self.dsn, "AMQP_URL": self.amqp_url, "DRAIN_SECONDS": "0",
            },
        )  # fmt: skip
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A copy of identity's database; its outbox is like all others."""
    url = stack().rabbitmq.url("topology")
    exchange = f"load.{uuid4().hex[:8]}"
    async with (
        fresh_database("identity") as database,
        asyncpg.create_pool(database.superuser_dsn, min_size=4, max_size=16) as writer,
        await aio_pika.connect(url) as connection,
    ):
        channel = await connection.channel()
        await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exchange, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, "it")
        try:
            yield Bench(database.dsn("identity_relay"), writer, exchange, url)
        finally:
            await queue.delete(if_unused=False, if_empty=False)
            await channel.exchange_delete(exchange)


@dataclass(slots=True)
class Heard:
    """What the consumer's process saw."""

    wanted: int
    numbers: set[int] = field(default_factory=set)
    latencies_ms: list[float] = field(default_factory=list)
    duplicates: int = 0
    first_at: float = 0.0
    last_at: float = 0.0


async def hear(url: str, queue_name: str, wanted: int) -> Heard:
    """Read the queue until so many different events have come, or for too long."""
    heard, enough = Heard(wanted), asyncio.Event()
    since_ack = 0

    async def note(message: AbstractIncomingMessage) -> None:
        nonlocal since_ack
        now = time.time()
        event = json.loads(message.body)
        heard.first_at = heard.first_at or now
        heard.last_at = now
        if event["number"] in heard.numbers:
            heard.duplicates += 1
        else:
            heard.numbers.add(event["number"])
            heard.latencies_ms.append((now - event["at"]) * 1_000)
        since_ack += 1
        if since_ack >= PREFETCH // 10 or len(heard.numbers) >= wanted:
            since_ack = 0
            await message.ack(multiple=True)
        if len(heard.numbers) >= wanted:
            enough.set()

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        await (await channel.get_queue(queue_name)).consume(note)
        print("listening", flush=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), PATIENCE_SECONDS)
    return heard


@asynccontextmanager
async def listening(made: Bench, wanted: int) -> AsyncIterator[asyncio.Task[dict[str, float]]]:
    """A consumer process; the task ends with what it tells."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.relay", "--hear", made.exchange, "--wanted", str(wanted),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()

    async def told() -> dict[str, float]:
        out, _ = await process.communicate()
        figures: dict[str, float] = json.loads(out)
        return figures

    telling = asyncio.create_task(told())
    try:
        yield telling
    finally:
        telling.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def throughput(relays: int, events: int) -> str:
    """A backlog carried by so many relays."""
    async with bench() as made:
        for first in range(1, events + 1, 5_000):
            await made.write(first, min(first + 4_999, events))
        await made.writer.execute("VACUUM ANALYZE outbox")
        async with listening(made, events) as telling, made.relays(relays):
            figures = await telling
            while await made.rows():
                await asyncio.sleep(0.05)
    seconds = figures["seconds"]
    return (
        f"{relays} relay(s): {figures['heard']:,.0f} of {events:,} events in {seconds:.2f} s = "
        f"{figures['heard'] / seconds:,.0f}/s, {figures['duplicates']:.0f} twice"
    )


async def latency(relays: int, per_second: int, seconds: float) -> str:
    """Commit to consumer at a constant rate, open loop."""
    events = max(1, int(per_second * seconds))
    async with bench() as made, listening(made, events) as telling, made.relays(relays):
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as committing:
            for number in range(1, events + 1):
                await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
                committing.create_task(made.write(number, number))
        wrote = loop.time() - began
        figures = await telling
    return (
        f"{per_second:5}/s asked, {events / wrote:,.0f}/s committed, {figures['heard']:.0f} of {events} heard: "
        f"p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, max {figures['max_ms']:.1f} ms"
    )


def figures_of(heard: Heard) -> dict[str, float]:
    """As the consumer's process tells them."""
    ordered = sorted(heard.latencies_ms)
    return {
        "heard": len(heard.numbers),
        "duplicates": heard.duplicates,
        "seconds": heard.last_at - heard.first_at,
        "p50_ms": ordered[len(ordered) // 2],
        "p99_ms": ordered[len(ordered) * 99 // 100],
        "max_ms": ordered[-1],
    }


async def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.relay")
    parser.add_argument("--events", type=int, default=40_000, help="of the backlog")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each latency run")
    parser.add_argument("--rates", type=int, nargs="*", default=[5, 200, 1_000])
    parser.add_argument("--relays", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--hear", help=argparse.SUPPRESS)
    parser.add_argument("--wanted", type=int, default=0, help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if wanted.hear:
        print(
            json.dumps(figures_of(await hear(stack().rabbitmq.url("topology"), wanted.hear, wanted.wanted)))
        )
        return
    print(f"load average before: {os.getloadavg()[0]:.1f}", flush=True)
    for relays in wanted.relays:
        print(await throughput(relays, wanted.events), flush=True)
    for rate in wanted.rates:
        print(await latency(1, rate, wanted.seconds), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
