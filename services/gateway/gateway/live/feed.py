"""Where the events come from: a queue of this replica's own, gone when it goes.

No queue can be declared beforehand for replicas that come and go, so this is the one place where a service declares one:
exclusive, bounded, the oldest dropped first. What is dropped or missed is noticed by the markets' sequence numbers.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueueIterator
from common.amqp import Link
from common.amqp.link import broker_errors, close_channel
from common.broker import BrokerUnavailable
from contracts.envelope import Envelope
from contracts.topology import EVENTS, LIVE_PATTERNS, LIVE_QUEUES

LIMIT: Final = 50_000
PREFETCH: Final = 500
BACKOFF_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 5.0
"""After this long without an event the broker is asked whether it still delivers."""

log = logging.getLogger(__name__)


class Feed:
    """Listens while `running`; begins again, and says so (`began`), whenever the connection was lost."""

    def __init__(
        self,
        link: Link,
        take: Callable[[Envelope], Awaitable[None]],
        began: Callable[[], Awaitable[None]],
    ) -> None:
        self._link = link
        self._take = take
        self._began = began
        self._listening = False

    async def check(self) -> None:
        """A readiness probe. Raises BrokerUnavailable."""
        if not self._listening:
            raise BrokerUnavailable("not listening for live events yet", retry_after=1)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name="live feed")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except BrokerUnavailable as error:
                log.warning("live events wait for the broker: %s", error.detail)
            except Exception:
                log.exception("listening for live events failed; beginning again")
            self._listening = False
            await asyncio.sleep(BACKOFF_SECONDS)

    async def _listen(self) -> None:
        channel = await self._link.channel(confirms=False)
        try:
            with broker_errors():
                await channel.set_qos(PREFETCH)
                queue = await channel.declare_queue(
                    f"{LIVE_QUEUES}{uuid4()}",
                    exclusive=True,
                    auto_delete=True,
                    arguments={"x-max-length": LIMIT, "x-overflow": "drop-head"},
                )
                for pattern in LIVE_PATTERNS:
                    await queue.bind(EVENTS, pattern)
            self._listening = True
            await self._began()
            async with queue.iterator(no_ack=True) as messages:
                while True:
                    message = await self._next(messages, channel)
                    if message is not None:
                        await self._take_safely(message.body)
        finally:
            await close_channel(channel)

    async def _next(
        self, messages: AbstractQueueIterator, channel: AbstractChannel
    ) -> AbstractIncomingMessage | None:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await anext(messages)
        except TimeoutError:
            if channel.is_closed:
                raise BrokerUnavailable("the channel was closed", retry_after=1) from None
            await self._link.check()
            return None
        except StopAsyncIteration:
            raise BrokerUnavailable("the broker ended the subscription", retry_after=1) from None

    async def _take_safely(self, body: bytes) -> None:
        try:
            await self._take(Envelope.model_validate_json(body))
        except Exception:
            log.exception("an event was not taken in")
