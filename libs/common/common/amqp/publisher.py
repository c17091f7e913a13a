"""Publishing with the broker's word for every message: persistent, mandatory, confirmed, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import aiormq
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.exceptions import PAMQPException

from common.amqp import bulk
from common.amqp.link import Link, broker_errors, close_channel
from common.broker import BrokerUnavailable, Nacked, NotTaken, Rejected, Unclear, Unconfirmed, Unroutable

CONFIRM_TIMEOUT_SECONDS: Final = 4.0

CONTENT_TYPE: Final = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish and where. `id` is the CloudEvent's id."""

    id: UUID
    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, str | int] = field(default_factory=dict)


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
        away, so that an answer that comes late cannot be taken for another's. After a refusal, too: a channel
        that met a quorum queue while its leader was gone asks the dead leader for ever (RabbitMQ 3.10, queues
        with reject-publish), and only a new channel learns of the new one.
        Raises `BrokerUnavailable` when nothing was sent.
        """
        if not messages:
            return []
        channel = await self._opened()
        try:
            underlay = await _underlay(channel)
            answers = await self._answered(underlay, messages)
        except BaseException:
            await self.close()  # cancelled or broken in between: nobody knows what its tags stand for
            raise
        if any(isinstance(answer, Unconfirmed | Nacked | Rejected) for answer in answers):
            await self.close()
        return answers

    async def _answered(self, channel: aiormq.Channel, messages: Sequence[Message]) -> list[NotTaken | None]:
        ids = [str(message.id) for message in messages]
        batch = [
            (id_, each.exchange, each.routing_key, each.body, each.headers)
            for id_, each in zip(ids, messages, strict=True)
        ]
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                sent = await bulk.send(channel, batch, content_type=CONTENT_TYPE)
        except TimeoutError:  # a broker in alarm does not even read
            return [Unconfirmed(f"{_where(message)} could not be sent in time") for message in messages]
        except (
            ValueError,
            TypeError,
            PAMQPException,
        ) as error:  # nothing was sent: one of them cannot be written
            return [_rejected(message, error, alone=len(messages) == 1) for message in messages]
        except aiormq.exceptions.AMQPError as error:
            raise BrokerUnavailable(f"the broker did not answer: {error!r}", retry_after=1) from error
        try:
            left = (limit.when() or 0) - asyncio.get_running_loop().time()
            await asyncio.wait(sent, timeout=max(0.0, left))  # one clock for all
        finally:
            for answer in sent:
                answer.cancel()  # does nothing to those that are done
            bulk.forget(channel, ids)
        alone = len(messages) == 1
        return [_answer(answer, message, alone=alone) for answer, message in zip(sent, messages, strict=True)]

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_channel(channel)

    async def _opened(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.channel(confirms=True)
            return self._channel


async def _underlay(channel: AbstractChannel) -> aiormq.Channel:
    with broker_errors():
        found = await channel.get_underlay_channel()
    assert isinstance(found, aiormq.Channel)  # noqa: S101 - aio-pika makes no other
    return found


def _where(message: Message) -> str:
    return f"{message.exchange}/{message.routing_key}"


def _rejected(message: Message, error: BaseException, *, alone: bool) -> NotTaken:
    kind = Rejected if alone else Unclear
    return kind(f"the broker will not have {_where(message)}: {error!r}")


def _answer(sent: bulk.Answer, message: Message, *, alone: bool) -> NotTaken | None:
    """What became of a publish that is over. aio-pika cancels it when heartbeats stop, as we do when
    time is up: both mean that nobody knows."""
    if sent.cancelled():
        return Unconfirmed(f"no confirmation for {_where(message)}")
    match sent.exception():
        case None:
            return None
        case PublishError():
            return Unroutable(f"no queue is bound for {_where(message)}")
        case DeliveryError():
            return Nacked(f"the broker refused {_where(message)}")
        case (
            ChannelAccessRefused() | ChannelNotFoundEntity() | ChannelPreconditionFailed()
        ) as error:  # the broker's word, about one of those that were sent together
            return _rejected(message, error, alone=alone)
        case error:
            return Unconfirmed(f"no confirmation for {_where(message)}: {error!r}")
