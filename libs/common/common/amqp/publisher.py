"""Publishing with the broker's word for every message: persistent, mandatory, confirmed, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import DeliveryError, PublishError

from common.amqp.link import Link, close_channel

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
        if not messages:
            return []
        channel = await self._opened()
        exchanges = {
            name: await channel.get_exchange(name, ensure=False)
            for name in {message.exchange for message in messages}
        }
        sent = [asyncio.create_task(_send(exchanges[message.exchange], message)) for message in messages]
        try:
            # One clock for all, in place of one each: at thousands a second that is felt.
            await asyncio.wait(sent, timeout=self._timeout_seconds)
        finally:
            for task in sent:
                task.cancel()  # does nothing to those that are done
        await asyncio.wait(sent)
        answers = [_answer(task, message) for task, message in zip(sent, messages, strict=True)]
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


async def _send(exchange: AbstractExchange, message: Message) -> None:
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


def _answer(sent: asyncio.Task[None], message: Message) -> NotTaken | None:
    """What became of a publish that is over. aio-pika cancels it when heartbeats stop, as we do when
    time is up: both mean that nobody knows."""
    where = f"{message.exchange}/{message.routing_key}"
    if sent.cancelled():
        return Unconfirmed(f"no confirmation for {where}")
    match sent.exception():
        case None:
            return None
        case PublishError():
            return Unroutable(f"no queue is bound for {where}")
        case DeliveryError():
            return Nacked(f"the broker refused {where}")
        case error:
            return Unconfirmed(f"no confirmation for {where}: {error!r}")
