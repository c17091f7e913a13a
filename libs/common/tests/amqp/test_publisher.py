"""Publishing: the broker's word for every message, and an end to every wait."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from common.amqp import BrokerUnavailable, Link, Message, Nacked, Publisher, Unconfirmed, Unroutable
from common.amqp import link as link_module
from common.amqp.link import broker_errors
from common.broker import Rejected, Unclear
from common.testing import stack

from libs.common.tests.amqp.conftest import Bench, eventually
from tools.proxy import Proxy


def a_message(bench: Bench, key: str = "it") -> Message:
    return Message(uuid4(), bench.exchange, key, b"{}", {"traceparent": "00-aa-bb-01"})


async def test_a_message_arrives_as_it_was_sent(bench: Bench) -> None:
    sent = a_message(bench)
    await bench.publisher.publish(sent)
    message = await (await bench.channel.get_queue(bench.queue)).get()
    assert message is not None
    assert (message.message_id, message.body) == (str(sent.id), sent.body)
    assert message.headers["traceparent"] == "00-aa-bb-01"
    assert message.delivery_mode == 2, "else it would not survive the broker"
    assert message.content_type == "application/cloudevents+json"
    await message.ack()


async def test_an_unroutable_message_is_an_error(bench: Bench) -> None:
    with pytest.raises(Unroutable, match="nowhere"):
        await bench.publisher.publish(a_message(bench, "nowhere"))


async def test_a_full_queue_is_an_error(bench: Bench) -> None:
    queue = await bench.channel.declare_queue(
        f"{bench.queue}.full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await queue.bind(bench.exchange, "full")
    await bench.publisher.publish(a_message(bench, "full"))
    with pytest.raises(Nacked):
        await bench.publisher.publish(a_message(bench, "full"))
    assert bench.publisher._channel is None, (
        "the next one goes on a channel that knows the queue's new leader"
    )
    await queue.delete(if_unused=False, if_empty=False)


async def test_every_message_of_a_batch_has_its_own_answer(bench: Bench) -> None:
    answers = await bench.publisher.publish_all(
        [a_message(bench), a_message(bench, "nowhere"), a_message(bench)]
    )
    assert [type(answer) for answer in answers] == [type(None), Unroutable, type(None)]
    assert await bench.publisher.publish_all([]) == []


async def test_silence_ends_and_publishing_goes_on_after_it(
    bench: Bench, proxy: Proxy, proxied: Link
) -> None:
    """aio-pika alone would wait for ever."""
    publisher = Publisher(proxied, confirm_timeout_seconds=0.3)
    await publisher.open()
    proxy.stall()
    async with asyncio.timeout(5):
        with pytest.raises(Unconfirmed):
            await publisher.publish(a_message(bench))
    proxy.reset()
    proxy.flow()

    async def it_goes_on() -> bool:
        try:
            await publisher.publish(a_message(bench))
        except BrokerUnavailable:
            return False
        return True

    await eventually(it_goes_on)
    await publisher.close()


async def test_missed_heartbeats_are_no_confirmation_and_no_cancellation(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aio-pika cancels who waits on a connection whose heartbeats stopped; here that is an answer."""
    monkeypatch.setattr(link_module, "HEARTBEAT_SECONDS", 1)
    broker = stack().rabbitmq
    link = Link(broker.url("topology").replace(f":{broker.port}/", f":{proxy.port}/"), name="heartbeats")
    publisher = Publisher(link, confirm_timeout_seconds=60)
    await publisher.open()
    proxy.stall()
    async with asyncio.timeout(30):
        answers = await publisher.publish_all([a_message(bench), a_message(bench)])
    assert {type(answer) for answer in answers} == {Unconfirmed}
    await publisher.close()
    await link.close()


async def test_a_message_larger_than_a_frame_arrives_whole(bench: Bench) -> None:
    sent = Message(uuid4(), bench.exchange, "it", bytes(range(256)) * 2_000)
    await bench.publisher.publish(sent)
    message = await (await bench.channel.get_queue(bench.queue)).get()
    assert message is not None
    assert message.body == sent.body
    await message.ack()


async def test_the_broker_forbids_and_the_next_batch_goes_on_another_channel(bench: Bench) -> None:
    """A refused exchange closes the channel: what was sent on it is unclear, one alone is told, and a new one works."""
    answers = await bench.publisher.publish_all(
        [Message(uuid4(), "no-such-exchange", "it", b"{}"), a_message(bench)]
    )
    assert {type(answer) for answer in answers} == {Unclear}
    for alone in (
        Message(uuid4(), "no-such-exchange", "it", b"{}"),
        Message(uuid4(), bench.exchange, "k" * 300, b"{}"),
    ):
        with pytest.raises(Rejected):
            await bench.publisher.publish(alone)
    await bench.publisher.publish(a_message(bench))


async def test_a_cut_link_is_no_confirmation(bench: Bench, proxy: Proxy, proxied: Link) -> None:
    publisher = Publisher(proxied)
    await publisher.open()
    proxy.stall()
    asyncio.get_running_loop().call_later(0.1, proxy.reset)
    async with asyncio.timeout(5):
        answers = await publisher.publish_all([a_message(bench) for _ in range(20)])
    assert {type(answer) for answer in answers} == {Unconfirmed}
    await publisher.close()


async def test_a_cut_link_is_made_anew_at_the_next_use(proxy: Proxy, proxied: Link) -> None:
    await proxied.check()
    proxy.reset()
    await asyncio.sleep(0.1)
    await proxied.check()


async def test_an_unreachable_broker_is_unavailable() -> None:
    with pytest.raises(BrokerUnavailable):
        await Publisher(Link("amqp://nobody@127.0.0.1:1/", name="test")).open()


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    """aio-pika cancels whoever waits on a connection whose heartbeats stopped."""

    async def wait_on_a_dead_connection() -> None:
        with broker_errors():
            raise asyncio.CancelledError

    with pytest.raises(BrokerUnavailable):
        await asyncio.create_task(wait_on_a_dead_connection())


async def test_a_cancellation_that_was_asked_for_stays_one() -> None:
    async def wait() -> None:
        with broker_errors():
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
