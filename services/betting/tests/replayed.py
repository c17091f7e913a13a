"""The events of a day, replayed: whether each bet was made with who was first, and whether offers that cross lie open."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from uuid import UUID

import asyncpg
from contracts.betting import OfferCancelled, OfferLapsed, OfferMatched, OfferPlaced
from contracts.envelope import Envelope


@dataclass
class Resting:
    """An offer as the events tell of it, with what its row says and never changes."""

    row: "asyncpg.Record"
    order: int
    left: Decimal

    def goes_before(self, other: "Resting") -> bool:
        return (-self.row["rank"], self.order) < (-other.row["rank"], other.order)


def replayed(heard: Iterable[Envelope], rows: Iterable["asyncpg.Record"]) -> list[str]:
    """Everything that is not as it must be."""
    known = {row["id"]: row for row in rows}
    book: dict[UUID, Resting] = {}
    found: list[str] = []
    told = [each for each in heard if each.type.startswith("betting.offer.")]
    for message in sorted(told, key=lambda each: (each.partitionkey, each.sequence)):
        if message.type == OfferPlaced.type:
            placed = message.read(OfferPlaced)
            found += _crossed(book, known[placed.offer_id]["market_id"])
            book[placed.offer_id] = Resting(known[placed.offer_id], message.sequence, Decimal(placed.stake))
        elif message.type == OfferMatched.type:
            bet = message.read(OfferMatched)
            found += _passed(book, bet)
            for part in (bet.maker, bet.taker):
                book[part.offer_id].left -= Decimal(part.risked)
        else:
            ended = _ended(message)
            if (
                ended is not None and ended.offer_id in book
            ):  # else its hold came too late: it never took part
                book[ended.offer_id].left -= Decimal(ended.released)
    for market in {row["market_id"] for row in known.values()}:
        found += _crossed(book, market)
    return [*found, *_left(book, known)]


def _ended(message: Envelope) -> OfferCancelled | OfferLapsed | None:
    if message.type == OfferCancelled.type:
        return message.read(OfferCancelled)
    return message.read(OfferLapsed) if message.type == OfferLapsed.type else None


def _left(book: Mapping[UUID, Resting], known: Mapping[UUID, "asyncpg.Record"]) -> Iterator[str]:
    for id, row in known.items():
        left = book[id].left if id in book else Decimal(0)
        if left != row["remaining"]:
            yield f"offer {id} has {left} left by the events, and {row['remaining']}"


def _passed(book: Mapping[UUID, Resting], bet: OfferMatched) -> Iterator[str]:
    maker, taker = book[bet.maker.offer_id], book[bet.taker.offer_id]
    if maker.order > taker.order:
        yield f"bet {bet.fill_id}: the taker was there first"
    if taker.row["answers"] is not None:
        return
    for other in book.values():
        row = other.row
        same = (row["market_id"], row["side"]) == (maker.row["market_id"], maker.row["side"])
        if same and row["challenges"] is None and other.left > 0 and other.goes_before(maker):
            yield f"bet {bet.fill_id} passed offer {row['id']}"


def _crossed(book: Mapping[UUID, Resting], market: UUID) -> Iterator[str]:
    there = [
        each.row
        for each in book.values()
        if each.left > 0 and each.row["market_id"] == market and each.row["challenges"] is None
    ]
    for one, other in product(there, there):
        opposite = one["side"] == "A" and other["side"] == "B"
        if opposite and one["risk"] * other["risk"] >= one["win"] * other["win"]:
            yield f"offers {one['id']} and {other['id']} cross"
