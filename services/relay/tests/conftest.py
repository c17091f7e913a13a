"""An outbox, a listener and relay processes, on the stack's PostgreSQL and RabbitMQ."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from common import pg
from common.amqp import Link
from common.amqp.declare import declare_exchange
from common.testing import stack
from relay.service import Carrier, Stuck
from relay.transports.amqp import AmqpTransport

from libs.common.tests.amqp.proxy import Proxy
from services.relay.tests.outbox import Listener, MakeRelay, Outbox, RelayProcess, throw_away_outbox


@pytest.fixture
def amqp_url() -> str:
    """Of the user that may declare: the exchanges of these tests are their own."""
    return stack().rabbitmq.url("topology")


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    async with throw_away_outbox() as made:
        yield made


@pytest.fixture
async def link(amqp_url: str) -> AsyncIterator[Link]:
    opened = Link(amqp_url, name="relay-test")
    yield opened
    await opened.close()


@pytest.fixture
async def listener(outbox: Outbox, link: Link) -> AsyncIterator[Listener]:
    channel = await link.channel(confirms=False)
    await declare_exchange(channel, outbox.exchange)
    async with Listener().listening(channel, outbox.exchange) as listening:
        yield listening


@pytest.fixture
async def carrier(outbox: Outbox, link: Link) -> AsyncIterator[Carrier]:
    """One lane, driven by hand."""
    async with AsyncExitStack() as stack:
        pool = await pg.create_pool(outbox.dsn, application_name="relay-test")
        stack.push_async_callback(pool.close)
        transport = AmqpTransport(link)
        stack.push_async_callback(transport.close)
        yield Carrier(pool, transport, Stuck())


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A link to the broker that can be stalled and cut."""
    broker = stack().rabbitmq
    async with Proxy(broker.host, broker.port).listening() as listening:
        yield listening


@pytest.fixture
async def start_relay(outbox: Outbox, amqp_url: str) -> AsyncIterator[MakeRelay]:
    """Makes relay processes on free ports, through a proxy if asked to; whatever still runs at the end is
    killed."""
    made: list[RelayProcess] = []

    def make(proxy: Proxy | None = None) -> RelayProcess:
        broker = stack().rabbitmq.port
        url = amqp_url if proxy is None else amqp_url.replace(f":{broker}/", f":{proxy.port}/")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            made.append(RelayProcess(outbox, url, free.getsockname()[1]))
        return made[-1]

    yield make
    await asyncio.gather(*(relay.stopped() for relay in made))
