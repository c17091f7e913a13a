"""Publishing with the broker's word for every message: persistent, mandatory, confirmed, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError

from common.amqp.link import BrokerUnavailable, Link, broker_errors, close_channel

CONFIRM_TIMEOUT_SECONDS: Final = 5.0

CONTENT_TYPE: Final = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish and where. `id` is the CloudEvent's id."""

    id: UUID
    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, str | int] = field(default_factory=dict)


class NotTaken(Exception):
    """The broker did not take a message."""


class Unroutable(NotTaken):
    """No queue is bound for this key: the broker gave the message back."""


class Nacked(NotTaken):
    """The broker refused: a queue is full, or its leader is changing."""


class Unconfirmed(NotTaken):
    """No word in time, or the channel closed before it. The message may have arrived or may yet."""


class Publisher:
    """Publishes on one channel of its own, in the order asked for."""

    def __init__(self, link: Link, *, confirm_timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS) -> None:
        self._link = link
        self._timeout_seconds = confirm_timeout_seconds
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Make sure that there is a channel, without publishing. Raises `BrokerUnavailable`."""
        await self._opened()

    async def publish(self, message: Message) -> None:
        """Publish one message and wait for the broker's word.

        Raises `NotTaken`, or `BrokerUnavailable` when the message was not even sent.
        """
        (refusal,) = await self.publish_all([message])
        if refusal is not None:
            raise refusal

    async def publish_all(self, messages: Sequence[Message]) -> list[NotTaken | None]:
        """Publish messages in their order without waiting in between, then wait for every answer.

        Returns, message by message, None or why it was not taken. After silence the channel is thrown
        away, so that an answer that comes late cannot be taken for another's.
        Raises `BrokerUnavailable` when nothing was sent.
        """
        channel = await self._opened()
        answers = await asyncio.gather(*(self._send(channel, message) for message in messages))
        if any(isinstance(answer, Unconfirmed) for answer in answers):
            await self.close()
        return answers

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_channel(channel)

    async def _opened(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.channel(confirms=True)
            return self._channel

    async def _send(self, channel: AbstractChannel, message: Message) -> NotTaken | None:
        try:
            with broker_errors():
                await self._publish(channel, message)
        except BrokerUnavailable as error:
            return _refusal(message, error)
        return None

    async def _publish(self, channel: AbstractChannel, message: Message) -> None:
        exchange = await channel.get_exchange(message.exchange, ensure=False)
        async with asyncio.timeout(self._timeout_seconds):
            await exchange.publish(
                aio_pika.Message(
                    message.body,
                    message_id=str(message.id),
                    content_type=CONTENT_TYPE,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    headers=dict(message.headers),
                ),
                message.routing_key,
                mandatory=True,
            )


def _refusal(message: Message, error: BrokerUnavailable) -> NotTaken:
    where = f"{message.exchange}/{message.routing_key}"
    match error.__cause__:
        case PublishError():
            return Unroutable(f"no queue is bound for {where}")
        case DeliveryError():
            return Nacked(f"the broker refused {where}")
        case _:
            return Unconfirmed(f"no confirmation for {where}: {error.detail}")
