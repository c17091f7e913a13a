"""What the relay needs of a broker, and no more.

RabbitMQ and NATS JetStream are two; a third (Kafka: `aiokafka`'s `send` returns a future for each record, the
aggregate is the record's key) has to keep the same three promises:

1. rows of one batch leave in their order, and none of a later batch overtakes them;
2. an answer of None means that the broker has the message as durably as it keeps anything;
3. every wait ends: silence becomes `Unconfirmed`, and an answer that comes after it is nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from common.broker import NotTaken

from relay.domain import Row


class Transport(Protocol):
    """One lane's way to the broker."""

    async def ready(self) -> None:
        """Raises `BrokerUnavailable` unless messages could be sent now."""

    async def send(self, rows: Sequence[Row]) -> list[NotTaken | None]:
        """Send rows and wait for all answers: None, or why the broker does not have the row.

        Raises `BrokerUnavailable` when nothing was sent.
        """

    async def close(self) -> None:
        """Give up what this lane holds."""


class Broker(Protocol):
    """A process's connection to a broker, shared by its lanes."""

    def transport(self) -> Transport:
        """A way for one more lane."""

    async def check(self) -> None:
        """A readiness probe. Raises `BrokerUnavailable` unless the broker answers."""

    async def close(self) -> None:
        """Close the connection."""
