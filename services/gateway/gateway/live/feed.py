"""Where the events come from: a queue of this replica's own, gone when it goes.

No queue can be declared beforehand for replicas that come and go, so this is the one place where a service declares one:
exclusive, bounded, the oldest dropped first. What is dropped or missed is noticed by the markets' sequence numbers.
aio-pika's queue iterator is not used: when waiting for a message is given up, it ends the whole subscription, so five
quiet seconds on a carril once made every replica begin anew.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from time import monotonic
from typing import Final, Protocol
from uuid import uuid4

from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from common.amqp import Link
from common.amqp.link import broker_errors, close_channel
from common.broker import BrokerUnavailable
from common.repeating import end
from contracts.envelope import Envelope
from contracts.topology import EVENTS, LIVE_PATTERNS, LIVE_QUEUES

LIMIT: Final = 50_000
BACKOFF_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 5.0
"""After this long without an event the broker is asked whether it still delivers."""
MEND_SECONDS: Final = 5.0
"""Between two attempts at what could not be done. Not left to a silence: on a race day there is none."""

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told of the events."""

    def concerns(self, body: bytes) -> bool:
        """Whether an event is worth reading."""

    async def take(self, envelope: Envelope) -> None: ...

    async def forget(self) -> None:
        """Something may have been missed."""

    async def mend(self) -> None:
        """Do what could not be done."""


class _Inbox:
    """What has arrived and is not taken in yet."""

    def __init__(self) -> None:
        self._bodies: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self.over = False
        self.dropped = False

    async def put(self, message: DeliveredMessage) -> None:
        if len(self._bodies) >= LIMIT:  # we are hopelessly late
            self._bodies.popleft()
            self.dropped = True
        self._bodies.append(message.body)
        self._arrived.set()

    def end(self, *_: object) -> None:
        self.over = True
        self._arrived.set()

    async def arrived(self) -> None:
        """Wait until there is something, or there will be nothing any more. Raises TimeoutError after a silence."""
        async with asyncio.timeout(SILENCE_SECONDS):
            await self._arrived.wait()

    def take(self) -> bytes | None:
        if self._bodies:
            return self._bodies.popleft()
        if not self.over:
            self._arrived.clear()
        return None


class Feed:
    """Listens while `running`; begins again, and says so (`forget`), whenever the connection was lost."""

    def __init__(self, link: Link, listener: Listener) -> None:
        self._link = link
        self._listener = listener
        self._listening = False
        self.began = 0
        """How often listening began."""

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
            await end(task)

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
        inbox = _Inbox()
        try:
            await _subscribe(channel, inbox)
            self._listening = True
            self.began += 1
            await self._listener.forget()
            mended_at = monotonic()
            while not inbox.over:
                await self._take_all(inbox)
                if inbox.dropped:
                    inbox.dropped = False
                    await self._listener.forget()
                if monotonic() - mended_at >= MEND_SECONDS:
                    await self._listener.mend()
                    mended_at = monotonic()
                try:
                    await inbox.arrived()
                except TimeoutError:
                    if channel.is_closed:
                        break
                    await self._link.check()
            raise BrokerUnavailable("the broker ended the subscription", retry_after=1)
        finally:
            await close_channel(channel)

    async def _take_all(self, inbox: _Inbox) -> None:
        while (body := inbox.take()) is not None:
            try:
                if self._listener.concerns(body):
                    await self._listener.take(Envelope.model_validate_json(body))
            except Exception:
                log.exception("an event was not taken in")


async def _subscribe(channel: AbstractChannel, inbox: _Inbox) -> None:
    """Have everything that is told from now on put into the inbox. Raises BrokerUnavailable."""
    with broker_errors():
        queue = await channel.declare_queue(
            f"{LIVE_QUEUES}{uuid4()}",
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": LIMIT, "x-overflow": "drop-head"},
        )
        for pattern in LIVE_PATTERNS:
            await queue.bind(EVENTS, pattern)
        # aiormq's own consumer: aio-pika makes a message object of each delivery, which costs more than reading it.
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(inbox.end)
        channel.close_callbacks.add(inbox.end)
        await underlay.basic_consume(queue.name, inbox.put, no_ack=True)
