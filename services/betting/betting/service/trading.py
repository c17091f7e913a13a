"""What happens to resting offers and whole markets: cancelling, closing at the gate, scratching."""

from collections.abc import Sequence
from datetime import datetime

from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool
from contracts import betting as wire

from betting.chronicle import Chronicle, announcement
from betting.domain.errors import MarketNotFound
from betting.domain.ids import MarketId, OfferId, RaceId
from betting.domain.markets import Market, MarketStatus
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.domain.races import Race, RaceStatus
from betting.ledger import pending
from betting.service.calls import Call, Clock, Show, now_utc, once_in
from betting.store.exchange import ExchangeStore
from betting.store.programme import ProgrammeStore


class Trading:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc) -> None:
        self._pool = pool
        self._clock = clock

    async def cancel(self, call: Call, offer_id: OfferId, show: Show[tuple[Offer, Market, int]]) -> Answer:
        """Take back what is not matched. The answer shows how much that really was: a match may have been first.

        Raises OfferNotFound (also for another bettor's offer), OfferPending.
        """

        async def work(conn: Connection) -> Answer:
            store = ExchangeStore(conn)
            market_id = await store.market_of_offer(offer_id, call.user_id)
            chronicle = Chronicle(await store.market_for_update(market_id), self._clock())
            offer = await store.offer(offer_id)
            if offer.status is OfferStatus.PENDING:
                raise pending(offer)
            cancelled = offer.remaining
            if offer.is_live:
                offer = offer.ended(OfferStatus.CANCELLED, Ending.BY_OWNER)
                await _end(conn, chronicle, [offer])
            return show((offer, chronicle.market, cancelled))

        return await once_in(self._pool, call, work)

    async def close(self, call: Call, market_id: MarketId, show: Show[Market]) -> Answer:
        """Close the market at the gate, for ever. What rests unmatched lapses.

        Raises MarketNotFound; MarketStateConflict and RaceStateConflict are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            programme = ProgrammeStore(conn)
            race_id = await programme.race_of_market(market_id)
            if race_id is None:
                raise MarketNotFound("no such market")
            race = (await programme.race_for_update(race_id)).moved(RaceStatus.AT_GATE)
            market = await ExchangeStore(conn).market_for_update(market_id)
            await programme.save_race(race, told=False)  # the market's closing says it all
            return show(await close_market(conn, market, Ending.MARKET_CLOSED, self._clock()))

        return await once_in(self._pool, call, work)

    async def scratch(self, call: Call, race_id: RaceId, reason: str, show: Show[Race]) -> Answer:
        """The race will not be run: its market stops at once, and every stake in it goes back.

        Raises RaceNotFound; RaceStateConflict is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            programme, now = ProgrammeStore(conn), self._clock()
            race = (await programme.race_for_update(race_id)).moved(RaceStatus.NO_CORRE)
            version = await programme.save_race(race, scratch_reason=reason)
            told = wire.RaceScratched(
                race_id=race.id, reason=reason, scratched_by=call.user_id, scratched_at=now
            )
            await announce_all(conn, (announcement("races", race.id, version, told, now),))
            market = await ExchangeStore(conn).market_of_race_for_update(race_id)
            if market is not None and market.status is MarketStatus.OPEN:
                await close_market(conn, market, Ending.RACE_SCRATCHED, now)
            return show(race)

        return await once_in(self._pool, call, work)


async def close_market(conn: Connection, market: Market, why: Ending, now: datetime) -> Market:
    """Close a locked market and let everything that rests in it lapse."""
    store = ExchangeStore(conn)
    chronicle = Chronicle(market.moved(MarketStatus.CLOSED), now)
    chronicle.closed()
    resting = await store.resting(market.id, chronicle.currency)
    await _end(conn, chronicle, [offer.ended(OfferStatus.LAPSED, why) for offer in resting], closed_at=now)
    return chronicle.market


async def _end(
    conn: Connection, chronicle: Chronicle, ended: Sequence[Offer], *, closed_at: datetime | None = None
) -> None:
    """Write offers that have ended with their market, tell of them and give back what they held."""
    for offer in ended:
        chronicle.ended(offer)
    await ExchangeStore(conn).save(chronicle.market, now=chronicle.now, offers=ended, closed_at=closed_at)
    await announce_all(conn, chronicle.announcements)
