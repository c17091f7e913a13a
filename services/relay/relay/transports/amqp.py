"""Outbox rows to RabbitMQ, with the broker's word for each."""

from __future__ import annotations

from collections.abc import Sequence

from common.amqp import Link, Message, Publisher
from common.broker import NotTaken

from relay.domain import Row


class AmqpBroker:
    """One connection; every lane has a confirm channel of its own on it."""

    def __init__(self, url: str, *, name: str) -> None:
        self._link = Link(url, name=name)

    def transport(self) -> AmqpTransport:
        return AmqpTransport(self._link)

    async def check(self) -> None:
        await self._link.check(confirms=True)

    async def close(self) -> None:
        await self._link.close()


class AmqpTransport:
    """One confirm channel. Rows leave in the order in which they are given."""

    def __init__(self, link: Link) -> None:
        self._publisher = Publisher(link)

    async def ready(self) -> None:
        await self._publisher.open()

    async def send(self, rows: Sequence[Row]) -> list[NotTaken | None]:
        return await self._publisher.publish_all([_message(row) for row in rows])

    async def close(self) -> None:
        await self._publisher.close()


def _message(row: Row) -> Message:
    return Message(row.event_id, row.exchange, row.routing_key, row.body.encode(), row.headers)
