"""Revocation notices: what identity has ended elsewhere is forgotten here at once.

Every gateway follows the same stream, from when it began to listen. While it cannot hear, the tokens and the keys
it keeps might be revoked ones, so it keeps none and asks identity each time: slower, never wrong.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from common.amqp import BrokerUnavailable, Link
from common.amqp.link import RPC_TIMEOUT_SECONDS, broker_errors, close_channel
from common.repeating import end
from contracts.envelope import Envelope
from contracts.identity import DeviceRevoked, SessionRevoked
from contracts.topology import GATEWAY_REVOCATIONS
from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from gateway.devices import Devices
from gateway.sessions import TokenExchange

PREFETCH: Final = 100
BACKOFF_SECONDS: Final = 1.0
WATCH_SECONDS: Final = 2.0
"""How often the subscription is looked after: a half-open link announces itself in no other way."""

HEARING: Final = Gauge("gateway_revocations_hearing", "1 while revocation notices are heard")
HEARD: Final = Counter("gateway_revocations_heard", "Revocation notices by type", ("type",))

log = logging.getLogger(__name__)


class Revocations:
    """Follows the stream of notices."""

    def __init__(self, link: Link, exchange: TokenExchange, devices: Devices) -> None:
        self._link = link
        self._exchange = exchange
        self._devices = devices
        self.hearing = False
        self._hear(False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen while the block runs. Entering does not wait for the broker."""
        listening = asyncio.create_task(self._run(), name="revocation notices")
        try:
            yield
        finally:
            await end(listening)

    async def _run(self) -> None:
        while True:
            try:
                await self._session()
            except BrokerUnavailable as error:
                if self.hearing:
                    log.warning("revocations are not heard, so nothing is kept: %s", error.detail)
            except Exception:
                log.exception("listening for revocations failed in an unforeseen way")
            finally:
                self._hear(False)
            await asyncio.sleep(BACKOFF_SECONDS)

    async def _session(self) -> None:
        """Listen until the broker or the link ends it. Raises BrokerUnavailable."""
        channel = await self._link.channel(confirms=False)
        try:
            over = asyncio.Event()
            channel.close_callbacks.add(lambda *_: over.set())
            await self._subscribe(channel)
            self._hear(True)
            while not over.is_set():
                await self._link.check()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), WATCH_SECONDS)
        finally:
            await close_channel(channel)

    async def _subscribe(self, channel: AbstractChannel) -> None:
        with broker_errors():
            async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
                await channel.set_qos(prefetch_count=PREFETCH)  # a stream wants a bound
                stream = await channel.declare_queue(GATEWAY_REVOCATIONS, passive=True)
                await stream.consume(self._heard, arguments={"x-stream-offset": "next"})

    async def _heard(self, message: AbstractIncomingMessage) -> None:
        try:
            self._obey(Envelope.model_validate_json(message.body))
        except ValidationError:
            log.exception("a notice makes no sense; everything kept is forgotten")
            self._hear(False)
            self._hear(True)
        await message.ack()

    def _obey(self, notice: Envelope) -> None:
        HEARD.labels(notice.type).inc()
        if notice.type == SessionRevoked.type:
            self._exchange.forget_session(notice.read(SessionRevoked).session_id)
        elif notice.type == DeviceRevoked.type:
            self._devices.forget(notice.read(DeviceRevoked).device_id)

    def _hear(self, yes: bool) -> None:
        self.hearing = yes
        HEARING.set(int(yes))
        self._exchange.remember(yes)
        self._devices.remember(yes)
