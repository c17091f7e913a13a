"""Declaring exchanges and queues. Run by `python -m tools.topology`, never by a service.

Declaring the same again changes nothing; declaring it differently fails, and that is intended: the
arguments of a queue with messages in it are not changed by a deployment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

from common.amqp.link import broker_errors
from common.amqp.names import DEAD_EXCHANGE, RETRY_DELAYS_SECONDS, RETRY_EXCHANGE, dead_queue, retry_queue

DELIVERY_LIMIT: Final = 5
"""A message that takes its consumer down this often is given up by the broker itself."""

WORK_QUEUE_LIMIT: Final = 1_000_000
"""Messages. Beyond it the broker refuses, and the backlog waits in the publisher's outbox instead."""

STREAM_SEGMENT_BYTES: Final = 1_000_000
"""Age is looked at by whole segments, so small ones make it true."""

_SAFE_DEAD_LETTERING: Final = {
    "x-queue-type": "quorum",
    # By default a quorum queue loses a dead letter whose target is away. At-least-once keeps it, and
    # is only in force together with reject-publish.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


async def declare_exchange(
    channel: AbstractChannel, name: str, *, alternate: str | None = None
) -> AbstractExchange:
    """A durable topic exchange. What no queue is bound for goes to `alternate`, else back to its publisher."""
    with broker_errors():
        return await channel.declare_exchange(
            name,
            ExchangeType.TOPIC,
            durable=True,
            arguments=None if alternate is None else {"alternate-exchange": alternate},
        )


async def declare_work_queue(
    channel: AbstractChannel,
    name: str,
    bindings: Iterable[tuple[str, str]],
    *,
    retired: Iterable[tuple[str, str]] = (),
) -> AbstractQueue:
    """A consumer's queue with its retry queues and its dead-letter queue, bound to (exchange, pattern), and not any
    more to what is `retired`.

    The exchanges must exist. The companions come first, so that no message can miss them.
    """
    with broker_errors():
        await _declare_dead_queue(channel, name)
        for delay_seconds in RETRY_DELAYS_SECONDS:
            await _declare_retry_queue(channel, name, delay_seconds)
        queue = await channel.declare_queue(
            name,
            durable=True,
            arguments={
                **_SAFE_DEAD_LETTERING,
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-max-length": WORK_QUEUE_LIMIT,
                "x-dead-letter-exchange": DEAD_EXCHANGE,
                "x-dead-letter-routing-key": dead_queue(name),
            },
        )
        for exchange, pattern in bindings:
            await queue.bind(exchange, pattern)
        for exchange, pattern in retired:
            await queue.unbind(exchange, pattern)
    return queue


async def declare_listening_queue(
    channel: AbstractChannel, name: str, bindings: Iterable[tuple[str, str]], *, limit: int
) -> AbstractQueue:
    """A queue of somebody whom nobody waits for, with the same companions as a work queue.

    It and its dead letters keep the last `limit` messages and drop the oldest, so that a listener who is away
    can fill nothing and hold up nobody.
    """
    with broker_errors():
        dead = await declare_ring_queue(channel, dead_queue(name), limit=limit, bindings=())
        await dead.bind(DEAD_EXCHANGE, dead_queue(name))
        for delay_seconds in RETRY_DELAYS_SECONDS:
            await _declare_retry_queue(channel, name, delay_seconds)
        queue = await channel.declare_queue(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-max-length": limit,
                "x-overflow": "drop-head",
                "x-dead-letter-exchange": DEAD_EXCHANGE,
                "x-dead-letter-routing-key": dead_queue(name),
            },
        )
        for exchange, pattern in bindings:
            await queue.bind(exchange, pattern)
    return queue


async def declare_ring_queue(
    channel: AbstractChannel, name: str, *, limit: int, bindings: Iterable[tuple[str, str]]
) -> AbstractQueue:
    """A queue that keeps the last `limit` messages and drops the oldest; nothing depends on it."""
    with broker_errors():
        queue = await channel.declare_queue(
            name,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": limit, "x-overflow": "drop-head"},
        )
        for exchange, pattern in bindings:
            await queue.bind(exchange, pattern)
    return queue


async def declare_stream(
    channel: AbstractChannel, name: str, *, max_age: str, bindings: Iterable[tuple[str, str]]
) -> AbstractQueue:
    """A log that any number of readers follow, each at its own pace; what is older than `max_age` goes."""
    with broker_errors():
        stream = await channel.declare_queue(
            name,
            durable=True,
            arguments={
                "x-queue-type": "stream",
                "x-max-age": max_age,
                "x-stream-max-segment-size-bytes": STREAM_SEGMENT_BYTES,
            },
        )
        for exchange, pattern in bindings:
            await stream.bind(exchange, pattern)
    return stream


async def _declare_dead_queue(channel: AbstractChannel, queue: str) -> None:
    """No limit and no expiry: a dead letter is somebody's money until a person has looked at it."""
    dead = await channel.declare_queue(dead_queue(queue), durable=True, arguments={"x-queue-type": "quorum"})
    await dead.bind(DEAD_EXCHANGE, dead_queue(queue))


async def _declare_retry_queue(channel: AbstractChannel, queue: str, delay_seconds: int) -> None:
    """One queue per delay: messages expire only at a queue's head, so delays must not mix."""
    name = retry_queue(queue, delay_seconds)
    retry = await channel.declare_queue(
        name,
        durable=True,
        arguments={
            **_SAFE_DEAD_LETTERING,
            "x-message-ttl": delay_seconds * 1000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue,
        },
    )
    await retry.bind(RETRY_EXCHANGE, name)
