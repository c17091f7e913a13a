"""The consumer on a real broker: every ending, every interruption."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractQueue
from common import pg
from common.amqp import BrokerUnavailable, Consumer, Delivery, Link, Message, Poison, RetryPolicy, consumer
from common.amqp import link as link_module
from common.amqp.declare import declare_work_queue
from common.amqp.names import RETRY_EXCHANGE, dead_queue, retry_queue
from common.errors import NotReady
from common.forgetting import OLDEST_EVENT
from common.inbox import first_sight, is_newest
from common.pg import Pool
from common.testing import stack
from prometheus_client import REGISTRY

from libs.common.tests.amqp.conftest import Bench, eventually
from tools.proxy import Proxy


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog looks often, so that a test need not wait long."""
    monkeypatch.setattr(consumer, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(consumer, "RPC_TIMEOUT_SECONDS", 0.5)


async def consuming(made: Consumer) -> None:
    async def is_ready() -> bool:
        try:
            await made.check()
        except BrokerUnavailable:
            return False
        return True

    await eventually(is_ready)


async def test_order_is_kept_within_a_key(bench: Bench) -> None:
    async def slowly(delivery: Delivery) -> None:
        await asyncio.sleep(random.uniform(0, 0.003))
        await bench.note(delivery)

    await bench.publish(*(bench.event(f"k{n % 7}", n) for n in range(700)))
    async with bench.consumer(slowly).running():
        await bench.handled_all(700)
    for key in range(7):
        assert [n for k, n in bench.handled if k == f"k{key}"] == list(range(key, 700, 7))


async def test_unordered_messages_of_one_key_are_handled_together(bench: Bench) -> None:
    everybody = asyncio.Barrier(8)

    async def together(delivery: Delivery) -> None:
        await everybody.wait()
        await bench.note(delivery)

    await bench.publish(*(bench.event("k", n) for n in range(8)))
    async with bench.consumer(together, ordered=False).running():
        await bench.handled_all(8)


async def test_prefetch_bounds_what_is_in_hand(bench: Bench) -> None:
    release = asyncio.Event()

    async def hold(_: Delivery) -> None:
        await release.wait()

    await bench.publish(*(bench.event(f"k{n}", n) for n in range(50)))

    async def ten_are_out() -> bool:
        return await bench.waiting() == 40

    async with bench.consumer(hold, prefetch=10).running():
        await eventually(ten_are_out)
        await asyncio.sleep(0.2)
        assert await bench.waiting() == 40
        release.set()


async def test_what_is_not_ready_comes_again_later(bench: Bench) -> None:
    attempts: list[tuple[int, float]] = []

    async def second_time(delivery: Delivery) -> None:
        attempts.append((delivery.attempt, asyncio.get_running_loop().time()))
        if delivery.attempt == 1:
            raise NotReady("the escrow is not complete")
        await bench.note(delivery)

    await bench.publish(bench.event("k", 1))
    async with bench.consumer(second_time).running():
        await bench.handled_all(1)
    assert [attempt for attempt, _ in attempts] == [1, 2]
    assert attempts[1][1] - attempts[0][1] >= 1.0
    assert await bench.waiting(retry_queue(bench.queue, 1)) == 0


async def test_poison_goes_to_the_dead_letters_with_its_reason(bench: Bench) -> None:
    async def refuse(delivery: Delivery) -> None:
        if delivery.envelope.sequence == 1:
            raise Poison("no such market")
        await bench.note(delivery)

    poisonous = bench.event("k", 1)
    await bench.publish(poisonous, bench.event("k", 2))
    async with bench.consumer(refuse).running():
        await bench.handled_all(1)
        dead = await bench.dead_letter()
    assert bench.handled == [("k", 2)]
    assert dead.message_id == str(poisonous.id)
    assert dead.body == poisonous.model_dump_json().encode()
    assert dead.headers["x-reason"] == "Poison: no such market"
    assert dead.headers["x-queue"] == bench.queue
    assert dead.headers["x-attempt"] == 1


async def test_what_is_no_envelope_is_dead(bench: Bench) -> None:
    await bench.publisher.publish(Message(uuid4(), bench.exchange, "it", b"\xff not json"))
    async with bench.consumer().running():
        dead = await bench.dead_letter()
    assert str(dead.headers["x-reason"]).startswith("not an envelope")


async def test_what_the_inbox_may_have_forgotten_is_dead(bench: Bench) -> None:
    """Who never forgets takes it all the same."""
    old = bench.event("a", 1).model_copy(update={"time": datetime.now(UTC) - OLDEST_EVENT})
    async with bench.consumer().running():
        await bench.publish(old, bench.event("a", 2))
        await bench.handled_all(1)
        assert "older than 90 days" in str((await bench.dead_letter()).headers["x-reason"])
    assert bench.handled == [("a", 2)]
    async with bench.consumer(oldest=None).running():
        await bench.publish(old)
        await bench.handled_all(2)


async def test_a_defect_is_retried_and_then_dead(bench: Bench) -> None:
    async def fail(delivery: Delivery) -> None:
        await bench.note(delivery)
        raise KeyError("bug")

    await bench.publish(bench.event("k", 1))
    policy = RetryPolicy(delays_seconds=(1,), defect_attempts=2)
    async with bench.consumer(fail, retries=policy).running():
        dead = await bench.dead_letter()
    assert len(bench.handled) == 2
    assert dead.headers["x-attempt"] == 2
    assert dead.headers["x-reason"] == "KeyError: 'bug'"


async def test_a_handler_that_hangs_is_stopped_and_its_message_retried(bench: Bench) -> None:
    async def hang_once(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            await asyncio.sleep(60)
        await bench.note(delivery)

    await bench.publish(bench.event("k", 1))
    async with bench.consumer(hang_once, handler_timeout_seconds=0.2).running():
        await bench.handled_all(1, within_seconds=5)


async def test_a_message_that_no_queue_takes_is_held_and_not_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker in alarm, say, takes nothing for minutes. To give the message back each time would be five deliveries."""
    monkeypatch.setattr(consumer, "PATIENCE_SECONDS", 0.05)
    key, attempts = retry_queue(bench.queue, 1), list[int]()
    retry = await bench.channel.get_queue(key)
    full = await bench.channel.declare_queue(
        f"{bench.queue}.full", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind(RETRY_EXCHANGE, key)
    await retry.unbind(RETRY_EXCHANGE, key)
    await bench.publisher.publish(Message(uuid4(), RETRY_EXCHANGE, key, b"{}"))

    async def handle(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise NotReady("not yet")
        await bench.note(delivery)

    async with bench.consumer(handle).running():
        await bench.publish(bench.event("a", 1))
        await asyncio.sleep(2)
        assert attempts == [1]
        await retry.bind(RETRY_EXCHANGE, key)
        await full.delete(if_empty=False)
        await bench.handled_all(1)
    assert attempts == [1, 2]
    assert await bench.waiting(dead_queue(bench.queue)) == 0


async def test_a_consumer_that_dies_again_and_again_loses_the_message_to_the_dead_letters(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's own limit, for messages that take the process down before it can judge them. No consumer counts those, so
    they are asked for."""
    await bench.publish(bench.event("k", 1))
    for _ in range(6):
        link = Link(stack().rabbitmq.url("topology"), name="dying")
        queue = await (await link.channel(confirms=False)).get_queue(bench.queue)

        async def it_was_delivered(queue: AbstractQueue = queue) -> bool:
            return await queue.get(fail=False) is not None

        await eventually(it_was_delivered)
        await link.close()
    monkeypatch.setattr(consumer, "WATCH_SECONDS", 0.2)
    told = partial(REGISTRY.get_sample_value, "amqp_dead_letters", {"queue": bench.queue})

    async def it_is_told() -> bool:
        return told() == 1

    async def none_is_told() -> bool:
        return told() == 0

    async with bench.consumer().running():
        await eventually(it_is_told)
        await bench.dead_letter()
        await eventually(none_is_told)


async def have_every_event_come_twice(bench: Bench, pool: Pool, *, remember: bool) -> None:
    """Each event is published twice, and must have had one effect."""

    async def handle(delivery: Delivery) -> None:
        async with pg.transaction(pool) as conn:
            if not remember or await first_sight(conn, "test", delivery.envelope.id):
                await conn.execute("INSERT INTO tally VALUES ($1)", delivery.envelope.id)
        await bench.note(delivery)

    await pool.execute("CREATE TABLE tally (event_id uuid)")
    events = [bench.event(f"k{n % 3}", n) for n in range(60)]
    await bench.publish(*events, *events)
    async with bench.consumer(handle).running():

        async def all_came_twice() -> bool:
            return len(bench.handled) == 120

        await eventually(all_came_twice)
    effects = Counter(row["event_id"] for row in await pool.fetch("SELECT event_id FROM tally"))
    assert effects == Counter(event.id for event in events)


async def test_an_event_that_comes_twice_has_one_effect(bench: Bench, pool: Pool) -> None:
    """With the inbox in the transaction of the effect, as every consumer of ours does it."""
    await have_every_event_come_twice(bench, pool, remember=True)


async def test_without_the_inbox_the_same_check_goes_red(bench: Bench, pool: Pool) -> None:
    """A negative control: else the check above could not fail and would prove nothing."""
    with pytest.raises(AssertionError):
        await have_every_event_come_twice(bench, pool, remember=False)


async def test_a_late_event_does_not_overwrite_a_newer_one(bench: Bench, pool: Pool) -> None:
    """The first one waits in a retry queue while its successor is handled; then it is overtaken."""
    effects: list[int] = []

    async def project(delivery: Delivery) -> None:
        envelope = delivery.envelope
        if envelope.sequence == 1 and delivery.attempt == 1:
            raise NotReady("not yet")
        async with pg.transaction(pool) as conn:
            if await is_newest(conn, "test", envelope.partitionkey, envelope.sequence):
                effects.append(envelope.sequence)
        await bench.note(delivery)

    await bench.publish(bench.event("k", 1), bench.event("k", 2))
    async with bench.consumer(project).running():
        await bench.handled_all(2)
    assert bench.handled == [("k", 2), ("k", 1)]
    assert effects == [2]


async def test_missed_heartbeats_end_the_session_and_it_resumes(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog does not look here: only the heartbeats notice the silence, by aio-pika's own cancelling."""
    monkeypatch.setattr(link_module, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(consumer, "WATCH_SECONDS", 3600)
    broker = stack().rabbitmq
    link = Link(broker.url("topology").replace(f":{broker.port}/", f":{proxy.port}/"), name="heartbeats")
    made = bench.consumer(link=link)
    async with made.running():
        await consuming(made)
        proxy.stall()

        async def it_knows() -> bool:
            try:
                await made.check()
            except BrokerUnavailable:
                return True
            return False

        await eventually(it_knows, within_seconds=30)
        proxy.reset()
        proxy.flow()
        await bench.publish(bench.event("k", 1))
        await bench.handled_all(1, within_seconds=30)
    await link.close()


@pytest.mark.usefixtures("watchful")
async def test_it_notices_a_half_open_link(bench: Bench, proxy: Proxy, proxied: Link) -> None:
    """The broker forgot the connection and nobody told us. Its messages come again, over a new one."""
    made = bench.consumer(link=proxied)
    async with made.running():
        await consuming(made)
        proxy.half_open()
        await bench.publish(*(bench.event("k", n) for n in range(5)))
        await bench.handled_all(5)


async def test_the_trace_of_the_last_sender_goes_on(bench: Bench) -> None:
    """The relay's span, told in the header, is nearer than the one in the event."""
    traces: list[Mapping[str, str]] = []

    async def note(delivery: Delivery) -> None:
        traces.append(delivery.trace)
        await bench.note(delivery)

    told, sent = "00-" + "a" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 32 + "-" + "2" * 16 + "-01"
    event = bench.event("k", 1).model_copy(update={"traceparent": told})
    await bench.publish(event)
    again = event.model_copy(update={"id": uuid4(), "sequence": 2})
    await bench.publisher.publish(
        Message(again.id, bench.exchange, "it", again.model_dump_json().encode(), {"traceparent": sent})
    )
    async with bench.consumer(note).running():
        await bench.handled_all(2)
    assert traces == [{"traceparent": told}, {"traceparent": sent}]


async def test_it_resumes_after_the_link_is_cut_and_loses_nothing(
    bench: Bench, proxy: Proxy, proxied: Link
) -> None:
    async def slowly(delivery: Delivery) -> None:
        await asyncio.sleep(0.005)
        await bench.note(delivery)

    await bench.publish(*(bench.event(f"k{n % 5}", n) for n in range(500)))
    async with bench.consumer(slowly, link=proxied).running():
        for part in (100, 200, 300):
            await bench.handled_all(part)
            proxy.reset()
        await bench.handled_all(500)
    for key in range(5):
        first_seen = list(dict.fromkeys(n for k, n in bench.handled if k == f"k{key}"))
        assert first_seen == list(range(key, 500, 5)), "a redelivery may repeat, not reorder"
    assert len(bench.handled) <= 500 + 3 * 15, "what only waited when the link broke is not handled twice"


@pytest.mark.usefixtures("watchful")
async def test_it_notices_a_link_that_went_silent(bench: Bench, proxy: Proxy, proxied: Link) -> None:
    made = bench.consumer(link=proxied)
    async with made.running():
        await consuming(made)
        proxy.stall()

        async def it_knows() -> bool:
            try:
                await made.check()
            except BrokerUnavailable:
                return True
            return False

        await eventually(it_knows)
        proxy.reset()
        proxy.flow()
        await bench.publish(bench.event("k", 1))
        await bench.handled_all(1)


async def test_it_survives_the_deletion_of_its_queue(bench: Bench) -> None:
    made = bench.consumer()
    async with made.running():
        await consuming(made)
        await bench.channel.queue_delete(bench.queue)
        await asyncio.sleep(0.3)
        with pytest.raises(BrokerUnavailable):
            await made.check()
        await declare_work_queue(bench.channel, bench.queue, [(bench.exchange, "it")])
        await bench.publish(bench.event("k", 1))
        await bench.handled_all(1)


async def test_stopping_finishes_what_is_in_hand_and_leaves_the_rest(bench: Bench) -> None:
    async def slowly(delivery: Delivery) -> None:
        await asyncio.sleep(0.05)
        await bench.note(delivery)

    await bench.publish(*(bench.event(f"k{n}", n) for n in range(100)))
    async with bench.consumer(slowly, prefetch=20).running():
        await bench.handled_all(5)
    handled = len(bench.handled)
    assert len(set(bench.handled)) == handled < 100

    async def the_rest_is_there() -> bool:
        return await bench.waiting() == 100 - handled

    await eventually(the_rest_is_there)


async def test_starting_does_not_wait_for_a_broker_that_is_away(bench: Bench) -> None:
    made = bench.consumer(link=Link("amqp://nobody@127.0.0.1:1/", name="test"))
    async with asyncio.timeout(5), made.running():
        with pytest.raises(BrokerUnavailable):
            await made.check()
