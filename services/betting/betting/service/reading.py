"""Reading: the programme and the book for everyone, offers and bets for their owner."""

from dataclasses import dataclass

from common.pg import Pool, transaction

from betting.domain.ids import EventId, MarketId, OfferId, UserId
from betting.domain.markets import Market
from betting.domain.races import Event
from betting.store.exchange import ExchangeStore
from betting.store.reading import Bet, Level, OwnOffer, Position, RaceCard, ReadingStore


@dataclass(frozen=True, slots=True)
class Page:
    """Where to begin (None: at the beginning) and how much to give."""

    after: Position | None
    limit: int


class Reading:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def events(self, *, drafts: bool, page: Page) -> list[Event]:
        async with transaction(self._pool, readonly=True) as conn:
            return await ReadingStore(conn).events(drafts=drafts, after=page.after, limit=page.limit)

    async def event(self, event_id: EventId, *, drafts: bool) -> tuple[Event, list[RaceCard]]:
        """The event and its card. Raises EventNotFound, for a draft unless `drafts`."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            store = ReadingStore(conn)
            event = await store.event(event_id, drafts=drafts)
            return event, await store.card(event_id)

    async def market(self, market_id: MarketId) -> tuple[Market, list[Level]]:
        """The market and its book. Raises MarketNotFound."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            market = await ExchangeStore(conn).market(market_id)
            return market, await ReadingStore(conn).book(market_id, market.terms.currency)

    async def offer(self, offer_id: OfferId, owner: UserId) -> OwnOffer:
        """Raises OfferNotFound, also for another bettor's offer."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).own_offer(offer_id, owner)

    async def offers(self, owner: UserId, *, market_id: MarketId | None, page: Page) -> list[OwnOffer]:
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).own_offers(
                owner, market_id=market_id, after=page.after, limit=page.limit
            )

    async def bets(self, owner: UserId, *, page: Page) -> list[Bet]:
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).own_bets(owner, after=page.after, limit=page.limit)
