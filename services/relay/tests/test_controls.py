"""Negative controls: take one precaution away, and the check that guards it must go red.

Each scenario is a function that ends in the check. It passes with the relay as it is; with the relay spoiled it
must fail, else the check could not fail and proves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from common import pg
from common.amqp import Link, Publisher
from common.broker import BrokerUnavailable, NotTaken
from common.pg import Connection
from relay import store
from relay.domain import Row
from relay.service import Carrier, Stuck
from relay.transports.amqp import AmqpTransport
from relay.transports.interface import Transport

from services.relay.tests.outbox import ANNOUNCE, Listener, Outbox
from services.relay.tests.places import Place
from tools.proxy import Proxy

pytestmark = pytest.mark.parametrize("place", ["amqp"], indirect=True)


class Careless:
    """A transport that sends and does not care for the answers."""

    def __init__(self, honest: Transport) -> None:
        self._honest = honest

    async def ready(self) -> None:
        await self._honest.ready()

    async def send(self, rows: Sequence[Row]) -> list[NotTaken | None]:
        await self._honest.send(rows)
        return [None] * len(rows)

    async def close(self) -> None:
        await self._honest.close()


class Cursor:
    """Reads behind the last id it has seen, in place of what is pending."""

    def __init__(self) -> None:
        self._seen = 0

    async def oldest(self, conn: Connection, shards: Sequence[int], *, per_shard: int) -> list[Row]:
        rows = [row for row in await HONEST_OLDEST(conn, shards, per_shard=per_shard) if row.id > self._seen]
        self._seen = max([self._seen, *(row.id for row in rows)])
        return rows


HONEST_OLDEST = store.oldest


@asynccontextmanager
async def lane(outbox: Outbox, transport: Transport) -> AsyncIterator[Carrier]:
    async with AsyncExitStack() as stack:
        pool = await pg.create_pool(outbox.dsn, application_name="relay-test")
        stack.push_async_callback(pool.close)
        stack.push_async_callback(transport.close)
        yield Carrier(pool, transport, Stuck())


async def carry_over_a_link_that_breaks(
    outbox: Outbox, listener: Listener, proxy: Proxy, carrier: Carrier
) -> None:
    """The link falls silent while a batch is on its way, and breaks; afterwards everything must arrive."""
    await outbox.announce("markets/1", [1, 2, 3])
    await carrier.carry()
    await outbox.announce("markets/1", [4, 5, 6])
    proxy.stall()
    await carrier.carry()
    proxy.reset()
    proxy.flow()
    await carry_all(carrier, outbox)
    assert await outbox.rows() == 0
    await outbox.announce("markets/2", [1])
    await carry_all(carrier, outbox)
    await listener.heard_all(4)
    assert set(listener.heard) == {("markets/2", 1), *(("markets/1", version) for version in range(1, 7))}


async def commit_out_of_order(outbox: Outbox, listener: Listener, carrier: Carrier) -> None:
    """Two transactions; the one that was first to take an id is last to commit. Both must be heard."""
    slow = await asyncpg.connect(outbox.superuser_dsn)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(ANNOUNCE, outbox.exchange, "markets/slow", [1], "heard")
    await outbox.announce("markets/quick", [1])
    await carrier.carry()
    await transaction.commit()
    await slow.close()
    for _ in range(3):
        await carrier.carry()
    await outbox.announce("markets/last", [1])
    await carrier.carry()
    await listener.heard_all(2)
    assert set(listener.heard) == {("markets/slow", 1), ("markets/quick", 1), ("markets/last", 1)}


async def carry_all(carrier: Carrier, outbox: Outbox) -> None:
    for _ in range(50):
        try:
            await carrier.carry()
        except BrokerUnavailable:
            continue
        if not await outbox.rows():
            return


@pytest.fixture
async def proxied(place: Place, proxy: Proxy) -> AsyncIterator[AmqpTransport]:
    """A transport over the bad link, which waits half a second for confirmations."""
    link = Link(place.environment(proxy)["AMQP_URL"], name="relay-test")
    transport = AmqpTransport(link)
    transport._publisher = Publisher(link, confirm_timeout_seconds=0.5)
    yield transport
    await link.close()


async def test_with_confirmations_a_broken_link_loses_nothing(
    outbox: Outbox, listener: Listener, proxy: Proxy, proxied: AmqpTransport
) -> None:
    async with lane(outbox, proxied) as carrier:
        await carry_over_a_link_that_breaks(outbox, listener, proxy, carrier)


async def test_without_confirmations_the_same_check_goes_red(
    outbox: Outbox, listener: Listener, proxy: Proxy, proxied: AmqpTransport
) -> None:
    async with lane(outbox, Careless(proxied)) as carrier:
        with pytest.raises(AssertionError):
            await carry_over_a_link_that_breaks(outbox, listener, proxy, carrier)


async def test_pending_rows_forget_nothing_that_commits_late(
    carrier: Carrier, outbox: Outbox, listener: Listener
) -> None:
    await commit_out_of_order(outbox, listener, carrier)


async def test_with_a_cursor_on_the_id_the_same_check_goes_red(
    carrier: Carrier, outbox: Outbox, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "oldest", Cursor().oldest)
    with pytest.raises(AssertionError):
        await commit_out_of_order(outbox, listener, carrier)
