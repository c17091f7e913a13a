"""What the ledger is asked to book for each thing that happens to a stake.

Every entry of a market has `markets/<id>` as its reference: that is the aggregate, so a market's bookings and the
ledger's answers to them stay in order. The keys are made of the business's own ids, so a booking cannot happen twice.
"""

import re
from dataclasses import dataclass
from uuid import UUID

from common.money import Money
from contracts.ledger import EntryRequest, Posting, PostRequested, SettlementPart, Side
from contracts.ledger_batches import KeyedEntry

from betting.domain.ids import MarketId, Minor, OfferId, UserId
from betting.domain.matching import Fill
from betting.domain.offers import Offer
from betting.domain.settlement import Chunk, ChunkKind, Outcome, Settlement

HOUSE_COMMISSION = "house/commission"
RECOVERY = "bet.resettle"
_CHUNK_KEY = re.compile(r"(?:re)?settle:([0-9a-f-]{36}):([0-9]{1,4}):([0-9]{1,6})(?::([0-9]{1,3}))?")
PAYING = frozenset({"bet.settle", "bet.void", RECOVERY})
"""The kinds that a settlement's chunks are booked under."""


def reference(market: MarketId) -> str:
    return f"markets/{market}"


def hold_key(offer: OfferId) -> str:
    return f"hold:{offer}"


def hold(offer: Offer, currency: str, *, trace: str | None = None) -> KeyedEntry:
    """Set the whole stake aside. Asked over HTTP, since the bettor waits for yes or no."""
    return KeyedEntry(
        idempotency_key=hold_key(offer.id),
        traceparent=trace,
        kind="bet.hold",
        reference=reference(offer.market_id),
        metadata={"offer": str(offer.id)},
        postings=(
            _leg(Side.DEBIT, _available(offer.user_id), offer.stake, currency),
            _leg(Side.CREDIT, _held(offer.user_id), offer.stake, currency, hold=offer.id),
        ),
    )


def release(offer: Offer, currency: str) -> PostRequested:
    """Give back what never became a bet. An offer ends once, so it is released at most once, and exactly."""
    return PostRequested(
        idempotency_key=f"release:{offer.id}",
        kind="bet.release",
        reference=reference(offer.market_id),
        metadata={"offer": str(offer.id)},
        postings=(
            _leg(Side.DEBIT, _held(offer.user_id), offer.released, currency, hold=offer.id),
            _leg(Side.CREDIT, _available(offer.user_id), offer.released, currency),
        ),
    )


def repayment(user: UserId, amount: Minor, currency: str) -> EntryRequest:
    """Pay back what a corrected result took from a player who had not got it."""
    return EntryRequest(
        kind="debt.repay",
        reference=f"players/{user}",
        postings=(
            _leg(Side.DEBIT, _available(user), amount, currency),
            _leg(Side.CREDIT, f"players/{user}/debt", amount, currency),
        ),
    )


def match(fill: Fill, currency: str) -> PostRequested:
    """Move both stakes of a bet into the market's escrow."""
    maker, taker = fill.maker, fill.taker
    return PostRequested(
        idempotency_key=f"match:{fill.id}",
        kind="bet.match",
        reference=reference(maker.market_id),
        metadata={"fill": str(fill.id)},
        postings=(
            _leg(Side.DEBIT, _held(maker.user_id), fill.maker_stake, currency, hold=maker.id),
            _leg(Side.DEBIT, _held(taker.user_id), fill.taker_stake, currency, hold=taker.id),
            _leg(Side.CREDIT, escrow(maker.market_id), fill.pot, currency),
        ),
    )


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """The key that a chunk is booked under. One that was refused is asked for again under the next: `refusals` counts."""

    market: MarketId
    number: int
    chunk: int
    refusals: int = 0

    def of(self, kind: ChunkKind) -> str:
        verb = "resettle" if kind is ChunkKind.RECOVER else "settle"
        return f"{verb}:{self.market}:{self.number}:{self.chunk}" + (
            f":{self.refusals}" if self.refusals else ""
        )

    @classmethod
    def parse(cls, key: str) -> "ChunkKey | None":
        """None for a key that is none of ours: somebody has posted by hand."""
        found = _CHUNK_KEY.fullmatch(key)
        if found is None:
            return None
        market, number, chunk, refusals = found.groups()
        return cls(MarketId(UUID(market)), int(number), int(chunk), int(refusals or 0))


def settle(
    market: MarketId,
    number: int,
    settlement: Settlement,
    chunk: Chunk,
    tax: str | None,
    currency: str,
    *,
    refusals: int = 0,
) -> PostRequested:
    """One chunk of a settlement, the market's `number`th that moves money: the ledger's version of it. A correction that
    changes nobody's share is a version here, and none there.

    A payment goes out of the escrow: winnings less what is taken, or own stakes back. A recovery goes back into it:
    what an earlier version paid too much. What a player has not got becomes a debt; the ledger sees to that.
    """
    recovery = chunk.kind is ChunkKind.RECOVER
    taken, given = (Side.CREDIT, Side.DEBIT) if recovery else (Side.DEBIT, Side.CREDIT)
    legs = [
        _leg(given, _available(move.user_id), move.payout, currency) for move in chunk.moves if move.payout
    ]
    if chunk.commission:
        legs.append(_leg(given, HOUSE_COMMISSION, chunk.commission, currency))
    if chunk.withheld and tax is not None:
        legs.append(_leg(given, f"tax/{tax}", chunk.withheld, currency))
    return PostRequested(
        idempotency_key=ChunkKey(market, number, chunk.number, refusals).of(chunk.kind),
        kind=_kind(chunk, number, settlement),
        reference=reference(market),
        postings=(_leg(taken, escrow(market), chunk.total, currency), *legs),
        settlement=SettlementPart(
            market=market,
            version=number,
            total=str(Money.from_minor(settlement.total, currency)),
            chunk=chunk.number,
            chunks=len(settlement.chunks),
        ),
    )


def _kind(chunk: Chunk, number: int, settlement: Settlement) -> str:
    if chunk.kind is ChunkKind.RECOVER:
        return RECOVERY
    stakes_back = number == 1 and settlement.outcome in {Outcome.PUSH, Outcome.VOID}
    return "bet.void" if stakes_back else "bet.settle"


def _available(user: UserId) -> str:
    return f"players/{user}/available"


def _held(user: UserId) -> str:
    return f"players/{user}/held"


def escrow(market: MarketId) -> str:
    return f"markets/{market}/escrow"


def _leg(side: Side, account: str, amount: Minor, currency: str, *, hold: UUID | None = None) -> Posting:
    return Posting(
        account=account,
        side=side,
        amount=str(Money.from_minor(amount, currency)),
        currency=currency,
        hold=hold,
    )
