"""A process's connections to the broker, made when needed and made again after they broke.

aio-pika's robust connection is not used: consumers get lost after its reconnects (its issues 334 and
594) and a publish made while it is away waits for ever (556, 636). Here nothing heals by itself:
whoever owns a channel sees that it is closed and asks for another, every wait has an end, and a
loop with back-off is in one place per owner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from common.broker import BrokerUnavailable

CONNECT_TIMEOUT_SECONDS: Final = 5.0
RPC_TIMEOUT_SECONDS: Final = 5.0
"""For one question to the broker: open a channel, declare, consume."""
CLOSE_TIMEOUT_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 10
"""A silent peer is noticed within about half a minute instead of never."""


@contextlib.contextmanager
def broker_errors() -> Iterator[None]:
    """Turn every way in which a connection can fail into `BrokerUnavailable`.

    When heartbeats stop, aio-pika cancels whoever waits on the connection: a CancelledError in a task
    that nobody cancelled. Left alone it would silently end that task, so it becomes an error here.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerUnavailable("the connection to the broker was lost", retry_after=1) from error
    except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
        raise BrokerUnavailable(f"the broker did not answer: {error!r}", retry_after=1) from error


async def connect(url: str, *, name: str) -> AbstractConnection:
    """A new connection, shown as `name` in the broker's management pages. Raises `BrokerUnavailable`."""
    with broker_errors():
        return await aio_pika.connect(
            url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            client_properties={"connection_name": name},
            heartbeat=HEARTBEAT_SECONDS,
        )


class Link:
    """What the consumers and publishers of one process share: a connection for what publishes and one for the rest.

    Two, because a broker in alarm reads nothing any more from a connection that has published, and what was
    acknowledged on it would count as never heard.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connections: dict[bool, AbstractConnection] = {}
        self._connecting = asyncio.Lock()

    async def channel(self, *, confirms: bool) -> AbstractChannel:
        """A new channel. With `confirms` a publish waits for the broker's word, and an unroutable one
        raises (by default aiormq would only log it).

        Raises `BrokerUnavailable`. The connection is then given up, since one that cannot open a channel is
        broken or half-open: the next call makes a new one instead of waiting for missed heartbeats.
        """
        connection = await self._opened(confirms)
        try:
            with broker_errors():
                async with asyncio.timeout(RPC_TIMEOUT_SECONDS):
                    return await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        except BrokerUnavailable:
            if self._connections.get(confirms) is connection:
                await self._close(confirms)
            raise

    async def check(self, *, confirms: bool = False) -> None:
        """A readiness probe. Raises `BrokerUnavailable` unless the broker opens a channel, with `confirms` one to publish on."""
        await close_channel(await self.channel(confirms=confirms))

    async def close(self) -> None:
        """Close the connections; a broker that does not answer is left without a good-bye."""
        for confirms in tuple(self._connections):
            await self._close(confirms)

    async def _close(self, confirms: bool) -> None:
        connection = self._connections.pop(confirms, None)
        if connection is not None:
            with contextlib.suppress(BrokerUnavailable), broker_errors():
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await connection.close()

    async def _opened(self, confirms: bool) -> AbstractConnection:
        async with self._connecting:
            # Not `is_closed`: aio-pika sets that after our own `close` only, not when the broker or the
            # network ended the connection.
            connection = self._connections.get(confirms)
            if connection is None or not connection.connected.is_set():
                await self._close(confirms)
                connection = self._connections[confirms] = await connect(self._url, name=self._name)
            return connection


async def close_channel(channel: AbstractChannel) -> None:
    """Close a channel if it still is open; its unacknowledged messages go back to their queue."""
    if not channel.is_closed:
        with contextlib.suppress(BrokerUnavailable), broker_errors():
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await channel.close()
