"""One lane driven by hand: order, deletion, and what the broker refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from common import pg
from common.broker import BrokerUnavailable
from relay import service
from relay.domain import Carried
from relay.lanes import drain
from relay.service import Carrier, Stuck
from relay.transports.amqp import AmqpBroker
from relay.transports.interface import Broker
from relay.transports.nats import NatsBroker

from services.relay.tests.outbox import Listener, Outbox
from services.relay.tests.places import Place


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stuck shards are visited again at once."""
    monkeypatch.setattr(service, "STUCK_SECONDS", 0.0)


async def test_rows_leave_in_order_and_are_deleted(
    carrier: Carrier, outbox: Outbox, listener: Listener
) -> None:
    for start in range(1, 100, 10):
        for market in range(20):
            await outbox.announce(f"markets/{market}", range(start, start + 10))
    while (await carrier.carry()).delivered:
        pass
    await listener.heard_all(2_000)
    assert await outbox.rows() == 0
    assert len(listener.heard) == 2_000
    listener.assert_in_order()
    assert listener.headers[0]["traceparent"] == "00-aa-bb-01"


async def test_an_empty_outbox_gives_nothing_to_do_until_there_is_something(
    carrier: Carrier, outbox: Outbox, listener: Listener
) -> None:
    for version in (1, 2):
        for _ in range(3):
            assert await carrier.carry() == Carried()
        await outbox.announce("markets/1", [version])
        assert (await carrier.carry()).delivered == 1
        await listener.heard_all(version)


async def test_an_unroutable_row_stays_and_the_rest_goes(
    carrier: Carrier, outbox: Outbox, listener: Listener
) -> None:
    await outbox.announce("markets/1", [1], key="nobody")
    await outbox.announce("markets/2", [1, 2, 3])
    first = await carrier.carry()
    assert (first.delivered, first.refused) == (3, 1)
    assert await outbox.rows() == 1
    await listener.heard_all(3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("exchange", "key"), [("nowhere", "heard"), (None, "k" * 300)])
async def test_a_row_that_cannot_be_sent_holds_up_its_aggregate_alone(
    carrier: Carrier, outbox: Outbox, listener: Listener, exchange: str | None, key: str
) -> None:
    """RabbitMQ ends the channel over an exchange that it does not have, whatever else is under way on it; a key
    that is too long cannot even be written. Neither may hold up what went in the same batch."""
    wrong = replace(outbox, exchange=exchange or outbox.exchange)
    await wrong.announce("markets/1", [1], key=key)
    for market in range(2, 40):
        await outbox.announce(f"markets/{market}", [1, 2])
    for _ in range(4):  # until every shard has been visited
        await carrier.carry()
    await outbox.announce("markets/1", [2])
    for _ in range(20):
        await carrier.carry()
    assert await outbox.rows() == 2, "the row itself and the one behind it"
    await listener.heard_all(76)
    listener.assert_in_order()
    assert ("markets/1", 2) not in listener.heard


async def test_a_visit_that_runs_out_of_time_does_not_make_a_stuck_shard_a_good_one(
    carrier: Carrier, outbox: Outbox, listener: Listener, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STUCK_SECONDS", 0.0)
    await outbox.announce("markets/1", [1], key="nobody")
    assert (await carrier.carry()).refused == 1
    await outbox.announce("markets/1", [2, 3])
    with monkeypatch.context() as slow:
        slow.setattr(service, "CAREFUL_SECONDS", -1.0)
        assert await carrier.carry() == Carried()
    assert await carrier.carry() == Carried(refused=1)
    await place.bind(outbox.exchange, "nobody")
    assert (await carrier.carry()).delivered == 3
    await listener.heard_all(3)
    listener.assert_in_order()


@pytest.mark.usefixtures("impatient")
async def test_nothing_overtakes_a_row_known_to_be_stuck(
    carrier: Carrier, outbox: Outbox, listener: Listener, place: Place
) -> None:
    await outbox.announce("markets/1", [1], key="nobody")
    assert (await carrier.carry()).refused == 1
    await outbox.announce("markets/1", [2, 3])
    assert await carrier.carry() == Carried(refused=1)
    await place.bind(outbox.exchange, "nobody")
    assert (await carrier.carry()).delivered == 3
    await listener.heard_all(3)
    listener.assert_in_order()


async def test_a_stuck_shard_is_left_alone_for_a_while(
    carrier: Carrier, outbox: Outbox, listener: Listener
) -> None:
    await outbox.announce("markets/1", [1], key="nobody")
    assert (await carrier.carry()).refused == 1
    assert await carrier.carry() == Carried()
    await asyncio.sleep(service.STUCK_SECONDS)
    assert (await carrier.carry()).refused == 1
    assert not listener.heard


@pytest.mark.usefixtures("impatient")
async def test_a_nacked_row_stays_until_the_broker_has_room(
    carrier: Carrier, outbox: Outbox, listener: Listener, place: Place
) -> None:
    await place.make_full(outbox.exchange)
    await outbox.announce("markets/1", [1, 2], key="full")
    assert await carrier.carry() == Carried(delivered=1, refused=1)
    assert await outbox.rows() == 1
    await place.make_room(outbox.exchange)
    assert (await carrier.carry()).delivered == 1
    assert await outbox.rows() == 0
    assert not listener.heard


@pytest.mark.parametrize(
    "broker",
    [
        AmqpBroker("amqp://nobody@127.0.0.1:1/", name="test"),
        NatsBroker("nats://nobody@127.0.0.1:1", name="test"),
    ],
)
async def test_without_a_broker_no_shard_is_held(outbox: Outbox, broker: Broker) -> None:
    await outbox.announce("markets/1", [1])
    pool = await pg.create_pool(outbox.dsn, application_name="relay-test")
    carrier = Carrier(pool, broker.transport(), Stuck())
    with pytest.raises(BrokerUnavailable):
        await carrier.carry()
    with pytest.raises(BrokerUnavailable):
        await broker.check()
    assert await outbox.free_shards() == 16
    assert await outbox.rows() == 1
    await pool.close()


async def test_a_shard_that_another_holds_is_skipped(
    carrier: Carrier, outbox: Outbox, listener: Listener
) -> None:
    await outbox.announce("markets/1", [1])
    other: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(outbox.dsn)
    async with other.transaction():
        await other.execute("SELECT FROM outbox_shard FOR UPDATE")
        assert await carrier.carry() == Carried()
    assert (await carrier.carry()).delivered == 1
    await other.close()
    await listener.heard_all(1)


async def test_draining_tells_what_is_left(carrier: Carrier, outbox: Outbox, listener: Listener) -> None:
    await outbox.announce("markets/1", range(1, 501))
    await outbox.announce("markets/2", [1], key="nobody")
    pool = await pg.create_pool(outbox.dsn, application_name="relay-test")
    assert await drain(carrier, pool) == 1
    await pool.close()
    await listener.heard_all(500)
    listener.assert_in_order()
