"""Who publishes what and who reads it: the broker's exchanges, queues and users, as data.

`python -m tools.topology` declares and draws it. No service declares anything itself, so a missing
queue is noticed instead of quietly made, and no runtime user needs the right to configure.

Every queue comes with its retry and dead-letter queues; how those look is `common.amqp`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

VHOST: Final = "elcarril"

EVENTS: Final = "events"
"""Facts. Routing key = the event's type; the ledger adds the kind of entry."""
COMMANDS: Final = "commands"
"""Wishes to the ledger. Routing key = the producer's own queue."""
RETRY: Final = "retry"
"""From a consumer to its own queues that hold a message back for a while."""
DEAD: Final = "dead"
"""From the broker or a consumer to the consumer's own dead-letter queue."""
UNHEARD: Final = "unheard"
"""Where an event goes that nobody subscribes to."""

UNHEARD_QUEUE: Final = "events.unheard"
UNHEARD_LIMIT: Final = 10_000
"""Events kept for a look before the oldest is dropped. A fact without a listener is no error, so it
must not wait in its publisher's outbox for ever; a command without one is, and does."""

NOTHING: Final = "^$"


class Binding(NamedTuple):
    """A queue hears of `pattern` (a topic pattern) on `exchange`."""

    exchange: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of one consumer; its name begins with the name of the service that reads it."""

    name: str
    bindings: tuple[Binding, ...]
    ring: int | None = None
    """For a team that only listens: it keeps that many messages and drops the oldest. Without a ring a full queue
    refuses, and what it refuses waits in its publisher's outbox; nobody outside may have that power."""
    retired: tuple[Binding, ...] = ()
    """What it was bound to once. Declaring takes these away: a broker forgets no binding by itself."""

    @property
    def reader(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A broker login. The patterns are regular expressions over names of queues and exchanges;
    `topics` narrows what may be published on an exchange by routing key.

    RabbitMQ lets a user publish any key on a topic exchange that has no entry in `topics`, so every
    exchange that `write` allows must have one.
    """

    name: str
    configure: str
    write: str
    read: str
    topics: Mapping[str, str]
    tags: tuple[str, ...] = ()


SERVICES: Final = ("ledger", "betting", "payments", "identity")

COMMAND_QUEUES: Final[Mapping[str, str]] = MappingProxyType(
    {producer: f"ledger.commands.{producer}" for producer in ("betting", "payments")}
)
"""Producer to the ledger's queue for its commands: the queue is the principal, so a producer can
never command in another's name."""

BETTING_LEDGER_EVENTS: Final = "betting.ledger-events"
BETTING_IDENTITY_EVENTS: Final = "betting.identity-events"
PAYMENTS_LEDGER_EVENTS: Final = "payments.ledger-events"


KIND_QUALIFIED: Final = ("ledger.entry.committed.v1", "ledger.post.refused.v1")
"""Types whose routing key goes on with the kind of entry: `ledger.entry.committed.v1.bet.settle`."""


def _about_entries(*kinds: str) -> tuple[Binding, ...]:
    """What the ledger did with entries of these families of kinds."""
    return tuple(Binding(EVENTS, f"{answer}.{kind}.#") for kind in kinds for answer in KIND_QUALIFIED)


# Betting hears what it acts on: that chunks of settlements were booked, and that a fact was refused. Every hold and every
# match on a quorum queue, to be thrown away by its reader, was a third of the reader's work and more of the broker's.

RESULTS_BOARD: Final = "results-board"
TEAMS: Final = (RESULTS_BOARD,)
"""Internal teams who listen. Each has one queue, `<team>.events`, and a login of its name (docs/events.md)."""
TEAM_RING: Final = 100_000

QUEUES: Final = (
    *(Queue(queue, (Binding(COMMANDS, queue),)) for queue in COMMAND_QUEUES.values()),
    Queue(
        BETTING_LEDGER_EVENTS,
        (
            *(
                Binding(EVENTS, f"ledger.entry.committed.v1.{kind}")
                for kind in ("bet.settle", "bet.void", "bet.resettle", "debt.repay")
            ),
            *(
                Binding(EVENTS, f"ledger.post.refused.v1.{kind}")
                for kind in ("bet.match", "bet.release", "bet.settle", "bet.void", "bet.resettle")
            ),
        ),
        retired=_about_entries("bet"),
    ),
    Queue(BETTING_IDENTITY_EVENTS, (Binding(EVENTS, "identity.policy.changed.v1"),)),
    Queue(
        f"{RESULTS_BOARD}.events",
        (Binding(EVENTS, "betting.market.settled.v1"), Binding(EVENTS, "betting.market.voided.v1")),
        ring=TEAM_RING,
    ),
    Queue(PAYMENTS_LEDGER_EVENTS, _about_entries("deposit", "withdrawal", "suspense", "card", "refund")),
)


GATEWAY_REVOCATIONS: Final = "gateway.revocations"

STREAMS: Final = (
    Queue(
        GATEWAY_REVOCATIONS,
        (Binding(EVENTS, "identity.session.revoked.v1"), Binding(EVENTS, "identity.device.revoked.v1")),
    ),
)
"""What every replica of a service hears, each from when it began to listen: a log, not work to be shared."""

LIVE_QUEUES: Final = "gateway.live."
"""Each replica of the gateway listens on a queue of its own, declared by itself and gone with it."""
LIVE_PATTERNS: Final = (
    "betting.offer.#",
    "betting.market.#",
    "betting.book.#",
    "ledger.entry.committed.v1.#",
)


def queues_of(service: str) -> tuple[str, ...]:
    """The queues that a service reads."""
    return tuple(queue.name for queue in QUEUES if queue.reader == service)


def consumer_user(service: str) -> BrokerUser:
    """The login of a service (or team) itself: reads its own queues and moves messages among them, no more."""
    own = rf"^{service}\."
    return BrokerUser(
        name=service,
        configure=NOTHING,
        write=f"^({RETRY}|{DEAD})$",
        read=own,
        topics=MappingProxyType({RETRY: own, DEAD: own}),
    )


def relay_user(service: str) -> BrokerUser:
    """The login of a service's relay: publishes that service's events, and its commands if it has any."""
    topics = {EVENTS: rf"^{service}\."}
    if service in COMMAND_QUEUES:
        topics[COMMANDS] = "^" + COMMAND_QUEUES[service].replace(".", r"\.") + "$"
    return BrokerUser(
        name=f"relay-{service}",
        configure=NOTHING,
        write=f"^({'|'.join(topics)})$",
        read=NOTHING,
        topics=MappingProxyType(topics),
    )


GATEWAY_USER: Final = BrokerUser(
    name="gateway",
    configure=r"^gateway\.live\.",
    write=rf"^({RETRY}|{DEAD}|gateway\.live\..*)$",
    read=rf"^(gateway\..*|{EVENTS})$",
    topics=MappingProxyType({RETRY: r"^gateway\.", DEAD: r"^gateway\."}),
)
"""The gateway's login: what every replica hears, and its own short-lived queues, bound to the events."""

TOPOLOGY_USER: Final = BrokerUser(
    name="topology",
    configure=".*",
    write=".*",
    read=".*",
    topics=MappingProxyType({}),
    tags=("administrator",),
)
"""Declares everything, before any service starts; no service has its password."""

USERS: Final = (
    TOPOLOGY_USER,
    GATEWAY_USER,
    *(consumer_user(reader) for reader in (*SERVICES, *TEAMS)),
    *(relay_user(service) for service in SERVICES),
)


def matches(pattern: str, routing_key: str) -> bool:
    """Whether a topic pattern takes a routing key: `*` is one word, `#` any number of them."""
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(_matches(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and _matches(rest, words[1:])


def queues_for(exchange: str, routing_key: str) -> tuple[str, ...]:
    """The queues that a message published so would reach."""
    return tuple(
        queue.name
        for queue in (*QUEUES, *STREAMS)
        if any(bound == exchange and matches(pattern, routing_key) for bound, pattern in queue.bindings)
    )
