"""What betting hears of the ledger and of identity."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

from common.amqp import Consumer, Delivery, Link, Poison
from contracts.envelope import Envelope
from contracts.identity import PlayPolicyChanged
from contracts.ledger import EntryCommitted, PostRefused
from contracts.topology import BETTING_IDENTITY_EVENTS, BETTING_LEDGER_EVENTS

from betting.bookings import PAYING
from betting.domain.ids import MarketId
from betting.service.collecting import Collecting
from betting.service.excluding import Excluding
from betting.service.settling import Settling

PRINCIPAL: Final = "betting"
"""Our name at the ledger. What others asked of it, even about bets, is not ours to act on."""

FACTS: Final = frozenset({"bet.match", "bet.release", *PAYING})
"""What has happened here and must be booked. A hold is a question, and may be refused."""


class LedgerEvents:
    """Handles the queue of the ledger's answers: those that `contracts.topology` binds it to, and only our own."""

    def __init__(self, settling: Settling, collecting: Collecting) -> None:
        self._settling = settling
        self._collecting = collecting

    async def handle(self, delivery: Delivery) -> None:
        """Raises Poison, pydantic's ValidationError, Unavailable."""
        envelope = delivery.envelope
        match envelope.type:
            case EntryCommitted.type:
                entry = EntryCommitted.model_validate(envelope.data)
                await self._collecting.heard(entry)
                if entry.principal == PRINCIPAL and entry.kind in PAYING:
                    await self._settling.booked(envelope.id, entry)
            case PostRefused.type:
                refusal = PostRefused.model_validate(envelope.data)
                if refusal.principal == PRINCIPAL and refusal.kind in FACTS:
                    await self._settling.refused(envelope.id, _market_of(refusal.reference), refusal)
            case other:
                raise Poison(f"betting knows no {other}")


class IdentityEvents:
    """Handles what identity says about people who may not bet any more."""

    def __init__(self, excluding: Excluding) -> None:
        self._excluding = excluding

    async def handle(self, delivery: Delivery) -> None:
        """Raises Poison, pydantic's ValidationError, Unavailable."""
        envelope = delivery.envelope
        if envelope.type != PlayPolicyChanged.type:
            raise Poison(f"betting knows no {envelope.type}")
        await self._excluding.told(PlayPolicyChanged.model_validate(envelope.data))


def _market_of(reference: str) -> MarketId:
    try:
        return MarketId(UUID(reference.removeprefix("markets/")))
    except ValueError:
        raise Poison(f"{reference} is no market") from None


@asynccontextmanager
async def consume(
    ledger: LedgerEvents, identity: IdentityEvents, amqp_url: str
) -> AsyncIterator[tuple[Consumer, ...]]:
    """Listen to both while the block runs."""
    async with AsyncExitStack() as stack:
        link = Link(amqp_url, name="betting")
        stack.push_async_callback(link.close)
        handlers = {BETTING_LEDGER_EVENTS: ledger.handle, BETTING_IDENTITY_EVENTS: identity.handle}
        consumers = tuple(
            Consumer(link, queue, handle, parse=Envelope.model_validate_json)
            for queue, handle in handlers.items()
        )
        for consumer in consumers:
            await stack.enter_async_context(consumer.running())
        yield consumers
