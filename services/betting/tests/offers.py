"""Offers for the tests of the pure rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from betting.domain.ids import MarketId, OfferId, UserId
from betting.domain.matching import Fill, Matching, match
from betting.domain.offers import PLAIN, Offer, OfferStatus, Options, Side, Slip
from betting.domain.ratios import EVENS, LADDER, Ratio
from hypothesis import strategies as st

MARKET = MarketId(UUID(int=1))
MIN_STAKE = 20
NOON = datetime(2026, 6, 7, 12, tzinfo=UTC)


def offer(
    number: int,
    *,
    user: int = 0,
    owner: int = 0,
    side: Side = Side.A,
    ratio: Ratio = EVENS,
    stake: int = 100,
    options: Options = PLAIN,
) -> Offer:
    """A held offer, number `number` in time; of a bettor of its own unless `user` says whose."""
    bettor = UserId(UUID(int=user or 10_000 + number))
    slip = Slip(
        id=OfferId(UUID(int=number)),
        market_id=MARKET,
        market_version=1,
        user_id=bettor,
        owner=UUID(int=owner) if owner else bettor,
        side=side,
        ratio=ratio,
        stake=stake,
        placed_at=NOON,
        options=options,
    )
    return Offer.pending(slip).placed(number)


@dataclass(frozen=True)
class Wish:
    """An offer somebody will place."""

    user: int
    side: Side
    ratio: Ratio
    lots: int

    def offer(self, number: int) -> Offer:
        stake = max(self.lots, -(-MIN_STAKE // self.ratio.risk)) * self.ratio.risk
        return offer(number, user=self.user, side=self.side, ratio=self.ratio, stake=stake)


def wishes(*, users: int = 6, lots: int = 60, longest: int = 25) -> st.SearchStrategy[list[Wish]]:
    """Sequences of offers, mostly near evens so that they meet."""
    near = [ratio for ratio in LADDER if abs(ratio.rank) <= 4]
    one = st.builds(
        Wish,
        user=st.integers(1, users),
        side=st.sampled_from(Side),
        ratio=st.one_of(st.sampled_from(near), st.sampled_from(LADDER)),
        lots=st.integers(1, lots),
    )
    return st.lists(one, min_size=1, max_size=longest)


@dataclass
class Book:
    """A market in memory: what the store does, without a database."""

    offers: dict[OfferId, Offer] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)

    def resting(self, side: Side) -> list[Offer]:
        """In price-time order."""
        live = [each for each in self.offers.values() if each.side is side and each.is_live]
        return sorted(live, key=lambda each: (-each.ratio.rank, each.sequence))

    def place(self, taker: Offer) -> Matching:
        matching = match(taker, self.resting(taker.side.opposite), min_stake=MIN_STAKE)
        for fill in matching.fills:
            self.offers[fill.maker.id] = fill.maker
        self.offers[taker.id] = matching.taker
        self.fills += matching.fills
        return matching


def played(wanted: Sequence[Wish]) -> Book:
    """The book after all of them were placed."""
    book = Book()
    for number, wish in enumerate(wanted, start=1):
        book.place(wish.offer(number))
    return book


def partly(whole: Offer, matched: int) -> Offer:
    """The same offer after some of it was matched."""
    return replace(whole.drawn(matched), status=OfferStatus.PARTIAL)
