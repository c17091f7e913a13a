"""One batch of acts in one market: the market and its book as they become, and everything there is to write."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from common.idempotency import Answer

from betting.chronicle import Chronicle
from betting.domain.book import Book, Level
from betting.domain.errors import OfferNotFound
from betting.domain.ids import OfferId, UserId
from betting.domain.markets import Market
from betting.domain.matching import Fill, Matching, match
from betting.domain.offers import Ending, Offer, OfferStatus, Side
from betting.store.exchange import Moved, Waiting
from betting.store.reading import OwnFill, OwnOffer


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer to keep under its key."""

    principal: str
    key: str
    answer: Answer


class Session:
    """Every act of a batch happens here, in memory, one after the other; then the batch is written at once.

    An act checks before it changes anything, so that one that is refused leaves no trace.
    """

    def __init__(self, market: Market, book: Book, waiting: dict[OfferId, Waiting], now: datetime) -> None:
        self.chronicle = Chronicle(market, now)
        self.book = book
        self.waiting = waiting
        self.fills: list[tuple[Fill, int]] = []
        self.answers: list[Stored] = []
        self.levels: list[Level] = []
        self.expiring: list[Offer] = []
        self._moved: dict[OfferId, Moved] = {}
        self._touched: dict[tuple[Side, int], None] = {}
        for id in book.expired(now):
            self.end(id, OfferStatus.EXPIRED, Ending.TIME_OVER, actor=None)

    @property
    def market(self) -> Market:
        return self.chronicle.market

    @property
    def moved(self) -> tuple[Moved, ...]:
        return tuple(self._moved.values())

    def offer(self, id: OfferId) -> Offer:
        """As it stands now in this batch. Raises OfferNotFound."""
        moved = self._moved.get(id)
        if moved is not None:
            return moved.offer
        waiting = self.waiting.get(id)
        resting = self.book.find(id)
        if resting is None and waiting is None:
            raise OfferNotFound("no such offer")
        return resting or waiting.offer  # type: ignore[union-attr]  # one of them is there

    def admit(self, offer: Offer) -> OwnOffer:
        """Let a held offer meet the book, and tell everything that comes of it. One whose hold took longer than its own
        time meets nobody."""
        offer = offer.placed(self.chronicle.placed(offer))
        if offer.is_over(self.chronicle.now):
            matching = Matching(offer.ended(OfferStatus.EXPIRED, Ending.TIME_OVER), ())
        else:
            matching = match(offer, self.book.makers(offer), min_stake=self.market.terms.min_stake)
        for fill in matching.fills:
            self.fills.append((fill, self.chronicle.matched(fill)))
            self.chronicle.ended(fill.maker)
            self._note(fill.maker, None, "matched")
        self.chronicle.ended(matching.taker)
        if matching.taker.is_live and offer.slip.options.expires_at is not None:
            self.expiring.append(matching.taker)
        self._note(matching.taker, matching.taker.user_id, _why(matching.taker))
        self.chronicle.market = self.market.escrowed(matching.pot)
        return OwnOffer(matching.taker, self.market, _own_fills(matching, self.chronicle.now))

    def give_back(self, offer: Offer, why: Ending) -> Offer:
        """The hold came too late: nothing is placed, and the held stake goes back."""
        offer = offer.ended(OfferStatus.LAPSED, why)
        told = self.chronicle.ended(offer)
        offer = offer if told is None else offer.placed(told)
        self._note(offer, None, _why(offer))
        return offer

    def end(self, id: OfferId, status: OfferStatus, why: Ending, *, actor: UserId | None) -> Offer:
        """End a live offer that takes part; whatever is left of it goes back."""
        offer = self.offer(id).ended(status, why)
        self.chronicle.ended(offer)
        self._note(offer, actor, _why(offer))
        return offer

    def end_all(
        self, which: Callable[[Offer], bool], status: OfferStatus, why: Ending, *, actor: UserId | None
    ) -> list[Offer]:
        """End every resting offer of that sort, the earliest first."""
        return [self.end(offer.id, status, why, actor=actor) for offer in self.book.resting() if which(offer)]

    def close_levels(self) -> None:
        """Tell what the public sees of all this: each level that changed, as it is now."""
        self.levels = [self.book.level(side, rank) for side, rank in self._touched]
        if self.levels:
            self.chronicle.book_changed(self.levels)

    def _note(self, offer: Offer, actor: UserId | None, why: str) -> None:
        self._moved[offer.id] = Moved(offer, actor, why)
        before = self.book.find(offer.id)
        self.book.put(offer)
        if offer.is_public and (before is not None or offer.is_live):
            self._touched[offer.side, offer.ratio.rank] = None


def _why(offer: Offer) -> str:
    if offer.ending is None:
        return "matched" if offer.matched else "placed"
    return offer.ending.value.lower().replace("_", " ")


def _own_fills(matching: Matching, now: datetime) -> tuple[OwnFill, ...]:
    taker = matching.taker.id
    return tuple(
        OwnFill(fill.id, taker, fill.maker.ratio.inverse, fill.taker_stake, fill.pot, now)
        for fill in matching.fills
    )
