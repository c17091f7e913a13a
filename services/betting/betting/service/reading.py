"""Reading: the programme and the book for everyone; offers, bets and what they add up to for their owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from common.pg import Pool, transaction

from betting.domain.book import Level
from betting.domain.errors import RaceNotFound
from betting.domain.events import Event
from betting.domain.ids import EventId, MarketId, OfferId, RaceId, UserId
from betting.domain.markets import Market
from betting.domain.offers import Offer
from betting.store.accounts import AccountStore, Change, Exposure, Profit, Transition
from betting.store.exchange import ExchangeStore
from betting.store.reading import Bet, OwnOffer, Position, RaceCard, ReadingStore


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

    async def race(self, race_id: RaceId, *, drafts: bool) -> RaceCard:
        """Raises RaceNotFound, also for a race of a draft unless `drafts`."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            card = await ReadingStore(conn).race_card(race_id, drafts=drafts)
        if card is None:
            raise RaceNotFound("no such race")
        return card

    async def market(self, market_id: MarketId) -> tuple[Market, list[Level]]:
        """The market and its book. Raises MarketNotFound."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            market = await ExchangeStore(conn).market(market_id)
            return market, await ReadingStore(conn).book(market_id, market.terms.currency)

    async def market_changes(
        self, market_id: MarketId, *, after: int, limit: int
    ) -> tuple[Market, list[Change]]:
        """Every change of the market's book after a sequence number. Raises MarketNotFound."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            market = await ExchangeStore(conn).market(market_id)
            changes = await AccountStore(conn).changes(
                market_id, market.terms.currency, after=after, limit=limit
            )
            return market, changes

    async def transitions(self, subject: UUID) -> Sequence[Transition]:
        async with transaction(self._pool, readonly=True) as conn:
            return await AccountStore(conn).transitions(subject)

    async def offer(self, offer_id: OfferId, owner: UserId) -> OwnOffer:
        """Raises OfferNotFound, also for another bettor's offer."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).own_offer(offer_id, owner)

    async def record(self, offer_id: OfferId, owner: UserId) -> str:
        """The offer's wager record, byte for byte as it was written. Raises OfferNotFound."""
        async with transaction(self._pool, readonly=True) as conn:
            return await AccountStore(conn).record(offer_id, owner)

    async def offers(
        self, owner: UserId, *, market_id: MarketId | None, open_only: bool, page: Page
    ) -> list[OwnOffer]:
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).own_offers(
                owner, market_id=market_id, open_only=open_only, after=page.after, limit=page.limit
            )

    async def challenges(self, challenged: UserId) -> list[tuple[Offer, Market]]:
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).challenges(challenged)

    async def bets(self, owner: UserId, *, page: Page) -> list[Bet]:
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            return await ReadingStore(conn).own_bets(owner, after=page.after, limit=page.limit)

    async def exposures(self, owner: UserId) -> list[Exposure]:
        async with transaction(self._pool, readonly=True) as conn:
            return await AccountStore(conn).exposures(owner)

    async def profits(self, owner: UserId, *, page: Page) -> list[Profit]:
        after = None if page.after is None else (page.after.at, page.after.id)
        async with transaction(self._pool, readonly=True) as conn:
            return await AccountStore(conn).profits(owner, after=after, limit=page.limit)
