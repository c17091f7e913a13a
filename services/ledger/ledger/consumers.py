"""The ledger's AMQP door: facts that must be booked.

One queue per producer; the queue names the principal, the principal's permitted kinds are in the
database. A command's idempotency key makes its entry's id, which is unique for ever: that id is the
inbox of this door, so a redelivery finds its answer instead of posting again. The answer leaves as
an event of the entry or of the refusal.
"""

from __future__ import annotations

import logging

from common.amqp import Delivery, Poison
from common.errors import DomainError, NotReady, TooMany, Unavailable
from contracts.ledger import PostRequested
from contracts.topology import COMMAND_QUEUES

from ledger import wire
from ledger.domain import refusals
from ledger.domain.refusals import STORED
from ledger.service import Ledger

log = logging.getLogger(__name__)

EL_CARRIL = 1


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
        command = wire.command(
            EL_CARRIL, self._producer, wanted.idempotency_key, wanted, delivery.envelope.traceparent
        )
        try:
            await self._ledger.post(command)
        except (NotReady, TooMany, Unavailable):
            raise
        except DomainError as why:
            if why.slug not in STORED:
                raise Poison(f"{why.slug}: {why.detail}") from why
            log.warning("%s of %s refused: %s", command.kind, self._producer, why.detail)


__all__ = ["COMMAND_QUEUES", "CommandDoor", "refusals"]
