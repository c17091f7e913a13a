"""Dead letters: looking at what a consumer gave up, and giving it back once the cause is repaired.

Looking takes messages and returns them; nothing is lost if the operator's machine goes away in the middle. A
replay publishes **with confirm** to the shortest retry queue and only then takes the dead letter away: a crash in
between makes a duplicate, which the consumer's inbox knows. The service's own broker user may do all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from common.amqp.delivery import Retry
from common.amqp.forward import REASON_HEADER, attempt_of, forwarded
from common.amqp.link import RPC_TIMEOUT_SECONDS, Link, broker_errors, close_channel
from common.amqp.names import RETRY_DELAYS_SECONDS, dead_queue
from common.amqp.publisher import Publisher

RETURN_SECONDS: Final = 2.0
RETURN_LOOKS: Final = 40
REPLAYED: Final = "replayed by an operator"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that a consumer gave up. `id` is the event's; `reason` is the consumer's or the broker's."""

    id: str
    queue: str
    reason: str
    attempt: int
    since: datetime | None
    """When it died, if the broker noted it."""
    body: bytes

    @property
    def type(self) -> str:
        """The event's type, as far as it can be read."""
        return self._attribute("type")

    @property
    def subject(self) -> str:
        """What the event is about, as far as it can be read."""
        return self._attribute("subject")

    def pretty(self) -> str:
        """The body for people: indented if it is JSON, as it is otherwise."""
        try:
            return json.dumps(json.loads(self.body), indent=2, ensure_ascii=False)
        except ValueError:
            return repr(self.body)

    def _attribute(self, name: str) -> str:
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            return str(json.loads(self.body).get(name, "?"))
        return "?"


class DeadLetters:
    """The dead letters of one queue."""

    def __init__(self, link: Link, queue: str) -> None:
        self._link = link
        self._queue = queue

    async def listed(self, limit: int) -> list[DeadLetter]:
        """The oldest ones, which stay. While this looks, nobody else sees them. Raises `BrokerUnavailable`."""
        return [self._read(message) async for message in self._taken(limit)]

    async def replay(self, ids: Collection[str] | None, limit: int) -> list[str]:
        """Give these (or with None all) back to their consumer, as if at the first attempt.

        Looks at `limit` dead letters at most. Returns the ids that were given back.
        Raises `BrokerUnavailable` and `NotTaken`; what was given back before stays so.
        """
        publisher, replayed = Publisher(self._link), list[str]()
        try:
            async for message in self._taken(limit):
                if ids is not None and message.message_id not in ids:
                    continue
                again = forwarded(self._queue, message, Retry(RETRY_DELAYS_SECONDS[0], REPLAYED), attempt=1)
                await publisher.publish(again)
                with broker_errors():
                    await message.ack()
                replayed.append(message.message_id or "?")
        finally:
            await publisher.close()
        return replayed

    async def _taken(self, limit: int) -> AsyncIterator[AbstractIncomingMessage]:
        """Those that are there now, each once; what is not acknowledged goes back when the walk ends."""
        channel = await self._link.channel(confirms=False)
        kept: list[AbstractIncomingMessage] = []
        try:
            queue, there = await self._counted(channel)
            for _ in range(min(limit, there)):
                message = await _next(queue)
                if message is None:
                    break
                kept.append(message)
                yield message
        finally:
            await close_channel(channel)
            await self._back(sum(not message.processed for message in kept))

    async def _counted(self, channel: AbstractChannel) -> tuple[AbstractQueue, int]:
        with broker_errors():
            queue = await channel.declare_queue(dead_queue(self._queue), passive=True)
        return queue, queue.declaration_result.message_count or 0

    async def _back(self, messages: int) -> None:
        """Wait a moment until the broker shows that many again, so that the next look sees them."""
        channel = await self._link.channel(confirms=False)
        try:
            for _ in range(RETURN_LOOKS):
                if (await self._counted(channel))[1] >= messages:
                    return
                await asyncio.sleep(RETURN_SECONDS / RETURN_LOOKS)
        finally:
            await close_channel(channel)

    def _read(self, message: AbstractIncomingMessage) -> DeadLetter:
        deaths = message.headers.get("x-death")
        death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
        since = death.get("time")
        reason = message.headers.get(REASON_HEADER) or f"given up by the broker: {death.get('reason')!s}"
        return DeadLetter(
            id=message.message_id or "?",
            queue=self._queue,
            reason=str(reason),
            attempt=attempt_of(message),
            since=since if isinstance(since, datetime) else None,
            body=message.body,
        )


async def _next(queue: AbstractQueue) -> AbstractIncomingMessage | None:
    with broker_errors():
        return await queue.get(fail=False, timeout=RPC_TIMEOUT_SECONDS)
