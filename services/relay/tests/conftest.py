"""An outbox, two real brokers, a listener and relay processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from common import pg
from relay.service import Carrier, Stuck

from services.relay.tests.outbox import Listener, MakeRelay, Outbox, RelayProcess, throw_away_outbox
from services.relay.tests.places import Nats, NatsServer, Place, Rabbit
from tools.proxy import Proxy


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    async with throw_away_outbox() as made:
        yield made


@pytest.fixture(params=["amqp", "nats"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each test that asks for it runs on both brokers."""
    if request.param == "amqp":
        yield Rabbit()
        return
    server = NatsServer(tmp_path)
    await server.start()
    yield Nats(server)
    await server.kill()


@pytest.fixture
async def listener(outbox: Outbox, place: Place) -> AsyncIterator[Listener]:
    async with place.listening(outbox.exchange) as listening:
        yield listening


@pytest.fixture
async def carrier(outbox: Outbox, place: Place) -> AsyncIterator[Carrier]:
    """One lane, driven by hand."""
    async with AsyncExitStack() as stack:
        pool = await pg.create_pool(outbox.dsn, application_name="relay-test")
        stack.push_async_callback(pool.close)
        broker = place.broker()
        stack.push_async_callback(broker.close)
        transport = broker.transport()
        stack.push_async_callback(transport.close)
        yield Carrier(pool, transport, Stuck())


@pytest.fixture
async def proxy(place: Place) -> AsyncIterator[Proxy]:
    """A link to the broker that goes wrong on demand."""
    async with Proxy(*place.address()).listening() as listening:
        yield listening


@pytest.fixture
async def start_relay(outbox: Outbox, place: Place) -> AsyncIterator[MakeRelay]:
    """Makes relay processes on free ports, through a proxy if asked to; whatever still runs at the end is
    killed."""
    made: list[RelayProcess] = []

    def make(proxy: Proxy | None = None) -> RelayProcess:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            made.append(RelayProcess(outbox, free.getsockname()[1], place.environment(proxy)))
        return made[-1]

    yield make
    await asyncio.gather(*(relay.stopped() for relay in made))
