"""The topology's own rules, checked on the data."""

from __future__ import annotations

import re

import pytest
from contracts import topology
from contracts.topology import COMMANDS, EVENTS, matches, queues_for


@pytest.mark.parametrize(
    ("pattern", "key", "matched"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#.c", "a.b.c", True),
        ("#", "a.b", True),
        ("a.#.d", "a.b.c.e", False),
    ],
)
def test_a_pattern_matches_as_the_broker_does_it(pattern: str, key: str, matched: bool) -> None:
    assert matches(pattern, key) is matched


@pytest.mark.parametrize(
    ("key", "queues"),
    [
        ("ledger.entry.committed.v1.bet.settle", ("betting.ledger-events",)),
        ("ledger.entry.committed.v1.bet.void", ("betting.ledger-events",)),
        ("ledger.entry.committed.v1.bet.resettle", ("betting.ledger-events",)),
        ("ledger.entry.committed.v1.bet.hold", ()),
        ("ledger.entry.committed.v1.bet.match", ()),
        ("ledger.post.refused.v1.bet.match", ("betting.ledger-events",)),
        ("ledger.post.refused.v1.bet.release", ("betting.ledger-events",)),
        ("ledger.post.refused.v1.bet.settle", ("betting.ledger-events",)),
        ("ledger.post.refused.v1.bet.hold", ()),
        ("ledger.entry.committed.v1.deposit", ("payments.ledger-events",)),
        ("ledger.entry.committed.v1.deposit.suspense", ("payments.ledger-events",)),
        ("ledger.entry.committed.v1.withdrawal.done", ("payments.ledger-events",)),
        ("ledger.post.refused.v1.withdrawal.reserve", ("payments.ledger-events",)),
        ("ledger.entry.committed.v1.debt.repay", ("betting.ledger-events",)),
        ("identity.policy.changed.v1", ("betting.identity-events",)),
        ("identity.user.registered.v1", ()),
        ("identity.session.revoked.v1", ("gateway.revocations",)),
        ("identity.device.revoked.v1", ("gateway.revocations",)),
    ],
)
def test_events_reach_those_who_need_them(key: str, queues: tuple[str, ...]) -> None:
    assert queues_for(EVENTS, key) == queues


def test_a_producer_has_a_command_queue_of_its_own() -> None:
    for producer, queue in topology.COMMAND_QUEUES.items():
        assert queues_for(COMMANDS, queue) == (queue,)
        writers = [
            user.name
            for user in topology.USERS
            if COMMANDS in user.topics and re.search(user.topics[COMMANDS], queue)
        ]
        assert writers == [f"relay-{producer}"]


def test_no_runtime_user_may_publish_without_a_limit_on_the_key() -> None:
    exchanges = (
        topology.EVENTS,
        topology.COMMANDS,
        topology.RETRY,
        topology.DEAD,
        topology.UNHEARD,
        "amq.default",
    )
    for user in topology.USERS:
        if user != topology.TOPOLOGY_USER:
            writable = {exchange for exchange in exchanges if re.search(user.write, exchange)}
            assert writable == set(user.topics), user.name
            assert not re.search(user.configure, "anything")


def test_a_queue_is_read_by_its_service_alone() -> None:
    for queue in (*topology.QUEUES, *topology.STREAMS):
        readers = [user.name for user in topology.USERS if re.search(user.read, queue.name)]
        assert readers == ["topology", queue.reader]
