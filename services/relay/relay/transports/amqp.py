"""Outbox rows to RabbitMQ, with the broker's word for each."""

from __future__ import annotations

from collections.abc import Sequence

from common.amqp import Link, Message, NotTaken, Publisher

from relay.domain import Row


class AmqpTransport:
    """One confirm channel. Rows leave in the order in which they are given."""

    def __init__(self, link: Link) -> None:
        self._publisher = Publisher(link)

    async def ready(self) -> None:
        """Raises `BrokerUnavailable` unless messages could be sent now."""
        await self._publisher.open()

    async def send(self, rows: Sequence[Row]) -> list[NotTaken | None]:
        """Send rows and wait for all answers: None, or why the broker does not have the row.

        Raises `BrokerUnavailable` when nothing was sent.
        """
        return await self._publisher.publish_all([_message(row) for row in rows])

    async def close(self) -> None:
        await self._publisher.close()


def _message(row: Row) -> Message:
    return Message(row.event_id, row.exchange, row.routing_key, row.body.encode(), row.headers)
