"""The long drills: `make drills`. What `test_processes.py` shows in seconds, at the size the design promises.

At the end of each, a consumer with an inbox has had exactly one effect for every event, whatever came twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from common import pg
from common.amqp import Consumer, Delivery, Link
from common.amqp.declare import declare_exchange, declare_work_queue
from common.amqp.names import RETRY_DELAYS_SECONDS, dead_queue, retry_queue
from common.inbox import first_sight
from common.testing import fresh_database, stack
from pydantic import BaseModel, Field, model_validator

from services.relay.tests.outbox import Listener, MakeRelay, Outbox, RelayProcess
from services.relay.tests.test_processes import scraped, write
from tools.proxy import Proxy

pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("place", ["amqp"], indirect=True),
]

MARKETS, UPTO = 50, 200
EVENTS = MARKETS * UPTO
CONSUMER = "drill"


class Event(BaseModel):
    """What the outbox of these tests carries, as a consumer reads it."""

    id: UUID
    type: str = "test.thing.happened.v1"
    subject: str
    partitionkey: str
    sequence: int
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    traceparent: str | None = None
    data: dict[str, object] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_the_outbox(cls, raw: dict[str, object]) -> dict[str, object]:
        aggregate = raw["aggregate"]
        return {"id": raw["id"], "subject": aggregate, "partitionkey": aggregate, "sequence": raw["version"]}


class Deduper(Listener):
    """A consumer as every service has it, which survives what the drills do to the broker."""

    def __init__(self, pool: pg.Pool) -> None:
        super().__init__()
        self._pool = pool

    async def handle(self, delivery: Delivery) -> None:
        async with pg.transaction(self._pool) as conn:
            if await first_sight(conn, CONSUMER, delivery.envelope.id):
                await conn.execute("INSERT INTO effect VALUES ($1)", delivery.envelope.id)
        self.note(delivery.raw, {})

    async def assert_deduped(self, outbox: Outbox) -> None:
        """Everything arrived, in order, and had one effect each."""
        await outbox.emptied(within_seconds=90)
        await self.heard_all(EVENTS, within_seconds=90)
        self.assert_in_order()
        effects = await self._pool.fetchrow("SELECT count(*), count(DISTINCT event_id) FROM effect")
        assert effects is not None
        assert tuple(effects) == (EVENTS, EVENTS)


@pytest.fixture
async def deduper(outbox: Outbox) -> AsyncIterator[Deduper]:
    async with fresh_database("betting") as database:
        admin = await asyncpg.connect(database.superuser_dsn)
        await admin.execute("CREATE TABLE effect (event_id uuid NOT NULL)")
        await admin.close()
        pool = await pg.create_pool(database.superuser_dsn, application_name="drill")
        made = Deduper(pool)
        async with queue_of(outbox.exchange) as (link, queue):
            consumer = Consumer(
                link, queue, made.handle, parse=Event.model_validate_json, prefetch=200, concurrency=8
            )
            async with consumer.running():
                yield made
        await pool.close()


@asynccontextmanager
async def queue_of(exchange: str) -> AsyncIterator[tuple[Link, str]]:
    link = Link(stack().rabbitmq.url("topology"), name="drill")
    queue = f"{exchange}.drill"
    channel = await link.channel(confirms=False)
    await declare_exchange(channel, exchange)
    await declare_work_queue(channel, queue, [(exchange, "heard")])
    try:
        yield link, queue
    finally:
        clean = await link.channel(confirms=False)
        for each in (
            queue,
            dead_queue(queue),
            *(retry_queue(queue, delay) for delay in RETRY_DELAYS_SECONDS),
        ):
            await clean.queue_delete(each)
        await clean.exchange_delete(exchange)
        await link.close()


def tell(drill: str, deduper: Deduper, **more: object) -> None:
    """For the results page; `make drills` shows it."""
    print(json.dumps({"drill": drill, "events": EVENTS, "twice": deduper.twice, **more}))  # noqa: T201


async def slowly(outbox: Outbox, seconds: float) -> int:
    """Write the events over about so many seconds."""
    return await write(outbox, markets=MARKETS, upto=UPTO, pause_seconds=seconds * 10 / UPTO)


@asynccontextmanager
async def caught_deleting(outbox: Outbox, relay: RelayProcess) -> AsyncIterator[None]:
    """The relay has published and heard the confirmations, and waits to delete. It is held for a moment first,
    so that there are rows for it to publish while nobody can write."""
    relay.signal(signal.SIGSTOP)
    while await outbox.rows() < 100:
        await asyncio.sleep(0.02)
    async with outbox.undeletable():
        relay.signal(signal.SIGCONT)
        await outbox.deleting()
        yield


async def test_a_relay_is_killed_twenty_times(
    outbox: Outbox, deduper: Deduper, start_relay: MakeRelay
) -> None:
    """At least one kill lands between confirmation and deletion: that one is made to."""
    relay, kills = start_relay(), 20
    await relay.start()
    writing = asyncio.create_task(slowly(outbox, 30))
    for kill in range(1, kills + 1):
        await deduper.heard_all(kill * EVENTS // (kills + 1), within_seconds=60)
        if kill == kills // 2:
            async with caught_deleting(outbox, relay):
                await relay.kill()
        else:
            await asyncio.sleep(random.uniform(0, 0.05))
            await relay.kill()
        await relay.start()
    await writing
    await deduper.assert_deduped(outbox)
    assert deduper.twice > 0, "no kill landed between confirmation and deletion"
    tell("relay killed 20 times", deduper)


async def test_a_relay_stands_still_for_twenty_seconds(
    outbox: Outbox, deduper: Deduper, start_relay: MakeRelay
) -> None:
    frozen, other = start_relay(), start_relay()
    await frozen.start()
    writing = asyncio.create_task(slowly(outbox, 30))
    await deduper.heard_all(EVENTS // 10)
    async with caught_deleting(outbox, frozen):
        frozen.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    held = 16 - await outbox.free_shards()
    assert held > 0
    await other.start()
    async with asyncio.timeout(30):
        while await outbox.free_shards() < 16 or await waiting_longer_than(outbox, 2.0):
            await asyncio.sleep(0.02)
    taken_over = time.monotonic() - stopped
    await asyncio.sleep(max(0.0, 20 - taken_over))
    frozen.signal(signal.SIGCONT)
    await writing
    await deduper.assert_deduped(outbox)
    again = (await scraped(other))["relay_sent_again_total"]
    tell(
        "relay frozen 20 s",
        deduper,
        shards_held=held,
        taken_over_after_seconds=round(taken_over, 1),
        sent_again=again,
    )


async def waiting_longer_than(outbox: Outbox, seconds: float) -> bool:
    found: bool = await outbox.writer.fetchval(
        "SELECT EXISTS (SELECT FROM outbox WHERE created_at < now() - make_interval(secs => $1))", seconds
    )
    return found


async def kill_the_broker() -> None:
    reader, writer = await asyncio.open_unix_connection(stack().control)
    writer.write(json.dumps({"act": "kill", "process": "rabbitmq", "signal": "KILL"}).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    assert "error" not in answer, answer


async def test_the_broker_is_killed(outbox: Outbox, deduper: Deduper, start_relay: MakeRelay) -> None:
    """The stack's own RabbitMQ, in the middle; its supervisor starts it again."""
    relay = start_relay()
    await relay.start()
    writing = asyncio.create_task(slowly(outbox, 20))
    await deduper.heard_all(EVENTS // 3, within_seconds=60)
    killed = time.monotonic()
    before = len(set(deduper.heard))
    await kill_the_broker()
    await asyncio.sleep(0.5)
    async with asyncio.timeout(90):
        while len(set(deduper.heard)) <= before + 200:
            await asyncio.sleep(0.05)
    silent = time.monotonic() - killed
    await writing
    await deduper.assert_deduped(outbox)
    tell("broker killed", deduper, silent_seconds=round(silent, 1))


async def test_the_link_to_the_broker_stalls(
    outbox: Outbox, deduper: Deduper, start_relay: MakeRelay, proxy: Proxy
) -> None:
    """Silence for 20 seconds, then everything that was under way arrives late, on connections given up since."""
    relay = start_relay(proxy)
    await relay.start()
    writing = asyncio.create_task(slowly(outbox, 10))
    await deduper.heard_all(EVENTS // 3, within_seconds=60)
    proxy.stall()
    await asyncio.sleep(20)
    proxy.flow()
    await writing
    await deduper.assert_deduped(outbox)
    with contextlib.suppress(Exception):
        found = await scraped(relay)
        tell("link stalled 20 s", deduper, unconfirmed=found["relay_unconfirmed_total"])
