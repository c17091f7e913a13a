"""The declared topology on a real broker: who may publish what, and what happens to the rest."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from aio_pika.exceptions import AMQPError
from common.amqp import Link, Message, Publisher, Unroutable
from common.broker import Rejected
from common.testing import Stack, stack
from contracts import topology
from contracts.topology import COMMANDS, DEAD, EVENTS, RETRY

from tools.topology import declare, definitions, diagram


@pytest.fixture(scope="module")
def running() -> Stack:
    return stack()


async def published(running: Stack, user: str, exchange: str, routing_key: str) -> bool:
    """Whether the broker lets this user publish so. A refusal closes the channel."""
    link = Link(running.rabbitmq.url(user), name="permissions-test")
    publisher = Publisher(link, confirm_timeout_seconds=5)
    try:
        await publisher.publish(Message(uuid4(), exchange, routing_key, b"{}"))
    except Rejected as refused:
        if "ACCESS_REFUSED" not in str(refused):
            raise
        return False
    finally:
        await publisher.close()
        await link.close()
    return True


@pytest.mark.parametrize(
    ("user", "exchange", "routing_key"),
    [
        ("relay-betting", COMMANDS, "ledger.commands.payments"),
        ("relay-payments", COMMANDS, "ledger.commands.betting"),
        ("relay-betting", EVENTS, "ledger.entry.committed.v1.bet.settle"),
        ("relay-betting", EVENTS, "payments.deposit.booked.v1"),
        ("relay-payments", EVENTS, "bettingx.offer.placed.v1"),
        ("relay-ledger", EVENTS, "betting.market.settled.v1"),
        ("relay-identity", EVENTS, "ledger.entry.committed.v1.deposit"),
        ("relay-identity", COMMANDS, "ledger.commands.identity"),
        ("relay-ledger", COMMANDS, "ledger.commands.betting"),
        ("betting", COMMANDS, "ledger.commands.betting"),
        ("betting", EVENTS, "betting.offer.placed.v1"),
        ("ledger", EVENTS, "ledger.entry.committed.v1.deposit"),
        ("payments", RETRY, "ledger.commands.payments.retry.1s"),
        ("payments", DEAD, "betting.ledger-events.dead"),
        ("payments", "", "ledger.commands.payments"),
        ("relay-betting", "", "ledger.commands.payments"),
        ("relay-betting", DEAD, "ledger.commands.payments.dead"),
    ],
)
async def test_a_user_publishes_nothing_in_anothers_name(
    running: Stack, user: str, exchange: str, routing_key: str
) -> None:
    assert not await published(running, user, exchange, routing_key)


@pytest.mark.parametrize("exchange", [RETRY, DEAD])
@pytest.mark.parametrize("service", topology.SERVICES)
async def test_a_consumer_may_put_its_own_messages_away(running: Stack, service: str, exchange: str) -> None:
    """The key has no queue on purpose: allowed, and nothing arrives anywhere."""
    with pytest.raises(Unroutable):
        await published(running, service, exchange, f"{service}.permission-test")


@pytest.mark.parametrize("service", topology.SERVICES)
async def test_an_event_that_nobody_hears_is_taken(running: Stack, service: str) -> None:
    """It ends in the ring queue instead of waiting in an outbox for ever."""
    assert await published(running, f"relay-{service}", EVENTS, f"{service}.permission.tested.v1")


@pytest.mark.parametrize("user", [user.name for user in topology.USERS if user != topology.TOPOLOGY_USER])
async def test_no_runtime_user_may_declare(running: Stack, user: str) -> None:
    link = Link(running.rabbitmq.url(user), name="permissions-test")
    channel = await link.channel(confirms=False)
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await channel.declare_queue(f"{user}.own", durable=True)
    await link.close()


@pytest.mark.parametrize(
    ("user", "queue"),
    [
        ("betting", "payments.ledger-events"),
        ("payments", "ledger.commands.payments"),
        ("relay-ledger", "betting.ledger-events"),
    ],
)
async def test_a_queue_is_not_read_by_others(running: Stack, user: str, queue: str) -> None:
    link = Link(running.rabbitmq.url(user), name="permissions-test")
    channel = await link.channel(confirms=False)
    found = await channel.get_queue(queue, ensure=False)
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await found.get(fail=False)
    await link.close()


async def test_declaring_again_changes_nothing(running: Stack) -> None:
    await declare(running.rabbitmq.url("topology"))


def test_definitions_hold_no_password() -> None:
    made = json.dumps(definitions({user.name: f"hunter2-{user.name}" for user in topology.USERS}))
    assert "hunter2" not in made


def test_the_diagram_shows_every_queue() -> None:
    drawn = diagram()
    assert all(f"[({queue.name})]" in drawn for queue in topology.QUEUES)
