"""From commit to consumer: how long after the ledger posted does a consumer have the event.

`python -m loadtests.latency` on a running throw-away stack. Posts at a constant rate, whether or not the answers
keep up, and reads the events from a queue of its own; the ledger's time of posting and this process's clock
are the same machine's. Outbox, relay and RabbitMQ lie in between, on the same two cores.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import aiohttp
from aio_pika.abc import AbstractIncomingMessage
from contracts.envelope import Envelope

from loadtests.bank import fund_players, hold_body, ledger_key
from tools.stack.described import Stack, running_stack

SETTLE_SECONDS = 5.0


async def measure(stack: Stack, per_second: int, seconds: int) -> tuple[list[float], int]:
    """Latencies in milliseconds of the events that arrived, and how many posts were accepted."""
    key = await ledger_key(stack, "load", "deposit", "bet.hold")
    players = await fund_players(stack, key, 200)
    market, latencies, accepted = str(uuid4()), list[float](), 0
    broker = stack["rabbitmq"]
    url = f"amqp://admin:{broker['users']['admin']}@{broker['host']}:{broker['port']}/{broker['vhost']}"

    async def hear(message: AbstractIncomingMessage) -> None:
        event = Envelope.model_validate_json(message.body)
        if event.subject == f"markets/{market}":
            latencies.append((datetime.now(UTC) - event.time).total_seconds() * 1_000)
        await message.ack()

    async def post(http: aiohttp.ClientSession, number: int) -> None:
        nonlocal accepted
        body, headers = (
            hold_body(players[number % len(players)], market, str(uuid4())),
            {"Idempotency-Key": str(uuid4())},
        )
        async with http.post(f"{stack['urls']['ledger']}/v1/entries", json=body, headers=headers) as answer:
            accepted += answer.status == 201

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        await aio_pika.connect_robust(url) as connection,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}, connector=connector) as http,
        asyncio.TaskGroup() as group,
    ):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("events", "ledger.entry.committed.v1.bet.hold")
        await queue.consume(hear)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(per_second * seconds):
            await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
            group.create_task(post(http, number))
        deadline = loop.time() + SETTLE_SECONDS
        while len(latencies) < per_second * seconds and loop.time() < deadline:
            await asyncio.sleep(0.05)
    return latencies, accepted


def share(values: list[float], of_100: int) -> float:
    """The value that `of_100` percent do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * of_100 // 100)]


async def main() -> None:
    """Print one line a rate."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.latency")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rates", type=int, nargs="+", default=[20, 200, 500])
    wanted = parser.parse_args()
    for rate in wanted.rates:
        latencies, accepted = await measure(running_stack(), rate, wanted.seconds)
        print(
            f"{rate:5}/s asked: {accepted} of {rate * wanted.seconds} posted, {len(latencies)} heard, "
            f"p50 {share(latencies, 50):.1f} ms, p99 {share(latencies, 99):.1f} ms, max {max(latencies):.1f} ms"
        )


if __name__ == "__main__":
    asyncio.run(main())
