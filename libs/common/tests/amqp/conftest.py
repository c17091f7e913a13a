"""A queue of one's own on the stack's RabbitMQ, with its retry and dead-letter queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from common.amqp import Consumer, Delivery, Link, Message, Publisher, RetryPolicy
from common.amqp.declare import declare_exchange, declare_work_queue
from common.amqp.names import RETRY_DELAYS_SECONDS, dead_queue, retry_queue
from common.forgetting import OLDEST_EVENT
from common.testing import stack
from pydantic import BaseModel, Field

from tools.proxy import Proxy


class Event(BaseModel):
    """The least a consumer can read. `contracts` is not known here."""

    id: UUID
    type: str = "test.thing.happened.v1"
    subject: str
    partitionkey: str
    sequence: int
    traceparent: str | None = None
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    data: dict[str, object]


@dataclass(slots=True)
class Bench:
    """One queue and everything around it."""

    queue: str
    exchange: str
    link: Link
    publisher: Publisher
    channel: AbstractChannel
    handled: list[tuple[str, int]] = field(default_factory=list)

    def event(self, key: str, sequence: int) -> Event:
        return Event(id=uuid4(), subject=key, partitionkey=key, sequence=sequence, data={})

    async def publish(self, *events: Event) -> None:
        refusals = await self.publisher.publish_all(
            [Message(event.id, self.exchange, "it", event.model_dump_json().encode()) for event in events]
        )
        assert refusals == [None] * len(events)

    async def note(self, delivery: Delivery) -> None:
        """The plainest handler: remember what came."""
        self.handled.append((delivery.envelope.partitionkey, delivery.envelope.sequence))

    def consumer(
        self,
        handler: Callable[[Delivery], Awaitable[None]] | None = None,
        *,
        link: Link | None = None,
        prefetch: int = 32,
        ordered: bool = True,
        retries: RetryPolicy | None = None,
        handler_timeout_seconds: float = 30.0,
        oldest: timedelta | None = OLDEST_EVENT,
    ) -> Consumer:
        return Consumer(
            link or self.link,
            self.queue,
            handler or self.note,
            parse=Event.model_validate_json,
            prefetch=prefetch,
            concurrency=8,
            ordered=ordered,
            retries=retries,
            handler_timeout_seconds=handler_timeout_seconds,
            drain_seconds=5,
            oldest=oldest,
        )

    async def handled_all(self, wanted: int, within_seconds: float = 20.0) -> None:
        async def all_are_here() -> bool:
            return len(set(self.handled)) >= wanted

        await eventually(all_are_here, within_seconds)

    async def waiting(self, queue: str | None = None) -> int:
        """Messages ready in the queue, or another one."""
        found = await self.channel.declare_queue(queue or self.queue, passive=True)
        return found.declaration_result.message_count or 0

    async def dead_letter(self, within_seconds: float = 10.0) -> AbstractIncomingMessage:
        """The next dead letter, taken."""
        dead = await self.channel.get_queue(dead_queue(self.queue))
        found: list[AbstractIncomingMessage] = []

        async def there_is_one() -> bool:
            message = await dead.get(fail=False)
            if message is not None:
                found.append(message)
            return bool(found)

        await eventually(there_is_one, within_seconds)
        await found[0].ack()
        return found[0]


async def eventually(condition: Callable[[], Awaitable[bool]], within_seconds: float = 10.0) -> None:
    """Wait until something that happens elsewhere has happened. Raises `TimeoutError`."""
    async with asyncio.timeout(within_seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    link = Link(stack().rabbitmq.url("topology"), name="amqp-test")
    channel = await link.channel(confirms=False)
    name = f"test.{uuid4().hex[:12]}"
    exchange = f"{name}.exchange"
    await declare_exchange(channel, exchange)
    await declare_work_queue(channel, name, [(exchange, "it")])
    publisher = Publisher(link)
    yield Bench(name, exchange, link, publisher, channel)
    await publisher.close()
    clean = await link.channel(confirms=False)
    for queue in (name, dead_queue(name), *(retry_queue(name, delay) for delay in RETRY_DELAYS_SECONDS)):
        await clean.queue_delete(queue)
    await clean.exchange_delete(exchange)
    await link.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    broker = stack().rabbitmq
    async with Proxy(broker.host, broker.port).listening() as listening:
        yield listening


@pytest.fixture
async def proxied(proxy: Proxy) -> AsyncIterator[Link]:
    """A link to the broker through the proxy."""
    broker = stack().rabbitmq
    direct = broker.url("topology")
    link = Link(direct.replace(f":{broker.port}/", f":{proxy.port}/"), name="proxied")
    yield link
    proxy.flow()
    await link.close()
