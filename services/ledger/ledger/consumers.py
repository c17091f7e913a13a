"""The ledger's AMQP door: facts that must be booked.

One queue per producer; the queue names the principal, whose permitted kinds are in the database. A
command's idempotency key makes its entry's id, which is unique for ever: that id is the inbox of this
door (docs/adr/0004), so a redelivery finds its answer instead of posting again. The answer leaves as an
event of the entry or of the refusal.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from common.amqp import Consumer, Delivery, Link, Poison
from common.errors import DomainError, NotReady, TooMany, Unavailable
from common.telemetry.traces import traceparent
from contracts.envelope import Envelope
from contracts.ledger import PostRequested
from contracts.topology import COMMAND_QUEUES

from ledger import wire
from ledger.domain.refusals import STORED
from ledger.service import Ledger

log = logging.getLogger(__name__)

EL_CARRIL = 1
"""The ledger whose producers have command queues."""

IN_FLIGHT = 256
"""Commands of one queue in hand: enough for a full batch. A crash redelivers them all; their ids know."""


class CommandDoor:
    """Posts the commands of one producer's queue."""

    def __init__(self, ledger: Ledger, producer: str) -> None:
        self._ledger = ledger
        self._producer = producer

    async def handle(self, delivery: Delivery) -> None:
        """Post one command. A stored refusal is an answer too: its event tells the producer.

        Raises:
            NotReady, TooMany, Unavailable: to be tried again later.
            Poison: the message can never be posted.
        """
        wanted = PostRequested.model_validate(delivery.envelope.data)
        try:
            command = wire.command(
                EL_CARRIL,
                self._producer,
                wanted.idempotency_key,
                wanted,
                traceparent(),
                now=datetime.now(UTC),
            )
            await self._ledger.post(command)
        except (NotReady, TooMany, Unavailable):
            raise
        except DomainError as why:
            if why.slug not in STORED:
                raise Poison(f"{why.slug}: {why.detail}") from why
            log.warning("%s of %s refused: %s", wanted.kind, self._producer, why.detail)


@asynccontextmanager
async def consume(ledger: Ledger, amqp_url: str) -> AsyncIterator[Sequence[Consumer]]:
    """Take commands from every producer's queue while the block runs.

    Commands commute where they can and say not-ready where they cannot, so order is not kept: a whole
    batch gathers while the last one commits.
    """
    async with AsyncExitStack() as stack:
        link = Link(amqp_url, name="ledger")
        stack.push_async_callback(link.close)
        consumers = [
            Consumer(
                link,
                queue,
                CommandDoor(ledger, producer).handle,
                parse=Envelope.model_validate_json,
                prefetch=IN_FLIGHT,
                concurrency=IN_FLIGHT,
                ordered=False,
                oldest=None,  # an entry's id is never forgotten
            )
            for producer, queue in COMMAND_QUEUES.items()
        ]
        for consumer in consumers:
            await stack.enter_async_context(consumer.running())
        yield consumers
